"""The form of the page Memory that says what the pending edits do, and saves them as a new version of the model."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

from reaugkd.errors import ReAugKDError
from reaugkd.files import whole_file, write_csv

from ..computed import encoded_halves, judged_rows
from ..listening import ASKING, LATEST, Updates, listen
from ..parts.pending_edits import PendingEdits, model_and_patch, pending_html, with_edits
from ..parts.pins import Kept, broken_in_words, pinned_texts, with_kept
from ..parts.problem import READ_ALOUD, told_in
from ..parts.row_table import place_table, row_table
from ..parts.save_button import SaveButton
from ..rendering import render

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.comparison import Comparison

    from .memory import MemoryView

CHANGED = ("text", "text_pair", "label", "before", "after", "effect")


class NewVersion:
    """What the pending edits fix and break, and the version that they are saved as."""

    def __init__(self, page: "MemoryView") -> None:
        self.menu, self.name, self.edits, self.kept = page.menu, page.name, page.edits, page.kept
        self.message, self.pending = page.message, page.pending
        with gr.Row():
            self.try_out = gr.Button("What does it fix and break?", variant="primary", elem_id="try", size="sm")
            self.refit = gr.Checkbox(False, label="Fit the pool again", container=False, elem_id="refit", min_width=140)
        # A region of its own: only words in a region that stays are read aloud.
        self.effect = gr.HTML("", js_on_load=READ_ALOUD, elem_id="patch-effect")
        with gr.Row(elem_id="save-row"):
            label = "Name of the new version"
            small: dict[str, Any] = {"size": "sm", "scale": 0}
            bare: dict[str, Any] = {"show_label": False, "container": False, "max_lines": 1, "min_width": 130}
            self.version = gr.Textbox("", label=label, placeholder=label, elem_id="version", **bare)
            self.save_version = gr.Button("Save as a new version", elem_id="save-version", min_width=180, **small)
            self.save_patch = SaveButton(
                "Save the patch", "patch.jsonl", "save-patch", interactive=False, min_width=125, **small
            )
        self.saved = gr.HTML("", elem_id="memory-saved", js_on_load=READ_ALOUD)

    def place_changed(self) -> None:
        """Place the answers that the edits change, and let all of the form answer."""
        self.changed = place_table("changed")
        self.save_changed = SaveButton("Save as CSV", "changed.csv", "changed-save", size="sm", visible=False)
        self.tried = [self.message, self.effect, self.changed, self.save_changed.button, self.saved]
        self.refit.input(self.untried, None, self.tried, **LATEST)
        slow = ASKING | {"show_progress": "minimal", "show_progress_on": None}
        listen(self, self.try_out.click, self._try, self.tried, **slow)
        saved = [self.saved, self.message, self.name, self.kept, self.pending, self.version]
        listen(self, self.save_version.click, self._save_version, saved, **slow)
        self.save_changed.on_click(self, self._save_changed)
        self.save_patch.on_click(self, self._save_patch)

    def fill(self, name: str) -> Updates:
        """Set the form up for a model."""
        return {self.refit: False, self.version: self.menu.free_name(re.sub(r"-edited(-\d+)?$", "", name) + "-edited")}

    def untried(self) -> Updates:
        """Return what shows that nothing is tried out."""
        emptied: Updates = dict.fromkeys((self.effect, self.saved, self.changed), "")
        return emptied | {self.message: gr.HTML("", visible=False), self.save_changed.button: gr.Button(visible=False)}

    def _changed(self, name: str, edits: PendingEdits, refit: bool) -> "tuple[Comparison, pd.DataFrame]":
        """Compare the edited model with the model on the half of the test rows that edits are judged on."""
        from reaugkd.analysis.comparison import compare
        from reaugkd.method.answers import changed_answers

        model, patch = model_and_patch(self.menu, name, edits)
        before = judged_rows(model)
        after = with_edits(model, patch, refit).answer(before.encoded)  # it has the same networks and keys
        return compare(after, before, model.settings.metric), changed_answers(before, after)

    @told_in("message")
    def _try(self, name: str, edits: PendingEdits, kept: Kept, refit: bool) -> Updates:
        from reaugkd.method.answers import effect_counts

        model, patch = model_and_patch(self.menu, name, edits)
        compared, changed = self._changed(name, edits, refit)
        broken = broken_in_words(model, with_edits(model, patch, refit), pinned_texts(kept, name, model))
        shown, metric = changed.filter(CHANGED), model.settings.metric.replace("_", " ")
        effect = render("effects", effects=effect_counts(changed), metric=metric, compared=compared, broken=broken)
        return {
            **self.untried(),
            self.effect: effect,
            self.changed: row_table(shown) if len(shown) else "",
            self.save_changed.button: gr.Button(visible=len(shown) > 0),
        }

    def _save_changed(self, path: Path, name: str, edits: PendingEdits, refit: bool) -> None:
        write_csv(self._changed(name, edits, refit)[1], path)

    def _save_patch(self, path: Path, name: str, edits: PendingEdits) -> None:
        from reaugkd.analysis.edits import write_patch

        write_patch(model_and_patch(self.menu, name, edits)[1], path)

    @told_in("saved")
    def _save_version(self, name: str, edits: PendingEdits, kept: Kept, refit: bool, version: str) -> Updates:
        from reaugkd.analysis.edit_effects import told_in_words, with_told_effect

        model, patch = model_and_patch(self.menu, name, edits)
        if not patch:
            raise ReAugKDError("There is no edit to save; relabel, remove or add a memory first.")
        target = self.menu.new_folder(version)
        edited = with_edits(model, patch, refit)
        if model.evaluation_rows is not None:
            edited = with_told_effect(model, edited, encoded_halves(model)[1])
        edited = replace(edited, pinned=pd.DataFrame(pinned_texts(kept, name, model)))
        with whole_file(target.with_name(f"{target.name}.patch.jsonl")) as beside:  # not there without the model
            self._save_patch(beside, name, edits)
            edited.save_pretrained(target)
        saved = {"version": target.name, "edits": [edit.as_dict() for edit in patch]}
        said = [f"Saved as {target.name}, with the patch beside it. Choose it in the menu of models to ask it."]
        return {
            self.saved: render("sentences", sentences=[*said, told_in_words(edited)]),
            self.message: gr.HTML("", visible=False),
            self.name: gr.Dropdown(choices=self.menu.names()),
            self.kept: with_kept(kept, name, saved=saved),
            self.pending: pending_html(patch, model.settings.label_names, saved),
            self.version: self.fill(name)[self.version],
        }
