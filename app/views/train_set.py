"""The form of the page Memory that writes the corrected train set, or trains again with it."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from reaugkd.files import explain_disk_errors, write_csv

from ..computed import edited_model
from ..listening import ALL_ROWS, Updates, listen
from ..menu import ModelMenu
from ..parts.pending_edits import PendingEdits, model_and_patch
from ..parts.problem import shown_above
from ..parts.save_button import FILES, SaveButton
from ..rendering import render

if TYPE_CHECKING:
    from .train import TrainView

EXPORTS = ((".csv", "CSV", "csv"), (".parquet", "Parquet", "parquet"), (".zip", "Folder for datasets", "folder"))


class TrainSetForm:
    """Buttons for the train set that a model's memory and the pending edits make."""

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, edits: gr.BrowserState) -> None:
        self.menu, self.name, self.edits = menu, name, edits
        gr.HTML(render("train_set"))
        self.exports = {
            suffix: SaveButton(label, f"train{suffix}", f"export-{elem_id}", size="sm", min_width=90)
            for suffix, label, elem_id in EXPORTS
        }
        self.train_again = gr.Button("Train again with these labels", elem_id="train-again", size="sm")

    def wire(self) -> None:
        """Write the train set when a button is clicked."""
        for button in self.exports.values():
            button.on_click(self, self._export)

    def _export(self, path: Path, name: str, edits: PendingEdits) -> None:
        """Write the corrected train set; a folder is packed."""
        from reaugkd.analysis.edits import write_train_set

        is_packed, edited = path.suffix == ".zip", edited_model(*model_and_patch(self.menu, name, edits))
        written = write_train_set(edited, path.with_suffix("") if is_packed else path)
        if is_packed:
            shutil.make_archive(str(written), "zip", written)

    def lead_to_training(self, train: "TrainView", tabs: gr.Tabs) -> None:
        """Let a button open the page that trains with the corrected rows in its form."""

        def lead(name: str, edits: PendingEdits) -> Updates:
            from reaugkd.analysis.edits import train_set

            edited, folder = edited_model(*model_and_patch(self.menu, name, edits)), tempfile.mkdtemp(dir=FILES.name)
            files = {"train": train_set(edited)}
            if edited.evaluation_rows is not None:
                held = edited.held_out(["test"])
                files["test"] = held.drop(columns=["split", "teacher_soft_labels"], errors="ignore")
            paths = {part: f"{folder}/{name}-{part}.csv" for part in files}
            with shown_above(), explain_disk_errors(folder):
                for part, rows in files.items():
                    write_csv(rows, paths[part])
            return {tabs: gr.Tabs(selected="train"), **train.with_files(**paths)}

        listen(self, self.train_again.click, lead, [tabs, *train.by_files], **ALL_ROWS)
