"""The sliders of retrieval: what the model has until one is moved, and room for whatever a link asks for."""

from dataclasses import replace

import gradio as gr
import pytest

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.retrieval_sliders import RetrievalSliders, overrides, slider_values
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool


@pytest.fixture
def sliders(tmp_path):
    with gr.Blocks():
        return RetrievalSliders(ModelMenu(ModelJob(str(tmp_path / "toy"))), gr.Dropdown(["toy"]))


def cut_to(model, count):
    memory = model.memory
    keys = {name: key[:count] for name, key in memory.keys.items()}
    soft_labels, embeddings = memory.soft_labels[:count], memory.teacher_embeddings[:count]
    few = Memory(memory.rows[:count], memory.classes, soft_labels, embeddings, keys)
    return replace(model, memory=few, maps=None, epochs=None)


def pooled(model, aligned, text, **options):
    return replace(model, pool=Pool({"aligned": aligned, "text": text}, **options))


@pytest.mark.parametrize("memories", [1, 3, 80])
@pytest.mark.parametrize(("k", "temperature"), [(16, 0.1), (5_000, 0.002)])
def test_what_is_set_lies_between_the_ends_of_its_slider(toy_model, sliders, memories, k, temperature):
    found = sliders.set_to(**slider_values(cut_to(toy_model, memories), k, 0.5, temperature))
    assert found[sliders.k].value == min(k, memories)
    assert found[sliders.temperature].value == temperature
    for slider in (found[sliders.k], found[sliders.temperature]):
        assert slider.preprocess(slider.value) == slider.value  # Gradio refuses what lies outside
    assert found[sliders.k].preprocess(sliders.k.value) == sliders.k.value  # an event may still come with that


@pytest.mark.parametrize(
    ("weights", "wanted"), [((0.2, 0.6), (32, 0.44, 0.05)), ((0.6, 0.2), (8, 0.44, 0.2)), ((0.0, 0.0), (8, 0.0, 0.2))]
)
def test_what_is_not_asked_for_is_that_of_the_key_with_the_largest_weight_and_the_fitted_weight(
    toy_model, weights, wanted
):
    aligned, text = KeySettings(8, 0.2, weights[0]), KeySettings(32, 0.05, weights[1])
    model = pooled(toy_model, aligned, text, student_weight=1.0)
    values = slider_values(model)
    assert tuple(values.values()) == (*wanted, True, True)
    assert model.pool.overridden(**overrides(**values)) == model.pool


def test_a_weight_that_was_set_by_hand_is_shown_and_stays(toy_model):
    model = pooled(toy_model, KeySettings(8, 0.2, 0.5), KeySettings(32, 0.05), retrieval_weight=0.9)
    values = slider_values(model)
    assert tuple(values.values()) == (8, 0.9, 0.2, True, True)
    assert model.pool.overridden(**overrides(**values)).retrieval_weight == 0.9


def test_k_alone_in_a_link_holds_for_every_key_with_the_temperature_that_is_shown(toy_model):
    model = pooled(toy_model, KeySettings(8, 0.2, 0.5), KeySettings(32, 0.05))
    values = slider_values(model, k=4)
    assert tuple(values.values()) == (4, 0.33, 0.2, True, False)
    assert overrides(**values) == {"k": 4, "retrieval_weight": None, "temperature": 0.2}


@pytest.mark.parametrize(
    ("boxes", "wanted"),
    [((True, True), (None, None, None)), ((False, True), (None, 0.3, None)), ((True, False), (7, None, 0.05))],
)
def test_a_checked_box_leaves_its_sliders_out(boxes, wanted):
    assert tuple(overrides(7, 0.3, 0.05, *boxes).values()) == wanted


@pytest.mark.parametrize(("typed", "taken"), [(999, 64), (0, 1), (17, 17), (None, 1)])
def test_a_number_beyond_a_slider_is_taken_as_its_end(sliders, typed, taken):
    assert sliders.k.preprocess(typed) == taken
