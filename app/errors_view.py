"""The page of errors: how good all answers are, where they go wrong, and the rows behind every figure."""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from code_box import place_code
from gradio.events import Dependency
from maps_panel import MapsPanel
from models import LATEST, SPLITS, ModelMenu, encoded_rows
from picked import MapsPick, picked_in_link, rows_in_words, selected_rows, within_selection
from retrieval_sliders import RetrievalSliders, moves, moves_of_link, values_for
from row_table import ALL_ROWS, PICK, listed_html, numbered, row_table
from save_button import SaveButton
from typed_text import on_typing

from reaugkd.error_tables import confusion_table, disagreement_table, flip_buttons, reliability_bars
from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState, short
from reaugkd.neighbour_table import escaped_text, neighbour_table
from reaugkd.snippets import errors_code

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.answers import Answers
    from reaugkd.pool import Pool

ANY = "any"
EFFECTS = [ANY, "fixed", "broken", "changed", "none"]
CONFIDENCES = {
    ANY: None,
    "up to 0.5": (0.0, 0.5),
    "0.5 to 0.7": (0.5, 0.7),
    "0.7 to 0.9": (0.7, 0.9),
    "above 0.9": (0.9, 1.0),
}
UNLISTED = ["id", "split", "student_probability", "teacher_probability", "flip"]  # the CSV has them


@dataclass(frozen=True)
class Seen:
    """What the page is set to, in the order of its inputs.

    Parameters
    ----------
    name, split : str
        The model's, and whose rows.
    k, weight, temperature, as_fitted, as_chosen : float and bool
        The sliders and their boxes.
    picked : dict
        The arguments of a row filter that a cell, a bin or the maps gave.
    effect, column, value, confidence, text : str
        What the boxes say.
    """

    name: str
    split: str
    k: float
    weight: float
    temperature: float
    as_fitted: bool
    as_chosen: bool
    picked: dict[str, Any] = field(default_factory=dict)
    effect: str = ANY
    column: str = ANY
    value: str = ANY
    confidence: str = ANY
    text: str = ""

    @property
    def moved(self) -> dict[str, Any]:
        """What the sliders ask for."""
        return moves(self.k, self.weight, self.temperature, self.as_fitted, self.as_chosen)

    @property
    def rows(self) -> list[int] | None:
        """The rows that are selected on the maps; None where nothing is selected."""
        return selected_rows(self.picked, self.split)

    @property
    def chosen(self) -> dict[str, Any]:
        """What was picked and what the boxes say as the arguments of a row filter."""
        equal, between = dict(self.picked.get("equal", {})), dict(self.picked.get("between", {}))
        between |= {"probability": CONFIDENCES[self.confidence]} if CONFIDENCES[self.confidence] else {}
        equal |= {"effect": self.effect} if self.effect != ANY else {}
        equal |= {self.column: self.value} if ANY not in (self.column, self.value) else {}
        return {"equal": equal, "between": between, "text": self.text, "rows": self.rows}


def summary_html(figures: dict[str, Any], metric: str, flips: dict[str, int], which: str = "rows") -> str:
    """Say in a few words how good the answers are.

    Parameters
    ----------
    figures : dict
        As :func:`reaugkd.error_analysis.summary` gives it.
    metric : str
        The task's metric.
    flips : dict of str to int
        How many answers the sliders fix, break and change, of those chosen in training.
    which : str
        Which rows these are.

    Returns
    -------
    str
        HTML.
    """
    score, effects = figures["score"], figures["effects"]
    teacher = f", teacher <b>{100 * score['teacher']:.1f}</b>" if "teacher" in score else ""
    return (
        f"<p>{metric.replace('_', ' ').capitalize()}, percent of {figures['rows']:,} {which}: student "
        f"<b>{100 * score['student']:.1f}</b>, with the memory <b>{100 * score['answer']:.1f}</b>{teacher}. Retrieval "
        f"fixed <b>{effects['fixed']}</b> answers and broke <b>{effects['broken']}</b>; {effects['changed']} went from "
        f"wrong to wrong.</p><p>What these sliders change of the answers chosen in training: {flip_buttons(flips)}.</p>"
    )


def chosen_in_words(chosen: dict[str, Any]) -> str:
    """Say which rows a filter lists."""
    parts = [f"{name} = {value}" for name, value in chosen.get("equal", {}).items()]
    parts += [f"{name} {low:.1f} to {high:.1f}" for name, (low, high) in chosen.get("between", {}).items()]
    parts += [f"“{chosen['text']}” in the text"] if chosen.get("text") else []
    parts += ["selected on the maps"] if chosen.get("rows") is not None else []
    return ", ".join(parts) or "all rows"


class ErrorsView:
    """A page over a whole evaluation set; nothing is computed before it is opened.

    Parameters
    ----------
    menu : ModelMenu
        Gives the model.
    name : Component
        Holds the name of the model that answers.
    maps : MapsPanel
        Shares its selection.
    linked : State
        Holds what the page's link asks for.
    """

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, maps: MapsPanel, linked: gr.State) -> None:
        self.menu, self.name, self.maps, self.linked = menu, name, maps, linked
        self.picked, self.pick = gr.State({}), MapsPick(maps, "errors", {})
        self.drawn_for = gr.State(None)  # the name of the model whose rows are listed; None before that
        self.shown = gr.State(None)  # what is listed, as Seen; None before that
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self.split = gr.Radio(SPLITS, value="test", label="Rows", elem_id="errors-split")
                self.sliders = RetrievalSliders(self.menu, self.name, "errors-")
            with gr.Column(scale=7, min_width=320):
                self.summary = gr.HTML(
                    "<p>Opens with the model.</p>", elem_id="errors-summary", js_on_load=PICK, apply_default_css=False
                )
                self.reliability = gr.HTML(elem_id="reliability", js_on_load=PICK, apply_default_css=False)
        with gr.Column() as self.below:
            self._place_tables()
            self._place_rows()
        self.code = place_code("errors-code")
        self._wire()

    def _place_tables(self) -> None:
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                gr.Markdown("## Which classes are taken for which: a cell lists its rows")
                self.confusion = gr.HTML(elem_id="confusion", js_on_load=PICK, apply_default_css=False)
            with gr.Column(scale=1, min_width=320):
                gr.Markdown("## Where gold label, teacher, student and memory disagree")
                self.disagreements = gr.HTML(elem_id="disagreements", js_on_load=PICK, apply_default_css=False)

    def _place_rows(self) -> None:
        gr.Markdown("## The rows")
        with gr.Row():
            self.effect = gr.Dropdown(EFFECTS, value=ANY, label="Effect of retrieval", elem_id="effect")
            self.column = gr.Dropdown([ANY], value=ANY, label="Column", elem_id="errors-column")
            self.value = gr.Dropdown([ANY], value=ANY, label="Its value", elem_id="errors-value")
            self.confidence = gr.Dropdown(
                list(CONFIDENCES), value=ANY, label="Confidence of the answer", elem_id="errors-confidence"
            )
            self.text = gr.Textbox("", label="Text holds", elem_id="errors-text", max_lines=1)
        with gr.Row():
            self.chosen = gr.HTML(elem_id="chosen")
            self.on_maps = gr.Button("Select on the maps", size="sm", elem_id="errors-on-maps", scale=0, min_width=160)
            self.clear = gr.Button("List all rows", size="sm", elem_id="clear-filter", scale=0, min_width=140)
            self.save = SaveButton("Save as CSV", "rows.csv", "save-csv", size="sm", scale=0, min_width=140)
        self.rows = gr.Dataframe(interactive=False, wrap=True, max_height=420, elem_id="errors-rows")
        self.opened = gr.HTML(elem_id="opened-row", apply_default_css=False)

    def _wire(self) -> None:
        filters = [self.picked, self.effect, self.column, self.value, self.confidence, self.text]
        self.seen = seen = [self.name, self.split, *self.sliders.values, *filters]
        listed = [self.chosen, self.rows, self.opened, self.code, self.shown]
        whole = [self.summary, self.reliability, self.confusion, self.disagreements, self.value, *listed]
        self.fill_inputs: list[Any] = [self.linked, self.maps.selected]
        self.filled = [self.drawn_for, self.split, self.below, *self.sliders.values, *filters, *whole]
        self.split.input(self._draw, seen, whole, **LATEST)
        self.sliders.on_move(self._draw, seen, whole)
        for table in (self.summary, self.confusion, self.disagreements, self.reliability):
            table.select(self._pick, seen, [self.picked, *listed], **LATEST)
        self.column.input(self._choose_column, [self.shown, *seen], [self.value, *listed], **LATEST)
        menus = [self.effect, self.value, self.confidence]
        gr.on([menu.input for menu in menus], self._list_chosen, [self.shown, *menus], listed, **LATEST)
        on_typing([self.text], self._list_typed, [self.shown, self.text], listed)
        self.clear.click(self._clear, seen, [*filters, *whole], **LATEST)
        self.on_maps.click(self._show_on_maps, seen, [self.maps.map, *self.maps.listed], **LATEST)
        self.selected_drawn = [self.picked, *whole]
        for chosen in self.maps.chosen:
            self.follow(chosen)
        self.save.on_click(self._save, seen)
        self.rows.select(self._open, seen, self.opened, **LATEST)

    def follow(self, selected: Dependency) -> None:
        """Draw and list the selected test rows after an event that selects points on the maps."""
        inputs = [self.drawn_for, self.maps.selected, *self.seen]
        selected.then(self._draw_selected, inputs, self.selected_drawn, **ALL_ROWS)

    def follow_link(self, selected: Dependency) -> None:
        """Do so after the event that selects what a link names, which may come later than the page."""
        inputs = [self.drawn_for, self.linked, self.maps.selected, *self.seen]
        selected.then(self._draw_linked, inputs, self.selected_drawn, **ALL_ROWS)

    def fill(self, name: str, linked: PageState, selected: list[int]) -> dict[Any, Any]:
        """Set the page to what its link asks for, or else to what was chosen in training, and draw it.

        Parameters
        ----------
        name : str
            The model's.
        linked : PageState
            What the page's link asks for.
        selected : list of int
            The points that are selected on the maps; of test rows among them, the page lists no others.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model = self.menu.get(name)
        if model.parts.evaluation_rows is None:
            nothing = "<p>This model carries no evaluation rows: there is nothing to analyse.</p>"
            hidden = {self.reliability: "", self.below: gr.Column(visible=False)}
            return {self.summary: nothing, self.drawn_for: None, **hidden}
        linked = linked.asked_of("errors", name)
        asked, values = linked.of_view, values_for(model, **moves_of_link(linked))
        own = ("id", "split", "text", "text_pair", "teacher_soft_labels")
        columns = [str(column) for column in model.parts.evaluation_rows.columns if column not in own]
        teacher = ["teacher"] if "teacher_soft_labels" in model.parts.evaluation_rows.columns else []
        choices = [ANY, *columns, *teacher, "student", "memory", "answer"]
        seen = Seen(
            name,
            _one_of(SPLITS, asked.get("split", "")),
            *values,
            picked=self.pick.of(name, linked, selected),
            effect=_one_of(EFFECTS, asked.get("effect", "")),
            column=_one_of(choices, asked.get("column", "")),
            value=asked.get("value", ANY),
            confidence=_one_of(list(CONFIDENCES), asked.get("confidence", "")),
            text=asked.get("holds", ""),
        )
        try:
            drawn = self._drawn(seen)
        except gr.Error:  # the link picked by a column that this model's rows do not have
            seen = replace(seen, picked=self.pick.of(name, PageState(), selected))
            drawn = self._drawn(seen)
        return {
            **self.sliders.set_to(*values),
            **drawn,
            self.drawn_for: name,
            self.below: gr.Column(visible=True),
            self.split: seen.split,
            self.picked: seen.picked,
            self.effect: seen.effect,
            self.column: gr.Dropdown(choices, value=seen.column),
            self.confidence: seen.confidence,
            self.text: seen.text,
        }

    def linked_state(self, state: PageState, *inputs: Any) -> PageState:
        """Return the state that a link to the page opens, from that of the page Query and the values of ``seen``."""
        seen = Seen(*inputs)
        boxes = {"effect": seen.effect, "column": seen.column, "value": seen.value, "confidence": seen.confidence}
        of_view = {name: value for name, value in boxes.items() if value != ANY}
        of_view |= {"split": "" if seen.split == SPLITS[0] else seen.split, "holds": seen.text}
        of_view["picked"] = picked_in_link(seen.picked, {}, bool(state.selected))
        return replace(
            state,
            view="errors",
            **seen.moved,
            of_view=short(of_view),
        )

    def _answers(self, seen: Seen) -> "Answers":
        """Answer the rows of the split, or those of them that are selected."""
        model = self.menu.get(seen.name)
        encoded = encoded_rows(model, seen.split)
        return model.answer(encoded.part(seen.rows) if seen.rows else encoded, self._pool(seen))

    def _pool(self, seen: Seen) -> "Pool":
        return self.menu.get(seen.name).pool.overridden(**seen.moved)

    def _table(self, seen: Seen, answers: "Answers") -> pd.DataFrame:
        """Return the rows with their answers, and what the sliders make of those that were chosen in training."""
        return answers.table(self.menu.get(seen.name).answer(answers.encoded))

    def _filtered(self, seen: Seen, table: pd.DataFrame | None = None) -> pd.DataFrame:
        from reaugkd.error_analysis import RowFilter

        try:
            return RowFilter(**seen.chosen).of(self._table(seen, self._answers(seen)) if table is None else table)
        except ReAugKDError as error:  # a filter by a column of the model that was chosen before
            raise gr.Error(str(error)) from error

    def _draw(self, *inputs: Any) -> dict[Any, Any]:
        return self._drawn(Seen(*inputs))

    def _drawn(self, seen: Seen) -> dict[Any, Any]:
        """Return all figures, and the rows."""
        from reaugkd.error_analysis import calibration, confusion, disagreements, summary

        settings, answers = self.menu.get(seen.name).parts.settings, self._answers(seen)
        table, figures = self._table(seen, answers), summary(answers, settings.metric)
        reliabilities = "".join(
            reliability_bars(calibration(table, voice), voice, figures["calibration_error"][voice])
            for voice in ("student", "answer", "teacher")
            if voice in table.columns
        )
        values = self._values(seen, table)
        if seen.value not in values:  # no row says so any more: the list goes with the box
            seen = replace(seen, value=ANY)
        return {
            self.summary: summary_html(
                figures,
                settings.metric,
                dict(Counter(table["flip"])),
                rows_in_words(seen.rows),
            ),
            self.reliability: f'<div class="reliabilities">{reliabilities}</div>',
            self.confusion: confusion_table(confusion(table, settings.label_names)),
            self.disagreements: disagreement_table(disagreements(table)),
            self.value: gr.Dropdown(values, value=seen.value),
            **self._listed(seen, table),
        }

    def _values(self, seen: Seen, table: pd.DataFrame) -> list[str]:
        """Return the values of the chosen column to choose from; what voices say goes with the sliders."""
        return [ANY] if seen.column == ANY else [ANY, *sorted(table[seen.column].astype(str).unique())]

    def _listed(self, seen: Seen, table: pd.DataFrame | None = None) -> dict[Any, Any]:
        rows = self._filtered(seen, table)
        shown = numbered(rows.drop(columns=UNLISTED, errors="ignore"), "row")
        return {
            self.chosen: listed_html(chosen_in_words(seen.chosen), len(rows)),
            self.rows: row_table(shown),
            self.opened: "",
            self.code: errors_code(self.menu.shown_folder(seen.name), seen.split, **seen.moved, chosen=seen.chosen),
            self.shown: seen,
        }

    def _list_chosen(self, shown: Seen | None, effect: str, value: str, confidence: str) -> dict[Any, Any]:
        """List what was chosen, of the rows that are shown: what is typed meanwhile stays."""
        if shown is None or (shown.effect, shown.value, shown.confidence) == (effect, value, confidence):
            return gr.skip()  # the menus also tell of being left
        return self._listed(replace(shown, effect=effect, value=value, confidence=confidence))

    def _list_typed(self, shown: Seen | None, text: str) -> dict[Any, Any]:
        """List what was typed, of the rows that are shown; the page listed what it put there itself."""
        if shown is None or shown.text == text:
            return gr.skip()
        return self._listed(replace(shown, text=text))

    def _save(self, path: Path, *inputs: Any) -> None:
        self._filtered(Seen(*inputs)).to_csv(path, index=False)

    def _pick(self, event: gr.EventData, *inputs: Any) -> dict[Any, Any]:
        """List the rows behind a figure; where rows are selected, it is one of these."""
        seen = Seen(*inputs)
        seen = replace(seen, picked=within_selection(json.loads(event.pick), seen.picked))
        return {self.picked: seen.picked, **self._listed(seen)}

    def _choose_column(self, shown: Seen | None, *inputs: Any) -> dict[Any, Any]:
        seen = replace(Seen(*inputs), value=ANY)
        if shown is not None and shown.column == seen.column:
            return gr.skip()  # the menu also tells of being left, and the value that was chosen stays
        table = self._table(seen, self._answers(seen))
        return {self.value: gr.Dropdown(self._values(seen, table), value=ANY), **self._listed(seen, table)}

    def _show_on_maps(self, *inputs: Any) -> dict[Any, Any]:
        seen = Seen(*inputs)
        return self.maps.show_rows(seen.name, seen.split, self._filtered(seen))

    def _draw_selected(self, drawn_for: str | None, selected: list[int], *inputs: Any) -> dict[Any, Any]:
        """Draw and list the test rows among the points that are selected on the maps; without any, all."""
        seen = Seen(*inputs)
        return self._drawn_again(seen, self.pick.by_hand(drawn_for, seen.name, seen.picked, selected))

    def _draw_linked(
        self, drawn_for: str | None, linked: PageState, selected: list[int], *inputs: Any
    ) -> dict[Any, Any]:
        """Draw and list the rows that a link selects."""
        seen = Seen(*inputs)
        return self._drawn_again(seen, self.pick.by_link(drawn_for, seen.name, seen.picked, linked, selected))

    def _drawn_again(self, seen: Seen, picked: dict[str, Any] | None) -> dict[Any, Any]:
        if picked is None:
            return gr.skip()
        return {self.picked: picked, **self._drawn(replace(seen, picked=picked))}

    def _clear(self, *inputs: Any) -> dict[Any, Any]:
        blank = {self.picked: {}, self.effect: ANY, self.column: ANY, self.confidence: ANY, self.text: ""}
        return {**blank, **self._drawn(Seen(*inputs[:7]))}

    def _open(self, event: gr.SelectData, *inputs: Any) -> str:
        """Show the neighbours that made one row's answer."""
        from reaugkd.explanation import explain

        seen = Seen(*inputs)
        model = self.menu.get(seen.name)
        encoded = encoded_rows(model, seen.split).part([int(event.row_value[0])])
        explanation = explain(model.answer(encoded, self._pool(seen)))
        gold = encoded.table["label"].iloc[0]
        said = f"gold {gold}, student {explanation.student_label}, answer {explanation.label}"
        return f'<p class="asked"><b>{escaped_text(said)}</b></p>' + neighbour_table(explanation)


def _one_of(choices: list[str], asked: str) -> str:
    """Return what a link asks for if it can be chosen, or else the first choice."""
    return asked if asked in choices else choices[0]
