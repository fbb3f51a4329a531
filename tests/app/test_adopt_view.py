"""The form that adopts a classifier: what its boxes ask for, and the sentence where something cannot be adopted."""

import gradio as gr
import pytest
from toy_data import toy_rows

from app.menu import ModelMenu
from app.model_job import CANCELLED, ModelJob
from app.parts.map_points import map_points
from app.parts.maps_panel import points_sent
from app.rendering import render
from app.views.adopt import plain_name
from app.views.query import about_html
from app.views.train import TrainView, results_html
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks.encoders import SequenceClassifier


@pytest.fixture
def view(tmp_path):
    with gr.Blocks():
        return TrainView(ModelMenu(ModelJob(str(tmp_path / "runs" / "first"))), gr.Dropdown(), gr.BrowserState({}))


@pytest.fixture
def files(tmp_path):
    """Tables of train and test rows, as a person uploads them."""
    for name, seed, rows in (("train", 0, 30), ("test", 2, 40), ("validation", 3, 20)):
        table = toy_rows(rows, seed=seed).rename(columns={"text": "review", "label": "kind"})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return {name: str(tmp_path / f"{name}.csv") for name in ("train", "test", "validation")}


def asked(files, **others):
    columns = {"text_column": "review", "text_pair_column": None, "label_column": "kind"}
    return {"model_name": "", "validation": None} | files | columns | others


def test_a_classifier_is_adopted_and_stands_in_the_menu_under_its_own_name(view, files, toy_classifier_folder):
    del files["validation"]
    form = view.adopting
    started = form._start(str(toy_classifier_folder), **asked(files))
    assert not started[view.message].visible
    view.job.wait()
    assert view.job.error == ""
    assert view.menu.names() == ["first", "classifier"]
    assert "<b>classifier</b> is adopted. Choose it in the menu" in render("training", job=view.job)
    model = ReAugKDClassifier.from_pretrained(view.menu.root / "classifier")
    assert model.settings.is_adopted
    assert (len(model.memory), len(model.held_out(["validation"])), len(model.held_out(["test"]))) == (90, 60, 60)
    again = form._start(str(toy_classifier_folder), **asked(files))
    view.job.wait()
    assert (again[view.message].visible, view.job.name) == (False, "classifier-2")


def test_validation_rows_of_their_own_choose_and_leave_the_test_rows_whole(view, files, toy_classifier_folder):
    view.adopting._start(str(toy_classifier_folder), **asked(files, model_name="mine"))
    view.job.wait()
    model = ReAugKDClassifier.from_pretrained(view.menu.root / "mine")
    assert (len(model.memory), len(model.held_out(["validation"])), len(model.held_out(["test"]))) == (90, 60, 120)


def test_columns_are_guessed_when_the_train_rows_come_and_emptied_when_they_go(view, files, tmp_path):
    form = view.adopting
    shown = form._read(files["train"])
    text, pair, label = (shown[box] for box in form.columns.values())
    assert (text.value, pair.value, label.value) == ("review", None, "topic")
    assert [choice for choice, _ in text.choices] == ["review", "kind", "topic"]
    assert form._read(None)[form.columns["text_column"]].choices == []
    (tmp_path / "none.csv").write_text("text,label\n")
    told = form._read(str(tmp_path / "none.csv"))[view.message]
    assert "has no rows" in told.value
    assert str(tmp_path) not in told.value


def test_what_is_missing_is_told_before_anything_starts(view, files):
    for boxes, sentence in (
        ({"classifier": " "}, "There is no classifier; write its name"),
        ({"train": None}, "There are no rows that it learnt from"),
        ({"test": None}, "There are no rows that it never saw"),
    ):
        told = view.adopting._start(**asked(files, classifier="owner/name") | boxes)[view.message]
        assert told.visible
        assert sentence in told.value
    assert view.job is None


def test_a_classifier_that_is_none_is_told_with_the_work(view, files, toy_encoder_folder):
    view.adopting._start(str(toy_encoder_folder), **asked(files))
    view.job.wait()
    assert "holds no trained classifier" in render("training", job=view.job)


def test_a_cancelled_adoption_says_that_it_starts_anew_and_does(view, files, toy_classifier_folder, monkeypatch):
    reads = []

    def cancelled(self, texts, *tokens):
        reads.append(len(texts))
        if len(reads) == 2:
            view.job.cancel()
            assert "Nothing is saved: “Start again” will read all rows anew" in render("training", job=view.job)
        return encode(self, texts, *tokens)

    encode = SequenceClassifier.encode
    monkeypatch.setattr(SequenceClassifier, "encode", cancelled)
    view.adopting._start(str(toy_classifier_folder), **asked(files))
    view.job.wait()
    assert view.job.error == CANCELLED
    drawn = view._draw(())
    assert (drawn[view.resume].value, drawn[view.resume].visible) == ("Start again", True)
    assert "Nothing was saved. “Start again” reads all rows anew" in drawn[view.status]
    before = len(reads)
    view._do(ModelJob.start, ())
    view.job.wait()
    assert (view.job.error, reads[before : before + 2]) == ("", reads[:2])


@pytest.mark.parametrize(
    ("classifier", "name"),
    [("owner/my-bert", "my-bert"), ("/a/b c/ünï & co/", "ünï-co"), ("", "adopted"), ("../..", "adopted")],
)
def test_a_model_is_called_as_its_classifier(classifier, name):
    assert plain_name(classifier) == name


def test_the_pages_speak_of_no_teacher_where_none_was(adopted_model, toy_model):
    about = about_html(adopted_model)
    assert "the classifier classifier answers, as the student, with its own memory: its 90 train texts" in about
    assert "Keys and weights were chosen on 24 validation rows" in about
    assert about.count("teacher") == about.count("there is no teacher") == 1
    points = map_points(adopted_model).rows
    assert not {"teacher", "teacher_error", "moved"} & set(points.columns)
    sent, taught = points_sent(adopted_model), points_sent(toy_model)
    assert (sent["one"], taught["one"]) == (True, False)
    assert sent["teacher"] == sent["student"]
    assert "teacher" not in sent["words"]


def test_the_table_compares_with_the_classifier_and_says_what_may_be_chance(adopted_model):
    shown, intervals = results_html(adopted_model), adopted_model.metrics["intervals"]
    assert shown.count("<tr>") == 1 + len(adopted_model.metrics["methods"]) == 6
    assert "ahead of the classifier, points" in shown
    assert "The classifier with its memory" in shown
    assert "chosen on 24 validation rows" in shown
    assert "On the test rows the memory changes the accuracy" in shown
    assert intervals["classifier"]["lead"] == intervals["classifier_calibrated"]["lead"] == [0, 0, 0]
    scores = {method: of["test"] for method, of in adopted_model.metrics["methods"].items()}
    assert intervals["reaugkd"]["lead"][0] == pytest.approx(scores["reaugkd"] - scores["classifier"])
