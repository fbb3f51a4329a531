"""What the page trains: one training at a time for the whole server, while every page goes on asking."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from model_job import ModelJob
from models import ModelMenu, partial_folder

from reaugkd.errors import ReAugKDError

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier, Task, TeacherOutputs
    from reaugkd.trainer import OnProgress

SHIPPED_TEACHER = "all-mpnet-base-v2, by its shipped outputs"


@dataclass(frozen=True)
class TrainingRequest:
    """A training as one asks for it.

    Parameters
    ----------
    name : str
        Folder of the model, beside the first model's.
    task : str
        ``shoptalk`` or the name of a hub data set; empty where files are given.
    train_file, test_file, unlabelled_file : str
        Tables of one's own, the last of texts that only the teacher labels; empty where there are none.
    text_column, text_pair_column, label_column : str
        Columns of the rows; where the first is empty ``text`` is looked for, in a hub data set ``sentence`` too;
        no pair where the second is empty.
    metric : str
        A key of :data:`reaugkd.metrics.METRICS`, or empty for the task's own.
    positive_label : str
        The class of two whose F1 counts, of the files; the last by letter or number if empty.
    teacher : str
        A pretrained encoder, or :data:`SHIPPED_TEACHER` for shoptalk.
    student : str
        A pretrained encoder.
    student_layers : int
        How many of its first layers are kept.
    epochs : float
        Passes over the train rows; 0 for as many as the task's size asks for.
    seed : int
        Seed of all trainings.
    keep_teacher : bool
        Keep the teacher in the model's folder.
    encoder_key : str
        A pretrained encoder, left untuned, by which the memory is searched too; empty for none.
    """

    name: str
    task: str = ""
    train_file: str = ""
    test_file: str = ""
    unlabelled_file: str = ""
    text_column: str = ""
    text_pair_column: str = ""
    label_column: str = "label"
    metric: str = ""
    positive_label: str = ""
    teacher: str = SHIPPED_TEACHER
    student: str = ""
    student_layers: int = 2
    epochs: float = 0
    seed: int = 0
    keep_teacher: bool = False
    encoder_key: str = ""

    def load(self, say: Callable[[str], object] | None = None) -> "Task":
        """Load the task; a sentence is raised where its files or columns are not right."""
        from reaugkd import load_task
        from reaugkd.sources import load_files

        if self.train_file:
            return load_files(
                self.train_file,
                self.test_file or None,
                text_column=self.text_column or "text",
                text_pair_column=self.text_pair_column or None,
                label_column=self.label_column,
                metric=self.metric or "accuracy",
                positive_label=self.positive_label or None,
                unlabelled=self.unlabelled_file or None,
                say=say,
            )
        if not self.task.strip():
            raise ReAugKDError("There is nothing to train on; name a data set of the hub, or upload a file.")
        return load_task(
            self.task.strip(),
            text_column=self.text_column or None,
            text_pair_column=self.text_pair_column or None,
            label_column=self.label_column,
            metric=self.metric or None,
            unlabelled=self.unlabelled_file or None,
            say=say,
        )

    def train(
        self, folder: str, on_progress: "OnProgress", *, say: Callable[[str], object] | None = None
    ) -> "ReAugKDClassifier":
        """Train the model into a folder, or go on where a training by the same request stopped.

        Parameters
        ----------
        folder : str
            The model's.
        on_progress : callable
            As :func:`reaugkd.train` takes it.
        say : callable, optional
            Is told what makes the scores of the task better, or worse, than one may think.

        Returns
        -------
        ReAugKDClassifier
            The model.

        Raises
        ------
        ReAugKDError
            If the rows, an encoder or a setting are not right.
        """
        from reaugkd import Recipe, train
        from reaugkd.weights import DEFAULT_ENCODER

        if not self.teacher.strip():
            raise ReAugKDError("No teacher is named; choose one, or write the name or the folder of an encoder.")
        outputs = self._shipped_outputs()
        recipe = Recipe(
            teacher=DEFAULT_ENCODER if outputs is not None else self.teacher,
            student=self.student or DEFAULT_ENCODER,
            student_layers=self.student_layers,
            epochs=self.epochs or None,
            seed=self.seed,
            keep_teacher=self.keep_teacher,
            encoder_key=self.encoder_key or None,
        )
        return train(
            self.load(say),
            recipe,
            folder,
            teacher_outputs=outputs,
            replace_unfinished=False,
            on_progress=on_progress,
            say=say,
        )

    def goes_on_with(self, begun: "TrainingRequest") -> bool:
        """Whether the finished stages of another request are this one's too.

        Parameters
        ----------
        begun : TrainingRequest
            What was begun.

        Returns
        -------
        bool
            True where they differ at most in the encoder key and in whether the teacher is kept.
        """
        return replace(self, encoder_key=begun.encoder_key, keep_teacher=begun.keep_teacher) == begun

    def _shipped_outputs(self) -> "TeacherOutputs | None":
        from reaugkd import TeacherOutputs
        from reaugkd.sources import SHOPTALK_TEACHER_OUTPUTS

        if self.teacher != SHIPPED_TEACHER:
            return None
        if self.task != "shoptalk" or self.train_file:
            raise ReAugKDError("The shipped outputs are of shoptalk alone; choose an encoder as teacher.")
        return TeacherOutputs.load(SHOPTALK_TEACHER_OUTPUTS)


class Trainings:
    """Runs one training at a time.

    Parameters
    ----------
    menu : ModelMenu
        Gives the folders of the models.

    Attributes
    ----------
    job : ModelJob or None
        The training that runs or ran last.
    request : TrainingRequest or None
        What it was asked for.
    notes : list of str
        What it told of its texts.
    """

    def __init__(self, menu: ModelMenu) -> None:
        self.menu = menu
        self.notes: list[str] = []
        self.job: ModelJob | None = None
        self.request: TrainingRequest | None = None
        self._begun: dict[str, TrainingRequest] = {}  # by folder: whose the unfinished work in it is
        self._lock = threading.Lock()

    def start(self, request: TrainingRequest) -> None:
        """Start a training, or go on with one that was cancelled.

        Parameters
        ----------
        request : TrainingRequest
            What is asked for.

        Raises
        ------
        ReAugKDError
            If one runs already, the name is taken or none, or what is finished of another training would be lost.
        """
        with self._lock:
            if self.job is not None and self.job.is_running:
                running = self.request.name if self.request else ""
                raise ReAugKDError(f"The training of {running!r} runs; wait until it is done, or cancel it.")
            folder = self.menu.new_folder(request.name)
            self._keep_unfinished(folder, request)
            self.request = request
            self.notes = []
            self.job = ModelJob(str(folder), partial(request.train, say=self.notes.append))
            self.job.start()

    def _keep_unfinished(self, folder: Path, request: TrainingRequest) -> None:
        """Refuse a request that has nothing to do with what is finished under its name.

        Of what an earlier server left, the training itself finds out whether it is of the same task and recipe.
        """
        if not partial_folder(folder).exists():
            self._begun[folder.name] = request
        elif not request.goes_on_with(self._begun.get(folder.name, request)):
            raise ReAugKDError(
                f"The training of {folder.name!r} is unfinished and has other settings; choose another name, or go on "
                "with it."
            )

    def cancel(self) -> None:
        """Stop the training that runs; what is finished stays."""
        if self.job is not None:
            self.job.cancel()

    def resume(self) -> None:
        """Go on with the training that was cancelled or failed."""
        if self.request is not None:
            self.start(self.request)
