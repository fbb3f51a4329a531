"""A button that saves: where its file cannot be written, the page says why."""

import errno

import gradio as gr
import pytest

from app.parts.problem import Problem
from app.parts.save_button import SaveButton


def test_a_full_disk_is_said_on_the_page_without_a_folder_of_the_server():
    def write(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with gr.Blocks() as page:
        SaveButton("Save as CSV", "rows.csv", "rows-save").on_click(None, write)
    written = next(event.fn for event in page.fns.values() if event.fn is not None)
    with pytest.raises(Problem) as caught:
        written()
    assert caught.value.sentence == (
        "The disk is full while writing 'rows.csv'; free some space and run the same command again."
    )
