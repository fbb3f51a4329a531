"""An exported network says what the network says, is copied with it, and is dropped when its weights move."""

import copy
import pickle

import numpy as np
import pytest
import torch
from transformers import AutoModel, DebertaV2Config, DistilBertConfig, MPNetConfig

from reaugkd.errors import ReAugKDError
from reaugkd.networks import onnx
from reaugkd.networks.encoders import SequenceClassifier, TextClassifier
from reaugkd.networks.onnx import OnnxNetwork, export_onnx

TEXTS = ["apple", "the old iron was there", "rain and snow and a storm today", "pear plum", "fog " * 40]
PAIRS = [("apple", "iron"), ("rain and snow", "the new copper"), ("plum " * 30, "fog")]


@pytest.fixture
def network(toy_encoder_folder):
    torch.manual_seed(0)
    network = TextClassifier.from_pretrained(toy_encoder_folder, 3, layers=2, max_length=32)
    network.add_embedding_head()
    torch.nn.init.normal_(network.embedding_head.weight)
    return network.eval()


def counted(network):
    """Let a network count the calls of torch's own way."""
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    return calls


def assert_says_the_same(network, texts):
    """The exported network is asked in torch's place, alone and in batches of other sizes than it was traced at."""
    wanted = [network.encode(some) for some in (texts, texts[:1], texts * 30)]
    network.onnx = export_onnx(network, texts)
    calls = counted(network)
    for some, (embeddings, probabilities) in zip((texts, texts[:1], texts * 30), wanted, strict=True):
        found = network.encode(some)
        np.testing.assert_allclose(found[0], embeddings, atol=1e-5)
        np.testing.assert_allclose(found[1], probabilities, atol=1e-5)
    assert not calls


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_an_exported_network_says_the_same_of_any_number_of_texts_of_any_length(network, texts):
    assert_says_the_same(network, texts)


def test_a_classifier_that_was_adopted_is_exported_too(toy_classifier_folder):
    assert_says_the_same(SequenceClassifier.from_pretrained(toy_classifier_folder), TEXTS)


SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
OTHERS = {
    "mpnet": MPNetConfig(**SIZES, max_position_embeddings=70),
    "distilbert": DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32),
    "deberta-v2": DebertaV2Config(**SIZES, relative_attention=True, pos_att_type=["c2p", "p2c"]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_are_exported_too(network, name):
    config = OTHERS[name]
    config.vocab_size = len(network.tokenizer)
    network.tokenizer.model_input_names = ["input_ids", "attention_mask"]
    other = TextClassifier(AutoModel.from_config(config), network.tokenizer, 3, "mean", 32).eval()
    assert_says_the_same(other, TEXTS)


def test_what_cannot_be_traced_is_refused_in_one_sentence(network, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: 1 / 0)
    with pytest.raises(
        ReAugKDError, match=r"A BertModel cannot be exported to ONNX \(division by zero\); use it as it is\."
    ):
        export_onnx(network, TEXTS)


def test_an_export_that_says_something_else_is_refused(network, monkeypatch):
    answer = OnnxNetwork.__call__
    monkeypatch.setattr(
        OnnxNetwork, "__call__", lambda self, **tokens: (answer(self, **tokens)[0] + 0.01, *answer(self, **tokens)[1:])
    )
    with pytest.raises(ReAugKDError, match=r"says something else than the network"):
        export_onnx(network, TEXTS)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copy", "pickle"])
def test_a_copy_runs_its_own(network, copied):
    network.onnx = export_onnx(network, TEXTS)
    other = copied(network)
    assert other.onnx.content == network.onnx.content
    np.testing.assert_array_equal(other.encode(TEXTS)[0], network.encode(TEXTS)[0])


def test_a_network_that_is_trained_further_is_not_the_exported_one_any_more(network):
    network.onnx = export_onnx(network, TEXTS)
    torch.nn.Sequential(network).train()  # as the Trainer does, by what is around it
    with torch.no_grad():
        network.classifier.bias += torch.tensor([5.0, 0.0, 0.0])
    assert network.onnx is None
    assert (network.encode(TEXTS)[1].argmax(axis=1) == 0).all()


def test_without_onnx_runtime_torch_answers_and_the_file_is_kept(network, monkeypatch):
    content, wanted = export_onnx(network, TEXTS).content, network.encode(TEXTS)
    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    network.onnx = OnnxNetwork(content)
    np.testing.assert_array_equal(network.encode(TEXTS)[0], wanted[0])
    assert network.onnx.content == content
    with pytest.raises(ReAugKDError, match=r"The export needs onnx; install it with: pip install 'reaugkd\[onnx\]'"):
        export_onnx(network, TEXTS)
