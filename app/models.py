"""The menu of models: the server's first one, and all that lie beside it; each is loaded when it is asked for."""

import itertools
import re
import threading
from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import gradio as gr

from reaugkd.errors import ReAugKDError

from .model_job import ModelJob

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
    from reaugkd.method.answers import Answers, EncodedTexts

# How a listener asks the model: one question at a time, not offered to programs, and nothing fades meanwhile.
ASKING: dict[str, Any] = {
    "concurrency_id": "model",
    "concurrency_limit": 1,
    "api_visibility": "private",
    "show_progress": "hidden",
    "show_progress_on": [],  # else the page copies all that every output holds, before it asks and after
}
LATEST: dict[str, Any] = {**ASKING, "trigger_mode": "always_last"}  # of several quick ones the last counts
EACH: dict[str, Any] = {**ASKING, "trigger_mode": "multiple"}  # of several quick ones none is lost
AT_ONCE: dict[str, Any] = ASKING | {"concurrency_id": None, "concurrency_limit": None}  # it waits for nobody
SETTINGS_FILE = "reaugkd.json"  # as in reaugkd.model.folder, whose import takes seconds
LOADED = 3
# File systems take 255 bytes, and what lies beside a folder has a longer name.
PLAIN_NAME = re.compile(r"\w[\w .-]{0,59}")
SPLITS = ["test", "validation"]
R = TypeVar("R")


def kept(count: int) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Keep a function's last results; a caller waits only for the result that it asks for.

    Parameters
    ----------
    count : int
        How many results stay.

    Returns
    -------
    callable
        A decorator; the function's arguments must be hashable.
    """

    def keep(function: Callable[..., R]) -> Callable[..., R]:
        lock = threading.Lock()  # of the places alone: what is there is not kept waiting by another that is made

        @lru_cache(maxsize=count)
        def place(*_: Hashable) -> tuple[threading.Lock, list[R]]:
            return threading.Lock(), []

        @wraps(function)
        def call(*args: Hashable) -> R:
            with lock:
                own_lock, made = place(*args)
            with own_lock:
                if not made:
                    made.append(function(*args))
            return made[0]

        return call

    return keep


@kept(1)
def import_analysis() -> None:
    """Import what Query does not need, once, while other threads wait.

    scikit-learn's parts import one another: two threads that begin at different ends, such as the maps and a page that
    a link opens, would wait for one another.
    """
    from reaugkd.analysis import comparison, error_analysis, memory_audit  # noqa: F401

    from . import exercises  # noqa: F401
    from .parts import map_points  # noqa: F401


@kept(4)
def encoded_rows(model: "ReAugKDClassifier", split: str) -> "EncodedTexts":
    """Run the student over a split of the model's evaluation rows, once; the last four stay."""
    return model.encode_rows(model.held_out([split]))


def answered_rows(model: "ReAugKDClassifier", split: str) -> "Answers":
    """Answer a split of the model's evaluation rows as was chosen in training."""
    return model.answer(encoded_rows(model, split))


class ModelMenu:
    """Names models, and keeps those that were asked for last.

    Parameters
    ----------
    job : ModelJob
        Gets the first model; the others are the folders beside its folder that hold one.
    """

    def __init__(self, job: ModelJob) -> None:
        self.job = job
        self.root, self.first = Path(job.folder).resolve().parent, job.name
        self._loaded = kept(LOADED)(self._load)

    def names(self) -> list[str]:
        """Return the names of all models, the first one first, then the newest first."""
        found = [path.parent for path in self.root.glob(f"*/{SETTINGS_FILE}") if not path.parent.name.startswith(".")]
        found.sort(key=lambda folder: (-(folder / SETTINGS_FILE).stat().st_mtime, folder.name))
        return [self.first, *(folder.name for folder in found if folder.name != self.first)]

    def free_name(self, base: str) -> str:
        """Return a name that no model and no unfinished training has: the base, or one with the first free number."""
        names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
        return next(
            name for name in names if not any((self.root / f"{name}{end}").exists() for end in ("", ".partial"))
        )

    def new_folder(self, name: str) -> Path:
        """Return the folder for a new model of a name that somebody wrote.

        Parameters
        ----------
        name : str
            The name; space around it goes.

        Returns
        -------
        Path
            A folder beside the others that is not there yet.

        Raises
        ------
        ReAugKDError
            If it is no plain name of a folder, or is taken.
        """
        plain = name.strip()
        if not PLAIN_NAME.fullmatch(plain):
            raise ReAugKDError(f"{plain[:40]!r} is no name for a model; write a plain word of up to 60 letters.")
        if (self.root / plain).exists():
            raise ReAugKDError(f"A model of the name {plain!r} is there already; choose another name.")
        return self.root / plain

    def shown_folder(self, name: str) -> str:
        """Return a model's folder as one would type it: from here, if it lies below."""
        folder, here = self.root / name, Path.cwd()
        return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)

    def get(self, name: str | None) -> "ReAugKDClassifier":
        """Return a model, loaded if it is not.

        Parameters
        ----------
        name : str, optional
            One of :meth:`names`; the first one if left out.

        Returns
        -------
        ReAugKDClassifier
            The model.

        Raises
        ------
        gr.Error
            If there is no such model, it is damaged, or the first one is not there yet.
        """
        if name in (None, "", self.first):
            if self.job.model is None:
                raise gr.Error(self.job.error or "The model is not there yet; ask again when the page shows it.")
            return self.job.model
        if name not in self.names():
            raise gr.Error(f"There is no model {name!r}; there are: {', '.join(self.names())}.")
        return self._loaded(name)

    def _load(self, name: str) -> "ReAugKDClassifier":
        from reaugkd import ReAugKDClassifier

        try:
            return ReAugKDClassifier.from_pretrained(self.root / name)
        except ReAugKDError as error:
            raise gr.Error(str(error)) from error
