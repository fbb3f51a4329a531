"""The encoder key: a ridge in closed form, keys of length 1, and memories that are not keyed by their own label."""

import numpy as np
import pytest
from memories import memory_of, unit
from sibling_texts import share_right, shuffled_families

from reaugkd.method import keys as keys_module
from reaugkd.method.keys import PENALTIES, EncoderKey, UntunedEncoder
from reaugkd.networks.encoders import TextClassifier
from reaugkd.texts import folds_apart

TEXTS = [f"row {first}{second}" for first in "abcdefgh" for second in "abcdefgh"][:60]  # no two are siblings
LABELS = np.arange(60) % 3
SEEDS = range(8)
CHANCE = 0.05  # of 800 families; the standard deviation of a share by chance is 0.018


@pytest.fixture(scope="module")
def layers_and_z():
    random = np.random.default_rng(0)
    layers = random.normal(size=(60, 2, 3)) * [1, 2, 3] + 1
    z = unit(layers.reshape(60, 6) @ random.normal(size=(6, 4)) + 3 * random.normal(size=(60, 4)) + 5)
    return layers, z


def fit(encoder, layers, texts, z, labels):
    """The key of a memory of these texts."""
    return EncoderKey.fit(UntunedEncoder(encoder, layers), memory_of(z, np.eye(3)[labels], texts=texts))


def by_hand(layers, z, penalty):
    """The ridge on standardised columns, its bias without the mean of z, and that mean at the length of the rest."""
    x, common = layers.reshape(len(layers), -1), z.mean(axis=0)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    weight = np.linalg.solve(scaled.T @ scaled + penalty * np.eye(x.shape[1]), scaled.T @ (z - common))
    weight /= x.std(axis=0)[:, None]
    bias = -x.mean(axis=0) @ weight
    spread = np.sqrt(((x @ weight + bias) ** 2).sum(axis=1).mean())
    return weight, bias + spread * common, bias + common


def best_penalty(layers, z, folds):
    seen, held_out = folds != 0, folds == 0

    def error(penalty):
        weight, _, plain = by_hand(layers[seen], z[seen], penalty)
        return ((layers[held_out].reshape(held_out.sum(), -1) @ weight + plain - z[held_out]) ** 2).sum()

    return min(PENALTIES, key=error)


def test_the_layer_is_the_ridge_of_the_best_penalty_and_each_row_is_keyed_by_that_of_the_other_folds(layers_and_z):
    layers, z = layers_and_z
    folds = folds_apart(TEXTS, LABELS, 5)
    penalty = best_penalty(layers, z, folds)
    key, keys = fit(None, layers, TEXTS, z, LABELS)
    weight, bias, _ = by_hand(layers, z, penalty)
    np.testing.assert_allclose(key.weight, weight, atol=1e-5)
    np.testing.assert_allclose(key.bias, bias, atol=1e-5)
    for fold in range(5):
        own = folds == fold
        weight, bias, _ = by_hand(layers[~own], z[~own], penalty)
        drawn = layers[own].reshape(own.sum(), -1) @ weight + bias
        wanted = np.concatenate([unit(layers[own][:, -1]), unit(drawn)], axis=1) * np.sqrt(0.5)
        np.testing.assert_allclose(keys[own], wanted, atol=1e-5)


def test_the_keys_of_a_fold_do_not_move_whatever_its_embeddings_are(layers_and_z, monkeypatch):
    monkeypatch.setattr(keys_module, "PENALTIES", (10.0,))
    layers, z = layers_and_z
    own = folds_apart(TEXTS, LABELS, 5) == 2
    wild = z.copy()
    wild[own] *= -1
    before, after = (fit(None, layers, TEXTS, given, LABELS)[1] for given in (z, wild))
    np.testing.assert_array_equal(after[own], before[own])
    assert (np.abs(after - before).max(axis=1)[~own] > 1e-2).all()


@pytest.mark.parametrize("most", [40, 60])
def test_of_more_rows_than_memory_allows_so_many_are_drawn_and_else_all_are_taken(layers_and_z, monkeypatch, most):
    layers, z = layers_and_z
    monkeypatch.setattr(keys_module, "PENALTIES", (10.0,))
    monkeypatch.setattr(keys_module, "MOST_ROWS", most)
    key, keys = fit(None, layers, TEXTS, z, LABELS)
    drawn = np.sort(np.random.default_rng(0).choice(60, most, replace=False))
    np.testing.assert_allclose(key.weight, by_hand(layers[drawn], z[drawn], 10.0)[0], atol=1e-5)
    assert keys.shape == (60, 7)


def test_a_product_of_keys_is_half_the_cosine_of_the_last_layers_and_half_that_of_what_is_drawn():
    random = np.random.default_rng(1)
    layers = random.normal(size=(4, 2, 6))
    key = EncoderKey(None, random.normal(size=(12, 3)).astype("f4"), random.normal(size=3).astype("f4"))
    e, u = unit(layers[:, 1]), unit(layers.reshape(4, 12) @ key.weight + key.bias)
    keys = key.keys(layers)
    np.testing.assert_allclose(keys @ keys.T, (e @ e.T + u @ u.T) / 2, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-6)
    assert key.keys(layers[:0]).shape == (0, 9)


def test_what_decides_the_class_is_found_where_only_an_earlier_layer_tells_it():
    """The last layer is of another topic for every text: its neighbours are a lottery."""
    random = np.random.default_rng(2)
    labels = np.arange(400) % 2
    layers = random.normal(size=(400, 2, 20))
    layers[:, 0, 0] += 3 * (2 * labels - 1)
    z = unit(0.1 * np.eye(2)[labels] + 1)
    texts = [f"row{number}" for number in range(300)]
    key, keys = fit(None, layers[:300], texts, z[:300], labels[:300])
    nobody = np.zeros((100, 300), dtype=bool)
    last = unit(layers[:, -1])
    assert share_right(last[:300], labels[:300], last[300:], labels[300:], nobody) < 0.65
    assert share_right(keys, labels[:300], key.keys(layers[300:]), labels[300:], nobody) > 0.9


def test_with_shuffled_labels_the_memory_alone_scores_as_chance_does():
    by_others, by_itself = [], []
    for seed in SEEDS:
        texts, labels, z, family = shuffled_families(seed)
        random = np.random.default_rng(seed)
        layers = (random.normal(size=(100, 2, 60))[family] + 0.3 * random.normal(size=(300, 2, 60))).astype("f4")
        key, keys = fit(None, layers, texts, z, labels)
        left_out = family[:, None] == family
        by_others.append(share_right(keys, labels, keys, labels, left_out))
        by_itself.append(share_right(key.keys(layers), labels, key.keys(layers), labels, left_out))
    assert abs(np.mean(by_others) - 0.5) < CHANCE
    assert np.mean(by_itself) > 0.75


@pytest.mark.parametrize("layers", [None, 2])
def test_the_key_comes_back_from_its_folder_and_embeds_the_same_to_the_bit(toy_encoder_folder, tmp_path, layers):
    encoder = TextClassifier.from_pretrained(toy_encoder_folder, 1, layers=layers, max_length=16)
    texts = ["the old iron", "rain and snow", "a plum", "zinc and brass", "some very new fog", "peach"]
    pooled = encoder.encode_layers(texts)
    z = unit(np.random.default_rng(3).normal(size=(6, 4))).astype("f4")
    key, keys = fit(encoder, pooled, texts, z, np.arange(6) % 2)
    key.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]
    loaded = EncoderKey.load(tmp_path, max_length=16)
    np.testing.assert_array_equal(loaded.embed(texts), key.embed(texts))
    np.testing.assert_allclose(key.embed(texts, np.ones((6, 4))), key.keys(pooled), atol=1e-6)
    assert loaded.encoder.num_layers == (layers or 4)
    assert keys.shape == (6, 32 + 4)


def test_a_single_family_is_keyed_too():
    random = np.random.default_rng(0)
    key, keys = fit(None, random.normal(size=(3, 2, 4)), ["a b"] * 3, random.normal(size=(3, 5)), np.zeros(3, int))
    np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-6)
    assert key.weight.shape == (8, 5)
