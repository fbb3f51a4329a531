"""The key head: ridge regression in closed form, keys of length 1, and what an untuned key alone cannot tell."""

import numpy as np

from reaugkd.key_head import PENALTIES, KeyHead, fit_key_head


def unit(matrix):
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_the_layer_is_the_ridge_solution_of_the_penalty_that_leave_one_out_likes_best():
    random = np.random.default_rng(0)
    e = unit(random.normal(size=(60, 5)))
    z = unit(e @ random.normal(size=(5, 3)) + 0.3 * random.normal(size=(60, 3)))

    def solution(penalty, rows=slice(None)):
        x, y = e[rows] - e[rows].mean(axis=0), z[rows] - z[rows].mean(axis=0)
        weight = np.linalg.solve(x.T @ x + penalty * np.eye(5), x.T @ y)
        return weight, z[rows].mean(axis=0) - e[rows].mean(axis=0) @ weight

    def left_out_error(penalty):
        errors = []
        for row in range(60):
            weight, bias = solution(penalty, np.arange(60) != row)
            errors.append(((e[row] @ weight + bias - z[row]) ** 2).sum())
        return np.mean(errors)

    best = min(PENALTIES, key=left_out_error)
    weight, bias = solution(best)
    head = fit_key_head(e, z)
    np.testing.assert_allclose(head.weight, weight, atol=1e-4)
    np.testing.assert_allclose(head.bias, bias, atol=1e-4)


def test_a_product_of_keys_is_half_the_untuned_and_half_the_drawn_cosine():
    random = np.random.default_rng(1)
    e = unit(random.normal(size=(4, 6)))
    head = KeyHead(random.normal(size=(6, 3)).astype("f4"), random.normal(size=3).astype("f4"))
    u = unit(e @ head.weight + head.bias)
    np.testing.assert_allclose(head.keys(e) @ head.keys(e).T, (e @ e.T + u @ u.T) / 2, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(head.keys(e), axis=1), 1, atol=1e-6)


def test_what_decides_the_class_is_found_where_the_untuned_embedding_hides_it():
    """One small direction of twenty tells the class: neighbours by the untuned embedding are a lottery."""
    random = np.random.default_rng(2)
    labels = np.arange(400) % 2
    e = random.normal(size=(400, 20))
    e[:, 0] = 0.6 * (2 * labels - 1)
    e, z = unit(e), np.eye(2)[labels]
    train, test = slice(0, 300), slice(300, 400)
    head = fit_key_head(e[train], z[train])

    def right(keys):
        nearest = (keys[test] @ keys[train].T).argmax(axis=1)
        return (labels[train][nearest] == labels[test]).mean()

    assert right(e) < 0.75
    assert right(head.keys(e)) > 0.9


def test_a_head_comes_back_from_its_file(tmp_path):
    random = np.random.default_rng(3)
    head = fit_key_head(unit(random.normal(size=(30, 4))), random.normal(size=(30, 3)))
    head.save(tmp_path / "head.safetensors")
    loaded = KeyHead.load(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(loaded.weight, head.weight)
    np.testing.assert_array_equal(loaded.bias, head.bias)
    assert head.weight.shape == (4, 3)
