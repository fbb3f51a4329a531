"""A model with a condensed memory: its bytes, what it keeps, and that it is a model as any other."""

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from memories import memory_of, random_memory, unit

from reaugkd.analysis.condensed import (
    ALL,
    ALONE,
    METHODS,
    _as_good_with_most_entries,
    class_quotas,
    condense,
    condense_memory,
    key_space,
)
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.refit import refit_pool, with_encoder_key
from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import at_temperature, fit_temperature
from reaugkd.measures.metrics import log_loss
from reaugkd.method import choice
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.memory import STANDS_FOR
from reaugkd.method.pool import KeySettings, Pool
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


def test_where_all_entries_and_texts_fit_they_stay_with_the_pool_of_the_model(unsure_model):
    own = Pool({name: KeySettings(64, 0.3, weight=0.2) for name in unsure_model.memory.keys}, 0.7, 1.1)
    model = replace(unsure_model, pool=own)
    small = condense(model, 0.8, method="coverage").model
    assert small.memory.rows["id"].tolist() == model.memory.rows["id"].tolist()
    assert small.pool == own
    assert memory_bytes(small.memory, small.keys) < 0.8 * memory_bytes(model.memory, model.keys)
    np.testing.assert_allclose(small.predict_proba(TEXTS), model.predict_proba(TEXTS), atol=1e-2)


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
    student, labels = encoded.student_probabilities, encoded.labels(unsure_model.memory.classes)
    alone = at_temperature(student, fit_temperature(student, labels))
    assert curve["log_loss"][0] == pytest.approx(log_loss(labels, alone))
    assert curve["score"][0] == pytest.approx((alone.argmax(axis=1) == labels).mean())
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
        least = 1 if method == "used" else 2  # it leaves out what no answer uses
        assert (memory.rows["label"] == "gadget").sum() >= least
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


def asked(memory, rows=40, weights=(0.25, 0.75), k=4, seed=1):
    """Answers of a memory to random texts, by a pool of its keys."""
    random = np.random.default_rng(seed)
    queries = {name: random.normal(size=(rows, key.shape[1])).astype(np.float32) for name, key in memory.keys.items()}
    said = random.dirichlet(np.ones(len(memory.classes)), size=rows).astype(np.float32)
    keys = {name: KeySettings(k, 0.1, weight) for name, weight in zip(memory.keys, weights, strict=False)}
    return answer(EncodedTexts([""] * rows, queries[next(iter(queries))], said, queries), memory, Pool(keys))


def test_a_cosine_of_the_space_is_the_mean_of_the_keys_cosines_by_their_weights():
    memory = random_memory()
    space = key_space(memory, asked(memory))
    wanted = (
        0.25 * memory.keys["aligned"] @ memory.keys["aligned"].T + 0.75 * memory.keys["text"] @ memory.keys["text"].T
    )
    np.testing.assert_allclose(space @ space.T, wanted, atol=1e-5)
    assert key_space(memory, asked(memory, weights=(0.0, 1.0))).shape == (200, 9)


def test_classes_get_entries_by_their_size_and_each_at_least_one_and_two_where_the_memory_alone_knows_it():
    labels = np.repeat([0, 1, 2, 3], [60, 30, 2, 1])
    assert class_quotas(labels, 9, known=2) == {0: 6, 1: 3, 2: 2, 3: 1}
    assert class_quotas(labels, 9, known=4) == {0: 6, 1: 3, 2: 1, 3: 1}
    assert class_quotas(labels, 1_000, known=4) == {0: 60, 1: 30, 2: 2, 3: 1}


def test_one_prototype_a_class_is_the_mean_of_keys_z_and_soft_labels_with_the_text_nearest_to_it():
    memory = random_memory()
    answers = asked(memory)
    small = condense_memory(memory, 3, "prototypes", answers, 3)
    assert len(small) == 3
    assert small.rows[STANDS_FOR].sum() == 200
    space = key_space(memory, answers)
    for place, label in enumerate(small.labels):
        rows = np.flatnonzero(memory.labels == label)
        assert small.rows[STANDS_FOR][place] == len(rows)
        np.testing.assert_allclose(small.soft_labels[place], memory.soft_labels[rows].mean(axis=0), atol=1e-6)
        for name, key in memory.keys.items():
            np.testing.assert_allclose(small.keys[name][place], unit(key[rows].mean(axis=0)), atol=1e-5)
        z = unit(memory.teacher_embeddings[rows].mean(axis=0))
        np.testing.assert_allclose(small.teacher_embeddings[place], z, atol=1e-5)
        nearest = rows[np.argmax(space[rows] @ space[rows].mean(axis=0))]
        assert small.rows["id"][place] == memory.rows["id"][nearest]


def test_prototypes_find_the_groups_of_a_class_and_show_one_text_of_each():
    random = np.random.default_rng(0)
    groups = np.repeat(np.eye(4), 20, axis=0)
    memory = memory_of(groups + 0.05 * random.normal(size=(80, 4)), np.repeat(np.eye(2), 40, axis=0))
    small = condense_memory(memory, 4, "prototypes", asked(memory, weights=(1.0,)), 2)
    found = [int(name.removeprefix("train-")) // 20 for name in small.rows["id"]]
    assert found == [0, 1, 2, 3]
    assert small.rows[STANDS_FOR].tolist() == [20, 20, 20, 20]
    np.testing.assert_allclose(small.keys["aligned"], np.eye(4), atol=0.05)


def test_coverage_is_greedy_and_within_the_bound_of_the_best_choice():
    random = np.random.default_rng(3)
    memory = memory_of(random.normal(size=(14, 3)), np.ones((14, 1)))
    answers = asked(memory, weights=(1.0,))
    small = condense_memory(memory, 3, "coverage", answers, 1)
    space = key_space(memory, answers).astype(np.float64)

    def covered(rows):
        return np.maximum(space @ space[list(rows)].T, -1).max(axis=1).sum()

    greedy = []
    for _ in range(3):
        greedy.append(max(set(range(14)) - set(greedy), key=lambda row: covered([*greedy, row])))
    kept = [int(name.removeprefix("train-")) for name in small.rows["id"]]
    assert kept == sorted(greedy)
    best = max(covered(rows) for rows in combinations(range(14), 3))
    assert covered(kept) + 14 >= (1 - 1 / np.e) * (best + 14)  # counted from -1, where nothing is covered
    nearest = (space @ space[kept].T).argmax(axis=1)
    assert small.rows[STANDS_FOR].tolist() == np.bincount(nearest, minlength=3).tolist()


def test_pruning_what_no_answer_uses_changes_no_answer():
    memory = random_memory()
    answers = asked(memory, rows=30)
    small = condense_memory(memory, 200, "used", answers, 3)
    used = {number for found in answers.retrieved.values() for number in found.numbers.ravel().tolist()}
    assert small.rows["id"].tolist() == [f"train-{number}" for number in sorted(used)]
    assert len(small) < 150
    after = answer(answers.encoded, small, answers.pool)
    np.testing.assert_allclose(after.pooled.probabilities, answers.pooled.probabilities, atol=1e-12)
    gold = np.arange(30) % 3
    assert log_loss(gold, after.pooled.probabilities) == pytest.approx(log_loss(gold, answers.pooled.probabilities))


def test_of_the_used_those_that_weigh_most_stay():
    memory = random_memory(classes=1)
    answers = asked(memory)
    weight = np.zeros(200)
    for name, share in (("aligned", 0.25), ("text", 0.75)):
        for numbers, weights in zip(answers.retrieved[name].numbers, answers.retrieved[name].weights, strict=True):
            weight[numbers] += share * weights
    small = condense_memory(memory, 5, "used", answers, 1)
    assert small.rows["id"].tolist() == [f"train-{number}" for number in np.sort(np.argsort(-weight)[:5])]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_an_entry_of_each_class_counts_all_memories_and_gives_the_same_again(method):
    memory = random_memory(classes=5)
    answers = asked(memory)
    small, again = (condense_memory(memory, 20, method, answers, 5) for _ in range(2))
    assert set(small.labels) == set(memory.labels)
    assert len(small) <= 24
    assert small.rows[STANDS_FOR].sum() == 200
    np.testing.assert_array_equal(small.keys["text"], again.keys["text"])
    pd_ids = memory.rows["id"].tolist()
    assert [pd_ids.index(name) for name in small.rows["id"]] == sorted(pd_ids.index(name) for name in small.rows["id"])


def test_a_class_that_no_answer_uses_keeps_its_middle():
    far = np.concatenate([np.eye(3)[[0] * 10], -np.eye(3)[[0, 0, 0]]])
    memory = memory_of(far, np.eye(2)[[0] * 10 + [1] * 3])
    answers = asked(memory, weights=(1.0,), k=1)
    queries = {"aligned": np.tile(np.eye(3, dtype=np.float32)[:1], (40, 1))}
    encoded = EncodedTexts([""] * 40, queries["aligned"], answers.encoded.student_probabilities, queries)
    small = condense_memory(memory, 13, "used", answer(encoded, memory, answers.pool), 2)
    assert small.rows["label"].tolist().count("b") == 2
