"""A study trains each student once, goes on where it stopped, and chooses before it reads a test label."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from toy_data import toy_rows
from transformers import AutoTokenizer

from reaugkd.errors import ReAugKDError
from reaugkd.method import choice
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.choice import choose_linear, choose_pool
from reaugkd.method.distillation import Student
from reaugkd.method.keys import UntunedEncoder, fit_keys
from reaugkd.method.memory import Memory
from reaugkd.method.teacher import TeacherOutputs
from reaugkd.study import answers as answers_module
from reaugkd.study import report as report_module
from reaugkd.study import run as study_module
from reaugkd.study import scenarios
from reaugkd.study.answers import study_answers
from reaugkd.study.plan import POOLS, SCENARIOS, read_study
from reaugkd.study.report import (
    ALL_TASKS,
    LEGEND,
    alignment_table,
    compared,
    comparison_figure,
    in_markdown,
    scenario_figure,
    scenario_table,
    summarised,
    write_report,
)
from reaugkd.study.run import StudyRecord, run_scenarios, run_study, scenario_rows
from reaugkd.tasks.task import Task

WAYS = ["off", "linear", "pool", "memory", *list(POOLS)[1:]]
ENCODERS = ["pool+encoder1", "pool+encoder2"]
QUICK = {"epochs": 3, "batch_size": 16, "bf16": False, "freeze_word_embeddings": False, "learning_rate": 5e-4}


@pytest.fixture(scope="module", autouse=True)
def _few_settings():
    """Few k and temperatures to choose from: the choice itself has its own tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "GRID_K", (4, 16))
        patch.setattr(choice, "GRID_TEMPERATURE", (0.05, 0.4))
        yield


@pytest.fixture(scope="module")
def plan(toy_encoder_folder, wide_encoder_folder):
    """Two tasks, two teachers of which one teaches KD alone, three methods, two seeds."""
    student = {"student": str(toy_encoder_folder), "max_length": 16, "epochs": 3, "student_training": QUICK}
    student |= {"projection_training": {"epochs": 3, "batch_size": 45, "bf16": False}}
    loss = {"soft_label_weight": 0, "gold_label_weight": 1, "relational_weight": 0}
    return {
        "tasks": {
            name: {split: f"{name}/{split}.csv" for split in ("train", "validation", "test")} for name in ("one", "two")
        },
        "teachers": {
            "wide": {"encoder": str(wide_encoder_folder), "seeds": [3]},
            "narrow": {"encoder": str(toy_encoder_folder), "seeds": [4], "methods": ["kd"]},
        },
        "methods": {
            "student": {**student, "distillation": loss},
            "kd": {**student, "distillation": {"relational_weight": 0}},
            "reaugkd": student,
        },
        "seeds": [0, 1],
        "compare": [["reaugkd/pool", "kd/off"], ["kd/off", "student/off"]],
        "encoder_key": {"encoder": str(wide_encoder_folder), "layers": [1, 2]},
    }


def write_data(folder, garble=False):
    for number, name in enumerate(("one", "two")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        toy_rows(25, seed=number).to_csv(folder / name / "train.csv", index=False)
        toy_rows(20, seed=20 + number).to_csv(folder / name / "validation.csv", index=False)
        test = toy_rows(8, seed=50 + number)
        if garble:
            test["label"] = test["label"].iloc[::-1].to_numpy()
        test.to_csv(folder / name / "test.csv", index=False)


def run_quickly(study, folder):
    """Run a study; the toy teacher is made quick by the recipe that the runner asks for."""
    original, quick = study_module.Recipe, {"max_length": 16, "teacher_epochs": 3}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_module, "Recipe", lambda **options: original(**options, **quick))
        run_study(study, folder, folder / "work", say=lambda _: None)


@pytest.fixture(scope="module")
def finished(plan, tmp_path_factory):
    """The study, run once: plan's file, data and work folder."""
    folder = tmp_path_factory.mktemp("study")
    write_data(folder)
    (folder / "study.yaml").write_text(yaml.safe_dump(plan))
    run_quickly(read_study(folder / "study.yaml"), folder)
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished study, for tests that change what lies there."""
    return shutil.copytree(finished, tmp_path / "copied")


def one_task(finished):
    """The study on its first task alone."""
    study = read_study(finished / "study.yaml")
    return replace(study, tasks={"one": study.tasks["one"]})


def without_rows(answers):
    """Answers without what they hold of each test row, which pandas cannot compare."""
    return answers.drop(columns=["predicted", "gold_log_probability"])


def run_of(study, task, method, teacher="wide", seed=0):
    """The run of one student."""
    named = {"task": task, "teacher": teacher, "method": method, "seed": seed}
    return next(run for run in study.students() if named.items() <= run.about.items())


def with_kd_of_one_epoch(plan, path):
    path.write_text(
        yaml.safe_dump({**plan, "methods": {**plan["methods"], "kd": {**plan["methods"]["kd"], "epochs": 1}}})
    )
    return read_study(path)


def test_a_teacher_teaches_the_methods_that_it_names(plan, tmp_path):
    (tmp_path / "study.yaml").write_text(
        yaml.safe_dump({**plan, "teachers": {**plan["teachers"], "narrow": {"encoder": "x", "methods": ["kd"]}}})
    )
    students = read_study(tmp_path / "study.yaml").students()
    found = {(run.about["teacher"], run.about["method"]) for run in students}
    assert found == {("none", "student"), ("wide", "kd"), ("wide", "reaugkd"), ("narrow", "kd")}


@pytest.fixture
def trained(monkeypatch):
    """Names of the students that are trained."""
    names = []
    original = Student.fit

    def spy(*arguments, folder, **options):
        names.append(folder.parent.stem)
        return original(*arguments, folder=folder, **options)

    monkeypatch.setattr(Student, "fit", spy)
    return names


@pytest.mark.slow
def test_a_student_that_learns_from_no_teacher_is_trained_once_for_all_teachers(finished):
    runs = list(read_study(finished / "study.yaml").students())
    assert len(runs) == len({run.file for run in runs}) == 2 * 2 * (1 + 2 + 1)
    assert sum(run.about["teacher"] == "none" for run in runs) == 4
    assert [run.about["seed"] for run in runs] == [seed for seed in (0, 1) for _ in runs[:8]]


def test_a_finished_study_trains_nothing_again_and_a_lost_student_alone_is_made_anew(finished, trained, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(finished, copy)
    study = read_study(copy / "study.yaml")
    run_study(study, copy, copy / "work", say=lambda _: None)
    assert trained == []
    (copy / "work" / "students" / "two" / "wide" / "kd-1.npz").unlink()
    run_study(study, copy, copy / "work", say=lambda _: None)
    assert trained == ["kd-1"]
    before, after = (np.load(folder / "work" / "students/two/wide/kd-1.npz") for folder in (finished, copy))
    np.testing.assert_allclose(before["test_probabilities"], after["test_probabilities"], atol=1e-5)


@pytest.mark.parametrize("column", ["label", "text"])
def test_a_folder_that_was_made_of_other_rows_or_labels_is_refused(copied, trained, column):
    study, before = read_study(copied / "study.yaml"), (copied / "work" / "data.json").read_text()
    path = copied / study.tasks["one"]["train"]
    rows = pd.read_csv(path)
    rows.loc[:3, column] = rows[column].iloc[-1]
    rows.to_csv(path, index=False)
    with pytest.raises(ReAugKDError, match="train labels of 'one' differ from .* name a new folder with --out"):
        run_study(study, copied, copied / "work", say=lambda _: None)
    assert trained == []
    assert (copied / "work" / "data.json").read_text() == before


def test_a_changed_setting_trains_the_students_that_it_concerns(finished, trained, plan, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(finished, copy)
    changed = {**plan, "methods": {**plan["methods"], "kd": {**plan["methods"]["kd"], "epochs": 1}}}
    (copy / "study.yaml").write_text(yaml.safe_dump(changed))
    run_study(read_study(copy / "study.yaml"), copy, copy / "work", say=lambda _: None)
    assert sorted(set(trained)) == ["kd-0", "kd-1"]


def test_an_interrupted_student_goes_on_by_the_same_settings_only(copied, plan, monkeypatch):
    (copied / "work" / "students" / "one" / "wide" / "kd-0.npz").unlink()
    begun, original = [], Student.fit

    def interrupted(task, memory, recipe, *, folder, **_):
        begun.append((recipe.epochs, folder.is_dir()))
        folder.mkdir(parents=True, exist_ok=True)
        raise InterruptedError

    monkeypatch.setattr(Student, "fit", interrupted)
    for study in (read_study(copied / "study.yaml"),) * 2 + (with_kd_of_one_epoch(plan, copied / "other.yaml"),):
        with pytest.raises(InterruptedError):
            run_study(study, copied, copied / "work", say=lambda _: None)
    assert begun == [(3, False), (3, True), (1, False)]
    monkeypatch.setattr(Student, "fit", original)
    run_study(study, copied, copied / "work", say=lambda _: None)
    assert not list((copied / "work" / "students").rglob("*.partial"))


def test_a_teacher_of_other_settings_is_trained_anew_though_it_has_the_same_name(finished, plan, tmp_path, monkeypatch):
    teachers = {"wide": {**plan["teachers"]["wide"], "encoder": "another"}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**plan, "teachers": teachers}))
    before, after = read_study(finished / "study.yaml"), read_study(tmp_path / "study.yaml")
    more = {"wide": replace(before.teachers["wide"], methods=("kd",), seeds=(3, 4))}
    same, other, named = (
        next(run.outputs_file for run in study.students() if run.about["teacher"] == "wide")
        for study in (before, after, replace(before, teachers=more))
    )
    assert same == named != other
    taught = []

    def teach(task, recipe, path, **_):
        taught.append((task.name, recipe.teacher))
        raise InterruptedError

    monkeypatch.setattr(study_module, "teach", teach)
    with pytest.raises(InterruptedError):
        run_study(after, finished, finished / "work", say=lambda _: None)
    assert taught == [("one", "another")]


def test_methods_of_other_projection_heads_share_no_keys(finished, plan, trained, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(finished, copy)
    other = {**plan["methods"]["reaugkd"], "projection_temperature": 0.5}
    (copy / "study.yaml").write_text(yaml.safe_dump({**plan, "methods": {**plan["methods"], "other": other}}))
    study = read_study(copy / "study.yaml")
    run_study(study, copy, copy / "work", say=lambda _: None)
    assert sorted(set(trained)) == ["other-0", "other-1"]
    ours, theirs = (
        np.load(copy / "work" / run_of(study, "one", method).keys_file)["train"] for method in ("reaugkd", "other")
    )
    assert np.abs(ours - theirs).max() > 1e-3


def test_no_test_label_is_read_before_everything_of_the_student_is_chosen(finished, monkeypatch):
    reads, chosen, labels = [], [], Task.labels
    monkeypatch.setattr(Task, "labels", lambda self, split: reads.append(split) or labels(self, split))

    def unread(fit):
        def spy(*arguments):
            before = reads.count("test")
            found = fit(*arguments)
            assert reads.count("test") == before
            chosen.append(fit.__name__)
            return found

        return spy

    monkeypatch.setattr(answers_module, "choose_ways", unread(answers_module.choose_ways))
    monkeypatch.setattr(answers_module, "search_by", unread(answers_module.search_by))
    study_answers(one_task(finished), finished, finished / "work")
    students, keys = chosen.count("choose_ways"), chosen.count("search_by")
    assert (students, keys) == (8, 4)  # methods of one teacher share its memory
    assert reads.count("test") == students


@pytest.fixture(scope="module")
def answered(finished):
    """What the finished study answers."""
    return study_answers(read_study(finished / "study.yaml"), finished, finished / "work")


@pytest.mark.slow
def test_a_student_that_other_settings_trained_is_not_reported_and_a_record_of_todays_is(copied, plan, answered):
    study = with_kd_of_one_epoch(plan, copied / "study.yaml")
    assert set(study_answers(study, copied, copied / "work")["method"]) == {"student", "reaugkd"}
    kd = run_of(study, "one", "kd", teacher="narrow")
    record = answered[answered["method"] == "student"].head(1).assign(**kd.about, test=0.125)
    after = study_answers(study, copied, copied / "work", StudyRecord(record))
    assert after.loc[after["method"] == "kd", "test"].tolist() == [0.125]
    others = [without_rows(table[table["method"] != "kd"]) for table in (answered, after)]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in others))


def test_a_student_of_a_teacher_that_is_another_one_today_is_not_reported(copied, plan):
    teachers = {"wide": {**plan["teachers"]["wide"], "encoder": "another"}}
    methods = {name: changes for name, changes in plan["methods"].items() if name != "student"}
    changed = {**plan, "teachers": teachers, "methods": methods, "compare": []}
    (copied / "study.yaml").write_text(yaml.safe_dump(changed))
    assert study_answers(read_study(copied / "study.yaml"), copied, copied / "work").empty


@pytest.mark.parametrize("lost", ["keys", "encoder_layers"])
def test_a_trained_student_whose_keys_are_lost_is_told_unless_it_is_recorded(copied, answered, lost):
    study = read_study(copied / "study.yaml")
    shutil.rmtree(copied / "work" / lost)
    with pytest.raises(ReAugKDError, match=f"trained, but .*/{lost}/.* run the study without --report-only"):
        study_answers(study, copied, copied / "work")
    again = study_answers(study, copied, copied / "work", StudyRecord(answered))
    pd.testing.assert_frame_equal(without_rows(again), without_rows(answered))


@pytest.mark.slow
def test_an_encoder_key_of_another_encoder_answers_for_no_student(copied, plan, toy_encoder_folder):
    other = {**plan["encoder_key"], "encoder": str(toy_encoder_folder)}
    (copied / "study.yaml").write_text(yaml.safe_dump({**plan, "encoder_key": other}))
    with pytest.raises(
        ReAugKDError, match="encoder_layers/one-[0-9a-f]+.npz', which it answers by, is missing or of other settings"
    ):
        study_answers(read_study(copied / "study.yaml"), copied, copied / "work")
    without = {name: part for name, part in plan.items() if name != "encoder_key"}
    (copied / "study.yaml").write_text(yaml.safe_dump(without))
    found = study_answers(read_study(copied / "study.yaml"), copied, copied / "work")
    assert found.groupby("method")["answer"].unique().map(list).to_dict() == {
        "student": ["off"],
        "kd": WAYS,
        "reaugkd": WAYS,
    }


@pytest.mark.slow
def test_a_student_that_is_not_aligned_has_its_keys_though_the_aligned_one_is_recorded(copied, answered, trained):
    study = read_study(copied / "study.yaml")
    shutil.rmtree(copied / "work" / "keys")
    known = StudyRecord(answered[answered["method"] == "reaugkd"])
    run_study(study, copied, copied / "work", say=lambda _: None, known=known)
    assert trained == []
    again = study_answers(study, copied, copied / "work", known)
    assert again.groupby("method")["answer"].nunique().to_dict() == {"student": 1, "kd": 12, "reaugkd": 12}


def test_the_choices_are_the_same_when_the_test_labels_are_garbled(finished, answered, tmp_path):
    write_data(tmp_path, garble=True)
    honest = answered[answered["task"] == "one"].reset_index(drop=True)
    garbled = study_answers(one_task(finished), tmp_path, finished / "work")
    chosen = [*("task", "teacher", "method", "seed", "answer", "chosen"), "validation", "validation_log_loss"]
    pd.testing.assert_frame_equal(honest[chosen], garbled[chosen])
    assert (honest["test"] != garbled["test"]).any()


def test_every_way_to_answer_is_scored_for_every_student(finished, answered):
    by_student = answered.groupby(["task", "teacher", "method", "seed"])["answer"].agg(list)
    assert len(by_student) == 16
    for (_, _, method, _), found in by_student.items():
        assert found == (["off"] if method == "student" else [*WAYS, *ENCODERS])
    said = np.load(finished / "work/students/one/wide/reaugkd-0.npz")["test_probabilities"].astype(np.float64)
    gold = read_study(finished / "study.yaml").load("one", finished).labels("test")
    row = one_row(answered, "one", ("reaugkd", "wide"), "off")
    temperature = json.loads(row["chosen"])["student_temperature"]
    calibrated = said ** (1 / temperature) / (said ** (1 / temperature)).sum(axis=1, keepdims=True)
    of_gold = np.log(calibrated[np.arange(len(gold)), gold])
    np.testing.assert_array_equal(row["predicted"], said.argmax(axis=1))
    assert row["test"] == pytest.approx((said.argmax(axis=1) == gold).mean())
    assert row["log_loss"] == pytest.approx(-of_gold.mean())
    np.testing.assert_allclose(row["gold_log_probability"].astype(np.float64), of_gold, rtol=1e-3, atol=1e-4)
    (outputs,) = (finished / "work" / "teachers").glob("one-wide-3-*.parquet")
    teacher = TeacherOutputs.load(outputs).of("test")[1].argmax(axis=1)
    assert row["teacher_test"] == pytest.approx((teacher == gold).mean())
    assert answered[answered["method"] == "student"]["teacher_test"].isna().all()


def one_row(answered, task, of_student, way, seed=0):
    """The row of one way to answer of a student, which is named by method and teacher."""
    method, teacher = of_student[:2]
    wanted = {"task": task, "teacher": teacher, "method": method, "seed": seed, "answer": way}
    (row,) = answered[(answered[list(wanted)] == pd.Series(wanted)).all(axis=1)].to_dict("records")
    return row


def own_path(finished, tokenizer, of_student, encoder=None):
    """What a student of task two says, with keys and memory as a model has them: to choose by, and to answer by."""
    method, teacher, teacher_seed = of_student
    task, work = read_study(finished / "study.yaml").load("two", finished), finished / "work"
    (outputs,) = (work / "teachers").glob(f"two-{teacher}-{teacher_seed}-*.parquet")
    (z,) = (work / "keys").glob(f"two-{teacher}-{teacher_seed}-*.npz")
    soft_labels, texts = TeacherOutputs.load(outputs).calibrated(task).of("train")[1], task.texts("train")
    memory = Memory.of(task, soft_labels, np.load(z)["train"])
    untuned = None if encoder is None else UntunedEncoder.of(encoder[0], texts, layers=encoder[1])
    said, found = np.load(work / "students" / "two" / teacher / f"{method}-0.npz"), []
    for split, held_out in (("validation", task.texts("validation")), ("test", ())):
        keys, keyed = fit_keys(memory, tokenizer, encoder=untuned, held_out=held_out)
        x = said[f"{split}_embeddings"].astype(np.float32)
        queries = {name: key.embed(task.texts(split), x) for name, key in keys.items()}
        found.append((EncodedTexts(task.texts(split), x, said[f"{split}_probabilities"], queries), keyed))
    return task, *found


def log_loss_of(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize(
    "of_student",
    [("reaugkd", "wide", 3), ("kd", "wide", 3), ("kd", "narrow", 4)],
    ids=lambda given: "-".join(given[:2]),
)
def test_the_answers_by_a_memory_are_those_of_the_models_own_path(finished, answered, toy_encoder_folder, of_student):
    tokenizer = AutoTokenizer.from_pretrained(toy_encoder_folder)
    task, (held_out, memory_to_choose), (test, memory) = own_path(finished, tokenizer, of_student)
    labels, gold, opened = task.labels("validation"), task.labels("test"), []
    for way, names in {"pool": ["aligned", "text"], "aligned": ["aligned"], "text": ["text"]}.items():
        row, chosen = (
            one_row(answered, "two", of_student, way),
            choose_pool(held_out, labels, memory_to_choose, names),
        )
        found, pool = answer(test, memory, chosen.pool).pooled.probabilities, chosen.pool
        np.testing.assert_array_equal(row["predicted"], found.argmax(axis=1))
        assert row["log_loss"] == pytest.approx(log_loss_of(found, gold), rel=1e-6)
        assert row["validation_log_loss"] == pytest.approx(log_loss_of(chosen.unseen, labels), rel=1e-6)
        assert row["validation"] == pytest.approx((chosen.unseen.argmax(axis=1) == labels).mean())
        said = json.loads(row["chosen"])
        weights = {name: key.weight for name, key in pool.keys.items()}
        assert said.pop("weights") == pytest.approx({"student": pool.student_weight} | weights)
        assert said == {name: {"k": key.k, "temperature": key.temperature} for name, key in pool.keys.items()}
        opened += [weight > 0 for weight in weights.values()]
        if way == "pool":
            row = one_row(answered, "two", of_student, "memory")
            alone = answer(test, memory, replace(pool, retrieval_weight=1.0)).pooled.probabilities
            np.testing.assert_array_equal(row["predicted"], alone.argmax(axis=1))
            assert row["log_loss"] == pytest.approx(log_loss_of(alone, gold), rel=1e-6)
    assert any(opened) or of_student[1] == "narrow"  # no key helps that teacher's student
    row, linear = (
        one_row(answered, "two", of_student, "linear"),
        choose_linear(held_out, labels, memory_to_choose, "aligned", "accuracy"),
    )
    found = answer(test, memory, linear).pooled.probabilities
    np.testing.assert_array_equal(row["predicted"], found.argmax(axis=1))
    assert json.loads(row["chosen"])["retrieval_weight"] == linear.retrieval_weight


@pytest.mark.parametrize("layers", [1, 2])
def test_the_encoder_key_is_that_of_a_model_with_so_many_layers(
    finished, answered, toy_encoder_folder, wide_encoder_folder, layers
):
    tokenizer, of_student = AutoTokenizer.from_pretrained(toy_encoder_folder), ("reaugkd", "wide", 3)
    given = own_path(finished, tokenizer, of_student, (wide_encoder_folder, layers))
    task, (held_out, memory_to_choose), (test, memory) = given
    chosen = choose_pool(held_out, task.labels("validation"), memory_to_choose, ["aligned", "text", "encoder"])
    found = answer(test, memory, chosen.pool).pooled.probabilities
    row = one_row(answered, "two", of_student, f"pool+encoder{layers}")
    np.testing.assert_array_equal(row["predicted"], found.argmax(axis=1))
    assert row["log_loss"] == pytest.approx(log_loss_of(found, task.labels("test")), rel=1e-2)  # layers in float16
    of_encoder = json.loads(row["chosen"])[f"encoder{layers}"]
    assert (of_encoder["k"], of_encoder["temperature"]) == (
        chosen.pool.keys["encoder"].k,
        chosen.pool.keys["encoder"].temperature,
    )


def test_a_task_with_unlabelled_rows_is_taught_and_searched_with_them(plan, tmp_path, monkeypatch):
    write_data(tmp_path)
    toy_rows(15, seed=90)[["text"]].to_csv(tmp_path / "one" / "unlabelled.csv", index=False)
    tasks = {"one": {**plan["tasks"]["one"], "unlabelled": "one/unlabelled.csv"}}
    methods = {name: plan["methods"][name] for name in ("student", "reaugkd")}
    changes = {"tasks": tasks, "methods": methods, "seeds": [0], "compare": []}
    changes["teachers"] = {"wide": plan["teachers"]["wide"]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**plan, **changes}))
    study, taught, memories, labelled = read_study(tmp_path / "study.yaml"), [], [], []
    distill, fit, gold = Student.fit, answers_module.fit_keys, answers_module.gold_classifier
    monkeypatch.setattr(Student, "fit", lambda *given, **more: taught.append(given[1]) or distill(*given, **more))
    monkeypatch.setattr(
        answers_module, "fit_keys", lambda *given, **more: memories.append(given) or fit(*given, **more)
    )
    monkeypatch.setattr(answers_module, "gold_classifier", lambda *given: labelled.append(given[1:3]) or gold(*given))
    run_quickly(study, tmp_path)
    task = study.load("one", tmp_path)
    count = len(task.taught_texts)
    assert count > 75 + 30
    (outputs,) = (tmp_path / "work" / "teachers").glob("one-wide-3-*.parquet")
    soft_labels = TeacherOutputs.load(outputs).calibrated(task).of("train", "unlabelled")[1]
    assert taught[1] is None  # ReAugKD first
    np.testing.assert_array_equal(taught[0].soft_labels, soft_labels)
    assert len(taught[0]) == count
    found = study_answers(study, tmp_path, tmp_path / "work")
    assert found["answer"].tolist() == [*WAYS, *ENCODERS, "off"]
    for memory, _ in memories:
        assert (len(memory), memory.texts) == (count, task.taught_texts)
        np.testing.assert_array_equal(memory.labels[75:], soft_labels[75:].argmax(axis=1))
        np.testing.assert_allclose(memory.teacher_embeddings, taught[0].teacher_embeddings, atol=1e-6)
    for texts, labels in labelled:  # only train rows have a gold label
        assert set(texts) <= set(task.texts("train"))
        by_text = dict(zip(task.texts("train"), task.labels("train").tolist(), strict=True))
        assert labels.tolist() == [by_text[text] for text in texts]


def test_what_is_recorded_is_not_chosen_again(finished, answered, monkeypatch):
    study, chosen, choose = read_study(finished / "study.yaml"), [], answers_module.choose_ways
    monkeypatch.setattr(answers_module, "choose_ways", lambda *given: chosen.append(given[0].name) or choose(*given))
    known = answered[(answered["task"] == "one") | (answered["seed"] == 1)]
    again = study_answers(study, finished, finished / "work", StudyRecord(known))
    assert chosen == ["two"] * 4
    pd.testing.assert_frame_equal(without_rows(again), without_rows(answered))


def test_comparisons_are_a_bootstrap_by_hand_over_seeds_and_rows_and_tasks_draw_on_their_own(finished, answered):
    study = read_study(finished / "study.yaml")
    gold = {name: study.load(name, finished).labels("test") for name in study.tasks}
    table = compared(answered, gold, study.compare).set_index(["ours", "teacher", "task"])
    points, nats, drawn = {}, {}, {}
    for number, task in enumerate(("one", "two")):
        scores, losses = [], []
        for of_student in (("kd", "wide"), ("student", "none")):
            rows = [one_row(answered, task, of_student, "off", seed) for seed in (0, 1)]
            scores.append(np.stack([row["predicted"] for row in rows]) == gold[task])
            losses.append(-np.stack([row["gold_log_probability"] for row in rows]).astype(np.float64))
        points[task], nats[task] = 100.0 * scores[0] - 100.0 * scores[1], losses[0] - losses[1]
        generator, drawn[task] = np.random.default_rng(number), []
        for _ in range(1_000):
            seeds = generator.integers(2, size=2)
            some = generator.integers(24, size=24)
            drawn[task].append([found[seeds][:, some].mean() for found in (points[task], nats[task])])
    drawn[ALL_TASKS] = (np.asarray(drawn["one"]) + np.asarray(drawn["two"])) / 2
    means = {task: (points[task].mean(), nats[task].mean()) for task in points}
    means[ALL_TASKS] = np.mean([means["one"], means["two"]], axis=0)
    for task, (mean, loss) in means.items():
        row, ends = table.loc[("kd/off", "wide", task)], np.percentile(drawn[task], [2.5, 97.5], axis=0)
        assert row[["mean", "low", "high"]].tolist() == pytest.approx([mean, *ends[:, 0]], abs=1e-9)
        assert row[["log_loss", "log_loss_low", "log_loss_high"]].tolist() == pytest.approx(
            [loss, *ends[:, 1]], abs=1e-9
        )
        assert row["seeds"] == 2
    assert set(table.loc["kd/off"].index.get_level_values("teacher")) == {"wide", "narrow"}
    assert set(table.loc["reaugkd/pool"].index.get_level_values("teacher")) == {"wide"}


def test_two_sides_that_say_the_same_differ_by_nothing(answered, finished):
    gold = {name: read_study(finished / "study.yaml").load(name, finished).labels("test") for name in ("one", "two")}
    table = compared(answered, gold, (("kd/pool", "kd/pool"),))
    assert table["task"].tolist() == ["one", "two", ALL_TASKS] * 2
    assert (table[["mean", "low", "high", "log_loss", "log_loss_low", "log_loss_high"]] == 0).all(axis=None)


def answers_by_hand(right, tasks=("one", "two")):
    """Answers of methods a and b to 8 test rows of class 0; ``right`` of them, by task, method and seed, are right."""
    rows = [
        {"task": task, "teacher": "t", "method": method, "answer": "off", "seed": seed, "metric": "accuracy"}
        | {"test": many / 8, "log_loss": 0.5, "predicted": np.repeat([0, 1], [many, 8 - many])}
        | {"gold_log_probability": np.full(8, -1.0 / (1 + seed))}
        for task in tasks
        for method, by_seed in right[task].items()
        for seed, many in enumerate(by_seed)
    ]
    return pd.DataFrame(rows)


def compared_by_hand(*given, **options):
    gold = {task: np.zeros(8, dtype=np.int64) for task in ("one", "two")}
    return compared(answers_by_hand(*given, **options), gold, (("a/off", "b/off"),)).set_index("task")


def test_seeds_that_only_one_side_has_do_not_count():
    table = compared_by_hand({"one": {"a": (6, 7, 0), "b": (5, 6)}, "two": {"a": (6,), "b": (5, 5)}})
    assert table["mean"].tolist() == [12.5, 12.5, 12.5]
    assert table["seeds"].tolist() == [2, 1, 1]
    assert (table["log_loss"] == 0).all()
    title = comparison_figure(table.reset_index()).layout.title.text
    assert title.startswith("a/off minus b/off: +12.50 points on all tasks")
    assert "mean and 95 % interval over 1 to 2 seeds" in title


def test_a_summary_has_an_interval_where_there_are_three_seeds():
    two = summarised(answers_by_hand({"one": {"a": (6, 7)}}, tasks=("one",)))
    assert two["mean"].tolist() == [81.25]
    assert two[["low", "high"]].isna().all(axis=None)
    (three,) = summarised(answers_by_hand({"one": {"a": (4, 5, 6)}}, tasks=("one",))).to_dict("records")
    half = 4.302653 * 12.5 / np.sqrt(3)  # t of 2 degrees of freedom; 50, 62.5 and 75 percent
    assert (three["low"], three["mean"], three["high"]) == pytest.approx((62.5 - half, 62.5, 62.5 + half))


def test_the_average_over_tasks_is_written_only_where_every_task_has_a_seed_to_share():
    right = {"one": {"a": (6, 7), "b": (5, 6)}, "two": {"a": (6, 7), "b": (5, 5)}}
    assert ALL_TASKS in compared_by_hand(right).index
    assert compared_by_hand({**right, "two": {"a": (6, 7)}}).index.tolist() == ["one"]
    assert compared_by_hand(right, tasks=("one",)).index.tolist() == ["one"]


def test_the_average_alone_has_a_colour_of_its_own():
    about = {"ours": "a/off", "baseline": "b/off", "mean": 1.0, "low": 0.0, "high": 2.0, "seeds": 3}
    for tasks in (["one", "two", ALL_TASKS], ["one", "two"]):
        figure = comparison_figure(pd.DataFrame([about | {"task": task} for task in tasks]))
        colours = {task: trace.marker.color for trace in figure.data for task in trace.y}
        assert set(colours) == set(tasks)
        assert [task for task in tasks if colours[task] != colours["one"]] == tasks[2:]


def test_a_summary_is_the_mean_over_seeds(answered):
    table = summarised(answered).set_index(["task", "teacher", "method", "answer"])
    kd = answered[answered[["task", "teacher", "method", "answer"]].eq(["two", "narrow", "kd", "off"]).all(axis=1)]
    assert table.loc[("two", "narrow", "kd", "off")]["mean"] == pytest.approx(100 * kd["test"].mean())


def test_alignment_is_measured_on_the_test_texts_of_every_student_that_has_a_teacher(finished, answered):
    study = read_study(finished / "study.yaml")
    table = alignment_table(answered)
    assert table.groupby(["task", "teacher"])["method"].agg(list).to_dict() == {
        (task, teacher): methods
        for task in ("one", "two")
        for teacher, methods in (("wide", ["kd", "reaugkd"]), ("narrow", ["kd"]))
    }
    assert set(table["seeds"]) == {2}
    z = np.load(finished / "work" / run_of(study, "one", "reaugkd").keys_file)["test"].astype(np.float64)
    cosines = []
    for seed in (0, 1):
        x = np.load(finished / f"work/students/one/wide/reaugkd-{seed}.npz")["test_embeddings"].astype(np.float64)
        cosines.append(((x * z).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(z, axis=1)).mean())
    row = table.set_index(["task", "teacher", "method"]).loc[("one", "wide", "reaugkd")]
    assert row["cosine"] == pytest.approx(np.mean(cosines), abs=1e-5)
    assert alignment_table(pd.DataFrame({"task": ["one"], "answer": ["off"]})).empty


def test_tables_in_markdown_hold_every_row_and_the_interval():
    table = pd.DataFrame(
        {"task": ["one", "two"], "seeds": [3, 1], "mean": [1.234, 5.0], "low": [0.5, np.nan], "high": [2.0, np.nan]}
    ).assign(seconds=[2.0, np.nan])
    page = in_markdown({"summary": table}).splitlines()
    assert page[2] == LEGEND
    assert page[4] == "## Summary"
    assert page[6:10] == [
        "| task | seeds | mean [95 % interval] | seconds |",
        "| --- | --- | --- | --- |",
        "| one | 3 | 1.23 [0.50, 2.00] | 2 |",
        "| two | 1 | 5.00 |  |",
    ]


FEW_LABELS = {"kind": "few_labels", "task": "one", "teacher": "wide", "seeds": [0]}


def scenario_plan(plan, folder, **changes):
    """A study with scenarios, few labels alone by default."""
    (folder / "study.yaml").write_text(yaml.safe_dump({**plan, "scenarios": [FEW_LABELS], **changes}))
    return read_study(folder / "study.yaml")


def write_scenario(work, run, score, **about):
    row = {"metric": "accuracy", "way": "KD", "rows_a_class": 16, "all": score, "seconds": 2.0 + run.about["seed"]}
    (work / run.file).parent.mkdir(parents=True, exist_ok=True)
    (work / run.file).write_text(json.dumps([run.about | row | about]))


def test_scenarios_are_averaged_over_their_seeds(plan, tmp_path):
    study = scenario_plan(plan, tmp_path, seeds=[0, 1, 2], scenarios=[FEW_LABELS | {"seeds": [0, 1, 2]}])
    for run, score in zip(study.scenario_runs(), (0.5, 0.7, 0.9), strict=True):
        write_scenario(tmp_path, run, score)
    rows = pd.concat([scenario_rows(run, tmp_path) for run in study.scenario_runs()])
    (row,) = scenario_table(rows).to_dict("records")
    half = 4.302653 * 20 / np.sqrt(3)  # t of 2 degrees of freedom
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((70, 70 - half, 70 + half))
    assert (row["seeds"], row["seconds"]) == (3, 3.0)


def test_the_panels_of_comparisons_share_one_scale_that_holds_0_and_every_interval():
    about = {"baseline": "kd/off", "seeds": 2}
    rows = [
        about | {"ours": ours, "task": task, "mean": mean, "low": mean - 1, "high": mean + 1}
        for ours, mean in (("a/off", 3.0), ("b/off", 7.0))
        for task in ("one", "two")
    ]
    layout = comparison_figure(pd.DataFrame(rows)).layout
    assert layout.xaxis.range == layout.xaxis2.range
    assert "in points" in layout.title.text
    assert layout.xaxis.range[0] < 0
    assert layout.xaxis.range[1] > 8


MEASURED = {"kind": "few_labels", "task": "one", "metric": "accuracy", "low": 0.0, "high": 0.0, "seeds": 1}


def test_the_plot_of_new_classes_names_the_way_that_is_best_where_all_were_measured():
    found = {"memory": {0: 0.0, 5: 50.0, 20: 80.0}, "plain kNN": {5: 45.0, 20: 70.0}}
    rows = [
        MEASURED | {"kind": "new_classes", "way": way, "rows_a_class": many, "mean": 85.0, "old": 90.0, "new": new}
        for way, by_rows in found.items()
        for many, new in by_rows.items()
    ]
    figure = scenario_figure(pd.DataFrame(rows))
    assert figure.layout.title.text.startswith("New classes: best is “memory”")
    shown = {(line.name, line.xaxis): dict(zip(line.x, line.y, strict=True)) for line in figure.data}
    assert shown["memory", "x"] == {"0": 0.0, "5": 50.0, "20": 80.0}
    assert shown["plain kNN", "x2"] == {"5": 90.0, "20": 90.0}
    assert [panel.text for panel in figure.layout.annotations] == [
        f"one, {part} classes<br>accuracy, %" for part in ("new", "old")
    ]


def test_the_plot_of_a_scenario_says_on_which_tasks_its_best_way_is_best_and_how_many_seeds_there_are():
    about = {"kind": "few_labels", "metric": "accuracy", "rows_a_class": 16, "low": 0.0, "high": 0.0}
    rows = [
        about | {"task": task, "way": way, "mean": mean, "seeds": seeds}
        for task, way, mean, seeds in (("one", "KD", 50.0, 2), ("one", "memory", 80.0, 1), ("two", "KD", 60.0, 1))
    ]
    title = scenario_figure(pd.DataFrame(rows)).layout.title.text
    assert title == "Few labels: best on one is “memory”<br><sub>mean over 1 to 2 seeds</sub>"
    alike = pd.DataFrame(rows)[lambda table: table["way"] == "KD"].assign(seeds=2)
    title = scenario_figure(alike).layout.title.text
    assert title == "Few labels: best is “KD”<br><sub>mean over 2 seeds</sub>"


MEANS = {"KD": 50.0, "memory": 70.0, "retrained on all rows (KD)": 80.0}


def test_on_the_plot_of_a_scenario_what_is_trained_anew_is_a_dashed_measure_and_not_the_best_of_memories():
    rows = [
        MEASURED | {"way": way, "mean": mean, "rows_a_class": count}
        for way, mean in MEANS.items()
        for count in (16, 64)
    ]
    figure = scenario_figure(pd.DataFrame(rows))
    assert figure.layout.title.text.startswith("Few labels: best without training again is “memory”")
    assert {line.name: line.line.dash for line in figure.data} == {
        "KD": "solid",
        "memory": "solid",
        "retrained on all rows (KD)": "dash",
    }


def test_where_a_scenario_has_no_count_of_rows_its_ways_stand_below_one_another():
    means = {"student without": 50.0, "memory without": 70.0}
    rows = [
        MEASURED | {"kind": "unlabelled_text", "way": way, "mean": mean, "rows_a_class": None}
        for way, mean in means.items()
    ]
    figure = scenario_figure(pd.DataFrame(rows))
    (points,) = figure.data
    assert dict(zip(points.y, points.x, strict=True)) == means
    assert list(figure.layout.yaxis.categoryarray) == list(means)[::-1]  # Plotly begins below
    assert figure.layout.title.text.startswith("Unlabelled text: best is “memory without”")


def test_what_is_recorded_is_not_trained_again_and_counts_as_if_it_were(finished, answered, plan, trained, tmp_path):
    study = read_study(finished / "study.yaml")
    answers = answered
    record = StudyRecord(answers)
    record.save(tmp_path)
    known = StudyRecord.load(tmp_path)
    run_study(study, finished, tmp_path / "empty", say=lambda _: None, known=known)
    assert trained == []
    again = study_answers(study, finished, tmp_path / "empty", known)
    pd.testing.assert_frame_equal(without_rows(again), without_rows(answers))
    for column in ("predicted", "gold_log_probability"):
        for one, other in zip(again[column], answers[column], strict=True):
            np.testing.assert_array_equal(one, other)
    other_rate = {**plan["methods"]["kd"], "epochs": 1}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**plan, "methods": {**plan["methods"], "kd": other_rate}}))
    changed = study_answers(read_study(tmp_path / "study.yaml"), finished, tmp_path / "empty", known)
    assert set(changed["method"]) == {"student", "reaugkd"}


def test_a_scenario_has_the_teacher_that_the_students_of_its_seed_have(plan, tmp_path):
    teachers = {"wide": plan["teachers"]["wide"] | {"seeds": [7, 7, 8]}}
    changes = {"teachers": teachers, "seeds": [0, 1, 2], "scenarios": [FEW_LABELS | {"seeds": [2, 0]}]}
    study = scenario_plan(plan, tmp_path, **changes)
    taught = {(run.about["task"], run.about["seed"]): run.outputs_file for run in study.students()}
    assert {run.about["seed"]: run.teacher_seed for run in study.students()} == {0: 7, 1: 7, 2: 8}
    for run in study.scenario_runs():
        assert run.outputs_file == taught["one", run.about["seed"]]
    assert [run.about["seed"] for run in study.scenario_runs()] == [2, 0]
    new = scenario_plan(plan, tmp_path, **changes | {"scenarios": [FEW_LABELS | {"kind": "new_classes"}]})
    assert next(new.scenario_runs()).outputs_file.name.startswith("one-old-classes-wide-0-")


def test_recorded_scenarios_are_not_run_again(plan, tmp_path):
    study = scenario_plan(plan, tmp_path)
    (run,) = study.scenario_runs()
    row = {"metric": "accuracy", "way": "KD", "rows_a_class": 16, "all": 0.5, "seconds": 2.0}
    rows = pd.DataFrame([run.about | row])
    known = StudyRecord(scenarios=rows)
    run_scenarios(study, tmp_path, tmp_path / "work", say=lambda _: None, known=known)
    pd.testing.assert_frame_equal(scenario_rows(run, tmp_path / "work", known), rows)


@pytest.mark.parametrize("kind", SCENARIOS)
def test_a_scenario_that_other_settings_ran_is_not_reported_and_is_run_anew(plan, tmp_path, monkeypatch, kind):
    tasks = plan["tasks"]
    if kind == "unlabelled_text":
        tasks = {"one": {**tasks["one"], "unlabelled": "two/train.csv"}}
    study = scenario_plan(plan, tmp_path, tasks=tasks, scenarios=[FEW_LABELS | {"kind": kind}])
    write_data(tmp_path)
    (run,) = study.scenario_runs()
    write_scenario(tmp_path, run, 0.5, settings_digest="other")
    assert scenario_rows(run, tmp_path).empty
    row = {"way": "KD", "rows_a_class": 16, "seconds": 2.0}
    monkeypatch.setattr(scenarios, kind, lambda task, *_: [row | {"all": 0.75 * (task.name == "one")}])
    for _ in range(2):
        run_scenarios(study, tmp_path, tmp_path, say=lambda _: None)
        assert scenario_rows(run, tmp_path)["all"].tolist() == [0.75]
        monkeypatch.setattr(scenarios, kind, lambda *_: pytest.fail("it was run before by these settings"))


def test_a_scenario_learns_from_the_calibrated_teacher_of_its_seed(finished, tmp_path, monkeypatch, plan):
    study, asked = scenario_plan(plan, tmp_path), []
    monkeypatch.setattr(scenarios, "few_labels", lambda task, teach, _: asked.append(teach(task)) or [])
    shutil.copytree(finished / "work", tmp_path / "work")
    run_scenarios(study, finished, tmp_path / "work", say=lambda _: None)
    (run,), task = study.scenario_runs(), study.load("one", finished)
    wanted = TeacherOutputs.load(finished / "work" / run.outputs_file).calibrated(task)
    np.testing.assert_array_equal(asked[0].soft_labels, wanted.soft_labels)


def test_a_scenario_whose_writing_was_killed_is_run_anew(plan, tmp_path, monkeypatch):
    study = scenario_plan(plan, tmp_path)
    write_data(tmp_path)
    (run,) = study.scenario_runs()
    row = {"way": "KD", "rows_a_class": 16, "all": 0.75, "seconds": 2.0}
    monkeypatch.setattr(scenarios, "few_labels", lambda *_: [row])
    write = Path.write_text

    def killed(self, text, **options):
        write(self, text[: len(text) // 2], **options)
        raise InterruptedError

    monkeypatch.setattr(Path, "write_text", killed)
    with pytest.raises(InterruptedError):
        run_scenarios(study, tmp_path, tmp_path, say=lambda _: None)
    monkeypatch.setattr(Path, "write_text", write)
    assert scenario_rows(run, tmp_path).empty
    run_scenarios(study, tmp_path, tmp_path, say=lambda _: None)
    assert scenario_rows(run, tmp_path)["all"].tolist() == [0.75]


def test_a_folder_without_a_record_is_told(tmp_path):
    with pytest.raises(ReAugKDError, match=r"holds no answers\.parquet; name the folder of an earlier report"):
        StudyRecord.load(tmp_path)


def test_a_report_of_a_plan_that_compares_nothing_has_no_table_and_no_plot_of_it(
    finished, answered, plan, tmp_path, monkeypatch
):
    monkeypatch.setattr(report_module, "_saved", lambda figure, path: path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**plan, "compare": []}))
    study = read_study(tmp_path / "study.yaml")
    known = StudyRecord(answered)
    written = {path.name for path in write_report(study, finished, tmp_path / "work", known)}
    assert "summary.csv" in written
    assert not [name for name in written if name.startswith("comparisons")]
    assert "Comparisons" not in (tmp_path / "work" / "tables.md").read_text(encoding="utf-8")


@pytest.mark.slow  # Chrome draws the plots
def test_the_report_writes_its_tables_and_plots(finished):
    written = write_report(read_study(finished / "study.yaml"), finished, finished / "work")
    assert {path.name for path in written} >= {"answers.parquet", "scores.csv", "summary.csv", "comparisons.csv"}
    assert {path.name for path in written if path.suffix == ".svg"} == {
        f"comparisons-{teacher}.svg" for teacher in ("wide", "narrow")
    }
    for path in written:
        assert path.stat().st_size > 0
    assert "<svg" in (finished / "work" / "comparisons-wide.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seeds": None}, "seeds is None; it must be a list"),
        ({"seeds": []}, r"seeds is \[\]; name at least one"),
        ({"seeds": [0, 0]}, r"seeds is \[0, 0\]; name at least one, and each once"),
        ({"seeds": [0.5]}, r"seeds\[0\] is 0.5; it must be a whole number"),
        ({"seeds": [-1]}, "The setting seed is -1; it must be from 0"),
        ({"teachers": {"t": {"encoder": "x", "seeds": [-2]}}}, "The setting seed is -2; it must be from 0"),
        ({"tasks": {"a/b": {"train": "a.csv"}}}, "The name 'a/b' cannot be that of a file; use letters, digits"),
        ({"teachers": {"..": {"encoder": "x"}}}, r"The name '\.\.' cannot be that of a file"),
        ({"extra": 1}, "The plan has no setting 'extra'; it has tasks, teachers, methods, seeds, compare"),
        ({"tasks": {}}, r"tasks is \[\]; name at least one"),
        ({"tasks": ["one"]}, r"tasks is \['one'\]; it must be names, each with its settings"),
        ({"tasks": {1: {"train": "a.csv"}}}, "a name in tasks is 1; it must be text"),
        ({"tasks": {"one": {"test": "test.csv"}}}, "tasks.one has no train, which it needs"),
        ({"tasks": {"one": {"train": "a.csv", "metrics": "accuracy"}}}, "tasks.one has no setting 'metrics'; it has"),
        ({"tasks": {"one": {"train": "a.csv", "say": "x"}}}, "tasks.one.say is 'x'; it must be left out"),
        ({"tasks": {"one": {"train": 5}}}, "tasks.one.train is 5; it must be text"),
        ({"tasks": {"one": {"train": "a.csv", "train_rows": "all"}}}, "tasks.one.train_rows is 'all'; it must be a w"),
        ({"teachers": {"t": 5}}, "teachers.t is 5; write its settings by name"),
        ({"teachers": {"t": {"seeds": [1]}}}, "teachers.t has no encoder, which it needs"),
        (
            {"teachers": {"t": {"encoder": "x", "methods": ["y"]}}},
            "teachers.t.methods names 'y'; it must be one of kd, re",
        ),
        ({"teachers": {"t": {"encoder": "x", "seeds": []}}}, r"teachers.t.seeds is \[\]; name at least one"),
        ({"teachers": {"t": {"encoder": "x", "seeds": 0}}}, "teachers.t.seeds is 0; it must be a list"),
        ({"methods": {"kd": [1, 2]}}, r"methods.kd is \[1, 2\]; write its settings by name"),
        ({"methods": {"kd": {"seed": 3}}}, "methods.kd sets teacher or seed; name them under teachers and seeds"),
        ({"methods": {"kd": {"distillation": {"beta": 1}}}}, "methods.kd.distillation has no setting 'beta'"),
        ({"methods": {"kd": {"student_training": 5}}}, "methods.kd.student_training is 5; write its settings by name"),
        ({"methods": {"kd": {"student_training": None}}}, "student_training is None; write its settings by name"),
        (
            {"methods": {"kd": {"student_training": {"learning_rate": "fast"}}}},
            "methods.kd.student_training.learning_rate is 'fast'; it must be a number",
        ),
        (
            {"methods": {"kd": {"distillation": {"embedding_head": 1}}}},
            "distillation.embedding_head is 1; it must be true or false",
        ),
        ({"methods": {"kd": {"epochs": "nan"}}}, "methods.kd.epochs is nan; it must be a number"),
        ({"methods": {"kd": {"max_length": True}}}, "methods.kd.max_length is True; it must be a whole number"),
        (
            {"methods": {"kd": {"student_layers": [0, 5]}}},
            r"methods.kd.student_layers is \[0, 5\]; it must be a whole number",
        ),
        ({"methods": {"kd": {"epochs": 0}}}, "The setting epochs is 0; it must be above 0 and finite, or left out"),
        ({"encoder_key": "minilm"}, "encoder_key is 'minilm'; write its settings by name"),
        ({"encoder_key": {"encoder": "minilm"}}, "encoder_key has no layers, which it needs"),
        (
            {"encoder_key": {"encoder": "x", "layers": [1], "k": 4}},
            "encoder_key has no setting 'k'; it has encoder, lay",
        ),
        ({"encoder_key": {"encoder": "x", "layers": 3}}, "encoder_key.layers is 3; it must be a list"),
        (
            {"encoder_key": {"encoder": "x", "layers": ["half"]}},
            r"encoder_key.layers\[0\] is 'half'; it must be a whole",
        ),
        ({"compare": [["kd/off"]]}, r"compare\[0\] is \['kd/off'\]; it must be a list of two"),
        (
            {"compare": [["nothing/off", "kd/off"]]},
            "compare names 'nothing/off'; it must be one of kd, reaugkd, student",
        ),
        ({"compare": [["kd/poool", "kd/off"]]}, "compare names 'kd/poool'; it must be .* kd/off, kd/linear, kd/pool, "),
        ({"compare": [["kd/pool+encoder3", "kd"]]}, "compare names 'kd/pool[+]encoder3'; it must be one of"),
        ({"compare": [["student/pool", "kd"]]}, "compare names 'student/pool'; it must be one of"),
        (
            {"scenarios": [FEW_LABELS | {"kind": "x"}]},
            r"scenarios\[0\].kind names 'x'; it must be one of new_classes, f",
        ),
        ({"scenarios": [FEW_LABELS | {"task": "x"}]}, r"scenarios\[0\].task names 'x'; it must be one of one, two"),
        ({"scenarios": [FEW_LABELS | {"teacher": "x"}]}, "teacher names 'x'; it must be one of narrow, wide"),
        ({"scenarios": [FEW_LABELS | {"seeds": []}]}, r"scenarios\[0\].seeds is \[\]; name at least one"),
        ({"scenarios": [FEW_LABELS | {"seeds": 0}]}, r"scenarios\[0\].seeds is 0; it must be a list"),
        ({"scenarios": [FEW_LABELS | {"seeds": [1, 9]}]}, r"scenarios\[0\].seeds names 9; it must be one of 0, 1"),
        (
            {"scenarios": [FEW_LABELS | {"kind": "unlabelled_text"}]},
            "'unlabelled_text' cannot run on 'one'; .* a task with",
        ),
        (
            {"tasks": {"one": {"train": "a.csv", "unlabelled": "b.csv"}}, "scenarios": [FEW_LABELS]},
            "'few_labels' cannot run on 'one'; .* the others one without",
        ),
    ],
)
def test_a_mistake_in_the_plan_is_told_before_anything_is_trained(plan, tmp_path, change, sentence):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**plan, **change}))
    with pytest.raises(ReAugKDError, match=sentence) as told:
        read_study(path)
    assert str(path) in str(told.value)


def test_a_number_that_yaml_takes_for_text_is_a_number(plan, tmp_path):
    kd = {"student_training": {"learning_rate": "RATE"}}
    text = yaml.safe_dump({**plan, "methods": {**plan["methods"], "kd": kd}})
    digests = []
    for rate in ("1e-4", "0.0001"):
        (tmp_path / "study.yaml").write_text(text.replace("RATE", rate))
        run = run_of(read_study(tmp_path / "study.yaml"), "one", "kd")
        assert run.recipe.student_training.learning_rate == 0.0001
        digests.append(run.about["settings_digest"])
    assert digests[0] == digests[1]


def test_the_plan_of_the_recorded_results_is_read_and_finds_them():
    results = Path(__file__).parents[2] / "results"
    study = read_study(results / "study.yaml")
    known = StudyRecord.load(results)
    found = sum(len(known.rows_of(run.about)) for run in study.students())
    assert found == len(known.answers) > 0


def test_a_plan_that_is_missing_or_no_yaml_is_told(tmp_path):
    with pytest.raises(ReAugKDError, match="^There is no file '[^']*none.yaml'; check the path.$"):
        read_study(tmp_path / "none.yaml")
    (tmp_path / "twice.yaml").write_text("seeds: [0]\nmethods: {kd: {}}\nseeds: [1]\n")
    with pytest.raises(
        ReAugKDError, match="twice.yaml': The name 'seeds' stands twice in the part from line 1 on; keep one"
    ):
        read_study(tmp_path / "twice.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ReAugKDError, match="is no YAML"):
        read_study(tmp_path / "bad.yaml")


def test_a_folder_for_results_that_is_a_file_is_refused(finished, tmp_path):
    study = read_study(finished / "study.yaml")
    (tmp_path / "file").touch()
    for run in (partial(run_study, say=print), write_report):
        with pytest.raises(ReAugKDError, match="file' is a file; name another place"):
            run(study, finished, tmp_path / "file")


def test_a_report_on_nothing_says_so(finished, tmp_path):
    with pytest.raises(ReAugKDError, match="No student of the study is trained"):
        write_report(read_study(finished / "study.yaml"), finished, tmp_path)
