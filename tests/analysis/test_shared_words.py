"""Which words a text shares with its neighbours: whole words, by rare n-grams, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from app.parts.neighbour_table import marked_pieces
from reaugkd.analysis.shared_words import COMMON, shared_words


def words(text, spans):
    return [text[start:end] for start, end in spans]


@pytest.fixture(scope="module")
def key(toy_model):
    return toy_model.keys["text"]


def test_words_that_both_hold_and_few_memories_hold_are_marked_in_both(toy_model, key):
    texts = toy_model.memory.rows["text"]
    sets = [set(text.split()) for text in texts]
    share = {word: np.mean([word in held for held in sets]) for word in sorted(set().union(*sets))}
    rare = [word for word, part in share.items() if part <= COMMON]
    common = [word for word, part in share.items() if part > 1.5 * COMMON]
    assert len(rare) > 2
    assert common
    query, one, other = f"{rare[0]} {common[0]} {rare[1]}", f"{rare[1]} {rare[2]}", f"{common[0]} {rare[2]}"
    own, (of_one, of_other) = shared_words(key, query, [one, other])
    assert words(one, of_one) == [rare[1]]
    assert words(other, of_other) == []
    assert words(query, own) == [rare[1]]


def test_a_tokenizer_that_does_not_say_where_its_tokens_stand_marks_nothing(key, monkeypatch):
    class Slow:
        def __call__(self, texts, **_):
            return type("Cut", (), {"encodings": None})

    assert shared_words(replace(key, tokenizer=Slow()), "iron", ["iron", "plum"]) == ([], [[], []])


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
