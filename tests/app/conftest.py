"""The page of the memory, without a browser."""

from dataclasses import replace

import gradio as gr
import pytest

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.maps_panel import MapsPanel
from app.views.memory import MemoryView
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.plots.links import PageState


@pytest.fixture(scope="module")
def by_one(puzzled_model):
    """A model of wrong labels, which answers by one memory of the text key."""
    pool = Pool({"aligned": KeySettings(1), "text": KeySettings(1, 0.05, 1.0)}, retrieval_weight=1.0)
    return replace(puzzled_model, pool=pool)


@pytest.fixture
def memory_view_of(tmp_path):
    """Make the page of the memory of a model."""

    def made(model):
        job = ModelJob(str(tmp_path / "toy"))
        job.model = model
        with gr.Blocks():
            name, menu = gr.Dropdown(), ModelMenu(job)
            linked = gr.State(PageState())
            stores = gr.BrowserState({}), gr.BrowserState({})
            return MemoryView(MapsPanel(menu, name, linked), *stores)

    return made
