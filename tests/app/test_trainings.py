"""What the page trains: one at a time, under a name that is free, of what was asked for."""

import threading
import time
from dataclasses import replace

import gradio as gr
import pandas as pd
import pytest
import trainings
from model_job import ModelJob
from models import ModelMenu
from toy_data import toy_rows
from train_view import ACCURACY_AND_F1, FILE, HUB, TrainView, file_html, guessed_columns, training_html
from trainings import SHIPPED_TEACHER, TrainingRequest, Trainings

import reaugkd
from reaugkd.errors import ReAugKDError


def menu_of(folder):
    """The menu of a server whose models lie in a folder."""
    return ModelMenu(ModelJob(str(folder / "first")))


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Trainings that wait until they are let go, and the recipes they were asked for."""
    go, asked = threading.Event(), []

    def train(request, folder, on_progress, *, say):
        say("About 30 % of the <i>train</i> texts are cut.")
        asked.append((request, folder))
        assert go.wait(60)
        raise ReAugKDError("The disk is full.")

    monkeypatch.setattr(trainings.TrainingRequest, "train", train)
    desk = Trainings(menu_of(tmp_path))
    desk.start(TrainingRequest("mine", task="shoptalk"))
    yield desk, go, asked
    go.set()
    desk.job.wait()


def test_what_is_told_of_the_texts_stands_with_the_training_and_is_told_once(started):
    desk, go, _ = started
    note = "<p>About 30 % of the &lt;i&gt;train&lt;/i&gt; texts are cut.</p>"
    end = time.monotonic() + 60
    while not desk.notes and time.monotonic() < end:
        time.sleep(0.01)
    assert training_html(desk).count(note) == 1
    go.set()
    desk.job.wait()
    desk.resume()
    desk.job.wait()
    assert len(desk.notes) == 1


def test_a_second_training_waits_for_the_first(started):
    desk, go, asked = started
    with pytest.raises(ReAugKDError, match="The training of 'mine' runs; wait until it is done, or cancel it"):
        desk.start(TrainingRequest("other", task="shoptalk"))
    go.set()
    desk.job.wait()
    assert "The disk is full." in training_html(desk)
    desk.resume()
    desk.job.wait()
    assert [(request.name, folder) for request, folder in asked] == [("mine", str(desk.menu.root / "mine"))] * 2


def test_what_is_finished_of_a_training_is_not_lost_to_one_of_other_settings_and_goes_on(started):
    desk, go, asked = started
    (desk.menu.root / "mine.partial").mkdir()
    go.set()
    desk.job.wait()
    stopped = desk.job
    with pytest.raises(ReAugKDError, match="The training of 'mine' is unfinished and has other settings"):
        desk.start(TrainingRequest("mine", task="shoptalk", seed=7))
    assert desk.job is stopped  # so that the page still offers to go on with it
    desk.start(TrainingRequest("mine", task="shoptalk", keep_teacher=True, encoder_key="any/encoder"))
    desk.job.wait()
    desk.resume()
    desk.job.wait()
    assert [request.seed for request, _ in asked] == [0, 0, 0]


def test_what_an_earlier_server_left_is_compared_by_the_training_itself(
    tmp_path, toy_encoder_folder, wide_encoder_folder
):
    rows = toy_rows(12, seed=4)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    request = TrainingRequest(
        "mine",
        train_file=str(tmp_path / "rows.csv"),
        teacher=str(wide_encoder_folder),
        student=str(toy_encoder_folder),
        epochs=1,
    )

    def stop(progress):
        if progress.stage == "Student alone":
            raise ReAugKDError("Stopped.")

    with pytest.raises(ReAugKDError, match="Stopped"):
        request.train(str(tmp_path / "mine"), stop)
    desk = Trainings(menu_of(tmp_path))
    desk.start(replace(request, seed=7))
    desk.job.wait()
    assert "keeps what is finished of a training with other settings" in desk.job.error
    assert (tmp_path / "mine.partial" / "teaching" / "teacher_outputs.parquet").is_file()
    desk.start(request)
    desk.job.wait()
    assert desk.job.model is not None
    assert "Teacher" not in desk.job.finished


def test_a_name_of_an_unfinished_training_is_not_proposed(view, tmp_path):
    for taken in ("mine", "mine-2.partial"):
        (tmp_path / "runs" / taken).mkdir(parents=True)
    assert view.fill("first", "", False)[view.model_name] == "mine-3"


@pytest.mark.parametrize("name", ["", " ", "..", "../up", "-dash", ".hidden", "a/b"])
def test_what_is_no_name_of_a_folder_is_refused(tmp_path, name):
    with pytest.raises(ReAugKDError, match="is no name for a model; write a plain word"):
        Trainings(menu_of(tmp_path)).start(TrainingRequest(name))


def test_a_name_that_is_taken_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ReAugKDError, match="'mine' is there already; choose another name"):
        Trainings(menu_of(tmp_path)).start(TrainingRequest("mine"))


def test_the_shipped_outputs_teach_shoptalk_alone(tmp_path):
    request = TrainingRequest("mine", task="glue/rte", teacher=SHIPPED_TEACHER)
    with pytest.raises(ReAugKDError, match="The shipped outputs are of shoptalk alone"):
        request.train(str(tmp_path / "mine"), lambda _: None)


def test_nothing_to_train_on_is_told(tmp_path):
    request = TrainingRequest("mine", teacher="any")
    with pytest.raises(ReAugKDError, match="name a data set of the hub, or upload a file"):
        request.train(str(tmp_path / "mine"), lambda _: None)


def test_texts_without_labels_are_read_by_the_names_of_the_train_rows_columns_and_what_is_left_out_is_told(tmp_path):
    toy_rows(12, seed=4).rename(columns={"text": "review", "label": "kind"}).to_csv(tmp_path / "rows.csv", index=False)
    pd.DataFrame({"review": ["gadgets hum", "gadgets hum"]}).to_csv(tmp_path / "more.csv", index=False)
    files = {"train_file": str(tmp_path / "rows.csv"), "unlabelled_file": str(tmp_path / "more.csv")}
    told = []
    task = TrainingRequest("mine", text_column="review", label_column="kind", **files).load(told.append)
    assert task.texts("unlabelled") == ["gadgets hum"]
    assert told == ["Left out 1 unlabelled texts that are known, or nearly, from another split."]


@pytest.mark.parametrize(("asked", "wanted"), [("", None), ("any/encoder", "any/encoder")])
def test_the_memory_is_searched_by_an_untuned_encoder_where_one_is_named(tmp_path, monkeypatch, asked, wanted):
    recipes = []
    monkeypatch.setattr(reaugkd, "train", lambda task, recipe, *_, **__: recipes.append(recipe), raising=False)
    toy_rows(12, seed=4).to_csv(tmp_path / "rows.csv", index=False)
    request = TrainingRequest("mine", train_file=str(tmp_path / "rows.csv"), teacher="any", encoder_key=asked)
    request.train(str(tmp_path / "mine"), lambda _: None)
    assert [recipe.encoder_key for recipe in recipes] == [wanted]


def test_an_emptied_box_of_the_teacher_is_told(tmp_path):
    with pytest.raises(ReAugKDError, match="No teacher is named; choose one"):
        TrainingRequest("mine", task="shoptalk", teacher=" ").train(str(tmp_path / "mine"), lambda _: None)


@pytest.fixture
def view(tmp_path):
    with gr.Blocks():
        return TrainView(ModelMenu(ModelJob(str(tmp_path / "runs" / "first"))), gr.Dropdown())


def test_a_file_that_cannot_be_read_takes_the_columns_of_the_one_before_away_and_no_file_its_sentence(view, tmp_path):
    (tmp_path / "broken.parquet").write_text("none")
    broken = view._preview(str(tmp_path / "broken.parquet"), "accuracy")
    assert broken[view.message].visible
    for box in (view.text_column, view.pair_column, view.label_column):
        assert (broken[box].choices, broken[box].value) == ([], None)
    assert view._describe(FILE, str(tmp_path / "broken.parquet"), "label", "accuracy")[view.message].visible
    for cleared in (view._preview(None, "accuracy"), view._choose_source(HUB, str(tmp_path / "broken.parquet"))):
        assert not cleared[view.message].visible


def test_a_column_without_any_label_is_described_whatever_the_metric(view, tmp_path):
    pd.DataFrame({"text": ["a", "b"], "label": [None, None]}).to_parquet(tmp_path / "rows.parquet")
    found = view._preview(str(tmp_path / "rows.parquet"), ACCURACY_AND_F1)
    assert found[view.about].value == "<p><b>2 rows</b>, <b>0 labels</b>.</p>"
    assert not found[view.positive].visible


def test_only_a_teacher_that_is_trained_can_be_kept(view):
    assert not view.keep_teacher.interactive
    assert view._choose_teacher("any/encoder")[view.keep_teacher].interactive
    shipped = view._choose_teacher(SHIPPED_TEACHER)[view.keep_teacher]
    assert (shipped.interactive, shipped.value) == (False, False)


@pytest.mark.parametrize(
    ("typed", "wanted"), [("mine-2", "mine-3"), ("another", None)], ids=["left as it was", "typed meanwhile"]
)
def test_when_a_model_is_trained_the_next_free_name_is_proposed_unless_one_typed_another(view, typed, wanted):
    for taken in ("mine", "mine-2"):
        (view.menu.root / taken).mkdir(parents=True)
    view.trainings.request = TrainingRequest("mine-2")
    view.trainings.job = ModelJob(str(view.menu.root / "mine-2"))
    view.trainings.job.model = "a model"
    found = view._draw((3, 0, False), typed, True)
    assert found.get(view.model_name) == wanted
    assert found[view.preview].visible
    assert view.preview not in view._draw((0, 0, True), typed, True)


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
    assert file_html(rows, "label") == "<p><b>3 rows</b>, <b>2 labels</b>: &lt;b&gt;x&lt;/b&gt; 2, y 1.</p>"
    many = pd.DataFrame({"label": [str(number) for number in range(20)]})
    assert "and 8 more" in file_html(many, "label")
