"""Which texts are left to a person: the threshold in words and as a curve."""

from typing import TYPE_CHECKING, Any

from reaugkd.errors import ReAugKDError
from reaugkd.measures.selective import EVERY, PROBABILITY, Threshold, choose_threshold, coverage_table

from ..rendering import render
from .error_tables import Pick
from .problem import problem_html

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    import plotly.graph_objects as go

    import reaugkd as rk
    from reaugkd.method.answers import Answers

WANTED = {f"{percent} %": percent / 100 for percent in (70, 75, 80, 85, 90, 95, 97, 98, 99)}


def choices_by(model: "rk.ReAugKDClassifier") -> list[tuple[str, str]]:
    """Name the scores by which texts can be left to a person."""
    keys = [(f"those farthest from all memories by the {name} key", name) for name in model.pool.keys]
    return [("those that the model is least sure of", PROBABILITY), *keys]


def selective_answers(
    validation: "Answers", shown: "Answers", by: str, wanted: float, which: str, picked: Pick
) -> "tuple[str, go.Figure]":
    """Choose a threshold on the validation rows, and measure it on the rows that are shown: HTML and curves.

    The page shows validation rows themselves too; of these no effect is told, since the threshold was chosen on them.
    """
    from reaugkd.plots.figures import coverage_figure

    is_chosen_on = (shown.encoded.table["split"] == "validation").all()  # also where no row is shown
    others = {} if is_chosen_on else {which: shown}
    sides = {"validation rows": validation, **others}
    tables = {name: coverage_table(answers.scores(by), answers.right) for name, answers in sides.items()}
    try:
        threshold = choose_threshold(validation.scores(by), validation.right, wanted, by)
    except ReAugKDError as error:
        return problem_html(error), coverage_figure(tables)
    chosen, effect = _measured(validation, threshold), _measured(shown, threshold) if others else None
    column = by if by == PROBABILITY else f"nearest_{by}"
    words = render(
        "selective",
        threshold=threshold,
        score=score_in_words(threshold),
        chosen=chosen,
        effect=effect,
        which=which,
        pick={"between": {column: [EVERY - 1, threshold.least]}},
        picked=picked,
    )
    return words, coverage_figure(tables, threshold)


def score_in_words(threshold: Threshold | None) -> str:
    """Say what a threshold is compared with."""
    if threshold is None or threshold.by == PROBABILITY:
        return "the probability of the answer"
    return f"the cosine of the nearest memory by the {threshold.by} key"


def _measured(answers: "Answers", threshold: Threshold) -> dict[str, Any]:
    """Return which of all answers, of those that a threshold gives, and of those that it leaves are right."""
    from reaugkd.measures.significance import accuracy_interval

    right, sure = answers.right, answers.scores(threshold.by) >= threshold.least
    answered = right[sure]
    return {
        "rows": right,
        "answered": answered,
        "left": right[~sure],
        "interval": accuracy_interval(int(answered.sum()), len(answered)) if len(answered) else None,
    }
