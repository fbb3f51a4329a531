"""The page of errors: how good all answers are, where they go wrong, and the rows behind every figure."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from code_box import place_code
from maps_panel import MapsPanel
from models import LATEST, ModelMenu, evaluation_set
from query_view import leave_gate, settings_of

from reaugkd.error_tables import confusion_table, disagreement_table, reliability_bars
from reaugkd.errors import ReAugKDError
from reaugkd.links import PageState
from reaugkd.neighbour_table import escaped_text, neighbour_table
from reaugkd.retrieval import RetrievalSettings
from reaugkd.snippets import errors_code

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.evaluation_set import Answered

SPLITS = ["test", "validation"]
ANY = "any"
MAX_ROWS = 500
CONFIDENCES = {
    ANY: None,
    "up to 0.5": (0.0, 0.5),
    "0.5 to 0.7": (0.5, 0.7),
    "0.7 to 0.9": (0.7, 0.9),
    "above 0.9": (0.9, 1.0),
}
WIDTHS = {"row": 60, "text": 420, "text_pair": 320}
UNLISTED = ("id", "split", "student_probability", "teacher_probability", "weight")  # the CSV has them
# What a button of a table means stands in its data-pick; one listener serves all tables that come later.
PICK = """element.addEventListener('click', event => {
  const button = event.target.closest('[data-pick]');
  if (button) trigger('select', {pick: button.dataset.pick});
});"""


def summary_html(figures: dict[str, Any], metric: str, changed: int) -> str:
    """Say in a few words how good the answers are.

    Parameters
    ----------
    figures : dict
        As :func:`reaugkd.error_analysis.summary` gives it.
    metric : str
        The task's metric.
    changed : int
        Rows that are answered otherwise than by what was chosen in training.

    Returns
    -------
    str
        HTML.
    """
    score, effects = figures["score"], figures["effects"]
    teacher = f", teacher <b>{100 * score['teacher']:.1f}</b>" if "teacher" in score else ""
    return (
        f"<p>{metric.replace('_', ' ').capitalize()}, percent of {figures['rows']:,} rows: student "
        f"<b>{100 * score['student']:.1f}</b>, with the memory <b>{100 * score['answer']:.1f}</b>{teacher}. Retrieval "
        f"fixed <b>{effects['fixed']}</b> answers and broke <b>{effects['broken']}</b>; {effects['changed']} went from "
        f"wrong to wrong. These sliders change {changed:,} answers of those chosen in training.</p>"
    )


def chosen_html(chosen: dict[str, Any], rows: int, shown: int) -> str:
    """Say which rows are listed."""
    parts = [f"{name} = {value}" for name, value in chosen.get("equal", {}).items()]
    parts += [f"{name} {low:.1f} to {high:.1f}" for name, (low, high) in chosen.get("between", {}).items()]
    parts += [f"“{chosen['text']}” in the text"] if chosen.get("text") else []
    parts += ["selected on the maps"] if chosen.get("rows") is not None else []
    return listed_html(", ".join(parts) or "all rows", rows, shown)


def listed_html(which: str, rows: int, shown: int) -> str:
    """Say in words which rows are listed, and how many."""
    more = f"; the first {shown} are listed, the file holds all" if shown < rows else ""
    return f"<p><b>{rows:,}</b> rows: {escaped_text(which)}{more}</p>"


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
        self.picked = gr.State({})
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self.split = gr.Radio(SPLITS, value="test", label="Rows", elem_id="errors-split")
                self.k = gr.Slider(1, 64, 16, step=1, label="k: how many neighbours", elem_id="errors-k", buttons=[])
                self.weight = gr.Slider(
                    0, 1, 0.5, step=0.01, label="λ: weight of the memory", elem_id="errors-weight", buttons=[]
                )
                self.by_gate = gr.Checkbox(True, label="The gate sets λ for each text", elem_id="errors-by-gate")
                self.temperature = gr.Slider(
                    0.01, 0.5, 0.1, step=0.01, label="τ: smaller trusts the nearest more", buttons=[]
                )
            with gr.Column(scale=7, min_width=320):
                self.summary = gr.HTML("<p>Opens with the model.</p>", elem_id="errors-summary")
                self.reliability = gr.HTML(elem_id="reliability", js_on_load=PICK, apply_default_css=False)
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                gr.Markdown("## Which classes are taken for which: a cell lists its rows")
                self.confusion = gr.HTML(elem_id="confusion", js_on_load=PICK, apply_default_css=False)
            with gr.Column(scale=1, min_width=320):
                gr.Markdown("## Where gold label, teacher, student and memory disagree")
                self.disagreements = gr.HTML(elem_id="disagreements", js_on_load=PICK, apply_default_css=False)
        gr.Markdown("## The rows")
        with gr.Row():
            self.effect = gr.Dropdown(
                [ANY, "fixed", "broken", "changed", "none"], value=ANY, label="Effect of retrieval", elem_id="effect"
            )
            self.column = gr.Dropdown([ANY], value=ANY, label="Column", elem_id="errors-column")
            self.value = gr.Dropdown([ANY], value=ANY, label="Its value", elem_id="errors-value")
            self.confidence = gr.Dropdown(
                list(CONFIDENCES), value=ANY, label="Confidence of the answer", elem_id="errors-confidence"
            )
            self.text = gr.Textbox(label="Text holds", elem_id="errors-text", max_lines=1)
        with gr.Row():
            self.chosen = gr.HTML(elem_id="chosen")
            self.on_maps = gr.Button("Select on the maps", size="sm", elem_id="errors-on-maps", scale=0, min_width=160)
            self.clear = gr.Button("List all rows", size="sm", elem_id="clear-filter", scale=0, min_width=140)
            self.save = gr.Button("Save as CSV", size="sm", elem_id="save-csv", scale=0, min_width=140)
            self.file = gr.DownloadButton(visible="hidden", elem_id="csv-file")
        self.rows = gr.Dataframe(interactive=False, wrap=True, max_height=420, elem_id="errors-rows")
        self.opened = gr.HTML(elem_id="opened-row", apply_default_css=False)
        self.code = place_code("errors-code")
        self._wire()

    def _wire(self) -> None:
        settings = [self.name, self.split, self.k, self.weight, self.temperature, self.by_gate]
        filters = [self.picked, self.effect, self.column, self.value, self.confidence, self.text]
        listed = [self.chosen, self.rows, self.code]
        whole = [self.summary, self.reliability, self.confusion, self.disagreements, *listed]
        self.settings = settings[2:]
        self.fill_inputs: list[Any] = [self.linked]
        self.filled = [
            self.split,
            self.value,
            self.picked,
            self.effect,
            self.confidence,
            self.text,
            self.k,
            self.weight,
            self.temperature,
            self.by_gate,
            self.column,
            *whole,
        ]
        moved = [self.split.input, self.k.input, self.temperature.input, self.by_gate.input]
        gr.on(moved, self._draw, [*settings, *filters], whole, **LATEST)
        leave_gate(self.weight, self.by_gate)
        self.weight.input(self._weigh, [*settings[:-1], *filters], whole, **LATEST)
        for table in (self.confusion, self.disagreements, self.reliability):
            table.select(self._pick, [*settings, *filters], [self.picked, *listed], **LATEST)
        self.column.input(self._values, [self.column, *settings], self.value, **LATEST)
        narrowed = [self.effect.input, self.value.input, self.confidence.input, self.text.change]
        gr.on(narrowed, self._list, [*settings, *filters], listed, **LATEST)
        self.clear.click(self._clear, settings, [*filters, *listed], **LATEST)
        self.on_maps.click(self._show_on_maps, [*settings, *filters], [self.maps.map, *self.maps.listed], **LATEST)
        self.maps.map.select(self._list_selected, [*settings, *filters], [self.picked, *listed], **LATEST)
        saved = self.save.click(self._saved, [*settings, *filters], self.file, **LATEST)
        saved.then(None, js="() => document.querySelector('#csv-file').click()", api_visibility="private")
        self.rows.select(self._open, settings, self.opened, **LATEST)

    def fill(self, name: str, linked: PageState) -> dict[Any, Any]:
        """Set the page to what its link asks for, or else to what was chosen in training, and draw it.

        Parameters
        ----------
        name : str
            The model's.
        linked : PageState
            What the page's link asks for.

        Returns
        -------
        dict
            Values by component, of those in ``filled``.
        """
        model = self.menu.get(name)
        if model.parts.evaluation_rows is None:
            return {self.summary: "<p>This model carries no evaluation rows: there is nothing to analyse.</p>"}
        chosen = model.retrieval
        if linked.view == "errors" and linked.model in ("", name):
            chosen = chosen.overridden(linked.k, linked.retrieval_weight, linked.temperature)
        own = ("id", "split", "text", "text_pair", "teacher_soft_labels")
        columns = [ANY, *(str(name) for name in model.parts.evaluation_rows.columns if name not in own)]
        values = {
            self.k: gr.Slider(maximum=min(max(64, chosen.k), len(model.memory)), value=chosen.k),
            self.weight: chosen.retrieval_weight,
            self.temperature: gr.Slider(maximum=max(0.5, chosen.temperature), value=chosen.temperature),
            self.split: "test",
            self.picked: {},
            self.effect: ANY,
            self.value: gr.Dropdown([ANY], value=ANY),
            self.confidence: ANY,
            self.text: "",
            self.by_gate: gr.Checkbox(chosen.gate is not None, visible=model.retrieval.gate is not None),
            self.column: gr.Dropdown([*columns, "teacher", "student", "retrieved", "answer"], value=ANY),
        }
        by_gate = chosen.gate is not None
        return values | self._draw(name, "test", chosen.k, chosen.retrieval_weight, chosen.temperature, by_gate)

    def _answered(
        self, name: str, split: str, k: float, weight: float, temperature: float, by_gate: bool
    ) -> "Answered":
        model = self.menu.get(name)
        if model.parts.evaluation_rows is None:
            raise gr.Error("There are no rows to analyse yet.")
        retrieval = settings_of(model, k, weight, temperature, by_gate)
        return evaluation_set(model, split).answered(model.memory, retrieval)

    def _draw(
        self, name: str, split: str, k: float, weight: float, temperature: float, by_gate: bool, *filters: Any
    ) -> dict[Any, Any]:
        from reaugkd.error_analysis import calibration, confusion, disagreements, summary
        from reaugkd.evaluation_set import compared

        model = self.menu.get(name)
        answered = self._answered(name, split, k, weight, temperature, by_gate)
        table, metric = answered.table(), model.parts.settings.metric
        figures = summary(answered, metric)
        as_chosen = answered.asked.answered(model.memory, model.retrieval)
        voices = [voice for voice in ("student", "answer", "teacher") if voice in table.columns]
        drawn = [
            reliability_bars(calibration(table, voice), voice, figures["calibration_error"][voice]) for voice in voices
        ]
        return {
            self.summary: summary_html(figures, metric, len(compared(as_chosen, answered))),
            self.reliability: f'<div class="reliabilities">{"".join(drawn)}</div>',
            self.confusion: confusion_table(confusion(table, model.parts.settings.label_names)),
            self.disagreements: disagreement_table(disagreements(table)),
            **self._listed(table, name, split, k, weight, temperature, by_gate, *filters),
        }

    def _weigh(
        self, name: str, split: str, k: float, weight: float, temperature: float, *filters: Any
    ) -> dict[Any, Any]:
        """Take λ from the slider: whoever moves it does not mean the gate."""
        return self._draw(name, split, k, weight, temperature, False, *filters)

    def _chosen(
        self,
        picked: dict[str, Any] | None = None,
        effect: str = ANY,
        column: str = ANY,
        value: str = ANY,
        confidence: str = ANY,
        text: str = "",
    ) -> dict[str, Any]:
        """Return what was picked and what the boxes say as the arguments of a row filter."""
        equal, between = dict((picked or {}).get("equal", {})), dict((picked or {}).get("between", {}))
        between |= {"probability": CONFIDENCES[confidence]} if CONFIDENCES[confidence] else {}
        equal |= {"effect": effect} if effect != ANY else {}
        equal |= {column: value} if ANY not in (column, value) else {}
        return {"rows": None, **(picked or {}), "equal": equal, "between": between, "text": text}

    def _filtered(self, table: Any, chosen: dict[str, Any]) -> Any:
        from reaugkd.error_analysis import RowFilter

        try:
            return RowFilter(**chosen).of(table)
        except ReAugKDError as error:
            raise gr.Error(str(error)) from error

    def _listed(
        self,
        table: Any,
        name: str,
        split: str,
        k: float,
        weight: float,
        temperature: float,
        by_gate: bool,
        *filters: Any,
    ) -> dict[Any, Any]:
        chosen = self._chosen(*filters)
        retrieval = settings_of(self.menu.get(name), k, weight, temperature, by_gate)
        rows = self._filtered(table, chosen)
        shown = rows.head(MAX_ROWS).reset_index(names="row").round(2)
        shown = shown.drop(columns=[name for name in UNLISTED if name in shown.columns])
        return {
            self.chosen: chosen_html(chosen, len(rows), len(shown)),
            self.rows: gr.Dataframe(shown, column_widths=[WIDTHS.get(column, 110) for column in shown.columns]),
            self.code: errors_code(self.menu.shown_folder(name), split, retrieval, chosen),
        }

    def _saved(
        self, name: str, split: str, k: float, weight: float, temperature: float, by_gate: bool, *filters: Any
    ) -> str:
        """Write the listed rows to a file, which the page then downloads."""
        table = self._answered(name, split, k, weight, temperature, by_gate).table()
        path = Path(tempfile.mkdtemp(prefix="reaugkd-")) / "rows.csv"
        self._filtered(table, self._chosen(*filters)).to_csv(path, index=False)
        return str(path)

    def _list(
        self, name: str, split: str, k: float, weight: float, temperature: float, by_gate: bool, *filters: Any
    ) -> dict[Any, Any]:
        settings = (name, split, k, weight, temperature, by_gate)
        return self._listed(self._answered(*settings).table(), *settings, *filters)

    def _pick(
        self,
        event: gr.EventData,
        name: str,
        split: str,
        k: float,
        weight: float,
        temperature: float,
        by_gate: bool,
        _: Any,
        *filters: Any,
    ) -> dict[Any, Any]:
        picked = json.loads(event.pick)
        return {self.picked: picked} | self._list(name, split, k, weight, temperature, by_gate, picked, *filters)

    def _show_on_maps(self, name: str, *settings_and_filters: Any) -> dict[Any, Any]:
        """Select the listed rows on the maps, which show the test rows after the memories."""
        rows = self._filtered(
            self._answered(name, *settings_and_filters[:5]).table(), self._chosen(*settings_and_filters[5:])
        )
        if settings_and_filters[0] != "test":
            raise gr.Error("The maps show the test rows; choose test above.")
        return self.maps.show_points(name, self.maps.points_of_test_rows(name, rows.index.tolist()))

    def _list_selected(self, event: gr.EventData, name: str, split: str, *settings_and_filters: Any) -> dict[Any, Any]:
        """List the test rows among the points that were selected on the maps."""
        rows = self.maps.test_rows_of_points(name, [int(point) for point in event.points])
        picked = {"rows": rows} if event.points and split == "test" else {}
        settings, filters = settings_and_filters[:4], settings_and_filters[5:]
        return {self.picked: picked} | self._list(name, split, *settings, picked, *filters)

    def _values(self, column: str, *settings: Any) -> Any:
        if column == ANY:
            return gr.Dropdown([ANY], value=ANY)
        values = sorted(self._answered(*settings).table()[column].astype(str).unique())
        return gr.Dropdown([ANY, *values], value=ANY)

    def _clear(self, *settings: Any) -> dict[Any, Any]:
        blank = {self.picked: {}, self.effect: ANY, self.column: ANY, self.value: ANY, self.text: ""}
        blank |= {self.confidence: ANY}
        return blank | self._list(*settings)

    def _open(self, event: gr.SelectData, *settings: Any) -> str:
        """Show the neighbours that made one row's answer."""
        from reaugkd.evaluation_set import explain_row

        model, answered = self.menu.get(settings[0]), self._answered(*settings)
        row, asked = int(event.row_value[0]), answered.asked
        retrieval = RetrievalSettings(
            int(settings[2]), settings[3], settings[4], model.retrieval.gate if settings[5] else None
        )
        explanation = explain_row(model, asked, row, retrieval)
        gold, student = asked.rows["label"][row], answered.predicted["student"][row]
        said = f"gold {gold}, student {asked.label_names[student]}, answer {explanation.label}"
        return f'<p class="asked"><b>{escaped_text(said)}</b></p>' + neighbour_table(explanation)
