"""A notebook of the course in JupyterLab itself, by Run All Cells."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import pytest
from playwright.sync_api import expect
from ports import free_port

from docs.run_notebooks import PLOTLY
from tests.test_notebooks import NOTEBOOKS, read

NOTEBOOK = NOTEBOOKS[1]
SETTINGS = {"windowingMode": "none"}  # all cells stand in the page, also those that are not on the screen
RUN_MS = 600_000  # it may train a student first


def wait_until_served(port):
    for _ in range(600):
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=60):
            return
        time.sleep(0.1)
    raise TimeoutError(port)


@pytest.fixture
def lab(tmp_path, made_once):
    """Serves JupyterLab in a copy of the folders that the notebooks link, and returns the notebook's address."""
    folder, settings, port = tmp_path / "project", tmp_path / "settings", free_port()
    for name in ("notebooks", "results"):
        shutil.copytree(NOTEBOOK.parents[1] / name, folder / name)
    (settings / "@jupyterlab" / "notebook-extension").mkdir(parents=True)
    tracker = settings / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.write_text(json.dumps(SETTINGS))
    cache = made_once("course", lambda folder: folder.mkdir(parents=True))
    environment = os.environ | {"JUPYTERLAB_SETTINGS_DIR": str(settings), "REAUGKD_CACHE": str(cache)}
    options = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=", "--LabApp.news_url=None"]
    options += [f"--ServerApp.root_dir={folder}", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_served(port)
            yield f"http://127.0.0.1:{port}/lab/tree/notebooks/{NOTEBOOK.name}"
        finally:
            server.terminate()
            server.wait()


@pytest.mark.slow
def test_run_all_in_jupyterlab_draws_every_plot_and_asks_nobody_outside(lab, open_page):
    page = open_page(lab)
    messages = []
    page.on("console", lambda message: messages.append(message.text) if message.type == "error" else None)
    page.on("response", lambda answer: messages.append(answer.url) if answer.status >= 400 else None)
    _, cells = read(NOTEBOOK)
    plots = sum(PLOTLY in output.get("data", {}) for cell in cells for output in cell.outputs)
    images, graphs = page.locator("img.plot-img"), page.locator(".js-plotly-plot")
    expect(images).to_have_count(plots)  # of the committed run, before anything is run
    images.first.dispatch_event("mouseenter")
    expect(graphs).to_have_count(1)
    choose(page, "Edit", "Clear Outputs of All Cells")
    expect(graphs).to_have_count(0)
    choose(page, "Run", "Run All Cells")
    last = page.locator(".jp-CodeCell .jp-InputPrompt").last
    expect(last).to_have_text(re.compile(r"\[\d+\]:"), timeout=RUN_MS)
    expect(graphs).to_have_count(plots)
    assert page.locator("[data-mime-type$=error], [data-mime-type$=stderr]").all_inner_texts() == []
    assert messages == []


def choose(page, menu, entry):
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=entry, exact=True).click()
