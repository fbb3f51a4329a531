"""The menu of models: the server's first one, and all that lie beside it; each is loaded when it is asked for."""

import importlib
import itertools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import gradio as gr
from model_job import ModelJob

from reaugkd.errors import ReAugKDError

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
    from reaugkd.answers import Answers, EncodedTexts

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
SETTINGS_FILE = "reaugkd.json"  # as in reaugkd.model_folder, whose import takes seconds
LOADED = 3
LONGEST_NAME = 200  # bytes: file systems take 255, and what lies beside a folder has a longer name
LONGEST_SHOWN = 40  # characters of a name in a sentence
SPLITS = ["test", "validation"]
R = TypeVar("R")


def partial_folder(folder: Path) -> Path:
    """Return where a training of a model keeps what is finished, until the model is whole."""
    return folder.with_name(folder.name + ".partial")


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
        lock = threading.Lock()  # of the table alone: what is there is not kept waiting by another that is made
        made: OrderedDict[tuple[Hashable, ...], Future[R]] = OrderedDict()

        def make(args: tuple[Hashable, ...], result: "Future[R]") -> None:
            try:
                result.set_result(function(*args))
            except BaseException as error:  # callers that wait are told too, and later ones try anew
                with lock:
                    del made[args]
                result.set_exception(error)
                return
            with lock:
                for old in [key for key, one in made.items() if one.done()][:-count]:
                    del made[old]

        @wraps(function)
        def call(*args: Hashable) -> R:
            with lock:
                is_new = args not in made
                result = made.setdefault(args, Future())
                made.move_to_end(args)
            if is_new:
                make(args, result)
            return result.result()

        return call

    return keep


@kept(1)
def import_analysis() -> None:
    """Import what Query does not need, once, while other threads wait.

    scikit-learn's parts import one another: two threads that begin at different ends, such as the maps and a page that
    a link opens, would wait for one another.
    """
    for name in ("comparison", "error_analysis", "exercises", "map_points", "memory_audit"):
        importlib.import_module(f"reaugkd.{name}")


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
        self.root = Path(job.folder).resolve().parent
        self.first = Path(job.folder).resolve().name
        self._loaded = kept(LOADED)(self._load)

    def names(self) -> list[str]:
        """Return the names of all models, the first one first, then the newest first."""
        found = [path.parent for path in self.root.glob(f"*/{SETTINGS_FILE}") if not path.parent.name.startswith(".")]
        found.sort(key=lambda folder: (-(folder / SETTINGS_FILE).stat().st_mtime, folder.name))
        return [self.first, *(folder.name for folder in found if folder.name != self.first)]

    def folder(self, name: str) -> Path:
        """Return a model's folder."""
        return self.root / name

    def free_name(self, base: str) -> str:
        """Return a name that no model and no unfinished training has: the base, or one with the first free number."""
        names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
        folders = map(self.folder, names)
        return next(path.name for path in folders if not path.exists() and not partial_folder(path).exists())

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
            If it is no plain name of a folder, is too long, or is taken.
        """
        plain = name.strip()
        shown = repr(plain if len(plain) <= LONGEST_SHOWN else f"{plain[:LONGEST_SHOWN]}…")
        # A path of several parts would leave the folder of the models; what does not print no file system need take.
        if not plain or plain.startswith(("-", ".")) or not plain.isprintable() or {"/", "\\"} & set(plain):
            raise ReAugKDError(f"{shown} is no name for a model; write a plain word.")
        if len(os.fsencode(plain)) > LONGEST_NAME:
            raise ReAugKDError(f"{shown} is too long for a model's name; write a shorter one.")
        folder = self.folder(plain)
        if folder.exists():
            raise ReAugKDError(f"A model of the name {shown} is there already; choose another name.")
        return folder

    def shown_folder(self, name: str) -> str:
        """Return a model's folder as one would type it: from here, if it lies below, or else as it was given."""
        given, here = Path(self.job.folder), Path.cwd()
        beside = (given.parent if given.name == self.first else self.root) / name
        return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)

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
            return ReAugKDClassifier.from_pretrained(self.folder(name))
        except ReAugKDError as error:
            raise gr.Error(str(error)) from error
