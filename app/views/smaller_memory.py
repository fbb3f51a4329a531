"""The form of the page Memory that makes the memory smaller, and saves that as a new version of the model."""

from typing import TYPE_CHECKING, Any

import gradio as gr

import reaugkd as rk

from ..computed import cached, edited_model
from ..listening import LATEST, Updates, listen
from ..menu import ModelMenu
from ..parts.pending_edits import PendingEdits, model_and_patch
from ..parts.problem import READ_ALOUD, told_in
from ..rendering import render

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.condensed import Condensed

ASKED = LATEST | {"concurrency_id": "condense", "show_progress": "minimal", "show_progress_on": None}  # up to minutes


@cached(2)
def condensed(model: "rk.ReAugKDClassifier", percent: float) -> "Condensed":
    """Condense a model's memory, once; the last two stay."""
    return rk.condense(model, percent / 100)


class SmallerMemory:
    """How many of the memory's bytes shall stay, what they keep, and the version that they are saved as."""

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, edits: gr.BrowserState) -> None:
        self.menu, self.name, self.edits = menu, name, edits
        gr.HTML(render("smaller_memory"))
        self.percent = gr.Slider(1, 50, 10, step=1, label="Bytes to keep, %", elem_id="condense-keep")
        self.measure = gr.Button("What does it keep?", elem_id="condense-try", size="sm")
        self.effect = gr.HTML("", js_on_load=READ_ALOUD, elem_id="condense-effect")
        self.plot = gr.Plot(show_label=False, visible=False, elem_id="condense-plot")
        bare: dict[str, Any] = {"show_label": False, "container": False, "max_lines": 1, "min_width": 130}
        with gr.Row(visible=False) as self.saving:
            label = "Name of the smaller version"
            self.smaller = gr.Textbox("", label=label, placeholder=label, elem_id="condense-version", **bare)
            self.save = gr.Button("Save the smaller version", elem_id="condense-save", size="sm", min_width=180)
        self.saved = gr.HTML("", js_on_load=READ_ALOUD, elem_id="condense-saved")
        self.tried = [self.effect, self.plot, self.saving, self.saved]
        self.percent.change(self.untried, None, self.tried, **LATEST)
        listen(self, self.measure.click, self._measure, [*self.tried, self.smaller], **ASKED)
        listen(self, self.save.click, self._save, [self.saved, self.name, self.smaller], **ASKED)

    def untried(self) -> Updates:
        """Return what shows that nothing is measured."""
        return {self.effect: "", self.plot: gr.Plot(visible=False), self.saving: gr.Row(visible=False), self.saved: ""}

    @told_in("effect")
    def _measure(self, name: str, edits: PendingEdits, percent: float) -> Updates:
        from reaugkd.plots.charts import condensation_figure

        model = edited_model(*model_and_patch(self.menu, name, edits))
        found = condensed(model, percent)
        return self.untried() | {
            self.effect: render("sentences", sentences=[found.in_words(model)]),
            self.plot: gr.Plot(condensation_figure(found.curve), visible=True),
            self.saving: gr.Row(visible=True),
            self.smaller: self.menu.free_name(f"{name}-small"),
        }

    @told_in("saved")
    def _save(self, name: str, edits: PendingEdits, percent: float, smaller: str) -> Updates:
        target = self.menu.new_folder(smaller)
        condensed(edited_model(*model_and_patch(self.menu, name, edits)), percent).model.save_pretrained(target)
        said = f"Saved as {target.name}. Choose it in the menu of models to ask it."
        return {
            self.saved: render("sentences", sentences=[said]),
            self.name: gr.Dropdown(choices=self.menu.names()),
            self.smaller: self.menu.free_name(f"{name}-small"),
        }
