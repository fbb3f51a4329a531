"""Debian's chromium, driven by Playwright, and pages for it to open. Nothing here waits for a fixed time."""

import asyncio
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import urlsplit

import gradio as gr
import numpy as np
import pytest
from gradio import queueing
from playwright.sync_api import expect, sync_playwright
from ports import free_port

from app.model_job import ModelJob
from app.page import build_app
from app.serve import launch
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.method.pool import KeySettings, Pool

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 60_000


def pytest_collection_modifyitems(items):
    """Skip the tests of this folder where there is no browser."""
    no_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chromium-browser on the PATH to drive")
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(no_browser)


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=WAIT_MS)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, monkeypatch):
    """Opens pages and fails afterwards if one threw an error, or its server, or it asked anyone but this machine."""
    contexts, hosts, errors = [], set(), []

    def crashed():
        error = sys.exc_info()[1]
        if not isinstance(error, gr.Error):  # that is a sentence for the user
            errors.append(repr(error))

    monkeypatch.setattr(queueing, "traceback", SimpleNamespace(print_exc=crashed))

    def open_(address, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        # Of the context, and so of every tab that a test or a link opens.
        context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.on("websocket", lambda socket: hosts.add(urlsplit(socket.url).hostname))
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []
    assert hosts - {None} == {"127.0.0.1"}  # None: data: and blob: addresses, which reach nobody


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


@pytest.fixture(scope="module")
def serve(while_no_listener_runs):
    server = Server(while_no_listener_runs)
    yield server
    for page in server.pages:
        page.close()


@pytest.fixture(scope="module")
def serve_model(serve, tmp_path_factory):
    """Serves a model, with nothing else in its menu, and returns the page's address."""

    def serve_(model):
        job = ModelJob(str(tmp_path_factory.mktemp("runs") / "toy"))
        job.model = model
        return serve(job)

    return serve_


@pytest.fixture(scope="module")
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
