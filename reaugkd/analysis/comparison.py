"""Compare two models, or two ways of answering of one model, over the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from textwrap import shorten

import numpy as np
import pandas as pd

from reaugkd.analysis.key_cost import median_milliseconds
from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import expected_calibration_error
from reaugkd.measures.metrics import METRICS, Interval, drawn_differences, interval, log_loss, mcnemar, score_interval
from reaugkd.method.answers import Answers, EncodedTexts
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import Labels, rows_with

OUTCOMES = ("both right", "only first right", "only second right", "both wrong")
"""Who names the gold label of a row."""
LIKELY_CHANCE = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two ways of answering N rows, side by side.

    Parameters
    ----------
    scores : tuple of (float, float)
        The metric of the first and of the second, higher is better.
    difference : Interval
        First less second, with its 95 % interval by the paired bootstrap.
    p_value : float
        McNemar's exact test that both err equally often.
    calibration_errors : tuple of (float, float)
        Expected calibration error of the first and of the second, from 0 to 1, lower is better.
    table : DataFrame
        A row for each text: ``id`` and ``split`` where there are, ``text``, ``text_pair`` of pairs, ``label``; what
        ``first`` and ``second`` name; ``first_probability`` and ``second_probability`` of that; ``outcome``, one of
        :data:`OUTCOMES`; ``differs``, whether they name different classes; then further columns.
    """

    scores: tuple[float, float]
    difference: Interval
    p_value: float
    calibration_errors: tuple[float, float]
    table: pd.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """Rows by outcome, those of :data:`OUTCOMES` in their order."""
        return {outcome: int((self.table["outcome"] == outcome).sum()) for outcome in OUTCOMES}

    @property
    def differing(self) -> int:
        """Rows on which the two name different classes."""
        return int(self.table["differs"].sum())

    @property
    def both_wrong_differently(self) -> int:
        """Rows on which both are wrong and name different classes."""
        return int((self.table["differs"] & (self.table["outcome"] == OUTCOMES[3])).sum())


def compare(first: Answers, second: Answers, metric: str) -> Comparison:
    """Compare the answers of two models, or of one model in two ways, to the same rows.

    Parameters
    ----------
    first, second : Answers
        The answers to N rows, with the same texts and gold labels in the same order. The classes of one begin with
        those of the other, as those of an edited model begin with the classes that were there before.
    metric : str
        A key of :data:`reaugkd.measures.metrics.METRICS`.

    Returns
    -------
    Comparison
        Scores, tests, and all rows.

    Raises
    ------
    ReAugKDError
        If the classes or the rows are not the same.
    """
    names = _all_classes(first.memory.classes, second.memory.classes)
    _check_rows(first.encoded, second.encoded)
    gold, answers = first.encoded.labels(names), [side.pooled.probabilities for side in (first, second)]
    predicted, sure = [side.argmax(axis=1) for side in answers], [side.max(axis=1) for side in answers]
    right = [numbers == gold for numbers in predicted]
    found = {
        "first": np.asarray(names)[predicted[0]],
        "second": np.asarray(names)[predicted[1]],
        "first_probability": sure[0],
        "second_probability": sure[1],
        "outcome": np.asarray(OUTCOMES)[2 * ~right[0] + ~right[1]],
        "differs": predicted[0] != predicted[1],
    }
    errors = [expected_calibration_error(*both) for both in zip(sure, right, strict=True)]
    return Comparison(
        scores=(METRICS[metric](gold, predicted[0]), METRICS[metric](gold, predicted[1])),
        difference=interval(drawn_differences(gold, predicted[0], predicted[1], metric)),
        p_value=mcnemar(gold, predicted[0], predicted[1]),
        calibration_errors=(errors[0], errors[1]),
        table=rows_with(first.encoded.table, found),
    )


def compare_models(models: Mapping[str, ReAugKDClassifier], split: str = "test") -> pd.DataFrame:
    """Compare several models over the rows that the first one carries.

    Parameters
    ----------
    models : mapping of str to ReAugKDClassifier
        By name; the others are compared with the first.
    split : str
        ``test`` or ``validation``.

    Returns
    -------
    DataFrame
        A row for each model: ``model``; ``score`` by the first model's metric, with ``low`` and ``high``, the ends of
        its 95 % interval; ``difference`` to the first, with ``difference_low`` and ``difference_high`` by the paired
        bootstrap; ``log_loss`` in nats, less is better; ``milliseconds`` that one text takes on this machine, the
        median of a few.

    Raises
    ------
    ReAugKDError
        If there is no model, the first carries no rows, or another has other classes or takes other texts.
    """
    if not models:
        raise ReAugKDError("There is no model to compare; name at least one.")
    first, *others = models.values()
    for other in others:
        check_comparable(first, other)
    rows, metric = first.held_out([split]).drop(columns="teacher_soft_labels", errors="ignore"), first.settings.metric
    predictions: list[Labels] = []
    found = []
    for name, model in models.items():
        answers = model.answer(model.encode_rows(rows))
        gold, predicted = answers.labels, answers.predicted["answer"]
        predictions.append(predicted)
        low, high = score_interval(gold, predicted, metric)
        ahead = interval(drawn_differences(gold, predicted, predictions[0], metric))
        row = {"model": name, "score": METRICS[metric](gold, predicted), "low": low, "high": high}
        row |= {"difference": ahead.mean, "difference_low": ahead.low, "difference_high": ahead.high}
        row["log_loss"] = log_loss(gold, answers.pooled.probabilities)
        timed = [answers.encoded.texts[0], *answers.encoded.texts[:15]]  # one at a time
        row["milliseconds"] = median_milliseconds(partial(model.predict, [text]) for text in timed)
        found.append(row)
    return pd.DataFrame(found)


def check_comparable(first: ReAugKDClassifier, second: ReAugKDClassifier) -> None:
    """Refuse two models that cannot answer the same texts by the same classes."""
    if first.settings.is_pair != second.settings.is_pair:
        takes = ["pairs of texts" if model.settings.is_pair else "single texts" for model in (first, second)]
        raise ReAugKDError(f"The first model takes {takes[0]}, the second {takes[1]}; compare two models of one task.")
    _all_classes(first.memory.classes, second.memory.classes)


def comparison_in_words(comparison: Comparison, metric: str, which: str = "rows") -> list[str]:
    """Report scores, whether the difference may be chance, and calibration errors, as three paragraphs."""
    first, second = (f"{100 * score:.1f}" for score in comparison.scores)
    of_first, of_second = (f"{100 * error:.1f}" for error in comparison.calibration_errors)
    return [
        f"{metric.replace('_', ' ').capitalize()}, percent of {len(comparison.table):,} {which}: first {first}, second "
        f"{second}; {_lead(comparison.difference)}.",
        _chance(comparison),
        f"Their confidence misses their accuracy by {of_first} points for the first and {of_second} for the second "
        "(expected calibration error; less is better).",
    ]


def _lead(difference: Interval) -> str:
    """Report who is ahead, as a positive lead."""
    who, sign = ("second", -1) if difference.mean < 0 else ("first", 1)
    lead, low, high = (f"{100 * sign * value + 0.0:.1f}" for value in difference)
    ahead = "they are level" if lead == "0.0" else f"the {who} is ahead by {lead} points"
    ends = f"{low} to {high}" if sign > 0 else f"{high} to {low}"
    return f"{ahead} (95 % interval of the {who}'s lead: {ends})"


def _chance(comparison: Comparison) -> str:
    count, p_value = comparison.counts, comparison.p_value
    first, second = count[OUTCOMES[1]], count[OUTCOMES[2]]
    if not comparison.differing:
        return "They answer every row alike."
    differing = f"They answer {comparison.differing:,} row{'s' if comparison.differing > 1 else ''} differently"
    if not first + second:
        return f"{differing}, but on none is only one of them right: neither is shown to be better."
    cases = f"{100 * p_value:.0f} of 100" if p_value >= 0.01 else f"{1_000 * p_value:.0f} of 1,000"
    often = f"in {cases} cases (McNemar's exact test, p = {p_value:.3f})"
    if p_value < 0.001:
        often = "in fewer than 1 of 1,000 cases (McNemar's exact test, p < 0.001)"
    verdict = "so these rows do not show that either is better"
    if p_value < LIKELY_CHANCE:
        verdict = "which is rare, so the difference is hardly chance"
    return (
        f"{differing}. Only the first is right on {first:,}, only the second on {second:,}: two equally good ones "
        f"would part at least so unevenly {often}, {verdict}."
    )


def _all_classes(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes of the one that has more, which begin with those of the other."""
    if first[: len(second)] != second[: len(first)]:
        one, other = (shorten(", ".join(names), 60, placeholder=" …") for names in (first, second))
        raise ReAugKDError(
            f"The first has the classes {one}, the second {other}; compare two models of one task, or a model and its "
            "edited version."
        )
    return max(first, second, key=len)


def _check_rows(first: EncodedTexts, second: EncodedTexts) -> None:
    rows = [list(zip(side.texts, side.table["label"], strict=True)) for side in (first, second)]
    if rows[0] != rows[1]:
        raise ReAugKDError(
            f"The first answers {len(first):,} rows, the second {len(second):,}, and their texts or labels are not the "
            "same; compare both over the same rows."
        )
