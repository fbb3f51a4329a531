"""The page of errors: how good all answers are, where they go wrong, and the rows behind every figure."""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

import reaugkd as rk
from reaugkd.plots.links import PageState

from ..computed import SPLITS, cached, encoded_rows
from ..listening import ALL_ROWS, Updates, by_name
from ..menu import ModelMenu
from ..parts.code_box import place_code
from ..parts.error_tables import confusion_table, disagreement_table, reliability_bars, summary_html
from ..parts.maps_panel import MapsPanel
from ..parts.neighbour_table import neighbour_table
from ..parts.retrieval_sliders import RetrievalSliders, overrides, overrides_of_link, slider_values
from ..rendering import render
from ..scripts import source
from ..snippets import errors_code
from .rows import RowsPage, RowsView

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.method.answers import Answers

ANY = "any"
EFFECTS = [ANY, "fixed", "broken", "changed", "none"]
CONFIDENCES = {
    ANY: None,
    "up to 0.5": (0.0, 0.5),
    "0.5 to 0.7": (0.5, 0.7),
    "0.7 to 0.9": (0.7, 0.9),
    "above 0.9": (0.9, 1.0),
}
BOXES = ("split", "effect", "column", "value", "confidence", "holds")  # holds is typed


@dataclass(frozen=True)
class ErrorsPage(RowsPage):
    """What the page shows.

    Parameters
    ----------
    moved : dict
        What the sliders ask for, as :func:`retrieval_sliders.overrides` gives it.
    effect, column, value, confidence : str
        What the boxes say.
    """

    moved: dict[str, Any] = field(default_factory=dict)
    effect: str = ANY
    column: str = ANY
    value: str = ANY
    confidence: str = ANY
    __hash__ = RowsPage.__hash__

    @property
    def chosen(self) -> dict[str, Any]:
        """The arguments of a row filter by all that the page says."""
        equal, between = dict(self.row_filter.get("equal", {})), dict(self.row_filter.get("between", {}))
        between |= {"probability": CONFIDENCES[self.confidence]} if CONFIDENCES[self.confidence] else {}
        equal |= {"effect": self.effect} if self.effect != ANY else {}
        equal |= {self.column: self.value} if ANY not in (self.column, self.value) else {}
        return {"equal": equal, "between": between, "text": self.holds, "rows": self.selected}


@cached(2)
def answers_of(
    model: "rk.ReAugKDClassifier", split: str, rows: tuple[int, ...], **moved: Any
) -> "tuple[Answers, pd.DataFrame]":
    """Answer a split, or some rows of it, once; in the table, beside what was chosen in training. Two results stay."""
    encoded = encoded_rows(model, split)
    encoded = encoded.part(rows) if rows else encoded
    answers = model.answer(encoded, model.pool.overridden(**moved))
    return answers, answers.table(model.answer(encoded))


class ErrorsView(RowsView):
    """A page over a whole evaluation set."""

    view = "errors"
    unlisted = ("id", "split", "student_probability", "teacher_probability", "flip")
    unchosen = (*unlisted, "text", "text_pair", "probability", "effect")  # the other columns can be chosen by

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel, linked: gr.State) -> None:
        super().__init__(menu, name, maps, linked)
        figure = partial(gr.HTML, js_on_load=source("buttons.js"), apply_default_css=False)
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self.split = gr.Radio(SPLITS, value="test", label="Rows", elem_id="errors-split")
                self.sliders = RetrievalSliders(self.menu, self.name, "errors-")
            with gr.Column(scale=7, min_width=320):
                self.summary = figure("<p>Opens with the model.</p>", elem_id="errors-summary")
                self.reliability = figure(elem_id="reliability")
        with gr.Column() as self.below:
            with gr.Row():
                with gr.Column(scale=1, min_width=320):
                    gr.Markdown("## Which classes are taken for which: a cell lists its rows")
                    self.confusion = figure(elem_id="confusion")
                with gr.Column(scale=1, min_width=320):
                    gr.Markdown("## Where gold label, teacher, student and memory disagree")
                    self.disagreements = figure(elem_id="disagreements")
            gr.Markdown("## The rows")
            with gr.Row():
                self.effect = gr.Dropdown(EFFECTS, value=ANY, label="Effect of retrieval", elem_id="effect")
                self.column = gr.Dropdown([ANY], value=ANY, label="Column", elem_id="errors-column")
                self.value = gr.Dropdown(  # what it held before the column was changed is no error
                    [ANY], value=ANY, label="Its value", elem_id="errors-value", allow_custom_value=True
                )
                self.confidence = gr.Dropdown(
                    list(CONFIDENCES), value=ANY, label="Confidence of the answer", elem_id="errors-confidence"
                )
            self._place_list(all="List all rows")
            self.opened = gr.HTML(elem_id="opened-row", apply_default_css=False)
        self.code = place_code("errors-code")
        self._wire()

    def _wire(self) -> None:
        figures = [self.summary, self.confusion, self.disagreements, self.reliability]
        self.listed += [self.opened, self.code]
        self.whole = [*figures, self.value, *self.listed]
        self.filled = [self.below, *(getattr(self, name) for name in BOXES), *self.sliders.inputs.values(), *self.whole]
        for box in BOXES[:-1]:
            self._on(partial(by_name, getattr(self, box).input), self._drawn, self.whole, box)
        self.sliders.on_move(self._move, {"shown": self.shown}, self.whole, **ALL_ROWS)
        for figure in figures:
            figure.select(self._pick, self.shown, self.listed, **ALL_ROWS)
        self.buttons["all"].click(self._list_all, self.shown, self.filled, **ALL_ROWS)
        self.rows.select(self._open, self.shown, self.opened, **ALL_ROWS)
        self._wire_list()

    def fill(self, name: str, linked: PageState, selected: list[int]) -> Updates:
        """Set the page to what its link asks for, or else to what was chosen in training, and draw it."""
        if self.menu.get(name).evaluation_rows is None:
            nothing = "<p>This model carries no evaluation rows: there is nothing to analyse.</p>"
            return {self.summary: nothing, self.reliability: "", self.below: gr.Column(visible=False), self.shown: None}
        linked, rows = linked.asked_of("errors", name), self._rows_among(name, selected)
        known = {"split": SPLITS, "effect": EFFECTS, "confidence": CONFIDENCES}
        asked: dict[str, Any] = {
            box: value for box, value in linked.of_view.items() if box in BOXES and value in known.get(box, [value])
        }
        filtered = self._filtered(linked, name, rows)
        return self._filled(ErrorsPage(name, rows, moved=overrides_of_link(linked), **filtered, **asked))

    def _filled(self, shown: ErrorsPage) -> Updates:
        """Return the whole page."""
        columns = [ANY, *(column for column in self._every_row(shown).columns if column not in self.unchosen)]
        if shown.column not in columns:
            shown = replace(shown, column=ANY)
        return {
            self.below: gr.Column(visible=True),
            **{getattr(self, box): getattr(shown, box) for box in BOXES},
            **self.sliders.set_to(**slider_values(self.menu.get(shown.name), **shown.moved)),
            self.column: gr.Dropdown(columns, value=shown.column),
            **self._drawn(shown),
        }

    def _list_all(self, shown: ErrorsPage) -> Updates:
        return self._filled(ErrorsPage(shown.name, shown.rows, moved=shown.moved, split=shown.split))

    def _linked(self, shown: ErrorsPage) -> dict[str, Any]:
        asked = {box: getattr(shown, box) for box in BOXES if getattr(shown, box) != getattr(ErrorsPage, box)}
        return {**shown.moved, "of_view": {**asked, "picked": self._filter_in_link(shown)}}

    def _answered(self, shown: ErrorsPage) -> "tuple[Answers, pd.DataFrame]":
        return answers_of(self.menu.get(shown.name), shown.split, tuple(shown.selected or ()), **shown.moved)

    def _every_row(self, shown: ErrorsPage) -> pd.DataFrame:
        return self._answered(shown)[1]

    def _drawn(self, shown: ErrorsPage) -> Updates:
        """Return all figures, and the rows."""
        from reaugkd.analysis.error_analysis import calibration, confusion, disagreements, summary

        settings, (answers, table) = self.menu.get(shown.name).settings, self._answered(shown)
        figures = summary(answers, settings.metric)
        voices = [voice for voice in ("student", "answer", "teacher") if voice in table.columns]
        errors = figures["calibration_error"]
        values = [ANY] if shown.column == ANY else [ANY, *sorted(table[shown.column].astype(str).unique())]
        if shown.value not in values:  # no row has it any longer: box and list let all pass
            shown = replace(shown, value=ANY)
        return {
            self.summary: summary_html(figures, settings.metric, Counter(table["flip"]), shown.which),
            self.reliability: reliability_bars({voice: (calibration(table, voice), errors[voice]) for voice in voices}),
            self.confusion: confusion_table(confusion(table, settings.label_names)),
            self.disagreements: disagreement_table(disagreements(table)),
            self.value: gr.Dropdown(values, value=shown.value),
            **self._listed(shown),
        }

    def _listed(self, shown: ErrorsPage) -> Updates:
        code = errors_code(self.menu.shown_folder(shown.name), shown.split, **shown.moved, chosen=shown.chosen)
        return {**super()._listed(shown), self.opened: "", self.code: code}

    def _move(self, shown: ErrorsPage | None, **sliders: Any) -> Updates:
        return gr.skip() if shown is None else self._drawn(replace(shown, moved=overrides(**sliders)))

    def _open(self, event: gr.SelectData, shown: ErrorsPage) -> str:
        """Show the neighbours that made one row's answer."""
        from reaugkd.model.explanation import explain

        answers, table = self._answered(shown)
        place = table.index.tolist().index(int(event.row_value[0]))
        explanation = explain(answers, place)
        return render("row", gold=table["label"].iloc[place], answer=explanation) + neighbour_table(explanation)
