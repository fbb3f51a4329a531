"""A model with a condensed memory: its bytes, what it keeps, and that it is a model as any other."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reaugkd.analysis.condensed import ALL, ALONE, _as_good_with_most_entries, condense
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.refit import refit_pool, with_encoder_key
from reaugkd.errors import ReAugKDError
from reaugkd.measures.metrics import log_loss
from reaugkd.method import choice
from reaugkd.method.condensation import METHODS, STANDS_FOR, condense_memory
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.folder import KEYS_FOLDER, MEMORY_FILE, memory_bytes

TEXTS = ["an apple and a plum", "old iron", "rain today", "the copper fog"]


@pytest.fixture(scope="module")
def unsure_model(puzzled_model, toy_model):
    """A student that is not sure of itself, a memory with wrong labels, and validation rows with the right ones."""
    return replace(puzzled_model, evaluation_rows=toy_model.evaluation_rows)


@pytest.fixture(scope="module", autouse=True)
def _enough_rows():
    """The 24 validation rows of the toy task are enough to choose on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "FEWEST_VALIDATION", 24)
        yield


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def condensed(unsure_model, said):
    return condense(unsure_model, 0.4, say=said.append)


def on_disk(folder):
    files = [folder / MEMORY_FILE, *(folder / KEYS_FOLDER).iterdir()]
    return sum(path.stat().st_size for path in files)


def test_all_bytes_of_memory_and_keys_on_disk_count_and_stay_below_what_is_asked_for(unsure_model, condensed, tmp_path):
    condensed.model.save_pretrained(tmp_path / "small")
    unsure_model.save_pretrained(tmp_path / "whole")
    whole, small = (on_disk(tmp_path / name) for name in ("whole", "small"))
    chosen = condensed.curve[condensed.curve["is_chosen"]]
    assert len(chosen) == 1
    assert chosen["bytes"].item() == pytest.approx(small, rel=0.01)
    assert small <= 0.4 * whole
    assert condensed.curve["bytes"][1] == whole == memory_bytes(unsure_model.memory, unsure_model.keys)
    assert condensed.model.metrics["condensed"]["whole_bytes"] == whole
    by_bytes = condense(unsure_model, most_bytes=int(0.4 * whole), method=chosen["method"].item())
    assert by_bytes.curve["bytes"][by_bytes.curve["is_chosen"]].item() <= 0.4 * whole


def test_of_the_ways_as_good_as_the_best_within_a_standard_error_the_one_with_the_most_entries_is_chosen():
    random, labels = np.random.default_rng(0), np.zeros(100, dtype=np.int64)
    best = random.uniform(0.5, 0.7, 100)

    def way(entries, of_gold):
        unseen = np.column_stack([of_gold, 1 - of_gold])
        row = {"entries": entries, "log_loss": log_loss(labels, unseen)}
        return SimpleNamespace(row=row, choice=SimpleNamespace(unseen=unseen))

    noisy = best * np.exp(np.tile([0.05, -0.052], 50))  # a loss of 0.001, with a standard error of 0.005
    ways = [way(10, best), way(20, noisy), way(15, noisy), way(99, 0.9 * best)]
    assert ways[0].row["log_loss"] < ways[1].row["log_loss"]
    assert _as_good_with_most_entries(ways, labels) is ways[1]
    assert _as_good_with_most_entries([ways[0], ways[3]], labels) is ways[0]


def test_the_curve_has_every_way_with_its_bytes_its_log_loss_and_what_it_keeps(unsure_model, condensed, said):
    curve = condensed.curve
    assert curve["method"][:2].tolist() == [ALONE, ALL]
    assert set(curve["method"][2:]) <= {"prototypes", "coverage", "used"}
    assert set(curve["method"][2:]) >= {"prototypes", "coverage"}
    gain = curve["log_loss"][0] - curve["log_loss"][1]
    np.testing.assert_allclose(curve["gain_kept"], (curve["log_loss"][0] - curve["log_loss"]) / gain)
    assert gain > 0
    held = unsure_model.held_out(["validation"])
    encoded = unsure_model.encode_rows(held)
    alone = unsure_model.answer(encoded, condensed.model.pool).at(0.0).pooled.student
    assert curve["log_loss"][0] == pytest.approx(log_loss(encoded.labels(unsure_model.memory.classes), alone))
    assert curve["score"][0] == pytest.approx(
        (alone.argmax(axis=1) == encoded.labels(unsure_model.memory.classes)).mean()
    )
    assert len(said) >= len(curve) - 2
    assert "log loss" in said[0]


def test_no_test_row_is_read(unsure_model, condensed):
    rows = unsure_model.evaluation_rows
    is_test = rows["split"] == "test"
    turned = rows.assign(label=rows["label"].where(~is_test, rows["label"].map({"fruit": "metal"}).fillna("fruit")))
    chosen = condensed.curve[condensed.curve["is_chosen"]]
    other = condense(replace(unsure_model, evaluation_rows=turned), 0.4, method=chosen["method"].item())
    pd.testing.assert_frame_equal(
        other.curve[other.curve["is_chosen"]].reset_index(drop=True), chosen.reset_index(drop=True)
    )
    assert other.model.pool == condensed.model.pool


def test_a_condensed_model_comes_back_from_its_folder_and_answers_as_before(condensed, tmp_path):
    condensed.model.save_pretrained(tmp_path / "small")
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "small")
    np.testing.assert_allclose(loaded.predict_proba(TEXTS), condensed.model.predict_proba(TEXTS), atol=2e-3)
    assert loaded.memory.rows[STANDS_FOR].tolist() == condensed.model.memory.rows[STANDS_FOR].tolist()
    assert "## Condensed after training" in loaded.card
    assert loaded.explain(TEXTS[0]).label == condensed.model.explain(TEXTS[0]).label
    encoded = loaded.encode(TEXTS)
    for name in loaded.keys:
        similarities, numbers = loaded.memory.search(name, encoded.queries[name], 3)
        wanted = encoded.queries[name] @ loaded.memory.keys[name].T
        np.testing.assert_allclose(similarities, -np.sort(-wanted, axis=1)[:, :3], atol=1e-5)
        assert numbers.max() < len(loaded.memory)
    z, before = loaded.memory.teacher_embeddings, condensed.model.memory.teacher_embeddings
    assert (z * before).sum(axis=1).min() > 0.9  # the aligned key gives nearly all of z back
    assert len(loaded.maps.points) == len(loaded.memory)


def test_a_condensed_memory_is_edited_and_its_pool_fitted_again(condensed, tmp_path):
    small = condensed.model
    first = small.memory.rows["id"][0]
    patch = (
        Edit("add", "mine", "gadget", "the shiny gadget hums"),
        Edit("add", "other", "gadget", "a new gadget hums"),
        Edit("remove", first),
    )
    edited = apply_patch(small, patch)
    assert first not in set(edited.memory.rows["id"])
    assert edited.predict(["the shiny gadget hums"])[0] == "gadget"
    assert "## Condensed after training" in edited.card
    refitted = refit_pool(edited)
    assert refitted.keys is edited.keys
    assert sum(key.weight for key in refitted.pool.keys.values()) > 0
    edited.save_pretrained(tmp_path / "edited")
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "edited")
    assert loaded.predict(["the shiny gadget hums"])[0] == "gadget"
    assert loaded.memory.rows["edited"].tolist()[-2:] == ["added", "added"]


def test_a_class_that_the_memory_alone_knows_is_still_named(gadget_model):
    answers = gadget_model.answer(gadget_model.encode_rows(gadget_model.held_out(["validation"])))
    for method in METHODS:
        memory = condense_memory(gadget_model.memory, 4, method, answers, 3)
        assert (memory.rows["label"] == "gadget").sum() >= 2
        small = replace(gadget_model, memory=memory)
        assert small.predict(["the shiny gadget hums"])[0] == "gadget"
    small = condense(gadget_model, 0.5, method="prototypes").model
    assert small.predict(["the shiny gadget hums"])[0] == "gadget"


def test_the_effect_is_told_on_the_test_rows_with_its_interval(unsure_model, condensed):
    compared = condensed.compared(unsure_model)
    rows = unsure_model.held_out(["test"])
    for score, model in zip(compared.scores, (condensed.model, unsure_model), strict=True):
        assert score == pytest.approx((model.predict(rows["text"].tolist()) == rows["label"]).mean())
    words = condensed.in_words(unsure_model)
    assert f"from {100 * compared.scores[1]:.1f} to {100 * compared.scores[0]:.1f} %" in words
    assert f"{100 * compared.difference.low:+.1f} to {100 * compared.difference.high:+.1f} points" in words


def test_what_cannot_be_condensed_is_said_in_one_sentence(unsure_model, condensed, toy_encoder_folder, monkeypatch):
    for keep in (0, 1, -0.5):
        with pytest.raises(ReAugKDError, match=r"keep is .*; it must be above 0 and below 1"):
            condense(unsure_model, keep)
    with pytest.raises(ReAugKDError, match="no method 'magic' to condense by; choose one of prototypes, coverage"):
        condense(unsure_model, method="magic")
    with pytest.raises(ReAugKDError, match="is condensed already; condense the model that it was made of"):
        condense(condensed.model)
    with pytest.raises(ReAugKDError, match="too few texts to fit a key to"):
        with_encoder_key(condensed.model, str(toy_encoder_folder))
    with pytest.raises(ReAugKDError, match="cannot be made so small"):
        condense(unsure_model, most_bytes=500)
    with pytest.raises(ReAugKDError, match=r"The memory takes [\d,]+ bytes; ask for fewer"):
        condense(unsure_model, most_bytes=10**9)
    with pytest.raises(ReAugKDError, match="carries no evaluation rows"):
        condense(replace(unsure_model, evaluation_rows=None))
    monkeypatch.setattr(choice, "FEWEST_VALIDATION", 50)
    with pytest.raises(ReAugKDError, match="has 24 validation rows, too few to tell"):
        condense(unsure_model)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"model": None}, "The model is nothing; it must be one that from_pretrained gives"),
        ({"keep": "much"}, "keep is 'much'; it must be a number"),
        ({"keep": float("nan")}, "keep is nan; it must be a number"),
        ({"most_bytes": 0}, "most_bytes is 0; it must be at least 1"),
        ({"most_bytes": 2.5}, "most_bytes is 2.5; it must be a whole number"),
        ({"method": ["random"]}, r"method is \['random'\]; it must be text"),
    ],
)
def test_a_budget_of_a_wrong_kind_is_told(toy_model, named, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        condense(**{"model": toy_model, **named})
