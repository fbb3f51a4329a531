"""The page that answers: a text, what the student retrieved for it, and how that changed the answer."""

from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from models import ModelMenu

from reaugkd.errors import ReAugKDError
from reaugkd.figures import contributions_figure, maps_figure, probabilities_figure
from reaugkd.model_card import memory_in_words
from reaugkd.neighbour_table import escaped_text, neighbour_table
from reaugkd.retrieval import RetrievalSettings

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import Explanation, ReAugKDClassifier
    from reaugkd.what_if import AskedText

EXAMPLES = 6
COLOUR_BY_LABEL = [("gold label", "label")]
LONGEST_EXAMPLE = 60  # Gradio cuts longer ones


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


def explained(model: "ReAugKDClassifier", query: "AskedText", retrieval: RetrievalSettings) -> "Explanation":
    """Answer an embedded text."""
    return model.explain_embedding(query.text, query.embedding, query.student_probabilities, retrieval, query.key)


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
        For :func:`explained`.
    """
    return RetrievalSettings(int(k), weight, temperature, model.retrieval.gate if by_gate else None)


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


def colour_choices(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Name the columns by which the maps can be coloured, the label first: (shown, column)."""
    own = ("id", "text", "text_pair", "label")
    return COLOUR_BY_LABEL + [(name, name) for name in rows.columns if name not in own]


def answer_html(explanation: "Explanation") -> str:
    """Say the answer in two lines.

    Parameters
    ----------
    explanation : Explanation
        The answer.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    text = explanation.text if isinstance(explanation.text, str) else " | ".join(explanation.text)
    shown = text if len(text) <= 200 else text[:199] + "…"
    return (
        f'<p class="asked">{escaped_text(shown)}</p><p class="answer"><b>{escaped_text(explanation.label)}</b> '
        f"<span>probability {max(explanation.probabilities):.2f}</span></p>"
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


def query_maps(model: "ReAugKDClassifier", explanation: "Explanation", colour_by: str) -> Any:
    """Draw the two maps with the query in both.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    explanation : Explanation
        The query's answer.
    colour_by : str
        A column of :func:`colour_choices`.

    Returns
    -------
    Figure or None
        None where the model was saved without maps.
    """
    maps, memories = model.parts.maps, model.parts.knowledge_base
    if maps is None:
        return None
    places = maps.place(explanation.embedding, memories)
    return maps_figure(maps, memories.rows, colour_by, explanation=explanation, query_points=places)


def sentence_html(error: ReAugKDError) -> str:
    """Show the one sentence that says what to mend."""
    return f'<p class="sentence" role="alert">{escaped_text(str(error))}</p>'


class QueryView:
    """The second part of the page; it shows when the model is there.

    Parameters
    ----------
    menu : ModelMenu
        Gives the model.
    name : Component
        Holds the name of the model that is asked.
    """

    def __init__(self, menu: ModelMenu, name: gr.Dropdown) -> None:
        self.menu, self.name = menu, name
        self.query = gr.State(None)
        with gr.Column(visible=False) as self.column:
            self.about = gr.HTML(elem_id="about")
            with gr.Row():
                with gr.Column(scale=5, min_width=320):
                    self._place_inputs()
                with gr.Column(scale=6, min_width=320):
                    self.message = gr.HTML(visible=False, elem_id="message")
                    self.answer = gr.HTML(elem_id="answer")
                    self.probabilities = gr.Plot(show_label=False, elem_id="probabilities")
            gr.Markdown("## What it retrieved: the nearest texts of the teacher's memory")
            self.table = gr.HTML(elem_id="neighbours", apply_default_css=False)
            with gr.Row():
                self.flip = gr.Button("Which memories decide it?", size="sm", elem_id="flip", scale=0, min_width=220)
                self.flipped = gr.HTML(elem_id="flipped", apply_default_css=False)
            gr.Markdown("## Where the query lies: the teacher's space and the student's")
            self.colour = gr.Dropdown(COLOUR_BY_LABEL, value="label", label="Colour by", elem_id="colour")
            self.maps = gr.Plot(show_label=False, elem_id="maps")
            gr.Markdown("## What each probability is made of")
            self.contributions = gr.Plot(show_label=False, elem_id="contributions")
        self._wire()

    def _place_inputs(self) -> None:
        # Of one line, so that Enter answers; it grows with what is typed.
        self.text = gr.Textbox(label="Text", placeholder="Type a text and press Enter", max_lines=5, elem_id="text")
        self.text_pair = gr.Textbox(label="Second text", max_lines=5, visible=False, elem_id="text-pair")
        self.ask = gr.Button("Answer", variant="primary", elem_id="ask")
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
        sliders = [self.k, self.weight, self.temperature, self.by_gate]
        parts = [
            self.weight,
            self.message,
            self.flipped,
            self.answer,
            self.probabilities,
            self.contributions,
            self.table,
        ]
        whole = [self.query, self.maps, *parts]
        texts = [self.text, self.text_pair]
        # All share one queue: the model answers one question at a time.
        private: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
        live = {**private, "show_progress": "hidden", "trigger_mode": "always_last"}
        asks = [self.text.submit, self.text_pair.submit, self.ask.click]
        gr.on(asks, self._ask, [self.name, *texts, *sliders, self.colour], whole, **private)
        self.examples.click(self._pick, [self.name, self.examples, *sliders, self.colour], [*texts, *whole], **private)
        gr.on(
            [self.temperature.input, self.by_gate.input], self._move, [self.name, self.query, *sliders], parts, **live
        )
        self.weight.input(self._weigh, [self.name, self.query, *sliders[:3]], [self.by_gate, *parts], **live)
        self.k.input(self._move_k, [self.name, self.query, *sliders, self.colour], whole, **live)
        self.reset.click(
            self._reset, [self.name, self.query, self.colour], [self.k, self.temperature, self.by_gate, *whole], **live
        )
        self.flip.click(self._flip, [self.name, self.query, *sliders], self.flipped, **live)
        self.colour.input(self._recolour, [self.name, self.query, self.k, self.colour], self.maps, **live)
        self.filled = [self.column, self.about, *texts, self.examples, self.k, self.temperature, self.by_gate]
        self.filled += [self.colour, *whole]

    def fill(self, name: str) -> dict[Any, Any]:
        """Set the page up for the model and answer its first example.

        Parameters
        ----------
        name : str
            The model's.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model = self.menu.get(name)
        chosen, is_pair = model.retrieval, model.parts.settings.is_pair
        memories = model.parts.knowledge_base
        samples = example_texts(model)
        text, text_pair = (*samples[0], "")[:2]
        return {
            self.column: gr.Column(visible=True),
            self.about: about_html(model),
            self.text: gr.Textbox(text, label="First text" if is_pair else "Text"),
            self.text_pair: gr.Textbox(text_pair, visible=is_pair),
            self.examples: gr.Dataset(samples=[[" | ".join(sample)] for sample in samples]),
            self.k: gr.Slider(maximum=min(max(64, chosen.k), len(memories)), value=chosen.k),
            self.by_gate: gr.Checkbox(chosen.gate is not None, visible=chosen.gate is not None),
            self.temperature: gr.Slider(maximum=max(0.5, chosen.temperature), value=chosen.temperature),
            self.colour: gr.Dropdown(
                colour_choices(memories.rows), value="label", visible=model.parts.maps is not None
            ),
            **self._answered(name, asked_text(model, text, text_pair), chosen, "label"),
        }

    def _ask(
        self,
        name: str,
        text: str,
        text_pair: str,
        k: float,
        weight: float,
        temperature: float,
        by_gate: bool,
        colour: str,
    ) -> dict[Any, Any]:
        model = self.menu.get(name)
        try:
            query = asked_text(model, text, text_pair)
        except ReAugKDError as error:
            return {self.message: gr.HTML(sentence_html(error), visible=True)}
        return self._answered(name, query, settings_of(model, k, weight, temperature, by_gate), colour)

    def _pick(
        self, name: str, example: int, k: float, weight: float, temperature: float, by_gate: bool, colour: str
    ) -> dict[Any, Any]:
        text, text_pair = (*example_texts(self.menu.get(name))[example], "")[:2]
        typed = {self.text: text, self.text_pair: text_pair}
        return typed | self._ask(name, text, text_pair, k, weight, temperature, by_gate, colour)

    def _move(
        self, name: str, query: "AskedText", k: float, weight: float, temperature: float, by_gate: bool
    ) -> dict[Any, Any]:
        model = self.menu.get(name)
        return self._drawn(explained(model, query, settings_of(model, k, weight, temperature, by_gate)))

    def _weigh(self, name: str, query: "AskedText", k: float, weight: float, temperature: float) -> dict[Any, Any]:
        """Take λ from the slider: whoever moves it does not mean the gate."""
        return {self.by_gate: False} | self._move(name, query, k, weight, temperature, by_gate=False)

    def _move_k(
        self, name: str, query: "AskedText", k: float, weight: float, temperature: float, by_gate: bool, colour: str
    ) -> dict[Any, Any]:
        return self._answered(name, query, settings_of(self.menu.get(name), k, weight, temperature, by_gate), colour)

    def _reset(self, name: str, query: "AskedText", colour: str) -> dict[Any, Any]:
        chosen = self.menu.get(name).retrieval
        sliders = {self.k: chosen.k, self.temperature: chosen.temperature, self.by_gate: chosen.gate is not None}
        return sliders | self._answered(name, query, chosen, colour)

    def _recolour(self, name: str, query: "AskedText", k: float, colour: str) -> Any:
        model = self.menu.get(name)
        return query_maps(model, explained(model, query, model.retrieval.overridden(k=int(k))), colour)

    def _flip(self, name: str, query: "AskedText", k: float, weight: float, temperature: float, by_gate: bool) -> str:
        """Say without which memories the answer would be another."""
        from reaugkd.what_if import flipping_set

        model = self.menu.get(name)
        return flipped_html(model, flipping_set(model, query, settings_of(model, k, weight, temperature, by_gate)))

    def _answered(self, name: str, query: "AskedText", retrieval: RetrievalSettings, colour: str) -> dict[Any, Any]:
        """Return all that an answer shows."""
        explanation = explained(self.menu.get(name), query, retrieval)
        return {
            self.query: query,
            self.maps: query_maps(self.menu.get(name), explanation, colour),
            **self._drawn(explanation),
        }

    def _drawn(self, explanation: "Explanation") -> dict[Any, Any]:
        """Return what changes with λ and τ: all but the maps."""
        return {
            self.weight: round(explanation.retrieval.retrieval_weight, 2),
            self.message: gr.HTML("", visible=False),
            self.flipped: "",
            self.answer: answer_html(explanation),
            self.probabilities: probabilities_figure(explanation),
            self.contributions: contributions_figure(explanation),
            self.table: neighbour_table(explanation),
        }
