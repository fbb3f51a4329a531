"""The form of the page Errors that leaves some texts to a person, and saves the model with that threshold."""

from typing import TYPE_CHECKING

import gradio as gr

from reaugkd.errors import ReAugKDError
from reaugkd.measures.selective import PROBABILITY

from ..listening import ASKING, Updates, listen
from ..parts.problem import problem_html, told_in
from ..parts.selective_answers import WANTED, choices_by, score_in_words, selective_answers
from ..rendering import render
from .errors_page import ErrorsPage

if TYPE_CHECKING:
    from .errors import ErrorsView


class ThresholdForm:
    """A threshold that the validation rows choose, what it does to the rows that are shown, and its model."""

    def __init__(self, page: "ErrorsView") -> None:
        self.page, self.menu, self.name, self.shown = page, page.menu, page.name, page.shown
        gr.Markdown("## Leave some texts to a person")
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                with gr.Row():
                    self.by = gr.Dropdown(
                        [PROBABILITY], value=PROBABILITY, label="Leave to a person", elem_id="by", min_width=260
                    )
                    right = "Right, of what is answered, at least"
                    self.wanted = gr.Dropdown(list(WANTED), value="90 %", label=right, elem_id="wanted", min_width=260)
                self.selective = page.place_figure("selective")
                self.own = gr.HTML(elem_id="own-threshold")
                with gr.Row():
                    self.version = gr.Textbox("", label="Name of the model with this threshold", elem_id="careful-name")
                    self.keep = gr.Button("Save the model", elem_id="keep-threshold", scale=0, min_width=230)
                self.kept = gr.HTML("", elem_id="threshold-kept")
            with gr.Column(scale=1, min_width=320):
                self.curve = gr.Plot(show_label=False, elem_id="coverage-curve")
        self.drawn = [self.selective, self.curve, self.kept]
        listen(self, self.keep.click, self._keep, [self.kept, self.name], **ASKING)

    def fill(self, shown: ErrorsPage) -> Updates:
        """Set the form up for a model."""
        model = self.menu.get(shown.name)
        return {
            self.by: gr.Dropdown(choices_by(model), value=shown.by),
            self.own: render("own_threshold", threshold=model.threshold, score=score_in_words(model.threshold)),
            self.version: self.menu.free_name(f"{shown.name}-careful"),
        }

    def draw(self, shown: ErrorsPage) -> Updates:
        """Return the threshold that the boxes ask for, and what it does."""
        try:
            validation, answers = self.page.answered(shown, "validation")[0], self.page.passing(shown, "selective")[0]
            picked, which = shown.picks.get("selective"), f"{shown.split} {shown.which}"
            words, curve = selective_answers(validation, answers, shown.by, WANTED[shown.wanted], which, picked)
        except ReAugKDError as error:  # there are no validation rows
            words, curve = problem_html(error), None
        plot = gr.Plot(curve, visible=curve is not None)
        return {self.shown: shown, self.selective: words, self.curve: plot, self.kept: ""}

    @told_in("kept")
    def _keep(self, shown: ErrorsPage, version: str) -> Updates:
        """Save the model with the threshold that is shown."""
        if any(value is not None for value in shown.moved.values()):
            raise ReAugKDError("A threshold is kept for the answers as trained; put k, τ and λ back first.")
        target = self.menu.new_folder(version)
        careful = self.menu.get(shown.name).with_threshold(WANTED[shown.wanted], shown.by)
        careful.save_pretrained(target)
        saved = f"Saved as {target.name}: choose it in the menu of models, and Query says which texts it leaves."
        return {self.kept: render("sentences", sentences=[saved]), self.name: gr.Dropdown(choices=self.menu.names())}
