"""Links that open the app in an exact state."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import (
    PageState,
    app_link,
    filter_of_link,
    page_state,
    picks_of_link,
    struck_in_link,
    struck_of,
)


@pytest.mark.parametrize(
    "state",
    [
        PageState(),
        PageState("toy", "errors", "what & why? = ü", "second", 4, 0.25, 0.05, (1, 20, 300)),
        PageState(retrieval_weight=0.0),
        PageState("toy", "memory", selected=(3,), colour="retrieval's effect", shown="test"),
        PageState(selected=(9, 3, 4, 5, 120, 121, 7)),
        PageState(
            view="errors",
            of_view={
                "split": "validation",
                "effect": "fixed",
                "column": "topic",
                "value": "a & b = ü",
                "confidence": "0.5 to 0.7",
                "holds": "it's",
                "picked": '{"equal": {"label": "metal"}}',
            },
        ),
        PageState(text="it rains", of_view={"edited": "it pours & rains", **struck_in_link((4, 5, 2), {7: "ü"})}),
        PageState("toy", "memory", of_view={"show": "never used", "holds": "x" * 200}),
        PageState(
            view="compare",
            retrieval_weight=0.5,
            of_view={"second": "other", "split": "validation", "second_by": "b", "second_weight": "0.25"},
        ),
    ],
)
def test_a_link_opens_the_state_that_it_was_made_of(state):
    assert page_state(dict(parse_qsl(urlsplit(app_link(state)).query))) == state


def test_what_is_struck_or_relabelled_is_read_as_it_was_written():
    struck, relabelled = [9, 10, 11, 3], {5: "metal", 70: 'a "class" = ü'}
    assert struck_of(struck_in_link(struck, relabelled)) == (struck, relabelled)
    assert struck_of({}) == ([], {})
    assert PageState(of_view=struck_in_link([], {})) == PageState()


def test_a_long_edit_stands_in_a_link_as_a_long_text_does():
    state = PageState(text="x" * 3_000, of_view={"edited": "y" * 3_000})
    assert page_state(dict(parse_qsl(urlsplit(app_link(state)).query))) == state


def test_only_what_is_not_as_usual_stands_in_a_link():
    assert app_link(PageState(), "http://localhost:1/") == "http://localhost:1/"
    assert app_link(PageState(k=3), "") == "?k=3"
    assert app_link(PageState(view="memory", of_view={"show": "edited", "holds": ""}), "") == "?view=memory&show=edited"


def test_points_that_follow_one_another_stand_in_a_link_as_ranges_and_the_old_form_is_read():
    assert app_link(PageState(selected=(*range(3, 91), 120)), "") == "?selected=3-90,120"
    assert page_state({"selected": "3,4,5,120"}).selected == page_state({"selected": "3-5,120"}).selected


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("", {}),
        ('{"equal": {}, "rows": "all", "else": 3}', {}),
        ('{"equal": {"label": "metal", "student": 1}}', {"equal": {"label": "metal", "student": "1"}}),
        ('{"between": {"a": [0, 0.5]}}', {"between": {"a": [0.0, 0.5]}}),
    ],
)
def test_what_a_link_picked_is_read(text, picked):
    assert filter_of_link(text) == picked
    assert picks_of_link(text) == ({"link": picked} if picked else {})


def test_what_was_picked_in_each_figure_is_read():
    picks = {"slices": {"between": {"words": [0.0, 4.5]}}, "confusion": {"equal": {"label": "metal"}}}
    assert picks_of_link(json.dumps(picks)) == picks
    alone = picks_of_link('{"equal": {"label": "metal"}}')
    assert picks_of_link(json.dumps(alone)) == alone  # what such a link opened is linked again
    assert picks_of_link("") == {}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"k": "0"}, "k='0' is not a number from 1 to 1e9"),
        ({"k": "9" * 30}, "k='9*' is not a number from 1 to 1e9"),
        ({"k": "many"}, "k='many' is not a number"),
        ({"retrieval_weight": "1.5"}, "is not a number from 0 to 1"),
        ({"retrieval_weight": "nan"}, "is not a number from 0 to 1"),
        ({"temperature": "0"}, "is not a number above 0"),
        ({"temperature": "warm"}, "is not a number"),
        ({"view": "cellar"}, "is not one of query, errors"),
        ({"selected": "1,x"}, "is not a list of up to a million numbers"),
        ({"selected": "3-x"}, "is not a list of up to a million numbers"),
        ({"selected": "-3"}, "is not a list of up to a million numbers"),
        ({"selected": "3-4-5"}, "is not a list of up to a million numbers"),
        ({"selected": "0-999999999999"}, "is not a list of up to a million"),
        ({"selected": "0-" + "9" * 40}, "selected='0-9*' is not a list of up to a million"),
        ({"view": "compare", "second_weight": "2"}, "second_weight='2' is not a number from 0 to 1"),
        ({"view": "compare", "second_weight": "much"}, "second_weight='much' is not a number"),
        ({"struck": "1,x"}, "struck='1,x' is not a list of up to a million numbers"),
        ({"relabelled": "[4]"}, r"relabelled='\[4\]' is not a JSON object"),
        ({"relabelled": '{"x": "metal"}'}, "is not a JSON object of numbers and labels"),
        ({"view": "errors", "picked": "{"}, "picked='{' is not a JSON object"),
        ({"view": "errors", "picked": "[1]"}, r"picked='\[1\]' is not a JSON object"),
        ({"view": "errors", "picked": '{"equal": 1}'}, "is not a JSON object of conditions"),
        ({"view": "errors", "picked": '{"between": {"a": [1]}}'}, "is not a JSON object of conditions"),
        ({"view": "errors", "picked": '{"between": {"a": 3}}'}, "is not a JSON object of conditions"),
        ({"view": "errors", "picked": "[" * 100_000}, "is not a JSON object of conditions"),
    ],
)
def test_a_malformed_link_is_told_in_a_sentence(query, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        page_state(query)


def test_settings_of_another_view_are_left_alone_in_a_link_and_refused_in_a_state():
    assert page_state({"view": "memory", "show": "edited", "split": "test"}).of_view == {"show": "edited"}
    assert page_state({"show": "edited"}) == PageState()
    with pytest.raises(ReAugKDError, match="The view 'memory' has no setting 'split'; its settings are: show, holds"):
        PageState(view="memory", of_view={"split": "test"})
    with pytest.raises(ReAugKDError, match="The view 'train' has no setting 'show'; its settings are: none"):
        PageState(view="train", of_view={"show": "edited"})


def test_keys_of_others_are_left_alone():
    assert page_state({"__theme": "dark", "text": "hello"}) == PageState(text="hello")


def test_half_a_character_is_no_reason_to_give_no_link():
    assert app_link(PageState(text="iron \ud800"), "") == "?text=iron+%3F"
