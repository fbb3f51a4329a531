"""The pages of errors and of two sides, without a browser: what they list of a selection, a link and a user's table."""

import json
import re
from dataclasses import replace

import gradio as gr
import pytest

from app.listening import once_filled
from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.maps_panel import MapsPanel
from app.parts.row_table import listed_html
from app.views.compare import DIFFERING, CompareView
from app.views.errors import ErrorsView
from app.views.errors_page import ANY
from app.views.rows import in_words
from reaugkd.measures.calibration import expected_calibration_error
from reaugkd.plots.links import PageState, app_link

MEMORIES = [0, 1, 2]
UNLINKED = PageState()
CELL = {"equal": {"label": "metal"}}


@pytest.fixture
def view_of(tmp_path):
    """Makes a page of a model, which is called toy, and a function that fills it."""

    def make(page, model):
        job = ModelJob(str(tmp_path / "toy"))
        job.model, menu = model, ModelMenu(job)
        with gr.Blocks():
            name = gr.Dropdown(["toy"])
            linked = gr.State(PageState())
            view = page(MapsPanel(menu, name, linked))
        texts = ["", ""] * (page is CompareView)
        return view, lambda linked=UNLINKED, selected=(): view.fill("toy", linked, list(selected), *texts)

    return make


@pytest.fixture(params=[ErrorsView, CompareView])
def page(request, view_of, toy_model):
    return view_of(request.param, toy_model)


@pytest.fixture
def points(toy_model):
    """The points of three test rows, and of a memory."""
    first = len(toy_model.memory)
    return [0, first, first + 2, first + 5]


def test_a_selection_lists_its_test_rows_and_memories_only_filter_none(page, points):
    view, fill = page
    shown = fill(selected=MEMORIES)[view.shown]
    assert (shown.rows, shown.row_filter) == ([], DIFFERING if view.view == "compare" else {})
    assert view._follow(shown, "toy", MEMORIES) == gr.skip()
    selected = view._follow(shown, "toy", points)
    assert (selected[view.shown].rows, selected[view.shown].row_filter) == ([0, 2, 5], {})
    assert re.search("<b>3</b>( of 36)? rows: selected on the maps", selected[view.chosen])
    assert view._follow(selected[view.shown], "toy", MEMORIES)[view.shown] == shown
    for other in (None, replace(shown, name="before")):  # it is filled for another model
        assert view._follow(other, "toy", points) == gr.skip()


@pytest.mark.parametrize("picked", [{}, CELL, DIFFERING, {"between": {"probability": [0.5, 0.75]}}])
@pytest.mark.parametrize("selected", [False, True])
def test_a_link_reopens_the_page_with_its_pick(page, points, picked, selected):
    view, fill = page
    picked = {} if view.view == "errors" and picked == DIFFERING else picked  # its rows have no such column
    pick = {"row_filter": picked}
    if view.view == "errors":
        pick = {"picks": {"confusion": picked} if picked else {}}
    shown = replace(fill(selected=points if selected else [])[view.shown], **pick, holds="a", split="validation")
    linked = view.linked_state(PageState("toy", view.view), shown)
    assert len(app_link(linked)) < 300
    assert fill(linked, points if selected else [])[view.shown] == shown


def test_a_link_has_nothing_of_what_a_page_opens_with_by_itself(page):
    view, fill = page
    assert "picked" not in view.linked_state(PageState("toy", view.view), fill()[view.shown]).of_view
    assert view.linked_state(PageState("toy", view.view), None) == PageState("toy", view.view)


def test_a_link_that_picks_by_a_column_that_is_not_there_opens_the_page_with_a_sentence(page):
    view, fill = page
    linked = PageState(view=view.view, of_view={"picked": json.dumps({"equal": {"nowhere": "x"}})})
    assert "no column &#x27;nowhere&#x27;" in fill(linked)[view.chosen]


def test_a_cell_picked_on_another_split_keeps_the_rows_that_are_selected_on_the_maps(page, points):
    view, fill = page
    shown = replace(fill(selected=points)[view.shown], split="validation")
    if view.view == "errors":
        figure, kept = view.confusion, {"picks": {"confusion": CELL}}
    else:
        figure, kept = view.outcomes, {"row_filter": CELL}
    picked = view._pick(gr.EventData(figure, {"pick": json.dumps(CELL)}), shown)
    assert picked[view.shown] == replace(shown, **kept)
    assert "selected on the maps" not in picked[view.chosen]


def test_what_changes_counts_beside_what_is_shown_and_what_a_page_put_there_itself_is_not_answered(page):
    view, fill = page
    answers = []
    view._on(lambda answer, *_, **__: answers.append(answer), view._listed, view.listed, "holds")
    (answer,), shown = answers, fill(PageState(view=view.view, of_view={"holds": "a"}))[view.shown]
    assert answer(shown, holds="a") == answer(None, holds="a") == gr.skip()
    assert answer(shown, holds="iron")[view.shown] == replace(shown, holds="iron")


def test_the_sliders_move_what_is_shown(view_of, toy_model):
    view, fill = view_of(ErrorsView, toy_model)
    shown = fill()[view.shown]
    sliders = {"k": 4, "weight": 0.5, "temperature": 0.1, "as_fitted": False, "as_chosen": True}
    moved = view._move(shown, **sliders)[view.shown]
    assert moved == replace(shown, moved={"k": None, "retrieval_weight": 0.5, "temperature": None})
    assert once_filled(view._move)(None, **sliders) == gr.skip()


def test_each_voice_has_its_calibration_error_and_k_and_temperature_move_that_of_the_answer(view_of, pooled_model):
    view, fill = view_of(ErrorsView, pooled_model)
    encoded = pooled_model.encode_rows(pooled_model.held_out(["test"]))
    found = set()
    for k, temperature in ((8, 0.1), (8, 0.5), (2, 0.5)):
        answers = pooled_model.answer(encoded, pooled_model.pool.overridden(k=k, temperature=temperature))
        shown = re.sub("<[^>]*>", "", fill(PageState(view="errors", k=k, temperature=temperature))[view.reliability])
        for voice, said in (("student", encoded.student_probabilities), ("answer", answers.pooled.probabilities)):
            error = expected_calibration_error(said.max(axis=1), said.argmax(axis=1) == answers.labels)
            assert f"{voice}: expected calibration error {100 * error:.1f} %" in shown
        found.add(error)
    assert len(found) == 3


def test_where_no_row_says_the_chosen_value_any_more_box_and_list_let_all_pass(view_of, toy_model):
    view, fill = view_of(ErrorsView, toy_model)
    for value, shown, said in (
        ("nobody says this", ANY, "<b>36</b> rows: all rows"),
        ("metal", "metal", "label = metal"),
    ):
        drawn = fill(PageState(view="errors", of_view={"column": "label", "value": value}))
        assert drawn[view.value].value == shown
        assert said in drawn[view.chosen]
    assert fill(PageState(view="errors", of_view={"column": "nowhere", "value": "x"}))[view.column].value == ANY


def test_a_table_with_a_column_called_row_is_listed(view_of, toy_model):
    rows = toy_model.evaluation_rows
    model = replace(toy_model, evaluation_rows=rows.assign(row="mine"))
    for page in (ErrorsView, CompareView):
        view, fill = view_of(page, model)
        listed = fill(selected=[len(model.memory)])[view.rows]
        assert re.findall('data-sort="(.*?)"', listed)[0] == "row number"
        assert 'data-sort="row"' in listed
        assert re.findall('data-row="(.*?)"', listed) == ["0"]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"rows": None}, []),
        ({"equal": {"differs": "True"}, "rows": [1]}, ["answered differently", "selected on the maps"]),
        ({"equal": {"outcome": "both right"}, "text": " iron "}, ["outcome = both right", "“iron” in the text"]),
        ({"between": {"probability": [0.5, 0.75]}}, ["probability 0.5 to 0.75"]),
    ],
)
def test_what_is_listed_is_said_in_words(chosen, words):
    assert in_words(chosen) == words


def test_where_more_rows_are_found_than_listed_the_page_says_so():
    assert listed_html("all rows", 1_200) == (
        "<p><b>1,200</b> rows: all rows; the first 500 are listed, the file holds all</p>"
    )


def test_a_value_of_a_column_that_was_left_is_no_error(toy_model, view_of):
    view, fill = view_of(ErrorsView, toy_model)
    shown = replace(fill()[view.shown], column="topic", value=view.value.preprocess("complaint"))
    assert view._drawn(shown)[view.shown].value == ANY
