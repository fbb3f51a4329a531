"""How a view says what is wrong: one sentence, read aloud by those who do not see it."""

import gradio as gr

from reaugkd.errors import ReAugKDError

from ..rendering import escaped_text, render, without_folders

# For the js_on_load of what changes while one does something else: a screen reader says it when it has time.
READ_ALOUD = "element.setAttribute('role', 'status');"


def problem_html(error: ReAugKDError | str) -> str:
    """Show the one sentence that says what to correct."""
    return render("problem", problem=error)


class Problem(gr.Error):
    """What is wrong, as an error that Gradio shows above the page; it would draw HTML, so the sentence is escaped."""

    def __init__(self, sentence: ReAugKDError | str) -> None:
        self.sentence = without_folders(str(sentence))
        super().__init__(escaped_text(self.sentence), print_exception=False)


def warn(sentence: ReAugKDError | str) -> None:
    """Warn of something above the page, as text."""
    gr.Warning(escaped_text(without_folders(str(sentence))))
