"""From a task to a saved model; interrupted trainings go on; a good model is never lost."""

import json
from dataclasses import replace

import numpy as np
import pytest

from reaugkd import recipe as recipes
from reaugkd.errors import ReAugKDError
from reaugkd.evaluation import METHODS
from reaugkd.inference import ReAugKDClassifier
from reaugkd.maps import ProjectionMaps
from reaugkd.recipe import Recipe, teach, train
from reaugkd.teacher import TeacherOutputs


class Stopped(Exception):
    """Plays the person who interrupts."""


def stop_at(stage):
    def on_progress(progress):
        if progress.stage == stage:
            raise Stopped

    return on_progress


@pytest.fixture
def quick(toy_recipe, monkeypatch):
    """One epoch each and no UMAP: these tests are about the order of things."""
    monkeypatch.setattr(recipes, "fit_maps", without_umap)
    return replace(toy_recipe, epochs=1, teacher_epochs=1)


@pytest.fixture(scope="module")
def at_once(toy_recipe, toy_task, tmp_path_factory):
    """Predictions of a model that was trained without an interruption."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "fit_maps", without_umap)
        recipe = replace(toy_recipe, epochs=1, teacher_epochs=1)
        model = train(toy_task, recipe, tmp_path_factory.mktemp("at_once") / "model")
    return model.predict_proba


def without_umap(teacher, student, seed):
    return ProjectionMaps(teacher[:, :2].copy(), student[:, :2].copy(), student)


@pytest.fixture
def stages(monkeypatch):
    """Names of the networks that were trained, in their order."""
    trained = []
    for name in ("fine_tune_teacher", "fit_projection_head", "train_student"):
        original = getattr(recipes, name)

        def spy(*arguments, _original=original, _name=name, **options):
            trained.append(arguments[5] if _name == "train_student" else _name)
            return _original(*arguments, **options)

        monkeypatch.setattr(recipes, name, spy)
    return trained


STUDENTS = ["Student alone", "Student by soft labels (KD)", "Student by ReAugKD"]


def test_metrics_json_has_the_promised_shape(toy_model_folder):
    metrics = json.loads((toy_model_folder / "metrics.json").read_text())
    assert list(metrics) == ["metric", "methods", "alignment", "seconds"]
    assert metrics["metric"] == "accuracy"
    assert tuple(metrics["methods"]) == METHODS
    for scores in metrics["methods"].values():
        assert sorted(scores) == ["test", "validation"]
        assert all(0 <= score <= 1 for score in scores.values())
    assert sorted(metrics["alignment"]) == ["cosine", "overlap_at_10"]
    assert set(metrics["seconds"]) >= {"teacher", "projection_head", "student", "kd", "reaugkd", "evaluation", "maps"}


def test_the_saved_scores_are_those_of_the_saved_model(toy_model, toy_task):
    scores = toy_model.parts.metrics["methods"]
    names = np.asarray(toy_task.label_names)
    for split in ("validation", "test"):
        gold = names[toy_task.labels(split)]
        assert (toy_model.predict(toy_task.texts(split)) == gold).mean() == pytest.approx(scores["reaugkd"][split])
        alone = toy_model.predict(toy_task.texts(split), retrieval_weight=0)
        assert (alone == gold).mean() == pytest.approx(scores["reaugkd_no_retrieval"][split])


def test_the_memory_holds_the_train_rows_and_nothing_of_the_others(toy_model, toy_task):
    rows = toy_model.parts.knowledge_base.rows
    assert rows["id"].tolist() == list(toy_task.rows["train"]["id"])
    assert rows["text"].tolist() == toy_task.texts("train")
    assert rows["label"].tolist() == [toy_task.label_names[label] for label in toy_task.labels("train")]


def test_a_saved_file_of_outputs_serves_in_the_place_of_the_teacher(quick, toy_task, tmp_path, stages):
    teach(toy_task, quick, tmp_path / "outputs.parquet")
    assert stages == ["fine_tune_teacher"]
    outputs = TeacherOutputs.load(tmp_path / "outputs.parquet")
    model = train(toy_task, quick, tmp_path / "model", teacher_outputs=outputs)
    assert stages == ["fine_tune_teacher", "fit_projection_head", *STUDENTS]
    np.testing.assert_array_equal(model.parts.knowledge_base.soft_labels, outputs.of("train")[1])
    assert model.parts.settings.teacher == quick.teacher
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "outputs.parquet"]


def test_the_way_through_a_file_gives_the_same_model_as_the_way_without(quick, toy_task, tmp_path):
    outputs = teach(toy_task, quick, tmp_path / "outputs.parquet")
    with_file = train(
        toy_task, quick, tmp_path / "one", teacher_outputs=TeacherOutputs.load(tmp_path / "outputs.parquet")
    )
    without = train(toy_task, quick, tmp_path / "other")
    np.testing.assert_array_equal(outputs.soft_labels[:90], without.parts.knowledge_base.soft_labels)
    texts = toy_task.texts("test")
    np.testing.assert_allclose(with_file.predict_proba(texts), without.predict_proba(texts), atol=1e-6)


def test_outputs_of_other_rows_are_refused(quick, toy_task, tmp_path):
    outputs = teach(toy_task, quick, tmp_path / "outputs.parquet")
    with pytest.raises(ReAugKDError, match="computed for other rows"):
        train(toy_task, quick, tmp_path / "model", teacher_outputs=replace(outputs, fingerprint="0"))
    assert not (tmp_path / "model").exists()


def test_a_teacher_known_by_its_outputs_cannot_be_kept(quick, toy_task, tmp_path):
    outputs = teach(toy_task, quick, tmp_path / "outputs.parquet")
    with pytest.raises(ReAugKDError, match="cannot be kept"):
        train(toy_task, replace(quick, keep_teacher=True), tmp_path / "model", teacher_outputs=outputs)


@pytest.mark.parametrize(
    ("stage", "again"),
    [
        ("Teacher", ["fine_tune_teacher", "fit_projection_head", *STUDENTS]),
        ("Student by soft labels (KD)", ["fit_projection_head", *STUDENTS[1:]]),
        ("Evaluation", ["fit_projection_head"]),
    ],
)
def test_an_interrupted_training_goes_on_without_the_stages_that_were_finished(
    quick, toy_task, tmp_path, stages, stage, again, at_once
):
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at(stage))
    assert not (tmp_path / "model").exists()
    stages.clear()
    resumed = train(toy_task, quick, tmp_path / "model")
    assert stages == again
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    np.testing.assert_allclose(
        resumed.predict_proba(toy_task.texts("test")), at_once(toy_task.texts("test")), atol=1e-6
    )


def test_the_last_good_model_stays_while_a_new_training_is_interrupted(quick, toy_task, tmp_path):
    good = train(toy_task, quick, tmp_path / "model")
    with pytest.raises(Stopped):
        train(toy_task, replace(quick, seed=7), tmp_path / "model", on_progress=stop_at("Maps"))
    kept = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    texts = toy_task.texts("test")
    np.testing.assert_array_equal(kept.predict_proba(texts), good.predict_proba(texts))


def test_another_seed_starts_anew_after_an_interruption(quick, toy_task, tmp_path, stages):
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Evaluation"))
    stages.clear()
    train(toy_task, replace(quick, seed=7), tmp_path / "model")
    assert stages == ["fine_tune_teacher", "fit_projection_head", *STUDENTS]


def test_a_partial_folder_of_somebody_elses_is_not_touched(quick, toy_task, tmp_path):
    precious = tmp_path / "model.partial" / "notes.txt"
    precious.parent.mkdir()
    precious.write_text("words")
    with pytest.raises(ReAugKDError, match="needed for unfinished work but holds other things"):
        train(toy_task, quick, tmp_path / "model")
    assert precious.read_text() == "words"


def test_epochs_fall_with_the_rows_and_small_tasks_get_enough_steps(toy_task):
    filled = Recipe().for_task(toy_task)  # 90 rows: 150 steps of 64 and of 32 rows
    assert (filled.epochs, filled.teacher_epochs) == (107, 54)
    assert (filled.student_training.epochs, filled.teacher_training.epochs) == (107, 54)
    assert recipes._epochs_by_size(1_000, 64, 16, 8) == 16
    assert recipes._epochs_by_size(10_000, 64, 16, 8) == 8
    assert recipes._epochs_by_size(67_000, 64, 16, 8) == 8


def test_epochs_and_seed_that_are_given_are_taken(toy_task):
    filled = Recipe(epochs=3, teacher_epochs=2, seed=9).for_task(toy_task)
    assert (filled.student_training.epochs, filled.teacher_training.epochs) == (3, 2)
    assert {s.seed for s in (filled.student_training, filled.teacher_training, filled.projection_training)} == {9}
