"""Settings of any kind at every door that takes one: a finite answer, or a sentence; and nothing is written."""

import json
import math
import re
from dataclasses import asdict, replace
from inspect import signature

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some
from odd_inputs import NUMBERS, ODD_TEXTS, ODD_VALUES, answered, tried
from sklearn.exceptions import NotFittedError

from reaugkd.adoption import adopt
from reaugkd.analysis.condensed import condense
from reaugkd.analysis.edits import as_patch, check_patch, read_patch, write_train_set
from reaugkd.estimator import DistilledClassifier
from reaugkd.method.memory import Memory
from reaugkd.method.milvus import MilvusMemory
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.folder import verify_model
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import DistillationSettings, Recipe, TrainingSettings
from reaugkd.study.plan import read_study
from reaugkd.tasks.sources import load_files, load_task
from reaugkd.training import teach, train

NEEDED = {TrainingSettings: {"epochs": 1, "learning_rate": 1e-3}, Pool: {"keys": {"text": KeySettings()}}}
SETTINGS = (TrainingSettings, DistillationSettings, Recipe, KeySettings, Pool)


@pytest.fixture
def settings_tried(short_or_whole, count):
    """Try a check on so many inputs of a kind, and count them."""

    def tried_(inputs, short, whole, check, what="odd settings"):
        made = []
        tried(short_or_whole(short, whole))(given(inputs)(lambda one: (made.append(1), check(one))[1]))()
        count(what, len(made))

    return tried_


def finite(value):
    """Whether no number anywhere in a setting is infinite or none at all."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)


def test_no_setting_is_of_a_wrong_kind_or_infinite(settings_tried):
    one = some.sampled_from(SETTINGS).flatmap(
        lambda kind: some.tuples(some.just(kind), some.sampled_from([*signature(kind).parameters]), ODD_VALUES)
    )

    def check(made):
        kind, name, value = made
        settings = answered(kind, **{**NEEDED.get(kind, {}), name: value})
        assert settings is None or finite(asdict(settings))

    settings_tried(one, 100, 1_500, check)


def test_an_answer_is_finite_whatever_is_set(settings_tried, toy_model):
    sets = some.fixed_dictionaries({}, optional=dict.fromkeys(("k", "retrieval_weight", "temperature"), ODD_VALUES))
    numbers = some.fixed_dictionaries({}, optional=dict.fromkeys(("k", "retrieval_weight", "temperature"), NUMBERS))

    def check(named):
        said = answered(toy_model.predict_proba, ["iron and rain"], **named)
        if said is not None:
            assert np.isfinite(said).all()
            assert said.sum() == pytest.approx(1)
            json.dumps(toy_model.explain("iron and rain", **named).as_dict(), allow_nan=False)

    settings_tried(sets, 20, 250, check)
    settings_tried(numbers, 20, 250, check)


def test_a_pool_of_any_weights_answers_in_finite_numbers(settings_tried, toy_model):
    asked = toy_model.encode(["iron and rain", "plum"])
    key = some.tuples(some.integers(1, 10**9), *[some.floats(0, exclude_min=True)] * 2)
    pools = some.tuples(
        key, key, *[some.floats(0)] * 2, some.sampled_from(["logarithmic", "linear"]), some.floats(0, 1)
    )

    def check(made):
        aligned, text, weight, temperature, kind, retrieval_weight = made
        keys = {"aligned": aligned, "text": text}
        pool = answered(
            lambda: Pool(
                {name: KeySettings(*each) for name, each in keys.items()},
                weight,
                temperature,
                "",
                kind,
                retrieval_weight,
            )
        )
        if pool is not None:
            assert np.isfinite(toy_model.answer(asked, pool).pooled.probabilities).all()

    settings_tried(pools, 20, 300, check)


DOORS = {
    "predict": lambda model, value, _: model.predict(value),
    "predict one": lambda model, value, _: model.predict([value]),
    "explain": lambda model, value, _: model.explain(value),
    "evaluate": lambda model, value, _: model.encode_rows(value),
    "held out": lambda model, value, _: model.held_out(value),
    "threshold": lambda model, value, _: model.with_threshold(value),
    "threshold by": lambda model, value, _: model.with_threshold(0.9, value),
    "condense": lambda model, value, _: condense(model, value),
    "condense bytes": lambda model, value, _: condense(model, most_bytes=value),
    "condense method": lambda model, value, _: condense(model, method=value),
    "load": lambda _, value, __: ReAugKDClassifier.from_pretrained(value),
    "verify": lambda _, value, __: verify_model(value),
    "load memory": lambda _, value, __: Memory.load(value),
    "cells": lambda model, value, folder: Memory.build([model.memory], folder / "memory", cells=value),
    "batches": lambda _, value, folder: Memory.build(value, folder / "memory"),
    "rows": lambda model, value, _: replace(model.memory, rows=value),
    "classes": lambda model, value, _: replace(model.memory, classes=value),
    "soft labels": lambda model, value, _: replace(model.memory, soft_labels=value),
    "embeddings": lambda model, value, _: replace(model.memory, teacher_embeddings=value),
    "keys": lambda model, value, _: replace(model.memory, keys={"text": value}),
    "search": lambda model, value, _: model.memory.search("text", value, 3),
    "search k": lambda model, value, _: model.memory.search("text", model.memory.keys["text"][:1], value),
    "search key": lambda model, value, _: model.memory.search(value, model.memory.keys["text"][:1], 3),
    "weights": lambda _, value, __: find_weights(value),
    "task": lambda _, value, __: load_task(value),
    "file": lambda _, value, __: load_files(value),
    "patch": lambda _, value, __: read_patch(value),
    "edits": lambda model, value, _: check_patch(model, as_patch(value)),
    "edit": lambda model, value, _: check_patch(model, as_patch([value])),
    "edited": lambda model, value, _: check_patch(
        model, as_patch([{"edit": "relabel", "id": "train-1", "label": value}])
    ),
    "study": lambda _, value, __: read_study(value),
    "estimator": lambda _, value, __: DistilledClassifier().fit(value, ["a", "b"]),
    "labels": lambda _, value, __: DistilledClassifier().fit(["one", "two"], value),
}


def test_a_wrong_value_at_any_door_is_told_and_nothing_is_written(settings_tried, toy_model, tmp_path):
    values = some.one_of(ODD_VALUES, ODD_TEXTS)

    def check(made):
        door, value = made
        try:
            answered(DOORS[door], toy_model, value, tmp_path)
        except ValueError as error:  # scikit-learn's own check of labels, which its tests ask for
            if door not in ("estimator", "labels") or not re.search("inconsistent numbers|1d array", str(error)):
                raise
        assert {path.name for path in tmp_path.iterdir()} <= {"memory"}

    settings_tried(some.tuples(some.sampled_from([*DOORS]), values), 40, 1_000, check)


DATABASE_DOORS = {
    "address": lambda _, value, __: MilvusMemory(value, "toy", ("a", "b")),
    "collection": lambda _, value, file: MilvusMemory(file, value, ("a", "b")),
    "classes": lambda _, value, file: MilvusMemory(file, "toy", value),
    "consistency": lambda _, value, file: len(MilvusMemory(file, "toy", ("a", "b"), consistency=value)),
    "upsert": lambda memory, value, _: memory.upsert(value),
    "upsert one": lambda memory, value, _: memory.upsert([value]),
    "remove": lambda memory, value, _: memory.remove(value),
    "remove one": lambda memory, value, _: memory.remove([value]),
    "search": lambda memory, value, _: memory.search("text", value, 3),
    "search k": lambda memory, value, _: memory.search("text", np.ones((1, memory.widths["text"])), value),
    "search key": lambda memory, value, _: memory.search(value, np.ones((1, 3)), 3),
    "rows": lambda memory, value, _: memory.rows_at(value),
}


def test_a_wrong_value_at_any_door_of_a_vector_database_is_told_and_nothing_is_changed(
    settings_tried, toy_model, tmp_path
):
    pytest.importorskip("pymilvus", reason="pymilvus is not installed: pip install 'reaugkd[milvus]'")
    file = str(tmp_path / "memory.db")
    memory = MilvusMemory(file, "toy", toy_model.memory.classes)
    memory.upsert([toy_model.memory])

    def check(made):
        door, value = made
        answered(DATABASE_DOORS[door], memory, value, file)

    values = some.one_of(ODD_VALUES, ODD_TEXTS)
    settings_tried(some.tuples(some.sampled_from([*DATABASE_DOORS]), values), 30, 400, check)
    assert len(memory) == len(toy_model.memory)
    assert toy_model.predict(["iron"]) == replace(toy_model, memory=memory, maps=None).predict(["iron"])


def test_a_wrong_place_to_write_is_told_and_nothing_is_written(
    settings_tried, toy_model, toy_task, toy_recipe, tmp_path
):
    doors = {
        "save": toy_model.save_pretrained,
        "train set": lambda place: write_train_set(toy_model, place),
        "memory": lambda place: Memory.build([toy_model.memory], place),
        "train": lambda place: train(toy_task, toy_recipe, place),
        "teach": lambda place: teach(toy_task, toy_recipe, place),
        "adopt": lambda place: adopt("no/classifier", toy_task, place),
    }
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other.txt").touch()
    places = [
        None,
        3,
        b"x",
        "",
        ".",
        "..",
        "/",
        "a\0b",
        "x" * 300,
        "~nobody-here/x",
        "\ud800",
        ["a"],
        {"a": 1},
        object(),
        float("nan"),
    ]
    places += [
        tmp_path / "file",
        tmp_path / "file" / "model",
        tmp_path / "full",
        tmp_path / "full" / "other.txt",
        "/proc/new/model",
    ]

    def check(made):
        door, place = made
        assert answered(doors[door], place) is None
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "other.txt"]

    settings_tried(some.tuples(some.sampled_from([*doors]), some.sampled_from(places)), 20, 120, check)


STUDY = {
    "tasks": {"t": {"train": "rows.csv"}},
    "teachers": {"b": {"encoder": "e"}},
    "methods": {"m": {"student": "s", "epochs": 1}},
    "seeds": [0],
}
PLACES = [(), ("tasks",), ("tasks", "t"), ("teachers",), ("teachers", "b"), ("methods",), ("methods", "m"), ("seeds",)]
PLACES += [("methods", "m", "distillation"), ("scenarios",), ("compare",), ("encoder_key",)]
ODD_YAML = [
    "",
    "- a",
    "a: [",
    "a: &x [*x]",
    "? {a: 1}\n: b",
    "!!python/object:os.system x",
    "a: 1\na: 2",
    "\t",
    "seeds: [2026-01-01]",
]
ODD_YAML += [
    "{" * 3_000,
    "tasks: 3\nteachers: x",
    "<<: [1]",
    "\ud800",
    "&a a: *b",
    "--- a\n--- b",
    "a: 0x",
    "%YAML 9.9\n---\na: b",
]


def test_a_study_of_any_plan_is_read_or_told_with_its_place(settings_tried, tmp_path):
    plain = some.recursive(
        some.one_of(some.none(), some.booleans(), some.integers(), some.floats(), some.text(max_size=6), some.dates()),
        lambda inner: some.one_of(
            some.lists(inner, max_size=3), some.dictionaries(some.text(max_size=6), inner, max_size=3)
        ),
        max_leaves=5,
    )
    changed = some.tuples(
        some.sampled_from(PLACES),
        plain,
        some.one_of(some.none(), some.sampled_from(["seeds", "train", "student", "seed", "kind"])),
    )

    def check(made):
        text = made
        if not isinstance(made, str):
            place, value, name = made
            plan = json.loads(json.dumps(STUDY))
            spot = {"plan": plan}
            key = "plan"
            for step in place:
                spot, key = spot[key], step
                if not isinstance(spot, dict):
                    return
                spot.setdefault(key, {})
            if name and isinstance(spot[key], dict):
                spot[key][name] = value
            else:
                spot[key] = value
            text = yaml.safe_dump(spot.get("plan", plan), allow_unicode=True)
        path = tmp_path / "plan.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        study = answered(read_study, path)
        assert study is None or list(study.students())

    settings_tried(changed, 30, 500, check, "odd studies")
    settings_tried(some.sampled_from(ODD_YAML), len(ODD_YAML), len(ODD_YAML), check, "odd studies")


def test_a_patch_of_any_lines_is_read_or_told(settings_tried, toy_model, tmp_path):
    ids = some.sampled_from(["train-1", "train-2", "nothing", "new", "", " ", 3, None, "x" * 400])
    edit = some.fixed_dictionaries(
        {},
        optional={
            "edit": some.sampled_from(["add", "relabel", "remove", "Remove", "", None, 3]),
            "id": ids,
            "label": some.one_of(some.sampled_from(["metal", "fruit", "new class", " metal ", "", None, 1]), ODD_TEXTS),
            "text": some.one_of(some.sampled_from(["iron", "", None, ["a"]]), ODD_TEXTS),
            "text_pair": some.one_of(some.none(), ODD_TEXTS),
            "op": some.none(),
        },
    )

    def check(edits):
        path = tmp_path / "patch.jsonl"
        path.write_text("".join(json.dumps(each) + "\n" for each in edits))
        patch = answered(read_patch, path)
        if patch is not None:
            answered(check_patch, toy_model, patch)
        assert answered(as_patch, edits) == patch

    settings_tried(some.lists(edit, max_size=4), 25, 300, check, "odd patches")


def test_an_estimator_takes_no_string_or_set_for_a_list_of_texts(settings_tried, toy_model):
    estimator = DistilledClassifier()
    estimator.model_, estimator.classes_ = toy_model, toy_model.classes_

    def check(value):
        said = answered(estimator.predict_proba, value)
        if said is not None:
            assert isinstance(value, list | tuple | np.ndarray | pd.Series | pd.DataFrame | range)
            assert len(said) == len(value)
            assert np.isfinite(said).all()

    settings_tried(some.one_of(ODD_VALUES, ODD_TEXTS, some.lists(ODD_TEXTS, max_size=3)), 20, 200, check)
    with pytest.raises(NotFittedError):
        DistilledClassifier().predict(["a"])
