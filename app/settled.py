"""What follows the settings of a page: told once after a burst of changes, when the page has taken them all."""

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
    button = gr.Button(visible="hidden", elem_id=elem_id)
    script = START_CLOCK.format(button=elem_id, still=STILL)
    gr.on([part.change for part in parts], None, js=script, trigger_mode="multiple", api_visibility="private")
    return button.click(answer, inputs, outputs, **options | {"trigger_mode": "always_last"})
