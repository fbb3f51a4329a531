"""What every page must keep on a phone, and in both themes."""

import re

from playwright.sync_api import expect

PAGES = ("Query", "Errors", "Memory", "Compare", "Train", "Learn")
PHONE = {"width": 390, "height": 844}


def assert_it_reads(page, theme, parts, texts):
    """Check that nothing is wider than a phone, every page has its tab, and texts stand out from the background."""
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    expect(page.get_by_role("tab").filter(visible=True)).to_have_count(len(PAGES))
    for part in parts:
        box = page.locator(part).bounding_box()
        assert box["x"] + box["width"] <= PHONE["width"], part
    colours = page.evaluate(
        "names => names.map(name => getComputedStyle(document.querySelector(name)).color)", list(texts)
    )
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in colours]
    assert all(value > 180 if theme == "dark" else value < 90 for value in brightness), colours
