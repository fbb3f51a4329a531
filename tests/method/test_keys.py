"""The aligned key: the few axes in which the teacher's embeddings lie keep the order of all neighbours."""

import numpy as np
import pytest
from memories import brute_force, unit

from reaugkd.method.keys import AlignedKey, key_width


@pytest.fixture(scope="module")
def spaces():
    """300 z of width 32 that lie in 5 dimensions, and 50 x that lie anywhere."""
    random = np.random.default_rng(0)
    z = unit(random.normal(size=(300, 5)) @ random.normal(size=(5, 32)))
    return z.astype(np.float32), unit(random.normal(size=(50, 32))).astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "width", "classes", "wanted"), [(100, 32, 3, 8), (100, 32, 12, 12), (100, 6, 12, 6), (5, 32, 3, 5)]
)
def test_a_key_has_as_many_numbers_as_classes_but_eight_at_least_and_no_more_than_there_are(
    rows, width, classes, wanted
):
    assert key_width(np.zeros((rows, width)), classes) == wanted


def test_the_axes_are_the_first_right_singular_vectors(spaces):
    z = spaces[0] + 0.01 * np.random.default_rng(1).normal(size=(300, 32))
    axes = AlignedKey.fit(z, 3).axes
    wanted = np.linalg.svd(z.astype(np.float64), full_matrices=False)[2][:8]
    assert (axes.shape, axes.dtype) == ((32, 8), np.float32)
    np.testing.assert_allclose(np.abs((wanted @ axes)[:5, :5]), np.eye(5), atol=1e-5)  # the signs are free
    np.testing.assert_allclose(axes @ axes.T, wanted.T @ wanted, atol=1e-4)


def test_memories_in_the_subspace_have_the_order_and_the_products_of_the_full_width(spaces):
    z, x = spaces
    key = AlignedKey.fit(z, 3)
    memories, queries = key.embed([], z), key.embed([], x)
    np.testing.assert_allclose(np.linalg.norm(memories, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(brute_force(memories, queries, 20)[1], brute_force(z, x, 20)[1])
    # x · z is that of all dimensions; the length of x on the axes scales it for all memories alike.
    lengths = np.linalg.norm(x.astype(np.float64) @ key.axes, axis=1, keepdims=True)
    np.testing.assert_allclose(lengths * (queries @ memories.T), unit(x) @ unit(z).T, atol=1e-6)


def test_x_is_read_and_the_texts_are_not(spaces):
    key, x = AlignedKey.fit(spaces[0], 3), spaces[1]
    np.testing.assert_array_equal(key.embed(["one"] * 50, x), key.embed(["other"] * 50, x))
    assert np.abs(key.embed([], x[::-1]) - key.embed([], x)).max() > 0.1


def test_the_key_comes_back_from_its_file_and_embeds_the_same_to_the_bit(spaces, tmp_path):
    z, x = spaces
    key = AlignedKey.fit(z, 3)
    key.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["aligned.safetensors"]
    np.testing.assert_array_equal(AlignedKey.load(tmp_path).embed([], x), key.embed([], x))
