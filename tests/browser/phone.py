"""What every page must keep on a laptop and on a phone, in both themes, for everyone."""

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from waiting import expect_result

PAGES = ("Learn", "Query", "Errors", "Memory", "Label", "Compare", "Train")
LAPTOP, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
FAINT = """([names, dark]) => names.filter(name => {
  const [red, green, blue] = getComputedStyle(document.querySelector(name)).color.match(/\\d+/g).map(Number);
  const brightness = (red + green + blue) / 3;
  return dark ? brightness <= 180 : brightness >= 90;
})"""
PAINTED = """dark => {
  document.body.classList.toggle('dark', dark);
  return new Promise(requestAnimationFrame).then(() =>
    Promise.allSettled(document.getAnimations().map(one => one.finished))).then(() => null);
}"""
WIDTH = "() => document.documentElement.scrollWidth"
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


def assert_it_fits(page, parts, texts):
    """Check a page that is open on a phone in the dark theme: its tabs, its width, and that its texts stand out."""
    pages = page.locator("#views > .tab-wrapper").get_by_role("tab")  # some pages have tabs of their own
    expect(pages.filter(visible=True)).to_have_count(len(PAGES))
    assert page.evaluate(WIDTH) <= PHONE["width"]
    for part in parts:
        box = page.locator(part).bounding_box()
        assert box["x"] + box["width"] <= PHONE["width"], part
    expect_result(page, FAINT, [], [list(texts), True])


def assert_it_reads(page, parts, texts):
    """Check the same, and then in the light theme and on a laptop."""
    assert_it_fits(page, parts, texts)
    page.evaluate("document.body.classList.remove('dark')")
    expect_result(page, FAINT, [], [list(texts), False])
    page.set_viewport_size(LAPTOP)
    expect_result(page, WIDTH, LAPTOP["width"])


def assert_anyone_can_use_it(page, name):
    """Let axe look for faults in both themes, and look for rings and small letters, on a page that is whole."""
    expect(page.locator("canvas.map-canvas").last).to_have_attribute("data-points", re.compile("[1-9]"))
    expect(page.get_by_text("Opens with the model.").filter(visible=True)).to_have_count(0)
    expect(page.get_by_label("Empty value").filter(visible=True)).to_have_count(0)  # a plot, not drawn yet
    wrong = {}
    for is_dark in (False, True):
        page.evaluate(PAINTED, is_dark)
        found = Axe().run(page).response["violations"]
        wrong[is_dark] = [(rule["id"], rule["help"], node["html"][:200]) for rule in found for node in rule["nodes"]]
    assert wrong == {False: [], True: []}, wrong
    assert page.evaluate(WITHOUT_A_RING) == []
    for smallest, kind in ((13, ":not(svg *)"), (15, "td, li, label, textarea, input, button.lg, [role=tab]")):
        small = page.evaluate(SMALLER, [smallest, kind])
        assert small == [], small
    if name == "Train":  # what changes is read aloud: a training that another test began, or none
        expect(page.locator("#train-status [role=status]")).not_to_be_empty()
