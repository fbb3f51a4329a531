"""What can be classified."""

import numpy as np
import pandas as pd
import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.texts import as_text, check_text, check_texts, in_one_line, row_in_one_line, texts_of, two_parts


def test_a_pair_and_a_text_come_apart_and_are_shown_alike():
    assert [two_parts(text) for text in ("one", ("one", "two"))] == [("one", ""), ("one", "two")]
    assert [in_one_line(text) for text in ("one", ("one", "two"))] == ["one", "one | two"]


def test_a_row_of_a_pair_is_shown_with_both_texts_and_one_without_a_second_as_one():
    rows = pd.DataFrame({"text": ["one", "three"], "text_pair": ["two", None]})
    for records in (rows.to_dict("records"), [row for _, row in rows.iterrows()]):
        assert [row_in_one_line(row) for row in records] == ["one | two", "three"]
    assert row_in_one_line({"text": "one"}) == "one"
    assert texts_of(rows, is_pair=True) == [("one", "two"), ("three", "")]
    assert texts_of(rows, is_pair=False) == ["one", "three"]


def test_a_text_that_is_refused_is_called_by_its_name():
    with pytest.raises(ReAugKDError, match="The second text is empty; write"):
        check_text(" ", "The second text")


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        (["fine", "   "], "Text 2 is empty"),
        (["x" * 100_001], "Text 1 has 100,001 characters, more than 100,000"),
        ([("fine", "")], "Text 1 is empty"),
        ([("fine",)], "Text 1 is no text and no pair of texts"),
        ([("fine", "good", "more")], "Text 1 is no text and no pair of texts"),
        (["fine", "half \ud83d"], "Text 2 holds half a character, a lone surrogate; write it whole or take it out"),
        (["fine", 3], "Text 2 is of type int, not a string"),
    ],
)
def test_queries_that_cannot_be_answered_are_refused(texts, match):
    with pytest.raises(ReAugKDError, match=match):
        check_texts(texts)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ("Great!", "a single text"),
        (b"Great!", "an object of type bytes"),
        (pd.DataFrame({"text": ["one", "two"]}), "an object of type DataFrame"),
        ({"text": "one"}, "an object of type dict"),
        ({"one", "two"}, "an object of type set"),
        ((text for text in ["one"]), "an object of type generator"),
        (None, "an object of type NoneType"),
        (np.asarray("one"), "an object of type ndarray"),
        (np.asarray([["one", "two"]]), "an object of type ndarray"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(texts, kind):
    with pytest.raises(ReAugKDError, match=f"Give a list of texts, not {kind}; of a table name the column"):
        check_texts(texts)


def test_a_column_an_array_and_a_tuple_are_lists_of_texts():
    column = pd.Series(["one", "two"], index=[7, 3])
    assert all(check_texts(texts) == ["one", "two"] for texts in (column, column.to_numpy(), ("one", "two")))


def test_a_pair_that_is_a_list_becomes_a_tuple():
    assert check_texts([["one", "two"], ("three", "four")]) == [("one", "two"), ("three", "four")]


def test_a_value_is_written_as_text():
    assert [as_text(value) for value in (3.0, 2.5, 2**60, "naïve", "naïve".encode())] == [
        "3",
        "2.5",
        str(2**60),
        "naïve",
        "naïve",
    ]
