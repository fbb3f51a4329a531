"""Answers against brute force: no more and no less than student, memory and the blend of both."""

import json
from dataclasses import replace
from unittest.mock import Mock

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from reaugkd.calibration import at_temperature
from reaugkd.encoders import TextClassifier
from reaugkd.errors import ReAugKDError
from reaugkd.gate import Gate
from reaugkd.inference import ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.patch import Edit, apply_patch
from reaugkd.retrieval import RetrievalSettings
from reaugkd.second_key import SecondKey
from reaugkd.texts import MAX_CHARACTERS

TEXTS = ["an apple and a plum", "old iron", "rain today", "the copper fog", "we saw the very new"]


def by_hand(model, text, k, weight, temperature):
    """The answer in float64: student's probabilities, nearest rows, cosines, weights, retrieved, combined."""
    memory = model.parts.knowledge_base
    hidden, student = (values[0].astype(np.float64) for values in model.parts.student.encode([text]))
    cosines = memory.embeddings.astype(np.float64) @ (hidden / np.linalg.norm(hidden))
    nearest = np.argsort(-cosines, kind="stable")[:k]
    weights = np.exp(cosines[nearest] / temperature)
    weights /= weights.sum()
    retrieved = (weights[:, None] * memory.soft_labels[nearest].astype(np.float64)).sum(axis=0)
    return student, nearest, cosines[nearest], weights, retrieved, (1 - weight) * student + weight * retrieved


SETTINGS = [(1, 0.5, 0.1), (5, 0.3, 0.02), (16, 0.9, 0.2), (90, 1.0, 1.0), (7, 0.0, 0.1)]


@pytest.mark.parametrize(("k", "weight", "temperature"), SETTINGS)
@pytest.mark.parametrize("text", TEXTS)
def test_an_explanation_is_what_brute_force_finds(toy_model, text, k, weight, temperature):
    student, nearest, cosines, weights, retrieved, combined = by_hand(toy_model, text, k, weight, temperature)
    found = toy_model.explain(text, k=k, retrieval_weight=weight, temperature=temperature)
    np.testing.assert_allclose(found.student_probabilities, student, atol=1e-6)
    np.testing.assert_allclose([neighbour.similarity for neighbour in found.neighbours], cosines, atol=1e-6)
    np.testing.assert_allclose([neighbour.weight for neighbour in found.neighbours], weights, atol=1e-4)
    np.testing.assert_allclose(found.retrieved, retrieved, atol=1e-4)
    np.testing.assert_allclose(found.probabilities, combined, atol=1e-4)
    assert found.label == found.classes[int(combined.argmax())]
    assert [neighbour.rank for neighbour in found.neighbours] == list(range(1, k + 1))
    # Two rows may be equally near to the last digit; then either order is right.
    gaps = np.diff(cosines)
    if (gaps < -1e-6).all():
        assert [neighbour.number for neighbour in found.neighbours] == nearest.tolist()


@pytest.mark.parametrize(("k", "weight", "temperature"), SETTINGS)
def test_shares_are_the_parts_of_the_answer_and_sum_to_one(toy_model, k, weight, temperature):
    for text in TEXTS:
        found = toy_model.explain(text, k=k, retrieval_weight=weight, temperature=temperature)
        answer = found.classes.index(found.label)
        total = found.probabilities[answer]
        for neighbour in found.neighbours:
            assert neighbour.share == pytest.approx(weight * neighbour.weight * neighbour.soft_labels[answer] / total)
        assert found.student_share == pytest.approx((1 - weight) * found.student_probabilities[answer] / total)
        assert sum(neighbour.share for neighbour in found.neighbours) + found.student_share == pytest.approx(1)


def test_a_neighbour_carries_its_row(toy_model, toy_task):
    rows = toy_task.rows["train"].to_pandas()
    for neighbour in toy_model.explain(TEXTS[0], k=12).neighbours:
        row = rows.iloc[neighbour.number]
        assert (neighbour.id, neighbour.text) == (row["id"], row["text"])
        assert neighbour.label == toy_task.label_names[row["label"]]
        assert neighbour.columns == {"topic": row["topic"]}
        np.testing.assert_allclose(
            neighbour.soft_labels, toy_model.parts.knowledge_base.soft_labels[neighbour.number], atol=1e-7
        )


def test_predict_predict_proba_and_explain_agree(toy_model):
    probabilities = toy_model.predict_proba(TEXTS)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(toy_model.predict(TEXTS), toy_model.classes_[probabilities.argmax(axis=1)])
    for text, row in zip(TEXTS, probabilities, strict=True):
        explanation = toy_model.explain(text)
        np.testing.assert_allclose(explanation.probabilities, row, atol=1e-5)
        assert replace(explanation.retrieval, retrieval_weight=0.3) == replace(
            toy_model.retrieval, retrieval_weight=0.3
        )


@pytest.fixture
def open_gate_model(toy_model):
    """The toy model with a gate that trusts the memory by 0.2 to 0.8."""
    gate = Gate(1.5, (0.3, -0.3, 0.2, 0.2, -0.2), 0.0, (0.5, 0.5, 0.8, 0.8, 0.5), (0.3, 0.3, 0.2, 0.2, 0.5))
    return ReAugKDClassifier(replace(toy_model.parts, retrieval=RetrievalSettings(8, 0.5, 0.1, gate)))


def test_the_chosen_settings_are_used_and_each_can_be_overridden_for_a_call(open_gate_model):
    chosen = open_gate_model.retrieval
    plain = open_gate_model.predict_proba(TEXTS)
    same = open_gate_model.predict_proba(TEXTS, k=chosen.k, temperature=chosen.temperature)
    np.testing.assert_array_equal(same, plain)
    for override in ({"k": 1}, {"retrieval_weight": 0.05}, {"temperature": 0.01}):
        assert np.abs(open_gate_model.predict_proba(TEXTS, **override) - plain).max() > 1e-4
    np.testing.assert_array_equal(open_gate_model.predict_proba(TEXTS), plain)


@pytest.mark.parametrize("text", TEXTS)
def test_a_gated_answer_is_the_calibrated_student_and_the_neighbours_at_the_weight_it_names(open_gate_model, text):
    found = open_gate_model.explain(text)
    weight = found.retrieval.retrieval_weight
    _, student = open_gate_model.embed([text])
    np.testing.assert_allclose(found.student_probabilities, at_temperature(student, 1.5)[0], rtol=1e-9)
    blended = (1 - weight) * found.student_probabilities + weight * found.retrieved
    np.testing.assert_allclose(found.probabilities, blended, rtol=1e-9)
    assert sum(neighbour.share for neighbour in found.neighbours) + found.student_share == pytest.approx(1)


@pytest.fixture
def second_key_model(open_gate_model, toy_encoder_folder, toy_task):
    """The same, its memory searched by an untuned encoder."""
    parts = open_gate_model.parts
    key = SecondKey.of(toy_encoder_folder, parts.knowledge_base, toy_task.texts("train"), 16)
    return ReAugKDClassifier(replace(parts, second_key=key))


def test_a_second_key_finds_the_memories_nearest_by_half_the_last_layer_and_half_what_is_drawn_from_all(
    second_key_model, toy_encoder_folder
):
    untuned = TextClassifier.from_pretrained(toy_encoder_folder, 1, max_length=16)
    rows, head = second_key_model.parts.knowledge_base.rows, second_key_model.parts.second_key.head

    def unit(matrix):
        return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)

    def keys(texts):
        layers = untuned.encode_layers(texts).astype(np.float64)
        return unit(layers[:, -1]), unit(layers.reshape(len(texts), -1) @ head.weight.astype(np.float64) + head.bias)

    (last, drawn), (last_query, drawn_query) = keys(rows["text"].tolist()), keys([TEXTS[0]])
    cosines = (last @ last_query[0] + drawn @ drawn_query[0]) / 2
    found = [neighbour.similarity for neighbour in second_key_model.explain(TEXTS[0]).neighbours]
    np.testing.assert_allclose(found, np.sort(cosines)[::-1][:8], atol=1e-6)
    for text, row in zip(TEXTS, second_key_model.predict_proba(TEXTS), strict=True):
        np.testing.assert_allclose(second_key_model.explain(text).probabilities, row, atol=1e-5)


def test_a_model_with_a_gate_and_a_second_key_comes_back_from_its_folder(second_key_model, tmp_path):
    second_key_model.save_pretrained(tmp_path / "model")
    again = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    assert again.retrieval == second_key_model.retrieval
    np.testing.assert_allclose(again.predict_proba(TEXTS), second_key_model.predict_proba(TEXTS), atol=1e-6)


def test_a_class_of_the_memory_alone_wins_where_its_text_is_asked(toy_model):
    parts = toy_model.parts
    base, count = parts.knowledge_base, len(parts.knowledge_base)
    embeddings, _ = toy_model.embed([*base.rows["text"], "tin thunder peach"])  # all keyed by the student
    soft_labels = np.pad(base.soft_labels, ((0, 1), (0, 1)))
    soft_labels[count, 3] = 1.0
    row = base.rows.iloc[[0]].assign(id="new-1", text="tin thunder peach", label="mixture")
    grown = KnowledgeBase(pd.concat([base.rows, row]), embeddings, soft_labels)
    settings = replace(parts.settings, label_names=(*parts.settings.label_names, "mixture"))
    retrieval = RetrievalSettings(1, 0.0, 0.1, Gate.closed(1.0))
    model = ReAugKDClassifier(replace(parts, knowledge_base=grown, settings=settings, retrieval=retrieval))
    explanation = model.explain("tin thunder peach")
    assert explanation.label == "mixture"
    assert explanation.student_share == 0
    assert explanation.neighbours[0].share == pytest.approx(1)
    assert model.predict(["apple pear plum"])[0] == "fruit"


def test_a_lambda_of_zero_is_the_plain_student_to_the_bit(toy_model):
    _, student = toy_model.parts.student.encode(TEXTS)
    found = toy_model.predict_proba(TEXTS, retrieval_weight=0.0)
    np.testing.assert_array_equal(found, student.astype(np.float64))
    np.testing.assert_array_equal(toy_model.explain(TEXTS[0], retrieval_weight=0.0).student_share, 1.0)


def test_a_memory_that_weighs_nothing_is_not_searched_and_the_answers_are_those_of_a_search(
    second_key_model, gadget_model, monkeypatch
):
    closed = RetrievalSettings(4, 0.0, 0.1, Gate.closed(1.5))
    shut, grown = (
        ReAugKDClassifier(replace(model.parts, retrieval=closed)) for model in (second_key_model, gadget_model)
    )
    asked = [(second_key_model, 0.0), (shut, None), (gadget_model, 0.0)]
    wanted = [[model.explain(text, retrieval_weight=weight).probabilities for text in TEXTS] for model, weight in asked]
    search = Mock(side_effect=AssertionError("the memory was searched"))
    monkeypatch.setattr(KnowledgeBase, "search", search)
    for (model, weight), by_search in zip(asked, wanted, strict=True):
        np.testing.assert_allclose(model.predict_proba(TEXTS, retrieval_weight=weight), by_search, atol=1e-6)
    with pytest.raises(AssertionError, match="the memory was searched"):
        grown.predict_proba(TEXTS)  # only the memory knows gadgets


def test_a_lambda_of_one_is_the_plain_knn(toy_model):
    found = toy_model.predict_proba(TEXTS, retrieval_weight=1.0, k=5, temperature=0.1)
    wanted = np.stack([by_hand(toy_model, text, 5, 1.0, 0.1)[4] for text in TEXTS])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    explanation = toy_model.explain(TEXTS[0], retrieval_weight=1.0)
    np.testing.assert_array_equal(explanation.probabilities, explanation.retrieved)
    assert explanation.student_share == 0


def test_a_k_that_numpy_or_pandas_gives_is_the_same_number(toy_model):
    wanted = toy_model.explain(TEXTS[0], k=8).as_dict()
    for k in (np.int64(8), 8.0):
        assert json.dumps(toy_model.explain(TEXTS[0], k=k).as_dict()) == json.dumps(wanted)
        assert toy_model.predict(TEXTS, k=k).tolist() == toy_model.predict(TEXTS, k=8).tolist()


def test_more_neighbours_than_memories_are_all_memories(toy_model):
    assert sorted(neighbour.number for neighbour in toy_model.explain("fog", k=500).neighbours) == list(range(90))


def test_a_changed_soft_label_in_the_memory_changes_the_answer(toy_model):
    base = toy_model.parts.knowledge_base
    nearest = toy_model.explain(TEXTS[0], k=1).neighbours[0].number
    soft_labels = base.soft_labels.copy()
    soft_labels[nearest] = [0.0, 0.0, 1.0]
    changed = ReAugKDClassifier(replace(toy_model.parts, knowledge_base=replace(base, soft_labels=soft_labels)))
    assert changed.predict([TEXTS[0]], k=1, retrieval_weight=1.0)[0] == "weather"
    assert toy_model.predict([TEXTS[0]], k=1, retrieval_weight=1.0)[0] == "fruit"


def test_the_toy_model_has_learnt_the_task(toy_model, toy_task):
    right = toy_model.predict(toy_task.texts("test")) == toy_model.classes_[toy_task.labels("test")]
    assert right.mean() == pytest.approx(toy_model.parts.metrics["methods"]["reaugkd"]["test"])
    assert right.mean() > 0.9


def test_no_texts_give_no_answers(toy_model):
    assert toy_model.predict_proba([]).shape == (0, 3)
    assert toy_model.predict([]).shape == (0,)
    edited = apply_patch(toy_model, (Edit("add", "mine", "gadget", "the shiny new gadget hums"),))
    assert edited.predict_proba([]).shape == (0, 4)
    assert edited.predict_proba([]).dtype == np.float64


def test_an_explanation_as_a_dict_is_json_with_the_same_numbers(toy_model):
    explanation = toy_model.explain(TEXTS[1], k=4)
    plain = json.loads(json.dumps(explanation.as_dict()))
    assert (plain["text"], plain["label"]) == (TEXTS[1], explanation.label)
    for name, values in (
        ("probabilities", explanation.probabilities),
        ("student", explanation.student_vote),
        ("retrieved", explanation.retrieved),
    ):
        assert list(plain[name]) == list(explanation.classes)
        np.testing.assert_allclose(list(plain[name].values()), values, atol=1e-6)
    assert [neighbour["share"] for neighbour in plain["neighbours"]] == [n.share for n in explanation.neighbours]


def test_what_the_student_says_is_its_own_also_where_the_memory_knows_more_classes(gadget_model, toy_model):
    text = "the shiny gadget hums"
    _, student = gadget_model.embed([text])
    answer = gadget_model.explain(text, k=4, retrieval_weight=0.4)
    np.testing.assert_allclose(answer.student_probabilities, student[0], atol=1e-6)
    assert answer.student_label == toy_model.predict([text], retrieval_weight=0.0)[0]
    assert answer.memory_alone
    assert not toy_model.explain(text).memory_alone
    said = answer.as_dict()
    assert said["student"] == {
        name: pytest.approx(value, abs=1e-6) for name, value in zip(toy_model.classes_, student[0], strict=True)
    }
    assert list(said["retrieved"]) == [*toy_model.classes_, "gadget"]


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_votes_and_weights_by_class_blend_to_the_answer_of_a_model_with_a_new_class(gadget_model, weight):
    for text in [*TEXTS, "the shiny gadget hums"]:
        answer = gadget_model.explain(text, k=8, retrieval_weight=weight)
        blended = (1 - answer.memory_weights) * answer.student_vote + answer.memory_weights * answer.retrieved
        np.testing.assert_allclose(blended, answer.probabilities, atol=1e-12)
        assert answer.memory_weights.tolist() == [weight] * 3 + [float(weight > 0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Text 2 is empty"),
        (" \n\t", "Text 2 is empty"),
        ("x" * (MAX_CHARACTERS + 1), "Text 2 has 100,001 characters"),
        (("a", "pair"), "This model classifies single texts"),
        (3, "Text 2 is a int, not a string"),
        (None, "Text 2 is a NoneType, not a string"),
    ],
    ids=["empty", "blank", "enormous", "pair", "number", "none"],
)
def test_a_text_that_cannot_be_classified_is_refused(toy_model, text, message):
    with pytest.raises(ReAugKDError, match=message):
        toy_model.predict(["fine", text])


@pytest.mark.parametrize("kind", [tuple, np.asarray, lambda texts: pd.Series(texts, index=[7, 3, 5])])
def test_texts_may_be_a_list_a_tuple_an_array_or_a_column(toy_model, kind):
    texts = ["iron and steel", "rain and snow", "plum and pear"]
    np.testing.assert_array_equal(toy_model.predict_proba(kind(texts)), toy_model.predict_proba(texts))


def test_a_single_string_in_the_place_of_a_list_is_refused(toy_model):
    with pytest.raises(ReAugKDError, match="Give a list of texts"):
        toy_model.predict("an apple")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"retrieval_weight": 1.5}, r"retrieval_weight is 1\.5"),
        ({"temperature": 0.0}, r"temperature is 0\.0"),
    ],
)
def test_an_override_out_of_range_is_refused(toy_model, override, message):
    for ask in (toy_model.predict, toy_model.predict_proba):
        with pytest.raises(ReAugKDError, match=message):
            ask(TEXTS, **override)
    with pytest.raises(ReAugKDError, match=message):
        toy_model.explain(TEXTS[0], **override)


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path):
    with pytest.raises(ReAugKDError, match="There is no folder .*none"):
        ReAugKDClassifier.from_pretrained(tmp_path / "none")


def test_a_name_of_the_hub_without_a_hub_fails_at_once():
    with pytest.raises(ReAugKDError, match="There is no folder 'someone/something'"):
        ReAugKDClassifier.from_pretrained("someone/something")


@pytest.mark.parametrize("name", ["my/own model", "a b/c", "some/x--y"])
def test_a_name_that_the_hub_cannot_have_is_not_asked_of_it(name, monkeypatch):
    monkeypatch.setattr("reaugkd.inference.hub_is_reachable", lambda: True)
    with pytest.raises(ReAugKDError, match=f"There is no folder '{name}'"):
        ReAugKDClassifier.from_pretrained(name)


class FakeHub:
    """Takes the place of HfApi and keeps what it is told."""

    calls = ()

    def __init__(self, token=None):
        self.calls.append(("token", token))

    def create_repo(self, repo_id, *, private, exist_ok):
        self.calls.append(("create", repo_id, private, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        files = {p.relative_to(folder_path).as_posix(): p.read_bytes() for p in folder_path.rglob("*") if p.is_file()}
        self.calls.append(("upload", repo_id, files, commit_message))
        return "address of the commit"


def test_pushing_uploads_the_files_that_saving_writes(toy_model, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    monkeypatch.setattr(FakeHub, "calls", [])
    assert toy_model.push_to_hub("someone/toy", private=True, token="word") == "address of the commit"
    toy_model.save_pretrained(tmp_path / "saved")
    token, create, upload = FakeHub.calls
    assert token == ("token", "word")
    assert create == ("create", "someone/toy", True, True)
    saved = {
        path.relative_to(tmp_path / "saved").as_posix(): path.read_bytes()
        for path in (tmp_path / "saved").rglob("*")
        if path.is_file()
    }
    assert upload[:2] == ("upload", "someone/toy")
    assert upload[2] == saved


def test_a_model_from_the_hub_is_the_one_that_was_pushed(toy_model, toy_model_folder, monkeypatch):
    monkeypatch.setattr("reaugkd.inference.hub_is_reachable", lambda: True)
    asked = []

    def snapshot(name, *, local_files_only):
        assert not local_files_only
        asked.append(name)
        return str(toy_model_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    model = ReAugKDClassifier.from_pretrained("someone/toy")
    assert asked == ["someone/toy"]
    np.testing.assert_array_equal(model.predict_proba(TEXTS), toy_model.predict_proba(TEXTS))


def test_offline_a_model_of_the_hub_is_taken_from_its_cache_or_named_as_missing(toy_model_folder, monkeypatch):
    cached = {"someone/toy": str(toy_model_folder)}

    def snapshot(name, *, local_files_only):
        assert local_files_only
        if name not in cached:
            raise LocalEntryNotFoundError("not cached")
        return cached[name]

    monkeypatch.setattr("reaugkd.inference.hub_is_reachable", lambda: False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert ReAugKDClassifier.from_pretrained("someone/toy").predict(["iron and steel"]).shape == (1,)
    with pytest.raises(ReAugKDError, match="There is no folder 'runs/shoptlk'; train a model with"):
        ReAugKDClassifier.from_pretrained("runs/shoptlk")


def test_a_typing_error_is_not_answered_by_the_hubs_own_words(monkeypatch):
    def snapshot(name, **_):
        raise RepositoryNotFoundError("404, and many lines", response=Mock())

    monkeypatch.setattr("reaugkd.inference.hub_is_reachable", lambda: True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(ReAugKDError, match="neither a folder nor a model on the hub called 'runs/shoptlk'; train"):
        ReAugKDClassifier.from_pretrained("runs/shoptlk")
