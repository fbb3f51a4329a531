"""Files of a model that are cut short, missing or have one changed byte: each is named, or changes nothing."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.method.memory import Memory
from reaugkd.model import folder as model_folder
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.folder import CARD_FILE, verify_model
from reaugkd.networks.onnx import export_onnx

LISTS = {"reaugkd.json": "holds no trained model", "memory.json": "holds no whole memory"}
TEXTS = ["an apple and a plum", "old iron", "rain today", "the copper fog"]


def model_answers(folder):
    return ReAugKDClassifier.from_pretrained(folder).predict_proba(TEXTS)


def memory_answers(folder):
    memory = Memory.load(folder)
    queries = np.random.default_rng(0).normal(size=(6, memory.keys["text"].shape[1]))
    cosines, numbers = memory.search("text", queries, 5)
    return np.hstack([cosines, numbers, memory.soft_labels[numbers].sum(axis=1)])


@pytest.fixture(scope="module")
def kinds(toy_model_folder, toy_model, tmp_path_factory):
    """A model as it is trained, one with a memory on disk and an ONNX file, and such a memory alone."""
    root = tmp_path_factory.mktemp("kinds")
    shutil.copytree(toy_model_folder, root / "trained")
    mapped = Memory.build([toy_model.memory], root / "memory", 6)
    student = copy.copy(toy_model.student)
    student.onnx = export_onnx(student, TEXTS)
    replace(toy_model, memory=mapped, student=student, teacher=None).save_pretrained(root / "mapped")
    return {"trained": model_answers, "mapped": model_answers, "memory": memory_answers}, root


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def told(answers, folder, path, before):
    """Return whether the damage was told, by a sentence that names the file; without one the answers are as before."""
    try:
        after = answers(folder)
    except ReAugKDError as error:
        name = path.relative_to(folder).as_posix()
        sentence = str(error)
        assert name in sentence or (not path.exists() and LISTS[name] in sentence), sentence
        assert "\n" not in sentence
        return True
    np.testing.assert_array_equal(after, before)
    return False


@pytest.mark.parametrize("kind", ["trained", "mapped", "memory"])
def test_a_file_that_is_cut_short_or_missing_is_named(kinds, count, short_or_whole, kind):
    answers, folder = kinds[0][kind], kinds[1] / kind
    before, untold = answers(folder), set()
    for path in files_of(folder):
        content = path.read_bytes()
        between = np.linspace(1, len(content) - 1, short_or_whole(3, 60)).astype(int)
        for length in (*sorted({0, *between.tolist()}), None):
            path.unlink() if length is None else path.write_bytes(content[:length])
            if not told(answers, folder, path, before):
                untold.add(path.name)
            count("files cut short or missing")
        path.write_bytes(content)
    assert untold <= {CARD_FILE}
    np.testing.assert_array_equal(answers(folder), before)


@pytest.mark.parametrize(("kind", "share"), [("trained", 0.5), ("mapped", 0.35), ("memory", 0.15)])
def test_a_changed_byte_is_told_with_its_file_or_is_in_the_card(kinds, count, short_or_whole, kind, share):
    answers, folder = kinds[0][kind], kinds[1] / kind
    drawn, before, untold = np.random.default_rng(0), answers(folder), set()
    files = files_of(folder)
    for number in range(round(short_or_whole(60, 2000) * share)):
        path = files[number % len(files)]
        content = path.read_bytes()
        place, bits = drawn.integers(len(content)), drawn.integers(1, 256)
        path.write_bytes(content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :])
        is_told = told(answers, folder, path, before)
        path.write_bytes(content)
        count(
            "changed bytes: told with the file's name" if is_told else "changed bytes: in the card, answers as before"
        )
        if not is_told:
            untold.add(path.name)
    assert untold <= {CARD_FILE}
    np.testing.assert_array_equal(answers(folder), before)


def test_of_a_model_above_1_gb_a_changed_byte_is_told_when_one_asks(kinds, count, short_or_whole, monkeypatch):
    monkeypatch.setattr(model_folder, "SUMS_UP_TO", 0)
    folder, drawn = kinds[1] / "mapped", np.random.default_rng(1)
    files = [path for path in files_of(folder) if path.name != CARD_FILE]
    for number in range(short_or_whole(len(files), 200)):
        path = files[number % len(files)]
        content = path.read_bytes()
        place, bits = drawn.integers(len(content)), drawn.integers(1, 256)
        path.write_bytes(content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :])
        assert told(verify_model, folder, path, None)
        if path.suffix == ".faiss":
            assert told(model_answers, folder, path, None)
        path.write_bytes(content)
        count("changed bytes: told by `reaugkd verify`")
    verify_model(folder)
