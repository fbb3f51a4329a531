"""An answer in one sentence, in bars by class, and in parts that add up, as HTML; every text in it is shown as text."""

from math import exp
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reaugkd.method.pool import DECIDE_ABOUT_NEW

from .neighbour_table import NO_SAY, adds, escaped_text, signed, what_it_adds

if TYPE_CHECKING:
    from reaugkd.model.explanation import Explanation

SHOWN_CLASSES = 8
MOST_ODDS = 1_000
ROUNDING = 1e-9


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
    answer, alone, memory = explanation.label, explanation.student_label, explanation.memory_label
    number, (of_student, of_keys) = explanation.classes.index(answer), explanation.pool.weights
    weight = sum(of_keys.values()) / (of_student + sum(of_keys.values()))
    if explanation.memory_alone:
        key = explanation.keys_by_part[0]
        nearest = min(DECIDE_ABOUT_NEW, len(key.neighbours))
        by = f"{nearest} nearest memories" if nearest > 1 else "nearest memory"
        return f"The student does not know {answer}: the memory alone names it, by the {by} of the {key.name} key."
    if weight == 0 and explanation.new == 0:
        return f"The memory has no weight here: the student alone answers {answer}."
    by_memory, by_student = explanation.memory_probabilities[number], explanation.student_probabilities[number]
    if alone != answer:
        gives = f"the memory gives {answer} {by_memory:.2f}, the student {by_student:.2f}"
        return f"Retrieval changed {alone} → {answer}: {gives}; the memory's weight is {weight:.2f}."
    if memory == answer:
        gives = f"the student gives it {by_student:.2f}, the memory {by_memory:.2f}"
        return f"Student and memory agree on {answer}: {gives}; the memory's weight is {weight:.2f}."
    return f"The memory says {memory}, but with weight {weight:.2f} the student's {answer} stands."


def answer_bars(explanation: "Explanation", teacher: NDArray[np.floating] | None = None) -> str:
    """Draw what student, memory and answer say of each class, and the parts that make the answer's lead.

    Parameters
    ----------
    explanation : Explanation
        The answer; of more than eight classes the likeliest are drawn.
    teacher : (C,) float, optional
        The teacher's own probabilities.

    Returns
    -------
    str
        HTML of a table of classes, a table of :attr:`Explanation.parts` as bars to the right or, where a part speaks
        for the runner-up, to the left, and their sum. The student has a dash where it does not know a class.
    """
    voices: dict[str, NDArray[np.floating]] = {
        "student": explanation.student_probabilities,
        "memory": explanation.memory_probabilities,
        **({} if teacher is None else {"teacher": teacher}),
        "answer": explanation.probabilities,
    }
    body = ""
    for number in np.argsort(-explanation.probabilities, kind="stable")[:SHOWN_CLASSES].tolist():
        name = explanation.classes[number]
        cells = "".join(_bar(voice, said, number) for voice, said in voices.items())
        chosen = ' class="chosen"' if name == explanation.label else ""
        body += f"<tr{chosen}><th>{escaped_text(name)}</th>{cells}</tr>"
    head = "".join(f"<th>{name}</th>" for name in ("class", *voices))
    # Not read aloud with each new answer: the figures are there to be gone through.
    table = f'<table class="answer-bars" aria-live="off"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return table + _parts(explanation)


def _bar(name: str, voice: NDArray[np.floating], number: int) -> str:
    if number >= len(voice):
        return "<td><span>&ndash;</span></td>"
    value = float(voice[number])
    return f'<td><div class="bar {name}"><i style="width:{100 * value:.1f}%"></i></div><span>{value:.2f}</span></td>'


def _parts(explanation: "Explanation") -> str:
    """Draw the parts as bars from the middle, the longest of which fills its half, and write their sum."""
    weight, of_student, of_new = explanation.pool.weights[0], explanation.student_part, explanation.new_classes_part
    parts = [("student", "student", weight, of_student, adds(explanation, of_student) if weight else NO_SAY)]
    for key in explanation.keys:
        said = what_it_adds(explanation, key)
        parts.append((key.name, f"{key.name} key", key.settings.weight, key.part, said))
    if abs(of_new) > ROUNDING:
        parts.append(("new-classes", "decision on new classes", 0.0, of_new, adds(explanation, of_new)))
    longest = max(abs(part) for *_, part, _ in parts) or 1.0
    body = ""
    for kind, name, weight, part, said in parts:
        width = 50 * abs(part) / longest
        body += (
            f"<tr><th>{escaped_text(name)}</th><td>{f'weight {weight:.2f}' if weight else ''}</td>"
            f'<td><div class="diverging"><i class="{kind}" style="left:{50 - width * (part < 0):.1f}%;'
            f'width:{width:.1f}%"></i></div></td><td>{escaped_text(said)}</td></tr>'
        )
    lead = signed(explanation, explanation.lead)
    terms = ", ".join(f"{name} {signed(explanation, part)}" for _, name, _, part, _ in parts if part) or lead
    if explanation.pool.kind == "linear":
        unit, total = "Points of probability", f"{lead} points of probability = {terms}."
    else:
        odds = exp(explanation.lead)
        shown = f"more than {MOST_ODDS:,}" if odds > MOST_ODDS else f"{odds:.1f}"
        unit, total = "Log-odds", f"{lead} = {terms}; odds e^{lead[1:]} = {shown} to 1."
    pair = escaped_text(f"{explanation.label} against {explanation.runner_up}")
    return (
        f'<table class="answer-parts" aria-live="off"><caption>{unit} of {pair}</caption><tbody>{body}</tbody></table>'
        f'<p aria-live="off" class="sum">{pair}: {escaped_text(total)}</p>'
    )
