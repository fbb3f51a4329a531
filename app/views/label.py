"""The page that labels: texts without labels, those first that teach the memory most; a label counts at once."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

import reaugkd as rk
from reaugkd.errors import ReAugKDError
from reaugkd.files import write_csv
from reaugkd.plots.charts import intervals_figure
from reaugkd.texts import check_whole, in_one_line, text_of_row, texts_of

from ..computed import answered_rows, cached, edited_model
from ..listening import ASKING, EACH, LATEST, Updates, listen
from ..menu import ModelMenu
from ..parts.answer import answer_html
from ..parts.column_boxes import guessed_columns
from ..parts.neighbour_table import neighbour_table
from ..parts.pending_edits import PendingEdits, model_and_patch, with_pending
from ..parts.problem import READ_ALOUD, told_in
from ..parts.row_table import place_table, row_table
from ..parts.save_button import SaveButton
from ..rendering import fill_file, render
from ..scripts import source

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.comparison import Comparison
    from reaugkd.analysis.edits import Patch
    from reaugkd.method.answers import EncodedTexts

FILES = [".csv", ".tsv", ".jsonl", ".parquet", ".txt"]
MOST_BUTTONS, KEYS = 12, 9  # of more classes the nine likeliest have a button and a number key
NO_ROW = -1
LISTED = ["text", "text_pair", "reason", "score", "doubt", "apart", "novelty", "copies", "answer", "probability"]
SMALL: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 220}
Line = dict[int, tuple[float, float, float]]  # by how many labels are given, what they gain, with its interval


@dataclass(frozen=True)
class Log:
    """The texts that a visitor labels.

    Parameters
    ----------
    path : str
        Of the file that was opened; empty for the model's validation texts.
    columns : tuple of str
        Of its text, and of the second text.
    row : int
        The text that is shown; :data:`NO_ROW` where none waits.
    done : tuple of int
        Texts that were labelled or skipped here, in their order.
    """

    path: str = ""
    columns: tuple[str, ...] = ()
    row: int = NO_ROW
    done: tuple[int, ...] = ()

    def after(self) -> "Log":
        """Return the log when the text that is shown is done, and the next one not yet chosen."""
        return replace(self, row=NO_ROW, done=(*self.done, self.row))


@cached(2)
def texts_of_log(model: "rk.ReAugKDClassifier", path: str, columns: tuple[str, ...]) -> "tuple[EncodedTexts, int]":
    """Run the student over a log's texts, each near-copy once; and count the rows that were left out."""
    from reaugkd.analysis.labelling import asked_once, read_log

    is_pair, left_out = model.settings.is_pair, 0
    if path:
        rows, left_out = read_log(path, is_pair, *columns)
    else:
        rows = model.held_out(["validation"]).drop(columns=["label", "split", "teacher_soft_labels"], errors="ignore")
    rows = asked_once(rows, is_pair)
    return model.encode(texts_of(rows, is_pair), rows), left_out


@cached(4)
def queue_of(model: "rk.ReAugKDClassifier", patch: "Patch", path: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Order a log's texts by what they would teach the edited memory, once; the last four orders stay."""
    from reaugkd.analysis.labelling import label_queue

    encoded, _ = texts_of_log(model, path, columns)
    held_out = None if model.evaluation_rows is None else answered_rows(model, "validation")
    return label_queue(edited_model(model, patch).answer(encoded), held_out)


@cached(8)
def gain_of(model: "rk.ReAugKDClassifier", patch: "Patch") -> "Comparison":
    """Compare the edited model with the model over its test rows."""
    from reaugkd.analysis.comparison import compare

    before = answered_rows(model, "test")
    return compare(edited_model(model, patch).answer(before.encoded), before, model.settings.metric)


def labels_in(patch: "Patch", texts: pd.DataFrame) -> dict[int, str]:
    """Return the labels that pending edits give to texts, by the texts' numbers."""
    given = {text_of_row(vars(edit)): edit.label or "" for edit in patch if edit.edit == "add"}
    rows = enumerate(texts.to_dict("records"))
    return {number: given[text] for number, row in rows if (text := text_of_row(row)) in given}


class LabelView:
    """A page that labels; what is labelled is a pending edit, which the page of the memory lists and saves."""

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, edits: gr.BrowserState) -> None:
        self.menu, self.name, self.edits = menu, name, edits
        self.log, self.line = gr.State(None), gr.State({})
        gr.Markdown(fill_file("label.md"))
        with gr.Row():
            self.upload = gr.UploadButton("Open a file of texts", file_types=FILES, elem_id="label-upload", **SMALL)
            self.sample = gr.Button("Try it with the validation texts", elem_id="label-sample", **SMALL)
            self.column, self.pair_column = (
                gr.Dropdown([], label=label, visible=False, min_width=160, elem_id=f"label-{called}")
                for called, label in (("column", "Column of the text"), ("pair-column", "Column of the second text"))
            )
        self.message = gr.HTML(visible=False, elem_id="label-message")
        self.progress = gr.HTML("<p>No texts are opened yet.</p>", elem_id="label-progress", js_on_load=READ_ALOUD)
        with gr.Row(visible=False) as self.asking:
            with gr.Column(scale=5, min_width=320):
                self._place_text()
            with gr.Column(scale=6, min_width=320):
                self.answer = gr.HTML(elem_id="label-answer", apply_default_css=False)
        with gr.Column(visible=False) as self.below:
            self.neighbours = gr.HTML(elem_id="label-neighbours", apply_default_css=False)
            with gr.Row():
                self.save = SaveButton("Save the labels as CSV", "labelled.csv", "label-save", **SMALL)
                self.to_memory = gr.Button("Save as a version on Memory", elem_id="label-to-memory", **SMALL)
            with gr.Accordion("The queue", open=False, elem_id="label-queue"):
                self.queue = place_table("label-rows")
        self._wire()

    def _place_text(self) -> None:
        self.text = gr.HTML(elem_id="label-text", apply_default_css=False)
        self.buttons = gr.HTML(elem_id="label-buttons", js_on_load=source("label_keys.js"), apply_default_css=False)
        with gr.Row(equal_height=True):
            self.other = gr.Dropdown(
                [], label="Another class, or a new one", allow_custom_value=True, min_width=180, elem_id="label-other"
            )
            self.give = gr.Button("Label with it", size="sm", scale=0, min_width=130, elem_id="label-give")
        self.gain = gr.HTML(elem_id="label-gain", js_on_load=READ_ALOUD)
        self.plot = gr.Plot(show_label=False, visible=False, elem_id="label-plot")

    def _wire(self) -> None:
        shown = [self.log, self.progress, self.message, self.asking, self.below, self.text, self.buttons, self.other]
        shown += [self.answer, self.neighbours, self.queue]
        self.filled = opened = [*shown, self.column, self.pair_column, self.line, self.gain, self.plot]
        reading = ASKING | {"show_progress": "minimal", "show_progress_on": self.progress}
        events = [
            listen(self, self.upload.upload, self._open, opened, **reading),
            listen(self, self.sample.click, self._open_sample, opened, **reading),
            listen(self, self.column.input, self._choose_column, opened, **reading),
            listen(self, self.pair_column.input, self._choose_column, opened, **reading),
            listen(self, self.buttons.choose, self._choose, [*shown, self.edits], **EACH),
            listen(self, self.give.click, self._give, [*shown, self.edits], **EACH),
        ]
        for event in events:  # the next text first: what the label gains takes longer
            listen(self, event.success, self._measure, [self.line, self.gain, self.plot], **LATEST)
        self.save.on_click(self, self._save)

    def fill(self, name: str, edits: PendingEdits, log: Log | None) -> Updates:
        """Set the page up for a model; texts that are opened are asked for this one."""
        drawn = {} if log is None else self._drawn(name, edits, Log(log.path, log.columns))
        return {self.line: {}, self.gain: "", self.plot: gr.Plot(visible=False), **drawn}

    @told_in("message")
    def _open(self, name: str, edits: PendingEdits, upload: str) -> Updates:
        """Open a file, and guess the columns of its texts."""
        from reaugkd.tasks.sources import read_table

        columns = [str(column) for column in read_table(upload).columns]
        text, _ = guessed_columns(columns)
        pair = next((column for column in columns if column != text), text)
        chosen = (text, pair) if self.menu.get(name).settings.is_pair else (text,)
        boxes = dict(zip((self.column, self.pair_column), chosen, strict=False))
        menus = {box: gr.Dropdown(columns, value=column, visible=True) for box, column in boxes.items()}
        return self.fill(name, edits, Log(upload, chosen)) | menus

    def _open_sample(self, name: str, edits: PendingEdits) -> Updates:
        hidden = {box: gr.Dropdown(visible=False) for box in (self.column, self.pair_column)}
        return self.fill(name, edits, Log()) | hidden

    def _choose_column(self, name: str, edits: PendingEdits, log: Log, column: str, pair_column: str) -> Updates:
        return self.fill(name, edits, Log(log.path, (column, pair_column)[: len(log.columns)]))

    def _choose(self, event: gr.EventData, name: str, edits: PendingEdits, log: Log) -> Any:
        """Label the text that is shown, skip it, or take the last step back."""
        if event.row != log.row:  # the press was made beside a text that is gone
            return gr.skip()
        if event.choice == "undo":
            return self._undo(name, edits, log)
        if event.choice == "skip":
            return self._drawn(name, edits, log.after())
        return self._label(name, edits, log, event.label)

    def _give(self, name: str, edits: PendingEdits, log: Log, other: str | None) -> Any:
        return gr.skip() if log.row == NO_ROW else self._label(name, edits, log, (other or "").strip())

    @told_in("message")
    def _label(self, name: str, edits: PendingEdits, log: Log, label: str) -> Updates:
        from reaugkd.analysis.edits import additions, check_patch

        model, patch = model_and_patch(self.menu, name, edits)
        if not label:
            raise ReAugKDError("There is no label to give; choose a class, or write a new one.")
        check_whole(label, "The label")
        row = self._texts(name, log).table.iloc[[log.row]].assign(label=label)
        patch = (*patch, *additions(model, row, patch))
        check_patch(model, patch)
        return self._edited(name, edits, patch, log.after())

    def _undo(self, name: str, edits: PendingEdits, log: Log) -> Any:
        """Ask the last text again; where it was labelled, without its label."""
        if not log.done:
            return gr.skip()
        *done, last = log.done
        text, (_, patch) = self._texts(name, log).texts[last], model_and_patch(self.menu, name, edits)
        kept = tuple(edit for edit in patch if edit.edit != "add" or text_of_row(vars(edit)) != text)
        return self._edited(name, edits, kept, replace(log, done=tuple(done), row=last))

    def _edited(self, name: str, edits: PendingEdits, patch: "Patch", log: Log) -> Updates:
        edits = with_pending(edits, name, patch)
        return {self.edits: edits, **self._drawn(name, edits, log)}

    def _texts(self, name: str, log: Log) -> "EncodedTexts":
        return texts_of_log(self.menu.get(name), log.path, log.columns)[0]

    @told_in("message")
    def _drawn(self, name: str, edits: PendingEdits, log: Log) -> Updates:
        """Show how far the log is labelled, and the text to ask next."""
        from reaugkd.analysis.labelling import MOST_TEXTS

        model, patch = model_and_patch(self.menu, name, edits)
        encoded, left_out = texts_of_log(model, log.path, log.columns)
        queue = queue_of(model, patch, log.path, log.columns)
        labelled, copies = labels_in(patch, encoded.table), int(encoded.table["copies"].sum())
        waiting = queue.drop(index=[*labelled, *log.done], errors="ignore")
        if log.row == NO_ROW and len(waiting):
            log = replace(log, row=int(waiting.index[0]))
        counts = {"texts": len(encoded) + copies, "copies": copies, "labelled": len(labelled), "waiting": len(waiting)}
        counts["skipped"] = len({*log.done} - labelled.keys())
        return {
            self.log: log,
            self.progress: render("label_progress", **counts, left_out=left_out, most=MOST_TEXTS),
            self.message: gr.HTML(visible=False),
            self.asking: gr.Row(visible=True),
            self.below: gr.Column(visible=True),
            self.queue: row_table(waiting.filter(LISTED)),
            **self._asked(edited_model(model, patch), encoded, queue, log),
        }

    def _asked(self, model: "rk.ReAugKDClassifier", encoded: "EncodedTexts", queue: pd.DataFrame, log: Log) -> Updates:
        """Show the text to label, what the memory says of it as it is now, and why it is asked."""
        from reaugkd.model.explanation import explain

        steps: dict[str, Any] = {"row": log.row, "can_undo": bool(log.done)}
        if log.row == NO_ROW:
            done = {self.text: "<p>All texts are labelled or skipped.</p>", self.answer: "", self.neighbours: ""}
            return done | {self.buttons: render("label_buttons", classes=[], **steps)}
        explanation = explain(model.answer(encoded.part([log.row])))
        classes = list(explanation.classes)
        if len(classes) > MOST_BUTTONS:
            classes = [classes[number] for number in (-explanation.probabilities).argsort(kind="stable")[:KEYS]]
        reason, copies = queue["reason"][log.row], encoded.table["copies"][log.row]
        return {
            self.text: render("label_text", text=in_one_line(encoded.texts[log.row]), reason=reason, copies=copies),
            self.buttons: render("label_buttons", classes=classes, answer=explanation.label, **steps),
            self.other: gr.Dropdown(list(explanation.classes), value=None),
            self.answer: answer_html(explanation),
            self.neighbours: neighbour_table(explanation),
        }

    def _measure(self, name: str, edits: PendingEdits, log: Log, line: Line) -> Any:
        """Measure what the pending edits gain on the test rows, a point of the line for each label."""
        model, patch = model_and_patch(self.menu, name, edits)
        if model.evaluation_rows is None:
            return gr.skip()
        labelled, gained = len(labels_in(patch, self._texts(name, log).table)), gain_of(model, patch)
        before = {count: of for count, of in {0: (0.0, 0.0, 0.0), **line}.items() if count < labelled}
        line = before | {labelled: gained.difference}
        metric = model.settings.metric.replace("_", " ").capitalize()
        new = sorted({edit.label for edit in patch if edit.label} - {*model.memory.classes})
        title = "Gain on the test rows, with 95 % intervals"
        figure = intervals_figure(line, "labels given", f"{metric}, points gained", title)
        return {
            self.line: line,
            self.gain: render("label_gain", metric=metric, gained=gained, edits=len(patch), new=new) if patch else "",
            self.plot: gr.Plot(figure, visible=len(line) > 1),
        }

    def _save(self, path: Path, name: str, edits: PendingEdits, log: Log) -> None:
        """Write the labelled texts with the columns that they came with, and their labels."""
        table = self._texts(name, log).table
        labels = labels_in(model_and_patch(self.menu, name, edits)[1], table)
        write_csv(table.loc[list(labels)].drop(columns="copies").assign(label=list(labels.values())), path)
