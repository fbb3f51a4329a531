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


def filled_boxes(
    boxes: tuple[gr.Textbox, gr.Textbox], held: tuple[str, str], wanted: tuple[str, str], is_pair: bool
) -> dict[Any, Any]:
    """Open the boxes of a text for typing and put texts into them, but for what they hold: more may be typed since.

    Parameters
    ----------
    boxes : tuple of Textbox
        Of the text and of the second one. Until they are filled for the first time nobody types there, since that
        would be overwritten.
    held : tuple of str
        What stood there when the filling was asked for.
    wanted : tuple of str
        What is to stand there.
    is_pair : bool
        Whether a text has two parts.

    Returns
    -------
    dict
        An update of either box.
    """
    put: list[dict[str, Any]] = [
        {} if text == there else {"value": text} for text, there in zip(wanted, held, strict=True)
    ]
    return {
        boxes[0]: gr.Textbox(**put[0], label="First text" if is_pair else "Text", interactive=True),
        boxes[1]: gr.Textbox(**put[1], visible=is_pair, interactive=True),
    }
