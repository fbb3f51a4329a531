"""Measure the app: ``python tests/benchmarks/app_speed.py runs/shoptalk [--rows 10000] [--users 20] [--seconds 60]``.

The model's memory is repeated, with a little noise on its keys, until it has so many rows. Printed are the seconds
until the page is open and has answered, the milliseconds of a query in Python, in the page and for a program, the
seconds until the other pages are filled, what so many users at once get, and how fast the maps are drawn in headless
Chromium.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from gradio_client import Client
from playwright.sync_api import sync_playwright

from reaugkd.method.memory import Memory
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.maps import ProjectionMaps

APP = Path(__file__).parents[2] / "app" / "main.py"
PORT = 7899
MORPH = """() => new Promise(done => {
  const slider = document.querySelector('.map-morph'), times = [];
  let step = 0, before = performance.now();
  const next = () => {
    const now = performance.now();
    if (step) times.push(now - before);
    before = now;
    if (step++ === 40) { done(times); return; }
    slider.value = step / 40;
    slider.dispatchEvent(new Event('input'));
    requestAnimationFrame(() => requestAnimationFrame(next));
  };
  next();
})"""

# A page's tab, what shows that it is filled, and what has to be pressed first.
PAGES = {
    "Errors": ("#errors-slices tbody tr", None),
    "Memory": ("#memory-rows tbody tr", None),
    "Label": ("#label-answer .answer", "#label-sample"),
    "Compare": ("#compare-first-answer .answer", None),
    "Learn": ("#learn-student input", None),
}
TYPE = """text => new Promise(done => {
  const box = document.querySelector('#text textarea'), answer = document.querySelector('#answer');
  const maps = document.querySelector('.small-map-canvas'), before = maps.dataset.query;
  const typed = performance.now();
  const watch = new MutationObserver(() => {
    if (answer.querySelector('.asked')?.textContent !== text || maps.dataset.query === before) return;
    watch.disconnect();
    done(performance.now() - typed);
  });
  watch.observe(answer, {childList: true, characterData: true, subtree: true});
  watch.observe(maps, {attributes: true});
  box.value = text;
  box.dispatchEvent(new Event('input', {bubbles: true}));
})"""


def grown(model, rows):
    """Return the model with its memory repeated until it has so many rows; nothing else is changed."""
    random = np.random.default_rng(0)
    parts, memory, maps = model, model.memory, model.maps
    numbers = np.arange(rows) % len(memory)

    def noisy(matrix, size):
        return (matrix[numbers] + size * random.normal(size=(rows, matrix.shape[1]))).astype(np.float32)

    table = memory.rows.iloc[numbers].assign(id=[f"row-{number}" for number in range(rows)]).reset_index(drop=True)
    keys = {name: noisy(key, 0.01) for name, key in memory.keys.items()}
    embeddings = noisy(memory.teacher_embeddings, 0.01)
    grown_memory = Memory(table, memory.classes, memory.soft_labels[numbers], embeddings, keys)
    points = np.stack([noisy(panel, 0.3) for panel in maps.points.swapaxes(0, 1)], axis=1)
    spread = ProjectionMaps(points, noisy(maps.student_embeddings, 0.01), maps.held_out)
    return replace(parts, memory=grown_memory, maps=spread, epochs=None, teacher=None)


def explained(model, texts):
    """Return the seconds that each text takes, the first of all left out: it builds the index."""
    times = []
    for text in texts:
        start = time.monotonic()
        model.explain(text)
        times.append(time.monotonic() - start)
    return times[1:]


def asked(address, texts, seconds, times, errors):
    """Ask one text after the other, as one user does."""
    client = Client(address, verbose=False)
    end = time.monotonic() + seconds
    for number in range(10**9):
        start = time.monotonic()
        if start > end:
            return
        try:
            client.predict(texts[number % len(texts)], api_name="/explain")
            times.append(time.monotonic() - start)
        except Exception as error:
            errors.append(repr(error))


def percentiles(times):
    """Say median and 95th percentile in milliseconds."""
    return f"median {1000 * np.median(times):.0f} ms, 95th percentile {1000 * np.percentile(times, 95):.0f} ms"


def in_browser(browser, address, start, say):
    """Open the page, wait for its answer, and morph the maps."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()
    say(f"page open {time.monotonic() - start:.1f} s after the start")
    page.locator(".neighbours tbody tr").first.wait_for(timeout=300_000)
    say(f"first answer {time.monotonic() - start:.1f} s after the start")
    page.wait_for_function("document.querySelector('.map-canvas').dataset.points > 0", timeout=300_000)
    say(f"maps drawn {time.monotonic() - start:.1f} s after the start")
    page.wait_for_timeout(3_000)
    again, reopened = browser.new_page(viewport={"width": 1280, "height": 720}), time.monotonic()
    again.goto(address)
    again.get_by_role("heading", level=1).wait_for()
    say(f"the page opened again: {time.monotonic() - reopened:.1f} s")
    again.locator(".neighbours tbody tr").first.wait_for()
    say(f"the page opened again has answered: {time.monotonic() - reopened:.1f} s")
    again.close()
    frames = page.evaluate(MORPH)
    points = page.locator(".map-canvas").get_attribute("data-points")
    say(f"two frames of the morph at {points} points on both maps: {percentiles(np.asarray(frames) / 1000)}")
    texts = ["iron and steel", "it broke on day two", "is there a lid for it?", "lovely colour, thanks"]
    times = []
    for number in range(20):
        times.append(page.evaluate(TYPE, f"{texts[number % 4]} {number}") / 1000)  # without what the driver takes
        page.wait_for_timeout(800)  # a person reads before the next word
    say(f"a typed query until its answer and its place on the map are shown: {percentiles(times)}")
    visited(page, say)


def visited(page, say):
    """Open the other pages for the first time."""
    for title, (filled, pressed) in PAGES.items():
        start = time.monotonic()
        page.get_by_role("tab", name=title, exact=True).click()
        if pressed:
            page.locator(pressed).click()
        page.locator(filled).first.wait_for(state="attached", timeout=300_000)
        say(f"{title} filled for the first time: {time.monotonic() - start:.1f} s")


def by_programs(address, texts, count, seconds, say):
    """Ask as one program does, and then as so many at once."""
    times, errors = [], []
    asked(address, texts, 5, times, errors)
    say(f"one user, {len(times)} queries: {percentiles(times)}")
    times, errors = [], []
    users = [threading.Thread(target=asked, args=(address, texts, seconds, times, errors)) for _ in range(count)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    say(
        f"{count} users at once, {seconds:.0f} s, {len(times)} queries: "
        f"{percentiles(times)}, {len(errors)} errors {sorted(set(errors))[:3]}"
    )


def measure(folder, *, rows=10_000, users=20, seconds=60, say=print):
    """Measure, and say each figure in a sentence."""
    with tempfile.TemporaryDirectory() as scratch:
        model = ReAugKDClassifier.from_pretrained(folder)
        texts = model.evaluation_rows["text"].head(200).tolist()
        large = grown(model, rows)
        say(f"explain in Python, without the app: {percentiles(explained(large, texts[:50]))}")
        large.save_pretrained(Path(scratch) / "grown")
        command = [sys.executable, str(APP), "--model", str(Path(scratch) / "grown"), "--port", str(PORT)]
        with sync_playwright() as playwright:
            found = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
            browser.new_page().goto("about:blank")  # who starts the app has a browser running already
            start = time.monotonic()
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                try:
                    address = server.stdout.readline().split()[1]
                    in_browser(browser, address, start, say)
                    browser.close()
                    by_programs(address, texts, users, seconds, say)
                finally:
                    server.terminate()


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()

    def say(sentence):
        sys.stdout.write(sentence + "\n")
        sys.stdout.flush()

    measure(chosen.model, rows=chosen.rows, users=chosen.users, seconds=chosen.seconds, say=say)


if __name__ == "__main__":
    main()
