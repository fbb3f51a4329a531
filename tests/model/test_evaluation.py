"""Every ablation is scored by its own network, memory and choice, which sees no test row; and the alignment."""

import numpy as np
import pandas as pd
import pytest
from memories import memory_of, random_memory, unit

from reaugkd.errors import ReAugKDError
from reaugkd.method import choice
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.choice import choose_linear, choose_pool
from reaugkd.method.memory import TEACHER
from reaugkd.model.card import METHOD_NAMES
from reaugkd.model.evaluation import (
    Networks,
    alignment,
    answer_methods,
    cka,
    class_agreement,
    measured,
    score_methods,
    within_class_cosine,
)

KEYS = ["aligned", "text"]
LABELS = {"validation": np.arange(80) % 3, "test": np.arange(90) % 3}
METHODS = ["teacher", "student", "kd", "reaugkd_no_retrieval", "teacher_knn", "reaugkd_linear", "kd_memory", "reaugkd"]


@pytest.fixture(scope="module", autouse=True)
def _coarse_grid():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "GRID_K", (4, 16))
        patch.setattr(choice, "GRID_TEMPERATURE", (0.1, 1.0))
        yield


@pytest.fixture(scope="module")
def memory():
    return random_memory(rows=60)


def encoded(rows, seed, *keys):
    random = np.random.default_rng(seed)
    widths = {"aligned": 8, "text": 9, TEACHER: 16}
    queries = {key: random.normal(size=(rows, widths[key])).astype("f4") for key in keys}
    student = random.dirichlet([1.0] * 3, size=rows).astype("f4")
    return EncodedTexts([f"asked {seed} {n}" for n in range(rows)], np.zeros((rows, 2), "f4"), student, queries)


def networks(test_seed=0):
    keys = {"teacher": [TEACHER], "student": KEYS, "kd": KEYS, "reaugkd": KEYS}
    return Networks(
        **{
            name: {"validation": encoded(80, seed, *own), "test": encoded(90, test_seed + 100 + seed, *own)}
            for seed, (name, own) in enumerate(keys.items())
        }
    )


def accuracy(probabilities, split):
    return (probabilities.argmax(axis=1) == LABELS[split]).mean()


@pytest.fixture(scope="module")
def scored(memory):
    return score_methods(networks(), LABELS, memory, memory, "accuracy")


def test_every_method_is_scored_on_test_and_validation(scored):
    methods, _ = scored
    assert list(methods) == METHODS
    assert set(METHOD_NAMES) == set(METHODS)
    for scores in methods.values():
        assert sorted(scores) == ["test", "test_log_loss", "validation"]
        assert all(np.isfinite(list(scores.values())))


def test_a_network_alone_scores_as_it_says_and_its_log_loss_is_at_the_best_temperature(scored):
    given = networks()
    alone = {"teacher": given.teacher, "student": given.student, "kd": given.kd, "reaugkd_no_retrieval": given.reaugkd}
    for method, network in alone.items():
        for split in ("test", "validation"):
            assert scored[0][method][split] == pytest.approx(accuracy(network[split].student_probabilities, split))

        def loss(log_temperature, split, network=network):
            logs = np.log(network[split].student_probabilities.astype(float)) / np.exp(log_temperature)
            answers = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
            return -np.log(answers[np.arange(len(answers)), LABELS[split]])

        # With a standard normal prior on log T that weighs as much as a row.
        grid = np.linspace(-2, 2.3, 4_301)
        best = min(grid, key=lambda t: loss(t, "validation").sum() + t**2 / 2)
        assert scored[0][method]["test_log_loss"] == pytest.approx(loss(best, "test").mean(), abs=1e-3)


def test_the_pooled_methods_score_as_their_pools_answer_and_on_validation_by_weights_of_other_folds(memory, scored):
    given = networks()
    for method, network in (("kd_memory", given.kd), ("reaugkd", given.reaugkd)):
        chosen = choose_pool(network["validation"], LABELS["validation"], memory, KEYS)
        found = answer(network["test"], memory, chosen.pool).pooled.probabilities
        assert scored[0][method]["test"] == pytest.approx(accuracy(found, "test"))
        gold = found[np.arange(90), LABELS["test"]]
        assert scored[0][method]["test_log_loss"] == pytest.approx(-np.log(gold).mean(), rel=1e-6)
        assert scored[0][method]["validation"] == pytest.approx(accuracy(chosen.unseen, "validation"))
    assert scored[1] == choose_pool(given.reaugkd["validation"], LABELS["validation"], memory, KEYS).pool


def test_the_linear_methods_are_the_papers_blend_by_the_aligned_key_and_the_teachers_own_neighbours(memory, scored):
    given = networks()
    linear = choose_linear(given.reaugkd["validation"], LABELS["validation"], memory, "aligned", "accuracy")
    knn = choose_linear(given.teacher["validation"], LABELS["validation"], memory, TEACHER, "accuracy", (1.0,))
    for method, network, pool in (("reaugkd_linear", given.reaugkd, linear), ("teacher_knn", given.teacher, knn)):
        (name, settings), weight = next(iter(pool.keys.items())), pool.retrieval_weight
        searched = memory.teacher_embeddings if name == TEACHER else memory.keys[name]
        for split in ("test", "validation"):
            cosines = unit(network[split].queries[name]) @ unit(searched).T
            nearest = np.argsort(-cosines, axis=1)[:, : settings.k]
            shares = np.exp(np.take_along_axis(cosines, nearest, axis=1) / settings.temperature)
            shares /= shares.sum(axis=1, keepdims=True)
            said = np.einsum("nk,nkc->nc", shares, memory.soft_labels[nearest].astype(float))
            found = (1 - weight) * network[split].student_probabilities + weight * said
            assert scored[0][method][split] == pytest.approx(accuracy(found, split))


def test_no_choice_and_no_validation_score_depends_on_any_test_row(memory, scored):
    other = score_methods(
        networks(500), {"validation": LABELS["validation"], "test": np.zeros(90, int)}, memory, memory, "accuracy"
    )
    assert other[1] == scored[1]
    assert [one["validation"] for one in other[0].values()] == [one["validation"] for one in scored[0].values()]
    assert [one["test"] for one in other[0].values()] != [one["test"] for one in scored[0].values()]


def test_what_is_chosen_is_chosen_on_the_memory_to_choose_on_and_tested_on_the_other(memory, scored):
    to_choose = random_memory(rows=60, seed=9)
    changed, pool = score_methods(networks(), LABELS, memory, to_choose, "accuracy")
    assert pool == choose_pool(networks().reaugkd["validation"], LABELS["validation"], to_choose, KEYS).pool
    found = answer(networks().reaugkd["test"], memory, pool).pooled.probabilities
    assert changed["reaugkd"]["test"] == pytest.approx(accuracy(found, "test"))
    for method in ("teacher", "student", "kd", "reaugkd_no_retrieval"):
        assert changed[method] == scored[0][method]


def test_a_model_evaluates_the_student_the_memory_and_the_answer(pooled_model):
    rows = pooled_model.held_out(["test"])
    rows = rows.assign(label=np.roll(rows["label"], 5))  # so that not all is right
    found = pooled_model.evaluate(rows)
    assert (found["metric"], found["rows"], list(found["methods"])) == (
        "accuracy",
        36,
        ["student", "memory", "reaugkd"],
    )
    for method, weight in (("student", 0.0), ("memory", 1.0), ("reaugkd", None)):
        right = pooled_model.predict(rows["text"], retrieval_weight=weight) == rows["label"]
        assert found["methods"][method] == pytest.approx(right.mean())


def test_a_model_refuses_rows_that_are_not_there(toy_model):
    with pytest.raises(ReAugKDError, match="The table has no rows; give it at least one"):
        toy_model.evaluate(pd.DataFrame({"text": [], "label": []}))


def memory_with(embeddings, labels):
    return memory_of(embeddings, np.full((len(embeddings), 3), 1 / 3), labels=labels)


def random_unit(rows, width, seed):
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_alignment_of_a_space_with_itself_is_complete():
    queries, memory = random_unit(7, 8, 3), memory_with(random_unit(60, 8, 4), ["a", "b", "c"] * 20)
    aligned = alignment(queries, queries, memory)
    for name in ("overlap_at_10", "class_agreement_at_10", "cka", "cosine"):
        assert aligned[name] == pytest.approx(1, abs=1e-6)


def test_alignment_equals_a_count_by_hand():
    memory = memory_with([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], ["a", "a", "a", "b"])
    student = np.asarray([[1, 0], [0, 1]], np.float32)
    teacher = np.asarray([[1, 0], [1, 0]], np.float32)
    aligned = alignment(student, teacher, memory, k=2)
    # The first query finds the same two memories, the second the other two; the cosines are 1 and 0.
    assert aligned["overlap_at_2"] == 0.5
    assert aligned["cosine"] == pytest.approx(0.5)
    # The second query's classes are a, b and a, a: half of them agree.
    assert aligned["class_agreement_at_2"] == pytest.approx(0.75)


def test_class_agreement_of_other_memories_of_the_same_classes_is_complete():
    assert class_agreement(np.asarray([[0, 1, 1]]), np.asarray([[1, 0, 1]]), 2) == 1
    assert class_agreement(np.asarray([[0, 0]]), np.asarray([[1, 1]]), 2) == 0


def test_cka_does_not_see_rotation_scale_and_shift_but_sees_another_space():
    space = random_unit(50, 6, 0).astype(np.float64)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))
    assert cka(space, 3 * space @ rotation + 2) == pytest.approx(1)
    assert cka(space, random_unit(50, 6, 2)) < 0.5


def test_cka_equals_its_definition_by_kernel_matrices():
    one, other = random_unit(20, 4, 5).astype(np.float64), random_unit(20, 3, 6).astype(np.float64)
    centre = np.eye(20) - 1 / 20
    k, l = centre @ one @ one.T @ centre, centre @ other @ other.T @ centre  # noqa: E741 (the paper's letters)
    assert cka(one, other) == pytest.approx((k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum()))


def test_within_class_cosine_is_the_mean_over_pairs_and_then_classes():
    embeddings = random_unit(9, 5, 7)
    memory = memory_with(embeddings, list("aaaabbbbc"))
    means = []
    for start in (0, 4):
        pairs = [embeddings[i] @ embeddings[j] for i in range(start, start + 4) for j in range(start, i)]
        means.append(np.mean(pairs))
    assert within_class_cosine(memory) == pytest.approx(np.mean(means), abs=1e-6)


def test_collapsed_classes_have_a_cosine_of_one():
    assert within_class_cosine(memory_with([[1, 0], [1, 0], [0, 1], [0, 1]], list("aabb"))) == pytest.approx(1)


def test_the_intervals_are_the_bootstrap_of_each_score_and_of_its_lead_over_the_student(memory):
    said, votes, pool = answer_methods(networks(), LABELS, memory, memory, "accuracy")
    found = measured(said, votes, LABELS, "accuracy")
    assert found["methods"] == score_methods(networks(), LABELS, memory, memory, "accuracy")[0]
    gold = LABELS["test"]
    student = said["student"]["test"].argmax(axis=1) == gold
    draws = np.random.default_rng(0)
    for name, of_splits in {**said, **votes}.items():
        right = of_splits["test"].argmax(axis=1) == gold
        means = [right[draws.integers(len(gold), size=len(gold))].mean() for _ in range(2_000)]
        np.testing.assert_allclose(found["intervals"][name]["test"], np.percentile(means, [2.5, 97.5]), atol=0.025)
        assert found["intervals"][name]["lead"][0] == pytest.approx(right.mean() - student.mean())
    for key in KEYS:
        numbers = answer(networks().reaugkd["test"], memory, pool).retrieved[key].probabilities.argmax(axis=1)
        assert found["keys"][key]["test"] == (numbers == gold).mean()
