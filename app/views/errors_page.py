"""What the page of errors shows: its boxes, and what was picked in its figures, as filters of rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reaugkd.measures.calibration import PROBABILITY

from .rows import RowsPage

ANY = "any"
EFFECTS = [ANY, "fixed", "broken", "changed", "none"]
CONFIDENCES = {
    ANY: None,
    "up to 0.5": (0.0, 0.5),
    "0.5 to 0.7": (0.5, 0.7),
    "0.7 to 0.9": (0.7, 0.9),
    "above 0.9": (0.9, 1.0),
}
FILTERS = ("split", "effect", "column", "value", "confidence")
CHOSEN_BY = ("by", "wanted")  # a threshold is
BOXES = (*FILTERS, "holds", *CHOSEN_BY)  # holds is typed
Filter = dict[str, Any]  # the arguments of a row filter


@dataclass(frozen=True)
class ErrorsPage(RowsPage):
    """What the page shows.

    Parameters
    ----------
    moved : dict
        What the sliders ask for, as :func:`retrieval_sliders.overrides` gives it.
    effect, column, value, confidence, by, wanted : str
        What the boxes say.
    picks : dict of str to dict
        By the figure that was clicked in, the filter of its rows. It reaches all other figures; its own shows what is
        picked among all.
    """

    moved: dict[str, Any] = field(default_factory=dict)
    effect: str = ANY
    column: str = ANY
    value: str = ANY
    confidence: str = ANY
    by: str = PROBABILITY
    wanted: str = "90 %"
    picks: dict[str, Filter] = field(default_factory=dict)
    __hash__ = RowsPage.__hash__

    @property
    def boxed(self) -> Filter:
        """The filter that the boxes say."""
        ends = CONFIDENCES[self.confidence]
        equal = {"effect": self.effect} if self.effect != ANY else {}
        equal |= {self.column: self.value} if ANY not in (self.column, self.value) else {}
        return {"equal": equal, "between": {"probability": ends} if ends else {}}

    @property
    def chosen(self) -> Filter:
        """The arguments of a row filter by all that the page says."""
        return self.but("")

    def but(self, figure: str) -> Filter:
        """Return :attr:`chosen` without what was picked in a figure."""
        filters = [pick for name, pick in self.picks.items() if name != figure] + [self.boxed]
        both = {kind: {k: v for one in filters for k, v in one.get(kind, {}).items()} for kind in ("equal", "between")}
        return {**both, "text": self.holds, "rows": self.selected}

    def picking(self, figure: str, pick: Filter) -> "ErrorsPage":
        """Return the page after a click in a figure; a second click takes the pick back, a column is picked by once."""
        kept = {} if self.picks.get(figure) == pick else {figure: pick}
        return replace(self, picks=_apart(self.picks, pick, figure) | kept)

    def narrowed(self) -> "ErrorsPage":
        """Return the page without the picks by a column that a box filters by."""
        return replace(self, picks=_apart(self.picks, self.boxed))


def _apart(picks: Mapping[str, Filter], of: Filter, figure: str = "") -> dict[str, Filter]:
    """Return the picks of other figures that share no column with a filter."""

    def columns(asked: Filter) -> set[str]:
        return {*asked.get("equal", {}), *asked.get("between", {})}

    return {name: pick for name, pick in picks.items() if name != figure and not columns(pick) & columns(of)}
