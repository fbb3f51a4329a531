"""A ridge that is written as its texts is the ridge of the weights."""

import numpy as np
import pytest
from memories import memory_of
from scipy.sparse import csr_matrix
from sibling_texts import WORDS, word_tokenizer
from sklearn.linear_model import Ridge

from reaugkd.method.dual_ridge import LEVELS, DualRidge
from reaugkd.method.text_key import FILE, TextKey

PAIRS = [("one, “two”", "three"), ("", "four")]


def test_the_weights_are_those_of_a_ridge_in_closed_form_up_to_half_a_step():
    random = np.random.default_rng(0)
    features, targets = random.random((40, 90)), random.normal(size=(40, 3))
    ridge = Ridge(alpha=0.3, solver="cholesky").fit(features, targets)
    dual = DualRidge.of([""] * 40, targets - ridge.predict(features), 0.3)
    assert dual.parts.dtype == np.int8
    assert np.abs(dual.parts).max(axis=0).tolist() == [LEVELS] * 3
    exact = (targets - ridge.predict(features)) / 0.3
    np.testing.assert_allclose(features.T @ exact, ridge.coef_.T, atol=1e-8)
    assert (np.abs(dual.parts * dual.step - exact) <= 0.5001 * dual.step).all()
    found = dual.weight(csr_matrix(features.astype(np.float32)))
    np.testing.assert_allclose(found, features.T @ (dual.parts * dual.step), rtol=1e-4, atol=1e-4)


def test_fewer_steps_are_coarser_and_pack_into_fewer_bytes():
    residual = np.random.default_rng(0).normal(size=(400, 5))
    fine = DualRidge.of([""] * 400, residual, 0.1)
    coarse = fine.coarser(15)
    assert np.abs(coarse.parts).max(axis=0).tolist() == [15] * 5
    np.testing.assert_allclose(coarse.parts * coarse.step, residual / 0.1, atol=0.51 * float(coarse.step.max()) + 0.2)
    sizes = [len(ridge.packed()["packed_parts"]) for ridge in (fine, coarse)]
    assert sizes[1] < 0.7 * sizes[0]


@pytest.mark.parametrize("texts", [["a\nb", "ü", ""], PAIRS])
def test_texts_and_parts_come_back_as_they_were(texts):
    dual = DualRidge.of(texts, np.random.default_rng(0).normal(size=(len(texts), 5)), 0.1)
    again = DualRidge.unpacked(dual.packed())
    assert again.texts == texts
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
