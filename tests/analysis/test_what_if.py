"""A memory that is struck is as good as removed, and the smallest set that flips an answer is the smallest."""

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from memories import memory_of

from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.what_if import WhatIf, explain_what_if, flipping_set
from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.explanation import explain

BOTH = {"aligned": KeySettings(5, 0.1, 0.5), "text": KeySettings(4, 0.1, 0.6)}
POOLS = {
    "one key": Pool({"aligned": KeySettings(5, 0.1, 0.8)}, 0.5),
    "both keys": Pool(BOTH, 0.5),
    "linear": Pool(BOTH, 0.5, kind="linear", retrieval_weight=0.8),
    "memory": Pool(BOTH, 0.5, retrieval_weight=1.0),
}
each_pool = pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)


@pytest.fixture(scope="module")
def asked(toy_model, toy_task):
    return toy_model.encode([toy_task.texts("test")[4]])


def what_if(model, asked, pool, struck=(), relabelled=None):
    return explain_what_if(model, asked, pool, WhatIf(struck, relabelled or {}))


def edited(model, *edits):
    """The answer of the model with an edited memory, which is what a strike pretends."""
    return lambda asked, pool: explain(answer(asked, apply_patch(model, edits).memory, pool))


def found_by(explanation):
    return {key.name: [neighbour.id for neighbour in key.neighbours] for key in explanation.keys}


@each_pool
def test_without_a_strike_it_is_the_plain_answer(toy_model, asked, pool):
    plain, found = explain(toy_model.answer(asked, pool)), what_if(toy_model, asked, pool)
    np.testing.assert_array_equal(found.probabilities, plain.probabilities)
    assert found_by(found) == found_by(plain)


@each_pool
def test_a_struck_memory_is_as_good_as_removed_for_every_key(toy_model, asked, pool):
    keys = what_if(toy_model, asked, pool).keys
    struck = [keys[0].neighbours[0].number, keys[-1].neighbours[3].number, keys[-1].neighbours[1].number]
    found = what_if(toy_model, asked, pool, struck)
    ids = toy_model.memory.rows["id"]
    wanted = edited(toy_model, *(Edit("remove", ids[number]) for number in set(struck)))(asked, pool)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-6)
    assert found_by(found) == found_by(wanted)
    assert [len(key.neighbours) for key in found.keys] == [settings.k for settings in pool.keys.values()]


@each_pool
def test_a_relabelled_memory_votes_as_if_it_had_been_relabelled_for_good(toy_model, asked, pool):
    nearest = what_if(toy_model, asked, pool).keys[-1].neighbours[1]
    other = next(name for name in toy_model.classes_ if name != nearest.label)
    found = what_if(toy_model, asked, pool, relabelled={nearest.number: other})
    wanted = edited(toy_model, Edit("relabel", nearest.id, other))(asked, pool)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-6)
    assert found.keys[-1].neighbours[1].label == other
    assert found.parts == pytest.approx(wanted.parts, abs=1e-6)
    assert toy_model.memory.rows["label"][nearest.number] == nearest.label  # the model stays as it is


def test_a_class_of_the_memory_alone_is_struck_too(gadget_model):
    encoded = gadget_model.encode(["the shiny gadget hums"])
    gadgets = np.flatnonzero(gadget_model.memory.rows["label"] == "gadget").tolist()
    assert what_if(gadget_model, encoded, gadget_model.pool).label == "gadget"
    assert what_if(gadget_model, encoded, gadget_model.pool, gadgets).label != "gadget"
    numbers, new = flipping_set(gadget_model, encoded, gadget_model.pool)
    assert new != "gadget"
    assert what_if(gadget_model, encoded, gadget_model.pool, numbers).label == new


def test_the_last_memory_is_not_struck(toy_model, asked):
    everything = WhatIf(range(len(toy_model.memory)))
    with pytest.raises(ReAugKDError, match="Without any memory there is nothing to look up; leave at least one"):
        explain_what_if(toy_model, asked, POOLS["both keys"], everything)
    with pytest.raises(ReAugKDError, match="Without any memory"):
        flipping_set(toy_model, asked, POOLS["both keys"], everything)


def scene(seed, rows=24):
    """A query and a memory of random keys and votes; the student leans to the first class."""
    random = np.random.default_rng(seed)
    memory = memory_of(random.normal(size=(rows, 4)), random.dirichlet([0.3] * 3, size=rows))
    memory = memory.with_keys({"aligned": random.normal(size=(rows, 4)), "text": random.normal(size=(rows, 3))})
    queries = {"aligned": random.normal(size=(1, 4)), "text": random.normal(size=(1, 3))}
    student = np.asarray([[0.5, 0.3, 0.2]], dtype=np.float32)
    return SimpleNamespace(memory=memory), EncodedTexts(["asked"], np.zeros((1, 2), "f4"), student, queries)


def label_without(model, encoded, pool, changes, further=()):
    """The answer with all changes, each memory that is struck being removed for good."""
    memory = model.memory
    soft_labels = memory.soft_labels.copy()
    for number, label in changes.relabelled.items():
        soft_labels[number] = np.eye(3)[memory.classes.index(label)]
    left = np.setdiff1d(np.arange(len(memory)), [*changes.struck, *further])
    keys = {name: key[left] for name, key in memory.keys.items()}
    fewer = Memory(memory.rows.iloc[left], memory.classes, soft_labels[left], memory.teacher_embeddings[left], keys)
    return memory.classes[answer(encoded, fewer, pool).pooled.probabilities[0].argmax()]


@each_pool
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(WhatIf(), id="none"),
        pytest.param(WhatIf([3, 10], {5: "b", 20: "a"}), id="some", marks=pytest.mark.slow),
    ],
)
def test_no_set_is_smaller_of_one_or_two_and_none_of_a_larger_can_be_left_out(pool, changes):
    """Against every set of one and of two memories, whether they are found or come after those that are struck."""
    sizes = []
    for seed in range(20):
        model, encoded = scene(seed)
        plain = label_without(model, encoded, pool, changes)
        left = np.setdiff1d(np.arange(24), changes.struck).tolist()
        flipping = [
            size
            for size in (1, 2)
            if any(label_without(model, encoded, pool, changes, some) != plain for some in combinations(left, size))
        ]
        found = flipping_set(model, encoded, pool, changes)
        sizes.append(len(found[0]) if found else None)
        if not found:
            assert not flipping
            continue
        numbers, new = found
        assert len(set(numbers) - set(changes.struck)) == len(numbers)
        assert label_without(model, encoded, pool, changes, numbers) == new != plain
        assert len(numbers) == flipping[0] if flipping else len(numbers) > 2
        for fewer in combinations(numbers, len(numbers) - 1):
            assert label_without(model, encoded, pool, changes, fewer) == plain
    assert {1, 2} <= set(sizes)


def test_a_pair_of_which_one_has_a_say_only_without_the_other_is_found_too():
    model, encoded = scene(56, rows=12)
    pool = Pool({"aligned": KeySettings(2, 0.5, 0.5), "text": KeySettings(2, 0.5, 0.6)}, 0.5)
    numbers, new = flipping_set(model, encoded, pool)
    found = {
        number
        for retrieved in answer(encoded, model.memory, pool).retrieved.values()
        for number in retrieved.numbers[0]
    }
    assert len(numbers) == 2
    assert len(found & set(numbers)) == 1
    assert label_without(model, encoded, pool, WhatIf(), numbers) == new


def contested(model, asked, votes):
    """The model with the nearest memories of a text voting as named, and all others for the last class."""
    pool = Pool({"aligned": KeySettings(8, 0.1, 1.0)}, retrieval_weight=1.0)
    nearest = [neighbour.number for neighbour in what_if(model, asked, pool).neighbours]
    soft_labels = np.tile(np.eye(3, dtype=np.float32)[2], (len(model.memory), 1))
    soft_labels[nearest[: len(votes)]] = np.eye(3)[votes]
    return replace(model, memory=replace(model.memory, soft_labels=soft_labels))


@pytest.mark.parametrize(("votes", "size"), [([0, 0, 0, 1, 1, 1], 1), ([0, 0, 0, 1, 1], 2), ([0, 0, 0, 0, 0, 0], 4)])
def test_the_size_of_the_set_is_what_a_count_of_equal_votes_says(toy_model, asked, votes, size):
    """Five neighbours of nearly equal weight vote; who is struck is followed by the next nearest."""
    model = contested(toy_model, asked, votes)
    pool = Pool({"aligned": KeySettings(5, 10.0, 1.0)}, retrieval_weight=1.0)
    numbers, new = flipping_set(model, asked, pool)
    assert what_if(model, asked, pool).label == "fruit"
    assert what_if(model, asked, pool, numbers).label == new != "fruit"
    assert len(numbers) <= size


def test_without_strikes_the_set_is_that_of_the_whole_memory(toy_model, asked):
    model = contested(toy_model, asked, [0, 0, 0, 1, 1])
    assert flipping_set(model, asked, POOLS["memory"]) == flipping_set(model, asked, POOLS["memory"], WhatIf())


@pytest.mark.parametrize(
    "pool",
    [Pool(BOTH, 0.5, retrieval_weight=0.0), Pool({name: replace(key, weight=0.0) for name, key in BOTH.items()}, 0.5)],
    ids=["slider", "weights"],
)
def test_an_answer_that_the_memory_has_no_part_in_is_flipped_by_no_set(toy_model, asked, pool):
    assert flipping_set(toy_model, asked, pool) is None


def test_of_a_handful_of_memories_one_is_always_left(toy_model, asked):
    ids = toy_model.memory.rows["id"]
    few = apply_patch(toy_model, tuple(Edit("remove", name) for name in ids[3:]))
    found = flipping_set(few, asked, POOLS["memory"])
    assert found is None or len(found[0]) <= 2


def test_a_question_under_other_labels_leaves_a_memory_on_disk_as_it_is(toy_model, tmp_path):
    mapped = replace(toy_model, memory=Memory.build([toy_model.memory], tmp_path / "memory", 6))
    encoded, changes = mapped.encode(["an apple and a plum"]), WhatIf(relabelled={0: toy_model.classes_[1]})
    before = np.array(mapped.memory.soft_labels)
    found = [explain_what_if(model, encoded, model.pool, changes).probabilities for model in (toy_model, mapped)]
    np.testing.assert_allclose(*found, atol=5e-3)
    np.testing.assert_array_equal(mapped.memory.soft_labels, before)
