"""The form of the page Errors that leaves some texts to a person, and saves the model with that threshold."""

from typing import TYPE_CHECKING, Any

import gradio as gr

from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import EVERY, PROBABILITY, Threshold, choose_threshold, coverage_table

from ..listening import ASKING, Updates, listen
from ..parts.problem import problem_html, told_in
from ..rendering import render
from .errors_page import ErrorsPage

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    import reaugkd as rk
    from reaugkd.method.answers import Answers

    from .errors import ErrorsView

WANTED = {f"{percent} %": percent / 100 for percent in (70, 75, 80, 85, 90, 95, 97, 98, 99)}


def choices_by(model: "rk.ReAugKDClassifier") -> list[tuple[str, str]]:
    """Name the scores by which texts can be left to a person."""
    keys = [(f"those farthest from all memories by the {name} key", name) for name in model.pool.keys]
    return [("those that the model is least sure of", PROBABILITY), *keys]


def _measured(answers: "Answers", threshold: Threshold) -> dict[str, Any]:
    """Return which of all answers, of those that a threshold gives, and of those that it leaves are right."""
    from reaugkd.measures.metrics import accuracy_interval

    right, sure = answers.right, answers.scores(threshold.by) >= threshold.least
    answered = right[sure]
    return {
        "rows": right,
        "answered": answered,
        "left": right[~sure],
        "interval": accuracy_interval(int(answered.sum()), len(answered)) if len(answered) else None,
    }


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
            self.own: render("own_threshold", threshold=model.threshold),
            self.version: self.menu.free_name(f"{shown.name}-careful"),
        }

    def draw(self, shown: ErrorsPage) -> Updates:
        """Choose the threshold that the boxes ask for on the validation rows; measure it on the rows that are shown.

        The page shows validation rows themselves too; of these no effect is told, since the threshold was chosen on
        them.
        """
        from reaugkd.plots.figures import coverage_figure

        which, tables, threshold = f"{shown.split} {shown.which}", {}, None
        try:
            validation, answers = self.page.answered(shown, "validation")[0], self.page.passing(shown, "selective")[0]
            is_chosen_on = (answers.encoded.table["split"] == "validation").all()  # also where no row is shown
            sides = {"validation rows": validation, **({} if is_chosen_on else {which: answers})}
            tables = {name: coverage_table(of.scores(shown.by), of.right) for name, of in sides.items()}
            threshold = choose_threshold(validation.scores(shown.by), validation.right, WANTED[shown.wanted], shown.by)
            column = shown.by if shown.by == PROBABILITY else f"nearest_{shown.by}"
            words = render(
                "selective",
                threshold=threshold,
                chosen=_measured(validation, threshold),
                effect=None if is_chosen_on else _measured(answers, threshold),
                which=which,
                pick={"between": {column: [EVERY - 1, threshold.least]}},
                picked=shown.picks.get("selective"),
            )
        except ReAugKDError as error:  # there are no validation rows, or no threshold is enough
            words = problem_html(error)
        plot = gr.Plot(coverage_figure(tables, threshold) if tables else None, visible=bool(tables))
        return {self.shown: shown, self.selective: words, self.curve: plot, self.kept: ""}

    @told_in("kept")
    def _keep(self, shown: ErrorsPage, version: str) -> Updates:
        """Save the model with the threshold that is shown."""
        if any(value is not None for value in shown.moved.values()):
            raise ReAugKDError("A threshold is kept for the answers as trained; put k, τ and λ back first.")
        target = self.menu.new_folder(version)
        self.menu.get(shown.name).with_threshold(WANTED[shown.wanted], shown.by).save_pretrained(target)
        saved = f"Saved as {target.name}: choose it in the menu of models, and Query says which texts it leaves."
        return {self.kept: render("sentences", sentences=[saved]), self.name: gr.Dropdown(choices=self.menu.names())}
