"""The memory: each of its keys finds what brute force finds, and what does not fit is refused."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from memories import brute_force, memory_of, random_memory, unit

from reaugkd.errors import ReAugKDError
from reaugkd.method.memory import FEW_SIMILARITIES, TEACHER

WIDTHS = {"aligned": 8, "text": 9, TEACHER: 16}


def searched(memory, key):
    return memory.teacher_embeddings if key == TEACHER else memory.keys[key]


def queries_of(key, rows=40):
    return np.random.default_rng(9).normal(size=(rows, WIDTHS[key]))


@pytest.mark.parametrize("few", [0, FEW_SIMILARITIES], ids=["by FAISS", "by NumPy"])
@pytest.mark.parametrize("k", [1, 7, 200])
@pytest.mark.parametrize("key", WIDTHS)
def test_each_key_finds_what_brute_force_finds(monkeypatch, key, k, few):
    monkeypatch.setattr("reaugkd.method.memory.FEW_SIMILARITIES", few)
    memory, queries = random_memory(), queries_of(key)
    similarities, numbers = memory.search(key, queries, k)
    wanted, wanted_numbers = brute_force(searched(memory, key), queries, k)
    np.testing.assert_allclose(similarities, wanted, atol=1e-6)
    np.testing.assert_array_equal(numbers, wanted_numbers)
    assert (numbers.dtype, similarities.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("scale", [5, 0.2])
@pytest.mark.parametrize("key", WIDTHS)
def test_the_length_of_a_query_does_not_matter(key, scale):
    memory, queries = random_memory(), queries_of(key)
    similarities, numbers = memory.search(key, queries, 5)
    scaled = memory.search(key, queries * scale, 5)
    np.testing.assert_allclose(scaled[0], similarities, atol=1e-6)
    np.testing.assert_array_equal(scaled[1], numbers)


@pytest.mark.parametrize("key", WIDTHS)
def test_the_length_of_a_key_does_not_matter(key):
    memory, lengths = random_memory(), np.arange(1, 201)[:, None]
    longer = replace(
        memory,
        teacher_embeddings=memory.teacher_embeddings * lengths,
        keys={name: part * lengths for name, part in memory.keys.items()},
    )
    np.testing.assert_array_equal(longer.search(key, queries_of(key), 5)[1], memory.search(key, queries_of(key), 5)[1])
    np.testing.assert_allclose(np.linalg.norm(unit(searched(longer, key)), axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(searched(longer, key), unit(searched(memory, key)), atol=1e-6)


def test_a_memory_is_its_own_nearest_with_similarity_one():
    memory = random_memory()
    similarities, numbers = memory.search("text", memory.keys["text"], 1)
    np.testing.assert_array_equal(numbers[:, 0], np.arange(200))
    np.testing.assert_allclose(similarities[:, 0], 1, atol=1e-6)


def test_of_memories_that_are_as_near_the_first_come_first():
    memory = memory_of(np.repeat(np.eye(3), 5, axis=0), np.full((15, 2), 0.5))
    assert memory.search("aligned", np.eye(3)[[1]] + 0.1, 15)[1].tolist() == [
        [*range(5, 10), *range(5), *range(10, 15)]
    ]


def test_more_neighbours_than_memories_gives_all_memories():
    similarities, numbers = random_memory(rows=6).search("text", queries_of("text"), 50)
    assert similarities.shape == numbers.shape == (40, 6)
    assert all(set(row) == set(range(6)) for row in numbers.tolist())


def test_among_many_memories_whose_classes_are_points_far_from_the_queries_the_nearest_are_found():
    """Cosine 0.99 within a class, 0.5 from a query to its class: a graph of neighbours leads to a class nearby."""
    random = np.random.default_rng(4)
    classes = unit(random.normal(size=(40, 16)))
    labels = np.arange(52_000) % 40
    keys = classes[labels] + 0.025 * random.normal(size=(52_000, 16))
    asked = classes[:30] + 0.43 * random.normal(size=(30, 16))
    similarities, numbers = memory_of(keys, np.full((52_000, 2), 0.5)).search("aligned", asked, 4)
    wanted, wanted_numbers = brute_force(keys, asked, 4)
    np.testing.assert_allclose(similarities, wanted, atol=1e-6)
    assert (numbers == wanted_numbers).mean() > 0.95  # float32 may swap what lies as near


def test_other_keys_of_the_same_memories_are_searched_in_the_place_of_theirs():
    memory, queries = random_memory(), queries_of("text")
    memory.search("text", queries, 3)
    other = memory.with_keys({"text": memory.keys["text"][::-1]})
    np.testing.assert_array_equal(other.search("text", queries, 3)[1], 199 - memory.search("text", queries, 3)[1])
    assert list(other.keys) == ["text"]
    assert other.rows is memory.rows


def test_a_key_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ReAugKDError, match="The memory has no key 'encoder'; it has aligned, text"):
        random_memory().search("encoder", queries_of("text"), 2)
    with pytest.raises(ReAugKDError, match="The memory has no key 'text'; it has none"):
        random_memory().with_keys({}).search("text", queries_of("text"), 2)


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(k):
    with pytest.raises(ReAugKDError, match=f"k is {k}; it must be at least 1"):
        random_memory().search("aligned", np.ones((1, 8)), k)


@pytest.mark.parametrize("key", WIDTHS)
def test_queries_that_do_not_fit_are_refused(key):
    width = WIDTHS[key]
    for queries in (np.ones((2, width + 1)), np.ones(width)):
        with pytest.raises(ReAugKDError, match=f"do not fit the key '{key}' of width {width}; embed them by the same"):
            random_memory().search(key, queries, 2)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("rows", "A memory of 199 rows has 200 soft labels"),
        ("soft_labels", "A memory of 200 rows has 199 soft labels"),
        ("teacher_embeddings", "A memory of 200 rows has 199 teacher embeddings"),
    ],
)
def test_parts_of_different_length_are_refused(part, sentence):
    memory = random_memory()
    with pytest.raises(ReAugKDError, match=sentence):
        replace(memory, **{part: getattr(memory, part)[:-1]})


def test_keys_of_another_length_are_refused():
    memory = random_memory()
    with pytest.raises(ReAugKDError, match="A memory of 200 rows has 199 keys 'text'"):
        memory.with_keys(memory.keys | {"text": memory.keys["text"][1:]})


def test_an_empty_memory_is_refused():
    with pytest.raises(ReAugKDError, match="needs at least one row"):
        memory_of(np.empty((0, 4)), np.empty((0, 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_refused(value):
    memory = random_memory()
    for part, sentence in (("teacher_embeddings", "teacher embeddings"), ("keys", "keys 'text'")):
        given = memory.keys["text"] if part == "keys" else memory.teacher_embeddings
        wrong = given.copy()
        wrong[5, 2] = value
        with pytest.raises(ReAugKDError, match=f"The {sentence} of a memory are not all finite"):
            replace(memory, **{part: {"text": wrong} if part == "keys" else wrong})


@pytest.mark.parametrize("row", [[0.5, 0.5, 0.5], [1.5, -0.5, 0.0]], ids=["sum", "negative"])
def test_soft_labels_that_are_no_probabilities_are_refused(row):
    memory = random_memory()
    soft_labels = memory.soft_labels.copy()
    soft_labels[7] = row
    with pytest.raises(ReAugKDError, match="Soft labels of the memory do not sum to 1"):
        replace(memory, soft_labels=soft_labels)


def test_soft_labels_of_another_number_of_classes_are_refused():
    with pytest.raises(ReAugKDError, match=r"Soft labels of shape \(200, 3\) do not fit a memory of 2 classes"):
        replace(random_memory(), classes=("a", "b"))


def test_labels_are_the_numbers_of_the_rows_classes():
    memory = memory_of(np.eye(4), np.full((4, 3), 1 / 3), labels=list("cabc"))
    assert memory.labels.tolist() == [2, 0, 1, 2]
    assert memory.labels.dtype == np.int64


def test_its_length_is_the_number_of_memories():
    assert len(random_memory(rows=12)) == 12


def test_a_memory_that_was_searched_can_be_pickled(toy_model):
    toy_model.predict(["plum"])
    copied = pickle.loads(pickle.dumps(toy_model))
    assert copied.predict_proba(["plum"]).tolist() == toy_model.predict_proba(["plum"]).tolist()


def test_what_is_no_key_number_or_query_is_told():
    memory, key = random_memory(), next(iter(WIDTHS))
    for asked, sentence in (
        (([], memory.keys[key], 1), r"key is \[\]; it must be text"),
        ((key, memory.keys[key], None), "k is None; it must be a whole number"),
        ((key, memory.keys[key], 2.5), "k is 2.5; it must be a whole number"),
        ((key, "iron", 1), r"Queries of shape \(\) do not fit the key"),
    ):
        with pytest.raises(ReAugKDError, match=sentence):
            memory.search(*asked)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"rows": [1]}, "The table of a memory is a list; it must be a pandas DataFrame"),
        ({"classes": "ab"}, "The list of classes is 'ab'; it must be a list"),
        ({"soft_labels": [[1.0]]}, "The matrix of soft labels is a list; it must be a matrix of numbers"),
        ({"keys": {"text": None}}, "The matrix of keys 'text' is nothing; it must be a matrix of numbers"),
    ],
)
def test_the_parts_of_a_memory_are_of_their_kinds(part, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        replace(random_memory(), **part)
