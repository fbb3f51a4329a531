"""A classifier that was fine-tuned elsewhere gets a memory, on rows that it never saw, and answers as it did."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from toy_data import toy_rows
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from reaugkd.adoption import adopt, matched_classes
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.memory_audit import memories
from reaugkd.analysis.memory_questions import SHOWS
from reaugkd.analysis.refit import refit_pool
from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import fit_temperature
from reaugkd.measures.metrics import log_loss
from reaugkd.method.choice import choose_pool
from reaugkd.method.keys import fit_keys
from reaugkd.method.pool import Pool
from reaugkd.model.card import gain_in_words
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks.encoders import SequenceClassifier
from reaugkd.networks.trainer import Progress
from reaugkd.tasks.task import make_task

TEXTS = ["an apple and a plum", "old iron", "rain today", "the copper fog"]


def of_transformers(folder, texts):
    """What transformers' own model says, and the vector that enters its last layer."""
    model, tokenizer = (kind.from_pretrained(folder) for kind in (AutoModelForSequenceClassification, AutoTokenizer))
    entered = []
    model.classifier.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    with torch.inference_mode():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0] for text in texts]
    return softmax(torch.stack(logits).double().numpy(), axis=1), torch.cat(entered).double().numpy()


def test_the_student_is_the_classifier_and_its_memory_is_keyed_by_what_enters_its_last_layer(
    adopted_model, toy_classifier_folder, toy_task
):
    said, vectors = of_transformers(toy_classifier_folder, TEXTS)
    encoded = adopted_model.encode(TEXTS)
    np.testing.assert_allclose(encoded.student_probabilities, said, atol=1e-5)
    memories = of_transformers(toy_classifier_folder, toy_task.texts("train"))[1]
    assert list(adopted_model.memory.rows["text"]) == toy_task.texts("train")
    vectors, memories = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (vectors, memories))
    np.testing.assert_allclose(adopted_model.memory.teacher_embeddings, memories, atol=1e-5)
    axes = adopted_model.keys["aligned"].axes
    near = [rows @ axes / np.linalg.norm(rows @ axes, axis=1, keepdims=True) for rows in (vectors, memories)]
    found, _ = adopted_model.memory.search("aligned", encoded.queries["aligned"], 5)
    np.testing.assert_allclose(found, -np.sort(-(near[0] @ near[1].T), axis=1)[:, :5], atol=1e-4)


def test_classes_stand_in_the_order_of_the_classifier_and_carry_the_labels_of_the_rows(adopted_model, toy_task):
    assert adopted_model.classes_.tolist() == list(toy_task.label_names[::-1])
    held = adopted_model.held_out()
    assert held["label"].tolist() == [*toy_task.table("validation")["label"], *toy_task.table("test")["label"]]
    assert adopted_model.memory.rows["label"].tolist() == toy_task.table("train")["label"].tolist()
    assert adopted_model.evaluate()["methods"]["student"] > 0.8  # in a wrong order it would be wrong


def test_it_loads_without_the_original_and_as_transformers_own(adopted_model_folder, adopted_model, tmp_path):
    copy = shutil.copytree(adopted_model_folder, tmp_path / "elsewhere")
    again = ReAugKDClassifier.from_pretrained(copy)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), adopted_model.predict_proba(TEXTS))
    np.testing.assert_allclose(
        of_transformers(copy, TEXTS)[0], adopted_model.encode(TEXTS).student_probabilities, atol=1e-5
    )
    assert not [path for path in copy.rglob("*") if path.suffix in {".bin", ".pkl", ".pt"}]
    assert AutoModelForSequenceClassification.from_pretrained(copy).config.id2label == dict(enumerate(again.classes_))


@pytest.fixture(scope="module")
def halved(toy_classifier_folder, tmp_path_factory):
    """A task whose validation rows were drawn from train, and the model that is made of it."""
    task = make_task("drawn", {"train": toy_rows(30, seed=0), "test": toy_rows(41, seed=2)})
    said, seen = [], []
    out = tmp_path_factory.mktemp("halved") / "model"
    model = adopt(toy_classifier_folder, task, out, say=said.append, on_progress=seen.append)
    return task, model, said, seen


def test_rows_that_the_classifier_saw_are_memories_and_half_of_the_test_rows_choose_and_leave_the_report(halved):
    task, model, _, seen = halved
    known = [*task.texts("train"), *task.texts("validation")]
    assert list(model.memory.rows["text"]) == known
    halves = [model.held_out([split]) for split in ("validation", "test")]
    assert abs(len(halves[0]) - len(halves[1])) <= 1
    assert sorted([*halves[0]["id"], *halves[1]["id"]]) == sorted(task.rows["test"]["id"])
    counts = [half["label"].value_counts() for half in halves]
    assert (counts[0] - counts[1]).abs().max() <= 1
    assert f"chosen on half of the test rows ({len(halves[0])}), which the score leaves out" in model.card
    right = (
        model.answer(model.encode_rows(halves[1])).predicted["student"]
        == model.answer(model.encode_rows(halves[1])).labels
    )
    assert model.metrics["methods"]["classifier"]["test"] == right.mean()
    stages = [progress.stage for progress in seen]
    assert {"The classifier reads its train rows", "Keys of the memory", "Maps"} <= set(stages)


def test_weights_are_chosen_on_rows_that_were_not_seen_and_not_on_test_rows(halved):
    _, model, *_ = halved
    held = model.held_out(["validation"])
    keys, memory = fit_keys(model.memory, model.student.tokenizer, held_out=list(held["text"]))
    encoded = model.encode_rows(held)
    asked = replace(encoded, queries={name: key.embed(encoded.texts, encoded.embeddings) for name, key in keys.items()})
    assert choose_pool(asked, encoded.labels(model.memory.classes), memory, list(keys)).pool == model.pool


def test_the_table_names_what_each_part_brings_and_speaks_of_no_teacher(halved):
    _, model, *_ = halved
    methods = model.metrics["methods"]
    assert list(methods) == ["classifier", "classifier_calibrated", "classifier_aligned", "classifier_text", "reaugkd"]
    test = model.encode_rows(model.held_out(["test"]))
    labels = test.labels(model.memory.classes)
    assert methods["classifier"]["test_log_loss"] == pytest.approx(log_loss(labels, test.student_probabilities))
    answers = model.answer(test).pooled.probabilities
    assert methods["reaugkd"]["test_log_loss"] == pytest.approx(log_loss(labels, answers))
    gain = model.metrics["gain"]
    wanted = methods["reaugkd"]["test_log_loss"] - methods["classifier_calibrated"]["test_log_loss"]
    assert gain["test_log_loss"][0] == pytest.approx(wanted)
    assert gain["test_log_loss"][1] <= gain["test_log_loss"][0] <= gain["test_log_loss"][2]
    assert model.settings.is_adopted
    assert "there is no teacher" in model.card
    assert "teacher" not in model.card.replace("there is no teacher", "").lower()
    assert str(model.settings.student) == "classifier"  # the folder's name, not the way to it


def test_validation_rows_that_the_classifier_has_learnt_are_told_of(toy_classifier_folder, toy_task, tmp_path):
    known, new = toy_task.table("train"), toy_rows(40, seed=9)
    new = new.assign(text=[" ".join(text.split()[:1]) for text in new["text"]])  # hard: one word is left
    said = []
    task = make_task("known", {"train": known, "validation": known.assign(id=known["id"] + "v"), "test": new})
    adopt(toy_classifier_folder, task, tmp_path / "model", saw_validation=False, say=said.append)
    assert any("stand word for word in train" in sentence for sentence in said)
    assert any("seems to have learnt the former" in sentence for sentence in said)


@pytest.mark.parametrize("model", ["adopted", "halved"])
def test_soft_labels_are_its_own_or_gold_as_the_rows_that_it_never_saw_prefer(model, request, toy_classifier_folder):
    model = request.getfixturevalue("adopted_model") if model == "adopted" else request.getfixturevalue("halved")[1]
    held = model.encode_rows(model.held_out(["validation"]))
    keys, memory = fit_keys(model.memory, model.student.tokenizer, held_out=held.texts)
    held = replace(held, queries={name: key.embed(held.texts, held.embeddings) for name, key in keys.items()})
    labels = held.labels(memory.classes)
    of_memories, of_held = (of_transformers(toy_classifier_folder, texts)[0] for texts in (memory.texts, held.texts))
    temperature = fit_temperature(of_held, labels)
    tried = {
        "its own": softmax(np.log(of_memories) / temperature, axis=1),
        "gold": np.eye(len(memory.classes))[memory.labels],
    }
    losses = {}
    for kind, soft in tried.items():
        pooled = choose_pool(held, labels, replace(memory, soft_labels=soft), list(keys)).unseen
        losses[kind] = log_loss(labels, pooled)
    kind = model.settings.training["soft_labels"]
    assert losses[kind] == pytest.approx(min(losses.values()), abs=1e-6)
    np.testing.assert_allclose(model.memory.soft_labels, tried[kind], atol=1e-4)


def test_soft_labels_that_are_given_are_taken(toy_classifier_folder, toy_task, tmp_path):
    given = {("train", row_id): np.asarray([0.2, 0.5, 0.3]) for row_id in toy_task.rows["train"]["id"]}
    model = adopt(toy_classifier_folder, toy_task, tmp_path / "given", saw_validation=False, soft_labels=given)
    wanted = dict(zip(toy_task.label_names, (0.2, 0.5, 0.3), strict=True))
    np.testing.assert_allclose(model.memory.soft_labels[0], [wanted[name] for name in model.classes_])
    assert "with given soft labels" in model.card
    given.popitem()
    with pytest.raises(ReAugKDError, match="has no soft labels"):
        adopt(toy_classifier_folder, toy_task, tmp_path / "less", saw_validation=False, soft_labels=given)


@pytest.mark.parametrize(
    ("labels", "names", "wanted"),
    [
        (["a", "c"], ["c", "b", "a"], (("c", "b", "a"), [2, 0])),
        (["negative", "positive"], ["POSITIVE", "NEGATIVE"], (("positive", "negative"), [1, 0])),
        (["0", "2"], ["z", "y", "x"], (("z", "y", "x"), [0, 2])),
        (["0", "1"], ["LABEL_0", "LABEL_1", "LABEL_2"], (("0", "1", "2"), [0, 1])),
        (["1", "0"], ["0", "1"], (("0", "1"), [1, 0])),
    ],
)
def test_labels_are_names_in_any_case_or_numbers(labels, names, wanted):
    assert matched_classes(labels, names) == wanted


@pytest.mark.parametrize(
    ("labels", "names", "strange"),
    [
        (["good", "bad"], ["LABEL_0", "LABEL_1"], "good"),
        (["a", "d"], ["a", "b"], "d"),
        (["0", "2"], ["a", "b"], "0"),
        (["A", "a"], ["a", "b"], "A"),
    ],
)
def test_labels_that_are_no_classes_are_named(labels, names, strange):
    with pytest.raises(ReAugKDError, match=f"The label '{strange}' is no class of the classifier, which has"):
        matched_classes(labels, names)


def test_its_memory_is_edited_and_its_pool_fitted_again(adopted_model):
    first = adopted_model.memory.rows["id"][0]
    edits = (Edit("remove", first), Edit("add", "new-1", "fruit", "a kiwi"), Edit("add", "new-2", "gadget", "a gadget"))
    edited = apply_patch(adopted_model, edits)
    assert len(edited.memory) == len(adopted_model.memory) + 1
    assert edited.classes_.tolist() == [*adopted_model.classes_, "gadget"]
    assert edited.predict(["a gadget"]).tolist() == ["gadget"]
    refitted = refit_pool(adopted_model)
    assert isinstance(refitted.pool, Pool)
    assert refitted.explain(TEXTS[0]).text == TEXTS[0]


def test_every_question_about_its_memory_is_answered(adopted_model):
    answers = adopted_model.answer(adopted_model.encode_rows(adopted_model.held_out(["test"])))
    found = {show: memories(adopted_model, answers, show) for show in SHOWS}
    assert len(found["all"]) == len(adopted_model.memory)
    assert not [name for name in found["all"].columns if "teacher" in name]


def test_it_is_cancelled_before_anything_is_written(toy_classifier_folder, toy_task, tmp_path):
    def cancel(progress: Progress):
        if progress.stage == "Keys of the memory":
            raise ReAugKDError("Cancelled.")

    with pytest.raises(ReAugKDError, match="Cancelled"):
        adopt(toy_classifier_folder, toy_task, tmp_path / "model", on_progress=cancel)
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_that_fails_at_a_text_is_refused(toy_classifier_folder, toy_task, tmp_path, monkeypatch):
    def fail(*_):
        raise IndexError("index out of range in self")

    monkeypatch.setattr(SequenceClassifier, "encode", fail)
    with pytest.raises(ReAugKDError, match="cannot encode the texts of the task; name another classifier"):
        adopt(toy_classifier_folder, toy_task, tmp_path / "model")


def test_pairs_are_adopted_too(toy_classifier_folder, tmp_path):
    rows = [toy_rows(count, seed=seed).assign(text_pair="the old iron") for count, seed in ((20, 0), (40, 1))]
    task = make_task("pairs", dict(zip(("train", "test"), rows, strict=True)))
    model = adopt(toy_classifier_folder, task, tmp_path / "pairs")
    assert model.settings.is_pair
    assert len(model.predict([("a plum", "some tin")])) == 1
    assert pd.notna(model.metrics["gain"]["test"]).all()


@pytest.mark.parametrize(
    ("score", "loss", "verdicts"),
    [
        ([0.02, 0.01, 0.03], [-0.1, -0.2, -0.01], ["better", "better"]),
        ([-0.02, -0.03, -0.01], [0.1, 0.01, 0.2], ["worse", "worse"]),
        ([0.0, -0.01, 0.01], [-0.1, -0.2, 0.0], ["may be chance"] * 2),
    ],
)
def test_the_gain_is_told_with_its_interval_and_what_may_be_chance_as_such(adopted_model, score, loss, verdicts):
    told = gain_in_words(adopted_model.settings, {"test": score, "test_log_loss": loss})
    assert f"by {100 * score[0]:+.1f} points [{100 * score[1]:+.1f}, {100 * score[2]:+.1f}]" in told
    assert re.findall(r"which (?:is )?(better|worse|may be chance)", told) == verdicts


@pytest.mark.parametrize("max_length", [0, -3, "many", float("nan")])
def test_a_length_of_no_token_is_refused_before_anything_is_written(
    toy_classifier_folder, toy_task, tmp_path, max_length
):
    with pytest.raises(ReAugKDError, match="max_length is .*; it must be (at least 1|a whole number)"):
        adopt(toy_classifier_folder, toy_task, tmp_path / "model", max_length=max_length)
    assert not list(tmp_path.iterdir())


def test_a_table_is_not_adopted(toy_classifier_folder, toy_task, tmp_path):
    with pytest.raises(ReAugKDError, match="The task is a table"):
        adopt(toy_classifier_folder, toy_task.table("train"), tmp_path / "model")
