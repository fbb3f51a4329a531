"""A button that saves: its file is written when it is clicked, and the browser keeps it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from reaugkd.files import explain_disk_errors

from ..listening import IN_PAGE, LATEST, once_filled
from ..scripts import script
from .problem import shown_above

FILES = tempfile.TemporaryDirectory(prefix="reaugkd-")  # deleted when the server ends


class SaveButton:
    """A button for one file."""

    def __init__(self, label: str, file_name: str, elem_id: str, **options: Any) -> None:
        self.file_name, self.link = file_name, f"{elem_id}-file"
        self.button = gr.Button(label, elem_id=elem_id, **options)

    def on_click(self, write: Callable[..., None], inputs: dict[str, Any], **options: Any) -> None:
        """Write the file when the button is clicked.

        Call it outside of what is shown and hidden again: Gradio would show the link to the file with the rest.
        """
        link = gr.DownloadButton(visible="hidden", elem_id=self.link)

        @once_filled
        def written(**values: Any) -> str:
            with shown_above(), explain_disk_errors(self.file_name):
                path = Path(tempfile.mkdtemp(dir=FILES.name)) / self.file_name
                write(path, **values)
            return str(path)

        saved = self.button.click(written, None, link, inputs_kwargs=inputs, **LATEST | options)
        saved.then(None, js=script("click", element=f"#{self.link}"), **IN_PAGE)
