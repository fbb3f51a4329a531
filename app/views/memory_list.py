"""The list of the page Memory: which memories it holds by a question about them, and in which order."""

from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
import pandas as pd

from reaugkd.analysis import memory_questions as lists
from reaugkd.plots.links import PageState

from ..computed import evidence_of, memories_of
from ..listening import Updates
from ..rendering import render
from .rows import RowsPage, RowsView

FIRST = ("number", "text", "text_pair", "label", "labelled_by")  # of the columns, where the list has a reason


@dataclass(frozen=True)
class MemoryPage(RowsPage):
    """Which memories the page lists; ``rows`` are those that are selected on the maps.

    Parameters
    ----------
    show : str
        One of :data:`reaugkd.analysis.memory_questions.SHOWS`.
    """

    show: str = lists.WRONG
    edited: dict[int, str] | None = field(default_factory=dict)
    __hash__ = RowsPage.__hash__

    @property
    def sorted_by(self) -> tuple[str, bool]:
        """The column that the list is sorted by, and whether its lowest value comes first."""
        return self.order or lists.SORTED_BY[self.show]


class MemoryList(RowsView):
    """The part of a page over the memory that lists it."""

    view = "memory"
    number = "number"
    ticks = True
    nothing = "<p class='empty'>No memory is on this list.</p>"
    show: gr.Radio

    def _asked(self, name: str, linked: PageState, selected: list[int]) -> MemoryPage:
        """Return what a link asks for, or else the usual list."""
        rows, asked = self._rows_among(name, selected), linked.asked_of("memory", name).of_view
        show = asked.get("show")
        listed = {"show": show} if show in lists.SHOWS else self._usual(name, rows)
        return MemoryPage(name, rows, holds=asked.get("holds", ""), **listed)

    def _counted(self, name: str) -> list[tuple[str, str]]:
        """Return the lists with how many rows each has, where that takes no search of its own."""
        from reaugkd.analysis.memory_audit import shown_memories

        model = self.menu.get(name)
        counted = () if model.evaluation_rows is None else lists.COUNTED
        counts = {show: len(shown_memories(evidence_of(model), show)) for show in counted}
        return [(f"{show} {counts[show]:,}" if show in counts else show, show) for show in lists.SHOWS]

    def _linked(self, shown: MemoryPage) -> dict[str, Any]:
        is_usual = shown.show == self._usual(shown.name, shown.rows)["show"]
        return {"of_view": {"show": "" if is_usual else shown.show, "holds": shown.holds}}

    def _usual(self, name: str, rows: list[int]) -> dict[str, Any]:
        """Return the list at first: what looks wrong, or where nothing does, what is doubted most."""
        model = self.menu.get(name)
        if rows or model.evaluation_rows is None:
            return {"show": lists.ALL, "order": None}
        if len(memories_of(model, lists.WRONG)):
            return {"show": lists.WRONG, "order": None}
        return {"show": lists.ALL, "order": ("doubt", False)}

    def _rows_among(self, name: str, points: list[int]) -> list[int]:
        """Return the memories among points, which stand first among these."""
        return [point for point in points if point < len(self.menu.get(name).memory)]

    def _every_row(self, shown: MemoryPage) -> pd.DataFrame:
        return memories_of(self.menu.get(shown.name), shown.show).set_index("number")

    def _words(self, shown: MemoryPage) -> list[str]:
        return [shown.show, *super()._words(shown)]

    def _drawn(self, shown: MemoryPage) -> Updates:
        return {self.show: shown.show, **self._listed(shown)}

    def _show(self, shown: MemoryPage, show: str) -> Updates:
        return self._listed(replace(shown, show=show, order=None))

    def _listing(self, shown: MemoryPage, rows: int) -> str:
        """Say which memories are listed, and why the list holds them."""
        is_large = self.menu.get(shown.name).memory.is_mapped
        return super()._listing(shown, rows) + render("why_listed", show=shown.show, is_large=is_large)

    def _columns(self, rows: pd.DataFrame, shown: MemoryPage) -> pd.DataFrame:
        """Return the columns that are a reason of the list, or all where it has none."""
        reasons = lists.REASONS.get(shown.show)
        return rows if reasons is None else rows.filter([*FIRST, *reasons])

    def _show_on_maps(self, shown: MemoryPage) -> Updates:
        return self.maps.show_points(shown.name, self._found(shown)["number"].unique().tolist())
