"""A training of the page runs in a process of its own, which ends with it, with the page, and by a sentence."""

import multiprocessing
import os
import signal
import sys

import psutil
import pytest
from toy_data import toy_rows

from app.model_job import CANCELLED, NICE, ModelJob
from app.training_process import _NEW, _train, train_as_asked
from reaugkd import Recipe
from reaugkd.errors import ReAugKDError


def children():
    return multiprocessing.active_children()


def ignored(_):
    pass


@pytest.fixture
def asked(tmp_path, toy_encoder_folder):
    """What a page asks for: rows and a recipe that take a second."""
    toy_rows(12, seed=4).to_csv(tmp_path / "rows.csv", index=False)
    encoder = str(toy_encoder_folder)
    return {"train": str(tmp_path / "rows.csv")}, Recipe(teacher=encoder, student=encoder, epochs=1), False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows the priority of a thread")
def test_another_process_trains_and_gives_way_and_ends_with_the_model(asked, tmp_path):
    seen, usual = set(), os.getpriority(os.PRIO_PROCESS, 0)

    def train(folder, on_progress, say):
        def told(progress):
            seen.update((child.pid, psutil.Process(child.pid).nice()) for child in children())
            on_progress(progress)

        return train_as_asked(*asked, folder, told, say)

    job = ModelJob(str(tmp_path / "mine"), train)
    job.start()
    job.wait()
    (pid, nice), *others = seen
    assert not others
    assert pid != os.getpid()
    assert nice == usual + NICE
    assert not job.error
    assert {"Teacher", "Student alone"} <= set(job.finished)
    assert job.model.predict(["some iron"]).shape == (1,)
    assert not children()


@pytest.mark.slow
def test_a_cancelled_training_ends_its_process_and_what_was_finished_stays(asked, tmp_path):
    def cancelled(progress):
        if progress.stage == "Student alone":
            raise ReAugKDError(CANCELLED)

    with pytest.raises(ReAugKDError, match="cancelled"):
        train_as_asked(*asked, str(tmp_path / "mine"), cancelled, ignored)
    assert not children()
    assert not (tmp_path / "mine").exists()
    assert list((tmp_path / "mine.partial").rglob("teacher_outputs.parquet"))


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_in_a_sentence(asked, tmp_path):
    def killing(_):
        for child in children():
            os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(ReAugKDError, match="ended with status -9, perhaps for lack of memory; go on with it"):
        train_as_asked(*asked, str(tmp_path / "mine"), killing, ignored)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        pytest.param({"train": "nowhere.csv"}, "nowhere.csv", id="a user's mistake"),
        pytest.param(
            {"unknown": 1},
            "An unexpected error stopped it .TypeError: ",
            marks=pytest.mark.slow,
            id="a fault of ours",
        ),
    ],
)
def test_what_stops_it_is_told_as_in_this_process(asked, tmp_path, rows, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        train_as_asked(rows, *asked[1:], str(tmp_path / "mine"), ignored, ignored)
    assert not children()


@pytest.mark.slow
def test_it_ends_when_the_page_is_gone(asked, tmp_path):
    reports, theirs = _NEW.Pipe()
    process = _NEW.Process(target=_train, args=(theirs, *asked, str(tmp_path / "mine")))
    process.start()
    for end in (reports, theirs):
        end.close()
    process.join(120)
    assert process.exitcode == 0
    assert not (tmp_path / "mine").exists()
