"""Rows that are parts of each other are found, and left out where something is chosen."""

import numpy as np
import pandas as pd

from reaugkd.evaluation import Encoded, answer, choose_gate, choose_retrieval
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.siblings import siblings, word_overlap


def test_a_part_the_whole_and_the_same_words_are_siblings_and_a_shared_word_is_not():
    rows = pd.DataFrame({"text": ["A smart, witty follow-up to it", "witty", "smart film", "dull", "WITTY smart!"]})
    found = siblings(["smart, witty"], rows, np.asarray([[0, 1, 2, 3, 4]]))
    assert found.tolist() == [[True, True, False, False, True]]


def test_four_of_five_words_make_a_sibling_and_three_do_not():
    rows = pd.DataFrame({"text": ["one two three four other word here", "one two three other word here too"]})
    assert siblings(["one two three four five"], rows, np.asarray([[0, 1]])).tolist() == [[True, False]]


def test_of_pairs_the_words_of_both_texts_count():
    rows = pd.DataFrame({"text": ["red fox", "red fox"], "text_pair": ["blue sea", "green hill"]})
    assert siblings([("blue sea", "red fox")], rows, np.asarray([[0, 1]])).tolist() == [[True, False]]


def test_texts_without_a_word_are_siblings_of_their_like_only():
    rows = pd.DataFrame({"text": ["!!", "??"]})
    assert siblings(["!!"], rows, np.asarray([[0, 1]])).tolist() == [[True, False]]


def sibling_rows():
    """Held-out rows of which each has a copy in the memory, right beside a stranger of the other class."""
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 2
    keys = generator.normal(size=(200, 16)).astype("f4")
    strangers = keys + 0.05 * generator.normal(size=keys.shape).astype("f4")
    texts = [f"held out row {number}" for number in range(200)]
    rows = pd.DataFrame({"text": [*texts, *(f"quite another thing {number} altogether" for number in range(200))]})
    soft_labels = np.eye(2, dtype="f4")[np.concatenate([labels, 1 - labels])]
    memory = KnowledgeBase(rows, np.concatenate([keys, strangers]), soft_labels)
    says = np.where(generator.random(200) < 0.75, labels, 1 - labels)
    student = np.where(np.arange(2) == says[:, None], 0.7, 0.3).astype("f4")
    return keys, student, labels, texts, memory


def test_a_memory_that_is_good_by_siblings_alone_changes_no_answer():
    keys, student, labels, texts, memory = sibling_rows()
    fooled = choose_gate(Encoded(keys, student), labels, memory, "accuracy")
    honest = choose_gate(Encoded(keys, student, texts), labels, memory, "accuracy")
    strangers = keys + 1.0  # new texts, which have no sibling
    unseen, said = Encoded(strangers, student), student.argmax(axis=1)
    assert (answer(unseen, memory, fooled.retrieval).argmax(axis=1) != said).any()
    np.testing.assert_array_equal(answer(unseen, memory, honest.retrieval).argmax(axis=1), said)
    assert choose_retrieval(Encoded(keys, student, texts), labels, memory, "accuracy").retrieval_weight < 0.5


def test_overlap_is_shared_words_by_all_words_whatever_their_case():
    assert word_overlap("One two, three", "three FOUR one") == 2 / 4
    assert word_overlap(("red fox", "sea"), ("fox", "red sea")) == 1.0
    assert word_overlap("!!", "!!") == 1.0
