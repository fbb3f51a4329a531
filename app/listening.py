"""How the page listens: options by which a listener waits its turn, and inputs by their names."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import gradio as gr
from gradio.events import Dependency

# A question to the model: one at a time, not offered to programs, and nothing fades meanwhile.
ASKING: dict[str, Any] = {
    "concurrency_id": "model",
    "concurrency_limit": 1,
    "api_visibility": "private",
    "show_progress": "hidden",
    "show_progress_on": [],  # else the page copies all that every output holds, before it asks and after
}
# Of several quick ones the last counts. Not where an event brings data: Gradio sends those of the first one again.
LATEST: dict[str, Any] = {**ASKING, "trigger_mode": "always_last"}
EACH: dict[str, Any] = {**ASKING, "trigger_mode": "multiple"}  # of several quick ones none is lost
AT_ONCE: dict[str, Any] = ASKING | {"concurrency_id": None, "concurrency_limit": None}  # it waits for no other
ALL_ROWS: dict[str, Any] = LATEST | {"concurrency_id": "rows"}  # takes seconds: a typed text does not wait for it
EACH_OF_ROWS: dict[str, Any] = EACH | {"concurrency_id": "rows"}
MAPS: dict[str, Any] = LATEST | {"concurrency_id": "maps"}
NO_INPUTS = ("_", "event", "state", "path", "texts")  # what is no component: what happened, the link so far, …
STATES = ("shown", "question", "log")  # what a page shows, None before it is filled
IN_PAGE: dict[str, Any] = {"api_visibility": "private"}  # a script of the page: the server is not asked
Updates = dict[Any, Any]  # what a listener returns: values by component
Answer = Callable[..., Any]  # a listener


def once_filled(answer: Answer) -> Answer:
    """Skip what is asked of a page that is not filled yet, or that the server has forgotten: its state is None.

    A listener that answers then too says so by the type of its state.
    """
    parameters = signature(answer)
    kinds = {name: str(parameter.annotation) for name, parameter in parameters.parameters.items()}
    needed = [state for state in STATES if state in kinds and "None" not in kinds[state]]

    @wraps(answer)
    def answer_or_skip(*values: Any, **named: Any) -> Any:
        given = parameters.bind(*values, **named).arguments
        return gr.skip() if any(given[state] is None for state in needed) else answer(*values, **named)

    return answer_or_skip


def inputs_of(view: Any, answer: Answer) -> dict[str, Any]:
    """Return a listener's inputs: the components of the view that have the names of its parameters."""
    inputs: dict[str, Any] = {}
    for name, parameter in signature(answer).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            inputs |= view.more_inputs
        elif name not in NO_INPUTS:
            inputs[name] = getattr(view, name)
    return inputs


def listen(
    view: Any, event: Callable[..., Dependency], answer: Answer, outputs: list[Any], **options: Any
) -> Dependency:
    """Answer an event of a filled view; the parameters of ``answer`` name its inputs, as :func:`inputs_of` says."""
    return event(once_filled(answer), outputs=outputs, inputs_kwargs=inputs_of(view, answer), **options)
