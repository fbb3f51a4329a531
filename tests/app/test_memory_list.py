"""The list of the page Memory: its questions, its order, its link and the selection on the maps."""

import re
from dataclasses import replace

import gradio as gr
import pytest

from reaugkd.analysis.edit_effects import halves
from reaugkd.analysis.memory_audit import memories
from reaugkd.analysis.memory_questions import DUPLICATES, LEAKS, SHOWS, SORTED_BY, WRONG
from reaugkd.method.memory import Memory
from reaugkd.plots.links import PageState


@pytest.fixture
def view(memory_view_of, by_one):
    return memory_view_of(by_one)


@pytest.fixture
def shown(view):
    return view.fill("toy", PageState(), [], {}, {})[view.shown]


def numbers_in(html):
    """The rows of the memory that a list draws, in their order."""
    return [int(number) for number in re.findall(r'data-row="(\d+)"', html)]


@pytest.mark.parametrize("show", SHOWS)
def test_a_list_shows_its_rows_in_their_order_the_column_it_is_sorted_by_and_no_zeros_as_a_reason(
    view, shown, by_one, show
):
    test_rows = by_one.encode_rows(by_one.held_out(["test"]))
    wanted = memories(by_one, by_one.answer(test_rows if show == LEAKS else halves(test_rows)[0]), show)
    listed = view._show(shown, show)
    assert numbers_in(listed[view.rows]) == wanted["number"].tolist()
    assert f"<b>{len(wanted)}</b> rows: {show}" in listed[view.chosen]
    if len(wanted):
        order = "ascending" if SORTED_BY[show][1] else "descending"
        assert f'aria-sort="{order}"><button data-sort="{SORTED_BY[show][0]}"' in listed[view.rows]
    assert 'data-sort="fixes"' not in listed[view.rows]


def test_the_lists_are_counted_by_what_they_hold(view, by_one):
    filled = view.fill("toy", PageState(), [], {}, {})
    answered = by_one.answer(halves(by_one.encode_rows(by_one.held_out(["test"])))[0])
    counts = dict(choice[::-1] for choice in filled[view.show].choices)
    for show in (WRONG, "does harm", "never used", "all"):
        assert counts[show] == f"{show} {len(memories(by_one, answered, show)):,}"
    assert 0 < len(memories(by_one, answered, WRONG)) < len(by_one.memory) / 2


def test_a_click_on_a_column_sorts_by_it_and_a_second_click_turns_it(view, shown, by_one):
    every = view._show(shown, "all")[view.shown]
    first = view._sort(gr.EventData(None, {"column": "doubt"}), every)
    answered = by_one.answer(halves(by_one.encode_rows(by_one.held_out(["test"])))[0])
    doubt = memories(by_one, answered, "all").set_index("number")["doubt"]
    assert doubt[numbers_in(first[view.rows])].is_monotonic_decreasing
    second = view._sort(gr.EventData(None, {"column": "doubt"}), first[view.shown])
    assert doubt[numbers_in(second[view.rows])].is_monotonic_increasing
    by_text = view._sort(gr.EventData(None, {"column": "text"}), second[view.shown])
    texts = by_one.memory.rows["text"][numbers_in(by_text[view.rows])]
    assert texts.is_monotonic_increasing


@pytest.mark.parametrize(
    ("linked", "selected", "show", "said"),
    [
        (PageState(), [], WRONG, WRONG),
        (PageState(), [0, 3], "all", "<b>2</b> rows: all, selected on the maps"),
        (PageState(), [10_000], WRONG, f"rows: {WRONG}</p>"),
        (PageState("toy", "memory", of_view={"show": "most used"}), [0, 3], "most used", "most used, selected on"),
        (PageState("toy", "memory", of_view={"holds": "iron"}), [], WRONG, f"{WRONG}, “iron” in the text"),
        (PageState("other", "memory", of_view={"show": "does harm"}), [], WRONG, WRONG),
    ],
)
def test_the_page_opens_with_what_its_link_asks_for_and_the_link_comes_back(view, linked, selected, show, said):
    drawn = view.fill("toy", linked, selected, {}, {})
    assert drawn[view.shown].show == show
    assert said in drawn[view.chosen]
    again = view.linked_state(PageState("toy", "memory"), drawn[view.shown])
    assert view.fill("toy", again, selected, {}, {})[view.chosen] == drawn[view.chosen]


def test_where_no_label_looks_wrong_the_page_opens_with_what_is_doubted_most(toy_model, memory_view_of):
    view = memory_view_of(toy_model)
    drawn = view.fill("toy", PageState(), [], {}, {})
    assert (drawn[view.shown].show, drawn[view.shown].order) == ("all", ("doubt", False))
    assert 'aria-sort="descending"><button data-sort="doubt"' in drawn[view.rows]


def test_the_list_follows_the_selection_of_the_model_that_the_page_is_filled_for(view, shown):
    selected = view._follow(shown, "toy", [0, 3])
    assert (selected[view.show], selected[view.shown].rows) == ("all", [0, 3])
    assert view._follow(selected[view.shown], "toy", [])[view.show] == WRONG
    assert view._follow(shown, "toy", [10_000]) == view._follow(None, "toy", [0]) == gr.skip()
    assert view._follow(replace(shown, name="other"), "toy", [0]) == gr.skip()


def test_of_a_memory_on_disk_the_page_says_which_rows_it_lists(memory_view_of, by_one, tmp_path):
    mapped = replace(by_one, memory=Memory.build([by_one.memory], tmp_path / "memory", 6))
    view = memory_view_of(mapped)
    shown = view.fill("toy", PageState(), [], {}, {})[view.shown]
    listed = view._show(shown, "all")
    assert "This memory is large. Listed are those of its rows" in listed[view.chosen]
    answered = mapped.answer(halves(mapped.encode_rows(mapped.held_out(["test"])))[0])
    assert numbers_in(listed[view.rows]) == memories(mapped, answered, "all")["number"].tolist()
    assert "Near-duplicates are not looked for in a memory on disk" in view._show(shown, DUPLICATES)[view.chosen]
