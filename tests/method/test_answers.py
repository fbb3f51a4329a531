"""Answers to texts that were encoded once: by hand, at any λ, without some memories, and as tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from memories import memory_of, unit
from pool_by_hand import answered_by_hand

from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import EncodedTexts, answer, changed_answers, effect_counts, effects
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool


@pytest.fixture(scope="module")
def asked(pooled_model):
    return pooled_model.encode_rows(pooled_model.held_out(["test"]))


POOLS = {
    "fitted": {},
    "slider": {"retrieval_weight": 0.3},
    "student": {"retrieval_weight": 0.0},
    "memory": {"retrieval_weight": 1.0},
    "linear": {"kind": "linear", "retrieval_weight": 0.6},
    "calibrated": {"student_temperature": 2.0},
}


@pytest.mark.parametrize("settings", POOLS.values(), ids=POOLS)
def test_an_answer_is_what_student_and_brute_force_make_of_it(pooled_model, asked, settings):
    pool = replace(pooled_model.pool, **settings)
    found = answer(asked, pooled_model.memory, pool)
    for row, text in enumerate(asked.texts[:6]):
        wanted = answered_by_hand(pooled_model, text, pool)
        np.testing.assert_allclose(found.pooled.student[row], wanted.student, atol=1e-6)
        np.testing.assert_allclose(found.pooled.probabilities[row], wanted.probabilities, atol=1e-4)
        for name, by_key in wanted.keys.items():
            np.testing.assert_allclose(found.retrieved[name].similarities[row], by_key.cosines, atol=1e-6)
            np.testing.assert_allclose(found.retrieved[name].weights[row], by_key.weights, atol=1e-4)
            np.testing.assert_allclose(found.retrieved[name].probabilities[row], by_key.retrieved, atol=1e-4)


@pytest.fixture
def made_up():
    """Twenty queries and a memory of 60 rows with two keys, no two of them equally near."""
    random = np.random.default_rng(0)
    memory = memory_of(random.normal(size=(60, 6)), random.dirichlet(np.ones(3), size=60))
    memory = memory.with_keys({"aligned": random.normal(size=(60, 6)), "text": random.normal(size=(60, 5))})
    queries = {"aligned": random.normal(size=(20, 6)), "text": random.normal(size=(20, 5))}
    student = random.dirichlet(np.ones(3), size=20).astype(np.float32)
    texts = [f"text {number}" for number in range(20)]
    encoded = EncodedTexts(texts, unit(random.normal(size=(20, 6))).astype("f4"), student, queries)
    return encoded, memory, Pool({"aligned": KeySettings(4, 0.3, 0.5), "text": KeySettings(7, 0.2, 0.8)}, 0.6)


def without(memory, struck):
    left = np.setdiff1d(np.arange(len(memory)), struck)
    rows, keys = memory.rows.iloc[left].reset_index(drop=True), {name: key[left] for name, key in memory.keys.items()}
    return Memory(rows, memory.classes, memory.soft_labels[left], memory.teacher_embeddings[left], keys), left


@pytest.mark.parametrize("struck", [[3], [0, 59], range(30), range(55)])
def test_a_memory_that_is_struck_is_as_good_as_removed(made_up, struck):
    encoded, memory, pool = made_up
    found = answer(encoded, memory, pool, struck=struck)
    fewer, left = without(memory, list(struck))
    wanted = answer(encoded, fewer, pool)
    np.testing.assert_allclose(found.pooled.probabilities, wanted.pooled.probabilities, atol=1e-6)
    for name, retrieved in wanted.retrieved.items():
        np.testing.assert_array_equal(found.retrieved[name].numbers, left[retrieved.numbers])


def test_a_memory_is_struck_once_however_often_it_is_named(made_up):
    encoded, memory, pool = made_up
    once, twice = (answer(encoded, memory, pool, struck=struck) for struck in ([3, 4], [3, 3, 4, 4, 4]))
    np.testing.assert_array_equal(twice.retrieved["text"].numbers, once.retrieved["text"].numbers)


def test_the_last_memory_is_not_struck(made_up):
    encoded, memory, pool = made_up
    with pytest.raises(ReAugKDError, match="Without any memory there is nothing to look up; leave at least one"):
        answer(encoded, memory, pool, struck=range(60))
    assert answer(encoded, memory, pool, struck=range(59)).retrieved["text"].numbers.tolist() == [[59]] * 20


def test_keys_without_a_say_are_searched_only_to_be_shown(made_up):
    encoded, memory, pool = made_up
    pool = replace(pool, keys={"aligned": KeySettings(4, 0.3, 0.0), "text": pool.keys["text"]})
    shown, needed = (answer(encoded, memory, pool, every_key=every) for every in (True, False))
    assert list(shown.retrieved) == ["aligned", "text"]
    assert list(needed.retrieved) == ["text"]
    np.testing.assert_array_equal(needed.pooled.probabilities, shown.pooled.probabilities)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0, None])
def test_at_another_lambda_the_answers_are_those_of_asking_anew(made_up, weight):
    encoded, memory, pool = made_up
    found = answer(encoded, memory, replace(pool, retrieval_weight=0.7)).at(weight)
    wanted = answer(encoded, memory, replace(pool, retrieval_weight=weight))
    np.testing.assert_array_equal(found.pooled.probabilities, wanted.pooled.probabilities)
    assert found.pool == wanted.pool


def test_the_voices_are_teacher_student_memory_and_answer(pooled_model, asked):
    found = pooled_model.answer(asked)
    said = found.probabilities
    assert list(said) == ["teacher", "student", "memory", "answer"]
    held_out = pooled_model.held_out(["test"])
    np.testing.assert_allclose(said["teacher"], np.stack(held_out["teacher_soft_labels"]), atol=1e-7)
    np.testing.assert_array_equal(said["student"], pooled_model.student.encode(asked.texts)[1])
    alone = answer(asked, pooled_model.memory, replace(pooled_model.pool, retrieval_weight=1.0))
    np.testing.assert_array_equal(said["memory"], alone.pooled.probabilities)
    np.testing.assert_array_equal(said["answer"], found.pooled.probabilities)
    for voice, numbers in found.predicted.items():
        np.testing.assert_array_equal(numbers, said[voice].argmax(axis=1))
    assert list(pooled_model.answer(pooled_model.encode(asked.texts[:2])).probabilities) == [
        "student",
        "memory",
        "answer",
    ]


def test_the_table_names_classes_by_who_says_so(pooled_model, asked):
    found = pooled_model.answer(asked)
    table = found.table()
    assert list(table.columns) == [
        *("id", "split", "text", "label", "teacher", "student", "memory", "answer"),
        *("probability", "student_probability", "teacher_probability", "effect", "topic"),
    ]
    for voice, probabilities in found.probabilities.items():
        assert table[voice].tolist() == pooled_model.classes_[probabilities.argmax(axis=1)].tolist()
    np.testing.assert_array_equal(table["probability"], found.pooled.probabilities.max(axis=1))
    np.testing.assert_array_equal(table["student_probability"], asked.student_probabilities.max(axis=1))
    assert len(table) == len(asked) == 36
    assert found.labels.tolist() == [pooled_model.classes_.tolist().index(label) for label in table["label"]]


def flip(gold, before, after):
    """What a change did to an answer, as people say it."""
    if before == after:
        return "none"
    return "fixed" if after == gold else "broken" if before == gold else "changed"


def test_the_table_says_what_retrieval_did_and_what_answers_are_instead_of_others(puzzled_model):
    encoded = puzzled_model.encode_rows(puzzled_model.held_out())
    first, second = (puzzled_model.answer(encoded, replace(puzzled_model.pool, retrieval_weight=w)) for w in (0.2, 1.0))
    table, before = second.table(first), first.table()["answer"]
    rows = table.assign(before=before).to_dict("records")
    assert table["flip"].tolist() == [flip(row["label"], row["before"], row["answer"]) for row in rows]
    assert table["effect"].tolist() == [flip(row["label"], row["student"], row["answer"]) for row in rows]
    assert len(set(table["flip"])) > 1
    assert "flip" not in second.table()


def test_a_part_is_answered_as_in_the_whole_under_the_same_numbers(pooled_model, asked):
    rows = [7, 0, 12]
    whole, part = (pooled_model.answer(some).table() for some in (asked, asked.part(rows)))
    pd.testing.assert_frame_equal(part, whole.loc[rows])
    assert asked.part(np.asarray([3])).texts == [asked.texts[3]]


def test_texts_without_gold_labels_say_so(pooled_model):
    for encoded in (
        pooled_model.encode(["an apple"]),
        pooled_model.encode(["an apple"], pd.DataFrame({"text": ["an apple"]})),
    ):
        assert encoded.table["text"].tolist() == ["an apple"]
        with pytest.raises(ReAugKDError, match="These texts have no gold labels; give rows with a label"):
            encoded.labels(pooled_model.memory.classes)


def test_an_effect_is_fixed_broken_changed_or_none():
    gold, before, after = np.asarray([0, 0, 0, 0, 0]), np.asarray([1, 0, 1, 0, 2]), np.asarray([0, 1, 2, 0, 2])
    assert effects(gold, before, after).tolist() == ["fixed", "broken", "changed", "none", "none"]


def test_changed_answers_are_those_that_differ_with_what_became_of_them(puzzled_model):
    encoded = puzzled_model.encode_rows(puzzled_model.held_out())
    before, after = (puzzled_model.answer(encoded, replace(puzzled_model.pool, retrieval_weight=w)) for w in (0.2, 1.0))
    names = puzzled_model.classes_
    old, new = (names[answers.predicted["answer"]] for answers in (before, after))
    found = changed_answers(before, after)
    rows = encoded.table.assign(before=old, after=new)[old != new]
    assert len(rows)
    assert found["id"].tolist() == rows["id"].tolist()
    wanted = [flip(*row) for row in rows[["label", "before", "after"]].itertuples(index=False)]
    assert found["effect"].tolist() == wanted
    assert effect_counts(found) == {effect: wanted.count(effect) for effect in ("fixed", "broken", "changed")}


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        ([], {"fixed": 0, "broken": 0, "changed": 0}),
        (["broken", "fixed", "broken"], {"fixed": 1, "broken": 2, "changed": 0}),
    ],
)
def test_effects_of_a_change_are_counted_and_those_that_it_has_not_are_none(found, counts):
    assert effect_counts(pd.DataFrame({"effect": pd.Series(found, dtype=str)})) == counts
