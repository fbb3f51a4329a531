"""Many people at once, who ask, edit and train: no error, no wrong answer, no leak."""

import json
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from people import Crowd
from playwright.sync_api import expect, sync_playwright
from ports import free_port

import reaugkd as rk
from reaugkd.analysis.edit_effects import halves
from reaugkd.analysis.edits import apply_patch, as_patch
from reaugkd.method.answers import changed_answers, effect_counts
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.tasks.sources import SHOPTALK_TEACHER_OUTPUTS

APP = Path(__file__).parents[2] / "app" / "main.py"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MEGABYTE = 2**20
LAST = 240  # seconds; before, what all later answers use is still computed


@pytest.fixture(scope="module")
def served_folder(tmp_path_factory, toy_model_folder, short_or_whole):
    """A folder with one model to serve: the toy model, or the shipped task's with `make trust`."""
    folder = tmp_path_factory.mktemp("models") / "first"
    if short_or_whole(True, False):
        return shutil.copytree(toy_model_folder, folder)
    outputs = rk.TeacherOutputs.load(SHOPTALK_TEACHER_OUTPUTS)
    rk.train(rk.load_task("shoptalk"), rk.Recipe(), folder, teacher_outputs=outputs, on_progress=lambda _: None)
    return folder


@contextmanager
def memory_of(server):
    """Note each second how many bytes a process has in use; give the list."""
    used, over = [], threading.Event()

    def watch():
        while not over.wait(1):
            used.append(server.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield used
    finally:
        over.set()
        watching.join()


@contextmanager
def served(folder):
    """Serve a model in a process of its own; give its address and the process."""
    command = [sys.executable, str(APP), "--model", str(folder), "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().split()[1], psutil.Process(server.pid)
        finally:
            server.terminate()


def questions(model):
    """What people ask, and what the library answers: mostly a text, sometimes several, and now and then edits."""
    texts, names = model.held_out(["test"])["text"].tolist()[:40], model.classes_
    asked = []
    for text in texts:
        explained = json.loads(json.dumps(model.explain(text).as_dict()))
        asked += [("/explain", {"text": text}, explained)] * 4
    answers = model.answer(model.encode(texts))
    labels, highest = names[answers.pooled.probabilities.argmax(axis=1)], answers.pooled.probabilities.max(axis=1)
    said = [
        {"label": str(label), "probability": round(float(value), 6), "is_sure": bool(sure), "words_read": None}
        for label, value, sure in zip(labels, highest, answers.is_sure, strict=True)
    ]
    asked += [("/predict", {"texts": texts[n : n + 5]}, said[n : n + 5]) for n in range(0, len(texts) - 5)]
    judged = model.answer(halves(model.encode_rows(model.held_out(["test"])))[0])
    first, second = model.memory.rows["id"][:2]
    edits = [{"edit": "relabel", "id": first, "label": str(names[0])}, {"edit": "remove", "id": second}]
    edits += [{"edit": "add", "id": "new", "label": str(names[1]), "text": "a text of mine"}]
    for edit in edits:
        changed = changed_answers(judged, apply_patch(model, as_patch([edit])).answer(judged.encoded))
        rows = changed.astype(object).where(changed.notna(), None).to_dict("records")
        expected = {**effect_counts(changed), "rows": json.loads(json.dumps(rows))}
        asked += [("/try_edits", {"edits": [edit]}, expected)] * 3
    return asked


def edit_and_save(page, address, model, version, number):
    """Relabel a memory on the page Memory and save it as a version; return the version, the memory and its label."""
    page.goto(f"{address}?view=memory&show=all")
    memory = model.memory.rows.iloc[number]
    names, memory, label = model.classes_.tolist(), memory["id"], memory["label"]
    page.locator(f'#memory-rows tr[data-row="{number}"]').click()
    expect(page.locator("#picked-memory")).to_contain_text(f"{memory}: ")
    other = (names.index(label) + 1) % len(names)
    page.keyboard.press(str(other + 1))
    expect(page.locator("#pending li").last).to_contain_text(f"relabel {memory} to {names[other]}")
    page.locator("#version input, #version textarea").fill(version)
    page.locator("#save-version").click()
    expect(page.locator("#memory-saved")).to_contain_text(f"Saved as {version}")
    return version, memory, names[other]


def edit_and_train(address, model, trains, end):
    """Edit and save, one version after another, and let the page Train train all the time; return the versions."""
    expect.set_options(timeout=120_000)
    edited, trained = [], 0
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        edits, other = browser.new_page(), browser.new_page()
        for page in (edits, other):
            page.set_default_timeout(120_000)
        if trains:
            other.goto(f"{address}?view=train")
        while time.monotonic() < end:
            if trains and other.locator("#train-start").is_enabled():
                name = other.locator("#train-name input, #train-name textarea")
                expect(name).not_to_have_value("")  # the page proposes one when it is filled
                name.fill(f"trained-{trained}")
                other.locator("#train-start").click()
                expect(other.locator("#train-status")).to_contain_text(f"trained-{trained} is being trained")
                trained += 1
            edited.append(edit_and_save(edits, address, model, f"edited-{len(edited)}", len(edited)))
        browser.close()
    assert trained or not trains
    return edited


@pytest.mark.parametrize("trains", [True, False], ids=["while one trains", "while none trains"])
@pytest.mark.slow  # load
def test_people_who_ask_and_edit_at_once_get_no_error_and_no_wrong_answer(served_folder, count, short_or_whole, trains):
    """Mostly programs: fifty browsers take more than a machine of two cores has."""
    people, seconds, is_whole = short_or_whole((8, 4, False), (50, 300, True))
    if trains and not is_whole:
        pytest.skip("a training beside them takes minutes: make trust")
    folder = shutil.copytree(served_folder, served_folder.parent / str(trains) / "first")
    model, edited = ReAugKDClassifier.from_pretrained(folder), []
    with served(folder) as (address, server):
        crowd = Crowd(address, questions(model))
        crowd.wait_until_answered()
        crowd.use(1, short_or_whole(1, 20), read=(0, 0))  # the first of each question computes what all later ones use
        crowd.seconds.clear()

        def meanwhile(end):
            if is_whole:
                edited.extend(edit_and_train(address, model, trains, end))

        with memory_of(server) as used:
            crowd.use(people, seconds, meanwhile, short_or_whole((0.0, 0.2), (1.0, 5.0)))
    asked = f"{people} people at once, {'one' if trains else 'none'} trains"
    count(f"{asked}: answers compared", len(crowd.seconds))
    count(f"{asked}: versions saved", len(edited))
    count(f"{asked}: median answer, ms", round(1000 * np.median(crowd.seconds)))
    count(f"{asked}: 95th percentile, ms", round(1000 * np.percentile(crowd.seconds, 95)))
    count(f"{asked}: largest memory of the server, MB", round(max(used) / MEGABYTE))
    assert not crowd.errors, f"{len(crowd.errors)} errors, such as {crowd.errors[:3]}"
    assert not crowd.wrong, f"{len(crowd.wrong)} wrong answers, such as {crowd.wrong[:3]}"
    if is_whole:
        before, after = np.array_split(used[-LAST:], 2)
        grown = (np.median(after) - np.median(before)) / MEGABYTE
        count(f"{asked}: growth of the server's memory in {LAST // 2} seconds, MB", round(grown))
        assert grown < 24, [round(size / MEGABYTE) for size in used]
    for version, name, label in edited:  # what the page said is on the disk
        rows = ReAugKDClassifier.from_pretrained(folder.with_name(version)).memory.rows
        assert rows.loc[rows["id"] == name, "label"].tolist() == [label]


@pytest.mark.slow  # load
def test_many_queries_leave_no_more_memory_in_use(served_folder, count, short_or_whole):
    model = ReAugKDClassifier.from_pretrained(served_folder)
    texts, process = model.held_out(["test"])["text"].tolist(), psutil.Process()
    rounds, queries = 10, short_or_whole(100, 2_000)
    used = []
    for number in range(rounds):
        for query in range(queries):
            model.explain(f"{texts[query % len(texts)]} {number}")
        used.append(process.memory_info().rss)
    count("queries of one process", rounds * queries)
    # The second half against the first: what a leak adds, a query adds each time.
    grown = np.median(used[5:]) - np.median(used[:5])
    assert grown < short_or_whole(8, 16) * MEGABYTE, [round(size / MEGABYTE) for size in used]
