"""What the tests share: a toy task, two toy encoders made here, a toy model trained once; nothing reaches out."""

# ruff: noqa: E402 -- the environment is set before the imports

import copy
import gc
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

# Before NumPy and torch are imported: many threads only slow toy networks down, and the hub stays unreachable.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import pytest
import torch
from filelock import FileLock
from toy_data import toy_rows
from toy_encoders import save_toy_bert, save_toy_classifier, save_toy_roberta

from reaugkd.adoption import adopt
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks import weights
from reaugkd.recipe import Recipe, TrainingSettings
from reaugkd.tasks.task import make_task, with_unlabelled
from reaugkd.training import train


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    """Answer at once that there is no hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    weights.hub_is_reachable.cache_clear()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Makes a folder once for all workers of a run: the first that asks makes it, the others wait."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # a worker's folder lies in the run's

    def made_once_(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = root / "shared" / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made_once_


@pytest.fixture(scope="session")
def toy_encoder_folder(made_once):
    """A random BERT, of which the students are made."""
    return made_once("toy-bert", save_toy_bert)


@pytest.fixture(scope="session")
def wide_encoder_folder(made_once):
    """A random RoBERTa; it plays the teacher."""
    return made_once("toy-roberta", save_toy_roberta)


@pytest.fixture(scope="session")
def toy_classifier_folder(made_once, toy_encoder_folder, toy_task):
    """A classifier that was fine-tuned elsewhere."""
    return made_once("classifier", lambda folder: save_toy_classifier(folder, toy_encoder_folder, toy_task))


@pytest.fixture(scope="session")
def adopted_model_folder(made_once, toy_classifier_folder, toy_task):
    """The same with a memory; copy it before you change a file."""
    return made_once("adopted", lambda folder: adopt(toy_classifier_folder, toy_task, folder, saw_validation=False))


@pytest.fixture(scope="session")
def adopted_model(adopted_model_folder):
    """The adopted model, loaded; do not change it."""
    return ReAugKDClassifier.from_pretrained(adopted_model_folder)


@pytest.fixture(scope="session")
def toy_task():
    """Three classes told apart by their words: 90 train, 24 validation and 36 test rows, with a topic."""
    return make_task(
        "toy", {"train": toy_rows(30, seed=0), "validation": toy_rows(8, seed=1), "test": toy_rows(12, seed=2)}
    )


@pytest.fixture(scope="session")
def unlabelled_task(toy_task):
    """The toy task with 30 texts more that have no label, of which those beside a validation row are left out."""
    return with_unlabelled(toy_task, toy_rows(10, seed=5).drop(columns="label"))[0]


@pytest.fixture(scope="session")
def site(made_once):
    """The folder of the site, built as `make docs` does; a warning is an error."""
    root = Path(__file__).parent.parent
    (command,) = re.findall(r"\$\(BIN\)/(sphinx-build .*)", (root / "Makefile").read_text(encoding="utf-8"))
    options = command.split()[1:-4]
    assert "--fail-on-warning" in options

    def build(folder: Path) -> None:
        places = ["--doctree-dir", str(folder / "doctrees"), str(root), str(folder / "html")]
        sphinx = [sys.executable, "-m", "sphinx", *options, *places]
        built = subprocess.run(sphinx, cwd=root, capture_output=True, text=True, check=False)
        assert (built.returncode, built.stderr) == (0, "")

    return made_once("site", build) / "html"


@pytest.fixture(scope="session")
def toy_recipe(toy_encoder_folder, wide_encoder_folder):
    """A teacher of width 48, a student of 2 of 4 layers and width 32, a few epochs; every word is learnt."""
    common = {"epochs": 6, "batch_size": 16, "bf16": False, "freeze_word_embeddings": False}
    return Recipe(
        teacher=str(wide_encoder_folder),
        student=str(toy_encoder_folder),
        student_layers=2,
        max_length=16,
        epochs=8,
        teacher_epochs=6,
        teacher_training=TrainingSettings(learning_rate=5e-4, **common),
        projection_training=TrainingSettings(10, learning_rate=1e-2, batch_size=45, bf16=False),
        student_training=TrainingSettings(learning_rate=4e-4, **common),
    )


@pytest.fixture(scope="session")
def toy_model_folder(toy_task, toy_recipe, made_once):
    """A whole model, teacher kept, trained once for all tests; copy it before you change a file."""
    recipe = replace(toy_recipe, keep_teacher=True)
    folder = made_once("toy", lambda folder: train(toy_task, recipe, folder, on_progress=lambda _: None))
    gc.freeze()  # umap and numba came with it: as below
    return folder


@pytest.fixture(scope="session")
def toy_model(toy_model_folder):
    """The toy model, loaded; do not change it."""
    return ReAugKDClassifier.from_pretrained(toy_model_folder)


@pytest.fixture(scope="session")
def puzzled_model(toy_model):
    """The toy model, less sure of itself, some labels of memories and test rows wrong: something for each task."""
    first, second, third = toy_model.classes_
    rows = toy_model.memory.rows
    wrong = [Edit("relabel", name, second) for name in rows.loc[rows["label"] == first, "id"].tolist()[::2]]
    wrong += [Edit("relabel", name, first) for name in rows.loc[rows["label"] == third, "id"].tolist()[::3]]
    student, held = copy.deepcopy(toy_model.student), toy_model.evaluation_rows
    with torch.no_grad():
        for parameter in student.classifier.parameters():
            parameter.mul_(0.1)
    others = held["label"].map({first: second, second: third, third: second})
    held = held.assign(label=held["label"].where(held.index % 5 > 0, others))
    edited = apply_patch(toy_model, tuple(wrong))
    return replace(edited, student=student, evaluation_rows=held)


@pytest.fixture(scope="session")
def pooled_model(toy_model):
    """The toy model with a pool in which the student and both keys have a weight."""
    pool = Pool({"aligned": KeySettings(8, 0.1, 0.4), "text": KeySettings(8, 0.1, 0.3)}, 0.7)
    return replace(toy_model, pool=pool)


@pytest.fixture(scope="session")
def gadget_model(pooled_model):
    """The pooled model with four memories of a class that its student does not know."""
    texts = ["the shiny gadget hums", "a new gadget", "some old gadget with iron", "we saw the gadget today"]
    return apply_patch(pooled_model, tuple(Edit("add", f"gadget-{n}", "gadget", text) for n, text in enumerate(texts)))


gc.freeze()  # the Trainer collects garbage after each run: it need not walk through torch each time
