"""The server's one model: loaded in the background, or trained first, while every open page watches."""

import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from reaugkd.errors import ReAugKDError

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
    from reaugkd.epochs import TrainingEpochs
    from reaugkd.trainer import OnProgress, Progress

Train = Callable[[str, "OnProgress"], "ReAugKDClassifier"]


def train_shoptalk(folder: str, on_progress: "OnProgress") -> "ReAugKDClassifier":
    """Train the shipped task from the shipped teacher outputs.

    Parameters
    ----------
    folder : str
        Where the model goes.
    on_progress : callable
        Is told of the progress.

    Returns
    -------
    ReAugKDClassifier
        The trained model.
    """
    from reaugkd import Recipe, TeacherOutputs, load_task, train
    from reaugkd.sources import SHOPTALK_TEACHER_OUTPUTS

    outputs = TeacherOutputs.load(SHOPTALK_TEACHER_OUTPUTS)
    return train(load_task("shoptalk"), Recipe(), folder, teacher_outputs=outputs, on_progress=on_progress)


class ModelJob:
    """Gets the model in a thread of its own; a page may close and open again meanwhile and sees the same state.

    Parameters
    ----------
    folder : str
        The model's folder.
    train : callable, optional
        Trains a model into the folder if it holds none; without it that is an error.

    Attributes
    ----------
    model : ReAugKDClassifier or None
        The model, once it is there.
    error : str
        One sentence if there is none to come, else empty.
    is_training : bool
        Whether it is trained rather than loaded.
    progress : Progress or None
        What is being done.
    finished : list of str
        Stages that are done.
    losses : dict of str to list of (step, loss)
        Training losses by stage.
    epochs : TrainingEpochs or None
        Where watched texts lie after each epoch so far.
    is_awaited : Event
        Set when a page that waits for the model has been drawn.
    """

    def __init__(self, folder: str, train: Train | None = None) -> None:
        self.folder, self.train = folder, train
        self.model: ReAugKDClassifier | None = None
        self.is_training = False
        self._start_lock = threading.Lock()
        self._cancelled, self.is_awaited = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._forget()

    def start(self, *, anew: bool = False) -> None:
        """Start, unless it runs already or the model is there.

        Parameters
        ----------
        anew : bool
            Train even if the folder holds a model, which may be a damaged one.
        """
        with self._start_lock:
            if self.model is not None or self.is_running:
                return
            self._forget()
            self._cancelled.clear()
            self._thread = threading.Thread(target=self._run, args=(anew,), name="model", daemon=True)
            self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread works."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop at the next report of progress; what is finished stays for the next start."""
        self._cancelled.set()

    def wait(self) -> None:
        """Wait until the model is there or has failed."""
        if self._thread is not None:
            self._thread.join()

    def _forget(self) -> None:
        self.error = ""
        self.progress: Progress | None = None
        self.finished: list[str] = []
        self.losses: dict[str, list[tuple[int, float]]] = {}
        self.epochs: TrainingEpochs | None = None

    def _run(self, anew: bool) -> None:
        try:
            self.model = self._model(anew)
        except ReAugKDError as error:
            self.error = str(error)
        except Exception as error:  # a page that waits for ever would be worse
            traceback.print_exc()
            self.error = f"An unexpected error stopped it ({type(error).__name__}: {error}); the terminal shows where."

    def _model(self, anew: bool) -> "ReAugKDClassifier":
        from reaugkd import ReAugKDClassifier
        from reaugkd.model_folder import SETTINGS_FILE

        self.is_training = self.train is not None and (anew or not (Path(self.folder) / SETTINGS_FILE).is_file())
        if self.train is not None and self.is_training:
            return self.train(self.folder, self._on_progress)
        return ReAugKDClassifier.from_pretrained(self.folder)

    def _on_progress(self, progress: "Progress") -> None:
        if self.is_cancelled:
            raise ReAugKDError("The training was cancelled; start it again with the same settings and it goes on.")
        if progress.epochs is not None:
            self.epochs = progress.epochs
            return
        if self.progress is not None and self.progress.stage != progress.stage:
            self.finished.append(self.progress.stage)
        if progress.steps:
            losses = self.losses.setdefault(progress.stage, [])
            if progress.loss is not None:
                losses.append((progress.step, progress.loss))
        self.progress = progress
