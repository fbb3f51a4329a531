"""Boxes of text that are answered as one types."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from ..listening import LATEST, Answer, Updates
from ..scripts import script


def on_typing(boxes: list[gr.Textbox], answer: Answer, inputs_kwargs: dict[str, Any], **options: Any) -> None:
    """Answer what stands in some boxes whenever it changes, be it typed, pasted or put there by the page.

    Of what the page put there together with its answer, ``answer`` may return nothing.
    """
    events, js = [box.change for box in boxes], read_boxes(boxes, inputs_kwargs)
    gr.on(events, answer, inputs_kwargs=inputs_kwargs, js=js, **LATEST | options)


def read_boxes(boxes: Sequence[gr.Textbox], inputs: dict[str, Any]) -> str:
    """Return the script by which an event reads what stands in some of its inputs, each with an ``elem_id``.

    A box that the page fills sends a change before the page has taken its value.
    """
    values = list(inputs.values())
    places = {values.index(box): f"#{box.elem_id} textarea" for box in boxes}
    return script("read_boxes", boxes=places, count=len(values))


def place_boxes(
    elem_id: str, placeholder: str | None = None, text: str = "Text", second: str = "Second text", **options: Any
) -> tuple[gr.Textbox, gr.Textbox]:
    """Place the boxes of a text and of a second one, which a model of pairs shows.

    With ``interactive=False`` one can type there once :func:`filled_boxes` has opened them: what is typed before the
    page's own first text comes would be overwritten by it.
    """
    box = gr.Textbox("", label=text, placeholder=placeholder, max_lines=5, elem_id=elem_id, **options)
    return box, gr.Textbox("", label=second, visible=False, max_lines=5, elem_id=f"{elem_id}-pair", **options)


def filled_boxes(
    boxes: tuple[gr.Textbox, gr.Textbox], held: tuple[str, str], wanted: tuple[str, str], is_pair: bool
) -> Updates:
    """Open the boxes of a text for typing and put texts into them.

    A box that holds its text already stays as it is: more may be typed since.
    """
    put: list[dict[str, Any]] = [{} if text == now else {"value": text} for text, now in zip(wanted, held, strict=True)]
    return {
        boxes[0]: gr.Textbox(**put[0], label="First text" if is_pair else "Text", interactive=True),
        boxes[1]: gr.Textbox(**put[1], visible=is_pair, interactive=True),
    }
