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
    row = memory.rows.iloc[numbers[0]]
    soft_labels = None if row.get("edited") or row.get("labelled_by") else memory.soft_labels[numbers[0]]
    return render(
        "memory",
        id=row["id"],
        text=row_in_one_line(row),
        whose=whose_label(row),
        label=row["label"],
        is_adopted=model.settings.is_adopted,
        teacher=None if soft_labels is None else memory.classes[int(soft_labels.argmax())],
        probability=0 if soft_labels is None else soft_labels.max(),
    )
