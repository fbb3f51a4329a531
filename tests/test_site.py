"""The site: built as `make docs` does, then every link, anchor, picture and file of it is looked at."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup

import reaugkd

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(site):
    """Every page, parsed, by its path in the site."""
    return {
        path.relative_to(site).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(site.rglob("*.html"))
    }


def anchors(page):
    return {tag["id"] for tag in page.find_all(id=True)} | {
        tag["name"] for tag in page.find_all("a", attrs={"name": True})
    }


def test_every_page_is_there(pages):
    assert NOTEBOOKS
    wanted = {f"notebooks/{name}.html" for name in NOTEBOOKS} | {"index.html", "README.html", "search.html"}
    wanted |= {"CONTRIBUTING.html", "CHANGELOG.html", "SECURITY.html", "results/README.html", "results/LOG.html"}
    wanted |= {f"docs/{path.stem}.html" for path in (ROOT / "docs").glob("*.md")}
    assert wanted - set(pages) == set()
    listed = {link["href"] for link in pages["index.html"].select(".sidebar-tree a[href]")}
    assert {name for name in wanted if "/" in name} - listed == set()  # a reader gets to each from the first page


def test_every_internal_link_leads_to_a_page_and_its_anchor(site, pages):
    at = {name: anchors(page) for name, page in pages.items()}
    seen, broken = 0, []
    for name, page in pages.items():
        for link in page.select("a[href], area[href]"):
            target = urlsplit(link["href"])
            if target.scheme or target.netloc:
                continue
            seen += 1
            path = (site / name).parent / unquote(target.path) if target.path else site / name
            if not path.is_file():
                broken.append((name, link["href"]))
            elif target.fragment and path.suffix == ".html":
                page_of_target = path.resolve().relative_to(site.resolve()).as_posix()
                if unquote(target.fragment) not in at[page_of_target]:
                    broken.append((name, link["href"]))
    assert broken == []
    assert seen > 500


def test_no_link_of_the_sources_ends_on_github_alone(pages):
    """A link from one Markdown file to another one leads to its page, not to the file."""
    links = {link["href"] for page in pages.values() for link in page.select("a[href]")}
    left = {link for link in links if re.search(r"\.(md|ipynb)(#|$)", link) and not link.startswith("http")}
    assert left == set()


def test_every_picture_lies_in_the_site(site, pages):
    seen = 0
    for name, page in pages.items():
        for picture in page.find_all("img"):
            seen += 1
            assert not urlsplit(picture["src"]).scheme, (name, picture["src"])
            assert ((site / name).parent / unquote(picture["src"])).stat().st_size > 0, (name, picture["src"])
            assert picture.get("alt"), (name, picture["src"])
    assert seen >= 12


def test_no_page_loads_anything_from_outside(site, pages):
    loads = [
        (name, tag.get("src") or tag.get("href"))
        for name, page in pages.items()
        for tag in page.select("script[src], link[href], img[src], iframe[src], source[src], video[src]")
        if tag.get("href") != "#"  # the page itself, in links for browsers that list the pages
    ]
    assert len(loads) > len(pages)
    assert [load for load in loads if re.match(r"(https?:)?//", load[1])] == []
    missing = [(name, url) for name, url in loads if not ((site / name).parent / urlsplit(url).path).is_file()]
    assert missing == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]*", styles) == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_shown_with_its_outputs(name, pages):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    page = pages[f"notebooks/{name}.html"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    pictures = [out for cell in code for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(page.select("div.cell_input")) == len(code)
    assert len(page.select("div.cell_output img")) == len(pictures)
    described = {out.metadata["image/png"]["alt"] for out in pictures if "alt" in out.metadata.get("image/png", {})}
    assert described <= {picture["alt"] for picture in page.select("div.cell_output img")}
    assert "plotly" not in " ".join(tag.get("src", "") for tag in page.find_all("script"))


def test_the_reference_has_every_public_name(pages):
    there = anchors(pages["docs/api.html"])
    wanted = {f"reaugkd.{name}" for name in reaugkd.__all__ if name != "plots"} | {"module-reaugkd.plots.figures"}
    assert wanted - there == set()
