"""What edits change: on the half of the rows by which they are chosen, on the other half, and on pinned texts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reaugkd.analysis.edit_effects import broken_pins, halves, with_told_effect
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import have_siblings


@pytest.fixture(scope="module")
def encoded(pooled_model):
    return pooled_model.encode_rows(pooled_model.held_out(["test"]))


@pytest.fixture(scope="module")
def memory_alone(toy_model):
    """The toy model that answers by one memory alone."""
    pool = Pool({"aligned": KeySettings(1), "text": KeySettings(1, 0.05, 1.0)}, retrieval_weight=1.0)
    return replace(toy_model, pool=pool)


def test_the_halves_are_fixed_cover_all_rows_once_and_are_alike_in_classes(pooled_model, encoded):
    first, second = halves(encoded)
    numbers = [half.rows.index.tolist() for half in (first, second)]
    assert sorted(numbers[0] + numbers[1]) == list(range(len(encoded)))
    assert [half.rows.index.tolist() for half in halves(encoded)] == numbers
    edited = apply_patch(pooled_model, (Edit("add", "mine", "gadget", "the gadget hums"),))
    again = halves(edited.encode_rows(edited.held_out(["test"])))
    assert [half.rows.index.tolist() for half in again] == numbers
    counts = [half.rows["label"].value_counts() for half in (first, second)]
    assert (counts[0] - counts[1]).abs().max() <= 1
    assert first.texts == [encoded.texts[number] for number in numbers[0]]


def test_siblings_stand_in_the_same_half(pooled_model, encoded):
    rows = pd.concat([encoded.rows, encoded.rows.assign(text=encoded.rows["text"] + " now")], ignore_index=True)
    first, second = halves(pooled_model.encode_rows(rows))
    assert len(first) + len(second) == len(rows)
    assert not have_siblings(first.texts, second.texts).any()


def test_what_the_other_half_tells_is_counted_by_hand_and_is_saved_with_the_model(pooled_model, encoded, tmp_path):
    rows = pooled_model.memory.rows
    other = dict(zip(pooled_model.classes_, np.roll(pooled_model.classes_, 1), strict=True))
    patch = tuple(Edit("relabel", row.id, other[row.label]) for row in rows.itertuples())
    edited, half = apply_patch(pooled_model, patch), halves(encoded)[1]
    told = with_told_effect(pooled_model, edited, half)
    gold = half.rows["label"].to_numpy()
    right = [
        model.classes_[model.answer(half).pooled.probabilities.argmax(axis=1)] == gold
        for model in (pooled_model, edited)
    ]
    found = told.metrics["edits"]["told"]
    assert (found["rows"], found["before"], found["after"]) == (len(half), right[0].mean(), right[1].mean())
    assert (found["fixed"], found["broken"]) == ((right[1] & ~right[0]).sum(), (right[0] & ~right[1]).sum())
    assert found["broken"] > 0
    mean, low, high = found["difference"]
    assert mean == pytest.approx(right[1].mean() - right[0].mean())
    assert low <= mean <= high
    assert f"{found['fixed']} answers are fixed and {found['broken']} broken" in told.card
    told.save_pretrained(tmp_path / "told")
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "told")
    assert loaded.metrics["edits"] == {"added": 0, "relabelled": len(rows), "removed": 0, "told": found}
    again = apply_patch(loaded, (Edit("remove", rows["id"][0]),))  # what was told was of another memory
    assert "told" not in again.metrics["edits"]
    assert "by which no edit was chosen" not in again.card


def test_an_edit_that_breaks_a_pinned_text_is_found_and_pins_are_saved_with_the_model(memory_alone, tmp_path):
    nearest = memory_alone.explain("some iron and zinc").keys[1].neighbours[0]
    pinned = pd.DataFrame({"text": ["some iron and zinc", "a ripe plum"], "label": ["metal", "fruit"]})
    model = replace(memory_alone, pinned=pinned)
    assert model.predict(pinned["text"]).tolist() == ["metal", "fruit"]
    edited = apply_patch(model, (Edit("relabel", nearest.id, "weather"),))
    found = broken_pins(model, edited)
    assert found[["text", "label", "before", "after"]].to_numpy().tolist() == [
        ["some iron and zinc", "metal", "metal", "weather"]
    ]
    assert broken_pins(edited, edited).empty  # it was broken before
    assert broken_pins(model, edited, pinned.iloc[1:]).empty
    assert broken_pins(memory_alone, edited).empty
    model.save_pretrained(tmp_path / "pinned")
    pd.testing.assert_frame_equal(ReAugKDClassifier.from_pretrained(tmp_path / "pinned").pinned, pinned)


def test_a_pinned_text_may_have_a_label_that_only_the_edit_adds(memory_alone):
    pinned = pd.DataFrame({"text": ["the gadget hums"], "label": ["gadget"]})
    added = apply_patch(memory_alone, (Edit("add", "mine", "gadget", "the gadget hums"),))
    assert broken_pins(memory_alone, added, pinned).empty
    removed = apply_patch(added, (Edit("remove", "mine"),))
    assert broken_pins(added, removed, pinned)["before"].tolist() == ["gadget"]
