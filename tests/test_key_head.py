"""The key head: ridge regression in closed form, keys of length 1, and what an untuned key alone cannot tell."""

import numpy as np
import pytest
from sklearn.model_selection import ShuffleSplit

from reaugkd import key_head
from reaugkd.key_head import PENALTIES, KeyHead, fit_key_head


def unit(matrix):
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_the_layer_is_the_ridge_solution_of_the_best_penalty_and_the_mean_counts_as_much_as_what_is_added_to_it():
    random = np.random.default_rng(0)
    layers = random.normal(size=(60, 2, 3)) * [1, 2, 3] + 1
    x = layers.reshape(60, 6)
    z = unit(x @ random.normal(size=(6, 4)) + 3 * random.normal(size=(60, 4)) + 5)

    def solution(penalty, rows=slice(None)):
        scale = x[rows].std(axis=0)
        scaled, target = (x[rows] - x[rows].mean(axis=0)) / scale, z[rows] - z[rows].mean(axis=0)
        weight = np.linalg.solve(scaled.T @ scaled + penalty * np.eye(6), scaled.T @ target) / scale[:, None]
        return weight, z[rows].mean(axis=0) - x[rows].mean(axis=0) @ weight

    seen, held_out = next(ShuffleSplit(n_splits=1, test_size=0.2, random_state=0).split(x))

    def held_out_error(penalty):
        weight, bias = solution(penalty, seen)
        return ((x[held_out] @ weight + bias - z[held_out]) ** 2).mean()

    weight, bias = solution(min(PENALTIES, key=held_out_error))
    head = fit_key_head(layers, z)
    np.testing.assert_allclose(head.weight, weight, atol=1e-5)
    common = z.mean(axis=0)
    added = x @ weight + bias - common
    drawn = x @ head.weight + head.bias
    np.testing.assert_allclose(
        drawn - added, np.tile(np.sqrt((added**2).sum(axis=1).mean()) * common, (60, 1)), atol=1e-5
    )


@pytest.mark.parametrize(("most", "fitted"), [(40, 40), (60, 60)])
def test_of_more_rows_than_memory_allows_so_many_are_drawn_and_else_all_are_taken(monkeypatch, most, fitted):
    random = np.random.default_rng(4)
    layers, z = random.normal(size=(60, 2, 3)), unit(random.normal(size=(60, 4)))
    monkeypatch.setattr(key_head, "MOST_ROWS", most)
    head = fit_key_head(layers, z)
    monkeypatch.setattr(key_head, "MOST_ROWS", 1_000)
    drawn = np.sort(np.random.default_rng(0).choice(60, fitted, replace=False))
    np.testing.assert_array_equal(head.weight, fit_key_head(layers[drawn], z[drawn]).weight)
    np.testing.assert_array_equal(fit_key_head(layers, z).weight == head.weight, most == 60)


def test_a_product_of_keys_is_half_the_cosine_of_the_last_layers_and_half_that_of_what_is_drawn():
    random = np.random.default_rng(1)
    layers = random.normal(size=(4, 2, 6))
    head = KeyHead(random.normal(size=(12, 3)).astype("f4"), random.normal(size=3).astype("f4"))
    e, u = unit(layers[:, 1]), unit(layers.reshape(4, 12) @ head.weight + head.bias)
    keys = head.keys(layers)
    np.testing.assert_allclose(keys @ keys.T, (e @ e.T + u @ u.T) / 2, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-6)


def test_what_decides_the_class_is_found_where_only_an_earlier_layer_tells_it():
    """The last layer is of another topic for every text: its neighbours are a lottery."""
    random = np.random.default_rng(2)
    labels = np.arange(400) % 2
    layers = random.normal(size=(400, 2, 20))
    layers[:, 0, 0] += 3 * (2 * labels - 1)
    z = unit(0.1 * np.eye(2)[labels] + 1)
    train, test = slice(0, 300), slice(300, 400)
    head = fit_key_head(layers[train], z[train])

    def right(keys):
        nearest = (keys[test] @ keys[train].T).argmax(axis=1)
        return (labels[train][nearest] == labels[test]).mean()

    assert right(unit(layers[:, 1])) < 0.65
    assert right(head.keys(layers)) > 0.9


def test_a_head_comes_back_from_its_file(tmp_path):
    random = np.random.default_rng(3)
    head = fit_key_head(random.normal(size=(30, 2, 4)), random.normal(size=(30, 3)))
    head.save(tmp_path / "head.safetensors")
    loaded = KeyHead.load(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(loaded.weight, head.weight)
    np.testing.assert_array_equal(loaded.bias, head.bias)
    assert head.weight.shape == (8, 3)
