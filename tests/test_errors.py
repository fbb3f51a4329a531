"""Settings of the kinds that they must be; those of plans are tested in tests/study/test_study.py."""

import numpy as np
import pytest

from reaugkd.errors import ReAugKDError, read_as, read_named
from reaugkd.method.pool import KeySettings
from reaugkd.recipe import Recipe


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (int, 4.0, 4),
        (int | None, None, None),
        (int, np.int64(3), 3),
        (bool, np.bool_(True), True),
        (float, np.float32(0.5), 0.5),
        (str, np.str_("a"), "a"),
        (float, "1e-4", 1e-4),
        (float, 1, 1),
        (list[str], ["a"], ["a"]),
        (tuple[int, ...], [1, 2], (1, 2)),
    ],
)
def test_what_is_meant_is_read(kind, given, value):
    read = read_as(kind, given, "it")
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "given", "sentence"),
    [
        (int, "4", "it is '4'; it must be a whole number"),
        (int, True, "it is True; it must be a whole number"),
        (int, 2.5, "it is 2.5; it must be a whole number"),
        (float, "a lot", "it is 'a lot'; it must be a number"),
        (float, 10**400, "it is 1000.*; it must be a number"),
        (float, np.ones((2, 1)), r"it is array\(\[\[1.\], \[1.\]\]\); it must be a number"),
        (str, None, "it is None; it must be text"),
        (list[str], "Great!", "it is 'Great!'; it must be a list"),
        (list[str], ["a", None], r"it\[1\] is None; it must be text"),
    ],
)
def test_another_kind_is_refused(kind, given, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        read_as(kind, given, "it")


def test_a_long_value_is_cut_in_the_sentence():
    with pytest.raises(ReAugKDError) as caught:
        read_as(int, "x" * 1000, "it")
    assert len(str(caught.value)) < 150


def test_names_are_those_of_the_function():
    def asked(text: str, k: int | None = None) -> None: ...

    assert read_named(asked, {"text": "a", "k": 3.0}) == {"text": "a", "k": 3}
    with pytest.raises(ReAugKDError, match="k is '4'; it must be a whole number"):
        read_named(asked, {"text": "a", "k": "4"})


def test_settings_are_checked_whoever_makes_them():
    with pytest.raises(ReAugKDError, match="The setting epochs is 'many'; it must be a number"):
        Recipe(epochs="many")
    with pytest.raises(ReAugKDError, match="The setting teacher is .*; it must be text"):
        Recipe(teacher=3)
    with pytest.raises(ReAugKDError, match="temperature is 'hot'; it must be a number"):
        KeySettings(temperature="hot")
