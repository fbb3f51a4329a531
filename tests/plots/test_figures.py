"""The numbers in the figures are those of the answer; texts stand in them as text."""

from dataclasses import replace

import numpy as np
import pytest

from reaugkd.measures.calibration import Threshold, coverage_table
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.explanation import Explanation, KeyPart, Neighbour
from reaugkd.model.maps import TrainingEpochs
from reaugkd.plots.charts import histogram_figure, lines_figure, points_figure
from reaugkd.plots.figures import contributions_figure, coverage_figure, epochs_figure, training_figure

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
    )


def values_by_class(trace, values, names):
    return dict(zip(getattr(trace, names), getattr(trace, values), strict=True))


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


def test_texts_and_names_stand_in_figures_as_text(explanation):
    classes = (NASTY, *explanation.classes[1:])
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    figures = (
        contributions_figure(replace(explanation, classes=classes, label=NASTY)),
        points_figure(points, {"label": [NASTY] * 4}, [NASTY] * 4, "a finding"),
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


def test_every_figure_has_a_title_and_names_both_axes(explanation):
    points = np.arange(4.0).reshape(2, 2)
    figures = [
        contributions_figure(explanation),
        points_figure(points, {"label": ["a", "b"], "topic": ["c", "d"]}, ["one", "two"], "a finding"),
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
