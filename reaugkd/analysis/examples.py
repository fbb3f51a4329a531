"""Texts of which a model carries the gold label, and which of them show best what its memory does."""

from typing import Any

import numpy as np
import pandas as pd

from reaugkd.method.answers import Answers, effects
from reaugkd.method.memory import labelled_by_person
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import Text, text_of_row


def known_rows(model: ReAugKDClassifier) -> dict[Text, dict[Any, Any]]:
    """Find what a model knows of the texts that it carries.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.

    Returns
    -------
    dict of Text to dict
        Of each held-out text and each memory the columns of its row: ``label``, ``split`` (``memory`` for a memory) and
        ``teacher_soft_labels`` where they are known. A held-out row goes before a memory of the same text. A memory
        that the teacher labelled is left out: its label is no gold label. Of a memory on disk no text is read.
    """
    memory = pd.DataFrame()
    if not model.memory.is_mapped:
        memory = model.memory.rows.assign(split="memory", teacher_soft_labels=list(model.memory.soft_labels))
    held_out = pd.DataFrame() if model.evaluation_rows is None else model.evaluation_rows
    known: dict[Text, dict[Any, Any]] = {}
    memory = memory[labelled_by_person(memory)]
    for rows in (memory, held_out.iloc[::-1]):  # of equal texts the first held-out row stays
        records = rows.to_dict("records")
        known |= zip(map(text_of_row, records), records, strict=True)
    return known


def telling_rows(answers: Answers) -> list[int]:
    """Choose one row of each class to show what a memory does.

    The first is the row that the memory puts right most surely: the student alone is wrong, and the answer is right.
    Of the other classes it is the first row, whatever the answer, so that one does not see the good cases alone.

    Parameters
    ----------
    answers : Answers
        Answers to N rows with gold labels.

    Returns
    -------
    list of int
        Row numbers; where the memory puts no row right, the first row of each class.
    """
    of_answer, of_student = answers.predicted["answer"], answers.predicted["student"]
    fixed = effects(answers.labels, of_student, of_answer) == "fixed"
    sure = np.where(fixed, answers.pooled.probabilities.max(axis=1), -1.0)
    first = [int(sure.argmax())] if fixed.any() else []
    _, firsts = np.unique(answers.labels, return_index=True)
    shown = set(answers.labels[first].tolist())
    return first + [row for row in sorted(firsts.tolist()) if int(answers.labels[row]) not in shown]
