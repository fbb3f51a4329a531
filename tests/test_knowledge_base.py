"""The knowledge base against brute force."""

import faiss
import numpy as np
import pandas as pd
import pytest

from reaugkd import knowledge_base as module
from reaugkd.errors import ReAugKDError
from reaugkd.knowledge_base import KnowledgeBase


def make(rows=200, width=16, classes=3, seed=0, **options):
    random = np.random.default_rng(seed)
    soft_labels = random.dirichlet(np.ones(classes), size=rows).astype(np.float32)
    table = pd.DataFrame({"id": [f"train-{i}" for i in range(rows)], "text": "words", "label": "fruit"})
    return KnowledgeBase(table, random.normal(size=(rows, width)).astype(np.float32), soft_labels, **options)


def brute_force(keys, queries, k):
    """Cosine similarities and row numbers in float64, the nearest first."""
    keys, queries = (
        matrix.astype(np.float64) / np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
        for matrix in (keys, queries)
    )
    similarities = queries @ keys.T
    numbers = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarities, numbers, axis=1), numbers


@pytest.fixture(scope="module")
def queries():
    return np.random.default_rng(9).normal(size=(40, 16))


@pytest.mark.parametrize("k", [1, 7, 200])
def test_search_finds_what_brute_force_finds(queries, k):
    keys = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32) * 3
    base = KnowledgeBase(make().rows, keys, make().soft_labels)
    similarities, numbers = base.search(queries, k)
    wanted, wanted_numbers = brute_force(keys, queries, k)
    np.testing.assert_allclose(similarities, wanted, atol=1e-6)
    np.testing.assert_array_equal(numbers, wanted_numbers)
    assert (numbers.dtype, similarities.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("scale", [5, 0.2])
def test_the_length_of_a_query_does_not_matter(queries, exact, scale):
    base = make(exact=exact)
    similarities, numbers = base.search(queries, 5)
    scaled = base.search(queries * scale, 5)
    np.testing.assert_allclose(scaled[0], similarities, atol=1e-6)
    np.testing.assert_array_equal(scaled[1], numbers)


def test_the_length_of_a_key_does_not_matter(queries):
    base = make()
    longer = KnowledgeBase(base.rows, base.embeddings * np.arange(1, 201)[:, None], base.soft_labels)
    np.testing.assert_array_equal(longer.search(queries, 5)[1], base.search(queries, 5)[1])
    np.testing.assert_allclose(np.linalg.norm(longer.embeddings.astype(np.float64), axis=1), 1, atol=1e-6)


def test_a_key_is_its_own_nearest_with_similarity_one():
    base = make()
    similarities, numbers = base.search(base.embeddings, 1)
    np.testing.assert_array_equal(numbers[:, 0], np.arange(200))
    np.testing.assert_allclose(similarities[:, 0], 1, atol=1e-6)


def test_more_neighbours_than_memories_gives_all_memories(queries):
    base = make(rows=6)
    similarities, numbers = base.search(queries, 50)
    assert similarities.shape == numbers.shape == (40, 6)
    assert all(set(row) == set(range(6)) for row in numbers.tolist())


def test_the_approximate_search_finds_nearly_what_the_exact_one_finds():
    random = np.random.default_rng(3)
    keys, asked = random.normal(size=(3_000, 32)), random.normal(size=(100, 32))
    soft_labels = np.full((3_000, 2), 0.5)
    rows = pd.DataFrame({"id": np.arange(3_000).astype(str), "text": "words", "label": "fruit"})
    approximate = KnowledgeBase(rows, keys, soft_labels, exact=False)
    similarities, numbers = approximate.search(asked, 10)
    _, wanted_numbers = brute_force(keys, asked, 10)
    found = [len(set(mine) & set(theirs)) for mine, theirs in zip(numbers, wanted_numbers, strict=True)]
    assert np.mean(found) / 10 > 0.9
    assert (np.diff(similarities, axis=1) <= 0).all()
    unit = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    lengths = np.linalg.norm(asked, axis=1, keepdims=True)
    np.testing.assert_allclose(similarities, np.einsum("nd,nkd->nk", asked / lengths, unit[numbers]), atol=1e-5)
    assert isinstance(approximate.index, faiss.IndexHNSWFlat)


def test_among_many_memories_whose_classes_are_points_far_from_the_queries_the_nearest_are_found():
    """Cosine 0.99 within a class, 0.5 from a query to its class: a graph of neighbours leads to a class nearby."""
    random = np.random.default_rng(4)
    classes = random.normal(size=(40, 16))
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    labels = np.arange(52_000) % 40
    keys = classes[labels] + 0.025 * random.normal(size=(52_000, 16))
    asked = classes[:30] + 0.43 * random.normal(size=(30, 16))
    rows = pd.DataFrame({"id": labels.astype(str), "text": "words", "label": "fruit"})
    similarities, numbers = KnowledgeBase(rows, keys, np.full((52_000, 2), 0.5)).search(asked, 4)
    wanted, wanted_numbers = brute_force(keys, asked, 4)
    np.testing.assert_allclose(similarities, wanted, atol=1e-6)
    assert (numbers == wanted_numbers).mean() > 0.95  # float32 may swap what lies as near


def test_a_large_memory_is_searched_approximately_and_a_small_one_exactly(monkeypatch):
    monkeypatch.setattr(module, "MAX_EXACT", 100)
    assert make(rows=100).exact is True
    assert make(rows=101).exact is False
    assert make(rows=101, exact=True).exact is True


@pytest.mark.parametrize("exact", [True, False])
def test_a_neighbour_that_was_not_found_weighs_nothing_and_is_never_the_last_row(exact):
    base = make(exact=exact)

    class Short:
        """An index that finds two where four are asked for."""

        hnsw = type("Parameters", (), {"efSearch": 0})()

        def search(self, queries, _):
            found = np.asarray([[0.9, 0.8, -3e38, -3e38]] * len(queries), dtype=np.float32)
            return found, np.asarray([[17, 4, -1, -1]] * len(queries))

    base.__dict__["index"] = Short()
    similarities, numbers = base.search(np.ones((2, 16)), 4)
    assert numbers.tolist() == [[17, 4, 17, 17]] * 2
    np.testing.assert_allclose(similarities, [[0.9, 0.8, -np.inf, -np.inf]] * 2, rtol=1e-6)


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(k):
    with pytest.raises(ReAugKDError, match=f"k is {k}; it must be at least 1"):
        make().search(np.ones((1, 16)), k)


@pytest.mark.parametrize("queries", [np.ones((2, 15)), np.ones(16)], ids=["width", "shape"])
def test_queries_that_do_not_fit_are_refused(queries):
    with pytest.raises(ReAugKDError, match="do not fit keys of width 16"):
        make().search(queries, 2)


@pytest.mark.parametrize("part", ["rows", "embeddings", "soft_labels"])
def test_parts_of_different_length_are_refused(part):
    base = make()
    parts = {name: getattr(base, name) for name in ("rows", "embeddings", "soft_labels")}
    with pytest.raises(ReAugKDError, match="needs as many rows"):
        KnowledgeBase(**parts | {part: parts[part][:-1]})


def test_an_empty_memory_is_refused():
    base = make()
    with pytest.raises(ReAugKDError, match="needs at least one row"):
        KnowledgeBase(base.rows[:0], base.embeddings[:0], base.soft_labels[:0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_embedding_that_is_no_number_is_refused(value):
    base = make()
    embeddings = base.embeddings.copy()
    embeddings[5, 2] = value
    with pytest.raises(ReAugKDError, match="An embedding of the knowledge base is not a finite number"):
        KnowledgeBase(base.rows, embeddings, base.soft_labels)


@pytest.mark.parametrize("row", [[0.5, 0.5, 0.5], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5]], ids=["sum", "negative", "nan"])
def test_soft_labels_that_are_no_probabilities_are_refused(row):
    base = make()
    soft_labels = base.soft_labels.copy()
    soft_labels[7] = row
    with pytest.raises(ReAugKDError, match="Soft labels of the knowledge base do not sum to 1"):
        KnowledgeBase(base.rows, base.embeddings, soft_labels)


def test_its_length_is_the_number_of_memories():
    assert len(make(rows=12)) == 12
