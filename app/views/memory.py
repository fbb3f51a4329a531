"""The page of the memory: search it, see what looks wrong, edit it, and see what an edit does before it is saved."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

import reaugkd as rk
from reaugkd.analysis.memory_questions import SHOWS, WRONG
from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState
from reaugkd.texts import row_in_one_line

from ..computed import edited_model
from ..listening import ALL_ROWS, EACH, LATEST, Updates, listen
from ..parts import pending_edits as pending
from ..parts.code_box import place_code
from ..parts.maps_panel import MapsPanel
from ..parts.pending_edits import PendingEdits, model_and_patch, pending_html, pending_patch, with_pending
from ..parts.pins import Kept, Pins, broken_in_words, pinned_texts, pinned_too, pins_html, with_kept
from ..parts.problem import READ_ALOUD, problem_html, told_in
from ..parts.row_table import whose_label
from ..parts.throttle import throttled
from ..parts.typed_text import place_boxes
from ..rendering import render
from ..scripts import source
from ..snippets import memory_code
from .memory_list import MemoryList, MemoryPage
from .new_version import NewVersion
from .smaller_memory import SmallerMemory
from .train_set import TrainSetForm

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.edits import Edit, Patch

NOT_OPENED = "<p>Click a row to edit it, or tick several.</p>"
Further = Callable[["rk.ReAugKDClassifier", "Patch"], "Sequence[Edit]"]  # makes edits beside those of a patch


def opened_html(model: "rk.ReAugKDClassifier", numbers: Sequence[int]) -> str:
    """Show the memory that is chosen, or say how many are."""
    if not numbers:
        return NOT_OPENED
    memory = model.memory
    if len(numbers) > 1:
        labels = Counter(memory.rows["label"].iloc[list(numbers)]).most_common()
        return render("ticked", count=len(numbers), labels=labels)
    row, soft_labels = memory.rows.iloc[numbers[0]], memory.soft_labels[numbers[0]]
    said = {"row": row.to_dict(), "text": row_in_one_line(row), "whose": whose_label(row)}
    teacher = None if row.get("edited") or row.get("labelled_by") else memory.classes[int(soft_labels.argmax())]
    is_adopted = model.settings.is_adopted
    return render("memory", **said, teacher=teacher, probability=soft_labels.max(), is_adopted=is_adopted)


class MemoryView(MemoryList):
    """A page over the memory; nothing is saved before one says so."""

    def __init__(self, maps: MapsPanel, edits: gr.BrowserState, kept: gr.BrowserState) -> None:
        super().__init__(maps)
        bare: dict[str, Any] = {"show_label": False, "container": False}
        self.show = gr.Radio(list(SHOWS), value=WRONG, label="Which memories?", elem_id="show", **bare)
        self.edits, self.kept = edits, kept
        self.picked, self.warned = gr.State([]), gr.State(())  # rows; the edits that were warned of
        self.more_inputs = {"name": self.name, "shown": self.shown, "edits": edits, "kept": kept, "warned": self.warned}
        with gr.Row(elem_id="memory-page"):
            with gr.Column(scale=8, min_width=340):
                self._place_list()
                gr.HTML(render("memory_keys"), elem_id="memory-keys")
            with gr.Column(scale=5, min_width=320):
                self._place_forms()
                self.message = gr.HTML(visible=False, elem_id="memory-message", js_on_load=READ_ALOUD)
                lists: dict[str, Any] = {"js_on_load": source("buttons.js"), "apply_default_css": False}
                self.pending = gr.HTML(pending_html(()), elem_id="pending", **lists)
                self.pins = gr.HTML("", elem_id="pins", **lists)
                self.new_version = NewVersion(self)
        self.refit, self.version = self.new_version.refit, self.new_version.version
        self.new_version.place_changed()
        self.code = place_code("memory-code")
        self._wire()

    def _place_forms(self) -> None:
        bare: dict[str, Any] = {"show_label": False, "container": False}
        small: dict[str, Any] = {"size": "sm", "min_width": 120}
        with gr.Tabs(elem_id="memory-forms"):
            with gr.Tab("Edit rows"):
                self.opened = gr.HTML(NOT_OPENED, elem_id="picked-memory")
                with gr.Row():
                    self.label = gr.Dropdown(
                        [], label="Label", allow_custom_value=True, elem_id="new-label", min_width=130, scale=2, **bare
                    )
                    self.relabel = gr.Button("Relabel", elem_id="relabel", size="sm", min_width=80)
                    self.remove = gr.Button("Remove", elem_id="remove", size="sm", min_width=80)
            # Drawn before it is opened: what is typed while a box is drawn is lost.
            with gr.Tab("A text of yours", render_children=True):
                self.text, self.text_pair = place_boxes("add-text")
                self.add_label = gr.Dropdown(
                    [], label="Its label; a new one makes a new class", allow_custom_value=True, elem_id="add-label"
                )
                with gr.Row():
                    self.add = gr.Button("Add to the memory", elem_id="add", **small)
                    self.pin = gr.Button("Pin: must stay right", elem_id="pin", **small)
                    self.upload = gr.UploadButton("Add from CSV", file_types=[".csv"], elem_id="add-csv", **small)
            with gr.Tab("Train set"):
                self.train_set = TrainSetForm(self.menu, self.name, self.edits)
            with gr.Tab("Smaller"):
                self.smaller = SmallerMemory(self.menu, self.name, self.edits)

    def _wire(self) -> None:
        drawn = [*self.listed, self.warned, self.pending, self.pins, self.new_version.save_patch.button]
        drawn += [*self.new_version.tried, *self.smaller.tried]
        patched = [self.edits, *drawn]
        self.whole = [*self.listed, self.show]
        self.filled = [*drawn, self.show, self.holds, self.picked, self.opened, self.label, self.add_label]
        self.filled += [self.text_pair, self.refit, self.version]
        listen(self, self.rows.choose, self._choose, [self.picked, self.opened, self.label], **EACH)
        for event, answer in (
            (self.relabel.click, self._relabel),
            (self.remove.click, self._remove),
            (self.rows.relabel, self._relabel_by_key),
            (self.rows.remove, self._remove_by_key),
            (self.rows.undo, self._undo),
            (self.upload.upload, self._add_file),
            (self.pending.drop, self._drop),
        ):
            listen(self, event, answer, patched, **EACH)
        listen(self, self.add.click, self._add, [self.text, self.text_pair, *patched], **EACH)
        listen(self, self.pin.click, self._pin, [self.kept, self.pins, self.message, self.text, self.text_pair], **EACH)
        listen(self, self.pins.drop, self._unpin, [self.kept, self.pins], **EACH)
        listen(self, self.edits.change, self._follow_edits, [self.pending], **LATEST)  # another page edits too
        changes = [part.change for part in (self.shown, self.pending, self.refit, self.version)]
        listen(self, partial(throttled, changes, elem_id="memory-coded"), self._coded, [self.code], **LATEST)
        listen(self, self.show.input, self._show, self.listed, **ALL_ROWS)
        self.train_set.wire()
        self._wire_list()

    def fill(self, name: str, linked: PageState, selected: list[int], edits: PendingEdits, kept: Kept) -> Updates:
        """Set the page up for a model."""
        model = self.menu.get(name)
        classes, (patch, lost) = list(model.settings.label_names), pending_patch(edits, name, model)
        left_out = f"{lost:,} of the pending edits no longer fit this memory; they are left out."
        shown = self._asked(name, linked, selected)
        return {
            self.show: gr.Radio(self._counted(name), value=shown.show),
            **self._patched(shown, patch, kept),
            self.holds: shown.holds,
            self.picked: [],
            self.opened: NOT_OPENED,
            **dict.fromkeys((self.label, self.add_label), gr.Dropdown(classes, value=classes[0])),
            self.text_pair: gr.Textbox(visible=model.settings.is_pair),
            **self.new_version.fill(name),
            **(self._problem(left_out) if lost else {}),
        }

    def _coded(self, shown: MemoryPage, edits: PendingEdits, refit: bool, version: str) -> Any:
        model, patch = model_and_patch(self.menu, shown.name, edits)
        folder, out = (self.menu.shown_folder(name) for name in (shown.name, version))
        carries_rows = model.evaluation_rows is not None
        return memory_code(folder, shown.show, shown.chosen, patch, refit, out, carries_rows=carries_rows)

    def _choose(self, event: gr.EventData, name: str) -> tuple[list[int], str, Any]:
        """Open the row that is chosen, or say how many are."""
        model, numbers = self.menu.get(name), [int(number) for number in event.rows]
        label = model.memory.rows["label"].iloc[numbers[-1]] if numbers else gr.skip()
        return numbers, opened_html(model, numbers), label

    def _patch(self, name: str, edits: PendingEdits) -> "Patch":
        return model_and_patch(self.menu, name, edits)[1]

    def _patched(self, shown: MemoryPage, patch: "Patch", kept: Kept) -> Updates:
        """Return what shows a patch; what was tried out before is no longer true."""
        model = self.menu.get(shown.name)
        return {
            self.pending: self._pending(shown.name, patch, kept),
            self.pins: self._pins(shown.name, patch, pinned_texts(kept, shown.name, model)),
            **self._listed(replace(shown, edited=pending.edited_rows(model, patch))),
            self.new_version.save_patch.button: gr.Button(interactive=bool(patch)),
            self.warned: (),
            **self.new_version.untried(),
            **self.smaller.untried(),
        }

    def _pending(self, name: str, patch: "Patch", kept: Kept) -> str:
        return pending_html(patch, self.menu.get(name).settings.label_names, kept.get(name, {}).get("saved"))

    def _pins(self, name: str, patch: "Patch", pinned: Pins) -> str:
        return pins_html(pinned, edited_model(self.menu.get(name), patch))

    def _follow_edits(self, shown: MemoryPage, edits: PendingEdits, kept: Kept) -> str:
        """List what another page edits too."""
        return self._pending(shown.name, self._patch(shown.name, edits), kept)

    def _problem(self, error: ReAugKDError | str) -> Updates:
        return {self.message: gr.HTML(problem_html(error), visible=True)}

    def _edited(
        self, further: Further, name: str, shown: MemoryPage | None, edits: PendingEdits, kept: Kept, warned: "Patch"
    ) -> Updates:
        """Take further edits; say why they are impossible, or first that they break what must stay right."""
        from reaugkd.analysis.edits import extended

        model, patch = model_and_patch(self.menu, name, edits)
        shown = shown or MemoryPage(name, [])  # a server that was started anew has forgotten it
        try:
            longer = extended(model, patch, further(model, patch))
            if warned != longer and (pinned := pinned_texts(kept, name, model)):
                before, after = (edited_model(model, each) for each in (patch, longer))
                if broken := broken_in_words(before, after, pinned):
                    return {self.warned: longer, **self._listed(shown), **self._problem(broken)}
        except ReAugKDError as error:
            return self._listed(shown) | self._problem(error)  # the list, drawn anew, waits for the next edit
        return self._kept(longer, name, shown, edits, kept)

    def _kept(
        self, patch: "Patch", name: str, shown: MemoryPage | None, edits: PendingEdits, kept: Kept, **_: Any
    ) -> Updates:
        shown = shown or MemoryPage(name, [])
        return {self.edits: with_pending(edits, name, patch), **self._patched(shown, patch, kept)}

    def _relabel(self, picked: list[int], label: str, **now: Any) -> Updates:
        return self._edited(lambda model, _: pending.rows_edited(model, "relabel", picked, label), **now)

    def _remove(self, picked: list[int], **now: Any) -> Updates:
        return self._edited(lambda model, _: pending.rows_edited(model, "remove", picked), **now)

    def _relabel_by_key(self, event: gr.EventData, **now: Any) -> Updates:
        def relabelled(model: "rk.ReAugKDClassifier", _: "Patch") -> "Sequence[Edit]":
            classes = model.settings.label_names
            if event.label >= len(classes):
                raise ReAugKDError(f"There is no class {event.label + 1}; the keys 1 to {len(classes)} give one.")
            return pending.rows_edited(model, "relabel", event.rows, classes[event.label])

        return self._edited(relabelled, **now)

    def _remove_by_key(self, event: gr.EventData, **now: Any) -> Updates:
        return self._remove(event.rows, **now)

    def _add(self, text: str, text_pair: str, add_label: str | None, **now: Any) -> Updates:
        rows = _one_row(text, text_pair, add_label)
        added = self._edited(lambda model, patch: pending.rows_added(model, patch, rows), **now)
        return added | ({self.text: "", self.text_pair: ""} if self.edits in added else {})

    def _add_file(self, upload: str, **now: Any) -> Updates:
        return self._edited(lambda model, patch: pending.file_added(model, patch, upload), **now)

    def _drop(self, event: gr.EventData, name: str, edits: PendingEdits, **now: Any) -> Updates:
        """Drop one edit."""
        patch = self._patch(name, edits)
        return self._kept((*patch[: event.number], *patch[event.number + 1 :]), name, edits=edits, **now)

    def _undo(self, name: str, edits: PendingEdits, **now: Any) -> Updates:
        return self._kept(self._patch(name, edits)[:-1], name, edits=edits, **now)

    @told_in("message")
    def _pin(
        self, name: str, edits: PendingEdits, kept: Kept, text: str, text_pair: str, add_label: str | None
    ) -> Updates:
        """Pin a text that is right now."""
        model, patch = model_and_patch(self.menu, name, edits)
        (row,) = _one_row(text, text_pair, add_label).dropna(axis=1).to_dict("records")
        pinned = pinned_too(pinned_texts(kept, name, model), edited_model(model, patch), row)
        emptied = {self.text: "", self.text_pair: "", self.message: gr.HTML("", visible=False)}
        return self._pinned(name, patch, kept, pinned) | emptied

    def _unpin(self, event: gr.EventData, name: str, edits: PendingEdits, kept: Kept) -> Updates:
        pinned = pinned_texts(kept, name, self.menu.get(name))
        pinned = [*pinned[: event.number], *pinned[event.number + 1 :]]
        return self._pinned(name, self._patch(name, edits), kept, pinned)

    def _pinned(self, name: str, patch: "Patch", kept: Kept, pinned: Pins) -> Updates:
        return {self.kept: with_kept(kept, name, pinned=pinned), self.pins: self._pins(name, patch, pinned)}


def _one_row(text: str, text_pair: str, label: str | None) -> pd.DataFrame:
    row = {"text": text, "text_pair": text_pair or None, "label": (label or "").strip() or None}
    return pd.DataFrame([row], dtype=object)  # as text, half a character would be refused here already
