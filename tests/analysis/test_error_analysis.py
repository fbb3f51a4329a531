"""Counts and filters against loops over the rows."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reaugkd.analysis.error_analysis import (
    RowFilter,
    calibration,
    confusion,
    disagreements,
    holm,
    sliceable_table,
    slices,
    summary,
)
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


@pytest.fixture
def topical():
    """Rows of which those that are long and of one topic are mostly wrong."""
    generator = np.random.default_rng(4)
    topics, words = generator.choice(["hotel", "phone", "shoes", "rare"], 400, p=[0.4, 0.3, 0.29, 0.01]), None
    words = generator.integers(3, 40, 400)
    is_wrong = generator.random(400) < np.where(topics == "hotel", 0.5, 0.1)
    return pd.DataFrame(
        {
            "text": [f"text {number}" for number in range(400)],
            "label": "a",
            "answer": np.where(is_wrong, "b", "a"),
            "probability": generator.random(400),
            "effect": generator.choice(["fixed", "broken", "none"], 400),
            "topic": topics,
            "words": words,
            "price": generator.normal(size=400),
        },
        index=np.arange(400) + 7,
    )


def test_every_slice_counts_the_rows_that_its_filter_lets_pass(topical):
    found = slices(topical)
    for one in found.itertuples():
        rows = one.row_filter.of(topical)
        right = rows["answer"] == rows["label"]
        assert one.rows == len(rows) >= 10
        assert one.accuracy == pytest.approx(right.mean())
        assert (one.fixed, one.broken) == ((rows["effect"] == "fixed").sum(), (rows["effect"] == "broken").sum())
        assert one.low < one.accuracy < one.high
    assert found["accuracy"].is_monotonic_increasing
    of_columns = found.groupby("column")["rows"].sum()
    assert of_columns.to_dict() == {"price": 400, "words": 400, "topic": 400 - (topical["topic"] == "rare").sum()}


def test_only_what_is_surely_worse_is_suggested(topical):
    found = slices(topical)
    assert found.loc[found["is_worse"], "value"].tolist() == ["hotel"]
    assert found["value"].iloc[0] == "hotel"
    assert not slices(topical.assign(answer="a"))["is_worse"].any()


def test_a_p_value_is_fishers_corrected_by_the_number_of_slices(topical):
    found, right = slices(topical), topical["answer"] == topical["label"]
    single = []
    for one in found.itertuples():
        inside = topical.index.isin(one.row_filter.of(topical).index)
        counts = [
            [(~right & inside).sum(), (right & inside).sum()],
            [(~right & ~inside).sum(), (right & ~inside).sum()],
        ]
        single.append(stats.fisher_exact(counts, alternative="greater").pvalue)
    np.testing.assert_allclose(found["p_value"], holm(pd.Series(single)), rtol=1e-9)


def test_holms_correction_is_that_of_its_definition():
    p_values = [0.04, 0.001, 0.03, 0.9]
    # 0.001 * 4, 0.03 * 3, then 0.04 * 2, which may not be smaller, then 0.9
    assert holm(pd.Series(p_values)).tolist() == pytest.approx([0.09, 0.004, 0.09, 0.9])


def test_of_noise_alone_a_slice_is_suggested_in_at_most_five_of_a_hundred_tables():
    generator, suggested = np.random.default_rng(5), 0
    for _ in range(100):
        table = pd.DataFrame({"label": "a", "answer": generator.choice(["a", "b"], 200), "effect": "none"})
        table = table.assign(topic=generator.integers(0, 5, 200).astype(str), price=generator.normal(size=200))
        suggested += slices(table)["is_worse"].any()
    assert suggested <= 5


def test_slices_are_by_label_words_overlap_and_the_tasks_own_columns(pooled_model):
    rows = pooled_model.held_out(["test"])
    answers = pooled_model.answer(pooled_model.encode_rows(rows))
    table = sliceable_table(answers)
    assert table["words"].tolist() == [len(text.split()) for text in rows["text"]]
    for key in ("aligned", "text"):
        queries = answers.encoded.queries[key]
        nearest = (queries @ pooled_model.memory.keys[key].T).max(axis=1)
        np.testing.assert_allclose(table[f"nearest_{key}"], nearest, atol=1e-5)
    found = slices(table, fewest=1)
    assert set(found["column"]) == {"label", "topic", "words", "nearest_aligned", "nearest_text"}


def test_a_column_of_the_task_is_not_replaced_and_missing_values_are_in_no_slice(pooled_model):
    rows = pooled_model.held_out(["test"]).assign(words=["many"] * 20 + [None] * 16)
    table = sliceable_table(pooled_model.answer(pooled_model.encode_rows(rows)))
    found = slices(table, fewest=1)
    assert found.loc[found["column"] == "words", ["value", "rows"]].to_numpy().tolist() == []  # one value is no slice
    rows["words"] = ["many"] * 20 + [None] * 6 + ["few"] * 10
    found = slices(sliceable_table(pooled_model.answer(pooled_model.encode_rows(rows))), fewest=1)
    assert dict(found.loc[found["column"] == "words", ["value", "rows"]].to_numpy().tolist()) == {"many": 20, "few": 10}
