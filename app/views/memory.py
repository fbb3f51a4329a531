"""The page of the memory: search it, see what looks wrong, edit it, and see what an edit does before it is saved."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
import pandas as pd

from reaugkd.analysis.memory_questions import ALL, DUPLICATES, SHOWS, SUSPICIOUS
from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState
from reaugkd.texts import row_in_one_line

from ..models import ASKING, EACH, LATEST, ModelMenu, answered_rows, encoded_rows, kept
from ..parts.code_box import place_code
from ..parts.maps_panel import MapsPanel
from ..parts.neighbour_table import escaped_text
from ..parts.row_table import row_table, whose_label
from ..parts.save_button import SaveButton
from ..parts.sentence import READ_ALOUD, sentence_html
from ..parts.settled import soon_after
from ..snippets import memory_code
from .rows import RowsView

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd import ReAugKDClassifier
    from reaugkd.analysis.edits import Patch

Kept = dict[str, list[dict[str, str]]]  # pending edits by model, as the browser keeps them
CHANGED = ("text", "text_pair", "label", "before", "after", "effect")
NONE_PICKED = "<p>Pick a row to edit it.</p>"
NARROW = {"text": 180, "text_pair": 160, "label": 102, "before": 102, "after": 102, "effect": 80}  # half a page
ON_DROP = """element.addEventListener('click', event => {
  const button = event.target.closest('[data-drop]');
  if (button) trigger('drop', {number: Number(button.dataset.drop)});
});"""


class Seen(NamedTuple):
    """Which memories the page lists.

    Parameters
    ----------
    name : str
        The model's.
    rows : list of int
        The memories that are selected on the maps; no others are listed.
    show : str
        One of :data:`reaugkd.analysis.memory_questions.SHOWS`.
    holds : str
        What a text holds.
    """

    name: str
    rows: list[int]
    show: str
    holds: str

    @property
    def chosen(self) -> dict[str, Any]:
        """The arguments of a row filter."""
        return {"text": self.holds, "rows": self.rows or None}


@kept(8)
def memories_of(model: "ReAugKDClassifier", show: str) -> pd.DataFrame:
    """List a model's memories by a question about them, once; the last eight lists stay."""
    from reaugkd.analysis.memory_audit import memories

    is_judged = model.evaluation_rows is not None and show != DUPLICATES
    return memories(model, answered_rows(model, "test") if is_judged else None, show)


def kept_patch(edits: Kept, name: str, model: "ReAugKDClassifier") -> "tuple[Patch, int]":
    """Read the pending edits of a model that a browser kept; its memory may have changed since.

    Parameters
    ----------
    edits : dict
        Edits by the model's name, as :meth:`reaugkd.analysis.edits.Edit.as_dict` gives them.
    name : str
        The model's name.
    model : ReAugKDClassifier
        The model.

    Returns
    -------
    Patch
        The edits that the model can take.
    int
        How many there are that it cannot.
    """
    from reaugkd.analysis.edits import Edit, fitting

    found = tuple(Edit(**edit) for edit in edits.get(name, []))
    fits = fitting(model, found)
    return fits, len(found) - len(fits)


def row_edited(
    kind: str, model: "ReAugKDClassifier", patch: "Patch", number: int | None, label: str | None = None
) -> "Patch":
    """Relabel or remove a memory too."""
    from reaugkd.analysis.edits import Edit

    if number is None:
        raise ReAugKDError("No memory is picked; click a row of the table first.")
    return (*patch, Edit(kind, model.memory.rows["id"].iloc[number], label))


def rows_added(model: "ReAugKDClassifier", patch: "Patch", rows: pd.DataFrame) -> "Patch":
    """Add texts too."""
    from reaugkd.analysis.edits import additions

    return (*patch, *additions(model, rows, patch))


def file_added(model: "ReAugKDClassifier", patch: "Patch", path: str) -> "Patch":
    """Add the texts of a table too."""
    from reaugkd.tasks.sources import named_texts

    columns = ["text", "label"] + ["text_pair"] * model.settings.is_pair
    return rows_added(model, patch, named_texts(path, {column: column for column in columns}))


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


class MemoryView(RowsView):
    """A page over the memory; nothing is saved before one says so.

    Parameters
    ----------
    menu, name, maps, linked
        As of any :class:`rows_view.RowsView`.
    edits : BrowserState
        Holds the pending edits by the model's name.
    """

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
        self.pending = gr.HTML(pending_html(()), elem_id="pending", js_on_load=ON_DROP, apply_default_css=False)
        self.refit = gr.Checkbox(False, label="Fit the pool again to the edited memory", elem_id="refit")
        self.try_out = gr.Button("What does it fix and break?", variant="primary", elem_id="try")
        # A part of the value would be put there anew each time: only words of a region that stays are read aloud.
        self.effect = gr.HTML("", js_on_load=READ_ALOUD, elem_id="patch-effect")
        self.changed = gr.Dataframe(interactive=False, wrap=True, max_height=300, elem_id="changed", visible=False)
        self.save_changed = SaveButton("Save as CSV", "changed.csv", "changed-save", size="sm", visible=False)
        self.version = gr.Textbox("", label="Name of the new version", elem_id="version", max_lines=1)
        with gr.Row():
            self.save_version = gr.Button("Save as a new version", elem_id="save-version")
            self.save_patch = SaveButton("Save the patch", "patch.jsonl", "save-patch", interactive=False)

    def _wire(self) -> None:
        edited, added = [self.name, self.edits], [self.text, self.text_pair]
        tried = [self.message, self.effect, self.changed, self.save_changed.button]
        patched = [self.edits, self.pending, self.save_patch.button, *tried]
        self.whole = [*self.listed, self.show]
        self.fill_inputs += [self.edits]
        self.filled = [*self.whole, self.holds, self.row, self.opened, self.label, self.add_label, self.text_pair]
        self.filled += [self.refit, self.version, *patched[1:]]
        self._on(self.show.input, self._listed, self.listed, show=self.show)
        self.rows.select(self._open, self.name, [self.row, self.opened, self.label], **ASKING)
        relabel, remove = (partial(self._edited, partial(row_edited, kind)) for kind in ("relabel", "remove"))
        self.relabel.click(relabel, [*edited, self.row, self.label], patched, **EACH)
        self.remove.click(remove, [*edited, self.row], patched, **EACH)
        self.add.click(self._add, [*edited, *added, self.add_label], [*added, *patched], **EACH)
        self.upload.upload(partial(self._edited, file_added), [*edited, self.upload], patched, **EACH)
        self.pending.drop(self._drop, edited, patched, **EACH)
        self.refit.input(self._untried, None, tried, **LATEST)
        slow = ASKING | {"show_progress": "minimal", "show_progress_on": None}
        self.try_out.click(self._try, [*edited, self.refit], tried, **slow)
        self.save_changed.on_click(self._save_changed, [*edited, self.refit])
        self.save_version.click(
            self._save_version, [*edited, self.refit, self.version], [self.message, self.name], **slow
        )
        self.save_patch.on_click(self._save_patch, edited)
        coded = [part.change for part in (self.shown, self.pending, self.refit, self.version)]
        inputs = [self.shown, self.edits, self.refit, self.version]
        soon_after(coded, self._coded, inputs, self.code, "memory-coded", **LATEST)
        self._wire_list()

    def fill(self, name: str, linked: PageState, selected: list[int], edits: Kept) -> dict[Any, Any]:
        """Set the page up for a model.

        Parameters
        ----------
        name : str
            The model's.
        linked : PageState
            What the page's link asks for.
        selected : list of int
            The points that are selected on the maps; of memories among them, the page lists no others.
        edits : dict
            What is pending, by the model's name.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model, rows = self.menu.get(name), self._rows_among(name, selected)
        asked = linked.asked_of("memory", name).of_view
        show = asked["show"] if asked.get("show") in SHOWS else self._usual(name, rows)["show"]
        classes, (patch, lost) = list(model.settings.label_names), kept_patch(edits, name, model)
        said = f"{lost:,} of the edits that were pending do not fit this memory any more; they are left out."
        return {
            **self._drawn(Seen(name, rows, show, asked.get("holds", ""))),
            self.holds: asked.get("holds", ""),
            self.row: None,
            self.opened: NONE_PICKED,
            self.label: gr.Dropdown(classes, value=classes[0]),
            self.add_label: gr.Dropdown(classes, value=classes[0]),
            self.text_pair: gr.Textbox(visible=model.settings.is_pair),
            self.refit: False,
            self.version: self.menu.free_name(re.sub(r"-edited(-\d+)?$", "", name) + "-edited"),
            **self._patched(name, patch),
            **(self._told(said) if lost else {}),
        }

    def _linked(self, seen: Seen) -> dict[str, Any]:
        show = "" if seen.show == self._usual(seen.name, seen.rows)["show"] else seen.show
        return {"of_view": {"show": show, "holds": seen.holds}}

    def _usual(self, name: str, rows: list[int]) -> dict[str, Any]:
        return {"show": ALL if rows or self.menu.get(name).evaluation_rows is None else SUSPICIOUS}

    def _rows_among(self, name: str, points: list[int]) -> list[int]:
        """Return the memories among points, which stand first among these."""
        return [point for point in points if point < len(self.menu.get(name).memory)]

    def _every_row(self, seen: Seen) -> pd.DataFrame:
        return memories_of(self.menu.get(seen.name), seen.show).set_index("number")

    def _words(self, seen: Seen) -> list[str]:
        return [seen.show, *super()._words(seen)]

    def _drawn(self, seen: Seen) -> dict[Any, Any]:
        return {self.show: seen.show, **self._listed(seen)}

    def _show_on_maps(self, seen: Seen) -> dict[Any, Any]:
        return self.maps.show_points(seen.name, self._found(seen)["number"].unique().tolist())

    def _coded(self, seen: Seen | None, edits: Kept, refit: bool, version: str) -> Any:
        if seen is None:
            return gr.skip()
        return memory_code(
            self.menu.shown_folder(seen.name),
            seen.show,
            seen.chosen,
            self._patch(seen.name, edits),
            refit,
            self.menu.shown_folder(version),
            carries_rows=self.menu.get(seen.name).evaluation_rows is not None,
        )

    def _open(self, event: gr.SelectData, name: str) -> tuple[int, str, Any]:
        """Open the memory whose number stands first in the row."""
        memory, number = self.menu.get(name).memory, int(event.row_value[0])
        row, soft_labels = memory.rows.iloc[number], memory.soft_labels[number]
        said = (
            f"<p><b>{escaped_text(str(row['id']))}</b>: {escaped_text(row_in_one_line(row))}</p>"
            f"<p>{whose_label(row).capitalize()}: <b>{escaped_text(row['label'])}</b>. Teacher's soft label: "
            f"<b>{escaped_text(memory.classes[int(soft_labels.argmax())])}</b> {soft_labels.max():.2f}.</p>"
        )
        return number, said, row["label"]

    def _patch(self, name: str, edits: Kept) -> "Patch":
        """Return a model's pending edits."""
        return kept_patch(edits, name, self.menu.get(name))[0]

    def _patched(self, name: str, patch: "Patch") -> dict[Any, Any]:
        """Return what shows a patch; what was tried out before is no longer true."""
        return {
            self.pending: pending_html(patch, self.menu.get(name).settings.label_names),
            self.save_patch.button: gr.Button(interactive=bool(patch)),
            **self._untried(),
        }

    def _untried(self) -> dict[Any, Any]:
        return {
            self.message: gr.HTML("", visible=False),
            self.effect: "",
            self.changed: gr.Dataframe(visible=False),
            self.save_changed.button: gr.Button(visible=False),
        }

    def _told(self, said: ReAugKDError | str) -> dict[Any, Any]:
        return {self.message: gr.HTML(sentence_html(said), visible=True)}

    def _edited(self, further: "Callable[..., Patch]", name: str, edits: Kept, *asked: Any) -> dict[Any, Any]:
        """Take what is made of the pending patch if the model can be edited by it, or say why not."""
        from reaugkd.analysis.edits import check_patch

        try:
            patch = further(self.menu.get(name), self._patch(name, edits), *asked)
            check_patch(self.menu.get(name), patch)
        except ReAugKDError as error:
            return self._told(error)
        return {self.edits: {**edits, name: [edit.as_dict() for edit in patch]}, **self._patched(name, patch)}

    def _add(self, name: str, edits: Kept, text: str, text_pair: str, label: str) -> dict[Any, Any]:
        rows = pd.DataFrame([{"text": text, "text_pair": text_pair or None, "label": (label or "").strip() or None}])
        added = self._edited(rows_added, name, edits, rows)
        return added | ({self.text: "", self.text_pair: ""} if self.edits in added else {})

    def _drop(self, event: gr.EventData, name: str, edits: Kept) -> dict[Any, Any]:
        """Drop one edit; another that builds on it keeps it."""
        number = int(event.number)
        return self._edited(lambda _, patch: (*patch[:number], *patch[number + 1 :]), name, edits)

    def _save_patch(self, path: Path, name: str, edits: Kept) -> None:
        from reaugkd.analysis.edits import write_patch

        write_patch(self._patch(name, edits), path)

    def _new_version(self, name: str, edits: Kept, refit: bool) -> "ReAugKDClassifier":
        from reaugkd.analysis.edits import apply_patch
        from reaugkd.analysis.refit import refit_pool

        edited = apply_patch(self.menu.get(name), self._patch(name, edits))
        return refit_pool(edited) if refit else edited

    def _changed(self, name: str, edits: Kept, refit: bool) -> pd.DataFrame:
        """Return the test rows that the pending edits answer otherwise."""
        from reaugkd.method.answers import changed_answers

        before = answered_rows(self.menu.get(name), "test")
        # The edited model has the same networks and keys.
        return changed_answers(before, self._new_version(name, edits, refit).answer(before.encoded))

    def _try(self, name: str, edits: Kept, refit: bool) -> dict[Any, Any]:
        from reaugkd.method.answers import effect_counts

        try:
            changed = self._changed(name, edits, refit)
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

    def _save_version(self, name: str, edits: Kept, refit: bool, version: str) -> dict[Any, Any]:
        try:
            if not self._patch(name, edits):
                raise ReAugKDError("There is no edit to save; relabel, remove or add a memory first.")
            target = self.menu.new_folder(version)
            self._new_version(name, edits, refit).save_pretrained(target)
        except ReAugKDError as error:
            return self._told(error)
        self._save_patch(target.with_name(f"{target.name}.patch.jsonl"), name, edits)
        said = f"Saved as {target}, the patch beside it; choose {target.name} in the menu of models to ask it."
        return {
            self.message: gr.HTML(f"<p>{escaped_text(said)}</p>", visible=True),
            self.name: gr.Dropdown(choices=self.menu.names()),
        }
