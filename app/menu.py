"""The menu of models: the server's first one, and all that lie beside it; each is loaded when it is asked for."""

import itertools
import re
from pathlib import Path

import reaugkd as rk
from reaugkd.errors import ReAugKDError, listed, quoted
from reaugkd.files import restore_below

from .computed import cached
from .model_job import ModelJob
from .parts.problem import Problem, shown_above

SETTINGS_FILE = "reaugkd.json"  # as in reaugkd.model.folder, whose import takes seconds
# File systems take 255 bytes, and what lies beside a folder has a longer name.
PLAIN_NAME = re.compile(r"\w[\w .-]{0,59}")


class ModelMenu:
    """Names models, and holds those that were asked for last; other folders are taken from their owner's page only."""

    def __init__(self, job: ModelJob, takes_folders: bool = True) -> None:
        self.job, self.takes_folders = job, takes_folders
        self.root, self.first = Path(job.folder).resolve().parent, job.name
        self._loaded = cached(3)(lambda name: rk.ReAugKDClassifier.from_pretrained(self.root / name))

    def names(self) -> list[str]:
        """Return the names of all models, the first one first, then the newest first."""
        restore_below(self.root)
        found = [path.parent for path in self.root.glob(f"*/{SETTINGS_FILE}") if not path.parent.name.startswith(".")]
        found.sort(key=lambda folder: (-(folder / SETTINGS_FILE).stat().st_mtime, folder.name))
        return [self.first, *(folder.name for folder in found if folder.name != self.first)]

    def free_name(self, base: str) -> str:
        """Return a name that no model and no unfinished training has: the base, or one with the first free number."""
        names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
        return next(name for name in names if not any((self.root / (name + end)).exists() for end in ("", ".partial")))

    def new_folder(self, name: str) -> Path:
        """Return the folder for a new model of a name that a person wrote."""
        plain = name.strip()
        if not PLAIN_NAME.fullmatch(plain):
            raise ReAugKDError(f"{quoted(plain)} is no name for a model; write a plain word of up to 60 letters.")
        if (self.root / plain).exists():
            raise ReAugKDError(f"A model of the name {quoted(plain)} is there already; choose another name.")
        return self.root / plain

    def check_pretrained(self, *names: str) -> None:
        """Refuse a folder of the server where others than its owner use the page."""
        from reaugkd.networks.weights import is_hub_name

        for name in names:
            repository, _, part = name.partition(":")  # as in glue:rte
            on_hub = is_hub_name(repository) and not set(part) & set("/\\") and not Path(repository).exists()
            if not self.takes_folders and not on_hub:
                raise ReAugKDError(
                    f"{name[:99]!r} is no name on the hub, and this page takes no folders of the server; "
                    "name it as owner/name, or use the command line."
                )

    def shown_folder(self, name: str) -> str:
        """Return a model's folder as one would type it: from here, if it lies below."""
        folder, here = self.root / name, Path.cwd()
        return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)

    def megabytes(self, name: str) -> float:
        """Return the size of what answers, a model's folder without a teacher that was kept."""
        folder = self.root / name
        kept = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "teacher")
        return sum(path.stat().st_size for path in kept if path.is_file()) / 1e6

    def get(self, name: str | None) -> "rk.ReAugKDClassifier":
        """Return a model, loaded if it is not."""
        if name in (None, "", self.first):
            if self.job.model is None:
                raise Problem(self.job.error or "The model is not there yet; ask again when the page shows it.")
            return self.job.model
        if name not in self.names():
            raise Problem(f"There is no model {quoted(name)}; there are: {listed(self.names())}.")
        with shown_above():
            return self._loaded(name)
