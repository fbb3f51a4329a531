"""The exception for mistakes that the user can correct, and the check of the types of settings.

One check serves plans, Python, the page, endpoints and tools. Pydantic is not used, since it would turn the 0 of a plan
into 0.0, and a study finds its recorded answers by a digest of the settings as they were written.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import is_dataclass, replace
from functools import partial
from inspect import signature
from math import isfinite
from numbers import Integral, Number, Real
from pathlib import Path
from sys import float_info
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

SHOWN = 80  # characters of a wrong value
MOST_NAMED = 10  # things in a sentence
_ALLOWED = {int: Integral, float: Real}
_IN_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list",
    list: "a list",
    tuple[str, str]: "a list of two",
    dict: "names, each with its settings",
    Mapping: "names, each with its settings",
}
_NO_LITERAL = re.compile(r"<|[A-Z]\w*\(")  # how Python writes an object that cannot be typed so
_KINDS: dict[Any, str] = {
    NoneType: "nothing",
    bool: "true or false",
    Number: "a number",
    str: "a single text",
    bytes: "bytes",
    Path: "a path",
    Mapping: "names with values",
    Set: "a set",
    list | tuple: "a list",
}


class ReAugKDError(Exception):
    """A mistake in the input or the environment that the user can correct.

    Its message is one sentence that says what is wrong, with what, and what to do. The command line and
    the app print that sentence and no traceback.

    Examples
    --------
    >>> model.predict([""])
    Traceback (most recent call last):
    ...
    reaugkd.errors.ReAugKDError: Text 1 is empty; write at least a word.

    """


def reason(error: Exception) -> str:
    """Return the message of an error in one line without its full stop; the name of its class if it has none."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not written in UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return "it holds half a character, a lone surrogate"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def require(is_good: bool, name: str, value: object, wanted: str) -> None:
    """Refuse a wrong setting by a sentence with its name, its value and what is wanted; text is shown as it is."""
    if not is_good:
        shown = in_short(value) if isinstance(value, str) else quoted(value)
        raise ReAugKDError(f"{name} is {shown}; it must be {wanted}.")


def require_each(settings: Any, names: Iterable[str], is_good: Callable[[Any], bool], wanted: str) -> None:
    """Refuse the first wrong one of some settings of a dataclass."""
    for name in names:
        require(is_good(getattr(settings, name)), f"The setting {name}", getattr(settings, name), wanted)


def read_as(kind: Any, given: Any, where: str = "", default: Any = None) -> Any:
    """Return a value as the type that a setting takes; settings that it leaves out are those of the default.

    A number that is written as text (YAML's 1e-4) is a number, 4.0 is a whole number, and NumPy's scalars become
    Python's.

    Parameters
    ----------
    kind : Any
        The setting's annotation.
    given : Any
        The value.
    where : str
        Name of the setting, for the message.
    default : Any
        An instance of the kind, where the kind is a dataclass.

    Returns
    -------
    Any
        The value.

    Raises
    ------
    ReAugKDError
        If it is of another type.
    """
    given = given.item() if getattr(given, "ndim", None) == 0 else given  # without NumPy, for which help would wait
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if isinstance(kind, UnionType):
        return None if given is None and NoneType in parts else read_as(parts[0], given, where, default)
    if isinstance(kind, type) and is_dataclass(kind) and not isinstance(given, kind):
        make = partial(replace, default) if isinstance(default, kind) else kind
        return make(**read_named(kind, given, where, is_whole=make is kind))
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(given, Mapping):
        names = [read_as(str, name, f"a name in {where}") for name in given]
        return {name: read_as(parts[1], given[name], f"{where}.{in_short(name)}") for name in names}
    is_list = origin in (list, tuple) and isinstance(given, list | tuple)
    if is_list and (origin is list or Ellipsis in parts or len(given) == len(parts)):
        return origin(read_as(parts[0], part, f"{where}[{number}]") for number, part in enumerate(given))
    if kind is float and isinstance(given, str):
        with suppress(ValueError):
            given = float(given)
    is_whole = isinstance(given, Real) and given % 1 == 0 and not isinstance(given, bool)
    if kind is int and is_whole:
        given = int(given)
    fits = kind is Any or (isinstance(given, _ALLOWED.get(kind, origin)) and isinstance(given, bool) == (kind is bool))
    if not fits or (kind is float and not -float_info.max <= given <= float_info.max):
        words = _IN_WORDS.get(kind, _IN_WORDS.get(origin, "left out"))
        raise ReAugKDError(f"{where} is {quoted(given)}; it must be {words}.")
    return given


def read_named(
    of: Callable[..., Any], given: Any, where: str = "", *, is_whole: bool = True, called: str = "The plan"
) -> dict[str, Any]:
    """Return settings by name, each of the type that a function or a class takes; refuse unknown and missing ones."""
    known, called = signature(of).parameters, where or called
    if not isinstance(given, dict):
        raise ReAugKDError(f"{called} is {quoted(given)}; write its settings by name.")
    for name in given:
        if name not in known:
            raise ReAugKDError(f"{called} has no setting {quoted(name)}; it has {listed(known)}.")
    for name, setting in known.items():
        if is_whole and setting.default is setting.empty and name not in given:
            raise ReAugKDError(f"{called} has no {name}, which it needs.")
    return {
        name: read_as(known[name].annotation, value, f"{where}.{name}".lstrip("."), known[name].default)
        for name, value in given.items()
    }


def check_kinds(settings: Any, called: str = "The setting ") -> None:
    """Refuse settings of the wrong type when a dataclass of them is made; a whole number in a float becomes an int."""
    for name, setting in signature(type(settings)).parameters.items():
        value, kind = getattr(settings, name), setting.annotation
        is_refused_later = float in (kind, *get_args(kind)) and isinstance(value, float) and not isfinite(value)
        if not is_refused_later:  # by each class in its own words
            object.__setattr__(settings, name, read_as(kind, value, called + name))


def kind_of(value: Any) -> str:
    """Name in plain words what a value is; without NumPy and pandas, for which help would wait."""
    if hasattr(value, "columns") or hasattr(value, "dtype"):
        return "a table" if hasattr(value, "columns") else "an array"
    return next((words for kind, words in _KINDS.items() if isinstance(value, kind)), "something else")


def quoted(value: Any) -> str:
    """Return a value as one would type it, in one line, cut; of an object of Python what kind it is."""
    value = value.item() if getattr(value, "ndim", None) == 0 else str(value) if isinstance(value, Path) else value
    try:
        written = in_short(repr(value))
    except ValueError:  # a whole number of thousands of digits
        return "a number"
    return kind_of(value) if hasattr(value, "iloc") or _NO_LITERAL.match(written) else written


def listed(names: Iterable[str]) -> str:
    """Name some things in a sentence, of many the first, each cut."""
    every = list(names)
    named = ", ".join(map(in_short, every[:MOST_NAMED]))
    return named if len(every) <= MOST_NAMED else f"{named} and {len(every) - MOST_NAMED:,} more"


def in_short(text: str) -> str:
    """Return a text in one line, cut; what cannot be printed is escaped."""
    line = " ".join(text.split())
    line = line if line.isprintable() else repr(line)[1:-1]
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
