"""Slices against loops over the rows, and their tests against SciPy's."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reaugkd.analysis.slices import holm, sliceable_table, slices


@pytest.fixture
def table():
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


def test_every_slice_counts_the_rows_that_its_filter_lets_pass(table):
    found = slices(table)
    for one in found.itertuples():
        rows = one.row_filter.of(table)
        right = rows["answer"] == rows["label"]
        assert one.rows == len(rows) >= 10
        assert one.accuracy == pytest.approx(right.mean())
        assert (one.fixed, one.broken) == ((rows["effect"] == "fixed").sum(), (rows["effect"] == "broken").sum())
        assert one.low < one.accuracy < one.high
    assert found["accuracy"].is_monotonic_increasing
    of_columns = found.groupby("column")["rows"].sum()
    assert of_columns.to_dict() == {"price": 400, "words": 400, "topic": 400 - (table["topic"] == "rare").sum()}


def test_only_what_is_surely_worse_is_suggested(table):
    found = slices(table)
    assert found.loc[found["is_worse"], "value"].tolist() == ["hotel"]
    assert found["value"].iloc[0] == "hotel"
    assert not slices(table.assign(answer="a"))["is_worse"].any()


def test_a_p_value_is_fishers_corrected_by_the_number_of_slices(table):
    found, right = slices(table), table["answer"] == table["label"]
    single = []
    for one in found.itertuples():
        inside = table.index.isin(one.row_filter.of(table).index)
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
