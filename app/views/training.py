"""What the page shows until the model is there: stage, progress, time left and the falling loss."""

from typing import TYPE_CHECKING

import gradio as gr

from reaugkd.plots.figures import training_figure

from ..listening import IN_PAGE, Updates
from ..model_job import ModelJob
from ..rendering import render

if TYPE_CHECKING:
    from reaugkd.networks.trainer import Progress


class TrainingView:
    """The first part of the page; it goes when the model is there."""

    def __init__(self, job: ModelJob) -> None:
        self.job = job
        with gr.Column() as self.column:
            self.status = gr.HTML(status_html(job), elem_id="status")
            self.retry = gr.Button("Train again", variant="primary", visible=False, elem_id="retry")
            self.loss = gr.Plot(show_label=False, visible=False, elem_id="loss")
        self.drawn = gr.State(None)  # the progress whose losses the page shows: they are sent only when they are new
        self.outputs = [self.column, self.status, self.retry, self.loss, self.drawn]
        self.retry.click(self._retry, queue=False, **IN_PAGE)

    def draw(self, drawn: "Progress | None") -> Updates:
        """Show how far the job is."""
        job, now = self.job, self.job.progress
        if job.model is not None:
            return {self.column: gr.Column(visible=False)}
        return {
            self.status: status_html(job),
            self.retry: gr.Button(visible=bool(job.error) and job.train is not None),
            self.drawn: now,
            **({} if now == drawn else {self.loss: loss_plot(job)}),
        }

    def _retry(self) -> None:
        self.job.start(anew=True)


def loss_plot(job: ModelJob) -> gr.Plot:
    """Draw losses and scores of a training so far, which may go on meanwhile."""
    losses, scores = ({stage: list(points) for stage, points in of.copy().items()} for of in (job.losses, job.scores))
    return gr.Plot(training_figure(losses, scores), visible=bool(losses))


def status_html(job: ModelJob) -> str:
    """Say in a few lines how far the model is; texts in it are escaped."""
    return render("first_start", job=job, time_left=time_left)


def time_left(seconds: float) -> str:
    """Say a time as a person would: in seconds up to a minute and a half, then in minutes."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left in this stage"
    return f"about {round(seconds / 60)} min left in this stage"
