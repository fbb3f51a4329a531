"""The same answer everywhere: alone or beside others, in threads, in other processes, from disk, by either search."""

import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from reaugkd.method.memory import Memory
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.training import train

ROUNDING = 1e-6  # what the width of a batch, by its padding and its products, may change


@pytest.fixture(scope="module")
def texts(pooled_model):
    """Texts of every length, some of them twice."""
    found = pooled_model.held_out()["text"].tolist()
    return [*found, *(" ".join(found[n : n + n % 5 + 1]) for n in range(len(found))), *found[:5]]


@pytest.fixture(scope="module")
def mapped_model(pooled_model, tmp_path_factory):
    """The pooled model with its memory on disk, each key with an index of six cells, all of which are read."""
    return replace(pooled_model, memory=Memory.build([pooled_model.memory], tmp_path_factory.mktemp("mapped") / "m", 6))


@pytest.fixture(params=["pooled_model", "mapped_model", "gadget_model", "adopted_model"])
def model(request):
    return request.getfixturevalue(request.param)


def test_a_text_is_answered_alone_as_beside_others(model, texts, count):
    together = model.predict_proba(texts)
    alone = np.concatenate([model.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(alone, together, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(alone.argmax(axis=1), together.argmax(axis=1))
    explained = [model.explain(text) for text in texts[:20]]
    assert [found.label for found in explained] == model.predict(texts[:20]).tolist()
    count("texts answered alone and beside others", len(texts))


def test_a_text_is_answered_the_same_at_every_place_of_a_batch(model, texts):
    there = model.predict_proba(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_allclose(model.predict_proba([texts[n] for n in order]), there[order], rtol=0, atol=ROUNDING)


def test_threads_are_answered_as_one_is(model, texts, count, short_or_whole):
    expected, rounds = model.predict_proba(texts), short_or_whole(16, 400)
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(model.predict_proba, [texts] * rounds):
            np.testing.assert_array_equal(found, expected)
    count("texts answered in eight threads", rounds * len(texts))


def test_a_model_is_the_same_after_it_was_saved_and_loaded(model, texts, tmp_path):
    model.save_pretrained(tmp_path / "again")
    again = ReAugKDClassifier.from_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))


ANSWER_AND_FORK = """
import multiprocessing, sys
import numpy as np, torch
from reaugkd.model.classifier import ReAugKDClassifier
torch.set_num_threads(2)
models = [ReAugKDClassifier.from_pretrained(folder) for folder in sys.argv[1:]]
texts = [f"text {number} of iron" for number in range(300)]
expected = [model.predict_proba(texts) for model in models]  # torch and FAISS have started their threads
for model, answer in zip(models, expected):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(model.predict_proba, [texts[:150], texts[150:]]).get(timeout=60)
    assert abs(np.concatenate(found) - answer).max() < 1e-6
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
@pytest.mark.slow
def test_processes_that_are_forked_after_an_answer_answer_the_same(pooled_model, mapped_model, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    for name, model in (("plain", pooled_model), ("mapped", mapped_model)):
        model.save_pretrained(tmp_path / name)
    run = [sys.executable, "-c", ANSWER_AND_FORK, str(tmp_path / "plain"), str(tmp_path / "mapped")]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_same_seed_gives_the_same_model_and_the_same_metrics(toy_task, toy_recipe, tmp_path, texts):
    recipe = replace(toy_recipe, epochs=2, teacher_epochs=2)
    first, second = (train(toy_task, recipe, tmp_path / name, on_progress=lambda _: None) for name in ("a", "b"))
    assert first.metrics["methods"] == second.metrics["methods"]
    np.testing.assert_array_equal(first.predict_proba(texts), second.predict_proba(texts))


@pytest.mark.parametrize("rows", [100, 5_000])
def test_the_searches_find_what_numpy_finds_in_float64(rows, tmp_path, toy_model, count, monkeypatch):
    random = np.random.default_rng(rows)
    vectors, queries = (random.normal(size=(number, 24)).astype(np.float32) for number in (rows, 50))
    vectors, queries = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True) for matrix in (vectors, queries))
    table = toy_model.memory.rows.iloc[np.arange(rows) % len(toy_model.memory)]
    table = table.assign(id=[str(number) for number in range(rows)]).reset_index(drop=True)
    soft_labels = np.full((rows, 3), 1 / 3, dtype=np.float32)
    memory = Memory(table, toy_model.memory.classes, soft_labels, vectors, {"aligned": vectors})
    expected = np.sort(queries.astype(np.float64) @ vectors.astype(np.float64).T, axis=1)[:, :-17:-1]
    searches = {"by torch": (memory, 1e-6), "on disk": (Memory.build([memory], tmp_path / "m", 8), 1e-3)}
    found = {name: (searched.search("aligned", queries, 16), atol) for name, (searched, atol) in searches.items()}
    monkeypatch.setattr("reaugkd.method.memory.FEW_SIMILARITIES", 0)
    found["by FAISS"] = (memory.search("aligned", queries, 16), 1e-6)
    for name, ((cosines, numbers), atol) in found.items():
        exact = np.take_along_axis(queries.astype(np.float64) @ vectors.astype(np.float64).T, numbers, axis=1)
        np.testing.assert_allclose(cosines, expected, rtol=0, atol=atol, err_msg=name)
        np.testing.assert_allclose(exact, expected, rtol=0, atol=atol, err_msg=name)
    count("searches compared with NumPy", len(found) * len(queries))
