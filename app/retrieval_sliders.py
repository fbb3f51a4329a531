"""The sliders that move retrieval, wherever a view has them: k, λ or the gate, and τ."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr
from models import LATEST

from reaugkd.retrieval import RetrievalSettings

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier

# The box of the gate is still checked in the page when λ's first move is sent.
WITHOUT_GATE = "(...values) => values.slice(0, {count}).map((value, place) => place === {gate} ? false : value)"


class RetrievalSliders:
    """k, λ, τ, and whether the gate sets λ.

    Parameters
    ----------
    place : str
        Begins the elements' ids, so that a page may hold the sliders twice.

    Attributes
    ----------
    values : list of Component
        The four, in the order in which :meth:`settings` takes their values.
    """

    def __init__(self, place: str = "") -> None:
        self.k = gr.Slider(1, 64, 16, step=1, label="k: how many neighbours", elem_id=f"{place}k", buttons=[])
        self.weight = gr.Slider(
            0, 1, 0.5, step=0.01, label="λ: weight of the memory", elem_id=f"{place}weight", buttons=[]
        )
        self.by_gate = gr.Checkbox(True, label="The gate sets λ for each text", elem_id=f"{place}by-gate")
        self.temperature = gr.Slider(
            0.01,
            0.5,
            0.1,
            step=0.01,
            label="τ: smaller trusts the nearest more",
            elem_id=f"{place}temperature",
            buttons=[],
        )
        self.values = [self.k, self.weight, self.temperature, self.by_gate]
        # Another slider that is moved before the answer comes would ask the gate otherwise.
        self.weight.input(None, None, self.by_gate, js="() => false", api_visibility="private")

    def on_move(self, answer: Callable[..., dict[Any, Any]], inputs: list[Any], outputs: list[Any]) -> None:
        """Answer anew whenever one of them is moved; whoever moves λ does not mean the gate.

        Parameters
        ----------
        answer : callable
            Takes the values of the inputs and returns those of outputs.
        inputs, outputs : list of Component
            As of any event; all four are among the inputs.
        """
        gr.on([self.k.input, self.temperature.input, self.by_gate.input], answer, inputs, outputs, **LATEST)
        script = WITHOUT_GATE.format(count=len(inputs), gate=inputs.index(self.by_gate))
        self.weight.input(answer, inputs, outputs, js=script, **LATEST)

    @staticmethod
    def settings(
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
            What answers.
        """
        return RetrievalSettings(int(k), weight, temperature, model.retrieval.gate if by_gate else None)

    def set_to(self, model: "ReAugKDClassifier", retrieval: RetrievalSettings) -> dict[Any, Any]:
        """Set the sliders, with room for what is set.

        Parameters
        ----------
        model : ReAugKDClassifier
            The model: there are no more neighbours than memories, and only where it has a gate can one be asked.
        retrieval : RetrievalSettings
            What they are to say.

        Returns
        -------
        dict
            Values by component.
        """
        # Gradio refuses whatever comes with a value outside of its slider, and what the page is just filled with may
        # come with the values from before: so no slider ends within those that it opens with.
        k, temperature = min(retrieval.k, max(1, len(model.memory))), retrieval.temperature
        low, high = min(0.01, temperature), max(0.5, temperature)
        return {
            self.k: gr.Slider(maximum=max(64, k), value=k),
            self.weight: retrieval.retrieval_weight,
            self.temperature: gr.Slider(minimum=low, maximum=high, value=temperature),
            self.by_gate: gr.Checkbox(retrieval.gate is not None, visible=model.retrieval.gate is not None),
        }
