"""What a guided task is: its words, filled in for a model, what can be chosen, and how an answer is judged."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from reaugkd.errors import ReAugKDError
from reaugkd.plots.links import PageState
from reaugkd.texts import Text, two_parts

from .rendering import TEMPLATES, fill

SHORT = 160  # characters that a learner reads at a glance


@dataclass(frozen=True)
class Lesson:
    """The words of a task; :func:`app.exercises.exercise` fills them in for a model.

    Parameters
    ----------
    key, title : str
        Its name, and its heading.
    kind : str
        How it is answered: ``number``, ``temperature``, ``one`` of the options or ``several`` of them.
    formula : str
        The formula that it is about.
    question : str
        What is asked.
    hints : sequence of str
        What helps, the vaguer first.
    solution : str
        The right answer, and why.
    """

    key: str
    title: str
    kind: str
    formula: str
    question: str
    hints: Sequence[str]
    solution: str

    def filled(self, **values: Any) -> "Lesson":
        """Return the lesson with its words filled in."""
        words = {name: fill(getattr(self, name), **values) for name in ("formula", "question", "solution")}
        return replace(self, hints=[fill(hint, **values) for hint in self.hints], **words)


_WORDS = yaml.safe_load((TEMPLATES / "lessons.yaml").read_text(encoding="utf-8"))
LESSONS = {key: Lesson(key, **words) for key, words in _WORDS.items()}
"""The tasks of the Learn page, in their order."""


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and why.

    Parameters
    ----------
    is_right : bool
        Whether it is.
    why : str
        A sentence or two of plain text.
    """

    is_right: bool
    why: str


@dataclass(frozen=True)
class Exercise:
    """A task for one model.

    Parameters
    ----------
    lesson : Lesson
        Its words, filled in.
    text : str
        The text that it is about, empty where it is about many.
    link : PageState
        The view that helps, without the model's name.
    options : tuple of (str, str)
        What can be chosen, as it is shown, and the value that is given back; none where a number is asked for.
    answer : float, str or tuple of str
        A right answer: a number, or one or several values of the options.
    judged : callable
        Judges an answer that is not empty.
    soft_labels : tuple of (str, float, float)
        Of a task with a temperature: the classes, the likeliest first, with the shares of hard and soft label.
    """

    lesson: Lesson
    text: str
    link: PageState
    options: tuple[tuple[str, str], ...]
    answer: float | str | tuple[str, ...]
    judged: Callable[[Any], Verdict]
    soft_labels: tuple[tuple[str, float, float], ...] = ()

    def check(self, given: float | str | Collection[str] | None) -> Verdict:
        """Judge an answer."""
        if given is None or given in ("", [], ()):
            what = {"number": "write a number", "temperature": "move the slider"}
            what |= {"one": "choose one", "several": "choose one or more"}
            raise ReAugKDError(f"There is no answer to check yet; {what[self.lesson.kind]} first.")
        if self.lesson.kind == "number" and isinstance(given, (int, float)) and not 0 <= given <= 1:
            raise ReAugKDError(f"λ goes from 0 to 1, and {given:g} is not between; write another number.")
        return self.judged(given)


def page_of(text: Text) -> PageState:
    """Return the link to a text on the page Query."""
    first, second = two_parts(text)
    return PageState(text=first, text_pair=second)
