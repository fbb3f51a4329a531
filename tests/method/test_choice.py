"""Weights against other optimisers, and what of a memory is chosen on held-out rows: what helps, and no more."""

from itertools import product

import numpy as np
import pytest
from memories import memory_of, unit
from scipy.optimize import minimize
from sklearn.model_selection import KFold

from reaugkd.measures.metrics import log_loss
from reaugkd.method import choice
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.choice import (
    GRID_K,
    GRID_RETRIEVAL_WEIGHT,
    GRID_TEMPERATURE,
    choose_linear,
    choose_pool,
    choose_weights,
    fit_weights,
    too_few_rows,
)


def encoded(student, **queries):
    """Texts that are nobody's siblings, and what student and keys make of them."""
    rows = len(student)
    queries = {name: np.asarray(given, dtype=np.float32) for name, given in queries.items()}
    texts = [f"asked {number}" for number in range(rows)]
    return EncodedTexts(texts, np.zeros((rows, 2), np.float32), np.asarray(student, dtype=np.float32), queries)


def right_in(share, labels, seed, sure=0.9):
    """Probabilities of ``sure`` for the gold class in so many of the rows, else for the other of two."""
    says = np.where(np.random.default_rng(seed).random(len(labels)) < share, labels, 1 - labels)
    return np.where(np.arange(2) == says[:, None], sure, 1 - sure)


TWO = memory_of(np.repeat(np.eye(2), 64, axis=0), np.repeat(np.eye(2), 64, axis=0))


def softmax(values):
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def loss_by_hand(weights, experts, labels, pull=0.01):
    """Mean log loss of the pool and half the pull times the squared distance to (1, 0, ...)."""
    answers = softmax(sum(weight * np.log(said) for weight, said in zip(weights, experts, strict=True)))
    distance = np.asarray(weights) - np.eye(len(weights))[0]
    return -np.log(answers[np.arange(len(labels)), labels]).mean() + pull * (distance**2).sum() / 2


def experts_of(seed, rows=300, classes=3, useful=(1.5, 1.0, 0.5)):
    """A student and two keys that lean to the gold class, each by its own noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows)
    gold = np.eye(classes)[labels]
    return labels, [softmax(lean * gold + 1.5 * random.normal(size=gold.shape)) for lean in useful]


def fitted_by_hand(experts, labels):
    """The weights that another optimiser finds, which is given no gradient."""
    bounds = [(1e-3, None), *[(0, None)] * (len(experts) - 1)]
    start = np.full(len(experts), 0.5)
    return minimize(loss_by_hand, start, (experts, labels), "SLSQP", bounds=bounds, options={"ftol": 1e-14})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("useful", [(1.5, 1.0, 0.5), (0.5, 2.0, 0.0), (1.0, -1.0, 1.0)])
def test_the_weights_have_the_lowest_loss_that_another_optimiser_finds(seed, useful):
    labels, experts = experts_of(seed, useful=useful)
    weights = fit_weights(experts[0], {"one": experts[1], "other": experts[2]}, labels)
    best = fitted_by_hand(experts, labels)
    assert loss_by_hand(weights, experts, labels) <= best.fun + 1e-8
    np.testing.assert_allclose(weights, best.x, atol=2e-3)


def test_the_weights_of_one_key_are_those_of_a_fine_grid():
    labels, experts = experts_of(0)
    weights = fit_weights(experts[0], {"one": experts[1]}, labels)
    grid = np.arange(0.01, 2, 0.01)
    losses = {pair: loss_by_hand(pair, experts[:2], labels) for pair in product(grid, grid)}
    best = min(losses, key=losses.get)
    np.testing.assert_allclose(weights, best, atol=0.01)
    assert loss_by_hand(weights, experts[:2], labels) <= losses[best]


def test_the_pull_leads_to_the_student_alone_and_is_weak_beside_many_rows():
    labels, experts = experts_of(1)
    far, near = (fit_weights(experts[0], {"one": experts[1]}, labels, pull) for pull in (1e-9, 1e3))
    np.testing.assert_allclose(near, [1, 0], atol=1e-3)
    np.testing.assert_allclose(fit_weights(experts[0], {"one": experts[1]}, labels), far, rtol=0.1)


def test_no_weight_is_below_zero_and_what_says_nothing_has_none():
    labels, experts = experts_of(2)
    unsure = softmax(0.2 * np.log(experts[0]))
    against = softmax(-np.log(unsure))
    weights = fit_weights(unsure, {"against": against, "even": np.full((300, 3), 1 / 3)}, labels)
    assert weights[0] > 0
    np.testing.assert_allclose(weights[1:], 0, atol=1e-9)


def test_a_student_that_is_sure_and_wrong_gives_finite_weights():
    labels, experts = experts_of(3)
    wrong = np.eye(3)[(labels + 1) % 3]
    weights = fit_weights(wrong, {"one": experts[1]}, labels)
    assert np.isfinite(weights).all()
    assert weights[0] == pytest.approx(1e-3)


def test_each_unseen_answer_is_by_the_weights_of_the_other_folds():
    labels, experts = experts_of(4)
    weights, unseen = choose_weights(experts[0], {"one": experts[1]}, labels)
    wanted = np.empty_like(unseen)
    for others, own in KFold(5, shuffle=True, random_state=0).split(labels):
        found = fitted_by_hand([said[others] for said in experts[:2]], labels[others]).x
        wanted[own] = softmax(sum(weight * np.log(said[own]) for weight, said in zip(found, experts, strict=False)))
    np.testing.assert_allclose(unseen, wanted, atol=1e-3)
    assert weights == pytest.approx(
        dict(zip(("student", "one"), fitted_by_hand(experts[:2], labels).x, strict=True)), abs=2e-3
    )


def test_an_expert_joins_only_where_it_lowers_the_loss_on_rows_that_its_weight_was_not_fitted_to():
    labels, experts = experts_of(5, rows=600)
    random = np.random.default_rng(6)
    nothing = softmax(random.normal(size=(600, 3)))
    weights, unseen = choose_weights(
        experts[0], {"nothing": nothing, "better": experts[1], "the same": experts[1]}, labels
    )
    assert list(weights) == ["student", "nothing", "better", "the same"]
    assert weights["better"] > 0.2
    assert weights["nothing"] < 0.05
    assert log_loss(labels, unseen) < log_loss(labels, experts[0]) - 0.02
    alone, as_before = choose_weights(experts[0], {}, labels)
    assert list(alone) == ["student"]
    np.testing.assert_array_equal(as_before, experts[0])


def split(labels):
    return slice(0, len(labels) // 3), slice(len(labels) // 3, None)


def test_a_memory_that_errs_elsewhere_gets_a_weight_and_lifts_unseen_rows():
    labels = np.arange(1_200) % 2
    student, by_memory = right_in(0.8, labels, 1), right_in(0.9, labels, 2)
    asked = encoded(student, aligned=by_memory > 0.5)
    held_out, test = (asked.part(np.arange(1_200)[rows]) for rows in split(labels))
    gold, test_gold = (labels[rows] for rows in split(labels))
    chosen = choose_pool(held_out, gold, TWO, ["aligned"])
    assert chosen.pool.keys["aligned"].weight > 0.2
    found = answer(test, TWO, chosen.pool).pooled.probabilities
    alone = test.student_probabilities
    assert (found.argmax(axis=1) == test_gold).mean() > (alone.argmax(axis=1) == test_gold).mean() + 0.05
    assert log_loss(test_gold, found) < log_loss(test_gold, alone) - 0.05
    assert log_loss(gold, chosen.unseen) < log_loss(gold, held_out.student_probabilities) - 0.05


@pytest.mark.parametrize("seed", range(5))
def test_a_memory_that_tells_nothing_gets_hardly_a_weight_and_changes_no_answer(seed):
    labels = np.arange(600) % 2
    random = np.random.default_rng(seed)
    student, queries = right_in(0.8, labels, 1), np.eye(2)[random.integers(0, 2, 600)]
    chosen = choose_pool(encoded(student, aligned=queries), labels, TWO, ["aligned"])
    assert chosen.pool.keys["aligned"].weight < 0.05
    found = answer(encoded(student, aligned=queries), TWO, chosen.pool).pooled.probabilities
    np.testing.assert_array_equal(found.argmax(axis=1), student.argmax(axis=1))


def test_a_memory_that_only_repeats_the_student_changes_no_answer():
    labels = np.arange(600) % 2
    student = right_in(0.8, labels, 1)
    asked = encoded(student, aligned=student > 0.5)
    chosen = choose_pool(asked, labels, TWO, ["aligned"])
    found = answer(asked, TWO, chosen.pool).pooled.probabilities
    np.testing.assert_array_equal(found.argmax(axis=1), student.argmax(axis=1))
    calibrated = choose_pool(encoded(student, aligned=np.ones((600, 2))), labels, TWO, ["aligned"]).unseen
    assert log_loss(labels, chosen.unseen) == pytest.approx(log_loss(labels, calibrated), abs=0.005)


def test_of_two_keys_that_err_apart_both_are_chosen_and_one_that_tells_nothing_is_not():
    labels = np.arange(900) % 2
    memory = TWO.with_keys(dict.fromkeys(("aligned", "text", "encoder"), TWO.keys["aligned"]))
    says = {"aligned": right_in(0.85, labels, 2), "text": right_in(0.8, labels, 3)}
    says["encoder"] = right_in(0.5, labels, 4)
    asked = encoded(right_in(0.8, labels, 1), **{name: said > 0.5 for name, said in says.items()})
    weights = {name: one.weight for name, one in choose_pool(asked, labels, memory, list(says)).pool.keys.items()}
    assert weights["aligned"] > weights["text"] > 0.2
    assert weights["encoder"] < 0.05
    assert list(choose_pool(asked, labels, memory, ["text"]).pool.keys) == ["text"]


@pytest.mark.parametrize(("rows", "few"), [(49, True), (50, False)])
def test_under_fifty_rows_the_student_answers_alone(rows, few):
    labels = np.arange(rows) % 2
    asked = encoded(np.full((rows, 2), 0.5), aligned=np.eye(2)[labels])
    chosen = choose_pool(asked, labels, TWO, ["aligned"])
    assert too_few_rows(rows) == few
    assert (chosen.pool.keys["aligned"].weight == 0) == few
    if few:
        assert (chosen.pool.student_weight, chosen.pool.keys["aligned"].k) == (1, GRID_K[0])
        np.testing.assert_allclose(chosen.unseen, 0.5)


def test_the_student_is_calibrated_first():
    labels = np.arange(600) % 2
    too_sure = right_in(0.8, labels, 1, sure=0.999)
    chosen = choose_pool(encoded(too_sure, aligned=np.ones((600, 2))), labels, TWO, ["aligned"])
    # 0.999 against 0.001 is to become 0.8 against 0.2.
    share = (too_sure.argmax(axis=1) == labels).mean()
    assert chosen.pool.student_temperature == pytest.approx(np.log(999) / np.log(share / (1 - share)), rel=0.02)


def by_the_rule(asked, student, labels, memory):
    """The k that the one-standard-error rule names, by another optimiser; and each k's lowest log loss."""
    cosines = unit(asked.queries["aligned"]) @ unit(memory.keys["aligned"]).T
    order, rows, best = np.argsort(-cosines, axis=1, kind="stable"), np.arange(len(labels)), {}
    for k, temperature in product(choice.GRID_K, choice.GRID_TEMPERATURE):
        nearest = order[:, :k]
        shares = softmax(np.take_along_axis(cosines, nearest, axis=1) / temperature)
        said = 0.98 * np.einsum("nk,nkc->nc", shares, memory.soft_labels[nearest].astype(float)) + 0.01
        unseen = np.empty(len(labels))
        for others, own in KFold(5, shuffle=True, random_state=0).split(labels):
            weights = fitted_by_hand([student[others], said[others]], labels[others]).x
            answers = softmax(weights[0] * np.log(student[own]) + weights[1] * np.log(said[own]))
            unseen[own] = np.log(answers[np.arange(len(own)), labels[own]])
        if k not in best or unseen.mean() > best[k].mean():
            best[k] = unseen
    highest = max(best.values(), key=np.mean)
    lost = {k: highest - unseen for k, unseen in best.items()}
    alike = [k for k, row in lost.items() if row.mean() <= row.std(ddof=1) / np.sqrt(len(rows))]
    return max(alike), {k: -unseen.mean() for k, unseen in best.items()}


def on_an_arc(places):
    """Directions from 0 to 60 degrees, all of them near by cosine."""
    return np.stack([np.cos(np.pi / 3 * places), np.sin(np.pi / 3 * places)], axis=1)


@pytest.mark.parametrize(("stretches", "best", "k"), [(2, 16, 64), (6, 16, 16), (16, 4, 4)])
def test_of_the_k_within_a_standard_error_of_the_best_the_largest_is_taken(monkeypatch, stretches, best, k):
    """Along an arc the classes change after so many stretches: the shorter these are, the fewer memories are of one."""
    monkeypatch.setattr(choice, "GRID_K", (4, 16, 64))
    monkeypatch.setattr(choice, "GRID_TEMPERATURE", (0.1, 1.0))
    random = np.random.default_rng(0)
    places, asked_places = random.random(600), random.random(200)
    votes = np.where(random.random(600) < 0.8, places * stretches % 2, 2 * random.random(600)).astype(int)
    labels = (asked_places * stretches % 2).astype(int)
    memory, student = memory_of(on_an_arc(places), np.eye(2)[votes]), right_in(0.8, labels, 1, sure=0.8)
    asked = encoded(student, aligned=on_an_arc(asked_places))
    chosen = choose_pool(asked, labels, memory, ["aligned"]).pool
    calibrated = softmax(np.log(student) / chosen.student_temperature)
    wanted, losses = by_the_rule(asked, calibrated, labels, memory)
    assert min(losses, key=losses.get) == best
    assert chosen.keys["aligned"].k == wanted == k


def random_scene():
    random = np.random.default_rng(5)
    memory = memory_of(random.normal(size=(60, 8)), random.dirichlet([0.5] * 3, size=60))
    student = random.dirichlet([1.0] * 3, size=40)
    return encoded(student, aligned=random.normal(size=(40, 8))), np.arange(40) % 3, memory


@pytest.mark.parametrize("weights", [GRID_RETRIEVAL_WEIGHT, (1.0,)], ids=["blend", "memory alone"])
def test_the_linear_blend_is_the_best_of_the_grid_by_the_metric_and_then_by_log_loss(weights):
    asked, labels, memory = random_scene()
    chosen = choose_linear(asked, labels, memory, "aligned", "accuracy", weights)
    cosines = unit(asked.queries["aligned"]) @ unit(memory.keys["aligned"]).T
    order, ranks = np.argsort(-cosines, axis=1), {}
    for k, temperature, weight in product((4, 8, 16, 32, 60), GRID_TEMPERATURE, weights):
        nearest = order[:, :k]
        shares = softmax(np.take_along_axis(cosines, nearest, axis=1) / temperature)
        said = np.einsum("nk,nkc->nc", shares, memory.soft_labels[nearest].astype(float))
        answers = (1 - weight) * asked.student_probabilities + weight * said
        loss = -np.log(answers[np.arange(40), labels]).mean()
        ranks[k, temperature, weight] = (answers.argmax(axis=1) == labels).sum(), -loss
    k, temperature, weight = max(ranks, key=ranks.get)
    settings = chosen.keys["aligned"]
    assert (settings.k, settings.temperature, chosen.retrieval_weight) == (k, temperature, weight)
    assert chosen.kind == "linear"


def test_a_perfect_memory_and_a_wrong_student_choose_the_largest_lambda():
    points = np.eye(3)
    memory = memory_of(np.repeat(points, 4, axis=0), np.repeat(points, 4, axis=0))
    labels = np.arange(15) % 3
    wrong = np.full((15, 3), 0.05)
    wrong[np.arange(15), (labels + 1) % 3] = 0.9
    chosen = choose_linear(encoded(wrong, aligned=points[labels]), labels, memory, "aligned", "accuracy")
    assert chosen.retrieval_weight == max(GRID_RETRIEVAL_WEIGHT)
    assert chosen.keys["aligned"].k == 4  # of the grid, the only k that stays within a class


def test_a_perfect_student_and_a_misleading_memory_choose_the_smallest_lambda():
    points = np.eye(3)
    memory = memory_of(np.repeat(points, 64, axis=0), np.repeat(np.roll(points, 1, axis=1), 64, axis=0))
    labels = np.arange(15) % 3
    right = np.full((15, 3), 0.01)
    right[np.arange(15), labels] = 0.98
    chosen = choose_linear(encoded(right, aligned=points[labels]), labels, memory, "aligned", "accuracy")
    assert chosen.retrieval_weight == min(GRID_RETRIEVAL_WEIGHT)
