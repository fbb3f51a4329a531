"""What can be classified."""

import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.texts import check_texts, in_one_line, two_parts


def test_a_pair_and_a_text_come_apart_and_are_shown_alike():
    assert [two_parts(text) for text in ("one", ("one", "two"))] == [("one", ""), ("one", "two")]
    assert [in_one_line(text) for text in ("one", ("one", "two"))] == ["one", "one | two"]


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        (["fine", "   "], "Text 2 is empty"),
        (["x" * 100_001], "Text 1 has 100,001 characters, more than 100,000"),
        ([("fine", "")], "Text 1 is empty"),
        (["fine", 3], "Text 2 is a int, not a string"),
    ],
)
def test_queries_that_cannot_be_answered_are_refused(texts, match):
    with pytest.raises(ReAugKDError, match=match):
        check_texts(texts)
