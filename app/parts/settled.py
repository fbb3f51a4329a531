"""What follows the settings of a page: told once of several changes that come together."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.events import Dependency

SOON = 20  # milliseconds
# Of the listeners of one event, Gradio's page may hold back one until the last call is answered: two would start each
# other anew for ever. So a change only starts a clock in the page, and the clock presses a hidden button. It is not set
# back by what changes meanwhile, so that a slider is followed while it is dragged.
START_CLOCK = """() => {{
    window.clocks ??= {{}};
    window.clocks['{button}'] ??= setTimeout(() => {{
        delete window.clocks['{button}'];
        document.querySelector('#{button}')?.click();
    }}, {soon});
}}"""


def soon_after(
    events: list[Any], answer: Callable[..., Any], inputs: Any, outputs: Any, elem_id: str, **options: Any
) -> Dependency:
    """Answer soon after some events, once those that come together.

    Parameters
    ----------
    events : list of event
        Such as ``[slider.input, box.change]``.
    answer : callable
        Takes the values of the inputs and returns those of the outputs.
    inputs, outputs : list or set of Component, or one
        As of any event.
    elem_id : str
        Of a hidden button; it must be in the page when the events come.
    **options
        As of any event.

    Returns
    -------
    Dependency
        The event that answers.
    """
    button = gr.Button(visible="hidden", elem_id=elem_id)
    clock = START_CLOCK.format(button=elem_id, soon=SOON)
    gr.on(events, None, js=clock, trigger_mode="multiple", api_visibility="private")
    return button.click(answer, inputs, outputs, **options | {"trigger_mode": "always_last"})
