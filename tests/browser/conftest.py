"""Debian's chromium, driven by Playwright, and pages for it to open. Nothing here waits for a fixed time."""

import asyncio
import shutil
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import gradio as gr
import numpy as np
import pytest
from gradio import queueing
from phone import LAPTOP
from playwright.sync_api import expect, sync_playwright
from ports import free_port
from waiting import WAIT_MS

from app.model_job import ModelJob
from app.page import build_app
from app.serve import launch
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.method.pool import KeySettings, Pool

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items):
    """Skip the tests of this folder where there is no browser."""
    no_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chromium-browser on the PATH to drive")
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(no_browser)


@pytest.fixture(scope="session")
def window():
    """A browser's window for all tests, and what its pages do: the machines that they ask, the errors that they throw.

    Its first tab stays: a browser opens a page in half the time where it has shown one before.
    """
    expect.set_options(timeout=WAIT_MS)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        context = chromium.new_context()
        context.set_default_timeout(WAIT_MS)
        asked, errors = set(), []
        context.on("request", lambda request: asked.add(urlsplit(request.url).hostname))
        context.on("weberror", lambda error: errors.append(str(error.error)))
        # what a page does against the Content-Security-Policy
        context.on("console", lambda said: "Content Security" in said.text and errors.append(said.text))
        context.on("page", lambda page: page.on("websocket", lambda socket: asked.add(urlsplit(socket.url).hostname)))
        yield SimpleNamespace(context=context, asked=asked, errors=errors)
        chromium.close()


@pytest.fixture
def open_page(window, monkeypatch):
    """Opens pages and fails afterwards if one threw an error, or its server, or it asked anyone but this machine."""
    context, unused = window.context, window.context.pages or [window.context.new_page()]

    def crashed():
        error = sys.exc_info()[1]
        if not isinstance(error, gr.Error):  # that is a sentence for the user
            window.errors.append(repr(error))

    monkeypatch.setattr(queueing, "traceback", SimpleNamespace(print_exc=crashed))

    def open_(address, viewport=LAPTOP):
        page = unused.pop() if unused else context.new_page()
        page.set_viewport_size(viewport)
        page.goto(address)
        return page

    yield open_
    for page in context.pages:
        page.evaluate("0")  # what it threw before has arrived with this
    errors, asked = list(window.errors), window.asked - {None}  # None: data: and blob: addresses, which reach nobody
    leave(context)
    window.errors.clear()
    window.asked.clear()
    assert errors == []
    assert asked == {"127.0.0.1"}


def leave(context):
    """Close all tabs but one, and forget what pages keep in the browser."""
    for page in context.pages[1:]:
        page.close()
    for page in context.pages:
        if page.url != "about:blank":
            page.evaluate("localStorage.clear()")
        page.goto("about:blank")
    context.clear_cookies()
    context.clear_permissions()


@pytest.fixture(scope="session", autouse=True)
def _no_statistics():
    """Gradio sums all its events up at each event, which takes more work than many a listener; no test reads that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queueing.Queue, "compute_analytics_summary", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def while_no_listener_runs():
    """A context; of what a listener makes while a page is built, Gradio would think that it belongs to that page."""
    running, paused, call = set(), threading.Event(), gr.Blocks.call_function

    async def counted(*arguments, **options):
        task = asyncio.current_task()
        running.add(task)
        while paused.is_set():
            running.discard(task)
            await asyncio.sleep(0.01)
            running.add(task)
        try:
            return await call(*arguments, **options)
        finally:
            running.discard(task)

    @contextmanager
    def paused_listeners():
        paused.set()
        while running:
            time.sleep(0.01)
        try:
            yield
        finally:
            paused.clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gr.Blocks, "call_function", counted)
        yield paused_listeners


class Server:
    """Serves pages of this process."""

    def __init__(self, while_no_listener_runs):
        self.pages, self.while_no_listener_runs = [], while_no_listener_runs

    def __call__(self, job):
        with self.while_no_listener_runs():
            page = build_app(job)
        self.pages.append(page)
        return launch(page, "127.0.0.1", free_port())

    def close(self):
        for page in self.pages:
            page.close()


@pytest.fixture(scope="module")
def serve(while_no_listener_runs):
    with closing(Server(while_no_listener_runs)) as server:
        yield server


@pytest.fixture(scope="session")
def toy_page(while_no_listener_runs, tmp_path_factory):
    """The job and the address of one page for all models that need no menu of their own."""
    job = ModelJob(str(tmp_path_factory.mktemp("runs") / "toy"))
    with closing(Server(while_no_listener_runs)) as server:
        yield job, server(job)


@pytest.fixture
def serve_model(toy_page):
    """Serves a model, with nothing else in its menu, and returns the page's address."""
    job, address = toy_page

    def serve_(model):
        job.model = model
        return address

    yield serve_
    for path in Path(job.folder).parent.iterdir():  # what a test saved beside it
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def address(serve_model, toy_model):
    """The address of a page that answers by the toy model."""
    return serve_model(toy_model)


@pytest.fixture(scope="session")
def forgetful(puzzled_model):
    """A model whose memory sways answers by two keys: it fixes some and breaks others; one memory is a test row."""
    held = puzzled_model.evaluation_rows
    leaked = held[held["split"] == "test"].iloc[20]
    leak = Edit("add", "leak", leaked["label"], leaked["text"])
    pool = Pool({"aligned": KeySettings(4, 0.05, 1.0), "text": KeySettings(4, 0.05, 0.5)})
    model = replace(apply_patch(puzzled_model, (leak,)), pool=pool)
    labels = held["label"].tolist()
    said = {row: model.explain(held["text"].iloc[row]) for row in np.flatnonzero(held["split"] == "test").tolist()}
    changed = [(row, one) for row, one in said.items() if one.label != one.student_label]
    for row, one in changed[::2]:
        labels[row] = one.label  # fixed
    for row, one in changed[1::2]:
        labels[row] = one.student_label  # broken
    assert len(changed) > 1
    return replace(model, evaluation_rows=held.assign(label=labels))
