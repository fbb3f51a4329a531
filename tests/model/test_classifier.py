"""The classifier: predictions, explanations and answers agree, and what has no say costs nothing."""

import os
import subprocess
import sys
from dataclasses import replace
from unittest.mock import Mock

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from pool_by_hand import answered_by_hand

from reaugkd.errors import ReAugKDError
from reaugkd.method.keys import UntunedEncoder, fit_keys
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import MAX_CHARACTERS

TEXTS = ["an apple and a plum", "old iron", "rain today", "the copper fog", "we saw the very new"]


@pytest.fixture(scope="module")
def three_keys_model(pooled_model, toy_encoder_folder, toy_task):
    """The pooled model with an untuned encoder as a third key."""
    model, texts = pooled_model, toy_task.texts("train")
    untuned = UntunedEncoder.of(toy_encoder_folder, texts, layers=2, max_length=16)
    keys, memory = fit_keys(model.memory, model.student.tokenizer, encoder=untuned)
    pool = Pool({**pooled_model.pool.keys, "encoder": KeySettings(6, 0.05, 0.5)}, 0.7)
    return replace(model, keys=keys, memory=memory, pool=pool)


OVERRIDES = [{}, {"k": 3}, {"retrieval_weight": 0.2}, {"retrieval_weight": 1.0, "temperature": 0.02, "k": 20}]


@pytest.mark.parametrize("overrides", OVERRIDES)
@pytest.mark.parametrize("name", ["toy_model", "pooled_model", "three_keys_model"])
def test_predict_predict_proba_explain_and_answer_agree_with_a_count_by_hand(request, name, overrides):
    model = request.getfixturevalue(name)
    probabilities = model.predict_proba(TEXTS, **overrides)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_array_equal(model.predict(TEXTS, **overrides), model.classes_[probabilities.argmax(axis=1)])
    pool = model.pool.overridden(**overrides)
    answers = model.answer(model.encode(TEXTS), pool)
    np.testing.assert_allclose(answers.pooled.probabilities, probabilities, atol=1e-6)
    for text, row in zip(TEXTS, probabilities, strict=True):
        explanation = model.explain(text, **overrides)
        np.testing.assert_allclose(explanation.probabilities, row, atol=1e-5)
        assert explanation.pool == pool
        assert [key.name for key in explanation.keys] == list(model.keys)
        np.testing.assert_allclose(row, answered_by_hand(model, text, pool).probabilities, atol=1e-4)


def test_rows_are_answered_as_their_texts_are(gadget_model):
    encoded = gadget_model.encode_rows(gadget_model.held_out(["test"]))
    found = gadget_model.answer(encoded).pooled.probabilities
    np.testing.assert_allclose(gadget_model.predict_proba(encoded.rows["text"]), found, atol=1e-6)
    for row, text in enumerate(encoded.texts[:10]):
        np.testing.assert_allclose(gadget_model.predict_proba([text])[0], found[row], atol=1e-5)


def test_the_chosen_settings_are_used_and_each_can_be_overridden_for_a_call(pooled_model):
    plain = pooled_model.predict_proba(TEXTS)
    np.testing.assert_array_equal(pooled_model.predict_proba(TEXTS, k=8, temperature=0.1), plain)
    np.testing.assert_allclose(pooled_model.predict_proba(TEXTS, retrieval_weight=0.5), plain, atol=1e-12)
    for override in ({"k": 1}, {"retrieval_weight": 0.05}, {"temperature": 0.01}):
        assert np.abs(pooled_model.predict_proba(TEXTS, **override) - plain).max() > 1e-4
    np.testing.assert_array_equal(pooled_model.predict_proba(TEXTS), plain)


@pytest.fixture
def calls(monkeypatch, three_keys_model):
    """What is embedded and searched, by the names of the keys."""
    made = []

    def watch(kind, name):
        embed = kind.embed
        monkeypatch.setattr(kind, "embed", lambda self, *given: made.append(("embed", name)) or embed(self, *given))

    for name, key in three_keys_model.keys.items():
        watch(type(key), name)
    search = Memory.search
    monkeypatch.setattr(
        Memory, "search", lambda self, key, *given: made.append(("search", key)) or search(self, key, *given)
    )
    return made


@pytest.mark.parametrize(
    ("weights", "overrides", "asked"),
    [
        ((0.4, 0.3, 0.5), {}, ["aligned", "text", "encoder"]),
        ((0.4, 0.0, 0.5), {}, ["aligned", "encoder"]),
        ((0.0, 0.3, 0.0), {}, ["text"]),
        ((0.0, 0.0, 0.0), {}, []),
        ((0.4, 0.3, 0.5), {"retrieval_weight": 0.0}, []),
        ((0.0, 0.3, 0.0), {"retrieval_weight": 1.0}, ["text"]),
        ((0.0, 0.0, 0.0), {"retrieval_weight": 0.1}, ["aligned", "text", "encoder"]),
    ],
)
def test_a_key_without_a_weight_is_neither_embedded_nor_searched(three_keys_model, calls, weights, overrides, asked):
    keys = {
        name: replace(settings, weight=weight)
        for (name, settings), weight in zip(three_keys_model.pool.keys.items(), weights, strict=True)
    }
    model = replace(three_keys_model, pool=replace(three_keys_model.pool, keys=keys))
    found = model.predict_proba(TEXTS, **overrides)
    assert calls == [("embed", name) for name in asked] + [("search", name) for name in asked]
    every = model.answer(model.encode(TEXTS), model.pool.overridden(**overrides))
    np.testing.assert_allclose(found, every.pooled.probabilities, atol=1e-9)


def test_where_the_memory_alone_knows_a_class_the_key_that_decides_is_asked_whatever_its_weight(gadget_model, calls):
    keys = {name: replace(settings, weight=0.0) for name, settings in gadget_model.pool.keys.items()}
    model = replace(gadget_model, pool=Pool(keys, new_class_key="text"))
    assert model.predict(["the shiny gadget hums"]).tolist() == ["gadget"]
    assert calls == [("embed", "text"), ("search", "text")]
    calls.clear()
    assert model.predict(["the shiny gadget hums"], retrieval_weight=0.0)[0] != "gadget"
    assert calls == []


def test_at_a_lambda_of_zero_the_student_answers(pooled_model, gadget_model):
    student = pooled_model.student.encode(TEXTS)[1]
    found = pooled_model.predict_proba(TEXTS, retrieval_weight=0.0)
    np.testing.assert_array_equal(np.argsort(found, axis=1), np.argsort(student, axis=1))
    grown = gadget_model.predict_proba(TEXTS, retrieval_weight=0.0)
    np.testing.assert_allclose(grown, np.pad(found, ((0, 0), (0, 1))), atol=1e-9)


def test_at_a_lambda_of_one_the_student_has_no_say(pooled_model):
    encoded = pooled_model.encode(TEXTS)
    turned = replace(encoded, student_probabilities=encoded.student_probabilities[::-1])
    alone, other = (
        pooled_model.answer(given, pooled_model.pool.overridden(retrieval_weight=1.0)).pooled.probabilities
        for given in (encoded, turned)
    )
    np.testing.assert_array_equal(alone, other)
    np.testing.assert_allclose(pooled_model.predict_proba(TEXTS, retrieval_weight=1.0), alone, atol=1e-6)


def test_a_changed_soft_label_in_the_memory_changes_the_answer(pooled_model):
    memory = pooled_model.memory
    nearest = {key.neighbours[0].number for key in pooled_model.explain(TEXTS[0], k=1).keys}
    soft_labels = memory.soft_labels.copy()
    soft_labels[list(nearest)] = [0.0, 0.0, 1.0]
    changed = replace(pooled_model, memory=replace(memory, soft_labels=soft_labels))
    assert changed.predict([TEXTS[0]], k=1, retrieval_weight=1.0)[0] == "weather"
    assert pooled_model.predict([TEXTS[0]], k=1, retrieval_weight=1.0)[0] == "fruit"


def test_more_neighbours_than_memories_are_all_memories(pooled_model):
    for key in pooled_model.explain("fog", k=500).keys:
        assert sorted(neighbour.number for neighbour in key.neighbours) == list(range(90))


def test_the_toy_model_has_learnt_the_task(toy_model, toy_task):
    right = toy_model.predict(toy_task.texts("test")) == toy_model.classes_[toy_task.labels("test")]
    assert right.mean() == pytest.approx(toy_model.metrics["methods"]["reaugkd"]["test"])
    assert right.mean() > 0.9


def test_no_texts_give_no_answers(pooled_model, gadget_model):
    assert pooled_model.predict_proba([]).shape == (0, 3)
    assert pooled_model.predict([]).shape == (0,)
    assert gadget_model.predict_proba([]).shape == (0, 4)
    assert gadget_model.predict_proba([]).dtype == np.float64


def test_rows_of_a_class_that_the_memory_alone_knows_can_be_evaluated(gadget_model):
    text = "the shiny gadget hums"
    encoded = gadget_model.encode_rows(pd.DataFrame({"text": [text], "label": ["gadget"]}))
    assert encoded.labels(gadget_model.memory.classes).tolist() == [3]
    table = gadget_model.answer(encoded).table()
    assert table.loc[0, ["answer", "effect"]].tolist() == ["gadget", "fixed"]
    assert encoded.known == 3


def test_what_the_model_carries_for_its_evaluation_comes_by_split(toy_model, toy_task):
    for splits, rows in ((["validation"], 24), (["test"], 36), (["validation", "test"], 60)):
        held_out = toy_model.held_out(splits)
        assert held_out["text"].tolist() == [text for split in splits for text in toy_task.texts(split)]
        assert held_out.index.tolist() == list(range(rows))
    encoded = toy_model.encode_rows(toy_model.held_out(["test"]))
    assert encoded.labels(toy_model.memory.classes).tolist() == toy_task.labels("test").tolist()
    assert "teacher_soft_labels" not in encoded.rows.columns
    with pytest.raises(ReAugKDError, match="carries no evaluation rows; train it again, or give rows with gold labels"):
        replace(toy_model, evaluation_rows=None).held_out()


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ({"text": [], "label": []}, "The table has no rows; give it at least one"),
        ({"text": ["a"], "label": ["nonsense"]}, "no class 'nonsense'; its classes are fruit, metal, weather"),
        ({"text": [" "], "label": ["fruit"]}, "Text 1 is empty"),
    ],
)
def test_rows_that_cannot_be_evaluated_are_named(toy_model, rows, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        toy_model.encode_rows(pd.DataFrame(rows))


@pytest.mark.parametrize("labels", [[1, 0], [1.0, 0.0], ["1 ", " 0"]])
def test_labels_of_any_kind_are_the_classes_whose_names_they_are(toy_model, labels):
    names = ("0", "1", "2")
    rows = toy_model.memory.rows.assign(label="0")
    memory = replace(toy_model.memory, rows=rows, classes=names)
    settings = replace(toy_model.settings, label_names=names)
    numbered = replace(toy_model, settings=settings, memory=memory)
    encoded = numbered.encode_rows(pd.DataFrame({"text": ["apple", "iron"], "label": labels}))
    assert encoded.labels(names).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Text 2 is empty"),
        (" \n\t", "Text 2 is empty"),
        ("x" * (MAX_CHARACTERS + 1), "Text 2 has 100,001 characters"),
        (("a", "pair"), "This model classifies single texts"),
        (3, "Text 2 is a number, not a text"),
        (None, "Text 2 is nothing, not a text"),
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


@pytest.mark.parametrize("name", ["none", "someone/something"])
def test_without_a_hub_what_is_no_folder_is_one_sentence(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReAugKDError, match=f"There is no folder '{name}'"):
        ReAugKDClassifier.from_pretrained(name)


@pytest.mark.parametrize("name", ["my/own model", "a b/c", "some/x--y"])
def test_a_name_that_the_hub_cannot_have_is_not_asked_of_it(name, monkeypatch):
    monkeypatch.setattr("reaugkd.model.classifier.hub_is_reachable", lambda: True)
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
    monkeypatch.setattr("reaugkd.model.classifier.hub_is_reachable", lambda: True)
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

    monkeypatch.setattr("reaugkd.model.classifier.hub_is_reachable", lambda: False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert ReAugKDClassifier.from_pretrained("someone/toy").predict(["iron and steel"]).shape == (1,)
    with pytest.raises(ReAugKDError, match="There is no folder 'runs/shoptlk'; train a model with"):
        ReAugKDClassifier.from_pretrained("runs/shoptlk")


def test_a_typing_error_is_not_answered_by_the_hubs_own_words(monkeypatch):
    def snapshot(name, **_):
        raise RepositoryNotFoundError("404, and many lines", response=Mock())

    monkeypatch.setattr("reaugkd.model.classifier.hub_is_reachable", lambda: True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(ReAugKDError, match="neither a folder nor a model on the hub called 'runs/shoptlk'; train"):
        ReAugKDClassifier.from_pretrained("runs/shoptlk")


@pytest.mark.parametrize("by", ["probability", "text"])
def test_a_threshold_is_chosen_on_the_validation_rows_and_told_wherever_a_text_is_answered(puzzled_model, by):
    validation, test = (puzzled_model.held_out([split]) for split in ("validation", "test"))
    answers = puzzled_model.answer(puzzled_model.encode_rows(validation))
    wanted = answers.right.mean() + 0.01
    careful = puzzled_model.with_threshold(wanted, by)
    sure = answers.scores(by) >= careful.threshold.least
    assert answers.right[sure].mean() >= wanted
    of_test = careful.answer(careful.encode_rows(test))
    texts = test["text"].tolist()
    told = careful.is_sure(texts)
    assert 0 < told.sum() < len(told)
    np.testing.assert_array_equal(told, of_test.is_sure)
    assert of_test.table()["is_sure"].tolist() == told.tolist()
    for text, is_sure in list(zip(texts, told.tolist(), strict=True))[:8]:
        explanation = careful.explain(text)
        assert explanation.is_sure == explanation.as_dict()["is_sure"] == is_sure
        nearest = {key.name: key.neighbours[0].similarity for key in explanation.keys}
        assert explanation.score == pytest.approx(nearest.get(by, explanation.probabilities.max()))


def test_without_a_threshold_each_text_is_answered(puzzled_model):
    assert puzzled_model.is_sure(["an apple", "some iron"]).tolist() == [True, True]
    assert puzzled_model.explain("an apple").is_sure


def test_a_threshold_by_a_key_that_is_not_there_is_refused(puzzled_model):
    with pytest.raises(ReAugKDError, match="no score 'smell'; choose one of probability, aligned, text"):
        puzzled_model.with_threshold(0.5, "smell")


def test_a_models_memory_grows_in_a_stream(toy_model, tmp_path):
    """As docs/scale.md shows: the teacher reads each batch, the keys key it as a query, and the whole is mapped."""

    def batches():
        yield toy_model.memory
        for number in range(3):
            texts = [f"the copper fog {number}", f"a ripe plum {number}"]
            hidden, soft_labels = toy_model.teacher.encode(texts)
            z = toy_model.projection_head.project(hidden)
            labels = toy_model.classes_[soft_labels.argmax(axis=1)]
            rows = pd.DataFrame(
                {"id": [f"more-{number}-{place}" for place in range(2)], "text": texts, "label": labels}
            )
            keys = {name: key.embed(texts, z) for name, key in toy_model.keys.items()}
            yield Memory(
                rows.reindex(columns=toy_model.memory.rows.columns), toy_model.memory.classes, soft_labels, z, keys
            )

    large = replace(toy_model, memory=Memory.build(batches(), tmp_path / "memory", 4), maps=None)
    large.save_pretrained(tmp_path / "large")
    again = ReAugKDClassifier.from_pretrained(tmp_path / "large")
    assert len(again.memory) == len(toy_model.memory) + 6
    assert again.explain("a ripe plum 2").keys[1].neighbours[0].text == "a ripe plum 2"


@pytest.mark.parametrize("splits", ["test", None, [3]])
def test_splits_are_a_list_of_names(toy_model, splits):
    with pytest.raises(ReAugKDError, match=r"splits(\[0\])? is .*; it must be (a list|text)"):
        toy_model.held_out(splits)


def test_rows_that_are_indexed_by_their_texts_are_evaluated(toy_model):
    rows = toy_model.held_out(["test"])[["text", "label"]]
    assert toy_model.evaluate(rows.set_index("text")) == toy_model.evaluate(rows)


def test_batches_of_a_memory_are_what_the_networks_say_of_the_rows(toy_model, gadget_model, toy_task):
    rows = toy_task.table("train")
    made = list(toy_model.memory_batches(Dataset.from_pandas(rows), batch_size=40))
    assert [len(batch) for batch in made] == [40, 40, 10]
    whole, memory = pd.concat([batch.rows for batch in made], ignore_index=True), toy_model.memory
    pd.testing.assert_frame_equal(whole, rows, check_dtype=False)
    hidden, said = toy_model.teacher.encode(memory.texts)
    z = toy_model.projection_head.project(hidden)
    wanted = {"soft_labels": said, "teacher_embeddings": z}
    for name, of_all in wanted.items():
        np.testing.assert_allclose(np.concatenate([getattr(batch, name) for batch in made]), of_all, atol=1e-5)
    for name, key in toy_model.keys.items():
        of_batches = np.concatenate([batch.keys[name] for batch in made])
        np.testing.assert_allclose(of_batches, key.embed(memory.texts, z), atol=1e-5)
    # A class that the teacher does not know, and a model without its teacher.
    (gadgets,) = gadget_model.memory_batches(
        Dataset.from_pandas(rows.head(3).assign(label=[rows["label"][0], "gadget", rows["label"][2]]))
    )
    np.testing.assert_array_equal(gadgets.soft_labels[1], [0, 0, 0, 1])
    np.testing.assert_allclose(gadgets.soft_labels[0], [*said[0], 0], atol=1e-5)
    (alone,) = replace(toy_model, teacher=None).memory_batches(Dataset.from_pandas(rows))
    np.testing.assert_array_equal(alone.soft_labels.argmax(axis=1), memory.labels)
    assert set(np.unique(alone.soft_labels)) == {0, 1}
    np.testing.assert_allclose(alone.teacher_embeddings, toy_model.student.embed(toy_task.texts("train")), atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ({"id": ["1"], "text": ["iron"]}, "The rows have no label; a memory needs id, text and label"),
        ({"id": ["1"], "text": ["iron"], "label": ["cars"]}, "The model has no class 'cars'; its classes are "),
    ],
)
def test_rows_that_make_no_memory_are_refused(toy_model, rows, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        list(toy_model.memory_batches(Dataset.from_dict(rows)))


def test_what_is_no_dataset_or_no_number_of_rows_is_refused(toy_model):
    table = pd.DataFrame({"id": ["1"], "text": ["iron"], "label": ["metal"]})
    with pytest.raises(ReAugKDError, match="The corpus is a table; it must be a Dataset, such as Dataset.from_pandas"):
        list(toy_model.memory_batches(table))
    for setting in ({"num_proc": 0}, {"batch_size": -1}):
        with pytest.raises(ReAugKDError, match="it must be at least 1"):
            list(toy_model.memory_batches(Dataset.from_pandas(table), **setting))


TWO_PROCESSES = """
import sys
import numpy as np, pandas as pd, torch
from datasets import Dataset
from reaugkd import Memory, ReAugKDClassifier
model = ReAugKDClassifier.from_pretrained(sys.argv[1])
torch.set_num_threads(2)
model.predict(["some iron"] * 64)  # starts threads, which a forked process lacks
rows = Dataset.from_pandas(model.memory.rows)
one, two = (
    Memory.build(model.memory_batches(rows, num_proc=number, batch_size=20), f"{sys.argv[2]}/{number}")
    for number in (1, 2)
)
pd.testing.assert_frame_equal(one.rows, two.rows)
for name in ("soft_labels", "teacher_embeddings"):
    np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-3)
for name in model.keys:
    np.testing.assert_allclose(one.keys[name], two.keys[name], atol=1e-3)
print(len(two), "rows")
"""


@pytest.mark.slow
def test_two_processes_make_the_same_batches_also_after_an_answer(toy_model_folder, tmp_path):
    command = [sys.executable, "-c", TWO_PROCESSES, str(toy_model_folder), str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "2", "HF_HOME": str(tmp_path / "cache")}
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert (made.returncode, made.stdout) == (0, "90 rows\n"), made.stderr


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("x", "teacher_soft_labels holds no table of numbers"),
        ([1.0], r"The shape of teacher_soft_labels is \(36, 1\); it must"),
    ],
)
def test_what_the_teacher_cannot_have_said_is_told(toy_model, said, sentence):
    rows = toy_model.held_out(["test"])
    with pytest.raises(ReAugKDError, match=sentence):
        toy_model.evaluate(rows.assign(teacher_soft_labels=[said] * len(rows)))


def test_what_the_hub_does_not_take_is_told(toy_model):
    with pytest.raises(
        ReAugKDError, match="The hub did not take the model 'no name' .*; check its name, your login and"
    ):
        toy_model.push_to_hub("no name")
