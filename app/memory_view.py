"""The page of the memory: search it, see what looks wrong, edit it, and see what an edit does before it is saved."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from code_box import place_code
from gradio.events import Dependency
from maps_panel import MapsPanel
from models import ASKING, EACH, LATEST, ModelMenu, evaluation_set, kept
from row_table import listed_html, row_table
from save_button import SaveButton
from sentence import sentence_html
from typed_text import on_typing

from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState, short
from reaugkd.memory_audit import ALL, DUPLICATES, SHOWS
from reaugkd.neighbour_table import escaped_text
from reaugkd.snippets import REFIT, memory_code
from reaugkd.texts import row_in_one_line

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
    from reaugkd.patch import Patch

    Patches = dict[str, Patch]

SELECTED = "selected on the maps"
CHANGED = ("text", "text_pair", "label", "before", "after", "effect")
NONE_PICKED = "<p>Pick a row to edit it.</p>"
AS_CHOSEN, REFITTED, FIXED = "as chosen in training", "a gate fitted again", "the λ below for every text"
# What a memory fixes and breaks stays in sight on a screen of 1280 pixels.
WIDTHS = {"number": 90, "text": 400, "other_text": 400, "suspicion": 110, "fixes": 75, "breaks": 85}
NARROW = {"text": 180, "text_pair": 160, "label": 102, "before": 102, "after": 102, "effect": 80}  # half a page
# A search goes through all memories for some tasks, which takes seconds: nobody's text waits for it.
SEARCHING = LATEST | {"concurrency_id": "memories"}
DROP = """element.addEventListener('click', event => {
  const button = event.target.closest('[data-drop]');
  if (button) trigger('drop', {number: Number(button.dataset.drop)});
});"""


@kept(8)
def memories_of(model: "ReAugKDClassifier", show: str) -> pd.DataFrame:
    """List a model's memories by a question about them, once; the last eight lists stay."""
    from reaugkd.memory_audit import memories

    if model.parts.evaluation_rows is None or show == DUPLICATES:
        return memories(model, None, show)
    return memories(model, evaluation_set(model, "test").answered(model.memory, model.retrieval), show)


def found_memories(model: "ReAugKDClassifier", show: str, text: str, selected: list[int]) -> pd.DataFrame:
    """List memories by a question about them.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    show : str
        A question as :func:`reaugkd.memory_audit.memories` takes it, or :data:`SELECTED`.
    text : str
        What a text holds.
    selected : list of int
        Points that are selected on the maps.

    Returns
    -------
    DataFrame
        The rows, with the columns that matter first.
    """
    from reaugkd.error_analysis import RowFilter

    if show == SELECTED:
        return RowFilter(text=text, rows=selected).of(memories_of(model, ALL))
    return RowFilter(text=text).of(memories_of(model, show))


def pending_html(patch: "Patch", classes: Sequence[str] = ()) -> str:
    """List the edits that are not saved yet, each with a button that drops it.

    Parameters
    ----------
    patch : Patch
        The edits.
    classes : sequence of str
        The model's classes; a label that is none of them is marked.

    Returns
    -------
    str
        HTML; texts in it are escaped.
    """
    if not patch:
        return "<p>No edit is pending. Pick a row above to relabel or remove it, or add a text.</p>"
    lines = ""
    for number, edit in enumerate(patch):
        what = {"add": "add", "relabel": f"relabel {edit.id} to", "remove": f"remove {edit.id}"}[edit.edit]
        new = "(a new class)" if edit.label and edit.label not in classes else ""
        text = row_in_one_line(vars(edit)) if edit.text else ""
        said = escaped_text(" ".join(filter(None, [what, edit.label, new, text])))
        lines += f'<li>{said} <button data-drop="{number}" title="Drop this edit">drop</button></li>'
    return f"<p><b>{len(patch)}</b> pending:</p><ol>{lines}</ol>"


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
    linked : State
        Holds what the page's link asks for.
    """

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel, linked: gr.State) -> None:
        self.menu, self.name, self.maps, self.linked = menu, name, maps, linked
        self.patches = gr.State({})  # by model: no edit is lost when another model, or view, is looked at
        self.row, self.is_drawn = gr.State(None), gr.State(False)
        with gr.Row():
            self.show = gr.Radio(
                [*SHOWS, SELECTED], value="suspicious", label="Which memories?", elem_id="show", scale=3
            )
            self.search = gr.Textbox("", label="Text holds", elem_id="search", max_lines=1, scale=1)
        with gr.Row():
            self.chosen = gr.HTML(elem_id="memories-chosen")
            self.on_maps = gr.Button(
                "Select on the maps", size="sm", elem_id="memories-on-maps", scale=0, min_width=160
            )
            self.save_list = SaveButton(
                "Save as CSV", "memories.csv", "memories-save", size="sm", scale=0, min_width=140
            )
        self.rows = gr.Dataframe(interactive=False, wrap=True, max_height=380, elem_id="memories")
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                self._place_edits()
            with gr.Column(scale=1, min_width=320):
                self._place_pending()
        self.code = place_code("memory-code")
        self._wire()

    def _place_edits(self) -> None:
        self.opened = gr.HTML(NONE_PICKED, elem_id="picked-memory")
        self.label = gr.Dropdown([], label="Label", allow_custom_value=True, elem_id="new-label")
        with gr.Row():
            self.relabel = gr.Button("Relabel", elem_id="relabel")
            self.remove = gr.Button("Remove", elem_id="remove")
        gr.Markdown("### Add a memory; a label that is new makes a new class")
        self.text = gr.Textbox("", label="Text", elem_id="add-text", max_lines=4)
        self.text_pair = gr.Textbox("", label="Second text", visible=False, elem_id="add-text-pair", max_lines=4)
        self.add_label = gr.Dropdown([], label="Its label", allow_custom_value=True, elem_id="add-label")
        with gr.Row():
            self.add = gr.Button("Add", elem_id="add")
            self.upload = gr.UploadButton("Add from CSV", file_types=[".csv"], file_count="single", elem_id="add-csv")

    def _place_pending(self) -> None:
        self.message = gr.HTML(visible=False, elem_id="memory-message")
        self.pending = gr.HTML(pending_html(()), elem_id="pending", js_on_load=DROP, apply_default_css=False)
        self.undo = gr.Button("Undo the last", size="sm", elem_id="undo")
        self.answer_by = gr.Radio([AS_CHOSEN, REFITTED, FIXED], value=AS_CHOSEN, label="Answer by", elem_id="answer-by")
        self.weight = gr.Slider(
            0, 1, 0.5, step=0.01, label="λ: weight of the memory", buttons=[], elem_id="edited-weight"
        )
        self.try_out = gr.Button("What does it fix and break?", variant="primary", elem_id="try")
        self.effect = gr.HTML(elem_id="patch-effect")
        self.changed = gr.Dataframe(interactive=False, wrap=True, max_height=300, elem_id="changed", visible=False)
        self.save_changed = SaveButton("Save as CSV", "changed.csv", "changed-save", size="sm", visible=False)
        self.version = gr.Textbox("", label="Name of the new version", elem_id="version", max_lines=1)
        with gr.Row():
            self.save = gr.Button("Save as a new version", elem_id="save-version")
            self.save_patch = SaveButton("Save the patch", "patch.jsonl", "save-patch")

    def _wire(self) -> None:
        edited, searched = [self.name, self.patches], [self.name, self.show, self.search, self.maps.selected]
        tried, listed = [self.effect, self.changed, self.save_changed.button], [self.chosen, self.rows]
        edits = [self.patches, self.pending, self.message, self.save_patch.button, *tried]
        self.fill_inputs = [self.patches, self.linked, self.maps.selected]
        self.seen = [self.show, self.search]
        self.filled = [
            self.is_drawn,
            self.show,
            self.search,
            self.row,
            self.opened,
            self.label,
            self.add_label,
            self.text_pair,
        ]
        self.filled += [self.answer_by, self.weight, self.version, *listed, *edits]
        self.show.input(self._list, searched, listed, **SEARCHING)
        on_typing([self.search], self._list, searched, listed)
        self.searched, self.selected_listed = searched, [self.show, *listed]
        for selected in self.maps.chosen:
            self.follow(selected)
        self.on_maps.click(self._show_on_maps, searched, [self.maps.map, *self.maps.listed], **SEARCHING)
        self.save_list.on_click(self._save_list, searched)
        self.rows.select(self._open, self.name, [self.row, self.opened, self.label], **ASKING)
        self.relabel.click(self._relabel, [*edited, self.row, self.label], edits, **EACH)
        self.remove.click(self._remove, [*edited, self.row], edits, **EACH)
        texts = [self.text, self.text_pair]
        self.add.click(self._add, [*edited, *texts, self.add_label], [*edits, *texts], **EACH)
        self.upload.upload(self._add_file, [*edited, self.upload], edits, **EACH)
        self.undo.click(self._undo, edited, edits, **EACH)
        self.pending.drop(self._drop, edited, edits, **EACH)
        by = [self.answer_by, self.weight]
        gr.on([self.answer_by.input, self.weight.input], self._untried, None, tried, **LATEST)
        slow = ASKING | {"show_progress": "minimal"}
        self.try_out.click(self._try, [*edited, *by], [self.message, *tried], **slow)
        self.save_changed.on_click(self._save_changed, [*edited, *by])
        self.save.click(self._save, [*edited, *by, self.version], [self.message, self.name], **slow)
        self.save_patch.on_click(self._save_patch, edited)
        seen: list[Any] = [self.show, self.search, self.patches, *by, self.version, self.maps.selected]
        gr.on([part.change for part in seen], self._coded, [self.name, *seen], self.code, **LATEST)

    def follow(self, selected: Dependency) -> None:
        """List the selected memories after an event that selects points on the maps."""
        selected.then(self._list_selected, [self.is_drawn, *self.searched], self.selected_listed, **SEARCHING)

    def fill(self, name: str, patches: "Patches", linked: PageState, selected: list[int]) -> dict[Any, Any]:
        """Set the page up for a model.

        Parameters
        ----------
        name : str
            The model's.
        patches : dict of str to Patch
            Pending edits by model.
        linked : PageState
            What the page's link asks for.
        selected : list of int
            The points that are selected on the maps; of memories among them, the page lists no others.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model = self.menu.get(name)
        classes, is_judged = list(model.parts.settings.label_names), model.parts.evaluation_rows is not None
        asked = linked.of_view if linked.view == "memory" and linked.model in ("", name) else {}
        show = "suspicious" if is_judged else ALL
        if self._memories(name, selected):
            show = SELECTED
        elif asked.get("show") in SHOWS:
            show = asked["show"]
        holds = asked.get("holds", "")
        return {
            **self._edited(name, patches, patches.get(name, ())),
            **self._list(name, show, holds, selected),
            self.is_drawn: True,
            self.show: show,
            self.search: holds,
            self.row: None,
            self.opened: NONE_PICKED,
            self.label: gr.Dropdown(classes, value=classes[0]),
            self.add_label: gr.Dropdown(classes, value=classes[0]),
            self.text_pair: gr.Textbox(visible=model.parts.settings.is_pair),
            self.answer_by: AS_CHOSEN,
            self.weight: model.retrieval.retrieval_weight,
            self.version: self.menu.free_name(re.sub(r"-edited(-\d+)?$", "", name) + "-edited"),
        }

    def linked_state(self, state: PageState, show: str, holds: str) -> PageState:
        """Return the state that a link to the page opens, from that of the page Query and the values of ``seen``."""
        asked = {"show": "" if show == SELECTED else show, "holds": holds}
        return replace(state, view="memory", of_view=short(asked))

    def _memories(self, name: str, selected: list[int]) -> list[int]:
        """Return the memories among selected points, which stand first among these."""
        return [point for point in selected if point < len(self.menu.get(name).memory)]

    def _list(self, name: str, show: str, text: str, selected: list[int]) -> dict[Any, Any]:
        try:
            rows = found_memories(self.menu.get(name), show, text, selected)
        except ReAugKDError as error:
            return {self.chosen: sentence_html(error), self.rows: gr.Dataframe(visible=False)}
        which = show + (f", “{text.strip()}” in the text" if text.strip() else "")
        return {self.chosen: listed_html(which, len(rows)), self.rows: row_table(rows, WIDTHS, visible=len(rows) > 0)}

    def _list_selected(self, is_drawn: bool, name: str, show: str, text: str, selected: list[int]) -> dict[Any, Any]:
        """List the memories among the points that are selected on the maps, as long as there are any."""
        if not is_drawn:  # an audit takes seconds; the page sees the selection when it is opened
            return gr.skip()
        if self._memories(name, selected):
            show = SELECTED
        elif show == SELECTED:
            show = ALL
        else:
            return gr.skip()
        return {self.show: show, **self._list(name, show, text, selected)}

    def _coded(
        self,
        name: str,
        show: str,
        text: str,
        patches: "Patches",
        answer_by: str,
        weight: float,
        version: str,
        selected: list[int],
    ) -> str:
        by: dict[str, float | str] = {REFITTED: REFIT, FIXED: weight}
        folder, target = self.menu.shown_folder(name), self.menu.shown_folder(version)
        chosen = {"text": text, "rows": self._memories(name, selected) if show == SELECTED else None}
        return memory_code(
            folder,
            ALL if show == SELECTED else show,
            chosen,
            patches.get(name, ()),
            by.get(answer_by),
            target,
            carries_rows=self.menu.get(name).parts.evaluation_rows is not None,
        )

    def _show_on_maps(self, name: str, *searched: Any) -> dict[Any, Any]:
        return self.maps.show_points(name, found_memories(self.menu.get(name), *searched)["number"].unique().tolist())

    def _save_list(self, path: Path, name: str, *searched: Any) -> None:
        found_memories(self.menu.get(name), *searched).to_csv(path, index=False)

    def _open(self, event: gr.SelectData, name: str) -> tuple[int, str, Any]:
        """Open the memory whose number stands first in the row."""
        model = self.menu.get(name)
        memory = model.parts.knowledge_base
        number = int(event.row_value[0])
        row = memory.rows.iloc[number]
        said = (
            f"<p><b>{escaped_text(str(row['id']))}</b>: {escaped_text(row_in_one_line(row))}</p>"
            f"<p>Gold label <b>{escaped_text(row['label'])}</b>; the teacher says "
            f"<b>{escaped_text(model.parts.settings.label_names[int(memory.soft_labels[number].argmax())])}</b> "
            f"({memory.soft_labels[number].max():.2f}).</p>"
        )
        return number, said, row["label"]

    def _edited(self, name: str, patches: "Patches", patch: "Patch") -> dict[Any, Any]:
        """Return what shows a changed patch; what was tried out before is no longer true."""
        classes = self.menu.get(name).parts.settings.label_names
        return {
            self.patches: patches | {name: patch},
            self.pending: pending_html(patch, classes),
            self.message: gr.HTML("", visible=False),
            self.save_patch.button: gr.Button(interactive=bool(patch)),
            **self._untried(),
        }

    def _untried(self) -> dict[Any, Any]:
        return {
            self.effect: "",
            self.changed: gr.Dataframe(visible=False),
            self.save_changed.button: gr.Button(visible=False),
        }

    def _told(self, error: ReAugKDError) -> dict[Any, Any]:
        return {self.message: gr.HTML(sentence_html(error), visible=True)}

    def _save_patch(self, path: Path, name: str, patches: "Patches") -> None:
        from reaugkd.patch import write_patch

        write_patch(patches.get(name, ()), path)

    def _with(
        self, name: str, patches: "Patches", kind: str, number: int | None, label: str | None = None
    ) -> dict[Any, Any]:
        from reaugkd.patch import Edit

        if number is None:
            return self._told(ReAugKDError("No memory is picked; click a row of the table first."))
        memory, patch = self.menu.get(name).parts.knowledge_base, patches.get(name, ())
        return self._checked(name, patches, lambda: (*patch, Edit(kind, memory.rows["id"].iloc[number], label)))

    def _checked(self, name: str, patches: "Patches", make: "Callable[[], Patch]") -> dict[Any, Any]:
        """Take a patch if the model can be edited by it, or say why not; the pending one then stays."""
        from reaugkd.patch import check_patch

        try:
            patch = make()
            check_patch(self.menu.get(name), patch)
        except ReAugKDError as error:
            return self._told(error)
        return self._edited(name, patches, patch)

    def _relabel(self, name: str, patches: "Patches", number: int | None, label: str) -> dict[Any, Any]:
        return self._with(name, patches, "relabel", number, label)

    def _remove(self, name: str, patches: "Patches", number: int | None) -> dict[Any, Any]:
        return self._with(name, patches, "remove", number)

    def _add(self, name: str, patches: "Patches", text: str, text_pair: str, label: str) -> dict[Any, Any]:
        rows = pd.DataFrame([{"text": text, "text_pair": text_pair or None, "label": (label or "").strip() or None}])
        added = self._added(name, patches, rows)
        return added | ({self.text: "", self.text_pair: ""} if self.patches in added else {})

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
        from reaugkd.patch import additions

        model, patch = self.menu.get(name), patches.get(name, ())
        return self._checked(name, patches, lambda: (*patch, *additions(model, rows, patch)))

    def _undo(self, name: str, patches: "Patches") -> dict[Any, Any]:
        return self._edited(name, patches, patches.get(name, ())[:-1])

    def _drop(self, event: gr.EventData, name: str, patches: Any) -> dict[Any, Any]:
        """Drop one edit; another that builds on it keeps it."""
        patch, number = patches.get(name, ()), int(event.number)
        return self._checked(name, patches, lambda: (*patch[:number], *patch[number + 1 :]))

    def _new_version(self, name: str, patch: "Patch", answer_by: str, weight: float) -> "ReAugKDClassifier":
        from reaugkd.patch import apply_patch
        from reaugkd.refit import refit_gate, with_weight

        edited = apply_patch(self.menu.get(name), patch)
        if answer_by == REFITTED:
            return refit_gate(edited)
        return with_weight(edited, weight) if answer_by == FIXED else edited

    def _changed(self, name: str, patches: "Patches", answer_by: str, weight: float) -> pd.DataFrame:
        """Return the test rows that the pending edits answer otherwise."""
        from reaugkd.evaluation_set import changed_by_edits
        from reaugkd.refit import with_weight

        model = self.menu.get(name)
        edited = self._new_version(name, patches.get(name, ()), answer_by, weight)
        before = with_weight(model, weight) if answer_by == FIXED else model
        return changed_by_edits(evaluation_set(model, "test"), before, edited)

    def _try(self, name: str, patches: "Patches", answer_by: str, weight: float) -> dict[Any, Any]:
        from reaugkd.evaluation_set import effect_counts

        try:
            changed = self._changed(name, patches, answer_by, weight)
        except ReAugKDError as error:
            return self._told(error)
        counts, rows = effect_counts(changed), len(evaluation_set(self.menu.get(name), "test"))
        said = (
            f"<p>Of {rows:,} test rows the edits fix <b>{counts['fixed']}</b> and break "
            f"<b>{counts['broken']}</b>; {counts['changed']} go from wrong to wrong.</p>"
        )
        shown = changed[[column for column in CHANGED if column in changed.columns]]
        return {
            self.message: gr.HTML("", visible=False),
            self.effect: said,
            self.changed: row_table(shown, NARROW, visible=len(shown) > 0),
            self.save_changed.button: gr.Button(visible=len(shown) > 0),
        }

    def _save_changed(self, path: Path, *inputs: Any) -> None:
        self._changed(*inputs).to_csv(path, index=False)

    def _save(self, name: str, patches: "Patches", answer_by: str, weight: float, version: str) -> dict[Any, Any]:
        from reaugkd.patch import write_patch

        patch = patches.get(name, ())
        try:
            if not patch:
                raise ReAugKDError("There is no edit to save; relabel, remove or add a memory first.")
            target = self.menu.new_folder(version)
            self._new_version(name, patch, answer_by, weight).save_pretrained(target)
        except (ReAugKDError, ValueError) as error:
            return self._told(ReAugKDError(str(error)))
        write_patch(patch, target.with_name(f"{target.name}.patch.jsonl"))
        said = f"Saved as {target}, the patch beside it; choose {target.name} in the menu of models to ask it."
        return {
            self.message: gr.HTML(f"<p>{escaped_text(said)}</p>", visible=True),
            self.name: gr.Dropdown(choices=self.menu.names()),
        }
