"""N-grams against a loop over the tokenizer's numbers, and their TF-IDF worked out by hand."""

from collections import Counter

import numpy as np
import pytest
from transformers import AutoTokenizer

from reaugkd.method import ngrams
from reaugkd.method.ngrams import LONGEST, NGrams, ngram_counts
from reaugkd.networks.encoders import TextClassifier

TEXTS = ["rain and snow and rain", "iron", "Iron-rain, unheardof!", "snow and snow and snow and snow", "the iron fog"]
PAIRS = [
    ("rain and snow", "and snow melts"),
    ("iron iron", "iron iron"),
    ("fog", "the zinc"),
    ("and snow and snow", "snow"),
]


@pytest.fixture(scope="module")
def tokenizer(toy_encoder_folder):
    return AutoTokenizer.from_pretrained(toy_encoder_folder)


def counted(tokenizer, text):
    """How often a text holds each n-gram, as tuples of the tokenizer's numbers."""
    numbers = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))
    spans = ((start, start + length) for length in range(1, LONGEST + 1) for start in range(len(numbers) - length + 1))
    return Counter(tuple(numbers[start:end]) for start, end in spans)


def counted_pair(tokenizer, pair):
    """The n-grams of either text, those that both hold and those that one of them holds alone."""
    first, second = (counted(tokenizer, text) for text in pair)
    both, one = set(first) & set(second), set(first) ^ set(second)
    return first + second + Counter({("both", *gram): 1 for gram in both} | {("one", *gram): 1 for gram in one})


def number_of(tokenizer, gram):
    """Its number in the base of the vocabulary and one more, 0 being no subword."""
    base = len(tokenizer) + 1
    kind, gram = ({"both": 1, "one": 2}[gram[0]], gram[1:]) if isinstance(gram[0], str) else (0, gram)
    return sum((subword + 1) * base**place for place, subword in enumerate(reversed(gram))) + kind * base**LONGEST


def by_hand(tokenizer, texts):
    count = counted if isinstance(texts[0], str) else counted_pair
    return [{number_of(tokenizer, gram): times for gram, times in count(tokenizer, text).items()} for text in texts]


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_counts_are_those_of_a_loop_over_the_tokenizers_numbers(tokenizer, texts):
    rows, numbers, counts = ngram_counts(tokenizer, texts)
    wanted = by_hand(tokenizer, texts)
    found = [dict(zip(numbers[rows == row], counts[rows == row], strict=True)) for row in range(len(texts))]
    assert found == wanted
    assert (np.lexsort((numbers, rows)) == np.arange(len(rows))).all()


def test_of_a_pair_what_both_hold_is_told_from_what_one_holds_alone(tokenizer):
    found = [set(counts) for counts in by_hand(tokenizer, [("rain", "rain"), ("rain", "snow"), ("snow", "rain")])]
    rows, numbers, _ = ngram_counts(tokenizer, [("rain", "rain"), ("rain", "snow"), ("snow", "rain")])
    assert [set(numbers[rows == row].tolist()) for row in range(3)] == found
    assert found[1] == found[2]
    assert len(found[0] & found[1]) == 1  # that rain is there, but not that both hold it


def tf_idf_by_hand(tokenizer, known, texts):
    """Rows over the n-grams of the known texts, in ascending order, and those n-grams."""
    counts = by_hand(tokenizer, known)
    held_by = Counter(gram for one in counts for gram in one)
    numbers = sorted(held_by)
    rows = np.zeros((len(texts), len(numbers)))
    for row, of_text in enumerate(by_hand(tokenizer, texts)):
        values = {
            gram: (1 + np.log(times)) * (1 + np.log((1 + len(known)) / (1 + held_by[gram])))
            for gram, times in of_text.items()
        }
        length = np.sqrt(sum(value**2 for value in values.values()))
        for gram, value in values.items():
            if gram in held_by:
                rows[row, numbers.index(gram)] = value / length
    return rows, numbers


@pytest.mark.parametrize(("known", "asked"), [(TEXTS, TEXTS), (TEXTS[:3], TEXTS), (PAIRS, PAIRS), (PAIRS[:2], PAIRS)])
def test_a_row_is_tf_idf_by_hand(tokenizer, known, asked):
    found = NGrams.of(tokenizer, known)
    wanted, numbers = tf_idf_by_hand(tokenizer, known, asked)
    np.testing.assert_array_equal(found.numbers, numbers)
    assert (len(found), found.texts) == (len(numbers), len(known))
    matrix = found.matrix(tokenizer, asked)
    np.testing.assert_allclose(matrix.toarray(), wanted, atol=1e-6)
    assert matrix.dtype == np.float32


def test_what_is_not_known_makes_a_row_shorter(tokenizer):
    found = NGrams.of(tokenizer, ["rain and snow", "iron"])
    lengths = np.linalg.norm(found.matrix(tokenizer, ["iron", "iron fog", "fog zinc"]).toarray(), axis=1)
    assert lengths[0] == pytest.approx(1, abs=1e-6)
    # iron stands in one of two texts; fog, and iron before fog, in none.
    known, unknown = 1 + np.log(3 / 2), 1 + np.log(3)
    assert lengths[1] == pytest.approx(known / np.sqrt(known**2 + 2 * unknown**2), abs=1e-6)
    assert lengths[2] == 0


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_texts_one_by_one_give_what_many_give(tokenizer, monkeypatch, texts):
    many = NGrams.of(tokenizer, texts)
    monkeypatch.setattr(ngrams, "WORDS_AT_A_TIME", 1)
    one = NGrams.of(tokenizer, texts)
    np.testing.assert_array_equal(one.numbers, many.numbers)
    np.testing.assert_array_equal(one.rarity, many.rarity)
    rows = [many.matrix(tokenizer, [text]).toarray()[0] for text in texts]
    np.testing.assert_array_equal(rows, many.matrix(tokenizer, texts).toarray())


def test_of_too_many_those_that_the_most_texts_hold_are_kept(tokenizer, monkeypatch):
    every = NGrams.of(tokenizer, TEXTS)
    held_by = Counter(gram for counts in by_hand(tokenizer, TEXTS) for gram in counts)
    monkeypatch.setattr(ngrams, "MOST_NGRAMS", 5)
    few = NGrams.of(tokenizer, TEXTS)
    assert (np.diff(few.numbers) > 0).all()
    kept = [held_by[number] for number in few.numbers.tolist()]
    assert sorted(kept, reverse=True) == sorted(held_by.values(), reverse=True)[:5]
    np.testing.assert_array_equal(few.rarity, every.rarity[np.searchsorted(every.numbers, few.numbers)])


def test_a_long_text_is_read_to_its_end(tokenizer):
    text = "rain " * 500 + "zinc"  # the encoder takes 64 subwords
    rows, numbers, counts = ngram_counts(tokenizer, [text])
    assert dict(zip(numbers, counts, strict=True)) == by_hand(tokenizer, [text])[0]
    assert set(rows) == {0}


@pytest.mark.parametrize("texts", [[], TEXTS], ids=["none", "some"])
def test_no_texts_have_no_rows(tokenizer, texts):
    found = NGrams.of(tokenizer, TEXTS)
    assert found.matrix(tokenizer, texts).shape == (len(texts), len(found))


@pytest.mark.parametrize(
    "texts",
    [TEXTS, ["[SEP] rain [CLS]", "[UNK] snow", "iron"], ["rain and " * 200, "snow"], ["[PAD]"], PAIRS],
    ids=["texts", "special words", "one is cut", "nothing else", "pairs"],
)
def test_what_a_network_read_of_the_texts_gives_the_same_ngrams(toy_encoder_folder, tokenizer, texts):
    tokens = TextClassifier.from_pretrained(toy_encoder_folder, 2, max_length=16).tokenize(texts)
    for found, wanted in zip(ngram_counts(tokenizer, texts, tokens), ngram_counts(tokenizer, texts), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_text_that_a_network_read_whole_is_not_cut_again(toy_encoder_folder, tokenizer):
    tokens = TextClassifier.from_pretrained(toy_encoder_folder, 2).tokenize(TEXTS)
    rows, numbers, counts = ngram_counts(tokenizer, ["never read"] * len(TEXTS), tokens)
    for found, wanted in zip((rows, numbers, counts), ngram_counts(tokenizer, TEXTS), strict=True):
        np.testing.assert_array_equal(found, wanted)
