"""The pages of errors and of two sides, without a browser: what they list of a selection, a link and a user's table."""

import json
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest
from compare_view import AS_FITTED, DIFFERING, MEMORY, STUDENT, CompareView
from errors_view import ANY, ErrorsView
from maps_panel import MapsPanel
from model_job import ModelJob
from models import ModelMenu

from reaugkd.classifier import ReAugKDClassifier
from reaugkd.links import PageState, app_link

MEMORIES = [0, 1, 2]
CELL = {"equal": {"label": "metal"}}


@pytest.fixture
def view_of(tmp_path):
    """Makes a page of a model, which is called toy."""

    def make(page, model):
        job = ModelJob(str(tmp_path / "toy"))
        job.model, menu = model, ModelMenu(job)
        with gr.Blocks():
            name = gr.Dropdown(["toy"])
            return page(menu, name, MapsPanel(menu, name), gr.State(PageState()))

    return make


@pytest.fixture
def errors(view_of, toy_model):
    return view_of(ErrorsView, toy_model)


@pytest.fixture
def compare(view_of, toy_model):
    return view_of(CompareView, toy_model)


@pytest.fixture
def points(toy_model):
    """The points of three test rows, and of a memory."""
    first = len(toy_model.memory)
    return [0, first, first + 2, first + 5]


def errors_seen(picked=None, *, column=ANY, value=ANY):
    return ["toy", "test", 4, 0.6, 0.05, False, False, picked or {}, ANY, column, value, ANY, ""]


def compare_seen(picked):
    return ["toy", AS_FITTED, 0.5, "toy", STUDENT, 0.5, "test", picked, "", "iron", ""]


@pytest.mark.parametrize(("page", "usual"), [(ErrorsView, {}), (CompareView, DIFFERING)])
def test_a_selection_of_memories_only_filters_no_rows(view_of, toy_model, page, usual):
    view = view_of(page, toy_model)
    more = [] if page is ErrorsView else ["", ""]
    drawn = view.fill("toy", *more, PageState(), MEMORIES)
    assert drawn[view.picked] == usual
    assert "selected on the maps" not in drawn[view.chosen]
    assert view.pick.of("toy", PageState(), MEMORIES) == usual


def test_a_selection_that_held_rows_lets_all_pass_when_it_holds_memories_only(errors, compare):
    drawn = errors._draw_selected("toy", MEMORIES, *errors_seen({"rows": [0]}))
    assert drawn[errors.picked] == {}
    assert "<b>36</b> rows: all rows" in drawn[errors.chosen]
    drawn = compare._compare_selected("toy", MEMORIES, *compare_seen({"rows": [0]}))
    assert drawn[compare.picked] == DIFFERING


def test_pages_that_another_model_filled_are_not_drawn_when_points_are_selected(errors, compare, points):
    seen = errors_seen(column="a column of the model before", value="x")
    for drawn_for in (None, "before"):
        assert errors._draw_selected(drawn_for, points, *seen) == gr.skip()
        assert errors._draw_linked(drawn_for, PageState(), points, *seen) == gr.skip()
        assert compare._compare_selected(drawn_for, points, *compare_seen(DIFFERING)) == gr.skip()
        assert compare._compare_linked(drawn_for, PageState(), points, *compare_seen(DIFFERING)) == gr.skip()
    assert errors._draw_selected("toy", points, *errors_seen())[errors.picked] == {"rows": [0, 2, 5]}
    assert compare._compare_selected("toy", points, *compare_seen({}))[compare.picked] == {"rows": [0, 2, 5]}


@pytest.mark.parametrize("picked", [{}, CELL, {"rows": [0, 2, 5]}, {**CELL, "rows": [0, 2, 5]}])
def test_a_link_reopens_errors_with_its_pick_whether_the_maps_come_before_or_after(errors, points, picked):
    linked = errors.linked_state(PageState("toy", selected=tuple(points)), *errors_seen(picked))
    assert len(app_link(linked)) < 300
    assert errors.fill("toy", linked, points)[errors.picked] == picked
    early = errors.fill("toy", linked, [])[errors.picked]
    late = errors._draw_linked("toy", linked, points, *errors_seen(early))
    assert (early if late == gr.skip() else late[errors.picked]) == picked


@pytest.mark.parametrize("picked", [{}, DIFFERING, {"rows": [0, 2, 5]}, {"equal": {"outcome": "both right"}}])
def test_a_link_reopens_compare_with_its_pick_whether_the_maps_come_before_or_after(compare, points, picked):
    linked = compare.linked_state(PageState("toy", selected=tuple(points)), *compare_seen(picked))
    assert compare.fill("toy", "", "", linked, points)[compare.picked] == picked
    early = compare.fill("toy", "", "", linked, [])[compare.picked]
    late = compare._compare_linked("toy", linked, points, *compare_seen(early))
    assert (early if late == gr.skip() else late[compare.picked]) == picked


def test_what_is_picked_before_a_links_points_come_stays(errors, compare, points):
    linked = PageState("toy", "errors", selected=tuple(points))
    assert errors._draw_linked("toy", linked, points, *errors_seen(CELL)) == gr.skip()
    assert compare._compare_linked("toy", replace(linked, view="compare"), points, *compare_seen({})) == gr.skip()


@pytest.mark.parametrize("asked", [{"equal": 1}, {"equal": {"nowhere": "x"}}, {"between": {"text": [0, 1]}}])
def test_an_odd_link_opens_the_pages_all_the_same(errors, compare, asked):
    of_view = {"picked": json.dumps(asked)}
    assert errors.fill("toy", PageState(view="errors", of_view=of_view), [])[errors.picked] == {}
    drawn = compare.fill("toy", "", "", PageState(view="compare", of_view=of_view), [])
    assert drawn[compare.picked] in ({}, DIFFERING)


def test_where_no_row_says_the_chosen_value_any_more_box_and_list_let_all_pass(errors):
    drawn = errors._draw(*errors_seen(column="answer", value="nobody says this"))
    assert drawn[errors.value].value == ANY
    assert "<b>36</b> rows: all rows" in drawn[errors.chosen]
    drawn = errors._draw(*errors_seen(column="label", value="metal"))
    assert drawn[errors.value].value == "metal"
    assert "label = metal" in drawn[errors.chosen]


def test_a_cell_picked_on_another_split_keeps_the_rows_that_are_selected_on_the_maps(errors):
    seen = errors_seen({"rows": [0, 2]})
    seen[1] = "validation"
    picked = errors._pick(SimpleNamespace(pick=json.dumps(CELL)), *seen)
    assert picked[errors.picked] == {**CELL, "rows": [0, 2]}
    assert "selected on the maps" not in picked[errors.chosen]


def test_what_a_page_puts_into_a_box_is_not_answered_anew_and_what_is_typed_counts_beside_what_is_shown(
    errors, compare
):
    asked = PageState(view="errors", of_view={"holds": "a", "split": "validation"})
    drawn = errors.fill("toy", asked, [])
    assert errors._list_typed(drawn[errors.shown], "a") == gr.skip()
    listed = errors._list_typed(drawn[errors.shown], "iron")
    assert listed[errors.shown] == replace(drawn[errors.shown], text="iron")
    assert listed[errors.shown].split == "validation"
    chosen = errors._list_chosen(listed[errors.shown], "fixed", ANY, ANY)
    assert chosen[errors.shown] == replace(listed[errors.shown], effect="fixed")
    assert errors._list_chosen(chosen[errors.shown], "fixed", ANY, ANY) == gr.skip()
    asked = PageState(text="rain", view="compare", of_view={"holds": "a", "split": "validation"})
    drawn = compare.fill("toy", "", "", asked, [])
    assert compare._list(drawn[compare.shown], "a") == compare._ask(drawn[compare.shown], "rain", "") == gr.skip()
    listed = compare._list(drawn[compare.shown], "iron")
    assert listed[compare.shown] == replace(drawn[compare.shown], holds="iron")
    assert listed[compare.shown].split == "validation"
    answered = compare._ask(drawn[compare.shown], "snow", "")
    assert answered[compare.shown] == replace(drawn[compare.shown], text="snow")
    assert "snow" in answered[compare.first_answer]
    sides = (AS_FITTED, 0.5, "toy", MEMORY, 0.5)
    redrawn = compare._draw(answered[compare.shown], *sides)
    assert (redrawn[compare.shown].text, redrawn[compare.shown].second_by) == ("snow", MEMORY)
    assert "snow" in redrawn[compare.second_answer]
    assert compare._draw(redrawn[compare.shown], *sides) == gr.skip()
    assert errors._list_typed(None, "a") == compare._list(None, "a") == compare._ask(None, "a", "") == gr.skip()
    assert errors._list_chosen(None, ANY, ANY, ANY) == compare._draw(None, *sides) == gr.skip()


def test_a_table_with_a_column_called_row_is_listed(view_of, toy_model):
    rows = toy_model.parts.evaluation_rows
    model = ReAugKDClassifier(replace(toy_model.parts, evaluation_rows=rows.assign(row="mine")))
    for page, more in ((ErrorsView, []), (CompareView, ["", ""])):
        view = view_of(page, model)
        listed = view.fill("toy", *more, PageState(), [len(model.memory)])[view.rows].value
        assert listed["headers"][0] == "row number"
        assert "row" in listed["headers"]
        assert [row[0] for row in listed["data"]] == [0]
