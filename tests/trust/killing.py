"""Processes that are killed by SIGKILL: at a step of writing that one names, or after a time."""

import builtins
import functools
import io
import os
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import faiss
import pyarrow.parquet as pq
import safetensors.numpy
import safetensors.torch
import torch

from reaugkd import files

# Whatever changes a disk: the calls of the system, and those of libraries that write by code of their own.
STEPS = [
    *((os, name) for name in ("fsync", "rename", "replace", "mkdir", "unlink", "remove", "rmdir", "open")),
    *((module, "open") for module in (builtins, io)),
    *((Path, name) for name in ("write_text", "write_bytes", "touch")),
    *((module, "serialize_file") for module in (safetensors.torch, safetensors.numpy)),
    (torch, "save"),
    (pq, "write_table"),
    (faiss, "write_index"),
    (files, "_swapped"),
]
_OPEN_FILES = Path("/proc/self/fd")
LONGEST = 120  # seconds; a child that takes longer hangs


def child(work: Callable[[], object], seconds: float = LONGEST) -> bool:
    """Do some work in a forked process, killed after some seconds at the latest; return whether it was killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork while threads wait, which hold nothing here
        number = os.fork()
    if not number:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)
    end, ended = time.monotonic() + seconds, (0, 0)
    while not ended[0] and time.monotonic() < end:
        time.sleep(0.002)
        ended = os.waitpid(number, os.WNOHANG)
    if not ended[0]:
        assert seconds < LONGEST, "it hangs"
        os.kill(number, signal.SIGKILL)
        ended = os.waitpid(number, 0)
    was_killed = os.WIFSIGNALED(ended[1])
    assert ended[1] == 0 or (was_killed and os.WTERMSIG(ended[1]) == signal.SIGKILL), "it failed, by the error above"
    return was_killed


def before_steps(folder: Path, at: Callable[[str], None]) -> None:
    """From now on in this process, call ``at`` with the name of each step below a folder before it, after the last."""
    for owner, name in STEPS:
        _watch(owner, name, folder, at)


def _watch(owner: Any, name: str, folder: Path, at: Callable[[str], None]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def watched(*arguments: Any, **options: Any) -> Any:
        places = [place for place in _places(arguments, options) if place.startswith(f"{folder}{os.sep}")]
        reads = name == "open" and not _writes(owner, arguments, options)
        if not places or reads:
            return original(*arguments, **options)
        digested = re.sub("[0-9a-f]*[0-9][0-9a-f]*", "#", places[0].removeprefix(str(folder)))
        at(f"{name} {digested}")
        return original(*arguments, **options)

    setattr(owner, name, watched)


def _writes(owner: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    mode = arguments[1] if len(arguments) > 1 else options.get("mode", "r")
    return bool(mode & (os.O_WRONLY | os.O_RDWR)) if owner is os else any(letter in mode for letter in "wax+")


def _places(arguments: tuple[Any, ...], options: dict[str, Any]) -> Iterator[str]:
    """Return the absolute paths among the arguments of a call; a file that is open is named by its number."""
    above = Path() if options.get("dir_fd") is None else _OPEN_FILES.joinpath(str(options["dir_fd"])).readlink()
    for argument in (*arguments, *options.values()):
        if isinstance(argument, str | Path):
            yield str(above / argument)
        elif isinstance(argument, int) and not isinstance(argument, bool):
            with suppress(OSError):
                yield str(_OPEN_FILES.joinpath(str(argument)).readlink())


def kill_at(folder: Path, number: int) -> None:
    """Kill this process before the step of this number, which is after the one before it."""
    left = iter(range(number - 1))

    def at(_: str) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    before_steps(folder, at)


def kill_at_new(folder: Path, seen: Path, is_chosen: Callable[[str], bool]) -> None:
    """Kill this process at the first step of a name that is not in a file yet, where it is written."""
    known = set(seen.read_text().splitlines()) if seen.exists() else set()

    def at(step: str) -> None:
        if step not in known and is_chosen(step):
            with seen.open("a") as lines:
                lines.write(f"{step}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    before_steps(folder, at)
