"""What is picked on a page, in its link: the pick, and whether the rows that are selected on the maps count."""

import json
from typing import Any

from reaugkd.links import picked_of


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
