"""Every page on a phone and on a laptop, in both themes: nothing is cut off, texts stand out, everyone can use it."""

from dataclasses import replace

import pytest
from phone import PAGES, PHONE, assert_anyone_can_use_it, assert_it_fits, assert_it_reads
from playwright.sync_api import expect
from toy_data import toy_rows


def the_answer(page):
    expect(page.locator("#answer td:has(.teacher)").first).to_be_visible()  # this model keeps its teacher
    expect(page.locator(".map-canvas")).to_be_visible()


def a_guess_and_a_hint(page):
    expect(page.locator("#learn-student label").first).to_be_visible()
    for group, guess in (("student", "metal"), ("memory", "metal"), ("changes", "no")):
        page.locator(f"#learn-{group}").get_by_label(guess, exact=True).check()
    page.locator("#learn-reveal").click()
    expect(page.locator("#learn-answer .answer-bars")).to_be_visible()
    page.locator("#learn-help summary").first.click()
    expect(page.locator("#learn-help p").first).to_be_visible()


def a_text_to_label(page):
    page.locator("#label-sample").click()
    expect(page.locator("#label-text blockquote")).to_be_visible()


def a_file_and_the_form_for_a_classifier(page):
    page.get_by_role("button", name="Adopt a classifier of mine").click()
    expect(page.locator("#adopt-start")).to_be_visible()
    page.get_by_label("a file of mine").check()
    rows = toy_rows(12, seed=4).to_csv(index=False).encode()
    file = {"name": "reviews.csv", "mimeType": "text/csv", "buffer": rows}
    page.locator("#train-file input[type=file]").set_input_files(file)
    expect(page.locator("#train-about")).to_contain_text("Rows: 36.")


def visible(part):
    return lambda page: expect(page.locator(part).first).to_be_visible()


# What makes a page whole, parts that must not be cut, texts that must stand out
READ = {
    "Learn": (
        a_guess_and_a_hint,
        ["#learn-answer .answer-bars", "#learn-task .formula", "#learn-tasks"],
        ["#learn-text blockquote", "#learn-task p", "#learn-help p", "#learn-guessed li", "#learn-answer b"],
    ),
    "Query": (
        the_answer,
        ["#answer .answer-bars", "#answer .answer-parts"],
        ["#answer b", "#answer .happened", "#answer .answer-parts td", ".neighbours td", "#maps .map-status"],
    ),
    "Errors": (
        visible("#errors-chosen b"),
        ["#confusion", "#reliability", "#errors-rows", "#errors-chosen"],
        ["#errors-summary p", "#reliability figcaption", "#confusion th", "#errors-chosen p"],
    ),
    "Memory": (
        visible("#memory-chosen b"),
        ["#memory-rows", "#pending", "#memory-chosen", "#show"],
        ["#memory-chosen p", "#pending p", "#picked-memory p"],
    ),
    "Label": (
        a_text_to_label,
        ["#label-text", "#label-buttons", "#label-answer"],
        ["#label-progress p", "#label-text blockquote", "#label-text p"],
    ),
    "Compare": (
        visible("#compare-outcomes .outcomes"),
        ["#compare-first-answer .answer-bars", "#compare-outcomes .outcomes"],
        ["#compare-first-answer b", "#compare-summary p", ".outcomes button", ".outcomes th"],
    ),
    "Train": (
        a_file_and_the_form_for_a_classifier,
        ["#train-about", "#train-start", "#adopt-start"],
        ["#train-about p", "#train-status", "#adopt .prose p"],
    ),
}


def test_each_page_fits_on_a_phone_and_its_texts_stand_out_in_the_dark_theme(
    open_page, serve_model, forgetful, subtests
):
    page = open_page(f"{serve_model(forgetful)}?view=learn&__theme=dark", viewport=PHONE)
    for name in PAGES:
        is_whole, parts, texts = READ[name]
        with subtests.test(name):
            page.get_by_role("tab", name=name, exact=True).click()
            is_whole(page)
            assert_it_fits(page, parts, texts)


@pytest.mark.slow  # every page is loaded, and axe walks through it in both themes
def test_each_page_reads_on_phone_and_laptop_in_both_themes_and_axe_finds_no_fault(
    open_page, serve_model, forgetful, subtests
):
    address, page = serve_model(forgetful), open_page("about:blank")
    for name in PAGES:
        is_whole, parts, texts = READ[name]
        with subtests.test(name):
            page.set_viewport_size(PHONE)
            page.goto(f"{address}?view={name.lower()}&__theme=dark")
            is_whole(page)
            assert_it_reads(page, parts, texts)
            assert_anyone_can_use_it(page, name)


def test_the_names_of_classes_and_the_figures_of_an_answer_are_whole(open_page, serve_model, toy_model):
    names = ("suggestion", "comparison", *toy_model.settings.label_names[2:])
    renamed = dict(zip(toy_model.settings.label_names, names, strict=True))
    memory = toy_model.memory
    relabelled = memory.rows.assign(label=memory.rows["label"].replace(renamed))
    model = replace(
        toy_model,
        settings=replace(toy_model.settings, label_names=names),
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
