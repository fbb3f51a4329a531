"""The sliders that move retrieval, wherever a view has them: k, λ and τ, and the boxes that leave them as trained."""

from functools import partial
from typing import Any

import gradio as gr

import reaugkd as rk
from reaugkd.plots.links import PageState

from ..listening import AT_ONCE, IN_PAGE, Updates
from ..menu import ModelMenu
from .throttle import throttled


def overrides(k: float, weight: float, temperature: float, as_fitted: bool, as_chosen: bool) -> dict[str, Any]:
    """Return what the sliders ask for by the names that pools and links give it; None is the model's own."""
    return {
        "k": None if as_chosen else int(k),
        "retrieval_weight": None if as_fitted else weight,
        "temperature": None if as_chosen else temperature,
    }


def overrides_of_link(linked: PageState) -> dict[str, Any]:
    """Return what a link asks for, as :func:`overrides` does."""
    return {name: getattr(linked, name) for name in ("k", "retrieval_weight", "temperature")}


def slider_values(
    model: "rk.ReAugKDClassifier",
    k: int | None = None,
    retrieval_weight: float | None = None,
    temperature: float | None = None,
) -> dict[str, Any]:
    """Return what sliders and boxes say for a request, so that :func:`overrides` gives the same request."""
    pool, key = model.pool, max(model.pool.keys.values(), key=lambda key: key.weight)  # that of the largest weight
    weight = pool.retrieval_weight if retrieval_weight is None else retrieval_weight
    return {
        "k": min(k or key.k, len(model.memory)),
        "weight": round(pool.fitted_weight if weight is None else weight, 2),
        "temperature": temperature or key.temperature,
        "as_fitted": retrieval_weight is None,
        "as_chosen": k is None and temperature is None,
    }


_preprocess = gr.Slider.preprocess


def bounded(slider: gr.Slider, payload: float | None) -> float:
    """Take a number beyond the ends of a slider as the end: Gradio would refuse it, once for each that listens."""
    number = slider.minimum if payload is None else payload
    return _preprocess(slider, min(max(number, slider.minimum), slider.maximum))


# In place, for all sliders: of a class of its own Gradio writes an interface file beside its source, and what is set on
# one slider is lost where a page updates it, since Gradio then makes another of its class for this visitor.
gr.Slider.preprocess = bounded  # type: ignore[method-assign, assignment]


class RetrievalSliders:
    """k, λ and τ, and whether each is as the model has it."""

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, place: str = "") -> None:
        def slider(elem_id: str, label: str, low: float, high: float, value: float, step: float) -> gr.Slider:
            return gr.Slider(low, high, value, step=step, label=label, elem_id=f"{place}{elem_id}", buttons=[])

        self.k = slider("k", "k: how many neighbours", 1, 64, 16, 1)
        self.temperature = slider("temperature", "τ: smaller trusts the nearest more", 0.01, 0.5, 0.1, 0.01)
        self.as_chosen = gr.Checkbox(True, label="k and τ as chosen for each key", elem_id=f"{place}as-chosen")
        self.weight = slider("weight", "λ: weight of the memory", 0, 1, 0.5, 0.01)
        self.as_fitted = gr.Checkbox(True, label="λ as fitted", elem_id=f"{place}as-fitted")
        names = ("k", "weight", "temperature", "as_fitted", "as_chosen")
        self.inputs: dict[str, Any] = {name: getattr(self, name) for name in names}
        # One of them is moved; a slider that is moved replaces what was chosen.
        self.moved = partial(throttled, [part.input for part in self.inputs.values()], elem_id=f"{place}moved")
        for box, sliders in ((self.as_chosen, [self.k, self.temperature]), (self.as_fitted, [self.weight])):
            moved = [slider.input for slider in sliders]
            gr.on(moved, None, None, box, js="() => false", trigger_mode="multiple", **IN_PAGE)

            def show(name: str, checked: bool, sliders: list[gr.Slider] = sliders) -> Updates:
                if not checked:
                    return gr.skip()
                updates = self.set_to(**slider_values(menu.get(name)))
                return {slider: updates[slider] for slider in sliders}

            box.input(show, [name, box], sliders, **AT_ONCE)

    def set_to(self, k: int, weight: float, temperature: float, as_fitted: bool, as_chosen: bool) -> Updates:
        """Return updates of the sliders to values as :func:`slider_values` gives them, with room for these."""
        # Gradio refuses whatever comes with a value outside of its slider, and what the page is just filled with may
        # come with the values from before: so no slider ends within those that it opens with.
        low, high = min(0.01, temperature), max(0.5, temperature)
        return {
            self.k: gr.Slider(maximum=max(64, k), value=k),
            self.weight: weight,
            self.temperature: gr.Slider(minimum=low, maximum=high, value=temperature),
            self.as_fitted: as_fitted,
            self.as_chosen: as_chosen,
        }
