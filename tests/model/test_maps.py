"""The projection maps: placing a query by hand, and the joint layout."""

import subprocess
import sys

import numpy as np
import pytest
from memories import memory_of

from reaugkd.model.maps import ProjectionMaps, fit_maps, joint_umap


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def scene(rows=30, seed=0):
    random = np.random.default_rng(seed)
    z, x = unit(random.normal(size=(rows, 6))), unit(random.normal(size=(rows, 6)))
    memory = memory_of(z, np.full((rows, 2), 0.5))
    points = random.normal(size=(2, rows, 2)).astype(np.float32) * 5
    return memory, ProjectionMaps(points[0], points[1], x.astype(np.float32)), z, x


def placed_by_hand(query, keys, points):
    """The mean of the 8 nearest points, weighted by softmax of cosine / 0.02."""
    cosines = keys @ unit(query)
    nearest = np.argsort(-cosines)[:8]
    weights = np.exp(cosines[nearest] / 0.02)
    return (weights[:, None] * points[nearest]).sum(axis=0) / weights.sum()


@pytest.mark.parametrize("rows", [30, 5])
def test_a_query_lies_at_the_weighted_mean_of_its_nearest_memories_in_each_map(rows):
    memory, maps, z, x = scene(rows)
    query = np.random.default_rng(7).normal(size=6) * 3
    placed = maps.place(query, memory)
    wanted = [placed_by_hand(query, z, maps.teacher_points), placed_by_hand(query, x, maps.student_points)]
    np.testing.assert_allclose(placed, wanted, rtol=1e-3, atol=1e-4)
    assert placed.shape == (2, 2)


def test_a_memory_that_is_asked_for_itself_lies_nearly_on_its_own_point():
    memory, maps, _, x = scene()
    np.testing.assert_allclose(maps.place(x[3], memory)[1], maps.student_points[3], atol=1e-2)


def test_placing_needs_no_umap():
    code = (
        "import sys, numpy as np, pandas as pd\n"
        "from reaugkd.method.memory import Memory\n"
        "from reaugkd.model.maps import ProjectionMaps\n"
        "import reaugkd.model.classifier\n"
        "rows = pd.DataFrame({'id': list('abc'), 'text': list('abc'), 'label': list('abc')})\n"
        "keys = np.eye(3, dtype=np.float32)\n"
        "memory = Memory(rows, tuple('abc'), keys, keys, {})\n"
        "place = ProjectionMaps(keys[:, :2], keys[:, :2], keys).place(keys[0], memory)\n"
        "assert np.allclose(place, [[1, 0], [1, 0]]), place\n"
        "assert not {'umap', 'numba', 'pynndescent'} & set(sys.modules), 'umap was imported'\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def spaces():
    """Two spaces in which the same three clusters lie in the same places."""
    random = np.random.default_rng(1)
    centres = unit(random.normal(size=(3, 6)))[np.arange(45) % 3]
    return [unit(centres + 0.05 * random.normal(size=(45, 6))).astype(np.float32) for _ in range(2)]


@pytest.mark.filterwarnings("ignore")
def test_the_same_seed_gives_the_same_maps(spaces):
    first, again = fit_maps(*spaces, seed=3), fit_maps(*spaces, seed=3)
    np.testing.assert_array_equal(first.teacher_points, again.teacher_points)
    np.testing.assert_array_equal(first.student_points, again.student_points)
    np.testing.assert_allclose(first.student_embeddings, spaces[1], atol=1e-6)
    assert first.teacher_points.shape == first.student_points.shape == (45, 2)


@pytest.mark.filterwarnings("ignore")
def test_positions_compare_between_the_maps(spaces):
    maps = fit_maps(*spaces)
    clusters = np.arange(45) % 3
    centres = [
        np.stack([points[clusters == cluster].mean(axis=0) for cluster in range(3)])
        for points in (maps.teacher_points, maps.student_points)
    ]
    distances = np.linalg.norm(centres[0][:, None] - centres[1][None, :], axis=-1)
    np.testing.assert_array_equal(distances.argmin(axis=1), [0, 1, 2])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rows", [2, 5])
def test_a_handful_of_rows_is_laid_out_too(rows):
    random = np.random.default_rng(0)
    spaces = [random.normal(size=(rows, 4)).astype(np.float32) for _ in range(2)]
    points = joint_umap(spaces)
    assert [space.shape for space in points] == [(rows, 2), (rows, 2)]
    assert all(np.isfinite(space).all() for space in points)


@pytest.mark.filterwarnings("ignore")
def test_rows_that_are_all_the_same_are_laid_out_too():
    points = joint_umap([np.ones((20, 4), dtype=np.float32)] * 2)
    assert all(np.isfinite(space).all() for space in points)
