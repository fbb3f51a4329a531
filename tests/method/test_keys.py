"""The aligned key keeps the order of all neighbours, and keys are fitted apart from the rows that they key."""

import numpy as np
import pytest
from memories import brute_force, memory_of, unit
from sibling_texts import TELLING, WORDS, share_right, shuffled_families, word_tokenizer

from reaugkd.method import keys as module
from reaugkd.method.keys import AlignedKey, EncoderKey, UntunedEncoder, fit_keys, fit_rows, key_width
from reaugkd.method.text_key import TextKey
from reaugkd.networks.encoders import TextClassifier
from reaugkd.texts import have_siblings


@pytest.fixture(scope="module")
def spaces():
    """300 z of width 32 that lie in 5 dimensions, and 50 x that lie anywhere."""
    random = np.random.default_rng(0)
    z = unit(random.normal(size=(300, 5)) @ random.normal(size=(5, 32)))
    return z.astype(np.float32), unit(random.normal(size=(50, 32))).astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "width", "classes", "wanted"), [(100, 32, 3, 8), (100, 32, 12, 12), (100, 6, 12, 6), (5, 32, 3, 5)]
)
def test_a_key_has_as_many_numbers_as_classes_but_eight_at_least_and_no_more_than_there_are(
    rows, width, classes, wanted
):
    assert key_width(np.zeros((rows, width)), classes) == wanted


def test_the_axes_are_the_first_right_singular_vectors(spaces):
    z = spaces[0] + 0.01 * np.random.default_rng(1).normal(size=(300, 32))
    axes = AlignedKey.fit(z, 3).axes
    wanted = np.linalg.svd(z.astype(np.float64), full_matrices=False)[2][:8]
    assert (axes.shape, axes.dtype) == ((32, 8), np.float32)
    np.testing.assert_allclose(np.abs((wanted @ axes)[:5, :5]), np.eye(5), atol=1e-5)  # the signs are free
    np.testing.assert_allclose(axes @ axes.T, wanted.T @ wanted, atol=1e-4)


def test_memories_in_the_subspace_have_the_order_and_the_products_of_the_full_width(spaces):
    z, x = spaces
    key = AlignedKey.fit(z, 3)
    memories, queries = key.embed([], z), key.embed([], x)
    np.testing.assert_allclose(np.linalg.norm(memories, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(brute_force(memories, queries, 20)[1], brute_force(z, x, 20)[1])
    # x · z is that of all dimensions; the length of x on the axes scales it for all memories alike.
    lengths = np.linalg.norm(x.astype(np.float64) @ key.axes, axis=1, keepdims=True)
    np.testing.assert_allclose(lengths * (queries @ memories.T), unit(x) @ unit(z).T, atol=1e-6)


def test_x_is_read_and_the_texts_are_not(spaces):
    key, x = AlignedKey.fit(spaces[0], 3), spaces[1]
    np.testing.assert_array_equal(key.embed(["one"] * 50, x), key.embed(["other"] * 50, x))
    assert np.abs(key.embed([], x[::-1]) - key.embed([], x)).max() > 0.1


def test_the_key_comes_back_from_its_file_and_embeds_the_same_to_the_bit(spaces, tmp_path):
    z, x = spaces
    key = AlignedKey.fit(z, 3)
    key.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["aligned.safetensors"]
    np.testing.assert_array_equal(AlignedKey.load(tmp_path).embed([], x), key.embed([], x))


SEEDS = range(8)
CHANCE = 0.06  # of 480 families; the standard deviation of a share by chance is 0.023


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer()


def memory_and_texts(seed, **sizes):
    texts, labels, z, family = shuffled_families(seed, **sizes)
    return memory_of(z, np.eye(2)[labels], texts=texts), texts, labels, family


@pytest.fixture
def fitted_to(monkeypatch):
    """The texts to which the text key was fitted."""
    texts = []
    original = TextKey.fit.__func__

    def spy(cls, tokenizer, given, **options):
        texts.extend(given.texts)
        return original(cls, tokenizer, given, **options)

    monkeypatch.setattr(TextKey, "fit", classmethod(spy))
    return texts


def test_the_keys_are_those_of_each_module_and_the_memory_holds_what_they_search(tokenizer):
    memory = memory_and_texts(0)[0]
    keys, keyed = fit_keys(memory, tokenizer)
    assert list(keys) == list(keyed.keys) == ["aligned", "text"]
    text, text_keys = TextKey.fit(tokenizer, memory)
    np.testing.assert_allclose(keyed.keys["text"], text_keys, atol=1e-6)
    np.testing.assert_array_equal(keys["text"].weight, text.weight)
    aligned = AlignedKey.fit(memory.teacher_embeddings, 2)
    np.testing.assert_allclose(keyed.keys["aligned"], aligned.embed([], memory.teacher_embeddings), atol=1e-6)
    assert keyed.rows is memory.rows


def test_no_sibling_of_a_held_out_text_is_fitted_to_and_it_is_keyed_as_a_query_is(tokenizer, fitted_to):
    memory, texts, _, family = memory_and_texts(0)
    held_out = [text for number, text in enumerate(texts) if family[number] % 4 == 0 and number % 3 == 2]
    is_sibling = have_siblings(texts, held_out)
    assert is_sibling[family % 4 == 0].all()
    keys, keyed = fit_keys(memory, tokenizer, held_out=held_out)
    assert fitted_to == [text for text, left_out in zip(texts, is_sibling, strict=True) if not left_out]
    by_query = keys["text"].embed([text for text, left_out in zip(texts, is_sibling, strict=True) if left_out])
    np.testing.assert_allclose(keyed.keys["text"][is_sibling], by_query, atol=1e-6)
    assert len(keyed) == len(memory)


def test_with_shuffled_labels_held_out_texts_are_answered_as_by_chance_though_the_memory_holds_their_siblings(
    tokenizer,
):
    """Other memories say what they are of: a text that is drawn to its siblings' label would find those."""
    apart, together = [], []
    for seed in SEEDS:
        texts, labels, z, _ = shuffled_families(seed, families=60)
        random = np.random.default_rng(seed)
        asked, told = np.arange(180) % 3 == 2, np.arange(120) % 2
        telling = [" ".join([*random.choice(TELLING[label], 2), *random.choice(WORDS, 2)]) for label in told.tolist()]
        z = np.concatenate([z[~asked], np.eye(2, 16)[told]])
        memory_labels = np.concatenate([labels[~asked], told])
        memory = memory_of(z, np.eye(2)[memory_labels], texts=[*np.asarray(texts)[~asked], *telling])
        held_out = np.asarray(texts)[asked].tolist()
        left_out = np.tile(np.arange(240) < 120, (60, 1))  # all siblings, whosever they are
        for scores, options in ((apart, {"held_out": held_out}), (together, {})):
            keys, keyed = fit_keys(memory, tokenizer, **options)
            queries = keys["text"].embed(held_out)
            scores.append(share_right(keyed.keys["text"], memory_labels, queries, labels[asked], left_out))
    assert abs(np.mean(apart) - 0.5) < CHANCE
    assert np.mean(together) > 0.5 + 3 * CHANCE


def test_rows_without_a_teacher_are_not_fitted_to_and_are_keyed_as_a_query_is(tokenizer, fitted_to):
    memory, texts, _, _ = memory_and_texts(1)
    taught = np.arange(len(texts)) % 5 > 0
    keys, keyed = fit_keys(memory, tokenizer, taught=taught)
    assert fitted_to == [text for text, is_taught in zip(texts, taught, strict=True) if is_taught]
    queries = keys["text"].embed([text for text, is_taught in zip(texts, taught, strict=True) if not is_taught])
    np.testing.assert_allclose(keyed.keys["text"][~taught], queries, atol=1e-6)
    axes = AlignedKey.fit(memory.teacher_embeddings[taught], 2)
    np.testing.assert_allclose(keyed.keys["aligned"], axes.embed([], memory.teacher_embeddings), atol=1e-6)
    np.testing.assert_array_equal(taught, np.arange(len(texts)) % 5 > 0)  # what was given stays as it was


def test_where_all_rows_are_siblings_of_what_is_held_out_all_are_fitted_to(tokenizer, fitted_to):
    memory, texts, _, _ = memory_and_texts(2, families=4)
    keyed = fit_keys(memory, tokenizer, held_out=texts)[1]
    assert fitted_to == texts
    assert np.isfinite(keyed.keys["text"]).all()


def test_an_encoder_is_run_once_and_keys_the_memory_too(toy_encoder_folder, toy_task, monkeypatch):
    texts = toy_task.texts("train")
    z = unit(np.random.default_rng(0).normal(size=(90, 16)))
    memory = memory_of(z, np.eye(3)[toy_task.labels("train")], texts=texts)
    untuned = UntunedEncoder.of(toy_encoder_folder, texts, layers=2, max_length=16)
    assert untuned.pooled.shape == (90, 3, 32)
    monkeypatch.setattr(TextClassifier, "encode_layers", lambda *_: pytest.fail("the encoder ran again"))
    held_out = toy_task.texts("validation")
    keys, keyed = fit_keys(memory, untuned.encoder.tokenizer, encoder=untuned)
    wanted = EncoderKey.fit(untuned, memory)[1]
    np.testing.assert_allclose(keyed.keys["encoder"], wanted, atol=1e-6)
    keys, keyed = fit_keys(memory, untuned.encoder.tokenizer, encoder=untuned, held_out=held_out)
    assert list(keys) == list(keyed.keys) == ["aligned", "text", "encoder"]
    siblings = have_siblings(texts, held_out)
    assert siblings.any()
    np.testing.assert_allclose(
        keyed.keys["encoder"][siblings], keys["encoder"].keys(untuned.pooled[siblings]), atol=1e-6
    )


def test_what_is_merged_lies_where_it_was():
    fitted = np.asarray([True, False, False, True, True])
    found = module.merged(fitted, np.asarray([[0], [3], [4]]), np.asarray([[1], [2]]))
    assert found.ravel().tolist() == [0, 1, 2, 3, 4]


def test_a_key_is_fitted_to_so_many_rows_at_most_and_keys_the_others_as_queries(toy_model, monkeypatch):
    monkeypatch.setattr("reaugkd.method.keys.MOST_FITTED", 20)
    monkeypatch.setattr("reaugkd.method.keys.KEYED_AT_A_TIME", 7)
    memory, tokenizer = toy_model.memory, toy_model.student.tokenizer
    fitted = fit_rows(memory.texts, [])
    assert fitted.sum() == 20
    keys, keyed = fit_keys(memory, tokenizer)
    others = np.flatnonzero(~fitted)
    texts = [memory.texts[row] for row in others]
    np.testing.assert_allclose(keyed.keys["text"][others], keys["text"].embed(texts), atol=1e-6)
    assert keys["text"].ngrams.texts == 20
