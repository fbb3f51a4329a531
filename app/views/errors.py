"""The page of errors: how good all answers are, where they go wrong, and the rows behind every figure."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import gradio as gr
import pandas as pd

import reaugkd as rk
from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import calibration_error
from reaugkd.measures.selective import PROBABILITY
from reaugkd.plots.links import PageState, picks_of_link
from reaugkd.texts import two_parts

from ..computed import SPLITS, cached, encoded_rows
from ..listening import ALL_ROWS, ASKING, EACH_OF_ROWS, IN_PAGE, Updates, by_name, listen, once_filled
from ..menu import ModelMenu
from ..parts.answer import answer_html
from ..parts.code_box import place_code
from ..parts.error_tables import confusion_table, disagreement_table, reliability_bars, slice_table, summary_html
from ..parts.maps_panel import MapsPanel, query_message
from ..parts.neighbour_table import neighbour_table
from ..parts.problem import problem_html
from ..parts.retrieval_sliders import RetrievalSliders, overrides, overrides_of_link, slider_values
from ..parts.selective_answers import WANTED, choices_by, score_in_words, selective_answers
from ..rendering import render
from ..scripts import script, source
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
FILTERS = ("split", "effect", "column", "value", "confidence")
BOXES = (*FILTERS, "holds", "by", "wanted")  # holds is typed
MOST_CHOICES = 200  # of more values none can be chosen by
NOT_OPENED = "<p class='empty'>Click a row: its bars and its neighbours open here.</p>"
NO_ROWS = "<p class='empty'>No row passes these filters; choose others, or show all.</p>"
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
        both = {
            kind: {k: v for each in filters for k, v in each.get(kind, {}).items()} for kind in ("equal", "between")
        }
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


@cached(4)
def answers_of(model: "rk.ReAugKDClassifier", split: str, **moved: Any) -> "tuple[Answers, pd.DataFrame]":
    """Answer a split once; in the table, beside what was chosen in training. Four results stay."""
    from reaugkd.analysis.slices import sliceable_table

    encoded = encoded_rows(model, split)
    answers = model.answer(encoded, model.pool.overridden(**moved))
    return answers, sliceable_table(answers, model.answer(encoded))


class ErrorsView(RowsView):
    """A page over a whole evaluation set."""

    view = "errors"
    unlisted = ("id", "split", "student_probability", "teacher_probability", "flip")
    height = 640
    widths: ClassVar = {"text": 300, "text_pair": 260, "nearest_aligned": 150, "nearest_encoder": 150}
    unchosen = (*unlisted, "text", "text_pair", "probability", "effect")  # the other columns can be chosen by

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel, linked: gr.State) -> None:
        super().__init__(menu, name, maps, linked)
        self.row = gr.State(None)  # the number of the row that is opened
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self.split = gr.Radio(SPLITS, value="test", label="Rows", elem_id="errors-split")
                self.sliders = RetrievalSliders(self.menu, self.name, "errors-")
            with gr.Column(scale=7, min_width=320):
                self._place_filters()
                self.summary = self._figure("errors-summary", "<p>Opens with the model.</p>")
        with gr.Column() as self.below:
            self._place_figures()
            self._place_threshold()
            gr.Markdown("## The rows")
            with gr.Row():
                with gr.Column(scale=7, min_width=320):
                    self._place_rows()
                with gr.Column(scale=5, min_width=320):
                    self._place_opened()
        self.code = place_code("errors-code")
        self._wire()

    def _figure(self, elem_id: str, value: str = "") -> gr.HTML:
        return gr.HTML(value, js_on_load=source("buttons.js"), apply_default_css=False, elem_id=elem_id)

    def _place_filters(self) -> None:
        narrow: dict[str, Any] = {"min_width": 130}
        with gr.Row():
            self.effect = gr.Dropdown(EFFECTS, value=ANY, label="Effect", elem_id="effect", **narrow)
            self.column = gr.Dropdown([ANY], value=ANY, label="Column", elem_id="errors-column", **narrow)
            self.value = gr.Dropdown(  # what it held before the column was changed is no error
                [ANY], value=ANY, label="Its value", elem_id="errors-value", allow_custom_value=True, **narrow
            )
            self.confidence = gr.Dropdown(
                list(CONFIDENCES), value=ANY, label="Confidence", elem_id="errors-confidence", **narrow
            )
            self.holds = gr.Textbox("", label="Text holds", max_lines=1, elem_id="errors-holds", **narrow)
        with gr.Row(elem_id="errors-shown"):
            self.chosen = gr.HTML(elem_id="errors-chosen", min_width=220)
            self.all = gr.Button("Show all rows", size="sm", elem_id="errors-all", scale=0, min_width=130)

    def _place_figures(self) -> None:
        with gr.Row():
            with gr.Column(scale=7, min_width=320):
                gr.Markdown("## Slices of the rows, the worst first")
                self.slices = self._figure("errors-slices")
            with gr.Column(scale=5, min_width=320):
                gr.Markdown("## Does the confidence mean what it says?")
                self.reliability = self._figure("reliability")
        with gr.Row(elem_id="errors-classes"):
            with gr.Column(scale=1, min_width=320):
                gr.Markdown("## Which classes are taken for which")
                self.confusion = self._figure("confusion")
            with gr.Column(scale=1, min_width=320):
                gr.Markdown("## Where gold label, teacher, student and memory disagree")
                self.disagreements = self._figure("disagreements")

    def _place_threshold(self) -> None:
        gr.Markdown("## Leave some texts to a person")
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                with gr.Row():
                    self.by = gr.Dropdown(
                        [PROBABILITY], value=PROBABILITY, label="Leave to a person", elem_id="by", min_width=260
                    )
                    self.wanted = gr.Dropdown(
                        list(WANTED),
                        value="90 %",
                        label="Right, of what is answered, at least",
                        elem_id="wanted",
                        min_width=260,
                    )
                self.selective = self._figure("selective")
                self.own_threshold = gr.HTML(elem_id="own-threshold")
                with gr.Row():
                    self.version = gr.Textbox("", label="Name of the model with this threshold", elem_id="careful-name")
                    self.keep = gr.Button("Save the model", elem_id="keep-threshold", scale=0, min_width=230)
                self.kept = gr.HTML("", elem_id="threshold-kept")
            with gr.Column(scale=1, min_width=320):
                self.curve = gr.Plot(show_label=False, elem_id="coverage-curve")

    def _place_opened(self) -> None:
        with gr.Row(visible=False) as self.of_row:
            self.ask = gr.Button("Ask it on Query", size="sm", elem_id="errors-ask", min_width=150)
            self.star = gr.Button("See its star on the maps", size="sm", elem_id="errors-star", min_width=150)
        self.opened = gr.HTML(NOT_OPENED, elem_id="opened-row", apply_default_css=False)

    def _wire(self) -> None:
        names = ("summary", "slices", "reliability", "confusion", "disagreements")
        self.figures = {called: getattr(self, called) for called in names}
        opened = [self.row, self.opened, self.of_row]
        self.listed += [*opened, self.code]
        thresholded = [self.shown, self.selective, self.curve, self.kept]
        self.whole = [*self.figures.values(), *thresholded[1:], self.value, *self.listed]
        boxes = [getattr(self, name) for name in BOXES]
        self.filled = [self.below, *boxes, *self.sliders.inputs.values(), self.own_threshold, self.version]
        self.filled += self.whole
        for box in FILTERS:
            self._on(partial(by_name, getattr(self, box).input), self._drawn, self.whole, box)
        for box in ("by", "wanted"):
            self._on(partial(by_name, getattr(self, box).input), self._thresholded, thresholded, box)
        self.sliders.on_move(self._move, {"shown": self.shown}, self.whole, **ALL_ROWS)
        for called, figure in {**self.figures, "selective": self.selective}.items():
            figure.select(self._picking_in(called), self.shown, self.whole, **EACH_OF_ROWS)
        self.all.click(self._show_all, self.shown, self.filled, **ALL_ROWS)
        self.rows.select(self._open, self.shown, [*opened, self.maps.map], **EACH_OF_ROWS)
        self.star.click(None, js=script("scroll_to", element="#maps", block="start"), **IN_PAGE)
        listen(self, self.keep.click, self._keep, [self.kept, self.name], **ASKING)
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
        columns = [
            ANY,
            *(name for name in table.columns if name not in self.unchosen and table[name].nunique() <= MOST_CHOICES),
        ]
        if shown.column not in columns:
            shown = replace(shown, column=ANY)
        return {
            self.below: gr.Column(visible=True),
            **{getattr(self, box): getattr(shown, box) for box in BOXES},
            **self.sliders.set_to(**slider_values(model, **shown.moved)),
            self.column: gr.Dropdown(columns, value=shown.column),
            self.by: gr.Dropdown(choices_by(model), value=shown.by),
            self.own_threshold: render(
                "own_threshold", threshold=model.threshold, score=score_in_words(model.threshold)
            ),
            self.version: self.menu.free_name(f"{shown.name}-careful"),
            **self._drawn(shown),
        }

    @once_filled
    def _show_all(self, shown: ErrorsPage) -> Updates:
        kept = {name: getattr(shown, name) for name in ("moved", "split", "by", "wanted")}
        return self._filled(ErrorsPage(shown.name, shown.rows, **kept))

    def _linked(self, shown: ErrorsPage) -> dict[str, Any]:
        asked = {box: getattr(shown, box) for box in BOXES if getattr(shown, box) != getattr(ErrorsPage, box)}
        return {**shown.moved, "of_view": {**asked, "picked": json.dumps(shown.picks) if shown.picks else ""}}

    def _usual(self, *_: Any) -> dict[str, Any]:
        return {"picks": {}}

    def _answered(self, shown: ErrorsPage, split: str = "") -> "tuple[Answers, pd.DataFrame]":
        return answers_of(self.menu.get(shown.name), split or shown.split, **shown.moved)

    def _every_row(self, shown: ErrorsPage) -> pd.DataFrame:
        return self._answered(shown)[1]

    def _drawn(self, shown: ErrorsPage) -> Updates:
        """Return all figures, each of the rows that the filters and the other figures let pass, and the rows."""
        table = self._every_row(shown)
        values = [ANY] if shown.column == ANY else [ANY, *sorted(table[shown.column].astype(str).unique())]
        shown = replace(shown, value=shown.value if shown.value in values else ANY).narrowed()
        drawn: Updates = {self.value: gr.Dropdown(values, value=shown.value)}
        for called, figure in self.figures.items():
            try:
                answers, rows = self._passing(shown, called)
                drawn[figure] = self._draw(called, shown, answers, rows) if len(rows) else NO_ROWS
            except ReAugKDError:  # a link filters by a column that is not there: the list says so
                drawn[figure] = ""
        return {**drawn, **self._thresholded(shown), **self._listed(shown)}

    def _passing(self, shown: ErrorsPage, figure: str) -> "tuple[Answers, pd.DataFrame]":
        """Return the answers and the rows that a figure shows."""
        from reaugkd.analysis.error_analysis import RowFilter

        answers, table = self._answered(shown)
        rows = RowFilter(**shown.but(figure)).of(table)
        return answers.part(rows.index.to_numpy()) if len(rows) < len(table) else answers, rows

    def _draw(self, figure: str, shown: ErrorsPage, answers: "Answers", rows: pd.DataFrame) -> str:
        """Draw a figure of some rows."""
        from reaugkd.analysis import error_analysis as found
        from reaugkd.analysis.slices import FEWEST_ROWS, slices

        settings, picked = self.menu.get(shown.name).settings, shown.picks.get(figure)
        if figure == "summary":
            figures = found.summary(answers, settings.metric)
            return summary_html(figures, settings.metric, Counter(rows["flip"]), shown.which, picked)
        if figure == "slices":
            return slice_table(slices(rows), FEWEST_ROWS, picked)
        if figure == "confusion":
            return confusion_table(found.confusion(rows, settings.label_names), picked=picked)
        if figure == "disagreements":
            return disagreement_table(found.disagreements(rows), picked)
        voices = [voice for voice in ("student", "answer", "teacher") if voice in rows]
        tables = {voice: found.calibration(rows, voice) for voice in voices}
        return reliability_bars({voice: (table, calibration_error(table)) for voice, table in tables.items()}, picked)

    def _thresholded(self, shown: ErrorsPage) -> Updates:
        """Return the threshold that the boxes ask for, and what it does."""
        try:
            validation, (answers, _) = self._answered(shown, "validation")[0], self._passing(shown, "selective")
            picked, which = shown.picks.get("selective"), f"{shown.split} {shown.which}"
            words, curve = selective_answers(validation, answers, shown.by, WANTED[shown.wanted], which, picked)
        except ReAugKDError as error:  # there are no validation rows
            words, curve = problem_html(error), None
        plot = gr.Plot(curve, visible=curve is not None)
        return {self.shown: shown, self.selective: words, self.curve: plot, self.kept: ""}

    @once_filled
    def _keep(self, shown: ErrorsPage, version: str) -> Updates:
        """Save the model with the threshold that is shown."""
        try:
            if any(value is not None for value in shown.moved.values()):
                raise ReAugKDError("A threshold is kept for the answers as trained; put k, τ and λ back first.")
            target = self.menu.new_folder(version)
            careful = self.menu.get(shown.name).with_threshold(WANTED[shown.wanted], shown.by)
            careful.save_pretrained(target)
        except ReAugKDError as error:
            return {self.kept: problem_html(error)}
        saved = f"Saved as {target.name}: choose it in the menu of models, and Query says which texts it leaves."
        return {self.kept: render("sentences", sentences=[saved]), self.name: gr.Dropdown(choices=self.menu.names())}

    def _count(self, shown: ErrorsPage) -> int:
        return len(self._every_row(shown))

    def _listed(self, shown: ErrorsPage) -> Updates:
        code = errors_code(self.menu.shown_folder(shown.name), shown.split, **shown.moved, chosen=shown.chosen)
        closed = {self.row: None, self.opened: NOT_OPENED, self.of_row: gr.Row(visible=False)}
        return {**super()._listed(shown), **closed, self.code: code}

    @once_filled
    def _move(self, shown: ErrorsPage, **sliders: Any) -> Updates:
        return self._drawn(replace(shown, moved=overrides(**sliders)))

    def _picking_in(self, figure: str) -> Callable[..., Updates]:
        """Return what answers a click in a figure."""

        @once_filled
        def pick(event: gr.EventData, shown: ErrorsPage) -> Updates:
            return self._drawn(shown.picking(figure, json.loads(event.pick)))

        return pick

    @once_filled
    def _open(self, event: gr.SelectData, shown: ErrorsPage) -> Updates:
        """Show what made one row's answer: its bars, its neighbours, and on the maps its star."""
        from reaugkd.model.explanation import explain

        answers, number = self._answered(shown)[0], int(event.row_value[0])
        explanation = explain(answers, number)
        opened = answer_html(explanation, answers.encoded.part([number])) + neighbour_table(explanation)
        return {
            self.row: number,
            self.opened: opened,
            self.of_row: gr.Row(visible=True),
            self.maps.map: query_message(shown.name, self.menu.get(shown.name), explanation),
        }

    def opened_texts(self, shown: ErrorsPage, row: int) -> tuple[str, str]:
        """Return the text of the row that is opened, and its second text, empty where there is none."""
        return two_parts(self._answered(shown)[0].encoded.texts[row])
