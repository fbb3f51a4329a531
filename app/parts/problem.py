"""How a view says what is wrong: one sentence, read aloud by those who do not see it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import gradio as gr

from reaugkd.errors import ReAugKDError

from ..rendering import escaped_text, render, without_folders

# For the js_on_load of what changes while one does something else: a screen reader says it when it has time.
READ_ALOUD = "element.setAttribute('role', 'status');"


def problem_html(error: ReAugKDError | str) -> str:
    """Show the one sentence that says what to correct."""
    return render("problem", problem=error)


def told_in(box: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for a view's listener: why it cannot do what is asked is shown in that box of the view."""

    def decorate(answer: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(answer)
        def answer_or_tell(view: Any, *values: Any, **named: Any) -> Any:
            try:
                return answer(view, *values, **named)
            except ReAugKDError as error:
                return {getattr(view, box): gr.HTML(problem_html(error), visible=True)}

        return answer_or_tell

    return decorate


class Problem(gr.Error):
    """What is wrong, as an error that Gradio shows above the page; it would draw HTML, so the sentence is escaped."""

    def __init__(self, sentence: ReAugKDError | str) -> None:
        self.sentence = without_folders(str(sentence))
        super().__init__(escaped_text(self.sentence), print_exception=False)


@contextmanager
def shown_above() -> Iterator[None]:
    """Let the page show above itself why something cannot be done."""
    try:
        yield
    except ReAugKDError as error:
        raise Problem(error) from error


def warn(sentence: ReAugKDError | str) -> None:
    """Warn of something above the page, as text."""
    gr.Warning(escaped_text(without_folders(str(sentence))))
