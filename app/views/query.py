"""The page that answers: a text, what the student retrieved for it, and how that changed the answer."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from reaugkd.errors import ReAugKDError
from reaugkd.model.card import memory_in_words
from reaugkd.plots.links import PageState, struck_in_link, struck_of
from reaugkd.texts import in_one_line, row_in_one_line, two_parts

from ..models import EACH, LATEST, ModelMenu
from ..parts.answer import answer_html, asked_text, example_texts, teacher_of
from ..parts.code_box import place_code
from ..parts.maps_panel import MapsPanel, query_said
from ..parts.neighbour_table import escaped_text, neighbour_table
from ..parts.retrieval_sliders import RetrievalSliders, moves, moves_of_link, values_for
from ..parts.sentence import READ_ALOUD, sentence_html
from ..parts.typed_text import filled_boxes, on_typing, place_boxes
from ..snippets import query_code

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
    from reaugkd.analysis.what_if import WhatIf
    from reaugkd.method.answers import EncodedTexts

# A row's button and menu carry the memory's number; one listener serves all tables that come later.
STRIKE = """element.addEventListener('click', event => {
  const button = event.target.closest('[data-strike]');
  if (button) trigger('strike', {number: Number(button.dataset.strike)});
});
element.addEventListener('change', event => {
  const menu = event.target.closest('[data-relabel]');
  if (menu) trigger('relabel', {number: Number(menu.dataset.relabel), label: menu.value});
});"""


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of a model.

    Parameters
    ----------
    query : EncodedTexts
        The text.
    edited : EncodedTexts or None
        An edit of it that is answered beside it.
    struck : tuple of int
        Row numbers of memories that are passed over.
    relabelled : mapping of int to str
        Row numbers of memories, and the class for which each votes.
    """

    query: "EncodedTexts"
    edited: "EncodedTexts | None" = None
    struck: tuple[int, ...] = ()
    relabelled: Mapping[int, str] = field(default_factory=dict)

    @property
    def strikes(self) -> "WhatIf":
        """The changes of the memory, as the library takes them."""
        from reaugkd.analysis.what_if import WhatIf

        return WhatIf(self.struck, self.relabelled)


def about_html(model: "ReAugKDClassifier") -> str:
    """Say what answers here, and whether its memory pays; names in it are escaped."""
    settings, memory = model.parts.settings, model.parts.metrics.get("memory")
    counts = f" {escaped_text(memory_in_words(memory))}" if memory else ""
    depth = "1 layer" if settings.student_layers == 1 else f"{settings.student_layers} layers"
    return (
        f"<p>Task <b>{escaped_text(settings.task)}</b>: {len(settings.label_names)} classes. A student of {depth} "
        f"answers with the memory of its teacher, {escaped_text(settings.teacher)}: "
        f"{len(model.memory):,} texts with what the teacher thought of each.{counts}</p>"
    )


def flipped_html(model: "ReAugKDClassifier", flipped: tuple[list[int], str] | None) -> str:
    """Name the memories without which the answer would be another, as ``flipping_set`` does."""
    if flipped is None:
        return "<p>The answer stays what it is, whichever of the nearest memories are struck out.</p>"
    numbers, label = flipped
    texts = [row_in_one_line(model.memory.rows.iloc[number]) for number in numbers]
    which = "this memory" if len(numbers) == 1 else f"these {len(numbers)} memories"
    items = "".join(f"<li>{escaped_text(text)}</li>" for text in texts)
    return f"<p>Without {which} the answer would be <b>{escaped_text(label)}</b>:</p><ul>{items}</ul>"


def changes_html(model: "ReAugKDClassifier", question: Question) -> str:
    """List what is struck out and relabelled, empty if nothing is."""
    rows = model.memory.rows
    lines = [f"without “{row_in_one_line(rows.iloc[number])}”" for number in question.struck]
    lines += [f"“{row_in_one_line(rows.iloc[number])}” as {label}" for number, label in question.relabelled.items()]
    items = "".join(f"<li>{escaped_text(line)}</li>" for line in lines)
    return f"<p>The answer above is as if the memory were:</p><ul>{items}</ul>" if lines else ""


class QueryView:
    """The view that answers.

    Parameters
    ----------
    menu : ModelMenu
        Gives the model.
    name : Component
        Holds the name of the model that is asked.
    maps : MapsPanel
        Shows where the query lies.
    """

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel) -> None:
        self.menu, self.name, self.maps = menu, name, maps
        self.question = gr.State(None)  # a Question, once one is asked
        self.about = gr.HTML(elem_id="about")
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                self._place_inputs()
            with gr.Column(scale=6, min_width=320):
                self.message = gr.HTML(visible=False, elem_id="message")
                self.answer = gr.HTML(elem_id="answer", js_on_load=READ_ALOUD, apply_default_css=False)
                with gr.Accordion("Beside it: the same text, edited", open=False, elem_id="beside-it") as self.edits:
                    self.edited = gr.Textbox("", label="An edit of the text", max_lines=5, elem_id="edited")
                    self.edited_pair = gr.Textbox(
                        "", label="An edit of the second text", max_lines=5, visible=False, elem_id="edited-pair"
                    )
                    self.beside = gr.HTML(elem_id="beside", apply_default_css=False)
        gr.Markdown("## What it retrieved: the nearest texts of the teacher's memory")
        self.table = gr.HTML(elem_id="neighbours", js_on_load=STRIKE, apply_default_css=False)
        with gr.Row():
            self.changes = gr.HTML(elem_id="memory-changes", apply_default_css=False)
            self.back = gr.Button("Put all back", size="sm", elem_id="put-back", visible=False, scale=0, min_width=140)
        with gr.Row():
            self.flip = gr.Button("Which memories decide it?", size="sm", elem_id="flip", scale=0, min_width=220)
            self.flipped = gr.HTML(elem_id="flipped", apply_default_css=False)
        self.code = place_code("query-code")
        self._wire()

    def _place_inputs(self) -> None:
        self.text, self.text_pair = place_boxes("Type a text: it is answered as you type", "text")
        self.examples = gr.Dataset(
            label="Examples the student has not seen",
            components=["textbox"],
            samples=[],
            type="index",
            elem_id="examples",
        )
        with gr.Group():
            self.sliders = RetrievalSliders(self.menu, self.name)

    def _wire(self) -> None:
        settings = self.sliders.values
        texts, self.edit_boxes = [self.text, self.text_pair], [self.edited, self.edited_pair]
        asked = [self.name, self.question, *settings]
        shown: list[Any] = [self.question, self.message, self.flipped, self.answer, self.beside, self.table]
        shown += [self.changes, self.back, self.code, self.maps.map, *self.edit_boxes]
        on_typing(texts, self._ask, [self.name, self.question, *texts, *settings], shown)
        self.examples.click(self._pick, [self.name, self.examples, *settings], [*texts, *shown], **LATEST)
        self.maps.ask.click(self._ask_point, [self.name, self.maps.opened, *settings], [*texts, *shown], **LATEST)
        on_typing(self.edit_boxes, self._edit, [self.name, self.question, *self.edit_boxes, *settings], shown)
        self.sliders.on_move(self._drawn, asked, shown)
        self.table.strike(self._strike, asked, shown, **EACH)
        self.table.relabel(self._relabel, asked, shown, **EACH)
        self.back.click(self._put_back, asked, shown, **LATEST)
        self.flip.click(self._flip, asked, self.flipped, **LATEST)
        self.fill_inputs, self.seen = texts, [*texts, *settings, self.question]
        self.filled = [self.about, *texts, self.examples, *settings, *shown, self.edits]

    def fill(self, name: str, text: str, text_pair: str, linked: PageState) -> dict[Any, Any]:
        """Set the view up for a model and answer the text that is there, or else a link's, or else an example.

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
        is_pair, samples = model.parts.settings.is_pair, example_texts(model)
        if linked.model not in ("", name):
            linked = PageState(text=linked.text, text_pair=linked.text_pair)
        for texts in ((text, text_pair), (linked.text, linked.text_pair), two_parts(samples[0])):
            with suppress(ReAugKDError):  # it cannot be asked of this model, and no other model's answer may stay
                question = _linked(model, asked_text(model, *texts), linked.of_view)
                break
        values = values_for(model, **moves_of_link(linked))
        first, second = two_parts((question.edited or question.query).texts[0])
        return {
            self.about: about_html(model),
            **filled_boxes((self.text, self.text_pair), (text, text_pair), texts, is_pair),
            self.examples: gr.Dataset(samples=[[in_one_line(sample)] for sample in samples]),
            **self.sliders.set_to(*values),
            self.message: gr.HTML("", visible=False),
            **self._drawn(name, question, *values),
            self.edited: first,
            self.edited_pair: gr.Textbox(second, visible=is_pair),
            self.edits: gr.Accordion() if question.edited is None else gr.Accordion(open=True),
        }

    def linked_state(self, text: str, text_pair: str, *seen: Any) -> PageState:
        """Return the state that a link to the page opens, from the values of ``seen``."""
        *settings, question = seen
        of_view = {}
        if question is not None:
            edit = ("", "") if question.edited is None else two_parts(question.edited.texts[0])
            of_view = dict(zip(("edited", "edited_pair"), edit, strict=True))
            of_view |= struck_in_link(question.struck, question.relabelled)
        return PageState(text=text, text_pair=text_pair, **moves(*settings), of_view=of_view)

    def _asked(self, name: str, texts: tuple[str, str], *settings: Any) -> dict[Any, Any]:
        """Answer another text: what was struck out, and the edit beside it, go."""
        try:
            query = asked_text(self.menu.get(name), *texts)
        except ReAugKDError as error:
            return {self.message: gr.HTML(sentence_html(error), visible=True)}
        edit = dict(zip(self.edit_boxes, two_parts(query.texts[0]), strict=True))
        return {self.message: gr.HTML("", visible=False), **edit, **self._drawn(name, Question(query), *settings)}

    def _ask(self, name: str, question: Question | None, text: str, pair: str, *settings: Any) -> dict[Any, Any]:
        if question is not None and question.query.texts[0] in (text, (text, pair)):
            return {self.message: gr.HTML("", visible=False)}  # the page put it there itself, with its answer
        return self._asked(name, (text, pair), *settings)

    def _pick(self, name: str, example: int, *settings: Any) -> dict[Any, Any]:
        return self._put(name, two_parts(example_texts(self.menu.get(name))[example]), *settings)

    def _ask_point(self, name: str, point: int, *settings: Any) -> dict[Any, Any]:
        """Ask the text that is opened on the maps."""
        return self._put(name, self.maps.text_of(name, point), *settings)

    def _put(self, name: str, texts: tuple[str, str], *settings: Any) -> dict[Any, Any]:
        return {self.text: texts[0], self.text_pair: texts[1], **self._asked(name, texts, *settings)}

    def _edit(self, name: str, question: Question | None, text: str, pair: str, *settings: Any) -> dict[Any, Any]:
        """Answer an edit of the text beside it."""
        if question is None or (question.edited is not None and question.edited.texts[0] in (text, (text, pair))):
            return gr.skip()  # a link put it there, with its answer
        none = replace(question, edited=None)
        if question.query.texts[0] in (text, (text, pair)):
            return {self.question: none, self.beside: ""}
        try:
            edited = asked_text(self.menu.get(name), text, pair)
        except ReAugKDError as error:
            return {self.question: none, self.beside: sentence_html(error)}
        return self._drawn(name, replace(question, edited=edited), *settings)

    def _strike(self, event: gr.EventData, name: str, question: Question, *settings: Any) -> dict[Any, Any]:
        try:
            return self._drawn(name, replace(question, struck=(*question.struck, int(event.number))), *settings)
        except ReAugKDError as error:  # it is the last one
            raise gr.Error(str(error)) from error

    def _relabel(self, event: gr.EventData, name: str, question: Question, *settings: Any) -> dict[Any, Any]:
        number = int(event.number)
        relabelled = {**question.relabelled, number: str(event.label)}
        if relabelled[number] == self.menu.get(name).memory.rows["label"].iloc[number]:
            del relabelled[number]  # it is put back
        return self._drawn(name, replace(question, relabelled=relabelled), *settings)

    def _put_back(self, name: str, question: Question, *settings: Any) -> dict[Any, Any]:
        return self._drawn(name, Question(question.query, question.edited), *settings)

    def _flip(self, name: str, question: Question, *settings: Any) -> str:
        """Say without which further memories the answer would be another."""
        from reaugkd.analysis.what_if import flipping_set

        model = self.menu.get(name)
        pool = model.pool.overridden(**moves(*settings))
        return flipped_html(model, flipping_set(model, question.query, pool, question.strikes))

    def _drawn(self, name: str, question: Question, *settings: Any) -> dict[Any, Any]:
        """Return all that an answer shows; what is wrong with the text in the box stays said until it is corrected."""
        from reaugkd.analysis.what_if import explain_what_if

        model, moved, strikes, query = self.menu.get(name), moves(*settings), question.strikes, question.query
        pool = model.pool.overridden(**moved)
        explanation, beside = explain_what_if(model, query, pool, strikes), ""
        if question.edited is not None:
            edited = explain_what_if(model, question.edited, pool, strikes)
            beside = answer_html(edited, teacher_of(question.edited))
        changed: dict[str, Any] = {"struck": question.struck, "relabelled": question.relabelled}
        return {
            self.question: question,
            self.flipped: "",
            self.answer: answer_html(explanation, teacher_of(query)),
            self.beside: beside,
            self.table: neighbour_table(explanation, explanation.classes),
            self.changes: changes_html(model, question),
            self.back: gr.Button(visible=bool(question.struck or question.relabelled)),
            self.code: query_code(self.menu.shown_folder(name), query.texts[0], **moved, **changed),
            self.maps.map: query_said(name, model, explanation),
        }


def _linked(model: "ReAugKDClassifier", query: "EncodedTexts", of_view: Mapping[str, str]) -> Question:
    """Return a link's question, with its edit and its changes of the memory; what cannot be is left out."""
    numbers, labels = struck_of(of_view)
    memories, classes = range(len(model.memory)), model.classes_.tolist()
    struck = tuple(number for number in numbers if number in memories)
    relabelled = {at: label for at, label in labels.items() if at in memories and label in classes}
    edited = None
    with suppress(ReAugKDError):
        edited = asked_text(model, of_view.get("edited", ""), of_view.get("edited_pair", ""))
    return Question(query, edited, struck if len(set(struck)) < len(memories) else (), relabelled)
