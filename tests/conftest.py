"""What the tests share: a toy task, two toy encoders made here, a toy model trained once; nothing reaches out."""

# ruff: noqa: E402 -- the environment is set before the imports

import copy
import gc
import os
from dataclasses import replace

# Before NumPy and torch are imported: many threads only slow toy networks down, and the hub stays unreachable.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from toy_data import CLASS_WORDS, FILLER, toy_rows
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks import weights
from reaugkd.recipe import Recipe, TrainingSettings
from reaugkd.tasks.task import make_task, with_unlabelled
from reaugkd.training import train


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    """Whoever asks is told at once that there is no hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    weights.hub_is_reachable.cache_clear()


def save_tokenizer(tokenizer, folder, special_tokens, input_names):
    """Save a toy tokenizer; the special tokens in this order: padding, unknown, first, separator, mask."""
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **dict(zip(names, special_tokens, strict=True)),
        model_input_names=input_names,
        model_max_length=64,
    ).save_pretrained(folder)


@pytest.fixture(scope="session")
def toy_encoder_folder(tmp_path_factory):
    """A random BERT: 4 layers, width 32, lower-case WordPiece."""
    words = [*(word for words in CLASS_WORDS.values() for word in words), *FILLER]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    vocabulary += [*"abcdefghijklmnopqrstuvwxyz.,?!'-|<>", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])],
    )
    folder = tmp_path_factory.mktemp("encoders") / "toy-bert"
    save_tokenizer(tokenizer, folder, vocabulary[:5], ["input_ids", "token_type_ids", "attention_mask"])
    torch.manual_seed(1)
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=4,
            initializer_range=0.1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def wide_encoder_folder(tmp_path_factory):
    """A random RoBERTa: 2 layers, width 48, byte-level BPE; it plays the teacher."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = [*(word for words in CLASS_WORDS.values() for word in words), *FILLER]
    tokenizer.train_from_iterator([" ".join(words)] * 3, trainer)
    numbers = {token: tokenizer.token_to_id(token) for token in ("<s>", "<pad>", "</s>")}
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", numbers["</s>"]), ("<s>", numbers["<s>"]))
    folder = tmp_path_factory.mktemp("encoders") / "toy-roberta"
    save_tokenizer(tokenizer, folder, ["<pad>", "<unk>", "<s>", "</s>", "<mask>"], ["input_ids", "attention_mask"])
    torch.manual_seed(2)
    RobertaModel(
        RobertaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=48,
            num_hidden_layers=2,
            initializer_range=0.1,
            num_attention_heads=2,
            intermediate_size=96,
            max_position_embeddings=66,
            type_vocab_size=1,
            pad_token_id=numbers["<pad>"],
            bos_token_id=numbers["<s>"],
            eos_token_id=numbers["</s>"],
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy_task():
    """Three classes told apart by their words: 90 train, 24 validation and 36 test rows, with a topic."""
    return make_task(
        "toy", {"train": toy_rows(30, seed=0), "validation": toy_rows(8, seed=1), "test": toy_rows(12, seed=2)}
    )


@pytest.fixture(scope="session")
def unlabelled_task(toy_task):
    """The toy task with 30 texts more that have no label, of which those beside a validation row are left out."""
    return with_unlabelled(toy_task, toy_rows(10, seed=5).drop(columns="label"))[0]


@pytest.fixture(scope="session")
def toy_recipe(toy_encoder_folder, wide_encoder_folder):
    """A teacher of width 48, a student of 2 of 4 layers and width 32, a few epochs; every word is learnt."""
    common = {"epochs": 6, "batch_size": 16, "bf16": False, "freeze_word_embeddings": False}
    return Recipe(
        teacher=str(wide_encoder_folder),
        student=str(toy_encoder_folder),
        student_layers=2,
        max_length=16,
        epochs=8,
        teacher_epochs=6,
        teacher_training=TrainingSettings(learning_rate=5e-4, **common),
        projection_training=TrainingSettings(10, learning_rate=1e-2, batch_size=45, bf16=False),
        student_training=TrainingSettings(learning_rate=4e-4, **common),
    )


@pytest.fixture(scope="session")
def toy_model_folder(toy_task, toy_recipe, tmp_path_factory):
    """A whole model, teacher kept, trained once for all tests; copy it before you change a file."""
    folder = tmp_path_factory.mktemp("models") / "toy"
    train(toy_task, replace(toy_recipe, keep_teacher=True), folder, on_progress=lambda _: None)
    gc.freeze()  # umap and numba came with it: as below
    return folder


@pytest.fixture(scope="session")
def toy_model(toy_model_folder):
    """The toy model, loaded; do not change it."""
    return ReAugKDClassifier.from_pretrained(toy_model_folder)


@pytest.fixture(scope="session")
def puzzled_model(toy_model):
    """The toy model, less sure of itself, some labels of memories and test rows wrong: something for each task."""
    first, second, third = toy_model.classes_
    rows = toy_model.memory.rows
    wrong = [Edit("relabel", name, second) for name in rows.loc[rows["label"] == first, "id"].tolist()[::2]]
    wrong += [Edit("relabel", name, first) for name in rows.loc[rows["label"] == third, "id"].tolist()[::3]]
    student, held = copy.deepcopy(toy_model.student), toy_model.evaluation_rows
    with torch.no_grad():
        for parameter in student.classifier.parameters():
            parameter.mul_(0.1)
    others = held["label"].map({first: second, second: third, third: second})
    held = held.assign(label=held["label"].where(held.index % 5 > 0, others))
    edited = apply_patch(toy_model, tuple(wrong))
    return replace(edited, student=student, evaluation_rows=held)


@pytest.fixture(scope="session")
def pooled_model(toy_model):
    """The toy model with a pool in which the student and both keys have a weight."""
    pool = Pool({"aligned": KeySettings(8, 0.1, 0.4), "text": KeySettings(8, 0.1, 0.3)}, 0.7)
    return replace(toy_model, pool=pool)


@pytest.fixture(scope="session")
def gadget_model(pooled_model):
    """The pooled model with four memories of a class that its student does not know."""
    texts = ["the shiny gadget hums", "a new gadget", "some old gadget with iron", "we saw the gadget today"]
    return apply_patch(pooled_model, tuple(Edit("add", f"gadget-{n}", "gadget", text) for n, text in enumerate(texts)))


gc.freeze()  # the Trainer collects garbage after each run: it need not walk through torch each time
