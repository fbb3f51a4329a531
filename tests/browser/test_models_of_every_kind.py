"""Every page for models that are not as usual: names that are code, pairs of texts, no evaluation rows."""

from dataclasses import replace
from urllib.parse import quote

import pandas as pd
import pytest
from playwright.sync_api import expect
from waiting import type_into_opened

from app.exercise import LESSONS
from reaugkd.method.pool import KeySettings, Pool

NASTY = "<img src=x onerror=\"window.ran='img'\"> ${window.ran='dollar'} {{window.ran='curly'}} <b>bold</b>"
MAPS, ROWS = "canvas.map-canvas", "#neighbours tbody tr"


def open_tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def a_box(name):
    """A box of one line is an input or a textarea."""
    return f"#{name} input, #{name} textarea"


@pytest.fixture
def nasty_model(forgetful):
    """The forgetful model: each text is or ends in code, and so are a class, a topic, the task and the teacher."""
    memory, held, (first, *others) = forgetful.memory, forgetful.evaluation_rows, forgetful.settings.label_names
    names, renamed = (NASTY, *others), {first: NASTY}
    rows = memory.rows.assign(
        text=NASTY,
        label=memory.rows["label"].replace(renamed),
        topic=[NASTY if number % 2 else "home" for number in range(len(memory))],
    )
    return replace(
        forgetful,
        memory=replace(memory, rows=rows, classes=names),
        evaluation_rows=held.assign(text=held["text"] + f" {NASTY}", label=held["label"].replace(renamed)),
        settings=replace(forgetful.settings, label_names=names, task=NASTY, teacher=NASTY),
    )


def test_a_text_is_shown_as_text_wherever_it_stands(open_page, serve_model, nasty_model):
    page = open_page(serve_model(nasty_model))
    expect(page.locator(ROWS).first).to_be_visible()
    page.locator("#k input[type=number]").fill("3")
    expect(page.locator(f"{ROWS} summary")).to_have_text([NASTY] * 3)
    page.locator("#text textarea").fill(f"iron {NASTY}")
    expect(page.locator("#answer .asked")).to_have_text(f"iron {NASTY}")
    expect(page.locator("#about")).to_contain_text(f"Task {NASTY}, 3 classes")
    expect(page.locator("#answer .answer-bars")).to_contain_text(NASTY)
    page.locator("#query-code-box button").first.click()
    expect(page.locator("#query-code .cm-line").first).to_contain_text("from reaugkd import ReAugKDClassifier")
    page.locator("#colour input").click()
    page.get_by_role("option", name="topic").click()
    expect(page.locator(".map-legend")).to_contain_text(NASTY)

    open_tab(page, "Errors")
    expect(page.locator("#errors-rows")).to_contain_text(NASTY)
    expect(page.locator("#confusion")).to_contain_text(NASTY)

    open_tab(page, "Memory")
    expect(page.locator("#memory-rows tr[data-row]").first).to_contain_text(NASTY)

    open_tab(page, "Compare")
    expect(page.locator("#compare-second-answer .sum")).to_be_visible()
    page.locator("#compare-all").click()
    expect(page.locator("#compare-chosen")).to_contain_text("all rows")
    expect(page.locator("#compare-rows")).to_contain_text(NASTY)
    page.locator(a_box("compare-holds")).fill(NASTY)
    expect(page.locator("#compare-chosen")).to_contain_text(f"“{NASTY}” in the text")
    page.locator("#compare-text textarea").fill(f"plum {NASTY}")
    expect(page.locator("#compare-first-answer .asked")).to_have_text(f"plum {NASTY}")
    expect(page.locator("#compare-first-answer .answer-bars")).to_contain_text(NASTY)

    open_tab(page, "Learn")
    expect(page.locator("#learn-text li").first).to_contain_text(NASTY)
    for group, guess in (("student", NASTY), ("memory", NASTY), ("changes", "no")):
        page.locator(f"#learn-{group}").get_by_label(guess, exact=True).check()
    page.locator("#learn-reveal").click()
    expect(page.locator("#learn-answer .answer-bars")).to_contain_text(NASTY)
    for place, lesson in enumerate([*LESSONS.values()][:5]):
        page.locator("#learn-tasks label").nth(place).click()
        expect(page.locator("#learn-task h3")).to_have_text(lesson.title)
        page.locator("#learn-help summary").last.click()
        expect(page.locator("#learn-help p").last).to_be_visible()
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src='x']").count() == 0


def test_a_warning_above_the_page_shows_a_text_of_the_link_as_text(open_page, address):
    page = open_page(f"{address}?model={quote(NASTY)}")
    expect(page.locator("#answer .sum")).to_be_visible()
    expect(page.locator(".toast-body")).to_contain_text(f"There is no model {NASTY!r}"[:80])
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src='x']").count() == 0


def test_what_a_person_uploads_and_edits_is_shown_as_text(open_page, serve_model, nasty_model, tmp_path):
    file = tmp_path / "rows.csv"
    pd.DataFrame({"text": ["iron", NASTY], "label": [NASTY, "b"], NASTY: [NASTY] * 2}).to_csv(file, index=False)
    page = open_page(f"{serve_model(nasty_model)}?view=train")
    page.get_by_label("a file of mine").check()
    page.locator("#train-file input[type=file]").set_input_files(file)
    expect(page.locator("#train-preview tbody tr").last).to_contain_text(NASTY)
    expect(page.locator("#train-about")).to_contain_text("Rows: 2.")
    page.locator(a_box("train-name")).fill(NASTY)
    page.locator("#train-start").click()
    expect(page.locator("#train-message")).to_contain_text(f"{NASTY[:20]}")

    open_tab(page, "Label")
    with page.expect_file_chooser() as chooser:
        page.locator("#label-upload").click()
    chooser.value.set_files(file)
    expect(page.locator("#label-text")).to_contain_text(NASTY)
    expect(page.locator("#label-buttons")).to_contain_text(NASTY)
    page.locator("#label-buttons button").filter(has_text=NASTY).click()
    expect(page.locator("#label-text")).to_contain_text("iron")

    open_tab(page, "Memory")
    expect(page.locator("#pending li")).to_have_count(1)
    expect(page.locator("#pending")).to_contain_text(NASTY)
    page.locator(a_box("version")).fill(NASTY)
    page.locator("#save-version").click()
    expect(page.locator("#memory-saved, #memory-message")).to_contain_text(NASTY[:20])
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src='x']").count() == 0


def test_a_model_of_pairs_has_two_boxes_wherever_a_text_is_written(open_page, serve_model, toy_model):
    memory, held = toy_model.memory, toy_model.evaluation_rows
    model = replace(
        toy_model,
        settings=replace(toy_model.settings, is_pair=True),
        memory=replace(memory, rows=memory.rows.assign(text_pair=memory.rows["text"])),
        evaluation_rows=held.assign(text_pair=held["text"]),
        pool=Pool({"aligned": KeySettings(4, 0.05, 3.0), "text": KeySettings(4, 0.05, 1.0)}),
    )
    page = open_page(serve_model(model))
    expect(page.locator(ROWS).first).to_be_visible()
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

    open_tab(page, "Compare")
    expect(page.locator("#compare-second-answer .sum")).to_be_visible()
    second = page.locator("#compare-text-pair textarea")
    expect(second).not_to_have_value("")
    page.locator("#compare-text textarea").fill("iron and steel")
    second.fill("rain and snow")
    for side, weight in (("first", None), ("second", 0.0)):
        expect(page.locator(f"#compare-{side}-answer .asked")).to_have_text("iron and steel | rain and snow")
        label = model.explain(("iron and steel", "rain and snow"), retrieval_weight=weight).label
        expect(page.locator(f"#compare-{side}-answer .answer b")).to_have_text(label)
    page.locator("#compare-all").click()
    text = model.held_out(["test"])["text"].iloc[0]
    page.locator("#compare-rows").get_by_text(text, exact=True).last.click()
    expect(second).to_have_value(text)

    open_tab(page, "Memory")
    expect(page.locator("#memory-rows tr[data-row]").first).to_be_visible()
    page.locator("#memory-forms").get_by_role("tab", name="A text of yours").click()
    type_into_opened(page, "#add-text textarea", "iron")
    page.locator("#add").click()
    expect(page.locator("#memory-message .problem")).to_be_visible()  # the second text is missing
    expect(page.locator("#pending li")).to_have_count(0)
    page.locator("#add-text-pair textarea").fill("and steel")
    page.locator("#add").click()
    expect(page.locator("#pending li")).to_contain_text("iron | and steel")
    expect(page.locator("#add-text-pair textarea")).to_have_value("")


@pytest.mark.slow
def test_without_evaluation_rows_each_page_says_so_and_does_the_rest(open_page, serve_model, forgetful):
    bare = replace(forgetful, evaluation_rows=None)
    page = open_page(f"{serve_model(bare)}?view=learn")
    expect(page.locator("#learn-message")).to_contain_text("The model carries no evaluation rows")
    expect(page.locator("#learn-reveal")).to_be_hidden()

    open_tab(page, "Errors")
    expect(page.locator("#errors-summary")).to_contain_text("carries no evaluation rows")
    expect(page.locator("#errors-rows")).to_be_hidden()
    expect(page.locator(MAPS)).not_to_have_attribute("data-points", "0")
    page.locator(".map-legend button").first.click()
    expect(page.locator("#map-selected")).to_contain_text("selected")
    expect(page.locator(".toast-body")).to_have_count(0)
    page.locator(".map-clear").click()
    expect(page.locator("#map-selected")).to_contain_text("No text is selected")

    open_tab(page, "Compare")
    expect(page.locator("#compare-summary")).to_contain_text("The model carries no evaluation rows")
    expect(page.locator("#compare-outcomes")).to_be_hidden()
    expect(page.locator("#compare-text textarea")).not_to_have_value("")
    page.locator("#compare-text textarea").fill("rain and iron")
    expect(page.locator("#compare-first-answer .asked")).to_have_text("rain and iron")

    open_tab(page, "Memory")
    expect(page.locator("#memory-chosen")).to_contain_text(f"{len(bare.memory)} rows: all")
    page.locator('#show input[value="does harm"]').check()
    expect(page.locator("#memory-chosen .problem")).to_contain_text("no answers to test rows")
    page.locator("#memory-forms").get_by_role("tab", name="A text of yours").click()
    page.locator("#add-text textarea").fill("iron in the rain")
    page.locator("#add").click()
    expect(page.locator("#pending li")).to_have_count(1)
    page.locator("#try").click()
    expect(page.locator("#memory-message .problem")).to_contain_text("evaluation rows")
