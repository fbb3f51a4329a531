"""The page that compares in a real browser: two sides, one text, and the rows on which they differ."""

import re
import shutil
import threading
from dataclasses import replace

import pandas as pd
import pytest
from playwright.sync_api import expect

from app.model_job import ModelJob
from app.views import compare as compare_view
from reaugkd.analysis.comparison import OUTCOMES, compare, comparison_in_words
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.error_analysis import RowFilter
from reaugkd.method.pool import KeySettings, Pool

MAPS = "canvas.map-canvas"
LISTED = "#compare-chosen b"
# The fitted λ is 0.8.
MEMORY_COUNTS = Pool({"aligned": KeySettings(4, 0.05, 3.0), "text": KeySettings(4, 0.05, 1.0)})


def changed(model, **parts):
    return replace(model, **parts)


def wanted(first, second, weights=(None, 0.0), split="test", rows=None):
    """What the library says of two models, over all rows or some."""
    answers = []
    for model, weight in zip((first, second), weights, strict=True):
        encoded = model.encode_rows(model.held_out([split]))
        encoded = encoded if rows is None else encoded.part(rows)
        answers.append(model.answer(encoded, model.pool.overridden(retrieval_weight=weight)))
    return compare(*answers, "accuracy")


@pytest.fixture(scope="module")
def forgetful(toy_model):
    """The toy model, its memory weighing much, three of four labels of a class wrong, with a class of its own."""
    first, second, _ = toy_model.classes_
    rows = toy_model.memory.rows
    of_first = rows.loc[rows["label"] == first, "id"].tolist()
    wrong = [Edit("relabel", name, second) for number, name in enumerate(of_first) if number % 4]
    edited = apply_patch(toy_model, (*wrong, Edit("add", "mine", "gadget", "the shiny gadget hums")))
    return changed(edited, pool=MEMORY_COUNTS)


@pytest.fixture(scope="module")
def pairs(toy_model):
    memory, rows = toy_model.memory, toy_model.evaluation_rows
    return changed(
        toy_model,
        settings=replace(toy_model.settings, is_pair=True),
        memory=replace(memory, rows=memory.rows.assign(text_pair=memory.rows["text"])),
        evaluation_rows=rows.assign(text_pair=rows["text"]),
        pool=MEMORY_COUNTS,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, forgetful, pairs, toy_model, toy_model_folder):
    """A folder of models: one that forgets, the one it was made of, one for pairs, one of other classes."""
    root = tmp_path_factory.mktemp("compared")
    shutil.copytree(toy_model_folder, root / "toy")
    pairs.save_pretrained(root / "pairs")
    settings = replace(toy_model.settings, label_names=("x", "y", "z"))
    named = dict(zip(toy_model.classes_, settings.label_names, strict=True))
    memory, rows = toy_model.memory, toy_model.evaluation_rows
    changed(
        toy_model,
        settings=settings,
        memory=replace(
            memory, rows=memory.rows.assign(label=memory.rows["label"].map(named)), classes=settings.label_names
        ),
        evaluation_rows=rows.assign(label=rows["label"].map(named)),
    ).save_pretrained(root / "other")
    forgetful.save_pretrained(root / "forgetful")
    return root


@pytest.fixture(scope="module")
def served(serve, folder, forgetful):
    job = ModelJob(str(folder / "forgetful"))
    job.model = forgetful
    return serve(job)


@pytest.fixture
def page(open_page, served):
    page = open_page(served)
    open_tab(page)
    return page


def open_tab(page):
    """Open the page and wait until it is filled."""
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#compare-second-answer .sum")).to_be_visible()
    expect(page.locator("#compare-text textarea")).not_to_have_value("")


def choose(page, box, option):
    page.locator(f"{box} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def move(page, side, weight):
    page.locator(f"#compare-{side}-weight input[type=number]").fill(str(weight))


def shown_as(page, comparison, which="rows", listed=None):
    """The page shows this comparison, and lists the rows that are answered differently, or so many."""
    expect(page.locator("#compare-summary p")).to_have_text(comparison_in_words(comparison, "accuracy", which))
    counts = [str(count) for count in comparison.counts.values()]
    expect(page.locator("#compare-outcomes td > button, #compare-outcomes td > b")).to_have_text(counts)
    expect(page.locator(LISTED)).to_have_text(str(comparison.differing if listed is None else listed))


@pytest.fixture
def held(monkeypatch):
    """Makes the comparisons of the page wait; returns what says that one is asked for, and what lets them go on."""
    is_asked, may_come, comparison_of = threading.Event(), threading.Event(), compare_view.comparison_of

    def waiting(*asked):
        is_asked.set()
        assert may_come.wait(300)
        return comparison_of(*asked)

    def hold():
        monkeypatch.setattr(compare_view, "comparison_of", waiting)
        return is_asked, may_come

    yield hold
    may_come.set()


def test_what_is_typed_while_answers_or_models_are_coming_stays_and_is_answered(open_page, served, held):
    is_asked, may_come = held()
    page = open_page(f"{served}?view=compare")
    box, holds = page.locator("#compare-text textarea"), page.locator("#compare-holds input, #compare-holds textarea")
    assert is_asked.wait(60)
    expect(box).to_be_disabled()  # it opens with the first answers, which would overwrite what was typed before
    may_come.set()
    box.fill("plum and pear")
    expect(page.locator("#compare-first-answer .asked")).to_have_text("plum and pear")
    expect(box).to_have_value("plum and pear")
    for menu, text, names in (
        ("#compare-second", "rain", ("forgetful", "toy")),
        ("#model", "iron and rain", ("toy", "toy")),
    ):
        is_asked.clear()
        may_come.clear()
        choose(page, menu, "toy")
        assert is_asked.wait(60)
        box.fill(text)
        if menu == "#compare-second":
            holds.fill("iron")
        may_come.set()
        for side, name in zip(("first", "second"), names, strict=True):
            expect(page.locator(f"#compare-{side}-answer h2")).to_contain_text(f"{side.capitalize()}: {name}")
            expect(page.locator(f"#compare-{side}-answer .asked")).to_have_text(text)
        expect(box).to_have_value(text)
        if menu == "#compare-second":
            expect(page.locator("#compare-chosen")).to_contain_text("“iron” in the text")


def test_a_model_stands_beside_its_own_student_and_each_answers_by_its_weight_as_one_types(page, forgetful):
    comparison = wanted(forgetful, forgetful)
    assert comparison.differing
    shown_as(page, comparison)
    expect(page.locator("#compare-outcomes td > span")).to_have_text(list(OUTCOMES))
    row = comparison.table[comparison.table["differs"]].iloc[0]
    expect(page.locator("#compare-text textarea")).to_have_value(row["text"])
    expect(page.locator("#compare-first-answer .answer b")).to_have_text(row["first"])
    expect(page.locator("#compare-second-answer .answer b")).to_have_text(row["second"])
    expect(page.locator("#compare-verdict")).to_contain_text(
        f"They differ: the first {row['first']}, the second {row['second']}."
    )
    expect(page.locator("#compare-first-answer h2")).to_have_text("First: forgetful, λ as fitted")
    expect(page.locator("#compare-second-answer h2")).to_have_text("Second: forgetful, the student alone (λ = 0)")
    expect(page.locator("#compare-first-fitted input")).to_be_checked()
    expect(page.locator("#compare-second-fitted input")).not_to_be_checked()
    box = page.locator("#compare-text textarea")
    for text in ("iron and steel", "plum and pear with rain"):
        box.fill(text)
        for side, weight in (("first", None), ("second", 0.0)):
            answer = forgetful.explain(text, retrieval_weight=weight)
            expect(page.locator(f"#compare-{side}-answer .asked")).to_have_text(text)
            shown = page.locator(f"#compare-{side}-answer p.answer")
            expect(shown).to_contain_text(f"{answer.label} probability {answer.probabilities.max():.2f}")
    box.fill("  ")
    expect(page.locator("#compare-message")).to_contain_text("Text 1 is empty")
    box.fill("iron")
    expect(page.locator("#compare-message")).to_be_hidden()
    expect(page.locator("#compare-first-weight input[type=number]")).to_have_value("0.8")
    move(page, "first", 1)
    expect(page.locator("#compare-first-fitted input")).not_to_be_checked()
    shown_as(page, wanted(forgetful, forgetful, (1.0, 0.0)))
    for weight in (0.3, 0.6):
        move(page, "second", weight)
        expect(page.locator("#compare-second-answer h2")).to_have_text(f"Second: forgetful, λ = {weight:.2f}")
        probability = forgetful.explain("iron", retrieval_weight=weight).probabilities.max()
        expect(page.locator("#compare-second-answer p.answer")).to_contain_text(f"probability {probability:.2f}")
        shown_as(page, wanted(forgetful, forgetful, (1.0, weight)))
    page.locator("#compare-second-fitted input").check()
    shown_as(page, wanted(forgetful, forgetful, (1.0, None)))


def test_a_count_a_button_and_a_text_list_their_rows_and_a_row_is_answered(page, forgetful, tmp_path):
    comparison = wanted(forgetful, forgetful)
    table, listed = comparison.table, page.locator(LISTED)
    shown_as(page, comparison)
    for outcome, count in comparison.counts.items():
        if count:
            page.locator(f"#compare-outcomes td:has-text('{outcome}') > button").click()
            expect(page.locator("#compare-chosen")).to_have_text(f"{count} rows: outcome = {outcome}")
    page.locator("#compare-all").click()
    expect(page.locator("#compare-chosen")).to_have_text(f"{len(table)} rows: all rows")
    page.locator("#compare-differing").click()
    expect(page.locator("#compare-chosen")).to_have_text(f"{comparison.differing} rows: answered differently")
    row = table[table["differs"]].iloc[-1]
    page.locator("#compare-holds input, #compare-holds textarea").fill(row["text"][:9])
    found = table[table["differs"] & table["text"].str.contains(row["text"][:9], regex=False)]
    expect(page.locator("#compare-chosen")).to_contain_text(f"“{row['text'][:9].strip()}” in the text")
    expect(listed).to_have_text(str(len(found)))
    page.locator("#compare-rows").get_by_text(row["text"], exact=True).last.click()
    expect(page.locator("#compare-text textarea")).to_have_value(row["text"])
    expect(page.locator("#compare-second-answer .asked")).to_have_text(row["text"])
    expect(page.locator("#compare-first-answer .answer b")).to_have_text(row["first"])
    expect(page.locator("#compare-second-answer .answer b")).to_have_text(row["second"])
    expect(page.locator("#compare-text textarea")).to_be_in_viewport()
    with page.expect_download() as download:
        page.locator("#compare-save").click()
    download.value.save_as(tmp_path / "rows.csv")
    saved = pd.read_csv(tmp_path / "rows.csv")
    assert saved["text"].tolist() == found["text"].tolist()
    assert saved["outcome"].tolist() == found["outcome"].tolist()
    page.locator("#compare-all").click()
    expect(page.locator("#compare-holds input, #compare-holds textarea")).to_have_value("")
    expect(listed).to_have_text(str(len(table)))


def test_another_model_is_the_second_one_of_another_task_a_sentence_and_the_first_follows_the_menu(
    page, folder, forgetful, toy_model
):
    choose(page, "#compare-second", "toy")
    shown_as(page, wanted(forgetful, toy_model))
    page.locator("#compare-second-fitted input").check()
    shown_as(page, wanted(forgetful, toy_model, (None, None)))
    expect(page.locator("#compare-second-answer h2")).to_have_text("Second: toy, λ as fitted")
    for name, sentence in (("other", "the second x, y, z"), ("pairs", "takes single texts, the second pairs of texts")):
        choose(page, "#compare-second", name)
        expect(page.locator("#compare-message")).to_contain_text(sentence)
        expect(page.locator("#compare-summary")).to_contain_text(sentence)
        expect(page.locator("#compare-outcomes")).to_be_hidden()
        expect(page.locator("#compare-second-answer h2")).to_have_count(0)
    choose(page, "#compare-second", "forgetful")
    expect(page.locator("#compare-message")).to_be_hidden()
    move(page, "second", 0)
    shown_as(page, wanted(forgetful, forgetful))
    shutil.copytree(folder / "toy", folder / "late")  # one that is saved while the page is open
    choose(page, "#compare-second", "late")
    expect(page.locator("#compare-second-answer h2")).to_have_text("Second: late, the student alone (λ = 0)")
    shutil.rmtree(folder / "late")
    choose(page, "#model", "toy")
    expect(page.locator("#compare-first input, #compare-first textarea")).to_have_value("toy")
    expect(page.locator("#compare-second input")).to_have_value("toy")
    expect(page.locator("#compare-second-answer h2")).to_have_text("Second: toy, the memory alone (λ = 1)")
    shown_as(page, wanted(toy_model, toy_model, (None, 1.0)))


@pytest.mark.slow
def test_the_address_reopens_both_sides_the_text_and_the_rows(page, open_page, forgetful, toy_model):
    choose(page, "#compare-second", "toy")
    move(page, "second", 0.25)
    page.locator("#compare-text textarea").fill("rain and iron")
    page.locator("#compare-holds input, #compare-holds textarea").fill("a")
    expect(page.locator("#compare-chosen")).to_contain_text("“a” in the text")
    page.locator("#compare-split").get_by_label("validation").check()
    expect(page.locator("#compare-second-answer h2")).to_have_text("Second: toy, λ = 0.25")
    expect(page).to_have_url(re.compile("(?=.*split=validation)(?=.*holds=a)"))
    again = open_page(page.url)
    expect(again.locator("#compare-second-answer h2")).to_have_text("Second: toy, λ = 0.25")
    expect(again.locator("#compare-first-answer .asked")).to_have_text("rain and iron")
    expect(again.locator("#compare-split").get_by_label("validation")).to_be_checked()
    expect(again.locator("#compare-chosen")).to_contain_text("answered differently, “a” in the text")
    table = wanted(forgetful, toy_model, (None, 0.25), "validation").table
    rows = RowFilter({"differs": "True"}, text="a").of(table)
    for seen in (page, again):
        expect(seen.locator("#compare-chosen b")).to_have_text(str(len(rows)))


@pytest.mark.slow
def test_listed_rows_are_selected_on_the_maps_and_what_is_selected_there_is_compared_and_listed(
    page, open_page, forgetful
):
    table = wanted(forgetful, forgetful).table
    expect(page.locator(MAPS)).to_have_attribute("data-points", "127")
    page.locator("#compare-maps").click()
    expect(page.locator(MAPS)).to_have_attribute("data-selected", str(int(table["differs"].sum())))
    expect(page.locator("#map-rows")).to_contain_text(table[table["differs"]]["text"].iloc[0])
    page.locator(".map-clear").click()
    shown_as(page, wanted(forgetful, forgetful))
    of_class = page.locator(".map-legend button").first
    label = of_class.inner_text()
    of_class.click()
    rows = forgetful.held_out(["test"])
    rows = [number for number, gold in enumerate(rows["label"]) if gold == label]
    comparison = wanted(forgetful, forgetful, rows=rows)
    assert 0 < comparison.differing < len(rows) < 36
    chosen, which = page.locator("#compare-chosen"), "rows selected on the maps"
    shown_as(page, comparison, which, len(rows))
    expect(chosen).to_have_text(f"{len(rows)} rows: selected on the maps")
    page.locator("#compare-differing").click()
    expect(chosen).to_have_text(f"{comparison.differing} rows: answered differently, selected on the maps")
    outcome, count = max(comparison.counts.items(), key=lambda entry: entry[1])
    page.locator(f"#compare-outcomes td:has-text('{outcome}') > button").click()
    expect(chosen).to_have_text(f"{count} rows: outcome = {outcome}, selected on the maps")
    expect(page).to_have_url(re.compile("(?=.*outcome)(?=.*selected=)"))
    again = open_page(page.url)
    expect(again.locator("#compare-chosen")).to_have_text(f"{count} rows: outcome = {outcome}, selected on the maps")
    shown_as(again, comparison, which, count)
    row = comparison.table[comparison.table["outcome"] == outcome].iloc[-1]
    page.locator("#compare-rows").get_by_text(row["text"], exact=True).last.click()
    expect(page.locator("#compare-first-answer .asked")).to_have_text(row["text"])
    page.locator("#compare-split").get_by_label("validation").check()  # the maps show none of these
    everywhere = wanted(forgetful, forgetful, split="validation")
    shown_as(page, everywhere, listed=everywhere.counts[outcome])
    page.locator("#compare-maps").click()
    expect(page.get_by_text("The maps show the test rows; choose test above.")).to_be_visible()
    page.locator("#compare-split").get_by_label("test").check()
    shown_as(page, comparison, which, count)
    page.locator("#compare-all").click()
    shown_as(page, comparison, which, len(rows))
    page.locator(".map-clear").click()
    shown_as(page, wanted(forgetful, forgetful))
