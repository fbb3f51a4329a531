"""Lecture mode: large letters, one part of a page at a time, by keys and buttons, on every page."""

import re

import pytest
from phone import LAPTOP, PAGES
from playwright.sync_api import expect

SMALLEST = """() => Math.min(...[...document.querySelectorAll('.gradio-container *')]
  .filter(part => part.checkVisibility({visibilityProperty: true, opacityProperty: true}))
  .filter(part => [...part.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim()))
  .map(part => parseFloat(getComputedStyle(part).fontSize)))"""


@pytest.mark.slow  # every step of every page
def test_each_step_of_a_page_shows_a_part_of_it_in_large_letters(open_page, serve_model, forgetful, subtests):
    address, page = serve_model(forgetful), open_page("about:blank")
    step, forward = page.locator(".lecture-step"), page.locator(".lecture-forward")
    for name in PAGES:
        seen = []
        with subtests.test(name):
            page.goto(f"{address}?view={name.lower()}&lecture=1")
            expect(page.get_by_role("tab", name=name, selected=True).filter(visible=True)).to_have_count(1)
            while True:
                expect(step).to_have_text(re.compile(f"^{name}, {len(seen) + 1} of "))
                seen.append(step.inner_text())
                assert page.evaluate(SMALLEST) >= 18, seen
                assert page.evaluate("document.documentElement.scrollWidth") <= LAPTOP["width"], seen
                if forward.is_disabled():
                    break
                forward.click()
            assert len(set(seen)) == len(seen)


def test_keys_and_a_presenters_remote_step_and_typing_goes_on(open_page, address):
    page = open_page(address)
    expect(page.locator("#answer .sum")).to_be_visible()
    page.locator(".lecture-switch").click()
    step = page.locator(".lecture-step")
    expect(step).to_contain_text("Query, 1 of")
    expect(page.locator("#text textarea")).to_be_visible()
    expect(page.locator("#answer")).to_be_hidden()
    page.locator("#text textarea").fill("iron and steel")
    page.keyboard.press("ArrowLeft")  # it moves in the text
    expect(step).to_contain_text("Query, 1 of")
    page.keyboard.press("PageDown")
    expect(step).to_contain_text("Query, 2 of")
    expect(page.locator("#answer .asked")).to_have_text("iron and steel")
    expect(page.locator("#answer td:has(.student)").first).to_be_visible()
    expect(page.locator("#answer td:has(.memory)").first).to_be_hidden()
    page.locator(".lecture-step").click()
    page.evaluate("document.activeElement.blur()")
    for number, key in ((3, "ArrowRight"), (4, "PageDown"), (3, "PageUp"), (2, "ArrowLeft")):
        page.keyboard.press(key)
        expect(step).to_contain_text(f"Query, {number} of")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#answer .answer-parts tbody tr").filter(visible=True)).to_have_count(1)
    page.get_by_role("tab", name="Errors").click()
    expect(step).to_contain_text("Errors, 1 of")
    expect(page).to_have_url(re.compile("(?=.*lecture=1)(?=.*view=errors)"))
    page.get_by_role("tab", name="Query").click()
    expect(step).to_contain_text("Query, 3 of")
    page.keyboard.press("Escape")
    expect(page.locator(".lecture-bar")).to_be_hidden()
    expect(page.locator("#text textarea")).to_be_visible()
    assert "lecture" not in page.url
