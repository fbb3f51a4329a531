"""What the page Query shows where the memory sways an answer."""

import re
import threading
from itertools import pairwise

import numpy as np
import pytest
from phone import PHONE
from playwright.sync_api import expect

from app.parts.answer_bars import SHOWN_CLASSES, what_happened
from app.views import query as query_view
from reaugkd.analysis.what_if import WhatIf, explain_what_if

BARS = "#answer .answer-bars tbody tr"
PARTS = "#answer .answer-parts tbody tr"


@pytest.fixture
def address(serve_model, forgetful):
    return serve_model(forgetful)


@pytest.fixture(scope="module")
def text(forgetful):
    """A text whose answer the memory changes."""
    said = map(forgetful.explain, forgetful.evaluation_rows["text"])
    return next(one.text for one in said if one.label != one.student_label)


@pytest.fixture
def page(open_page, address, text):
    """The page, with that text answered."""
    page = open_page(address)
    expect(page.locator(BARS).first).to_be_visible()
    ask(page, text)
    return page


def ask(page, text):
    page.locator("#text textarea").fill(text)
    expect(page.locator("#answer .asked")).to_have_text(text)


def figures(values):
    return [f"{value:.2f}" for value in values]


def lead_of(explanation):
    """How the page begins the sum of the parts."""
    return f"{explanation.label} against {explanation.runner_up}: {explanation.lead:+.2f} = "


def test_the_box_opens_with_the_first_answer_which_would_overwrite_what_was_typed_before(
    open_page, serve_model, forgetful, monkeypatch
):
    may_come, about_html = threading.Event(), query_view.about_html
    monkeypatch.setattr(query_view, "about_html", lambda model: may_come.wait(300) and about_html(model))
    page = open_page(serve_model(forgetful))
    box = page.locator("#text textarea")
    try:
        expect(box).to_be_visible()
        expect(box).to_be_disabled()
    finally:
        may_come.set()
    ask(page, "plum and pear")
    expect(box).to_have_value("plum and pear")


def test_each_part_is_a_bar_that_begins_where_the_one_before_ends_and_they_add_up(page, forgetful, text):
    said = forgetful.explain(text)
    parts = [said.student_part, *(key.part for key in said.keys)]
    assert sum(parts) == pytest.approx(np.log(said.probabilities.max() / sorted(said.probabilities)[-2]), abs=1e-6)
    expect(page.locator("#answer .sum")).to_contain_text(lead_of(said))
    names = ["student", *(f"{key.name} key" for key in said.keys), "answer"]
    expect(page.locator(f"{PARTS} th")).to_have_text(names)
    reached = np.cumsum([0.0, *parts])
    spans = [*pairwise(reached), (0.0, reached[-1])]
    low, high = min(reached), max(reached)
    for row, (start, end) in zip(page.locator(PARTS).all(), spans, strict=True):
        expect(row.locator("td").last).to_have_text(f"{end - start:+.2f}")
        whole, bar = row.locator(".diverging").bounding_box(), row.locator(".diverging i").bounding_box()
        scale = whole["width"] / (high - low)
        assert bar["width"] == pytest.approx(abs(end - start) * scale, abs=1)
        assert bar["x"] - whole["x"] == pytest.approx((min(start, end) - low) * scale, abs=1)


def test_the_answer_follows_while_one_types(page, forgetful):
    box = page.locator("#text textarea")
    box.fill("")
    box.press_sequentially("rain and plum", delay=30)
    expect(page.locator("#answer .asked")).to_have_text("rain and plum")
    expect(page.locator("#answer .happened")).to_have_text(what_happened(forgetful.explain("rain and plum")))


def test_sliders_and_strikes_move_the_answer_beside_too(page, forgetful, text):
    edit = f"{text} plum"
    page.locator("#beside-it button").first.click()
    expect(page.locator("#edited textarea")).to_have_value(text)
    page.locator("#edited textarea").fill(edit)
    expect(page.locator("#beside .asked")).to_have_text(edit)
    page.locator("#weight input[type=number]").fill("0.9")
    moved = forgetful.explain(edit, retrieval_weight=0.9)
    expect(page.locator("#beside .sum")).to_contain_text(lead_of(moved))
    nearest = forgetful.explain(text).neighbours[0].number
    page.locator(f"[data-strike='{nearest}']").first.click()
    expect(page.locator("#memory-changes")).not_to_be_empty()
    pool = forgetful.pool.overridden(retrieval_weight=0.9)
    without = explain_what_if(forgetful, forgetful.encode([edit]), pool, WhatIf((nearest,), {}))
    expect(page.locator("#beside .sum")).to_contain_text(lead_of(without))


def test_the_address_reopens_what_is_struck_out_and_the_edit_beside(page, open_page, forgetful, text):
    edit = f"{text} plum & pear"
    first, second = (neighbour.number for neighbour in forgetful.explain(text).neighbours[:2])
    other = next(name for name in forgetful.classes_ if name != forgetful.memory.rows["label"].iloc[second])
    page.locator(f"[data-strike='{first}']").first.click()
    expect(page.locator("#memory-changes li")).to_have_count(1)
    page.locator(f"[data-relabel='{second}']").first.select_option(str(other))
    expect(page.locator("#memory-changes li")).to_have_count(2)
    page.locator("#beside-it button").first.click()
    expect(page.locator("#edited textarea")).to_have_value(text)
    page.locator("#edited textarea").fill(edit)
    expect(page.locator("#beside .asked")).to_have_text(edit)
    page.wait_for_function(
        "['edited', 'struck', 'relabelled'].every(part => new URLSearchParams(location.search).has(part))"
        " && new URLSearchParams(location.search).get('edited').endsWith('pear')"
    )
    again, strikes = open_page(page.url), WhatIf((first,), {second: str(other)})
    for seen in (page, again):
        expect(seen.locator("#edited textarea")).to_have_value(edit)
        for place, asked in (("answer", text), ("beside", edit)):
            said = explain_what_if(forgetful, forgetful.encode([asked]), forgetful.pool, strikes)
            expect(seen.locator(f"#{place} .asked")).to_have_text(asked)
            expect(seen.locator(f"#{place} .sum")).to_contain_text(lead_of(said))
        expect(seen.locator(f"[data-strike='{first}']")).to_have_count(0)
        expect(seen.locator(f"[data-relabel='{second}']").first).to_have_value(str(other))
    again.locator("#put-back").click()
    expect(again.locator("#answer .sum")).to_contain_text(lead_of(forgetful.explain(text)))
    again.locator("#edited textarea").fill(text)
    again.wait_for_function("!/edited|struck|relabelled/.test(location.search)")


def test_of_what_a_link_strikes_all_that_cannot_be_is_left_out(open_page, address, forgetful):
    page = open_page(f'{address}?text=iron+and+rain&struck=0-99999&relabelled={{"0":"nowhere","9999":"x"}}')
    expect(page.locator("#answer .asked")).to_have_text("iron and rain")
    expect(page.locator("#answer .sum")).to_contain_text(lead_of(forgetful.explain("iron and rain")))
    expect(page.locator("#memory-changes")).to_be_empty()
    expect(page.locator("#put-back")).to_be_hidden()


def test_a_slider_that_is_moved_unchecks_its_box_and_a_box_that_is_checked_sets_its_sliders(page, forgetful, text):
    weight, k, temperature = (page.locator(f"#{box} input[type=number]") for box in ("weight", "k", "temperature"))
    fitted, chosen = page.locator("#as-fitted input"), page.locator("#as-chosen input")
    lead = page.locator("#answer .sum")
    as_trained = lead.inner_text()
    expect(weight).to_have_value(f"{forgetful.pool.fitted_weight:.2g}")
    weight.fill("0.1")
    expect(fitted).not_to_be_checked()
    expect(chosen).to_be_checked()
    expect(lead).not_to_have_text(as_trained)
    fitted.check()
    expect(weight).to_have_value(f"{forgetful.pool.fitted_weight:.2g}")
    expect(lead).to_have_text(as_trained)
    for box, value in ((k, "2"), (temperature, "0.4")):
        shown = box.input_value()
        box.fill(value)
        expect(chosen).not_to_be_checked()
        expect(fitted).to_be_checked()
        expect(lead).not_to_have_text(as_trained)
        chosen.check()
        expect(box).to_have_value(shown)
        expect(lead).to_have_text(as_trained)


def test_text_answer_neighbours_and_map_are_seen_at_once_and_on_a_phone_the_answer_is_under_the_box(page):
    expect(page.locator("canvas.small-map-canvas")).to_have_attribute("data-points", re.compile("[1-9]"))

    def box(part):
        return page.locator(part).first.bounding_box()

    def end(part):
        return box(part)["y"] + box(part)["height"]

    for width, height in ((1440, 900), (1280, 720)):
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("scrollTo(0, 0)")
        assert box("#answer .gold")["height"] < 30
        rows = page.locator(BARS).count()
        lowest = end("#answer .answer-bars") + (SHOWN_CLASSES - rows) * box(BARS)["height"]
        assert lowest <= height, f"{SHOWN_CLASSES} classes end at {lowest} of {height}"
        for part in ("#text", "#neighbours tbody tr:nth-child(3)", "canvas.small-map-canvas"):
            assert end(part) <= height, part
    page.set_viewport_size(PHONE)
    page.evaluate("scrollTo(0, 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert end("#header h1") <= box("#model")["y"]
    assert box("#model input")["width"] > 60
    assert abs(box("#model input")["y"] - box(".lecture-switch")["y"]) < 20
    assert end("#examples") <= box("#text")["y"]
    assert 0 <= box("#answer")["y"] - end("#text") < 20
    assert end("#answer p.answer") <= PHONE["height"]
    assert end("#answer .answer-bars") <= box("#neighbours")["y"] < end("#neighbours") <= box("#query-map")["y"]


def test_a_text_from_right_to_left_is_aligned_to_the_right(page):
    ask(page, "طعام جيد")
    assert page.locator("#answer .asked").evaluate("asked => getComputedStyle(asked).direction") == "rtl"
    box = page.locator("#text textarea")
    assert box.evaluate("box => [getComputedStyle(box).unicodeBidi, getComputedStyle(box).textAlign]") == [
        "plaintext",
        "start",
    ]
