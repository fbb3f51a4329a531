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
        captions = [f"aligned key: {adds[0]}, weight 0.40, 8 nearest, τ 0.1"]
        captions.append(f"text key: {adds[1]}, weight 0.30, 8 nearest, τ 0.1")
        assert found.captions == (captions[::-1] if abs(parts[1]) > abs(parts[0]) else captions)


def test_a_row_for_each_neighbour_says_its_numbers(explanation):
    found = Cells(neighbour_table(explanation))
    keys = sorted(explanation.keys, key=lambda key: -abs(key.part))
    for (head, *rows), key in zip(found.tables, keys, strict=True):
        assert head == ["#", "text", "label", "similarity"]
        for (rank, text, label, similarity), neighbour in zip(rows, key.neighbours, strict=True):
            assert (rank, label, similarity) == (str(neighbour.rank), neighbour.label, f"{neighbour.similarity:.2f}")
            assert text.startswith(neighbour.text)  # the rest opens below it
            shares = f"{100 * neighbour.share:.1f}%, of the runner-up {100 * neighbour.runner_up_share:.1f}%"
            wanted = f"weight {neighbour.weight:.3f}, share of the answer {shares}topic: {neighbour.columns['topic']}"
            assert text.endswith(wanted)


def test_one_key_alone_is_shown_where_one_is_named(explanation):
    for name in ("aligned", "text"):
        (caption,) = Cells(neighbour_table(explanation, only=name)).captions
        assert caption.startswith(f"{name} key: ")


@pytest.mark.parametrize(("k", "words"), [(8, None), (9, "show all 9"), (64, "show all 64")])
def test_of_many_neighbours_one_can_ask_to_see_all(pooled_model, k, words):
    table = neighbour_table(pooled_model.explain("iron and pear", k=k), only="text")
    assert len(Cells(table).tables[0]) == 1 + k
    assert re.findall("show all [0-9]+", table) == ([words] if words else [])


def test_a_key_without_a_weight_says_so(pooled_model):
    keys = pooled_model.pool.keys | {"aligned": KeySettings(4, 0.2)}
    pool = replace(pooled_model.pool, keys=keys)
    found = Cells(neighbour_table(explain(pooled_model.answer(pooled_model.encode(["iron and pear"]), pool))))
    assert found.captions[1] == "aligned key: has no weight, 4 nearest, τ 0.2"
    alone = Cells(neighbour_table(pooled_model.explain("iron and pear", retrieval_weight=0.0)))
    assert [caption.split(": ")[1].split(", ")[0] for caption in alone.captions] == ["has no weight"] * 2


def test_the_key_that_decided_about_a_new_class_stands_first(gadget_model):
    encoded = gadget_model.encode(["the shiny gadget hums"])
    for name in ("aligned", "text"):
        explanation = explain(gadget_model.answer(encoded, replace(gadget_model.pool, new_class_key=name)))
        assert explanation.label == "gadget"
        first, second = Cells(neighbour_table(explanation)).captions
        assert first.startswith(f"{name} key: decides about new classes, ")
        assert ": adds +0.00, " in second


def test_in_a_linear_pool_a_key_adds_points_of_probability(explanation):
    pool = replace(explanation.pool, kind="linear", retrieval_weight=0.5)
    keys = [replace(key, part=part) for key, part in zip(explanation.keys, (0.125, -0.0001), strict=True)]
    captions = Cells(neighbour_table(replace(explanation, pool=pool, keys=keys))).captions
    assert [caption.split(", ")[0] for caption in captions] == ["aligned key: adds +12.5", "text key: adds +0.0"]


def test_a_row_that_the_teacher_labelled_says_so(explanation):
    key = explanation.keys[0]
    neighbours = [
        replace(neighbour, columns={"labelled_by": by, "topic": "home"})
        for neighbour, by in zip(key.neighbours, ("teacher", "", "teacher"), strict=False)
    ]
    (_, *rows), _ = Cells(
        neighbour_table(replace(explanation, keys=[replace(key, neighbours=neighbours, part=9.0), explanation.keys[1]]))
    ).tables
    assert all(row[1].endswith("topic: home") for row in rows)
    ends = (" by the teacher", "", " by the teacher")
    assert [row[2] for row in rows] == [near.label + end for near, end in zip(neighbours, ends, strict=True)]


def test_a_row_that_a_person_added_or_relabelled_says_whose_its_label_is(gadget_model):
    html = neighbour_table(gadget_model.explain("the shiny gadget hums"))
    edited = gadget_model.memory.rows["edited"] != ""
    assert html.count("<small>your label</small>") == sum(
        bool(edited[one.number]) for key in gadget_model.explain("the shiny gadget hums").keys for one in key.neighbours
    )
    assert "your label" in html


def test_the_soft_label_is_drawn_as_bars_as_long_as_its_probabilities(explanation):
    key = explanation.keys[0]
    neighbour = replace(key.neighbours[0], soft_labels=np.asarray([0.6, 0.4, 0.001]))
    table = neighbour_table(replace(explanation, keys=[replace(key, neighbours=[neighbour])]))
    assert [int(width) for width in re.findall(r"width:(\d+)px", table)] == [54, 36]
    first, second, _ = explanation.classes
    assert f"{first} 0.60{second} 0.40" in Cells(table).tables[0][1][1]


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
    assert "img" not in found.tags
    for rows, caption in zip(found.tables, found.captions, strict=True):
        assert all(row[1].startswith(NASTY) and row[1].endswith(f"{NASTY}: {NASTY}") for row in rows[1:])
        assert f"speaks for {NASTY}, weight" in caption
    assert not set("${}`\\") & set(table)


def test_an_escaped_text_reads_back_as_it_was():
    assert html.unescape(escaped_text(NASTY)) == NASTY
    assert not set("<>${}`\\'\"") & set(escaped_text(NASTY))


def test_a_row_can_be_struck_out_or_relabelled_where_classes_are_given(pooled_model):
    explanation = pooled_model.explain("iron and rain", k=3)
    tables = neighbour_table(explanation, explanation.classes).split("</table>")
    for table, key in zip(tables, explanation.keys_by_part, strict=False):
        assert Cells(table).tables[0][0][2] == "label, what if"
        for neighbour in key.neighbours:
            assert f'data-strike="{neighbour.number}"' in table
            menu = table.split(f'data-relabel="{neighbour.number}"')[1].split("</select>")[0]
            assert f"<option selected>{neighbour.label}</option>" in menu
            assert menu.count("<option") == len(explanation.classes)
    assert "data-strike" not in neighbour_table(explanation)
