"""What the maps draw, read from the canvas's own pixels."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from benchmarks.app_speed import grown
from playwright.sync_api import expect

from app.parts.map_points import most_moved, point_colours
from app.parts.maps_panel import points_of

MAPS = "canvas.map-canvas"
GREY = (154, 160, 168)
LIT, DIM = range(202, 207), range(62, 67)  # alpha of a point that counts, and of one that is context
GAP, RING = 16, 9  # pixels between the maps, and from a point to the ring that is drawn around it
APART = 5  # pixels: of points that far from any other the middle is covered by none


@pytest.fixture(scope="module")
def spread(toy_model):
    """The toy model, its points a little apart."""
    return grown(toy_model, 90)


@pytest.fixture
def address(serve_model, spread):
    return serve_model(spread)


@pytest.fixture
def page(open_page, address):
    return drawn(open_page(address), 126)


def drawn(page, count):
    """Wait until the maps and the first answer are there; its star and lines go, which would lie over points."""
    expect(page.locator(".neighbours tbody tr").first).to_be_visible()
    expect(page.locator(MAPS)).to_have_attribute("data-points", str(count))
    expect(page.locator(MAPS)).to_have_attribute("data-query", re.compile("[0-9]"))
    return page


def positions(page, count, panel=0):
    """Where all points are drawn, (N, 2) pixels of the canvas."""
    script = f"canvas => Array.from({{length: {count}}}, (_, point) => canvas.positionOf(point, {panel}))"
    return np.asarray(page.locator(MAPS).evaluate(script))


def pixels(page, places, drawn="canvas"):
    """The red, green, blue and alpha of some pixels of the canvas, or of its points without marks, (N, 4)."""
    script = f"""(canvas, places) => places.map(([x, y]) => {{
        const ratio = window.devicePixelRatio || 1;
        return [...{drawn}.getContext('2d').getImageData(Math.floor(x * ratio), Math.floor(y * ratio), 1, 1).data];
    }})"""
    return np.asarray(page.locator(MAPS).evaluate(script, np.asarray(places).tolist()))


def rgb(shade):
    """Red, green and blue of #RRGGBB."""
    return [int(shade[place : place + 2], 16) for place in (1, 3, 5)]


def shown_legend(page):
    """The colours of the legend by name, as #RRGGBB."""
    found = {}
    for button in page.locator(".map-legend button").all():
        shade = button.locator("i").evaluate("mark => getComputedStyle(mark).backgroundColor")
        found[button.inner_text()] = "#{:02x}{:02x}{:02x}".format(*map(int, re.findall(r"\d+", shade)[:3]))
    return found


def alone(page, count, panel=0):
    """Numbers of the points that no other covers."""
    at = positions(page, count, panel)
    distances = np.linalg.norm(at[:, None] - at[None], axis=2) + np.diag(np.full(count, np.inf))
    return np.flatnonzero(distances.min(axis=1) > APART)


def wait_for_paint(page):
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def plain(page, count, panel=0):
    """Numbers and pixels of the points that no other covers, without marks such as a line to a neighbour."""
    points = alone(page, count, panel)
    found = pixels(page, positions(page, count, panel)[points], "canvas.points")
    clean = np.isin(found[:, 3], [*LIT, *DIM])
    assert clean.sum() >= 5
    return points[clean], found[clean]


def choose_colour(page, column):
    page.locator("#colour input").click()
    page.get_by_role("option", name=column, exact=True).click()
    expect(page.locator(MAPS)).to_have_attribute("data-column", column)
    wait_for_paint(page)


def test_a_point_has_its_values_colour_of_the_legend_and_is_paler_where_it_is_not_known(page, spread):
    for column in ("label", "topic", "probability", "effect"):
        choose_colour(page, column)
        wanted = point_colours(points_of(spread), column)
        assert shown_legend(page).items() <= {(name, shade.lower()) for name, shade in wanted.legend}
        points, found = plain(page, 126)
        known = wanted.codes[points] < len(wanted.legend) - 1  # of others are paler; a line may look as bright
        points, found = points[known], found[known]
        assert len(points) >= 5, column
        shades = [wanted.legend[code][1] for code in wanted.codes[points]]
        np.testing.assert_allclose(found[:, :3], [rgb(shade) for shade in shades], atol=2, err_msg=column)
    points = alone(page, 126)
    found = pixels(page, positions(page, 126)[points])
    known = point_colours(points_of(spread), "effect").codes[points] < len(shown_legend(page)) - 1
    assert known.any()
    assert np.median(found[known, 3]) in LIT
    assert np.median(found[~known, 3]) in range(112, 118)


def test_a_test_row_of_which_the_teachers_embedding_is_not_known_is_hollow_in_the_teachers_space_alone(
    open_page, serve_model, spread
):
    old = replace(spread, maps=replace(spread.maps, held_out=None))
    page = drawn(open_page(serve_model(old)), 126)
    for panel, wanted in ((0, 0), (1, 204)):
        rows = [point for point in alone(page, 126, panel) if point >= 90]
        assert np.median(pixels(page, positions(page, 126, panel)[rows])[:, 3]) == pytest.approx(wanted, abs=3)


def test_what_is_pointed_at_is_ringed_what_moved_has_a_line_and_what_is_not_selected_is_grey(page, spread):
    point = int(alone(page, 126)[0])
    places = [positions(page, 126, panel)[point] + [RING, 0] for panel in (0, 1)]
    before = pixels(page, places)
    x, y = positions(page, 126)[point]
    page.locator(MAPS).hover(position={"x": x, "y": y})
    expect(page.locator(MAPS)).to_have_attribute("data-hovered", str(point))
    wait_for_paint(page)
    after = pixels(page, places)
    assert (np.abs(after - before).max(axis=1) > 60).all()
    np.testing.assert_allclose(after[0], after[1], atol=60)
    page.mouse.move(0, 0)
    expect(page.locator(MAPS)).not_to_have_attribute("data-hovered", str(point))
    page.locator("#most-moved").click()
    expect(page.locator(MAPS)).to_have_attribute("data-selected", "20")
    at, to = positions(page, 126), positions(page, 126, panel=1)
    width = page.locator(MAPS).bounding_box()["width"]
    moved = np.asarray(most_moved(points_of(spread), 20))
    middles = (at[moved] + to[moved] - [(width + GAP) / 2, 0]) / 2
    around = np.asarray([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)])

    def darkest():
        wait_for_paint(page)
        return pixels(page, (middles[:, None] + around).reshape(-1, 2))[:, 3].reshape(20, 9).max(axis=1)

    before = darkest()
    page.locator(".map-lines").check()
    between = before < 30  # nothing lies there but a line
    assert between.sum() >= 5
    assert (darkest()[between] > 70).all()
    page.locator(".map-lines").uncheck()
    np.testing.assert_array_equal(darkest(), before)
    page.locator(".map-clear").click()
    expect(page.locator(MAPS)).to_have_attribute("data-selected", "0")
    page.locator(".map-legend button").first.click()
    expect(page.locator(MAPS)).not_to_have_attribute("data-selected", "0")
    wait_for_paint(page)
    codes = point_colours(points_of(spread), "label").codes
    points, found = plain(page, 126)
    lit = codes[points] == 0
    assert lit.any()
    assert (~lit).any()
    assert set(found[lit, 3]) <= set(LIT)
    assert set(found[~lit, 3]) <= set(DIM)
    np.testing.assert_allclose(found[~lit, :3], np.tile(GREY, (int((~lit).sum()), 1)), atol=3)


def test_a_lasso_selects_what_lies_within_and_nothing_else(page, tmp_path):
    at = positions(page, 126)
    middle = float(np.median(at[:, 0]))
    box = page.locator(MAPS).bounding_box()
    page.locator(".map-mode").select_option("lasso")
    page.locator(MAPS).scroll_into_view_if_needed()
    box = page.locator(MAPS).bounding_box()
    corners = [(4, 30), (middle, 30), (middle, box["height"] - 4), (4, box["height"] - 4)]
    page.mouse.move(box["x"] + corners[0][0], box["y"] + corners[0][1])
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()
    wanted = np.flatnonzero(at[:, 0] < middle).tolist()
    assert 0 < len(wanted) < 126
    expect(page.locator("#map-selected b")).to_have_text(str(len(wanted)))
    with page.expect_download() as download:
        page.locator("#save-selection").click()
    download.value.save_as(tmp_path / "selection.csv")
    assert pd.read_csv(tmp_path / "selection.csv")["point"].tolist() == wanted


@pytest.mark.slow
def test_twenty_thousand_points_are_drawn_read_circled_and_morphed(open_page, serve_model, toy_model):
    model = grown(toy_model, 20_000)
    count = 20_000 + 36  # the test rows
    page = drawn(open_page(serve_model(model)), count)
    at, codes = positions(page, count), point_colours(points_of(model), "label").codes
    lonely = np.argmax(at[:20_000, 0])  # at the border, where few lie
    page.locator(MAPS).hover(position={"x": at[lonely, 0], "y": at[lonely, 1]})
    expect(page.locator("#maps .map-tip")).to_contain_text(model.memory.rows["text"].iloc[lonely])
    page.locator(".map-legend button").first.click()
    expect(page.locator("#map-selected b")).to_have_text(f"{int((codes == 0).sum()):,}")
    page.locator(".map-morph").fill("1")
    expect(page.locator(MAPS)).to_have_attribute("data-morph", "1")
    width = page.locator(MAPS).bounding_box()["width"]
    shift = np.asarray([(width + GAP) / 2, 0])
    np.testing.assert_allclose(positions(page, count) + shift, positions(page, count, panel=1), atol=1)
