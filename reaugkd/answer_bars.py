"""An answer in one sentence and one table of bars that add up, as HTML; every text in it is shown as text."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reaugkd.neighbour_table import escaped_text
from reaugkd.retrieval import DECIDE_ABOUT_NEW

if TYPE_CHECKING:
    from reaugkd.inference import Explanation

SHOWN_CLASSES = 8
SHORTEST = 0.0005  # shares under half a thousandth are too short to see


def what_happened(explanation: "Explanation") -> str:
    """Say in a sentence what the memory did to the answer.

    Parameters
    ----------
    explanation : Explanation
        The answer.

    Returns
    -------
    str
        Plain text.
    """
    classes, answer, alone = explanation.classes, explanation.label, explanation.student_label
    memory = classes[int(explanation.retrieved.argmax())]
    weight = float(explanation.memory_weights[classes.index(answer)])
    votes = [classes[int(neighbour.soft_labels.argmax())] for neighbour in explanation.neighbours]
    naming = f"{votes.count(answer)} of {len(votes)} neighbours"
    if explanation.memory_alone:
        decide = f"; the {DECIDE_ABOUT_NEW} nearest decide about new classes" if len(votes) >= DECIDE_ABOUT_NEW else ""
        return f"The student does not know {answer}: the memory alone names it, {naming}{decide}."
    if alone != answer:
        return f"Retrieval changed {alone} → {answer}: {naming}, weight {weight:.2f}."
    if weight == 0 and _left_to_student(explanation) == 1:
        return f"The memory has no say here (λ is 0): the student alone answers {answer}."
    if memory == answer:
        return f"Student and memory agree on {answer}: {naming}, weight {weight:.2f}."
    against = f"{votes.count(memory)} of {len(votes)} neighbours"
    return f"The memory says {memory} ({against}), but with weight {weight:.2f} the student's {answer} stands."


def answer_bars(explanation: "Explanation", teacher: NDArray[np.floating] | None = None) -> str:
    """Draw student, memory and answer by class; the answer's bar is stacked of the parts that it is the sum of.

    Parameters
    ----------
    explanation : Explanation
        The answer; of more than eight classes the likeliest are drawn.
    teacher : (C,) float, optional
        The teacher's own probabilities.

    Returns
    -------
    str
        HTML of one table. The parts of a class c are (1 - λ) vote[c] and, for each neighbour k, λ w_k ȳ_k[c]; the
        student's column is ŷ[c], with a dash where the student does not know the class.
    """
    heads = ["class", "student", "memory", *(["teacher"] if teacher is not None else []), "answer: all parts add up"]
    body = ""
    for number in np.argsort(-explanation.probabilities, kind="stable")[:SHOWN_CLASSES].tolist():
        voices = [explanation.student_probabilities, explanation.retrieved, *([teacher] if teacher is not None else [])]
        cells = "".join(_bar(name, voice, number) for name, voice in zip(heads[1:-1], voices, strict=True))
        total = float(explanation.probabilities[number])
        chosen = ' class="chosen"' if explanation.classes[number] == explanation.label else ""
        body += (
            f"<tr{chosen}>"
            f"<th>{escaped_text(explanation.classes[number])}</th>{cells}"
            f'<td><div class="stack">{_parts(explanation, number)}</div><span>{total:.2f}</span></td></tr>'
        )
    head = "".join(f"<th>{name}</th>" for name in heads)
    # Not read aloud with each new answer: whoever wants the figures goes through the table.
    table = f'<table class="answer-bars" aria-live="off"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return table + _sum(explanation)


def parts(explanation: "Explanation", number: int) -> tuple[float, NDArray[np.float64]]:
    """Return the parts that a class's probability is the sum of.

    Parameters
    ----------
    explanation : Explanation
        The answer.
    number : int
        Number of the class c.

    Returns
    -------
    tuple of float and (k,) float64
        The student's (1 - λ) vote[c], and λ w_k ȳ_k[c] of each neighbour.
    """
    weight = float(explanation.memory_weights[number])
    of_memory = [
        weight * neighbour.weight * float(neighbour.soft_labels[number]) for neighbour in explanation.neighbours
    ]
    return (1 - weight) * float(explanation.student_vote[number]), np.asarray(of_memory)


def _left_to_student(explanation: "Explanation") -> float:
    """Return what the memory leaves to the classes that the student knows, exactly 1 where it leaves them all."""
    known = len(explanation.student_probabilities)
    return 1.0 - float(explanation.student_vote[known:].sum())


def _bar(name: str, voice: NDArray[np.floating], number: int) -> str:
    if number >= len(voice):
        return "<td><span>&ndash;</span></td>"
    value = float(voice[number])
    return f'<td><div class="bar {name}"><i style="width:{100 * value:.1f}%"></i></div><span>{value:.2f}</span></td>'


def _parts(explanation: "Explanation", number: int) -> str:
    of_student, of_memory = parts(explanation, number)
    bars = f'<i class="student" style="width:{100 * of_student:.2f}%" title="student {of_student:.3f}"></i>'
    for neighbour, part in zip(explanation.neighbours, of_memory, strict=True):
        if part >= SHORTEST:
            said = escaped_text(f"neighbour {neighbour.rank}: {part:.3f}, {neighbour.text[:80]}")
            bars += f'<i class="memory" style="width:{100 * part:.2f}%" title="{said}"></i>'
    return bars


def _sum(explanation: "Explanation") -> str:
    number = explanation.classes.index(explanation.label)
    weight, total = float(explanation.memory_weights[number]), float(explanation.probabilities[number])
    memory, left = f"{float(explanation.retrieved[number]):.3f} (memory)", _left_to_student(explanation)
    if explanation.memory_alone:
        terms = memory
    else:
        student = f"{float(explanation.student_probabilities[number]):.3f} (student)"
        student += f" × {left:.3f} (what the memory leaves to the classes that the student knows)" if left < 1 else ""
        terms = f"{1 - weight:.2f} × {student} + {weight:.2f} × {memory}"
    return f'<p aria-live="off" class="sum">{escaped_text(explanation.label)}: {total:.3f} = {terms}</p>'
