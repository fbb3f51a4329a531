"""Processes are killed while they train, save, edit or condense: the old model is as it was, or the new one is."""

import json
import os
import shutil
import time
import zlib
from dataclasses import replace
from functools import partial

import gradio as gr
import numpy as np
import pytest
from killing import child, kill_at, kill_at_new

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.maps_panel import MapsPanel
from app.parts.pending_edits import with_pending
from app.views.memory import MemoryView
from reaugkd import files, training
from reaugkd.analysis.condensed import condense
from reaugkd.analysis.edits import Edit, read_patch
from reaugkd.method import choice
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.maps import ProjectionMaps
from reaugkd.networks import trainer
from reaugkd.plots.links import PageState
from reaugkd.training import train

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process")
TEXTS = ["an apple and a plum", "old iron", "rain today", "the copper fog"]


def contents(folder):
    """Every file below a folder with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def answers(folder):
    return ReAugKDClassifier.from_pretrained(folder).predict_proba(TEXTS).tolist()


class Place:
    """A folder with a model that lies there, and what another one is like."""

    def __init__(self, root, earlier, write):
        self.root, self.model, self.kept = root / "here", root / "here" / "model", root / "earlier"
        shutil.copytree(earlier, self.kept)
        self.reset()
        start = time.monotonic()
        write(self.model)
        self.seconds = time.monotonic() - start
        self.old, self.new = contents(self.kept), contents(self.model)
        self.answers = {name: answers(folder) for name, folder in (("old", self.kept), ("new", self.model))}
        assert self.old != self.new
        self.reset()

    def reset(self):
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.kept, self.model)

    def check(self):
        """See that the old or the new model is there, whole, and answers as it did; return which."""
        files.restored(self.model)  # as each that loads a model does
        found = {"old": contents(self.model) == self.old, "new": contents(self.model) == self.new}
        assert any(found.values()), "neither the old nor the new model is whole"
        which = "old" if found["old"] else "new"
        assert answers(self.model) == self.answers[which]
        return which


@pytest.fixture(scope="module")
def smaller(toy_model):
    """The toy model with a condensed memory; its 24 validation rows are enough to choose on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "FEWEST_VALIDATION", 24)
        yield condense(toy_model, 0.6, method="used").model


@pytest.fixture
def written(request, toy_model):
    """What is saved: the model with another card, or a condensed one."""
    models = {
        "saving": lambda: replace(toy_model, card="another"),
        "condensing": lambda: request.getfixturevalue("smaller"),
    }
    return models[request.param]()


@pytest.mark.parametrize(
    ("written", "swaps"),
    [("saving", True), ("saving", False), pytest.param("condensing", True, marks=pytest.mark.slow)],
    indirect=["written"],
    ids=["saving", "saving by two renames", "condensing"],
)
def test_a_save_is_killed_at_each_of_its_steps(
    written, swaps, tmp_path, toy_model_folder, monkeypatch, count, short_or_whole, request
):
    if not swaps:
        monkeypatch.setattr(files, "_swapped", lambda *_: False)
    place = Place(tmp_path, toy_model_folder, written.save_pretrained)
    what, found, number = request.node.callspec.params["written"], [], 1

    def work():
        kill_at(place.root, number)
        written.save_pretrained(place.model)

    while child(work):
        found.append(place.check())
        count(f"kills: {what}, at a step")
        if found[-1] == "new":
            place.reset()
        else:
            for left in set(place.root.iterdir()) - {place.model}:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        number += short_or_whole(31, 1)
    assert {*found} == {"old", "new"} or short_or_whole(True, False)
    assert place.check() == "new"
    assert list(place.root.iterdir()) == [place.model]


@pytest.mark.parametrize("what", ["saving", pytest.param("condensing", marks=pytest.mark.slow)])
def test_a_save_is_killed_at_random_moments_and_the_next_one_removes_what_is_left(
    what, toy_model, tmp_path, toy_model_folder, monkeypatch, count, short_or_whole
):
    monkeypatch.setattr(choice, "FEWEST_VALIDATION", 24)
    write = {
        "saving": lambda folder: replace(toy_model, card="another").save_pretrained(folder),
        "condensing": lambda folder: condense(toy_model, 0.6, method="used").model.save_pretrained(folder),
    }[what]
    place, moments, killed = Place(tmp_path, toy_model_folder, write), np.random.default_rng(0), 0
    while killed < short_or_whole(1, 30):
        if child(lambda: write(place.model), moments.uniform(0, place.seconds)):
            killed += 1
            count(f"kills: {what}, at a random moment")
        place.check()
    child(lambda: write(place.model))
    assert place.check() == "new"
    assert list(place.root.iterdir()) == [place.model]


@pytest.fixture
def page(toy_model, toy_model_folder, tmp_path):
    """The form of the page Memory that saves edits, and the folder of its models."""
    shutil.copytree(toy_model_folder, tmp_path / "toy")
    job = ModelJob(str(tmp_path / "toy"))
    job.model = toy_model
    with gr.Blocks():
        name, menu, linked = gr.Dropdown(), ModelMenu(job), gr.State(PageState())
        stores = gr.BrowserState({}), gr.BrowserState({})
        return MemoryView(MapsPanel(menu, name, linked), *stores).new_version, tmp_path


def test_the_page_is_killed_as_it_saves_edits(page, toy_model, count, short_or_whole):
    form, root = page
    patch = tuple(Edit("relabel", name, "metal") for name in toy_model.memory.rows["id"][:5])
    kept, beside, better = contents(root / "toy"), root / "better.patch.jsonl", root / "better"

    def save():
        said = form._save_version("toy", with_pending({}, "toy", patch), {}, False, "better")
        assert "Saved as better" in said[form.saved], said

    def forget():
        for left in set(root.iterdir()) - {root / "toy"}:
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    save()
    new, told = contents(better), answers(better)

    def check(is_said):
        assert contents(root / "toy") == kept
        assert set(ModelMenu(form.menu.job).names()) == {"toy", "better"} or not (is_said or better.exists())
        if is_said or better.exists():
            assert contents(better) == new
            assert answers(better) == told
        if is_said or beside.exists():
            assert read_patch(beside) == patch
            assert better.exists()

    start = time.monotonic()
    forget()
    child(save)
    longest, number, moments = time.monotonic() - start, 1, np.random.default_rng(1)
    check(is_said=True)
    assert set(root.iterdir()) == {root / "toy", better, beside}
    forget()

    def work():
        kill_at(root, number)
        save()

    while child(work):
        check(is_said=False)
        count("kills: editing in the page, at a step")
        forget()
        number += short_or_whole(47, 1)
    check(is_said=True)
    killed = 0
    while killed < short_or_whole(1, 30):
        forget()
        if was_killed := child(save, moments.uniform(0, longest)):
            killed += 1
            count("kills: editing in the page, at a random moment")
        check(is_said=not was_killed)


def quick_maps(teacher, student, held_out, *, seed):
    places = np.stack([space[:, :2] for space in held_out], axis=1)
    return ProjectionMaps(np.stack([teacher[:, :2], student[:, :2]], axis=1), student, places)


def figures(folder):
    """The metrics of a trained model, without what was timed."""
    metrics = json.loads((folder / "metrics.json").read_text())
    return {name: metrics[name] for name in metrics if name != "seconds"}


@pytest.fixture
def training_here(toy_recipe, toy_task, toy_model_folder, tmp_path, monkeypatch, short_or_whole):
    """A training of one or two epochs a stage with a checkpoint after every step, and where an earlier model lies."""
    monkeypatch.setattr(training, "fit_maps", quick_maps)  # UMAP writes nothing, and takes longer than all else
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    epochs = short_or_whole(1, 2)
    batches = {"batch_size": short_or_whole(45, 30)}
    recipe = replace(
        toy_recipe,
        epochs=epochs,
        teacher_epochs=1,
        teacher_training=replace(toy_recipe.teacher_training, **batches),
        student_training=replace(toy_recipe.student_training, **batches),
        projection_training=replace(toy_recipe.projection_training, epochs=1),
        keep_teacher=True,
    )
    work = partial(train, toy_task, recipe, on_progress=trainer.silent)
    return Place(tmp_path, toy_model_folder, work), work


def check_training(place, reference):
    """See that the earlier model, or the one that was trained, is there; return whether it is the new one."""
    assert set(path.name for path in place.root.iterdir() if path.name[0] != ".") <= {"model", "model.partial"}
    if contents(place.model) == place.old:
        return False
    assert figures(place.model) == reference
    assert answers(place.model) == place.answers["new"]
    return True


@pytest.mark.slow  # many trainings
def test_a_training_that_is_killed_at_every_step_and_at_random_moments_ends_as_one_that_nobody_kills(
    training_here, tmp_path, count, short_or_whole
):
    """Each name of a step is killed once, and the training goes on from there: one training, hundreds of kills."""
    place, train_to = training_here
    reference = json.loads(place.new["metrics.json"])
    del reference["seconds"]
    every, killed, moments = short_or_whole(120, 1), 0, np.random.default_rng(2)

    def work():
        kill_at_new(place.root, tmp_path / "seen", lambda step: zlib.crc32(step.encode()) % every == 0)
        train_to(place.model)

    while child(work):
        check_training(place, reference)
        count("kills: training, at a step of a new name")
    assert check_training(place, reference)
    place.reset()
    while killed < short_or_whole(1, 30):
        if child(lambda: train_to(place.model), moments.uniform(0.1, 0.7) * place.seconds):
            killed += 1
            count("kills: training, at a random moment")
            check_training(place, reference)
        else:
            assert check_training(place, reference)
            place.reset()
    child(lambda: train_to(place.model))
    assert check_training(place, reference)
    assert list(place.root.iterdir()) == [place.model]
