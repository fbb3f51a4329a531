"""The sliders of retrieval: whatever a model or a link asks for has room on them."""

from dataclasses import replace

import gradio as gr
import pytest
from retrieval_sliders import RetrievalSliders

from reaugkd.inference import ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.retrieval import RetrievalSettings


def cut_to(model, count):
    memory = model.parts.knowledge_base
    few = KnowledgeBase(memory.rows[:count], memory.embeddings[:count], memory.soft_labels[:count])
    return ReAugKDClassifier(replace(model.parts, knowledge_base=few, second_key=None, maps=None, epochs=None))


@pytest.mark.parametrize("memories", [1, 3, 80])
@pytest.mark.parametrize("asked", [RetrievalSettings(16, 0.5, 0.1), RetrievalSettings(5_000, 1.0, 0.002)])
def test_what_is_set_lies_between_the_ends_of_its_slider(toy_model, memories, asked):
    with gr.Blocks():
        sliders = RetrievalSliders()
        found = sliders.set_to(cut_to(toy_model, memories), asked)
    assert found[sliders.k].value == min(asked.k, memories)
    assert found[sliders.temperature].value == asked.temperature
    for slider in (found[sliders.k], found[sliders.temperature]):
        assert slider.preprocess(slider.value) == slider.value  # Gradio refuses what lies outside
    assert found[sliders.k].preprocess(sliders.k.value) == sliders.k.value  # an event may still come with that
