"""The app's models, and what is computed of them once."""

import threading

import pytest
from models import kept


def test_whoever_asks_for_what_is_being_made_waits_for_it():
    made, may_end = [], threading.Event()

    @kept(2)
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
    double = kept(2)(lambda number: made.append(number) or 2 * number)
    assert [double(number) for number in (1, 2, 1, 3, 1, 2)] == [2, 4, 2, 6, 2, 4]
    assert made == [1, 2, 3, 2]


def test_a_failure_is_not_kept():
    answers = iter([ValueError("not yet"), None])

    @kept(1)
    def answer():
        if (error := next(answers)) is not None:
            raise error
        return "there"

    with pytest.raises(ValueError, match="not yet"):
        answer()
    assert answer() == "there"
