"""A button that saves: its file is written when it is clicked, and the browser keeps it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from reaugkd.files import explain_disk_errors

from ..listening import IN_PAGE, LATEST, STATES, inputs_of
from ..scripts import script
from .problem import shown_above

FILES = tempfile.TemporaryDirectory(prefix="reaugkd-")  # deleted when the server ends


class SaveButton:
    """A button for one file."""

    def __init__(self, label: str, file_name: str, elem_id: str, **options: Any) -> None:
        self.file_name, self.link = file_name, f"{elem_id}-file"
        self.button = gr.Button(label, elem_id=elem_id, **options)

    def on_click(self, view: Any, write: Callable[..., None], **options: Any) -> None:
        """Write the file when the button is clicked; the parameters of ``write`` after its path name the inputs.

        Call it outside of what is shown and hidden again: Gradio would show the link to the file with the rest.
        """
        link = gr.DownloadButton(visible="hidden", elem_id=self.link)

        def written(**values: Any) -> Any:
            if any(values.get(state, True) is None for state in STATES):  # the page is not filled yet
                return gr.skip()
            with shown_above(), explain_disk_errors(self.file_name):
                path = Path(tempfile.mkdtemp(dir=FILES.name)) / self.file_name
                write(path, **values)
            return str(path)

        saved = self.button.click(written, None, link, inputs_kwargs=inputs_of(view, write), **LATEST | options)
        saved.then(None, js=script("click", element=f"#{self.link}"), **IN_PAGE)
