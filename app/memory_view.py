"""The page of the memory: search it, see what looks wrong, edit it, and see what an edit does before it is saved."""

import json
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
from models import ASKING, EACH, LATEST, ModelMenu, answered_rows, encoded_rows, kept
from row_table import listed_html, row_table, whose_label
from save_button import SaveButton
from sentence import sentence_html
from settled import when_settled
from typed_text import on_typing

from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState
from reaugkd.memory_questions import ALL, DUPLICATES, SHOWS
from reaugkd.neighbour_table import escaped_text
from reaugkd.snippets import REFIT, memory_code
from reaugkd.texts import row_in_one_line

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
    from reaugkd.patch import Patch

SELECTED = "selected on the maps"
CHANGED = ("text", "text_pair", "label", "before", "after", "effect")
NONE_PICKED = "<p>Pick a row to edit it.</p>"
AS_CHOSEN, REFITTED, FIXED = "as chosen in training", "fit the pool again", "the λ below"
# What a memory fixes and breaks stays in sight on a screen of 1280 pixels.
WIDTHS = {"number": 90, "text": 400, "other_text": 400, "suspicion": 110, "fixes": 75, "breaks": 85}
NARROW = {"text": 180, "text_pair": 160, "label": 102, "before": 102, "after": 102, "effect": 80}  # half a page
# A search goes through all memories for some tasks, which takes seconds: nobody's text waits for it.
SEARCHING = LATEST | {"concurrency_id": "memories"}
# The browser keeps the pending edits by model: a reload and a server that forgets a page lose none.
STORED = "reaugkd-edits"
READ = f"""() => {{
  try {{
    const found = JSON.parse(localStorage.getItem('{STORED}'));
    return JSON.stringify(found !== null && typeof found === 'object' ? found : {{}});
  }} catch {{ return '{{}}'; }}
}}"""
LOOK_AGAIN = f"() => window.dispatchEvent(new StorageEvent('storage', {{key: '{STORED}'}}))"
ASKED = "(...values) => { window.unwrittenEdits = (window.unwrittenEdits ?? 0) + 1; return values; }"
ENDED = "() => { window.unwrittenEdits -= 1; }"
# Of one model alone: another tab may have edited another one meanwhile.
WRITE = f"""(name, edits) => {{
  ({ENDED})();
  const all = {{...JSON.parse(({READ})()), [name]: JSON.parse(edits)[name] ?? []}};
  try {{
    localStorage.setItem('{STORED}', JSON.stringify(all));
    window.onlyPageHoldsEdits = false;
  }} catch (error) {{
    window.onlyPageHoldsEdits = true;
    console.warn('The browser has no room for the pending edits; the page holds them.', error);
  }}
  ({LOOK_AGAIN})();
}}"""
# Nothing while an edit is on its way to the browser: what is kept is older than it, and is looked at when it is there.
READ_AGAIN = f"() => window.onlyPageHoldsEdits || window.unwrittenEdits > 0 ? undefined : ({READ})()"
ON_PENDING = f"""element.addEventListener('click', event => {{
  const button = event.target.closest('[data-drop]');
  if (button) trigger('drop', {{number: Number(button.dataset.drop)}});
}});
window.addEventListener('storage', event => {{ if (event.key === '{STORED}') trigger('elsewhere', {{}}); }});
trigger('elsewhere', {{}});"""


@kept(8)
def memories_of(model: "ReAugKDClassifier", show: str) -> pd.DataFrame:
    """List a model's memories by a question about them, once; the last eight lists stay."""
    from reaugkd.memory_audit import memories

    if model.parts.evaluation_rows is None or show == DUPLICATES:
        return memories(model, None, show)
    return memories(model, answered_rows(model, "test"), show)


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


def kept_patch(edits: str | None, name: str, model: "ReAugKDClassifier") -> "tuple[Patch, int]":
    """Read the pending edits of a model that a browser kept; it may hold anything.

    Parameters
    ----------
    edits : str or None
        JSON: lists of edits by the model's name.
    name : str
        The model's name.
    model : ReAugKDClassifier
        The model, whose memory may have changed since.

    Returns
    -------
    Patch
        The edits that the model can take.
    int
        How many there are that it cannot.
    """
    from reaugkd.patch import Edit, fitting

    found = _by_model(edits).get(name)
    patch = []
    for edit in found if isinstance(found, list) else []:
        try:
            patch.append(Edit(**edit))
        except (ReAugKDError, TypeError):
            continue
    fits = fitting(model, tuple(patch))
    return fits, len(found) - len(fits) if isinstance(found, list) else 0


def with_patch(edits: str | None, name: str, patch: "Patch") -> str:
    """Return what a browser keeps, the edits of one model in the place of those that it had."""
    return json.dumps(_by_model(edits) | {name: [edit.as_dict() for edit in patch]}, ensure_ascii=False)


def _by_model(edits: str | None) -> dict[str, Any]:
    try:
        found = json.loads(edits or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


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
        button = f'<button data-drop="{number}" title="Drop this edit" aria-label="Drop: {said}">drop</button>'
        lines += f"<li>{said} {button}</li>"
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
        self.edits = gr.Textbox("{}", visible=False)  # the pending ones of all models, as the browser keeps them
        self.row = gr.State(None)
        # For which model the page was filled, and of which the points are that are selected on the maps.
        self.filled_for, self.selected_of = gr.State(None), gr.State(None)
        with gr.Row():
            self.show = gr.Radio(
                [*SHOWS, SELECTED],
                value="suspicious",
                label="Which memories?",
                elem_id="show",
                scale=3,
                min_width=260,  # on a phone a row of its own
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
        self.pending = gr.HTML(pending_html(()), elem_id="pending", js_on_load=ON_PENDING, apply_default_css=False)
        self.undo = gr.Button("Undo the last", size="sm", elem_id="undo")
        self.answer_by = gr.Radio([AS_CHOSEN, REFITTED, FIXED], value=AS_CHOSEN, label="Answer by", elem_id="answer-by")
        self.weight = gr.Slider(
            0, 1, 0.5, step=0.01, label="λ: weight of the memory", buttons=[], elem_id="edited-weight"
        )
        self.try_out = gr.Button("What does it fix and break?", variant="primary", elem_id="try")
        # A part of the value would be put there anew each time: only words of a region that stays are read aloud.
        self.effect = gr.HTML("", js_on_load="element.setAttribute('role', 'status');", elem_id="patch-effect")
        self.changed = gr.Dataframe(interactive=False, wrap=True, max_height=300, elem_id="changed", visible=False)
        self.save_changed = SaveButton("Save as CSV", "changed.csv", "changed-save", size="sm", visible=False)
        self.version = gr.Textbox("", label="Name of the new version", elem_id="version", max_lines=1)
        with gr.Row():
            self.save = gr.Button("Save as a new version", elem_id="save-version")
            self.save_patch = SaveButton("Save the patch", "patch.jsonl", "save-patch", interactive=False)

    def _wire(self) -> None:
        edited, searched = [self.name, self.edits], [self.name, self.show, self.search, self.maps.selected]
        tried, listed = [self.effect, self.changed, self.save_changed.button], [self.chosen, self.rows]
        shown = [self.pending, self.message, self.save_patch.button, *tried]
        edits, texts, by = [self.edits, *shown], [self.text, self.text_pair], [self.answer_by, self.weight]
        self.fill_inputs = [self.linked, self.maps.selected, self.selected_of]
        self.seen = [self.show, self.search]
        self.filled = [
            self.filled_for,
            self.show,
            self.search,
            self.row,
            self.opened,
            self.label,
            self.add_label,
            self.text_pair,
        ]
        self.filled += [self.answer_by, self.weight, self.version, self.message, *listed, *tried]
        self.show.input(self._list, searched, listed, **SEARCHING)
        on_typing([self.search], self._list, searched, listed, **SEARCHING)
        self.followed = [self.filled_for, self.linked, *searched]
        self.selected_listed = [self.selected_of, self.show, *listed]
        for selected in self.maps.chosen:
            selected.then(self._list_selected, self.followed, self.selected_listed, **SEARCHING)
        late = [self.selected_of, *self.followed]  # what was selected while the page was filled
        self.filled_for.change(self._list_late, late, self.selected_listed, **SEARCHING)
        self.on_maps.click(self._show_on_maps, searched, [self.maps.map, *self.maps.listed], **SEARCHING)
        self.save_list.on_click(self._save_list, searched)
        self.rows.select(self._open, self.name, [self.row, self.opened, self.label], **ASKING)
        seen: list[Any] = [self.show, self.search, *by, self.version, self.maps.selected]
        coded = [self.name, self.edits, *seen]
        when_settled([*seen, self.filled_for], self._coded, coded, self.code, "memory-coded", **LATEST)
        editing = EACH | {"js": ASKED}
        for event in (
            self.relabel.click(self._relabel, [*edited, self.row, self.label], edits, **editing),
            self.remove.click(self._remove, [*edited, self.row], edits, **editing),
            self.add.click(self._add, [*edited, *texts, self.add_label], [*edits, *texts], **editing),
            self.upload.upload(self._add_file, [*edited, self.upload], edits, **editing),
            self.undo.click(self._undo, edited, edits, **editing),
            self.pending.drop(self._drop, edited, edits, **editing),
        ):
            event.then(None, edited, js=WRITE, api_visibility="private")
            event.failure(None, js=ENDED, api_visibility="private")
        gr.on(js=READ, fn=None, outputs=self.edits, api_visibility="private")  # when the page is loaded
        # What was pending when the page began to be filled may not be what is pending when it is.
        self.filled_for.change(None, js=LOOK_AGAIN, api_visibility="private")
        # Taken by the browser itself: an answer that comes late would take back what was edited meanwhile.
        taken = self.pending.elsewhere(
            None, None, self.edits, js=READ_AGAIN, trigger_mode="multiple", api_visibility="private"
        )
        again = taken.then(self._show_again, [self.name, self.pending, self.edits], shown, **LATEST)
        again.then(self._coded, coded, self.code, **LATEST)
        gr.on([self.answer_by.input, self.weight.input], self._untried, None, tried, **LATEST)
        slow = ASKING | {"show_progress": "minimal", "show_progress_on": None}
        self.try_out.click(self._try, [*edited, *by], [self.message, *tried], **slow)
        self.save_changed.on_click(self._save_changed, [*edited, *by])
        self.save.click(self._save, [*edited, *by, self.version], [self.message, self.name], **slow)
        self.save_patch.on_click(self._save_patch, edited)

    def follow_link(self, selected: Dependency) -> None:
        """List the selected memories after the event that selects what a link names, or after none is selected."""
        selected.then(self._list_linked, self.followed, self.selected_listed, **SEARCHING)

    def fill(self, name: str, linked: PageState, selected: list[int], selected_of: str | None) -> dict[Any, Any]:
        """Set the page up for a model; what is pending is shown when that is done.

        Parameters
        ----------
        name : str
            The model's.
        linked : PageState
            What the page's link asks for.
        selected : list of int
            The points that are selected on the maps; of memories among them, the page lists no others unless its link
            asks for others.
        selected_of : str or None
            The model whose points these are.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model = self.menu.get(name)
        classes = list(model.parts.settings.label_names)
        asked = linked.asked_of("memory", name).of_view
        show = asked.get("show", "")
        if show not in SHOWS:
            is_chosen = selected_of == name and self._memories(name, selected)
            show = SELECTED if is_chosen else self._usual(name)
        holds = asked.get("holds", "")
        return {
            **self._untried(),
            self.message: gr.HTML("", visible=False),
            **self._list(name, show, holds, selected),
            self.filled_for: name,
            self.show: show,
            self.search: holds,
            self.row: None,
            self.opened: NONE_PICKED,
            self.label: gr.Dropdown(classes, value=classes[0]),
            self.add_label: gr.Dropdown(classes, value=classes[0]),
            self.text_pair: gr.Textbox(visible=model.parts.settings.is_pair),
            self.answer_by: AS_CHOSEN,
            self.weight: round(model.pool.fitted_weight, 2),
            self.version: self.menu.free_name(re.sub(r"-edited(-\d+)?$", "", name) + "-edited"),
        }

    def linked_state(self, state: PageState, show: str, holds: str) -> PageState:
        """Return the state that a link to the page opens, from that of the page Query and the values of ``seen``."""
        asked = {"show": "" if show == SELECTED else show, "holds": holds}
        return replace(state, view="memory", of_view=asked)

    def _usual(self, name: str) -> str:
        """Return what is listed where nobody asked for anything."""
        return ALL if self.menu.get(name).parts.evaluation_rows is None else "suspicious"

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

    def _list_selected(
        self,
        filled_for: str | None,
        _: PageState,
        name: str,
        show: str,
        text: str,
        selected: list[int],
        otherwise: str = ALL,
    ) -> dict[Any, Any]:
        """List the memories among the points that are selected on the maps, as long as there are any."""
        seen: dict[Any, Any] = {self.selected_of: name}
        if filled_for != name:  # an audit takes seconds; the page sees the selection when it is opened
            return seen
        if self._memories(name, selected):
            show = SELECTED
        elif show == SELECTED:
            show = otherwise
        else:
            return seen
        return {**seen, self.show: show, **self._list(name, show, text, selected)}

    def _list_linked(
        self, filled_for: str | None, linked: PageState, name: str, show: str, text: str, selected: list[int]
    ) -> dict[Any, Any]:
        """List what is selected when a page or another model is opened, unless the link asks for other memories."""
        if linked.asked_of("memory", name).of_view.get("show") in SHOWS:
            return {self.selected_of: name}
        return self._list_selected(filled_for, linked, name, show, text, selected, self._usual(name))

    def _list_late(self, selected_of: str | None, filled_for: str | None, linked: PageState, *searched: Any) -> Any:
        """List what is selected if it is of the model for which the page is filled now."""
        return self._list_linked(filled_for, linked, *searched) if selected_of == filled_for else gr.skip()

    def _coded(
        self,
        name: str,
        edits: str | None,
        show: str,
        text: str,
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
            self._patch(name, edits),
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
        memory, number = model.memory, int(event.row_value[0])
        row, soft_labels = memory.rows.iloc[number], memory.soft_labels[number]
        said = (
            f"<p><b>{escaped_text(str(row['id']))}</b>: {escaped_text(row_in_one_line(row))}</p>"
            f"<p>{whose_label(row).capitalize()}: <b>{escaped_text(row['label'])}</b>. Teacher's soft label: "
            f"<b>{escaped_text(memory.classes[int(soft_labels.argmax())])}</b> {soft_labels.max():.2f}.</p>"
        )
        return number, said, row["label"]

    def _patch(self, name: str, edits: str | None) -> "Patch":
        """Return a model's pending edits."""
        return kept_patch(edits, name, self.menu.get(name))[0]

    def _shown(self, name: str, patch: "Patch") -> dict[Any, Any]:
        """Return what shows a patch; what was tried out before is no longer true."""
        classes = self.menu.get(name).parts.settings.label_names
        return {
            self.pending: pending_html(patch, classes),
            self.message: gr.HTML("", visible=False),
            self.save_patch.button: gr.Button(interactive=bool(patch)),
            **self._untried(),
        }

    def _show_again(self, name: str, pending: str, edits: str | None) -> Any:
        """Show what the browser keeps now, where that is not what is pending; it says so where some do not fit.

        An edit may be one of another tab, and one of another model.
        """
        patch, lost = kept_patch(edits, name, self.menu.get(name))
        if pending_html(patch, self.menu.get(name).parts.settings.label_names) == pending and not lost:
            return gr.skip()
        shown = self._shown(name, patch)
        if lost:
            said = f"{lost:,} of the edits that were pending do not fit this memory any more; they are left out."
            shown |= self._told(ReAugKDError(said))
        return shown

    def _edited(self, name: str, edits: str | None, patch: "Patch") -> dict[Any, Any]:
        """Take a patch as the pending one."""
        return {self.edits: with_patch(edits, name, patch), **self._shown(name, patch)}

    def _untried(self) -> dict[Any, Any]:
        return {
            self.effect: "",
            self.changed: gr.Dataframe(visible=False),
            self.save_changed.button: gr.Button(visible=False),
        }

    def _told(self, error: ReAugKDError) -> dict[Any, Any]:
        return {self.message: gr.HTML(sentence_html(error), visible=True)}

    def _save_patch(self, path: Path, name: str, edits: str | None) -> None:
        from reaugkd.patch import write_patch

        write_patch(self._patch(name, edits), path)

    def _with(
        self, name: str, edits: str | None, kind: str, number: int | None, label: str | None = None
    ) -> dict[Any, Any]:
        from reaugkd.patch import Edit

        if number is None:
            return self._told(ReAugKDError("No memory is picked; click a row of the table first."))
        memory, patch = self.menu.get(name).memory, self._patch(name, edits)
        return self._checked(name, edits, lambda: (*patch, Edit(kind, memory.rows["id"].iloc[number], label)))

    def _checked(self, name: str, edits: str | None, make: "Callable[[], Patch]") -> dict[Any, Any]:
        """Take a patch if the model can be edited by it, or say why not; the pending one then stays."""
        from reaugkd.patch import check_patch

        try:
            patch = make()
            check_patch(self.menu.get(name), patch)
        except ReAugKDError as error:
            return self._told(error)
        return self._edited(name, edits, patch)

    def _relabel(self, name: str, edits: str | None, number: int | None, label: str) -> dict[Any, Any]:
        return self._with(name, edits, "relabel", number, label)

    def _remove(self, name: str, edits: str | None, number: int | None) -> dict[Any, Any]:
        return self._with(name, edits, "remove", number)

    def _add(self, name: str, edits: str | None, text: str, text_pair: str, label: str) -> dict[Any, Any]:
        rows = pd.DataFrame([{"text": text, "text_pair": text_pair or None, "label": (label or "").strip() or None}])
        added = self._added(name, edits, rows)
        return added | ({self.text: "", self.text_pair: ""} if self.edits in added else {})

    def _add_file(self, name: str, edits: str | None, path: str) -> dict[Any, Any]:
        from reaugkd.sources import named_texts

        columns = {"text": "text", "label": "label"}
        if self.menu.get(name).parts.settings.is_pair:
            columns["text_pair"] = "text_pair"
        try:
            rows = named_texts(path, columns)
        except ReAugKDError as error:
            return self._told(error)
        return self._added(name, edits, rows)

    def _added(self, name: str, edits: str | None, rows: pd.DataFrame) -> dict[Any, Any]:
        from reaugkd.patch import additions

        model, patch = self.menu.get(name), self._patch(name, edits)
        return self._checked(name, edits, lambda: (*patch, *additions(model, rows, patch)))

    def _undo(self, name: str, edits: str | None) -> dict[Any, Any]:
        return self._edited(name, edits, self._patch(name, edits)[:-1])

    def _drop(self, event: gr.EventData, name: str, edits: str | None) -> dict[Any, Any]:
        """Drop one edit; another that builds on it keeps it."""
        patch, number = self._patch(name, edits), int(event.number)
        return self._checked(name, edits, lambda: (*patch[:number], *patch[number + 1 :]))

    def _new_version(self, name: str, patch: "Patch", answer_by: str, weight: float) -> "ReAugKDClassifier":
        from reaugkd.patch import apply_patch
        from reaugkd.refit import refit_pool, with_weight

        edited = apply_patch(self.menu.get(name), patch)
        if answer_by == REFITTED:
            return refit_pool(edited)
        return with_weight(edited, weight) if answer_by == FIXED else edited

    def _changed(self, name: str, edits: str | None, answer_by: str, weight: float) -> pd.DataFrame:
        """Return the test rows that the pending edits answer otherwise."""
        from reaugkd.answers import changed_answers

        model = self.menu.get(name)
        edited = self._new_version(name, self._patch(name, edits), answer_by, weight)
        encoded = encoded_rows(model, "test")  # the edited model has the same networks and keys
        before = model.pool.overridden(retrieval_weight=weight if answer_by == FIXED else None)
        return changed_answers(model.answer(encoded, before), edited.answer(encoded))

    def _try(self, name: str, edits: str | None, answer_by: str, weight: float) -> dict[Any, Any]:
        from reaugkd.answers import effect_counts

        try:
            changed = self._changed(name, edits, answer_by, weight)
        except ReAugKDError as error:
            return self._told(error)
        counts, rows = effect_counts(changed), len(encoded_rows(self.menu.get(name), "test"))
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

    def _save(self, name: str, edits: str | None, answer_by: str, weight: float, version: str) -> dict[Any, Any]:
        from reaugkd.patch import write_patch

        patch = self._patch(name, edits)
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
