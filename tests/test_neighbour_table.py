"""The table of neighbours: the answer's numbers, and every text as text."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from reaugkd.neighbour_table import escaped_text, neighbour_table

NASTY = "<img src=x onerror=\"alert(1)\"> ${alert(2)} {{alert(3)}} `\\` & 'quoted'"


@pytest.fixture(scope="module")
def explanation(toy_model):
    return toy_model.explain("iron and steel with rain", k=5, retrieval_weight=0.3, temperature=0.1)


class Cells(HTMLParser):
    """Reads the table's cells as a browser shows them."""

    def __init__(self, table):
        super().__init__()
        self.rows, self.tags = [], set()
        self.feed(table)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data):
        self.rows[-1][-1] += data


def test_a_row_for_each_neighbour_says_its_numbers(explanation):
    head, *rows = Cells(neighbour_table(explanation)).rows
    assert head == [
        *("rank", "text", "gold label", "teacher's soft label"),
        *("similarity", "weight", "share of the answer", "topic"),
    ]
    for cells, neighbour in zip(rows, explanation.neighbours, strict=True):
        wanted = [
            *(str(neighbour.rank), neighbour.text, neighbour.label),
            *(f"{neighbour.similarity:.3f}", f"{neighbour.weight:.3f}"),
            *(f"{100 * neighbour.share:.1f}%", neighbour.columns["topic"]),
        ]
        assert cells[:3] + cells[4:] == wanted


def test_the_soft_label_is_drawn_as_bars_as_long_as_its_probabilities(explanation):
    neighbour = replace(explanation.neighbours[0], soft_labels=explanation.neighbours[0].soft_labels * 0)
    neighbour.soft_labels[:] = (0.6, 0.4, 0.001)
    table = neighbour_table(replace(explanation, neighbours=[neighbour]))
    assert [int(width) for width in re.findall(r"width:(\d+)px", table)] == [54, 36]
    first, second, _ = explanation.classes
    assert Cells(table).rows[1][3] == f"{first} 0.60{second} 0.40"


def test_every_text_in_the_table_is_shown_as_text(explanation):
    columns = {NASTY: NASTY}
    neighbours = [replace(n, text=NASTY, label=NASTY, columns=columns) for n in explanation.neighbours]
    answer = replace(explanation, neighbours=neighbours, classes=(NASTY,) * 3)
    table = neighbour_table(answer)
    parsed = Cells(table)
    assert parsed.tags == {"table", "thead", "tbody", "tr", "th", "td", "div", "span"}
    assert [row[1] for row in parsed.rows[1:]] == [NASTY] * 5
    assert not set("${}`\\") & set(table)


def test_an_escaped_text_reads_back_as_it_was():
    assert html.unescape(escaped_text(NASTY)) == NASTY
    assert not set("<>${}`\\'\"") & set(escaped_text(NASTY))


def test_a_row_can_be_struck_out_or_relabelled_where_classes_are_given(toy_model):
    explanation = toy_model.explain("iron and rain", k=3)
    table = neighbour_table(explanation, explanation.classes)
    for neighbour in explanation.neighbours:
        assert f'data-strike="{neighbour.number}"' in table
        menu = table.split(f'data-relabel="{neighbour.number}"')[1].split("</select>")[0]
        assert f"<option selected>{neighbour.label}</option>" in menu
        assert menu.count("<option") == len(explanation.classes)
    assert "data-strike" not in neighbour_table(explanation)
