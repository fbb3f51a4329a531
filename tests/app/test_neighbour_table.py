"""The tables of neighbours, one a key: the answer's numbers, and every text as text."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from app.parts.neighbour_table import neighbour_table
from app.rendering import escaped_text
from reaugkd.method.pool import KeySettings
from reaugkd.model.explanation import explain

NASTY = "<img src=x onerror=\"alert(1)\"> ${alert(2)} {{alert(3)}} `\\` & 'quoted'"


@pytest.fixture(scope="module")
def explanation(pooled_model):
    return pooled_model.explain("iron and pear")


class Cells(HTMLParser):
    """Reads the tables as a browser shows them: by table its caption, and its rows of cells."""

    def __init__(self, tables):
        super().__init__()
        self.captions, self.tables, self.tags = [], [], set()
        self.feed(tables)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "table":
            self.captions.append("")
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_data(self, data):
        if self.tables[-1]:
            self.tables[-1][-1][-1] += data
        else:
            self.captions[-1] += data


def test_each_key_has_a_table_and_the_one_that_adds_most_stands_first(explanation):
    for parts in ((1.25, -2.5), (2.5, -1.25), (-0.5, 0.5)):
        keys = [replace(key, part=part) for key, part in zip(explanation.keys, parts, strict=True)]
        found = Cells(neighbour_table(replace(explanation, keys=keys)))
        adds = [f"adds {parts[0]:+.2f}", f"adds {parts[1]:+.2f}"]
        adds = [f"{said}: speaks for {explanation.runner_up}" if "-" in said else said for said in adds]
        captions = [f"aligned key: 8 nearest, τ 0.1, weight 0.40, {adds[0]}"]
        captions.append(f"text key: 8 nearest, τ 0.1, weight 0.30, {adds[1]}")
        assert found.captions == (captions[::-1] if abs(parts[1]) > abs(parts[0]) else captions)


def test_a_row_for_each_neighbour_says_its_numbers(explanation):
    found = Cells(neighbour_table(explanation))
    keys = sorted(explanation.keys, key=lambda key: -abs(key.part))
    for (head, *rows), key in zip(found.tables, keys, strict=True):
        assert head == [
            *("rank", "text", "label", "teacher's soft label", "similarity", "weight"),
            *("share of the answer", "share of the runner-up", "topic"),
        ]
        for cells, neighbour in zip(rows, key.neighbours, strict=True):
            wanted = [
                *(str(neighbour.rank), neighbour.text, neighbour.label),
                *(f"{neighbour.similarity:.3f}", f"{neighbour.weight:.3f}"),
                *(f"{100 * neighbour.share:.1f}%", f"{100 * neighbour.runner_up_share:.1f}%"),
                neighbour.columns["topic"],
            ]
            assert cells[:3] + cells[4:] == wanted


def test_a_key_without_a_weight_says_so(pooled_model):
    keys = pooled_model.pool.keys | {"aligned": KeySettings(4, 0.2)}
    pool = replace(pooled_model.pool, keys=keys)
    found = Cells(neighbour_table(explain(pooled_model.answer(pooled_model.encode(["iron and pear"]), pool))))
    assert found.captions[1] == "aligned key: 4 nearest, τ 0.2, has no weight"
    alone = Cells(neighbour_table(pooled_model.explain("iron and pear", retrieval_weight=0.0)))
    assert [caption.split(", ")[2] for caption in alone.captions] == ["has no weight"] * 2


def test_the_key_that_decided_about_a_new_class_stands_first(gadget_model):
    encoded = gadget_model.encode(["the shiny gadget hums"])
    for name in ("aligned", "text"):
        explanation = explain(gadget_model.answer(encoded, replace(gadget_model.pool, new_class_key=name)))
        assert explanation.label == "gadget"
        first, second = Cells(neighbour_table(explanation)).captions
        assert first.startswith(f"{name} key: 8 nearest, ")
        assert first.endswith(", decides about new classes")
        assert second.endswith(", adds +0.00")


def test_in_a_linear_pool_a_key_adds_points_of_probability(explanation):
    pool = replace(explanation.pool, kind="linear", retrieval_weight=0.5)
    keys = [replace(key, part=part) for key, part in zip(explanation.keys, (0.125, -0.0001), strict=True)]
    captions = Cells(neighbour_table(replace(explanation, pool=pool, keys=keys))).captions
    assert [caption.split(", ")[-1] for caption in captions] == ["adds +12.5", "adds +0.0"]


def test_a_row_that_the_teacher_labelled_says_so(explanation):
    key = explanation.keys[0]
    neighbours = [
        replace(neighbour, columns={"labelled_by": by, "topic": "home"})
        for neighbour, by in zip(key.neighbours, ("teacher", "", "teacher"), strict=False)
    ]
    (head, *rows), _ = Cells(
        neighbour_table(replace(explanation, keys=[replace(key, neighbours=neighbours, part=9.0), explanation.keys[1]]))
    ).tables
    assert head[-1] == "topic"
    ends = (" by the teacher", "", " by the teacher")
    assert [row[2] for row in rows] == [near.label + end for near, end in zip(neighbours, ends, strict=True)]


def test_the_soft_label_is_drawn_as_bars_as_long_as_its_probabilities(explanation):
    key = explanation.keys[0]
    neighbour = replace(key.neighbours[0], soft_labels=np.asarray([0.6, 0.4, 0.001]))
    table = neighbour_table(replace(explanation, keys=[replace(key, neighbours=[neighbour])]))
    assert [int(width) for width in re.findall(r"width:(\d+)px", table)] == [54, 36]
    first, second, _ = explanation.classes
    assert Cells(table).tables[0][1][3] == f"{first} 0.60{second} 0.40"


def test_every_text_in_the_table_is_shown_as_text(explanation):
    keys = [
        replace(
            key,
            part=-1.0,
            neighbours=[replace(n, text=NASTY, label=NASTY, columns={NASTY: NASTY}) for n in key.neighbours],
        )
        for key in explanation.keys
    ]
    table = neighbour_table(replace(explanation, keys=keys, classes=(NASTY,) * 3, runner_up=NASTY))
    found = Cells(table)
    assert found.tags == {"table", "caption", "b", "thead", "tbody", "tr", "th", "td", "div", "span"}
    for rows, caption in zip(found.tables, found.captions, strict=True):
        assert [row[1] for row in rows[1:]] == [NASTY] * 8
        assert caption.endswith(f"speaks for {NASTY}")
    assert not set("${}`\\") & set(table)


def test_an_escaped_text_reads_back_as_it_was():
    assert html.unescape(escaped_text(NASTY)) == NASTY
    assert not set("<>${}`\\'\"") & set(escaped_text(NASTY))


def test_a_row_can_be_struck_out_or_relabelled_where_classes_are_given(pooled_model):
    explanation = pooled_model.explain("iron and rain", k=3)
    tables = neighbour_table(explanation, explanation.classes).split("</table>")
    for table, key in zip(tables, explanation.keys_by_part, strict=False):
        assert Cells(table).tables[0][0][2:4] == ["label", "what if"]
        for neighbour in key.neighbours:
            assert f'data-strike="{neighbour.number}"' in table
            menu = table.split(f'data-relabel="{neighbour.number}"')[1].split("</select>")[0]
            assert f"<option selected>{neighbour.label}</option>" in menu
            assert menu.count("<option") == len(explanation.classes)
    assert "data-strike" not in neighbour_table(explanation)
