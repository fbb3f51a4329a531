"""The page that compares: two models, or two ways of answering of one, on the same text and over the same rows."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from code_box import place_code
from errors_view import MAX_ROWS, PICK, SPLITS, listed_html
from maps_panel import MapsPanel
from models import LATEST, ModelMenu, evaluation_set, kept
from query_view import answer_html, asked_text, example_texts, sentence_html
from typed_text import on_typing

from reaugkd.error_tables import outcome_table
from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState
from reaugkd.neighbour_table import escaped_text
from reaugkd.snippets import compare_code

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import Explanation, ReAugKDClassifier
    from reaugkd.comparison import Comparison
    from reaugkd.what_if import AskedText

    Side = tuple[ReAugKDClassifier, float | None]  # who answers, and by which λ in the place of the chosen one
    Sides = tuple[Side, Side]

AS_CHOSEN, STUDENT, MEMORY = "as chosen in training", "the student alone (λ = 0)", "the memory alone (λ = 1)"
OWN = "a λ of its own"
WEIGHTS: dict[str, float | None] = {AS_CHOSEN: None, STUDENT: 0.0, MEMORY: 1.0}
DIFFERING: dict[str, Any] = {"equal": {"differs": "True"}}
WIDTHS = {"row": 60, "text": 300, "text_pair": 320, "first_probability": 170, "second_probability": 180, "outcome": 175}
UNLISTED = ("id", "split", "differs")  # the CSV has them


@kept(4)
def asked_once(model: "ReAugKDClassifier", text: str, text_pair: str) -> "AskedText":
    """Run the student on a text once, also where both sides, or a slider, ask it again; the last four stay."""
    return asked_text(model, text, text_pair)


@kept(4)
def comparison_of(first: "Side", second: "Side", split: str) -> "Comparison":
    """Compare two sides over a split of their evaluation rows, once; the last four stay."""
    from reaugkd.comparison import compare

    sides = [
        evaluation_set(model, split).answered(model.memory, model.retrieval.overridden(retrieval_weight=weight))
        for model, weight in (first, second)
    ]
    return compare(sides[0], sides[1], first[0].parts.settings.metric)


def explained(side: "Side", text: str, text_pair: str) -> "tuple[Explanation, AskedText]":
    """Let one side answer a text.

    Parameters
    ----------
    side : tuple of ReAugKDClassifier and float or None
        Who answers, and by which λ; None is what was chosen in training.
    text, text_pair : str
        What was typed.

    Returns
    -------
    tuple of Explanation and AskedText
        The answer, and the text with its embedding.
    """
    model, weight = side
    asked = asked_once(model, text, text_pair)
    retrieval = model.retrieval.overridden(retrieval_weight=weight)
    explanation = model.explain_embedding(
        asked.text, asked.embedding, asked.student_probabilities, retrieval, asked.key
    )
    return explanation, asked


def verdict_html(first: str, second: str) -> str:
    """Say whether both give a text the same label."""
    if first == second:
        return f"<p>Both answer <b>{escaped_text(first)}</b>.</p>"
    return f"<p>They differ: the first <b>{escaped_text(first)}</b>, the second <b>{escaped_text(second)}</b>.</p>"


def side_html(place: str, answer: str, name: str, answers_by: str, weight: float) -> str:
    """Say over an answer whose it is: on a phone one stands below the other.

    Parameters
    ----------
    place : str
        First or second.
    answer : str
        As :func:`query_view.answer_html` gives it.
    name : str
        The model's.
    answers_by : str
        One of the ways of answering.
    weight : float
        λ, where it is one of its own.

    Returns
    -------
    str
        HTML.
    """
    way = f"λ = {weight:.2f}" if answers_by == OWN else answers_by
    return f"<h3>{escaped_text(f'{place}: {name}, {way}')}</h3>{answer}"


def listed_in_words(chosen: dict[str, Any]) -> str:
    """Say which rows a filter lists."""
    equal, text = chosen.get("equal", {}), chosen.get("text", "").strip()
    parts = [equal["outcome"]] if "outcome" in equal else []
    parts += ["answered differently"] if "differs" in equal else []
    parts += [f"“{text}” in the text"] if text else []
    return ", ".join(parts) or "all rows"


class CompareView:
    """A page that compares two sides; nothing is computed before it is opened.

    Parameters
    ----------
    menu : ModelMenu
        Gives the models.
    name : Component
        Holds the name of the first side's model.
    maps : MapsPanel
        Shows the selection, in the spaces of the first side's model.
    linked : State
        Holds what the page's link asks for.
    """

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel, linked: gr.State) -> None:
        self.menu, self.name, self.maps, self.linked = menu, name, maps, linked
        self.picked = gr.State(DIFFERING)
        with gr.Row():
            with gr.Column(min_width=320):
                self.first = gr.Textbox(
                    menu.first, label="First: the model chosen above", interactive=False, elem_id="compare-first"
                )
                self.first_by, self.first_weight = self._place_choice("first")
            with gr.Column(min_width=320):
                self.second = gr.Dropdown([menu.first], value=menu.first, label="Second", elem_id="compare-second")
                self.second_by, self.second_weight = self._place_choice("second")
        with gr.Row():
            self.text = gr.Textbox(
                label="Text", placeholder="Type a text: both answer as you type", max_lines=5, elem_id="compare-text"
            )
            self.text_pair = gr.Textbox(label="Second text", max_lines=5, visible=False, elem_id="compare-text-pair")
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
            self._place_rows()
        # Outside of what is shown and hidden again: Gradio would show it with the rest.
        self.file = gr.DownloadButton(visible="hidden", elem_id="compare-file")
        self.code = place_code("compare-code")
        self._wire()

    def _place_choice(self, side: str) -> tuple[gr.Dropdown, gr.Slider]:
        answers_by = gr.Dropdown(
            [AS_CHOSEN, STUDENT, MEMORY, OWN],
            value=AS_CHOSEN,
            label=f"The {side} answers by",
            elem_id=f"compare-{side}-by",
        )
        weight = gr.Slider(
            0,
            1,
            0.5,
            step=0.01,
            label="λ: weight of the memory",
            buttons=[],
            visible=False,
            elem_id=f"compare-{side}-weight",
        )
        return answers_by, weight

    def _place_rows(self) -> None:
        self.outcomes = gr.HTML(elem_id="compare-outcomes", js_on_load=PICK, apply_default_css=False)
        with gr.Row():
            self.chosen = gr.HTML(elem_id="compare-chosen")
            self.holds = gr.Textbox(label="Text holds", max_lines=1, elem_id="compare-holds")
        with gr.Row():
            self.differing = gr.Button(
                "Only where they differ", size="sm", elem_id="compare-differing", scale=0, min_width=190
            )
            self.all = gr.Button("List all rows", size="sm", elem_id="compare-all", scale=0, min_width=140)
            self.on_maps = gr.Button("Select on the maps", size="sm", elem_id="compare-on-maps", scale=0, min_width=160)
            self.save = gr.Button("Save as CSV", size="sm", elem_id="compare-save", scale=0, min_width=140)
        self.rows = gr.Dataframe(interactive=False, wrap=True, max_height=420, elem_id="compare-rows")

    def _wire(self) -> None:
        chosen: list[Any] = [self.first_by, self.first_weight, self.second, self.second_by, self.second_weight]
        sides = [self.name, *chosen]
        texts, over = [self.text, self.text_pair], [*sides, self.split]
        answered = [self.message, self.verdict, self.first_answer, self.second_answer]
        listed = [self.chosen, self.rows]
        compared = [self.summary, self.below, self.outcomes, *listed]
        self.fill_inputs: list[Any] = [*texts, self.linked]
        self.filled = [*chosen, self.first, self.split, self.picked, self.holds, *texts, *answered, *compared]
        for answers_by, weight in ((self.first_by, self.first_weight), (self.second_by, self.second_weight)):
            private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
            answers_by.input(lambda by: gr.Slider(visible=by == OWN), answers_by, weight, **private)
        self.second.focus(lambda: gr.Dropdown(choices=self.menu.names()), None, self.second, **private)
        moved = [part.input for part in chosen]
        gr.on(moved, self._draw, [*over, self.picked, self.holds, *texts], [*answered, *compared], **LATEST)
        self.split.input(self._compare, [*over, self.picked, self.holds], compared, **LATEST)
        on_typing(texts, self._ask, [*sides, *texts], answered)
        self.outcomes.select(self._pick, [*over, self.holds], [self.picked, *listed], **LATEST)
        self.differing.click(self._list_differing, [*over, self.holds], [self.picked, *listed], **LATEST)
        self.all.click(self._list_all, over, [self.picked, self.holds, *listed], **LATEST)
        self.holds.change(self._list, [*over, self.picked, self.holds], listed, **LATEST)
        opened = self.rows.select(self._open, over, texts, **LATEST)
        opened.then(
            None,
            js="() => document.querySelector('#compare-text').scrollIntoView({block: 'nearest'})",
            api_visibility="private",
        )
        self.on_maps.click(
            self._show_on_maps, [*over, self.picked, self.holds], [self.maps.map, *self.maps.listed], **LATEST
        )
        saved = self.save.click(self._saved, [*over, self.picked, self.holds], self.file, **LATEST)
        saved.then(None, js="() => document.querySelector('#compare-file').click()", api_visibility="private")
        seen = [*over, self.picked, self.holds, *texts]
        gr.on([part.change for part in seen], self._coded, seen, self.code, **LATEST)

    def fill(self, name: str, text: str, text_pair: str, linked: PageState) -> dict[Any, Any]:
        """Set a model beside its own student, and answer the text that is there, or else a row on which they differ.

        Where the gate is closed, the model answers as its student does, and the memory alone stands beside it. A link's
        λ is the first side's.

        Parameters
        ----------
        name : str
            The model's.
        text, text_pair : str
            What the boxes hold.
        linked : PageState
            What the page's link asks for.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model = self.menu.get(name)
        is_pair, weight = model.parts.settings.is_pair, model.retrieval.retrieval_weight
        gate = model.retrieval.gate
        other = MEMORY if gate is not None and gate.is_closed else STUDENT  # a closed gate answers as the student does
        by = AS_CHOSEN
        if linked.view == "compare" and linked.model in ("", name) and linked.retrieval_weight is not None:
            weight = linked.retrieval_weight
            by = next((way for way, known in WEIGHTS.items() if known == weight), OWN)
            other = MEMORY if by == STUDENT else STUDENT
        sides = (name, by, weight, name, other, weight)
        if not text or (is_pair and not text_pair):
            text, text_pair = self._example(*sides)
        return {
            self.first: name,
            self.first_by: by,
            self.first_weight: gr.Slider(value=weight, visible=by == OWN),
            self.second: gr.Dropdown(self.menu.names(), value=name),
            self.second_by: other,
            self.second_weight: gr.Slider(value=weight, visible=False),
            self.split: "test",
            self.picked: DIFFERING,
            self.holds: "",
            self.text: gr.Textbox(text, label="First text" if is_pair else "Text"),
            self.text_pair: gr.Textbox(text_pair, visible=is_pair),
            **self._draw(*sides, "test", DIFFERING, "", text, text_pair),
        }

    def weight_of(self, answers_by: str, weight: float) -> float | None:
        """Return the λ of a way of answering; None is what was chosen in training."""
        return WEIGHTS.get(answers_by, weight)

    def _example(self, *sides: Any) -> tuple[str, str]:
        """Return the first text on which both differ, or any where there is none."""
        try:
            table = comparison_of(*self._sides(*sides), "test").table
        except ReAugKDError:
            text, pair = (*example_texts(self.menu.get(sides[0]))[0], "")[:2]
            return text, pair
        return _texts(table.iloc[int(table["differs"].argmax())])

    def _sides(
        self, name: str, first_by: str, first_weight: float, second: str, second_by: str, second_weight: float
    ) -> "Sides":
        """Return both sides, checked; a model that cannot be loaded is told as one that cannot be compared."""
        from reaugkd.comparison import check_comparable

        try:
            models = [self.menu.get(name), self.menu.get(second)]
        except gr.Error as error:
            raise ReAugKDError(error.message) from error
        check_comparable(*models)
        return (models[0], WEIGHTS.get(first_by, first_weight)), (models[1], WEIGHTS.get(second_by, second_weight))

    def _draw(self, *inputs: Any) -> dict[Any, Any]:
        """Return all that both sides say: of the text, and over the rows."""
        sides, over, texts = inputs[:6], inputs[:9], inputs[9:]
        return self._ask(*sides, *texts) | self._compare(*over)

    def _ask(self, *sides_and_texts: Any) -> dict[Any, Any]:
        """Let both sides answer the text; a sentence in the place of answers that would be of nothing."""
        try:
            sides = self._sides(*sides_and_texts[:6])
        except ReAugKDError as error:
            blank = {self.verdict: "", self.first_answer: "", self.second_answer: ""}
            return {self.message: gr.HTML(sentence_html(error), visible=True)} | blank
        try:
            answers = [explained(side, *sides_and_texts[6:]) for side in sides]
        except ReAugKDError as error:
            return {self.message: gr.HTML(sentence_html(error), visible=True)}
        first, second = (answer_html(explanation, asked.teacher_probabilities) for explanation, asked in answers)
        return {
            self.message: gr.HTML("", visible=False),
            self.verdict: verdict_html(*(explanation.label for explanation, _ in answers)),
            self.first_answer: side_html("First", first, *sides_and_texts[:3]),
            self.second_answer: side_html("Second", second, *sides_and_texts[3:6]),
        }

    def _compare(self, *over_and_filters: Any) -> dict[Any, Any]:
        """Compare both sides over all rows; a sentence where there are none, or they are not the same."""
        from reaugkd.comparison import comparison_in_words

        hidden = {self.below: gr.Column(visible=False)}
        try:
            sides = self._sides(*over_and_filters[:6])
        except ReAugKDError:  # the place of the answers says it
            return {self.summary: '<p class="empty">There is nothing to compare.</p>'} | hidden
        try:
            comparison = comparison_of(*sides, over_and_filters[6])
        except ReAugKDError as error:
            return {self.summary: sentence_html(error)} | hidden
        metric = sides[0][0].parts.settings.metric
        said = "".join(f"<p>{escaped_text(sentence)}</p>" for sentence in comparison_in_words(comparison, metric))
        return {
            self.summary: said,
            self.below: gr.Column(visible=True),
            self.outcomes: outcome_table(comparison),
            **self._listed(comparison, *over_and_filters[7:]),
        }

    def _comparison(self, *over: Any) -> "Comparison":
        """Return the comparison behind what is shown."""
        try:
            return comparison_of(*self._sides(*over[:6]), over[6])
        except ReAugKDError as error:
            raise gr.Error(str(error)) from error

    def _filtered(self, comparison: "Comparison", picked: dict[str, Any], holds: str) -> pd.DataFrame:
        from reaugkd.error_analysis import RowFilter

        return RowFilter(**picked, text=holds).of(comparison.table)

    def _listed(self, comparison: "Comparison", picked: dict[str, Any], holds: str) -> dict[Any, Any]:
        rows = self._filtered(comparison, picked, holds)
        shown = rows.head(MAX_ROWS).reset_index(names="row").round(2)
        shown = shown.drop(columns=[name for name in UNLISTED if name in shown.columns])
        return {
            self.chosen: listed_html(listed_in_words({**picked, "text": holds}), len(rows), len(shown)),
            self.rows: gr.Dataframe(
                shown, visible=len(shown) > 0, column_widths=[WIDTHS.get(name, 110) for name in shown.columns]
            ),
        }

    def _list(self, *over_and_filters: Any) -> dict[Any, Any]:
        return self._listed(self._comparison(*over_and_filters[:7]), *over_and_filters[7:])

    def _pick(self, event: gr.EventData, *over_and_holds: Any) -> dict[Any, Any]:
        picked = json.loads(event.pick)
        return {self.picked: picked} | self._list(*over_and_holds[:7], picked, over_and_holds[7])

    def _list_differing(self, *over_and_holds: Any) -> dict[Any, Any]:
        return {self.picked: DIFFERING} | self._list(*over_and_holds[:7], DIFFERING, over_and_holds[7])

    def _list_all(self, *over: Any) -> dict[Any, Any]:
        return {self.picked: {}, self.holds: ""} | self._list(*over, {}, "")

    def _open(self, event: gr.SelectData, *over: Any) -> dict[Any, Any]:
        """Put a row's text into the boxes, whose change is then answered by both sides."""
        text, text_pair = _texts(self._comparison(*over).table.iloc[int(event.row_value[0])])
        return {self.text: text, self.text_pair: text_pair}

    def _show_on_maps(self, name: str, *over_and_filters: Any) -> dict[Any, Any]:
        """Select the listed rows on the maps, which show the test rows of the first side's model."""
        if over_and_filters[5] != "test":
            raise gr.Error("The maps show the test rows; choose test above.")
        rows = self._filtered(self._comparison(name, *over_and_filters[:6]), *over_and_filters[6:])
        return self.maps.show_points(name, self.maps.points_of_test_rows(name, rows.index.tolist()))

    def _coded(self, *inputs: Any) -> str:
        """Write the code of what is seen; no side answers anew."""
        name, first_by, first_weight, second, second_by, second_weight, split, picked, holds, text, pair = inputs
        sides = [
            (self.menu.shown_folder(model), WEIGHTS.get(by, weight))
            for model, by, weight in ((name, first_by, first_weight), (second, second_by, second_weight))
        ]
        asked = (text or "", pair or "") if self.menu.get(name).parts.settings.is_pair else text or ""
        return compare_code(sides[0], sides[1], split, {**picked, "text": holds}, asked)

    def _saved(self, *over_and_filters: Any) -> str:
        """Write the listed rows to a file, which the page then downloads."""
        path = Path(tempfile.mkdtemp(prefix="reaugkd-")) / "comparison.csv"
        rows = self._filtered(self._comparison(*over_and_filters[:7]), *over_and_filters[7:])
        rows.to_csv(path, index=False)
        return str(path)


def _texts(row: "pd.Series[Any]") -> tuple[str, str]:
    pair = row.get("text_pair", "")
    return row["text"], "" if pd.isna(pair) else pair
