"""The page that compares: two models, or two ways of answering of one, on the same text and over the same rows."""

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
import pandas as pd

from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState
from reaugkd.texts import text_of_row, two_parts

from ..models import LATEST, SPLITS, ModelMenu, encoded_rows, kept
from ..parts.answer import answer_html, asked_text, example_texts, teacher_of
from ..parts.code_box import place_code
from ..parts.error_tables import outcome_table
from ..parts.maps_panel import MapsPanel
from ..parts.neighbour_table import escaped_text
from ..parts.row_table import ALL_ROWS, PICK
from ..parts.sentence import sentence_html
from ..parts.settled import soon_after
from ..parts.typed_text import filled_boxes, on_typing, place_boxes
from ..snippets import compare_code
from .rows import RowsView, rows_in_words, selected_rows

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import Explanation, ReAugKDClassifier
    from reaugkd.analysis.comparison import Comparison
    from reaugkd.method.answers import Answers, EncodedTexts

    Side = tuple[ReAugKDClassifier, float | None]  # who answers, and by which λ in the place of the fitted one

WAYS = {None: "λ as fitted", 0.0: "the student alone (λ = 0)", 1.0: "the memory alone (λ = 1)"}
FITTED = "fitted"  # so a link says that the second side's λ is
DIFFERING: dict[str, Any] = {"equal": {"differs": "True"}}


class Seen(NamedTuple):
    """What the page shows.

    Parameters
    ----------
    name, second : str
        The models of both sides.
    rows : list of int
        The test rows that are selected on the maps.
    picked : dict
        The arguments of a row filter that a cell or a button gave.
    first_weight, second_weight : float
        λ of either side, where it is not the fitted one.
    first_fitted, second_fitted : bool
        Whether it is.
    split, holds : str
        Whose rows, and what a listed text holds.
    text, text_pair : str
        What both answer.
    """

    name: str
    second: str
    rows: list[int]
    picked: dict[str, Any]
    first_weight: float
    first_fitted: bool
    second_weight: float
    second_fitted: bool
    split: str = SPLITS[0]
    holds: str = ""
    text: str = ""
    text_pair: str = ""

    @property
    def chosen(self) -> dict[str, Any]:
        """What was picked and what the box says as the arguments of a row filter."""
        return {**self.picked, "text": self.holds, "rows": selected_rows(self.rows, self.split)}

    @property
    def weights(self) -> tuple[float | None, float | None]:
        """λ of either side; None is the fitted one."""
        return (
            None if self.first_fitted else float(self.first_weight),  # a slider at an end says 0, not 0.0
            None if self.second_fitted else float(self.second_weight),
        )


@kept(4)
def asked_once(model: "ReAugKDClassifier", text: str, text_pair: str) -> "EncodedTexts":
    """Run the student on a text once, also where both sides, or a slider, ask it again; the last four stay."""
    return asked_text(model, text, text_pair)


@kept(4)
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


def explained(side: "Side", text: str, text_pair: str) -> "tuple[Explanation, EncodedTexts]":
    """Let one side answer what was typed; return the answer, and the text."""
    from reaugkd.model.explanation import explain

    asked = asked_once(side[0], text, text_pair)
    return explain(_answered(side, asked)), asked


def verdict_html(first: str, second: str) -> str:
    """Say whether both give a text the same label."""
    if first == second:
        return f"<p>Both answer <b>{escaped_text(first)}</b>.</p>"
    return f"<p>They differ: the first <b>{escaped_text(first)}</b>, the second <b>{escaped_text(second)}</b>.</p>"


def title_html(place: str, name: str, weight: float | None) -> str:
    """Say over an answer which model gives it, and by which λ: on a phone one stands below the other."""
    way = WAYS.get(weight) or f"λ = {weight:.2f}"
    return f"<h3>{escaped_text(f'{place}: {name}, {way}')}</h3>"


class CompareView(RowsView):
    """A page that compares two sides, in the spaces of the first one's model."""

    view = "compare"
    usual = DIFFERING
    unlisted = ("id", "split", "differs")

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel, linked: gr.State) -> None:
        super().__init__(menu, name, maps, linked)
        with gr.Row():
            with gr.Column(min_width=320):
                self.first = gr.Textbox(
                    menu.first, label="First: the model chosen above", interactive=False, elem_id="compare-first"
                )
                first = self._place_weight("first")
            with gr.Column(min_width=320):
                self.second = gr.Dropdown([menu.first], value=menu.first, label="Second", elem_id="compare-second")
                second = self._place_weight("second")
        self.sides: dict[str, Any] = {"second": self.second, **first, **second}
        with gr.Row():
            self.texts = place_boxes("Type a text: both answer as you type", "compare-text")
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
            self.outcomes = gr.HTML(elem_id="compare-outcomes", js_on_load=PICK, apply_default_css=False)
            self._place_list(differing="Only where they differ", all="List all rows")
        self.code = place_code("compare-code")
        self._wire()

    def _place_weight(self, side: str) -> dict[str, Any]:
        """Place λ of a side, which is the fitted one until the slider is moved."""
        label = "λ: 0 is the student alone, 1 the memory alone"
        weight = gr.Slider(0, 1, 0.5, step=0.01, label=label, buttons=[], elem_id=f"compare-{side}-weight")
        fitted = gr.Checkbox(True, label="λ as fitted", elem_id=f"compare-{side}-fitted")
        weight.input(None, None, fitted, js="() => false", trigger_mode="multiple", api_visibility="private")
        return {f"{side}_weight": weight, f"{side}_fitted": fitted}

    def _wire(self) -> None:
        answered = [self.message, self.verdict, self.first_answer, self.second_answer, self.code, self.shown]
        self.listed.append(self.code)
        self.whole = [self.summary, self.below, self.outcomes, *self.listed]
        drawn = [*answered[:4], *self.whole]
        self.fill_inputs += self.texts
        self.filled = [self.first, *self.sides.values(), self.split, self.holds, *self.texts, *drawn]
        # All in the queue of the filling: what a model says that comes late would stand over what was asked meanwhile.
        chosen = partial(soon_after, [part.input for part in self.sides.values()], elem_id="compare-moved")
        self._on(chosen, self._drawn_whole, drawn, **self.sides)
        self._on(self.split.input, self._drawn, self.whole, split=self.split)
        text, text_pair = self.texts
        self._on(partial(on_typing, [*self.texts]), self._answers, answered, text=text, text_pair=text_pair)
        self.second.focus(lambda: gr.Dropdown(choices=self.menu.names()), None, self.second, **LATEST)
        self.outcomes.select(self._pick, self.shown, self.listed, **ALL_ROWS)
        differing, whole = {"picked": DIFFERING}, {"picked": {}, "holds": ""}
        self.buttons["differing"].click(
            lambda seen: self._listed(seen._replace(**differing)), self.shown, self.listed, **ALL_ROWS
        )
        self.buttons["all"].click(
            lambda seen: {self.holds: "", **self._listed(seen._replace(**whole))},
            self.shown,
            [self.holds, *self.listed],
            **ALL_ROWS,
        )
        opened = self.rows.select(self._open, self.shown, [*self.texts], **LATEST)
        opened.then(
            None,
            js="() => document.querySelector('#compare-text').scrollIntoView({block: 'nearest'})",
            api_visibility="private",
        )
        self._wire_list()

    def fill(self, name: str, linked: PageState, selected: list[int], text: str, text_pair: str) -> dict[Any, Any]:
        """Set a model beside its own student, and answer the text that is there, or else a row on which they differ.

        Where no key has a weight, the model answers as its student does, and the memory alone stands beside it. A
        link's λ is the first side's.

        Parameters
        ----------
        name : str
            The model's.
        linked : PageState
            What the page's link asks for.
        selected : list of int
            The points that are selected on the maps; of test rows among them, the page lists no others.
        text, text_pair : str
            What the boxes hold.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model, held, rows = self.menu.get(name), (text, text_pair), self._rows_among(name, selected)
        linked = linked.asked_of("compare", name)
        asked, weight, (_, weights) = linked.of_view, linked.retrieval_weight, model.pool.weights
        is_student = weight == 0.0 or (weight is None and not any(weights.values()))
        seen = Seen(
            name,
            asked["second"] if asked.get("second") in self.menu.names() else name,
            rows,
            **self._picked(linked, name, rows),
            first_weight=round(model.pool.fitted_weight, 2) if weight is None else weight,
            first_fitted=weight is None,
            second_weight=float(asked.get("second_weight", 1.0 if is_student else 0.0)),
            second_fitted=asked.get("second_by") == FITTED,
            split=asked["split"] if asked.get("split") in SPLITS else SPLITS[0],
            holds=asked.get("holds", ""),
        )
        is_pair, texts = model.settings.is_pair, (linked.text, linked.text_pair) if linked.text else held
        if not texts[0].strip() or (is_pair and not texts[1].strip()):
            texts = self._example(seen)
        seen = seen._replace(text=texts[0], text_pair=texts[1])
        return {
            self.first: name,
            **{box: getattr(seen, part) for part, box in self.sides.items()},
            self.second: gr.Dropdown(self.menu.names(), value=seen.second),
            self.split: seen.split,
            self.holds: seen.holds,
            **filled_boxes(self.texts, held, texts, is_pair),
            **self._drawn_whole(seen),
        }

    def _linked(self, seen: Seen) -> dict[str, Any]:
        of_view = {
            "second": "" if seen.second == seen.name else seen.second,
            "second_by": FITTED if seen.second_fitted else "",
            "second_weight": "" if seen.second_fitted else str(seen.second_weight),
            "split": "" if seen.split == SPLITS[0] else seen.split,
            "holds": seen.holds,
            "picked": self._picked_in_link(seen),
        }
        asked = {"text": seen.text, "text_pair": seen.text_pair, "retrieval_weight": seen.weights[0]}
        return {**asked, "k": None, "temperature": None, "of_view": of_view}

    def _example(self, seen: Seen) -> tuple[str, str]:
        """Return the first text on which both differ, or any where there is none."""
        try:
            table = self._every_row(seen)
        except ReAugKDError:
            return two_parts(example_texts(self.menu.get(seen.name))[0])
        return two_parts(text_of_row(table.iloc[int(table["differs"].argmax())]))

    def _sides(self, seen: Seen) -> "tuple[Side, Side]":
        """Return both sides, checked; a model that cannot be loaded is told as one that cannot be compared."""
        from reaugkd.analysis.comparison import check_comparable

        try:
            models = [self.menu.get(seen.name), self.menu.get(seen.second)]
        except gr.Error as error:
            raise ReAugKDError(error.message) from error
        check_comparable(*models)
        return (models[0], seen.weights[0]), (models[1], seen.weights[1])

    def _compared(self, seen: Seen) -> "Comparison":
        return comparison_of(*self._sides(seen), seen.split, tuple(selected_rows(seen.rows, seen.split) or ()))

    def _every_row(self, seen: Seen) -> pd.DataFrame:
        return self._compared(seen).table

    def _drawn_whole(self, seen: Seen) -> dict[Any, Any]:
        """Return all that both sides say: of the text, and over the rows."""
        return self._answers(seen) | self._drawn(seen)

    def _answers(self, seen: Seen) -> dict[Any, Any]:
        """Let both sides answer the text; a sentence in the place of answers that would be of nothing."""
        shown = {self.shown: seen, self.code: self._code(seen)}
        try:
            answers = [explained(side, seen.text, seen.text_pair) for side in self._sides(seen)]
        except ReAugKDError as error:
            blank = {self.verdict: "", self.first_answer: "", self.second_answer: ""}
            return {**shown, **blank, self.message: gr.HTML(sentence_html(error), visible=True)}
        first, second = (answer_html(explanation, teacher_of(asked)) for explanation, asked in answers)
        return {
            **shown,
            self.message: gr.HTML("", visible=False),
            self.verdict: verdict_html(*(explanation.label for explanation, _ in answers)),
            self.first_answer: title_html("First", seen.name, seen.weights[0]) + first,
            self.second_answer: title_html("Second", seen.second, seen.weights[1]) + second,
        }

    def _drawn(self, seen: Seen) -> dict[Any, Any]:
        """Compare both sides over all rows or those selected; a sentence where there are none, or not the same."""
        from reaugkd.analysis.comparison import comparison_in_words

        try:
            comparison = self._compared(seen)
        except ReAugKDError as error:
            below = gr.Column(visible=False)
            return {
                self.summary: sentence_html(error),
                self.below: below,
                self.shown: seen,
                self.code: self._code(seen),
            }
        metric = self.menu.get(seen.name).settings.metric
        sentences = comparison_in_words(comparison, metric, rows_in_words(selected_rows(seen.rows, seen.split)))
        return {
            self.summary: "".join(f"<p>{escaped_text(sentence)}</p>" for sentence in sentences),
            self.below: gr.Column(visible=True),
            self.outcomes: outcome_table(comparison),
            **self._listed(seen),
        }

    def _listed(self, seen: Seen) -> dict[Any, Any]:
        return {**super()._listed(seen), self.code: self._code(seen)}

    def _code(self, seen: Seen) -> str:
        first, second = (self.menu.shown_folder(model) for model in (seen.name, seen.second))
        is_pair = self.menu.get(seen.name).settings.is_pair
        asked = (seen.text, seen.text_pair) if is_pair else seen.text
        return compare_code((first, seen.weights[0]), (second, seen.weights[1]), seen.split, seen.chosen, asked)

    def _open(self, event: gr.SelectData, seen: Seen) -> dict[Any, Any]:
        """Put a row's text into the boxes, whose change is then answered by both sides."""
        row = self._every_row(seen).loc[[int(event.row_value[0])]].iloc[0]
        return dict(zip(self.texts, two_parts(text_of_row(row)), strict=True))
