"""The page that trains: choose a task, a teacher and a student, watch losses and both spaces, cancel, go on."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block
from models import AT_ONCE, ModelMenu
from sentence import READ_ALOUD, sentence_html
from training_view import stages_html
from trainings import SHIPPED_TEACHER, TrainingRequest, Trainings

from reaugkd.errors import ReAugKDError
from reaugkd.figures import epochs_figure, loss_figure
from reaugkd.neighbour_table import escaped_text

if TYPE_CHECKING:  # torch and pandas' readers take seconds to import: the page opens first
    import pandas as pd

SHIPPED, HUB, FILE = "shoptalk, which is shipped", "a data set of the hub", "a file of mine"
TEACHERS = ["sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-mpnet-base-v2"]
STUDENTS = TEACHERS[:1]
NO_ENCODER = "none"
ACCURACY_AND_F1 = "accuracy_and_f1"
METRICS = ["accuracy", "macro_f1", ACCURACY_AND_F1, "matthews_correlation"]
OWN_METRIC = "the task's own, else accuracy"
TABLES = [".csv", ".tsv", ".jsonl", ".parquet"]
HUB_COLUMNS = ANY_TEXT, NO_PAIR, LABEL = "guessed", "none", "label"  # how a data set of the hub is read unless told
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
    total, kinds = (
        f"{many:,} {what}{'s' * (many != 1)}" for many, what in ((len(rows), "row"), (len(counts), "label"))
    )
    return f"<p><b>{total}</b>, <b>{kinds}</b>{': ' if shown else ''}{shown}{more}.</p>"


def training_html(trainings: Trainings) -> str:
    """Say how far the training is, or how it ended.

    Parameters
    ----------
    trainings : Trainings
        What runs or ran last.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    job, request = trainings.job, trainings.request
    if job is None or request is None:
        return NOTHING_YET
    name = f"<b>{escaped_text(request.name)}</b>"
    so_far = "".join(f"<p>{escaped_text(note)}</p>" for note in trainings.notes) + stages_html(job)
    if job.model is not None:
        return f"<p>{name} is trained. Choose it in the menu of models above to ask it.</p>{so_far}"
    if job.error:
        return f"<p>{name}</p>{sentence_html(job.error)}"
    if job.is_cancelled:
        return f"<p>{name} stops at its next report.</p>"
    return f"<p>{name} is being trained. The training goes on if you close the page.</p>{so_far}"


class TrainView:
    """A page that trains models for the menu; the other pages go on answering meanwhile.

    Parameters
    ----------
    menu : ModelMenu
        Gets the trained model.
    name : Component
        The menu of models.
    """

    def __init__(self, menu: ModelMenu, name: gr.Dropdown) -> None:
        self.menu, self.name = menu, name
        self.trainings = Trainings(menu)
        self.drawn = gr.State((0, 0, False))  # stages and losses, epochs, and end that this page has drawn
        self.is_read = gr.State(False)  # whether there is a file to preview
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                self._place_inputs()
            with gr.Column(scale=6, min_width=320):
                self.message = gr.HTML(visible=False, elem_id="train-message")
                self.status = gr.HTML(NOTHING_YET, elem_id="train-status", js_on_load=READ_ALOUD)
                self.preview = gr.Dataframe(
                    label="The first rows",
                    interactive=False,
                    wrap=True,
                    max_chars=160,
                    visible=False,
                    elem_id="train-preview",
                )
                self.loss = gr.Plot(show_label=False, visible=False, elem_id="train-loss")
                self.epochs = gr.Plot(show_label=False, visible=False, elem_id="train-epochs")
        self.timer = gr.Timer(2, active=False)
        self._wire()

    def _place_inputs(self) -> None:
        self.source = gr.Radio([SHIPPED, HUB, FILE], value=SHIPPED, label="Train on", elem_id="train-source")
        with gr.Group(visible=False) as self.rows:
            self.hub = gr.Textbox(
                label="Name of the data set", placeholder="glue/rte, or owner/name", max_lines=1, elem_id="train-hub"
            )
            self.train_file = gr.File(label="Train rows", file_types=TABLES, height=150, elem_id="train-file")
            self.about = gr.HTML(visible=False, elem_id="train-about")
            with gr.Row():
                self.text_column, self.pair_column, self.label_column = (
                    gr.Dropdown([], label=label, allow_custom_value=True, elem_id=f"train-{name}-column", min_width=120)
                    for label, name in (("Text column", "text"), ("Second text", "pair"), ("Label column", "label"))
                )
            self.metric = gr.Dropdown([OWN_METRIC, *METRICS], label="Metric", elem_id="train-metric")
            self.positive = gr.Dropdown(
                [], label="Class whose F1 counts", visible=False, allow_custom_value=True, elem_id="train-positive"
            )
            self.test_file = gr.File(
                label="Test rows (a fifth of the train rows is held out without)",
                file_types=TABLES,
                height=150,
                elem_id="train-test-file",
            )
            self.unlabelled_file = gr.File(
                label="Texts without labels, in columns of the same names: the teacher labels them",
                file_types=TABLES,
                height=150,
                elem_id="train-unlabelled-file",
            )
        self.teacher = gr.Dropdown(
            [SHIPPED_TEACHER, *TEACHERS],
            value=SHIPPED_TEACHER,
            label="Teacher",
            allow_custom_value=True,
            elem_id="train-teacher",
        )
        self.student = gr.Dropdown(
            STUDENTS, value=STUDENTS[0], label="Student starts from", allow_custom_value=True, elem_id="train-student"
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
            interactive=False,  # those are what is chosen first
            elem_id="train-keep",
        )
        self.encoder_key = gr.Dropdown(
            [NO_ENCODER, *TEACHERS],
            value=NO_ENCODER,
            label="Search the memory by an untuned encoder too",
            info="It finds texts of classes that are added later, and runs beside the student for every text.",
            allow_custom_value=True,
            elem_id="train-encoder-key",
        )
        self.model_name = gr.Textbox("", label="Name of the model", max_lines=1, elem_id="train-name")
        with gr.Row():
            self.start = gr.Button("Train", variant="primary", elem_id="train-start", min_width=90)
            self.cancel = gr.Button("Cancel", interactive=False, elem_id="train-cancel", min_width=90)
            self.resume = gr.Button("Go on", visible=False, elem_id="train-resume", min_width=90)

    def _wire(self) -> None:
        quiet = AT_ONCE | {"queue": False}
        drawn = [self.status, self.loss, self.epochs, self.start, self.cancel, self.resume, self.drawn, self.timer]
        drawn += [self.name, self.model_name, self.preview]
        kept: list[Any] = [self.model_name, self.is_read]
        self.fill_inputs = kept
        self.filled = drawn
        asked: set[Block] = {
            self.model_name,
            self.is_read,
            self.source,
            self.hub,
            self.train_file,
            self.test_file,
            self.unlabelled_file,
            self.text_column,
        }
        asked |= {self.pair_column, self.label_column, self.metric, self.teacher, self.student, self.layers}
        asked |= {self.positive, self.epochs_wanted, self.seed, self.keep_teacher, self.encoder_key}
        described = [self.about, self.positive]
        previewed: list[Any] = [self.text_column, self.pair_column, self.label_column, *described]
        previewed += [self.preview, self.is_read, self.message]
        chosen = [self.rows, self.hub, self.train_file, self.test_file, self.metric, self.teacher, *previewed]
        self.source.input(self._choose_source, [self.source, self.train_file], chosen, **quiet)
        self.train_file.change(self._preview, [self.train_file, self.metric], previewed, **quiet)
        for box in (self.label_column, self.metric):
            of_file = [self.source, self.train_file, self.label_column, self.metric]
            box.input(self._describe, of_file, [*described, self.message], **quiet)
        self.teacher.change(self._choose_teacher, self.teacher, self.keep_teacher, **quiet)
        self.start.click(self._start, asked, [self.message, *drawn], **quiet)
        self.cancel.click(self._cancel, kept, drawn, **quiet)
        self.resume.click(self._resume, kept, [self.message, *drawn], **quiet)
        self.timer.tick(self._draw, [self.drawn, *kept], drawn, **quiet)

    def fill(self, _: str, model_name: str, is_read: bool) -> dict[Any, Any]:
        """Set the page up: it shows the training that runs, also one that another page started.

        Parameters
        ----------
        _ : str
            The model that is asked; it stays.
        model_name : str
            What the box of the new model's name holds.
        is_read : bool
            Whether a file is there to preview.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        named = {} if model_name else {self.model_name: self.menu.free_name("mine")}
        return named | self._draw((0, 0, False), model_name, is_read)  # what is written or told there meanwhile stays

    def _choose_source(self, source: str, path: str | None) -> dict[Any, Any]:
        """Show the boxes that the source needs; what is read of a file comes back with it."""
        by_file = source == FILE
        teachers = [SHIPPED_TEACHER, *TEACHERS] if source == SHIPPED else TEACHERS
        read = self._preview(path if by_file else None, METRICS[0])
        if not by_file:
            boxes = (self.text_column, self.pair_column, self.label_column)
            read |= {box: gr.Dropdown([one], value=one) for box, one in zip(boxes, HUB_COLUMNS, strict=True)}
        return {
            self.rows: gr.Group(visible=source != SHIPPED),
            self.hub: gr.Textbox(visible=source == HUB),
            self.train_file: gr.File(visible=by_file),
            self.test_file: gr.File(visible=by_file),
            self.metric: gr.Dropdown([OWN_METRIC, *METRICS], value=METRICS[0] if by_file else OWN_METRIC),
            self.teacher: gr.Dropdown(teachers, value=teachers[0]),
            **read,
        }

    def _choose_teacher(self, teacher: str | None) -> dict[Any, Any]:
        """Offer to keep the teacher, unless it is known by its outputs alone."""
        if teacher == SHIPPED_TEACHER:
            return {self.keep_teacher: gr.Checkbox(False, interactive=False)}
        return {self.keep_teacher: gr.Checkbox(interactive=True)}

    def _preview(self, path: str | None, metric: str) -> dict[Any, Any]:
        """Show the first rows of an uploaded file, and guess its columns."""
        from reaugkd.sources import read_table

        boxes = (self.text_column, self.pair_column, self.label_column)
        nothing = {box: gr.Dropdown([], value=None) for box in boxes} | self._described(None, "", metric)
        nothing |= {self.preview: gr.Dataframe(visible=False), self.is_read: False}
        if path is None:
            return nothing | {self.message: gr.HTML(visible=False)}
        try:
            rows = read_table(path)
            if rows.empty:
                raise ReAugKDError(f"{Path(path).name!r} has no rows; give a table with at least two classes.")
        except ReAugKDError as error:
            return nothing | self._told(error)
        columns = [str(name) for name in rows.columns]
        text, label = guessed_columns(columns)
        return {
            self.text_column: gr.Dropdown(columns, value=text),
            self.pair_column: gr.Dropdown([NO_PAIR, *columns], value=NO_PAIR),
            self.label_column: gr.Dropdown(columns, value=label),
            **self._described(rows, label, metric),
            self.preview: gr.Dataframe(rows.head(PREVIEWED), column_widths=[COLUMN_WIDTH] * len(columns), visible=True),
            self.is_read: True,
            self.message: gr.HTML(visible=False),
        }

    def _describe(self, source: str, path: str | None, label_column: str, metric: str) -> dict[Any, Any]:
        from reaugkd.sources import read_table

        try:
            rows = read_table(path) if source == FILE and path is not None else None
        except ReAugKDError as error:
            return self._described(None, "", metric) | self._told(error)
        return self._described(rows, label_column, metric)

    def _described(self, rows: "pd.DataFrame | None", label_column: str, metric: str) -> dict[Any, Any]:
        """Say what labels a file has, and ask which of two counts where the metric needs to know."""
        if rows is None or label_column not in rows.columns:
            return {self.about: gr.HTML(visible=False), self.positive: gr.Dropdown([], value=None, visible=False)}
        labels = sorted(rows[label_column].dropna().astype(str).unique().tolist())
        needed = metric == ACCURACY_AND_F1 and len(labels) > 0
        positive = gr.Dropdown(labels, value=labels[-1] if needed else None, visible=needed)
        return {self.about: gr.HTML(file_html(rows, label_column), visible=True), self.positive: positive}

    def _start(self, asked: dict[Any, Any]) -> dict[Any, Any]:
        by_file = asked[self.source] == FILE
        text_column, pair_column, metric = asked[self.text_column], asked[self.pair_column], asked[self.metric]
        encoder_key = (asked[self.encoder_key] or NO_ENCODER).strip()
        request = TrainingRequest(
            name=asked[self.model_name],
            task={SHIPPED: "shoptalk", HUB: asked[self.hub]}.get(asked[self.source], ""),
            train_file=(asked[self.train_file] or "") if by_file else "",
            test_file=(asked[self.test_file] or "") if by_file else "",
            unlabelled_file=(asked[self.unlabelled_file] or "") if asked[self.source] != SHIPPED else "",
            text_column="" if text_column in (None, ANY_TEXT) else text_column,
            text_pair_column="" if pair_column in (None, NO_PAIR) else pair_column,
            label_column=asked[self.label_column] or LABEL,
            metric="" if metric in (None, OWN_METRIC) else metric,
            positive_label=(asked[self.positive] or "") if by_file else "",
            teacher=(asked[self.teacher] or "").strip(),
            student=(asked[self.student] or "").strip(),
            student_layers=int(asked[self.layers]),
            epochs=asked[self.epochs_wanted] or 0,
            seed=int(asked[self.seed] or 0),
            keep_teacher=asked[self.keep_teacher] and asked[self.teacher] != SHIPPED_TEACHER,
            encoder_key="" if encoder_key == NO_ENCODER else encoder_key,
        )
        return self._started(lambda: self.trainings.start(request), asked[self.model_name], asked[self.is_read])

    def _resume(self, model_name: str, is_read: bool) -> dict[Any, Any]:
        return self._started(self.trainings.resume, model_name, is_read)

    def _started(self, start: Callable[[], None], model_name: str, is_read: bool) -> dict[Any, Any]:
        try:
            start()
        except ReAugKDError as error:
            return self._told(error)
        hidden = {self.message: gr.HTML(visible=False), self.preview: gr.Dataframe(visible=False)}
        return {**hidden, **self._draw((-1, -1, False), model_name, is_read)}

    def _cancel(self, model_name: str, is_read: bool) -> dict[Any, Any]:
        self.trainings.cancel()
        return self._draw((0, 0, False), model_name, is_read)

    def _told(self, error: ReAugKDError) -> dict[Any, Any]:
        return {self.message: gr.HTML(sentence_html(error), visible=True)}

    def _draw(self, drawn: tuple[int, int, bool], model_name: str, is_read: bool) -> dict[Any, Any]:
        """Show how far the training is; what this page has drawn already is not sent again."""
        job = self.trainings.job
        if job is None:
            return {self.timer: gr.Timer(active=True)}
        runs = job.is_running
        losses = {stage: list(points) for stage, points in job.losses.copy().items()}
        epochs = job.epochs
        known = len(losses) + sum(map(len, losses.values())), 0 if epochs is None else len(epochs), not runs
        if known == drawn and not runs:
            return {self.drawn: known}
        updates: dict[Any, Any] = {
            self.status: training_html(self.trainings),
            self.start: gr.Button(interactive=not runs),
            self.cancel: gr.Button(interactive=runs and not job.is_cancelled),
            self.resume: gr.Button(visible=bool(job.error) and not runs),
            self.timer: gr.Timer(active=True),  # another page may start the next one
            self.drawn: known,
        }
        if known[0] != drawn[0]:
            updates[self.loss] = gr.Plot(loss_figure(losses), visible=bool(known[0]))
        if known[1] != drawn[1]:
            shown = {"value": epochs_figure(epochs, playable=False)} if epochs is not None else {}
            updates[self.epochs] = gr.Plot(visible=epochs is not None, **shown)
        if known[2] and not drawn[2]:
            updates |= self._ended(model_name, is_read)
        return updates

    def _ended(self, model_name: str, is_read: bool) -> dict[Any, Any]:
        """Make room for the next training: its rows are shown again, and it needs another name."""
        job, request = self.trainings.job, self.trainings.request
        updates: dict[Any, Any] = {self.preview: gr.Dataframe(visible=is_read)}
        if job is not None and request is not None and job.model is not None:
            updates[self.name] = gr.Dropdown(choices=self.menu.names())
            if model_name.strip() == request.name.strip():
                updates[self.model_name] = self.menu.free_name(re.sub(r"-\d+$", "", model_name.strip()))
        return updates
