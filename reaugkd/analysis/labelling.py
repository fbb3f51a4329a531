r"""Which texts without a label teach a memory most? A queue of them, to be labelled from its head.

A label that a person gives becomes a memory at once (:func:`reaugkd.analysis.edits.apply_patch`), and the queue is made
again. Two things let a text come early. Its answer is in doubt between two classes, by the margin of student and keys
together; or no memory is near: its novelty is the share of held-out rows that have a nearer memory, the mean over the
keys. With the two likeliest classes of the pooled answer,

.. math:: \mathrm{doubt} = 1 - (p_{(1)} - p_{(2)}), \qquad \mathrm{score} = \mathrm{doubt} + 0.3 \, \mathrm{novelty}

(smallest-margin sampling: Scheffer et al. 2001). How far the voices, the student's and one of each key, are apart is
told beside it, by their Jensen-Shannon divergence as a part of the largest one (Lin 1991). In the score it costs gain:
it is large where a voice without a weight stands alone.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import entr

from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import Answers
from reaugkd.tasks.sources import named_texts
from reaugkd.texts import MAX_CHARACTERS, copies_of, rows_with, texts_of

MOST_TEXTS = 5_000
NOVELTY_WEIGHT = 0.3
FAR = 0.95
"""Novelty from which a text is said to be far from all memories: so is one held-out row of 20."""


def read_log(path: Any, is_pair: bool, text: str = "text", text_pair: str = "text_pair") -> tuple[pd.DataFrame, int]:
    """Read texts that are to be labelled.

    Parameters
    ----------
    path : str or Path
        A table, or a ``.txt`` file with a text on each line.
    is_pair : bool
        Whether the model takes pairs.
    text, text_pair : str
        Names of the columns; the second is for pairs.

    Returns
    -------
    tuple of DataFrame and int
        ``text``, of pairs ``text_pair``, and further columns; and how many rows were left out since they are empty, or
        more than 5,000: of more, so many are drawn. A longer text is cut at 100,000 characters.

    Raises
    ------
    ReAugKDError
        If the file cannot be read, lacks a column, or has no text.
    """
    columns = {"text": text} | ({"text_pair": text_pair} if is_pair else {})
    table = named_texts(path, columns)
    texts = table[list(columns)].fillna("").apply(lambda values: values.str.slice(stop=MAX_CHARACTERS))
    is_whole = (texts.apply(lambda values: values.str.strip()) != "").all(axis=1)
    rows = table.assign(**texts)[is_whole]
    if rows.empty:
        raise ReAugKDError(f"The column {text!r} has no text; choose another column or file.")
    if len(rows) > MOST_TEXTS:
        rows = rows.sample(MOST_TEXTS, random_state=0).sort_index()
    return rows.reset_index(drop=True), len(table) - len(rows)


def asked_once(rows: pd.DataFrame, is_pair: bool) -> pd.DataFrame:
    """Leave out rows whose text is a near-copy of one before it.

    Parameters
    ----------
    rows : DataFrame
        ``text``, of pairs ``text_pair``, and further columns.
    is_pair : bool
        Whether the texts are pairs.

    Returns
    -------
    DataFrame
        The other rows in their order, with a further column ``copies``, how many were left out for each.
    """
    original = copies_of(texts_of(rows, is_pair))
    counted = rows.assign(copies=np.bincount(original, minlength=len(rows)) - 1)
    return counted[original == np.arange(len(rows))].reset_index(drop=True)


def label_queue(answers: Answers, held_out: Answers | None = None) -> pd.DataFrame:
    """Order texts without labels so that those come first which teach the memory most.

    Parameters
    ----------
    answers : Answers
        Answers to N texts by the memory as it is now, with every key.
    held_out : Answers, optional
        Answers to rows that the memory does not hold, such as the validation rows, against which novelty is measured;
        their labels are not used. The texts themselves if left out.

    Returns
    -------
    DataFrame
        A row for each text, the first to ask first, with the text's number as the index: ``text`` and ``text_pair``;
        ``reason``, in words; ``score``; ``doubt``; ``apart``, the voices' divergence; ``novelty``; the
        ``answer`` and its ``probability``; what the ``student`` says and each key, as ``text_key``; then further
        columns.
    """
    names = np.asarray(answers.memory.classes)
    voices, answered = _voices(answers), answers.pooled.probabilities
    likeliest = np.argsort(-answered, axis=1, kind="stable")[:, :2]
    highest = np.take_along_axis(answered, likeliest, axis=1)
    doubt, novelty = 1 - (highest[:, 0] - highest[:, -1]), _novelty(answers, held_out or answers)
    says = {voice: names[of.argmax(axis=1)] for voice, of in voices.items()}
    found = {
        "reason": _reasons(says, names[likeliest], highest[:, -1], novelty),
        "score": doubt + NOVELTY_WEIGHT * novelty,
        "doubt": doubt,
        "apart": _divergence(list(voices.values())),
        "novelty": novelty,
        "answer": names[likeliest[:, 0]],
        "probability": highest[:, 0],
        "student": says["student"],
        **{f"{name}_key": of for name, of in says.items() if name != "student"},
    }
    table = rows_with(answers.encoded.table.reset_index(drop=True), found)
    return table.sort_values("score", ascending=False, kind="stable")


def _voices(answers: Answers) -> dict[str, NDArray[np.float64]]:
    """Return what the student and each key say of N texts, (N, C) each; the student gives 0 to a new class."""
    student = np.pad(answers.pooled.student, ((0, 0), (0, len(answers.memory.classes) - answers.encoded.known)))
    return {"student": student} | {name: found.probabilities for name, found in answers.retrieved.items()}


def _divergence(voices: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence (N,) of V distributions (N, C) each, as a part of log V: from 0 to 1."""
    stacked = np.stack(voices)
    apart = entr(stacked.mean(axis=0)).sum(axis=1) - entr(stacked).sum(axis=2).mean(axis=0)
    return apart / np.log(len(voices))


def _novelty(answers: Answers, held_out: Answers) -> NDArray[np.float64]:
    """Return the share (N,) of held-out rows that have a nearer memory, the mean over the keys."""
    shares = []
    for name, found in answers.retrieved.items():
        usual = np.sort(held_out.retrieved[name].similarities[:, 0])
        shares.append(1 - np.searchsorted(usual, found.similarities[:, 0], side="right") / len(usual))
    return np.mean(shares, axis=0)


def _reasons(
    says: dict[str, NDArray[np.str_]],
    likeliest: NDArray[np.str_],
    second: NDArray[np.float64],
    novelty: NDArray[np.float64],
) -> list[str]:
    """Say in words why each text is asked."""
    reasons = []
    for row, classes in enumerate(likeliest.tolist()):
        by_class: dict[str, list[str]] = {}
        for voice, of in says.items():
            by_class.setdefault(str(of[row]), []).append(voice if voice == "student" else f"{voice} key")
        words = [f"{' and '.join(voices)}: {name}" for name, voices in by_class.items()]
        if len(words) == 1:
            words = [f"all say {classes[0]}, then {classes[-1]} ({second[row]:.2f})"]
        reasons.append("; ".join(["far from all memories"] * bool(novelty[row] >= FAR) + words))
    return reasons
