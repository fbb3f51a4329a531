"""The page that answers: a text, what the student retrieved for it, and how that changed the answer."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gradio as gr
from answer import answer_html, asked_text, example_texts, teacher_of
from code_box import place_code
from maps_panel import MapsPanel, query_said
from models import EACH, LATEST, ModelMenu
from retrieval_sliders import RetrievalSliders, moves, moves_of_link, values_for
from sentence import READ_ALOUD, sentence_html
from typed_text import filled_boxes, on_typing, place_boxes

from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState, struck_in_link, struck_of
from reaugkd.model_card import memory_in_words
from reaugkd.neighbour_table import escaped_text, neighbour_table
from reaugkd.snippets import query_code
from reaugkd.texts import row_in_one_line, two_parts

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
    from reaugkd.answers import EncodedTexts
    from reaugkd.what_if import Strikes

UNMOVED = moves_of_link(PageState())
NOTHING: dict[str, Any] = {"struck": [], "relabelled": {}}
# A row's button and menu carry the memory's number; one listener serves all tables that come later.
STRIKE = """element.addEventListener('click', event => {
  const button = event.target.closest('[data-strike]');
  if (button) trigger('strike', {number: Number(button.dataset.strike)});
});
element.addEventListener('change', event => {
  const menu = event.target.closest('[data-relabel]');
  if (menu) trigger('relabel', {number: Number(menu.dataset.relabel), label: menu.value});
});"""


def about_html(model: "ReAugKDClassifier") -> str:
    """Say what answers here, and whether its memory pays.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.

    Returns
    -------
    str
        HTML; names in it are escaped.
    """
    settings, memory = model.parts.settings, model.parts.metrics.get("memory")
    counts = f" {escaped_text(memory_in_words(memory))}" if memory else ""
    depth = "1 layer" if settings.student_layers == 1 else f"{settings.student_layers} layers"
    return (
        f"<p>Task <b>{escaped_text(settings.task)}</b>: {len(settings.label_names)} classes. A student of {depth} "
        f"answers with the memory of its teacher, {escaped_text(settings.teacher)}: "
        f"{len(model.memory):,} texts with what the teacher thought of each.{counts}</p>"
    )


def flipped_html(model: "ReAugKDClassifier", flipped: tuple[list[int], str] | None) -> str:
    """Name the memories without which the answer would be another.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    flipped : tuple of list of int and str, or None
        As :func:`reaugkd.what_if.flipping_set` gives it.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    if flipped is None:
        return "<p>The answer stays what it is, whichever of the nearest memories are struck out.</p>"
    numbers, label = flipped
    texts = [row_in_one_line(model.memory.rows.iloc[number]) for number in numbers]
    which = "this memory" if len(numbers) == 1 else f"these {len(numbers)} memories"
    items = "".join(f"<li>{escaped_text(text)}</li>" for text in texts)
    return f"<p>Without {which} the answer would be <b>{escaped_text(label)}</b>:</p><ul>{items}</ul>"


def strikes_of(struck: dict[str, Any]) -> "Strikes":
    """Return what the page keeps of the memories that are struck out or relabelled."""
    from reaugkd.what_if import Strikes

    return Strikes(tuple(struck["struck"]), {int(number): label for number, label in struck["relabelled"].items()})


def changes_html(model: "ReAugKDClassifier", strikes: "Strikes") -> str:
    """List what is struck out and relabelled, empty if nothing is."""
    rows = model.memory.rows
    lines = [f"without “{row_in_one_line(rows.iloc[number])}”" for number in strikes.struck]
    lines += [f"“{row_in_one_line(rows.iloc[number])}” as {label}" for number, label in strikes.relabelled.items()]
    if not lines:
        return ""
    items = "".join(f"<li>{escaped_text(line)}</li>" for line in lines)
    return f"<p>The answer above is as if the memory were:</p><ul>{items}</ul>"


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
        self.query, self.edited_query = gr.State(None), gr.State(None)
        self.struck, self.is_beside = gr.State({"struck": [], "relabelled": {}}), gr.State(False)
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
        self.reset = gr.Button("Reset to what was chosen in training", size="sm", elem_id="reset")

    def _wire(self) -> None:
        settings = self.sliders.values
        texts, edited = [self.text, self.text_pair], [self.edited, self.edited_pair]
        asked = [self.query, self.edited_query, self.struck]
        shown: list[Any] = [self.message, self.flipped, self.answer, self.beside, self.table, self.changes]
        shown += [self.back, self.code, self.maps.map, *edited, *asked]
        beside = self.is_beside
        on_typing(texts, self._ask, [self.name, self.query, beside, *texts, *settings], shown)
        self.examples.click(self._pick, [self.name, beside, self.examples, *settings], [*texts, *shown], **LATEST)
        asking = [self.name, beside, self.maps.opened, *settings]
        self.maps.ask.click(self._ask_point, asking, [*texts, *shown], **LATEST)
        self.edits.expand(self._begin_edit, asked[:2], [beside, *edited], **LATEST)
        self.edits.collapse(lambda: False, None, beside, **LATEST)
        on_typing(edited, self._edit, [self.name, *asked, *edited, *settings], shown)
        self.sliders.on_move(self._move, [self.name, *asked, *settings], shown)
        self.reset.click(self._reset, [self.name, *asked], [*settings, *shown], **LATEST)
        self.table.strike(self._strike, [self.name, *asked, *settings], shown, **EACH)
        self.table.relabel(self._relabel, [self.name, *asked, *settings], shown, **EACH)
        self.back.click(self._put_back, [self.name, *asked[:2], *settings], shown, **LATEST)
        self.flip.click(self._flip, [self.name, self.query, self.struck, *settings], self.flipped, **LATEST)
        self.fill_inputs, self.seen = [*texts, beside], [*texts, *settings, *edited, beside, self.struck]
        self.filled = [self.about, *texts, self.examples, *settings, *shown, self.edits, beside]

    def fill(self, name: str, text: str, text_pair: str, is_beside: bool, linked: PageState) -> dict[Any, Any]:
        """Set the view up for a model and answer the text that is there, or else a link's, or else an example.

        Parameters
        ----------
        name : str
            The model's.
        text, text_pair : str
            What the boxes hold.
        is_beside : bool
            Whether the place of an edit is open.
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
        is_beside = is_beside or bool(linked.of_view.get("edited"))
        moved = moves_of_link(linked)
        for texts in ((text, text_pair), (linked.text, linked.text_pair), ((*samples[0], "")[0], (*samples[0], "")[1])):
            answered = self._asked(name, is_beside, texts[0], texts[1], moved)
            if self.query in answered:  # else it cannot be asked of this model, and no other model's answer may stay
                break
        edit = answered.get(self.edited, ""), answered.get(self.edited_pair, "")
        if linked.of_view:
            edit = linked.of_view.get("edited", edit[0]), linked.of_view.get("edited_pair", edit[1])
            answered |= self._linked(name, answered[self.query], edit, linked, moved)
        return {
            self.about: about_html(model),
            **filled_boxes((self.text, self.text_pair), (text, text_pair), texts, is_pair),
            self.examples: gr.Dataset(samples=[[" | ".join(sample)] for sample in samples]),
            **self.sliders.set_to(*values_for(model, **moved)),
            **answered,
            self.edited: edit[0],
            self.edited_pair: gr.Textbox(edit[1], visible=is_pair),
            self.edits: gr.Accordion(open=is_beside),
            self.is_beside: is_beside,
        }

    def _linked(
        self, name: str, query: "EncodedTexts", edit: tuple[str, str], linked: PageState, moved: dict[str, Any]
    ) -> dict[Any, Any]:
        """Answer by the memory with a link's changes, its edit of the text beside; what cannot be is left out."""
        model, (numbers, labels) = self.menu.get(name), struck_of(linked.of_view)
        memories, classes = range(len(model.memory)), model.classes_.tolist()
        struck = {
            "struck": [number for number in numbers if number in memories],
            "relabelled": {at: label for at, label in labels.items() if at in memories and label in classes},
        }
        edited = None
        with suppress(ReAugKDError):
            edited = asked_text(model, *edit) if edit != two_parts(query.texts[0]) else None
        try:
            return self._drawn(name, query, edited, struck, moved)
        except ReAugKDError:  # nothing would be left of the memory
            return self._drawn(name, query, edited, NOTHING, moved)

    def linked_state(
        self,
        text: str,
        text_pair: str,
        k: float,
        weight: float,
        temperature: float,
        as_fitted: bool,
        as_chosen: bool,
        edited: str,
        edited_pair: str,
        is_beside: bool,
        struck: dict[str, Any],
    ) -> PageState:
        """Return the state that a link to the page opens, from the values of ``seen``."""
        of_view = {"edited": edited, "edited_pair": edited_pair} if is_beside else {}
        of_view |= struck_in_link(struck["struck"], struck["relabelled"])
        moved = moves(k, weight, temperature, as_fitted, as_chosen)
        return PageState(text=text, text_pair=text_pair, **moved, of_view=of_view)

    def _asked(self, name: str, is_beside: bool, text: str, text_pair: str, moved: dict[str, Any]) -> dict[Any, Any]:
        """Answer another text: what was struck out, and the edit beside it, go."""
        try:
            query = asked_text(self.menu.get(name), text, text_pair)
        except ReAugKDError as error:
            return {self.message: gr.HTML(sentence_html(error), visible=True)}
        edits = dict(zip((self.edited, self.edited_pair), two_parts(query.texts[0]), strict=True)) if is_beside else {}
        return {self.message: gr.HTML("", visible=False), **edits, **self._drawn(name, query, None, NOTHING, moved)}

    def _ask(
        self, name: str, query: "EncodedTexts | None", is_beside: bool, text: str, text_pair: str, *settings: Any
    ) -> dict[Any, Any]:
        if query is not None and query.texts[0] in (text, (text, text_pair)):
            return {self.message: gr.HTML("", visible=False)}  # the page put it there itself, with its answer
        return self._asked(name, is_beside, text, text_pair, moves(*settings))

    def _pick(self, name: str, is_beside: bool, example: int, *settings: Any) -> dict[Any, Any]:
        return self._put(name, is_beside, (*example_texts(self.menu.get(name))[example], "")[:2], *settings)

    def _ask_point(self, name: str, is_beside: bool, point: int, *settings: Any) -> dict[Any, Any]:
        """Ask the text that is opened on the maps."""
        return self._put(name, is_beside, self.maps.text_of(name, point), *settings)

    def _put(self, name: str, is_beside: bool, texts: tuple[str, ...], *settings: Any) -> dict[Any, Any]:
        typed = {self.text: texts[0], self.text_pair: texts[1]}
        return typed | self._asked(name, is_beside, texts[0], texts[1], moves(*settings))

    def _begin_edit(self, query: "EncodedTexts | None", edited: "EncodedTexts | None") -> dict[Any, Any]:
        """Put the text that is answered into the boxes, unless an edit stands there."""
        if query is None or edited is not None:
            return {self.is_beside: True}
        return {
            self.is_beside: True,
            **dict(zip((self.edited, self.edited_pair), two_parts(query.texts[0]), strict=True)),
        }

    def _edit(
        self,
        name: str,
        query: "EncodedTexts | None",
        known: "EncodedTexts | None",
        struck: dict[str, Any],
        edited: str,
        pair: str,
        *settings: Any,
    ) -> dict[Any, Any]:
        if query is None or not edited or (edited, pair) == two_parts(query.texts[0]):
            return {self.edited_query: None, self.beside: ""}  # the page put it there, or it is no longer an edit
        if known is not None and (edited, pair) == two_parts(known.texts[0]):
            return gr.skip()  # a link put it there, with its answer
        try:
            edited_query = asked_text(self.menu.get(name), edited, pair)
        except ReAugKDError as error:
            return {self.edited_query: None, self.beside: sentence_html(error)}
        return self._drawn(name, query, edited_query, struck, moves(*settings))

    def _move(
        self, name: str, query: "EncodedTexts", edited: "EncodedTexts | None", struck: dict[str, Any], *settings: Any
    ) -> dict[Any, Any]:
        return self._drawn(name, query, edited, struck, moves(*settings))

    def _reset(
        self, name: str, query: "EncodedTexts", edited: "EncodedTexts | None", struck: dict[str, Any]
    ) -> dict[Any, Any]:
        return self.sliders.set_to(*values_for(self.menu.get(name))) | self._drawn(name, query, edited, struck, UNMOVED)

    # Gradio resolves the annotations of these two, so none may be of a module that is not imported.
    def _strike(self, event: gr.EventData, name: str, *asked: Any) -> dict[Any, Any]:
        query, edited, struck, *settings = asked
        struck = struck | {"struck": [*struck["struck"], int(event.number)]}
        try:
            return self._drawn(name, query, edited, struck, moves(*settings))
        except ReAugKDError as error:  # it is the last one
            raise gr.Error(str(error)) from error

    def _relabel(self, event: gr.EventData, name: str, *asked: Any) -> dict[Any, Any]:
        query, edited, struck, *settings = asked
        number = int(event.number)
        relabelled = {other: label for other, label in struck["relabelled"].items() if int(other) != number}
        if event.label != str(self.menu.get(name).memory.rows["label"].iloc[number]):  # else it is put back
            relabelled[number] = event.label
        struck = struck | {"relabelled": relabelled}
        return self._drawn(name, query, edited, struck, moves(*settings))

    def _put_back(
        self, name: str, query: "EncodedTexts", edited: "EncodedTexts | None", *settings: Any
    ) -> dict[Any, Any]:
        return self._drawn(name, query, edited, NOTHING, moves(*settings))

    def _flip(self, name: str, query: "EncodedTexts", struck: dict[str, Any], *settings: Any) -> str:
        """Say without which further memories the answer would be another."""
        from reaugkd.what_if import flipping_set

        model = self.menu.get(name)
        flipped = flipping_set(model, query, model.pool.overridden(**moves(*settings)), strikes_of(struck))
        return flipped_html(model, flipped)

    def _drawn(
        self,
        name: str,
        query: "EncodedTexts",
        edited: "EncodedTexts | None",
        struck: dict[str, Any],
        moved: dict[str, Any],
    ) -> dict[Any, Any]:
        """Return all that an answer shows; what is wrong with the text in the box stays said until it is corrected."""
        from reaugkd.what_if import explain_what_if

        model, strikes = self.menu.get(name), strikes_of(struck)
        pool = model.pool.overridden(**moved)
        explanation, beside = explain_what_if(model, query, pool, strikes), ""
        if edited is not None:
            beside = answer_html(explain_what_if(model, edited, pool, strikes), teacher_of(edited))
        return {
            self.query: query,
            self.edited_query: edited,
            self.struck: struck,
            self.flipped: "",
            self.answer: answer_html(explanation, teacher_of(query)),
            self.beside: beside,
            self.table: neighbour_table(explanation, explanation.classes),
            self.changes: changes_html(model, strikes),
            self.back: gr.Button(visible=bool(strikes.struck or strikes.relabelled)),
            self.code: query_code(
                self.menu.shown_folder(name),
                query.texts[0],
                **moved,
                struck=tuple(strikes.struck),
                relabelled=strikes.relabelled,
            ),
            self.maps.map: query_said(name, model, explanation),
        }
