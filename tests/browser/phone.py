"""What every page must keep on a laptop and on a phone, and in both themes."""

from playwright.sync_api import expect
from waiting import expect_result

PAGES = ("Learn", "Query", "Errors", "Memory", "Label", "Compare", "Train")
LAPTOP, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
FAINT = """([names, dark]) => names.filter(name => {
  const [red, green, blue] = getComputedStyle(document.querySelector(name)).color.match(/\\d+/g).map(Number);
  const brightness = (red + green + blue) / 3;
  return dark ? brightness <= 180 : brightness >= 90;
})"""
WIDTH = "() => document.documentElement.scrollWidth"


def assert_it_reads(page, parts, texts):
    """Check a page that was opened on a phone in the dark theme: its tabs, its width, and that its texts stand out."""
    pages = page.locator("#views > .tab-wrapper").get_by_role("tab")  # some pages have tabs of their own
    expect(pages.filter(visible=True)).to_have_count(len(PAGES))
    assert page.evaluate(WIDTH) <= PHONE["width"]
    for part in parts:
        box = page.locator(part).bounding_box()
        assert box["x"] + box["width"] <= PHONE["width"], part
    for is_dark in (True, False):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", is_dark)
        expect_result(page, FAINT, [], [list(texts), is_dark])
    page.set_viewport_size(LAPTOP)
    expect_result(page, WIDTH, LAPTOP["width"])
