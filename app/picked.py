"""What is picked on a page, in its link: the pick, and whether the rows that are selected on the maps count."""

import json
from typing import Any

from maps_panel import MapsPanel

from reaugkd.links import PageState, picked_of


def selected_rows(picked: dict[str, Any], split: str) -> list[int] | None:
    """Return the test rows that are selected on the maps, which show no others; None where nothing is selected."""
    return picked.get("rows") if split == "test" else None


def rows_in_words(rows: list[int] | None) -> str:
    """Say of which rows the figures of a page are."""
    return "rows selected on the maps" if rows else "rows"


def within_selection(picked: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return another pick than now; where rows are selected, also while another split is shown, it is one of these."""
    return {**picked, "rows": now["rows"]} if now.get("rows") else picked


def picked_in_link(picked: dict[str, Any], usual: dict[str, Any], is_selected: bool) -> str:
    """Write what is picked into a link; which rows are selected stands in every link, so here only that they count.

    Parameters
    ----------
    picked : dict
        The arguments of a row filter; ``rows`` are those that are selected on the maps.
    usual : dict
        What is picked when the page opens without a selection.
    is_selected : bool
        Whether points are selected on the maps.

    Returns
    -------
    str
        JSON; empty where the page opens like this by itself.
    """
    if set(picked) == {"rows"} or (picked == usual and not is_selected):
        return ""
    return json.dumps({**picked, "rows": True} if "rows" in picked else picked)


def picked_by_link(text: str, usual: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    """Read what a link picked; without a pick the selected rows are listed.

    Parameters
    ----------
    text : str
        As :func:`picked_in_link` gives it.
    usual : dict
        What is picked where the link says nothing and nothing is selected.
    rows : list of int
        The rows that are selected on the maps.

    Returns
    -------
    dict
        The arguments of a row filter.
    """
    if not text:
        return {"rows": rows} if rows else usual
    picked = picked_of(text)
    counts = picked.pop("rows", False)
    return {**picked, "rows": rows} if counts and rows else picked


class MapsPick:
    """What is picked of a page's rows as points are selected on the maps, by hand or by a link.

    Parameters
    ----------
    maps : MapsPanel
        Tells which test rows are among the points.
    view : str
        The page, as links name it.
    usual : dict
        What is picked where nothing is selected and no link asks for anything.
    """

    def __init__(self, maps: MapsPanel, view: str, usual: dict[str, Any]) -> None:
        self.maps, self.view, self.usual = maps, view, usual

    def of(self, name: str, linked: PageState, selected: list[int]) -> dict[str, Any]:
        """Return what a link of the page picked, with the test rows among the points that are selected."""
        rows = self.maps.test_rows_of_points(name, selected) if selected else []
        return picked_by_link(linked.asked_of(self.view, name).of_view.get("picked", ""), self.usual, rows)

    def by_hand(
        self, drawn_for: str | None, name: str, now: dict[str, Any], selected: list[int]
    ) -> dict[str, Any] | None:
        """Return what is picked after a selection, None where the page stays as it is; it is filled when it is opened.

        Parameters
        ----------
        drawn_for : str or None
            The model whose rows the page lists.
        name : str
            The model that is asked.
        now : dict
            What is picked.
        selected : list of int
            The points that are selected.

        Returns
        -------
        dict or None
            What is to be picked.
        """
        if drawn_for != name:
            return None
        picked = self.of(name, PageState(), selected)
        return picked if "rows" in (*picked, *now) else None

    def by_link(
        self, drawn_for: str | None, name: str, now: dict[str, Any], linked: PageState, selected: list[int]
    ) -> dict[str, Any] | None:
        """Do so after a link's points came, unless something else was picked since the page opened."""
        if drawn_for != name or now != self.of(name, linked, []):
            return None
        picked = self.of(name, linked, selected)
        return picked if picked != now else None
