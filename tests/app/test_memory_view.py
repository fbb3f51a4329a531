"""The page of the memory without a browser: what it keeps of pending edits, and which memories it lists."""

import json

import gradio as gr
import pytest
from maps_panel import MapsPanel
from memory_view import SELECTED, MemoryView, kept_patch, pending_html, with_patch
from model_job import ModelJob
from models import ModelMenu

from reaugkd.links import PageState
from reaugkd.patch import Edit


@pytest.fixture
def view(toy_model, tmp_path):
    job = ModelJob(str(tmp_path / "toy"))
    job.model = toy_model
    with gr.Blocks():
        name, menu = gr.Dropdown(), ModelMenu(job)
        return MemoryView(menu, name, MapsPanel(menu, name), gr.State(PageState()))


def test_pending_edits_of_ids_of_any_form_come_back_from_the_browser_by_model(toy_model):
    rows = toy_model.memory.rows
    patch = (Edit("remove", rows["id"][0]), Edit("add", " 7 ", "fruit", rows["text"][1]), Edit("remove", " 7 "))
    kept = with_patch(with_patch(None, "other", patch[:1]), "toy", patch)
    assert kept_patch(kept, "toy", toy_model) == (patch, 0)
    assert kept_patch(kept, "other", toy_model) == (patch[:1], 0)
    assert kept_patch(kept, "third", toy_model) == ((), 0)


@pytest.mark.parametrize("kept", [None, "", "{", "7", "[]", '{"toy": 7}', '{"toy": {"a": 1}}', "[" * 100_000])
def test_what_is_no_list_of_edits_is_none(toy_model, kept):
    assert kept_patch(kept, "toy", toy_model) == ((), 0)
    assert json.loads(with_patch(kept, "toy", ()))["toy"] == []


def test_edits_that_do_not_fit_the_memory_are_counted(toy_model):
    good = Edit("remove", toy_model.memory.rows["id"][0])
    kept = json.dumps({"toy": [good.as_dict(), good.as_dict(), None, {"edit": "burn", "id": "a"}, {"what": 1}]})
    assert kept_patch(kept, "toy", toy_model) == ((good,), 4)


def test_each_button_that_drops_an_edit_names_it():
    html = pending_html((Edit("remove", "a <b>"), Edit("relabel", "c", "metal")), ["metal"])
    assert 'aria-label="Drop: remove a &lt;b&gt;"' in html
    assert 'aria-label="Drop: relabel c to metal"' in html


@pytest.mark.parametrize(
    ("linked", "selected_of", "wanted"),
    [
        (PageState(), "toy", SELECTED),
        (PageState(), "other", "suspicious"),
        (PageState("toy", "memory", of_view={"show": "harmful"}), "toy", "harmful"),
        (PageState("toy", "memory", of_view={"holds": "iron"}), "toy", SELECTED),
        (PageState("other", "memory", of_view={"show": "harmful"}), "toy", SELECTED),
    ],
)
def test_a_choice_of_the_link_wins_over_what_is_selected_and_the_points_of_another_model_count_for_nothing(
    view, linked, selected_of, wanted
):
    assert view.fill("toy", linked, [0, 3], selected_of)[view.show] == wanted
    followed = view._list_linked("toy", linked, "toy", "most used", "", [0, 3])
    assert followed.get(view.show) == (None if wanted == "harmful" else SELECTED)


def test_what_is_selected_is_listed_once_the_page_is_filled_for_that_model(view):
    lasso = view._list_selected("toy", PageState(), "toy", "all", "", [0, 3])
    assert lasso[view.show] == SELECTED
    closed = view._list_selected("other", PageState(), "toy", "all", "", [0, 3])
    assert closed == {view.selected_of: "toy"}
    opened = view._list_linked("toy", PageState(), "toy", SELECTED, "", [])
    assert opened[view.show] == "suspicious"
