"""The memory that is chosen in the list, or how many are."""

from collections import Counter
from collections.abc import Sequence

import reaugkd as rk
from reaugkd.texts import row_in_one_line

from ..rendering import render
from .row_table import whose_label

NOT_OPENED = "<p>Click a row to edit it, or tick several.</p>"


def opened_html(model: "rk.ReAugKDClassifier", numbers: Sequence[int]) -> str:
    """Show the memory that is chosen, or say how many are."""
    if not numbers:
        return NOT_OPENED
    memory = model.memory
    if len(numbers) > 1:
        labels = Counter(memory.rows["label"].iloc[list(numbers)]).most_common()
        return render("ticked", count=len(numbers), labels=labels)
    row, soft_labels = memory.rows.iloc[numbers[0]], memory.soft_labels[numbers[0]]
    said = {"row": row.to_dict(), "text": row_in_one_line(row), "whose": whose_label(row)}
    teacher = None if row.get("edited") or row.get("labelled_by") else memory.classes[int(soft_labels.argmax())]
    is_adopted = model.settings.is_adopted
    return render("memory", **said, teacher=teacher, probability=soft_labels.max(), is_adopted=is_adopted)
