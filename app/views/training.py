"""What the page shows until the model is there: stage, progress, time left and the falling loss."""

from functools import partial
from typing import Any

import gradio as gr

from reaugkd.plots.figures import training_figure

from ..listening import IN_PAGE, Updates
from ..model_job import ModelJob
from ..rendering import render


class TrainingView:
    """The first part of the page; it goes when the model is there."""

    def __init__(self, job: ModelJob) -> None:
        self.job = job
        with gr.Column() as self.column:
            self.status = gr.HTML(render("first_start", job=job), elem_id="status")
            self.retry = gr.Button("Train again", variant="primary", visible=False, elem_id="retry")
            self.loss = gr.Plot(show_label=False, visible=False, elem_id="loss")
        self.drawn = gr.State(None)  # the progress whose losses the page shows: they are sent only when they are new
        self.timer = gr.Timer(1)
        self.outputs = [self.column, self.status, self.retry, self.loss, self.drawn, self.timer]
        self.retry.click(partial(job.start, anew=True), queue=False, **IN_PAGE)

    def draw(self, drawn: Any) -> Updates:
        """Show how far the job is."""
        job, now = self.job, self.job.progress
        if job.model is not None:
            return {self.column: gr.Column(visible=False)}
        return {
            self.status: render("first_start", job=job),
            self.retry: gr.Button(visible=bool(job.error) and job.train is not None),
            self.drawn: now,
            # Drawing the losses more often would take the processor from the training.
            **({self.timer: gr.Timer(3)} if job.is_training else {}),
            **({} if now == drawn else {self.loss: loss_plot(job)}),
        }


def loss_plot(job: ModelJob) -> gr.Plot:
    """Draw losses and scores of a training so far, which may go on meanwhile."""
    losses, scores = job.losses.copy(), job.scores.copy()
    return gr.Plot(training_figure(losses, scores), visible=bool(losses))
