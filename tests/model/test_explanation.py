"""An answer taken apart: the parts add up to the answer's lead, and the neighbours to what their key gives."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pool_by_hand import answered_by_hand

from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.method.answers import answer
from reaugkd.model.explanation import explain

TEXTS = ["an apple and a plum", "old iron", "rain today", "the copper fog", "we saw the very new", "gadget"]
NEW_TEXTS = ["the shiny gadget hums", "a new gadget", "some old gadget with iron"]
POOLS = {
    "fitted": {},
    "slider": {"retrieval_weight": 0.3},
    "student": {"retrieval_weight": 0.0},
    "memory": {"retrieval_weight": 1.0},
    "calibrated": {"student_temperature": 2.0},
    "linear": {"kind": "linear", "retrieval_weight": 0.6},
    "linear memory": {"kind": "linear", "retrieval_weight": 1.0},
}
each_pool = pytest.mark.parametrize("settings", POOLS.values(), ids=POOLS)


def explained(model, text, **settings):
    return explain(model.answer(model.encode([text]), replace(model.pool, **settings)))


def lead_of(explanation):
    """log p(A) / p(B), or p(A) - p(B) of a linear pool, from the probabilities."""
    best, second = np.sort(explanation.probabilities)[::-1][:2]
    return best - second if explanation.pool.kind == "linear" else np.log(best) - np.log(second)


@pytest.fixture(scope="module")
def two_new(gadget_model):
    """A model whose memory knows two classes that its student does not."""
    texts = ["the shiny gizmo hums", "a new gizmo", "some old gizmo with iron"]
    return apply_patch(gadget_model, tuple(Edit("add", f"gizmo-{n}", "gizmo", text) for n, text in enumerate(texts)))


@each_pool
def test_the_parts_sum_to_the_lead_of_the_answer(pooled_model, gadget_model, two_new, settings):
    kinds = set()
    for model in (pooled_model, gadget_model, two_new):
        known = set(pooled_model.classes_)
        for text in TEXTS + NEW_TEXTS:
            found = explained(model, text, **settings)
            assert sum(found.parts.values()) == pytest.approx(lead_of(found), abs=1e-9)
            assert found.lead == pytest.approx(lead_of(found), abs=1e-9)
            order = np.argsort(-found.probabilities, kind="stable")
            assert (found.label, found.runner_up) == tuple(found.classes[number] for number in order[:2])
            kinds.add((found.label in known, found.runner_up in known))
    wanted = {(True, True), (False, True)} if settings.get("retrieval_weight") != 0 else {(True, True)}
    assert wanted <= kinds


def test_a_new_class_stands_as_answer_as_runner_up_and_as_both(two_new):
    """By a memory that is made to decide: two neighbours at half a weight each, or both of one new class."""
    encoded = two_new.encode(["the shiny gadget hums"])
    numbers = answer(encoded, two_new.memory, two_new.pool).retrieved["text"].numbers[0, :2]
    votes = {
        ("gadget", "fruit"): [[0, 0, 0, 1, 0], [0.6, 0, 0, 0.4, 0]],
        ("fruit", "gadget"): [[0.9, 0, 0, 0.1, 0], [0.8, 0, 0, 0.2, 0]],
        ("gadget", "gizmo"): [[0, 0, 0, 0.6, 0.4], [0, 0, 0, 0.9, 0.1]],
    }
    student = np.asarray([[0.98, 0.01, 0.01]], dtype=np.float32)
    for (label, runner_up), given in votes.items():
        soft_labels = np.tile(np.eye(5, dtype=np.float32)[0], (len(two_new.memory), 1))
        soft_labels[numbers] = given
        memory = replace(two_new.memory, soft_labels=soft_labels)
        for settings in ({}, {"retrieval_weight": 0.5}, {"kind": "linear", "retrieval_weight": 0.5}):
            pool = replace(two_new.pool, **settings)
            found = explain(answer(replace(encoded, student_probabilities=student), memory, pool))
            assert (found.label, found.runner_up) == (label, runner_up)
            assert sum(found.parts.values()) == pytest.approx(lead_of(found), abs=1e-9)
            assert (found.student_part, found.parts["aligned"]) == (0, 0)  # the pool holds among known classes
            if "kind" not in settings and runner_up == "gizmo":  # what the deciding key says of both is all
                said = next(key for key in found.keys if key.name == "text").retrieved
                assert found.parts["text"] == pytest.approx(np.log(said[3] / said[4]))
                assert found.parts["new classes"] == pytest.approx(0, abs=1e-9)


@each_pool
def test_each_part_is_what_its_voice_says_of_both_classes(pooled_model, settings):
    for text in TEXTS:
        found = explained(pooled_model, text, **settings)
        wanted = answered_by_hand(pooled_model, text, found.pool)
        best, second = (found.classes.index(name) for name in (found.label, found.runner_up))
        student, weights = found.pool.weights

        def gained(said, best=best, second=second, is_linear=found.pool.kind == "linear"):
            return said[best] - said[second] if is_linear else np.log(said[best]) - np.log(said[second])

        assert found.student_part == pytest.approx(student * gained(wanted.student), abs=1e-4)
        for key in found.keys:
            by_key = wanted.keys[key.name]
            said = by_key.retrieved if found.pool.kind == "linear" else by_key.smoothed
            assert key.part == pytest.approx(weights[key.name] * gained(said), abs=1e-3)
            assert key.settings.weight == weights[key.name]
        assert found.new_classes_part == 0


@each_pool
def test_neighbours_and_smoothing_share_what_their_key_gives_to_either_class(pooled_model, gadget_model, settings):
    for model in (pooled_model, gadget_model):
        known = len(pooled_model.classes_)
        for text in TEXTS + NEW_TEXTS:
            found = explained(model, text, **settings)
            for key in found.keys:
                for name, shares, smoothing in (
                    (found.label, [neighbour.share for neighbour in key.neighbours], key.smoothing),
                    (found.runner_up, [n.runner_up_share for n in key.neighbours], key.runner_up_smoothing),
                ):
                    number = found.classes.index(name)
                    gives = np.asarray([n.weight * n.soft_labels[number] for n in key.neighbours])
                    none = 0.0
                    if found.pool.kind == "logarithmic" and number < known:
                        gives, none = 0.98 * gives / key.retrieved[:known].sum(), 0.02 / known
                    whole = gives.sum() + none
                    if whole == 0:  # of a new class this key finds nothing
                        assert number >= known
                        assert sum(shares) == smoothing == 0
                        continue
                    assert sum(shares) + smoothing == pytest.approx(1, abs=1e-9)
                    assert smoothing == pytest.approx(none / whole)
                    np.testing.assert_allclose(shares, gives / whole, rtol=1e-6, atol=1e-9)


def test_a_memory_that_speaks_against_the_answer_has_a_part_below_zero(pooled_model):
    memory = pooled_model.memory
    second = np.tile(np.eye(3, dtype=np.float32)[1], (len(memory), 1))
    encoded = replace(
        pooled_model.encode(TEXTS[:1]), student_probabilities=np.asarray([[0.6, 0.3, 0.1]], dtype=np.float32)
    )
    found = explain(
        answer(encoded, replace(memory, soft_labels=second), replace(pooled_model.pool, student_weight=10.0))
    )
    assert found.label == found.student_label == found.classes[0]
    assert found.runner_up == found.memory_label == found.classes[1]
    assert found.student_part == pytest.approx(10 * np.log(2))
    against = np.log(0.02 / 3) - np.log(0.98 + 0.02 / 3)
    assert found.parts["aligned"] == pytest.approx(0.4 * against)
    assert found.parts["text"] == pytest.approx(0.3 * against)
    assert found.keys[0].smoothing == pytest.approx(1)  # no neighbour gives the answer anything


def test_the_neighbours_shown_first_are_those_of_the_key_that_adds_most_in_whichever_direction(pooled_model):
    for weights in ((0.4, 0.0), (0.0, 0.4), (0.1, 5.0), (5.0, 0.1)):
        keys = dict(zip(("aligned", "text"), weights, strict=True))
        pool = replace(
            pooled_model.pool, keys={n: replace(pooled_model.pool.keys[n], weight=w) for n, w in keys.items()}
        )
        found = explain(pooled_model.answer(pooled_model.encode(TEXTS[:1]), pool))
        most = max(found.keys, key=lambda key: abs(key.part))
        assert most.name == max(keys, key=keys.get)
        assert found.neighbours is most.neighbours
    assert explained(pooled_model, TEXTS[0], retrieval_weight=0.0).neighbours[0].rank == 1


@pytest.mark.parametrize("decides", ["aligned", "text"])
def test_where_a_new_class_is_answered_the_key_that_decided_comes_first(gadget_model, decides):
    text = NEW_TEXTS[0]
    found = explained(gadget_model, text, new_class_key=decides)
    assert found.label == "gadget"
    assert found.keys_by_part[0].name == decides
    assert found.neighbours is found.keys_by_part[0].neighbours
    known = explained(gadget_model, TEXTS[0], new_class_key=decides)
    assert [key.part for key in known.keys_by_part] == sorted((key.part for key in known.keys), key=abs, reverse=True)


def test_a_neighbour_carries_its_row(pooled_model, toy_task):
    rows = toy_task.rows["train"].to_pandas()
    for key in pooled_model.explain(TEXTS[0], k=12).keys:
        assert [neighbour.rank for neighbour in key.neighbours] == list(range(1, 13))
        for neighbour in key.neighbours:
            row = rows.iloc[neighbour.number]
            assert (neighbour.id, neighbour.text) == (row["id"], row["text"])
            assert neighbour.label == toy_task.label_names[row["label"]]
            assert neighbour.columns == {"topic": row["topic"]}
            np.testing.assert_allclose(
                neighbour.soft_labels, pooled_model.memory.soft_labels[neighbour.number], atol=1e-7
            )


def test_the_student_the_memory_and_the_answer_name_their_classes(gadget_model):
    encoded = gadget_model.encode(["the shiny gadget hums"])
    found = explain(gadget_model.answer(encoded))
    assert (found.label, found.memory_alone) == ("gadget", True)
    assert found.student_label == gadget_model.classes_[encoded.student_probabilities[0].argmax()]
    assert len(found.student_probabilities) == 3
    alone = gadget_model.predict_proba(["the shiny gadget hums"], retrieval_weight=1.0)[0]
    np.testing.assert_allclose(found.memory_probabilities, alone, atol=1e-6)
    assert found.memory_label == gadget_model.classes_[alone.argmax()]
    assert found.new == pytest.approx(found.probabilities[3])
    assert not gadget_model.explain("an apple and a plum").memory_alone


def test_any_row_of_many_is_taken_apart_as_it_is_alone(pooled_model):
    answers = pooled_model.answer(pooled_model.encode(TEXTS))
    for row, text in enumerate(TEXTS):
        one, many = pooled_model.explain(text), explain(answers, row)
        assert many.text == text
        assert many.label == one.label
        assert many.parts == pytest.approx(one.parts, abs=1e-4)


@each_pool
@pytest.mark.parametrize("text", [TEXTS[0], NEW_TEXTS[0]])
def test_the_table_adds_up(gadget_model, text, settings):
    found = explained(gadget_model, text, **settings)
    table = found.table().set_index("part")
    parts = ["student", "aligned", "text", "new classes"]
    assert table["adds"].dropna().index.tolist() == [*parts, "sum"]
    assert table.loc[parts, "adds"].sum() == pytest.approx(table.loc["sum", "adds"], abs=1e-9)
    assert table.loc["sum", "adds"] == pytest.approx(lead_of(found), abs=1e-9)
    for name in ("aligned", "text"):
        own = [f"{name} {rank}" for rank in range(1, 9)] + [f"{name} smoothing"]
        assert table.loc[own, "share"].sum() == pytest.approx(1)
        assert table.loc[own[:-1], "weight"].sum() == pytest.approx(1)
        assert (table.loc[own[:-1], "similarity"].diff().dropna() <= 0).all()


@pytest.mark.parametrize("text", [TEXTS[1], NEW_TEXTS[0]])
def test_as_a_dict_it_is_json_with_the_same_numbers(gadget_model, text):
    found = gadget_model.explain(text, k=np.int64(4), retrieval_weight=0.4)
    plain = json.loads(json.dumps(found.as_dict()))
    assert (plain["text"], plain["label"], plain["runner_up"]) == (text, found.label, found.runner_up)
    assert (plain["pool"], plain["retrieval_weight"]) == ("logarithmic", 0.4)
    for name, values, classes in (
        ("probabilities", found.probabilities, found.classes),
        ("student", found.student_probabilities, found.classes[:3]),
        ("memory", found.memory_probabilities, found.classes),
    ):
        assert list(plain[name]) == list(classes)
        np.testing.assert_allclose(list(plain[name].values()), values, atol=1e-6)
    assert plain["parts"] == pytest.approx(found.parts, abs=1e-6)
    for said, key in zip(plain["keys"], found.keys, strict=True):
        assert (said["key"], said["k"], said["temperature"]) == (key.name, 4, 0.1)
        assert said["weight"] == pytest.approx(key.settings.weight)
        assert [neighbour["share"] for neighbour in said["neighbours"]] == [n.share for n in key.neighbours]
        assert [neighbour["id"] for neighbour in said["neighbours"]] == [n.id for n in key.neighbours]
    assert gadget_model.explain(text).as_dict()["retrieval_weight"] == pytest.approx(0.5)


LONG = " ".join(["the old iron and the new rain"] * 6)


def test_of_a_text_that_is_cut_it_is_told_how_many_words_were_read_and_what_was_not(toy_model):
    found = toy_model.explain(LONG)
    (end,) = found.characters_read
    assert 0 < end < len(LONG)
    assert found.words_read == len(LONG[:end].split()) == found.as_dict()["words_read"]
    assert f"{LONG[:end]} {found.unread}" == LONG
    student = toy_model.student
    assert student.tokenize([LONG[:end]])["input_ids"] == student.tokenize([LONG])["input_ids"]
    whole = toy_model.explain("iron and rain")
    assert (whole.characters_read, whole.words_read, whole.unread) == (None, None, "")


def test_what_was_read_of_a_text_goes_with_it_where_rows_are_chosen(toy_model):
    encoded = toy_model.encode(["iron", LONG, "rain", LONG])
    assert list(encoded.characters_read) == [1, 3]
    part = encoded.part([3, 0])
    assert part.characters_read == {0: encoded.characters_read[3]}
    assert explain(toy_model.answer(part)).unread == toy_model.explain(LONG).unread
