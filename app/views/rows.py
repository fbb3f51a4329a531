"""What the pages that list rows share: what is shown, the list of rows, and how both follow a link and the maps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import gradio as gr
import pandas as pd

from reaugkd.errors import ReAugKDError
from reaugkd.files import write_csv
from reaugkd.plots.links import PageState

from ..computed import SPLITS
from ..listening import ALL_ROWS, EACH_OF_ROWS, Updates, listen
from ..parts.maps_panel import MapsPanel
from ..parts.problem import problem_html
from ..parts.row_table import UNSORTED, in_order, listed_html, next_order, numbered, place_table, row_table
from ..parts.save_button import SaveButton
from ..parts.typed_text import on_typing


@dataclass(frozen=True)
class RowsPage:
    """What a page that lists rows shows; one state, so that a change counts beside all else that is shown.

    Parameters
    ----------
    name : str
        The model's.
    rows : list of int
        The rows that are selected on the maps; where there are some, no others are listed.
    row_filter : dict
        The arguments of a row filter that a cell or a button gave.
    split : str
        Whose rows.
    holds : str
        What a listed text holds.
    order : tuple of str and bool, optional
        The column by which a click sorted the rows, and whether its lowest value comes first.
    edited : dict of int to str, optional
        What pending edits make of rows, in a word, where rows can be edited.
    """

    name: str
    rows: list[int]
    row_filter: dict[str, Any] = field(default_factory=dict)
    split: str = SPLITS[0]
    holds: str = ""
    order: tuple[str, bool] | None = None
    edited: dict[int, str] | None = None

    def __hash__(self) -> int:  # by value: Gradio compares hashes to see whether a state has changed
        return hash(repr(self))

    @property
    def selected(self) -> list[int] | None:
        """The rows that are selected; None where none are, or a split is shown that the maps do not have."""
        return self.rows or None if self.split == SPLITS[0] else None

    @property
    def sorted_by(self) -> tuple[str, bool]:
        """The column that the rows are sorted by, and whether its lowest value comes first."""
        return self.order or UNSORTED

    @property
    def chosen(self) -> dict[str, Any]:
        """The arguments of a row filter by all that the page says."""
        return {**self.row_filter, "text": self.holds, "rows": self.selected}

    @property
    def which(self) -> str:
        """Of which rows the figures of the page are, in words."""
        return "rows selected on the maps" if self.selected else "rows"


def in_words(chosen: Mapping[str, Any]) -> list[str]:
    """Say which rows the arguments of a row filter let pass; nothing where they let all pass."""
    equal = chosen.get("equal", {})
    words = ["answered differently" if name == "differs" else f"{name} = {value}" for name, value in equal.items()]
    words += [f"{name} {low:.3g} to {high:.3g}" for name, (low, high) in chosen.get("between", {}).items()]
    words += [f"“{chosen['text'].strip()}” in the text"] if chosen.get("text", "").strip() else []
    return words + (["selected on the maps"] if chosen.get("rows") else [])


class RowsView:
    """A page that lists rows; nothing is computed before it is opened.

    What is shown is one :class:`RowsPage` in one state, None before the page is filled.
    """

    view = ""
    number = "row"
    ticks = False  # whether rows can be ticked, and edited by keys
    says_of_how_many = False  # whether it is said of how many rows some are listed
    unlisted: Sequence[str] = ()
    nothing = ""  # what stands in the place of an empty list
    whole: list[Any]
    rows: Any

    def __init__(self, maps: MapsPanel) -> None:
        self.maps, self.selected = maps, maps.selected
        self.menu, self.name, self.linked = maps.menu, maps.name, maps.linked
        self.shown = gr.State(None)

    def _place_list(self, **buttons: str) -> None:
        """Place what says which rows are listed, a box that searches them, and the list below its buttons."""
        bare: dict[str, Any] = {"show_label": False, "container": False, "max_lines": 1, "min_width": 150}
        self.chosen = gr.HTML(elem_id=f"{self.view}-chosen")
        with gr.Row(elem_classes="above-rows"):
            elem_id = f"{self.view}-holds"
            self.holds = gr.Textbox("", label="Text holds", placeholder="Text holds …", elem_id=elem_id, **bare)
            self._place_buttons(**buttons)
        self._place_rows()

    def _place_buttons(self, **buttons: str) -> None:
        """Place the buttons of the list, further ones by what they are called and what stands on them."""
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 150}
        self.buttons = {
            called: gr.Button(label, elem_id=f"{self.view}-{called}", **small)
            for called, label in {**buttons, "maps": "Select on the maps"}.items()
        }
        self.save = SaveButton("Save as CSV", f"{self.view}.csv", f"{self.view}-save", **small)

    def _place_rows(self) -> None:
        self.rows = place_table(f"{self.view}-rows", sorts=True, ticks=self.ticks)
        self.listed = [self.shown, self.chosen, self.rows]

    def _wire_list(self, typed: Callable[[Any], Updates] | None = None) -> None:
        """Let the list follow its box, and the page the selection; all of it follows the box by another drawing."""
        searched = (typed, self.whole) if typed else (self._listed, self.listed)
        self._on(partial(on_typing, [self.holds]), *searched, "holds")
        listen(self, self.rows.sort, self._sort, self.listed, **EACH_OF_ROWS)
        listen(self, self.buttons["maps"].click, self._show_on_maps, [self.maps.map, *self.maps.listed], **ALL_ROWS)
        self.save.on_click(self, self._save, **ALL_ROWS)
        for selected in self.maps.chosen:
            listen(self, selected.then, self._follow, self.whole, **ALL_ROWS)

    def _on(self, event: Callable[..., Any], draw: Callable[[Any], Updates], outputs: list[Any], *boxes: str) -> None:
        """Draw what is shown with some parts of it as the boxes of their names say, when they say something else."""

        def answer(shown: Any, **values: Any) -> Any:
            now = shown and replace(shown, **values)
            return gr.skip() if now == shown else draw(now)  # an event also comes of what the page put there itself

        inputs = {name: getattr(self, name) for name in ("shown", *boxes)}
        event(answer, outputs=outputs, inputs_kwargs=inputs, **ALL_ROWS)

    def linked_state(self, state: PageState, shown: Any) -> PageState:
        """Return the state that a link to the page opens, from that of the page Query and what the page shows."""
        return state if shown is None else replace(state, **self._linked(shown))

    def _linked(self, shown: Any) -> dict[str, Any]:
        """Return the parts of a link to what is shown."""
        raise NotImplementedError

    def _drawn(self, shown: Any) -> Updates:
        """Return all that changes with the rows."""
        raise NotImplementedError

    def _every_row(self, shown: Any) -> pd.DataFrame:
        """Return the rows, those that are listed among them, with their numbers as the index."""
        raise NotImplementedError

    def _usual(self, name: str, rows: list[int]) -> dict[str, Any]:
        """Return which rows of a model are listed at first, by the names of what is shown."""
        raise NotImplementedError

    def _rows_among(self, name: str, points: list[int]) -> list[int]:
        """Return the test rows among points of the maps, on which these follow the memories."""
        first = len(self.menu.get(name).memory)
        return [point - first for point in points if point >= first]

    def _follow(self, shown: Any, name: str, selected: list[int]) -> Updates:
        """List the rows that are selected on the maps; a page that is not filled for the model sees them when it is."""
        rows = self._rows_among(name, selected)
        if shown is None or shown.name != name or not (rows or shown.rows):
            return gr.skip()
        return self._drawn(replace(shown, rows=rows, **self._usual(name, rows)))

    def _found(self, shown: Any) -> pd.DataFrame:
        """Return the rows that are listed, their numbers first."""
        from reaugkd.analysis.error_analysis import RowFilter

        rows = numbered(RowFilter(**shown.chosen).of(self._every_row(shown)), self.number)
        return in_order(rows, *shown.order) if shown.order else rows

    def _sort(self, event: gr.EventData, shown: Any) -> Updates:
        return self._listed(replace(shown, order=next_order(self._found(shown), event.column, shown.sorted_by)))

    def _save(self, path: Any, shown: Any) -> None:
        write_csv(self._found(shown), path)

    def _words(self, shown: Any) -> list[str]:
        return in_words(shown.chosen)

    def _listing(self, shown: Any, rows: int) -> str:
        """Say which rows are listed, and how many."""
        count = len(self._every_row(shown)) if self.says_of_how_many else 0
        return listed_html(", ".join(self._words(shown)) or "all rows", rows, count)

    def _columns(self, rows: pd.DataFrame, _: Any) -> pd.DataFrame:
        """Return what is listed of rows; their file has all columns."""
        return rows.drop(columns=list(self.unlisted), errors="ignore")

    def _listed(self, shown: Any) -> Updates:
        """List rows; a sentence where a link filters by a column that they do not have."""
        try:
            rows = self._found(shown)
        except ReAugKDError as error:
            return {self.shown: shown, self.chosen: problem_html(error), self.rows: ""}
        table = row_table(self._columns(rows, shown), shown.sorted_by, shown.edited) if len(rows) else self.nothing
        return {self.shown: shown, self.chosen: self._listing(shown, len(rows)), self.rows: table}

    def _show_on_maps(self, shown: Any) -> Updates:
        if shown.split != SPLITS[0]:
            raise gr.Error("The maps show the test rows; choose test above.")
        first = len(self.menu.get(shown.name).memory)
        return self.maps.show_points(shown.name, (first + self._found(shown).iloc[:, 0]).tolist())
