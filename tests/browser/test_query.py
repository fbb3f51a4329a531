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
ROWS, MAPS = "#neighbours tbody tr", "canvas.map-canvas"
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


def test_the_answer_follows_what_one_types_and_its_bars_begin_where_the_one_before_ends(page, forgetful, text):
    said = forgetful.explain(text)
    parts = [said.student_part, *(key.part for key in said.keys)]
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
    box = page.locator("#text textarea")
    box.fill("")
    box.press_sequentially("rain and plum", delay=30)
    expect(page.locator("#answer .asked")).to_have_text("rain and plum")
    expect(page.locator("#answer .happened")).to_have_text(what_happened(forgetful.explain("rain and plum")))
    expect(page.locator("#answer [role=status] p.answer")).to_be_visible()  # what is read aloud, and what is not
    expect(page.locator("#answer .answer-bars")).to_have_attribute("aria-live", "off")
    ask(page, "طعام جيد")
    assert page.locator("#answer .asked").evaluate("asked => getComputedStyle(asked).direction") == "rtl"
    look = "box => [getComputedStyle(box).unicodeBidi, getComputedStyle(box).textAlign]"
    assert box.evaluate(look) == ["plaintext", "start"]


def test_an_edit_is_answered_beside_the_text_and_follows_sliders_and_strikes(page, forgetful, text):
    edit, edited, beside = f"{text} plum", page.locator("#edited textarea"), page.locator("#beside")
    page.locator("#beside-it button").first.click()
    expect(edited).to_have_value(text)
    edited.fill(edit)
    expect(beside.locator(".asked")).to_have_text(edit)
    expect(beside.locator(".answer b")).to_have_text(forgetful.explain(edit).label)
    expect(page.locator("#answer .asked")).to_have_text(text)
    edited.fill("  ")
    expect(beside.locator("[role=alert]")).to_contain_text("is empty")
    edited.fill(edit)
    expect(beside.locator(".asked")).to_have_text(edit)
    page.locator("#weight input[type=number]").fill("0.9")
    expect(beside.locator(".sum")).to_contain_text(lead_of(forgetful.explain(edit, retrieval_weight=0.9)))
    nearest = forgetful.explain(text).neighbours[0].number
    page.locator(f"[data-strike='{nearest}']").first.click()
    expect(page.locator("#memory-changes")).not_to_be_empty()
    pool = forgetful.pool.overridden(retrieval_weight=0.9)
    without = explain_what_if(forgetful, forgetful.encode([edit]), pool, WhatIf((nearest,), {}))
    expect(beside.locator(".sum")).to_contain_text(lead_of(without))
    ask(page, "rain and fog")  # another text takes the place of the edit
    expect(edited).to_have_value("rain and fog")
    expect(beside.locator(".asked")).to_have_count(0)


def test_strikes_and_labels_change_the_answer_at_once_and_the_keyboard_stays_where_it_is(page, forgetful, text):
    said = forgetful.explain(text)
    key, lead, changes = said.keys_by_part[0], page.locator("#answer .sum"), page.locator("#memory-changes li")
    texts = page.locator(f"{ROWS} summary")
    expect(texts).to_have_text([neighbour.text for neighbour in key.neighbours])
    page.locator("#flip").click()
    expect(page.locator("#flipped p")).to_be_visible()
    second = page.locator(f"{ROWS} [data-strike]").nth(1)
    number = int(second.get_attribute("data-strike"))
    second.press("Enter")
    expect(page.locator(f"[data-strike='{number}']")).to_have_count(0)
    expect(second).to_be_focused()
    expect(page.locator("#flipped p")).to_have_count(0)  # it was of the answer before
    without = explain_what_if(forgetful, forgetful.encode([text]), forgetful.pool, WhatIf((number,), {}))
    expect(lead).to_contain_text(lead_of(without))
    (shown,) = [one for one in without.keys if one.name == key.name]
    expect(texts).to_have_text([neighbour.text for neighbour in shown.neighbours])
    menu = page.locator(f"{ROWS} [data-relabel]").nth(2)
    own = menu.input_value()
    menu.focus()
    menu.select_option(next(name for name in forgetful.classes_ if name != own))
    expect(changes).to_have_count(2)
    expect(menu).to_be_focused()
    menu.select_option(own)  # puts the memory back
    expect(changes).to_have_count(1)
    expect(lead).to_contain_text(lead_of(without))
    page.locator("#put-back").click()
    expect(lead).to_contain_text(lead_of(said))
    expect(changes).to_have_count(0)
    expect(page.locator("#put-back")).to_be_hidden()


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
    expect(page).to_have_url(re.compile("(?=.*struck=)(?=.*relabelled=)(?=.*edited=[^&]*pear(&|$))"))
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
    expect(again).not_to_have_url(re.compile("edited|struck|relabelled"))


def test_what_a_link_asks_and_cannot_be_is_left_out_or_told(open_page, address, forgetful):
    nonsense = 'colour=nowhere&shown=cellar&selected=3-5&struck=0-99999&relabelled={"0":"nowhere","9999":"x"}'
    page = open_page(f"{address}?text=iron+and+rain&{nonsense}")
    expect(page.locator("#answer .asked")).to_have_text("iron and rain")
    expect(page.locator("#answer .sum")).to_contain_text(lead_of(forgetful.explain("iron and rain")))
    expect(page.locator("#memory-changes")).to_be_empty()
    expect(page.locator("#put-back")).to_be_hidden()
    for attribute, value in (("selected", "3"), ("column", "label"), ("shown", "all")):
        expect(page.locator(MAPS)).to_have_attribute(f"data-{attribute}", value)
    expect(page.locator("#colour input")).to_have_value("label")
    page.goto(f"{address}?k=many")
    expect(page.get_by_text("k='many' is not a number from 1 to 1e9")).to_be_visible()
    expect(page.locator(ROWS).first).to_be_visible()


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
    page.evaluate("""() => {
      for (const [id, value] of [['weight', '0.5'], ['k', '3']]) {
        const number = document.querySelector(`#${id} input[type=number]`);
        number.value = value;
        number.dispatchEvent(new Event('input', {bubbles: true}));
      }
    }""")  # both at once: neither may lose the other
    expect(page.locator(ROWS)).to_have_count(3)
    shown = float(temperature.input_value())
    expect(lead).to_contain_text(lead_of(forgetful.explain(text, k=3, retrieval_weight=0.5, temperature=shown)))
    for box in (fitted, chosen):
        expect(box).not_to_be_checked()


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
