"""The page that answers: a text, what the student retrieved for it, and how that changed the answer."""

from typing import TYPE_CHECKING, Any

import gradio as gr
from code_box import place_code
from maps_panel import MapsPanel, query_said
from models import EACH, LATEST, ModelMenu
from typed_text import on_typing

from reaugkd.answer_bars import answer_bars, what_happened
from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState
from reaugkd.model_card import memory_in_words
from reaugkd.neighbour_table import escaped_text, neighbour_table
from reaugkd.retrieval import RetrievalSettings
from reaugkd.snippets import query_code
from reaugkd.texts import in_one_line, two_parts

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    import numpy as np
    from numpy.typing import NDArray

    from reaugkd import Explanation, ReAugKDClassifier
    from reaugkd.what_if import AskedText, Strikes

EXAMPLES = 6
LONGEST_EXAMPLE = 60  # Gradio cuts longer ones
LONGEST_SHOWN = 200
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


def asked_text(model: "ReAugKDClassifier", text: str, text_pair: str = "") -> "AskedText":
    """Run the student on one text, or on a pair where the model takes pairs.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    text, text_pair : str
        What was typed.

    Returns
    -------
    AskedText
        The text with its embedding.

    Raises
    ------
    ReAugKDError
        If a text is empty or enormous.
    """
    from reaugkd.what_if import AskedText

    return AskedText.of(model, (text, text_pair) if model.parts.settings.is_pair else text)


def settings_of(
    model: "ReAugKDClassifier", k: float, weight: float, temperature: float, by_gate: bool
) -> RetrievalSettings:
    """Return what the sliders say: their λ, or the model's gate.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    k, weight, temperature : float
        The sliders.
    by_gate : bool
        Whether the gate sets λ; without effect where the model has none.

    Returns
    -------
    RetrievalSettings
        For :func:`reaugkd.what_if.explain_what_if`.
    """
    return RetrievalSettings(int(k), weight, temperature, model.retrieval.gate if by_gate else None)


def leave_gate(weight: gr.Slider, by_gate: gr.Checkbox) -> None:
    """Uncheck the gate in the page itself when λ is moved.

    Another slider that is moved before the answer comes would ask the gate otherwise.

    Parameters
    ----------
    weight : Slider
        λ.
    by_gate : Checkbox
        Whether the gate sets it.
    """
    weight.input(None, None, by_gate, js="() => false", api_visibility="private")


def example_texts(model: "ReAugKDClassifier") -> list[list[str]]:
    """Choose short texts that the student was not trained on, one of each of several labels.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.

    Returns
    -------
    list of list of str
        Up to six texts or pairs.
    """
    rows = model.parts.evaluation_rows
    rows = model.parts.knowledge_base.rows if rows is None else rows[rows["split"] == "test"]
    columns = ["text", "text_pair"] if model.parts.settings.is_pair else ["text"]
    short = rows[rows[columns].apply(lambda texts: texts.str.len()).sum(axis=1) <= LONGEST_EXAMPLE]
    chosen = (rows if short.empty else short).groupby("label", sort=False).head(1).head(EXAMPLES)
    return chosen[columns].to_numpy().tolist()


def answer_html(explanation: "Explanation", teacher: "NDArray[np.floating] | None" = None) -> str:
    """Say the answer, what the memory did to it, and what it adds up from.

    Parameters
    ----------
    explanation : Explanation
        The answer.
    teacher : (C,) float, optional
        The teacher's probabilities, where the model keeps its teacher.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    text = in_one_line(explanation.text)
    shown = text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
    return (
        f'<p class="asked">{escaped_text(shown)}</p><p class="answer"><b>{escaped_text(explanation.label)}</b> '
        f"<span>probability {max(explanation.probabilities):.2f}</span></p>"
        f'<p class="happened">{escaped_text(what_happened(explanation))}</p>'
        f"{answer_bars(explanation, teacher)}"
    )


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
    gate = f" {escaped_text(memory_in_words(memory))}" if memory else ""
    return (
        f"<p>Task <b>{escaped_text(settings.task)}</b>: {len(settings.label_names)} classes. A student of "
        f"{settings.student_layers} layers answers with the memory of its teacher, {escaped_text(settings.teacher)}: "
        f"{len(model.parts.knowledge_base):,} texts with what the teacher thought of each.{gate}</p>"
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
    texts = model.memory.rows["text"].iloc[numbers]
    which = "this memory" if len(numbers) == 1 else f"these {len(numbers)} memories"
    items = "".join(f"<li>{escaped_text(text)}</li>" for text in texts)
    return f"<p>Without {which} the answer would be <b>{escaped_text(label)}</b>:</p><ul>{items}</ul>"


def sentence_html(error: ReAugKDError) -> str:
    """Show the one sentence that says what to mend."""
    return f'<p class="sentence" role="alert">{escaped_text(str(error))}</p>'


def thought_html(model: "ReAugKDClassifier", strikes: "Strikes") -> str:
    """List what is thought away from the memory, empty if nothing is."""
    rows = model.memory.rows
    lines = [f"without “{rows['text'].iloc[number]}”" for number in strikes.struck]
    lines += [f"“{rows['text'].iloc[number]}” as {label}" for number, label in strikes.relabelled.items()]
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
        self.struck = gr.State({"struck": [], "relabelled": {}})
        self.about = gr.HTML(elem_id="about")
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                self._place_inputs()
            with gr.Column(scale=6, min_width=320):
                self.message = gr.HTML(visible=False, elem_id="message")
                self.answer = gr.HTML(elem_id="answer", apply_default_css=False)
                with gr.Accordion("Beside it: the same text, edited", open=False, elem_id="beside-it") as self.edits:
                    self.edited = gr.Textbox(label="An edit of the text", max_lines=5, elem_id="edited")
                    self.beside = gr.HTML(elem_id="beside", apply_default_css=False)
        gr.Markdown("## What it retrieved: the nearest texts of the teacher's memory")
        self.table = gr.HTML(elem_id="neighbours", js_on_load=STRIKE, apply_default_css=False)
        with gr.Row():
            self.thought = gr.HTML(elem_id="thought", apply_default_css=False)
            self.back = gr.Button("Put all back", size="sm", elem_id="put-back", visible=False, scale=0, min_width=140)
        with gr.Row():
            self.flip = gr.Button("Which memories decide it?", size="sm", elem_id="flip", scale=0, min_width=220)
            self.flipped = gr.HTML(elem_id="flipped", apply_default_css=False)
        self.code = place_code("query-code")
        self._wire()

    def _place_inputs(self) -> None:
        # Of one line, so that Enter answers; it grows with what is typed.
        self.text = gr.Textbox(
            label="Text", placeholder="Type a text: it is answered as you type", max_lines=5, elem_id="text"
        )
        self.text_pair = gr.Textbox(label="Second text", max_lines=5, visible=False, elem_id="text-pair")
        self.examples = gr.Dataset(
            label="Examples the student has not seen",
            components=["textbox"],
            samples=[],
            type="index",
            elem_id="examples",
        )
        with gr.Group():
            self.k = gr.Slider(1, 64, 16, step=1, label="k: how many neighbours", elem_id="k", buttons=[])
            self.weight = gr.Slider(0, 1, 0.5, step=0.01, label="λ: weight of the memory", elem_id="weight", buttons=[])
            self.by_gate = gr.Checkbox(True, label="The gate sets λ for each text", elem_id="by-gate")
            self.temperature = gr.Slider(
                0.01,
                0.5,
                0.1,
                step=0.01,
                label="τ: smaller trusts the nearest more",
                elem_id="temperature",
                buttons=[],
            )
        self.reset = gr.Button("Reset to what was chosen in training", size="sm", elem_id="reset")

    def _wire(self) -> None:
        settings = [self.k, self.weight, self.temperature, self.by_gate]
        texts, asked = [self.text, self.text_pair], [self.query, self.edited_query, self.struck]
        shown = [self.weight, self.message, self.flipped, self.answer, self.beside, self.table, self.thought]
        shown += [self.back, self.code, self.maps.map, *asked]
        on_typing(texts, self._ask, [self.name, self.query, *texts, *settings], shown)
        self.examples.click(self._pick, [self.name, self.examples, *settings], [*texts, self.edited, *shown], **LATEST)
        self.maps.ask.click(
            self._ask_point, [self.name, self.maps.opened, *settings], [*texts, self.edited, *shown], **LATEST
        )
        self.edits.expand(self._begin_edit, asked[:2], self.edited, **LATEST)
        on_typing([self.edited], self._edit, [self.name, *asked, self.edited, self.text_pair, *settings], shown)
        moved = [self.k.input, self.temperature.input, self.by_gate.input]
        gr.on(moved, self._move, [self.name, *asked, *settings], shown, **LATEST)
        leave_gate(self.weight, self.by_gate)
        self.weight.input(self._weigh, [self.name, *asked, *settings[:3]], shown, **LATEST)
        chosen = [self.k, self.temperature, self.by_gate]
        self.reset.click(self._reset, [self.name, *asked], [*chosen, *shown], **LATEST)
        self.table.strike(self._strike, [self.name, *asked, *settings], shown, **EACH)
        self.table.relabel(self._relabel, [self.name, *asked, *settings], shown, **EACH)
        self.back.click(self._put_back, [self.name, *asked[:2], *settings], shown, **LATEST)
        self.flip.click(self._flip, [self.name, self.query, *settings], self.flipped, **LATEST)
        self.fill_inputs = texts
        self.filled = [self.about, *texts, self.edited, self.examples, *chosen, *shown]

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
        retrieval = model.retrieval.overridden(linked.k, linked.retrieval_weight, linked.temperature)
        if not text or (is_pair and not text_pair):
            text, text_pair = (linked.text, linked.text_pair) if linked.text else (*samples[0], "")[:2]
        return {
            self.about: about_html(model),
            self.text: gr.Textbox(text, label="First text" if is_pair else "Text"),
            self.text_pair: gr.Textbox(text_pair, visible=is_pair),
            self.edited: text,
            self.examples: gr.Dataset(samples=[[" | ".join(sample)] for sample in samples]),
            self.k: gr.Slider(maximum=min(max(64, retrieval.k), len(model.memory)), value=retrieval.k),
            self.by_gate: gr.Checkbox(retrieval.gate is not None, visible=model.retrieval.gate is not None),
            self.temperature: gr.Slider(maximum=max(0.5, retrieval.temperature), value=retrieval.temperature),
            **self._asked(name, text, text_pair, retrieval),
        }

    def _settings(self, name: str, k: float, weight: float, temperature: float, by_gate: bool) -> RetrievalSettings:
        return settings_of(self.menu.get(name), k, weight, temperature, by_gate)

    def _asked(self, name: str, text: str, text_pair: str, retrieval: RetrievalSettings) -> dict[Any, Any]:
        """Answer another text: what was thought away, and the edit beside it, go."""
        try:
            query = asked_text(self.menu.get(name), text, text_pair)
        except ReAugKDError as error:
            return {self.message: gr.HTML(sentence_html(error), visible=True)}
        return {self.message: gr.HTML("", visible=False)} | self._drawn(name, query, None, NOTHING, retrieval)

    def _ask(self, name: str, query: "AskedText | None", text: str, text_pair: str, *settings: Any) -> dict[Any, Any]:
        if query is not None and query.text in (text, (text, text_pair)):
            return {self.message: gr.HTML("", visible=False)}  # the page put it there itself, with its answer
        return self._asked(name, text, text_pair, self._settings(name, *settings))

    def _pick(self, name: str, example: int, *settings: Any) -> dict[Any, Any]:
        return self._put(name, (*example_texts(self.menu.get(name))[example], "")[:2], *settings)

    def _ask_point(self, name: str, point: int, *settings: Any) -> dict[Any, Any]:
        """Ask the text that is opened on the maps."""
        return self._put(name, self.maps.text_of(name, point), *settings)

    def _put(self, name: str, texts: tuple[str, ...], *settings: Any) -> dict[Any, Any]:
        typed = {self.text: texts[0], self.text_pair: texts[1], self.edited: texts[0]}
        return typed | self._asked(name, texts[0], texts[1], self._settings(name, *settings))

    def _begin_edit(self, query: "AskedText | None", edited: "AskedText | None") -> Any:
        """Put the text that is answered into the box, unless an edit stands there."""
        return gr.skip() if query is None or edited is not None else two_parts(query.text)[0]

    def _edit(
        self, name: str, query: "AskedText", _: Any, struck: dict[str, Any], edited: str, text_pair: str, *settings: Any
    ) -> dict[Any, Any]:
        if query is None or edited in ("", two_parts(query.text)[0]):
            return {self.edited_query: None, self.beside: ""}  # the page put it there, or it is no longer an edit
        try:
            edited_query = asked_text(self.menu.get(name), edited, text_pair)
        except ReAugKDError as error:
            return {self.edited_query: None, self.beside: sentence_html(error)}
        return self._drawn(name, query, edited_query, struck, self._settings(name, *settings))

    def _move(
        self, name: str, query: "AskedText", edited: "AskedText | None", struck: dict[str, Any], *settings: Any
    ) -> dict[Any, Any]:
        return self._drawn(name, query, edited, struck, self._settings(name, *settings))

    def _weigh(self, name: str, *asked_and_settings: Any) -> dict[Any, Any]:
        """Take λ from the slider: whoever moves it does not mean the gate."""
        return self._move(name, *asked_and_settings, False)

    def _reset(
        self, name: str, query: "AskedText", edited: "AskedText | None", struck: dict[str, Any]
    ) -> dict[Any, Any]:
        chosen = self.menu.get(name).retrieval
        sliders = {self.k: chosen.k, self.temperature: chosen.temperature, self.by_gate: chosen.gate is not None}
        return sliders | self._drawn(name, query, edited, struck, chosen)

    # Gradio resolves the annotations of these two, so none may be of a module that is not imported.
    def _strike(self, event: gr.EventData, name: str, *asked: Any) -> dict[Any, Any]:
        query, edited, struck, *settings = asked
        struck = struck | {"struck": [*struck["struck"], int(event.number)]}
        return self._drawn(name, query, edited, struck, self._settings(name, *settings))

    def _relabel(self, event: gr.EventData, name: str, *asked: Any) -> dict[Any, Any]:
        query, edited, struck, *settings = asked
        struck = struck | {"relabelled": struck["relabelled"] | {int(event.number): event.label}}
        return self._drawn(name, query, edited, struck, self._settings(name, *settings))

    def _put_back(self, name: str, query: "AskedText", edited: "AskedText | None", *settings: Any) -> dict[Any, Any]:
        return self._drawn(name, query, edited, NOTHING, self._settings(name, *settings))

    def _flip(self, name: str, query: "AskedText", *settings: Any) -> str:
        """Say without which memories the answer would be another."""
        from reaugkd.what_if import flipping_set

        model = self.menu.get(name)
        return flipped_html(model, flipping_set(model, query, self._settings(name, *settings)))

    def _drawn(
        self,
        name: str,
        query: "AskedText",
        edited: "AskedText | None",
        struck: dict[str, Any],
        retrieval: RetrievalSettings,
    ) -> dict[Any, Any]:
        """Return all that an answer shows; what is wrong with the text in the box stays said until that is mended."""
        from reaugkd.what_if import Strikes, explain_what_if

        model = self.menu.get(name)
        strikes = Strikes(
            tuple(struck["struck"]), {int(number): label for number, label in struck["relabelled"].items()}
        )
        explanation = explain_what_if(model, query, retrieval, strikes)
        beside = (
            ""
            if edited is None
            else answer_html(explain_what_if(model, edited, retrieval, strikes), edited.teacher_probabilities)
        )
        return {
            self.query: query,
            self.edited_query: edited,
            self.struck: struck,
            self.weight: round(explanation.retrieval.retrieval_weight, 2),
            self.flipped: "",
            self.answer: answer_html(explanation, query.teacher_probabilities),
            self.beside: beside,
            self.table: neighbour_table(explanation, explanation.classes),
            self.thought: thought_html(model, strikes),
            self.back: gr.Button(visible=bool(strikes.struck or strikes.relabelled)),
            self.code: query_code(
                self.menu.shown_folder(name), query.text, retrieval, tuple(strikes.struck), strikes.relabelled
            ),
            self.maps.map: query_said(name, model, explanation),
        }
