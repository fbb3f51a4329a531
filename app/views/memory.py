"""The page of the memory: search it, see what looks wrong, edit it, and see what an edit does before it is saved."""

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

import reaugkd as rk
from reaugkd.analysis.memory_questions import (
    ALL,
    COUNTED,
    DUPLICATES,
    HARMFUL,
    LEAKS,
    REASONS,
    RENAMED,
    SHOWS,
    SORTED_BY,
    WRONG,
)
from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState
from reaugkd.texts import row_in_one_line, text_of_row

from ..computed import answered_rows, cached, edited_model, encoded_halves
from ..listening import ALL_ROWS, ASKING, EACH, LATEST, Updates, by_name, inputs_of, listen
from ..menu import ModelMenu
from ..parts.code_box import place_code
from ..parts.maps_panel import MapsPanel
from ..parts.memory_rows import place_rows, rows_html
from ..parts.problem import READ_ALOUD, problem_html
from ..parts.row_table import listed_html, row_table, whose_label
from ..parts.save_button import FILES, SaveButton
from ..parts.throttle import throttled
from ..rendering import render
from ..scripts import source
from ..snippets import memory_code
from .rows import RowsPage, RowsView
from .train import TrainView

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.comparison import Comparison
    from reaugkd.analysis.edits import Edit, Patch
    from reaugkd.method.answers import Answers

PendingEdits = dict[str, list[dict[str, str]]]  # by model, as the browser keeps them
Kept = dict[str, dict[str, Any]]  # by model: the texts that must stay right, and which edits were saved as what
CHANGED = ("text", "text_pair", "label", "before", "after", "effect")
NOT_OPENED = "<p>Click a row to edit it, or tick several.</p>"
NOT_LISTED = "<p class='empty'>No memory is on this list.</p>"
KEYS = (
    "Keys: <kbd>↑</kbd> <kbd>↓</kbd> next row, <kbd>space</kbd> ticks it, <kbd>1</kbd> to <kbd>9</kbd> give the class "
    "of that place in the menu, <kbd>Delete</kbd> removes, <kbd>u</kbd> takes the last edit back."
)
EXPORTS = ((".csv", "CSV", "csv"), (".parquet", "Parquet", "parquet"), (".zip", "Folder for datasets", "folder"))
WHY = {
    WRONG: "Its neighbours and its embedding, without the label, give it at most half of what its class usually gets.",
    HARMFUL: "It makes the right class of test rows less likely; at most a tenth of the list does so by chance.",
    "most used": "The weight of each in the answers to test rows.",
    "never used": "No test row finds them.",
    "edited": "Edited and saved in an earlier version.",
    DUPLICATES: "They share four fifths of their words with another memory.",
    LEAKS: "They share four fifths of their words with a test row: its answer proves little.",
    ALL: "Every memory; a click on a column sorts by it.",
}


@dataclass(frozen=True)
class MemoryPage(RowsPage):
    """Which memories the page lists; ``rows`` are those that are selected on the maps.

    Parameters
    ----------
    show : str
        One of :data:`reaugkd.analysis.memory_questions.SHOWS`.
    sort : str
        The column by which a click sorted the list, after a minus if its highest value comes first; empty for the
        order of the list itself.
    edited : dict of int to str
        What the pending edits make of rows of the memory, in a word.
    """

    show: str = WRONG
    sort: str = ""
    edited: dict[int, str] = field(default_factory=dict)
    __hash__ = RowsPage.__hash__

    @property
    def sorted_by(self) -> tuple[str, bool]:
        """The column that the list is sorted by, and whether its lowest value comes first."""
        return (self.sort.removeprefix("-"), self.sort[0] != "-") if self.sort else SORTED_BY[self.show]


@cached(2)
def evidence_of(model: "rk.ReAugKDClassifier") -> pd.DataFrame:
    """Gather all evidence about each memory, once: most lists are cut from it."""
    from reaugkd.analysis.memory_audit import memory_table

    return memory_table(judged_rows(model))


@cached(8)
def memories_of(model: "rk.ReAugKDClassifier", show: str) -> pd.DataFrame:
    """List a model's memories by a question about them, once; the last eight lists stay."""
    from reaugkd.analysis.memory_audit import memories, shown_memories

    if model.evaluation_rows is None:
        return memories(model, None, show)
    if show in REASONS:
        return shown_memories(evidence_of(model), show)
    return memories(model, answered_rows(model, "test") if show == LEAKS else judged_rows(model), show)


def judged_rows(model: "rk.ReAugKDClassifier") -> "Answers":
    """Answer the half of the test rows that edits are judged on."""
    return model.answer(encoded_halves(model)[0])


def pending_patch(edits: PendingEdits, name: str, model: "rk.ReAugKDClassifier") -> "tuple[Patch, int]":
    """Read the pending edits of a model that a browser kept; its memory may have changed since."""
    from reaugkd.analysis.edits import Edit, fitting

    found = tuple(Edit(**edit) for edit in edits.get(name, []))
    fits = fitting(model, found)
    return fits, len(found) - len(fits)


def pinned_texts(kept: Kept, name: str, model: "rk.ReAugKDClassifier") -> list[dict[str, str]]:
    """Return the texts that must stay right: those that the browser keeps, or else those of the model."""
    saved = [] if model.pinned is None else model.pinned.to_dict("records")
    found: list[dict[str, str]] = kept.get(name, {}).get("pinned", saved)
    return found


def rows_edited(
    model: "rk.ReAugKDClassifier", patch: "Patch", kind: str, rows: Sequence[int], label: str | None = None
) -> "Sequence[Edit]":
    """Relabel or remove memories."""
    from reaugkd.analysis.edits import Edit

    if not rows:
        raise ReAugKDError("No memory is chosen; click a row of the list, or tick several.")
    del patch
    return [Edit(kind, name, label) for name in model.memory.rows["id"].iloc[list(rows)]]


def rows_added(model: "rk.ReAugKDClassifier", patch: "Patch", rows: pd.DataFrame) -> "Sequence[Edit]":
    """Add texts."""
    from reaugkd.analysis.edits import additions

    return additions(model, rows, patch)


def file_added(model: "rk.ReAugKDClassifier", patch: "Patch", path: str) -> "Sequence[Edit]":
    """Add the texts of a table."""
    from reaugkd.tasks.sources import named_texts

    columns = ["text", "label"] + ["text_pair"] * model.settings.is_pair
    return rows_added(model, patch, named_texts(path, {column: column for column in columns}))


def pending_html(patch: "Patch", classes: Sequence[str] = (), saved: Mapping[str, Any] | None = None) -> str:
    """List the edits, each with a button that drops it; those that are saved say in which version."""
    saved, lines = saved or {"version": "", "edits": []}, []
    for edit in patch:
        what = {"add": "add as", "relabel": f"relabel {edit.id} to", "remove": f"remove {edit.id}"}[edit.edit]
        new = "(a new class)" if edit.label and edit.label not in classes else ""
        text = f"“{row_in_one_line(vars(edit))}”" if edit.text else ""
        words = " ".join(filter(None, [what, edit.label, new, text]))
        lines.append({"words": words, "is_saved": edit.as_dict() in saved["edits"]})
    return render("pending", edits=lines, version=saved["version"])


class MemoryView(RowsView):
    """A page over the memory; nothing is saved before one says so."""

    view = "memory"
    number = "number"

    def __init__(
        self,
        menu: ModelMenu,
        name: gr.Dropdown,
        maps: MapsPanel,
        linked: gr.State,
        edits: gr.BrowserState,
        kept: gr.BrowserState,
    ) -> None:
        super().__init__(menu, name, maps, linked)
        self.edits, self.kept = edits, kept
        self.picked, self.warned = gr.State([]), gr.State(())  # rows; the edits that were warned of
        self.show = gr.Radio(
            list(SHOWS), value=WRONG, label="Which memories?", show_label=False, container=False, elem_id="show"
        )
        with gr.Row(elem_id="memory-page"):
            with gr.Column(scale=8, min_width=340):
                self._place_list()
            with gr.Column(scale=5, min_width=320):
                self._place_forms()
                self._place_pending()
        self.changed = gr.Dataframe(interactive=False, wrap=True, max_height=300, elem_id="changed", visible=False)
        self.save_changed = SaveButton("Save as CSV", "changed.csv", "changed-save", size="sm", visible=False)
        self.code = place_code("memory-code")
        self._wire()

    def _place_list(self, **buttons: str) -> None:
        del buttons
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 160}
        self.chosen = gr.HTML(elem_id="memory-chosen")
        with gr.Row(elem_id="memory-above"):
            self.holds = gr.Textbox(
                "",
                label="Text holds",
                show_label=False,
                placeholder="Text holds …",
                max_lines=1,
                min_width=150,
                container=False,
                elem_id="memory-holds",
            )
            self.buttons = {"maps": gr.Button("Select on the maps", elem_id="memory-maps", **small)}
            self.save = SaveButton("Save as CSV", "memory.csv", "memory-save", **small)
        self.rows = place_rows("memory-rows")
        gr.HTML(KEYS, elem_id="memory-keys")
        self.listed = [self.shown, self.chosen, self.rows]

    def _place_forms(self) -> None:
        with gr.Tabs(elem_id="memory-forms"):
            with gr.Tab("Edit rows"):
                self.opened = gr.HTML(NOT_OPENED, elem_id="picked-memory")
                with gr.Row():
                    self.label = gr.Dropdown(
                        [],
                        label="Label",
                        show_label=False,
                        container=False,
                        allow_custom_value=True,
                        elem_id="new-label",
                        min_width=130,
                    )
                    self.relabel = gr.Button("Relabel", elem_id="relabel", size="sm", min_width=80)
                    self.remove = gr.Button("Remove", elem_id="remove", size="sm", min_width=80)
            with gr.Tab("A text of yours"):
                self.text = gr.Textbox("", label="Text", elem_id="add-text", max_lines=4)
                self.text_pair = gr.Textbox(
                    "", label="Second text", visible=False, elem_id="add-text-pair", max_lines=4
                )
                self.add_label = gr.Dropdown(
                    [], label="Its label; a new one makes a new class", allow_custom_value=True, elem_id="add-label"
                )
                with gr.Row():
                    self.add = gr.Button("Add to the memory", elem_id="add", size="sm", min_width=120)
                    self.pin = gr.Button("Pin: must stay right", elem_id="pin", size="sm", min_width=120)
                    self.upload = gr.UploadButton(
                        "Add from CSV", file_types=[".csv"], elem_id="add-csv", size="sm", min_width=120
                    )
            with gr.Tab("Train set"):
                gr.HTML(render("train_set"))
                self.exports = {
                    suffix: SaveButton(label, f"train{suffix}", f"export-{elem_id}", size="sm", min_width=90)
                    for suffix, label, elem_id in EXPORTS
                }
                self.train_again = gr.Button("Train again with these labels", elem_id="train-again", size="sm")

    def _place_pending(self) -> None:
        self.message = gr.HTML(visible=False, elem_id="memory-message", js_on_load=READ_ALOUD)
        lists: dict[str, Any] = {"js_on_load": source("buttons.js"), "apply_default_css": False}
        self.pending = gr.HTML(pending_html(()), elem_id="pending", **lists)
        self.pins = gr.HTML("", elem_id="pins", **lists)
        with gr.Row():
            self.try_out = gr.Button("What does it fix and break?", variant="primary", elem_id="try", size="sm")
            self.refit = gr.Checkbox(False, label="Fit the pool again", container=False, elem_id="refit", min_width=140)
        # A region of its own: only words in a region that stays are read aloud.
        self.effect = gr.HTML("", js_on_load=READ_ALOUD, elem_id="patch-effect")
        with gr.Row(elem_id="save-row"):
            self.version = gr.Textbox(
                "",
                label="Name of the new version",
                show_label=False,
                container=False,
                placeholder="Name of the new version",
                max_lines=1,
                min_width=130,
                elem_id="version",
            )
            self.save_version = gr.Button(
                "Save as a new version", elem_id="save-version", size="sm", scale=0, min_width=180
            )
            self.save_patch = SaveButton(
                "Save the patch", "patch.jsonl", "save-patch", interactive=False, size="sm", scale=0, min_width=125
            )
        self.saved = gr.HTML("", elem_id="memory-saved", js_on_load=READ_ALOUD)

    def _wire(self) -> None:
        tried = [self.message, self.effect, self.changed, self.save_changed.button, self.saved]
        drawn = [*self.listed, self.pending, self.pins, self.save_patch.button, *tried]
        patched = [self.edits, self.warned, *drawn]
        self.whole = [*self.listed, self.show]
        self.filled = [*self.whole, self.holds, self.picked, self.opened, self.label, self.add_label, self.text_pair]
        self.filled += [self.refit, self.version, *(part for part in patched[1:] if part not in self.listed)]
        listen(self, self.show.input, self._show, self.listed, **ALL_ROWS)
        listen(self, self.rows.choose, self._choose, [self.picked, self.opened, self.label], **LATEST)
        listen(self, self.rows.sort, self._sort, self.listed, **LATEST)
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
        self.refit.input(self._untried, None, tried, **LATEST)
        slow = ASKING | {"show_progress": "minimal", "show_progress_on": None}
        listen(self, self.try_out.click, self._try, tried, **slow)
        saved = [self.saved, self.message, self.name, self.kept, self.pending, self.version]
        listen(self, self.save_version.click, self._save_version, saved, **slow)
        saves: list[tuple[SaveButton, Callable[..., None]]] = [
            (self.save_changed, self._save_changed),
            (self.save_patch, self._save_patch),
        ]
        saves += [(button, self._export) for button in self.exports.values()]
        for button, save in saves:
            button.on_click(save, inputs_of(self, save))
        changes = [part.change for part in (self.shown, self.pending, self.refit, self.version)]
        throttled(changes, self._coded, inputs_of(self, self._coded), [self.code], "memory-coded", **LATEST)
        self._wire_list()

    def fill(self, name: str, linked: PageState, selected: list[int], edits: PendingEdits, kept: Kept) -> Updates:
        """Set the page up for a model."""
        model, rows = self.menu.get(name), self._rows_among(name, selected)
        asked = linked.asked_of("memory", name).of_view
        show = RENAMED.get(asked.get("show", ""), asked.get("show"))
        listed = {"show": show} if show in SHOWS else self._usual(name, rows)
        classes, (patch, lost) = list(model.settings.label_names), pending_patch(edits, name, model)
        left_out = f"{lost:,} of the pending edits no longer fit this memory; they are left out."
        shown = MemoryPage(name, rows, holds=asked.get("holds", ""), **listed, edited=self._in_words(name, patch))
        return {
            self.show: gr.Radio(self._counted(name), value=shown.show),
            **self._patched(shown, patch, kept),
            **self._listed(shown),
            self.holds: shown.holds,
            self.picked: [],
            self.opened: NOT_OPENED,
            self.label: gr.Dropdown(classes, value=classes[0]),
            self.add_label: gr.Dropdown(classes, value=classes[0]),
            self.text_pair: gr.Textbox(visible=model.settings.is_pair),
            self.refit: False,
            self.version: self._next_version(name),
            **(self._problem(left_out) if lost else {}),
        }

    def _counted(self, name: str) -> list[tuple[str, str]]:
        """Return the lists with how many rows each has, where that takes no search of its own."""
        from reaugkd.analysis.memory_audit import shown_memories

        if self.menu.get(name).evaluation_rows is None:
            return [(show, show) for show in SHOWS]
        table = evidence_of(self.menu.get(name))
        counts = {show: len(shown_memories(table, show)) for show in COUNTED}
        return [(f"{show} {counts[show]:,}" if show in counts else show, show) for show in SHOWS]

    def _next_version(self, name: str) -> str:
        return self.menu.free_name(re.sub(r"-edited(-\d+)?$", "", name) + "-edited")

    def _linked(self, shown: MemoryPage) -> dict[str, Any]:
        is_usual = shown.show == self._usual(shown.name, shown.rows)["show"]
        return {"of_view": {"show": "" if is_usual else shown.show, "holds": shown.holds}}

    def _usual(self, name: str, rows: list[int]) -> dict[str, Any]:
        """Return the list at first: what looks wrong, or where nothing does, what is doubted most."""
        model = self.menu.get(name)
        if rows or model.evaluation_rows is None:
            return {"show": ALL, "sort": ""}
        return {"show": WRONG, "sort": ""} if len(memories_of(model, WRONG)) else {"show": ALL, "sort": "-doubt"}

    def _rows_among(self, name: str, points: list[int]) -> list[int]:
        """Return the memories among points, which stand first among these."""
        return [point for point in points if point < len(self.menu.get(name).memory)]

    def _every_row(self, shown: MemoryPage) -> pd.DataFrame:
        return memories_of(self.menu.get(shown.name), shown.show).set_index("number")

    def _found(self, shown: MemoryPage) -> pd.DataFrame:
        found, (column, ascending) = super()._found(shown), shown.sorted_by
        return found.sort_values(column, ascending=ascending, kind="stable") if shown.sort else found

    def _words(self, shown: MemoryPage) -> list[str]:
        return [shown.show, *super()._words(shown)]

    def _drawn(self, shown: MemoryPage) -> Updates:
        return {self.show: shown.show, **self._listed(shown)}

    def _show(self, shown: MemoryPage, show: str) -> Updates:
        return self._listed(replace(shown, show=show, sort=""))

    def _in_words(self, name: str, patch: "Patch") -> dict[int, str]:
        """Return what edits make of rows of the memory, by their numbers."""
        numbers = {row: number for number, row in enumerate(self.menu.get(name).memory.rows["id"])}
        return {numbers[edit.id]: edit.label or "removed" for edit in patch if edit.id in numbers}

    def _listed(self, shown: MemoryPage) -> Updates:
        """List memories with what the pending edits make of them, and say why the list holds them."""
        try:
            rows = self._found(shown)
        except ReAugKDError as error:
            return {self.shown: shown, self.chosen: problem_html(error), self.rows: ""}
        if shown.show in REASONS:  # the file has all columns
            first = ("number", "text", "text_pair", "label", "labelled_by", *REASONS[shown.show])
            listed = rows[[name for name in first if name in rows.columns]]
        else:
            listed = rows
        return {
            self.shown: shown,
            self.chosen: listed_html(", ".join(self._words(shown)), len(rows))
            + render("why_listed", why=WHY[shown.show]),
            self.rows: rows_html(listed, shown.edited, *shown.sorted_by) if len(rows) else NOT_LISTED,
        }

    def _sort(self, event: gr.EventData, shown: MemoryPage) -> Updates:
        """Sort by a column, the other way round by a second click; figures have their highest value first."""
        column, ascending = shown.sorted_by
        rows = self._every_row(shown)
        is_figure = event.column != self.number and pd.api.types.is_numeric_dtype(rows.get(event.column))
        descending = ascending if column == event.column else is_figure
        return self._listed(replace(shown, sort="-" * descending + event.column))

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

    def _choose(self, event: gr.EventData, name: str) -> tuple[list[int], str, Any]:
        """Open the row that is chosen, or say how many are."""
        memory, numbers = self.menu.get(name).memory, [int(number) for number in event.rows]
        if not numbers:
            return [], NOT_OPENED, gr.skip()
        row = memory.rows.iloc[numbers[-1]]
        if len(numbers) > 1:
            labels = Counter(memory.rows["label"].iloc[numbers]).most_common()
            return numbers, render("ticked", count=len(numbers), labels=labels), row["label"]
        soft_labels = None if row.get("edited") or row.get("labelled_by") else memory.soft_labels[numbers[0]]
        opened = render(
            "memory",
            id=row["id"],
            text=row_in_one_line(row),
            whose=whose_label(row),
            label=row["label"],
            is_adopted=self.menu.get(name).settings.is_adopted,
            teacher=None if soft_labels is None else memory.classes[int(soft_labels.argmax())],
            probability=0 if soft_labels is None else soft_labels.max(),
        )
        return numbers, opened, row["label"]

    def _patch(self, name: str, edits: PendingEdits) -> "Patch":
        """Return a model's pending edits."""
        return pending_patch(edits, name, self.menu.get(name))[0]

    def _edited_model(self, name: str, edits: PendingEdits, refit: bool = False) -> "rk.ReAugKDClassifier":
        from reaugkd.analysis.refit import refit_pool

        edited = edited_model(self.menu.get(name), self._patch(name, edits))
        return refit_pool(edited) if refit else edited

    def _patched(self, shown: MemoryPage, patch: "Patch", kept: Kept) -> Updates:
        """Return what shows a patch; what was tried out before is no longer true."""
        return {
            self.pending: self._pending(shown.name, patch, kept),
            self.pins: self._pins(shown.name, patch, kept),
            **self._listed(replace(shown, edited=self._in_words(shown.name, patch))),
            self.save_patch.button: gr.Button(interactive=bool(patch)),
            self.warned: (),
            **self._untried(),
        }

    def _pending(self, name: str, patch: "Patch", kept: Kept) -> str:
        return pending_html(patch, self.menu.get(name).settings.label_names, kept.get(name, {}).get("saved"))

    def _pins(self, name: str, patch: "Patch", kept: Kept) -> str:
        """List the texts that must stay right, with what the edited memory answers."""
        model = self.menu.get(name)
        pinned = pinned_texts(kept, name, model)
        texts = [text_of_row(row) for row in pinned]
        answers: Any = edited_model(model, patch).predict(texts) if texts else []
        lines = [
            {"text": row_in_one_line(row), "label": row["label"], "answer": str(said)}
            for row, said in zip(pinned, answers, strict=True)
        ]
        return render("pins", pins=lines)

    def _follow_edits(self, shown: MemoryPage | None, edits: PendingEdits, kept: Kept) -> Any:
        """List what another page edits too."""
        if shown is None:
            return gr.skip()
        return self._pending(shown.name, self._patch(shown.name, edits), kept)

    def _untried(self) -> Updates:
        return {
            self.message: gr.HTML("", visible=False),
            self.effect: "",
            self.saved: "",
            self.changed: gr.Dataframe(visible=False),
            self.save_changed.button: gr.Button(visible=False),
        }

    def _problem(self, error: ReAugKDError | str) -> Updates:
        return {self.message: gr.HTML(problem_html(error), visible=True)}

    def _edited(
        self,
        name: str,
        shown: MemoryPage | None,
        edits: PendingEdits,
        kept: Kept,
        warned: tuple[Any, ...],
        further: "Callable[..., Sequence[Edit]]",
        **asked: Any,
    ) -> Updates:
        """Take further edits; say why they are impossible, or first that they break what must stay right."""
        from reaugkd.analysis.edit_effects import broken_pins
        from reaugkd.analysis.edits import extended

        model, patch = self.menu.get(name), self._patch(name, edits)
        shown = shown or MemoryPage(name, [])  # a server that was started anew has forgotten it
        try:
            longer = extended(model, patch, further(model, patch, **asked))
            if warned != longer and (pinned := pinned_texts(kept, name, model)):
                before, after = (edited_model(model, each) for each in (patch, longer))
                broken = broken_pins(before, after, pd.DataFrame(pinned))
                if len(broken):
                    return {self.warned: longer, **self._listed(shown), **self._problem(_breaks(broken))}
        except ReAugKDError as error:
            return self._listed(shown) | self._problem(error)  # the list, drawn anew, waits for the next edit
        return self._kept(name, shown, edits, kept, longer)

    def _kept(self, name: str, shown: MemoryPage | None, edits: PendingEdits, kept: Kept, patch: "Patch") -> Updates:
        shown = shown or MemoryPage(name, [])
        edits = {**edits, name: [edit.as_dict() for edit in patch]}
        return {self.edits: edits, **self._patched(shown, patch, kept)}

    def _relabel(
        self,
        name: str,
        shown: MemoryPage | None,
        edits: PendingEdits,
        kept: Kept,
        warned: tuple[Any, ...],
        picked: list[int],
        label: str,
    ) -> Updates:
        return self._edited(name, shown, edits, kept, warned, rows_edited, kind="relabel", rows=picked, label=label)

    def _remove(
        self,
        name: str,
        shown: MemoryPage | None,
        edits: PendingEdits,
        kept: Kept,
        warned: tuple[Any, ...],
        picked: list[int],
    ) -> Updates:
        return self._edited(name, shown, edits, kept, warned, rows_edited, kind="remove", rows=picked)

    def _relabel_by_key(
        self,
        event: gr.EventData,
        name: str,
        shown: MemoryPage | None,
        edits: PendingEdits,
        kept: Kept,
        warned: tuple[Any, ...],
    ) -> Updates:
        classes = self.menu.get(name).settings.label_names
        if event.label >= len(classes):
            sentence = f"There is no class {event.label + 1}; the keys 1 to {len(classes)} give one."
            return self._listed(shown or MemoryPage(name, [])) | self._problem(sentence)
        return self._relabel(name, shown, edits, kept, warned, event.rows, classes[event.label])

    def _remove_by_key(
        self,
        event: gr.EventData,
        name: str,
        shown: MemoryPage | None,
        edits: PendingEdits,
        kept: Kept,
        warned: tuple[Any, ...],
    ) -> Updates:
        return self._remove(name, shown, edits, kept, warned, event.rows)

    def _add(
        self,
        name: str,
        shown: MemoryPage | None,
        edits: PendingEdits,
        kept: Kept,
        warned: tuple[Any, ...],
        text: str,
        text_pair: str,
        add_label: str | None,
    ) -> Updates:
        added = self._edited(name, shown, edits, kept, warned, rows_added, rows=_one_row(text, text_pair, add_label))
        return added | ({self.text: "", self.text_pair: ""} if self.edits in added else {})

    def _add_file(
        self, name: str, shown: MemoryPage | None, edits: PendingEdits, kept: Kept, warned: tuple[Any, ...], upload: str
    ) -> Updates:
        return self._edited(name, shown, edits, kept, warned, file_added, path=upload)

    def _pin(
        self, name: str, edits: PendingEdits, kept: Kept, text: str, text_pair: str, add_label: str | None
    ) -> Updates:
        """Pin a text that is right now."""
        rows, patch = _one_row(text, text_pair, add_label), self._patch(name, edits)
        edited, (row,) = edited_model(self.menu.get(name), patch), rows.dropna(axis=1).to_dict("records")
        try:
            if "label" not in row:
                raise ReAugKDError("The text has no label; say which answer is right.")
            said = str(edited.predict([text_of_row(row)])[0])
            if said != row["label"]:
                raise ReAugKDError(
                    f"The answer is {said}, not {row['label']}; only a text that is right can be pinned."
                )
        except ReAugKDError as error:
            return self._problem(error)
        others = [each for each in pinned_texts(kept, name, edited) if text_of_row(each) != text_of_row(row)]
        kept = {**kept, name: {**kept.get(name, {}), "pinned": [*others, row]}}
        emptied = {self.text: "", self.text_pair: "", self.message: gr.HTML("", visible=False)}
        return {self.kept: kept, self.pins: self._pins(name, patch, kept), **emptied}

    def _unpin(self, event: gr.EventData, name: str, edits: PendingEdits, kept: Kept) -> Updates:
        pinned = pinned_texts(kept, name, self.menu.get(name))
        pinned = [*pinned[: event.number], *pinned[event.number + 1 :]]
        kept = {**kept, name: {**kept.get(name, {}), "pinned": pinned}}
        return {self.kept: kept, self.pins: self._pins(name, self._patch(name, edits), kept)}

    def _drop(
        self, event: gr.EventData, name: str, shown: MemoryPage | None, edits: PendingEdits, kept: Kept
    ) -> Updates:
        """Drop one edit."""
        patch = self._patch(name, edits)
        return self._kept(name, shown, edits, kept, (*patch[: event.number], *patch[event.number + 1 :]))

    def _undo(self, name: str, shown: MemoryPage | None, edits: PendingEdits, kept: Kept) -> Updates:
        return self._kept(name, shown, edits, kept, self._patch(name, edits)[:-1])

    def _save_patch(self, path: Path, name: str, edits: PendingEdits) -> None:
        from reaugkd.analysis.edits import write_patch

        write_patch(self._patch(name, edits), path)

    def _export(self, path: Path, name: str, edits: PendingEdits) -> None:
        """Write the corrected train set; a folder is packed."""
        from reaugkd.analysis.train_set import write_train_set

        is_packed = path.suffix == ".zip"
        written = write_train_set(self._edited_model(name, edits), path.with_suffix("") if is_packed else path)
        if is_packed:
            shutil.make_archive(str(written), "zip", written)

    def _changed(self, name: str, edits: PendingEdits, refit: bool) -> "tuple[Comparison, pd.DataFrame]":
        """Compare the edited model with the model on the half of the test rows that edits are judged on."""
        from reaugkd.analysis.comparison import compare
        from reaugkd.method.answers import changed_answers

        before = judged_rows(self.menu.get(name))
        # The edited model has the same networks and keys.
        after = self._edited_model(name, edits, refit).answer(before.encoded)
        return compare(after, before, self.menu.get(name).settings.metric), changed_answers(before, after)

    def _try(self, name: str, edits: PendingEdits, kept: Kept, refit: bool) -> Updates:
        from reaugkd.analysis.edit_effects import broken_pins
        from reaugkd.method.answers import effect_counts

        model = self.menu.get(name)
        try:
            compared, changed = self._changed(name, edits, refit)
            edited = self._edited_model(name, edits, refit)
            broken = broken_pins(model, edited, pd.DataFrame(pinned_texts(kept, name, model)))
        except ReAugKDError as error:
            return self._problem(error)
        shown = changed[[column for column in CHANGED if column in changed.columns]]
        effect = render(
            "effects",
            rows=len(compared.table),
            effects=effect_counts(changed),
            metric=model.settings.metric.replace("_", " "),
            compared=compared,
            broken=_breaks(broken) if len(broken) else "",
        )
        return {
            **self._untried(),
            self.effect: effect,
            self.changed: row_table(shown, visible=len(shown) > 0),
            self.save_changed.button: gr.Button(visible=len(shown) > 0),
        }

    def _save_changed(self, path: Path, name: str, edits: PendingEdits, refit: bool) -> None:
        self._changed(name, edits, refit)[1].to_csv(path, index=False)

    def _save_version(self, name: str, edits: PendingEdits, kept: Kept, refit: bool, version: str) -> Updates:
        from reaugkd.analysis.edit_effects import told_in_words, with_told_effect

        model, patch = self.menu.get(name), self._patch(name, edits)
        try:
            if not patch:
                raise ReAugKDError("There is no edit to save; relabel, remove or add a memory first.")
            target = self.menu.new_folder(version)
            edited = self._edited_model(name, edits, refit)
            if model.evaluation_rows is not None:
                edited = with_told_effect(model, edited, encoded_halves(model)[1])
            edited = replace(edited, pinned=pd.DataFrame(pinned_texts(kept, name, model)))
            edited.save_pretrained(target)
        except ReAugKDError as error:
            return {self.saved: problem_html(error)}
        self._save_patch(target.with_name(f"{target.name}.patch.jsonl"), name, edits)
        saved = {"version": target.name, "edits": [edit.as_dict() for edit in patch]}
        kept = {**kept, name: {**kept.get(name, {}), "saved": saved}}
        said = [f"Saved as {target.name}, with the patch beside it. Choose it in the menu of models to ask it."]
        return {
            self.saved: render("sentences", sentences=[*said, told_in_words(edited)]),
            self.message: gr.HTML("", visible=False),
            self.name: gr.Dropdown(choices=self.menu.names()),
            self.kept: kept,
            self.pending: self._pending(name, patch, kept),
            self.version: self._next_version(name),
        }

    def lead_to_training(self, train: TrainView, tabs: gr.Tabs) -> None:
        """Let a button open the page that trains with the corrected rows in its form."""

        def lead(name: str, edits: PendingEdits) -> Updates:
            from reaugkd.analysis.train_set import train_set

            folder, edited = Path(tempfile.mkdtemp(dir=FILES.name)), self._edited_model(name, edits)
            files = {"train": train_set(edited)}
            if edited.evaluation_rows is not None:
                files["test"] = edited.held_out(["test"]).drop(
                    columns=["split", "teacher_soft_labels"], errors="ignore"
                )
            for part, rows in files.items():
                rows.to_csv(folder / f"{name}-{part}.csv", index=False)
            paths = {part: str(folder / f"{name}-{part}.csv") for part in files}
            return {tabs: gr.Tabs(selected="train"), **train.with_files(**paths)}

        by_name(self.train_again.click, lead, inputs_of(self, lead), [tabs, *train.by_files], **ALL_ROWS)


def _one_row(text: str, text_pair: str, label: str | None) -> pd.DataFrame:
    return pd.DataFrame([{"text": text, "text_pair": text_pair or None, "label": (label or "").strip() or None}])


def _breaks(broken: pd.DataFrame) -> str:
    """Say which texts must stay right and break."""
    first = broken.iloc[0]
    others = f" So do {len(broken) - 1} others." if len(broken) > 1 else ""
    return (
        f"This breaks a text that must stay right: “{row_in_one_line(first)}” would be answered {first['after']}, not "
        f"{first['label']}.{others} Do it again to edit all the same."
    )
