"""What is said of each memory, against loops and planted faults."""

from dataclasses import replace
from math import erf, sqrt

import numpy as np
import pandas as pd
import pytest
from memories import memory_of, unit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from reaugkd.analysis import memory_audit
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.error_analysis import RowFilter
from reaugkd.analysis.examples import known_rows
from reaugkd.analysis.memory_audit import (
    label_doubts,
    leaks,
    memories,
    memory_table,
    memory_use,
    near_duplicates,
    shown_memories,
)
from reaugkd.analysis.memory_questions import HARMFUL, LEAKS, REASONS, SHOWS, SORTED_BY, UNJUDGED, WRONG
from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import answer
from reaugkd.method.memory import LABELLED_BY, Memory
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import folds_apart

POOL = Pool({"aligned": KeySettings(6, 0.1, 0.5), "text": KeySettings(4, 0.2, 0.25)}, 0.75)


@pytest.fixture(scope="module")
def encoded(toy_model):
    return toy_model.encode_rows(toy_model.held_out(["test"]))


@pytest.fixture(scope="module")
def spoilt(toy_model) -> ReAugKDClassifier:
    """A third of one class's memories say another class."""
    rows = toy_model.memory.rows
    first, second = toy_model.classes_[:2]
    wrong = rows.loc[rows["label"] == first, "id"].tolist()[::3]
    return apply_patch(toy_model, tuple(Edit("relabel", name, second) for name in wrong))


@pytest.mark.parametrize("weight", [None, 0.0, 0.9])
def test_use_is_what_a_loop_over_rows_and_neighbours_counts(spoilt, encoded, weight):
    answers = spoilt.answer(encoded, replace(POOL, retrieval_weight=weight))
    found, count = memory_use(answers), len(spoilt.memory)
    retrieved, fixes, breaks = (np.zeros(count, dtype=int) for _ in range(3))
    weights = np.zeros(count)
    # Of all weights, 1.5, the keys have 0.5 and 0.25; with λ = 0.9 they have two thirds and one third of it.
    shares = {None: (0.5 / 1.5, 0.25 / 1.5), 0.0: (0, 0), 0.9: (0.6, 0.3)}[weight]
    for row, gold in enumerate(answers.labels):
        before = encoded.student_probabilities[row].argmax() == gold
        after = answers.pooled.probabilities[row].argmax() == gold
        seen = set()
        for share, by_key in zip(shares, answers.retrieved.values(), strict=True):
            for number, own in zip(by_key.numbers[row], by_key.weights[row], strict=True):
                weights[number] += share * own
                seen.add(number)
        for number in seen:
            votes_right = spoilt.memory.soft_labels[number].argmax() == gold
            retrieved[number] += 1
            fixes[number] += after and not before and votes_right
            breaks[number] += before and not after and not votes_right
    np.testing.assert_allclose(found["weight"], weights, atol=1e-9)
    for name, wanted in (("retrieved", retrieved), ("fixes", fixes), ("breaks", breaks)):
        assert found[name].tolist() == wanted.tolist()


def test_a_key_without_a_weight_retrieves_nothing_that_counts(spoilt, encoded):
    keys = {"aligned": KeySettings(6, 0.1), "text": KeySettings(4, 0.2, 0.3)}
    answers = spoilt.answer(encoded, Pool(keys))
    by_text = np.bincount(answers.retrieved["text"].numbers.ravel(), minlength=len(spoilt.memory))
    assert memory_use(answers)["retrieved"].tolist() == by_text.tolist()


def among_known(student, by_key, weights, kind):
    """The pool's answer, by its definition: by_key holds each key's (weight, soft label over the known classes)s."""
    logs, linear = weights[0] * np.log(student), weights[0] * student
    for found, weight in zip(by_key, weights[1:], strict=True):
        said = sum((own * soft_label for own, soft_label in found), np.zeros(3))
        said = said / said.sum() if said.sum() > 0 else np.full(3, 1 / 3)
        logs = logs + weight * np.log(0.98 * said + 0.02 / 3)
        linear = linear + weight * said
    return linear if kind == "linear" else np.exp(logs) / np.exp(logs).sum()


def gains_by_hand(answers, weights):
    """Leave each neighbour of each key out in turn, and answer anew."""
    memory, gains = answers.memory, np.zeros(len(answers.memory))
    for row, gold in enumerate(answers.labels):
        if gold >= 3:
            continue
        keys = [
            [(own, memory.soft_labels[number][:3].astype(float)) for own, number in zip(*both, strict=True)]
            for both in ((found.weights[row], found.numbers[row]) for found in answers.retrieved.values())
        ]
        student = answers.pooled.student[row]
        whole = among_known(student, keys, weights, answers.pool.kind)
        for key, (found, by_key) in enumerate(zip(keys, answers.retrieved.values(), strict=True)):
            for place, number in enumerate(by_key.numbers[row]):
                others = [*keys[:key], [*found[:place], *found[place + 1 :]], *keys[key + 1 :]]
                without = among_known(student, others, weights, answers.pool.kind)
                gains[number] += np.log(whole[gold] / without[gold])
    return gains


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(
    ("kind", "weight", "weights"),
    [
        ("logarithmic", None, (0.75, 0.5, 0.25)),
        ("logarithmic", 0.5, (0.75, 0.5, 0.25)),
        ("logarithmic", 0.0, (1.5, 0, 0)),
        ("linear", 0.6, (0.4, 0.4, 0.2)),
    ],
)
def test_the_gain_is_what_the_gold_class_would_lose_without_the_memory(spoilt, gadget_model, k, kind, weight, weights):
    for model in (spoilt, gadget_model):
        held = model.held_out(["test"])
        extra = held.head(2).assign(text=["the shiny gadget hums", "a gadget"], label=model.classes_[-1])
        pool = replace(POOL, kind=kind, retrieval_weight=weight).overridden(k=k)
        answers = model.answer(model.encode_rows(pd.concat([held, extra])), pool)
        wanted = gains_by_hand(answers, weights)
        np.testing.assert_allclose(memory_use(answers)["gain"], wanted, rtol=1e-9, atol=1e-12)
        assert wanted.any() == (weight != 0)


def test_a_neighbour_that_has_nearly_all_the_weight_leaves_what_the_others_say(spoilt, encoded):
    answers = spoilt.answer(encoded, POOL.overridden(temperature=0.0002))
    assert max(found.weights.max() for found in answers.retrieved.values()) > 1 - 1e-9
    wanted = gains_by_hand(answers, (0.75, 0.5, 0.25))
    np.testing.assert_allclose(memory_use(answers)["gain"], wanted, rtol=1e-9, atol=1e-12)


def test_the_gain_is_the_same_in_small_blocks(spoilt, encoded, monkeypatch):
    answers = spoilt.answer(encoded, POOL)
    wanted = memory_use(answers)
    monkeypatch.setattr(memory_audit, "GATHERED", 200)
    pd.testing.assert_frame_equal(memory_use(answers), wanted)


@pytest.mark.parametrize("name", ["weight", "number", "retrieved", "doubt", "suggested", "gain", "by_text"])
def test_a_further_column_of_any_name_changes_nothing_that_is_found_out(toy_model, encoded, name):
    named = replace(toy_model.memory, rows=toy_model.memory.rows.assign(**{name: "mine"}))
    found, wanted = (memory_table(answer(encoded, memory, POOL)) for memory in (named, toy_model.memory))
    pd.testing.assert_frame_equal(found, wanted)


def test_a_row_that_the_teacher_labelled_is_no_suspect_and_the_list_says_who_labelled_it(spoilt, encoded):
    suspects = memories(spoilt, spoilt.answer(encoded, POOL), WRONG)
    worst = suspects["number"].head(3).tolist()
    assert len(suspects) > 3
    rows = spoilt.memory.rows
    rows = rows.assign(labelled_by=np.where(rows.index.isin(worst), "teacher", ""))
    model = replace(spoilt, memory=replace(spoilt.memory, rows=rows))
    answers = model.answer(encoded, POOL)
    found = memories(model, answers, WRONG)
    assert list(found.columns[:4]) == ["number", "text", "label", "labelled_by"]
    assert not set(worst) & set(found["number"])
    every = memories(model, answers, "all").set_index("number")
    assert every["doubt"][worst].tolist() == [0] * 3
    assert set(every["labelled_by"][worst]) == {"teacher"}


def test_does_harm_is_told_by_the_error_of_the_gain_corrected_for_many_memories(spoilt, encoded):
    answers = spoilt.answer(encoded, POOL)
    per_row = np.stack([gains_by_hand(answers_of_row(spoilt, encoded, row), (0.75, 0.5, 0.25)) for row in range(36)])
    found, gain, error = memory_use(answers), per_row.sum(axis=0), np.sqrt((per_row**2).sum(axis=0))
    z = np.divide(gain, error, out=np.zeros_like(gain), where=error > 0)
    below = np.asarray([(1 + erf(one / sqrt(2))) / 2 for one in z])
    order = np.argsort(below)
    corrected, least = np.empty(len(below)), 1.0
    for place in range(len(below), 0, -1):  # Benjamini and Hochberg, from the largest p-value down
        least = min(least, below[order[place - 1]] * len(below) / place)
        corrected[order[place - 1]] = least
    np.testing.assert_allclose(found["p_of_harm"], corrected, rtol=1e-6)
    assert found["lowers"].tolist() == (per_row < -1e-15).sum(axis=0).tolist()
    assert found["raises"].tolist() == (per_row > 1e-15).sum(axis=0).tolist()
    harmful = shown_memories(memory_table(answers), HARMFUL)
    assert set(harmful["number"]) == set(np.flatnonzero(corrected <= 0.1))


def answers_of_row(model, encoded, row):
    """The answer to one row alone."""
    return model.answer(encoded.part([row]), POOL)


def test_no_memory_does_harm_where_all_gains_are_chance(toy_model, encoded):
    memory = toy_model.memory
    random = np.random.default_rng(0)
    guessed = replace(memory, soft_labels=random.dirichlet(np.ones(3), size=len(memory)).astype(np.float32))
    answers = answer(encoded, guessed, POOL)
    assert (memory_use(answers)["gain"] < 0).sum() > 10
    assert len(shown_memories(memory_table(answers), HARMFUL)) < (memory_use(answers)["gain"] < 0).sum() / 2


def test_the_same_text_twice_is_a_near_duplicate_and_a_leak_of_the_test_rows(toy_model, encoded):
    text = encoded.texts[3]
    edited = apply_patch(toy_model, tuple(Edit("add", name, toy_model.classes_[0], text) for name in ("one", "two")))
    last = len(edited.memory) - 1
    found = near_duplicates(edited.memory)
    for number, other in ((last - 1, last), (last, last - 1)):  # either of two can be opened
        assert ((found["number"] == number) & (found["other"] == other) & (found["overlap"] == 1.0)).any()
    assert (found["text"].to_numpy() == edited.memory.rows["text"].to_numpy()[found["number"]]).all()
    assert (found["other_label"].to_numpy() == edited.memory.rows["label"].to_numpy()[found["other"]]).all()
    leaked = leaks(edited.answer(encoded, POOL))
    assert set(leaked.loc[(leaked["number"] == 3) & (leaked["overlap"] == 1.0), "other"]) >= {last - 1, last}
    assert (leaked["text"].to_numpy() == encoded.rows["text"].to_numpy()[leaked["number"]]).all()
    assert not leaked.duplicated(["number", "other"]).any()


def far_apart(count):
    """Keys of which each finds its first neighbours in the order of the numbers."""
    return np.stack([np.cos(np.arange(count) / count), np.sin(np.arange(count) / count)], axis=1).astype(np.float32)


@pytest.mark.parametrize("found_by", ["teacher", "text"])
def test_near_duplicates_are_found_by_the_text_key_and_by_the_teachers_embeddings(found_by):
    rows = pd.DataFrame({"id": [f"{n}" for n in range(40)], "text": [f"word{n} other{n}" for n in range(40)]})
    rows.loc[[1, 30], "text"] = "the same text"
    near, line = far_apart(40), far_apart(40)
    near[30] = near[1]
    z, text = (near, line) if found_by == "teacher" else (line, near)
    memory = Memory(rows.assign(label="y"), ("y",), np.ones((40, 1)), z, {"text": text})
    pairs = near_duplicates(memory)
    assert pairs[["number", "other"]].to_numpy().tolist() == [[1, 30], [30, 1]]


def test_a_leak_is_found_by_any_key(toy_model, encoded):
    text = encoded.texts[3]
    for name in ("aligned", "text"):
        edited = apply_patch(toy_model, (Edit("add", "one", toy_model.classes_[0], text),))
        hidden = {key: values.copy() for key, values in edited.memory.keys.items()}
        for key in hidden:
            hidden[key][-1] *= 1 if key == name else -1
        memory = edited.memory.with_keys(hidden)
        leaked = leaks(answer(encoded, memory, POOL))
        assert ((leaked["number"] == 3) & (leaked["other"] == len(memory) - 1)).any()


def test_a_memory_of_one_row_has_no_duplicates():
    rows = pd.DataFrame({"id": ["a"], "text": ["x"], "label": ["y"]})
    memory = Memory(rows, ("y",), np.ones((1, 1)), np.eye(1, 4), {})
    assert near_duplicates(memory).empty


def test_each_question_shows_its_rows_in_its_order(spoilt, encoded):
    table = memory_table(spoilt.answer(encoded, POOL))
    assert len(table) == len(spoilt.memory)
    wrong = shown_memories(table, WRONG)
    assert wrong["doubt"].is_monotonic_decreasing
    is_wrong = (table["doubt"] >= 0.5) & (table["suggested"] != table["label"])
    assert set(wrong["number"]) == set(table["number"][is_wrong]) != set()
    assert shown_memories(table, "most used")["weight"].is_monotonic_decreasing
    assert set(shown_memories(table, "never used")["number"]) == set(table.loc[table["retrieved"] == 0, "number"])
    harmful = shown_memories(table.assign(p_of_harm=0.05), HARMFUL)
    assert harmful["gain"].is_monotonic_increasing
    assert shown_memories(table, "all")["number"].tolist() == list(range(len(table)))
    assert set(shown_memories(table, "edited")["edited"]) == {"relabelled"}


@pytest.mark.parametrize("show", REASONS)
def test_a_list_of_memories_shows_the_column_that_it_is_sorted_by_among_its_reasons(spoilt, encoded, show):
    answers = spoilt.answer(encoded, POOL)
    wanted, found = shown_memories(memory_table(answers), show), memories(spoilt, answers, show)
    first = ["number", "text", "label", *(name for name in REASONS[show] if name in wanted.columns)]
    assert list(found.columns[: len(first)]) == first
    column, ascending = SORTED_BY[show]
    assert column in first
    assert found[column].tolist() == sorted(wanted[column], reverse=not ascending)
    pd.testing.assert_frame_equal(found[wanted.columns], wanted)


def twice(model, encoded):
    """The model as one of pairs, which holds a test row's pair twice, the words of one in capitals."""
    base, settings = model.memory, replace(model.settings, is_pair=True)
    rows = base.rows.assign(text_pair="and the second")
    rows.loc[[2, 50], "text"] = [encoded.texts[3], encoded.texts[3].upper()]
    keys = {name: values.copy() for name, values in base.keys.items()}
    for name, values in keys.items():
        values[[2, 50]] = encoded.queries[name][3]
    memory = replace(base, rows=rows, keys=keys)
    pairs = replace(encoded, rows=encoded.rows.assign(text_pair="and the second"))
    return replace(model, memory=memory, settings=settings), pairs


def test_near_duplicates_and_leaks_are_listed_as_two_rows_side_by_side_with_both_texts_of_a_pair(toy_model, encoded):
    model, pairs = twice(toy_model, encoded)
    text, columns = encoded.texts[3], ["number", "text", "text_pair", "label"]
    columns += ["other", "other_text", "other_text_pair", "other_label", "overlap"]
    found = memories(model, None, "near-duplicates")
    assert list(found.columns) == columns
    at_two = found[(found["number"] == 2) & (found["other"] == 50)].iloc[0]
    assert at_two["text":"text_pair"].tolist() == [text, "and the second"]
    assert at_two["other_text":"other_text_pair"].tolist() == [text.upper(), "and the second"]
    assert ((found["number"] == 50) & (found["other"] == 2)).any()
    leaked = memories(model, model.answer(pairs, POOL), "leaks of the test rows")
    assert list(leaked.columns) == columns
    of_row = leaked[(leaked["other"] == 3) & (leaked["overlap"] == 1.0)]
    assert {2, 50} <= set(of_row["number"])
    assert set(of_row["other_text"]) == {text}
    assert set(of_row["other_label"]) == {encoded.rows["label"][3]}
    rows = model.memory.rows
    assert of_row["text"].tolist() == rows["text"].to_numpy()[of_row["number"]].tolist()
    assert of_row["label"].tolist() == rows["label"].to_numpy()[of_row["number"]].tolist()


def test_a_text_is_found_on_either_side_of_a_list(toy_model, encoded):
    model, _ = twice(toy_model, encoded)
    found = memories(model, None, "near-duplicates")
    words = found["other_text"].iloc[-1]
    holds = found[["text", "other_text"]].apply(lambda texts: texts.str.contains(words, case=False, regex=False))
    assert RowFilter(text=words).of(found).index.tolist() == found.index[holds.any(axis=1)].tolist()
    assert len(RowFilter(text="AND THE SECOND").of(found)) == len(found)


@pytest.mark.parametrize("show", SHOWS)
def test_without_answers_to_test_rows_some_lists_are_there_and_the_others_say_what_they_need(spoilt, show):
    if show not in UNJUDGED:
        with pytest.raises(
            ReAugKDError, match="no answers to test rows to tell .*; choose one of all, edited, near-dup"
        ):
            memories(spoilt, None, show)
        return
    found = memories(spoilt, None, show)
    assert list(found.columns[:3]) == ["number", "text", "label"]
    if show == "edited":
        rows = spoilt.memory.rows
        assert found["number"].tolist() == np.flatnonzero(rows["edited"] == "relabelled").tolist()
        assert found["text"].tolist() == rows["text"].iloc[found["number"]].tolist()


def test_a_question_that_is_not_there_is_named(toy_model):
    with pytest.raises(ReAugKDError, match="'best' is nothing to show; choose one of label looks wrong"):
        memories(toy_model, None, "best")


def test_a_memory_that_was_not_edited_shows_no_edited_rows(toy_model, encoded):
    assert shown_memories(memory_table(toy_model.answer(encoded, POOL)), "edited").empty


def test_of_a_memory_on_disk_the_most_used_are_listed_and_nothing_else_is_read(toy_model, tmp_path, monkeypatch):
    monkeypatch.setattr("reaugkd.analysis.memory_audit.MOST_AUDITED", 12)
    mapped = replace(toy_model, memory=Memory.build([toy_model.memory], tmp_path / "memory", 6))
    encoded = mapped.encode_rows(mapped.held_out(["test"]))
    use = memory_use(mapped.answer(encoded))
    table = memories(mapped, mapped.answer(encoded), "all")
    assert len(table) == 12
    assert set(table["number"]) == set(np.argsort(-use["weight"], kind="stable")[:12])
    assert table["text"].tolist() == [mapped.memory.texts[number] for number in table["number"]]
    assert np.isfinite(table["doubt"]).all()
    assert len(memories(mapped, None, "all")) == 12
    with pytest.raises(ReAugKDError, match="Near-duplicates are not looked for in a memory on disk"):
        memories(mapped, None, "near-duplicates")
    leaked, wanted = (memories(model, model.answer(encoded), LEAKS) for model in (mapped, toy_model))
    assert set(leaked[["number", "other"]].itertuples(index=False)) == set(
        wanted[["number", "other"]].itertuples(index=False)
    )
    assert set(known_rows(mapped)) == set(mapped.held_out()["text"])


@pytest.fixture(scope="module")
def planted(toy_model):
    """Every eleventh row says another class; soft labels and keys are those of a teacher that never saw that."""
    rows, names = toy_model.memory.rows.copy(), list(toy_model.classes_)
    wrong = np.arange(0, len(rows), 11)
    rows.loc[wrong, "label"] = [names[(names.index(rows["label"][row]) + 1) % len(names)] for row in wrong]
    return replace(toy_model.memory, rows=rows), wrong


def neighbours_by_hand(memory):
    """What the four nearest others by the text key say of each row."""
    similarities, said = unit(memory.keys["text"]) @ unit(memory.keys["text"]).T, []
    for row in range(len(memory)):
        others = [other for other in np.argsort(-similarities[row], kind="stable") if other != row][:4]
        weights = np.exp(similarities[row, others] / 0.2)
        said.append(weights / weights.sum() @ memory.soft_labels[others])
    return np.asarray(said)


def embeddings_by_hand(memory):
    """What a regression of the other folds says of each row."""
    folds, said = folds_apart(memory.texts, memory.labels, 5), np.zeros((len(memory), 3))
    z = memory.keys["aligned"]
    for fold in range(5):
        regression = LogisticRegression(max_iter=300).fit(z[folds != fold], memory.labels[folds != fold])
        said[folds == fold] = regression.predict_proba(z[folds == fold])
    return said


def test_doubts_are_those_of_loops_over_rows_and_folds(planted):
    memory, wrong = planted
    found = label_doubts(memory, POOL)
    rows, labels = np.arange(len(memory)), memory.labels
    voices = [neighbours_by_hand(memory), embeddings_by_hand(memory)]
    np.testing.assert_allclose(found["by_text"], voices[0][rows, labels], atol=1e-5)
    np.testing.assert_allclose(found["by_embedding"], voices[1][rows, labels], atol=1e-5)
    said = np.sqrt(np.prod([0.98 * voice + 0.02 / 3 for voice in voices], axis=0))
    said /= said.sum(axis=1, keepdims=True)
    assert found["suggested"].tolist() == [memory.classes[number] for number in said.argmax(axis=1)]
    for row, own in enumerate(said[rows, labels]):
        usual = said[(labels == labels[row]) & (rows != row), labels[row]].mean()
        assert found["doubt"][row] == pytest.approx(1 - own / usual, abs=1e-5)
    is_wrong = np.isin(rows, wrong)
    assert average_precision_score(is_wrong, found["doubt"]) == 1.0
    assert (found["doubt"][is_wrong] > 0.5).all()


def test_a_rows_own_label_and_soft_label_say_nothing_about_it(planted):
    memory, _ = planted
    before, changed = label_doubts(memory, POOL), memory.soft_labels.copy()
    changed[5] = np.roll(changed[5], 1)
    after = label_doubts(replace(memory, soft_labels=changed), POOL)
    assert after["doubt"][5] == pytest.approx(before["doubt"][5], rel=0.05)
    assert after["suggested"][5] == before["suggested"][5]
    rows = memory.rows.copy()
    rows.loc[5, "label"] = before["suggested"][5] if rows["label"][5] != before["suggested"][5] else memory.classes[0]
    relabelled = label_doubts(replace(memory, rows=rows), POOL)
    assert relabelled["suggested"][5] == before["suggested"][5]


def test_a_label_by_the_teacher_is_no_gold_label_and_teaches_no_voice(planted):
    memory, wrong = planted
    by_teacher = np.where(np.isin(np.arange(len(memory)), wrong), "teacher", "")
    marked = replace(memory, rows=memory.rows.assign(**{LABELLED_BY: by_teacher}))
    found = label_doubts(marked, POOL)
    assert found["doubt"][wrong].tolist() == [0.0] * len(wrong)
    assert found["by_embedding"].drop(wrong).mean() > label_doubts(memory, POOL)["by_embedding"].drop(wrong).mean()


def test_a_class_of_one_row_is_doubted_by_what_labels_usually_get(planted):
    memory, _ = planted
    names = (*memory.classes, "rare")
    rows = memory.rows.assign(label=memory.rows["label"].where(memory.rows.index != 7, "rare"))
    wider = np.pad(memory.soft_labels, ((0, 0), (0, 1)))
    found = label_doubts(replace(memory, rows=rows, classes=names, soft_labels=wider), POOL)
    assert found["doubt"].idxmax() == 7


@pytest.mark.parametrize("rows", [1, 2])
def test_a_memory_of_hardly_any_rows_has_no_doubts(rows):
    memory = memory_of(np.eye(2)[:rows], np.eye(2)[:rows], name="text")
    pool = Pool({"text": KeySettings(4)})
    assert (label_doubts(memory, pool)["doubt"] < 1).all()
