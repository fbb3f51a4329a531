"""What is picked stands in the page's link, and comes back from it."""

import pytest
from picked import picked_by_link, picked_in_link

CELL = {"equal": {"label": "metal", "answer": "fruit"}}
DIFFERING = {"equal": {"differs": "True"}}


@pytest.mark.parametrize("usual", [{}, DIFFERING])
@pytest.mark.parametrize("rows", [[], [0, 2, 5]])
@pytest.mark.parametrize("picked", [{}, DIFFERING, CELL, {"between": {"probability": [0.5, 0.75]}}])
@pytest.mark.parametrize("counts", [False, True])
def test_a_link_picks_what_was_picked_with_and_without_selected_rows(usual, rows, picked, counts):
    picked = {**picked, "rows": rows} if counts and rows else picked
    assert picked_by_link(picked_in_link(picked, usual, bool(rows)), usual, rows) == picked


def test_what_a_page_opens_with_by_itself_does_not_stand_in_its_link():
    assert picked_in_link({}, {}, is_selected=False) == ""
    assert picked_in_link(DIFFERING, DIFFERING, is_selected=False) == ""
    assert picked_in_link({"rows": [1, 2]}, DIFFERING, is_selected=True) == ""
    assert "1" not in picked_in_link({**CELL, "rows": [1, 2]}, {}, is_selected=True)


def test_an_explicit_pick_wins_over_selected_rows_and_without_one_they_are_listed():
    assert picked_by_link('{"equal": {"label": "metal"}}', {}, [1]) == {"equal": {"label": "metal"}}
    assert picked_by_link("", DIFFERING, [1]) == {"rows": [1]}
    assert picked_by_link("", DIFFERING, []) == DIFFERING
