"""The page that compares: two models, or two ways of answering of one, on the same text and over the same rows."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from answer import answer_html, asked_text, example_texts, teacher_of
from code_box import place_code
from gradio.events import Dependency
from maps_panel import MapsPanel
from models import AT_ONCE, LATEST, SPLITS, ModelMenu, encoded_rows, kept
from picked import MapsPick, picked_in_link, rows_in_words, selected_rows, within_selection
from row_table import ALL_ROWS, PICK, listed_html, numbered, row_table
from save_button import SaveButton
from sentence import sentence_html
from settled import when_settled
from typed_text import filled_boxes, on_typing, place_boxes

from reaugkd.error_tables import outcome_table
from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState, short
from reaugkd.neighbour_table import escaped_text
from reaugkd.snippets import compare_code
from reaugkd.texts import text_of_row, two_parts

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import Explanation, ReAugKDClassifier
    from reaugkd.answers import Answers, EncodedTexts
    from reaugkd.comparison import Comparison

    Side = tuple[ReAugKDClassifier, float | None]  # who answers, and by which λ in the place of the fitted one
    Sides = tuple[Side, Side]

AS_FITTED, STUDENT, MEMORY = "λ as fitted", "the student alone (λ = 0)", "the memory alone (λ = 1)"
OWN = "a λ of its own"
WEIGHTS: dict[str, float | None] = {AS_FITTED: None, STUDENT: 0.0, MEMORY: 1.0}
DIFFERING: dict[str, Any] = {"equal": {"differs": "True"}}
WIDTHS = {"text": 300, "first_probability": 170, "second_probability": 180, "outcome": 175}
UNLISTED = ["id", "split", "differs"]  # the CSV has them


@dataclass(frozen=True)
class Seen:
    """What the page is set to, in the order of its inputs.

    Parameters
    ----------
    name, first_by, first_weight : str, str and float
        The first side: its model, how it answers, and λ where that is one of its own.
    second, second_by, second_weight : str, str and float
        The second side.
    split : str
        Whose rows.
    picked : dict
        The arguments of a row filter that a cell or a button gave.
    holds : str
        What a listed text holds.
    text, text_pair : str
        What both answer.
    """

    name: str
    first_by: str
    first_weight: float
    second: str
    second_by: str
    second_weight: float
    split: str = "test"
    picked: dict[str, Any] = field(default_factory=lambda: DIFFERING)
    holds: str = ""
    text: str = ""
    text_pair: str = ""

    @property
    def rows(self) -> list[int] | None:
        """The rows that are selected on the maps; None where nothing is selected."""
        return selected_rows(self.picked, self.split)

    @property
    def chosen(self) -> dict[str, Any]:
        """What was picked and what the box says as the arguments of a row filter."""
        return {**self.picked, "text": self.holds, "rows": self.rows}

    def picking(self, picked: dict[str, Any]) -> "Seen":
        """Return this with another pick; where rows are selected, it is one of these."""
        return replace(self, picked=within_selection(picked, self.picked))

    @property
    def weights(self) -> tuple[float | None, float | None]:
        """λ of either side; None is the fitted one."""
        return WEIGHTS.get(self.first_by, self.first_weight), WEIGHTS.get(self.second_by, self.second_weight)


@kept(4)
def asked_once(model: "ReAugKDClassifier", text: str, text_pair: str) -> "EncodedTexts":
    """Run the student on a text once, also where both sides, or a slider, ask it again; the last four stay."""
    return asked_text(model, text, text_pair)


@kept(4)
def comparison_of(first: "Side", second: "Side", split: str, rows: tuple[int, ...] = ()) -> "Comparison":
    """Compare two sides over a split of their evaluation rows, or some rows of it, once; the last four stay."""
    from reaugkd.comparison import compare

    def answers(side: "Side") -> "Answers":
        encoded = encoded_rows(side[0], split)
        return _answered(side, encoded.part(rows) if rows else encoded)

    return compare(answers(first), answers(second), first[0].parts.settings.metric)


def _answered(side: "Side", encoded: "EncodedTexts") -> "Answers":
    model, weight = side
    return model.answer(encoded, model.pool.overridden(retrieval_weight=weight))


def explained(side: "Side", text: str, text_pair: str) -> "tuple[Explanation, EncodedTexts]":
    """Let one side answer a text.

    Parameters
    ----------
    side : tuple of ReAugKDClassifier and float or None
        Who answers, and by which λ; None is the fitted one.
    text, text_pair : str
        What was typed.

    Returns
    -------
    tuple of Explanation and EncodedTexts
        The answer, and the text.
    """
    from reaugkd.explanation import explain

    asked = asked_once(side[0], text, text_pair)
    return explain(_answered(side, asked)), asked


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
        As :func:`answer.answer_html` gives it.
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
    parts += ["selected on the maps"] if chosen.get("rows") is not None else []
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
        self.picked, self.pick = gr.State(DIFFERING), MapsPick(maps, "compare", DIFFERING)
        self.drawn_for = gr.State(None)  # the name of the model that is the first side; None before that
        self.shown = gr.State(None)  # what is answered and listed, as Seen; None before that
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
            self.text, self.text_pair = place_boxes("Type a text: both answer as you type", "compare-text")
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
        self.code = place_code("compare-code")
        self._wire()

    def _place_choice(self, side: str) -> tuple[gr.Dropdown, gr.Slider]:
        answers_by = gr.Dropdown(
            [AS_FITTED, STUDENT, MEMORY, OWN],
            value=AS_FITTED,
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
            self.holds = gr.Textbox("", label="Text holds", max_lines=1, elem_id="compare-holds")
        with gr.Row():
            self.differing = gr.Button(
                "Only where they differ", size="sm", elem_id="compare-differing", scale=0, min_width=190
            )
            self.all = gr.Button("List all rows", size="sm", elem_id="compare-all", scale=0, min_width=140)
            self.on_maps = gr.Button("Select on the maps", size="sm", elem_id="compare-on-maps", scale=0, min_width=160)
            self.save = SaveButton("Save as CSV", "comparison.csv", "compare-save", size="sm", scale=0, min_width=140)
        self.rows = gr.Dataframe(interactive=False, wrap=True, max_height=420, elem_id="compare-rows")

    def _wire(self) -> None:
        chosen: list[Any] = [self.first_by, self.first_weight, self.second, self.second_by, self.second_weight]
        texts, filters = [self.text, self.text_pair], [self.picked, self.holds]
        self.seen = seen = [self.name, *chosen, self.split, *filters, *texts]
        answered = [self.message, self.verdict, self.first_answer, self.second_answer]
        listed = [self.chosen, self.rows, self.shown]
        compared = [self.summary, self.below, self.outcomes, *listed]
        self.fill_inputs: list[Any] = [*texts, self.linked, self.maps.selected]
        self.filled = [self.drawn_for, *chosen, self.first, self.split, *filters, *texts, *answered, *compared]
        private = AT_ONCE | {"queue": False}
        for answers_by, weight in ((self.first_by, self.first_weight), (self.second_by, self.second_weight)):
            answers_by.input(lambda by: gr.Slider(visible=by == OWN), answers_by, weight, **private)
        self.second.focus(lambda: gr.Dropdown(choices=self.menu.names()), None, self.second, **private)
        # All in the queue of the filling: what a model says that comes late would stand over what was asked meanwhile.
        gr.on([part.input for part in chosen], self._draw, [self.shown, *chosen], [*answered, *compared], **ALL_ROWS)
        self.split.input(self._compare, seen, compared, **ALL_ROWS)
        on_typing(texts, self._ask, [self.shown, *texts], [*answered, self.shown], **ALL_ROWS)
        self.outcomes.select(self._pick, seen, [self.picked, *listed], **ALL_ROWS)
        self.differing.click(self._list_differing, seen, [self.picked, *listed], **ALL_ROWS)
        self.all.click(self._list_all, seen, [*filters, *compared], **ALL_ROWS)
        on_typing([self.holds], self._list, [self.shown, self.holds], listed, **ALL_ROWS)
        self.selected_compared = [self.picked, *compared]
        for selected in self.maps.chosen:
            self.follow(selected)
        opened = self.rows.select(self._open, seen, texts, **LATEST)
        opened.then(
            None,
            js="() => document.querySelector('#compare-text').scrollIntoView({block: 'nearest'})",
            api_visibility="private",
        )
        self.on_maps.click(self._show_on_maps, seen, [self.maps.map, *self.maps.listed], **LATEST)
        self.save.on_click(self._save, seen)
        when_settled(seen, self._coded, seen, self.code, "compare-coded", **LATEST)

    def follow(self, selected: Dependency) -> None:
        """Compare over the selected test rows after an event that selects points on the maps."""
        inputs = [self.drawn_for, self.maps.selected, *self.seen]
        selected.then(self._compare_selected, inputs, self.selected_compared, **ALL_ROWS)

    def follow_link(self, selected: Dependency) -> None:
        """Do so after the event that selects what a link names, which may come later than the page."""
        inputs = [self.drawn_for, self.linked, self.maps.selected, *self.seen]
        selected.then(self._compare_linked, inputs, self.selected_compared, **ALL_ROWS)

    def fill(self, name: str, text: str, text_pair: str, linked: PageState, selected: list[int]) -> dict[Any, Any]:
        """Set a model beside its own student, and answer the text that is there, or else a row on which they differ.

        Where no key has a weight, the model answers as its student does, and the memory alone stands beside it. A
        link's λ is the first side's.

        Parameters
        ----------
        name : str
            The model's.
        text, text_pair : str
            What the boxes hold.
        linked : PageState
            What the page's link asks for.
        selected : list of int
            The points that are selected on the maps; of test rows among them, the page lists no others.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model, held = self.menu.get(name), (text, text_pair)
        is_pair, (_, weights) = model.parts.settings.is_pair, model.pool.weights
        other = STUDENT if any(weights.values()) else MEMORY
        weight = round(model.pool.fitted_weight, 2)
        seen = Seen(name, AS_FITTED, weight, name, other, weight, picked=self.pick.of(name, linked, selected))
        if linked.asked_of("compare", name) is linked:
            seen, text, text_pair = self._linked(seen, linked), linked.text, linked.text_pair
        if not text.strip() or (is_pair and not text_pair.strip()):
            text, text_pair = self._example(seen)
        seen = replace(seen, text=text, text_pair=text_pair)
        try:
            drawn = self._drawn(seen)
        except gr.Error:  # the link picked by a column that these rows do not have
            seen = replace(seen, picked=self.pick.of(name, PageState(), selected))
            drawn = self._drawn(seen)
        return {
            self.drawn_for: name,
            self.first: name,
            self.first_by: seen.first_by,
            self.first_weight: gr.Slider(value=seen.first_weight, visible=seen.first_by == OWN),
            self.second: gr.Dropdown(self.menu.names(), value=seen.second),
            self.second_by: seen.second_by,
            self.second_weight: gr.Slider(value=seen.second_weight, visible=seen.second_by == OWN),
            self.split: seen.split,
            self.picked: seen.picked,
            self.holds: seen.holds,
            **filled_boxes((self.text, self.text_pair), held, (text, text_pair), is_pair),
            **drawn,
        }

    def _linked(self, seen: Seen, linked: PageState) -> Seen:
        """Return what a link asks for in the place of what the page begins with."""
        weight, asked = linked.retrieval_weight, linked.of_view
        if weight is not None:
            by = next((way for way, known in WEIGHTS.items() if known == weight), OWN)
            seen = replace(seen, first_by=by, first_weight=weight, second_by=MEMORY if by == STUDENT else STUDENT)
        second, by = asked.get("second", seen.second), asked.get("second_by", seen.second_by)
        return replace(
            seen,
            second=second if second in self.menu.names() else seen.second,
            second_by=by if by in (*WEIGHTS, OWN) else seen.second_by,
            second_weight=float(asked.get("second_weight", seen.second_weight)),
            split=asked["split"] if asked.get("split") in SPLITS else seen.split,
            holds=asked.get("holds", ""),
        )

    def linked_state(self, state: PageState, *inputs: Any) -> PageState:
        """Return the state that a link to the page opens, from that of the page Query and the values of ``seen``."""
        seen = Seen(*inputs)
        if not seen.text:  # not filled yet
            return replace(state, view="compare", retrieval_weight=None, temperature=None, k=None)
        of_view = {"second": "" if seen.second == seen.name else seen.second, "second_by": seen.second_by}
        of_view |= {"second_weight": str(seen.second_weight) if seen.second_by == OWN else "", "holds": seen.holds}
        of_view |= {"split": "" if seen.split == SPLITS[0] else seen.split}
        of_view["picked"] = picked_in_link(seen.picked, DIFFERING, bool(state.selected))
        return replace(
            state,
            view="compare",
            text=seen.text,
            text_pair=seen.text_pair,
            k=None,
            temperature=None,
            retrieval_weight=seen.weights[0],
            of_view=short(of_view),
        )

    def _example(self, seen: Seen) -> tuple[str, str]:
        """Return the first text on which both differ, or any where there is none."""
        try:
            table = self._comparison(self._sides(seen), seen).table
        except ReAugKDError:
            text, pair = (*example_texts(self.menu.get(seen.name))[0], "")[:2]
            return text, pair
        return two_parts(text_of_row(table.iloc[int(table["differs"].argmax())]))

    def _sides(self, seen: Seen) -> "Sides":
        """Return both sides, checked; a model that cannot be loaded is told as one that cannot be compared."""
        from reaugkd.comparison import check_comparable

        try:
            models = [self.menu.get(seen.name), self.menu.get(seen.second)]
        except gr.Error as error:
            raise ReAugKDError(error.message) from error
        check_comparable(*models)
        return (models[0], seen.weights[0]), (models[1], seen.weights[1])

    def _draw(
        self,
        shown: Seen | None,
        first_by: str,
        first_weight: float,
        second: str,
        second_by: str,
        second_weight: float,
    ) -> dict[Any, Any]:
        """Let the sides that were chosen answer what is shown: what is typed meanwhile stays."""
        if shown is None:
            return gr.skip()
        seen = replace(
            shown,
            first_by=first_by,
            first_weight=first_weight,
            second=second,
            second_by=second_by,
            second_weight=second_weight,
        )
        return gr.skip() if seen == shown else self._drawn(seen)  # the menus also tell of being left

    def _drawn(self, seen: Seen) -> dict[Any, Any]:
        """Return all that both sides say: of the text, and over the rows."""
        return self._answers(seen) | self._compared(seen)

    def _ask(self, shown: Seen | None, text: str, text_pair: str) -> dict[Any, Any]:
        """Answer what was typed by the sides that are shown; the page answered what it put there itself."""
        if shown is None or (shown.text, shown.text_pair) == (text, text_pair):
            return gr.skip()
        seen = replace(shown, text=text, text_pair=text_pair)
        return {self.shown: seen, **self._answers(seen)}

    def _answers(self, seen: Seen) -> dict[Any, Any]:
        """Let both sides answer the text; a sentence in the place of answers that would be of nothing."""
        try:
            sides = self._sides(seen)
        except ReAugKDError as error:
            blank = {self.verdict: "", self.first_answer: "", self.second_answer: ""}
            return {self.message: gr.HTML(sentence_html(error), visible=True)} | blank
        try:
            answers = [explained(side, seen.text, seen.text_pair) for side in sides]
        except ReAugKDError as error:
            return {self.message: gr.HTML(sentence_html(error), visible=True)}
        first, second = (answer_html(explanation, teacher_of(asked)) for explanation, asked in answers)
        return {
            self.message: gr.HTML("", visible=False),
            self.verdict: verdict_html(*(explanation.label for explanation, _ in answers)),
            self.first_answer: side_html("First", first, seen.name, seen.first_by, seen.first_weight),
            self.second_answer: side_html("Second", second, seen.second, seen.second_by, seen.second_weight),
        }

    def _compare(self, *inputs: Any) -> dict[Any, Any]:
        return self._compared(Seen(*inputs))

    def _compared(self, seen: Seen) -> dict[Any, Any]:
        """Compare both sides over all rows or those selected; a sentence where there are none, or not the same."""
        from reaugkd.comparison import comparison_in_words

        hidden = {self.below: gr.Column(visible=False)}
        try:
            sides = self._sides(seen)
        except ReAugKDError:  # the place of the answers says it
            return {self.summary: '<p class="empty">There is nothing to compare.</p>', self.shown: seen} | hidden
        try:
            comparison = self._comparison(sides, seen)
        except ReAugKDError as error:
            return {self.summary: sentence_html(error), self.shown: seen} | hidden
        metric = sides[0][0].parts.settings.metric
        sentences = comparison_in_words(comparison, metric, rows_in_words(seen.rows))
        return {
            self.summary: "".join(f"<p>{escaped_text(sentence)}</p>" for sentence in sentences),
            self.below: gr.Column(visible=True),
            self.outcomes: outcome_table(comparison),
            **self._listed(seen),
        }

    def _comparison(self, sides: "Sides", seen: Seen) -> "Comparison":
        return comparison_of(*sides, seen.split, tuple(seen.rows or ()))

    def _table(self, seen: Seen) -> pd.DataFrame:
        """Return the rows behind what is shown."""
        try:
            return self._comparison(self._sides(seen), seen).table
        except ReAugKDError as error:
            raise gr.Error(str(error)) from error

    def _filtered(self, seen: Seen) -> pd.DataFrame:
        from reaugkd.error_analysis import RowFilter

        try:
            return RowFilter(**seen.chosen).of(self._table(seen))
        except ReAugKDError as error:
            raise gr.Error(str(error)) from error

    def _listed(self, seen: Seen) -> dict[Any, Any]:
        rows = self._filtered(seen)
        shown = numbered(rows.drop(columns=UNLISTED, errors="ignore"), "row")
        return {
            self.chosen: listed_html(listed_in_words(seen.chosen), len(rows)),
            self.rows: row_table(shown, WIDTHS, visible=len(shown) > 0),
            self.shown: seen,
        }

    def _list(self, shown: Seen | None, holds: str) -> dict[Any, Any]:
        """List what was typed, of the rows that are compared; the page listed what it put there itself."""
        if shown is None or shown.holds == holds:
            return gr.skip()
        return self._listed(replace(shown, holds=holds))

    def _list_picked(self, seen: Seen) -> dict[Any, Any]:
        return {self.picked: seen.picked, **self._listed(seen)}

    def _pick(self, event: gr.EventData, *inputs: Any) -> dict[Any, Any]:
        return self._list_picked(Seen(*inputs).picking(json.loads(event.pick)))

    def _list_differing(self, *inputs: Any) -> dict[Any, Any]:
        return self._list_picked(Seen(*inputs).picking(DIFFERING))

    def _list_all(self, *inputs: Any) -> dict[Any, Any]:
        return {self.holds: "", self.picked: {}, **self._compared(replace(Seen(*inputs), picked={}, holds=""))}

    def _compare_selected(self, drawn_for: str | None, selected: list[int], *inputs: Any) -> dict[Any, Any]:
        """Compare over the test rows among the points that are selected on the maps; without any, over all."""
        seen = Seen(*inputs)
        return self._compared_again(seen, self.pick.by_hand(drawn_for, seen.name, seen.picked, selected))

    def _compare_linked(
        self, drawn_for: str | None, linked: PageState, selected: list[int], *inputs: Any
    ) -> dict[Any, Any]:
        """Compare over the rows that a link selects."""
        seen = Seen(*inputs)
        return self._compared_again(seen, self.pick.by_link(drawn_for, seen.name, seen.picked, linked, selected))

    def _compared_again(self, seen: Seen, picked: dict[str, Any] | None) -> dict[Any, Any]:
        if picked is None:
            return gr.skip()
        return {self.picked: picked, **self._compared(replace(seen, picked=picked))}

    def _open(self, event: gr.SelectData, *inputs: Any) -> dict[Any, Any]:
        """Put a row's text into the boxes, whose change is then answered by both sides."""
        row = self._table(replace(Seen(*inputs), picked={})).iloc[int(event.row_value[0])]
        return dict(zip((self.text, self.text_pair), two_parts(text_of_row(row)), strict=True))

    def _show_on_maps(self, *inputs: Any) -> dict[Any, Any]:
        """Select the listed rows on the maps, which show the spaces of the first side's model."""
        seen = Seen(*inputs)
        return self.maps.show_rows(seen.name, seen.split, self._filtered(seen))

    def _coded(self, *inputs: Any) -> str:
        """Write the code of what is seen; no side answers anew."""
        seen = Seen(*inputs)
        first, second = (self.menu.shown_folder(model) for model in (seen.name, seen.second))
        is_pair = self.menu.get(seen.name).parts.settings.is_pair
        asked = (seen.text, seen.text_pair) if is_pair else seen.text
        sides = ((first, seen.weights[0]), (second, seen.weights[1]))
        return compare_code(*sides, seen.split, seen.chosen, asked)

    def _save(self, path: Path, *inputs: Any) -> None:
        self._filtered(Seen(*inputs)).to_csv(path, index=False)
