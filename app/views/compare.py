"""The page that compares: two models, or two ways of answering of one, on the same text and over the same rows."""

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

import reaugkd as rk
from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState, filter_of_link
from reaugkd.texts import text_of_row, two_parts

from ..computed import SPLITS, cached, encoded_rows
from ..listening import ALL_ROWS, EACH, EACH_OF_ROWS, IN_PAGE, LATEST, Updates, listen
from ..parts.answer import answer_html, asked_text, example_texts
from ..parts.answer_bars import likeliest_classes
from ..parts.code_box import place_code
from ..parts.maps_panel import MapsPanel
from ..parts.problem import Problem, problem_html, told_in
from ..parts.throttle import throttled
from ..parts.typed_text import filled_boxes, on_typing, place_boxes
from ..rendering import render
from ..scripts import script, source
from ..snippets import compare_code
from .rows import RowsPage, RowsView

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.comparison import Comparison
    from reaugkd.method.answers import Answers, EncodedTexts

    Side = tuple[rk.ReAugKDClassifier, float | None]  # who answers, and by which λ; None is the fitted one

FITTED = "fitted"  # so a link says that the second side's λ is
DIFFERING: dict[str, Any] = {"equal": {"differs": "True"}}
MODELS = 4  # that are chosen at first; each is loaded when they are compared
SIDES = ("second", "first_weight", "first_fitted", "second_weight", "second_fitted")


@dataclass(frozen=True)
class ComparePage(RowsPage):
    """What the page shows.

    Parameters
    ----------
    second : str
        The model of the second side; the first one's is ``name``.
    first_weight, second_weight : float
        λ of either side, where it is not the fitted one.
    first_fitted, second_fitted : bool
        Whether it is.
    text, text_pair : str
        What both answer.
    """

    second: str = ""
    first_weight: float = 0.5
    first_fitted: bool = True
    second_weight: float = 0.5
    second_fitted: bool = True
    text: str = ""
    text_pair: str = ""
    __hash__ = RowsPage.__hash__

    @property
    def weights(self) -> list[float | None]:
        """λ of either side; None is the fitted one."""
        sides = ((self.first_fitted, self.first_weight), (self.second_fitted, self.second_weight))
        return [None if fitted else float(weight) for fitted, weight in sides]  # a slider at an end says 0, not 0.0


asked_once = cached(4)(asked_text)
"""Runs the student on a text once, also where both sides, or a slider, ask it again; the last four stay."""


@cached(4)
def comparison_of(first: "Side", second: "Side", split: str, rows: tuple[int, ...] = ()) -> "Comparison":
    """Compare two sides over a split of their evaluation rows, or some rows of it, once; the last four stay."""
    from reaugkd.analysis.comparison import compare

    def answers(side: "Side") -> "Answers":
        encoded = encoded_rows(side[0], split)
        return _answered(side, encoded.part(rows) if rows else encoded)

    return compare(answers(first), answers(second), first[0].settings.metric)


def _answered(side: "Side", encoded: "EncodedTexts") -> "Answers":
    model, weight = side
    return model.answer(encoded, model.pool.overridden(retrieval_weight=weight))


def explained(side: "Side", text: str, text_pair: str) -> "tuple[rk.Explanation, EncodedTexts]":
    """Let one side answer what was typed; return the answer, and the text."""
    from reaugkd.model.explanation import explain

    asked = asked_once(side[0], text, text_pair)
    return explain(_answered(side, asked)), asked


class CompareView(RowsView):
    """A page that compares two sides, in the spaces of the first one's model."""

    view = "compare"
    unlisted = ("id", "split", "differs")

    def __init__(self, maps: MapsPanel) -> None:
        super().__init__(maps)
        with gr.Row():
            with gr.Column(min_width=320):
                self.first = gr.Textbox(
                    maps.menu.first, label="First: the model chosen above", interactive=False, elem_id="compare-first"
                )
                self.first_weight, self.first_fitted = self._place_weight("first")
            with gr.Column(min_width=320):
                self.second = gr.Dropdown([maps.menu.first], label="Second", elem_id="compare-second")
                self.second_weight, self.second_fitted = self._place_weight("second")
        with gr.Row():
            self.texts = place_boxes("compare-text", "Type a text: both answer as you type", interactive=False)
        self.text, self.text_pair = self.texts
        self.message = gr.HTML(visible=False, elem_id="compare-message")
        self.verdict = gr.HTML(elem_id="compare-verdict")
        with gr.Row():
            with gr.Column(min_width=320):
                self.first_answer = gr.HTML(elem_id="compare-first-answer", apply_default_css=False)
            with gr.Column(min_width=320):
                self.second_answer = gr.HTML(elem_id="compare-second-answer", apply_default_css=False)
        gr.Markdown("## Over the same rows: who is right where")
        self.split = gr.Radio(SPLITS, value="test", label="Rows", elem_id="compare-split")
        self.summary = gr.HTML("<p>Opens with the model.</p>", elem_id="compare-summary")
        with gr.Column(visible=False) as self.below:
            self.outcomes = gr.HTML(
                elem_id="compare-outcomes", js_on_load=source("buttons.js"), apply_default_css=False
            )
            self._place_list(differing="Where they differ", all="List all rows")
        self._place_models()
        self.code = place_code("compare-code")
        self._wire()

    def _place_models(self) -> None:
        gr.Markdown("## More than two models in one table")
        with gr.Row(equal_height=True):
            self.models = gr.Dropdown(
                [], multiselect=True, label="Models, compared with the first", elem_id="compare-models", min_width=260
            )
            self.measure = gr.Button("Compare them", size="sm", scale=0, min_width=140, elem_id="compare-measure")
        self.measured = gr.HTML(elem_id="compare-measured", apply_default_css=False)

    def _place_weight(self, side: str) -> tuple[gr.Slider, gr.Checkbox]:
        """Place λ of a side, which is the fitted one until the slider is moved."""
        label = "λ: 0 is the student alone, 1 the memory alone"
        weight = gr.Slider(0, 1, 0.5, step=0.01, label=label, buttons=[], elem_id=f"compare-{side}-weight")
        fitted = gr.Checkbox(True, label="λ as fitted", elem_id=f"compare-{side}-fitted")
        weight.input(None, None, fitted, js="() => false", trigger_mode="multiple", **IN_PAGE)
        return weight, fitted

    def _wire(self) -> None:
        sides, answers = [getattr(self, name) for name in SIDES], [self.message, self.verdict]
        answers += [self.first_answer, self.second_answer]
        self.listed.append(self.code)
        self.whole = [self.summary, self.below, self.outcomes, *self.listed]
        self.filled = [self.first, *sides, self.split, self.holds, *self.texts, *answers, *self.whole]
        self.filled += [self.models, self.measured]
        # All in the queue of the filling: what a model says that comes late would stand over what was asked meanwhile.
        moved = partial(throttled, [box.input for box in sides], elem_id="compare-moved")
        self._on(moved, self._drawn_whole, [*answers, *self.whole], *SIDES)
        self._on(self.split.input, self._drawn, self.whole, "split")
        typed = partial(on_typing, [*self.texts])
        self._on(typed, self._answers, [*answers, self.code, self.shown], "text", "text_pair")
        self.models.focus(lambda: gr.Dropdown(choices=self.menu.names()), None, self.models, **LATEST)
        slow = ALL_ROWS | {"show_progress": "minimal", "show_progress_on": self.measured}
        listen(self, self.measure.click, self._measure, [self.measured], **slow)
        self.second.focus(lambda: gr.Dropdown(choices=self.menu.names()), None, self.second, **LATEST)
        listen(self, self.outcomes.select, self._pick, self.listed, **EACH_OF_ROWS)
        listen(self, self.buttons["differing"].click, self._list_differing, self.listed, **ALL_ROWS)
        listen(self, self.buttons["all"].click, self._list_all, [self.holds, *self.listed], **ALL_ROWS)
        opened = listen(self, self.rows.choose, self._open, [*self.texts], **EACH)
        opened.then(None, js=script("scroll_to", element="#compare-text", block="nearest"), **IN_PAGE)
        self._wire_list()

    def fill(self, name: str, linked: PageState, selected: list[int], text: str, text_pair: str) -> Updates:
        """Set a model beside its own student, and answer the text that is there, or else a row on which they differ.

        Where no key has a weight, the model answers as its student does, and the memory alone stands beside it. A
        link's λ is the first side's.
        """
        model, held, rows = self.menu.get(name), (text, text_pair), self._rows_among(name, selected)
        linked, names = linked.asked_of("compare", name), self.menu.names()
        asked, weight, (_, weights) = linked.of_view, linked.retrieval_weight, model.pool.weights
        is_student = weight == 0.0 or (weight is None and not any(weights.values()))
        shown = ComparePage(
            name,
            rows,
            **({"row_filter": filter_of_link(asked["picked"])} if asked.get("picked") else self._usual(name, rows)),
            split=asked["split"] if asked.get("split") in SPLITS else SPLITS[0],
            holds=asked.get("holds", ""),
            second=asked["second"] if asked.get("second") in names else name,
            first_weight=round(model.pool.fitted_weight, 2) if weight is None else weight,
            first_fitted=weight is None,
            second_weight=float(asked.get("second_weight", 1.0 if is_student else 0.0)),
            second_fitted=asked.get("second_by") == FITTED,
        )
        is_pair, texts = model.settings.is_pair, (linked.text, linked.text_pair) if linked.text else held
        if not texts[0].strip() or (is_pair and not texts[1].strip()):
            texts = self._example(shown)
        return {
            self.first: name,
            **{getattr(self, side): getattr(shown, side) for side in SIDES},
            self.second: gr.Dropdown(names, value=shown.second),
            self.models: gr.Dropdown(names, value=[*dict.fromkeys([name, *names])][:MODELS], multiselect=True),
            self.measured: "",
            self.split: shown.split,
            self.holds: shown.holds,
            **filled_boxes(self.texts, held, texts, is_pair),
            **self._drawn_whole(replace(shown, text=texts[0], text_pair=texts[1])),
        }

    @told_in("measured")
    def _measure(self, models: list[str], split: str) -> Updates:
        """Compare several models over the rows of the first; a sentence where that is impossible."""
        from reaugkd.analysis.comparison import compare_models

        found = compare_models(dict(zip(models, self._models(*models), strict=True)), split)
        metric = self.menu.get(models[0]).settings.metric.replace("_", " ")
        rows = found.assign(megabytes=[self.menu.megabytes(name) for name in models]).to_dict("records")
        return {self.measured: render("models", rows=rows, metric=metric, split=split)}

    def _usual(self, _: str, rows: list[int]) -> dict[str, Any]:
        return {"row_filter": {} if rows else DIFFERING}

    def _linked(self, shown: ComparePage) -> dict[str, Any]:
        is_usual = self._usual(shown.name, shown.rows) == {"row_filter": shown.row_filter}
        of_view = {
            "second": "" if shown.second == shown.name else shown.second,
            "second_by": FITTED if shown.second_fitted else "",
            "second_weight": "" if shown.second_fitted else str(shown.second_weight),
            "split": "" if shown.split == SPLITS[0] else shown.split,
            "holds": shown.holds,
            "picked": "" if is_usual else json.dumps(shown.row_filter),
        }
        asked = {"text": shown.text, "text_pair": shown.text_pair, "retrieval_weight": shown.weights[0]}
        return {**asked, "k": None, "temperature": None, "of_view": of_view}

    def _example(self, shown: ComparePage) -> tuple[str, str]:
        """Return the first text on which both differ, or any where there is none."""
        try:
            table = self._every_row(shown)
        except ReAugKDError:
            return two_parts(example_texts(self.menu.get(shown.name))[0])
        return two_parts(text_of_row(table.iloc[int(table["differs"].argmax())]))

    def _models(self, *names: str) -> "list[rk.ReAugKDClassifier]":
        """Return models; one sentence where one cannot be loaded, as where they cannot be compared."""
        try:
            return [self.menu.get(name) for name in names]
        except Problem as error:
            raise ReAugKDError(error.sentence) from error

    def _sides(self, shown: ComparePage) -> "list[Side]":
        """Return both sides, checked."""
        from reaugkd.analysis.comparison import check_comparable

        models = self._models(shown.name, shown.second)
        check_comparable(*models)
        return [*zip(models, shown.weights, strict=True)]

    def _compared(self, shown: ComparePage) -> "Comparison":
        return comparison_of(*self._sides(shown), shown.split, tuple(shown.selected or ()))

    def _every_row(self, shown: ComparePage) -> pd.DataFrame:
        return self._compared(shown).table

    def _drawn_whole(self, shown: ComparePage) -> Updates:
        """Return all that both sides say: of the text, and over the rows."""
        return self._answers(shown) | self._drawn(shown)

    def _answers(self, shown: ComparePage) -> Updates:
        """Let both sides answer the text; or say in one sentence why there are no answers."""
        always = {self.shown: shown, self.code: self._code(shown)}
        try:
            said = [explained(side, shown.text, shown.text_pair) for side in self._sides(shown)]
        except ReAugKDError as error:
            blank = {self.verdict: "", self.first_answer: "", self.second_answer: ""}
            return {**always, **blank, self.message: gr.HTML(problem_html(error), visible=True)}
        answers = [explanation for explanation, _ in said]
        order = likeliest_classes(*answers)
        first, second = (answer_html(explanation, asked, order) for explanation, asked in said)
        return {
            **always,
            self.message: gr.HTML("", visible=False),
            self.verdict: render("compared", first=answers[0].label, second=answers[1].label),
            self.first_answer: render("side", place="First", name=shown.name, weight=shown.weights[0]) + first,
            self.second_answer: render("side", place="Second", name=shown.second, weight=shown.weights[1]) + second,
        }

    def _drawn(self, shown: ComparePage) -> Updates:
        """Compare both sides over all rows or those selected; a sentence where there are none, or not the same."""
        from reaugkd.analysis.comparison import comparison_in_words

        try:
            comparison = self._compared(shown)
        except ReAugKDError as error:
            nothing = {self.summary: problem_html(error), self.below: gr.Column(visible=False)}
            return {**nothing, self.shown: shown, self.code: self._code(shown)}
        metric = self.menu.get(shown.name).settings.metric
        return {
            self.summary: render("sentences", sentences=comparison_in_words(comparison, metric, shown.which)),
            self.below: gr.Column(visible=True),
            self.outcomes: render("outcomes", comparison=comparison),
            **self._listed(shown),
        }

    def _listed(self, shown: ComparePage) -> Updates:
        return {**super()._listed(shown), self.code: self._code(shown)}

    def _pick(self, event: gr.EventData, shown: ComparePage) -> Updates:
        """List the rows behind a figure."""
        return self._listed(replace(shown, row_filter=json.loads(event.pick)))

    def _list_differing(self, shown: ComparePage) -> Updates:
        return self._listed(replace(shown, row_filter=DIFFERING))

    def _list_all(self, shown: ComparePage) -> Updates:
        return {self.holds: "", **self._listed(replace(shown, row_filter={}, holds=""))}

    def _code(self, shown: ComparePage) -> str:
        folders = [self.menu.shown_folder(model) for model in (shown.name, shown.second)]
        asked = (shown.text, shown.text_pair) if self.menu.get(shown.name).settings.is_pair else shown.text
        return compare_code([*zip(folders, shown.weights, strict=True)], shown.split, shown.chosen, asked)

    def _open(self, event: gr.EventData, shown: ComparePage) -> Updates:
        """Put a row's text into the boxes, whose change is then answered by both sides."""
        row = self._every_row(shown).loc[[int(event.rows[0])]].iloc[0]
        return dict(zip(self.texts, two_parts(text_of_row(row)), strict=True))
