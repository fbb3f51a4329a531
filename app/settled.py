"""What follows the settings of a page: told once of several changes, when the page has taken them all."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.events import Dependency

STILL = 50  # milliseconds
# Of the listeners of one event, Gradio's page may hold back one until the last call is answered: two would start each
# other anew for ever. So a change only starts a clock in the page, and the clock presses a hidden button.
START_CLOCK = """() => {{
    window.clocks ??= {{}};
    clearTimeout(window.clocks['{button}']);
    window.clocks['{button}'] = setTimeout(() => document.querySelector('#{button}')?.click(), {still});
}}"""
SOON = 20  # milliseconds
# This clock is not set back, so that a slider is followed while it is dragged.
KEEP_CLOCK = """() => {{
    window.clocks ??= {{}};
    window.clocks['{button}'] ??= setTimeout(() => {{
        delete window.clocks['{button}'];
        document.querySelector('#{button}')?.click();
    }}, {still});
}}"""


def when_settled(
    parts: list[Any],
    answer: Callable[..., Any],
    inputs: list[Any],
    outputs: Any,
    elem_id: str,
    **options: Any,
) -> Dependency:
    """Answer when some components have changed and are still again.

    Parameters
    ----------
    parts : list of Component
        Those that change.
    answer : callable
        Takes the values of the inputs and returns those of the outputs.
    inputs, outputs : list of Component, or one
        As of any event.
    elem_id : str
        Of the hidden button; it must be in the page when they change.
    **options
        As of any event.

    Returns
    -------
    Dependency
        The event that answers.
    """
    button = _pressed_by_clock([part.change for part in parts], START_CLOCK, STILL, elem_id)
    return button.click(answer, inputs, outputs, **options | {"trigger_mode": "always_last"})


def when_moved(
    parts: list[Any], answer: Callable[..., Any], inputs: list[Any], outputs: Any, elem_id: str, **options: Any
) -> Dependency:
    """Answer while some components are moved by hand, once for those that are moved together.

    One listener for all: of several, what one asks first may be answered last. The arguments are those of
    :func:`when_settled`.
    """
    button = _pressed_by_clock([part.input for part in parts], KEEP_CLOCK, SOON, elem_id)
    return button.click(answer, inputs, outputs, **options | {"trigger_mode": "always_last"})


def _pressed_by_clock(events: list[Any], script: str, milliseconds: int, elem_id: str) -> gr.Button:
    """Place a hidden button, and let events start a clock that presses it."""
    button = gr.Button(visible="hidden", elem_id=elem_id)
    clock = script.format(button=elem_id, still=milliseconds)
    gr.on(events, None, js=clock, trigger_mode="multiple", api_visibility="private")
    return button
