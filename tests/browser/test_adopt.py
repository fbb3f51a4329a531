"""The page adopts a classifier of one's own, in a real browser; then every page works on it."""

import pytest
from playwright.sync_api import expect
from toy_data import toy_rows

MAPS, SMALL = "canvas.map-canvas", "canvas.small-map-canvas"


def choose(page, box, value):
    page.locator(f"{box} input").fill(value)
    page.locator(f"{box} input").press("Enter")


@pytest.mark.slow  # an adoption, and a walk through all pages
def test_a_classifier_is_adopted_stands_in_the_menu_and_every_page_works_on_it(
    open_page, serve_model, toy_model, toy_classifier_folder, tmp_path
):
    for name, seed, rows in (("train", 0, 30), ("test", 2, 40)):
        table = toy_rows(rows, seed=seed).rename(columns={"text": "review", "label": "kind"})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    page = open_page(f"{serve_model(toy_model)}?view=train")
    page.get_by_role("button", name="Adopt a classifier of mine").click()
    page.locator("#adopt-start").click()
    expect(page.locator("#train-message")).to_contain_text("There is no classifier")
    page.locator("#adopt-classifier input, #adopt-classifier textarea").fill(str(toy_classifier_folder))
    for name in ("train", "test"):
        page.locator(f"#adopt-{name} input[type=file]").set_input_files(tmp_path / f"{name}.csv")
        expect(page.locator(f"#adopt-{name}")).to_contain_text(f"{name}.csv".removesuffix(".csv"))
    expect(page.locator("#adopt-text-column input")).to_have_value("review")
    choose(page, "#adopt-label-column", "kind")
    page.locator("#adopt-start").click()
    expect(page.locator("#train-status")).to_contain_text("classifier is adopted")
    expect(page.locator("#train-message")).to_be_hidden()
    page.locator("#model input").click()
    page.get_by_role("option", name="classifier", exact=True).last.click()
    page.get_by_role("tab", name="Query").click()
    expect(page.locator("#about")).to_contain_text("the classifier classifier answers, as the student")
    page.locator("#text textarea").fill("plum and pear")
    expect(page.locator("#answer .asked")).to_contain_text("plum and pear")
    expect(page.locator(f"{SMALL}[data-points='150']")).to_be_visible()
    expect(page.get_by_role("button", name="Teacher's space")).to_be_hidden()
    expect(page.locator(MAPS)).to_have_attribute("data-points", "150")
    expect(page.get_by_label("Teacher to student")).to_be_hidden()
    for tab, filled in (("Errors", "#errors-rows"), ("Memory", "#memory-rows"), ("Compare", "#compare-chosen")):
        page.get_by_role("tab", name=tab, exact=True).click()
        expect(page.locator(filled)).to_be_visible()
        expect(page.get_by_text("Traceback")).to_have_count(0)
