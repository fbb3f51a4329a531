"""Choosing again after an edit: the same choice where nothing changed, and a better memory is trusted more."""

from dataclasses import replace

import numpy as np
import pytest

from reaugkd import evaluation, refit
from reaugkd.errors import ReAugKDError
from reaugkd.evaluation import GateChoice
from reaugkd.gate import Gate
from reaugkd.inference import ReAugKDClassifier
from reaugkd.patch import Edit, apply_patch
from reaugkd.refit import refit_gate, searched_by, with_weight
from reaugkd.retrieval import RetrievalSettings


def test_a_model_that_was_not_edited_is_chosen_as_it_was(toy_model):
    found, wanted = refit_gate(toy_model).retrieval, toy_model.retrieval
    assert (found.k, found.temperature) == (wanted.k, wanted.temperature)
    assert found.gate.student_temperature == pytest.approx(wanted.gate.student_temperature, rel=1e-3)
    np.testing.assert_allclose(found.gate.coefficients, wanted.gate.coefficients, atol=1e-3)


def test_a_gate_is_fitted_on_the_classes_that_the_student_knows(toy_model, monkeypatch):
    monkeypatch.setattr(evaluation, "FEWEST_VALIDATION", 10)
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


def test_a_key_head_is_not_fitted_to_a_handful_of_rows(toy_model, toy_encoder_folder):
    ids = toy_model.parts.knowledge_base.rows["id"]
    few = apply_patch(toy_model, tuple(Edit("remove", name) for name in ids[4:]))
    with pytest.raises(ReAugKDError, match="Fewer than 5 memories are the teacher's own"):
        searched_by(few, str(toy_encoder_folder))


def shown(model):
    """Numbers and sentence of the card's choice, and what metrics.json says of it."""
    words = model.parts.card.split("in percent; ")[1].split("\n\n")[0].replace("\n", " ")
    return words, model.parts.metrics["memory"]


def test_a_weight_set_by_hand_stands_in_figures_and_card_and_goes_when_a_gate_is_fitted(toy_model, tmp_path):
    with_weight(toy_model, 0.7).save_pretrained(tmp_path / "model")
    model = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    words, memory = shown(model)
    assert memory == {"second_key": False, "gate_open": False, "fixed_weight": 0.7}
    assert "λ was set by hand to 0.7 for every text, and the memory is searched by the student's own" in words
    assert "gate" not in words
    again = with_weight(model, 0.25)
    assert "λ was set by hand to 0.25" in shown(again)[0]
    assert "0.7" not in shown(again)[0]
    assert "set by hand" not in shown(refit_gate(again))[0]
    assert "the gate" in shown(refit_gate(again))[0]


def test_figures_and_card_state_the_choice_that_is_fitted_again(toy_model, toy_encoder_folder, monkeypatch):
    gate = Gate(1.0, (0.1,) * 5, 0.0, (0.0,) * 5, (1.0,) * 5)
    monkeypatch.setattr(refit, "choose_gate", lambda *_: GateChoice(RetrievalSettings(11, 0.37, 0.03, gate), 0.1))
    edited = apply_patch(toy_model, (Edit("remove", toy_model.memory.rows["id"].iloc[0]),))
    for model, key in (
        (refit_gate(edited), "the student's own embedding"),
        (searched_by(edited, str(toy_encoder_folder)), "an untuned encoder"),
    ):
        words, memory = shown(model)
        assert words.startswith("k = 11, τ = 0.03 and the gate (mean λ 0.37) were chosen on the validation rows")
        assert words.endswith(f"The gate is open, and the memory is searched by {key}.")
        assert memory == {"second_key": key == "an untuned encoder", "gate_open": True}
        assert "## Edited after training" in model.parts.card


def test_where_the_validation_rows_were_too_few_to_try_a_gate_figures_and_card_say_just_that(toy_model, monkeypatch):
    for model in (toy_model, refit_gate(toy_model)):
        words, memory = shown(model)
        assert memory == {"second_key": False, "gate_open": False, "too_few_rows": 24}
        assert words.startswith("k = 4 and τ = 0.1 were not chosen on any rows, one seed")
        assert words.endswith("There were too few validation rows (24) to try it: the gate is closed.")
        assert "told nothing" not in model.parts.card
    monkeypatch.setattr(evaluation, "FEWEST_VALIDATION", 24)
    words, memory = shown(refit_gate(toy_model))
    assert "too_few_rows" not in memory
    assert "were chosen on the validation rows" in words


def test_a_card_in_a_persons_own_words_is_left_alone(toy_model):
    own = ReAugKDClassifier(replace(toy_model.parts, card="My own words.", metrics={}))
    assert with_weight(own, 0.7).parts.card == "My own words."


def test_a_model_without_evaluation_rows_says_so(toy_model):
    with pytest.raises(ReAugKDError, match="carries no evaluation rows"):
        refit_gate(ReAugKDClassifier(replace(toy_model.parts, evaluation_rows=None)))
