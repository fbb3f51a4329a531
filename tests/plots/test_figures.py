"""The numbers in the figures are those of the answer; texts stand in them as text."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reaugkd.measures.selective import Threshold, coverage_table
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.card import METHOD_NAMES
from reaugkd.model.explanation import Explanation, KeyPart, Neighbour
from reaugkd.model.maps import ProjectionMaps, TrainingEpochs
from reaugkd.plots.charts import OTHER_COLOUR, PALETTE, histogram_figure, lines_figure, points_figure
from reaugkd.plots.figures import (
    MAX_BARS,
    MAX_MAP_POINTS,
    ablations_figure,
    contributions_figure,
    coverage_figure,
    epochs_figure,
    maps_figure,
    probabilities_figure,
    training_figure,
)

NASTY = "<b onclick=alert(1)>%{x} & ${y}</b>"
ESCAPED = "&lt;b onclick=alert(1)&gt;%{x} &amp; ${y}&lt;/b&gt;"


@pytest.fixture(scope="module")
def explanation(pooled_model):
    return pooled_model.explain("iron and pear")


@pytest.fixture(scope="module")
def many_classes():
    """An answer among 30 classes, made by hand; the memory names class 7, the student class 3."""
    random = np.random.default_rng(0)
    student, retrieved = random.dirichlet(np.ones(30)), random.dirichlet(np.ones(30))
    student[3], retrieved[7] = 1.0, 4.0
    student, retrieved = student / student.sum(), retrieved / retrieved.sum()
    soft_label = np.eye(30)[7]
    neighbours = [
        Neighbour(n + 1, n, f"t{n}", f"text {n}", "class 7", 0.9, 0.25, soft_label, 0.25, 0.25, {}) for n in range(4)
    ]
    settings = KeySettings(4, 0.1, 0.5)
    return Explanation(
        text="a text",
        label="class 7",
        runner_up="class 3",
        classes=tuple(f"class {number}" for number in range(30)),
        student_probabilities=student,
        memory_probabilities=retrieved,
        probabilities=0.2 * student + 0.8 * retrieved,
        new=0.0,
        pool=Pool({"text": settings}),
        student_part=-1.5,
        new_classes_part=0.0,
        keys=[KeyPart("text", settings, retrieved, 3.5, neighbours, 0.0, 0.0)],
        embedding=np.ones(3, dtype=np.float32),
    )


def values_by_class(trace, values, names):
    return dict(zip(getattr(trace, names), getattr(trace, values), strict=True))


def test_the_bars_are_the_three_probabilities_of_every_class(explanation):
    figure = probabilities_figure(explanation)
    traces = {trace.name: values_by_class(trace, "x", "y") for trace in figure.data}
    wanted = {
        "student": explanation.student_probabilities,
        "memory": explanation.memory_probabilities,
        "answer": explanation.probabilities,
    }
    assert traces == {name: dict(zip(explanation.classes, values, strict=True)) for name, values in wanted.items()}


def test_the_likeliest_class_is_drawn_on_top(explanation):
    assert probabilities_figure(explanation).data[0].y[-1] == explanation.label


def test_of_many_classes_the_ten_likeliest_are_drawn(many_classes):
    likeliest = np.argsort(-many_classes.probabilities)[:MAX_BARS]
    drawn = probabilities_figure(many_classes).data[0].y
    assert list(drawn) == [f"class {number}" for number in likeliest[::-1]]


def test_the_title_says_what_the_memory_did_to_the_answer(many_classes):
    title = probabilities_figure(many_classes).layout.title.text
    assert title.startswith("Retrieval: “class 3” → “class 7”")
    assert "4 of 4 neighbours by the text key agree" in title
    agreed = replace(many_classes, student_probabilities=many_classes.memory_probabilities)
    assert probabilities_figure(agreed).layout.title.text.startswith("Student and memory: “class 7”")
    stands = replace(many_classes, label="class 3")
    title = probabilities_figure(stands).layout.title.text
    assert title.startswith("Student: “class 3”, against the memory's “class 7”")
    assert "0 of 4 neighbours" in title


def test_a_class_that_the_memory_alone_knows_has_no_bar_of_the_student(gadget_model):
    answer = gadget_model.explain("the shiny gadget hums")
    figure = probabilities_figure(answer)
    student = next(trace for trace in figure.data if trace.name == "student")
    drawn = values_by_class(student, "x", "y")
    assert np.isnan(drawn.pop("gadget"))
    assert drawn == dict(zip(answer.classes, answer.student_probabilities, strict=False))
    assert "Memory alone: “gadget”" in figure.layout.title.text


def test_the_contributions_are_the_parts_and_their_sum_the_lead(explanation, many_classes, gadget_model):
    for answer in (explanation, many_classes, gadget_model.explain("the shiny gadget hums")):
        (bars,) = contributions_figure(answer).data
        drawn = values_by_class(bars, "x", "y")
        best, second = np.sort(answer.probabilities)[:-3:-1]
        if answer is not many_classes:  # its parts are made up
            assert drawn["sum"] == pytest.approx(np.log(best / second))
        assert drawn.pop("sum") == pytest.approx(sum(drawn.values()))
        assert drawn.pop("student") == answer.student_part
        assert drawn.pop("new classes", 0.0) == answer.new_classes_part
        assert drawn == {f"{key.name} key": key.part for key in answer.keys}
    figure = contributions_figure(many_classes)
    assert figure.data[0].y == ("sum", "text key", "student")  # from below
    assert figure.layout.title.text == "“class 7” against “class 3”: +2.00"
    assert figure.layout.xaxis.title.text == "log-odds"
    low, high = figure.layout.xaxis.range
    parts = figure.data[0].x
    assert high - max(parts) == pytest.approx(0.1 * (max(parts) - min(0.0, *parts)))  # its number has room
    assert low < min(parts)


def test_a_part_that_adds_nothing_has_no_minus(many_classes):
    (key,) = many_classes.keys
    (bars,) = contributions_figure(replace(many_classes, keys=[replace(key, part=-0.0)])).data
    assert dict(zip(bars.y, bars.text, strict=True))["text key"] == "+0.00"


def test_in_a_linear_pool_the_contributions_are_differences_of_probability(many_classes):
    pool = replace(many_classes.pool, kind="linear", retrieval_weight=0.5)
    assert contributions_figure(replace(many_classes, pool=pool)).layout.xaxis.title.text == "difference of probability"


def test_the_maps_show_every_memory_at_its_place_in_both_panels(toy_model):
    maps, rows = toy_model.maps, toy_model.memory.rows
    figure = maps_figure(maps, rows)
    for axis, points in (("x", maps.teacher_points), ("x2", maps.student_points)):
        for name in toy_model.classes_:
            (trace,) = [t for t in figure.data if t.name == name and t.xaxis == axis]
            members = (rows["label"] == name).to_numpy()
            np.testing.assert_array_equal(np.stack([trace.x, trace.y], axis=1), points[members])
            assert list(trace.text) == rows["text"][members].tolist()


def test_the_maps_show_both_texts_of_a_pair(toy_model):
    rows = toy_model.memory.rows
    figure = maps_figure(toy_model.maps, rows.assign(text_pair="second"))
    shown = {text for trace in figure.data for text in trace.text}
    assert shown == {f"{text} | second" for text in rows["text"]}


def test_the_maps_have_the_same_axes(toy_model):
    layout = maps_figure(toy_model.maps, toy_model.memory.rows).layout
    assert layout.xaxis.range == layout.xaxis2.range
    assert layout.yaxis.range == layout.yaxis2.range


def test_the_maps_can_be_coloured_by_another_column(toy_model):
    figure = maps_figure(toy_model.maps, toy_model.memory.rows, "topic")
    assert {trace.name for trace in figure.data} == {"home", "work"}


def test_the_query_and_lines_to_its_neighbours_are_in_both_maps(toy_model, explanation):
    parts = toy_model
    places = parts.maps.star(explanation.keys_by_part[0])
    figure = maps_figure(parts.maps, parts.memory.rows, explanation=explanation)
    both = ((parts.maps.teacher_points, "x"), (parts.maps.student_points, "x2"))
    for place, (points, axis) in zip(places, both, strict=True):
        (star,) = [t for t in figure.data if t.name == "the query" and t.xaxis == axis]
        np.testing.assert_array_equal([star.x[0], star.y[0]], place)
        (lines,) = [t for t in figure.data if t.name == "to its neighbours" and t.xaxis == axis]
        ends = points[[neighbour.number for neighbour in explanation.neighbours]]
        np.testing.assert_array_equal(np.stack([lines.x[1::3], lines.y[1::3]], axis=1), ends.astype(np.float64))
        assert set(lines.x[0::3]) == {float(place[0])}
        assert np.isnan(lines.x[2::3]).all()


def test_of_many_memories_an_even_part_and_every_neighbour_is_drawn(many_classes):
    total = 2 * MAX_MAP_POINTS + 1
    points = np.random.default_rng(1).normal(size=(total, 2)).astype(np.float32)
    maps = ProjectionMaps(points, points, points)
    rows = pd.DataFrame({"text": "a", "label": [f"class {number % 30}" for number in range(total)]})
    (key,) = many_classes.keys
    neighbours = [replace(key.neighbours[0], number=number) for number in (5, 7)]
    answer = replace(many_classes, keys=[replace(key, neighbours=neighbours)])
    figure = maps_figure(maps, rows, explanation=answer)
    memories = [t for t in figure.data if t.mode == "markers" and t.name != "the query" and t.xaxis == "x"]
    drawn = {float(x) for trace in memories for x in trace.x}
    assert {float(points[5, 0]), float(points[7, 0])} <= drawn
    assert MAX_MAP_POINTS <= sum(len(trace.x) for trace in memories) <= MAX_MAP_POINTS + 2
    colours = {trace.name: trace.marker.color for trace in memories}
    assert colours.pop("20 others") == OTHER_COLOUR
    assert set(colours.values()) == set(PALETTE)
    assert {"class 5", "class 7"} <= set(colours)


def test_texts_and_names_stand_in_figures_as_text(explanation):
    classes = (NASTY, *explanation.classes[1:])
    answer = replace(explanation, classes=classes, label=NASTY)
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    rows = pd.DataFrame({"text": [NASTY] * 4, "label": [NASTY] * 4, NASTY: ["a", "b", "c", NASTY]})
    figures = (
        probabilities_figure(answer),
        contributions_figure(answer),
        maps_figure(ProjectionMaps(points, points, points), rows, NASTY),
        maps_figure(ProjectionMaps(points, points, points), rows),
    )
    for figure in figures:
        written = str(figure.to_dict())
        assert "<b onclick" not in written
        assert ESCAPED in written
        templates = [trace.hovertemplate for trace in figure.data if trace.hovertemplate]
        assert not any("onclick" in template for template in templates)


def test_losses_and_scores_of_all_stages_lie_over_one_another_each_in_one_colour():
    losses = {"Projection head": [(5, 2.5), (10, 1.5)], "Student": [(5, 1.0)], "Next": []}
    scores = {"Student": [(0, 0.2), (1, 0.5)], "Teacher": [(1, 0.7)]}
    figure = training_figure(losses, scores)
    for axis, lines in (("x", losses), ("x2", scores)):
        drawn = {t.name: list(zip(t.x, t.y, strict=True)) for t in figure.data if t.xaxis == axis}
        assert drawn == lines
    assert len({t.line.color for t in figure.data if t.name == "Student"}) == 1
    assert figure.layout.yaxis.type == "log"
    named = [t.name for t in figure.data if t.showlegend]
    assert sorted(named) == sorted({*losses, *scores})


def test_no_stage_yet_is_an_empty_figure():
    assert len(training_figure({}, {}).data) == 0


def test_the_ablations_show_every_test_score_and_name_the_best_student():
    methods = {method: {"test": 0.5 + number / 100} for number, method in enumerate(METHOD_NAMES)}
    methods["teacher"]["test"] = 0.99
    figure = ablations_figure({"metric": "macro_f1", "methods": methods})
    (bars,) = figure.data
    wanted = {METHOD_NAMES[method]: pytest.approx(100 * score["test"]) for method, score in methods.items()}
    assert values_by_class(bars, "x", "y") == wanted
    assert figure.layout.title.text == "Best student: ReAugKD, pooled, 57.0 (teacher 99.0)"
    assert figure.layout.xaxis.title.text == "macro f1 on test, percent"


def watched(epochs=3):
    """Four texts of two classes that come nearer to their z with each epoch."""
    z = np.asarray([[1, 0], [1, 0.2], [-1, 0], [-1, 0.2]], dtype=np.float32)
    x = np.stack([z * (number + 1) / epochs for number in range(epochs)])
    return TrainingEpochs(np.arange(4), np.asarray(["a", NASTY, "a", NASTY]), z, x, 0.61)


def test_the_training_is_drawn_on_axes_that_stay_and_its_title_tells_the_distance():
    epochs = watched()
    figure = epochs_figure(epochs)
    drawn = {(t.xaxis, t.name): np.stack([t.x, t.y], axis=1) for t in figure.data}
    np.testing.assert_array_equal(drawn["x", "a"], epochs.teacher_points[[0, 2]])
    np.testing.assert_array_equal(drawn["x2", ESCAPED], epochs.student_points[2][[1, 3]])
    away = np.linalg.norm(epochs.student_points[0] - epochs.teacher_points, axis=1).mean()
    assert f"0.00 after epoch 2, {away:.2f} before" in figure.layout.title.text
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    assert [frame.name for frame in figure.frames] == ["0", "1", "2"]
    moved = {
        index: np.stack([t.x, t.y], axis=1)
        for index, t in zip(figure.frames[1].traces, figure.frames[1].data, strict=True)
    }
    for index, points in moved.items():
        labels = figure.data[index].name == np.asarray(["a", ESCAPED, "a", ESCAPED])
        np.testing.assert_array_equal(points, epochs.student_points[1][labels])
        assert figure.data[index].xaxis == "x2"


def test_a_page_that_draws_anew_at_each_epoch_needs_no_frames():
    figure = epochs_figure(watched(1), playable=False)
    assert not figure.frames
    assert not figure.layout.sliders
    assert "before the training" in figure.layout.title.text


def test_every_figure_has_a_title_and_names_both_axes(toy_model, explanation):
    points = np.arange(4.0).reshape(2, 2)
    scores = {"teacher": {"test": 0.9}, "reaugkd": {"test": 0.8}}
    figures = [
        probabilities_figure(explanation),
        contributions_figure(explanation),
        maps_figure(toy_model.maps, toy_model.memory.rows),
        points_figure(points, {"label": ["a", "b"], "topic": ["c", "d"]}, ["one", "two"], "a finding"),
        ablations_figure({"metric": "accuracy", "methods": scores}),
        training_figure({"Teacher": [(1, 0.5)], "Student": [(1, 0.4)]}, {"Student": [(1, 0.6)]}),
        epochs_figure(watched()),
        histogram_figure({"": {"a": np.arange(3.0)}}, "value", "a finding"),
        lines_figure({"a": ([1, 2], [3, 4])}, "x", "y", "a finding"),
    ]
    for figure in figures:
        axes = figure.layout.title.text, figure.layout.xaxis.title.text, figure.layout.yaxis.title.text
        assert all(axes), axes


def test_the_curve_of_what_is_answered_marks_the_threshold_on_each_line_and_names_its_effect():
    scores = np.arange(40) / 40
    tables = {
        "validation rows": coverage_table(scores, scores > 0.3),
        "test rows": coverage_table(scores, scores > 0.6),
    }
    figure = coverage_figure(tables, Threshold("probability", 0.5, 0.9))
    assert figure.layout.title.text == "At the threshold 50 % of the test rows<br>are answered, 75.0 % of these right"
    lines = {line.name: line for line in figure.data if line.mode == "lines"}
    assert list(lines) == list(tables)
    assert lines["test rows"].x[0] == pytest.approx(100 * 10 / 40)  # fewer rows are right by chance
    assert lines["test rows"].y[-1] == pytest.approx(100 * (scores > 0.6).mean())
    marks = [(mark.x[0], mark.y[0]) for mark in figure.data if mark.mode == "markers"]
    assert marks == [(pytest.approx(50), pytest.approx(100)), (pytest.approx(50), pytest.approx(75))]
    assert all(line.mode == "lines" for line in coverage_figure(tables).data)
