"""What edits change: on test rows by which they are chosen, on others, and on texts that must stay right."""

from dataclasses import replace

import numpy as np
import pandas as pd

from reaugkd.analysis.comparison import OUTCOMES, compare
from reaugkd.analysis.edits import HEADING
from reaugkd.method.answers import EncodedTexts, changed_answers
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import folds_apart


def halves(encoded: EncodedTexts) -> tuple[EncodedTexts, EncodedTexts]:
    """Cut rows into a half that edits are chosen by, and a half that tells what they are worth.

    An edit that was chosen because it helps on some rows looks better on them than it is. So it is judged on the first
    half alone. The second is asked when the edits are saved. The halves are alike in classes, siblings stand in the
    same one, and the same rows are always cut in the same way.

    Parameters
    ----------
    encoded : EncodedTexts
        N rows with gold labels, such as the test rows.

    Returns
    -------
    tuple of EncodedTexts and EncodedTexts
        The first half and the second; all rows are in the first where they are siblings.

    Examples
    --------
    >>> first, second = halves(model.encode_rows(model.held_out(["test"])))
    >>> len(first) + len(second) == len(model.held_out(["test"]))
    True
    """
    labels = np.unique(encoded.table["label"], return_inverse=True)[1]
    is_second = folds_apart(encoded.texts, labels, 2) == 1
    return encoded.part(np.flatnonzero(~is_second)), encoded.part(np.flatnonzero(is_second))


def with_told_effect(
    model: ReAugKDClassifier, edited: ReAugKDClassifier, second_half: EncodedTexts
) -> ReAugKDClassifier:
    """Record in an edited model what its edits changed on rows by which none of them was chosen.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model before the edits.
    edited : ReAugKDClassifier
        The model after them.
    second_half : EncodedTexts
        By :func:`halves`.

    Returns
    -------
    ReAugKDClassifier
        The edited model. Its ``metrics["edits"]["told"]`` holds ``rows``, ``metric``, the scores ``before`` and
        ``after``, the ``difference`` with its 95 % interval, and the numbers of ``fixed`` and ``broken`` answers; its
        card says the same.
    """
    if not len(second_half):
        return edited
    metric = model.settings.metric
    found = compare(edited.answer(second_half), model.answer(second_half), metric)
    told = {
        "rows": len(second_half),
        "metric": metric,
        "before": found.scores[1],
        "after": found.scores[0],
        "difference": list(found.difference),
        "fixed": found.counts[OUTCOMES[1]],
        "broken": found.counts[OUTCOMES[2]],
    }
    edits = {**edited.metrics.get("edits", {}), "told": told}
    card = edited.card if HEADING in edited.card else f"{edited.card}{HEADING}\n"
    edited = replace(edited, metrics=edited.metrics | {"edits": edits})
    return replace(edited, card=f"{card}\n{told_in_words(edited)}\n")


def told_in_words(edited: ReAugKDClassifier) -> str:
    """Say what :func:`with_told_effect` recorded; nothing where it recorded nothing."""
    told = edited.metrics.get("edits", {}).get("told")
    if told is None:
        return ""
    before, after, difference, low, high = (100 * each for each in (told["before"], told["after"], *told["difference"]))
    return (
        f"On {told['rows']:,} test rows by which no edit was chosen, {told['metric'].replace('_', ' ')} goes from "
        f"{before:.1f} to {after:.1f} % ({difference:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}): "
        f"{told['fixed']} answers are fixed and {told['broken']} broken."
    )


def broken_pins(
    before: ReAugKDClassifier, after: ReAugKDClassifier, pinned: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the texts that must stay right and do not.

    Parameters
    ----------
    before, after : ReAugKDClassifier
        A model before and after an edit.
    pinned : DataFrame, optional
        ``text``, for pairs ``text_pair``, and the right ``label``; those that the model keeps if left out.

    Returns
    -------
    DataFrame
        As :func:`reaugkd.method.answers.changed_answers` gives it, of the texts that the edit breaks.
    """
    pinned = before.pinned if pinned is None else pinned
    if pinned is None or pinned.empty:
        return pd.DataFrame(columns=["text", "label", "before", "after", "effect"])
    encoded = after.encode_rows(pinned)  # the label may be a class that the edit adds
    changed = changed_answers(before.answer(encoded), after.answer(encoded))
    return changed[changed["effect"] == "broken"].reset_index(drop=True)
