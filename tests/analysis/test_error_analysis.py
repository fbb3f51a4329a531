"""Counts and filters against loops over the rows."""

import numpy as np
import pandas as pd
import pytest

from reaugkd.analysis.error_analysis import RowFilter, calibration, confusion, disagreements, summary
from reaugkd.errors import ReAugKDError

NAMES = ("a", "b", "c")


@pytest.fixture
def table():
    generator = np.random.default_rng(2)
    voices = {name: generator.choice(NAMES, 80) for name in ("label", "teacher", "student", "memory", "answer")}
    texts = [f"Row {number} of (many)" for number in range(80)]
    return pd.DataFrame({"text": texts, **voices, "probability": generator.uniform(0.2, 1, 80)})


@pytest.fixture(scope="module")
def answers(puzzled_model):
    """Answers of which retrieval fixed, broke and changed some."""
    pool = puzzled_model.pool.overridden(1, 1.0)
    return puzzled_model.answer(puzzled_model.encode_rows(puzzled_model.held_out()), pool)


def test_a_cell_of_the_confusion_matrix_counts_its_rows(table):
    counts = confusion(table, (*NAMES, "never"), "student")
    assert counts.shape == (4, 4)
    for gold in NAMES:
        for predicted in NAMES:
            wanted = sum(row.label == gold and row.student == predicted for row in table.itertuples())
            assert counts.loc[gold, predicted] == wanted
            chosen = RowFilter({"label": gold, "student": predicted}).of(table)
            assert len(chosen) == wanted
    assert counts["never"].sum() == 0


def test_every_combination_is_counted_and_those_in_which_not_all_are_the_same_come_first(table):
    voices = ["teacher", "student", "memory", "answer"]
    table.loc[table.index % 3 == 0, voices] = table.loc[table.index % 3 == 0, "label"]
    found = disagreements(table)
    seen = {}
    for row in table[["label", *voices]].itertuples(index=False, name=None):
        seen[row] = seen.get(row, 0) + 1
    assert {tuple(row[:-1]): row[-1] for row in found.itertuples(index=False, name=None)} == seen
    differ = [len(set(row[:-1])) > 1 for row in found.itertuples(index=False, name=None)]
    first = differ.index(False)
    assert 0 < first < len(found)
    assert not any(differ[first:])
    assert found["rows"][:first].is_monotonic_decreasing
    assert found["rows"][first:].is_monotonic_decreasing


def test_a_bin_of_the_calibration_opens_as_many_rows_as_it_counts(table):
    for low, high, rows, *_ in calibration(table).itertuples(index=False):
        assert len(RowFilter(between={"probability": (low, high)}).of(table)) == rows


def test_a_text_is_found_in_any_case_and_as_it_is_written(table):
    assert RowFilter(text=" ROW 79 ").of(table).index.tolist() == [79]
    assert len(RowFilter(text="(many)").of(table)) == 80
    pairs = table.assign(text_pair=["second", *["other"] * 79])
    assert RowFilter(text="second").of(pairs).index.tolist() == [0]
    beside = table.assign(other_text=["second", *["x"] * 79], other_text_pair=[*["y"] * 79, "second"])
    assert RowFilter(text="second").of(beside).index.tolist() == [0, 79]


def test_conditions_hold_together(table):
    chosen = RowFilter({"label": "a"}, {"probability": (0.5, 0.9)}, "row").of(table)
    wanted = table[(table["label"] == "a") & (table["probability"] > 0.5) & (table["probability"] <= 0.9)]
    pd.testing.assert_frame_equal(chosen, wanted)


def test_an_unknown_column_and_one_without_numbers_are_named(table):
    with pytest.raises(ReAugKDError, match="no column 'colour'"):
        RowFilter({"colour": "red"}).of(table)
    with pytest.raises(ReAugKDError, match="no column 'text' to filter by in this way"):
        RowFilter(between={"text": (0, 1)}).of(table)


def test_the_summary_counts_what_the_table_shows(answers):
    table, found = answers.table(), summary(answers, "accuracy")
    assert found["rows"] == len(table) == sum(found["effects"].values())
    assert all(found["effects"].values())
    assert list(found["score"]) == list(found["calibration_error"]) == ["teacher", "student", "memory", "answer"]
    for voice, score in found["score"].items():
        assert score == pytest.approx((table[voice] == table["label"]).mean())
    before, after = table["student"] == table["label"], table["answer"] == table["label"]
    assert found["effects"]["fixed"] == (~before & after).sum()
    assert found["effects"]["broken"] == (before & ~after).sum()
    assert found["effects"]["changed"] == (~before & ~after & (table["student"] != table["answer"])).sum()
    assert found["gain"].mean == pytest.approx(found["score"]["answer"] - found["score"]["student"])
    assert found["gain"].low <= found["gain"].mean <= found["gain"].high
    for voice, (low, high) in found["interval"].items():
        assert low <= found["score"][voice] <= high
    for voice in ("teacher", "student", "answer"):
        bins, gap = calibration(table, voice), 0.0
        for _, _, rows, confidence, accuracy in bins.itertuples(index=False):
            gap += rows * abs(accuracy - confidence) if rows else 0.0
        assert found["calibration_error"][voice] == pytest.approx(gap / len(table))


def test_rows_can_be_named_by_their_number():
    table = pd.DataFrame({"label": ["a", "b", "a"], "text": ["one", "two", "three"]})
    assert RowFilter(rows=[0, 1]).of(table).index.tolist() == [0, 1]
    assert RowFilter(equal={"label": "a"}, rows=[1, 2]).of(table).index.tolist() == [2]
    assert RowFilter(rows=[]).of(table).empty


def test_a_lower_end_below_zero_lets_no_row_pass_that_lies_below_it():
    table = pd.DataFrame({"cosine": [-0.9, -0.2, -0.1, 0.0, 0.3]})
    assert RowFilter(between={"cosine": (-0.2, 0.3)}).of(table).index.tolist() == [2, 3, 4]
    assert RowFilter(between={"cosine": (0, 0.3)}).of(table).index.tolist() == [3, 4]


def test_some_of_the_answers_are_those_to_the_same_rows_alone(answers):
    rows = [5, 2, 40]
    part = answers.part(rows)
    pd.testing.assert_frame_equal(part.table(), answers.table().iloc[rows])
    assert summary(part, "accuracy")["score"]["answer"] == answers.right[rows].mean()


def test_half_a_character_is_in_no_text():
    table = pd.DataFrame({"text": ["iron"]})
    with pytest.raises(ReAugKDError, match="The text to look for holds half a character"):
        RowFilter(text="\ud800").of(table)
