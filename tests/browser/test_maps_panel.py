"""The maps and the query view in a real browser: linked points, selection, strike-outs, and links."""

import re
from dataclasses import replace
from shutil import copytree

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from app.model_job import ModelJob
from app.parts.map_points import colour_columns, most_moved
from app.parts.maps_panel import points_of
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool

MAPS = "canvas.map-canvas"
ROWS = ".neighbours tbody tr"


def at(page, point, panel=0):
    """Where a point is drawn, in pixels of the canvas."""
    x, y = page.locator(MAPS).evaluate(f"canvas => canvas.positionOf({point}, {panel})")
    return {"x": x, "y": y}


def lasso_the_first_map(page):
    """Circle all that is shown on the teacher's map."""
    page.locator(".map-mode").select_option("lasso")
    page.locator(MAPS).scroll_into_view_if_needed()
    box = page.locator(MAPS).bounding_box()
    corners = [(4, 30), (box["width"] / 2 - 12, 30), (box["width"] / 2 - 12, box["height"] - 4), (4, box["height"] - 4)]
    page.mouse.move(box["x"] + corners[0][0], box["y"] + corners[0][1])
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()


@pytest.fixture
def page(open_page, address):
    page = open_page(address)
    expect(page.locator(MAPS)).to_have_attribute("data-points", "126")
    expect(page.locator(ROWS).first).to_be_visible()
    return page


def test_a_point_under_the_pointer_is_read_and_a_click_opens_it_with_its_neighbours(page, toy_model):
    page.locator(MAPS).hover(position=at(page, 5))
    expect(page.locator("#maps .map-tip")).to_be_visible()
    hovered = int(page.locator(MAPS).get_attribute("data-hovered"))  # it may lie over the one that is pointed at
    expect(page.locator("#maps .map-tip")).to_contain_text(points_of(toy_model).rows["text"].iloc[hovered])
    page.locator(MAPS).click(position=at(page, 5))
    expect(page.locator(MAPS)).to_have_attribute("data-opened", str(hovered))
    expect(page.locator(MAPS)).to_have_attribute("data-near", "8")
    expect(page.locator("#map-opened li")).to_have_count(8)
    expect(page.locator("#maps .map-tip")).to_have_attribute("aria-live", "polite")
    page.locator("#ask-point").click()
    asked = page.locator("#map-opened .asked").inner_text()
    expect(page.locator("#answer .asked")).to_have_text(asked)
    expect(page.locator("#text textarea")).to_have_value(asked)
    expect(page.locator("#text")).to_be_in_viewport(ratio=1)
    expect(page.locator("#answer p.answer")).to_be_in_viewport(ratio=1)


def test_the_keyboard_goes_through_the_points_and_what_is_selected_is_listed_saved_and_opened(
    page, toy_model, tmp_path
):
    canvas = page.locator(MAPS)
    canvas.press("ArrowRight")
    expect(canvas).to_have_attribute("data-hovered", "0")
    canvas.press("ArrowRight")
    canvas.press("Enter")
    expect(canvas).to_have_attribute("data-opened", "1")
    page.locator("#most-moved").click()
    expect(canvas).to_have_attribute("data-selected", "20")
    expect(page.locator("#map-selected b")).to_have_text("20")
    with page.expect_download() as download:
        page.locator("#save-selection").click()
    download.value.save_as(tmp_path / "selection.csv")
    wanted = most_moved(points_of(toy_model), 20)
    assert pd.read_csv(tmp_path / "selection.csv")["point"].tolist() == wanted
    text = toy_model.memory.rows["text"].iloc[wanted[0]]
    page.locator("#map-rows").get_by_text(text, exact=True).last.click()
    expect(page.locator("#map-opened .asked")).to_have_text(text)
    expect(page.locator(MAPS)).to_have_attribute("data-opened", str(wanted[0]))
    canvas.press("Escape")
    expect(canvas).to_have_attribute("data-selected", "0")
    expect(page.locator("#map-selected")).to_contain_text("No text is selected")


def test_what_a_lasso_encloses_of_what_is_shown_is_listed_and_other_pages_list_and_select_rows(page):
    for name, value, count in (("test rows", "test", 36), ("memories", "memory", 90), ("everything", "all", 126)):
        page.locator("#map-shown").get_by_label(name, exact=True).check()
        expect(page.locator(MAPS)).to_have_attribute("data-shown", value)
        lasso_the_first_map(page)
        expect(page.locator(MAPS)).to_have_attribute("data-selected", str(count))
        expect(page.locator("#map-selected")).to_contain_text(f"{count} selected")
    page.get_by_role("tab", name="Errors").click()
    expect(page.locator("#errors-chosen")).to_contain_text("36 rows: selected on the maps")
    page.locator(".map-clear").click()
    expect(page.locator("#errors-chosen")).to_contain_text("36 rows: all rows")
    page.locator("#errors-maps").click()
    expect(page.locator(MAPS)).to_have_attribute("data-selected", "36")
    page.get_by_role("tab", name="Memory").click()
    expect(page.locator("#memory-chosen b")).to_be_visible()
    page.locator('#show input[value="all"]').check()
    expect(page.locator("#memory-chosen")).to_contain_text("rows: all")
    page.locator("#memory-holds input, #memory-holds textarea").fill("iron")
    expect(page.locator("#memory-chosen")).to_contain_text("“iron” in the text")
    count = page.locator("#memory-chosen b").inner_text()
    page.locator("#memory-maps").click()
    expect(page.locator(MAPS)).to_have_attribute("data-selected", count)


def test_no_two_names_lie_upon_each_other_words_are_found_and_one_space_becomes_the_other(page, toy_model):
    names = page.locator("#maps .map-names span:visible")
    assert sorted(names.all_inner_texts()) == sorted(2 * list(toy_model.classes_))
    boxes = [name.bounding_box() for name in names.all()]
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            beside = abs(one["x"] - other["x"]) >= min(one["width"], other["width"])
            assert beside or abs(one["y"] - other["y"]) >= one["height"] - 1
    texts = points_of(toy_model).rows["text"]
    holding = np.flatnonzero(texts.str.contains("iron")).tolist()
    page.locator(".map-find").fill("Iron")
    expect(page.locator(MAPS)).to_have_attribute("data-found", str(len(holding)))
    expect(page.locator(".map-found")).to_have_text(f"{len(holding)} found")
    page.locator(".map-find").press("Enter")
    expect(page.locator("#map-selected b")).to_have_text(str(len(holding)))
    page.locator(".map-find").fill("")
    expect(page.locator(MAPS)).to_have_attribute("data-found", "")
    start, end = at(page, 7), at(page, 7, panel=1)
    page.locator(".map-morph").fill("1")
    expect(page.locator(MAPS)).to_have_attribute("data-morph", "1")
    arrived = at(page, 7)
    box = page.locator(MAPS).bounding_box()
    assert arrived["x"] == pytest.approx(end["x"] - (box["width"] - 16) / 2 - 16, abs=1)
    assert arrived["y"] == pytest.approx(end["y"], abs=1)
    assert np.hypot(arrived["x"] - start["x"], arrived["y"] - start["y"]) > 0


@pytest.mark.slow
def test_by_every_column_the_legend_names_each_colour_once(page, toy_model):
    for column in colour_columns(points_of(toy_model)):
        page.locator("#colour input").click()
        page.get_by_role("option", name=column, exact=True).click()
        expect(page.locator(MAPS)).to_have_attribute("data-column", column)
        names = page.locator(".map-legend button").all_inner_texts()
        assert names
        assert len(set(names)) == len(names)


def test_the_view_zooms_at_the_pointer_within_limits_and_the_tooltip_goes(page):
    def apart():
        first, second = at(page, 3), at(page, 40)
        return np.hypot(first["x"] - second["x"], first["y"] - second["y"])

    canvas, before, home = page.locator(MAPS), apart(), at(page, 5)
    page.locator(".map-closer").click()
    assert apart() == pytest.approx(1.5 * before)
    for _ in range(3):
        page.locator(".map-farther").click()
    expect(canvas).to_have_attribute("data-zoom", "1.000")
    assert apart() == pytest.approx(before)
    canvas.hover(position=at(page, 5))
    page.mouse.wheel(0, -100)  # the page scrolls: nobody has clicked the maps
    expect(canvas).to_have_attribute("data-zoom", "1.000")
    canvas.focus()
    canvas.hover(position=at(page, 5))
    expect(page.locator("#maps .map-tip")).to_be_visible()
    page.mouse.wheel(0, -400)
    expect(canvas).not_to_have_attribute("data-zoom", "1.000")
    expect(page.locator("#maps .map-tip")).to_be_hidden()
    for axis in "xy":
        assert at(page, 5)[axis] == pytest.approx(home[axis], abs=1)
    for _ in range(20):
        page.mouse.wheel(0, -400)
    expect(canvas).to_have_attribute("data-zoom", "40.000")
    for _ in range(20):
        page.mouse.wheel(0, 400)
    expect(canvas).to_have_attribute("data-zoom", "1.000")
    assert at(page, 5) == home


def test_the_star_follows_what_is_typed_on_every_map_by_the_key_that_one_chooses(open_page, serve_model, pooled_model):
    page = open_page(serve_model(pooled_model))
    expect(page.locator(MAPS)).to_have_attribute("data-points", "126")
    small = page.locator("#query-map canvas.small-map-canvas")

    def stars(part):
        return " ".join(f"{value:.3f}" for value in pooled_model.maps.star(part).flat)

    for text in ("iron and rain", "a plum"):
        page.locator("#text textarea").fill(text)
        first, second = pooled_model.explain(text).keys_by_part
        for canvas in (page.locator(MAPS), small):
            expect(canvas).to_have_attribute("data-query", stars(first))
            expect(canvas).to_have_attribute("data-near", "8")
    page.locator("#maps .map-key").select_option(second.name)
    expect(page.locator(MAPS)).to_have_attribute("data-query", stars(second))
    page.locator("#query-map [data-side='1']").click()
    expect(small).to_have_attribute("data-side", "1")
    page.locator("#text textarea").fill("zzz qqq")
    page.locator("#maps .map-key").select_option("text")
    expect(page.locator(MAPS)).to_have_attribute("data-far", "true")


@pytest.fixture
def two_memories(toy_model):
    """The toy model with two memories, one key, and without maps."""
    memory, pool = toy_model.memory, Pool({"aligned": KeySettings(16, 0.005, 1.0)})
    few = Memory(
        memory.rows[:2],
        memory.classes,
        memory.soft_labels[:2],
        memory.teacher_embeddings[:2],
        {name: key[:2] for name, key in memory.keys.items()},
    )
    return replace(toy_model, memory=few, maps=None, epochs=None, pool=pool)


def test_a_memory_smaller_than_k_is_asked_keeps_its_last_text_and_has_no_maps(open_page, serve_model, two_memories):
    page = open_page(f"{serve_model(two_memories)}?selected=0,1&k=5000")
    expect(page.locator(ROWS)).to_have_count(2)
    page.locator("#text textarea").fill("iron and steel")
    expect(page.locator("#answer .asked")).to_have_text("iron and steel")
    page.locator(f"{ROWS} [data-strike]").first.click()
    expect(page.locator(ROWS)).to_have_count(1)
    page.locator(f"{ROWS} [data-strike]").first.click()
    expect(page.get_by_text("Without any memory there is nothing to look up; leave at least one")).to_be_visible()
    expect(page.locator("#memory-changes li")).to_have_count(1)
    page.locator("#put-back").click()
    expect(page.locator(ROWS)).to_have_count(2)
    sentence = "This model was saved without maps; train it again with maps to see them."
    expect(page.locator("#maps .map-status")).to_have_text(sentence)
    page.locator("#most-moved").click()
    expect(page.locator(".toast-body").get_by_text(sentence)).to_be_visible()


def test_another_model_is_shown_whole_whatever_was_shown_of_the_one_before(
    open_page, serve, toy_model, toy_model_folder, tmp_path
):
    copytree(toy_model_folder, tmp_path / "runs" / "other")
    job = ModelJob(str(tmp_path / "runs" / "toy"))
    job.model = toy_model
    page = open_page(serve(job))
    expect(page.locator(MAPS)).to_have_attribute("data-points", "126")
    page.locator("#map-shown").get_by_label("memories", exact=True).check()
    expect(page.locator(MAPS)).to_have_attribute("data-shown", "memory")
    page.locator("#model input").click()
    page.get_by_role("option", name="other", exact=True).last.click()
    expect(page.locator(MAPS)).to_have_attribute("data-model", "other")
    expect(page.locator("#map-shown").get_by_label("everything", exact=True)).to_be_checked()
    expect(page.locator(MAPS)).to_have_attribute("data-shown", "all")


def test_the_address_reopens_text_settings_and_what_the_maps_show_and_select(page, open_page, toy_model):
    page.locator("#text textarea").fill("iron & rain?")
    expect(page.locator("#answer .asked")).to_have_text("iron & rain?")
    page.locator("#k input[type=number]").fill("3")
    expect(page.locator(ROWS)).to_have_count(3)
    temperature = float(page.locator("#temperature input[type=number]").input_value())
    page.locator("#weight input[type=number]").fill("0.25")
    moved = toy_model.explain("iron & rain?", k=3, retrieval_weight=0.25, temperature=temperature)
    expect(page.locator("#answer .sum")).to_contain_text(f"{moved.lead:+.2f} = ")
    page.locator("#most-moved").click()
    expect(page.locator(MAPS)).to_have_attribute("data-selected", "20")
    page.locator("#colour input").click()
    page.get_by_role("option", name="effect", exact=True).click()
    expect(page.locator(MAPS)).to_have_attribute("data-column", "effect")
    page.locator("#map-shown").get_by_label("test rows").check()
    expect(page.locator(MAPS)).to_have_attribute("data-shown", "test")
    expect(page).to_have_url(re.compile("(?=.*k=3)(?=.*selected=)(?=.*colour=effect)(?=.*shown=test)"))
    again = open_page(page.url)
    expect(again.locator("#answer .asked")).to_have_text("iron & rain?")
    expect(again.locator(ROWS)).to_have_count(3)
    expect(again.locator("#answer .sum")).to_have_text(page.locator("#answer .sum").inner_text())
    expect(again.locator(MAPS)).to_have_attribute("data-selected", "20")
    expect(again.locator(MAPS)).to_have_attribute("data-column", "effect")
    expect(again.locator(MAPS)).to_have_attribute("data-shown", "test")
    expect(again.locator("#colour input")).to_have_value("effect")
    expect(again.locator("#map-shown").get_by_label("test rows")).to_be_checked()
    again.locator("#map-shown").get_by_label("everything").check()
    expect(again).not_to_have_url(re.compile("shown="))


def test_the_training_is_played_on_axes_that_stay_and_the_maps_come_back(page, toy_model):
    canvas, epochs = page.locator(MAPS), toy_model.epochs
    slider, said = page.locator(".map-epoch"), page.locator(".map-epoch-name")
    expect(slider).to_be_hidden()
    on_maps = at(page, 3)
    page.locator("[data-view='replay']").click()
    expect(canvas).to_have_attribute("data-epoch", str(len(epochs) - 1))
    expect(page.locator(".map-morph")).to_be_hidden()
    page.locator(".map-play").click()
    expect(canvas).to_have_attribute("data-epoch", "0")
    expect(canvas).to_have_attribute("data-epoch", str(len(epochs) - 1))
    expect(page.locator(".map-play")).to_have_text("Play")
    expect(page.locator("#maps .map-status")).to_contain_text(f"{epochs.explained:.0%} of their variance")
    last, teacher = at(page, 3, panel=1), at(page, 3)
    slider.fill("0")
    expect(canvas).to_have_attribute("data-epoch", "0")
    first = at(page, 3, panel=1)
    assert at(page, 3) == teacher
    moved = epochs.student_points[-1, 3] - epochs.student_points[0, 3]
    shown = np.asarray([last["x"] - first["x"], first["y"] - last["y"]])
    np.testing.assert_allclose(shown / np.linalg.norm(shown), moved / np.linalg.norm(moved), atol=0.02)
    slider.fill(str(len(epochs) - 1))
    slider.press("ArrowRight")  # the last stop is an epoch too
    expect(said).to_have_text(f"after epoch {len(epochs) - 1}")
    page.locator("[data-view='map']").click()
    expect(canvas).to_have_attribute("data-epoch", "")
    assert at(page, 3) == on_maps
