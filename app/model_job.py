"""A model that comes in the background: loaded, or trained first, while every open page watches."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reaugkd as rk
from reaugkd.errors import ReAugKDError

from .computed import import_model
from .training_process import Say, sentence_of

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.model.maps import TrainingEpochs
    from reaugkd.networks.trainer import OnProgress, Progress

CANCELLED = "The training was cancelled."
NICE = 19  # of a training: the least urgent; 0 is usual
Train = Callable[[str, "OnProgress", Say], "rk.ReAugKDClassifier"]
"""Trains a model into a folder, reports progress, and tells in sentences what is remarkable about the texts."""


def adopt_as_asked(
    classifier: str, rows: dict[str, Any], folder: str, on_progress: "OnProgress", say: Say
) -> "rk.ReAugKDClassifier":
    """Give a classifier a memory; half of its test rows choose where there are no validation rows."""
    task = rk.load_files(**rows, say=say)
    return rk.adopt(classifier, task, folder, saw_validation="validation" not in rows, on_progress=on_progress, say=say)


def _extend(curves: dict[str, list[tuple[int, float]]], stage: str, place: int, value: float) -> None:
    """Put a point at the end of a curve; a stage that goes on from a checkpoint comes by its last points again."""
    curves[stage] = [*(point for point in curves.get(stage, []) if point[0] < place), (place, value)]


class ModelJob:
    """Gets a model in a thread of its own; a page may close and open again meanwhile and sees the same state."""

    def __init__(self, folder: str, train: Train | None = None, done: str = "trained") -> None:
        path = Path(folder).expanduser()
        self.folder, self.name, self.train = str(path), path.resolve().name, train
        self.done = done  # what is done to the model, for people
        self.model: rk.ReAugKDClassifier | None = None
        self.is_training = False
        self._start_lock = threading.Lock()
        self._thread = threading.Thread()
        # A training that goes on keeps what was seen of it before.
        self.finished: list[str] = []
        self.losses: dict[str, list[tuple[int, float]]] = {}
        self.scores: dict[str, list[tuple[int, float]]] = {}
        self.epochs: TrainingEpochs | None = None
        self._forget()

    def start(self, *, anew: bool = False) -> None:
        """Start, unless it runs already or the model is there."""
        with self._start_lock:
            if self.model is not None or self.is_running:
                return
            self._forget()
            self._thread = threading.Thread(target=self._run, args=(anew,), name="model", daemon=True)
            self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread works."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Stop at the next report of progress; what is finished stays for the next start."""
        self.is_cancelled = True

    def wait(self) -> None:
        """Wait until the model is there or has failed; a job that was not started is not waited for."""
        if self.is_running:
            self._thread.join()

    def _forget(self) -> None:
        self.is_cancelled = False
        self.error = ""
        self.progress: Progress | None = None
        self.notes: list[str] = []

    def _run(self, anew: bool) -> None:
        try:
            self.model = self._model(anew)
        except Exception as error:  # a page that waits for ever would be worse
            self.error = sentence_of(error)

    def _model(self, anew: bool) -> "rk.ReAugKDClassifier":
        import_model()
        from reaugkd.files import restored
        from reaugkd.model.folder import SETTINGS_FILE

        is_there = (restored(Path(self.folder)) / SETTINGS_FILE).is_file()
        self.is_training = self.train is not None and (anew or not is_there)
        if self.train is not None and self.is_training:
            if sys.platform == "linux":  # what answers goes first; what this thread starts has its priority too
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
            return self.train(self.folder, self._on_progress, self.notes.append)
        return rk.ReAugKDClassifier.from_pretrained(self.folder)

    def _on_progress(self, progress: "Progress") -> None:
        if self.is_cancelled:
            raise ReAugKDError(CANCELLED)
        if progress.epochs is not None:
            self.epochs = progress.epochs
            return
        if progress.epoch is not None and progress.score is not None:
            _extend(self.scores, progress.stage, progress.epoch, progress.score)
            return
        before = progress if self.progress is None else self.progress
        if before.stage not in (progress.stage, *self.finished):
            self.finished.append(before.stage)
        if progress.loss is not None:
            _extend(self.losses, progress.stage, progress.step, progress.loss)
        self.progress = progress
