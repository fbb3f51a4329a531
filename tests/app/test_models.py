"""The app's models, and what is computed of them once."""

import os
import sys
import threading
from pathlib import Path

import pytest

from app.computed import cached
from app.menu import ModelMenu
from app.model_job import NICE, ModelJob
from app.page import build_app
from reaugkd.errors import ReAugKDError


@pytest.fixture
def menu(tmp_path):
    return ModelMenu(ModelJob(str(tmp_path / "toy")))


def test_callers_that_ask_for_what_is_being_made_wait_for_it():
    made, may_end = [], threading.Event()

    @cached(2)
    def make(number):
        made.append(number)
        may_end.wait(timeout=10)
        return [number]

    results = []
    pages = [threading.Thread(target=lambda: results.append(make(3))) for _ in range(4)]
    for page in pages:
        page.start()
    may_end.set()
    for page in pages:
        page.join()
    assert made == [3]
    assert all(result is results[0] for result in results)


def test_the_oldest_of_too_many_results_goes():
    made = []
    double = cached(2)(lambda number: made.append(number) or 2 * number)
    assert [double(number) for number in (1, 2, 1, 3, 1, 2)] == [2, 4, 2, 6, 2, 4]
    assert made == [1, 2, 3, 2]


def test_a_failure_is_not_kept():
    answers = iter([ValueError("not yet"), None])

    @cached(1)
    def answer():
        if (error := next(answers)) is not None:
            raise error
        return "there"

    with pytest.raises(ValueError, match="not yet"):
        answer()
    assert answer() == "there"


def test_what_is_there_is_given_while_another_result_is_made():
    begun, may_end = threading.Event(), threading.Event()

    @cached(2)
    def make(name):
        if name == "slow":
            begun.set()
            may_end.wait(timeout=10)
        return name

    made = []
    assert make("quick") == "quick"
    slow = threading.Thread(target=lambda: made.append(make("slow")))
    slow.start()
    assert begun.wait(timeout=10)
    other = threading.Thread(target=lambda: made.append(make("quick")))
    other.start()
    other.join(timeout=5)
    assert made == ["quick"]
    may_end.set()
    slow.join()
    assert made == ["quick", "slow"]


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "../up", "-dash", ".hidden", "a/b", "a\\b", "/tmp", "a\0b", "a\nb", "\ud800", "ü" * 61]
)
def test_what_is_no_name_of_a_folder_is_refused(menu, name):
    with pytest.raises(ReAugKDError, match="is no name for a model; write a plain word"):
        menu.new_folder(name)


def test_a_name_that_is_taken_is_refused_and_the_next_number_is_free(menu):
    assert menu.free_name("mine") == "mine"
    assert menu.new_folder(" mine ") == menu.root / "mine"
    for taken, free in (("mine", "mine-2"), ("mine-2", "mine-3")):
        (menu.root / taken).mkdir()
        assert menu.free_name("mine") == free
    with pytest.raises(ReAugKDError, match="'mine' is there already; choose another name"):
        menu.new_folder("mine")


def test_a_folder_is_shown_as_one_would_type_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given, shown in (
        ("runs/toy", "runs/other"),
        (str(tmp_path / "runs" / "toy"), "runs/other"),
        ("../elsewhere/toy", tmp_path.parent / "elsewhere" / "other"),
        (str(tmp_path.parent / "toy"), tmp_path.parent / "other"),
    ):
        assert Path(ModelMenu(ModelJob(given)).shown_folder("other")) == Path(shown)
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path / "toy").mkdir()
    monkeypatch.chdir(tmp_path / "toy")
    assert ModelMenu(ModelJob(".")).shown_folder("other") == str(tmp_path / "other")


def test_what_shows_no_progress_names_no_component_for_it(tmp_path):
    """The page would copy all that each of them holds, before it asks and after."""
    page = build_app(ModelJob(str(tmp_path / "toy")))
    asking = [function for function in page.fns.values() if function.fn is not None]
    quiet = [function for function in asking if function.show_progress == "hidden"]
    by_page = [function for function in quiet if function.api_visibility == "private"]
    assert len(by_page) > 50
    assert {function.name for function in by_page if function.show_progress_on != []} == set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows the priority of a thread")
def test_a_training_gives_way_to_those_who_ask_meanwhile(tmp_path):
    seen = []

    def train(*_):
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    job = ModelJob(str(tmp_path / "toy"), train)
    job.start()
    job.wait()
    assert seen == [os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) + NICE]
