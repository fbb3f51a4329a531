"""The page of the memory: search it, see what looks wrong, edit it, and see what an edit does before it is saved."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

import reaugkd as rk
from reaugkd.analysis.memory_questions import ALL, DUPLICATES, SHOWS, SUSPICIOUS
from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState
from reaugkd.texts import row_in_one_line

from ..computed import answered_rows, cached, encoded_rows
from ..listening import ASKING, EACH, LATEST, Updates, by_name, inputs_of, listen
from ..menu import ModelMenu
from ..parts.code_box import place_code
from ..parts.maps_panel import MapsPanel
from ..parts.problem import READ_ALOUD, problem_html
from ..parts.row_table import row_table, whose_label
from ..parts.save_button import SaveButton
from ..parts.throttle import throttled
from ..rendering import render
from ..scripts import source
from ..snippets import memory_code
from .rows import RowsPage, RowsView

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.edits import Patch

PendingEdits = dict[str, list[dict[str, str]]]  # by model, as the browser keeps them
CHANGED = ("text", "text_pair", "label", "before", "after", "effect")
NOT_OPENED = "<p>Click a row to edit it.</p>"
NARROW = {"text": 180, "text_pair": 160, "label": 102, "before": 102, "after": 102, "effect": 80}  # half a page


@dataclass(frozen=True)
class MemoryPage(RowsPage):
    """Which memories the page lists; ``rows`` are those that are selected on the maps.

    Parameters
    ----------
    show : str
        One of :data:`reaugkd.analysis.memory_questions.SHOWS`.
    """

    show: str = SUSPICIOUS
    __hash__ = RowsPage.__hash__


@cached(8)
def memories_of(model: "rk.ReAugKDClassifier", show: str) -> pd.DataFrame:
    """List a model's memories by a question about them, once; the last eight lists stay."""
    from reaugkd.analysis.memory_audit import memories

    is_judged = model.evaluation_rows is not None and show != DUPLICATES
    return memories(model, answered_rows(model, "test") if is_judged else None, show)


def pending_patch(edits: PendingEdits, name: str, model: "rk.ReAugKDClassifier") -> "tuple[Patch, int]":
    """Read the pending edits of a model that a browser kept; its memory may have changed since."""
    from reaugkd.analysis.edits import Edit, fitting

    found = tuple(Edit(**edit) for edit in edits.get(name, []))
    fits = fitting(model, found)
    return fits, len(found) - len(fits)


def row_edited(
    model: "rk.ReAugKDClassifier", patch: "Patch", kind: str, number: int | None, label: str | None = None
) -> "Patch":
    """Relabel or remove a memory too."""
    from reaugkd.analysis.edits import Edit

    if number is None:
        raise ReAugKDError("No memory is opened; click a row of the table first.")
    return (*patch, Edit(kind, model.memory.rows["id"].iloc[number], label))


def rows_added(model: "rk.ReAugKDClassifier", patch: "Patch", rows: pd.DataFrame) -> "Patch":
    """Add texts too."""
    from reaugkd.analysis.edits import additions

    return (*patch, *additions(model, rows, patch))


def file_added(model: "rk.ReAugKDClassifier", patch: "Patch", path: str) -> "Patch":
    """Add the texts of a table too."""
    from reaugkd.tasks.sources import named_texts

    columns = ["text", "label"] + ["text_pair"] * model.settings.is_pair
    return rows_added(model, patch, named_texts(path, {column: column for column in columns}))


def pending_html(patch: "Patch", classes: Sequence[str] = ()) -> str:
    """List the edits that are not saved yet, each with a button that drops it."""
    lines = []
    for edit in patch:
        what = {"add": "add", "relabel": f"relabel {edit.id} to", "remove": f"remove {edit.id}"}[edit.edit]
        new = "(a new class)" if edit.label and edit.label not in classes else ""
        text = row_in_one_line(vars(edit)) if edit.text else ""
        lines.append(" ".join(filter(None, [what, edit.label, new, text])))
    return render("pending", edits=lines)


class MemoryView(RowsView):
    """A page over the memory; nothing is saved before one says so."""

    view = "memory"
    number = "number"

    def __init__(
        self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel, linked: gr.State, edits: gr.BrowserState
    ) -> None:
        super().__init__(menu, name, maps, linked)
        self.edits, self.row = edits, gr.State(None)
        self.show = gr.Radio(list(SHOWS), value=SUSPICIOUS, label="Which memories?", elem_id="show")
        self._place_list()
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                self._place_edits()
            with gr.Column(scale=1, min_width=320):
                self._place_pending()
        self.code = place_code("memory-code")
        self._wire()

    def _place_edits(self) -> None:
        self.opened = gr.HTML(NOT_OPENED, elem_id="picked-memory")
        self.label = gr.Dropdown([], label="Label", allow_custom_value=True, elem_id="new-label")
        with gr.Row():
            self.relabel = gr.Button("Relabel", elem_id="relabel")
            self.remove = gr.Button("Remove", elem_id="remove")
        gr.Markdown("## Add a memory; a label that is new makes a new class")
        self.text = gr.Textbox("", label="Text", elem_id="add-text", max_lines=4)
        self.text_pair = gr.Textbox("", label="Second text", visible=False, elem_id="add-text-pair", max_lines=4)
        self.add_label = gr.Dropdown([], label="Its label", allow_custom_value=True, elem_id="add-label")
        with gr.Row():
            self.add = gr.Button("Add", elem_id="add")
            self.upload = gr.UploadButton("Add from CSV", file_types=[".csv"], file_count="single", elem_id="add-csv")

    def _place_pending(self) -> None:
        self.message = gr.HTML(visible=False, elem_id="memory-message")
        self.pending = gr.HTML(
            pending_html(()), elem_id="pending", js_on_load=source("buttons.js"), apply_default_css=False
        )
        self.refit = gr.Checkbox(False, label="Fit the pool again to the edited memory", elem_id="refit")
        self.try_out = gr.Button("What does it fix and break?", variant="primary", elem_id="try")
        # A region of its own: only words in a region that stays are read aloud.
        self.effect = gr.HTML("", js_on_load=READ_ALOUD, elem_id="patch-effect")
        self.changed = gr.Dataframe(interactive=False, wrap=True, max_height=300, elem_id="changed", visible=False)
        self.save_changed = SaveButton("Save as CSV", "changed.csv", "changed-save", size="sm", visible=False)
        self.version = gr.Textbox("", label="Name of the new version", elem_id="version", max_lines=1)
        with gr.Row():
            self.save_version = gr.Button("Save as a new version", elem_id="save-version")
            self.save_patch = SaveButton("Save the patch", "patch.jsonl", "save-patch", interactive=False)

    def _wire(self) -> None:
        tried = [self.message, self.effect, self.changed, self.save_changed.button]
        patched = [self.edits, self.pending, self.save_patch.button, *tried]
        self.whole = [*self.listed, self.show]
        self.filled = [*self.whole, self.holds, self.row, self.opened, self.label, self.add_label, self.text_pair]
        self.filled += [self.refit, self.version, *patched[1:]]
        self._on(partial(by_name, self.show.input), self._listed, self.listed, "show")
        self.rows.select(self._open, self.name, [self.row, self.opened, self.label], **ASKING)
        listen(self, self.relabel.click, self._relabel, patched, **EACH)
        listen(self, self.remove.click, self._remove, patched, **EACH)
        listen(self, self.add.click, self._add, [self.text, self.text_pair, *patched], **EACH)
        listen(self, self.upload.upload, self._add_file, patched, **EACH)
        listen(self, self.pending.drop, self._drop, patched, **EACH)
        self.refit.input(self._untried, None, tried, **LATEST)
        slow = ASKING | {"show_progress": "minimal", "show_progress_on": None}
        listen(self, self.try_out.click, self._try, tried, **slow)
        listen(self, self.save_version.click, self._save_version, [self.message, self.name], **slow)
        for button, save in ((self.save_changed, self._save_changed), (self.save_patch, self._save_patch)):
            button.on_click(save, inputs_of(self, save))
        changes = [part.change for part in (self.shown, self.pending, self.refit, self.version)]
        throttled(changes, self._coded, inputs_of(self, self._coded), [self.code], "memory-coded", **LATEST)
        self._wire_list()

    def fill(self, name: str, linked: PageState, selected: list[int], edits: PendingEdits) -> Updates:
        """Set the page up for a model."""
        model, rows = self.menu.get(name), self._rows_among(name, selected)
        asked = linked.asked_of("memory", name).of_view
        show = asked["show"] if asked.get("show") in SHOWS else self._usual(name, rows)["show"]
        classes, (patch, lost) = list(model.settings.label_names), pending_patch(edits, name, model)
        left_out = f"{lost:,} of the pending edits no longer fit this memory; they are left out."
        return {
            **self._drawn(MemoryPage(name, rows, holds=asked.get("holds", ""), show=show)),
            self.holds: asked.get("holds", ""),
            self.row: None,
            self.opened: NOT_OPENED,
            self.label: gr.Dropdown(classes, value=classes[0]),
            self.add_label: gr.Dropdown(classes, value=classes[0]),
            self.text_pair: gr.Textbox(visible=model.settings.is_pair),
            self.refit: False,
            self.version: self.menu.free_name(re.sub(r"-edited(-\d+)?$", "", name) + "-edited"),
            **self._patched(name, patch),
            **(self._problem(left_out) if lost else {}),
        }

    def _linked(self, shown: MemoryPage) -> dict[str, Any]:
        show = "" if shown.show == self._usual(shown.name, shown.rows)["show"] else shown.show
        return {"of_view": {"show": show, "holds": shown.holds}}

    def _usual(self, name: str, rows: list[int]) -> dict[str, Any]:
        return {"show": ALL if rows or self.menu.get(name).evaluation_rows is None else SUSPICIOUS}

    def _rows_among(self, name: str, points: list[int]) -> list[int]:
        """Return the memories among points, which stand first among these."""
        return [point for point in points if point < len(self.menu.get(name).memory)]

    def _every_row(self, shown: MemoryPage) -> pd.DataFrame:
        return memories_of(self.menu.get(shown.name), shown.show).set_index("number")

    def _words(self, shown: MemoryPage) -> list[str]:
        return [shown.show, *super()._words(shown)]

    def _drawn(self, shown: MemoryPage) -> Updates:
        return {self.show: shown.show, **self._listed(shown)}

    def _show_on_maps(self, shown: MemoryPage) -> Updates:
        return self.maps.show_points(shown.name, self._found(shown)["number"].unique().tolist())

    def _coded(self, shown: MemoryPage | None, edits: PendingEdits, refit: bool, version: str) -> Any:
        if shown is None:
            return gr.skip()
        return memory_code(
            self.menu.shown_folder(shown.name),
            shown.show,
            shown.chosen,
            self._patch(shown.name, edits),
            refit,
            self.menu.shown_folder(version),
            carries_rows=self.menu.get(shown.name).evaluation_rows is not None,
        )

    def _open(self, event: gr.SelectData, name: str) -> tuple[int, str, Any]:
        """Open the memory whose number stands first in the row."""
        memory, number = self.menu.get(name).memory, int(event.row_value[0])
        row, soft_labels = memory.rows.iloc[number], memory.soft_labels[number]
        opened = render(
            "memory",
            id=row["id"],
            text=row_in_one_line(row),
            whose=whose_label(row),
            label=row["label"],
            teacher=memory.classes[int(soft_labels.argmax())],
            probability=soft_labels.max(),
        )
        return number, opened, row["label"]

    def _patch(self, name: str, edits: PendingEdits) -> "Patch":
        """Return a model's pending edits."""
        return pending_patch(edits, name, self.menu.get(name))[0]

    def _patched(self, name: str, patch: "Patch") -> Updates:
        """Return what shows a patch; what was tried out before is no longer true."""
        return {
            self.pending: pending_html(patch, self.menu.get(name).settings.label_names),
            self.save_patch.button: gr.Button(interactive=bool(patch)),
            **self._untried(),
        }

    def _untried(self) -> Updates:
        return {
            self.message: gr.HTML("", visible=False),
            self.effect: "",
            self.changed: gr.Dataframe(visible=False),
            self.save_changed.button: gr.Button(visible=False),
        }

    def _problem(self, error: ReAugKDError | str) -> Updates:
        return {self.message: gr.HTML(problem_html(error), visible=True)}

    def _edited(self, name: str, edits: PendingEdits, further: "Callable[..., Patch]", **asked: Any) -> Updates:
        """Take what is made of the pending patch if the model can be edited by it, or say why not."""
        from reaugkd.analysis.edits import check_patch

        try:
            patch = further(self.menu.get(name), self._patch(name, edits), **asked)
            check_patch(self.menu.get(name), patch)
        except ReAugKDError as error:
            return self._problem(error)
        return {self.edits: {**edits, name: [edit.as_dict() for edit in patch]}, **self._patched(name, patch)}

    def _relabel(self, name: str, edits: PendingEdits, row: int | None, label: str) -> Updates:
        return self._edited(name, edits, row_edited, kind="relabel", number=row, label=label)

    def _remove(self, name: str, edits: PendingEdits, row: int | None) -> Updates:
        return self._edited(name, edits, row_edited, kind="remove", number=row)

    def _add(self, name: str, edits: PendingEdits, text: str, text_pair: str, add_label: str) -> Updates:
        rows = pd.DataFrame(
            [{"text": text, "text_pair": text_pair or None, "label": (add_label or "").strip() or None}]
        )
        added = self._edited(name, edits, rows_added, rows=rows)
        return added | ({self.text: "", self.text_pair: ""} if self.edits in added else {})

    def _add_file(self, name: str, edits: PendingEdits, upload: str) -> Updates:
        return self._edited(name, edits, file_added, path=upload)

    def _drop(self, event: gr.EventData, name: str, edits: PendingEdits) -> Updates:
        """Drop one edit; another that builds on it keeps it."""
        number = int(event.number)
        return self._edited(name, edits, lambda _, patch: (*patch[:number], *patch[number + 1 :]))

    def _save_patch(self, path: Path, name: str, edits: PendingEdits) -> None:
        from reaugkd.analysis.edits import write_patch

        write_patch(self._patch(name, edits), path)

    def _new_version(self, name: str, edits: PendingEdits, refit: bool) -> "rk.ReAugKDClassifier":
        from reaugkd.analysis.edits import apply_patch
        from reaugkd.analysis.refit import refit_pool

        edited = apply_patch(self.menu.get(name), self._patch(name, edits))
        return refit_pool(edited) if refit else edited

    def _changed(self, name: str, edits: PendingEdits, refit: bool) -> pd.DataFrame:
        """Return the test rows that the pending edits answer otherwise."""
        from reaugkd.method.answers import changed_answers

        before = answered_rows(self.menu.get(name), "test")
        # The edited model has the same networks and keys.
        return changed_answers(before, self._new_version(name, edits, refit).answer(before.encoded))

    def _try(self, name: str, edits: PendingEdits, refit: bool) -> Updates:
        from reaugkd.method.answers import effect_counts

        try:
            changed = self._changed(name, edits, refit)
        except ReAugKDError as error:
            return self._problem(error)
        counts, rows = effect_counts(changed), len(encoded_rows(self.menu.get(name), "test"))
        shown = changed[[column for column in CHANGED if column in changed.columns]]
        return {
            self.message: gr.HTML("", visible=False),
            self.effect: render("effects", rows=rows, effects=counts),
            self.changed: row_table(shown, NARROW, visible=len(shown) > 0),
            self.save_changed.button: gr.Button(visible=len(shown) > 0),
        }

    def _save_changed(self, path: Path, name: str, edits: PendingEdits, refit: bool) -> None:
        self._changed(name, edits, refit).to_csv(path, index=False)

    def _save_version(self, name: str, edits: PendingEdits, refit: bool, version: str) -> Updates:
        try:
            if not self._patch(name, edits):
                raise ReAugKDError("There is no edit to save; relabel, remove or add a memory first.")
            target = self.menu.new_folder(version)
            self._new_version(name, edits, refit).save_pretrained(target)
        except ReAugKDError as error:
            return self._problem(error)
        self._save_patch(target.with_name(f"{target.name}.patch.jsonl"), name, edits)
        saved = f"Saved as {target}, the patch beside it; choose {target.name} in the menu of models to ask it."
        return {
            self.message: gr.HTML(render("sentences", sentences=[saved]), visible=True),
            self.name: gr.Dropdown(choices=self.menu.names()),
        }
