"""Links that open the app in an exact state: model, view, text, settings and selection."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from reaugkd.errors import ReAugKDError, quoted

VIEWS = ("query", "errors", "memory", "label", "compare", "train", "learn")
OF_VIEW = {
    "query": ("edited", "edited_pair", "struck", "relabelled", "key"),
    "errors": ("split", "effect", "column", "value", "confidence", "holds", "by", "wanted", "picked"),
    "memory": ("show", "holds"),
    "compare": ("second", "second_by", "second_weight", "split", "holds", "picked"),
}
"""Further settings of a view, by their names; ``holds`` is a part of a text, ``picked`` a filter of rows as JSON (in
the view errors one for each figure, as :func:`picks_of_link` reads them), ``edited`` a second text to answer beside the
first, ``struck`` and ``relabelled`` as :func:`struck_in_link` gives them."""
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
        The text to answer.
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
        If the view has no such setting, or one of them is not what it should be.
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
        known = OF_VIEW.get(self.view, ())
        for name, value in self.of_view.items():
            if name not in known:
                has = ", ".join(known) or "none"
                raise ReAugKDError(f"The view {self.view!r} has no setting {name!r}; its settings are: {has}.")
            _read(name, value)

    def of_model(self, model: str) -> "PageState":
        """Return the state if it is of this model, or else one that asks for nothing."""
        return self if self.model in ("", model) else PageState()

    def asked_of(self, view: str, model: str) -> "PageState":
        """Return the state if it is of this view and model, or else one that asks for nothing."""
        return self.of_model(model) if self.view == view else PageState()


def filter_of_link(text: str) -> dict[str, Any]:
    """Read the filter of rows in a link.

    Parameters
    ----------
    text : str
        The link's ``picked``: a JSON object, or empty.

    Returns
    -------
    dict
        ``equal`` and ``between`` as :class:`reaugkd.analysis.error_analysis.RowFilter` takes them; empty ones are left
        out.

    Examples
    --------
    >>> filter_of_link('{"equal": {"label": "metal"}}')
    {'equal': {'label': 'metal'}}
    """
    given = json.loads(text or "{}")
    equal = {name: str(value) for name, value in given.get("equal", {}).items()}
    between = {name: [float(low), float(high)] for name, (low, high) in given.get("between", {}).items()}
    return {name: value for name, value in {"equal": equal, "between": between}.items() if value}


def picks_of_link(text: str) -> dict[str, dict[str, Any]]:
    """Read the filters of rows in a link to the view errors.

    Parameters
    ----------
    text : str
        The link's ``picked``: by the name of a figure, a filter as :func:`filter_of_link` reads it, or one such filter
        alone, which reaches all figures.

    Returns
    -------
    dict of str to dict
        The filters by figure; that of no figure is called ``link``.

    Examples
    --------
    >>> picks_of_link('{"confusion": {"equal": {"label": "metal"}}}')
    {'confusion': {'equal': {'label': 'metal'}}}
    """
    alone, given = filter_of_link(text), json.loads(text or "{}")
    figures = [name for name, each in given.items() if isinstance(each, dict) and name not in ("equal", "between")]
    named = {name: filter_of_link(json.dumps(given[name])) for name in figures}
    return {name: pick for name, pick in {"link": alone, **named}.items() if pick}


def struck_in_link(struck: Sequence[int], relabelled: Mapping[int, str]) -> dict[str, str]:
    """Write the memories that are left out or relabelled into a link.

    Parameters
    ----------
    struck : sequence of int
        Row numbers of memories that are left out.
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
    """Read the memories that a link leaves out, and the labels of those that it relabels, by row number."""
    struck, relabelled = of_view.get("struck"), of_view.get("relabelled")
    return list(_numbers(struck)) if struck else [], _labels(relabelled) if relabelled else {}


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
    given = {name: getattr(state, name) for name in FIELDS if getattr(state, name) != getattr(PageState, name)}
    found = {name: _ranges(value) if name == "selected" else value for name, value in given.items()} | {**state.of_view}
    return f"{address}?{urlencode(found, safe=',', errors='replace')}" if found else address


def page_state(query: Mapping[str, str]) -> PageState:
    """Read the state of a link's query; a wrong value is refused, other keys are ignored."""
    found = {name: _read(name, query[name]) for name in FIELDS if query.get(name)}
    own = OF_VIEW.get(found.get("view", PageState.view), ())
    return PageState(**found, of_view={name: query[name] for name in own if query.get(name)})


def _read(name: str, text: str) -> Any:
    """Read a value of a link; a wrong one raises an error with what is wanted."""
    if name not in READERS:
        return text
    read, wanted = READERS[name]
    try:
        return read(text)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:  # JSON may hold anything
        raise ReAugKDError(f"The link's {name}={quoted(text)} is not {wanted}; correct or drop it.") from error


def _ranges(numbers: Sequence[int]) -> str:
    """Write numbers in their order, those that follow one another as a range: 3-90,120."""
    numbered = groupby(enumerate(numbers), key=lambda each: each[1] - each[0])
    runs = [[number for _, number in run] for _, run in numbered]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _numbers(text: str) -> tuple[int, ...]:
    ends = [part.partition("-") for part in text.split(",")]
    runs = [range(int(first), int(last if dash else first) + 1) for first, dash, last in ends]
    if sum(map(len, runs)) > MOST_SELECTED:
        raise ValueError
    return tuple(number for run in runs for number in run)


def _labels(text: str) -> dict[int, str]:
    return {int(number): str(label) for number, label in json.loads(text).items()}


def _within(low: float, high: float, convert: Callable[[str], float] = float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = convert(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return read


FIELDS = [part.name for part in fields(PageState) if part.name != "of_view"]
_SHARE = (_within(0, 1), "a number from 0 to 1")
_NUMBERS = (_numbers, "a list of up to a million numbers, or ranges such as 3-90, with commas")
READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "view": (lambda text: VIEWS[VIEWS.index(text)], f"one of {', '.join(VIEWS)}"),
    "k": (_within(1, 1e9, int), "a number from 1 to 1e9"),
    "retrieval_weight": _SHARE,
    "second_weight": _SHARE,
    "temperature": (_within(1e-9, 1e9), "a number above 0"),
    "selected": _NUMBERS,
    "struck": _NUMBERS,
    "picked": (picks_of_link, "a JSON object of conditions"),
    "relabelled": (_labels, "a JSON object of numbers and labels"),
}
"""How a setting is read, and what it should be; all others are text."""
