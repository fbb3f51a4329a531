"""What stands before the page: requests that are refused, and what a browser may do with an answer."""

import asyncio
import json
import re

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.middleware import Middleware

from app import guard
from app.guard import LARGEST_BODY, MOST_REQUESTS, WITHIN_S, Guard

PAGE = '<html><script>1</script><script type="module" src="a.js"></script><b>\\u003cscript></b></html>'


def behind(host="127.0.0.1", names=(), any_name=False):
    """A small app behind the guard, asked as from an address."""
    app = FastAPI(middleware=[Middleware(Guard, host=host, names=names, any_name=any_name)])

    @app.get("/", response_class=HTMLResponse)
    def page():
        return PAGE

    @app.get("/{path:path}")
    def file(path: str):
        return {"file": path}

    @app.post("/{path:path}")
    async def asked(request: Request):
        return {"size": len(await request.body())}

    def ask(method, path="/", address="10.0.0.1", **more):
        async def once():
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
                return await client.request(method, path, **more)

        return asyncio.run(once())

    return ask


def test_scripts_of_the_page_get_a_new_nonce_each_time_and_no_other_runs():
    ask, nonces = behind(), set()
    for _ in range(2):
        answer = ask("GET")
        policy = answer.headers["content-security-policy"]
        (nonce,) = re.findall(r"'nonce-([^']+)'", policy)
        nonces.add(nonce)
        assert answer.text.count(f'<script nonce="{nonce}"') == 2
        assert answer.text.replace(f' nonce="{nonce}"', "") == PAGE
    assert len(nonces) == 2
    parts = dict(part.partition(" ")[::2] for part in policy.split("; "))
    assert "'unsafe-inline'" not in parts["script-src"]
    assert parts["default-src"] == "'none'"
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert parts[name] == "'self'"
    assert "http" not in policy


def test_every_answer_says_what_a_browser_may_do_with_it_refused_ones_too():
    for answer in (behind()("GET", "/x"), behind()("GET", "/x", headers={"host": "evil.example"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    ("host", "named", "asked", "status"),
    [
        ("127.0.0.1", (), "127.0.0.1:7860", 200),
        ("127.0.0.1", (), "LOCALHOST:7860", 200),
        ("127.0.0.1", (), "[::1]:7860", 200),
        ("127.0.0.1", (), "evil.example:7860", 421),  # a name that was bound to this machine: DNS rebinding
        ("127.0.0.1", (), "localhost.evil.example", 421),
        ("127.0.0.1", (), "evil.example:localhost", 421),
        ("127.0.0.1", ("course.example",), "Course.example", 200),
        ("0.0.0.0", (), "10.0.0.7:7860", 200),
        ("0.0.0.0", (), "evil.example", 421),
        ("lab.example", (), "lab.example:80", 200),
    ],
)
def test_only_names_of_this_server_reach_it(host, named, asked, status):
    answer = behind(host, named)("GET", "/x", headers={"host": asked})
    assert answer.status_code == status
    if status == 421:
        assert answer.json()["detail"].endswith("; start it with --name and that name.")
        assert behind(host, named, any_name=True)("GET", "/x", headers={"host": asked}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:7860", 200),
        ("https://course.example", 200),
        ("http://evil.example", 403),
        ("http://127.0.0.1:8888", 403),  # another program's page on this machine
        ("http://localhost:8888", 403),
        ("http://127.0.0.1:7860.evil.example", 403),
        ("http://127.0.0.1:7860@evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_other_sites_may_neither_ask_nor_change(origin, status, method):
    answer = behind(names=["course.example"])(method, "/x", headers={"origin": origin})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["detail"].startswith("A page of another site may not ask this server")


@pytest.mark.parametrize("path", ["/file=http://evil.example/x", "/file=https%3A%2F%2Fevil.example", "/x%00.csv"])
def test_it_fetches_nothing_from_elsewhere(path):
    assert behind()("GET", path).status_code == 403


def test_a_body_that_is_too_large_is_refused_whether_it_says_its_length_or_not(monkeypatch):
    monkeypatch.setattr(guard, "LARGEST_BODY", 2**20)
    monkeypatch.setattr(guard, "LARGEST_UPLOAD_BODY", 2**21)

    async def in_parts(size):
        for _ in range(0, size, 2**16):
            yield b"a" * 2**16

    ask = behind()
    for path, size, status in (
        ("/api/explain", 2**20, 200),
        ("/api/explain", 2**20 + 2**16, 413),
        ("/upload", 2**20 + 2**16, 200),
        ("/upload", 2**21 + 2**16, 413),
    ):
        for answer in (ask("POST", path, content=b"a" * size), ask("POST", path, content=in_parts(size))):
            assert answer.status_code == status
            assert answer.json()["size" if status == 200 else "detail"] in (
                size,
                f"What was sent is larger than {1 + (path == '/upload')} MB; send less at a time.",
            )
    for said in ("-1", "many", str(2**70)):
        assert ask("POST", "/x", content=b"a", headers={"content-length": said}).status_code == 413


def test_a_whole_question_of_the_largest_texts_is_not_too_large():
    question = json.dumps({"data": [["e" * 100_000] * 256]})
    assert len(question.encode()) < LARGEST_BODY


def test_an_address_that_asks_far_too_often_waits_and_others_do_not(monkeypatch):
    monkeypatch.setattr(guard, "MOST_REQUESTS", 20)
    ask = behind()
    assert [ask("POST", "/x").status_code for _ in range(22)] == [200] * 20 + [429] * 2
    assert "ask more slowly" in ask("POST", "/x").json()["detail"]
    assert ask("POST", "/x", "10.0.0.2").status_code == 200
    assert ask("GET", "/x").status_code == 200  # files of the page, and its stream of answers
    assert MOST_REQUESTS / WITHIN_S >= 30 * 14  # thirty people of one school, all of them typing
