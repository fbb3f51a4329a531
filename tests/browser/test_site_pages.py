"""The site in a browser; what its files hold is tested in tests/test_site.py."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and writes no log."""

    def log_message(self, *_):
        pass


@pytest.fixture
def site_address(site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_formulas_are_set_the_search_finds_and_nothing_outside_is_asked(site_address, open_page):
    messages = []
    page = open_page(f"{site_address}/index.html")
    page.on("console", lambda said: messages.append(said.text) if said.type == "error" else None)
    page.goto(f"{site_address}/notebooks/01_teacher_and_student.html")
    expect(page.locator("mjx-container svg").first).to_be_visible()
    expect(page.locator("mjx-merror")).to_have_count(0)
    page.goto(f"{site_address}/search.html?q=calibration")
    expect(page.locator("ul.search li a").first).to_be_visible()
    assert messages == []
