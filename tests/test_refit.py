"""Choosing again after an edit: the same choice where nothing changed, and a better memory is trusted more."""

from dataclasses import replace

import numpy as np
import pytest

from reaugkd import evaluation, refit
from reaugkd.errors import ReAugKDError
from reaugkd.inference import ReAugKDClassifier
from reaugkd.patch import Edit, apply_patch
from reaugkd.refit import refit_gate, searched_by


def test_a_model_that_was_not_edited_is_chosen_as_it_was(toy_model):
    found, wanted = refit_gate(toy_model).retrieval, toy_model.retrieval
    assert (found.k, found.temperature) == (wanted.k, wanted.temperature)
    assert found.gate.student_temperature == pytest.approx(wanted.gate.student_temperature, rel=1e-3)
    np.testing.assert_allclose(found.gate.coefficients, wanted.gate.coefficients, atol=1e-3)


def test_a_gate_is_fitted_on_the_classes_that_the_student_knows(toy_model, monkeypatch):
    monkeypatch.setattr(evaluation, "MIN_GATE_ROWS", 10)
    edited = apply_patch(toy_model, (Edit("add", "mine", "gadget", "the shiny new gadget hums"),))
    refitted = refit_gate(edited)
    assert refitted.classes_.tolist() == edited.classes_.tolist()
    assert refitted.retrieval.gate is not None
    assert refitted.predict(["the shiny new gadget hums"], k=1, retrieval_weight=1.0)[0] == "gadget"


def test_an_untuned_encoder_searches_the_memory_from_then_on(toy_model, toy_encoder_folder, tmp_path):
    rekeyed = searched_by(toy_model, str(toy_encoder_folder))
    assert rekeyed.parts.second_key is not None
    assert rekeyed.parts.metrics["memory"]["second_key"]
    text = toy_model.parts.knowledge_base.rows["text"].iloc[4]
    nearest = rekeyed.explain(text, k=1).neighbours[0]
    assert (nearest.text, nearest.similarity) == (text, pytest.approx(1.0, abs=1e-4))
    rekeyed.save_pretrained(tmp_path / "model")
    assert ReAugKDClassifier.from_pretrained(tmp_path / "model").parts.second_key is not None


def test_a_key_head_is_fitted_to_the_rows_of_the_teacher_alone(toy_model, toy_encoder_folder, monkeypatch):
    asked = []
    original = refit.SecondKey.of
    monkeypatch.setattr(refit.SecondKey, "of", lambda *given: asked.append(given[4]) or original(*given))
    added = apply_patch(toy_model, (Edit("add", "mine", toy_model.classes_[0], "the shiny new gadget hums"),))
    searched_by(apply_patch(added, (Edit("relabel", "mine", toy_model.classes_[1]),)), str(toy_encoder_folder))
    assert asked[0].tolist() == [True] * len(toy_model.memory) + [False]


def test_a_model_without_evaluation_rows_says_so(toy_model):
    with pytest.raises(ReAugKDError, match="carries no evaluation rows"):
        refit_gate(ReAugKDClassifier(replace(toy_model.parts, evaluation_rows=None)))
