"""The page of errors: how good all answers are, where they go wrong, and the rows behind every figure."""

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState, picks_of_link
from reaugkd.texts import two_parts

from ..computed import SPLITS
from ..listening import ALL_ROWS, EACH_OF_ROWS, Updates, listen
from ..parts.answer import answer_html
from ..parts.code_box import place_code
from ..parts.maps_panel import MapsPanel, query_message
from ..parts.neighbour_table import neighbour_table
from ..parts.retrieval_sliders import RetrievalSliders, overrides, overrides_of_link, slider_values
from ..scripts import source_with
from ..snippets import errors_code
from .errors_figures import FIGURES, answers_of, figure_html
from .errors_page import ANY, BOXES, CHOSEN_BY, CONFIDENCES, EFFECTS, FILTERS, ErrorsPage
from .rows import RowsView
from .threshold import WANTED, ThresholdForm, choices_by

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.method.answers import Answers

MOST_CHOICES = 200  # of more values none can be chosen by


class ErrorsView(RowsView):
    """A page over a whole evaluation set."""

    view = "errors"
    says_of_how_many = True
    unlisted = ("id", "split", "student_probability", "teacher_probability", "flip")
    unchosen = (*unlisted, "text", "text_pair", "probability", "effect")  # the other columns can be chosen by

    def __init__(self, maps: MapsPanel) -> None:
        super().__init__(maps)
        self.row = gr.State(None)  # the number of the row that is opened
        with gr.Row(elem_id="errors-first"):
            with gr.Column(scale=4, min_width=300, elem_id="errors-settings"):
                self.sliders = RetrievalSliders(self.menu, self.name, "errors-")
                self.more_inputs = self.sliders.inputs
            with gr.Column(scale=7, min_width=320):
                self._place_filters()
                self.summary = self.place_figure("errors-summary", "<p>Opens with the model.</p>")
        with gr.Column() as self.below:
            self._place_figures()
            self.threshold = ThresholdForm(self)
            self.by, self.wanted = self.threshold.by, self.threshold.wanted
            gr.Markdown("## The rows: click one to see its bars and its neighbours")
            with gr.Row():
                with gr.Column(scale=7, min_width=320):
                    with gr.Row():
                        self._place_buttons()
                    self._place_rows()
                with gr.Column(scale=5, min_width=320, visible=False) as self.of_row:
                    self._place_opened()
        self.code = place_code("errors-code")
        self._wire()

    def place_figure(self, elem_id: str, value: str = "") -> gr.HTML:
        """Place a figure whose cells can be picked."""
        buttons = source_with("buttons.js", "sort_rows")
        return gr.HTML(value, js_on_load=buttons, apply_default_css=False, elem_id=elem_id)

    def _place_filters(self) -> None:
        slim: dict[str, Any] = {"min_width": 130}
        with gr.Row():
            self.effect = gr.Dropdown(EFFECTS, label="Effect", elem_id="effect", **slim)
            self.column = gr.Dropdown([ANY], label="Column", elem_id="errors-column", **slim)
            # What it held before the column was changed is no error.
            self.value = gr.Dropdown([ANY], label="Its value", elem_id="errors-value", allow_custom_value=True, **slim)
            self.confidence = gr.Dropdown([*CONFIDENCES], label="Confidence", elem_id="errors-confidence", **slim)
            self.holds = gr.Textbox("", label="Text holds", max_lines=1, elem_id="errors-holds", **slim)
        with gr.Row(elem_id="errors-shown"):
            bare: dict[str, Any] = {"show_label": False, "container": False, "scale": 0, "min_width": 230}
            self.split = gr.Radio(SPLITS, value="test", label="Rows", elem_id="errors-split", **bare)
            self.chosen = gr.HTML(elem_id="errors-chosen", min_width=220)
            self.all = gr.Button("Show all rows", size="sm", elem_id="errors-all", scale=0, min_width=130)

    def _place_figures(self) -> None:
        with gr.Row():
            with gr.Column(scale=7, min_width=320):
                gr.Markdown("## Slices of the rows, the worst first")
                self.slices = self.place_figure("errors-slices")
            with gr.Column(scale=5, min_width=320):
                gr.Markdown("## Does the confidence mean what it says?")
                self.reliability = self.place_figure("reliability")
        with gr.Row(elem_id="errors-classes"):
            with gr.Column(scale=5, min_width=320):
                gr.Markdown("## Which classes are taken for which")
                self.confusion = self.place_figure("confusion")
            with gr.Column(scale=7, min_width=320):
                gr.Markdown("## Who disagrees with whom")
                self.disagreements = self.place_figure("disagreements")

    def _place_opened(self) -> None:
        self.ask = gr.Button("Ask it on Query", size="sm", elem_id="errors-ask", min_width=150)
        self.opened = gr.HTML(elem_id="opened-row", apply_default_css=False)

    def _wire(self) -> None:
        self.figures = {called: getattr(self, called) for called in FIGURES}
        opened = [self.row, self.opened, self.of_row]
        self.listed += [*opened, self.code]
        self.whole = [*self.figures.values(), *self.threshold.drawn, self.value, *self.listed]
        boxes = [getattr(self, name) for name in BOXES]
        self.filled = [self.below, *boxes, *self.sliders.inputs.values(), self.threshold.own, self.threshold.version]
        self.filled += self.whole
        filters, chosen = ([getattr(self, name).input for name in names] for names in (FILTERS, CHOSEN_BY))
        self._on(partial(gr.on, filters), self._drawn, self.whole, *FILTERS)
        self._on(partial(gr.on, chosen), self.threshold.draw, [self.shown, *self.threshold.drawn], *CHOSEN_BY)
        listen(self, self.sliders.moved, self._move, self.whole, **ALL_ROWS)
        for figure in (*self.figures.values(), self.threshold.selective):
            listen(self, figure.select, self._pick, self.whole, **EACH_OF_ROWS)
        listen(self, self.all.click, self._show_all, self.filled, **ALL_ROWS)
        listen(self, self.rows.choose, self._open, [*opened, self.maps.map], **EACH_OF_ROWS)
        self._wire_list(self._drawn)

    def fill(self, name: str, linked: PageState, selected: list[int]) -> Updates:
        """Set the page to what its link asks for, or else to what was chosen in training, and draw it."""
        if self.menu.get(name).evaluation_rows is None:
            nothing = "<p>This model carries no evaluation rows: there is nothing to analyse.</p>"
            return {self.summary: nothing, self.below: gr.Column(visible=False), self.shown: None}
        linked, rows = linked.asked_of("errors", name), self._rows_among(name, selected)
        known = {"split": SPLITS, "effect": EFFECTS, "confidence": CONFIDENCES, "wanted": WANTED}
        known["by"] = [value for _, value in choices_by(self.menu.get(name))]
        asked: dict[str, Any] = {
            box: value for box, value in linked.of_view.items() if box in BOXES and value in known.get(box, [value])
        }
        picks = picks_of_link(linked.of_view.get("picked", ""))
        return self._filled(ErrorsPage(name, rows, moved=overrides_of_link(linked), picks=picks, **asked))

    def _filled(self, shown: ErrorsPage) -> Updates:
        """Return the whole page."""
        model, table = self.menu.get(shown.name), self._every_row(shown)
        values = table.drop(columns=list(self.unchosen), errors="ignore").nunique()
        columns = [ANY, *values.index[values <= MOST_CHOICES]]
        if shown.column not in columns:
            shown = replace(shown, column=ANY)
        return {
            self.below: gr.Column(visible=True),
            **{getattr(self, box): getattr(shown, box) for box in BOXES},
            **self.sliders.set_to(**slider_values(model, **shown.moved)),
            self.column: gr.Dropdown(columns, value=shown.column),
            **self.threshold.fill(shown),
            **self._drawn(shown),
        }

    def _show_all(self, shown: ErrorsPage) -> Updates:
        kept = {name: getattr(shown, name) for name in ("moved", "split", "by", "wanted")}
        return self._filled(ErrorsPage(shown.name, shown.rows, **kept))

    def _linked(self, shown: ErrorsPage) -> dict[str, Any]:
        asked = {box: getattr(shown, box) for box in BOXES if getattr(shown, box) != getattr(ErrorsPage, box)}
        return {**shown.moved, "of_view": {**asked, "picked": json.dumps(shown.picks) if shown.picks else ""}}

    def _usual(self, *_: Any) -> dict[str, Any]:
        return {"picks": {}}

    def answered(self, shown: ErrorsPage, split: str = "") -> "tuple[Answers, pd.DataFrame]":
        """Return the answers to the rows of a split, at first that which is shown, and their table."""
        return answers_of(self.menu.get(shown.name), split or shown.split, **shown.moved)

    def _every_row(self, shown: ErrorsPage) -> pd.DataFrame:
        return self.answered(shown)[1]

    def _drawn(self, shown: ErrorsPage) -> Updates:
        """Return all figures, each of the rows that the filters and the other figures let pass, and the rows."""
        table = self._every_row(shown)
        values = [ANY] if shown.column == ANY else [ANY, *sorted(table[shown.column].astype(str).unique())]
        shown = replace(shown, value=shown.value if shown.value in values else ANY).narrowed()
        drawn: Updates = {self.value: gr.Dropdown(values, value=shown.value)}
        for called, figure in self.figures.items():
            try:
                drawn[figure] = figure_html(called, self.menu.get(shown.name), shown, *self.passing(shown, called))
            except ReAugKDError:  # a link filters by a column that is not there: the list says so
                drawn[figure] = ""
        return {**drawn, **self.threshold.draw(shown), **self._listed(shown)}

    def passing(self, shown: ErrorsPage, figure: str) -> "tuple[Answers, pd.DataFrame]":
        """Return the answers and the rows that a figure shows."""
        from reaugkd.analysis.error_analysis import RowFilter

        answers, table = self.answered(shown)
        rows = RowFilter(**shown.but(figure)).of(table)
        return answers.part(rows.index.to_numpy()) if len(rows) < len(table) else answers, rows

    def _listed(self, shown: ErrorsPage) -> Updates:
        code = errors_code(self.menu.shown_folder(shown.name), shown.split, shown.chosen, **shown.moved)
        closed = {self.row: None, self.opened: "", self.of_row: gr.Column(visible=False)}
        return {**super()._listed(shown), **closed, self.code: code}

    def _move(self, shown: ErrorsPage, **sliders: Any) -> Updates:
        return self._drawn(replace(shown, moved=overrides(**sliders)))

    def _pick(self, event: gr.EventData, shown: ErrorsPage) -> Updates:
        """Answer a click in a figure."""
        figure = getattr(event.target, "elem_id", "").removeprefix("errors-")
        return self._drawn(shown.picking(figure, json.loads(event.pick)))

    def _open(self, event: gr.EventData, shown: ErrorsPage) -> Updates:
        """Show what made one row's answer: its bars, its neighbours, and on the maps its star."""
        from reaugkd.model.explanation import explain

        answers, number = self.answered(shown)[0], int(event.rows[0])
        explanation = explain(answers, number)
        return {
            self.row: number,
            self.opened: answer_html(explanation, answers.encoded.part([number])) + neighbour_table(explanation),
            self.of_row: gr.Column(visible=True),
            self.maps.map: query_message(shown.name, self.menu.get(shown.name), explanation),
        }

    def opened_texts(self, shown: ErrorsPage, row: int) -> tuple[str, str]:
        """Return the text of the row that is opened, and its second text, empty where there is none."""
        return two_parts(self.answered(shown)[0].encoded.texts[row])
