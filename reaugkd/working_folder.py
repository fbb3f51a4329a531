"""Where an interrupted training goes on: finished stages lie in folders named after all that decides about them."""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import PartialState
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # public, but not marked as such
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.files import explain_disk_errors
from reaugkd.method.teacher import TeacherOutputs
from reaugkd.tasks.task import SPLITS, Task

if TYPE_CHECKING:
    from reaugkd.recipe import Recipe

SECONDS_FOR_LOCK = 0.2
TEACHER, STUDENTS = "teacher-", "students-"  # so begin the names of the folders in which stages lie


def teacher_stages(task: Task, recipe: "Recipe") -> str:
    """Return the name of the folder of the teacher's stages; other settings of the students leave it as it is."""
    settings = asdict(recipe)
    kept = {name: settings[name] for name in ("teacher", "teacher_training", "max_length")}
    return TEACHER + _digest(task, kept, task.labels("train"))


def student_stages(task: Task, recipe: "Recipe", outputs: TeacherOutputs | None) -> str:
    """Return the name of the folder of the students' stages.

    None of them depends on the encoder key, or on whether the teacher goes into the model: these may change.

    Parameters
    ----------
    task : Task
        The task.
    recipe : Recipe
        Filled in for the task.
    outputs : TeacherOutputs or None
        Of a teacher that was trained before.

    Returns
    -------
    str
        Another one wherever the students would be others.
    """
    kept = asdict(replace(recipe, encoder_key=None, encoder_key_layers=None, keep_teacher=False))
    arrays = [task.labels("train"), task.labels("validation")]  # the validation labels calibrate the soft labels
    given = [] if outputs is None else [outputs.soft_labels, outputs.hidden]
    return STUDENTS + _digest(task, kept, *arrays, *given)


def model_digest(task: Task, recipe: "Recipe", outputs: TeacherOutputs | None) -> str:
    """Return a name for the model of a task and a recipe that is filled in; each version of the library has its own."""
    given = [] if outputs is None else [outputs.soft_labels, outputs.hidden]
    arrays = [task.labels(split) for split in SPLITS]
    return _digest(task, asdict(recipe) | {"version": version("reaugkd")}, *arrays, *given)


def _digest(task: Task, settings: Mapping[str, Any], *arrays: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{task.fingerprint()}\n{json.dumps(settings, default=str)}".encode())
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse to work in a folder in which another process works."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    with ExitStack() as held:
        try:
            held.enter_context(WeakFileLock(path, timeout=SECONDS_FOR_LOCK))
        except TimeoutError as error:
            raise ReAugKDError(
                f"Another training works in {str(folder)!r}; wait until it is done, or name another place for this one."
            ) from error
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no file that is open
                path.unlink()


@contextmanager
def working_folder(folder: Path, *stages: str) -> Iterator[list[Path]]:
    """Keep finished stages until all is done; then remove them, and those of other settings beside them.

    Under ``accelerate launch`` every process goes through the same stages, and only the main one writes.

    Parameters
    ----------
    folder : Path
        The working folder.
    *stages : str
        Names by :func:`teacher_stages` or :func:`student_stages`.

    Yields
    ------
    list of Path
        A folder for each, with what an interrupted training left there.

    Raises
    ------
    ReAugKDError
        If the folder holds other things, another training works there, or the disk is full.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if folder.is_file() or not all(name.startswith((TEACHER, STUDENTS)) for name in names):
        raise ReAugKDError(f"The folder {str(folder)!r} is needed for unfinished work but holds other things; move it.")
    processes = PartialState()
    processes.wait_for_everyone()
    paths = [folder / name for name in stages]
    with _alone(folder) if processes.is_main_process else nullcontext(), explain_disk_errors(folder):
        for path in paths:
            path.mkdir(parents=True, exist_ok=True)
        yield paths
        processes.wait_for_everyone()
        if processes.is_main_process:
            try:
                with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
                    folder.rename(
                        Path(scratch) / "done"
                    )  # at once: stages that are half removed would count as finished
            except OSError as error:  # Windows holds files that are still in use
                warnings.warn(
                    f"All is finished, but its working folder {str(folder)!r} cannot be removed ({error}); delete it.",
                    stacklevel=2,
                )
