"""The page in a real browser: Debian's chromium, driven by Playwright. Nothing here waits for a fixed time."""

import re
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from phone import PHONE, assert_it_reads
from playwright.sync_api import expect
from ports import free_port

from app.model_job import ModelJob
from app.parts import maps_panel
from app.parts.answer import example_texts, shortened
from app.parts.answer_bars import what_happened
from app.parts.map_points import map_overlap
from app.views.query import LONGEST_EXAMPLE
from reaugkd.analysis.what_if import flipping_set
from reaugkd.errors import ReAugKDError
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.networks.trainer import Progress

APP = Path(__file__).parents[2] / "app"
NASTY = "<img src=x onerror=\"window.ran='img'\"> ${window.ran='dollar'} {{window.ran='curly'}} <b>bold</b>"
ROWS = ".neighbours tbody tr"
MAPS = "canvas.map-canvas"


def neighbours_of(model):
    """How many rows the table has that the page opens with."""
    text, *_ = example_texts(model)
    return len(model.explain(text).neighbours)


def lead_of(explanation):
    """How the page begins the sum of the parts."""
    return f"{explanation.label} against {explanation.runner_up}: {explanation.lead:+.2f} = "


def ask(page, text):
    box = page.locator("#text textarea")
    box.fill(text)
    box.press("Enter")


def test_a_typed_query_is_answered_with_neighbours_and_both_maps(open_page, address, toy_model):
    page = open_page(address)
    ask(page, "iron and steel with rain")
    wanted = toy_model.explain("iron and steel with rain")
    expect(page.locator("#answer .asked")).to_have_text("iron and steel with rain")
    expect(page.locator("#answer .answer b")).to_have_text(wanted.label)
    expect(page.locator("#answer p.answer")).to_contain_text(f"{wanted.probabilities.max():.2f}")
    expect(page.locator(f"{ROWS} summary")).to_have_text([neighbour.text for neighbour in wanted.neighbours])
    for key in wanted.keys_by_part[::-1]:  # at first that which adds most; the others where one asks for them
        page.locator("#query-key").get_by_label(f"{key.name} key").check()
        expect(page.locator(f"{ROWS} summary")).to_have_text([neighbour.text for neighbour in key.neighbours])
        expect(page.locator(".neighbours")).to_have_count(1)
    places = toy_model.maps.star(wanted.keys_by_part[0])
    expect(page.locator(MAPS)).to_have_attribute("data-query", " ".join(f"{value:.3f}" for value in places.flat))
    shares = map_overlap(toy_model)
    worth = f"they keep {shares['teacher']:.2f} of the teacher's, {shares['student']:.2f} of the student's."
    expect(page.locator("#maps .map-status")).to_contain_text(worth)
    expect(page.locator("#answer .answer-bars tbody tr")).to_have_count(3)
    expect(page.locator("#answer .happened")).to_have_text(what_happened(wanted))
    teacher = toy_model.teacher.encode(["iron and steel with rain"])[1][0]
    shown = [
        f"{teacher[list(wanted.classes).index(name)]:.2f}"
        for name in sorted(wanted.classes, key=lambda name: -wanted.probabilities[wanted.classes.index(name)])
    ]
    expect(page.locator("#answer td:has(.teacher) span")).to_have_text(shown)


def test_an_opening_page_answers_an_example_and_complains_of_no_empty_box(open_page, address, toy_model):
    page = open_page("about:blank").context.new_page()  # what a tab is told to do first, it does for ever
    page.add_init_script("""
        const look = () => { window.told ||= document.querySelector('#message [role=alert]'); };
        new MutationObserver(look).observe(document, {childList: true, subtree: true});""")
    page.goto(address)
    expect(page.locator(ROWS)).to_have_count(neighbours_of(toy_model))
    asked = page.locator("#answer .asked").inner_text()
    expect(page.locator("#text textarea")).to_have_value(asked)
    expect(page.locator("#answer .answer b")).to_have_text(toy_model.explain(asked).label)
    ask(page, "plum and pear")  # what the page asked by itself before is answered then
    expect(page.locator("#answer .asked")).to_have_text("plum and pear")
    assert page.evaluate("window.told?.textContent") is None


def test_a_text_is_answered_while_the_maps_are_still_coming(open_page, serve_model, toy_model, monkeypatch):
    may_come, places_of = threading.Event(), maps_panel.places_of
    monkeypatch.setattr(maps_panel, "places_of", lambda model: may_come.wait(300) and places_of(model))
    page = open_page(serve_model(replace(toy_model)))
    try:
        ask(page, "plum and pear")
        expect(page.locator("#answer .asked")).to_have_text("plum and pear")
        assert page.locator(MAPS).get_attribute("data-points") in (None, "0")
    finally:
        may_come.set()
    expect(page.locator(MAPS)).to_have_attribute("data-points", re.compile("[1-9]"))


def test_an_example_is_answered_when_it_is_clicked(open_page, address, toy_model):
    page = open_page(address)
    items = page.locator("#examples .gallery-item")
    texts = example_texts(toy_model)
    expect(items).to_have_text(
        [shortened(text, LONGEST_EXAMPLE) for text in texts]
    )  # the items are there a moment before their texts
    text = texts[-1]
    items.last.click()
    expect(page.locator("#answer .asked")).to_have_text(text)
    expect(page.locator("#text textarea")).to_have_value(text)


def test_a_weight_stays_when_another_slider_is_moved_at_once(open_page, address, toy_model):
    page = open_page(address)
    expect(page.locator(ROWS)).to_have_count(neighbours_of(toy_model))
    page.evaluate("""() => {
      for (const [id, value] of [['weight', '0.5'], ['k', '3']]) {
        const number = document.querySelector(`#${id} input[type=number]`);
        number.value = value;
        number.dispatchEvent(new Event('input', {bubbles: true}));
      }
    }""")
    expect(page.locator(ROWS)).to_have_count(3)
    text = page.locator("#answer .asked").inner_text()
    temperature = float(page.locator("#temperature input[type=number]").input_value())
    moved = toy_model.explain(text, k=3, retrieval_weight=0.5, temperature=temperature)
    expect(page.locator("#answer .sum")).to_contain_text(lead_of(moved))
    for box in ("as-fitted", "as-chosen"):
        expect(page.locator(f"#{box} input")).not_to_be_checked()


def test_bad_input_is_told_in_a_sentence_until_it_is_corrected_and_the_sliders_go_on(open_page, address, toy_model):
    page = open_page(address)
    expect(page.locator(ROWS)).to_have_count(neighbours_of(toy_model))
    bad = {"": "Write a text", "a" * 100_001: "100,001 characters", "  \n ": "Write a text"}
    for k, (text, sentence) in enumerate(bad.items(), start=2):
        ask(page, text)
        expect(page.locator("#message")).to_contain_text(sentence)
        page.locator("#k input[type=number]").fill(str(k))
        expect(page.locator(ROWS)).to_have_count(k)
        expect(page.locator("#message")).to_contain_text(sentence)
    expect(page.get_by_text("Traceback")).to_have_count(0)
    ask(page, "plum and pear")
    expect(page.locator("#message")).to_be_hidden()
    expect(page.locator("#answer .asked")).to_have_text("plum and pear")


def test_a_text_is_shown_as_text_wherever_it_stands(open_page, serve_model, toy_model):
    parts = toy_model
    memory, rows = parts.memory, parts.memory.rows
    labels, renamed = (NASTY, *parts.settings.label_names[1:]), {parts.settings.label_names[0]: NASTY}
    nasty_rows = rows.assign(text=NASTY, topic=[NASTY if number % 2 else "home" for number in range(len(rows))])
    nasty_rows["label"] = rows["label"].replace(renamed)
    evaluation_rows = parts.evaluation_rows.assign(text=NASTY, label=parts.evaluation_rows["label"].replace(renamed))
    model = replace(
        parts,
        memory=replace(memory, rows=nasty_rows, classes=labels),
        evaluation_rows=evaluation_rows,
        settings=replace(parts.settings, label_names=labels, task=NASTY, teacher=NASTY),
    )
    page = open_page(serve_model(model))
    expect(page.locator(ROWS)).to_have_count(neighbours_of(model))
    page.locator("#k input[type=number]").fill("3")
    expect(page.locator(f"{ROWS} summary")).to_have_text([NASTY] * 3)
    ask(page, f"iron {NASTY}")
    expect(page.locator("#answer .asked")).to_have_text(f"iron {NASTY}")
    expect(page.locator("#about")).to_contain_text(f"Task {NASTY}, 3 classes")
    expect(page.locator("#answer .answer-bars")).to_contain_text(NASTY)
    page.locator("#colour input").click()
    page.get_by_role("option", name="topic").click()
    expect(page.locator(".map-legend")).to_contain_text(NASTY)
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src='x']").count() == 0


def test_a_model_of_pairs_has_two_boxes(open_page, serve_model, toy_model):
    settings = replace(toy_model.settings, is_pair=True)
    rows, memory = toy_model.evaluation_rows, toy_model.memory
    memory = replace(memory, rows=memory.rows.assign(text_pair=memory.rows["text"]))
    model = replace(
        toy_model,
        settings=settings,
        memory=memory,
        evaluation_rows=rows.assign(text_pair=rows["text"]),
    )
    page = open_page(serve_model(model))
    expect(page.locator(ROWS)).to_have_count(neighbours_of(model))
    first, second = page.locator("#text textarea"), page.locator("#text-pair textarea")
    for box in (first, second):
        expect(box).not_to_have_value("")  # the example stands there, and is answered: now one types
    first.fill("iron and steel")
    second.fill("rain and snow")
    second.press("Enter")
    expect(page.locator("#answer .asked")).to_have_text("iron and steel | rain and snow")
    expect(page.locator("#answer .answer b")).to_have_text(model.explain(("iron and steel", "rain and snow")).label)
    page.locator("#beside-it button").first.click()
    expect(page.locator("#edited textarea")).to_have_value("iron and steel")
    expect(page.locator("#edited-pair textarea")).to_have_value("rain and snow")  # the last that the answer fills
    page.locator("#edited textarea").fill("plum and pear")
    expect(page.locator("#beside .asked")).to_have_text("plum and pear | rain and snow")
    page.locator("#edited textarea").fill("iron and steel")  # as asked: no edit
    expect(page.locator("#beside")).to_be_empty()
    page.locator("#edited-pair textarea").fill("plum and pear")
    expect(page.locator("#beside .asked")).to_have_text("iron and steel | plum and pear")
    expect(page.locator("#beside .answer b")).to_have_text(model.explain(("iron and steel", "plum and pear")).label)


def test_the_page_reads_on_a_phone_on_a_laptop_and_in_both_themes(open_page, address):
    page = open_page(f"{address}?__theme=dark", viewport=PHONE)
    expect(page.locator("#answer .answer-bars")).to_be_visible()
    expect(page.locator(".map-canvas")).to_be_visible()
    expect(page.locator("#answer td:has(.teacher)").first).to_be_visible()  # this model keeps its teacher
    assert_it_reads(
        page,
        ["#answer .answer-bars", "#answer .answer-parts"],
        ["#answer b", "#answer .happened", "#answer .answer-parts td", ".neighbours td", "#maps .map-status"],
    )


def test_on_a_phone_the_names_of_classes_and_the_figures_of_an_answer_are_whole(open_page, serve_model, toy_model):
    parts = toy_model
    names = ("suggestion", "comparison", *parts.settings.label_names[2:])
    renamed = dict(zip(parts.settings.label_names, names, strict=True))
    memory = parts.memory
    relabelled = memory.rows.assign(label=memory.rows["label"].replace(renamed))
    model = replace(
        parts,
        settings=replace(parts.settings, label_names=names),
        memory=replace(memory, rows=relabelled, classes=names),
        evaluation_rows=None,
        teacher=None,
    )
    page = open_page(serve_model(model), viewport=PHONE)
    table = page.locator("#answer .answer-bars")
    expect(table).to_be_visible()
    for name in names[:2]:
        box = table.locator("th", has_text=name).bounding_box()
        assert box["height"] < 40, f"{name} is broken"
    figures = [figure.bounding_box() for figure in table.locator("td span").all()]
    assert max(box["x"] + box["width"] for box in figures) <= PHONE["width"]


def test_the_memories_that_decide_an_answer_are_named_until_the_next_one(open_page, serve_model, toy_model):
    pool = Pool({"aligned": KeySettings(3, 0.05)}, retrieval_weight=1.0)
    model = replace(toy_model, pool=pool)
    page = open_page(serve_model(model))
    ask(page, "iron and pear")
    expect(page.locator("#answer .asked")).to_have_text("iron and pear")
    page.locator("#flip").click()
    flipped = flipping_set(model, model.encode(["iron and pear"]), model.pool)
    expect(page.locator("#flipped li")).to_have_text(model.memory.rows["text"].iloc[flipped[0]].tolist())
    expect(page.locator("#flipped b")).to_have_text(flipped[1])
    ask(page, "rain")
    expect(page.locator("#answer .asked")).to_have_text("rain")
    expect(page.locator("#flipped p")).to_have_count(0)


def test_the_first_start_shows_the_training_and_then_the_page_that_answers(open_page, serve, toy_model, tmp_path):
    seen, failed = threading.Event(), threading.Event()

    def train_toy(folder, on_progress, say):
        if not failed.is_set():
            failed.set()
            raise ReAugKDError("The disk is full; free some space.")
        on_progress(Progress("Projection head", 1, 1, 0.75, 0))
        for step in range(1, 6):
            on_progress(Progress("Student by ReAugKD", step, 40, 1 / step, 10 - step))
        assert seen.wait(120)
        return toy_model

    job = ModelJob(str(tmp_path / "first"), train_toy)
    page = open_page(serve(job))
    expect(page.locator("#status")).to_contain_text("Loading the model")
    job.start()
    expect(page.locator("#status")).to_contain_text("The disk is full; free some space.")
    page.locator("#retry").click()
    for reload in (lambda: None, page.reload):  # a page that opens later sees the same
        reload()
        expect(page.locator("#status")).to_contain_text("✓ Projection head")
        expect(page.locator("#status")).to_contain_text("step 5 of 40, loss 0.200, about 5 s left in this stage")
        expect(page.locator("#loss .scatterlayer path.js-line").first).to_be_attached()
        expect(page.locator("#retry")).to_be_hidden()
        expect(page.locator(ROWS)).to_have_count(0)
    seen.set()
    expect(page.locator("#status")).to_be_hidden()
    expect(page.locator(ROWS)).to_have_count(neighbours_of(toy_model))
    ask(page, "rain and fog")
    expect(page.locator("#answer .asked")).to_have_text("rain and fog")


@pytest.mark.parametrize("view", ["query", "errors"])
def test_the_command_opens_a_page_and_answers_with_little_work(open_page, toy_model_folder, view):
    port, before = free_port(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, str(APP / "main.py"), "--model", str(toy_model_folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line == f"Open http://127.0.0.1:{port}/ (Ctrl+C ends it)\n"
            page = open_page(f"http://127.0.0.1:{port}/?view={view}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            if view == "errors":  # its figures and the maps are made at the same time, by libraries not imported yet
                expect(page.locator("#errors-chosen b")).to_be_visible()
                expect(page.locator(MAPS)).not_to_have_attribute("data-points", "0")
            else:
                expect(page.locator(ROWS).first).to_be_attached()
            page.goto("about:blank")  # while the server is there: a page that loses it reports an error
        finally:
            process.terminate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 30  # processor seconds of the command
