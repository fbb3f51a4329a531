"""The page that trains: choose a task, a teacher and a student, watch losses and both spaces, cancel, go on."""

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from reaugkd.errors import ReAugKDError
from reaugkd.plots.figures import epochs_figure

from ..model_job import ModelJob, Train, train_as_asked
from ..models import AT_ONCE, ModelMenu
from ..parts.neighbour_table import escaped_text
from ..parts.sentence import READ_ALOUD, sentence_html
from .training import loss_plot, stages_html

if TYPE_CHECKING:  # torch and pandas' readers take seconds to import: the page opens first
    import pandas as pd

    from reaugkd import Recipe

SHIPPED, HUB, FILE = "shoptalk, which is shipped", "a data set of the hub", "a file of mine"
SHIPPED_TEACHER = "all-mpnet-base-v2, by its shipped outputs"
ENCODERS = ["sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-mpnet-base-v2"]
METRICS: list[Any] = [
    ("the task's own, else accuracy", ""),
    "accuracy",
    "macro_f1",
    "accuracy_and_f1",
    "matthews_correlation",
]
TABLES: dict[str, Any] = {"file_types": [".csv", ".tsv", ".jsonl", ".parquet"], "height": 150}
PREVIEWED, COLUMN_WIDTH = 5, "180px"
NOTHING_YET = "<p>Nothing is being trained. The losses and both spaces will be drawn here.</p>"


def guessed_columns(columns: list[str]) -> tuple[str, str]:
    """Guess which columns hold text and label.

    Parameters
    ----------
    columns : list of str
        At least one.

    Returns
    -------
    tuple of str
        The text's and the label's: those that are named so, else the first and the last.
    """
    named = {name.lower(): name for name in reversed(columns)}
    text = next((named[name] for name in ("text", "sentence", "review", "query") if name in named), columns[0])
    label = next((named[name] for name in ("label", "labels", "class", "category") if name in named), columns[-1])
    return text, label


def file_html(rows: "pd.DataFrame", label_column: str) -> str:
    """Say how many rows a file has, and how many of each label.

    Parameters
    ----------
    rows : DataFrame
        The file.
    label_column : str
        Its column of labels.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    counts = rows[label_column].value_counts()
    shown = ", ".join(f"{escaped_text(str(label))} {count:,}" for label, count in counts.head(12).items())
    more = f" and {len(counts) - 12} more" if len(counts) > 12 else ""
    return f"<p>Rows: <b>{len(rows):,}</b>. Labels: <b>{len(counts):,}</b>. {shown}{more}</p>"


def training_html(job: ModelJob) -> str:
    """Say how far a training is, or how it ended.

    Parameters
    ----------
    job : ModelJob
        What runs or ran last.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    name = f"<b>{escaped_text(job.name)}</b>"
    so_far = "".join(f"<p>{escaped_text(note)}</p>" for note in job.notes) + stages_html(job)
    if job.model is not None:
        return f"<p>{name} is trained. Choose it in the menu of models above to ask it.</p>{so_far}"
    if job.error:
        return f"<p>{name}</p>{sentence_html(job.error)}"
    if job.is_cancelled:
        return f"<p>{name} stops at its next report.</p>"
    return f"<p>{name} is being trained. The training goes on if you close the page.</p>{so_far}"


class TrainView:
    """A page that trains models for the menu, one at a time; the other pages go on answering meanwhile.

    Parameters
    ----------
    menu : ModelMenu
        Gets the trained model.
    name : Component
        The menu of models.

    Attributes
    ----------
    job : ModelJob or None
        The training that runs or ran last, whichever page started it.
    """

    def __init__(self, menu: ModelMenu, name: gr.Dropdown) -> None:
        self.menu, self.name = menu, name
        self.job: ModelJob | None = None
        self._lock = threading.Lock()
        self.drawn = gr.State(())  # what this page shows of it: progress, epochs, whether it runs and is cancelled
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                self._place_inputs()
            with gr.Column(scale=6, min_width=320):
                self.message = gr.HTML(visible=False, elem_id="train-message")
                self.status = gr.HTML(NOTHING_YET, elem_id="train-status", js_on_load=READ_ALOUD)
                self.loss = gr.Plot(show_label=False, visible=False, elem_id="train-loss")
                self.epochs = gr.Plot(show_label=False, visible=False, elem_id="train-epochs")
                self.preview = gr.Dataframe(
                    label="The first rows",
                    interactive=False,
                    wrap=True,
                    max_chars=160,
                    visible=False,
                    elem_id="train-preview",
                )
        self.timer = gr.Timer(2, active=False)
        self._wire()

    def _place_inputs(self) -> None:
        self.source = gr.Radio([SHIPPED, HUB, FILE], value=SHIPPED, label="Train on", elem_id="train-source")
        with gr.Group(visible=False) as self.rows:
            self.hub = gr.Textbox(
                "", label="Name of the data set", placeholder="glue/rte, owner/name", max_lines=1, elem_id="train-hub"
            )
            self.train_file = gr.File(label="Train rows", elem_id="train-file", **TABLES)
            self.about = gr.HTML(visible=False, elem_id="train-about")
            with gr.Row():
                self.columns = [
                    gr.Dropdown([], label=label, allow_custom_value=True, elem_id=f"train-{name}-column", min_width=120)
                    for name, label in {"text": "Text", "pair": "Second text, if any", "label": "Label"}.items()
                ]
            self.metric = gr.Dropdown(METRICS, value="", label="Metric", elem_id="train-metric")
            self.test_file = gr.File(
                label="Test rows (a fifth of the train rows is held out without)", elem_id="train-test-file", **TABLES
            )
            self.unlabelled_file = gr.File(
                label="Texts without labels, in columns of the same names: the teacher labels them",
                elem_id="train-unlabelled-file",
                **TABLES,
            )
        self.teacher = gr.Dropdown(
            [SHIPPED_TEACHER, *ENCODERS],
            value=SHIPPED_TEACHER,
            label="Teacher",
            allow_custom_value=True,
            elem_id="train-teacher",
        )
        self.student = gr.Dropdown(
            ENCODERS[:1],
            value=ENCODERS[0],
            label="Student starts from",
            allow_custom_value=True,
            elem_id="train-student",
        )
        self.layers = gr.Slider(1, 12, 2, step=1, label="Its layers", elem_id="train-layers", buttons=[])
        with gr.Row():
            self.epochs_wanted = gr.Number(
                0, label="Epochs (0: by the rows)", minimum=0, elem_id="train-epochs-wanted", min_width=120
            )
            self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="train-seed", min_width=90)
        self.keep_teacher = gr.Checkbox(
            False,
            label="Keep the teacher: its probabilities are shown beside the student's",
            info="Not of the shipped outputs: they come without the teacher.",
            elem_id="train-keep",
        )
        self.model_name = gr.Textbox("", label="Name of the model", max_lines=1, elem_id="train-name")
        with gr.Row():
            self.start = gr.Button("Train", variant="primary", elem_id="train-start", min_width=90)
            self.cancel = gr.Button("Cancel", interactive=False, elem_id="train-cancel", min_width=90)
            self.resume = gr.Button("Go on", visible=False, elem_id="train-resume", min_width=90)

    def _wire(self) -> None:
        quiet = AT_ONCE | {"queue": False}
        drawn = [self.status, self.loss, self.epochs, self.start, self.cancel, self.resume, self.drawn, self.name]
        self.fill_inputs: list[Any] = [self.model_name]
        self.filled = [*drawn, self.model_name, self.timer]
        previewed = [*self.columns, self.preview, self.message]
        chosen = [self.rows, self.hub, self.train_file, self.test_file, self.teacher, *previewed]
        self.source.input(self._choose_source, [self.source, self.train_file], chosen, **quiet)
        self.train_file.change(self._preview, self.train_file, previewed, **quiet)
        told = [self.source.input, self.train_file.change, self.columns[-1].change]
        gr.on(told, self._describe, [self.source, self.train_file, self.columns[-1]], self.about, **quiet)
        asked: set[Block] = {
            self.source,
            self.hub,
            self.train_file,
            self.test_file,
            self.unlabelled_file,
            *self.columns,
        }
        asked |= {self.metric, self.teacher, self.student, self.layers, self.epochs_wanted, self.seed}
        asked |= {self.keep_teacher, self.model_name}
        self.start.click(self._start, asked, [self.message, *drawn], **quiet)
        self.cancel.click(self._cancel, self.drawn, drawn, **quiet)
        self.resume.click(self._resume, self.drawn, drawn, **quiet)
        self.timer.tick(self._draw, self.drawn, drawn, **quiet)

    def fill(self, _: str, model_name: str) -> dict[Any, Any]:
        """Set the page up: it shows the training that runs, also one that another page started.

        Parameters
        ----------
        _ : str
            The model that is asked; it stays.
        model_name : str
            What the box of the new model's name holds.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        named = {} if model_name else {self.model_name: self.menu.free_name("mine")}
        return {**named, self.timer: gr.Timer(active=True), **(self._draw(()) if self.job else {})}

    def _choose_source(self, source: str, path: str | None) -> dict[Any, Any]:
        """Show the boxes that the source needs; what is read of a file comes back with it."""
        by_file = source == FILE
        teachers = [SHIPPED_TEACHER, *ENCODERS] if source == SHIPPED else ENCODERS
        return {
            self.rows: gr.Group(visible=source != SHIPPED),
            self.hub: gr.Textbox(visible=source == HUB),
            self.train_file: gr.File(visible=by_file),
            self.test_file: gr.File(visible=by_file),
            self.teacher: gr.Dropdown(teachers, value=teachers[0]),
            **self._preview(path if by_file else None),
        }

    def _preview(self, path: str | None) -> dict[Any, Any]:
        """Show the first rows of an uploaded file, and guess its columns."""
        from reaugkd.tasks.sources import read_table

        shown: dict[Any, Any] = {box: gr.Dropdown([], value=None) for box in self.columns}
        shown |= {self.preview: gr.Dataframe(visible=False), self.message: gr.HTML(visible=False)}
        if path is None:
            return shown
        try:
            rows = read_table(path)
            if rows.empty:
                raise ReAugKDError(f"{Path(path).name!r} has no rows; give a table with at least two classes.")
        except ReAugKDError as error:
            return shown | self._told(error)
        columns = [str(name) for name in rows.columns]
        text, label = guessed_columns(columns)
        for box, guess in zip(self.columns, (text, None, label), strict=True):
            shown[box] = gr.Dropdown(columns, value=guess)
        first = gr.Dataframe(rows.head(PREVIEWED), column_widths=[COLUMN_WIDTH] * len(columns), visible=True)
        return shown | {self.preview: first}

    def _describe(self, source: str, path: str | None, label_column: str) -> gr.HTML:
        """Say what labels an uploaded file has."""
        from reaugkd.tasks.sources import read_table

        try:
            rows = read_table(path) if source == FILE and path is not None else None
        except ReAugKDError:  # the sentence is shown with the preview
            rows = None
        if rows is None or label_column not in rows.columns:
            return gr.HTML(visible=False)
        return gr.HTML(file_html(rows, label_column), visible=True)

    def _start(self, asked: dict[Any, Any]) -> dict[Any, Any]:
        try:
            self.train(asked[self.model_name], partial(train_as_asked, *self._wanted(asked)))
        except ReAugKDError as error:
            return self._told(error)
        return {self.message: gr.HTML(visible=False), **self._draw(())}

    def _wanted(self, asked: dict[Any, Any]) -> tuple[dict[str, Any], "Recipe", bool]:
        """Return what the boxes ask for, as :func:`train_as_asked` takes it; an empty box leaves the usual value."""
        from reaugkd import Recipe

        source, by_outputs = asked[self.source], asked[self.teacher] == SHIPPED_TEACHER
        place = {SHIPPED: "shoptalk", HUB: asked[self.hub].strip(), FILE: asked[self.train_file]}[source]
        if not place:
            raise ReAugKDError("There is nothing to train on; name a data set of the hub, or upload a file.")
        rows = {"train": place, "test": asked[self.test_file]} if source == FILE else {"name": place}
        if source != SHIPPED:
            columns = zip(("text_column", "text_pair_column", "label_column"), self.columns, strict=True)
            rows |= {name: asked[box] for name, box in columns}
            rows |= {"metric": asked[self.metric], "unlabelled": asked[self.unlabelled_file]}
        settings = {
            "teacher": None if by_outputs else asked[self.teacher],
            "student": asked[self.student],
            "student_layers": int(asked[self.layers]),
            "epochs": asked[self.epochs_wanted],
            "seed": asked[self.seed],
            "keep_teacher": asked[self.keep_teacher] and not by_outputs,
        }
        rows, settings = ({name: value for name, value in given.items() if value} for given in (rows, settings))
        return rows, Recipe(**settings), by_outputs

    def train(self, name: str, train: Train) -> None:
        """Start a training, or go on with one of the same name and settings that was stopped.

        Parameters
        ----------
        name : str
            Of the model.
        train : callable
            Trains it.

        Raises
        ------
        ReAugKDError
            If one runs already, or the name is taken or none.
        """
        with self._lock:
            if self.job is not None and self.job.is_running:
                raise ReAugKDError(f"The training of {self.job.name!r} runs; wait until it is done, or cancel it.")
            self.job = ModelJob(str(self.menu.new_folder(name)), train)
            self.job.start()

    def _resume(self, drawn: tuple[Any, ...]) -> dict[Any, Any]:
        if self.job is not None:
            self.job.start()
        return self._draw(drawn)

    def _cancel(self, drawn: tuple[Any, ...]) -> dict[Any, Any]:
        if self.job is not None:
            self.job.cancel()
        return self._draw(drawn)

    def _told(self, error: ReAugKDError) -> dict[Any, Any]:
        return {self.message: gr.HTML(sentence_html(error), visible=True)}

    def _draw(self, drawn: tuple[Any, ...]) -> dict[Any, Any]:
        """Show how far the training is; what this page has drawn already is not sent again."""
        job = self.job
        if job is None:
            return gr.skip()
        epochs, runs = job.epochs, job.is_running
        now = job.progress, 0 if epochs is None else len(epochs), runs, job.is_cancelled
        if now == drawn:
            return gr.skip()
        updates: dict[Any, Any] = {
            self.status: training_html(job),
            self.start: gr.Button(interactive=not runs),
            self.cancel: gr.Button(interactive=runs and not job.is_cancelled),
            self.resume: gr.Button(visible=bool(job.error) and not runs),
            self.drawn: now,
        }
        if now[:1] != drawn[:1]:
            updates[self.loss] = loss_plot(job)
        if now[1:2] != drawn[1:2]:
            shown = {} if epochs is None else {"value": epochs_figure(epochs, playable=False)}
            updates[self.epochs] = gr.Plot(visible=epochs is not None, **shown)
        if job.model is not None:
            updates[self.name] = gr.Dropdown(choices=self.menu.names())
        return updates
