"""The page of the memory: search it, see what looks wrong, edit it, and see what an edit does before it is saved."""

import itertools
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from code_box import place_code
from maps_panel import MapsPanel
from models import ASKING, EACH, LATEST, ModelMenu, evaluation_set, kept

from reaugkd.errors import ReAugKDError
from reaugkd.memory_audit import DUPLICATES, SHOWS
from reaugkd.neighbour_table import escaped_text
from reaugkd.snippets import REFIT, memory_code

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
    from reaugkd.patch import Patch

    Patches = dict[str, Patch]

MAX_ROWS = 300
NONE_PICKED = "<p>Pick a row to edit it.</p>"
AS_CHOSEN, REFITTED, FIXED = "as chosen in training", "a gate fitted again", "the λ below for every text"
# What a memory fixes and breaks stays in sight on a screen of 1280 pixels.
WIDTHS = {
    "number": 90,
    "text": 400,
    "other_text": 400,
    "text_pair": 320,
    "suspicion": 110,
    "retrieved": 110,
    "fixes": 75,
    "breaks": 85,
}


@kept(8)
def listed(model: "ReAugKDClassifier", show: str) -> pd.DataFrame:
    """List all memories by a question about them, once; the last eight lists stay."""
    from reaugkd.memory_audit import memories

    if model.parts.evaluation_rows is None or show == DUPLICATES:
        return memories(model, None, show)
    return memories(model, evaluation_set(model, "test").answered(model.memory, model.retrieval), show)


def memories(model: "ReAugKDClassifier", show: str, text: str) -> pd.DataFrame:
    """List memories by a question about them.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    show : str
        One of :data:`SHOWS`.
    text : str
        What a text holds.

    Returns
    -------
    DataFrame
        The rows, with the columns that matter first.
    """
    from reaugkd.error_analysis import RowFilter

    return RowFilter(text=text).of(listed(model, show)).round(2)


def pending_html(patch: "Patch") -> str:
    """List the edits that are not saved yet."""
    if not patch:
        return "<p>No edit is pending. Pick a row above to relabel or remove it, or add a text.</p>"
    lines = []
    for edit in patch:
        what = {"add": "add", "relabel": f"relabel {edit.id} to", "remove": f"remove {edit.id}"}[edit.edit]
        lines.append(f"<li>{escaped_text(' '.join(filter(None, [what, edit.label, edit.text])))}</li>")
    return f"<p><b>{len(patch)}</b> pending:</p><ol>{''.join(lines)}</ol>"


class MemoryView:
    """A page over the memory; nothing is computed before it is opened, and nothing is saved before one says so.

    Parameters
    ----------
    menu : ModelMenu
        Gives the model, and the folder beside which a new version is saved.
    name : Component
        Holds the name of the model that is edited.
    maps : MapsPanel
        Shares its selection.
    """

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel) -> None:
        self.menu, self.name, self.maps = menu, name, maps
        self.patches = gr.State({})  # by model: no edit is lost when another model, or view, is looked at
        self.row = gr.State(None)
        with gr.Row():
            self.show = gr.Radio(SHOWS, value="suspicious", label="Which memories?", elem_id="show", scale=3)
            self.search = gr.Textbox(label="Text holds", elem_id="search", max_lines=1, scale=1)
        self.rows = gr.Dataframe(interactive=False, wrap=True, max_height=380, elem_id="memories")
        self.on_maps = gr.Button("Select on the maps", size="sm", elem_id="memories-on-maps", scale=0)
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                self.opened = gr.HTML(NONE_PICKED, elem_id="picked-memory")
                self.label = gr.Dropdown([], label="Label", allow_custom_value=True, elem_id="new-label")
                with gr.Row():
                    self.relabel = gr.Button("Relabel", elem_id="relabel")
                    self.remove = gr.Button("Remove", elem_id="remove")
                gr.Markdown("### Add a memory; a label that is new makes a new class")
                self.text = gr.Textbox(label="Text", elem_id="add-text", max_lines=4)
                self.text_pair = gr.Textbox(label="Second text", visible=False, elem_id="add-text-pair", max_lines=4)
                self.add_label = gr.Dropdown([], label="Its label", allow_custom_value=True, elem_id="add-label")
                with gr.Row():
                    self.add = gr.Button("Add", elem_id="add")
                    self.upload = gr.UploadButton(
                        "Add from CSV", file_types=[".csv"], file_count="single", elem_id="add-csv"
                    )
            with gr.Column(scale=1, min_width=320):
                self.message = gr.HTML(visible=False, elem_id="memory-message")
                self.pending = gr.HTML(pending_html(()), elem_id="pending")
                self.undo = gr.Button("Undo the last", size="sm", elem_id="undo")
                self.answer_by = gr.Radio([AS_CHOSEN, REFITTED, FIXED], value=AS_CHOSEN, label="Answer by")
                self.weight = gr.Slider(0, 1, 0.5, step=0.01, label="λ: weight of the memory", buttons=[])
                self.try_out = gr.Button("What does it fix and break?", variant="primary", elem_id="try")
                self.effect = gr.HTML(elem_id="patch-effect")
                self.changed = gr.Dataframe(
                    interactive=False, wrap=True, max_height=300, elem_id="changed", visible=False
                )
                self.version = gr.Textbox(label="Name of the new version", elem_id="version", max_lines=1)
                with gr.Row():
                    self.save = gr.Button("Save as a new version", elem_id="save-version")
                    self.download = gr.DownloadButton("Save the patch", elem_id="save-patch")
        self.code = place_code("memory-code")
        self._wire()

    def _wire(self) -> None:
        edited = [self.name, self.patches]
        edits = [self.patches, self.pending, self.message, self.download, self.effect, self.changed]
        self.fill_inputs = [self.patches]
        self.filled = [self.rows, self.show, self.search, self.row, self.opened, self.label, self.add_label]
        self.filled += [self.text_pair, self.version, *edits]
        gr.on(
            [self.show.input, self.search.change], self._list, [self.name, self.show, self.search], self.rows, **LATEST
        )
        self.on_maps.click(
            self._show_on_maps, [self.name, self.show, self.search], [self.maps.map, *self.maps.listed], **ASKING
        )
        self.rows.select(self._open, self.name, [self.row, self.opened, self.label], **ASKING)
        self.relabel.click(self._relabel, [*edited, self.row, self.label], edits, **EACH)
        self.remove.click(self._remove, [*edited, self.row], edits, **EACH)
        self.add.click(self._add, [*edited, self.text, self.text_pair, self.add_label], [*edits, self.text], **EACH)
        self.upload.upload(self._add_file, [*edited, self.upload], edits, **EACH)
        self.undo.click(self._undo, edited, edits, **EACH)
        self.try_out.click(
            self._try,
            [*edited, self.answer_by, self.weight],
            [self.message, self.effect, self.changed],
            **ASKING | {"show_progress": "minimal"},
        )
        self.save.click(
            self._save,
            [*edited, self.answer_by, self.weight, self.version],
            [self.message, self.name],
            **ASKING | {"show_progress": "minimal"},
        )
        seen: list[Any] = [self.show, self.search, self.patches, self.answer_by, self.weight, self.version]
        changed = [part.change for part in seen]
        gr.on(changed, self._coded, [self.name, *seen], self.code, **LATEST)

    def fill(self, name: str, patches: "Patches") -> dict[Any, Any]:
        """Set the page up for a model.

        Parameters
        ----------
        name : str
            The model's.
        patches : dict of str to Patch
            Pending edits by model.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model = self.menu.get(name)
        if model.parts.evaluation_rows is None:
            return {self.message: gr.HTML("<p>This model carries no evaluation rows to judge by.</p>", visible=True)}
        names = list(model.parts.settings.label_names)
        return {
            **self._edited(name, patches, patches.get(name, ())),
            self.show: "suspicious",
            self.search: "",
            self.rows: self._list(name, "suspicious", ""),
            self.row: None,
            self.opened: NONE_PICKED,
            self.label: gr.Dropdown(names, value=names[0]),
            self.add_label: gr.Dropdown(names, value=names[0]),
            self.text_pair: gr.Textbox(visible=model.parts.settings.is_pair),
            self.version: self._free_name(name),
        }

    def _free_name(self, name: str) -> str:
        """Return a name for the next version that no folder has."""
        base = re.sub(r"-edited(-\d+)?$", "", name)
        names = (f"{base}-edited" + (f"-{number}" if number > 1 else "") for number in itertools.count(1))
        return next(free for free in names if not self.menu.folder(free).exists())

    def _list(self, name: str, show: str, text: str) -> Any:
        rows = memories(self.menu.get(name), show, text).head(MAX_ROWS)
        return gr.Dataframe(rows, column_widths=[WIDTHS.get(column, 120) for column in rows.columns])

    def _coded(
        self, name: str, show: str, text: str, patches: "Patches", answer_by: str, weight: float, version: str
    ) -> str:
        by: dict[str, float | str] = {REFITTED: REFIT, FIXED: weight}
        folder, target = self.menu.shown_folder(name), self.menu.shown_folder(version or "")
        return memory_code(folder, show, text, patches.get(name, ()), by.get(answer_by), target)

    def _show_on_maps(self, name: str, show: str, text: str) -> dict[Any, Any]:
        return self.maps.show_points(name, memories(self.menu.get(name), show, text)["number"].head(MAX_ROWS).tolist())

    def _open(self, event: gr.SelectData, name: str) -> tuple[int, str, Any]:
        """Open the memory whose number stands first in the row."""
        model = self.menu.get(name)
        memory = model.parts.knowledge_base
        number = int(event.row_value[0])
        row = memory.rows.iloc[number]
        said = (
            f"<p><b>{escaped_text(str(row['id']))}</b>: {escaped_text(str(row['text']))}</p>"
            f"<p>Gold label <b>{escaped_text(row['label'])}</b>; the teacher says "
            f"<b>{escaped_text(model.parts.settings.label_names[int(memory.soft_labels[number].argmax())])}</b> "
            f"({memory.soft_labels[number].max():.2f}).</p>"
        )
        return number, said, row["label"]

    def _edited(self, name: str, patches: "Patches", patch: "Patch") -> dict[Any, Any]:
        """Return what shows a changed patch; what was tried out before is no longer true."""
        from reaugkd.patch import write_patch

        path = Path(tempfile.mkdtemp(prefix="reaugkd-")) / "patch.jsonl"
        write_patch(patch, path)
        return {
            self.patches: patches | {name: patch},
            self.pending: pending_html(patch),
            self.message: gr.HTML("", visible=False),
            self.download: gr.DownloadButton(value=str(path), interactive=bool(patch)),
            self.effect: "",
            self.changed: gr.Dataframe(visible=False),
        }

    def _told(self, error: ReAugKDError) -> dict[Any, Any]:
        return {self.message: gr.HTML(f'<p class="sentence" role="alert">{escaped_text(str(error))}</p>', visible=True)}

    def _with(
        self, name: str, patches: "Patches", kind: str, number: int | None, label: str | None = None
    ) -> dict[Any, Any]:
        from reaugkd.patch import Edit, check_patch

        if number is None:
            return self._told(ReAugKDError("No memory is picked; click a row of the table first."))
        model, patch = self.menu.get(name), patches.get(name, ())
        try:
            new = (*patch, Edit(kind, model.parts.knowledge_base.rows["id"].iloc[number], label))
            check_patch(model, new)
        except ReAugKDError as error:
            return self._told(error)
        return self._edited(name, patches, new)

    def _relabel(self, name: str, patches: "Patches", number: int | None, label: str) -> dict[Any, Any]:
        return self._with(name, patches, "relabel", number, label)

    def _remove(self, name: str, patches: "Patches", number: int | None) -> dict[Any, Any]:
        return self._with(name, patches, "remove", number)

    def _add(self, name: str, patches: "Patches", text: str, text_pair: str, label: str) -> dict[Any, Any]:
        rows = pd.DataFrame([{"text": text, "text_pair": text_pair or None, "label": (label or "").strip() or None}])
        added = self._added(name, patches, rows)
        return added | ({self.text: ""} if self.patches in added else {})

    def _add_file(self, name: str, patches: "Patches", path: str) -> dict[Any, Any]:
        from reaugkd.sources import named_texts

        columns = {"text": "text", "label": "label"}
        if self.menu.get(name).parts.settings.is_pair:
            columns["text_pair"] = "text_pair"
        try:
            rows = named_texts(path, columns)
        except ReAugKDError as error:
            return self._told(error)
        return self._added(name, patches, rows)

    def _added(self, name: str, patches: "Patches", rows: pd.DataFrame) -> dict[Any, Any]:
        from reaugkd.patch import additions, check_patch

        model, patch = self.menu.get(name), patches.get(name, ())
        try:
            new = (*patch, *additions(model, rows, patch))
            check_patch(model, new)
        except ReAugKDError as error:
            return self._told(error)
        return self._edited(name, patches, new)

    def _undo(self, name: str, patches: "Patches") -> dict[Any, Any]:
        return self._edited(name, patches, patches.get(name, ())[:-1])

    def _new_version(self, name: str, patch: "Patch", answer_by: str, weight: float) -> "ReAugKDClassifier":
        from reaugkd.patch import apply_patch
        from reaugkd.refit import refit_gate, with_weight

        edited = apply_patch(self.menu.get(name), patch)
        if answer_by == REFITTED:
            return refit_gate(edited)
        return with_weight(edited, weight) if answer_by == FIXED else edited

    def _try(self, name: str, patches: "Patches", answer_by: str, weight: float) -> dict[Any, Any]:
        from reaugkd.evaluation_set import compared
        from reaugkd.refit import with_weight

        model = self.menu.get(name)
        try:
            edited = self._new_version(name, patches.get(name, ()), answer_by, weight)
        except ReAugKDError as error:
            return self._told(error)
        before = with_weight(model, weight) if answer_by == FIXED else model
        asked = evaluation_set(model, "test")
        new = asked.with_classes(edited.parts.settings.label_names)
        changed = compared(
            asked.answered(before.memory, before.retrieval), new.answered(edited.memory, edited.retrieval)
        )
        counts = changed["effect"].value_counts()
        said = (
            f"<p>Of {len(asked):,} test rows the edits fix <b>{counts.get('fixed', 0)}</b> and break "
            f"<b>{counts.get('broken', 0)}</b>; {counts.get('changed', 0)} go from wrong to wrong.</p>"
        )
        shown = changed[[name for name in ("text", "label", "before", "after", "effect") if name in changed.columns]]
        return {
            self.message: gr.HTML("", visible=False),
            self.effect: said,
            self.changed: gr.Dataframe(
                shown, visible=len(shown) > 0, column_widths=[WIDTHS.get(column, 100) for column in shown.columns]
            ),
        }

    def _save(self, name: str, patches: "Patches", answer_by: str, weight: float, version: str) -> dict[Any, Any]:
        from reaugkd.patch import write_patch

        patch, target = patches.get(name, ()), self.menu.folder(version.strip() or "-")
        try:
            if not patch:
                raise ReAugKDError("There is no edit to save; relabel, remove or add a memory first.")
            if target.parent != self.menu.root or target.exists() or target.name.startswith(("-", ".")):
                raise ReAugKDError(
                    f"{version!r} is no name for a new version; choose another one that is not there yet."
                )
            self._new_version(name, patch, answer_by, weight).save_pretrained(target)
        except (ReAugKDError, ValueError) as error:
            return self._told(ReAugKDError(str(error)))
        write_patch(patch, target.with_name(f"{target.name}.patch.jsonl"))
        said = f"Saved as {target}, the patch beside it; choose {target.name} in the menu of models to ask it."
        return {
            self.message: gr.HTML(f"<p>{escaped_text(said)}</p>", visible=True),
            self.name: gr.Dropdown(choices=self.menu.names()),
        }
