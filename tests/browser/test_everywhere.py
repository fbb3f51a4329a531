"""What holds on every page: who is let in, what may be uploaded, and the way back."""

import re

from playwright.sync_api import expect
from ports import free_port
from waiting import expect_result

from app.accounts import Accounts, hashed
from app.model_job import ModelJob
from app.page import build_app
from app.serve import launch

MAPS = "canvas.map-canvas"


def test_who_is_named_logs_in_by_the_page_and_sees_answers_and_maps(open_page, toy_model, tmp_path):
    job = ModelJob(str(tmp_path / "toy"))
    job.model = toy_model
    app = build_app(job)
    page = open_page(launch(app, "127.0.0.1", free_port(), accounts=Accounts({"ada": hashed("secret")})))
    for password in ("wrong", "secret"):
        page.get_by_label("username").fill("ada")
        page.get_by_label("password").fill(password)
        page.get_by_role("button", name="Login").click()
        if password == "wrong":
            expect(page.get_by_text("Incorrect Credentials")).to_be_visible()
    expect(page.locator("#answer p.answer")).to_be_visible()
    expect(page.locator(MAPS)).to_have_attribute("data-points", "126")
    page.close()
    app.close()


def test_a_file_of_another_kind_is_refused_in_a_sentence(open_page, address, tmp_path):
    (tmp_path / "tool.exe").write_bytes(b"MZ")
    page = open_page(f"{address}?view=train")
    page.get_by_label("a file of mine").check()
    page.locator("#train-file input[type=file]").set_input_files(tmp_path / "tool.exe")
    expect(page.locator(".toast-body")).to_contain_text("tool.exe")
    expect(page.locator("#train-preview")).to_be_hidden()
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_what_one_visitor_strikes_out_and_edits_no_other_sees_until_it_is_saved(open_page, window, address, toy_model):
    mine = open_page(address)
    expect(mine.locator("#answer .sum")).to_be_visible()
    answered = mine.locator("#answer .sum").inner_text()
    mine.locator("#neighbours [data-strike]").first.click()
    expect(mine.locator("#memory-changes")).to_contain_text("without")
    mine.get_by_role("tab", name="Memory").click()
    mine.locator('#show input[value="all"]').check()
    expect(mine.locator("#memory-chosen")).to_contain_text("rows: all")
    mine.locator("#memory-holds input, #memory-holds textarea").fill(toy_model.memory.texts[0])
    expect(mine.locator("#memory-chosen b")).to_have_text("1")
    mine.locator("#memory-rows").get_by_text(toy_model.memory.texts[0], exact=True).click()
    expect(mine.locator("#picked-memory")).to_contain_text(toy_model.memory.texts[0])
    mine.locator("#remove").click()
    expect(mine.locator("#pending li")).to_have_count(1)

    visitor = window.context.browser.new_context()
    theirs = visitor.new_page()
    theirs.goto(address)
    expect(theirs.locator("#answer .sum")).to_have_text(answered)
    expect(theirs.locator("#memory-changes")).to_have_text("")
    theirs.get_by_role("tab", name="Memory").click()
    expect(theirs.locator("#memory-chosen b")).to_be_visible()
    expect(theirs.locator("#pending li")).to_have_count(0)
    mine.locator("#version input, #version textarea").fill("repaired")
    mine.locator("#save-version").click()
    expect(mine.locator("#memory-saved")).to_contain_text("repaired")
    theirs.reload()
    theirs.locator("#model input").click()
    expect(theirs.get_by_role("option", name="repaired")).to_be_visible()
    visitor.close()


def test_back_goes_to_the_page_before_and_then_out_of_the_app(open_page, address):
    page = open_page(address)

    def is_open(name):
        expect(page.get_by_role("tab", name=name, selected=True).filter(visible=True)).to_have_count(1)
        expect_result(page, "() => history.state?.view", name.lower())

    is_open("Query")
    page.locator("#text textarea").fill("iron and steel")
    expect(page).to_have_url(re.compile("iron"))
    for name in ("Errors", "Memory"):
        page.get_by_role("tab", name=name).click()
        is_open(name)
    for step, name in (
        (page.go_back, "Errors"),
        (page.go_back, "Query"),
        (page.go_forward, "Errors"),
        (page.go_back, "Query"),
    ):
        step()
        is_open(name)
    expect(page.locator("#text textarea")).to_have_value("iron and steel")
    page.go_back()
    expect(page).to_have_url("about:blank")
