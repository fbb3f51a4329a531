"""From a task to a saved model; interrupted trainings go on; a good model is never lost."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import DatasetDict
from toy_data import toy_rows
from transformers import AlbertConfig, AlbertModel, T5Config, T5Model

from app.parts.map_points import map_points
from reaugkd import recipe as recipes
from reaugkd import training
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.memory_audit import memory_table
from reaugkd.analysis.refit import refit_pool
from reaugkd.errors import ReAugKDError
from reaugkd.method import choice, distillation
from reaugkd.method import keys as method_keys
from reaugkd.method.keys import fit_keys
from reaugkd.method.teacher import Teacher, TeacherOutputs
from reaugkd.model.card import METHOD_NAMES
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.maps import ProjectionMaps
from reaugkd.networks import trainer
from reaugkd.recipe import GOLD_ONLY, DistillationSettings, Recipe, model_digest
from reaugkd.tasks.task import RESERVED, make_task
from reaugkd.texts import have_siblings
from reaugkd.training import load_or_train, teach, train


class Stopped(Exception):
    """Plays the person who interrupts."""


def stop_at(stage):
    def on_progress(progress):
        if progress.stage == stage:
            raise Stopped

    return on_progress


def quick_maps(teacher, student, held_out, *, seed):
    places = np.stack([space[:, :2] for space in held_out], axis=1)
    return ProjectionMaps(np.stack([teacher[:, :2], student[:, :2]], axis=1), student, places)


@pytest.fixture(scope="module")
def quick(toy_recipe):
    """One epoch each and no UMAP: these tests are about the order of things."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "fit_maps", quick_maps)
        yield replace(toy_recipe, epochs=1, teacher_epochs=1)


@pytest.fixture(scope="module")
def at_once(quick, toy_task, tmp_path_factory):
    """A training that nobody interrupts."""
    folder = tmp_path_factory.mktemp("at_once") / "model"
    train(toy_task, quick, folder, on_progress=lambda _: None)
    return folder


@pytest.fixture(scope="module")
def outputs_file(quick, toy_task, tmp_path_factory):
    """A teacher's outputs, as `teach` writes them."""
    path = tmp_path_factory.mktemp("taught") / "outputs.parquet"
    teach(toy_task, quick, path, on_progress=lambda _: None)
    return path


def answers(folder, task):
    return ReAugKDClassifier.from_pretrained(folder).predict_proba(task.texts("test"))


@pytest.fixture
def stages(monkeypatch):
    """Names of the networks that were trained, in their order."""
    trained, original = [], distillation.run_trainer

    def spy(*arguments, **options):
        trained.append(arguments[4])
        return original(*arguments, **options)

    for module in (distillation, trainer):
        monkeypatch.setattr(module, "run_trainer", spy)
    return trained


STUDENTS = ["Student alone", "Student by soft labels (KD)", "Student by ReAugKD"]


def test_metrics_json_has_the_promised_shape_and_the_scores_of_the_model(toy_model_folder, toy_model):
    metrics = json.loads((toy_model_folder / "metrics.json").read_text())
    assert list(metrics) == ["metric", "methods", "keys", "intervals", "alignment", "memory", "seconds"]
    assert metrics["metric"] == "accuracy"
    assert set(metrics["methods"]) == set(METHOD_NAMES)
    for scores in metrics["methods"].values():
        assert sorted(scores) == ["test", "test_log_loss", "validation"]
        assert scores["test_log_loss"] > 0
    assert set(metrics["keys"]) == set(toy_model.keys)
    assert set(metrics["intervals"]) == set(metrics["methods"]) | set(metrics["keys"])
    for split in ("test", "validation"):
        rows = toy_model.held_out([split])
        right = (toy_model.predict(rows["text"].tolist()) == rows["label"]).mean()
        assert metrics["methods"]["reaugkd"][split] == pytest.approx(right)
    assert set(metrics["memory"]) == {
        *("student_weight", "key_weights", "retrieval_weight", "new_class_key", "too_few_rows"),
    }
    assert sorted(metrics["alignment"]) == [
        "cka",
        "class_agreement_at_10",
        "cosine",
        "overlap_at_10",
        "within_class_cosine",
    ]
    assert set(metrics["seconds"]) >= {
        "teacher",
        "projection_head",
        "student",
        "kd",
        "reaugkd",
        "keys",
        "evaluation",
        "maps",
    }


def test_the_saved_scores_are_those_of_the_saved_model(toy_model, toy_task):
    scores = toy_model.metrics["methods"]
    names = np.asarray(toy_task.label_names)
    for split in ("validation", "test"):
        gold = names[toy_task.labels(split)]
        assert (toy_model.predict(toy_task.texts(split)) == gold).mean() == pytest.approx(scores["reaugkd"][split])
        alone = toy_model.predict(toy_task.texts(split), retrieval_weight=0)
        assert (alone == gold).mean() == pytest.approx(scores["reaugkd_no_retrieval"][split])


def test_the_memory_holds_the_train_rows_and_nothing_of_the_others(toy_model, toy_task):
    rows = toy_model.memory.rows
    assert rows["id"].tolist() == list(toy_task.rows["train"]["id"])
    assert rows["text"].tolist() == toy_task.texts("train")
    assert rows["label"].tolist() == [toy_task.label_names[label] for label in toy_task.labels("train")]


def test_a_task_with_columns_of_any_names_makes_a_model_that_loads(quick, tmp_path, outputs_file):
    names = [*RESERVED, "weight", "number", "retrieved", "harm", "split", "kind", "seconds"]
    sizes = {"train": (30, 0), "validation": (8, 1), "test": (12, 2)}
    tables = {split: toy_rows(*size).assign(**dict.fromkeys(names, "mine")) for split, size in sizes.items()}
    train(make_task("toy", tables), quick, tmp_path / "model", teacher_outputs=TeacherOutputs.load(outputs_file))
    model = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    assert (model.memory.rows[[f"given_{name}" for name in RESERVED]] == "mine").all(axis=None)
    asked = model.answer(model.encode_rows(model.held_out(["test"])))
    assert len(memory_table(asked)) == len(model.memory)
    assert len(map_points(model, asked).rows) == len(model.memory) + len(asked.encoded)
    again = apply_patch(model, (Edit("remove", "train-1"),))
    again.save_pretrained(tmp_path / "edited")
    assert len(ReAugKDClassifier.from_pretrained(tmp_path / "edited").memory) == len(model.memory) - 1


def test_a_file_of_outputs_is_all_that_teaching_leaves(outputs_file, toy_task):
    assert [path.name for path in outputs_file.parent.iterdir()] == ["outputs.parquet"]
    TeacherOutputs.load(outputs_file).check(toy_task)


def test_outputs_go_into_a_parquet_file_only(quick, toy_task, tmp_path):
    with pytest.raises(ReAugKDError, match=r"outputs\.csv' must end in \.parquet"):
        teach(toy_task, quick, tmp_path / "outputs.csv")


def test_outputs_cannot_take_the_place_of_a_folder(quick, toy_task, tmp_path):
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(ReAugKDError, match=r"folder\.parquet' is a folder; name a file"):
        teach(toy_task, quick, tmp_path / "folder.parquet")


def test_the_way_through_a_file_trains_no_teacher_and_gives_the_same_model(
    quick, toy_task, tmp_path, stages, outputs_file, at_once
):
    outputs = TeacherOutputs.load(outputs_file)
    model = train(toy_task, quick, tmp_path / "model", teacher_outputs=outputs)
    assert stages == ["Projection head", *STUDENTS]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    calibrated = outputs.calibrated(toy_task).of("train")[1]
    np.testing.assert_array_equal(model.memory.soft_labels, calibrated)
    without = ReAugKDClassifier.from_pretrained(at_once)
    np.testing.assert_array_equal(model.memory.soft_labels, without.memory.soft_labels)
    np.testing.assert_allclose(answers(tmp_path / "model", toy_task), answers(at_once, toy_task), atol=1e-6)
    assert model.settings.teacher == without.settings.teacher == quick.teacher


def test_outputs_of_other_rows_are_refused(quick, toy_task, tmp_path, outputs_file):
    outputs = replace(TeacherOutputs.load(outputs_file), fingerprint="0")
    with pytest.raises(ReAugKDError, match="computed for other classes, rows"):
        train(toy_task, quick, tmp_path / "model", teacher_outputs=outputs)
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_known_by_its_outputs_cannot_be_kept(quick, toy_task, tmp_path, outputs_file):
    outputs = TeacherOutputs.load(outputs_file)
    with pytest.raises(ReAugKDError, match="cannot be kept"):
        train(toy_task, replace(quick, keep_teacher=True), tmp_path / "model", teacher_outputs=outputs)


@pytest.mark.parametrize(
    ("stage", "again"),
    [
        pytest.param("Teacher", ["Teacher", "Projection head", *STUDENTS], marks=pytest.mark.slow),
        ("Student by soft labels (KD)", ["Projection head", *STUDENTS[1:]]),
        pytest.param("Evaluation", ["Projection head"], marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_training_goes_on_without_the_stages_that_were_finished(
    quick, toy_task, tmp_path, stages, at_once, stage, again
):
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at(stage))
    assert [path.name for path in tmp_path.iterdir()] == ["model.partial"]
    stages.clear()
    train(toy_task, quick, tmp_path / "model", on_progress=lambda _: None)
    assert stages == again
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    np.testing.assert_allclose(answers(tmp_path / "model", toy_task), answers(at_once, toy_task), atol=1e-6)


def test_a_mistake_in_an_encoder_shows_before_the_first_stage_and_costs_nothing(
    quick, toy_task, tmp_path, stages, toy_encoder_folder
):
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Student alone"))
    stages.clear()
    too_many = "of 9 layers cannot be cut from an encoder of 4; take 1 to 4"
    for mistake, sentence in (
        ({"student": "no/encoder"}, "The model 'no/encoder' is neither a folder nor cached"),
        ({"student_layers": 9}, f"A student {too_many}"),
        ({"encoder_key": "no/key"}, "The model 'no/key' is neither a folder nor cached"),
        ({"encoder_key": str(toy_encoder_folder), "encoder_key_layers": 9}, too_many),
        ({"teacher": "no/teacher"}, "The model 'no/teacher' is neither a folder nor cached"),
    ):
        with pytest.raises(ReAugKDError, match=sentence):
            train(toy_task, replace(quick, **mistake), tmp_path / "model")
    assert stages == []
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Evaluation"))
    assert stages == ["Projection head", *STUDENTS]


@pytest.mark.parametrize(
    ("training", "stage"),
    [
        ("teacher_training", "Teacher"),
        pytest.param("student_training", "Student alone", marks=pytest.mark.slow),
    ],
)
def test_a_network_that_diverges_leaves_nothing_in_the_way_of_a_smaller_learning_rate(
    quick, toy_task, tmp_path, training, stage
):
    diverging = replace(quick, **{training: replace(getattr(quick, training), learning_rate=1e30)})
    for _ in range(2):
        with pytest.raises(ReAugKDError, match=f"The loss of the stage '{stage}' became NaN or infinite"):
            train(toy_task, diverging, tmp_path / "model", on_progress=lambda _: None)
        assert not (tmp_path / "model").exists()
    train(toy_task, quick, tmp_path / "model", on_progress=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("config", ["{}", "no json"])
def test_a_broken_folder_of_a_student_is_told_before_the_first_stage(quick, toy_task, tmp_path, config):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text(config)
    (tmp_path / "encoder" / "model.safetensors").touch()
    with pytest.raises(ReAugKDError, match="encoder' cannot be loaded as an encoder"):
        train(toy_task, replace(quick, student=str(tmp_path / "encoder")), tmp_path / "model")


def with_tokenizer_of(encoder, folder, model):
    """A random model of another architecture, with the toy encoder's tokenizer."""
    model.save_pretrained(folder)
    for file in encoder.glob("token*"):
        shutil.copy(file, folder)
    return str(folder)


@pytest.fixture
def albert(toy_encoder_folder, tmp_path):
    """All layers of ALBERT are one layer, so none can be cut off."""
    sizes = {"hidden_size": 32, "embedding_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    model = AlbertModel(AlbertConfig(num_hidden_layers=3, vocab_size=200, **sizes))
    return with_tokenizer_of(toy_encoder_folder, tmp_path / "albert", model)


@pytest.fixture
def t5(toy_encoder_folder, tmp_path):
    """An encoder with a decoder."""
    model = T5Model(T5Config(d_model=32, d_kv=16, d_ff=32, num_layers=4, num_heads=2, vocab_size=200))
    return with_tokenizer_of(toy_encoder_folder, tmp_path / "t5", model)


@pytest.fixture
def max_pooled(toy_encoder_folder, tmp_path):
    folder = shutil.copytree(toy_encoder_folder, tmp_path / "max_pooled")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    return str(folder)


@pytest.mark.parametrize(
    ("role", "encoder", "sentence"),
    [
        ("student", "max_pooled", "pools by pooling_mode_max_tokens; name an encoder with mean or CLS pooling"),
        ("encoder_key", "max_pooled", "pools by pooling_mode_max_tokens; name an encoder with mean or CLS pooling"),
        ("encoder_key", "t5", r"t5' cannot encode a text, or not when saved; name another encoder"),
        ("teacher", "t5", r"t5' cannot encode a text, or not when saved; name another encoder"),
    ],
)
def test_an_encoder_that_cannot_do_its_part_is_told_before_the_first_stage(
    quick, toy_task, tmp_path, stages, request, role, encoder, sentence
):
    recipe = replace(quick, **{role: request.getfixturevalue(encoder)})
    with pytest.raises(ReAugKDError, match=sentence) as caught:
        train(toy_task, recipe, tmp_path / "model", on_progress=stop_at("Teacher"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model.partial").exists()


def test_a_teacher_that_cannot_encode_is_told_before_it_is_taught(quick, toy_task, tmp_path, t5):
    with pytest.raises(ReAugKDError, match="t5' cannot encode a text"):
        teach(toy_task, replace(quick, teacher=t5), tmp_path / "outputs.parquet", on_progress=stop_at("Teacher"))


@pytest.mark.parametrize("layers", [None, 1])
def test_an_encoder_whose_layers_share_their_weights_serves(quick, toy_task, tmp_path, albert, layers):
    recipe = replace(quick, student=albert, student_layers=layers, encoder_key=albert)
    with pytest.raises(Stopped):
        train(toy_task, recipe, tmp_path / "model", on_progress=stop_at("Teacher"))


def test_a_tokenizer_that_knows_no_word_of_the_task_is_told_before_the_first_stage(quick, tmp_path):
    rows = pd.DataFrame({"text": ["слово", "и ещё", "другое", "снова"], "label": ["a", "b"] * 2})
    task = make_task("far", dict.fromkeys(("train", "validation", "test"), rows))
    with pytest.raises(ReAugKDError, match="toy-bert' knows no word of the texts; name one of their language"):
        train(task, quick, tmp_path / "model", on_progress=stop_at("Teacher"))


def told(task, recipe, folder):
    said = []
    with pytest.raises(Stopped):
        train(task, recipe, folder, on_progress=stop_at("Teacher"), say=said.append)
    return said


def test_texts_that_stand_in_train_too_are_told_with_their_share(quick, tmp_path):
    texts, labels = [f"apple {number}" for number in range(8)], ["a", "b"] * 4
    rows = pd.DataFrame({"text": texts, "label": labels})
    test = rows.assign(text=["apple 1", "apple 2", *(f"iron {number}" for number in range(6))])
    other = rows.assign(text=[f"rain {number}" for number in range(8)])
    said = told(make_task("t", {"train": rows, "validation": other, "test": test}), quick, tmp_path / "one")
    assert said == ["25 % of the test texts stand word for word in train, so the scores on them flatter the model."]
    said = told(make_task("t", {"train": rows, "validation": rows, "test": test}), quick, tmp_path / "two")
    assert said[0].startswith("25 % of the test texts and 100 % of the validation texts stand word for word in train")
    assert told(make_task("t", {"train": rows, "validation": other, "test": other}), quick, tmp_path / "three") == []


@pytest.mark.parametrize(("long", "said"), [(1, []), (2, ["About 10 % of the train texts are longer than max_length"])])
def test_it_is_told_where_many_train_texts_are_cut(quick, tmp_path, long, said):
    texts = ["apple " * 14] * (20 - long) + ["apple " * 15] * long  # with the first and last token 16 and 17
    train = pd.DataFrame({"text": texts, "label": ["a", "b"] * 10})
    other = pd.DataFrame({"text": ["iron", "rain"], "label": ["a", "b"]})
    found = told(make_task("t", {"train": train, "validation": other, "test": other}), quick, tmp_path / "model")
    assert [sentence[: len(said[0])] for sentence in found] == said


def test_another_encoder_key_costs_no_training(quick, toy_task, tmp_path, stages, toy_encoder_folder):
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Evaluation"))
    stages.clear()
    recipe = replace(quick, encoder_key=str(toy_encoder_folder), encoder_key_layers=3, keep_teacher=True)
    model = train(toy_task, recipe, tmp_path / "model", on_progress=lambda _: None)
    assert stages == ["Projection head"]
    assert list(model.keys) == list(model.pool.keys) == list(model.memory.keys) == ["aligned", "text", "encoder"]
    assert model.pool.new_class_key == "encoder"
    assert model.keys["encoder"].encoder.num_layers == 3
    assert model.teacher is not None
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    texts = toy_task.texts("test")
    np.testing.assert_allclose(
        loaded.predict_proba(texts, retrieval_weight=0.5), model.predict_proba(texts, retrieval_weight=0.5), atol=1e-6
    )


def test_by_default_no_further_network_is_needed(toy_model):
    assert (Recipe().encoder_key, Recipe().encoder_key_layers) == (None, None)
    assert list(toy_model.keys) == list(toy_model.memory.keys) == list(toy_model.pool.keys) == ["aligned", "text"]
    assert toy_model.pool.new_class_key == "text"


def test_the_keys_are_those_of_the_memory_and_what_is_chosen_sees_none_that_knows_siblings_of_validation_rows(
    quick, toy_task, outputs_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(choice, "FEWEST_VALIDATION", 24)
    asked = []
    original = method_keys.fit_keys

    def spy(*given, **options):
        asked.append(options.get("held_out", []))
        return original(*given, **options)

    monkeypatch.setattr(method_keys, "fit_keys", spy)
    outputs = TeacherOutputs.load(outputs_file)
    model = train(toy_task, quick, tmp_path / "model", teacher_outputs=outputs, on_progress=lambda _: None)
    assert asked == [[], toy_task.texts("validation")]
    texts = toy_task.texts("train")
    assert have_siblings(texts, toy_task.texts("validation")).any()
    keyed = fit_keys(model.memory, model.student.tokenizer)[1]
    for name, key in keyed.keys.items():
        np.testing.assert_allclose(model.memory.keys[name], key, atol=1e-6)
    # Who fits the pool again on the same rows and the same memory finds the same.
    again = refit_pool(model).pool
    assert again.student_weight == pytest.approx(model.pool.student_weight, abs=1e-3)
    for name, settings in model.pool.keys.items():
        found = again.keys[name]
        assert (found.k, found.temperature) == (settings.k, settings.temperature)
        assert found.weight == pytest.approx(settings.weight, abs=1e-3)
    assert model.pool.total_weight > model.pool.student_weight  # a student of one epoch is in need of a memory


@pytest.fixture(scope="module")
def unlabelled_outputs(quick, unlabelled_task, tmp_path_factory):
    path = tmp_path_factory.mktemp("taught") / "unlabelled.parquet"
    return teach(unlabelled_task, quick, path, on_progress=lambda _: None)


def test_unlabelled_texts_fill_the_memory_with_the_teachers_labels(
    quick, unlabelled_task, unlabelled_outputs, tmp_path, monkeypatch
):
    seen = {}
    for module, name in ((trainer, "run_trainer"), (training, "fit_maps")):
        original = getattr(module, name)

        def spy(*given, _original=original, _name=name, **options):
            seen[_name] = given
            return _original(*given, **options)

        monkeypatch.setattr(module, name, spy)
    model = train(
        unlabelled_task, quick, tmp_path / "model", teacher_outputs=unlabelled_outputs, on_progress=lambda _: None
    )
    more = len(unlabelled_task.rows["unlabelled"])
    assert len(seen["run_trainer"][1]["labels"]) == 90  # the contrastive loss is of rows with a gold label alone
    assert len(seen["fit_maps"][0]) == len(seen["fit_maps"][1]) == 90 + more
    memory, rows = model.memory, model.memory.rows
    assert rows["text"].tolist() == unlabelled_task.taught_texts
    assert rows["labelled_by"].tolist() == [""] * 90 + ["teacher"] * more
    by_teacher = unlabelled_outputs.calibrated(unlabelled_task).of("train", "unlabelled")[1]
    np.testing.assert_array_equal(memory.soft_labels, by_teacher)
    names = np.asarray(unlabelled_task.label_names)
    assert rows["label"][:90].tolist() == names[unlabelled_task.labels("train")].tolist()
    assert rows["label"][90:].tolist() == names[by_teacher[90:].argmax(axis=1)].tolist()
    assert rows["id"].is_unique
    assert [len(key) for key in memory.keys.values()] == [90 + more] * 2
    assert len(model.maps.points) == 90 + more
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.memory.rows, rows)
    neighbours = {n.number for key in loaded.explain(rows["text"][95], k=20).keys for n in key.neighbours}
    assert max(neighbours) >= 90


def test_a_task_without_unlabelled_texts_has_no_column_that_says_who_labelled_its_rows(toy_model):
    assert "labelled_by" not in toy_model.memory.rows.columns


def test_outputs_without_the_unlabelled_texts_are_refused(
    quick, toy_task, unlabelled_task, outputs_file, unlabelled_outputs, tmp_path
):
    for task, outputs in ((unlabelled_task, TeacherOutputs.load(outputs_file)), (toy_task, unlabelled_outputs)):
        with pytest.raises(ReAugKDError, match="computed for other classes, rows or splits"):
            train(task, quick, tmp_path / "model", teacher_outputs=outputs)


@pytest.mark.slow
def test_with_unlabelled_texts_an_interrupted_training_goes_on_and_without_them_it_starts_anew(
    quick, toy_task, unlabelled_task, tmp_path, stages
):
    with pytest.raises(Stopped):
        train(unlabelled_task, quick, tmp_path / "model", on_progress=stop_at("Keys of the memory"))
    stages.clear()
    with pytest.raises(Stopped):
        train(unlabelled_task, quick, tmp_path / "model", on_progress=stop_at("Evaluation"))
    assert stages == ["Projection head"]
    stages.clear()
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Evaluation"))
    assert stages == ["Teacher", "Projection head", *STUDENTS]


def test_epochs_of_the_student_fall_with_all_texts_that_it_learns_from(toy_task, unlabelled_task):
    plain, more = (Recipe().for_task(task) for task in (toy_task, unlabelled_task))
    rows = len(unlabelled_task.taught_texts)
    assert more.teacher_epochs == plain.teacher_epochs == 54
    assert more.epochs == np.ceil(150 * 64 / rows) < plain.epochs


def test_the_last_good_model_stays_while_a_new_training_is_interrupted(quick, toy_task, tmp_path, at_once):
    good = shutil.copytree(at_once, tmp_path / "model")
    with pytest.raises(Stopped):
        train(toy_task, replace(quick, seed=7), good, on_progress=stop_at("Maps"))
    np.testing.assert_array_equal(answers(good, toy_task), answers(at_once, toy_task))


@pytest.mark.slow
def test_another_seed_starts_anew_after_an_interruption(quick, toy_task, tmp_path, stages):
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Evaluation"))
    stages.clear()
    with pytest.raises(Stopped):
        train(toy_task, replace(quick, seed=7), tmp_path / "model", on_progress=stop_at("Evaluation"))
    assert stages == ["Teacher", "Projection head", *STUDENTS]


def settings_of(recipe, part, **changes):
    return replace(recipe, **{part: replace(getattr(recipe, part), **changes)})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda recipe: replace(recipe, epochs=2), marks=pytest.mark.slow),
        pytest.param(lambda recipe: replace(recipe, student_layers=1), marks=pytest.mark.slow),
        pytest.param(
            lambda recipe: settings_of(recipe, "student_training", learning_rate=1e-3), marks=pytest.mark.slow
        ),
        pytest.param(
            lambda recipe: settings_of(recipe, "projection_training", learning_rate=1e-3), marks=pytest.mark.slow
        ),
        lambda recipe: settings_of(recipe, "distillation", relational_weight=1.0),
    ],
    ids=["epochs", "layers", "student", "projection", "loss"],
)
def test_with_other_settings_of_the_student_a_finished_teacher_is_not_trained_again(
    quick, toy_task, tmp_path, stages, change
):
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Student by soft labels (KD)"))
    stages.clear()
    with pytest.raises(Stopped):
        train(toy_task, change(quick), tmp_path / "model", on_progress=stop_at("Student by soft labels (KD)"))
    assert stages == ["Projection head", *STUDENTS[:2]]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda recipe: replace(recipe, teacher_epochs=2), marks=pytest.mark.slow),
        lambda recipe: replace(recipe, max_length=12),
        pytest.param(
            lambda recipe: settings_of(recipe, "teacher_training", learning_rate=1e-3), marks=pytest.mark.slow
        ),
    ],
    ids=["epochs", "length", "training"],
)
def test_with_other_settings_of_the_teacher_it_is_trained_again(quick, toy_task, tmp_path, stages, change):
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Student alone"))
    stages.clear()
    with pytest.raises(Stopped):
        train(toy_task, change(quick), tmp_path / "model", on_progress=stop_at("Student alone"))
    assert stages[0] == "Teacher"


@pytest.mark.parametrize(
    ("split", "again"),
    [
        ("train", ["Teacher", "Projection head", *STUDENTS]),
        # they calibrate the soft labels, no more
        pytest.param("validation", ["Projection head", *STUDENTS], marks=pytest.mark.slow),
    ],
)
def test_with_other_labels_all_that_learnt_from_them_is_trained_again(quick, toy_task, tmp_path, stages, split, again):
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Evaluation"))
    stages.clear()
    labels = np.roll(toy_task.labels(split), 1).tolist()
    rows = toy_task.rows[split].remove_columns("label").add_column("label", labels)
    other = replace(toy_task, rows=DatasetDict({**toy_task.rows, split: rows}))
    with pytest.raises(Stopped):
        train(other, quick, tmp_path / "model", on_progress=stop_at("Evaluation"))
    assert stages == again


@pytest.mark.slow
def test_a_teacher_is_loaded_again_only_where_the_model_keeps_it(quick, toy_task, tmp_path, monkeypatch):
    loaded = []
    original = training.Teacher.load

    def load(folder, **options):
        loaded.append(Path(folder).name)  # what is checked before is loaded from elsewhere
        return original(folder, **options)

    monkeypatch.setattr(training.Teacher, "load", load)
    train(toy_task, quick, tmp_path / "without", on_progress=lambda _: None)
    assert loaded.count("teacher") == 0
    train(toy_task, replace(quick, keep_teacher=True), tmp_path / "with", on_progress=lambda _: None)
    assert loaded.count("teacher") == 1


@pytest.mark.slow
def test_a_working_folder_that_cannot_be_removed_costs_a_warning_and_not_the_model(
    quick, toy_task, tmp_path, at_once, stages, monkeypatch
):
    def rename(path, target):
        if path.name == "model.partial":
            raise PermissionError("a file is in use")
        return original(path, target)

    original = Path.rename
    with monkeypatch.context() as held:
        held.setattr(Path, "rename", rename)
        with pytest.warns(UserWarning, match=r"model.partial' cannot be removed \(a file is in use\); delete it"):
            train(toy_task, quick, tmp_path / "model", on_progress=lambda _: None)
    np.testing.assert_allclose(answers(tmp_path / "model", toy_task), answers(at_once, toy_task), atol=1e-6)
    stages.clear()
    train(toy_task, quick, tmp_path / "model", on_progress=lambda _: None)
    assert stages == ["Projection head"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_empty_working_folder_is_not_taken_for_somebody_elses(quick, toy_task, tmp_path):
    (tmp_path / "model.partial").mkdir()
    with pytest.raises(Stopped):
        train(toy_task, quick, tmp_path / "model", on_progress=stop_at("Teacher"))


@pytest.mark.slow
def test_unfinished_work_of_other_settings_goes_on_until_a_model_is_whole(quick, toy_task, tmp_path, stages):
    for seed in (quick.seed, 7):
        with pytest.raises(Stopped):
            train(toy_task, replace(quick, seed=seed), tmp_path / "model", on_progress=stop_at("Evaluation"))
    stages.clear()
    train(toy_task, quick, tmp_path / "model", on_progress=lambda _: None)
    assert stages == ["Projection head"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


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


def test_the_baselines_are_not_aligned(quick, toy_task, tmp_path, monkeypatch):
    losses = []
    original = distillation.DistillationObjective
    monkeypatch.setattr(
        distillation, "DistillationObjective", lambda *given: losses.append(given[1]) or original(*given)
    )
    settings = DistillationSettings(relational_weight=2.0, relational_temperature=0.2)
    with pytest.raises(Stopped):
        train(toy_task, replace(quick, distillation=settings), tmp_path / "model", on_progress=stop_at("Evaluation"))
    teacher, alone, kd, ours = losses
    assert teacher == alone == GOLD_ONLY
    assert kd == replace(settings, relational_weight=0.0)
    assert (kd.soft_label_weight, kd.gold_label_weight) == (1, 0)
    assert ours == settings


def test_an_encoder_may_be_named_by_a_path():
    recipe = Recipe(teacher=Path("a") / "folder", encoder_key=Path("key"))
    assert (recipe.teacher, recipe.encoder_key) == (str(Path("a") / "folder"), "key")


@pytest.mark.parametrize("name", ["student_layers", "encoder_key_layers", "max_length"])
def test_what_must_be_at_least_one_is_refused_below(name):
    with pytest.raises(ReAugKDError, match=f"The setting {name} is -1; it must be at least 1"):
        Recipe(**{name: -1})


def test_a_changed_recipe_takes_settings_of_the_loss_by_their_own_names():
    changed = Recipe(seed=3).updated(epochs=2, relational_weight=0.0, candidates="batch")
    loss = DistillationSettings(relational_weight=0.0, candidates="batch")
    assert changed == Recipe(seed=3, epochs=2, distillation=loss)
    with pytest.raises(ReAugKDError, match="There is no setting 'epoch'; there are teacher, student"):
        Recipe().updated(epoch=2)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(ReAugKDError, match=f"The setting seed is {seed}; it must be from 0 to 4,294,967,295"):
        Recipe(seed=seed)


@pytest.mark.parametrize("value", [0, 0.0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["epochs", "teacher_epochs"])
def test_no_epochs_at_all_are_refused_and_not_taken_for_the_default(name, value):
    with pytest.raises(
        ReAugKDError, match=f"The setting {name} is {value}; it must be above 0 and finite, or left out"
    ):
        Recipe(**{name: value})


def test_a_cached_model_has_another_name_wherever_it_would_be_another(toy_task, toy_recipe):
    recipe = toy_recipe.for_task(toy_task)
    shorter = copy.deepcopy(toy_task)
    shorter.rows["train"] = shorter.rows["train"].select(range(len(shorter.rows["train"]) - 1))
    names = [
        model_digest(toy_task, recipe, None),
        model_digest(toy_task, recipe.updated(seed=1).for_task(toy_task), None),
        model_digest(toy_task, recipe.updated(relational_weight=0.0), None),
        model_digest(toy_task, replace(recipe, keep_teacher=True), None),
        model_digest(shorter, recipe, None),
    ]
    assert len(set(names)) == len(names)
    assert names[0] == model_digest(toy_task, toy_recipe.for_task(toy_task), None)


def test_a_student_alone_is_checked_and_recorded_as_a_whole_training_is(quick, toy_task, tmp_path, monkeypatch):
    monkeypatch.setenv("REAUGKD_CACHE", str(tmp_path))
    options = {"ablations": False, "on_progress": lambda _: None}
    kept = load_or_train(toy_task, replace(quick, keep_teacher=True), **options)
    (folder,) = tmp_path.glob("models/*/teacher")
    outputs = replace(Teacher.load(folder).outputs(toy_task), teacher="another")
    assert kept.teacher is not None
    assert load_or_train(toy_task, quick, teacher_outputs=outputs, **options).settings.teacher == "another"
    with pytest.raises(ReAugKDError, match="only known by its outputs"):
        load_or_train(toy_task, replace(quick, keep_teacher=True), teacher_outputs=outputs, **options)
