"""The text key: by hand, and that a memory is never found by its own label."""

import numpy as np
import pytest
from memories import unit
from sibling_texts import WORDS, share_right, shuffled_families, word_tokenizer
from sklearn.linear_model import Ridge

from reaugkd.method import text_key
from reaugkd.method.ngrams import NGrams
from reaugkd.method.text_key import PENALTIES, TextKey
from reaugkd.tasks.siblings import folds_apart

SEEDS = range(8)
CHANCE = 0.05  # of 800 families; the standard deviation of a share by chance is 0.018


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer()


def worded(seed, rows=90, classes=3, width=16):
    """Rows of which two words in three are of their class, and z that names it."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    own = np.array_split(np.asarray(WORDS), classes)
    texts = [
        " ".join([*random.choice(own[label], 4, replace=False), *random.choice(WORDS, 2)]) for label in labels.tolist()
    ]
    return texts, labels, unit(np.eye(width)[labels] + 0.2 * random.normal(size=(rows, width))).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(tokenizer):
    texts, labels, z = worded(0)
    return texts, labels, z, *TextKey.fit(tokenizer, texts, z, labels, 3)


def test_the_key_and_its_memories_are_what_ridges_in_closed_form_make_of_the_ngrams(tokenizer, fitted):
    texts, labels, z, key, keys = fitted
    features = NGrams.of(tokenizer, texts).matrix(tokenizer, texts).toarray().astype(np.float64)
    centred = z.astype(np.float64) - z.mean(axis=0, dtype=np.float64)
    targets = centred @ np.linalg.svd(centred)[2][:8].T
    folds = folds_apart(texts, labels, 5)

    def unseen(penalty):
        drawn = np.empty_like(targets)
        for fold in range(5):
            ridge = Ridge(alpha=penalty, solver="cholesky").fit(features[folds != fold], targets[folds != fold])
            drawn[folds == fold] = ridge.predict(features[folds == fold])
        return drawn

    penalty = min(PENALTIES, key=lambda penalty: ((unseen(penalty) - targets) ** 2).sum())
    drawn = unseen(penalty)
    spread = np.sqrt((drawn**2).sum(axis=1).mean())
    assert key.spread == pytest.approx(spread, rel=2e-3)
    wanted = unit(np.column_stack([drawn, np.full(90, spread)]))
    # The signs of the principal components are free: products of keys are compared.
    np.testing.assert_allclose(keys @ keys.T, wanted @ wanted.T, atol=5e-3)
    np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-6)

    ridge = Ridge(alpha=penalty, solver="cholesky").fit(features, targets)
    asked, _, _ = worded(1)
    of_asked = NGrams.of(tokenizer, texts).matrix(tokenizer, asked).toarray()
    queries = unit(np.column_stack([ridge.predict(of_asked), np.full(90, spread)]))
    np.testing.assert_allclose(key.embed(asked) @ keys.T, queries @ wanted.T, atol=5e-3)


def test_a_query_is_the_ridge_and_the_spread_scaled_to_length_one(tokenizer, fitted):
    *_, key, _ = fitted
    asked = worded(1)[0]
    drawn = key.ngrams.matrix(tokenizer, asked).toarray().astype(np.float64) @ key.weight + key.bias
    np.testing.assert_allclose(key.embed(asked), unit(np.column_stack([drawn, np.full(90, key.spread)])), atol=1e-6)
    np.testing.assert_array_equal(key.embed(asked), key.embed(asked, np.ones((90, 4))))
    np.testing.assert_array_equal(key.embed(asked[:1])[0], key.embed(asked)[0])
    assert key.embed([]).shape == (0, 9)


def test_a_text_of_which_nothing_is_known_lies_in_the_middle(fitted):
    *_, key, keys = fitted
    unknown = key.embed(["never heard"])
    np.testing.assert_allclose(unknown, unit([[*key.bias, key.spread]]), atol=1e-6)
    far, near = (np.ptp(queries @ keys.T) for queries in (key.embed(worded(1)[0][:1]), unknown))
    assert near < far / 2


def test_the_key_comes_back_from_its_file_and_embeds_the_same_to_the_bit(tokenizer, fitted, tmp_path):
    *_, key, _ = fitted
    key.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["text.safetensors"]
    loaded = TextKey.load(tmp_path, tokenizer)
    asked = [*worded(2)[0], "never heard"]
    np.testing.assert_array_equal(loaded.embed(asked), key.embed(asked))


def test_the_same_rows_give_the_same_key(tokenizer, fitted):
    texts, labels, z, key, keys = fitted
    again, its_keys = TextKey.fit(tokenizer, texts, z, labels, 3)
    np.testing.assert_array_equal(its_keys, keys)
    np.testing.assert_array_equal(again.weight, key.weight)


def test_texts_are_found_by_what_they_say(fitted):
    _, labels, _, key, keys = fitted
    asked, asked_labels, _ = worded(3)
    assert share_right(keys, labels, key.embed(asked), asked_labels, np.zeros((90, 90), dtype=bool)) > 0.9


def test_pairs_are_found_by_whether_their_texts_share_a_word(tokenizer):
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2

    def pairs():
        for is_shared in labels.tolist():
            words = random.choice(WORDS, 4, replace=False)
            yield f"{words[0]} {words[1]}", f"{words[2]} {words[is_shared * 1 or 3]}"

    texts, asked = list(pairs()), list(pairs())
    z = unit(np.eye(8)[labels] + 0.2 * random.normal(size=(400, 8))).astype(np.float32)
    key, keys = TextKey.fit(tokenizer, texts, z, labels, 2)
    assert share_right(keys, labels, key.embed(asked), labels, np.zeros((400, 400), dtype=bool)) > 0.9


def test_no_row_is_keyed_by_a_ridge_that_saw_its_embedding_or_its_folds(tokenizer, monkeypatch):
    """The rows of a fold change places in the teacher's space, so the principal components stay as they are."""
    monkeypatch.setattr(text_key, "PENALTIES", (1.0,))
    texts, labels, z = worded(0)
    own = folds_apart(texts, labels, 5) == 2
    shuffled = z.copy()
    shuffled[own] = z[own][::-1]
    drawn = []
    for given in (z, shuffled):
        key, keys = TextKey.fit(tokenizer, texts, given, labels, 3)
        drawn.append(keys[:, :-1] / keys[:, -1:] * key.spread)  # what the ridge said, without the common spread
    moved = np.abs(drawn[1] - drawn[0]).max(axis=1)
    assert moved[own].max() < 1e-4
    assert np.median(moved[~own]) > 100 * moved[own].max()


def left_out(family, asked=None):
    return (family if asked is None else asked)[:, None] == family


def test_with_shuffled_labels_the_memory_alone_scores_as_chance_does(tokenizer):
    """Each row is asked of all others but its siblings; a ridge that saw its label would name nearly all of them."""
    by_others, by_itself = [], []
    for seed in SEEDS:
        texts, labels, z, family = shuffled_families(seed)
        key, keys = TextKey.fit(tokenizer, texts, z, labels, 2)
        by_others.append(share_right(keys, labels, keys, labels, left_out(family)))
        seen = key.embed(texts)
        by_itself.append(share_right(seen, labels, seen, labels, left_out(family)))
    assert abs(np.mean(by_others) - 0.5) < CHANCE
    assert np.mean(by_itself) > 0.9


def test_siblings_stay_in_one_fold_else_a_row_would_be_keyed_by_the_label_of_its_family(tokenizer, monkeypatch):
    for texts, labels, _, family in map(shuffled_families, SEEDS):
        folds = folds_apart(texts, labels, 5)
        assert all(len(set(folds[family == one])) == 1 for one in np.unique(family))
    monkeypatch.setattr(
        text_key, "folds_apart", lambda texts, *_: np.random.default_rng(0).integers(5, size=len(texts))
    )
    torn = []
    for texts, labels, z, family in map(shuffled_families, SEEDS):
        keys = TextKey.fit(tokenizer, texts, z, labels, 2)[1]
        torn.append(share_right(keys, labels, keys, labels, left_out(family)))
    assert np.mean(torn) > 0.5 + 2 * CHANCE


def test_of_many_rows_some_choose_the_penalty(tokenizer, fitted, monkeypatch):
    texts, labels, z, key, _ = fitted
    asked = []
    original = text_key._unseen

    def spy(features, *given):
        asked.append(features.shape[0])
        return original(features, *given)

    monkeypatch.setattr(text_key, "_unseen", spy)
    monkeypatch.setattr(text_key, "PENALTY_ROWS", 60)
    few, keys = TextKey.fit(tokenizer, texts, z, labels, 3)
    assert asked == [60] * len(PENALTIES) + [90]
    assert keys.shape == (90, 9)
    assert few.weight.shape == key.weight.shape


@pytest.mark.parametrize("texts", [["bado bine"] * 6, ["bado bine", "bine bado", "cado dine"]], ids=["one", "few"])
def test_a_handful_of_families_is_keyed_too(tokenizer, texts):
    labels = np.arange(len(texts)) % 2
    z = unit(np.random.default_rng(0).normal(size=(len(texts), 16))).astype(np.float32)
    key, keys = TextKey.fit(tokenizer, texts, z, labels, 2)
    assert np.isfinite(keys).all()
    assert keys.shape == key.embed(texts).shape == (len(texts), min(8, len(texts)) + 1)
