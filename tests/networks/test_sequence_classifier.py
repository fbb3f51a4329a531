"""A classifier that was fine-tuned elsewhere answers as transformers' own model does, and is saved as one."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    DebertaConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
)

from reaugkd.errors import ReAugKDError
from reaugkd.networks.encoders import SequenceClassifier, TextClassifier, load_student

TEXTS = ["apple", "the old iron was there", "rain and snow and a storm today", "pear plum", "fog " * 40]
PAIRS = [("apple", "iron"), ("rain and snow", "the new copper")]
# Weights far apart: the classes' probabilities must differ, or another order would go unseen.
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
COMMON = SIZES | {"initializer_range": 0.4, "num_labels": 3, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
NARROW = {"embedding_size": 8}
HEADS = {
    "bert": BertConfig(**COMMON),
    "distilbert": DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, initializer_range=0.4, num_labels=3),
    "roberta": RobertaConfig(**COMMON, max_position_embeddings=50),
    "deberta": DebertaConfig(**COMMON),
    "deberta-v2": DebertaV2Config(**COMMON),
    "electra": ElectraConfig(**COMMON, **NARROW),
    "albert": AlbertConfig(**COMMON, **NARROW),
    "mpnet": MPNetConfig(**COMMON, max_position_embeddings=50),
    "modernbert": ModernBertConfig(**COMMON, cls_token_id=2, sep_token_id=3),
    "modernbert-mean": ModernBertConfig(**COMMON, cls_token_id=2, sep_token_id=3, classifier_pooling="mean"),
}


@pytest.fixture
def saved(toy_encoder_folder, tmp_path):
    """Save a random classifier beside the toy tokenizer; return its folder, the model and the tokenizer."""

    def save(config):
        torch.manual_seed(4)
        tokenizer = AutoTokenizer.from_pretrained(toy_encoder_folder)
        if config.model_type != "bert":
            tokenizer.model_input_names = ["input_ids", "attention_mask"]
        config.vocab_size = len(tokenizer)
        model = AutoModelForSequenceClassification.from_config(config).eval()
        for model_or_tokenizer in (model, tokenizer):
            model_or_tokenizer.save_pretrained(tmp_path / "given")
        return tmp_path / "given", model, tokenizer

    return save


def by_transformers(model, tokenizer, texts, length):
    """Class probabilities of each text alone, without padding."""
    rows = []
    for text in texts:
        parts = [text] if isinstance(text, str) else text
        tokens = tokenizer(*parts, return_tensors="pt", truncation=True, max_length=length)
        with torch.inference_mode():
            rows.append(torch.softmax(model(**tokens).logits.double(), dim=-1)[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("name", HEADS)
def test_probabilities_are_those_of_transformers_and_come_of_the_embedding(saved, tmp_path, name):
    folder, model, tokenizer = saved(HEADS[name])
    ours = SequenceClassifier.from_pretrained(folder)
    for texts in (TEXTS, PAIRS):
        embeddings, probabilities = ours.encode(texts)
        wanted = by_transformers(model, tokenizer, texts, ours.max_length)
        assert np.ptp(wanted, axis=0).max() > 0.01
        np.testing.assert_allclose(probabilities, wanted, atol=1e-5)
        weight, bias = (value.detach().double().numpy() for value in ours.classifier.parameters())
        logits = embeddings @ weight.T + bias
        np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), wanted, atol=1e-5)
    ours.save(tmp_path / "saved")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert type(again) is type(model)
    kept = again.state_dict()
    assert kept.keys() == model.state_dict().keys()
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    loaded = load_student(tmp_path / "saved", max_length=ours.max_length)
    np.testing.assert_array_equal(loaded.encode(TEXTS)[1], ours.encode(TEXTS)[1])


@pytest.mark.parametrize(("name", "limit"), [("bert", 64), ("roberta", 49), ("mpnet", 48)])
def test_as_many_tokens_are_read_as_there_are_positions_and_no_more_than_asked_for(saved, name, limit):
    folder, *_ = saved(
        HEADS[name]
    )  # the toy tokenizer stops at 64; positions up to that of padding (0; MPNet: 1) are no text's
    assert SequenceClassifier.from_pretrained(folder).max_length == limit
    assert SequenceClassifier.from_pretrained(folder, max_length=9).max_length == 9
    SequenceClassifier.from_pretrained(folder).encode(["fog " * 100])


def test_a_student_that_was_trained_here_is_told_from_a_classifier_that_was_adopted(
    toy_model_folder, toy_classifier_folder
):
    assert type(load_student(toy_model_folder, max_length=16)) is TextClassifier
    assert type(load_student(toy_classifier_folder, max_length=16)) is SequenceClassifier


@pytest.mark.parametrize(
    ("id2label", "label2id", "wanted"),
    [
        ({"2": "c", "0": "z", "1": "b"}, {"z": 0, "b": 1, "c": 2}, ("z", "b", "c")),
        ({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, {"z": 0, "c": 2, "b": 1}, ("z", "b", "c")),
        ({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, {}, ("LABEL_0", "LABEL_1", "LABEL_2")),
    ],
)
def test_classes_are_called_as_the_classifier_calls_them(toy_classifier_folder, tmp_path, id2label, label2id, wanted):
    folder = shutil.copytree(toy_classifier_folder, tmp_path / "named")
    about = json.loads((folder / "config.json").read_text()) | {"id2label": id2label, "label2id": label2id}
    (folder / "config.json").write_text(json.dumps(about))
    assert SequenceClassifier.from_pretrained(folder).class_names == wanted


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"problem_type": "multi_label_classification"}, "is made for multi_label_classification; name a model"),
        ({"id2label": {"0": "LABEL_0"}}, "cannot be loaded as a classifier|is made for regression"),
        ({"model_type": "unheard", "auto_map": {"AutoConfig": "code.Config"}}, "cannot be loaded as a classifier"),
    ],
)
def test_what_does_not_choose_one_of_several_classes_or_brings_code_is_refused(
    toy_classifier_folder, tmp_path, changes, sentence
):
    folder = shutil.copytree(toy_classifier_folder, tmp_path / "other")
    (folder / "code.py").write_text("raise SystemExit('this ran')")
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | changes))
    with pytest.raises(ReAugKDError, match=sentence):
        SequenceClassifier.from_pretrained(folder)


def test_an_encoder_without_a_trained_head_is_refused(toy_encoder_folder):
    with pytest.raises(ReAugKDError, match="holds no trained classifier"):
        SequenceClassifier.from_pretrained(toy_encoder_folder)


def test_a_head_that_does_not_end_in_a_linear_layer_is_refused(toy_classifier_folder):
    model = AutoModelForSequenceClassification.from_pretrained(toy_classifier_folder)
    tokenizer = AutoTokenizer.from_pretrained(toy_classifier_folder)
    model.classifier = torch.nn.Sequential(model.classifier, torch.nn.Sigmoid())
    with pytest.raises(ReAugKDError, match="does not end in a linear layer"):
        SequenceClassifier(model, tokenizer, 16)


def test_a_decoder_is_read_at_its_last_token(saved):
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "initializer_range": 0.4}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    folder, model, tokenizer = saved(GPT2Config(**sizes, **special, num_labels=3))
    ours = SequenceClassifier.from_pretrained(folder)
    np.testing.assert_allclose(ours.encode(TEXTS)[1], by_transformers(model, tokenizer, TEXTS, 64), atol=1e-5)


def test_pickled_weights_are_not_loaded(toy_classifier_folder, tmp_path):
    folder = shutil.copytree(toy_classifier_folder, tmp_path / "pickled")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ReAugKDError, match="cannot be loaded as a classifier"):
        SequenceClassifier.from_pretrained(folder)
