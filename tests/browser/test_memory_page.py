"""The page of the memory in a real browser: what it lists, every way to edit, and what an edit does."""

import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from playwright.sync_api import expect
from waiting import type_into_opened

from app.model_job import ModelJob
from reaugkd.analysis.edit_effects import halves
from reaugkd.analysis.edits import Edit, apply_patch, read_patch
from reaugkd.analysis.memory_audit import memories
from reaugkd.analysis.refit import refit_pool
from reaugkd.method.answers import changed_answers
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier

MAPS = "canvas.map-canvas"


@pytest.fixture
def page(open_page, serve_model, forgetful):
    page = open_page(serve_model(forgetful))
    page.get_by_role("tab", name="Memory").click()
    expect(page.locator("#memory-chosen b")).to_be_visible()
    expect(page).to_have_url(re.compile("view=memory"))
    return page


def answers_of(model):
    """A model's answers to the test rows that edits are judged on."""
    return model.answer(halves(model.encode_rows(model.held_out(["test"])))[0])


def downloaded(page, button, folder):
    with page.expect_download() as download:
        page.locator(f"#{button}").click()
    download.value.save_as(folder / download.value.suggested_filename)
    return folder / download.value.suggested_filename


def contents(folder):
    """The bytes of every file of a folder."""
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def add(page, text):
    """Add a memory, and wait until it is pending and the box is empty for the next one."""
    form(page, "A text of yours")
    type_into_opened(page, "#add-text textarea", text)
    page.locator("#add").click()
    expect(page.locator("#pending")).to_contain_text(text)
    expect(page.locator("#add-text textarea")).to_have_value("")


def show(page, name):
    """Choose a list."""
    page.locator(f'#show input[value="{name}"]').check()


def form(page, name):
    """Open one of the forms beside the list."""
    page.locator("#memory-forms").get_by_role("tab", name=name).click()


def test_a_list_is_chosen_sorted_by_a_click_and_saved_whole(page, forgetful, tmp_path):
    answered = answers_of(forgetful)
    show(page, "all")
    expect(page.locator("#memory-chosen")).to_contain_text(f"{len(forgetful.memory):,} rows: all")
    page.locator("#memory-rows [data-sort='gain']").click()
    expect(page.locator("#memory-rows th[aria-sort]")).to_have_text("gain")
    wanted = memories(forgetful, answered, "all").sort_values("gain", ascending=False, kind="stable")
    shown = page.locator("#memory-rows tr[data-row]").evaluate_all("rows => rows.map(row => Number(row.dataset.row))")
    assert shown == wanted["number"].tolist()
    found = pd.read_csv(downloaded(page, "memory-save", tmp_path))
    assert found["number"].tolist() == shown
    assert set(wanted.columns) <= set(found.columns)
    show(page, "leaks of the test rows")
    leaked = forgetful.held_out(["test"])["text"].iloc[20]
    expect(page.locator("#memory-rows tr[data-row]").filter(has_text=leaked).first).to_be_visible()
    page.locator("#memory-holds input, #memory-holds textarea").fill("no text holds this")
    expect(page.locator("#memory-rows")).to_contain_text("No memory is on this list")


def test_rows_are_opened_ticked_and_edited_by_keys_and_by_buttons(page, forgetful):
    show(page, "all")
    rows, names = page.locator("#memory-rows tr[data-row]"), forgetful.memory.rows["id"]
    expect(rows).to_have_count(len(names))
    rows.nth(2).click()
    expect(page.locator("#picked-memory")).to_contain_text(names[2])
    page.keyboard.press("ArrowDown")
    expect(page.locator("#picked-memory")).to_contain_text(names[3])
    labels = forgetful.memory.rows["label"]
    place = next(number for number, name in enumerate(forgetful.classes_) if name != labels[3])
    page.keyboard.press(str(place + 1))
    expect(page.locator("#pending li")).to_have_text([f"relabel {names[3]} to {forgetful.classes_[place]} drop"])
    expect(page.locator("#memory-rows tr.edited")).to_contain_text(f"→ {forgetful.classes_[place]}")
    expect(page.locator("#picked-memory")).to_contain_text(names[4])  # the next one is open
    page.keyboard.press("u")
    expect(page.locator("#pending")).to_contain_text("No edit is pending")
    for number in (6, 8):
        rows.nth(number).locator("input").check()
    expect(page.locator("#picked-memory")).to_contain_text("2 rows are chosen")
    page.locator("#remove").click()
    expect(page.locator("#pending li")).to_have_text([f"remove {names[n]} drop" for n in (6, 8)])
    expect(rows.nth(6).locator("input")).to_be_checked()  # a new drawing keeps what is ticked
    page.locator("#memory-holds input, #memory-holds textarea").fill("no text holds this")
    expect(page.locator("#picked-memory")).to_contain_text("Click a row")  # what is not listed is not chosen


def test_a_memory_is_relabelled_and_added_to_tried_out_undone_and_saved_as_a_new_version(
    open_page, serve, toy_model, toy_model_folder, tmp_path
):
    folder = shutil.copytree(toy_model_folder, tmp_path / "toy")
    before = contents(folder)
    job = ModelJob(str(folder))
    keys = {"aligned": KeySettings(4, 0.05, 6.0), "text": KeySettings(4, 0.05, 3.0)}
    pool = Pool(keys, new_class_key="aligned")  # by this key the edits change some answers to test rows
    job.model = replace(toy_model, pool=pool)
    page = open_page(serve(job))
    page.get_by_role("tab", name="Memory").click()
    expect(page.locator("#memory-chosen b")).to_be_visible()  # the page that is filled tells nothing of before
    row = toy_model.memory.rows.iloc[7]
    other = next(name for name in toy_model.classes_ if name != row["label"])
    page.locator("#remove").click()
    expect(page.locator("#memory-message")).to_contain_text("No memory is chosen")
    page.locator("#memory-holds input, #memory-holds textarea").fill(row["text"])
    page.locator("#memory-rows").get_by_text(row["text"], exact=True).click()
    expect(page.locator("#picked-memory")).to_contain_text(row["id"])
    page.locator("#new-label input").fill(other)
    page.locator("#new-label input").press("Enter")
    page.locator("#relabel").click()
    expect(page.locator("#pending")).to_contain_text(f"relabel {row['id']} to {other}")
    form(page, "A text of yours")
    type_into_opened(page, "#add-text textarea", "the shiny gadget hums")
    page.locator("#add-label input").fill("gadget")
    page.locator("#add-label input").press("Enter")
    page.locator("#add").click()
    expect(page.locator("#pending li")).to_have_text(
        [f"relabel {row['id']} to {other} drop", "add as gadget (a new class) “the shiny gadget hums” drop"]
    )
    form(page, "Edit rows")
    page.locator("#remove").click()  # in the place of the relabelling
    expect(page.locator("#pending li").last).to_have_text(f"remove {row['id']} drop")
    page.locator("#relabel").click()
    expect(page.locator("#pending li").last).to_have_text(f"relabel {row['id']} to {other} drop")
    page.get_by_role("tab", name="Errors").click()
    page.get_by_role("tab", name="Memory").click()
    expect(page.locator("#pending li")).to_have_count(2)
    patch = (Edit("add", "added-1", "gadget", "the shiny gadget hums"), Edit("relabel", row["id"], other))
    edited = apply_patch(job.model, patch)
    answered = answers_of(job.model)
    effects = changed_answers(answered, edited.answer(answered.encoded))
    effect, rows = effects["effect"].value_counts(), effects[effects["effect"] != "none"]
    page.locator("#try").click()
    said = f"the edits fix {effect.get('fixed', 0)} and break {effect.get('broken', 0)}"
    expect(page.locator("#patch-effect")).to_contain_text(said)
    assert len(rows)
    for text in rows["text"]:
        expect(page.locator("#changed")).to_contain_text(text)
    assert pd.read_csv(downloaded(page, "changed-save", tmp_path))["text"].tolist() == rows["text"].tolist()
    page.locator("#version input, #version textarea").fill("better")
    page.locator("#save-version").click()
    expect(page.locator("#memory-saved")).to_contain_text("Saved as better")
    button, said = (page.locator(f"#{name}").bounding_box() for name in ("save-version", "memory-saved"))
    assert 0 <= said["y"] - button["y"] - button["height"] < 40  # the message stands at the button
    expect(page.locator("#pending .saved")).to_have_count(2)
    saved = ReAugKDClassifier.from_pretrained(tmp_path / "better")
    assert saved.classes_.tolist() == [*toy_model.classes_, "gadget"]
    assert saved.memory.rows.set_index("id").loc[row["id"], "label"] == other
    assert contents(folder) == before
    assert read_patch(tmp_path / "better.patch.jsonl") == patch
    page.locator("#version input, #version textarea").fill("better")
    page.locator("#save-version").click()
    expect(page.locator("#memory-saved")).to_contain_text("is there already; choose another name")
    page.locator("#model input").click()
    page.get_by_role("option", name="better").click()
    expect(page.locator("#pending")).to_contain_text("No edit is pending")
    expect(page.locator("#version input, #version textarea")).to_have_value("better-edited")
    page.get_by_role("tab", name="Query").click()
    page.locator("#text textarea").fill("the shiny gadget hums")
    expect(page.locator("#answer .asked")).to_have_text("the shiny gadget hums")
    expect(page.locator("#answer .answer b")).to_have_text(saved.explain("the shiny gadget hums").label)
    expect(page.locator(".neighbours summary").first).to_have_text("the shiny gadget hums")
    page.get_by_role("tab", name="Memory").click()
    page.locator("#model input").click()
    page.get_by_role("option", name="toy", exact=True).click()
    expect(page.locator("#pending li")).to_have_count(2)


def test_a_table_is_added_and_any_pending_edit_can_be_dropped_and_the_file_holds_the_others(page, forgetful, tmp_path):
    for text in ("iron in the rain", "plum and pear", "fog over iron"):
        add(page, text)
    page.locator("[data-drop='1']").click()
    expect(page.locator("#pending li")).to_have_count(2)
    patch = read_patch(downloaded(page, "save-patch", tmp_path))
    assert [edit.text for edit in patch] == ["iron in the rain", "fog over iron"]
    assert len(apply_patch(forgetful, patch).memory) == len(forgetful.memory) + 2
    file = tmp_path / "more.csv"
    file.write_text("text,label\nthe gadget hums,gadget\na plum in the fog,fruit\n", encoding="utf-8")
    with page.expect_file_chooser() as chooser:
        page.locator("#add-csv").click()
    chooser.value.set_files(file)
    expect(page.locator("#pending li").nth(2)).to_contain_text("add as gadget (a new class) “the gadget hums”")
    expect(page.locator("#pending li")).to_have_count(4)
    page.locator("#try").click()
    expect(page.locator("#patch-effect")).to_contain_text("the edits fix")
    page.locator("#version input, #version textarea").fill("more")
    page.locator("#save-version").click()
    expect(page.locator("#memory-saved")).to_contain_text("Saved as")


def test_what_was_tried_out_goes_when_the_pool_is_to_be_fitted_again_and_is_tried_by_that(page, forgetful):
    row = forgetful.memory.rows.iloc[0]
    show(page, "all")
    expect(page.locator("#memory-chosen")).to_contain_text("rows: all")
    page.locator("#memory-rows").get_by_text(row["text"], exact=True).first.click()
    expect(page.locator("#picked-memory")).to_contain_text(f"{row['id']}: ")
    page.locator("#remove").click()
    expect(page.locator("#pending li")).to_have_count(1)
    before, edited = answers_of(forgetful), apply_patch(forgetful, (Edit("remove", row["id"]),))
    for after in (edited, refit_pool(edited)):
        expect(page.locator("#patch-effect")).not_to_contain_text("the edits fix")
        # What is read aloud must be the same element as before, with other words.
        page.evaluate("document.querySelector('#patch-effect [role=status]').dataset.stays = 'yes'")
        page.locator("#try").click()
        effect = changed_answers(before, after.answer(before.encoded))["effect"].value_counts()
        said = f"the edits fix {effect.get('fixed', 0)} and break {effect.get('broken', 0)}"
        expect(page.locator("#patch-effect [role=status][data-stays]")).to_contain_text(said)
        page.locator("#refit input").click()


def test_pending_edits_survive_a_reload_and_a_server_that_forgot_the_page_and_can_be_saved(
    open_page, serve, toy_model, toy_model_folder, tmp_path
):
    folder = shutil.copytree(toy_model_folder, tmp_path / "toy")
    job = ModelJob(str(folder))
    job.model = toy_model
    address = f"{serve(job)}?view=memory"
    page = open_page(address)
    expect(page.locator("#pending")).to_contain_text("No edit is pending")
    stored = "localStorage.getItem('reaugkd-pending')"
    for text in ("iron in the rain", "${1} <b>fog</b> over iron"):
        before = page.evaluate(stored)
        add(page, text)
        page.wait_for_function(f"before => {stored} !== before", arg=before)
    page.reload()
    expect(page.locator("#pending li")).to_have_count(2)
    for state in serve.pages[-1].state_holder.session_data.values():
        state.state_data.clear()
    page.get_by_role("button", name="Drop: add", exact=False).nth(1).click()
    expect(page.locator("#pending li")).to_have_count(1)
    page.locator("#save-version").click()
    expect(page.locator("#memory-saved")).to_contain_text("Saved as")
    assert [edit.text for edit in read_patch(tmp_path / "toy-edited.patch.jsonl")] == ["iron in the rain"]
    page.goto(address)
    expect(page.locator("#pending li")).to_have_count(1)
    expect(page.locator("#memory-chosen b")).to_be_visible()  # the page is filled: now one chooses a model
    for model, count in (("toy-edited", 0), ("toy", 1)):
        page.locator("#model input").click()
        page.get_by_role("option", name=model, exact=True).click()
        expect(page.locator("#pending li")).to_have_count(count)


def test_memories_that_are_selected_on_the_maps_are_listed_and_a_link_reopens_them(page, open_page):
    expect(page.locator(MAPS)).to_have_attribute("data-points", "127")
    page.locator("#most-moved").click()
    expect(page.locator("#memory-chosen")).to_contain_text("20 rows: all, selected on the maps")
    show(page, "label looks wrong")
    expect(page.locator("#memory-chosen")).to_contain_text("rows: label looks wrong, selected on the maps")
    expect(page).to_have_url(re.compile("(?=.*show=label)(?=.*selected=)"))
    again = open_page(page.url)
    expect(again.locator("#map-selected")).to_contain_text("20 selected")
    expect(again.locator("#memory-chosen")).to_contain_text("rows: label looks wrong, selected on the maps")
    expect(again.locator('#show input[value="label looks wrong"]')).to_be_checked()
    again.locator(".map-clear").click()
    expect(again.locator("#memory-chosen")).to_contain_text("rows: label looks wrong")
    expect(again.locator("#memory-chosen")).not_to_contain_text("selected")


def test_the_list_and_all_that_edits_a_row_stand_above_the_fold_of_a_laptop(open_page, serve_model, forgetful):
    page = open_page(f"{serve_model(forgetful)}?view=memory", viewport={"width": 1280, "height": 720})
    expect(page.locator("#memory-rows tr[data-row]").first).to_be_visible()
    for name in ("show", "memory-rows tr[data-row]", "relabel", "remove", "pending", "try", "save-version"):
        box = page.locator(f"#{name}").first.bounding_box()
        assert box["y"] + min(box["height"], 200) <= 720, name
    rows, forms = (page.locator(f"#{name}").bounding_box() for name in ("memory-rows", "picked-memory"))
    assert forms["x"] > rows["x"] + rows["width"]  # beside the list, not under it
