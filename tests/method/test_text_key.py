"""The text key, its n-grams and its ridge: by hand, and that a memory is never found by its own label."""

from collections import Counter

import numpy as np
import pytest
from memories import memory_of, unit
from scipy.sparse import csr_matrix, random_array
from sibling_texts import WORDS, share_right, shuffled_families, word_tokenizer
from sklearn.linear_model import Ridge
from transformers import AutoTokenizer

from reaugkd.method import text_key
from reaugkd.method.text_key import (
    FILE,
    LEVELS,
    LONGEST,
    PENALTIES,
    TOLERANCE,
    DualRidge,
    NGrams,
    TextKey,
    ngram_counts,
    sparse_ridge,
)
from reaugkd.networks.encoders import TextClassifier
from reaugkd.texts import folds_apart

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


def fit(tokenizer, texts, z, labels):
    """The text key of a memory of these texts."""
    return TextKey.fit(tokenizer, memory_of(z, np.eye(labels.max() + 1)[labels], texts=texts))


@pytest.fixture(scope="module")
def fitted(tokenizer):
    texts, labels, z = worded(0)
    return texts, labels, z, *fit(tokenizer, texts, z, labels)


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
    again, its_keys = fit(tokenizer, texts, z, labels)
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
    key, keys = fit(tokenizer, texts, z, labels)
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
        key, keys = fit(tokenizer, texts, given, labels)
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
        key, keys = fit(tokenizer, texts, z, labels)
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
        keys = fit(tokenizer, texts, z, labels)[1]
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
    few, keys = fit(tokenizer, texts, z, labels)
    assert asked == [60] * len(PENALTIES) + [90]
    assert keys.shape == (90, 9)
    assert few.weight.shape == key.weight.shape


@pytest.mark.parametrize("texts", [["bado bine"] * 6, ["bado bine", "bine bado", "cado dine"]], ids=["one", "few"])
def test_a_handful_of_families_is_keyed_too(tokenizer, texts):
    labels = np.arange(len(texts)) % 2
    z = unit(np.random.default_rng(0).normal(size=(len(texts), 16))).astype(np.float32)
    key, keys = fit(tokenizer, texts, z, labels)
    assert np.isfinite(keys).all()
    assert keys.shape == key.embed(texts).shape == (len(texts), min(8, len(texts)) + 1)


TEXTS = ["rain and snow and rain", "iron", "Iron-rain, unheardof!", "snow and snow and snow and snow", "the iron fog"]
PAIRS = [
    ("rain and snow", "and snow melts"),
    ("iron iron", "iron iron"),
    ("fog", "the zinc"),
    ("and snow and snow", "snow"),
]


@pytest.fixture(scope="module")
def toy_tokenizer(toy_encoder_folder):
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
def test_counts_are_those_of_a_loop_over_the_tokenizers_numbers(toy_tokenizer, texts):
    rows, numbers, counts = ngram_counts(toy_tokenizer, texts)
    wanted = by_hand(toy_tokenizer, texts)
    found = [dict(zip(numbers[rows == row], counts[rows == row], strict=True)) for row in range(len(texts))]
    assert found == wanted
    assert (np.lexsort((numbers, rows)) == np.arange(len(rows))).all()


def test_of_a_pair_what_both_hold_is_told_from_what_one_holds_alone(toy_tokenizer):
    found = [set(counts) for counts in by_hand(toy_tokenizer, [("rain", "rain"), ("rain", "snow"), ("snow", "rain")])]
    rows, numbers, _ = ngram_counts(toy_tokenizer, [("rain", "rain"), ("rain", "snow"), ("snow", "rain")])
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
def test_a_row_is_tf_idf_by_hand(toy_tokenizer, known, asked):
    found = NGrams.of(toy_tokenizer, known)
    wanted, numbers = tf_idf_by_hand(toy_tokenizer, known, asked)
    np.testing.assert_array_equal(found.numbers, numbers)
    assert (len(found), found.texts) == (len(numbers), len(known))
    matrix = found.matrix(toy_tokenizer, asked)
    np.testing.assert_allclose(matrix.toarray(), wanted, atol=1e-6)
    assert matrix.dtype == np.float32


def test_what_is_not_known_makes_a_row_shorter(toy_tokenizer):
    found = NGrams.of(toy_tokenizer, ["rain and snow", "iron"])
    lengths = np.linalg.norm(found.matrix(toy_tokenizer, ["iron", "iron fog", "fog zinc"]).toarray(), axis=1)
    assert lengths[0] == pytest.approx(1, abs=1e-6)
    # iron stands in one of two texts; fog, and iron before fog, in none.
    known, unknown = 1 + np.log(3 / 2), 1 + np.log(3)
    assert lengths[1] == pytest.approx(known / np.sqrt(known**2 + 2 * unknown**2), abs=1e-6)
    assert lengths[2] == 0


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_texts_one_by_one_give_what_many_give(toy_tokenizer, monkeypatch, texts):
    many = NGrams.of(toy_tokenizer, texts)
    whole = many.matrix(toy_tokenizer, texts)
    monkeypatch.setattr(text_key, "WORDS_AT_A_TIME", 1)
    one = NGrams.of(toy_tokenizer, texts)
    assert (one.matrix(toy_tokenizer, texts) != whole).nnz == 0
    np.testing.assert_array_equal(one.numbers, many.numbers)
    np.testing.assert_array_equal(one.rarity, many.rarity)
    rows = [many.matrix(toy_tokenizer, [text]).toarray()[0] for text in texts]
    np.testing.assert_array_equal(rows, many.matrix(toy_tokenizer, texts).toarray())


def test_of_too_many_those_that_the_most_texts_hold_are_kept(toy_tokenizer, monkeypatch):
    every = NGrams.of(toy_tokenizer, TEXTS)
    held_by = Counter(gram for counts in by_hand(toy_tokenizer, TEXTS) for gram in counts)
    monkeypatch.setattr(text_key, "MOST_NGRAMS", 5)
    few = NGrams.of(toy_tokenizer, TEXTS)
    assert (np.diff(few.numbers) > 0).all()
    kept = [held_by[number] for number in few.numbers.tolist()]
    assert sorted(kept, reverse=True) == sorted(held_by.values(), reverse=True)[:5]
    np.testing.assert_array_equal(few.rarity, every.rarity[np.searchsorted(every.numbers, few.numbers)])


def test_a_long_text_is_read_to_its_end(toy_tokenizer):
    text = "rain " * 500 + "zinc"  # the encoder takes 64 subwords
    rows, numbers, counts = ngram_counts(toy_tokenizer, [text])
    assert dict(zip(numbers, counts, strict=True)) == by_hand(toy_tokenizer, [text])[0]
    assert set(rows) == {0}


@pytest.mark.parametrize("texts", [[], TEXTS], ids=["none", "some"])
def test_no_texts_have_no_rows(toy_tokenizer, texts):
    found = NGrams.of(toy_tokenizer, TEXTS)
    assert found.matrix(toy_tokenizer, texts).shape == (len(texts), len(found))


@pytest.mark.parametrize(
    "texts",
    [TEXTS, ["[SEP] rain [CLS]", "[UNK] snow", "iron"], ["rain and " * 200, "snow"], ["[PAD]"], PAIRS],
    ids=["texts", "special words", "one is cut", "nothing else", "pairs"],
)
def test_what_a_network_read_of_the_texts_gives_the_same_ngrams(toy_encoder_folder, toy_tokenizer, texts):
    tokens = TextClassifier.from_pretrained(toy_encoder_folder, 2, max_length=16).tokenize(texts)
    for found, wanted in zip(
        ngram_counts(toy_tokenizer, texts, tokens), ngram_counts(toy_tokenizer, texts), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_a_text_that_a_network_read_whole_is_not_cut_again(toy_encoder_folder, toy_tokenizer):
    tokens = TextClassifier.from_pretrained(toy_encoder_folder, 2).tokenize(TEXTS)
    rows, numbers, counts = ngram_counts(toy_tokenizer, ["never read"] * len(TEXTS), tokens)
    for found, wanted in zip((rows, numbers, counts), ngram_counts(toy_tokenizer, TEXTS), strict=True):
        np.testing.assert_array_equal(found, wanted)


def sparse_rows(rows, columns, seed=0):
    """Rows of length 1 with about ten numbers, as TF-IDF has."""
    given = random_array((rows, columns), density=10 / columns, rng=np.random.default_rng(seed), format="csr")
    lengths = np.sqrt(given.multiply(given).sum(axis=1))
    return csr_matrix(given / np.maximum(lengths, 1e-12)[:, None], dtype=np.float32)


def targets(rows, width=5, seed=1):
    return (np.random.default_rng(seed).normal(size=(rows, width)) + 2).astype(np.float32)


def exact(features, wanted, penalty):
    ridge = Ridge(alpha=penalty, solver="cholesky").fit(features.toarray().astype(float), wanted.astype(float))
    return ridge.coef_.T, ridge.intercept_


@pytest.mark.parametrize("penalty", [3.0, 1.0, 0.3, 0.1])
@pytest.mark.parametrize(("rows", "columns"), [(300, 40), (60, 400)], ids=["tall", "wide"])
def test_the_layer_is_that_of_scikit_learn_within_the_accuracy_that_is_promised(rows, columns, penalty):
    features, wanted = sparse_rows(rows, columns), targets(rows)
    weight, bias = sparse_ridge(features, wanted, penalty)
    best, best_bias = exact(features, wanted, penalty)
    dense = features.toarray().astype(np.float64)
    centred = dense - dense.mean(axis=0)
    right = centred.T @ (wanted - wanted.mean(axis=0, dtype=np.float64))
    left = centred.T @ centred + penalty * np.eye(columns)
    np.testing.assert_allclose(left @ best, right, atol=1e-9)
    missed = np.linalg.norm(left @ weight - right, axis=0) / np.linalg.norm(right, axis=0)
    assert missed.max() <= 1.01 * TOLERANCE
    # ‖left (W - W*)‖ = ‖missed‖, so no weight is farther off than this by the smallest eigenvalue.
    allowed = 1.01 * TOLERANCE * np.linalg.norm(right, axis=0) / np.linalg.eigvalsh(left)[0]
    assert (np.linalg.norm(weight - best, axis=0) <= allowed).all()
    np.testing.assert_allclose(weight, best, atol=2e-3 * np.abs(best).max())
    np.testing.assert_allclose(bias, best_bias, atol=1e-3)


def test_the_bias_takes_what_all_targets_have_in_common():
    features, wanted = sparse_rows(200, 30), targets(200)
    weight, bias = sparse_ridge(features, wanted, 0.5)
    moved, moved_bias = sparse_ridge(features, wanted + np.float32(7), 0.5)
    np.testing.assert_allclose(moved, weight, atol=2e-3 * np.abs(weight).max())
    np.testing.assert_allclose(moved_bias - bias, 7, atol=1e-3)
    np.testing.assert_allclose((features @ weight + bias).mean(axis=0), wanted.mean(axis=0), atol=1e-5)


def test_targets_that_are_all_alike_are_the_bias_alone():
    weight, bias = sparse_ridge(sparse_rows(50, 20), np.full((50, 2), 3, dtype=np.float32), 1.0)
    np.testing.assert_array_equal(weight, 0)
    np.testing.assert_allclose(bias, 3)


def test_a_heavier_penalty_makes_smaller_weights():
    features, wanted = sparse_rows(200, 30), targets(200)
    sizes = [np.linalg.norm(sparse_ridge(features, wanted, penalty)[0]) for penalty in (0.1, 1.0, 10.0, 1e4)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.02 * sizes[0]


@pytest.mark.parametrize(
    "texts", [["\u200b"], ["\x01", "\U000f0000"], ["\u200b", "iron and rain"], ["\u200b" * 9, "a"]]
)
def test_a_text_of_which_the_tokenizer_keeps_nothing_has_no_ngrams(toy_tokenizer, texts):
    alone = ngram_counts(toy_tokenizer, texts)
    as_read = ngram_counts(toy_tokenizer, texts, toy_tokenizer(texts))
    assert all((one == other).all() for one, other in zip(alone, as_read, strict=True))
    assert 0 not in alone[0]


def test_the_weights_are_those_of_a_ridge_in_closed_form_up_to_half_a_step():
    random = np.random.default_rng(0)
    features, targets = random.random((40, 90)), random.normal(size=(40, 3))
    ridge = Ridge(alpha=0.3, solver="cholesky").fit(features, targets)
    dual = DualRidge.of([""] * 40, targets - ridge.predict(features), 0.3)
    assert dual.parts.dtype == np.int16
    assert np.abs(dual.parts).max() == LEVELS
    assert dual.step.shape == ()
    exact = (targets - ridge.predict(features)) / 0.3
    np.testing.assert_allclose(features.T @ exact, ridge.coef_.T, atol=1e-8)
    assert (np.abs(dual.parts * dual.step - exact) <= 0.5001 * dual.step).all()
    found = dual.weight(csr_matrix(features.astype(np.float32)))
    np.testing.assert_allclose(found, features.T @ (dual.parts * dual.step), rtol=1e-4, atol=1e-4)


def test_fewer_steps_are_coarser_and_pack_into_fewer_bytes():
    residual = np.random.default_rng(0).normal(size=(400, 5))
    fine = DualRidge.of([""] * 400, residual, 0.1)
    coarse = fine.coarser(15)
    assert np.abs(coarse.parts).max() == 15
    np.testing.assert_allclose(coarse.parts * coarse.step, residual / 0.1, atol=0.51 * float(coarse.step + fine.step))
    sizes = [len(ridge.packed()["packed_parts"]) for ridge in (fine, coarse)]
    assert sizes[1] < 0.7 * sizes[0]


def test_a_file_with_a_step_for_each_column_is_read_as_it_was_written():
    parts, step = np.array([[1, -2], [3, 4]], dtype=np.int8), np.array([0.5, 0.25], dtype=np.float32)
    features = csr_matrix(np.array([[1, 0, 2], [0, 1, 1]], dtype=np.float32))
    again = DualRidge.unpacked(DualRidge(["a", "b"], parts, step).packed(), 2)
    np.testing.assert_allclose(again.weight(features), features.toarray().T @ (parts * step))


@pytest.mark.parametrize("levels", [LEVELS, 31])
@pytest.mark.parametrize("texts", [["a\nb", "ü", ""], [("one, “two”", "three"), ("", "four")]])
def test_texts_and_parts_come_back_as_they_were(texts, levels):
    dual = DualRidge.of(texts, np.random.default_rng(0).normal(size=(len(texts), 5)), 0.1)
    dual = dual if levels == LEVELS else dual.coarser(levels)
    again = DualRidge.unpacked(dual.packed(), 5)
    assert again.texts == texts
    assert again.parts.dtype == dual.parts.dtype
    np.testing.assert_array_equal(again.parts, dual.parts)
    np.testing.assert_array_equal(again.step, dual.step)


def test_a_text_key_in_texts_searches_as_the_one_of_weights_is_smaller_and_comes_back(tmp_path):
    tokenizer, random = word_tokenizer(), np.random.default_rng(0)
    labels = np.arange(300) % 3
    own = np.array_split(np.asarray(WORDS), 3)
    texts = [" ".join([*random.choice(own[c], 5), *random.choice(WORDS, 3)]) for c in labels.tolist()]
    z = np.eye(16)[labels] + 0.2 * random.normal(size=(300, 16))
    memory = memory_of(z, np.eye(3)[labels], texts=texts)
    sizes, keys, rows = {}, {}, {}
    for name, in_texts in (("weights", False), ("texts", True)):
        keys[name], rows[name] = TextKey.fit(tokenizer, memory, in_texts=in_texts)
        (tmp_path / name).mkdir()
        keys[name].save(tmp_path / name)
        sizes[name] = (tmp_path / name / FILE).stat().st_size
    np.testing.assert_array_equal(rows["weights"], rows["texts"])
    queries = {name: key.embed([*texts[:50], "never heard"]) for name, key in keys.items()}
    assert (queries["weights"] * queries["texts"]).sum(axis=1).min() > 0.99
    assert sizes["texts"] < sizes["weights"] / 4
    loaded = TextKey.load(tmp_path / "texts", tokenizer)
    np.testing.assert_allclose(loaded.embed(texts), keys["texts"].embed(texts), atol=1e-6)
