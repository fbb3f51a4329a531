"""The page that answers: a text, what the student retrieved for it, and how that changed the answer."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

import reaugkd as rk
from reaugkd.errors import ReAugKDError
from reaugkd.model.card import memory_in_words
from reaugkd.plots.links import PageState, struck_in_link, struck_of
from reaugkd.texts import in_one_line, row_in_one_line, two_parts

from ..listening import EACH, IN_PAGE, LATEST, Updates, inputs_of, listen
from ..parts.answer import EXAMPLES, answer_html, asked_text, example_texts, key_costs, marked_words, shortened
from ..parts.code_box import place_code
from ..parts.maps_panel import MapsPanel, query_message
from ..parts.neighbour_table import neighbour_table
from ..parts.problem import READ_ALOUD, problem_html, shown_above, told_in
from ..parts.retrieval_sliders import RetrievalSliders, overrides, overrides_of_link, slider_values
from ..parts.typed_text import filled_boxes, on_typing, place_boxes
from ..rendering import render
from ..scripts import script, source
from ..snippets import query_code

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.what_if import WhatIf


LONGEST_EXAMPLE = 28  # characters of an example that are shown; it is asked whole


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
        Row numbers of memories that do not count.
    relabelled : mapping of int to str
        Row numbers of memories, and the class for which each votes.
    task : str
        Name of the model's task.
    key : str
        Name of the key whose neighbours are shown; empty is the one that adds most to the answer.
    """

    query: "rk.EncodedTexts"
    edited: "rk.EncodedTexts | None" = None
    struck: tuple[int, ...] = ()
    relabelled: Mapping[int, str] = field(default_factory=dict)
    task: str = ""
    key: str = ""

    @property
    def strikes(self) -> "WhatIf":
        """The changes of the memory, as the library takes them."""
        from reaugkd.analysis.what_if import WhatIf

        return WhatIf(self.struck, self.relabelled)


def about_html(model: "rk.ReAugKDClassifier") -> str:
    """Say what answers here, and whether its memory pays; names in it are escaped."""
    memory = model.metrics.get("memory")
    return render("about", model=model, worth=memory_in_words(memory) if memory else "")


def changes_html(model: "rk.ReAugKDClassifier", question: Question) -> str:
    """List what is struck out and relabelled, empty if nothing is."""
    relabelled = zip(_texts(model, question.relabelled), question.relabelled.values(), strict=True)
    return render("changes", struck=_texts(model, question.struck), relabelled=list(relabelled))


def _texts(model: "rk.ReAugKDClassifier", memories: Iterable[int]) -> list[str]:
    return [row_in_one_line(model.memory.rows.iloc[number]) for number in memories]


class QueryView:
    """The view that answers."""

    def __init__(self, maps: MapsPanel) -> None:
        self.maps, self.menu, self.name, self.linked, self.point = maps, maps.menu, maps.name, maps.linked, maps.opened
        self.question = gr.State(None)  # a Question, once one is asked
        self.about = gr.HTML(elem_id="about")
        with gr.Row(elem_id="query-first"):
            with gr.Column(elem_id="query-asked", min_width=320):
                self._place_text()
                with gr.Row():
                    with gr.Column(min_width=320):
                        self.message = gr.HTML(visible=False, elem_id="message")
                        self.answer = gr.HTML(elem_id="answer", js_on_load=READ_ALOUD, apply_default_css=False)
                    with gr.Column(min_width=320):
                        self._place_neighbours()
            with gr.Column(elem_id="query-map", scale=0, min_width=300):
                maps.small.render()
        self._place_changes()
        self.code = place_code("query-code")
        self._wire()

    def _place_text(self) -> None:
        self.text, self.text_pair = place_boxes("text", "Type a text: it is answered as you type", interactive=False)
        texts: dict[str, Any] = {"components": ["textbox"], "samples": [], "samples_per_page": EXAMPLES}
        self.examples = gr.Dataset(label="Examples, one a class", type="index", elem_id="examples", **texts)

    def _place_neighbours(self) -> None:
        self.key = gr.Radio([], label="Nearest memories by", elem_id="query-key")
        self.table = gr.HTML(elem_id="neighbours", js_on_load=source("buttons.js"), apply_default_css=False)
        with gr.Row():
            self.changes = gr.HTML(elem_id="memory-changes", apply_default_css=False)
            self.back = gr.Button("Put all back", size="sm", elem_id="put-back", visible=False, scale=0, min_width=140)

    def _place_changes(self) -> None:
        """Place what changes the answer: settings, memories that are left out, another text."""
        with gr.Row(elem_id="query-settings"):
            self.sliders = RetrievalSliders(self.menu, self.name)
        self.more_inputs = self.sliders.inputs
        with gr.Row():
            self.flip = gr.Button(
                "Which memories change the answer?", size="sm", elem_id="flip", scale=0, min_width=250
            )
            self.flipped = gr.HTML(elem_id="flipped", apply_default_css=False)
        with gr.Accordion("Beside it: the same text, edited", open=False, elem_id="beside-it") as self.edits:
            edited = {"text": "An edit of the text", "second": "An edit of the second text"}
            self.edited, self.edited_pair = place_boxes("edited", **edited)
            self.beside = gr.HTML(elem_id="beside", apply_default_css=False)

    def _wire(self) -> None:
        texts, edit, settings = [self.text, self.text_pair], [self.edited, self.edited_pair], self.more_inputs.values()
        shown: list[Any] = [self.question, self.message, self.flipped, self.answer, self.beside, self.table]
        shown += [self.key, self.changes, self.back, self.code, self.maps.map, self.maps.small, *edit]
        self.put_in = [*texts, *shown]
        on_typing(texts, self._ask, inputs_of(self, self._ask), outputs=shown)
        on_typing(edit, self._edit, inputs_of(self, self._edit), outputs=shown)
        listen(self, self.examples.click, self._pick, self.put_in, **LATEST)
        asked = listen(self, self.maps.ask.click, self._ask_point, self.put_in, **LATEST)
        opened = asked.then(None, js=script("click", element="[role=tab][data-tab-id=query]"), **IN_PAGE)
        opened.then(None, js=script("scroll_to", element="#views", block="start"), **IN_PAGE)  # the maps are below
        listen(self, self.key.input, self._choose_key, shown, **LATEST)
        listen(self, self.sliders.moved, self._drawn, shown, **LATEST)
        listen(self, self.table.strike, self._strike, shown, **EACH)
        listen(self, self.table.relabel, self._relabel, shown, **EACH)
        listen(self, self.back.click, self._put_back, shown, **LATEST)
        listen(self, self.flip.click, self._flip, [self.flipped], **LATEST)
        self.filled = [self.about, *texts, self.examples, *settings, *shown, self.edits]

    def fill(self, name: str, question: Question | None, text: str, text_pair: str, linked: PageState) -> Updates:
        """Set the view up for a model and answer a text: that in the box, or else a link's, or else an example."""
        model = self.menu.get(name)
        is_pair, samples = model.settings.is_pair, example_texts(model)
        if linked.model not in ("", name):
            linked = PageState(text=linked.text, text_pair=linked.text_pair)
        # A text in the box stays where another model of the same task is chosen: it was asked of classes like these.
        held = (text, text_pair) if question is not None and question.task == model.settings.task else ("", "")
        for texts in (held, (linked.text, linked.text_pair), two_parts(samples[0])):
            with suppress(ReAugKDError):  # it cannot be asked of this model, and no other model's answer may stay
                asked = _question(model, asked_text(model, *texts), linked.of_view)
                break
        values = slider_values(model, **overrides_of_link(linked))
        drawn, keys = self._drawn(name, asked, **values), [(f"{key} key", key) for key in model.pool.keys]
        first, second = two_parts((asked.edited or asked.query).texts[0])
        return {
            self.about: about_html(model),
            **filled_boxes((self.text, self.text_pair), (text, text_pair), texts, is_pair),
            self.examples: gr.Dataset(samples=[[shortened(in_one_line(text), LONGEST_EXAMPLE)] for text in samples]),
            **self.sliders.set_to(**values),
            self.message: gr.HTML("", visible=False),
            **drawn,
            self.key: gr.Radio(keys, value=drawn[self.key], visible=len(keys) > 1),
            self.edited: first,
            self.edited_pair: gr.Textbox(second, visible=is_pair),
            self.edits: gr.Accordion() if asked.edited is None else gr.Accordion(open=True),
        }

    def linked_state(self, text: str, text_pair: str, question: Question | None, **sliders: Any) -> PageState:
        """Return the state that a link to the page opens, from what the page holds."""
        of_view = {}
        if question is not None:
            edit = ("", "") if question.edited is None else two_parts(question.edited.texts[0])
            of_view = {"edited": edit[0], "edited_pair": edit[1], "key": question.key}
            of_view |= struck_in_link(question.struck, question.relabelled)
        return PageState(text=text, text_pair=text_pair, **overrides(**sliders), of_view=of_view)

    @told_in("message")
    def _asked(self, name: str, question: Question | None, texts: tuple[str, str], **sliders: Any) -> Updates:
        """Answer another text: what was struck out, and the edit beside it, go."""
        model = self.menu.get(name)
        wanted, parts = ("both texts", texts) if model.settings.is_pair else ("a text", texts[:1])
        if not all(part.strip() for part in parts):
            raise ReAugKDError(f"Write {wanted}; until then the last answer stays below.")
        query = asked_text(model, *texts)
        edit = dict(zip((self.edited, self.edited_pair), two_parts(query.texts[0]), strict=True))
        asked = Question(query, task=model.settings.task, key=question.key if question else "")
        return {self.message: gr.HTML("", visible=False), **edit, **self._drawn(name, asked, **sliders)}

    def _ask(self, name: str, question: Question | None, text: str, text_pair: str, **sliders: Any) -> Updates:
        if question is not None and question.query.texts[0] in (text, (text, text_pair)):
            return {self.message: gr.HTML("", visible=False)}  # the page put it there itself, with its answer
        return self._asked(name, question, (text, text_pair), **sliders)

    def _pick(self, name: str, question: Question | None, examples: int, **sliders: Any) -> Updates:
        return self.put(name, question, two_parts(example_texts(self.menu.get(name))[examples]), **sliders)

    def _ask_point(self, name: str, question: Question | None, point: int, **sliders: Any) -> Updates:
        """Ask the text that is opened on the maps."""
        return self.put(name, question, self.maps.text_of(name, point), **sliders)

    def put(self, name: str, question: Question | None, texts: tuple[str, str], **sliders: Any) -> Updates:
        """Put a text into the boxes and answer it."""
        return {self.text: texts[0], self.text_pair: texts[1], **self._asked(name, question, texts, **sliders)}

    def _choose_key(self, name: str, question: Question, key: str, **sliders: Any) -> Updates:
        """Show the neighbours by another key."""
        return self._drawn(name, replace(question, key=key), **sliders)

    def _edit(self, name: str, question: Question | None, edited: str, edited_pair: str, **sliders: Any) -> Updates:
        """Answer an edit of the text beside it."""
        same = (edited, (edited, edited_pair))
        if question is None or (question.edited is not None and question.edited.texts[0] in same):
            return gr.skip()  # a link put it there, with its answer
        none = replace(question, edited=None)
        if question.query.texts[0] in same:
            return {self.question: none, self.beside: ""}
        try:
            answered = asked_text(self.menu.get(name), edited, edited_pair)
        except ReAugKDError as error:
            return {self.question: none, self.beside: problem_html(error)}
        return self._drawn(name, replace(question, edited=answered), **sliders)

    def _strike(self, event: gr.EventData, name: str, question: Question, key: str, **sliders: Any) -> Updates:
        """Answer without a memory; the neighbours stay those by the key that is shown."""
        struck = (*question.struck, int(event.number))
        with shown_above():  # it may be the last one
            return self._drawn(name, replace(question, struck=struck, key=key), **sliders)

    def _relabel(self, event: gr.EventData, name: str, question: Question, key: str, **sliders: Any) -> Updates:
        number = int(event.number)
        relabelled = {**question.relabelled, number: str(event.label)}
        if relabelled[number] == self.menu.get(name).memory.rows["label"].iloc[number]:
            del relabelled[number]  # it is put back
        return self._drawn(name, replace(question, relabelled=relabelled, key=key), **sliders)

    def _put_back(self, name: str, question: Question, **sliders: Any) -> Updates:
        return self._drawn(name, replace(question, struck=(), relabelled={}), **sliders)

    def _flip(self, name: str, question: Question, **sliders: Any) -> str:
        """Find the fewest further memories whose removal changes the answer."""
        from reaugkd.analysis.what_if import flipping_set

        model = self.menu.get(name)
        pool = model.pool.overridden(**overrides(**sliders))
        numbers, label = flipping_set(model, question.query, pool, question.strikes) or ([], "")
        return render("flipped", texts=_texts(model, numbers), label=label)

    def _drawn(self, name: str, question: Question, **sliders: Any) -> Updates:
        """Return all that an answer shows; what is wrong with the text in the box stays until it is corrected."""
        from reaugkd.analysis.what_if import explain_what_if

        model, moved, strikes, query = self.menu.get(name), overrides(**sliders), question.strikes, question.query
        pool = model.pool.overridden(**moved)
        explanation, beside = explain_what_if(model, query, pool, strikes), ""
        if question.edited is not None:
            beside = answer_html(explain_what_if(model, question.edited, pool, strikes), question.edited)
        key = question.key or explanation.keys_by_part[0].name
        own, marks = marked_words(model, explanation, key)
        changed = {"struck": question.struck, "relabelled": question.relabelled}
        return {
            self.question: question,
            self.flipped: "",
            self.answer: answer_html(explanation, query, marks=own),
            self.beside: beside,
            self.key: key,
            self.table: neighbour_table(explanation, explanation.classes, key, marks, key_costs(model)),
            self.changes: changes_html(model, question),
            self.back: gr.Button(visible=bool(question.struck or question.relabelled)),
            self.code: query_code(self.menu.shown_folder(name), query.texts[0], changed, **moved),
            **dict.fromkeys((self.maps.map, self.maps.small), query_message(name, model, explanation, key)),
        }


def _question(model: "rk.ReAugKDClassifier", query: "rk.EncodedTexts", of_view: Mapping[str, str]) -> Question:
    """Return a link's question, with its edit and its changes of the memory; what cannot be is left out."""
    numbers, labels = struck_of(of_view)
    memories, classes = range(len(model.memory)), model.classes_.tolist()
    struck = tuple(number for number in numbers if number in memories)
    struck = struck if len(set(struck)) < len(memories) else ()
    relabelled = {at: label for at, label in labels.items() if at in memories and label in classes}
    edited = None
    with suppress(ReAugKDError):
        edited = asked_text(model, of_view.get("edited", ""), of_view.get("edited_pair", ""))
    key = of_view["key"] if of_view.get("key") in model.pool.keys else ""
    return Question(query, edited, struck, relabelled, model.settings.task, key)
