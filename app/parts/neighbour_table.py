"""The neighbours of an answer as HTML tables, for the app and the notebooks; every text in it is shown as text."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reaugkd.plots.figures import OTHER_COLOUR, PALETTE

if TYPE_CHECKING:  # a page that draws does not wait for FAISS
    from reaugkd.model.explanation import Explanation, KeyPart, Neighbour

SHOWN_CLASSES = 3
FILLS_TEMPLATES = {ord(character): f"&#{ord(character)};" for character in "{}$`\\"}
NO_SAY = "has no say"
LABELLED_BY = "labelled_by"  # as in reaugkd.method.memory


def neighbour_table(explanation: "Explanation", relabel_as: Sequence[str] = ()) -> str:
    """Make a table for each key of the memory, the key that adds most to the answer first.

    Parameters
    ----------
    explanation : Explanation
        The answer.
    relabel_as : sequence of str
        Classes; where there are some, each row has a menu of them and a button to strike it out, which carry the
        memory's number as ``data-relabel`` and ``data-strike``.

    Returns
    -------
    str
        HTML, a table a key. The caption says how the key is searched, what it weighs and what it adds; a row has rank,
        text, label, the teacher's soft label as bars, similarity, weight, and the neighbour's shares of what the key
        gives to the answer and to the runner-up. Texts are escaped, curly brackets and backticks too, since some pages
        fill templates.
    """
    tables = (_table(explanation, key, relabel_as) for key in explanation.keys_by_part)
    return "".join(f'<div class="neighbours-of-key">{table}</div>' for table in tables)  # so that each can scroll


def what_it_adds(explanation: "Explanation", key: "KeyPart") -> str:
    """Say in a few words what a key adds to an answer.

    Parameters
    ----------
    explanation : Explanation
        The answer.
    key : KeyPart
        One of its keys.

    Returns
    -------
    str
        Plain text.
    """
    if key.part:
        return adds(explanation, key.part)
    if explanation.new_classes_part and key.name == explanation.pool.new_class_key:
        return "decides about new classes"
    return adds(explanation, 0.0) if key.settings.weight else NO_SAY


def adds(explanation: "Explanation", part: float) -> str:
    """Say what a part adds to an answer, and for whom it speaks where it is below 0."""
    said = signed(explanation, part)
    return f"adds {said}" + (f": speaks for {explanation.runner_up}" if said.startswith("-") else "")


def signed(explanation: "Explanation", part: float) -> str:
    """Write a part of an answer: log-odds, or in a linear pool points of probability."""
    digits, scale = (1, 100) if explanation.pool.kind == "linear" else (2, 1)
    return f"{round(scale * part, digits) + 0.0:+.{digits}f}"  # + 0.0: a rounded minus zero has no sign


def _table(explanation: "Explanation", key: "KeyPart", relabel_as: Sequence[str]) -> str:
    columns = [name for name in key.neighbours[0].columns if name != LABELLED_BY]
    heads = ["rank", "text", "label", *(["think otherwise"] if relabel_as else []), "teacher's soft label"]
    heads += ["similarity", "weight", "share of the answer", "share of the runner-up", *columns]
    head = "".join(f"<th>{escaped_text(name)}</th>" for name in heads)
    body = "".join(_row(neighbour, explanation.classes, columns, relabel_as) for neighbour in key.neighbours)
    weight = f"weight {key.settings.weight:.2f}, " if key.settings.weight else ""
    caption = (
        f"<b>{escaped_text(key.name)} key</b>: {len(key.neighbours)} nearest, τ {key.settings.temperature:g}, {weight}"
        f"{escaped_text(what_it_adds(explanation, key))}"
    )
    return (
        f'<table class="neighbours" data-key="{escaped_text(key.name)}"><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _row(neighbour: "Neighbour", classes: tuple[str, ...], columns: list[str], relabel_as: Sequence[str]) -> str:
    extra = "".join(f"<td>{escaped_text(str(neighbour.columns[name]))}</td>" for name in columns)
    by_teacher = " <small>by the teacher</small>" if neighbour.columns.get(LABELLED_BY) == "teacher" else ""
    return (
        f'<tr><td>{neighbour.rank}</td><td class="text">{escaped_text(neighbour.text)}</td>'
        f"<td>{escaped_text(neighbour.label)}{by_teacher}</td>{_edits(neighbour, relabel_as)}"
        f"<td>{_bars(neighbour, classes)}</td><td>{neighbour.similarity:.3f}</td><td>{neighbour.weight:.3f}</td>"
        f"<td>{neighbour.share:.1%}</td><td>{neighbour.runner_up_share:.1%}</td>{extra}</tr>"
    )


def _edits(neighbour: "Neighbour", relabel_as: Sequence[str]) -> str:
    if not relabel_as:
        return ""
    options = "".join(
        f"<option{' selected' if name == neighbour.label else ''}>{escaped_text(name)}</option>" for name in relabel_as
    )
    number, said = neighbour.number, escaped_text(neighbour.text[:60])
    return (
        f'<td class="edits"><button data-strike="{number}" aria-label="strike out: {said}">strike out</button>'
        f'<select data-relabel="{number}" aria-label="another label for: {said}">{options}</select></td>'
    )


def _bars(neighbour: "Neighbour", classes: tuple[str, ...]) -> str:
    """Draw the likeliest classes; those under half a percent would be too short to see."""
    bars = ""
    for number in (-neighbour.soft_labels).argsort(kind="stable")[:SHOWN_CLASSES]:
        probability = float(neighbour.soft_labels[number])
        if probability < 0.005:
            continue
        colour = PALETTE[number] if len(classes) <= len(PALETTE) else OTHER_COLOUR
        bars += (
            '<div class="soft-label" style="display:flex;align-items:center;gap:6px;white-space:nowrap">'
            f'<span style="display:inline-block;height:10px;width:{max(2, round(90 * probability))}px;'
            f'background:{colour}"></span><span>{escaped_text(classes[number])} {probability:.2f}</span></div>'
        )
    return bars


def escaped_text(text: str) -> str:
    """Escape a text so that a page shows it as text, also where it fills a template.

    Parameters
    ----------
    text : str
        Anything that a person wrote.

    Returns
    -------
    str
        HTML without a tag; curly brackets, dollar signs, backticks and backslashes are escaped too.
    """
    return html.escape(text).translate(FILLS_TEMPLATES)
