"""The links that the notebooks print open the app in the state that they promise."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LINKS = sorted(
    {
        (path.stem, urlsplit(link).query)
        for path in NOTEBOOKS.glob("*.ipynb")
        for link in re.findall(r"http://127\.0\.0\.1:7860/\?[^\"\\\s]+", path.read_text(encoding="utf-8"))
    }
)


@pytest.mark.slow  # opens the page for each link
def test_a_notebooks_link_opens_what_it_names(open_page, address, subtests):
    page = open_page("about:blank")
    for name, query in LINKS:
        with subtests.test(name, query=query):
            page.goto(f"{address}?{query}")
            asked = {key: value for key, (value,) in parse_qs(query).items()}
            assert set(asked) <= {"view", "text", "show"}
            view = asked.get("view", "query")
            expect(page.get_by_role("tab", name=view.capitalize(), selected=True).filter(visible=True)).to_have_count(1)
            if "text" in asked:
                expect(page.locator("#text textarea")).to_have_value(asked["text"])
                expect(page.locator("#answer .sum")).to_be_visible()
            if "show" in asked:
                show = asked["show"]
                expect(page.locator(f'#show input[value="{show}"]')).to_be_checked()
                expect(page.locator("#memory-chosen")).to_contain_text(f"rows: {show}")
    assert {name[:2] for name, _ in LINKS} == {"04", "05", "07"}  # on keys, on repairs, on a task of one's own
