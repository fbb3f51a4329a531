"""A memory in Milvus answers as the one in main memory does: in Milvus Lite, and in a server where one is asked for."""

import os
import pickle
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from memories import brute_force, random_memory

from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.errors import ReAugKDError
from reaugkd.method.milvus import CELLS, MOST_NEIGHBOURS, PROBES, MilvusMemory

pytest.importorskip("pymilvus", reason="pymilvus is not installed: pip install 'reaugkd[milvus]'")

NUMBERS = count()
TEXTS = ["some iron and zinc", "a ripe plum", "the old oak", "we saw copper today"]


@pytest.fixture(scope="session", params=["lite", "server"])
def uri(request, tmp_path_factory):
    """A file of Milvus Lite; or a server of the wheel milvus, which takes a minute to start."""
    folder = tmp_path_factory.mktemp("milvus")
    if request.param == "lite":
        yield str(folder / "memory.db")
        return
    if "REAUGKD_MILVUS" not in os.environ:
        pytest.skip("REAUGKD_MILVUS is not set; with it, the server of the wheel milvus==2.3.5 is started")
    server = pytest.importorskip("milvus", reason="no server: pip install milvus==2.3.5").MilvusServer()
    server.set_base_dir(str(folder))
    with server:
        yield f"http://127.0.0.1:{server.listen_port}"


@pytest.fixture
def opened(uri):
    """Opens a memory of the test's own, which is empty at first."""
    name = f"test_{next(NUMBERS)}"
    return lambda classes=("a", "b", "c"), **options: MilvusMemory(uri, name, classes, **options)


def filled(memory, opened):
    """The same rows in the database."""
    shared = opened(memory.classes)
    shared.upsert([memory])
    return shared


def assert_same_answers(found, wanted, memory):
    """Both keys count, and both find the same rows with the same numbers."""
    np.testing.assert_allclose(found.pooled.probabilities, wanted.pooled.probabilities, atol=1e-5)
    for key, of_key in wanted.retrieved.items():
        np.testing.assert_allclose(found.retrieved[key].similarities, of_key.similarities, atol=1e-5)
        assert set(found.memory.rows_at(found.retrieved[key].numbers[0])["id"]) == set(
            memory.rows["id"].iloc[of_key.numbers[0]]
        )


def test_a_model_answers_explains_and_is_scored_as_by_its_memory_in_main_memory(pooled_model, opened):
    model = replace(pooled_model, memory=filled(pooled_model.memory, opened))
    encoded = model.encode(TEXTS)
    assert_same_answers(model.answer(encoded), pooled_model.answer(encoded), pooled_model.memory)
    np.testing.assert_allclose(model.predict_proba(TEXTS), pooled_model.predict_proba(TEXTS), atol=1e-5)
    assert model.evaluate() == pooled_model.evaluate()
    found, wanted = (one.explain(TEXTS[0]) for one in (model, pooled_model))
    assert found.parts == pytest.approx(wanted.parts, abs=1e-4)
    for of_found, of_wanted in zip(found.keys, wanted.keys, strict=True):
        for one, other in zip(of_found.neighbours, of_wanted.neighbours, strict=True):
            assert (one.id, one.text, one.label, one.columns) == (other.id, other.text, other.label, other.columns)
            np.testing.assert_allclose(one.soft_labels, other.soft_labels, atol=1e-6)
    model.memory._seen.clear()  # as after many other answers
    again = model.answer(encoded)
    model.memory._seen.clear()
    np.testing.assert_allclose(
        again.at(1.0).pooled.probabilities, pooled_model.predict_proba(TEXTS, retrieval_weight=1.0), atol=1e-5
    )
    assert again.memory.rows_at(again.retrieved["text"].numbers[0])["text"].str.len().min() > 0


@pytest.mark.parametrize("load", [True, False])
def test_rows_that_are_added_relabelled_and_removed_count_in_the_next_answer(pooled_model, opened, load):
    memory = pooled_model.memory
    shared = filled(memory, lambda classes: opened((*classes, "gadget")))
    encoded = pooled_model.encode([*TEXTS, "some gadget"])
    nearest = memory.rows["id"].iloc[pooled_model.answer(encoded).retrieved["text"].numbers[:4, 0]].tolist()
    relabelled, removed = nearest[:2], nearest[2:]
    edits = [Edit("relabel", name, pooled_model.classes_[2]) for name in relabelled]
    edits += [Edit("add", f"new-{n}", "gadget", f"the shiny gadget {n}") for n in range(4)]
    edits += [Edit("remove", name) for name in removed]
    edited = apply_patch(pooled_model, tuple(edits))
    changed = np.flatnonzero(edited.memory.rows["id"].isin(relabelled) | (edited.memory.rows["label"] == "gadget"))
    model = replace(edited, memory=shared)
    model.answer(encoded)  # what it finds now is not what it finds then
    for _ in range(2):  # a row that is written twice is there once
        shared.upsert([edited.memory.part(changed)], load=load)
    shared.remove(removed)
    assert len(shared) == len(edited.memory) == len(memory) + 2
    assert_same_answers(model.answer(encoded), edited.answer(encoded), edited.memory)
    assert model.predict(["the shiny gadget 1"]) == ["gadget"]


@pytest.mark.parametrize("k", [1, 7, 250, pytest.param(400, marks=pytest.mark.slow)])
def test_each_key_finds_what_brute_force_finds(opened, k):
    memory = random_memory(rows=300)
    shared = filled(memory, opened)
    for name, width in (("aligned", 8), ("text", 9)):
        queries = np.random.default_rng(3).normal(size=(20, width)) * 5
        cosines, numbers = shared.search(name, queries, k)
        wanted, places = brute_force(memory.keys[name], queries, min(k, 300))
        assert (cosines.dtype, numbers.dtype) == (np.float32, np.int64)
        np.testing.assert_allclose(cosines, wanted, atol=1e-5)
        assert (
            shared.rows_at(numbers[4])["id"].tolist() == memory.rows["id"].iloc[places[4, : len(numbers[4])]].tolist()
        )


def test_where_the_cells_that_are_read_hold_fewer_than_k_all_are_read(opened, monkeypatch):
    memory = random_memory()
    shared, read, probes = filled(memory, opened), MilvusMemory._read, []

    def reads(self, what, key, **arguments):
        probes.append(arguments["search_params"]["params"]["nprobe"])
        found = read(self, what, key, **arguments)
        return [hits[: 3 if number == 1 and probes[-1] < CELLS else 7] for number, hits in enumerate(found)]

    monkeypatch.setattr(MilvusMemory, "_read", reads)
    queries = np.random.default_rng(3).normal(size=(4, 9))
    cosines, _ = shared.search("text", queries, 7)
    np.testing.assert_allclose(cosines, brute_force(memory.keys["text"], queries, 7)[0], atol=1e-5)
    assert probes == [PROBES, CELLS]


def test_another_client_sees_the_same_memory(opened):
    memory = random_memory()
    shared = filled(memory, opened)
    _, numbers = shared.search("text", memory.keys["text"][:5], 3)
    np.testing.assert_allclose(shared.soft_labels[numbers[:, 0]], memory.soft_labels[:5], atol=1e-7)
    more = opened(("a", "b", "c", "d"))
    np.testing.assert_array_equal(
        more.soft_labels[numbers], np.pad(shared.soft_labels[numbers], ((0, 0), (0, 0), (0, 1)))
    )
    copied = pickle.loads(pickle.dumps(shared))
    np.testing.assert_array_equal(copied.search("text", memory.keys["text"][:5], 3)[1], numbers)
    assert (copied.classes, len(copied)) == (memory.classes, 200)
    fewer = opened(("a", "b"))
    with pytest.raises(ReAugKDError, match="The memory has 3 classes, but was opened with 2; give it all"):
        fewer.soft_labels[numbers]


def test_what_cannot_be_searched_is_refused_in_a_sentence(opened):
    shared = opened()
    with pytest.raises(ReAugKDError, match="The memory has no key 'text'; it has none"):
        shared.search("text", np.ones((1, 9)), 3)
    assert len(shared) == 0
    shared.upsert([random_memory()])
    refused = {
        "are not all finite": ("text", np.full((1, 9), np.nan), 3),
        "k is 16385; it must be at most 16,384 in Milvus": (
            "text",
            np.ones((1, 9)),
            MOST_NEIGHBOURS + 1,
        ),
        "k is 0; it must be at least 1": ("text", np.ones((1, 9)), 0),
        "do not fit the key 'text' of width 9": ("text", np.ones((1, 8)), 3),
        "has no key 'teacher'; it has aligned, text": ("teacher", np.ones((1, 16)), 3),
    }
    for sentence, asked in refused.items():
        with pytest.raises(ReAugKDError, match=sentence):
            shared.search(*asked)


def test_what_does_not_fit_is_not_written_and_what_is_not_there_not_removed(opened):
    memory = random_memory(rows=5)
    shared = filled(memory, opened)
    others = {
        "Batch 1 has other classes or keys": memory.with_keys({"text": memory.keys["text"]}),
        "Batch 1 has the id 'x' twice": replace(memory, rows=memory.rows.assign(id="x")),
    }
    for sentence, other in others.items():
        with pytest.raises(ReAugKDError, match=sentence):
            shared.upsert([other])
    with pytest.raises(ReAugKDError, match="Batch 2 has other classes"):
        shared.upsert([memory, replace(memory, classes=("b", "a", "c"))])
    for sentence, ids in {"no row 'nothing'": ["train-1", "nothing"], "leave one": memory.rows["id"].tolist()}.items():
        with pytest.raises(ReAugKDError, match=sentence):
            shared.remove(ids)
    with pytest.raises(ReAugKDError, match="ids is 'train-1'; it must be a list"):
        shared.remove("train-1")
    assert len(shared) == 5
    _, numbers = shared.search("text", memory.keys["text"], 1)
    shared.remove(["train-1"])
    shared._seen.clear()
    with pytest.raises(ReAugKDError, match="Rows that the memory found were removed since; ask again"):
        shared.rows_at(numbers[:, 0])


def test_what_needs_all_rows_is_refused_and_a_model_is_not_half_saved(pooled_model, opened, tmp_path):
    model = replace(pooled_model, memory=filled(pooled_model.memory, opened))
    for needs_all in (
        lambda: model.save_pretrained(tmp_path / "model"),
        lambda: apply_patch(model, (Edit("add", "new", model.classes_[0], "iron"),)),
        lambda: model.memory.texts,
    ):
        with pytest.raises(ReAugKDError, match="its rows are not listed: edit it with its own upsert and remove"):
            needs_all()
    assert not list(tmp_path.iterdir())


def test_a_database_that_is_not_there_and_a_missing_package_are_said_in_a_sentence(tmp_path, monkeypatch):
    for nowhere in (str(tmp_path / "no" / "memory.db"), "http://127.0.0.1:1", "nonsense"):
        with pytest.raises(ReAugKDError, match="The database of the memory 'toy' refuses: .*; see whether it runs"):
            MilvusMemory(nowhere, "toy", ("a", "b"))
    monkeypatch.setattr("reaugkd.method.milvus.find_spec", lambda name: None)
    with pytest.raises(ReAugKDError, match=r"needs pymilvus; install it with: pip install 'reaugkd\[milvus\]'"):
        MilvusMemory(str(tmp_path / "memory.db"), "toy", ("a", "b"))
