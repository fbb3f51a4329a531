"""Links to the app that open it in an exact state: model, view, text, settings and selection."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any
from urllib.parse import urlencode

from reaugkd.errors import ReAugKDError

VIEWS = ("query", "errors", "memory", "compare", "train", "learn")
OF_VIEW = {
    "query": ("edited", "edited_pair", "struck", "relabelled"),
    "errors": ("split", "effect", "column", "value", "confidence", "holds", "picked"),
    "memory": ("show", "holds"),
    "compare": ("second", "second_by", "second_weight", "split", "holds", "picked"),
}
"""Further settings of a view, by their names; ``holds`` is what a text holds, ``picked`` what was picked, as JSON,
``edited`` the text that stands beside the one that is asked, ``struck`` and ``relabelled`` as
:func:`struck_in_link` gives them."""
LONGEST = 200
# A pick names up to five classes, and a class may have a long name; an edit is a text.
LONGEST_OF = {"picked": 1_000, "struck": 1_000, "relabelled": 1_000, "edited": 8_000, "edited_pair": 8_000}
MOST_SELECTED = 1_000_000  # a link of a few characters could name more points than fit into memory


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
        Number of neighbours by every key; None is as chosen in training.
    retrieval_weight : float or None
        λ; None is as fitted.
    temperature : float or None
        τ_r of every key; None is as chosen in training.
    selected : tuple of int
        Numbers of the points that are selected on the maps: memories first, then test rows.
    colour : str
        Column by which the maps are coloured.
    shown : str
        Which points the maps show: ``memory`` or ``test`` alone.
    of_view : mapping of str to str
        Further settings of the view by name, each one of :data:`OF_VIEW`; empty ones are left out. A page has menus for
        most: it takes its own default where the menu has no such entry.

    Raises
    ------
    ReAugKDError
        If the view has no such setting, or a value or the colour has more than 200 characters, those of
        :data:`LONGEST_OF` more than is said there, or is not what it should be.
    """

    model: str = ""
    view: str = "query"
    text: str = ""
    text_pair: str = ""
    k: int | None = None
    retrieval_weight: float | None = None
    temperature: float | None = None
    selected: tuple[int, ...] = ()
    colour: str = ""
    shown: str = ""
    of_view: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "of_view", {name: value for name, value in self.of_view.items() if value})
        _read_short("colour", self.colour)
        known = OF_VIEW.get(self.view, ())
        for name, value in self.of_view.items():
            if name not in known:
                has = f"its settings are {', '.join(known)}" if known else "it has none of its own"
                raise ReAugKDError(f"The view {self.view!r} has no setting {name!r}; {has}.")
            _read(name, _read_short(name, value), OF_VIEW_READERS.get(name, str))

    def of_model(self, model: str) -> "PageState":
        """Return the state if it is of this model, or else one that asks for nothing."""
        return self if self.model in ("", model) else PageState()

    def asked_of(self, view: str, model: str) -> "PageState":
        """Return the state if it is of this view and model, or else one that asks for nothing."""
        return self.of_model(model) if self.view == view else PageState()


def short(of_view: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a view that are short enough for a link."""
    return {name: value for name, value in of_view.items() if len(value) <= _longest(name)}


def picked_of(text: str) -> dict[str, Any]:
    """Read what a link picked; what is not as it should be is left out.

    Parameters
    ----------
    text : str
        The link's ``picked``: a JSON object, or empty.

    Returns
    -------
    dict
        ``equal`` and ``between`` as :class:`reaugkd.error_analysis.RowFilter` takes them, and ``rows``, True where the
        rows that are selected on the maps count; without what the link does not say.

    Examples
    --------
    >>> picked_of('{"equal": {"label": "metal", "student": 1}, "between": 2, "rows": true}')
    {'equal': {'label': 'metal'}, 'rows': True}
    """
    said = json.loads(text) if text else {}
    equal = {name: value for name, value in _entries(said, "equal") if isinstance(value, str)}
    between = {name: [float(end) for end in value] for name, value in _entries(said, "between") if _is_interval(value)}
    found = {"equal": equal, "between": between, "rows": said.get("rows") is True}
    return {name: value for name, value in found.items() if value}


def struck_in_link(struck: Sequence[int], relabelled: Mapping[int, str]) -> dict[str, str]:
    """Write what is struck from the memory, or votes for another class, into a link.

    Parameters
    ----------
    struck : sequence of int
        Row numbers of memories that are not there.
    relabelled : mapping of int to str
        Row numbers of memories, and the class for which each votes.

    Returns
    -------
    dict of str to str
        Settings of the view Query; :func:`struck_of` reads them.

    Examples
    --------
    >>> struck_in_link([7, 8, 2], {4: "metal"})
    {'struck': '7-8,2', 'relabelled': '{"4": "metal"}'}
    """
    return {"struck": _ranges(struck), "relabelled": json.dumps(dict(relabelled)) if relabelled else ""}


def struck_of(of_view: Mapping[str, str]) -> tuple[list[int], dict[int, str]]:
    """Read what a link strikes from the memory or relabels; what is not as it should be is left out.

    Parameters
    ----------
    of_view : mapping of str to str
        The link's settings of the view Query.

    Returns
    -------
    tuple of list of int and dict of int to str
        The memories that are struck out, and those that have another label, by row number.
    """
    said = json.loads(of_view.get("relabelled", "") or "{}")
    relabelled = {int(number): label for number, label in said.items() if number.isdecimal() and isinstance(label, str)}
    struck = of_view.get("struck", "")
    return list(_numbers(struck)) if struck else [], relabelled


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
    'http://127.0.0.1:7860/?text=Great,+it+broke+on+day+two.&k=4'
    """
    found: dict[str, str] = {}
    for name, value in given(state).items():
        if name == "of_view":
            found |= value
        else:
            found[name] = _ranges(value) if name == "selected" else str(value)
    return f"{address}?{urlencode(found, safe=',')}" if found else address


def given(state: PageState) -> dict[str, Any]:
    """Return what a state says by name, without what is left as it is when the page opens."""
    usual = PageState()
    said = {part.name: getattr(state, part.name) for part in fields(PageState)}
    return {name: value for name, value in said.items() if value != getattr(usual, name)}


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
    names = [part.name for part in fields(PageState) if part.name != "of_view" and query.get(part.name)]
    found: dict[str, Any] = {name: _read(name, query[name], readers.get(name, str)) for name in names}
    own = OF_VIEW.get(found.get("view", PageState.view), ())
    return PageState(**found, of_view={name: query[name] for name in own if query.get(name)})


def _read(name: str, text: str, reader: Callable[[str], Any]) -> Any:
    """Read a value of a link; what is wrong with it is told in a sentence."""
    try:
        return reader(text)
    except ValueError as error:
        shown = text if len(text) <= LONGEST else f"{text[:40]}…"
        raise ReAugKDError(f"The link's {name}={shown!r} {error}; correct or drop it.") from error


def _longest(name: str) -> int:
    return LONGEST_OF.get(name, LONGEST)


def _read_short(name: str, text: str) -> Any:
    return _read(name, text, partial(_short, most=_longest(name)))


def _short(text: str, most: int) -> str:
    if len(text) > most:
        raise ValueError(f"has {len(text):,} characters, more than {most:,}")
    return text


def _object(text: str) -> str:
    try:
        is_object = isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        is_object = False
    if not is_object:
        raise ValueError("is no JSON object")
    return text


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


def _ranges(numbers: Sequence[int]) -> str:
    """Write numbers in their order, those that follow one another as a range: 3-90,120."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _numbers(text: str) -> tuple[int, ...]:
    runs = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise ValueError("is not a list of numbers, or ranges of them such as 3-90, with commas")
        runs.append(range(int(first), int(last if dash else first) + 1))
    if sum(map(len, runs)) > MOST_SELECTED:
        raise ValueError(f"names more than {MOST_SELECTED:,} points")
    return tuple(number for run in runs for number in run)


def _entries(said: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    """Return what an object of a link holds, nothing where it is none."""
    value = said.get(name)
    return list(value.items()) if isinstance(value, dict) else []


def _is_interval(value: Any) -> bool:
    is_pair = isinstance(value, list) and len(value) == 2
    return is_pair and all(type(end) in (int, float) and math.isfinite(end) for end in value)


OF_VIEW_READERS: dict[str, Callable[[str], Any]] = {
    "second_weight": _share,
    "picked": _object,
    "relabelled": _object,
    "struck": _numbers,
}
