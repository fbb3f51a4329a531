"""The box under a view that shows the Python behind it, with a button that copies it."""

import gradio as gr


def place_code(elem_id: str) -> gr.Code:
    """Place a closed box with code in it."""
    with gr.Accordion("The same in Python", open=False, elem_id=f"{elem_id}-box"):
        return gr.Code(
            language="python", show_label=False, wrap_lines=True, max_lines=40, buttons=["copy"], elem_id=elem_id
        )
