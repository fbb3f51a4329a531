"""The exception for mistakes that the user can correct, and the check of the types of settings.

One check serves plans, Python, the page, endpoints and tools. Pydantic is not used, since it would turn the 0 of a plan
into 0.0, and a study finds its recorded answers by a digest of the settings as they were written.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import is_dataclass, replace
from functools import partial
from inspect import signature
from math import isfinite
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

SHOWN = 80  # characters of a wrong value
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
    """Refuse a wrong setting by a sentence with its name, its value and what is wanted."""
    if not is_good:
        raise ReAugKDError(f"{name} is {value}; it must be {wanted}.")


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
    if origin is dict and isinstance(given, dict):
        names = [read_as(str, name, f"a name in {where}") for name in given]
        return {name: read_as(parts[1], given[name], f"{where}.{name}") for name in names}
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
    if not fits or (kind is float and not _is_finite(given)):
        words = _IN_WORDS.get(kind, _IN_WORDS.get(origin, "left out"))
        raise ReAugKDError(f"{where} is {_shown(given)}; it must be {words}.")
    return given


def read_named(of: Callable[..., Any], given: Any, where: str = "", *, is_whole: bool = True) -> dict[str, Any]:
    """Return settings by name, each of the type that a function or a class takes; refuse unknown and missing ones."""
    known, shown = signature(of).parameters, where or "The plan"
    if not isinstance(given, dict):
        raise ReAugKDError(f"{shown} is {_shown(given)}; write its settings by name.")
    for name in given:
        if name not in known:
            raise ReAugKDError(f"{shown} has no setting {name!r}; it has {', '.join(known)}.")
    for name, setting in known.items():
        if is_whole and setting.default is setting.empty and name not in given:
            raise ReAugKDError(f"{shown} has no {name}, which it needs.")
    return {
        name: read_as(known[name].annotation, value, f"{where}.{name}".lstrip("."), known[name].default)
        for name, value in given.items()
    }


def check_kinds(settings: Any, called: str = "The setting ") -> None:
    """Refuse settings of the wrong type when a dataclass of them is made; a whole number in a float becomes an int."""
    for name, setting in signature(type(settings)).parameters.items():
        value = getattr(settings, name)
        if not isinstance(value, float) or isfinite(value):  # each class refuses the others in its own words
            object.__setattr__(settings, name, read_as(setting.annotation, value, called + name))


def _is_finite(number: Any) -> bool:
    try:
        return isfinite(number)
    except OverflowError:  # a whole number beyond the range of a float
        return False


def _shown(value: Any) -> str:
    """Return a value in one line, cut."""
    return " ".join(repr(value).split())[:SHOWN]
