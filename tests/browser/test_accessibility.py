"""What everyone must be able to do on every page: read it, see where the keyboard is, and go back."""

import re

from axe_playwright_python.sync_playwright import Axe
from phone import PAGES
from playwright.sync_api import expect
from waiting import expect_result

# What a control must show when it is reached by the keyboard; a file's hidden input is drawn by its label.
WITHOUT_A_RING = """() => [...document.querySelectorAll('a[href], button, input, select, summary, textarea, canvas')]
  .filter(part => part.tabIndex >= 0 && !part.disabled && part.checkVisibility({visibilityProperty: true}))
  .filter(part => {
    part.focus({focusVisible: true});
    const {outlineStyle, outlineWidth} = getComputedStyle(part);
    return outlineStyle === 'none' || parseFloat(outlineWidth) < 2;
  }).map(part => part.outerHTML.slice(0, 120))"""
# Texts in smaller letters than so many pixels, in parts of some kind.
SMALLER = """([pixels, kind]) => [...document.querySelectorAll(`.gradio-container :is(${kind})`)].filter(part =>
    part.checkVisibility({visibilityProperty: true, opacityProperty: true})
    && [...part.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim())
    && parseFloat(getComputedStyle(part).fontSize) < pixels)
  .map(part => `${getComputedStyle(part).fontSize} ${part.outerHTML.slice(0, 120)}`)"""


def test_axe_finds_no_fault_in_light_and_dark_and_what_the_keyboard_reaches_has_a_ring(
    open_page, serve_model, forgetful, subtests
):
    address, page = serve_model(forgetful), open_page("about:blank")
    for name in PAGES:
        with subtests.test(name):
            wrong = {}
            for theme in ("light", "dark"):
                page.goto(f"{address}?view={name.lower()}&__theme={theme}")
                expect(page.get_by_role("tab", name=name, selected=True).filter(visible=True)).to_have_count(1)
                expect(page.locator("canvas.map-canvas").last).to_have_attribute("data-points", re.compile("[1-9]"))
                expect(page.get_by_text("Opens with the model.").filter(visible=True)).to_have_count(0)
                expect(page.get_by_label("Empty value").filter(visible=True)).to_have_count(0)  # a plot, not drawn yet
                found = Axe().run(page).response["violations"]
                wrong[theme] = [
                    (rule["id"], rule["help"], node["html"][:200]) for rule in found for node in rule["nodes"]
                ]
            assert wrong == {"light": [], "dark": []}
            assert page.evaluate(WITHOUT_A_RING) == []
            assert page.evaluate(SMALLER, [13, ":not(svg *)"]) == []
            assert page.evaluate(SMALLER, [15, "td, li, label, textarea, input, button.lg, [role=tab]"]) == []
            if name == "Train":  # what changes is read aloud: a training that another test began, or none
                expect(page.locator("#train-status [role=status]")).not_to_be_empty()


def test_back_goes_to_the_page_before_and_then_out_of_the_app(open_page, address):
    page = open_page(address)

    def is_open(name):
        expect(page.get_by_role("tab", name=name, selected=True).filter(visible=True)).to_have_count(1)
        expect_result(page, "() => history.state?.view", name.lower())

    is_open("Query")
    page.locator("#text textarea").fill("iron and steel")
    expect(page).to_have_url(re.compile("iron"))
    for name in ("Errors", "Memory"):
        page.get_by_role("tab", name=name).click()
        is_open(name)
    for step, name in (
        (page.go_back, "Errors"),
        (page.go_back, "Query"),
        (page.go_forward, "Errors"),
        (page.go_back, "Query"),
    ):
        step()
        is_open(name)
    expect(page.locator("#text textarea")).to_have_value("iron and steel")
    page.go_back()
    expect(page).to_have_url("about:blank")
