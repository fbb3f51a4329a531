"""Few entries in the place of a memory: each way against brute force on small memories."""

from itertools import combinations

import numpy as np
import pytest
from memories import memory_of, random_memory, unit

from reaugkd.measures.metrics import log_loss
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.condensation import METHODS, STANDS_FOR, class_quotas, condense_memory, key_space
from reaugkd.method.pool import KeySettings, Pool


def asked(memory, rows=40, weights=(0.25, 0.75), k=4, seed=1):
    """Answers of a memory to random texts, by a pool of its keys."""
    random = np.random.default_rng(seed)
    queries = {name: random.normal(size=(rows, key.shape[1])).astype(np.float32) for name, key in memory.keys.items()}
    said = random.dirichlet(np.ones(len(memory.classes)), size=rows).astype(np.float32)
    keys = {name: KeySettings(k, 0.1, weight) for name, weight in zip(memory.keys, weights, strict=False)}
    return answer(EncodedTexts([""] * rows, queries[next(iter(queries))], said, queries), memory, Pool(keys))


def test_a_cosine_of_the_space_is_the_mean_of_the_keys_cosines_by_their_weights():
    memory = random_memory()
    space = key_space(memory, asked(memory))
    wanted = (
        0.25 * memory.keys["aligned"] @ memory.keys["aligned"].T + 0.75 * memory.keys["text"] @ memory.keys["text"].T
    )
    np.testing.assert_allclose(space @ space.T, wanted, atol=1e-5)
    assert key_space(memory, asked(memory, weights=(0.0, 1.0))).shape == (200, 9)


def test_classes_get_entries_by_their_size_and_each_at_least_one_and_two_where_the_memory_alone_knows_it():
    labels = np.repeat([0, 1, 2, 3], [60, 30, 2, 1])
    assert class_quotas(labels, 9, known=2) == {0: 6, 1: 3, 2: 2, 3: 1}
    assert class_quotas(labels, 9, known=4) == {0: 6, 1: 3, 2: 1, 3: 1}
    assert class_quotas(labels, 1_000, known=4) == {0: 60, 1: 30, 2: 2, 3: 1}


def test_one_prototype_a_class_is_the_mean_of_keys_z_and_soft_labels_with_the_text_nearest_to_it():
    memory = random_memory()
    answers = asked(memory)
    small = condense_memory(memory, 3, "prototypes", answers, 3)
    assert len(small) == 3
    assert small.rows[STANDS_FOR].sum() == 200
    space = key_space(memory, answers)
    for place, label in enumerate(small.labels):
        rows = np.flatnonzero(memory.labels == label)
        assert small.rows[STANDS_FOR][place] == len(rows)
        np.testing.assert_allclose(small.soft_labels[place], memory.soft_labels[rows].mean(axis=0), atol=1e-6)
        for name, key in memory.keys.items():
            np.testing.assert_allclose(small.keys[name][place], unit(key[rows].mean(axis=0)), atol=1e-5)
        z = unit(memory.teacher_embeddings[rows].mean(axis=0))
        np.testing.assert_allclose(small.teacher_embeddings[place], z, atol=1e-5)
        nearest = rows[np.argmax(space[rows] @ space[rows].mean(axis=0))]
        assert small.rows["id"][place] == memory.rows["id"][nearest]


def test_prototypes_find_the_groups_of_a_class_and_show_one_text_of_each():
    random = np.random.default_rng(0)
    groups = np.repeat(np.eye(4), 20, axis=0)
    memory = memory_of(groups + 0.05 * random.normal(size=(80, 4)), np.repeat(np.eye(2), 40, axis=0))
    small = condense_memory(memory, 4, "prototypes", asked(memory, weights=(1.0,)), 2)
    found = [int(name.removeprefix("train-")) // 20 for name in small.rows["id"]]
    assert found == [0, 1, 2, 3]
    assert small.rows[STANDS_FOR].tolist() == [20, 20, 20, 20]
    np.testing.assert_allclose(small.keys["aligned"], np.eye(4), atol=0.05)


def test_coverage_is_greedy_and_within_the_bound_of_the_best_choice():
    random = np.random.default_rng(3)
    memory = memory_of(random.normal(size=(14, 3)), np.ones((14, 1)))
    answers = asked(memory, weights=(1.0,))
    small = condense_memory(memory, 3, "coverage", answers, 1)
    space = key_space(memory, answers).astype(np.float64)

    def covered(rows):
        return np.maximum(space @ space[list(rows)].T, -1).max(axis=1).sum()

    greedy = []
    for _ in range(3):
        greedy.append(max(set(range(14)) - set(greedy), key=lambda row: covered([*greedy, row])))
    kept = [int(name.removeprefix("train-")) for name in small.rows["id"]]
    assert kept == sorted(greedy)
    best = max(covered(rows) for rows in combinations(range(14), 3))
    assert covered(kept) + 14 >= (1 - 1 / np.e) * (best + 14)  # counted from -1, where nothing is covered
    nearest = (space @ space[kept].T).argmax(axis=1)
    assert small.rows[STANDS_FOR].tolist() == np.bincount(nearest, minlength=3).tolist()


def test_pruning_what_no_answer_uses_changes_no_answer():
    memory = random_memory()
    answers = asked(memory, rows=30)
    small = condense_memory(memory, 200, "used", answers, 3)
    used = {number for found in answers.retrieved.values() for number in found.numbers.ravel().tolist()}
    assert small.rows["id"].tolist() == [f"train-{number}" for number in sorted(used)]
    assert len(small) < 150
    after = answer(answers.encoded, small, answers.pool)
    np.testing.assert_allclose(after.pooled.probabilities, answers.pooled.probabilities, atol=1e-12)
    gold = np.arange(30) % 3
    assert log_loss(gold, after.pooled.probabilities) == pytest.approx(log_loss(gold, answers.pooled.probabilities))


def test_of_the_used_those_that_weigh_most_stay():
    memory = random_memory(classes=1)
    answers = asked(memory)
    weight = np.zeros(200)
    for name, share in (("aligned", 0.25), ("text", 0.75)):
        for numbers, weights in zip(answers.retrieved[name].numbers, answers.retrieved[name].weights, strict=True):
            weight[numbers] += share * weights
    small = condense_memory(memory, 5, "used", answers, 1)
    assert small.rows["id"].tolist() == [f"train-{number}" for number in np.sort(np.argsort(-weight)[:5])]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_an_entry_of_each_class_counts_all_memories_and_gives_the_same_again(method):
    memory = random_memory(classes=5)
    answers = asked(memory)
    small, again = (condense_memory(memory, 20, method, answers, 5) for _ in range(2))
    assert set(small.labels) == set(memory.labels)
    assert len(small) <= 24
    assert small.rows[STANDS_FOR].sum() == 200
    np.testing.assert_array_equal(small.keys["text"], again.keys["text"])
    pd_ids = memory.rows["id"].tolist()
    assert [pd_ids.index(name) for name in small.rows["id"]] == sorted(pd_ids.index(name) for name in small.rows["id"])


def test_a_class_that_no_answer_uses_keeps_its_middle():
    far = np.concatenate([np.eye(3)[[0] * 10], -np.eye(3)[[0, 0, 0]]])
    memory = memory_of(far, np.eye(2)[[0] * 10 + [1] * 3])
    answers = asked(memory, weights=(1.0,), k=1)
    queries = {"aligned": np.tile(np.eye(3, dtype=np.float32)[:1], (40, 1))}
    encoded = EncodedTexts([""] * 40, queries["aligned"], answers.encoded.student_probabilities, queries)
    small = condense_memory(memory, 13, "used", answer(encoded, memory, answers.pool), 2)
    assert small.rows["label"].tolist().count("b") == 2
