"""The neighbours of an answer as an HTML table, for the app and the notebooks; every text in it is shown as text."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reaugkd.figures import OTHER_COLOUR, PALETTE

if TYPE_CHECKING:
    from reaugkd.inference import Explanation, Neighbour

SHOWN_CLASSES = 3


def neighbour_table(explanation: "Explanation", relabel_as: Sequence[str] = ()) -> str:
    """Make a table of rank, text, gold label, the teacher's soft label as bars, similarity, weight and share.

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
        HTML of one table; texts are escaped, curly brackets and backticks too, since some pages fill templates.
    """
    heads: tuple[str, ...] = (
        "rank",
        "text",
        "gold label",
        "teacher's soft label",
        "similarity",
        "weight",
        "share of the answer",
    )
    columns = list(explanation.neighbours[0].columns)
    heads = (*heads[:3], "think otherwise", *heads[3:]) if relabel_as else heads
    head = "".join(f"<th>{escaped_text(name)}</th>" for name in (*heads, *columns))
    body = "".join(_row(neighbour, explanation.classes, columns, relabel_as) for neighbour in explanation.neighbours)
    return f'<table class="neighbours"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _row(neighbour: "Neighbour", classes: tuple[str, ...], columns: list[str], relabel_as: Sequence[str]) -> str:
    extra = "".join(f"<td>{escaped_text(str(neighbour.columns[name]))}</td>" for name in columns)
    return (
        f'<tr><td>{neighbour.rank}</td><td class="text">{escaped_text(neighbour.text)}</td>'
        f"<td>{escaped_text(neighbour.label)}</td>{_edits(neighbour, relabel_as)}<td>{_bars(neighbour, classes)}</td>"
        f"<td>{neighbour.similarity:.3f}</td><td>{neighbour.weight:.3f}</td><td>{neighbour.share:.1%}</td>{extra}</tr>"
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
    escaped = html.escape(text, quote=True)
    for character in "{}$`\\":
        escaped = escaped.replace(character, f"&#{ord(character)};")
    return escaped
