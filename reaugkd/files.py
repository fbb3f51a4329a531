"""Files that people name: paths are expanded, text is decoded, errors become messages, matrices become columns."""

import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, kind_of, quoted, reason

# A cell that a spreadsheet would compute, also if it is quoted already; a number is none.
COMPUTED = re.compile(r"'*(?![-+]?[\d.]+(?:[eE][-+]?\d+)?\Z)[=+\-@\t\r\n＝＋－＠]")
SEAL = "sha256_of_this_file"
FULL = ("No space left", "os error 28")
UNTOLD = ("inline_container", "iostream error")  # torch does not say why it could not write
ALMOST_FULL = 2**20  # bytes
_OLD = ".old-"


def as_path(path: str | Path) -> Path:
    """Return a path with ``~`` expanded; refuse what is no path, or none that this machine can have."""
    if not isinstance(path, str | Path):
        raise ReAugKDError(f"A file or folder is named by its path, not by {kind_of(path)}; give text.")
    try:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            Path(path).expanduser().stat()
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a zero byte, an unknown user
        why = error.strerror if isinstance(error, OSError) else reason(error)
        raise ReAugKDError(f"There can be no file or folder {quoted(path)} ({why}); check the path.") from error
    return Path(path).expanduser()


def find_file(path: str | Path) -> Path:
    """Return the path of a file, with ``~`` expanded; refuse what is no path, and a file that is not there."""
    path = as_path(path)
    if not path.is_file():
        raise ReAugKDError(f"There is no file {str(path)!r}; check the path.")
    return path


def read_text_file(path: str | Path) -> str:
    """Read a text in UTF-8, without a byte order mark; refuse a file that is missing or in another encoding."""
    path = find_file(path)
    try:
        with explain_disk_errors(path):
            return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReAugKDError(f"{str(path)!r} is not written in UTF-8; save it as a text in UTF-8.") from error


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Read a file of JSON Lines; numbers stay as they are written, and a line that is no object is refused."""
    rows = []
    for number, line in enumerate(read_text_file(path).split("\n"), start=1):  # splitlines would cut at U+2028
        if line.strip():
            try:
                row = json.loads(line, object_pairs_hook=_each_name_once)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise ReAugKDError(
                    f"Line {number} of {str(path)!r} is no JSON object; write one whole object, {{...}}, on each line."
                )
            rows.append(row)
    return rows


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write texts as CSV, a quote before what a spreadsheet would compute; :func:`without_quotes` takes it away."""
    safe = _each_text(table, lambda text: f"'{text}" if COMPUTED.match(text) else text)
    safe.to_csv(path, index=False, lineterminator="\r\n")  # with these ends, a text that holds either is quoted


def without_quotes(table: pd.DataFrame) -> pd.DataFrame:
    """Take away the quotes of :func:`write_csv`, where every text that a spreadsheet would compute has one."""
    columns = [*(table.iloc[:, number] for number in range(table.shape[1])), table.columns.to_series().astype(str)]
    if not any(column.str.startswith("'").any() for column in columns):  # by far the most files
        return table
    texts = (cell for column in columns for cell in column if isinstance(cell, str))
    have_quotes = {text.startswith("'") for text in texts if COMPUTED.match(text)}
    return _each_text(table, lambda text: text[COMPUTED.match(text) is not None :]) if have_quotes == {True} else table


def _each_text(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Change every text of a table, and the names of its columns."""

    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, str) else value

    texts = table.apply(lambda column: column if pd.api.types.is_numeric_dtype(column) else column.map(changed))
    return texts.rename(columns=changed)


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that has a name twice: the last would count alone."""
    if len(found := dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise ReAugKDError(f"A line names {quoted(max(names, key=names.count))} twice; keep one of them.")
    return found


def check_writable(path: str | Path) -> None:
    """Refuse a place where nothing may be written, before any work; folders above it may be missing."""
    path = as_path(path)
    above = next((folder for folder in path.absolute().parents if folder.exists()), path)
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "is read-only" if above.is_dir() else "is a file"
        raise ReAugKDError(f"{str(path)!r} cannot be written, since {str(above)!r} {why}; name another place.")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; say where none can be."""
    try:
        with explain_disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReAugKDError(f"The folder {str(folder)!r} cannot be made ({error.strerror}); name another.") from error


def whole_file(path: str | Path) -> AbstractContextManager[Path]:
    """Give where to write a file, which replaces the old one when it is whole; after an error the old one stays."""
    path = as_path(path)
    if path.is_dir():
        raise ReAugKDError(f"{str(path)!r} is a folder; name a file.")
    return _whole(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, which takes the place of the old one when it is whole, as :func:`whole_file`."""
    with _whole(path) as writing:
        writing.mkdir()
        yield writing


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Yield a place beside a path; what is written there reaches the disk, and only then takes the place of the path.

    The names are fixed, and one process at a time uses them: so the next write removes what a killed one has left.
    """
    writing = _writing(path)
    make_folder(path.parent)
    with explain_disk_errors(path), alone(writing):
        _restore(path)
        try:
            _remove(writing)
            yield writing
            sync(writing)
            _put_in_place(writing, path)
            sync(path.parent, below=False)
        finally:
            _remove(writing)


@contextmanager
def alone(path: Path, timeout: float | None = None) -> Iterator[None]:
    """Wait until no other process, and no other thread, works on a path; a :class:`TimeoutError` ends the waiting."""
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # public, but not marked as such

    lock = path.with_name(f"{path.name}.lock")
    with WeakFileLock(lock, timeout=timeout):
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no file that is open
                lock.unlink()


def sync(path: Path, *, below: bool = True) -> None:
    """Wait until a file, or a folder and all that is below it, is on the disk."""
    if os.name != "posix" or path.is_symlink():  # Windows opens no folder
        return
    if below and path.is_dir():
        for part in path.iterdir():
            sync(part)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network drives sync files, and no folders
            raise
    finally:
        os.close(descriptor)


def restored(path: Path) -> Path:
    """Return a path; the folder is back that was moved away when a process was killed as it put a new one there."""
    if _old(path).exists() and not path.exists():
        with alone(_writing(path)):  # the process that moves it may be alive
            _restore(path)
    return path


def restore_below(folder: Path) -> None:
    """Put back every folder of a folder that :func:`restored` would."""
    for old in folder.glob(f"{_OLD}*"):
        restored(folder / old.name.removeprefix(_OLD))


def _restore(path: Path) -> None:
    if path.exists():
        _remove(_old(path))
    elif _old(path).exists():
        _old(path).rename(path)


def _writing(path: Path) -> Path:
    return path.parent / f".writing-{path.name}"


def _old(path: Path) -> Path:
    return path.parent / (_OLD + path.name)  # of "." too, which has no name


def _put_in_place(new: Path, path: Path) -> None:
    """Let a file or folder take the place of the old one, which is then where the new one was, if it was a folder."""
    if not (new.is_dir() and path.exists()):
        new.replace(path)
    elif not _swapped(new, path):  # no system but Linux, and no network drive, swaps two folders at once
        path.rename(_old(path))
        try:
            new.rename(path)
        except BaseException:
            _restore(path)
            raise
        _old(path).rename(new)  # it goes when the new one is on the disk


def _swapped(first: Path, second: Path) -> bool:
    """Let two folders change places in one step, and return whether the system could."""
    if sys.platform != "linux":
        return False
    swap = getattr(ctypes.CDLL(None), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE
    return swap is not None and swap(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0


def remove_at_once(folder: Path) -> None:
    """Remove a folder that is never seen half removed; what a killed process leaves of it goes with the next one."""
    gone = folder.with_name(f".gone-{folder.name}")
    _remove(gone)
    folder.rename(gone)
    _remove(gone)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def explain_disk_errors(path: str | Path) -> Iterator[None]:
    """Turn the errors of a full disk and of missing permissions into one sentence."""
    try:
        yield
    except Exception as error:  # safetensors and pyarrow raise kinds of their own
        number = error.errno if isinstance(error, OSError) else None
        is_said, is_of_torch = (any(words in str(error) for words in sentences) for sentences in (FULL, UNTOLD))
        if number in (errno.ENOSPC, errno.EDQUOT) or is_said or (is_of_torch and _is_full(path)):
            raise ReAugKDError(
                f"The disk is full while writing {str(path)!r}; free some space and run the same command again."
            ) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            named = getattr(error, "filename", None) or path
            raise ReAugKDError(f"{str(named)!r} may not be read or written; change its permissions.") from error
        raise


def _is_full(path: str | Path) -> bool:
    """Return whether next to nothing is free where a path lies."""
    path = Path(path).absolute()
    return shutil.disk_usage(next(place for place in (path, *path.parents) if place.exists())).free < ALMOST_FULL


def sha256_of(path: Path) -> str:
    """Return the SHA-256 sum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sealed(content: dict[str, Any], path: Path) -> None:
    """Write JSON with the SHA-256 sum of its own text as it is while the sum is empty, so that a changed byte shows."""
    path.write_bytes(_sealed_text(content, hashlib.sha256(_sealed_text(content, "")).hexdigest()))


def read_sealed(path: Path) -> tuple[dict[str, Any], bool | None]:
    """Read what :func:`write_sealed` wrote, and whether it is as it was written; None where it never had a sum."""
    text = path.read_bytes()
    try:
        content: dict[str, Any] = json.loads(text)
        seal = content.pop(SEAL, None)
    except (ValueError, TypeError, AttributeError):  # no JSON, or no object
        return {}, False
    if seal is None:
        return content, None
    return content, hashlib.sha256(text.replace(str(seal).encode(), b"", 1)).hexdigest() == seal


def _sealed_text(content: dict[str, Any], seal: str) -> bytes:
    return (json.dumps({**content, SEAL: seal}, indent=2, ensure_ascii=False) + "\n").encode()


def matrix_column(matrix: NDArray[Any]) -> pa.FixedSizeListArray:
    """Return a matrix (N, d) as a column with a list of fixed size in each row."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).ravel()), matrix.shape[1])


def column_matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return such a column as a matrix (N, d) of the column's type."""
    array = column.combine_chunks()
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)
