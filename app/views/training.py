"""What the page shows until the model is there: stage, progress, time left and the falling loss."""

from typing import TYPE_CHECKING, Any

import gradio as gr

from reaugkd.plots.figures import loss_figure

from ..model_job import ModelJob
from ..parts.neighbour_table import escaped_text
from ..parts.sentence import sentence_html

if TYPE_CHECKING:
    from reaugkd.networks.trainer import Progress


class TrainingView:
    """The first part of the page; it goes when the model is there.

    Parameters
    ----------
    job : ModelJob
        What it watches.
    """

    def __init__(self, job: ModelJob) -> None:
        self.job = job
        with gr.Column() as self.column:
            self.status = gr.HTML(status_html(job), elem_id="status")
            self.retry = gr.Button("Train again", variant="primary", visible=False, elem_id="retry")
            self.loss = gr.Plot(show_label=False, visible=False, elem_id="loss")
        self.drawn = gr.State(None)  # the progress of which this page shows the losses: nothing new, nothing sent
        self.outputs = [self.column, self.status, self.retry, self.loss, self.drawn]
        self.retry.click(self._retry, queue=False, api_visibility="private")

    def draw(self, drawn: "Progress | None") -> dict[Any, Any]:
        """Show how far the job is.

        Parameters
        ----------
        drawn : Progress or None
            What the page shows already.

        Returns
        -------
        dict
            Values by component.
        """
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
    """Draw the losses of a training so far, which may go on meanwhile."""
    losses = {stage: list(points) for stage, points in job.losses.copy().items()}
    return gr.Plot(loss_figure(losses), visible=bool(losses))


def status_html(job: ModelJob) -> str:
    """Say in a few lines how far the model is; texts in it are escaped."""
    if job.error:
        return sentence_html(job.error)
    if not job.is_training:
        return "<h2>Loading the model</h2><p>A few seconds: the page fills in by itself.</p>"
    return (
        "<h2>First start: training the student</h2>"
        "<p>This takes a few minutes, once; later starts open at once. The training goes on if you close the page.</p>"
        f"{stages_html(job)}"
    )


def stages_html(job: ModelJob) -> str:
    """List the stages of a training that are done, and how far the one is that runs; texts in it are escaped."""
    done = "".join(f'<li class="done">✓ {escaped_text(stage)}</li>' for stage in job.finished)
    now = _stage_html(job.progress) if job.progress is not None else "<li>Starting</li>"
    return f'<ul class="stages">{done}{now if job.model is None else ""}</ul>'


def _stage_html(progress: "Progress") -> str:
    stage = escaped_text(progress.stage)
    if not progress.steps:
        return f'<li><b>{stage}</b> <progress aria-label="{stage}"></progress></li>'
    loss = "" if progress.loss is None else f", loss {progress.loss:.3f}"
    left = "" if progress.eta_seconds is None else f", {time_left(progress.eta_seconds)}"
    return (
        f"<li><b>{stage}</b> "
        f'<progress value="{progress.step}" max="{progress.steps}" aria-label="{stage}"></progress> '
        f'<span class="figures" aria-live="off">step {progress.step} of {progress.steps}{loss}{left}</span></li>'
    )


def time_left(seconds: float) -> str:
    """Say a time as a person would: in seconds up to a minute and a half, then in minutes."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left in this stage"
    return f"about {round(seconds / 60)} min left in this stage"
