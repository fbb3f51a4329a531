"""The pool against its formulas in float64: the neighbours' vote, both kinds of pool, λ, and new classes."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from memories import random_memory, unit

from reaugkd.errors import ReAugKDError
from reaugkd.method import pool as module
from reaugkd.method.pool import (
    KeySettings,
    Pool,
    log_pool,
    neighbour_weights,
    new_share,
    pooled,
    smoothed,
    weighed,
)

KEYS = {"aligned": KeySettings(4, 0.1, 0.4), "text": KeySettings(6, 0.2, 0.3)}
POOL = Pool(KEYS, 0.7, 1.5)
RANDOM = np.random.default_rng(0)
STUDENT = RANDOM.dirichlet(np.ones(3), size=50).astype(np.float32)
UNHEARD = {name: replace(settings, weight=0.0) for name, settings in KEYS.items()}


def softmax(values):
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def found_by(seed, classes=3, k=4):
    """Fifty queries' neighbours: of random soft labels, which are given too."""
    random = np.random.default_rng(seed)
    soft_labels = random.dirichlet(np.full(classes, 0.3), size=30).astype(np.float32)
    similarities = -np.sort(-random.uniform(-1, 1, size=(50, k)), axis=1).astype(np.float32)
    numbers = np.stack([random.permutation(30)[:k] for _ in range(50)])
    return weighed(soft_labels, similarities, numbers, 0.1), soft_labels


RETRIEVED = {"aligned": found_by(1)[0], "text": found_by(2)[0]}
OF_THREE = found_by(1)[1]


def answers(pool, student=STUDENT, retrieved=RETRIEVED, soft_labels=OF_THREE):
    return pooled(student, retrieved, pool, soft_labels)


def at_temperature(probabilities, temperature):
    return softmax(np.log(probabilities.astype(np.float64)) / temperature)


def to_one(probabilities):
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def smooth(probabilities):
    return 0.98 * to_one(probabilities) + 0.02 / probabilities.shape[1]


@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0])
def test_weights_are_the_softmax_of_the_similarities(temperature):
    similarities = np.random.default_rng(3).uniform(-1, 1, size=(5, 4))
    weights = neighbour_weights(similarities, temperature)
    for row, given in zip(weights, similarities, strict=True):
        exponentials = [np.exp(value / temperature) for value in given]
        np.testing.assert_allclose(row, np.asarray(exponentials) / sum(exponentials), rtol=1e-12)


def test_weights_are_finite_at_a_tiny_temperature():
    np.testing.assert_allclose(neighbour_weights(np.asarray([[1.0, 0.5, -1.0]]), 1e-6), [[1, 0, 0]], atol=1e-12)


def test_equal_similarities_weigh_the_same():
    np.testing.assert_allclose(neighbour_weights(np.full((2, 4), 0.3, dtype=np.float32), 0.1), 0.25)


def test_a_neighbour_that_is_left_out_weighs_nothing():
    weights = neighbour_weights(np.asarray([[0.9, 0.8, -np.inf]]), 0.1)
    np.testing.assert_allclose(weights[:, :2], neighbour_weights(np.asarray([[0.9, 0.8]]), 0.1))
    assert weights[0, 2] == 0


@pytest.mark.parametrize("key", ["aligned", "text"])
def test_what_the_memory_says_is_the_weighted_sum_of_the_nearest_soft_labels(key):
    memory = random_memory()
    queries = np.random.default_rng(4).normal(size=(5, memory.keys[key].shape[1]))
    found = weighed(memory.soft_labels, *memory.search(key, queries, 6), 0.2)
    cosines = unit(queries) @ memory.keys[key].astype(np.float64).T
    for row in range(5):
        nearest = np.argsort(-cosines[row])[:6]
        weights = softmax(cosines[row, nearest] / 0.2)
        wanted = sum(w * memory.soft_labels[n].astype(np.float64) for w, n in zip(weights, nearest, strict=True))
        np.testing.assert_allclose(found.probabilities[row], wanted, atol=1e-6)
        np.testing.assert_array_equal(found.numbers[row], nearest)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("gathered", [1, 100, 700, 2**22])
def test_it_is_the_same_to_the_bit_however_many_queries_are_gathered_at_a_time(monkeypatch, gathered):
    random = np.random.default_rng(1)
    soft_labels = random.dirichlet(np.ones(7), size=50).astype(np.float32)
    similarities, numbers = random.uniform(size=(33, 5)).astype(np.float32), random.integers(50, size=(33, 5))
    weights = neighbour_weights(similarities, 0.1)
    wanted = np.einsum("nk,nkc->nc", weights, soft_labels[numbers].astype(np.float64))
    monkeypatch.setattr(module, "GATHERED", gathered)
    np.testing.assert_array_equal(weighed(soft_labels, similarities, numbers, 0.1).probabilities, wanted)


def test_many_queries_over_many_classes_do_not_take_gigabytes():
    soft_labels = np.full((10, 500), 0.002, dtype=np.float32)
    similarities, numbers = np.zeros((2_000, 64), dtype=np.float32), np.zeros((2_000, 64), dtype=np.int64)
    tracemalloc.start()
    weighed(soft_labels, similarities, numbers, 0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20  # soft labels of all neighbours would be 770 MB


def test_the_answer_is_the_softmax_of_the_weighted_logs():
    found = answers(POOL)
    student = at_temperature(STUDENT, 1.5)
    memory = {name: smooth(said.probabilities) for name, said in RETRIEVED.items()}
    logs = 0.7 * np.log(student) + 0.4 * np.log(memory["aligned"]) + 0.3 * np.log(memory["text"])
    np.testing.assert_allclose(found.probabilities, softmax(logs), rtol=1e-9)
    np.testing.assert_allclose(found.student, student, rtol=1e-9)
    for name, said in memory.items():
        np.testing.assert_allclose(found.memory[name], said, rtol=1e-12)
    np.testing.assert_array_equal(found.new, 0)


def test_log_pool_is_the_same_by_its_weights():
    memory = {name: smooth(said.probabilities) for name, said in RETRIEVED.items()}
    found = log_pool(at_temperature(STUDENT, 1.5), memory, np.asarray([0.7, 0.4, 0.3]))
    np.testing.assert_allclose(np.exp(found), answers(POOL).probabilities, rtol=1e-9)


def test_the_fitted_lambda_gives_the_fitted_pool():
    assert POOL.total_weight == pytest.approx(1.4)
    assert POOL.fitted_weight == pytest.approx(0.5)
    at = POOL.overridden(retrieval_weight=POOL.fitted_weight)
    np.testing.assert_allclose(at.weights[0], 0.7)
    assert at.weights[1] == pytest.approx({"aligned": 0.4, "text": 0.3})
    np.testing.assert_allclose(answers(at).probabilities, answers(POOL).probabilities, rtol=1e-12)


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.8, 1.0])
def test_lambda_shares_the_sum_of_the_weights(weight):
    student, keys = replace(POOL, retrieval_weight=weight).weights
    assert student == pytest.approx(1.4 * (1 - weight))
    assert keys == pytest.approx({"aligned": 1.4 * weight * 4 / 7, "text": 1.4 * weight * 3 / 7})


def test_a_new_class_follows_lambda_from_none_at_0_to_what_was_fitted_and_then_stays():
    fitted = of_new().fitted_weight
    at = [answers(of_new(retrieval_weight=share * fitted), STUDENT, GROWN, SOFT_LABELS).new for share in (0.25, 0.5, 1)]
    as_fitted = answers(of_new(), STUDENT, GROWN, SOFT_LABELS).new
    for share, new in zip((0.25, 0.5, 1), at, strict=True):
        np.testing.assert_allclose(new, share * as_fitted)
    np.testing.assert_array_equal(answers(of_new(retrieval_weight=1.0), STUDENT, GROWN, SOFT_LABELS).new, as_fitted)


def test_at_a_lambda_of_zero_the_classes_have_the_students_order():
    found = answers(replace(POOL, retrieval_weight=0.0)).probabilities
    np.testing.assert_array_equal(np.argsort(found, axis=1), np.argsort(STUDENT, axis=1))
    np.testing.assert_allclose(found, softmax(1.4 * np.log(at_temperature(STUDENT, 1.5))), rtol=1e-9)


def test_at_a_lambda_of_one_the_student_does_not_count():
    pool = replace(POOL, retrieval_weight=1.0)
    found, other = (answers(pool, student).probabilities for student in (STUDENT, STUDENT[::-1]))
    np.testing.assert_array_equal(found, other)
    assert np.abs(found - answers(replace(POOL, retrieval_weight=0.9)).probabilities).max() > 1e-3


def test_where_no_key_has_a_weight_lambda_gives_all_keys_equal_shares():
    pool = Pool(UNHEARD, 1.2)
    assert (pool.fitted_weight, pool.weights) == (0, (1.2, {"aligned": 0, "text": 0}))
    student, keys = replace(pool, retrieval_weight=0.5).weights
    assert student == pytest.approx(0.6)
    assert keys == pytest.approx({"aligned": 0.3, "text": 0.3})


def test_a_key_without_a_weight_changes_nothing():
    heard = Pool({"aligned": KEYS["aligned"], "text": UNHEARD["text"]}, 0.7)
    without = {"aligned": RETRIEVED["aligned"]}
    np.testing.assert_allclose(
        answers(heard).probabilities,
        answers(Pool({"aligned": KEYS["aligned"]}, 0.7), retrieved=without).probabilities,
    )


def test_what_says_nothing_costs_nothing():
    even = replace(RETRIEVED["text"], probabilities=np.full((50, 3), 1 / 3))
    with_it = answers(POOL, retrieved=RETRIEVED | {"text": even}).probabilities
    without = Pool({"aligned": KEYS["aligned"]}, 0.7, 1.5)
    np.testing.assert_allclose(
        with_it, answers(without, retrieved={"aligned": RETRIEVED["aligned"]}).probabilities, rtol=1e-9
    )


def test_no_neighbours_can_rule_a_class_out():
    certain = replace(RETRIEVED["text"], probabilities=np.tile([1.0, 0.0, 0.0], (50, 1)))
    found = answers(Pool({"text": KEYS["text"]}), retrieved={"text": certain}).probabilities
    assert found.min() > 0
    sure = np.tile(np.asarray([0.001, 0.998, 0.001], dtype=np.float32), (50, 1))
    found = answers(Pool({"text": KEYS["text"]}), sure, {"text": certain}).probabilities
    assert (found.argmax(axis=1) == 1).all()


def test_a_student_that_rules_a_class_out_gives_finite_answers():
    certain = np.tile(np.asarray([1.0, 0.0, 0.0], dtype=np.float32), (50, 1))
    found = answers(POOL, certain).probabilities
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def linear(weight, keys=KEYS):
    return Pool(keys, 0.7, 1.0, kind="linear", retrieval_weight=weight)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_answer_is_the_papers_blend(weight):
    memory = 4 / 7 * RETRIEVED["aligned"].probabilities + 3 / 7 * RETRIEVED["text"].probabilities
    wanted = (1 - weight) * STUDENT.astype(np.float64) + weight * memory
    np.testing.assert_allclose(answers(linear(weight)).probabilities, wanted, atol=1e-7)


def test_it_is_not_smoothed_so_at_a_lambda_of_one_it_is_the_plain_knn():
    found = answers(linear(1.0, {"text": KeySettings(6)}), retrieved={"text": RETRIEVED["text"]})
    np.testing.assert_allclose(found.probabilities, to_one(RETRIEVED["text"].probabilities), rtol=1e-12)


def test_it_needs_a_lambda():
    with pytest.raises(ReAugKDError, match="A linear pool needs a retrieval_weight; give one from 0 to 1"):
        Pool(KEYS, kind="linear")


def test_smoothing_gives_each_known_class_a_fiftieth_of_an_even_share():
    given = np.asarray([[1.0, 0.0, 0.0], [0.2, 0.2, 0.6], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(smoothed(given, 3)[0], [0.98 + 0.02 / 3, 0.02 / 3, 0.02 / 3])
    # Over the first two classes, at a sum of one; without any of them, evenly.
    np.testing.assert_allclose(smoothed(given, 2), [[0.99, 0.01], [0.5, 0.5], [0.5, 0.5]])


# From here on the memory has two classes more than the student.
FOUND, SOFT_LABELS = found_by(5, classes=5)
DECIDED = SOFT_LABELS[FOUND.numbers]
GROWN = {"aligned": found_by(6, classes=5)[0], "text": FOUND}


def of_new(**settings):
    return Pool(KEYS, 0.7, 1.5, **{"new_class_key": "text"} | settings)


def test_the_two_nearest_say_how_sure_it_is_that_a_class_is_new():
    share = new_share(FOUND.weights, DECIDED, 3)
    for row in range(50):
        first, second = FOUND.weights[row, :2]
        new = [DECIDED[row, place, 3:].sum(dtype=np.float64) for place in (0, 1)]
        assert share[row] == pytest.approx(min(0.99, (first * new[0] + second * new[1]) / (first + second)))


def test_no_known_class_is_ruled_out():
    certain = np.zeros((1, 4, 5))
    certain[..., 4] = 1
    assert new_share(np.full((1, 4), 0.25), certain, 3).tolist() == [0.99]


def test_a_single_neighbour_decides_alone():
    assert new_share(np.ones((1, 1)), np.asarray([[[0.2, 0.1, 0.3, 0.3, 0.1]]]), 3) == pytest.approx([0.4])


@pytest.mark.parametrize(
    "settings",
    [{}, {"retrieval_weight": 0.3}, {"retrieval_weight": 1.0}, {"kind": "linear", "retrieval_weight": 0.4}],
    ids=["fitted", "slider", "memory", "linear"],
)
def test_the_pool_holds_among_known_classes_and_new_ones_share_what_the_memory_gives_them(settings):
    pool = of_new(**settings)
    said = answers(pool, STUDENT, GROWN, SOFT_LABELS)
    follows = settings.get("retrieval_weight", 1) / pool.fitted_weight if "kind" not in settings else 1
    share = min(1, follows) * new_share(FOUND.weights, DECIDED, 3)
    np.testing.assert_allclose(said.new, share)
    student, weights = pool.weights
    of_known = {}
    for name, found in GROWN.items():
        of_known[name] = to_one(found.probabilities[:, :3])
    calibrated = at_temperature(STUDENT, 1.5)
    if pool.kind == "linear":
        among_known = student * calibrated + sum(weights[name] * part for name, part in of_known.items())
    else:
        logs = student * np.log(calibrated) + sum(weights[n] * np.log(smooth(part)) for n, part in of_known.items())
        among_known = softmax(logs)
    new = FOUND.probabilities[:, 3:]
    np.testing.assert_allclose(said.probabilities[:, :3], (1 - share)[:, None] * among_known, rtol=1e-6)
    np.testing.assert_allclose(said.probabilities[:, 3:], share[:, None] * to_one(new), rtol=1e-9)
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1)


def test_at_a_lambda_of_zero_the_memory_is_not_asked():
    said = answers(of_new(retrieval_weight=0.0), STUDENT, GROWN, SOFT_LABELS)
    np.testing.assert_array_equal(said.new, 0)
    np.testing.assert_array_equal(said.probabilities[:, 3:], 0)
    np.testing.assert_array_equal(said.probabilities[:, :3].argmax(axis=1), STUDENT.argmax(axis=1))


def test_the_key_that_decides_is_asked_though_it_has_no_weight():
    unheard = replace(of_new(), keys=UNHEARD)
    assert unheard.searched(3, 5) == ["text"]
    assert unheard.searched(3, 3) == []
    only = pooled(STUDENT, {"text": FOUND}, unheard, SOFT_LABELS)
    np.testing.assert_allclose(only.new, new_share(FOUND.weights, DECIDED, 3))


@pytest.mark.parametrize("k", [2, 4, 16, 64])
@pytest.mark.parametrize(("new_rows", "wins"), [((0, 1), True), ((0, 1, 2), True), ((2, 3, 5), False)])
def test_a_class_of_a_few_rows_wins_where_the_two_nearest_are_its_however_large_k_is(k, new_rows, wins):
    labels = np.zeros(64, dtype=np.int64)
    labels[[row for row in new_rows if row < k]] = 2
    soft_labels = np.eye(3, dtype=np.float32)[labels]
    numbers = np.arange(k)[None, :]
    found = weighed(soft_labels, np.linspace(0.9, 0.5, 64, dtype=np.float32)[None, :k], numbers, 0.2)
    sure = np.asarray([[0.99, 0.01]], dtype=np.float32)
    said = pooled(sure, {"text": found}, Pool({"text": KeySettings(k)}), soft_labels)
    assert (said.probabilities.argmax() == 2) == wins


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"k": 0}, "k is 0; it must be at least 1"),
        ({"k": 10**30}, "k is 10*; it must be at most 1e9"),
        ({"k": 2.5}, r"k is 2\.5; it must be a whole number"),
        ({"k": float("nan")}, "k is nan; it must be a whole number"),
        ({"k": float("inf")}, "k is inf; it must be a whole number"),
        ({"temperature": 0}, "temperature is 0; it must be above 0"),
        ({"temperature": 1e-310}, "temperature is 1e-310; it must be above 0, from 1e-9 to 1e9"),
        ({"temperature": float("nan")}, "temperature is nan; it must be above 0"),
        ({"weight": -0.1}, r"The weight of a key is -0\.1; it must be from 0 to 1e9"),
        ({"weight": float("nan")}, "The weight of a key is nan; it must be from 0"),
        ({"weight": float("inf")}, "The weight of a key is inf; it must be from 0"),
    ],
)
def test_a_keys_settings_are_validated(settings, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        KeySettings(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"keys": {}}, "A pool needs at least one key; name one"),
        ({"kind": "mixed"}, "The pool is 'mixed'; it must be one of logarithmic, linear"),
        (
            {"new_class_key": "encoder"},
            "The key 'encoder' is to decide about new classes, but the pool has aligned, t",
        ),
        ({"student_weight": 0}, "student_weight is 0; it must be above 0, from 1e-9 to 1e9"),
        ({"student_weight": float("inf")}, "student_weight is inf; it must be above 0, from 1e-9 to 1e9"),
        ({"student_temperature": 0}, "student_temperature is 0; it must be above 0, from 1e-9 to 1e9"),
        ({"student_temperature": float("nan")}, "student_temperature is nan; it must be above 0"),
        ({"retrieval_weight": -0.1}, r"retrieval_weight is -0\.1; it must be from 0 to 1"),
        ({"retrieval_weight": 1.1}, r"retrieval_weight is 1\.1; it must be from 0 to 1"),
        ({"retrieval_weight": float("nan")}, "retrieval_weight is nan; it must be from 0 to 1"),
    ],
)
def test_a_pool_is_validated(settings, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        Pool(**{"keys": KEYS} | settings)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [({"k": 0}, "k is 0"), ({"retrieval_weight": 1.5}, r"is 1\.5"), ({"temperature": 0.0}, r"temperature is 0\.0")],
)
def test_what_is_overridden_is_validated_too(override, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        POOL.overridden(**override)


def test_only_what_is_given_is_overridden_and_it_holds_for_every_key():
    assert POOL.overridden() == POOL
    assert POOL.overridden(retrieval_weight=0.0) == replace(POOL, retrieval_weight=0.0)
    changed = POOL.overridden(k=3, temperature=0.5)
    assert changed.keys == {"aligned": KeySettings(3, 0.5, 0.4), "text": KeySettings(3, 0.5, 0.3)}
    assert changed.weights == POOL.weights
    assert replace(POOL, retrieval_weight=0.3).overridden(k=2).retrieval_weight == 0.3


def test_a_k_that_numpy_or_pandas_gives_is_a_plain_number():
    for k in (np.int64(8), 8.0):
        assert type(KeySettings(k).k) is int


def test_the_last_key_decides_about_new_classes_where_none_is_named():
    assert POOL.new_class_key == "text"


@pytest.mark.parametrize(
    ("pool", "known", "classes", "wanted"),
    [
        (POOL, 3, 3, ["aligned", "text"]),
        (replace(POOL, keys={**KEYS, "text": UNHEARD["text"]}), 3, 3, ["aligned"]),
        (replace(POOL, keys=UNHEARD), 3, 3, []),
        (replace(POOL, keys=UNHEARD), 3, 4, ["text"]),
        (replace(POOL, keys=UNHEARD, retrieval_weight=0.2), 3, 3, ["aligned", "text"]),
        (replace(POOL, retrieval_weight=0.0), 3, 4, []),
    ],
)
def test_a_key_is_searched_that_has_a_weight_or_decides_about_new_classes(pool, known, classes, wanted):
    assert pool.searched(known, classes) == wanted
