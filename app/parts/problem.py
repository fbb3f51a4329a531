"""How a view says what is wrong: one sentence, read aloud by those who do not see it."""

from reaugkd.errors import ReAugKDError

from ..rendering import render

# For the js_on_load of what changes while one does something else: a screen reader says it when it has time.
READ_ALOUD = "element.setAttribute('role', 'status');"


def problem_html(error: ReAugKDError | str) -> str:
    """Show the one sentence that says what to correct."""
    return render("problem", problem=error)
