"""The page in a real browser: Debian's chromium, driven by Playwright. Nothing here waits for a fixed time."""

import re
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect
from ports import free_port

from app.model_job import ModelJob
from app.parts import maps_panel
from app.parts.answer import example_texts, shortened
from app.parts.answer_bars import what_happened
from app.parts.map_points import map_overlap
from app.views.query import LONGEST_EXAMPLE
from reaugkd.errors import ReAugKDError
from reaugkd.networks.trainer import Progress

APP = Path(__file__).parents[2] / "app"
ROWS = "#neighbours tbody tr"
MAPS = "canvas.map-canvas"


def neighbours_of(model):
    """How many rows the table has that the page opens with."""
    text, *_ = example_texts(model)
    return len(model.explain(text).neighbours)


def ask(page, text):
    box = page.locator("#text textarea")
    box.fill(text)
    box.press("Enter")


def test_an_opening_page_answers_an_example_and_then_what_is_typed_and_what_is_clicked(open_page, address, toy_model):
    page = open_page("about:blank").context.new_page()  # what a tab is told to do first, it does for ever
    page.add_init_script("""
        const look = () => { window.told ||= document.querySelector('#message [role=alert]'); };
        new MutationObserver(look).observe(document, {childList: true, subtree: true});""")
    page.goto(address)
    expect(page.locator(ROWS)).to_have_count(neighbours_of(toy_model))
    asked = page.locator("#answer .asked").inner_text()
    expect(page.locator("#text textarea")).to_have_value(asked)
    expect(page.locator("#answer .answer b")).to_have_text(toy_model.explain(asked).label)

    ask(page, "iron and steel with rain")  # what the page asked by itself before is answered then
    wanted = toy_model.explain("iron and steel with rain")
    expect(page.locator("#answer .asked")).to_have_text("iron and steel with rain")
    expect(page.locator("#answer .answer b")).to_have_text(wanted.label)
    expect(page.locator("#answer p.answer")).to_contain_text(f"{wanted.probabilities.max():.2f}")
    expect(page.locator("#answer .answer-bars tbody tr")).to_have_count(3)
    expect(page.locator("#answer .happened")).to_have_text(what_happened(wanted))
    expect(page.locator("#answer td:has(.teacher) span")).to_have_count(3)  # this model keeps its teacher
    for key in wanted.keys_by_part[::-1]:  # at first that which adds most; the others where one asks for them
        page.locator("#query-key").get_by_label(f"{key.name} key").check()
        expect(page.locator(f"{ROWS} summary")).to_have_text([neighbour.text for neighbour in key.neighbours])
        expect(page.locator(".neighbours")).to_have_count(1)
    places = toy_model.maps.star(wanted.keys_by_part[0])
    expect(page.locator(MAPS)).to_have_attribute("data-query", " ".join(f"{value:.3f}" for value in places.flat))
    shares = map_overlap(toy_model)
    worth = f"they keep {shares['teacher']:.2f} of the teacher's, {shares['student']:.2f} of the student's."
    expect(page.locator("#maps .map-status")).to_contain_text(worth)

    texts, examples = example_texts(toy_model), page.locator("#examples .gallery-item")
    expect(examples).to_have_text([shortened(text, LONGEST_EXAMPLE) for text in texts])
    examples.last.click()
    expect(page.locator("#answer .asked")).to_have_text(texts[-1])
    expect(page.locator("#text textarea")).to_have_value(texts[-1])
    assert page.evaluate("window.told?.textContent") is None  # an empty box starts nothing


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
    page.locator("#text textarea").fill("iron " * 2_000)
    expect(page.locator(".toast-body")).to_contain_text("would be too long with the text")
    page.locator("#text textarea").fill("iron")
    expect(page).to_have_url(re.compile("text=iron(&|$)"))


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


@pytest.mark.slow  # another process imports torch, and its work is measured
def test_the_command_opens_a_page_and_answers_with_little_work(open_page, toy_model_folder):
    port, before = free_port(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, str(APP / "main.py"), "--model", str(toy_model_folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line == f"Open http://127.0.0.1:{port}/ (Ctrl+C ends it)\n"
            # The figures of Errors and the maps are made at the same time, by libraries that are not imported yet.
            page = open_page(f"http://127.0.0.1:{port}/?view=errors")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.locator("#errors-chosen b")).to_be_visible()
            expect(page.locator(MAPS)).not_to_have_attribute("data-points", "0")
            page.get_by_role("tab", name="Query").click()
            expect(page.locator(ROWS).first).to_be_attached()
            page.goto("about:blank")  # while the server is there: a page that loses it reports an error
        finally:
            process.terminate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 30  # processor seconds of the command
