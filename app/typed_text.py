"""Boxes of text that are answered as one types."""

import json
from collections.abc import Callable
from typing import Any

import gradio as gr
from models import LATEST

# A box that the page fills sends a change before the page has taken its value: it is read where it stands.
READ = """(...values) => {{
    for (const [place, box] of Object.entries({boxes}))
        values[place] = document.querySelector(box)?.value ?? values[place];
    return values.slice(0, {count});
}}"""


def on_typing(
    boxes: list[gr.Textbox],
    answer: Callable[..., dict[Any, Any]],
    inputs: list[Any],
    outputs: list[Any],
    **options: Any,
) -> None:
    """Answer what stands in some boxes whenever it changes, be it typed, pasted or put there by the page.

    Of what the page put there together with its answer, ``answer`` may return nothing.

    Parameters
    ----------
    boxes : list of Textbox
        The boxes, each with an ``elem_id``; all are among the inputs.
    answer : callable
        Takes the values of the inputs and returns those of outputs.
    inputs, outputs : list of Component
        As of any event.
    **options
        As of any event, where they are to be others than those of a text that the model is asked.
    """
    places = {inputs.index(box): f"#{box.elem_id} textarea" for box in boxes}
    script = READ.format(boxes=json.dumps(places), count=len(inputs))
    gr.on([box.change for box in boxes], answer, inputs, outputs, js=script, **LATEST | options)
