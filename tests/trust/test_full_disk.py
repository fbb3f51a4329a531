"""The disk is full: one sentence says so, the model that was there stays, and nothing half-written remains."""

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial

import gradio as gr
import numpy as np
import pytest

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.maps_panel import MapsPanel
from app.parts.pending_edits import with_pending
from app.views.memory import MemoryView
from reaugkd import cli, training
from reaugkd.analysis.edits import Edit, write_patch, write_train_set
from reaugkd.errors import ReAugKDError
from reaugkd.method import choice
from reaugkd.method.memory import Memory
from reaugkd.networks import trainer
from reaugkd.plots.links import PageState
from reaugkd.study import run as study_run

SIZE = 4_000_000  # bytes of the disk
FULL = "The disk is full while writing"
WRITERS = ["save", "edit", "condense", "export", "train", "teach", "train-set", "memory", "patch", "study", "page"]


@pytest.fixture(scope="module")
def disk(tmp_path_factory, toy_model_folder):
    """A small disk of its own, in main memory, on which a model lies."""
    disk = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets no test mount a disk; tests/model/test_folder.py has a fake of a full one")
    shutil.copytree(toy_model_folder, disk / "model")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def contents(folder):
    """Every file below a folder with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def writers(disk, tmp_path, toy_model, toy_model_folder, toy_task, toy_recipe, monkeypatch, capsys):
    """Each way to write to the disk; what it raises, prints or shows is returned."""
    monkeypatch.setattr(choice, "FEWEST_VALIDATION", 24)
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    patch = tuple(Edit("relabel", name, "metal") for name in toy_model.memory.rows["id"][:5])
    write_patch(patch, tmp_path / "patch.jsonl")

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["reaugkd", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        *_, last = capsys.readouterr().err.strip().splitlines()
        return last if end.value.code else ""

    def raised(write, *arguments, **options):
        try:
            write(*arguments, **options)
        except ReAugKDError as error:
            return str(error)
        return ""

    def saved_by_the_page():
        job = ModelJob(str(disk / "model"))
        job.model = toy_model
        with gr.Blocks():
            name, menu, linked = gr.Dropdown(), ModelMenu(job), gr.State(PageState())
            stores = gr.BrowserState({}), gr.BrowserState({})
            form = MemoryView(MapsPanel(menu, name, linked), *stores).new_version
        said = form._save_version("model", with_pending({}, "model", patch), {}, False, "better")[form.saved]
        is_saved = isinstance(said, str)  # what went wrong opens the box
        assert (is_saved and "Saved as better" in said) == (disk / "better.patch.jsonl").exists()
        return "" if is_saved else said.value

    short = replace(toy_recipe, epochs=1, teacher_epochs=1)
    large = np.random.default_rng(0).normal(size=100_000)
    return {
        "save": partial(raised, replace(toy_model, card="another").save_pretrained, disk / "model"),
        "edit": partial(
            command, "edit", toy_model_folder, "--patch", tmp_path / "patch.jsonl", "--out", disk / "model"
        ),
        "condense": partial(
            command, "condense", toy_model_folder, disk / "model", "--keep", 0.6, "--method", "coverage"
        ),
        "export": partial(command, "export", toy_model_folder, "--out", disk / "model"),
        "train": partial(raised, training.train, toy_task, short, disk / "model", on_progress=trainer.silent),
        "teach": partial(raised, training.teach, toy_task, short, disk / "outputs.parquet", on_progress=trainer.silent),
        "train-set": partial(raised, write_train_set, toy_model, disk / "rows.csv"),
        "memory": partial(raised, Memory.build, [toy_model.memory], disk / "memory", 6),
        "patch": partial(raised, write_patch, patch * 100, disk / "patch.jsonl"),
        "study": partial(raised, study_run._save, disk / "answers.npz", large=large),
        "page": saved_by_the_page,
    }


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_told_in_one_sentence_and_nothing_is_lost(
    disk, writers, writer, count, short_or_whole, toy_model_folder
):
    before = contents(disk)
    for free in short_or_whole([20_000], [0, 4_096, *range(20_000, SIZE, 150_000)]):
        (disk / "filler").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - free)))
        said = writers[writer]()
        (disk / "filler").unlink()
        count(f"full disks: {writer}")
        if not said:
            break
        assert FULL in said, said
        assert "\n" not in said.strip() or writer == "page"
        for finished in disk.glob("*.partial"):  # stages of a training, which goes on by them
            shutil.rmtree(finished)
        assert contents(disk) == before
        assert list(disk.iterdir()) == [disk / "model"]
    else:
        assert short_or_whole(True, False), "it never had enough"
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(toy_model_folder, disk / "model")
