"""What is known of a model's texts, and which of them show what its memory does."""

from dataclasses import replace

import numpy as np

from reaugkd.analysis.examples import known_rows, telling_rows
from reaugkd.method.memory import LABELLED_BY, TEACHER


def test_the_first_is_put_right_by_the_memory_most_surely_and_the_others_are_the_first_of_each_other_class(
    puzzled_model,
):
    pool, held = replace(puzzled_model.pool, retrieval_weight=1.0), puzzled_model.held_out(["test"])
    said = puzzled_model.answer(puzzled_model.encode_rows(held), pool).table()
    moved = said["answer"] != said["student"]
    held["label"] = said["answer"].where(moved & (said.index % 3 > 0), held["label"])
    answers = puzzled_model.answer(puzzled_model.encode_rows(held), pool)
    table = answers.table()
    fixed = table[(table["student"] != table["label"]) & (table["answer"] == table["label"])]
    assert len(fixed) > 1
    first, *others = telling_rows(answers)
    assert first == fixed["probability"].idxmax()
    rest = table[table["label"] != table["label"][first]].groupby("label", sort=False).head(1)
    assert others == rest.index.tolist()


def test_where_the_memory_puts_nothing_right_it_is_the_first_row_of_each_class(toy_model):
    pool = replace(toy_model.pool, retrieval_weight=0.0)
    answers = toy_model.answer(toy_model.encode_rows(toy_model.held_out(["test"])), pool)
    assert telling_rows(answers) == answers.table().groupby("label", sort=False).head(1).index.tolist()


def test_held_out_rows_and_memories_are_known_with_the_teachers_answer_and_a_held_out_row_goes_first(toy_model):
    held, memory = toy_model.evaluation_rows, toy_model.memory
    known = known_rows(toy_model)
    assert set(known) == {*held["text"], *memory.rows["text"]}
    row = held.iloc[5]
    found = known[row["text"]]
    assert (found["label"], found["split"]) == (row["label"], row["split"])
    np.testing.assert_array_equal(found["teacher_soft_labels"], row["teacher_soft_labels"])
    only = next(n for n, text in enumerate(memory.rows["text"]) if text not in set(held["text"]))
    found = known[memory.rows["text"].iloc[only]]
    assert found["split"] == "memory"
    np.testing.assert_array_equal(found["teacher_soft_labels"], memory.soft_labels[only])


def test_what_the_teacher_labelled_is_not_known_to_be_right(toy_model):
    memory = toy_model.memory
    by = [TEACHER, *[""] * (len(memory) - 1)]
    model = replace(
        toy_model, memory=replace(memory, rows=memory.rows.assign(**{LABELLED_BY: by})), evaluation_rows=None
    )
    texts = memory.rows["text"].tolist()
    assert texts[0] not in texts[1:]
    assert set(known_rows(model)) == set(texts[1:])
