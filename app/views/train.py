"""The page that trains: choose a task, a teacher and a student, watch losses and both spaces, cancel, go on."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import gradio as gr
import pandas as pd

import reaugkd as rk
from reaugkd.errors import ReAugKDError
from reaugkd.plots.figures import epochs_figure

from ..listening import AT_ONCE, Updates, inputs_of, listen
from ..menu import ModelMenu
from ..model_job import ModelJob, Train
from ..parts.answer import shortened
from ..parts.column_boxes import TABLES, filled_columns, line_box, place_columns, uploaded_rows
from ..parts.problem import READ_ALOUD, problem_html, told_in
from ..parts.row_table import place_table, row_table
from ..parts.throttle import throttled
from ..rendering import render
from ..training_process import train_as_asked
from .adopt import AdoptForm
from .training import loss_plot

SHIPPED, HUB, FILE = "shoptalk, which is shipped", "a data set of the hub", "a file of mine"
SHIPPED_TEACHER = "all-mpnet-base-v2, by its shipped outputs"
ENCODERS = ["sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-mpnet-base-v2"]
METRICS: list[Any] = [("the task's own, else accuracy", ""), "accuracy", "macro_f1", "accuracy_and_f1"]
METRICS += ["matthews_correlation"]
PREVIEWED, LONGEST_PREVIEWED, LISTED_LABELS = 5, 160, 12
GO_ON = {"trained": "Go on", "adopted": "Start again"}
NOTHING_YET = "<p>Nothing is being trained. The losses and both spaces will be drawn here.</p>"


def file_html(rows: pd.DataFrame, label_column: str) -> str:
    """Say how many rows a file has, and how many of each label."""
    return render("file", rows=len(rows), labels=[*rows[label_column].value_counts().items()], most=LISTED_LABELS)


def results_html(model: "rk.ReAugKDClassifier") -> str:
    """Draw the scores of a model's methods and keys, with their intervals."""
    from reaugkd.model.card import gain_in_words, results

    rows = results(model.metrics)
    low, high = min(row["test"][0] for row in rows), max(row["test"][1] for row in rows)

    def place(score: float) -> float:
        return round(100 * (score - low) / ((high - low) or 1), 1)

    settings, gain = model.settings, model.metrics.get("gain")
    told = gain_in_words(settings, gain) if gain else ""
    return render("results", rows=rows, place=place, settings=settings, told=told)


class TrainView:
    """A page that trains models for the menu, one at a time; the other pages go on answering meanwhile."""

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, form: gr.BrowserState) -> None:
        self.menu, self.name, self.form = menu, name, form
        self.job: ModelJob | None = None
        self._lock = threading.Lock()
        self.restored = gr.State(False)  # once a page: what is chosen since stays
        self.drawn = gr.State(())  # what this page shows of it: progress, epochs, whether it runs and is cancelled
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                self.adopting = AdoptForm(self)
                self._place_inputs()
            with gr.Column(scale=6, min_width=320):
                self.message = gr.HTML(visible=False, elem_id="train-message")
                self.status = gr.HTML(NOTHING_YET, elem_id="train-status", js_on_load=READ_ALOUD)
                self.results = gr.HTML(visible=False, elem_id="train-results", apply_default_css=False)
                self.loss = gr.Plot(show_label=False, visible=False, elem_id="train-loss")
                self.epochs = gr.Plot(show_label=False, visible=False, elem_id="train-epochs")
                self.preview = place_table("train-preview")
        self.timer = gr.Timer(2, active=False)
        self._wire()

    def _place_inputs(self) -> None:
        self.source = gr.Radio([SHIPPED, HUB, FILE], value=SHIPPED, label="Train on", elem_id="train-source")
        self._place_rows()
        self.recipe: dict[str, Any] = {
            "teacher": self._encoder([SHIPPED_TEACHER, *ENCODERS], "Teacher", "train-teacher"),
            "student": self._encoder(ENCODERS[:1], "Student starts from", "train-student"),
            "student_layers": gr.Slider(1, 12, 2, step=1, label="Its layers", elem_id="train-layers", buttons=[]),
        }
        with gr.Row():
            self.recipe["epochs"] = gr.Number(
                0, label="Epochs (0: by the rows)", minimum=0, elem_id="train-epochs-wanted", min_width=120
            )
            self.recipe["seed"] = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="train-seed", min_width=90)
        label = "Keep the teacher: its probabilities are shown beside the student's"
        info = "Not possible with the shipped outputs: they come without the teacher."
        self.recipe["keep_teacher"] = gr.Checkbox(False, label=label, info=info, elem_id="train-keep")
        self.more_inputs = self.task | self.recipe
        info = "The form stays when the page is loaded again; only files must be chosen again."
        self.model_name = line_box("Name of the model", "train-name", info=info)
        self.kept = {name: getattr(self, name) for name in ("source", "hub", "metric", "model_name")} | self.recipe
        with gr.Row():
            self.start = gr.Button("Train", variant="primary", elem_id="train-start", min_width=90)
            self.cancel = gr.Button("Cancel", interactive=False, elem_id="train-cancel", min_width=90)
            self.resume = gr.Button(GO_ON["trained"], visible=False, elem_id="train-resume", min_width=90)

    def _place_rows(self) -> None:
        """Place what says which rows, where it is not the shipped task."""
        file = partial(gr.File, file_types=TABLES, height=150)
        with gr.Group(visible=False) as self.rows:
            self.hub = line_box("Name of the data set", "train-hub", placeholder="glue/rte, owner/name")
            self.train_file = file(label="Train rows", elem_id="train-file")
            self.about = gr.HTML(visible=False, elem_id="train-about")
            self.columns: dict[str, Any] = place_columns("train")
            self.metric = gr.Dropdown(METRICS, value="", label="Metric", elem_id="train-metric")
            label = "Test rows (without them, a fifth of the train rows is held out)"
            self.test_file = file(label=label, elem_id="train-test-file")
            label = "Texts without labels, in columns of the same names: the teacher labels them"
            self.unlabelled_file = file(label=label, elem_id="train-unlabelled-file")
        files = {"name": self.hub, "train": self.train_file, "test": self.test_file}
        self.label_column = self.columns["label_column"]
        self.task = files | self.columns | {"metric": self.metric, "unlabelled": self.unlabelled_file}

    def _encoder(self, choices: list[str], label: str, elem_id: str) -> gr.Dropdown:
        return gr.Dropdown(choices, value=choices[0], label=label, allow_custom_value=True, elem_id=elem_id)

    def _wire(self) -> None:
        quiet = AT_ONCE | {"queue": False}
        drawn = [self.status, self.results, self.loss, self.epochs, self.start, self.cancel, self.resume]
        drawn += [self.drawn, self.name]
        previewed = [*self.columns.values(), self.preview, self.message]
        chosen = [self.rows, self.hub, self.train_file, self.test_file, self.recipe["teacher"], *previewed]
        self.by_files = [self.source, *chosen]
        self.filled = list(dict.fromkeys([*drawn, *chosen, *self.kept.values(), self.restored, self.timer]))
        kept = [box.change for box in self.kept.values()]
        options = AT_ONCE | {"inputs_kwargs": self.kept}
        throttled(kept, lambda **boxes: {self.form: boxes}, [self.form], "train-kept", **options)
        changes = [self.source.input, self.train_file.change, self.label_column.change]
        listen(self, self.source.input, self._choose_source, chosen, **quiet)
        listen(self, self.train_file.change, self._preview, previewed, **quiet)
        gr.on(changes, self._describe, None, self.about, inputs_kwargs=inputs_of(self, self._describe), **quiet)
        listen(self, self.start.click, self._start, [self.message, *drawn], **quiet)
        self.adopting.wire([self.message, *drawn], [self.message], **quiet)
        self.cancel.click(lambda drawn: self._do(ModelJob.cancel, drawn), self.drawn, drawn, **quiet)
        self.resume.click(lambda drawn: self._do(ModelJob.start, drawn), self.drawn, drawn, **quiet)
        self.timer.tick(self._draw, self.drawn, drawn, **quiet)

    def fill(self, _: str, source: str, model_name: str, form: dict[str, Any], restored: bool) -> Updates:
        """Set the page up as it was left: it shows the training that runs, also one that another page started."""
        named = {} if model_name else {self.model_name: self.menu.free_name("mine")}
        running = self._draw(()) if self.job else {}
        # Another page may have put rows of its own into the form.
        before = {} if restored or source != SHIPPED else self._restored(form)
        return {**named, **before, self.restored: True, self.timer: gr.Timer(active=True), **running}

    def _restored(self, form: dict[str, Any]) -> Updates:
        """Return what the boxes held before the page was loaded again; the teachers depend on the source."""
        if form.get("source") not in (SHIPPED, HUB, FILE):
            return {}
        held = {box: form[name] for name, box in self.kept.items() if form.get(name) not in (None, "")}
        teacher = self.recipe["teacher"]
        shown = self._choose_source(form["source"], None)
        teachers: dict[str, Any] = {"choices": self._teachers(form["source"]), "allow_custom_value": True}
        return shown | held | {teacher: gr.Dropdown(value=held.get(teacher), **teachers)}

    def _teachers(self, source: str) -> list[str]:
        return [SHIPPED_TEACHER, *ENCODERS] if source == SHIPPED else ENCODERS

    def with_files(self, train: str, test: str | None = None) -> Updates:
        """Put files of rows into the form, as another page has them."""
        files = {self.train_file: train, self.test_file: test}
        shown = {box: gr.File(value=path, visible=True) for box, path in files.items()}
        return {self.source: FILE, **self._choose_source(FILE, train), **shown}

    def _choose_source(self, source: str, train_file: str | None) -> Updates:
        """Show the boxes that the source needs; what is read of a file comes back with it."""
        by_file, teachers = source == FILE, self._teachers(source)
        return {
            self.rows: gr.Group(visible=source != SHIPPED),
            self.hub: gr.Textbox(visible=source == HUB),
            **dict.fromkeys((self.train_file, self.test_file), gr.File(visible=by_file)),
            self.recipe["teacher"]: gr.Dropdown(teachers, value=teachers[0]),
            **self._preview(train_file if by_file else None),
        }

    def read(self, path: str | None, columns: dict[str, gr.Dropdown]) -> tuple[Updates, pd.DataFrame | None]:
        """Read an uploaded file and guess its columns; without one, or where it cannot be read, none are left."""
        message, rows = gr.HTML(visible=False), None
        try:
            rows = None if path is None else uploaded_rows(path)
        except ReAugKDError as error:
            message = gr.HTML(problem_html(error), visible=True)
        return {self.message: message, **filled_columns(columns, rows)}, rows

    def _preview(self, train_file: str | None) -> Updates:
        """Show the first rows of an uploaded file."""
        shown, rows = self.read(train_file, self.columns)
        if rows is None:
            return shown | {self.preview: ""}
        first = rows.head(PREVIEWED).astype(str).map(lambda value: shortened(value, LONGEST_PREVIEWED))
        return shown | {self.preview: row_table(first)}

    def _describe(self, source: str, train_file: str | None, label_column: str) -> gr.HTML:
        """Say what labels an uploaded file has."""
        with suppress(ReAugKDError):  # the sentence is shown with the preview
            if source == FILE and train_file and label_column in (rows := uploaded_rows(train_file)).columns:
                return gr.HTML(file_html(rows, label_column), visible=True)
        return gr.HTML(visible=False)

    def _start(self, source: str, model_name: str, **boxes: Any) -> Updates:
        return self.started(model_name, lambda: partial(train_as_asked, *self._wanted(source, **boxes)))

    @told_in("message")
    def started(self, name: str, asked: Callable[[], Train], done: str = "trained") -> Updates:
        """Start what a form asks for, and show it; or say why it cannot start."""
        self.train(name, asked(), done)
        return {self.message: gr.HTML(visible=False), **self._draw(())}

    def _wanted(self, source: str, **boxes: Any) -> tuple[dict[str, Any], "rk.Recipe", bool]:
        """Return what the boxes ask for, as :func:`train_as_asked` takes it; an empty box leaves the usual value."""
        by_outputs = boxes["teacher"] == SHIPPED_TEACHER
        unused = {SHIPPED: [*self.task], HUB: ["train", "test"], FILE: ["name"]}[source]
        unused += ["teacher", "keep_teacher"] * by_outputs
        used = {part: value for part, value in boxes.items() if value and part not in unused}
        task, recipe = ({part: used[part] for part in parts if part in used} for parts in (self.task, self.recipe))
        place = "train" if source == FILE else "name"
        task[place] = "shoptalk" if source == SHIPPED else task.get(place, "").strip()
        if not task[place]:
            raise ReAugKDError("There is nothing to train on; name a data set of the hub, or upload a file.")
        encoders = [str(recipe[part]) for part in ("teacher", "student") if part in recipe]
        self.menu.check_pretrained(*encoders, *([task[place]] if source == HUB else []))
        return task, rk.Recipe(**recipe), by_outputs

    def train(self, name: str, train: Train, done: str = "trained") -> None:
        """Start a training, or go on with one of the same name and settings that was stopped."""
        with self._lock:
            if self.job is not None and self.job.is_running:
                raise ReAugKDError(f"The training of {self.job.name!r} runs; wait until it is done, or cancel it.")
            self.job = ModelJob(str(self.menu.new_folder(name)), train, done)
            self.job.start()

    def _do(self, what: Callable[[ModelJob], None], drawn: tuple[Any, ...]) -> Updates:
        """Start or cancel the training again, and show it."""
        if self.job is not None:
            what(self.job)
        return self._draw(drawn)

    def _draw(self, drawn: tuple[Any, ...]) -> Updates:
        """Show how far the training is; what this page has drawn already is not sent again."""
        job = self.job
        if job is None:
            return gr.skip()
        epochs, runs = job.epochs, job.is_running
        scored = sum(map(len, job.scores.copy().values()))
        now = (job.progress, scored), 0 if epochs is None else len(epochs), runs, job.is_cancelled, job.error
        if now == drawn:
            return gr.skip()
        updates: Updates = {
            self.status: render("training", job=job),
            self.start: gr.Button(interactive=not runs),
            self.cancel: gr.Button(interactive=runs and not job.is_cancelled),
            self.resume: gr.Button(GO_ON[job.done], visible=bool(job.error) and not runs),
            self.drawn: now,
        }
        if now[:1] != drawn[:1]:
            updates[self.loss] = loss_plot(job)
        if now[1:2] != drawn[1:2]:
            shown = {} if epochs is None else {"value": epochs_figure(epochs, playable=False)}
            updates[self.epochs] = gr.Plot(visible=epochs is not None, **shown)
        if job.model is not None:
            updates[self.name] = gr.Dropdown(choices=self.menu.names())
            updates[self.results] = gr.HTML(results_html(job.model), visible=True)
        return updates
