"""Encoders: pooling, cutting, encoding, saving and loading."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoModel,
    AutoTokenizer,
    LongformerConfig,
    ModernBertConfig,
    ModernBertModel,
)

from reaugkd.errors import ReAugKDError
from reaugkd.networks import encoders
from reaugkd.networks.encoders import (
    TextClassifier,
    _keep_layers,
    check_encoder,
    normalize,
    tokenized,
)
from reaugkd.networks.weights import read_pooling, write_pooling

TEXTS = ["apple", "the old iron was there", "rain and snow and a storm today", "pear plum"]
PAIRS = [("apple", "iron"), ("rain and snow", "the new copper"), ("fog", "we saw a very old pear")]


def classifier(folder, labels=3, **settings):
    torch.manual_seed(5)
    return TextClassifier.from_pretrained(folder, labels, **settings)


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def last_hidden_states(folder, text, layers=None):
    """The plain encoder's outputs for one text or pair, without padding, shape (L, H)."""
    encoder = AutoModel.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(*([text] if isinstance(text, str) else text), return_tensors="pt")
    with torch.inference_mode():
        outputs = encoder(**tokens, output_hidden_states=True)
    hidden = outputs.last_hidden_state if layers is None else outputs.hidden_states[layers]
    return hidden[0].numpy().astype(np.float64)


@pytest.mark.parametrize("which", ["toy_encoder_folder", "wide_encoder_folder"])
def test_mean_pooling_is_the_mean_over_the_tokens_without_padding(which, request):
    folder = request.getfixturevalue(which)
    model = classifier(folder)
    hidden, probabilities = model.encode(TEXTS)
    wanted = np.stack([last_hidden_states(folder, text).mean(axis=0) for text in TEXTS])
    np.testing.assert_allclose(hidden, wanted, atol=1e-5)
    weight, bias = (value.detach().numpy().astype(np.float64) for value in model.classifier.parameters())
    np.testing.assert_allclose(probabilities, softmax(wanted @ weight.T + bias), atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_every_layer_is_pooled_and_the_last_is_what_is_encoded(toy_encoder_folder, pooling):
    model = classifier(toy_encoder_folder)
    model.pooling = pooling
    layers = model.encode_layers(TEXTS)
    assert layers.shape == (len(TEXTS), model.num_layers + 1, model.embedding_width)
    for layer in range(model.num_layers + 1):
        states = [last_hidden_states(toy_encoder_folder, text, layer) for text in TEXTS]
        wanted = [state.mean(axis=0) if pooling == "mean" else state[0] for state in states]
        np.testing.assert_allclose(layers[:, layer], wanted, atol=1e-5)
    np.testing.assert_allclose(layers[:, -1], model.encode(TEXTS)[0], atol=1e-6)


def test_cls_pooling_is_read_from_the_file_and_takes_the_first_token(toy_encoder_folder, tmp_path):
    folder = shutil.copytree(toy_encoder_folder, tmp_path / "cls")
    write_pooling(folder, "cls", 32)
    assert read_pooling(folder) == "cls"
    assert json.loads((folder / "1_Pooling/config.json").read_text())["word_embedding_dimension"] == 32
    hidden, _ = classifier(folder).encode(TEXTS)
    np.testing.assert_allclose(hidden, [last_hidden_states(folder, text)[0] for text in TEXTS], atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_cut_encoder_gives_what_the_full_one_gives_after_so_many_layers(toy_encoder_folder, layers):
    model = classifier(toy_encoder_folder, layers=layers)
    assert model.num_layers == layers
    hidden, _ = model.encode(TEXTS)
    wanted = [last_hidden_states(toy_encoder_folder, text, layers).mean(axis=0) for text in TEXTS]
    np.testing.assert_allclose(hidden, wanted, atol=1e-5)


def test_cutting_keeps_the_weights_of_the_first_layers(toy_encoder_folder):
    full = AutoModel.from_pretrained(toy_encoder_folder).state_dict()
    cut = classifier(toy_encoder_folder, layers=2).encoder
    state = cut.state_dict()
    assert {name.split(".")[2] for name in state if name.startswith("encoder.layer.")} == {"0", "1"}
    assert all(torch.equal(value, full[name]) for name, value in state.items())
    assert cut.config.num_hidden_layers == 2


SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}


def cut_to_two(full, folder, toy_encoder_folder):
    """Save an encoder beside the toy tokenizer, and load its first two layers."""
    shutil.copytree(toy_encoder_folder, folder)
    full.save_pretrained(folder)
    return classifier(folder, layers=2)


def test_a_cut_encoder_whose_layers_are_of_several_kinds_is_saved_and_comes_back(toy_encoder_folder, tmp_path):
    full = ModernBertModel(ModernBertConfig(vocab_size=200, pad_token_id=0, num_hidden_layers=4, **SIZES))
    kinds = list(full.config.layer_types)
    assert len(set(kinds[:2])) == 2
    cut = cut_to_two(full, tmp_path / "full", toy_encoder_folder)
    cut.save(tmp_path / "cut")
    saved = AutoModel.from_pretrained(tmp_path / "cut")
    assert list(saved.config.layer_types) == kinds[:2]
    ids = torch.tensor([[3, 4, 5]])
    torch.testing.assert_close(saved(ids).last_hidden_state, cut.encoder(ids).last_hidden_state)


def test_an_encoder_whose_layers_share_their_weights_is_cut_too(toy_encoder_folder, tmp_path):
    full = AlbertModel(AlbertConfig(vocab_size=200, embedding_size=16, num_hidden_layers=3, **SIZES))
    hidden, _ = cut_to_two(full, tmp_path / "full", toy_encoder_folder).encode(TEXTS)
    wanted = [last_hidden_states(tmp_path / "full", text, layers=2).mean(axis=0) for text in TEXTS]
    np.testing.assert_allclose(hidden, wanted, atol=1e-5)


def test_an_embedding_head_is_the_identity_at_first_and_leaves_the_classifier_alone(toy_encoder_folder, tmp_path):
    model = classifier(toy_encoder_folder)
    plain = model.encode(TEXTS)
    model.add_embedding_head()
    np.testing.assert_allclose(model.encode(TEXTS)[0], plain[0], atol=1e-6)
    torch.nn.init.normal_(model.embedding_head.weight)
    hidden, probabilities = model.encode(TEXTS)
    wanted = plain[0] @ model.embedding_head.weight.detach().numpy().T
    np.testing.assert_allclose(hidden, wanted, atol=1e-4)
    np.testing.assert_array_equal(probabilities, plain[1])
    model.save(tmp_path)
    again = TextClassifier.load(tmp_path).encode(TEXTS)
    np.testing.assert_allclose(again[0], hidden, atol=1e-5)
    np.testing.assert_allclose(again[1], probabilities, atol=1e-6)


@pytest.mark.parametrize("layers", [-1, 0, 5])
def test_cutting_to_a_wrong_number_of_layers_is_refused(toy_encoder_folder, layers):
    with pytest.raises(
        ReAugKDError, match=f"A student of {layers} layers cannot be cut from an encoder of 4; take 1 to 4"
    ):
        classifier(toy_encoder_folder, layers=layers)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_encoding_depends_neither_on_the_order_nor_on_the_batches(toy_encoder_folder, batch_size, monkeypatch):
    model = classifier(toy_encoder_folder)
    hidden, probabilities = model.encode(TEXTS)
    shuffled = [2, 0, 3, 1]
    monkeypatch.setattr(encoders, "BATCH_SIZE", batch_size)
    again = model.encode([TEXTS[position] for position in shuffled])
    np.testing.assert_allclose(again[0], hidden[shuffled], atol=1e-5)
    np.testing.assert_allclose(again[1], probabilities[shuffled], atol=1e-5)


def test_texts_are_tokenized_a_part_at_a_time_and_encoded_as_all_at_once_are(toy_encoder_folder, monkeypatch):
    model = classifier(toy_encoder_folder)
    at_once, at_a_time = model.encode(TEXTS * 3), []
    monkeypatch.setattr(encoders, "TOKENIZED", 4)
    tokenize = model.tokenize
    monkeypatch.setattr(model, "tokenize", lambda texts: at_a_time.append(len(texts)) or tokenize(texts))
    for found, wanted in zip(model.encode(TEXTS * 3), at_once, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert max(at_a_time) <= 4
    assert sum(at_a_time) == len(TEXTS * 3)


def test_encoding_no_texts_gives_no_rows(toy_encoder_folder):
    hidden, probabilities = classifier(toy_encoder_folder).encode([])
    assert hidden.shape == (0, 32)
    assert probabilities.shape == (0, 3)


def test_encoding_leaves_the_dropout_out_even_in_training(toy_encoder_folder):
    model = classifier(toy_encoder_folder).train()
    np.testing.assert_array_equal(model.encode(TEXTS)[1], model.encode(TEXTS)[1])


@pytest.mark.parametrize("which", ["toy_encoder_folder", "wide_encoder_folder"])
def test_pairs_are_encoded_together_and_in_their_order(which, request):
    folder = request.getfixturevalue(which)
    model = classifier(folder)
    hidden, _ = model.encode(PAIRS)
    np.testing.assert_allclose(hidden, [last_hidden_states(folder, pair).mean(axis=0) for pair in PAIRS], atol=1e-5)
    swapped, _ = model.encode([(second, first) for first, second in PAIRS])
    assert np.abs(swapped - hidden).max() > 1e-3


def test_long_texts_and_pairs_are_cut_to_the_length(toy_encoder_folder):
    model = classifier(toy_encoder_folder, max_length=8)
    long = " ".join(["apple"] * 200)
    assert [len(ids) for ids in model.tokenize([long, "apple"])["input_ids"]] == [8, 3]
    assert [len(ids) for ids in model.tokenize([(long, "rain"), ("rain", long)])["input_ids"]] == [8, 8]
    assert classifier(toy_encoder_folder, max_length=1_000).max_length == 64  # its number of positions


@pytest.mark.parametrize("which", ["toy_encoder_folder", "wide_encoder_folder"])
def test_a_text_longer_than_all_positions_is_encoded(which, request):
    model = classifier(request.getfixturevalue(which), max_length=1_000)
    hidden, probabilities = model.encode([" ".join(["apple"] * 300)])
    assert np.isfinite(hidden).all()
    np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-5)


def test_saving_and_loading_gives_the_same_numbers_to_the_bit(toy_encoder_folder, tmp_path):
    model = classifier(toy_encoder_folder, layers=2)
    model.save(tmp_path / "saved")
    loaded = TextClassifier.load(tmp_path / "saved")
    assert loaded.num_layers == 2
    for before, after in zip(model.encode(TEXTS), loaded.encode(TEXTS), strict=True):
        np.testing.assert_array_equal(after, before)


def test_saving_keeps_the_pooling(toy_encoder_folder, tmp_path):
    folder = shutil.copytree(toy_encoder_folder, tmp_path / "cls")
    write_pooling(folder, "cls", 32)
    classifier(folder).save(tmp_path / "saved")
    assert TextClassifier.load(tmp_path / "saved").pooling == "cls"


def test_a_saved_encoder_loads_with_plain_transformers(toy_encoder_folder, tmp_path):
    model = classifier(toy_encoder_folder, layers=2)
    model.save(tmp_path / "saved")
    wanted = [last_hidden_states(tmp_path / "saved", text).mean(axis=0) for text in TEXTS]
    np.testing.assert_allclose(model.encode(TEXTS)[0], wanted, atol=1e-5)


def test_frozen_word_embeddings_have_no_gradient_and_the_rest_has(toy_encoder_folder):
    model = classifier(toy_encoder_folder)
    model.freeze_word_embeddings()
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert frozen == {"encoder.embeddings.word_embeddings.weight"}


@pytest.mark.parametrize("which", ["toy_encoder_folder", "wide_encoder_folder"])
def test_every_trained_weight_gets_a_gradient(which, request):
    model = classifier(request.getfixturevalue(which))
    batch = model.tokenizer.pad(dict(model.tokenize(TEXTS)), return_tensors="pt")
    model(**batch)[1].square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def test_normalized_rows_have_length_one_and_zeros_stay():
    vectors = np.random.default_rng(0).normal(size=(5, 7)) * 100
    vectors[2] = 0
    lengths = np.linalg.norm(normalize(vectors).astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 0, 1, 1], atol=1e-6)
    assert normalize(vectors).dtype == np.float32
    np.testing.assert_array_equal(normalize(normalize(vectors)), normalize(vectors))


def test_a_folder_without_an_encoder_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ReAugKDError, match="cannot be loaded as an encoder"):
        TextClassifier.from_pretrained(tmp_path, 3)


def test_an_encoder_without_its_tokenizers_files_is_refused(toy_encoder_folder, tmp_path):
    AutoModel.from_pretrained(toy_encoder_folder).save_pretrained(tmp_path)
    with pytest.raises(ReAugKDError, match=r"its tokenizer's files are missing.*save the tokenizer there too"):
        TextClassifier.from_pretrained(tmp_path, 3)


def test_code_beside_the_weights_of_an_encoder_is_never_run(toy_encoder_folder, tmp_path):
    folder = shutil.copytree(toy_encoder_folder, tmp_path / "coded")
    (folder / "code.py").write_text("raise SystemExit('this ran')")
    brings_code = {"model_type": "unheard", "auto_map": {"AutoConfig": "code.Config"}}
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | brings_code))
    with pytest.raises(ReAugKDError, match="cannot be loaded as an encoder"):
        TextClassifier.from_pretrained(folder, 3)


def test_pickled_weights_are_not_loaded(toy_encoder_folder, tmp_path):
    folder = shutil.copytree(toy_encoder_folder, tmp_path / "pickled")
    torch.save(AutoModel.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ReAugKDError, match="cannot be loaded as an encoder"):
        TextClassifier.from_pretrained(folder, 3)


@pytest.mark.parametrize("is_missing", [True, False])
@pytest.mark.parametrize("file", ["model.safetensors", "classifier.safetensors", "config.json", "tokenizer.json"])
def test_a_missing_or_damaged_file_is_one_sentence(toy_encoder_folder, tmp_path, file, is_missing):
    classifier(toy_encoder_folder).save(tmp_path)
    start = (tmp_path / file).read_bytes()[:40]
    (tmp_path / file).unlink()
    if not is_missing:
        (tmp_path / file).write_bytes(start)
    with pytest.raises(ReAugKDError, match=r"holds no whole classifier|cannot be loaded as an encoder") as caught:
        TextClassifier.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_classifier_of_another_width_is_refused(toy_encoder_folder, tmp_path):
    classifier(toy_encoder_folder).save(tmp_path)
    save_file({"weight": torch.zeros(3, 20), "bias": torch.zeros(3)}, tmp_path / "classifier.safetensors")
    with pytest.raises(ReAugKDError, match="holds no whole classifier") as caught:
        TextClassifier.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_loading_says_nothing(toy_encoder_folder, tmp_path, capfd):
    classifier(toy_encoder_folder).save(tmp_path)
    TextClassifier.load(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_longformers_windows_are_cut_with_its_layers(tmp_path):
    config = LongformerConfig(num_hidden_layers=3, attention_window=[8, 4, 2])
    _keep_layers(config, 2)
    config.save_pretrained(tmp_path)
    assert LongformerConfig.from_pretrained(tmp_path).attention_window == [8, 4]


AS_IT_IS = {"layers": None, "max_length": 128, "every_layer": False}


def test_an_encoder_that_does_not_come_back_is_refused_before_the_training(toy_encoder_folder, monkeypatch):
    def load(folder, **_):
        raise ValueError("as many windows as layers")

    monkeypatch.setattr(TextClassifier, "load", load)
    with pytest.raises(ReAugKDError, match="cannot encode a text, or not when saved; name another encoder"):
        check_encoder(toy_encoder_folder, ["plum", "iron"], **AS_IT_IS)


def test_the_longest_of_all_texts_is_tried(toy_encoder_folder, monkeypatch):
    asked = []
    monkeypatch.setattr(TextClassifier, "encode", lambda _, texts: asked.extend(texts))
    check_encoder(toy_encoder_folder, [*["plum iron"] * 200, "plum " * 50, "pear"], **AS_IT_IS)
    assert asked == ["pear", "plum " * 50]


@pytest.mark.parametrize("which", ["toy_encoder_folder", "wide_encoder_folder"])
def test_of_a_text_that_is_cut_the_characters_that_are_read_give_the_same_tokens(request, which):
    model = classifier(request.getfixturevalue(which), max_length=6)
    texts = ["apple", "the old iron was there and the rain", "rain  and snow and a storm today, they say", "pear plum"]
    read = model.characters_read(texts)
    assert list(read) == [1, 2]
    tokens = model.tokenize(texts)["input_ids"]
    for row, (end,) in read.items():
        assert model.tokenize([texts[row][:end]])["input_ids"] == [tokens[row]]
        assert not texts[row][:end].endswith(" ")
    assert model.characters_read(texts, model.tokenize(texts)) == read
    assert classifier(request.getfixturevalue(which), max_length=30).characters_read(texts) == {}


def test_of_a_pair_the_characters_of_either_part_are_told(toy_encoder_folder):
    model = classifier(toy_encoder_folder, max_length=9)
    pairs = [("apple", "iron"), ("apple", "rain and snow and a storm today"), ("iron", "the old the old the old pear")]
    read = model.characters_read(pairs)
    assert list(read) == [1, 2]
    tokens = model.tokenize(pairs)["input_ids"]
    for row, (first, second) in read.items():
        assert first == len(pairs[row][0])
        assert second < len(pairs[row][1])
        assert model.tokenize([(pairs[row][0], pairs[row][1][:second])])["input_ids"] == [tokens[row]]


def test_many_texts_are_looked_at_a_part_at_a_time(toy_encoder_folder, monkeypatch):
    model = classifier(toy_encoder_folder, max_length=6)
    texts = ["apple", "the old iron was there and the rain"] * 3
    whole = model.characters_read(texts)
    monkeypatch.setattr(encoders, "TOKENIZED", 2)
    assert model.characters_read(texts) == whole
    assert list(whole) == [1, 3, 5]


def test_one_thread_at_a_time_tokenizes_since_a_tokenizer_keeps_where_it_cuts():
    inside, together = [], []

    def tokenizer(texts, **options):
        inside.append(options)
        time.sleep(0.002)
        together.append(len(inside))
        inside.pop()
        return texts

    with ThreadPoolExecutor(4) as threads:
        cut = list(threads.map(lambda length: tokenized(tokenizer, ("a", "b"), max_length=length), range(20)))
    assert cut == [["a", "b"]] * 20
    assert set(together) == {1}
