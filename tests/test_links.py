"""Links that open the app in an exact state."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState, app_link, page_state


@pytest.mark.parametrize(
    "state",
    [
        PageState(),
        PageState("toy", "errors", "what & why? = ü", "second", 4, 0.25, 0.05, (1, 20, 300)),
        PageState(retrieval_weight=0.0),
    ],
)
def test_a_link_opens_the_state_that_it_was_made_of(state):
    assert page_state(dict(parse_qsl(urlsplit(app_link(state)).query))) == state


def test_only_what_is_not_as_usual_stands_in_a_link():
    assert app_link(PageState(), "http://localhost:1/") == "http://localhost:1/"
    assert app_link(PageState(k=3), "") == "?k=3"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"k": "0"}, "k='0' is not a number from 1 on"),
        ({"k": "many"}, "k='many' is not a number"),
        ({"retrieval_weight": "1.5"}, "is not between 0 and 1"),
        ({"retrieval_weight": "nan"}, "is not between 0 and 1"),
        ({"temperature": "0"}, "is not above 0"),
        ({"temperature": "warm"}, "is not a number"),
        ({"view": "cellar"}, "is none of query, errors"),
        ({"selected": "1,x"}, "is not a list of numbers"),
    ],
)
def test_a_malformed_link_is_told_in_a_sentence(query, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        page_state(query)


def test_keys_of_others_are_left_alone():
    assert page_state({"__theme": "dark", "text": "hello"}) == PageState(text="hello")
