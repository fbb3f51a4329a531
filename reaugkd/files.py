"""Files that people name: paths are expanded, text is decoded, errors become messages, matrices become columns."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError

# A cell that a spreadsheet would compute, also if it is quoted already; a number is none.
COMPUTED = re.compile(r"'*(?![-+]?[\d.]+(?:[eE][-+]?\d+)?\Z)[=+\-@\t\r\n＝＋－＠]")


def find_file(path: str | Path) -> Path:
    """Return the path of a file, with ``~`` expanded; refuse what is no path, and a file that is not there."""
    if not isinstance(path, str | Path):
        raise ReAugKDError(f"A file is named by its path, not by an object of type {type(path).__name__}; give text.")
    path = Path(path).expanduser()
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
                row = json.loads(line)
            except ValueError:
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
    quoted: set[bool] = set()

    def looked_at(text: str) -> str:
        if COMPUTED.match(text):
            quoted.add(text.startswith("'"))
        return text

    _each_text(table, looked_at)
    return _each_text(table, lambda text: text[COMPUTED.match(text) is not None :]) if quoted == {True} else table


def _each_text(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Change every text of a table, and the names of its columns."""

    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, str) else value

    columns = [table.iloc[:, number] for number in range(table.shape[1])]
    texts = [column if pd.api.types.is_numeric_dtype(column) else column.map(changed) for column in columns]
    return pd.concat(texts, axis=1).set_axis([changed(name) for name in table.columns], axis=1) if texts else table


def check_writable(path: str | Path) -> None:
    """Refuse a place where nothing may be written, before any work; folders above it may be missing."""
    path = Path(path)
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "is read-only" if above.is_dir() else "is a file"
        raise ReAugKDError(f"{str(path)!r} cannot be written, since {str(above)!r} {why}; name another place.")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield where to write a file, which replaces the old one when it is whole; after an error the old one stays."""
    path = Path(path).expanduser()
    writing = path.with_name(f".writing-{path.name}")
    with explain_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield writing
            writing.replace(path)
        finally:
            writing.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, which takes the place of the old one when it is whole, as :func:`whole_file`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with explain_disk_errors(path), TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        yield new
        if path.exists():
            path.rename(old)
        try:
            new.rename(path)
        except BaseException:
            if old.exists():
                old.rename(path)
            raise


@contextmanager
def explain_disk_errors(path: str | Path) -> Iterator[None]:
    """Turn the errors of a full disk and of missing permissions into one sentence."""
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


def sha256_of(path: Path) -> str:
    """Return the SHA-256 sum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matrix_column(matrix: NDArray[Any]) -> pa.FixedSizeListArray:
    """Return a matrix (N, d) as a column with a list of fixed size in each row."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).ravel()), matrix.shape[1])


def column_matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return such a column as a matrix (N, d) of the column's type."""
    array = column.combine_chunks()
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)
