"""Plots of any data have the values that they were given; texts stand in them as text."""

import numpy as np
import pandas as pd
import pytest

from reaugkd.plots.charts import (
    OTHER_COLOUR,
    PALETTE,
    VOICE_COLOURS,
    bars_figure,
    class_colours,
    condensation_figure,
    heatmaps_figure,
    histogram_figure,
    lines_figure,
    points_figure,
    scatter_figure,
)

NASTY = "<b onclick=alert(1)>%{x} & ${y}</b>"
ESCAPED = "&lt;b onclick=alert(1)&gt;%{x} &amp; ${y}&lt;/b&gt;"


def lab(colour):
    """CIE L*a*b* of a colour."""
    parts = np.asarray([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    to_xyz = np.asarray([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ linear / [0.9505, 1, 1.089])
    return np.asarray([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_no_voice_has_the_colour_of_a_class_or_of_another_voice():
    colours = [*VOICE_COLOURS.values(), *PALETTE]
    for number, voice in enumerate(VOICE_COLOURS.values()):
        others = [other for at, other in enumerate(colours) if at != number]
        assert min(np.linalg.norm(lab(voice) - lab(other)) for other in others) > 20, voice


def values_by_class(trace, values, names):
    return dict(zip(getattr(trace, names), getattr(trace, values), strict=True))


def test_ten_names_have_ten_colours_and_all_further_ones_the_grey():
    names = [f"name {number}" for number in range(12)]
    assert class_colours(names) == dict(zip(names, [*PALETTE, OTHER_COLOUR, OTHER_COLOUR], strict=True))


def test_one_layout_is_drawn_once_for_each_colouring():
    points = np.arange(8.0).reshape(4, 2)
    figure = points_figure(points, {"label": ["a", "b", "a", "b"], "topic": ["c"] * 4}, list("wxyz"), "a finding")
    drawn = {(t.xaxis, t.name): (list(t.x), list(t.y), list(t.text)) for t in figure.data}
    assert drawn == {
        ("x", "a"): ([0, 4], [1, 5], ["w", "y"]),
        ("x", "b"): ([2, 6], [3, 7], ["x", "z"]),
        ("x2", "c"): ([0, 2, 4, 6], [1, 3, 5, 7], list("wxyz")),
    }
    assert figure.layout.xaxis2.title.text == "UMAP 1"


def test_the_axes_of_a_layout_are_named_after_its_method():
    figure = points_figure(np.zeros((2, 2)), {"label": ["a", "b"]}, ["one", "two"], "a finding", layout="t-SNE")
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("t-SNE 1", "t-SNE 2")


def test_a_groups_name_with_a_tag_is_shown_as_text():
    figure = points_figure(np.zeros((1, 2)), {"topic": ["<b>bold</b>"]}, ["text"], "a finding")
    assert figure.data[0].name == "&lt;b&gt;bold&lt;/b&gt;"


def test_a_histogram_shows_each_groups_shares_in_percent():
    groups = {"few": np.array([0.0, 0.1, 1.0, 0.9]), "one": np.array([1.0])}
    figure = histogram_figure({"": groups}, "value", "a finding", bins=2)
    assert {trace.name: list(trace.y) for trace in figure.data} == {"few": [50, 50], "one": [0, 100]}
    assert list(figure.data[0].x) == [0.25, 0.75]


def test_lines_go_through_their_points():
    figure = lines_figure({"a": ([1, 2], [3, 4]), "b": ([1], [5])}, "x", "y", "a finding")
    drawn = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}
    assert drawn == {"a": ([1, 2], [3, 4]), "b": ([1], [5])}


def test_bars_stand_by_group_and_category_with_their_values():
    figure = bars_figure({"with": {"a": 0.5, "b": 0.75}, "without": {"a": 0.25, "b": 0.5}}, "accuracy", "Better with")
    drawn = {trace.name: values_by_class(trace, "y", "x") for trace in figure.data}
    assert drawn == {"with": {"a": 0.5, "b": 0.75}, "without": {"a": 0.25, "b": 0.5}}
    assert figure.layout.barmode == "group"
    assert figure.layout.showlegend
    assert not bars_figure({"": {"a": 1}}, "accuracy", "One group").layout.showlegend


@pytest.mark.parametrize("joined", [False, True])
def test_each_point_of_a_scatter_has_its_name(joined):
    figure = scatter_figure({"KD": ([1, 2], [60, 66], ["1 layer", "2 layers"])}, "ms", "%", "Deeper", joined=joined)
    (trace,) = figure.data
    assert list(zip(trace.x, trace.y, trace.text, strict=True)) == [(1, 60, "1 layer"), (2, 66, "2 layers")]
    assert ("lines" in trace.mode) == joined


def test_heat_maps_share_a_scale_and_name_each_group_of_rows_at_its_middle():
    values = np.arange(12.0).reshape(3, 4)
    figure = heatmaps_figure({"q": values, "p": values / 2}, ["a", "a", "b"], ["c", "c", "d", "d"], "q is sharper")
    np.testing.assert_array_equal(figure.data[0].z, values)
    np.testing.assert_array_equal(figure.data[1].z, values / 2)
    assert {trace.coloraxis for trace in figure.data} == {"coloraxis"}
    assert (figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext) == ((0.5, 2.0), ("a", "b"))
    assert (figure.layout.xaxis.tickvals, figure.layout.xaxis.ticktext) == ((0.5, 2.5), ("c", "d"))
    assert figure.data[0].customdata[2, 3].tolist() == ["b", "d"]
    assert figure.layout.yaxis.autorange == "reversed"


def test_what_a_smaller_memory_keeps_is_a_line_a_method_with_the_chosen_point_in_a_ring():
    curve = pd.DataFrame(
        {
            "method": ["student alone", "all memories", "prototypes", "coverage", "prototypes"],
            "bytes": [0, 4_000_000, 100_000, 90_000, 50_000],
            "log_loss": [0.9, 0.8, 0.81, 0.85, 0.83],
            "gain_kept": [0.0, 1.0, 0.9, 0.5, 0.7],
            "is_chosen": [False, False, True, False, False],
        }
    )
    figure = condensation_figure(curve)
    lines = {line.name: (list(line.x), list(line.y)) for line in figure.data}
    assert lines == {
        "coverage": ([90], [0.85]),
        "prototypes": ([50, 100], [0.83, 0.81]),
        "chosen": ([100], [0.81]),
        "all memories": ([50, 4000], [0.8, 0.8]),
        "student alone": ([50, 4000], [0.9, 0.9]),
    }
    assert figure.layout.title.text == "100 of 4,000 kB keep 90 % of the gain"
