"""What follows the settings of a page: it answers once where several changes come together."""

from typing import Any

import gradio as gr
from gradio.events import Dependency

from ..listening import IN_PAGE, Answer
from ..scripts import script

SOON = 20  # milliseconds


def throttled(events: list[Any], answer: Answer, outputs: list[Any], elem_id: str, **options: Any) -> Dependency:
    """Answer soon after some events, once those that come together.

    Of the listeners of one event, Gradio's page may hold back one until the last call is answered: two would start each
    other again for ever. So a change only starts a clock in the page, and the clock presses a hidden button. It is not
    set back by what changes meanwhile, so that a slider is followed while it is dragged.
    """
    button = gr.Button(visible="hidden", elem_id=elem_id)
    gr.on(events, None, js=script("throttle", button=elem_id, milliseconds=SOON), trigger_mode="multiple", **IN_PAGE)
    return button.click(answer, outputs=outputs, **options | {"trigger_mode": "always_last"})
