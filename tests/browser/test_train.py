"""The page that trains, in a real browser: a file with its columns, losses and spaces, cancel, go on, the new model."""

import re
import shutil
import threading

import pandas as pd
import pytest
from playwright.sync_api import expect
from toy_data import toy_rows

from app.model_job import ModelJob
from app.views import train as train_view
from reaugkd import Recipe
from reaugkd.errors import ReAugKDError
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks.trainer import Progress
from reaugkd.tasks.sources import load_files

ROWS = ".neighbours tbody tr"


@pytest.fixture
def held(monkeypatch):
    """Holds trainings at the end of the student's second epoch until it is set."""
    seen = threading.Event()
    on_progress = ModelJob._on_progress

    def told(job, progress):
        on_progress(job, progress)
        if progress.epochs is not None and len(progress.epochs) > 2:
            assert seen.wait(120)

    monkeypatch.setattr(ModelJob, "_on_progress", told)
    return seen


@pytest.fixture
def asked(monkeypatch, request):
    """Trains nothing, once it is called; returns what is asked for from then on.

    The page shows a training that a test before has started: what this one's says names the test.
    """
    found = []

    def train(rows, recipe, by_shipped_outputs, *_):
        found.append((rows, recipe, by_shipped_outputs))
        raise ReAugKDError(stop.full if len(found) == 1 else stop.still_full)

    def stop():
        monkeypatch.setattr(train_view, "train_as_asked", train)
        return found

    stop.full = f"The disk is full; {request.node.name} needs more."
    stop.still_full = f"The disk is still full; {request.node.name} needs more."
    return stop


@pytest.fixture
def played(monkeypatch, toy_model_folder):
    """Plays a training, which waits in its second stage until it is let go; the next one ends with the toy model."""
    let_go = threading.Event()

    def train(rows, recipe, by_shipped_outputs, folder, on_progress, say):
        on_progress(Progress("Projection head", 1, 1, 0.75, 0))
        on_progress(Progress("Student by ReAugKD", 1, 40, 0.5, 9))
        assert let_go.wait(120)
        on_progress(Progress("Student by ReAugKD", 2, 40, 0.25, 8))
        return ReAugKDClassifier.from_pretrained(shutil.copytree(toy_model_folder, folder))

    monkeypatch.setattr(train_view, "train_as_asked", train)
    yield let_go
    let_go.set()


@pytest.fixture
def rows_file(tmp_path):
    rows = toy_rows(12, seed=4).rename(columns={"text": "review", "label": "kind"})
    rows.to_csv(tmp_path / "reviews.csv", index=False)
    return tmp_path / "reviews.csv"


def wait_until_filled(page):
    expect(page.locator("#train-name input, #train-name textarea")).not_to_have_value("")


def choose_model(page, name):
    page.locator("#model input").click()
    page.get_by_role("option", name=name, exact=True).last.click()


def choose(page, box, value):
    page.locator(f"{box} input").fill(value)
    page.locator(f"{box} input").press("Enter")


@pytest.mark.slow  # two trainings, each in a process that imports torch
def test_a_file_is_trained_on_watched_cancelled_gone_on_with_and_asked(
    open_page, serve_model, toy_model, rows_file, toy_encoder_folder, wide_encoder_folder, held
):
    address = serve_model(toy_model)
    page = open_page(address)
    page.get_by_role("tab", name="Train", exact=True).click()
    expect(page.locator("#train-status")).to_contain_text("Nothing is being trained")
    expect(page.locator("#train-name input, #train-name textarea")).to_have_value("mine")
    page.get_by_label("a file of mine").check()
    page.locator("#train-file input[type=file]").set_input_files(rows_file)
    expect(page.locator("#train-about")).to_contain_text("Rows: 36.")
    expect(page.locator("#train-text-column input")).to_have_value("review")
    expect(page.locator("#train-text_pair-column input")).to_have_value("")
    choose(page, "#train-label-column", "kind")
    expect(page.locator("#train-about")).to_contain_text("Labels: 3. fruit 12, metal 12, weather 12")
    expect(page.locator("#train-preview")).to_contain_text("review")
    further = [*toy_rows(4, seed=8)["text"], pd.read_csv(rows_file)["review"][0]]
    pd.DataFrame({"review": further}).to_csv(rows_file.with_name("further.csv"), index=False)
    page.locator("#train-unlabelled-file input[type=file]").set_input_files(rows_file.with_name("further.csv"))
    expect(page.locator("#train-unlabelled-file")).to_contain_text("further")
    choose(page, "#train-teacher", str(wide_encoder_folder))
    choose(page, "#train-student", str(toy_encoder_folder))
    page.locator("#train-epochs-wanted input").fill("3")
    page.locator("#train-name input, #train-name textarea").fill("reviews")
    page.locator("#train-start").click()
    status = page.locator("#train-status")
    expect(status).to_contain_text("reviews is being trained")
    expect(page.locator("#train-start")).to_be_disabled()
    expect(page.locator("#train-epochs")).to_contain_text("after epoch 2")
    expect(page.locator("#train-loss")).to_contain_text("Projection head")
    other = open_page(address)  # another page goes on asking, and sees the same training
    expect(other.locator(ROWS).first).to_be_visible()
    other.locator("#text textarea").fill("iron and steel")
    expect(other.locator("#answer .asked")).to_have_text("iron and steel")
    other.get_by_role("tab", name="Train", exact=True).click()
    expect(other.locator("#train-status")).to_contain_text("✓ Projection head")
    expect(other.locator("#train-start")).to_be_disabled()  # one training at a time
    page.locator("#train-cancel").click()
    expect(status).to_contain_text("stops at its next report")
    held.set()
    expect(status).to_contain_text("was cancelled")
    page.locator("#train-resume").click()
    expect(status).to_contain_text("reviews is trained")
    expect(status).to_contain_text("✓ Keys of the memory")
    expect(status).to_contain_text("unlabelled texts that are known, or nearly, from another split")
    expect(page.locator("#train-epochs")).to_contain_text("after epoch 3")
    choose_model(page, "reviews")
    page.get_by_role("tab", name="Query").click()
    expect(page.locator("#about")).to_contain_text("Task reviews, 3 classes")
    page.locator("#text textarea").fill("plum and pear")
    expect(page.locator("#answer .asked")).to_have_text("plum and pear")
    page.get_by_role("tab", name="Memory").click()
    expect(page.locator("#memory-chosen")).to_contain_text("rows: ")  # the page is filled
    page.locator('#show input[value="all"]').check()
    expect(page.locator("#memory-chosen")).to_contain_text("rows: all")
    page.locator("#memory-holds input, #memory-holds textarea").fill(further[0])
    expect(page.locator("#memory-chosen b")).to_have_text("1")
    page.locator("#memory-rows").get_by_text(further[0], exact=True).first.click()
    expect(page.locator("#picked-memory")).to_contain_text("Labelled by the teacher")
    page.get_by_role("tab", name="Train", exact=True).click()
    expect(page.locator("#train-preview")).to_contain_text("review")
    page.locator("#train-start").click()
    expect(page.locator("#train-message")).to_contain_text("is there already; choose another name")


def test_a_training_is_watched_cancelled_gone_on_with_and_its_model_is_chosen(open_page, address, played):
    page = open_page(f"{address}?view=train")
    wait_until_filled(page)
    page.locator("#train-name input, #train-name textarea").fill("watched")
    page.locator("#train-start").click()
    status = page.locator("#train-status")
    expect(status).to_contain_text("watched is being trained")
    expect(status).to_contain_text("✓ Projection head")
    expect(page.locator("#train-start")).to_be_disabled()
    expect(page.locator("#train-loss")).to_contain_text("Projection head")
    page.locator("#train-cancel").click()
    expect(status).to_contain_text("stops at its next report")
    played.set()
    expect(status).to_contain_text("was cancelled")
    page.locator("#train-resume").click()
    expect(status).to_contain_text("watched is trained")
    choose_model(page, "watched")
    expect(page).to_have_url(re.compile("model=watched"))


@pytest.mark.slow
def test_a_file_of_pairs_with_its_own_test_rows_is_trained_on_as_the_boxes_say(
    open_page, address, tmp_path, toy_encoder_folder, wide_encoder_folder, asked
):
    rows = toy_rows(16, seed=5)
    others = rows.sample(frac=1, random_state=0).reset_index(drop=True)
    same = ["yes" if one == other else "no" for one, other in zip(rows["label"], others["label"], strict=True)]
    pairs = pd.DataFrame({"first": rows["text"], "second": others["text"], "same": same})
    pairs[:36].to_csv(tmp_path / "pairs.csv", index=False)
    pairs[36:].to_csv(tmp_path / "held.csv", index=False)
    found, page = asked(), open_page(address)
    page.get_by_role("tab", name="Train", exact=True).click()
    page.get_by_label("a file of mine").check()
    page.locator("#train-file input[type=file]").set_input_files(tmp_path / "pairs.csv")
    expect(page.locator("#train-about")).to_contain_text("Rows: 36. Labels: 2.")
    expect(page.locator("#train-preview")).to_contain_text(pairs["second"][0])
    expect(page.locator("#train-text-column input")).to_have_value("first")
    choose(page, "#train-text_pair-column", "second")
    choose(page, "#train-metric", "accuracy_and_f1")
    page.locator("#train-test-file input[type=file]").set_input_files(tmp_path / "held.csv")
    expect(page.locator("#train-test-file")).to_contain_text("held")
    choose(page, "#train-teacher", str(wide_encoder_folder))
    choose(page, "#train-student", str(toy_encoder_folder))
    page.locator("#train-epochs-wanted input").fill("1")
    page.locator("#train-keep input").check()
    page.locator("#train-name input, #train-name textarea").fill("pairs")
    page.locator("#train-start").click()
    expect(page.locator("#train-status")).to_contain_text(asked.full)
    ((rows, recipe, by_shipped_outputs),) = found
    columns = {"text_column": "first", "text_pair_column": "second", "label_column": "same"}
    files = {split: pd.read_csv(rows.pop(split)) for split in ("train", "test")}
    assert rows == {"metric": "accuracy_and_f1", **columns}
    assert [files[split]["second"].tolist() for split in files] == [
        pairs["second"].tolist()[:36],
        pairs["second"].tolist()[36:],
    ]
    assert (recipe.teacher, recipe.student) == (str(wide_encoder_folder), str(toy_encoder_folder))
    assert (recipe.epochs, recipe.keep_teacher, by_shipped_outputs) == (1, True, False)


@pytest.mark.slow
def test_a_data_set_by_name_is_trained_on_by_the_columns_that_one_names(
    open_page, address, tmp_path, toy_encoder_folder, wide_encoder_folder, asked
):
    rows = toy_rows(12, seed=6).rename(columns={"text": "utterance", "label": "intent"})
    (tmp_path / "requests").mkdir()
    rows[::2].to_csv(tmp_path / "requests" / "train.csv", index=False)
    rows[1::2].to_csv(tmp_path / "requests" / "test.csv", index=False)
    page = open_page(address)
    page.get_by_role("tab", name="Train", exact=True).click()
    expect(page.locator("#train-hub")).to_have_count(0)
    page.get_by_label("a data set of the hub").check()
    expect(page.locator("#train-file")).to_have_count(0)
    page.locator("#train-hub input, #train-hub textarea").fill(str(tmp_path / "requests"))
    choose(page, "#train-teacher", str(wide_encoder_folder))
    choose(page, "#train-student", str(toy_encoder_folder))
    page.locator("#train-name input, #train-name textarea").fill("requests")
    page.locator("#train-start").click()
    expect(page.locator("#train-status")).to_contain_text("has no column 'text'; it has 'utterance', 'intent', 'topic'")
    choose(page, "#train-text-column", "utterance")
    choose(page, "#train-label-column", "intent")
    page.locator("#train-layers input[type=number]").fill("1")
    found = asked()
    page.locator("#train-start").click()
    expect(page.locator("#train-status")).to_contain_text(asked.full)
    ((rows, recipe, _),) = found
    assert rows == {"name": str(tmp_path / "requests"), "text_column": "utterance", "label_column": "intent"}
    assert recipe.student_layers == 1


def test_the_shipped_task_is_trained_as_the_page_says(open_page, address, asked):
    found, page = asked(), open_page(address)
    page.get_by_role("tab", name="Train", exact=True).click()
    wait_until_filled(page)
    expect(page.get_by_label("shoptalk, which is shipped")).to_be_checked()
    page.locator("#train-seed input").fill("7")
    page.locator("#train-start").click()
    expect(page.locator("#train-status")).to_contain_text(asked.full)
    expect(page.locator("#train-resume")).to_be_visible()
    page.locator("#train-resume").click()
    expect(page.locator("#train-status")).to_contain_text(asked.still_full)
    expect(page.locator("#train-resume")).to_be_visible()
    assert found == [({"name": "shoptalk"}, Recipe(seed=7), True)] * 2


@pytest.mark.slow
def test_the_form_is_as_it_was_left_when_the_page_is_loaded_again(open_page, address, asked):
    found, page = asked(), open_page(f"{address}?view=train")
    wait_until_filled(page)
    page.get_by_label("a data set of the hub").check()
    page.locator("#train-hub input, #train-hub textarea").fill("owner/reviews")
    choose(page, "#train-teacher", "owner/teacher")
    page.locator("#train-metric input").click()
    page.get_by_role("option", name="macro_f1", exact=True).click()
    expect(page.locator("#train-metric input")).to_have_value("macro_f1")
    page.locator("#train-layers input[type=number]").fill("3")
    page.locator("#train-seed input").fill("7")
    page.locator("#train-keep input").check()
    page.locator("#train-name input, #train-name textarea").fill("reviews")
    page.wait_for_function("(localStorage.getItem('reaugkd-train') ?? '').length > 0")
    page.wait_for_timeout(1_000)  # what is kept is encrypted: nothing says that the last word is among it
    page.reload()
    expect(page.locator("#train-name input, #train-name textarea")).to_have_value("reviews")
    expect(page.get_by_label("a data set of the hub")).to_be_checked()
    expect(page.locator("#train-hub input, #train-hub textarea")).to_have_value("owner/reviews")
    expect(page.locator("#train-metric input")).to_have_value("macro_f1")
    page.locator("#train-start").click()
    expect(page.locator("#train-status")).to_contain_text(asked.full)
    ((rows, recipe, _),) = found
    assert rows == {"name": "owner/reviews", "metric": "macro_f1"}
    assert recipe == Recipe(teacher="owner/teacher", student_layers=3, seed=7, keep_teacher=True)


def test_what_cannot_be_trained_on_is_told_in_a_sentence(open_page, serve_model, toy_model, tmp_path, monkeypatch):
    # In this process: the other one, in which a page trains, imports torch first.
    monkeypatch.setattr(train_view, "train_as_asked", lambda rows, *_: load_files(**rows))
    (tmp_path / "one.csv").write_text("text,label\nonly,one\n")
    (tmp_path / "none.csv").write_text("text,label\n")
    page = open_page(f"{serve_model(toy_model)}?view=train")
    wait_until_filled(page)

    def choose_source(source):
        page.get_by_label(source).check()
        expect(page.locator("#train-text-column")).to_be_visible()  # the source's boxes come with its teachers

    choose_source("a data set of the hub")
    page.locator("#train-start").click()
    expect(page.locator("#train-message")).to_contain_text("name a data set of the hub, or upload a file")
    choose_source("a file of mine")
    expect(page.locator("#train-file")).to_be_visible()
    page.locator("#train-file input[type=file]").set_input_files(tmp_path / "none.csv")
    expect(page.locator("#train-message")).to_contain_text("has no rows")
    page.locator("#train-file").get_by_label("Remove this file").or_(
        page.locator("#train-file [aria-label=Clear]")
    ).first.click()
    expect(page.locator("#train-message")).to_be_hidden()
    page.locator("#train-file input[type=file]").set_input_files(tmp_path / "one.csv")
    expect(page.locator("#train-about")).to_contain_text("Rows: 1. Labels: 1. one 1")
    page.locator("#train-start").click()
    expect(page.locator("#train-status")).to_contain_text("at least two classes")
    expect(page.get_by_text("Traceback")).to_have_count(0)
