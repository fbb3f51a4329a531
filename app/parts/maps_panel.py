"""The maps under every view: both spaces on one canvas, with one selection that the views share."""

import base64
import json
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import pandas as pd
from numpy.typing import NDArray

import reaugkd as rk
from reaugkd.errors import ReAugKDError
from reaugkd.files import write_csv
from reaugkd.plots.links import PageState
from reaugkd.texts import row_in_one_line, text_of_row, two_parts

from ..computed import answered_rows, cached, encoded_rows, import_analysis
from ..listening import AT_ONCE, EACH, LATEST, Updates, listen
from ..menu import ModelMenu
from ..rendering import fill_file, render
from ..scripts import source, source_with
from .problem import shown_above
from .row_table import place_table, row_table, whose_label
from .save_button import SaveButton

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.model.maps import TrainingEpochs

    from .map_points import MapPoints

SHOWN = [("everything", "all"), ("memories", "memory"), ("test rows", "test")]
NEIGHBOURS = 8
MOST_MOVED = 20
MOST_LINES = 16  # a fan of more would hide the points
ASKED_OF_STUDENT = 4_000  # of more memories the student is not asked what it says: the maps would come too late
CANVAS_PARTS = ["point_grid", "point_density", "place_labels", "map_plane", "map_points", "map_islands", "map_marks"]
CANVAS_PARTS += ["map_replay", "map_pointer"]
LISTED = ["point", "kind", "text", "text_pair", "label", "teacher", "student", "answer", "effect", "moved"]


@cached(2)
def places_of(model: "rk.ReAugKDClassifier") -> "MapPoints":
    """Return the points of a model's maps without what is said of them, once: no network runs over all rows."""
    from .map_points import map_points

    return map_points(model)


@cached(2)
def points_of(model: "rk.ReAugKDClassifier") -> "MapPoints":
    """Return the points of a model's maps, once; the last two stay."""
    from .map_points import map_points

    answered, memories = None, None
    if model.maps is not None:
        if model.evaluation_rows is not None:
            answered = answered_rows(model, "test")
        if len(model.memory) <= ASKED_OF_STUDENT:
            memories = model.student.encode(model.memory.texts)[1]
    return map_points(model, answered, memories)


@cached(2)
def limits_of(model: "rk.ReAugKDClassifier") -> dict[str, float]:
    """Return by key the similarity below which a query is far from all memories; none where no rows tell it."""
    from reaugkd.model.maps import far_below

    with suppress(ReAugKDError):
        return far_below(answered_rows(model, "validation"))
    return {}


def canvas_message(name: str, **news: Any) -> str:
    """Return the value that says to the canvas what is new; the time makes each a new one."""
    return json.dumps({"model": name, **news, "at": time.time_ns()})


def query_message(name: str, model: "rk.ReAugKDClassifier", explanation: "rk.Explanation", key: str = "") -> str:
    """Return the value that shows a query on the maps: its star by each key, with lines to the nearest memories.

    At first the star stands by ``key``, or else by the key that has the largest part in the answer.
    """
    maps = model.maps
    if maps is None:
        return canvas_message(name)
    keys = {
        part.name: {
            "places": maps.star(part).tolist(),
            "neighbours": [neighbour.number for neighbour in part.neighbours[:MOST_LINES]],
            "weights": [neighbour.weight for neighbour in part.neighbours[:MOST_LINES]],
            "similarity": part.neighbours[0].similarity,
        }
        for part in explanation.keys_by_part
    }
    return canvas_message(name, query={"first": key or next(iter(keys)), "keys": keys})


def _sent(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _epochs_sent(epochs: "TrainingEpochs") -> dict[str, Any]:
    return {
        "rows": _sent(epochs.rows.astype(np.int32)),
        "teacher": _sent(epochs.teacher_points.astype(np.float32)),
        "students": [_sent(points.astype(np.float32)) for points in epochs.student_points],
        "words": fill_file("epochs.txt", epochs=epochs),
    }


@cached(2)
def points_sent(model: "rk.ReAugKDClassifier") -> dict[str, Any]:
    """Return what a page is sent of a model's maps, once: positions of all points, base64 of float32, and words."""
    from .map_points import KINDS, map_overlap

    points, one = places_of(model), model.settings.is_adopted
    guessed = points.is_guessed & (not one)
    return {
        "count": len(points.rows),
        "teacher": _sent(points.places[:, 0]),
        "student": _sent(points.places[:, 1]),
        "kinds": _sent((points.rows["kind"] == KINDS[1]).to_numpy(np.uint8)),
        "guessed": _sent(guessed.astype(np.uint8)),
        "epochs": None if model.epochs is None else _epochs_sent(model.epochs),
        "words": fill_file("maps.txt", guessed=guessed.any(), overlap=map_overlap(model), one=one),
        "short": fill_file("small_map.txt"),
        "one": one,
    }


class MapsPanel:
    """Both maps, what is opened on them, and the selection."""

    def __init__(self, menu: ModelMenu, name: gr.Dropdown, linked: gr.State) -> None:
        self.menu, self.name, self.linked = menu, name, linked
        self.selected = gr.State([])
        self.opened = gr.State(None)
        gr.Markdown("## Where texts lie")
        with gr.Row():
            self.colour = gr.Dropdown(["label"], value="label", label="Colour by", elem_id="colour")
            self.shown = gr.Radio(SHOWN, value="all", label="Show", elem_id="map-shown", scale=2)
            self.moved = gr.Button(
                f"Select the {MOST_MOVED} that moved most", size="sm", elem_id="most-moved", scale=0, min_width=240
            )
        self.map = self._canvas("map_canvas.html", "maps")
        self.small = self._canvas("small_map.html", "small-map", small=True, render=False)  # a view renders it
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                self.detail = gr.HTML(render("not_opened"), elem_id="map-opened", apply_default_css=False)
                self.ask = gr.Button("Ask this text", size="sm", visible=False, elem_id="ask-point")
            with gr.Column(scale=1, min_width=320):
                self.count = gr.HTML(render("selected", points=0), elem_id="map-selected")
                self.rows = place_table("map-rows")
                self.save = SaveButton("Save as CSV", "selection.csv", "save-selection", size="sm", visible=False)
        self.listed = [self.selected, self.count, self.rows, self.save.button]
        self.filled = [self.map, self.colour, self.shown, self.opened, self.detail, self.ask, self.moved, *self.listed]
        self._wire()

    def _canvas(self, template: str, elem_id: str, **options: Any) -> gr.HTML:
        """Make a canvas with one map or both."""
        asked = (self.points, self.colours, self.describe, self.find, self.limits)
        return gr.HTML(
            None,
            html_template=source(template),
            js_on_load=source_with("map_canvas.js", *CANVAS_PARTS),
            # Gradio marks what it serves, and a bound method cannot be marked.
            server_functions=[update_wrapper(partial(answer), answer) for answer in asked],
            apply_default_css=False,
            elem_id=elem_id,
            **options,
        )

    def _wire(self) -> None:
        live, points = LATEST | AT_ONCE, EACH | {"concurrency_id": "points"}
        lassoed = listen(self, self.map.select, self._select, self.listed, **points)
        for event in (self.map.open, self.small.open, self.rows.choose):
            listen(self, event, self._open, [self.map, self.small, self.opened, self.detail, self.ask], **points)
        drawn = {"name": self.name, "column": self.colour, "shown": self.shown}
        gr.on([self.colour.input, self.shown.input], canvas_message, None, self.map, inputs_kwargs=drawn, **live)
        moved = listen(self, self.moved.click, self._most_moved, [self.map, *self.listed], **live)
        self.chosen = (lassoed, moved)  # views that list what is selected follow these
        self.save.on_click(self, self._save)

    def fill(self, name: str, linked: PageState, selected: list[int]) -> Updates:
        """Set the panel up for a model, coloured as a link asks; the points come by themselves."""
        import_analysis()
        from .map_points import colour_columns

        linked, columns = linked.of_model(name), ["label"]
        with suppress(ReAugKDError):  # the canvas says it
            columns = colour_columns(points_of(self.menu.get(name)))
        colour = linked.colour if linked.colour in columns else "label"
        shown = linked.shown if linked.shown in dict(SHOWN).values() else "all"
        return {
            self.colour: gr.Dropdown(columns, value=colour),
            self.shown: shown,
            self.opened: None,
            self.detail: render("not_opened"),
            self.ask: gr.Button(visible=False),
            self.moved: gr.Button(visible=not self.menu.get(name).settings.is_adopted),
            **self.show_points(name, selected, column=colour, shown=shown),
        }

    def linked_state(self, state: PageState, selected: list[int], colour: str, shown: str) -> PageState:
        """Return a link's state with what the maps show: the values of its components."""
        column = "" if colour == "label" else colour
        return replace(state, selected=tuple(selected), colour=column, shown="" if shown == "all" else shown)

    def points(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Send all points of a model, or the sentence that says why there are none."""
        import_analysis()
        try:
            return points_sent(self.menu.get(asked["model"]))
        except (ReAugKDError, gr.Error) as error:
            return {"error": str(error)}

    def colours(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Send the colour of each point by a column, base64 of uint8, with the legend."""
        from .map_points import island_names, point_colours

        model, column = self.menu.get(asked["model"]), asked["column"]
        points = places_of(model) if column == "label" else points_of(model)
        colours, (named, names) = point_colours(points, column), island_names(points, column)
        return {"codes": _sent(colours.codes), "legend": colours.legend, "named": _sent(named), "names": names}

    def describe(self, asked: dict[str, Any]) -> dict[str, str]:
        """Send what is shown of the point that one points at."""
        row = places_of(self.menu.get(asked["model"])).rows.iloc[int(asked["point"])]
        return {"text": f"{row_in_one_line(row)[:200]}\n{row['kind']}, {whose_label(row)} {row['label']}"}

    def find(self, asked: dict[str, Any]) -> dict[str, list[int]]:
        """Send the points whose texts hold some words, whatever the case of their letters."""
        rows, words = places_of(self.menu.get(asked["model"])).rows, str(asked["text"]).strip().casefold()
        texts = rows["text"].str.cat(rows["text_pair"], sep=" ") if "text_pair" in rows else rows["text"]
        return {"points": np.flatnonzero([words in text.casefold() for text in texts]).tolist()}

    def limits(self, asked: dict[str, Any]) -> dict[str, float]:
        """Send by key the similarity below which the star is hollow."""
        return limits_of(self.menu.get(asked["model"]))

    def _points(self, name: str) -> "MapPoints":
        """Return the points of a model's maps; the page shows the sentence where there are none."""
        with shown_above():
            return points_of(self.menu.get(name))

    def list_points(self, name: str, selected: list[int]) -> Updates:
        """List the selected points."""
        labels, drawn = {}, ""
        if selected:
            table = self._table(name, selected)
            labels, drawn = table["label"].value_counts().head(6).to_dict(), row_table(table.filter(LISTED))
        return {
            self.selected: selected,
            self.count: render("selected", points=len(selected), labels=labels),
            self.rows: drawn,
            self.save.button: gr.Button(visible=bool(selected)),
        }

    def _table(self, name: str, selected: list[int]) -> pd.DataFrame:
        rows = self._points(name).rows.iloc[selected].rename(columns={"point": "its point"})  # a column of the task
        return rows.reset_index(names="point").dropna(axis=1, how="all")

    def _save(self, path: Path, name: str, selected: list[int]) -> None:
        write_csv(self._table(name, selected), path)

    def show_points(self, name: str, selected: list[int], **news: Any) -> Updates:
        """Select points from another view: on the canvas and in the list."""
        return {self.map: canvas_message(name, selected=selected, **news), **self.list_points(name, selected)}

    def linked_points(self, name: str, linked: PageState) -> list[int]:
        """Return the points that a link selects, of those that a model's maps have."""
        model, count = self.menu.get(name), 0
        if model.maps is not None:
            count = len(model.memory)
            count += 0 if model.evaluation_rows is None else (model.evaluation_rows["split"] == "test").sum()
        return [point for point in linked.of_model(name).selected if point < count]

    def text_of(self, name: str, point: int) -> tuple[str, str]:
        """Return a point's text, and its second text, empty where there is none."""
        return two_parts(text_of_row(self._points(name).rows.iloc[point]))

    def _select(self, event: gr.EventData, name: str) -> Updates:
        if event.model != name:  # the points of another model lie there still
            return gr.skip()
        return self.list_points(name, [int(point) for point in event.points])

    def _most_moved(self, name: str) -> Updates:
        from .map_points import most_moved

        return self.show_points(name, most_moved(self._points(name), MOST_MOVED))

    def _open(self, event: gr.EventData, name: str) -> Updates:
        """Show a point's text, and on both maps the memories that are nearest to it in full space."""
        from .map_points import nearest_memories

        if getattr(event, "model", name) != name:  # the points of another model lie there still
            return gr.skip()
        point = int(event.rows[0])
        model, row = self.menu.get(name), self._points(name).rows.iloc[point]
        memory, number, is_memory = model.memory, int(row["number"]), row["kind"] == "memory"
        embeddings = memory.teacher_embeddings if is_memory else encoded_rows(model, "test").embeddings
        found = nearest_memories(memory, embeddings[number], NEIGHBOURS, number if is_memory else None)
        voices = [voice for voice in ("teacher", "student", "answer") if pd.notna(row.get(voice))]
        near = [(row_in_one_line(memory.rows.iloc[at]), memory.rows["label"].iloc[at], cosine) for at, cosine in found]
        message = canvas_message(name, opened=point, near=[number for number, _ in found])
        return {
            **dict.fromkeys((self.map, self.small), message),
            self.opened: point,
            self.detail: render(
                "point", text=row_in_one_line(row), row=row.to_dict(), whose=whose_label(row), voices=voices, near=near
            ),
            self.ask: gr.Button(visible=True),
        }
