"""The points of the maps: which they are, how they are coloured, and what the maps are worth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from app.parts.map_points import (
    MapPoints,
    colour_columns,
    island_names,
    map_overlap,
    map_points,
    most_moved,
    nearest_memories,
    point_colours,
)
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.errors import ReAugKDError
from reaugkd.plots.charts import PALETTE


@pytest.fixture(scope="module")
def answers(toy_model):
    return toy_model.answer(toy_model.encode_rows(toy_model.held_out(["test"])))


@pytest.fixture(scope="module")
def of_memories(toy_model):
    """What the student says of the memories."""
    return toy_model.encode(list(toy_model.memory.rows["text"])).student_probabilities


@pytest.fixture(scope="module")
def points(toy_model, answers, of_memories):
    return map_points(toy_model, answers, of_memories)


def test_memories_come_first_then_the_test_rows_each_at_its_own_place(toy_model, answers, points):
    memory, maps = toy_model.memory, toy_model.maps
    is_test = (toy_model.evaluation_rows["split"] == "test").to_numpy()
    assert points.rows["kind"].tolist() == ["memory"] * len(memory) + ["test row"] * len(answers.encoded)
    assert points.rows["number"].tolist() == [*range(len(memory)), *range(int(is_test.sum()))]
    np.testing.assert_array_equal(points.places, np.concatenate([maps.points, maps.held_out[is_test]]))
    assert not points.is_guessed.any()
    places = map_points(toy_model)  # no network has run over the rows
    np.testing.assert_array_equal(places.places, points.places)
    for column in ("kind", "number", "text", "label", "topic"):
        assert places.rows[column].tolist() == points.rows[column].tolist()


@pytest.mark.parametrize("known_x", [True, False])
def test_a_test_row_of_which_the_teachers_embedding_is_not_known_lies_by_its_x_and_is_marked(
    toy_model, answers, known_x
):
    held_out = toy_model.maps.held_out.copy()
    held_out[:, 0] = np.nan
    bare = replace(toy_model, maps=replace(toy_model.maps, held_out=held_out if known_x else None))
    rows = np.arange(len(toy_model.memory), len(toy_model.memory) + len(answers.encoded))
    by_x = bare.maps.place(answers.encoded.embeddings, bare.memory)
    is_test = (toy_model.evaluation_rows["split"] == "test").to_numpy()
    for found in (map_points(bare, answers), map_points(bare)):
        assert np.flatnonzero(found.is_guessed).tolist() == rows.tolist()
        np.testing.assert_allclose(found.places[rows, 0], by_x[:, 0], atol=1e-4)
        of_student = held_out[is_test, 1] if known_x else by_x[:, 1]
        np.testing.assert_allclose(found.places[rows, 1], of_student, atol=1e-4)


def test_an_added_memory_is_marked_since_no_teacher_has_read_it(toy_model):
    edited = apply_patch(toy_model, (Edit("add", "mine", toy_model.classes_[0], "a ripe plum"),))
    points = map_points(edited)
    assert points.rows["id"][points.is_guessed].tolist() == ["mine"]
    np.testing.assert_array_equal(edited.maps.held_out, toy_model.maps.held_out)


def test_a_point_tells_what_teacher_student_and_answer_say_and_which_are_wrong(toy_model, answers, points):
    memory, names = toy_model.memory, toy_model.classes_
    rows = points.rows[points.rows["kind"] == "memory"]
    assert rows["teacher"].tolist() == names[memory.soft_labels.argmax(axis=1)].tolist()
    said = toy_model.student.encode(list(memory.rows["text"]))[1]
    assert rows["student"].tolist() == names[said.argmax(axis=1)].tolist()
    assert rows["answer"].isna().all()
    asked = points.rows[points.rows["kind"] == "test row"]
    for voice, numbers in answers.predicted.items():
        said = names[numbers]
        assert asked[voice].tolist() == said.tolist()
        assert asked[f"{voice}_error"].tolist() == np.where(said == asked["label"], "right", "wrong").tolist()


def test_a_point_tells_who_labelled_it_and_the_teachers_label_makes_no_error(puzzled_model):
    rows = puzzled_model.memory.rows
    by_teacher = np.arange(len(rows)) % 3 == 0
    rows = rows.assign(labelled_by=np.where(by_teacher, "teacher", ""))
    model = replace(puzzled_model, memory=replace(puzzled_model.memory, rows=rows))
    answers = model.answer(model.encode_rows(model.held_out(["test"])))
    found = map_points(model, answers)
    of_test = ["gold"] * len(answers.encoded)
    assert found.rows["labelled_by"].tolist() == np.where(by_teacher, "teacher", "gold").tolist() + of_test
    assert [name for name, _ in point_colours(found, "labelled_by").legend[:-1]] == ["gold", "teacher"]
    error = found.rows["teacher_error"][: len(rows)]
    assert error.isna().tolist() == by_teacher.tolist()
    without = map_points(puzzled_model, answers)
    assert "labelled_by" not in without.rows
    assert error[~by_teacher].tolist() == without.rows["teacher_error"][: len(rows)][~by_teacher].tolist()


def test_the_memories_that_moved_most_have_the_smallest_cosine(toy_model, points):
    x, z = toy_model.maps.student_embeddings, toy_model.memory.teacher_embeddings
    assert most_moved(points, 5) == np.argsort((x * z).sum(axis=1), kind="stable")[:5].tolist()


@pytest.mark.parametrize("name", ["number", "kind", "student", "answer", "memory", "effect", "moved", "teacher"])
def test_a_further_column_of_any_name_changes_nothing_that_is_found_out(toy_model, points, of_memories, name):
    memory = replace(toy_model.memory, rows=toy_model.memory.rows.assign(**{name: "mine"}))
    model = replace(toy_model, memory=memory, evaluation_rows=toy_model.evaluation_rows.assign(**{name: "mine"}))
    answers = model.answer(model.encode_rows(model.held_out(["test"])))
    found = map_points(model, answers, of_memories).rows
    pd.testing.assert_frame_equal(found[points.rows.columns], points.rows)
    without = map_points(model, None).rows
    assert "mine" not in without.drop(columns="topic").to_numpy()


def test_up_to_ten_names_have_a_colour_each_and_missing_values_are_grey(points):
    colours = point_colours(points, "effect")
    memory = (points.rows["kind"] == "memory").to_numpy()
    assert {colours.legend[code] for code in colours.codes[memory]} == {("not known", "#B8BCC4")}
    named = [colours.legend[code] for code in colours.codes[~memory]]
    wanted = {"fixed": "fixed", "broken": "broken", "none": "unchanged", "changed": "wrong in another way"}
    assert [name for name, _ in named] == points.rows["effect"][~memory].map(wanted).tolist()


@pytest.mark.parametrize(
    ("column", "value", "name", "colour"),
    [
        ("effect", "fixed", "fixed", "#009E73"),  # green
        ("effect", "broken", "broken", "#D6293A"),  # red
        ("effect", "none", "unchanged", "#7D838C"),  # grey
        ("answer_error", "right", "right", "#009E73"),
        ("answer_error", "wrong", "wrong", "#D6293A"),
    ],
)
def test_what_retrieval_did_has_one_colour_whatever_else_occurs(points, column, value, name, colour):
    rows = points.rows.iloc[:2].assign(**{column: [value, None]})
    colours = point_colours(replace(points, rows=rows), column)
    assert [colours.legend[code] for code in colours.codes] == [(name, colour), ("not known", "#B8BCC4")]


def test_islands_bear_the_names_of_what_colours_the_points_or_else_the_labels(points):
    for column, named in (("topic", "topic"), ("student", "student"), ("effect", "label"), ("moved", "label")):
        codes, names = island_names(points, column)
        values = points.rows[named]
        assert [names[code] if code < len(names) else None for code in codes] == values.where(
            values.notna(), None
        ).tolist()


def test_every_entry_of_a_legend_has_a_name_of_its_own(points):
    assert "none" in set(points.rows["effect"])
    assert points.rows["effect"].isna().any()
    for column in colour_columns(points):
        names = [name for name, _ in point_colours(points, column).legend]
        assert len(set(names)) == len(names), column


def test_a_class_that_was_added_last_has_the_last_colour_as_in_the_bars_of_an_answer(toy_model):
    edited = apply_patch(toy_model, (Edit("add", "mine", "a class before all", "the shiny gadget hums"),))
    classes = list(edited.classes_)
    assert classes[-1] == "a class before all"
    legend = point_colours(map_points(edited, None), "label").legend
    assert legend[: len(classes)] == list(zip(classes, PALETTE, strict=False))


def test_a_class_that_a_column_lacks_takes_no_colour_from_the_others(points):
    first, _, third = points.classes
    rows = pd.DataFrame({"student": [third, first, third]})
    colours = point_colours(replace(points, rows=rows), "student")
    assert colours.legend[:2] == [(first, PALETTE[0]), (third, PALETTE[2])]
    assert [colours.legend[code][0] for code in colours.codes] == [third, first, third]


def points_of_table(rows):
    return MapPoints(rows, np.zeros((len(rows), 2, 2), dtype=np.float32), np.zeros(len(rows), dtype=bool))


def test_of_more_than_ten_names_the_most_frequent_are_coloured():
    names = [f"class {number:02}" for number in range(12) for _ in range(number + 1)]
    colours = point_colours(points_of_table(pd.DataFrame({"label": names})), "label")
    assert [name for name, _ in colours.legend] == [f"class {number:02}" for number in range(11, 1, -1)] + ["other"]
    assert [colours.legend[code][0] for code in colours.codes[:3]] == ["other"] * 3
    assert len({colour for _, colour in colours.legend}) == 11
    some = pd.DataFrame({"label": [None, *names[1:]]})
    assert point_colours(points_of_table(some), "label").legend[-1][0] == "other or not known"


def test_numbers_are_coloured_by_steps_of_even_size():
    table = pd.DataFrame({"label": list("abcd"), "moved": [0.0, 0.35, 0.7, np.nan]})
    colours = point_colours(points_of_table(table), "moved")
    assert [colours.legend[code][0] for code in colours.codes] == [
        "0.00 to 0.10",
        "0.30 to 0.40",
        "0.60 to 0.70",
        "not known",
    ]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([0.99, 0.9907, None], ["0.9900 to 0.9901", "0.9906 to 0.9907", "not known"]),
        ([0.5, 0.5, None], ["0.50 to 0.50", "0.50 to 0.50", "not known"]),
    ],
)
def test_steps_are_named_by_as_many_digits_as_tell_them_apart(values, names):
    colours = point_colours(points_of_table(pd.DataFrame({"moved": values})), "moved")
    assert [colours.legend[code][0] for code in colours.codes] == names
    assert len(dict(colours.legend)) == len(colours.legend)


def test_every_column_can_colour_and_another_is_refused_with_a_sentence(points):
    columns = colour_columns(points)
    assert columns[0] == "label"
    assert {"teacher", "student", "answer", "effect", "topic", "moved", "kind"} <= set(columns)
    for column in columns:
        assert len(point_colours(points, column).codes) == len(points.rows)
    with pytest.raises(ReAugKDError, match="no column 'colour'"):
        point_colours(points, "colour")


def test_the_overlap_of_the_maps_is_that_of_brute_force(toy_model):
    maps, memory = toy_model.maps, toy_model.memory

    def nearest(space):
        distances = np.linalg.norm(space[:, None].astype(np.float64) - space[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        return [set(row) for row in np.argsort(distances, axis=1)[:, :10]]

    for name, full, plane in (
        ("teacher", memory.teacher_embeddings, maps.points[:, 0]),
        ("student", maps.student_embeddings, maps.points[:, 1]),
    ):
        shared = [len(one & other) / 10 for one, other in zip(nearest(full), nearest(plane), strict=True)]
        assert map_overlap(toy_model)[name] == pytest.approx(np.mean(shared), abs=0.02)


def test_the_nearest_memories_of_a_point_are_those_of_brute_force_in_the_teachers_space(toy_model, answers):
    z, x = toy_model.memory.teacher_embeddings, answers.encoded.embeddings
    of_memory = [number for number in np.argsort(-(z @ z[4])) if number != 4][:5]
    found = nearest_memories(toy_model.memory, z[4], 5, 4)
    np.testing.assert_allclose([cosine for _, cosine in found], (z @ z[4])[of_memory], atol=1e-5)
    assert 4 not in [number for number, _ in found]
    of_row = np.sort(z @ x[2])[::-1][:5]
    found = nearest_memories(toy_model.memory, x[2], 5)
    np.testing.assert_allclose([cosine for _, cosine in found], of_row, atol=1e-5)
    np.testing.assert_allclose([z[number] @ x[2] for number, _ in found], of_row, atol=1e-5)


def test_a_model_without_maps_has_no_points_and_says_so(toy_model, answers):
    bare = replace(toy_model, maps=None)
    assert map_overlap(bare) == {}
    with pytest.raises(ReAugKDError, match="without maps"):
        map_points(bare, answers)
