"""The page that labels, in a real browser: a log becomes a queue, labels count at once, and are saved."""

import pandas as pd
from playwright.sync_api import expect

TEXTS = ["some iron and zinc", "a gizmo hums", "a gizmo beeps", "a gizmo hums!", "a <b>ripe</b> plum", ""]


def test_a_log_is_opened_labelled_by_keys_and_buttons_measured_and_saved(open_page, serve_model, forgetful, tmp_path):
    pd.DataFrame({"when": range(6), "message": TEXTS}).to_csv(tmp_path / "log.csv", index=False)
    page = open_page(f"{serve_model(forgetful)}?view=label")
    progress, asked = page.locator("#label-progress"), page.locator("#label-text blockquote")
    expect(progress).to_contain_text("No texts are opened yet")
    with page.expect_file_chooser() as chooser:
        page.locator("#label-upload").click()
    chooser.value.set_files(tmp_path / "log.csv")
    expect(page.locator("#label-column input")).to_have_value("when")  # no column has a name that says text
    page.locator("#label-column input").click()
    page.get_by_role("option", name="message", exact=True).click()
    expect(progress).to_contain_text("5 texts (1 left out")
    expect(progress).to_contain_text("1 of them near-copies")
    expect(progress).to_contain_text("to ask 4")
    first = asked.inner_text()
    page.keyboard.press("1")  # the key of the first class
    expect(progress).to_contain_text("Labelled 1, skipped 0, to ask 3")
    expect(page.locator("#label-gain")).to_contain_text("with 1 pending edit:")
    expect(asked).not_to_have_text(first)
    second = asked.inner_text()
    page.locator("#label-other input").fill("gizmo")
    page.locator("#label-other input").press("Enter")
    page.locator("#label-give").click()
    expect(progress).to_contain_text("Labelled 2, skipped 0, to ask 2")
    expect(page.locator("#label-gain")).to_contain_text("with 2 pending edits:")
    expect(page.locator("#label-gain")).to_contain_text("No test row is of the new class gizmo")
    expect(page.locator("#label-plot .js-plotly-plot")).to_be_visible()
    expect(page.locator("#label-buttons")).to_contain_text("gizmo")  # a class from now on
    page.keyboard.press("s")
    expect(progress).to_contain_text("Labelled 2, skipped 1, to ask 1")
    page.keyboard.press("u")
    expect(progress).to_contain_text("Labelled 2, skipped 0, to ask 2")
    with page.expect_download() as download:
        page.locator("#label-save").click()
    download.value.save_as(tmp_path / "labelled.csv")
    saved = pd.read_csv(tmp_path / "labelled.csv").set_index("text")
    assert saved["label"].to_dict() == {first: forgetful.classes_[0], second: "gizmo"}
    assert saved["when"].to_dict() == {text: TEXTS.index(text) for text in (first, second)}
    page.locator("#label-to-memory").click()
    expect(page.get_by_role("tab", name="Memory", selected=True)).to_be_visible()
    expect(page.locator("#pending li")).to_have_count(2)
