"""What is said of each memory, against loops and planted faults."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from reaugkd.error_analysis import RowFilter
from reaugkd.errors import ReAugKDError
from reaugkd.evaluation_set import EvaluationSet, held_out
from reaugkd.inference import ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.memory_audit import (
    SHOWS,
    UNJUDGED,
    leaks,
    memories,
    memory_table,
    memory_use,
    near_duplicates,
    shown_memories,
    suspicious_rows,
)
from reaugkd.patch import Edit, apply_patch
from reaugkd.retrieval import RetrievalSettings
from reaugkd.second_key import SecondKey
from reaugkd.sources import SHOPTALK_TEACHER_OUTPUTS, load_task
from reaugkd.teacher import TeacherOutputs

SETTINGS = RetrievalSettings(6, 0.7, 0.1)


@pytest.fixture(scope="module")
def asked(toy_model):
    return EvaluationSet.of(toy_model, held_out(toy_model, ["test"]))


@pytest.fixture(scope="module")
def spoilt(toy_model) -> ReAugKDClassifier:
    """A third of one class's memories say another class."""
    rows = toy_model.parts.knowledge_base.rows
    first, second = toy_model.classes_[:2]
    wrong = rows.loc[rows["label"] == first, "id"].tolist()[::3]
    return apply_patch(toy_model, tuple(Edit("relabel", name, second) for name in wrong))


def test_use_is_what_a_loop_over_rows_and_neighbours_counts(spoilt, asked):
    answered = asked.answered(spoilt.memory, SETTINGS)
    found = memory_use(spoilt.memory, answered)
    retrieved, weight, gain = (np.zeros(len(spoilt.memory)) for _ in range(3))
    fixes, breaks = (np.zeros(len(spoilt.memory), dtype=int) for _ in range(2))
    for row, gold in enumerate(asked.labels):
        before = asked.student_probabilities[row].argmax() == gold
        after = answered.combined.probabilities[row].argmax() == gold
        for place, number in enumerate(answered.retrieved.numbers[row]):
            soft_labels = spoilt.memory.soft_labels[number]
            share = 0.7 * answered.retrieved.weights[row, place]
            retrieved[number] += 1
            weight[number] += share
            gain[number] += share * (soft_labels[gold] - asked.student_probabilities[row, gold])
            fixes[number] += after and not before and soft_labels.argmax() == gold
            breaks[number] += before and not after and soft_labels.argmax() != gold
    for name, wanted in (("retrieved", retrieved), ("weight", weight), ("gain", gain)):
        np.testing.assert_allclose(found[name], wanted, atol=1e-5)
    assert found["fixes"].tolist() == fixes.tolist()
    assert found["breaks"].tolist() == breaks.tolist()


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_the_gain_of_all_memories_is_what_retrieval_adds_to_the_gold_classes(toy_model, gadget_model, weight):
    for model in (toy_model, gadget_model):
        held = held_out(model, ["test"])
        extra = held.head(2).assign(text=["the shiny gadget hums", "a gadget"], label=model.classes_[-1])
        asked = EvaluationSet.of(model, pd.concat([held, extra]))
        answered = asked.answered(model.memory, replace(SETTINGS, retrieval_weight=weight))
        rows, gold = np.arange(len(asked)), asked.labels
        alone = np.pad(asked.student_probabilities, ((0, 0), (0, len(model.classes_) - 3)))[rows, gold]
        added = answered.combined.probabilities[rows, gold] - alone
        assert memory_use(model.memory, answered)["gain"].sum() == pytest.approx(added.sum(), abs=1e-4)


def test_planted_wrong_labels_rank_before_the_others(toy_model, asked):
    rows = toy_model.parts.knowledge_base.rows.copy()
    wrong = np.arange(0, len(rows), 11)
    names = list(toy_model.classes_)
    label = rows.columns.get_loc("label")
    for row in wrong:  # the teacher's soft labels stay: it was never told the wrong label
        rows.iloc[row, label] = names[(names.index(rows.iloc[row, label]) + 1) % len(names)]
    base = toy_model.parts.knowledge_base
    memory = KnowledgeBase(rows, base.embeddings, base.soft_labels)
    use = memory_use(memory, asked.answered(memory, SETTINGS))
    found = suspicious_rows(memory, tuple(names), use)
    assert set(found["number"][: len(wrong)]) == set(wrong)
    evidence = found[["teacher_doubt", "neighbour_doubt", "harm"]].mean(axis=1)
    np.testing.assert_allclose(found["suspicion"], evidence)
    assert found["suspicion"].is_monotonic_decreasing


@pytest.mark.parametrize("name", ["weight", "number", "retrieved", "harm", "teacher", "gain", "suspicion"])
def test_a_further_column_of_any_name_changes_nothing_that_is_found_out(toy_model, asked, name):
    answered = asked.answered(toy_model.memory, SETTINGS)
    rows = toy_model.parts.knowledge_base.rows.assign(**{name: "mine"})
    memory = replace(toy_model.parts.knowledge_base, rows=rows)
    found = memory_table(ReAugKDClassifier(replace(toy_model.parts, knowledge_base=memory)), answered)
    pd.testing.assert_frame_equal(found, memory_table(toy_model, answered))


def test_the_same_text_twice_is_a_near_duplicate_and_a_leak_of_the_evaluation_set(toy_model, asked):
    text = asked.rows["text"][3]
    edited = apply_patch(toy_model, tuple(Edit("add", name, toy_model.classes_[0], text) for name in ("one", "two")))
    last = len(edited.memory) - 1
    found = near_duplicates(edited.memory, is_pair=False)
    for number, other in ((last - 1, last), (last, last - 1)):  # either of two can be opened
        assert ((found["number"] == number) & (found["other"] == other) & (found["overlap"] == 1.0)).any()
    assert (found["text"].to_numpy() == edited.memory.rows["text"].to_numpy()[found["number"]]).all()
    assert (found["other_label"].to_numpy() == edited.memory.rows["label"].to_numpy()[found["other"]]).all()
    leaked = leaks(edited.memory, asked.answered(edited.memory, SETTINGS), is_pair=False)
    assert set(leaked.loc[(leaked["number"] == 3) & (leaked["overlap"] == 1.0), "other"]) >= {last - 1, last}
    assert (leaked["text"].to_numpy() == asked.rows["text"].to_numpy()[leaked["number"]]).all()


def test_a_memory_of_one_row_has_no_duplicates():
    memory = KnowledgeBase(pd.DataFrame({"id": ["a"], "text": ["x"], "label": ["y"]}), np.eye(1, 4), np.ones((1, 1)))
    assert near_duplicates(memory, is_pair=False).empty


def test_each_question_shows_its_rows_in_its_order(spoilt, asked):
    answered = asked.answered(spoilt.memory, SETTINGS)
    table = memory_table(spoilt, answered)
    assert len(table) == len(spoilt.memory)
    assert shown_memories(table, "suspicious")["suspicion"].is_monotonic_decreasing
    assert shown_memories(table, "most used")["weight"].is_monotonic_decreasing
    assert set(shown_memories(table, "never used")["number"]) == set(table.loc[table["retrieved"] == 0, "number"])
    harmful = shown_memories(table, "harmful")
    assert (harmful["gain"] < 0).all()
    assert harmful["gain"].is_monotonic_increasing
    assert set(shown_memories(table, "edited")["edited"]) == {"relabelled"}


@pytest.mark.parametrize("show", SHOWS[:5])
def test_a_list_of_memories_has_the_rows_of_its_question_and_the_columns_that_matter_first(spoilt, asked, show):
    answered = asked.answered(spoilt.memory, SETTINGS)
    wanted, found = shown_memories(memory_table(spoilt, answered), show), memories(spoilt, answered, show)
    first = ["number", "text", "label", "teacher", "neighbours", "suspicion", "retrieved", "fixes", "breaks"]
    assert list(found.columns[:9]) == first
    pd.testing.assert_frame_equal(found[wanted.columns], wanted)


def twice(model, asked):
    """The model as one of pairs, which holds a test row's pair twice, the words of one in capitals."""
    rows = model.parts.knowledge_base.rows.assign(text_pair="and the second")
    rows.loc[[2, 50], "text"] = [asked.rows["text"][3], asked.rows["text"][3].upper()]
    base, settings = model.parts.knowledge_base, replace(model.parts.settings, is_pair=True)
    embeddings = base.embeddings.copy()
    embeddings[[2, 50]] = asked.embeddings[3]
    pairs = replace(asked, rows=asked.rows.assign(text_pair="and the second"))
    memory = KnowledgeBase(rows, embeddings, base.soft_labels)
    return ReAugKDClassifier(replace(model.parts, knowledge_base=memory, settings=settings)), pairs


def test_near_duplicates_and_leaks_are_listed_as_two_rows_side_by_side_with_both_texts_of_a_pair(toy_model, asked):
    model, pairs = twice(toy_model, asked)
    text, columns = asked.rows["text"][3], ["number", "text", "text_pair", "label"]
    columns += ["other", "other_text", "other_text_pair", "other_label", "overlap"]
    found = memories(model, None, "near-duplicates")
    assert list(found.columns) == columns
    at_two = found[(found["number"] == 2) & (found["other"] == 50)].iloc[0]
    assert at_two["text":"text_pair"].tolist() == [text, "and the second"]
    assert at_two["other_text":"other_text_pair"].tolist() == [text.upper(), "and the second"]
    assert ((found["number"] == 50) & (found["other"] == 2)).any()
    leaked = memories(model, pairs.answered(model.memory, SETTINGS), "leaks of the test rows")
    assert list(leaked.columns) == columns
    of_row = leaked[(leaked["other"] == 3) & (leaked["overlap"] == 1.0)]
    assert {2, 50} <= set(of_row["number"])
    assert set(of_row["other_text"]) == {text}
    assert set(of_row["other_label"]) == {asked.rows["label"][3]}
    rows = model.memory.rows
    assert of_row["text"].tolist() == rows["text"].to_numpy()[of_row["number"]].tolist()
    assert of_row["label"].tolist() == rows["label"].to_numpy()[of_row["number"]].tolist()


def test_a_text_is_found_on_either_side_of_a_list(toy_model, asked):
    model, _ = twice(toy_model, asked)
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
        rows = spoilt.parts.knowledge_base.rows
        assert found["number"].tolist() == np.flatnonzero(rows["edited"] == "relabelled").tolist()
        assert found["text"].tolist() == rows["text"].iloc[found["number"]].tolist()


def test_a_question_that_is_not_there_is_named(toy_model):
    with pytest.raises(ReAugKDError, match="'best' is nothing to show; choose one of all, suspicious"):
        memories(toy_model, None, "best")


def test_neighbours_are_the_teachers_where_an_untuned_encoder_searches_the_memory(toy_model, asked):
    base = toy_model.parts.knowledge_base
    drawn = np.random.default_rng(0).normal(size=base.embeddings.shape).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    key = SecondKey(toy_model.parts.student, None, KnowledgeBase(base.rows, drawn, base.soft_labels))
    with_key = ReAugKDClassifier(replace(toy_model.parts, second_key=key))
    tables = [
        memory_table(model, asked.answered(toy_model.memory, SETTINGS)).sort_values("number")
        for model in (with_key, toy_model)
    ]
    assert with_key.memory is key.knowledge_base
    assert tables[0]["neighbour_doubt"].tolist() == tables[1]["neighbour_doubt"].tolist()


def test_a_memory_that_was_not_edited_shows_no_edited_rows(toy_model, asked):
    table = memory_table(toy_model, asked.answered(toy_model.memory, SETTINGS))
    assert shown_memories(table, "edited").empty


def test_planted_wrong_labels_of_shoptalk_are_found_by_teacher_and_neighbours():
    planted, clean = (load_task("shoptalk", planted_errors=planted) for planted in (True, False))
    outputs = TeacherOutputs.load(SHOPTALK_TEACHER_OUTPUTS)
    hidden, soft_labels = outputs.of("train")
    rows = planted.rows["train"].to_pandas()
    wrong = planted.labels("train") != clean.labels("train")
    rows["label"] = [planted.label_names[number] for number in planted.labels("train")]
    memory = KnowledgeBase(rows, hidden.astype(np.float32), soft_labels)
    unused = pd.DataFrame({name: np.zeros(len(rows)) for name in ("retrieved", "weight", "fixes", "breaks", "gain")})
    found = suspicious_rows(memory, planted.label_names, unused)
    first = found["number"][: wrong.sum()]
    assert wrong.sum() > 20
    assert wrong[first].mean() > 0.8  # of as many as were planted
    assert roc_auc_score(wrong[found["number"]], found["suspicion"]) > 0.95
