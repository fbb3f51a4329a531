"""The page of errors: how good all answers are, where they go wrong, and the rows behind every figure."""

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
import pandas as pd

from reaugkd.plots.links import PageState

from ..models import SPLITS, ModelMenu, encoded_rows, kept
from ..parts.code_box import place_code
from ..parts.error_tables import confusion_table, disagreement_table, flip_buttons, reliability_bars
from ..parts.maps_panel import MapsPanel
from ..parts.neighbour_table import escaped_text, neighbour_table
from ..parts.retrieval_sliders import RetrievalSliders, moves, moves_of_link, values_for
from ..parts.row_table import ALL_ROWS, PICK
from ..snippets import errors_code
from .rows import RowsView, rows_in_words, selected_rows

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
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


class Seen(NamedTuple):
    """What the page shows.

    Parameters
    ----------
    name : str
        The model's.
    moved : dict
        What the sliders ask for, as :func:`retrieval_sliders.moves` gives it.
    rows : list of int
        The test rows that are selected on the maps.
    picked : dict
        The arguments of a row filter that a cell or a bin gave.
    split, effect, column, value, confidence, holds : str
        What the boxes say.
    """

    name: str
    moved: dict[str, Any]
    rows: list[int]
    picked: dict[str, Any]
    split: str = SPLITS[0]
    effect: str = ANY
    column: str = ANY
    value: str = ANY
    confidence: str = ANY
    holds: str = ""

    @property
    def chosen(self) -> dict[str, Any]:
        """What was picked and what the boxes say as the arguments of a row filter."""
        equal, between = dict(self.picked.get("equal", {})), dict(self.picked.get("between", {}))
        between |= {"probability": CONFIDENCES[self.confidence]} if CONFIDENCES[self.confidence] else {}
        equal |= {"effect": self.effect} if self.effect != ANY else {}
        equal |= {self.column: self.value} if ANY not in (self.column, self.value) else {}
        return {"equal": equal, "between": between, "text": self.holds, "rows": selected_rows(self.rows, self.split)}


@kept(2)
def answers_of(
    model: "ReAugKDClassifier", split: str, rows: tuple[int, ...], *moved: Any
) -> "tuple[Answers, pd.DataFrame]":
    """Answer a split, or some rows of it, once; in the table, beside what was chosen in training. Two results stay."""
    encoded = encoded_rows(model, split)
    encoded = encoded.part(rows) if rows else encoded
    answers = model.answer(encoded, model.pool.overridden(*moved))
    return answers, answers.table(model.answer(encoded))


def summary_html(figures: dict[str, Any], metric: str, flips: dict[str, int], which: str) -> str:
    """Say in a few words how good the answers are.

    Parameters
    ----------
    figures : dict
        As :func:`reaugkd.analysis.error_analysis.summary` gives it.
    metric : str
        The task's metric.
    flips : dict of str to int
        How many answers the sliders fix, break and change, of those chosen in training.
    which : str
        Which rows these are.

    Returns
    -------
    str
        HTML.
    """
    score, effects = figures["score"], figures["effects"]
    teacher = f", teacher <b>{100 * score['teacher']:.1f}</b>" if "teacher" in score else ""
    return (
        f"<p>{metric.replace('_', ' ').capitalize()}, percent of {figures['rows']:,} {which}: student "
        f"<b>{100 * score['student']:.1f}</b>, with the memory <b>{100 * score['answer']:.1f}</b>{teacher}. Retrieval "
        f"fixed <b>{effects['fixed']}</b> answers and broke <b>{effects['broken']}</b>; {effects['changed']} went from "
        f"wrong to wrong.</p><p>What these sliders change of the answers chosen in training: {flip_buttons(flips)}.</p>"
    )


class ErrorsView(RowsView):
    """A page over a whole evaluation set."""

    view = "errors"
    unlisted = ("id", "split", "student_probability", "teacher_probability", "flip")
    unchosen = (*unlisted, "text", "text_pair", "probability", "effect")  # the other columns can be chosen by

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel, linked: gr.State) -> None:
        super().__init__(menu, name, maps, linked)
        figure = partial(gr.HTML, js_on_load=PICK, apply_default_css=False)
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
        boxes: dict[str, Any] = {
            "split": self.split,
            "effect": self.effect,
            "column": self.column,
            "confidence": self.confidence,
        }
        self.listed += [self.opened, self.code]
        self.whole = [*figures, self.value, *self.listed]
        self.filled = [*boxes.values(), *self.sliders.values, self.holds, self.below, *self.whole]
        for part, box in {**boxes, "value": self.value}.items():
            self._on(box.input, self._drawn, self.whole, **{part: box})
        self.sliders.on_move(self._move, [self.shown, *self.sliders.values], self.whole, **ALL_ROWS)
        for figure in figures:
            figure.select(self._pick, self.shown, self.listed, **ALL_ROWS)
        self.buttons["all"].click(
            lambda seen: self._filled(seen._replace(**{**Seen._field_defaults, "picked": {}, "split": seen.split})),
            self.shown,
            self.filled,
            **ALL_ROWS,
        )
        self.rows.select(self._open, self.shown, self.opened, **ALL_ROWS)
        self._wire_list()

    def fill(self, name: str, linked: PageState, selected: list[int]) -> dict[Any, Any]:
        """Set the page to what its link asks for, or else to what was chosen in training, and draw it.

        Parameters
        ----------
        name : str
            The model's.
        linked : PageState
            What the page's link asks for.
        selected : list of int
            The points that are selected on the maps; of test rows among them, the page lists no others.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        if self.menu.get(name).evaluation_rows is None:
            nothing = "<p>This model carries no evaluation rows: there is nothing to analyse.</p>"
            return {self.summary: nothing, self.reliability: "", self.below: gr.Column(visible=False), self.shown: None}
        linked, rows = linked.asked_of("errors", name), self._rows_among(name, selected)
        known = {"split": SPLITS, "effect": EFFECTS, "confidence": CONFIDENCES}
        asked: dict[str, Any] = {
            part: value
            for part, value in linked.of_view.items()
            if part != "picked" and value in known.get(part, [value])
        }
        return self._filled(Seen(name, moves_of_link(linked), rows, **self._picked(linked, name, rows), **asked))

    def _filled(self, seen: Seen) -> dict[Any, Any]:
        """Return the whole page."""
        columns = [ANY, *(column for column in self._every_row(seen).columns if column not in self.unchosen)]
        if seen.column not in columns:
            seen = seen._replace(column=ANY)
        return {
            self.below: gr.Column(visible=True),
            self.split: seen.split,
            **self.sliders.set_to(*values_for(self.menu.get(seen.name), **seen.moved)),
            self.effect: seen.effect,
            self.column: gr.Dropdown(columns, value=seen.column),
            self.confidence: seen.confidence,
            self.holds: seen.holds,
            **self._drawn(seen),
        }

    def _linked(self, seen: Seen) -> dict[str, Any]:
        usual = Seen._field_defaults
        asked = {part: getattr(seen, part) for part in usual if getattr(seen, part) != usual[part]}
        return {**seen.moved, "of_view": {**asked, "picked": self._picked_in_link(seen)}}

    def _answered(self, seen: Seen) -> "tuple[Answers, pd.DataFrame]":
        rows = selected_rows(seen.rows, seen.split) or []
        return answers_of(self.menu.get(seen.name), seen.split, tuple(rows), *seen.moved.values())

    def _every_row(self, seen: Seen) -> pd.DataFrame:
        return self._answered(seen)[1]

    def _drawn(self, seen: Seen) -> dict[Any, Any]:
        """Return all figures, and the rows."""
        from reaugkd.analysis.error_analysis import calibration, confusion, disagreements, summary

        settings, (answers, table) = self.menu.get(seen.name).settings, self._answered(seen)
        figures = summary(answers, settings.metric)
        reliabilities = "".join(
            reliability_bars(calibration(table, voice), voice, figures["calibration_error"][voice])
            for voice in ("student", "answer", "teacher")
            if voice in table.columns
        )
        values = [ANY] if seen.column == ANY else [ANY, *sorted(table[seen.column].astype(str).unique())]
        if seen.value not in values:  # no row says so any more: the list goes with the box
            seen = seen._replace(value=ANY)
        which = rows_in_words(selected_rows(seen.rows, seen.split))
        return {
            self.summary: summary_html(figures, settings.metric, dict(Counter(table["flip"])), which),
            self.reliability: f'<div class="reliabilities">{reliabilities}</div>',
            self.confusion: confusion_table(confusion(table, settings.label_names)),
            self.disagreements: disagreement_table(disagreements(table)),
            self.value: gr.Dropdown(values, value=seen.value),
            **self._listed(seen),
        }

    def _listed(self, seen: Seen) -> dict[Any, Any]:
        code = errors_code(self.menu.shown_folder(seen.name), seen.split, **seen.moved, chosen=seen.chosen)
        return {**super()._listed(seen), self.opened: "", self.code: code}

    def _move(self, shown: Seen | None, *values: Any) -> dict[Any, Any]:
        return gr.skip() if shown is None else self._drawn(shown._replace(moved=moves(*values)))

    def _open(self, event: gr.SelectData, seen: Seen) -> str:
        """Show the neighbours that made one row's answer."""
        from reaugkd.model.explanation import explain

        answers, table = self._answered(seen)
        place = table.index.tolist().index(int(event.row_value[0]))
        explanation, gold = explain(answers, place), table["label"].iloc[place]
        said = f"gold {gold}, student {explanation.student_label}, answer {explanation.label}"
        return f'<p class="asked"><b>{escaped_text(said)}</b></p>' + neighbour_table(explanation)
