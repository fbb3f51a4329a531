"""Which words a text shares with its neighbours: whole words, by rare n-grams, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from app.parts.neighbour_table import marked_pieces
from reaugkd.analysis.shared_words import COMMON, LEAST, shared_words


def words(text, spans):
    return [text[start:end] for start, end in spans]


@pytest.fixture(scope="module")
def key(toy_model):
    return toy_model.keys["text"]


def test_words_that_both_hold_that_few_memories_hold_and_that_add_to_the_similarity_are_marked(toy_model, key):
    """By hand: a text without a word differs in what the ridge adds for this word."""
    texts = toy_model.memory.rows["text"]
    sets = [set(text.split()) for text in texts]
    share = {word: np.mean([word in held for held in sets]) for word in sorted(set().union(*sets))}
    rare = [word for word, part in share.items() if part < COMMON]
    common = [word for word, part in share.items() if part > 1.5 * COMMON]
    query, embeddings = " ".join([*rare[:6], *common[:2]]), toy_model.memory.keys["text"]
    others = [" ".join([*rare[1:7], common[0]])] * len(embeddings)
    own, marked = shared_words(key, query, others, embeddings)
    _, columns, values = key.ngrams.entries(key.tokenizer, [query])
    value = dict(zip(key.ngrams.numbers[columns].tolist(), zip(columns, values, strict=True), strict=True))
    drawn = key.bias + sum(number * key.weight[column] for column, number in value.values())
    length = np.sqrt((drawn**2).sum() + key.spread**2)
    assert np.append(drawn, key.spread) / length == pytest.approx(key.embed([query])[0], abs=1e-5)
    of_any = set()
    for embedding, spans in zip(embeddings, marked, strict=True):
        expected = []
        for word in rare[1:6]:
            (subword,) = key.tokenizer(word, add_special_tokens=False)["input_ids"]
            column, number = value[subword + 1]
            if number * (key.weight[column] @ embedding[:-1]) / length >= LEAST:
                expected.append(word)
        assert words(others[0], spans) == expected
        of_any |= set(expected)
    assert len(of_any) > 0
    assert any(len(spans) < len(of_any) for spans in marked)
    assert set(words(query, own)) == of_any


def test_a_tokenizer_that_does_not_say_where_its_tokens_stand_marks_nothing(key):
    class Slow:
        def __call__(self, texts, **_):
            return type("Cut", (), {"encodings": None})

    slow = replace(key, tokenizer=Slow())
    assert shared_words(slow, "iron", ["iron", "plum"], np.zeros((2, 1))) == ([], [[], []])


def test_a_text_is_cut_at_its_marked_words_and_stays_whole():
    random = np.random.default_rng(0)
    text = "the old iron, the new plum"
    for _ in range(20):
        places = np.sort(random.choice(len(text) + 1, 4, replace=False)).tolist()
        spans = [tuple(places[:2]), tuple(places[2:])]
        pieces = marked_pieces(text, spans)
        assert "".join(piece for piece, _ in pieces) == text
        assert [piece for piece, marked in pieces if marked] == words(text, spans)
    assert marked_pieces(text, []) == [(text, False)]
