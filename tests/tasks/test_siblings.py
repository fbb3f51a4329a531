"""Rows that are parts of each other are found, and left out where something is chosen."""

import numpy as np
import pandas as pd
import pytest
from memories import memory_of

from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.choice import choose_linear, choose_pool
from reaugkd.tasks import siblings as module
from reaugkd.tasks.siblings import are_siblings, folds_apart, have_siblings, word_overlap


def test_a_part_the_whole_and_the_same_words_are_siblings_and_a_shared_word_is_not():
    rows = pd.DataFrame({"text": ["A smart, witty follow-up to it", "witty", "smart film", "dull", "WITTY smart!"]})
    found = are_siblings(["smart, witty"], rows, np.asarray([[0, 1, 2, 3, 4]]))
    assert found.tolist() == [[True, True, False, False, True]]


def test_four_of_five_words_make_a_sibling_and_three_do_not():
    rows = pd.DataFrame({"text": ["one two three four other word here", "one two three other word here too"]})
    assert are_siblings(["one two three four five"], rows, np.asarray([[0, 1]])).tolist() == [[True, False]]


def test_of_pairs_the_words_of_both_texts_count():
    rows = pd.DataFrame({"text": ["red fox", "red fox"], "text_pair": ["blue sea", "green hill"]})
    assert are_siblings([("blue sea", "red fox")], rows, np.asarray([[0, 1]])).tolist() == [[True, False]]


def test_texts_without_a_word_are_siblings_of_their_like_only():
    rows = pd.DataFrame({"text": ["!!", "??"]})
    assert are_siblings(["!!"], rows, np.asarray([[0, 1]])).tolist() == [[True, False]]


def is_sibling_by_hand(text, other):
    words, others = (set(one.lower().split()) for one in (text, other))
    return len(words & others) >= 0.8 * min(len(words), len(others))


def random_texts(rows, seed):
    """Texts of one to six of twelve words, so that many are parts of others."""
    random = np.random.default_rng(seed)
    words = [f"word{number}" for number in range(12)]
    return [" ".join(random.choice(words, random.integers(1, 7), replace=False)) for _ in range(rows)]


@pytest.mark.parametrize("compared", [2**24, 7])
def test_a_text_has_siblings_where_any_of_the_others_is_one(monkeypatch, compared):
    monkeypatch.setattr(module, "COMPARED", compared)
    texts, others = random_texts(60, 0), random_texts(9, 1)
    wanted = [any(is_sibling_by_hand(text, other) for other in others) for text in texts]
    assert have_siblings(texts, others).tolist() == wanted
    assert 0 < sum(wanted) < 60
    rows = pd.DataFrame({"text": texts})
    numbers = np.tile(np.arange(60), (9, 1))
    np.testing.assert_array_equal(are_siblings(others, rows, numbers).any(axis=0), wanted)


def test_without_texts_or_others_none_has_siblings():
    assert have_siblings(["one"], []).tolist() == [False]
    assert have_siblings([], ["one"]).tolist() == []
    assert have_siblings([("red fox", "sea")], [("sea", "red fox")]).tolist() == [True]


def test_folds_are_of_like_size_alike_in_classes_and_keep_a_text_with_the_longest_that_holds_it():
    random = np.random.default_rng(2)
    wholes = [" ".join(random.choice([f"word{n}" for n in range(200)], 8, replace=False)) for _ in range(60)]
    texts = [part for whole in wholes for part in (whole, " ".join(whole.split()[:5]), " ".join(whole.split()[5:]))]
    labels = np.repeat(np.arange(60) % 3, 3)
    folds = folds_apart(texts, labels, 5)
    np.testing.assert_array_equal(folds.reshape(60, 3), np.repeat(folds[::3], 3).reshape(60, 3))
    assert np.bincount(folds).tolist() == [36] * 5
    for fold in range(5):
        assert np.bincount(labels[folds == fold]).tolist() == [12] * 3
    np.testing.assert_array_equal(folds_apart(texts, labels, 5), folds)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("labels", [[0] * 9 + [1], [0, 1] * 5, list(range(10)), [0] * 7 + [1, 2, 2]])
def test_rare_classes_are_put_into_folds_too(labels):
    texts = [f"text{number}" for number in range(10)]
    assert np.bincount(folds_apart(texts, np.asarray(labels), 5)).tolist() == [2] * 5


@pytest.mark.parametrize(("texts", "folds"), [(["one two"] * 6, 1), (["one", "two", "one"], 2)])
def test_there_are_no_more_folds_than_families(texts, folds):
    assert len(set(folds_apart(texts, np.zeros(len(texts), int), 5))) == folds


def sibling_rows():
    """Held-out rows of which each has a copy in the memory, right beside a stranger of the other class."""
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    keys = random.normal(size=(200, 16))
    strangers = keys + 0.05 * random.normal(size=keys.shape)
    texts = [f"held out row {number}" for number in range(200)]
    others = [f"quite another thing {number} altogether" for number in range(200)]
    soft_labels = np.eye(2)[np.concatenate([labels, 1 - labels])]
    memory = memory_of(np.concatenate([keys, strangers]), soft_labels, texts=texts + others)
    says = np.where(random.random(200) < 0.75, labels, 1 - labels)
    student = np.where(np.arange(2) == says[:, None], 0.7, 0.3)
    return keys, student, labels, texts, memory


def encoded(keys, student, texts=None):
    texts = [f"new{number}" for number in range(len(keys))] if texts is None else texts
    return EncodedTexts(texts, np.zeros((len(keys), 2), "f4"), student.astype("f4"), {"aligned": keys.astype("f4")})


def test_a_memory_that_is_good_by_siblings_alone_gets_no_weight():
    keys, student, labels, texts, memory = sibling_rows()
    fooled = choose_pool(encoded(keys, student), labels, memory, ["aligned"]).pool
    honest = choose_pool(encoded(keys, student, texts), labels, memory, ["aligned"]).pool
    assert fooled.keys["aligned"].weight > 0.5
    assert honest.keys["aligned"].weight < 0.05
    unseen = encoded(keys + 1.0, student)  # new texts, which have no sibling
    found = {name: answer(unseen, memory, pool).predicted for name, pool in (("f", fooled), ("h", honest))}
    assert (found["f"]["answer"] != found["f"]["student"]).any()
    np.testing.assert_array_equal(found["h"]["answer"], found["h"]["student"])


def test_siblings_are_left_out_of_the_linear_blend_too():
    keys, student, labels, texts, memory = sibling_rows()
    fooled = choose_linear(encoded(keys, student), labels, memory, "aligned", "accuracy")
    honest = choose_linear(encoded(keys, student, texts), labels, memory, "aligned", "accuracy")
    assert honest.retrieval_weight < 0.5 < fooled.retrieval_weight


def test_a_text_that_finds_siblings_alone_keeps_the_farthest_of_them():
    """Else it would have no neighbour, and what the memory says would be no number."""
    random = np.random.default_rng(1)
    keys, labels = random.normal(size=(60, 4)), np.arange(60) % 2
    memory = memory_of(keys, np.eye(2)[labels], texts=["one and the same"] * 60)
    chosen = choose_pool(encoded(keys, np.full((60, 2), 0.5), ["one and the same"] * 60), labels, memory, ["aligned"])
    assert np.isfinite(chosen.unseen).all()


def test_overlap_is_shared_words_by_all_words_whatever_their_case():
    assert word_overlap("One two, three", "three FOUR one") == 2 / 4
    assert word_overlap(("red fox", "sea"), ("fox", "red sea")) == 1.0
    assert word_overlap("!!", "!!") == 1.0
