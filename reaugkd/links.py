"""Links to the app that open it in an exact state: model, view, text, settings and selection."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from reaugkd.errors import ReAugKDError

VIEWS = ("query", "errors", "memory", "compare", "train", "learn")


@dataclass(frozen=True)
class PageState:
    """What a page of the app shows; what is left out is as it is when the page opens.

    Parameters
    ----------
    model : str
        Name in the menu of models.
    view : str
        One of :data:`VIEWS`.
    text, text_pair : str
        What is asked.
    k : int or None
        Number of neighbours.
    retrieval_weight : float or None
        λ in the place of the gate's.
    temperature : float or None
        τ_r.
    selected : tuple of int
        Numbers of the points that are selected on the maps: memories first, then test rows.
    """

    model: str = ""
    view: str = "query"
    text: str = ""
    text_pair: str = ""
    k: int | None = None
    retrieval_weight: float | None = None
    temperature: float | None = None
    selected: tuple[int, ...] = ()


def app_link(state: PageState, address: str = "http://127.0.0.1:7860/") -> str:
    """Return the link that opens the app in a state, for a notebook cell or a colleague.

    Parameters
    ----------
    state : PageState
        The state.
    address : str
        Where the app listens.

    Returns
    -------
    str
        The address with a query; :func:`page_state` reads it.

    Examples
    --------
    >>> app_link(PageState(text="Great, it broke on day two.", k=4))
    'http://127.0.0.1:7860/?text=Great%2C+it+broke+on+day+two.&k=4'
    """
    found = {}
    for field in fields(PageState):
        value = getattr(state, field.name)
        if value != field.default:
            found[field.name] = ",".join(map(str, value)) if field.name == "selected" else str(value)
    return f"{address}?{urlencode(found)}" if found else address


def page_state(query: Mapping[str, str]) -> PageState:
    """Read the state of a link.

    Parameters
    ----------
    query : mapping of str to str
        The link's query; other keys, such as a page's own, are left alone.

    Returns
    -------
    PageState
        The state.

    Raises
    ------
    ReAugKDError
        If a value is not what it should be.
    """
    readers = {
        "k": _count,
        "retrieval_weight": _share,
        "temperature": _temperature,
        "view": _view,
        "selected": _numbers,
    }
    found: dict[str, Any] = {}
    for field in fields(PageState):
        if query.get(field.name):
            try:
                found[field.name] = readers.get(field.name, str)(query[field.name])
            except ValueError as error:
                raise ReAugKDError(
                    f"The link's {field.name}={query[field.name]!r} {error}; mend or drop it."
                ) from error
    return PageState(**found)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("is not a number from 1 on")
    return int(text)


def _share(text: str) -> float:
    if not 0 <= _number(text) <= 1:
        raise ValueError("is not between 0 and 1")
    return float(text)


def _temperature(text: str) -> float:
    if not 0 < _number(text) < float("inf"):
        raise ValueError("is not above 0")
    return float(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("is not a number") from None


def _view(text: str) -> str:
    if text not in VIEWS:
        raise ValueError(f"is none of {', '.join(VIEWS)}")
    return text


def _numbers(text: str) -> tuple[int, ...]:
    if not all(part.isdecimal() for part in text.split(",")):
        raise ValueError("is not a list of numbers with commas")
    return tuple(map(int, text.split(",")))
