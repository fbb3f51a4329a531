"""Answers to many rows at once are those to each alone, and the table says what retrieval did."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.evaluation_set import (
    EvaluationSet,
    changed_by_edits,
    changed_rows,
    effect_counts,
    effects,
    explain_row,
    held_out,
)
from reaugkd.inference import ReAugKDClassifier
from reaugkd.patch import Edit, apply_patch
from reaugkd.retrieval import RetrievalSettings


@pytest.fixture(scope="module")
def asked(toy_model):
    return EvaluationSet.of(toy_model, held_out(toy_model, ["test"]))


@pytest.mark.parametrize("settings", [RetrievalSettings(5, 0.4, 0.05), RetrievalSettings(3, 1.0, 0.2)])
def test_answers_are_those_of_the_model_for_each_text_alone(toy_model, asked, settings):
    found = asked.answered(toy_model.memory, settings)
    overrides = {"k": settings.k, "retrieval_weight": settings.retrieval_weight, "temperature": settings.temperature}
    for row, text in enumerate(asked.rows["text"][:10]):
        wanted = toy_model.predict_proba([text], **overrides)[0]
        np.testing.assert_allclose(found.combined.probabilities[row], wanted, atol=1e-5)


def test_a_row_is_explained_as_its_text_is(toy_model, asked):
    found = explain_row(toy_model, asked, 3, toy_model.retrieval)
    wanted = toy_model.explain(asked.rows["text"][3])
    assert found.label == wanted.label
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-5)


def test_the_table_names_classes_by_who_says_so(toy_model, asked):
    found = asked.answered(toy_model.memory, RetrievalSettings(5, 0.4, 0.05))
    table = found.table()
    assert list(table.columns[:9]) == [
        "id",
        "split",
        "text",
        "label",
        "teacher",
        "student",
        "retrieved",
        "answer",
        "probability",
    ]
    for voice, probabilities in found.probabilities.items():
        assert table[voice].tolist() == toy_model.classes_[probabilities.argmax(axis=1)].tolist()
    assert "topic" in table.columns
    assert len(table) == len(asked) == len(toy_model.parts.evaluation_rows.query("split == 'test'"))


def test_the_table_says_what_answers_are_instead_of_others(toy_model, asked):
    first, second = (asked.answered(toy_model.memory, RetrievalSettings(k, 1.0, 0.05)) for k in (1, 16))
    table, before = second.table(first), first.table()["answer"]
    for row, old in zip(table.to_dict("records"), before, strict=True):
        right = (old == row["label"], row["answer"] == row["label"])
        wanted = {(False, True): "fixed", (True, False): "broken"}.get(
            right, "none" if old == row["answer"] else "changed"
        )
        assert row["flip"] == wanted
    assert "flip" not in second.table()


def test_a_part_answers_its_rows_as_the_whole_does_under_the_same_numbers(toy_model, asked):
    rows = [7, 0, 12]
    whole, part = (some.answered(toy_model.memory, toy_model.retrieval).table() for some in (asked, asked.part(rows)))
    pd.testing.assert_frame_equal(part, whole.loc[rows])


def test_an_effect_is_fixed_broken_changed_or_none():
    gold, before, after = np.asarray([0, 0, 0, 0, 0]), np.asarray([1, 0, 1, 0, 2]), np.asarray([0, 1, 2, 0, 2])
    assert effects(gold, before, after).tolist() == ["fixed", "broken", "changed", "none", "none"]


def test_rows_of_a_class_that_the_memory_alone_knows_can_be_evaluated(toy_model):
    edited = apply_patch(toy_model, (Edit("add", "mine", "gadget", "the shiny new gadget hums"),))
    rows = pd.DataFrame({"text": ["the shiny new gadget hums"], "label": ["gadget"]})
    asked = EvaluationSet.of(edited, rows)
    table = asked.answered(edited.memory, RetrievalSettings(1, 1.0, 0.1)).table()
    assert table.loc[0, ["answer", "effect"]].tolist() == ["gadget", "fixed"]
    kept = EvaluationSet.of(edited, held_out(edited, ["test"]))
    assert kept.teacher_probabilities.shape[1] == 4


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ({"text": [], "label": []}, "There are no rows"),
        ({"text": ["a"], "label": ["nonsense"]}, "no class 'nonsense'"),
    ],
)
def test_rows_that_cannot_be_evaluated_are_named(toy_model, rows, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        EvaluationSet.of(toy_model, pd.DataFrame(rows))


@pytest.mark.parametrize("labels", [[1, 0], [1.0, 0.0], ["1 ", " 0"]])
def test_labels_of_any_kind_are_the_classes_whose_names_they_are(toy_model, labels):
    settings = replace(toy_model.parts.settings, label_names=("0", "1", "2"))
    numbered = ReAugKDClassifier(replace(toy_model.parts, settings=settings))
    asked = EvaluationSet.of(numbered, pd.DataFrame({"text": ["apple", "iron"], "label": labels}))
    assert asked.labels.tolist() == [1, 0]


def test_changed_rows_are_those_that_both_models_answer_differently(toy_model):
    rows = held_out(toy_model, ["test"])
    first, second = toy_model.classes_[:2]
    memory = toy_model.parts.knowledge_base.rows
    patch = tuple(Edit("relabel", name, second) for name in memory.loc[memory["label"] == first, "id"])
    edited = apply_patch(toy_model, patch)
    by_memory = RetrievalSettings(4, 1.0, 0.1)
    models = [ReAugKDClassifier(replace(model.parts, retrieval=by_memory)) for model in (toy_model, edited)]
    before, after = (model.predict(rows["text"].tolist()) for model in models)
    found = changed_rows(*models, rows)
    assert found["id"].tolist() == rows["id"][before != after].tolist()
    assert found["effect"].tolist() == np.where(after == rows["label"], "fixed", "broken")[before != after].tolist()
    assert len(found)


class NoStudent:
    """Stands where no network may run."""

    def encode(self, texts):
        raise AssertionError(f"{len(texts)} texts were encoded")


@pytest.mark.parametrize("label", ["gadget", "weather"])
def test_what_edits_change_is_what_both_models_answer_differently_and_no_row_is_encoded_again(toy_model, asked, label):
    texts = asked.rows["text"].head(5)
    patch = tuple(Edit("add", f"mine-{number}", label, text) for number, text in enumerate(texts))
    by_memory = RetrievalSettings(2, 0.9, 0.05)
    before, after = (
        ReAugKDClassifier(replace(model.parts, retrieval=by_memory))
        for model in (toy_model, apply_patch(toy_model, patch))
    )
    wanted = changed_rows(before, after, held_out(toy_model, ["test"]))
    assert len(wanted)
    silent = [ReAugKDClassifier(replace(model.parts, student=NoStudent())) for model in (before, after)]
    pd.testing.assert_frame_equal(changed_by_edits(asked, *silent), wanted)


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        ([], {"fixed": 0, "broken": 0, "changed": 0}),
        (["broken", "fixed", "broken"], {"fixed": 1, "broken": 2, "changed": 0}),
    ],
)
def test_effects_of_a_change_are_counted_and_those_that_it_has_not_are_none(found, counts):
    assert effect_counts(pd.DataFrame({"effect": pd.Series(found, dtype=str)})) == counts
