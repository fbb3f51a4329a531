"""Files and folders that people name: the one place where paths are expanded, text is decoded, and errors get words."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reaugkd.errors import ReAugKDError


def read_text_file(path: str | Path) -> str:
    """Read a text that a person has written.

    Parameters
    ----------
    path : str or Path
        The file; ``~`` is the home folder.

    Returns
    -------
    str
        What it holds, without the mark that some editors put before UTF-8.

    Raises
    ------
    ReAugKDError
        If it is missing, may not be read, or is not written in UTF-8.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ReAugKDError(f"There is no file {str(path)!r}; check the path.")
    try:
        with disk_errors_as_sentence(path):
            return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReAugKDError(f"{str(path)!r} is not written in UTF-8; save it as a text in UTF-8.") from error


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Read a file of JSON Lines, an object on each line; numbers stay as they are written.

    Parameters
    ----------
    path : str or Path
        The file, as :func:`read_text_file` takes it.

    Returns
    -------
    list of dict
        The objects; lines without anything are passed over.

    Raises
    ------
    ReAugKDError
        As :func:`read_text_file` does, and if a line is no JSON object.
    """
    rows = []
    for number, line in enumerate(read_text_file(path).split("\n"), start=1):  # splitlines would cut at U+2028
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise ReAugKDError(
                    f"Line {number} of {str(path)!r} is no JSON object; write one whole object, {{...}}, on each line."
                )
            rows.append(row)
    return rows


def check_writable(path: str | Path) -> None:
    """Refuse a place in which nothing may be written, before work is done for it.

    Parameters
    ----------
    path : str or Path
        A file or folder that shall be written; it and the folders above it may be missing.

    Raises
    ------
    ReAugKDError
        If the nearest folder above it that is there may not be written in, or is a file.
    """
    path = Path(path)
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "lets nobody write" if above.is_dir() else "is a file"
        raise ReAugKDError(f"{str(path)!r} cannot be written, since {str(above)!r} {why}; name another place.")


@contextmanager
def disk_errors_as_sentence(path: str | Path) -> Iterator[None]:
    """Turn the several errors by which a full disk shows, and those of missing rights, into one sentence.

    Parameters
    ----------
    path : str or Path
        What is written or read.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    ReAugKDError
        If the disk is full, or a file may not be read or written.
    """
    try:
        yield
    except Exception as error:  # safetensors and pyarrow raise kinds of their own
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error) or "os error 28" in str(error):
            raise ReAugKDError(
                f"The disk is full while writing {str(path)!r}; free some space and run the same command again."
            ) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            named = getattr(error, "filename", None) or path
            raise ReAugKDError(f"{str(named)!r} may not be read or written; change its permissions.") from error
        raise
