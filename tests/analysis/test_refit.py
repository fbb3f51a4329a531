"""Choosing again after an edit: the same choice where nothing changed, and a better memory is trusted more."""

from dataclasses import replace

import numpy as np
import pytest

from reaugkd.analysis import refit
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.refit import refit_pool, with_encoder_key
from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import Threshold
from reaugkd.method import choice
from reaugkd.method.choice import choose_pool
from reaugkd.method.keys import fit_keys
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier


@pytest.fixture
def enough_rows(monkeypatch):
    """The 24 validation rows of the toy task are enough to choose on."""
    monkeypatch.setattr(choice, "FEWEST_VALIDATION", 24)


@pytest.fixture(scope="module")
def unsure_model(puzzled_model, toy_model):
    """A student that is not sure of itself, a memory with wrong labels, and validation rows with the right ones."""
    return replace(puzzled_model, evaluation_rows=toy_model.evaluation_rows)


def test_the_pool_is_what_training_would_choose_on_the_validation_rows(unsure_model, enough_rows):
    found = refit_pool(unsure_model)
    held_out = unsure_model.held_out(["validation"])
    texts = held_out["text"].tolist()
    keys, memory = fit_keys(unsure_model.memory, unsure_model.student.tokenizer, held_out=texts)
    encoded = unsure_model.encode_rows(held_out)
    queries = {name: key.embed(texts, encoded.embeddings) for name, key in keys.items()}
    labels = encoded.labels(memory.classes)
    wanted = choose_pool(replace(encoded, queries=queries), labels, memory, list(keys)).pool
    assert found.pool == wanted
    assert sum(settings.weight for settings in wanted.keys.values()) > 0
    assert found.memory is unsure_model.memory
    assert found.keys is unsure_model.keys


def test_a_repaired_memory_is_trusted_more(unsure_model, toy_model, enough_rows):
    right = dict(zip(toy_model.memory.rows["id"], toy_model.memory.rows["label"], strict=True))
    rows = unsure_model.memory.rows
    repairs = [Edit("relabel", name, right[name]) for name in rows.loc[rows["edited"] == "relabelled", "id"]]
    before, after = (refit_pool(model).pool for model in (unsure_model, apply_patch(unsure_model, tuple(repairs))))
    assert after.fitted_weight > before.fitted_weight + 0.05


def test_a_pool_is_fitted_on_the_classes_that_the_student_knows(gadget_model, toy_model, enough_rows):
    refitted = refit_pool(gadget_model)
    assert refitted.classes_.tolist() == [*toy_model.classes_, "gadget"]
    assert refitted.pool.new_class_key == gadget_model.pool.new_class_key == "text"
    assert refitted.predict(["the shiny gadget hums"])[0] == "gadget"
    assert refitted.predict(["the shiny gadget hums"], retrieval_weight=0.0)[0] != "gadget"


def test_memories_that_vote_for_a_class_of_the_memory_alone_have_no_part_in_the_fit(gadget_model, monkeypatch):
    given = []
    original = refit.choose_pool
    monkeypatch.setattr(refit, "choose_pool", lambda *args: given.append(args) or original(*args))
    refit_pool(gadget_model)
    encoded, labels, memory, keys = given[0]
    assert memory.classes == ("fruit", "metal", "weather")
    assert "gadget" not in set(memory.rows["label"])
    assert (len(memory), len(encoded), len(labels), keys) == (90, 24, 24, ["aligned", "text"])


def test_an_untuned_encoder_searches_the_memory_from_then_on_and_decides_about_new_classes(
    gadget_model, toy_encoder_folder, tmp_path
):
    model = with_encoder_key(gadget_model, str(toy_encoder_folder), layers=2)
    assert list(model.keys) == list(model.pool.keys) == list(model.memory.keys) == ["aligned", "text", "encoder"]
    assert model.pool.new_class_key == "encoder"
    assert model.keys["encoder"].encoder.num_layers == 2
    assert model.metrics["memory"]["new_class_key"] == "encoder"
    text = "the shiny gadget hums"
    explanation = model.explain(text)
    assert explanation.label == "gadget"
    neighbours = next(key for key in explanation.keys if key.name == "encoder").neighbours
    assert (neighbours[0].text, neighbours[0].similarity) == (text, pytest.approx(1.0, abs=1e-4))
    model.save_pretrained(tmp_path / "model")
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    assert loaded.pool == model.pool
    np.testing.assert_allclose(loaded.predict_proba([text, "iron"]), model.predict_proba([text, "iron"]), atol=1e-6)
    again = refit_pool(loaded)
    assert again.pool.new_class_key == "encoder"
    assert list(again.pool.keys) == ["aligned", "text", "encoder"]


def test_keys_are_fitted_to_the_rows_of_the_teacher_alone(toy_model, toy_encoder_folder, monkeypatch):
    asked = []
    original = refit.fit_keys
    monkeypatch.setattr(
        refit, "fit_keys", lambda *given, **options: asked.append(options["taught"]) or original(*given, **options)
    )
    added = apply_patch(toy_model, (Edit("add", "mine", toy_model.classes_[0], "the shiny new gadget hums"),))
    edited = apply_patch(added, (Edit("relabel", "mine", toy_model.classes_[1]),))
    refit_pool(edited)
    with_encoder_key(edited, str(toy_encoder_folder))
    assert [taught.tolist() for taught in asked] == [[True] * len(toy_model.memory) + [False]] * 3


def test_keys_are_not_fitted_to_a_handful_of_rows(toy_model, toy_encoder_folder):
    ids = toy_model.memory.rows["id"]
    few = apply_patch(toy_model, tuple(Edit("remove", name) for name in ids[4:]))
    for fit in (refit_pool, lambda model: with_encoder_key(model, str(toy_encoder_folder))):
        with pytest.raises(ReAugKDError, match="Fewer than 5 memories are the teacher's own"):
            fit(few)


def test_an_encoder_that_is_not_there_is_named(toy_model):
    with pytest.raises(ReAugKDError, match="'no/encoder' is neither a folder nor cached"):
        with_encoder_key(toy_model, "no/encoder")


def shown(model):
    """What the card says of the choice, and what metrics.json says."""
    words = model.card.split("log loss in nats (less is better);\n")[1].split("\n\n")[0].replace("\n", " ")
    return words, model.metrics["memory"]


def test_figures_and_card_state_the_choice_that_is_fitted_again(toy_model, monkeypatch, enough_rows):
    pool = Pool({"aligned": KeySettings(16, 0.1, 0.25), "text": KeySettings(8, 0.1, 0.5)}, 0.75)
    monkeypatch.setattr(refit, "choose_pool", lambda *_: choice.PoolChoice(pool, np.empty((0, 3))))
    edited = apply_patch(toy_model, (Edit("remove", toy_model.memory.rows["id"].iloc[0]),))
    model = refit_pool(edited)
    words, memory = shown(model)
    assert words.startswith("all weights were chosen on the validation rows, one seed (0).")
    said = "The memory has 50 % of the weight in the answer: 0.25 by the aligned key and 0.50 by the text key, "
    assert words.endswith(said + "beside 0.75 for the student.")
    assert memory == {
        "student_weight": 0.75,
        "key_weights": {"aligned": 0.25, "text": 0.5},
        "retrieval_weight": 0.5,
        "new_class_key": "text",
        "too_few_rows": False,
    }
    assert "## Edited after training" in model.card


def test_where_the_validation_rows_were_too_few_figures_and_card_say_just_that(toy_model, monkeypatch):
    for model in (toy_model, refit_pool(toy_model)):
        words, memory = shown(model)
        assert (memory["too_few_rows"], memory["retrieval_weight"]) == (True, 0)
        assert words.startswith("no weight could be chosen on the validation rows, one seed (0).")
        assert words.endswith("too few validation rows to tell whether the memory pays: the student answers alone.")
    monkeypatch.setattr(choice, "FEWEST_VALIDATION", 24)
    words, memory = shown(refit_pool(toy_model))
    assert not memory["too_few_rows"]
    assert words.startswith("all weights were chosen on the validation rows")


def test_a_card_in_a_persons_own_words_is_left_alone(toy_model):
    own = replace(toy_model, card="My own words.", metrics={})
    assert refit_pool(own).card == "My own words."


def test_a_model_without_evaluation_rows_says_so(toy_model):
    with pytest.raises(ReAugKDError, match="carries no evaluation rows"):
        refit_pool(replace(toy_model, evaluation_rows=None))


def test_a_threshold_is_chosen_anew_for_the_answers_of_the_new_pool(unsure_model, enough_rows):
    careful = replace(unsure_model, threshold=Threshold("probability", 0.99, 0.6))
    assert refit_pool(careful).threshold == refit_pool(unsure_model).with_threshold(0.6).threshold
