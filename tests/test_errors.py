"""Settings of the kinds that they must be; those of plans are tested in tests/study/test_study.py."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reaugkd.errors import ReAugKDError, kind_of, listed, quoted, read_as, read_named
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.recipe import DistillationSettings, Recipe, TrainingSettings


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


def test_settings_are_checked_by_each_way_to_make_them():
    with pytest.raises(ReAugKDError, match="The setting epochs is 'many'; it must be a number"):
        Recipe(epochs="many")
    with pytest.raises(ReAugKDError, match="The setting teacher is .*; it must be text"):
        Recipe(teacher=3)
    with pytest.raises(ReAugKDError, match="temperature is 'hot'; it must be a number"):
        KeySettings(temperature="hot")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a\nb", r"'a\nb'"),
        (np.float32(0.5), "0.5"),
        (Path("rows.csv"), "'rows.csv'"),
        (object(), "something else"),
        (pd.Timestamp("2026-01-01"), "something else"),
        (pd.DataFrame(), "a table"),
        (float, "something else"),
        ("x" * 99, "'" + "x" * 78 + "…"),
    ],
)
def test_a_value_is_written_as_one_would_type_it_or_named_by_its_kind(value, written):
    assert (quoted(value), quoted(10**5_000)) == (written, "a number")


def test_kinds_are_named_in_plain_words():
    kinds = [None, True, 3, "a", b"a", Path(), {}, {1}, [1], (1,), np.ones(2), pd.DataFrame()]
    words = "nothing, true or false, a number, a single text, bytes, a path, names with values, a set, a list, a list"
    assert ", ".join(map(kind_of, kinds)) == words + ", an array, a table"


def test_of_many_names_the_first_are_listed():
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(1, 1_013))) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1,002 more"
    assert listed(["a\x01b"]) == r"a\x01b"


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "x", None, 10**400])
@pytest.mark.parametrize("name", ["soft_label_weight", "relational_temperature"])
def test_a_loss_is_made_of_finite_numbers(name, wrong):
    with pytest.raises(ReAugKDError, match=f"The setting {name} is .*; it must be (a number|.*finite)"):
        DistillationSettings(**{name: wrong})


def test_what_is_no_number_is_not_infinite_either():
    with pytest.raises(ReAugKDError, match="The setting freeze_word_embeddings is nan; it must be true or false"):
        TrainingSettings(1, 1e-3, freeze_word_embeddings=float("nan"))
    with pytest.raises(ReAugKDError, match="The setting max_length is inf; it must be a whole number"):
        Recipe(max_length=float("inf"))
    with pytest.raises(ReAugKDError, match="The setting projection_temperature is 0; it must be above 0 and finite"):
        Recipe(projection_temperature=0)
    with pytest.raises(ReAugKDError, match="keys is nan; it must be names, each with its settings"):
        Pool(float("nan"))


def test_settings_by_name_are_read_into_their_kind_one_by_one():
    assert Pool({"text": {"k": 3.0}}).keys["text"] == KeySettings(3)
    with pytest.raises(ReAugKDError, match="keys.text is 5; write its settings by name"):
        Pool({"text": 5})
