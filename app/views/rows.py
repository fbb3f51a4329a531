"""What the pages that list rows share: what is shown, the list of rows, and how both follow a link and the maps."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import gradio as gr
import pandas as pd

from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState, filter_of_link

from ..models import ModelMenu
from ..parts.maps_panel import MapsPanel
from ..parts.row_table import ALL_ROWS, listed_html, numbered, row_table
from ..parts.save_button import SaveButton
from ..parts.sentence import sentence_html
from ..parts.typed_text import on_typing


def in_words(chosen: Mapping[str, Any]) -> list[str]:
    """Say which rows the arguments of a row filter let pass; nothing where they let all pass."""
    equal = chosen.get("equal", {})
    words = ["answered differently" if name == "differs" else f"{name} = {value}" for name, value in equal.items()]
    words += [f"{name} {low:.1f} to {high:.1f}" for name, (low, high) in chosen.get("between", {}).items()]
    words += [f"“{chosen['text'].strip()}” in the text"] if chosen.get("text", "").strip() else []
    return words + (["selected on the maps"] if chosen.get("rows") else [])


def selected_rows(rows: list[int], split: str) -> list[int] | None:
    """Return the test rows that are selected on the maps; None where none are, or another split is shown."""
    return rows or None if split == "test" else None


def rows_in_words(rows: list[int] | None) -> str:
    """Say of which rows the figures of a page are."""
    return "rows selected on the maps" if rows else "rows"


class RowsView:
    """A page that lists rows; nothing is computed before it is opened.

    What is shown is one named tuple in one state, so that whatever is changed counts beside all else that is shown, not
    beside what the browser is about to get. It has at least the model's ``name``; ``rows``, those that are selected on
    the maps; ``holds``, what a listed text holds; and ``chosen``, the arguments of a row filter.

    Parameters
    ----------
    menu : ModelMenu
        Gives the model.
    name : Component
        Holds the name of the model that is asked.
    maps : MapsPanel
        Shares its selection.
    linked : State
        Holds what the page's link asks for.

    Attributes
    ----------
    view : str
        The page, as links name it.
    number : str
        Heading of the rows' numbers.
    usual : mapping of str to Any
        The arguments of a row filter, where nothing is picked and nothing selected.
    unlisted : sequence of str
        Columns that only the CSV has.
    whole : list of Component
        All that changes with the rows.
    """

    view = ""
    number = "row"
    usual: ClassVar[Mapping[str, Any]] = {}
    unlisted: Sequence[str] = ()
    whole: list[Any]

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel, linked: gr.State) -> None:
        self.menu, self.name, self.maps = menu, name, maps
        self.shown = gr.State(None)  # None before the page is filled
        self.seen: list[Any] = [self.shown]
        self.fill_inputs: list[Any] = [linked, maps.selected]

    def _place_list(self, **buttons: str) -> None:
        """Place the list, with further buttons by what they are called and what stands on them."""
        with gr.Row():
            self.chosen = gr.HTML(elem_id=f"{self.view}-chosen")
            self.holds = gr.Textbox("", label="Text holds", max_lines=1, elem_id=f"{self.view}-holds")
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 160}
        with gr.Row():
            self.buttons = {
                called: gr.Button(label, elem_id=f"{self.view}-{called}", **small)
                for called, label in {**buttons, "maps": "Select on the maps"}.items()
            }
            self.save = SaveButton("Save as CSV", f"{self.view}.csv", f"{self.view}-save", **small)
        self.rows = gr.Dataframe(interactive=False, wrap=True, max_height=420, elem_id=f"{self.view}-rows")
        self.listed = [self.shown, self.chosen, self.rows]

    def _wire_list(self) -> None:
        """Let the list follow its box and the selection."""
        self._on(partial(on_typing, [self.holds]), self._listed, self.listed, holds=self.holds)
        self.buttons["maps"].click(self._show_on_maps, self.shown, [self.maps.map, *self.maps.listed], **ALL_ROWS)
        self.save.on_click(lambda path, seen: self._found(seen).to_csv(path, index=False), [self.shown], **ALL_ROWS)
        for selected in self.maps.chosen:
            selected.then(self._follow, [self.shown, self.name, self.maps.selected], self.whole, **ALL_ROWS)

    def _on(
        self, event: Callable[..., Any], draw: Callable[[Any], dict[Any, Any]], outputs: list[Any], **parts: Any
    ) -> None:
        """Draw what is shown with some parts of it as components say, when an event tells of others than are shown."""

        def answer(shown: Any, *values: Any) -> Any:
            seen = shown and shown._replace(**dict(zip(parts, values, strict=True)))
            return gr.skip() if seen == shown else draw(seen)  # the page also tells of what it put there itself

        event(answer, [self.shown, *parts.values()], outputs, **ALL_ROWS)

    def linked_state(self, state: PageState, shown: Any) -> PageState:
        """Return the state that a link to the page opens, from that of the page Query and the values of ``seen``."""
        return state if shown is None else replace(state, **self._linked(shown))

    def _linked(self, seen: Any) -> dict[str, Any]:
        """Return the parts of a link to what is shown."""
        raise NotImplementedError

    def _drawn(self, seen: Any) -> dict[Any, Any]:
        """Return all that changes with the rows."""
        raise NotImplementedError

    def _every_row(self, seen: Any) -> pd.DataFrame:
        """Return the rows, those that are listed among them, with their numbers as the index."""
        raise NotImplementedError

    def _usual(self, _: str, rows: list[int]) -> dict[str, Any]:
        """Return which rows of a model are listed where nobody picked any, by the names of what is shown."""
        return {"picked": {} if rows else self.usual}

    def _picked(self, linked: PageState, name: str, rows: list[int]) -> dict[str, Any]:
        """Return which rows a link picked, by the names of what is shown."""
        text = linked.of_view.get("picked", "")
        return {"picked": filter_of_link(text)} if text else self._usual(name, rows)

    def _picked_in_link(self, seen: Any) -> str:
        return "" if {"picked": seen.picked} == self._usual(seen.name, seen.rows) else json.dumps(seen.picked)

    def _pick(self, event: gr.EventData, seen: Any) -> dict[Any, Any]:
        """List the rows behind a figure."""
        return self._listed(seen._replace(picked=json.loads(event.pick)))

    def _rows_among(self, name: str, points: list[int]) -> list[int]:
        """Return the rows among points of the maps."""
        return self.maps.test_rows_of_points(name, points)

    def _follow(self, shown: Any, name: str, points: list[int]) -> dict[Any, Any]:
        """List the rows that are selected on the maps; a page that is not filled for the model sees them when it is."""
        rows = self._rows_among(name, points)
        if shown is None or shown.name != name or not (rows or shown.rows):
            return gr.skip()
        return self._drawn(shown._replace(rows=rows, **self._usual(name, rows)))

    def _found(self, seen: Any) -> pd.DataFrame:
        """Return the rows that are listed, their numbers first."""
        from reaugkd.analysis.error_analysis import RowFilter

        return numbered(RowFilter(**seen.chosen).of(self._every_row(seen)), self.number)

    def _words(self, seen: Any) -> list[str]:
        return in_words(seen.chosen)

    def _listed(self, seen: Any) -> dict[Any, Any]:
        """List rows; a sentence where a link picked by a column that they do not have."""
        try:
            rows = self._found(seen)
        except ReAugKDError as error:
            return {self.shown: seen, self.chosen: sentence_html(error), self.rows: gr.Dataframe(visible=False)}
        listed = rows.drop(columns=list(self.unlisted), errors="ignore")
        return {
            self.shown: seen,
            self.chosen: listed_html(", ".join(self._words(seen)) or "all rows", len(rows)),
            self.rows: row_table(listed, visible=len(rows) > 0),
        }

    def _show_on_maps(self, seen: Any) -> dict[Any, Any]:
        return self.maps.show_rows(seen.name, seen.split, self._found(seen).iloc[:, 0].tolist())
