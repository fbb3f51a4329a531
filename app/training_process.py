"""A training in a process of its own: answers need not wait for it, and its memory is given back at the end."""

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import reaugkd as rk
from reaugkd.errors import ReAugKDError

if TYPE_CHECKING:
    from reaugkd.networks.trainer import OnProgress

Say = Callable[[str], object]
# A copy of this process would share locks that other threads hold; a new one begins with none, and imports for itself.
_NEW = multiprocessing.get_context("spawn")


def train_shoptalk(folder: str, on_progress: "OnProgress", say: Say) -> "rk.ReAugKDClassifier":
    """Train the shipped task from the shipped teacher outputs, as :data:`app.model_job.Train` says."""
    return train_as_asked({"name": "shoptalk"}, rk.Recipe(), True, folder, on_progress, say)


def train_as_asked(
    rows: dict[str, Any], recipe: "rk.Recipe", by_outputs: bool, folder: str, on_progress: "OnProgress", say: Say
) -> "rk.ReAugKDClassifier":
    """Train what a page asks for, by the shipped outputs or not, or go on where such a training stopped.

    The process is ended where ``on_progress`` raises: what is finished lies whole in the folder.
    """
    reports, theirs = _NEW.Pipe()
    process = _NEW.Process(target=_train, args=(theirs, rows, recipe, by_outputs, folder), daemon=True)
    process.start()
    theirs.close()  # the process has it; so its end is seen here
    try:
        while (told := reports.recv()) is not None:
            if isinstance(told, ReAugKDError):
                raise told
            (say if isinstance(told, str) else on_progress)(told)
            reports.send("heard")
    except (EOFError, ConnectionError):
        process.join()
        raise ReAugKDError(
            f"The process that trains ended with status {process.exitcode}, perhaps for lack of memory; go on with it."
        ) from None
    finally:
        reports.close()
        process.join(10)  # seconds
        process.kill()
        process.join()
    return rk.ReAugKDClassifier.from_pretrained(folder)


def _train(reports: Connection, rows: dict[str, Any], recipe: "rk.Recipe", by_outputs: bool, folder: str) -> None:
    """Train, and send what is to be told: sentences, progress, at last None or why it failed."""
    from reaugkd.tasks.sources import SHOPTALK_TEACHER_OUTPUTS

    def tell(report: object) -> None:
        try:
            reports.send(report)
            reports.recv()  # or it would go on while the page cancels, and what it tells then be lost
        except (EOFError, ConnectionError):  # the page has all that it asked for, cancelled, or is gone
            sys.exit()

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C ends the page, and that ends this
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # give back what the system keeps for it
    load = rk.load_files if "train" in rows else rk.load_task
    try:
        task = load(**rows, say=tell)
        outputs = rk.TeacherOutputs.load(SHOPTALK_TEACHER_OUTPUTS) if by_outputs else None
        rk.train(task, recipe, folder, teacher_outputs=outputs, on_progress=tell, say=tell)
        tell(None)
    except Exception as error:
        tell(ReAugKDError(sentence_of(error)))


def sentence_of(error: Exception) -> str:
    """Say what is wrong; of what should not fail, that it did, and the terminal shows where."""
    if isinstance(error, ReAugKDError):
        return str(error)
    traceback.print_exception(error)
    return f"An unexpected error stopped it ({type(error).__name__}: {error}); the terminal shows where."
