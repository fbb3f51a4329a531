"""The page that trains: one training at a time, under a name that is free, of what was asked for."""

import threading
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import gradio as gr
import pandas as pd
import pytest
from toy_data import toy_rows

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.column_boxes import guessed_columns
from app.rendering import render
from app.training_process import train_as_asked
from app.views.train import FILE, HUB, SHIPPED, SHIPPED_TEACHER, TrainView, file_html
from reaugkd import Recipe
from reaugkd.errors import ReAugKDError
from reaugkd.networks.trainer import Progress
from reaugkd.recipe import DEFAULT_ENCODER


@pytest.fixture
def view(tmp_path):
    with gr.Blocks():
        return TrainView(ModelMenu(ModelJob(str(tmp_path / "runs" / "first"))), gr.Dropdown(), gr.BrowserState({}))


@pytest.fixture
def asked(view):
    """What the boxes of the page hold when it opens."""
    return {name: box.value for name, box in ({"source": view.source} | view.task | view.recipe).items()}


@pytest.fixture
def started(view):
    """A training that waits until it is let go, and the folders that it was asked for."""
    go, folders = threading.Event(), []

    def train(folder, on_progress, say):
        say("About 30 % of the <i>train</i> texts are cut.")
        folders.append(folder)
        assert go.wait(60)
        raise ReAugKDError("The disk is full.")

    view.train("mine", train)
    yield view, go, folders
    go.set()
    view.job.wait()


def test_what_is_told_of_the_texts_stands_with_the_training_and_is_told_once(started):
    view, go, _ = started
    go.set()
    view.job.wait()
    view._do(ModelJob.start, ())
    view.job.wait()
    assert view.job.notes == ["About 30 % of the <i>train</i> texts are cut."]
    view.job.error = ""
    assert (
        render("training", job=view.job).count("<p>About 30 % of the &lt;i&gt;train&lt;/i&gt; texts are cut.</p>") == 1
    )


def test_a_second_training_waits_for_the_first(started):
    view, go, folders = started
    with pytest.raises(ReAugKDError, match="The training of 'mine' runs; wait until it is done, or cancel it"):
        view.train("other", view.job.train)
    go.set()
    view.job.wait()
    assert "The disk is full." in render("training", job=view.job)
    view._do(ModelJob.start, ())
    view.job.wait()
    assert folders == [str(view.menu.root / "mine")] * 2


@pytest.mark.slow  # three processes import torch and train
def test_what_is_finished_of_a_training_is_not_lost_to_one_of_other_settings_and_goes_on(
    view, tmp_path, toy_encoder_folder, wide_encoder_folder
):
    toy_rows(12, seed=4).to_csv(tmp_path / "rows.csv", index=False)
    rows = {"train": str(tmp_path / "rows.csv")}
    recipe = Recipe(teacher=str(wide_encoder_folder), student=str(toy_encoder_folder), epochs=1)

    def train(recipe, folder, on_progress, say):
        def told(progress):
            on_progress(progress)
            if progress.stage == "Student alone":
                raise ReAugKDError("Stopped.")

        return train_as_asked(rows, recipe, False, folder, told, say)

    for begun, taught in ((recipe, True), (replace(recipe, seed=7), True), (recipe, False)):
        view.train("mine", partial(train, begun))
        view.job.wait()
        assert view.job.error == "Stopped."
        assert ("Teacher" in view.job.finished) == taught


def test_a_name_of_an_unfinished_training_is_not_proposed_and_what_one_wrote_stays(view):
    for taken in ("mine", "mine-2.partial"):
        (view.menu.root / taken).mkdir(parents=True)
    assert view.fill("first", SHIPPED, "", {}, False)[view.model_name] == "mine-3"
    assert view.model_name not in view.fill("first", SHIPPED, "another", {}, False)


def test_a_name_that_is_none_or_taken_is_refused(view):
    (view.menu.root / "mine").mkdir(parents=True)
    for name, sentence in (("a/b", "is no name for a model"), ("mine", "'mine' is there already")):
        with pytest.raises(ReAugKDError, match=sentence):
            view.train(name, None)
    assert view.job is None


def test_the_page_asks_for_the_shipped_task_by_the_shipped_outputs_when_it_opens(view, asked):
    assert view._wanted(**asked) == ({"name": "shoptalk"}, Recipe(), True)
    _, recipe, by_outputs = view._wanted(**asked | {"keep_teacher": True})
    assert (recipe.keep_teacher, by_outputs) == (False, True)  # a teacher of which the outputs are known cannot be kept


@pytest.mark.parametrize("source", [HUB, FILE])
def test_nothing_to_train_on_is_told(view, asked, source):
    with pytest.raises(ReAugKDError, match="name a data set of the hub, or upload a file"):
        view._wanted(**asked | {"source": source})


def test_what_the_boxes_hold_is_asked_for_and_what_is_empty_is_as_usual(view, asked):
    filled = {"source": FILE, "train": "rows.csv", "unlabelled": "more.csv", "text_column": "review"}
    filled |= {"text_pair_column": None, "label_column": "stars", "metric": "macro_f1", "teacher": "any/encoder"}
    filled |= {"student": "", "student_layers": 1, "epochs": 3, "seed": None, "keep_teacher": True}
    rows, recipe, by_outputs = view._wanted(**asked | filled)
    columns = {"text_column": "review", "label_column": "stars"}
    assert rows == {"train": "rows.csv", "unlabelled": "more.csv", "metric": "macro_f1", **columns}
    wanted = Recipe("any/encoder", DEFAULT_ENCODER, 1, epochs=3, keep_teacher=True)
    assert (recipe, by_outputs) == (wanted, False)
    assert view._wanted(**asked | filled | {"source": HUB, "name": " glue/rte "})[0] == {
        "name": "glue/rte",
        "unlabelled": "more.csv",
        "metric": "macro_f1",
        **columns,
    }


def test_a_file_that_cannot_be_read_takes_the_columns_of_the_one_before_away_and_no_file_its_sentence(view, tmp_path):
    (tmp_path / "broken.parquet").write_text("none")
    broken = view._preview(str(tmp_path / "broken.parquet"))
    assert broken[view.message].visible
    for box in view.columns.values():
        assert (broken[box].choices, broken[box].value) == ([], None)
    assert not view._describe(FILE, str(tmp_path / "broken.parquet"), "label").visible
    for cleared in (view._preview(None), view._choose_source(HUB, str(tmp_path / "broken.parquet"))):
        assert not cleared[view.message].visible


def test_a_column_without_any_label_is_described(view, tmp_path):
    pd.DataFrame({"text": ["a", "b"], "label": [None, None]}).to_parquet(tmp_path / "rows.parquet")
    assert view._describe(FILE, str(tmp_path / "rows.parquet"), "label").value == (
        "<p>Rows: <b>2</b>. Labels: <b>0</b>. </p>"
    )


def test_only_what_is_new_is_drawn(started):
    view, *_ = started
    first = view._draw(())
    assert {view.status, view.loss, view.epochs} <= set(first)
    assert view.status not in view._draw(first[view.drawn])
    view.job.cancel()
    stopping = view._draw(first[view.drawn])
    assert view.loss not in stopping
    assert not stopping[view.cancel].interactive


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        (["id", "Text", "Label"], ("Text", "Label")),
        (["sentence", "idx", "category"], ("sentence", "category")),
        (["first", "second", "same"], ("first", "same")),
        (["only"], ("only", "only")),
    ],
)
def test_columns_are_guessed_by_name_and_else_by_place(columns, wanted):
    assert guessed_columns(columns) == wanted


def test_a_file_is_described_with_its_labels_shown_as_text():
    rows = pd.DataFrame({"text": list("abc"), "label": ["<b>x</b>", "y", "<b>x</b>"]})
    assert file_html(rows, "label") == "<p>Rows: <b>3</b>. Labels: <b>2</b>. &lt;b&gt;x&lt;/b&gt; 2, y 1</p>"
    many = pd.DataFrame({"label": [str(number) for number in range(20)]})
    assert "and 8 more" in file_html(many, "label")


def test_the_form_comes_back_as_it_was_left_without_files(view, asked):
    form = {name: asked[name] for name in view.recipe} | {"source": HUB, "hub": "glue/rte", "metric": "macro_f1"}
    form |= {"model_name": "mine-7", "epochs": 3, "teacher": "any/encoder"}
    assert set(form) == set(view.kept)
    filled = view.fill("first", SHIPPED, "", form, False)
    assert view.source not in view.fill("first", SHIPPED, "", form, True)
    assert view.source not in view.fill("first", FILE, "", form, False)
    assert (filled[view.source], filled[view.hub], filled[view.metric]) == (HUB, "glue/rte", "macro_f1")
    assert (filled[view.model_name], filled[view.recipe["epochs"]]) == ("mine-7", 3)
    teacher = filled[view.recipe["teacher"]]
    assert (teacher.value, SHIPPED_TEACHER in dict(teacher.choices)) == ("any/encoder", False)
    assert filled[view.rows].visible
    assert set(filled) <= set(view.filled)
    assert view._restored({"source": "something of an older page"}) == {}


def test_a_training_that_goes_on_keeps_its_curves_and_says_what_is_kept(view):
    reports = iter(
        [
            [Progress("Teacher", 5, 20, 2.0), Progress("Student", epoch=0, score=0.3), Progress("Student", 5, 20, 1.0)],
            [Progress("Student", 3, 20, 1.5), Progress("Student", epoch=1, score=0.6), Progress("Student", 5, 20, 0.5)],
        ]
    )

    def train(folder, on_progress, say):
        for progress in next(reports):
            on_progress(progress)
        raise ReAugKDError("Stopped.")

    view.train("mine", train)
    view.job.wait()
    assert "Kept: Teacher. “Go on” takes up “Student”" in render("training", job=view.job)
    view._do(ModelJob.start, ())
    view.job.wait()
    assert view.job.finished == ["Teacher"]
    assert view.job.losses == {"Teacher": [(5, 2.0)], "Student": [(3, 1.5), (5, 0.5)]}
    assert view.job.scores == {"Student": [(0, 0.3), (1, 0.6)]}


def test_a_finished_training_shows_every_method_and_key_with_its_interval(view, toy_model):
    view.job = SimpleNamespace(**vars(ModelJob("mine")) | {"model": toy_model, "is_running": False})
    html = view._draw(())[view.results].value
    metrics = toy_model.metrics
    for kind in ("methods", "keys"):
        for name, scores in metrics[kind].items():
            low, high = metrics["intervals"][name]["test"]
            figures = f"{100 * scores['test']:.1f} <small>({100 * low:.1f} to {100 * high:.1f})"
            assert figures in html
    assert html.count("<tr>") == 1 + len(metrics["methods"]) + len(metrics["keys"])
    assert "Text key, without a student" in html
