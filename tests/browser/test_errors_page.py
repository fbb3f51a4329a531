"""The page of errors in a real browser: every figure lists its rows, and what is listed is what is saved."""

import re
import shutil
import threading
from dataclasses import replace

import pandas as pd
import pytest
from playwright.sync_api import expect

from app.model_job import ModelJob
from app.views import errors_figures
from app.views import query as query_view
from reaugkd.method.answers import effects
from reaugkd.model.explanation import explain

MAPS = "canvas.map-canvas"


@pytest.fixture
def answered(forgetful):
    """The answers to the test rows, as they were chosen in training."""
    return forgetful.answer(forgetful.encode_rows(forgetful.held_out(["test"])))


@pytest.fixture
def page(open_page, serve_model, forgetful):
    page = open_page(serve_model(forgetful))
    page.get_by_role("tab", name="Errors").click()
    expect(page.locator("#errors-chosen b")).to_have_text("36")
    return page


def choose(page, box, option):
    page.locator(f"#{box} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def saved_rows(page, folder):
    with page.expect_download() as download:
        page.locator("#errors-save").click()
    download.value.save_as(folder / "rows.csv")
    return pd.read_csv(folder / "rows.csv")


def test_a_cell_a_combination_a_bin_and_a_filter_list_their_rows_and_a_row_its_neighbours(
    open_page, serve_model, forgetful, answered, tmp_path
):
    page = open_page(serve_model(forgetful))
    page.get_by_role("tab", name="Errors").click()
    table = answered.table()
    listed = page.locator("#errors-chosen b")
    expect(page.locator("#errors-summary")).to_contain_text(f"percent of {len(table)} rows")
    expect(listed).to_have_text(str(len(table)))
    for buttons in ("#confusion [data-pick]", "#disagreements [data-pick]", "#reliability [data-pick]"):
        button = page.locator(buttons).first
        count = re.findall(r"\d+", button.inner_text())[-1]
        button.click()
        expect(listed).to_have_text(count)
        expect(page.locator("#errors-summary")).to_contain_text(f"percent of {count} rows")
        expect(page.locator(buttons).first).to_have_attribute("aria-pressed", "true")
        page.locator("#errors-all").click()
        expect(listed).to_have_text(str(len(table)))
    count = page.locator("#errors-slices tbody .number").first.inner_text()
    page.locator("#errors-slices tbody [data-pick]").first.click()
    expect(listed).to_have_text(count)
    page.locator("#errors-slices").get_by_role("button", name="rows").click()
    counts = page.locator("#errors-slices tbody td:nth-child(3)")
    expect(page.locator("#errors-slices th[aria-sort=ascending]")).to_have_text("rows")
    found = [int(words) for words in counts.all_inner_texts()]
    assert found == sorted(found)
    page.locator("#errors-all").click()
    expect(page.locator("#errors-slices [aria-pressed=true]")).to_have_count(0)
    expect(page.locator("#errors-slices th[aria-sort=ascending]")).to_have_text("rows")  # a new table keeps the order
    expect(listed).to_have_text(str(len(table)))
    page.locator("#errors-confidence input").click()
    page.get_by_role("option", name="0.5 to 0.7").click()
    expect(listed).to_have_text(str(((table["probability"] > 0.5) & (table["probability"] <= 0.7)).sum()))
    expect(page.locator("#errors-chosen")).to_contain_text("probability 0.5 to 0.7")
    page.locator("#errors-all").click()
    expect(listed).to_have_text(str(len(table)))
    page.locator("#effect input").click()
    page.get_by_role("option", name="broken").click()
    broken = table[table["effect"] == "broken"]
    assert len(broken)
    expect(listed).to_have_text(str(len(broken)))
    text = broken["text"].iloc[0]
    page.locator("#errors-holds input, #errors-holds textarea").fill(text[:12])
    expect(page.locator("#errors-chosen")).to_contain_text(f"“{text[:12]}” in the text")
    few = broken["text"].str.contains(text[:12]).sum()
    expect(page.locator("#errors-summary")).to_contain_text(f"percent of {few} rows")
    page.locator("#errors-rows [data-sort='probability']").click()
    expect(page.locator("#errors-rows th[aria-sort=descending]")).to_have_text("probability")
    page.locator("#errors-rows").get_by_text(text, exact=True).last.click()
    expect(page.locator("#errors-rows tr.open")).to_contain_text(text)
    expect(page.locator("#opened-row .neighbours tbody tr")).to_have_count(4 * len(forgetful.pool.keys))
    expect(page.locator("#opened-row p.answer b")).to_have_text(broken["answer"].iloc[0])
    expect(page.locator("#opened-row .gold")).to_contain_text("✗ answer✓ student")
    expect(page.locator("#opened-row .answer-bars .chosen th")).to_have_text(broken["answer"].iloc[0])
    with page.expect_download() as download:
        page.locator("#errors-save").click()
    download.value.save_as(tmp_path / "rows.csv")
    saved = pd.read_csv(tmp_path / "rows.csv")
    found = broken[broken["text"].str.contains(text[:12])].sort_values("probability", ascending=False, kind="stable")
    assert saved["text"].tolist() == found["text"].tolist()
    page.locator("#errors-ask").click()
    expect(page.get_by_role("tab", name="Query")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#answer .asked")).to_have_text(text)
    expect(page.locator("#text textarea")).to_have_value(text)
    expect(page.locator("#text")).to_be_in_viewport()
    expect(page).not_to_have_url(re.compile("view="))


def test_a_value_of_a_column_narrows_the_rows_and_another_column_lets_all_pass_again(page, answered, tmp_path):
    table, listed = answered.table(), page.locator("#errors-chosen b")
    topic = table["topic"].iloc[0]
    choose(page, "errors-column", "topic")
    choose(page, "errors-value", topic)
    expect(page.locator("#errors-chosen")).to_contain_text(f"topic = {topic}")
    expect(listed).to_have_text(str((table["topic"] == topic).sum()))

    def says_something(response):  # the page's clock does not
        return "/queue/join" in response.url and bool(response.request.post_data_json["data"])

    with page.expect_response(says_something):  # the menu tells of being left
        page.locator("#errors-column input").focus()
        page.locator("#errors-column input").blur()
    page.locator("#errors-holds input, #errors-holds textarea").fill("a")  # is answered after that
    expect(page.locator("#errors-chosen")).to_contain_text("“a” in the text")
    expect(page.locator("#errors-chosen")).to_contain_text(f"topic = {topic}")
    expect(page.locator("#errors-value input")).to_have_value(topic)
    page.locator("#errors-holds input, #errors-holds textarea").fill("")
    expect(listed).to_have_text(str((table["topic"] == topic).sum()))
    choose(page, "errors-column", "student")
    expect(page.locator("#errors-chosen")).to_contain_text("all rows")
    expect(listed).to_have_text(str(len(table)))
    assert len(saved_rows(page, tmp_path)) == len(table)


def test_the_answers_that_a_slider_flips_are_counted_and_listed(page, answered, forgetful):
    expect(page.locator("#errors-summary")).to_contain_text("chosen in training: nothing.")
    kinds = set()
    for weight in (0.0, 1.0):
        page.locator("#errors-weight input[type=number]").fill(str(weight))
        moved = answered.at(weight)
        right = 100 * (moved.predicted["answer"] == moved.labels).mean()
        expect(page.locator("#errors-summary")).to_contain_text(f"with the memory {right:.1f}")
        flips = pd.Series(effects(answered.labels, answered.predicted["answer"], moved.predicted["answer"]))
        for kind, count in flips[flips != "none"].value_counts().items():
            words = f"{count} {'from wrong to wrong' if kind == 'changed' else kind}"
            page.locator("#errors-summary").get_by_role("button", name=words, exact=True).click()
            expect(page.locator("#errors-chosen")).to_contain_text(f"{count} of 36 rows: flip = {kind}")
            page.locator("#errors-all").click()
            expect(page.locator("#errors-chosen")).to_contain_text("36 rows: all rows")
            kinds.add(kind)
    assert {"fixed", "broken"} <= kinds


def test_what_the_memory_fixed_opens_the_neighbours_that_did_it_until_they_change(page, answered, forgetful, tmp_path):
    table = answered.table()
    rows = table[table["effect"] == "fixed"]
    assert len(rows) > 0
    choose(page, "effect", "fixed")
    expect(page.locator("#errors-chosen")).to_contain_text(f"{len(rows)} of 36 rows: effect = fixed")
    assert saved_rows(page, tmp_path)["text"].tolist() == rows["text"].tolist()
    page.locator("#errors-rows").get_by_text(rows["text"].iloc[0], exact=True).last.click()
    said = explain(answered, int(rows.index[0]))
    found = [neighbour.text for key in said.keys_by_part for neighbour in key.neighbours]
    expect(page.locator("#opened-row summary")).to_have_text(found)
    page.locator("#errors-k input[type=number]").fill("2")  # these are no longer its own neighbours
    expect(page.locator("#opened-row .neighbours")).to_have_count(0)


def test_rows_that_are_selected_on_the_maps_are_test_rows_and_the_address_reopens_them(page, open_page):
    expect(page.locator(MAPS)).to_have_attribute("data-points", "127")
    page.locator(".map-legend button").first.click()
    expect(page.locator("#errors-chosen")).to_contain_text("selected on the maps")
    few = int(page.locator("#errors-chosen b").inner_text())
    assert 0 < few < 36
    expect(page.locator("#errors-summary")).to_contain_text(f"percent of {few} rows selected on the maps")
    counts = [int(text) for text in page.locator("#confusion [data-pick]").all_inner_texts()]
    assert sum(counts) == few
    for diagram in page.locator("#reliability .reliability").all():
        assert sum(int(text) for text in diagram.locator("[data-pick]").all_inner_texts()) == few
    page.locator("#confusion [data-pick]").first.click()
    expect(page.locator("#errors-chosen b")).to_have_text(str(counts[0]))
    expect(page.locator("#errors-chosen")).to_contain_text(re.compile("label = .*, selected on the maps"))
    expect(page).to_have_url(re.compile("selected=.*picked="))
    again = open_page(page.url)
    expect(again.locator("#errors-chosen p")).to_have_text(page.locator("#errors-chosen p").inner_text())
    page.locator("#confusion [aria-pressed=true]").click()
    expect(page.locator("#errors-chosen b")).to_have_text(str(few))
    page.locator("#errors-split").get_by_label("validation").check()
    expect(page.locator("#errors-chosen")).to_contain_text("all rows")
    page.locator("#errors-split").get_by_label("test").check()
    expect(page.locator("#errors-chosen b")).to_have_text(str(few))
    page.locator("#errors-all").click()
    expect(page.locator("#errors-chosen")).to_contain_text(f"{few} of 36 rows: selected on the maps")
    page.locator(".map-clear").click()
    expect(page.locator("#errors-chosen b")).to_have_text("36")
    expect(page.locator("#errors-summary")).to_contain_text("percent of 36 rows (95 %")


@pytest.fixture(scope="module")
def beside(serve, tmp_path_factory, forgetful, toy_model_folder):
    """The address of a page whose menu has the forgetful model, one of six test rows, and a damaged one."""
    folder = tmp_path_factory.mktemp("beside")
    rows = forgetful.evaluation_rows
    few = rows[(rows["split"] != "test") | (rows.groupby("split").cumcount() < 6)]
    replace(forgetful, evaluation_rows=few).save_pretrained(folder / "few")
    shutil.copytree(toy_model_folder, folder / "damaged")
    (folder / "damaged" / "maps.parquet").write_bytes(b"nothing")
    job = ModelJob(str(folder / "forgetful"))
    job.model = forgetful
    return serve(job)


def test_another_model_is_listed_whole_though_points_of_the_one_before_are_selected(open_page, beside):
    page = open_page(f"{beside}?view=errors")
    expect(page.locator("#errors-chosen b")).to_have_text("36")
    expect(page.locator(MAPS)).to_have_attribute("data-points", "127")
    page.locator("#errors-maps").click()
    expect(page.locator("#errors-chosen")).to_have_text("36 rows: all rows")
    page.locator(".map-legend button").first.click()
    expect(page.locator("#errors-chosen")).to_contain_text("selected on the maps")
    choose(page, "model", "few")
    expect(page.locator("#errors-chosen")).to_have_text("6 rows: all rows")
    expect(page.locator(MAPS)).to_have_attribute("data-points", "97")
    expect(page.locator("#map-selected")).to_contain_text("No text is selected")
    expect(page.locator("#errors-chosen")).to_have_text("6 rows: all rows")
    expect(page.locator(".toast-body")).to_have_count(0)


@pytest.mark.slow
def test_where_a_model_cannot_be_loaded_menu_and_address_name_the_one_that_answers(open_page, beside):
    page = open_page(f"{beside}?view=errors")
    expect(page.locator("#errors-chosen b")).to_have_text("36")
    for answering in ("forgetful", "few"):
        if answering != "forgetful":
            choose(page, "model", answering)
            expect(page.locator("#errors-chosen b")).to_have_text("6")
        choose(page, "model", "damaged")
        expect(page.locator(".toast-body").filter(has_text="maps.parquet").last).to_be_visible()
        expect(page.locator("#model input")).to_have_value(answering)
    expect(page.locator("#errors-chosen b")).to_have_text("6")
    expect(page).to_have_url(re.compile("model=few"))
    again = open_page(page.url)
    expect(again.locator("#errors-chosen")).to_have_text("6 rows: all rows")
    expect(again.locator("#model input")).to_have_value("few")


@pytest.mark.slow
def test_a_model_is_filled_in_once_when_it_is_chosen_and_not_when_its_menu_is_left(open_page, beside, monkeypatch):
    filled, about_html = [], query_view.about_html
    monkeypatch.setattr(query_view, "about_html", lambda model: filled.append(len(model.memory)) or about_html(model))
    page = open_page(f"{beside}?view=errors")
    expect(page.locator("#errors-chosen b")).to_have_text("36")
    page.locator("#model input").click()
    expect(page.locator("[role=option]:visible").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".lecture-switch")).to_be_focused()
    expect(page.locator("[role=option]:visible")).to_have_count(0)
    for chosen, rows in (("few", "6"), ("forgetful", "36")):
        page.locator("#model input").focus()
        page.locator("#model input").blur()
        page.locator("#model input").click()
        page.get_by_role("option", name=chosen, exact=True).last.click()
        expect(page.locator("#errors-chosen b")).to_have_text(rows)
    assert len(filled) == 3  # when the page is opened, and by each choice
    expect(page.locator(".toast-body")).to_have_count(0)


def test_what_is_typed_while_a_model_is_coming_stays_and_is_answered(open_page, beside, monkeypatch):
    page = open_page(beside)
    expect(page.locator("#answer p.answer")).to_be_visible()
    is_coming, may_come, about_html = threading.Event(), threading.Event(), query_view.about_html

    def held(model):
        is_coming.set()
        assert may_come.wait(300)
        return about_html(model)

    monkeypatch.setattr(query_view, "about_html", held)
    try:
        choose(page, "model", "few")
        assert is_coming.wait(60)
        page.locator("#text textarea").fill("plum and pear")
    finally:
        may_come.set()
    expect(page.locator("#answer .asked")).to_have_text("plum and pear")
    expect(page.locator("#text textarea")).to_have_value("plum and pear")


def test_a_text_is_answered_while_the_rows_are_still_coming(open_page, serve_model, forgetful, monkeypatch):
    may_come, encoded_rows = threading.Event(), errors_figures.encoded_rows
    monkeypatch.setattr(errors_figures, "encoded_rows", lambda *asked: may_come.wait(300) and encoded_rows(*asked))
    page = open_page(f"{serve_model(forgetful)}?view=errors")
    try:
        page.get_by_role("tab", name="Query").click()
        page.locator("#text textarea").fill("plum and pear")
        expect(page.locator("#answer .asked")).to_have_text("plum and pear")
        expect(page).to_have_url(re.compile("plum"))
    finally:
        may_come.set()
    page.get_by_role("tab", name="Errors").click()
    expect(page.locator("#errors-chosen b")).to_have_text("36")
    page.get_by_role("tab", name="Query").click()
    expect(page).not_to_have_url(re.compile("view="))


def test_the_address_reopens_the_page_with_its_filters(page, open_page):
    page.locator("#errors-weight input[type=number]").fill("0.3")
    page.locator("#errors-split").get_by_label("validation").check()
    expect(page.locator("#errors-chosen")).to_contain_text("24 rows: all rows")
    page.locator("#confusion [data-pick]").first.click()
    expect(page.locator("#errors-chosen")).to_contain_text("label = ")
    choose(page, "errors-confidence", "above 0.9")
    page.locator("#errors-holds input, #errors-holds textarea").fill("a")
    expect(page.locator("#errors-chosen")).to_contain_text("“a” in the text")
    expect(page).to_have_url(re.compile("holds=a"))
    again = open_page(page.url)
    expect(again.locator("#errors-chosen")).to_contain_text("“a” in the text")
    expect(again.locator("#errors-chosen")).to_contain_text("label = ")
    expect(page.locator("#errors-chosen p")).to_have_text(again.locator("#errors-chosen p").inner_text())
    expect(again.locator("#errors-weight input[type=number]")).to_have_value("0.3")
    expect(again.locator("#errors-split").get_by_label("validation")).to_be_checked()
    expect(again.locator("#errors-confidence input")).to_have_value("above 0.9")
