"""The page of the memory without a browser: what it keeps of pending edits, and which memories it lists."""

from dataclasses import replace

import gradio as gr
import pytest

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.maps_panel import MapsPanel
from app.views.memory import MemoryView, pending_html, pending_patch
from reaugkd.analysis.edits import Edit
from reaugkd.plots.links import PageState


@pytest.fixture
def view(toy_model, tmp_path):
    job = ModelJob(str(tmp_path / "toy"))
    job.model = toy_model
    with gr.Blocks():
        name, menu = gr.Dropdown(), ModelMenu(job)
        linked = gr.State(PageState())
        return MemoryView(menu, name, MapsPanel(menu, name, linked), linked, gr.BrowserState({}))


def test_pending_edits_of_ids_of_any_form_come_back_by_model_and_those_that_do_not_fit_are_counted(toy_model):
    rows = toy_model.memory.rows
    patch = (Edit("remove", rows["id"][0]), Edit("add", " 7 ", "fruit", rows["text"][1]), Edit("remove", " 7 "))
    stored = {"toy": [edit.as_dict() for edit in patch], "twice": [patch[0].as_dict()] * 3}
    assert pending_patch(stored, "toy", toy_model) == (patch, 0)
    assert pending_patch(stored, "twice", toy_model) == (patch[:1], 2)
    assert pending_patch(stored, "other", toy_model) == ((), 0)


def test_an_edit_is_kept_beside_those_of_other_models_and_one_that_does_not_fit_is_told(view, toy_model):
    others = {"other": [{"edit": "remove", "id": "a"}]}
    added = view._add("toy", others, "iron in the rain", "", "metal")
    assert added[view.edits] == others | {
        "toy": [{"edit": "add", "id": "added-1", "label": "metal", "text": "iron in the rain"}]
    }
    assert added[view.text] == ""
    assert view._add("toy", others, " ", "", "metal").keys() == {view.message}
    assert view._drop(gr.EventData(None, {"number": 0}), "toy", added[view.edits])[view.edits] == others | {"toy": []}


def test_each_button_that_drops_an_edit_names_it():
    html = pending_html((Edit("remove", "a <b>"), Edit("relabel", "c", "metal")), ["metal"])
    assert 'aria-label="Drop: remove a &lt;b&gt;"' in html
    assert 'aria-label="Drop: relabel c to metal"' in html


@pytest.mark.parametrize(
    ("linked", "selected", "show", "said"),
    [
        (PageState(), [], "suspicious", "suspicious"),
        (PageState(), [0, 3], "all", "<b>2</b> rows: all, selected on the maps"),
        (PageState(), [10_000], "suspicious", "rows: suspicious</p>"),
        (PageState("toy", "memory", of_view={"show": "most used"}), [0, 3], "most used", "most used, selected on"),
        (PageState("toy", "memory", of_view={"holds": "iron"}), [], "suspicious", "suspicious, “iron” in the text"),
        (PageState("other", "memory", of_view={"show": "harmful"}), [], "suspicious", "suspicious"),
    ],
)
def test_the_page_opens_with_what_its_link_asks_for_and_the_link_comes_back(view, linked, selected, show, said):
    drawn = view.fill("toy", linked, selected, {})
    assert drawn[view.show] == show
    assert said in drawn[view.chosen]
    again = view.linked_state(PageState("toy", "memory"), drawn[view.shown])
    assert view.fill("toy", again, selected, {})[view.chosen] == drawn[view.chosen]


def test_the_list_follows_the_selection_of_the_model_that_the_page_is_filled_for(view):
    shown = view.fill("toy", PageState(), [], {})[view.shown]
    selected = view._follow(shown, "toy", [0, 3])
    assert (selected[view.show], selected[view.shown].rows) == ("all", [0, 3])
    assert view._follow(selected[view.shown], "toy", [])[view.show] == "suspicious"
    assert view._follow(shown, "toy", [10_000]) == view._follow(None, "toy", [0]) == gr.skip()
    assert view._follow(replace(shown, name="other"), "toy", [0]) == gr.skip()
