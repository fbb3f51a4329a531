"""The page of errors, without a browser: every filter reaches every figure, and a threshold is kept."""

import html
import json
import re
from dataclasses import replace

import gradio as gr
import numpy as np
import pandas as pd
import pytest

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.maps_panel import MapsPanel
from app.views.errors import ErrorsView
from app.views.errors_page import ErrorsPage
from reaugkd.analysis.error_analysis import RowFilter, sliceable_table, slices
from reaugkd.measures.metrics import accuracy_interval
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.plots.links import PageState

FIGURES = ("summary", "slices", "reliability", "confusion", "disagreements")


@pytest.fixture(scope="module")
def model(puzzled_model):
    """A model of which the memory breaks some answers."""
    pool = Pool({"aligned": KeySettings(4, 0.05, 1.0), "text": KeySettings(4, 0.05, 0.5)})
    model, held = replace(puzzled_model, pool=pool), puzzled_model.evaluation_rows
    said = model.answer(model.encode_rows(held)).table()
    is_changed = (said["student"] != said["answer"]).to_numpy() & (held.index % 2 == 0)
    return replace(
        model, evaluation_rows=held.assign(label=held["label"].where(~is_changed, said["answer"].to_numpy()))
    )


@pytest.fixture
def view(model, tmp_path):
    job = ModelJob(str(tmp_path / "toy"))
    job.model, menu = model, ModelMenu(job)
    with gr.Blocks():
        name, linked = gr.Dropdown(["toy"]), gr.State(PageState())
        return ErrorsView(MapsPanel(menu, name, linked))


@pytest.fixture
def answers(model):
    return model.answer(model.encode_rows(model.held_out(["test"])))


@pytest.fixture
def table(answers):
    return sliceable_table(answers)


def filled(view, **asked):
    return view.fill("toy", PageState(view="errors", **asked), [])


def pick(view, shown, figure, picked):
    drawn = {**view.figures, "selective": view.threshold.selective}[figure]
    return view._pick(gr.EventData(drawn, {"pick": json.dumps(picked)}), shown)


def counts(drawn):
    """The numbers on the buttons of a figure."""
    found = re.findall(r"<button data-pick[^>]*>(.*?)</button>", drawn)
    return [int(re.findall(r"\d+", re.sub("<[^>]*>", " ", words))[-1]) for words in found]


def score(drawn):
    return re.search(r"percent of (\d+) .* with the memory <b>(.*?)</b> <small>\((.*?) to (.*?)\)", drawn).groups()


@pytest.mark.parametrize(
    "chosen",
    [
        {"effect": "broken"},
        {"column": "topic", "value": "TOPIC"},
        {"confidence": "0.5 to 0.7"},
        {"holds": "iron"},
        {"picked": json.dumps({"link": {"between": {"words": [0, 4.5]}}})},
        {"rows": [0, 2, 5, 7, 20]},
    ],
    ids=["effect", "column", "confidence", "holds", "a link", "maps"],
)
def test_every_filter_reaches_every_figure(view, table, chosen):
    chosen = {name: table["topic"].iloc[0] if value == "TOPIC" else value for name, value in chosen.items()}
    rows = chosen.pop("rows", [])
    points = [len(view.menu.get("toy").memory) + row for row in rows]
    drawn = view.fill("toy", PageState(view="errors", of_view={"wanted": "75 %", **chosen}), points)
    shown = RowFilter(**drawn[view.shown].chosen).of(table)
    right = int((shown["answer"] == shown["label"]).sum())
    assert 0 < len(shown) < len(table)
    assert f"<b>{len(shown)}</b> of 36 rows" in drawn[view.chosen]
    low, high = accuracy_interval(right, len(shown))
    wanted = [str(len(shown)), *(f"{100 * value:.1f}" for value in (right / len(shown), low, high))]
    assert list(score(drawn[view.summary])) == wanted
    assert sum(counts(drawn[view.confusion])) == sum(counts(drawn[view.disagreements])) == len(shown)
    assert set(drawn[view.reliability].split("<figure")[1:]) != set()
    for diagram in drawn[view.reliability].split("<figure")[1:]:
        assert sum(counts(diagram)) == len(shown)
    of_slices = [int(count) for count in re.findall(r'</th><td class="number">(\d+)', drawn[view.slices])]
    assert of_slices == slices(shown)["rows"].tolist()
    assert f"On the {len(shown)} test rows" in drawn[view.threshold.selective]
    assert drawn[view.rows].count("data-row") == len(shown)


def test_a_pick_reaches_all_figures_but_its_own_which_marks_it(view, table):
    before = filled(view)
    cell = {"equal": {"label": "metal", "answer": "metal"}}
    drawn = pick(view, before[view.shown], "confusion", cell)
    metal = (table["label"] == "metal") & (table["answer"] == "metal")
    assert counts(drawn[view.confusion]) == counts(before[view.confusion])
    pressed = re.findall(r'data-pick="([^"]*)" aria-pressed="true"', drawn[view.confusion])
    assert [json.loads(html.unescape(each)) for each in pressed] == [cell]
    assert sum(counts(drawn[view.disagreements])) == int(score(drawn[view.summary])[0]) == metal.sum()
    for figure in ("disagreements", "slices", "reliability", "summary"):
        assert 'aria-pressed="true"' not in drawn[getattr(view, figure)]
    again = pick(view, drawn[view.shown], "confusion", cell)
    assert again[view.shown] == before[view.shown]  # a second click takes it back


def test_picks_of_several_figures_hold_together_and_a_column_is_picked_by_once(view):
    shown = ErrorsPage("toy", [])
    of_topic, low = {"equal": {"topic": "sport"}}, {"between": {"probability": [0.2, 0.3]}}
    shown = shown.picking("slices", of_topic).picking("reliability", low)
    assert shown.chosen["equal"] == {"topic": "sport"}
    assert shown.chosen["between"] == low["between"]
    assert shown.but("slices")["equal"] == {}
    shown = shown.picking("selective", {"between": {"probability": [-2, 0.6]}})
    assert shown.chosen["between"] == {"probability": [-2, 0.6]}
    assert set(shown.picks) == {"slices", "selective"}
    boxed = replace(shown, column="topic", value="food").narrowed()
    assert set(boxed.picks) == {"selective"}
    assert boxed.chosen["equal"] == {"topic": "food"}


def test_show_all_takes_back_every_filter_and_keeps_sliders_and_split(view):
    shown = replace(
        filled(view)[view.shown], holds="iron", effect="none", column="label", value="metal", picks={"slices": {}}
    )
    moved = replace(shown, split="validation", moved={"k": 2, "retrieval_weight": None, "temperature": None})
    drawn = view._show_all(moved)
    assert drawn[view.shown] == ErrorsPage("toy", [], split="validation", moved=moved.moved)
    assert (drawn[view.holds], drawn[view.effect], drawn[view.value].value) == ("", "any", "any")
    assert "24</b> rows: all rows" in drawn[view.chosen]


def test_a_click_on_a_header_sorts_the_rows_and_the_file_and_keeps_the_filters(view, table, tmp_path):
    shown = replace(filled(view)[view.shown], effect="none")
    drawn = view._sort(gr.EventData(None, {"column": "probability"}), shown)
    numbers = [int(number) for number in re.findall(r'data-row="(\d+)"', drawn[view.rows])]
    wanted = table[table["effect"] == "none"].sort_values("probability", ascending=False, kind="stable")
    assert numbers == wanted.index.tolist()
    assert drawn[view.shown] == replace(shown, order=("probability", False))
    view._save(tmp_path / "rows.csv", drawn[view.shown])
    assert pd.read_csv(tmp_path / "rows.csv")["row"].tolist() == numbers


def test_where_no_row_is_left_each_figure_says_so(view):
    drawn = filled(view, of_view={"holds": "no text says this"})
    for figure in FIGURES:
        assert "No row passes these filters" in drawn[getattr(view, figure)]
    assert "<b>0</b> of 36 rows" in drawn[view.chosen]


def test_the_threshold_is_chosen_on_validation_rows_and_measured_on_the_rows_shown(view, answers, model):
    drawn = filled(view, of_view={"wanted": "75 %"})
    threshold = model.with_threshold(0.75).threshold
    sure = answers.scores("probability") >= threshold.least
    words = re.sub("<[^>]*>", "", drawn[view.threshold.selective])
    assert f"is {threshold.least:.3f} or more. This is chosen on the 24 validation rows" in words
    share, right = 100 * sure.mean(), 100 * answers.right[sure].mean()
    assert f"On the 36 test rows: {share:.1f} % are answered ({sure.sum()}), {right:.1f} % of them right" in words
    assert f"{(~sure).sum()} are left to a person" in words
    left = pick(view, drawn[view.shown], "selective", {"between": {"probability": [-2.0, threshold.least]}})
    assert f"<b>{(~sure).sum()}</b> of 36 rows" in left[view.chosen]
    assert f"On the 36 test rows: {share:.1f} %" in re.sub("<[^>]*>", "", left[view.threshold.selective])
    of_validation = filled(view, of_view={"wanted": "75 %", "split": "validation"})
    assert "On the " not in of_validation[view.threshold.selective]  # they chose it: nothing is claimed of them
    assert "ask for less" in filled(view, of_view={"wanted": "99 %"})[view.threshold.selective]


def test_a_threshold_is_saved_in_a_model_of_its_own_unless_sliders_are_moved(view, model):
    shown = filled(view, of_view={"wanted": "75 %"})[view.shown]
    moved = replace(shown, moved={**shown.moved, "k": 3})
    assert "put k, τ and λ back first" in view.threshold._keep(moved, "careful")[view.threshold.kept].value
    kept = view.threshold._keep(shown, "careful")
    assert "Saved as careful" in kept[view.threshold.kept]
    assert "careful" in dict(kept[view.name].choices)
    saved = ReAugKDClassifier.from_pretrained(view.menu.root / "careful")
    assert saved.threshold == model.with_threshold(0.75).threshold
    assert "already; choose another name" in view.threshold._keep(shown, "careful")[view.threshold.kept].value


def test_a_row_opens_its_bars_its_neighbours_and_its_star(view, answers, model):
    shown, number = filled(view)[view.shown], 7
    opened = view._open(gr.EventData(None, {"rows": [number]}), shown)
    text = answers.encoded.texts[number]
    explanation = model.explain(text)
    assert f"{max(explanation.probabilities):.2f}</span>" in opened[view.opened]
    assert all(html.escape(n.text) in opened[view.opened] for key in explanation.keys for n in key.neighbours)
    star = json.loads(opened[view.maps.map])["query"]
    for key in explanation.keys:
        assert star["keys"][key.name]["neighbours"] == [neighbour.number for neighbour in key.neighbours]
        np.testing.assert_allclose(star["keys"][key.name]["places"], model.maps.star(key), atol=1e-4)
    assert view.opened_texts(shown, opened[view.row]) == (text, "")
    assert view._listed(shown)[view.row] is None
