"""Bad input ends in one sentence and a status that is not 0; good input prints what was promised."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from toy_data import toy_rows

from reaugkd import cli, training
from reaugkd.analysis.edit_effects import halves
from reaugkd.analysis.edits import apply_patch, read_patch
from reaugkd.analysis.refit import refit_pool, with_encoder_key
from reaugkd.errors import ReAugKDError
from reaugkd.files import read_sealed, write_sealed
from reaugkd.method import choice, distillation
from reaugkd.method.answers import changed_answers
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.method.teacher import TeacherOutputs, black_box_outputs, read_soft_labels
from reaugkd.model.card import METHOD_NAMES
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks.encoders import TextClassifier
from reaugkd.tasks.sources import load_files
from reaugkd.tasks.task import SPLITS, make_task
from reaugkd.texts import MAX_CHARACTERS


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line as the shell would; return status, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["reaugkd", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def train_file(tmp_path):
    path = tmp_path / "train.csv"
    rows = [{"text": f"row {number} of many", "label": "good" if number % 2 else "bad"} for number in range(40)]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def assert_one_sentence(result, *fragments):
    status, out, err = result
    assert status != 0
    assert err.startswith("reaugkd: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    for fragment in fragments:
        assert fragment in err


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--train", "nowhere.csv"], ["There is no file", "nowhere.csv"]),
        (["--task", "shoptlak"], ["There is no task 'shoptlak'", "shoptalk"]),
        (["--task", "glue/rtee"], ["There is no GLUE task 'rtee'"]),
        (["--task", "nobody/nothing"], ["'nobody/nothing' could not be loaded"]),
        ([], ["either a --task or a --train"]),
        (["--task", "shoptalk", "--teacher", "no-such-model"], ["'no-such-model'"]),
        (
            ["--task", "shoptalk", "--teacher", "a", "--teacher-outputs", "b.parquet"],
            ["Name either a --teacher or --teacher-outputs"],
        ),
        (["--task", "shoptalk", "--teacher-outputs", "b.parquet"], ["There is no file", "b.parquet"]),
        (["--task", "shoptalk", "--epochs", "-1"], ["epochs is -1"]),
        (["--task", "shoptalk", "--epochs", "nan"], ["epochs is nan"]),
        (["--task", "shoptalk", "--seed", "-1"], ["seed is -1"]),
        (["--task", "shoptalk", "--positive-label", "x"], ["--positive-label go with --train"]),
    ],
)
def test_a_training_that_cannot_start_says_why_and_leaves_nothing(run, tmp_path, options, fragments):
    out = tmp_path / "model"
    assert_one_sentence(run("train", *options, "--out", out), *fragments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], {"student_layers": 2, "encoder_key": None, "encoder_key_layers": None}),
        (["--student-layers", "0"], {"student_layers": None}),
        (["--student-layers", "3"], {"student_layers": 3}),
        (["--encoder-key", "some/encoder"], {"encoder_key": "some/encoder", "encoder_key_layers": None}),
        (["--encoder-key", "e", "--encoder-key-layers", "4"], {"encoder_key": "e", "encoder_key_layers": 4}),
    ],
)
def test_the_options_of_a_training_are_those_of_its_recipe(run, monkeypatch, tmp_path, train_file, options, wanted):
    recipes = []

    def stopped(task, recipe, *arguments, **options):
        recipes.append(recipe)
        raise ReAugKDError("Stopped.")

    monkeypatch.setattr(training, "train", stopped)
    run("train", "--train", train_file, *options, "--out", tmp_path / "model")
    assert [{name: getattr(made, name) for name in wanted} for made in recipes] == [wanted]


@pytest.mark.parametrize("command", ["train", "teach"])
def test_unlabelled_texts_come_with_the_task_without_those_that_are_known(
    run, monkeypatch, tmp_path, train_file, command
):
    tasks = []

    def stopped(task, *arguments, **options):
        tasks.append(task)
        raise ReAugKDError("Stopped.")

    monkeypatch.setattr(training, command, stopped)
    pd.DataFrame({"text": ["something quite new", "row 3 of many"]}).to_csv(tmp_path / "more.csv", index=False)
    options = ["--train", train_file, "--unlabelled", tmp_path / "more.csv", "--out", tmp_path / "out"]
    _, _, error = run(command, *options)
    assert tasks[0].texts("unlabelled") == ["something quite new"]
    assert error.startswith("Left out 1 unlabelled texts that are known")


def test_the_shipped_outputs_do_not_hold_unlabelled_texts_of_ones_own(run, tmp_path):
    (tmp_path / "more.csv").write_text("text\nThe left shoe squeaks at night.\n")
    options = ["--task", "shoptalk", "--unlabelled", tmp_path / "more.csv", "--out", tmp_path / "model"]
    assert_one_sentence(run("train", *options), "reaugkd teach")


def test_a_missing_column_is_named_with_those_that_exist(run, tmp_path, train_file):
    result = run("train", "--train", train_file, "--text-column", "review", "--out", tmp_path / "model")
    assert_one_sentence(result, "no column 'review'", "'text', 'label'")


def test_a_test_label_that_train_never_had_is_named(run, tmp_path, train_file):
    other = tmp_path / "test.csv"
    other.write_text("text,label\nsomething,ugly\n")
    result = run("train", "--train", train_file, "--test", other, "--out", tmp_path / "model")
    assert_one_sentence(result, "The label 'ugly' is in test but never in train")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("text,label\na word,same\nanother,same\n", "Every train row has the label 'same'"),
        ("text,label\na word,one\n  ,two\n", "The text of train row 2 is empty"),
        ("text,label\na word,one\n" + "x" * (MAX_CHARACTERS + 1) + ",two\n", "row 2 has 100,001 characters"),
        ("text,label\na word,one\nanother,\n", "row 2 has no label"),
    ],
)
def test_rows_that_make_no_task_are_refused_with_their_place(run, tmp_path, content, fragment):
    path = tmp_path / "train.csv"
    path.write_text(content)
    assert_one_sentence(run("train", "--train", path, "--out", tmp_path / "model"), fragment)


def test_a_folder_with_other_things_is_not_written_into(run, tmp_path, train_file):
    precious = tmp_path / "thesis" / "chapter.txt"
    precious.parent.mkdir()
    precious.write_text("words")
    result = run("train", "--train", train_file, "--out", precious.parent)
    assert_one_sentence(result, "holds other things than a model")
    assert precious.read_text() == "words"


@pytest.mark.parametrize(("command", "out"), [("train", "model"), ("teach", "outputs.parquet")])
def test_a_file_in_the_way_of_a_folder_is_told_before_anything_is_trained(
    run, monkeypatch, train_file, toy_encoder_folder, command, out
):
    monkeypatch.setattr(distillation, "run_trainer", lambda *given, **options: pytest.fail("trained"))
    options = ["--train", train_file, "--teacher", toy_encoder_folder, "--out", train_file / out]
    options += ["--student", toy_encoder_folder] if command == "train" else []
    assert_one_sentence(run(command, *options), "is a file; name another place", train_file.name)


@pytest.mark.parametrize("command", [["info"], ["predict"], ["evaluate"]])
def test_a_folder_without_a_model_is_told_how_to_make_one(run, tmp_path, command):
    rest = {"info": [], "predict": ["text"], "evaluate": ["--data", "x.csv"]}[command[0]]
    assert_one_sentence(run(*command, tmp_path, *rest), "holds no trained model", "reaugkd train")


def test_a_damaged_model_is_named_with_its_damaged_file(run, tmp_path, toy_model_folder):
    copy = shutil.copytree(toy_model_folder, tmp_path / "copy")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert_one_sentence(run("predict", copy, "an apple"), "model.safetensors", "is damaged")


def test_a_model_of_another_version_is_refused(run, tmp_path, toy_model_folder):
    copy = shutil.copytree(toy_model_folder, tmp_path / "copy")
    write_sealed(read_sealed(copy / "reaugkd.json")[0] | {"format_version": 4}, copy / "reaugkd.json")
    for command in (["predict", copy, "an apple"], ["info", copy]):
        assert_one_sentence(run(*command), "is of format 4, this library reads 6; train it again")


@pytest.mark.parametrize(("text", "fragment"), [(" ", "is empty"), ("x" * (MAX_CHARACTERS + 1), "shorten it")])
def test_an_empty_or_enormous_text_is_refused(run, toy_model_folder, text, fragment):
    assert_one_sentence(run("predict", toy_model_folder, text), fragment)


def test_predict_prints_the_numbers_of_explain_as_json(run, toy_model_folder, toy_model):
    status, out, _ = run("predict", toy_model_folder, "an apple and a pear", "--k", 3, "--json")
    (answer,) = json.loads(out)
    assert status == 0
    explanation = toy_model.explain("an apple and a pear", k=3)
    assert answer["label"] == explanation.label
    assert list(answer["probabilities"].values()) == pytest.approx(explanation.probabilities, abs=1e-6)
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    lead = np.log(answer["probabilities"][answer["label"]] / answer["probabilities"][answer["runner_up"]])
    assert sum(answer["parts"].values()) == pytest.approx(lead, abs=1e-3)
    found = {key["key"]: [neighbour["id"] for neighbour in key["neighbours"]] for key in answer["keys"]}
    assert found == {key.name: [neighbour.id for neighbour in key.neighbours] for key in explanation.keys}


def cells(printed):
    """The rows of all tables that were printed, as lists of their cells."""
    lines = [line for line in printed.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_predict_prints_answer_runner_up_parts_and_neighbours(run, monkeypatch, tmp_path, gadget_model):
    monkeypatch.setenv("COLUMNS", "200")
    gadget_model.save_pretrained(tmp_path / "model")
    text = "an apple [bold]and[/bold] a pear"
    status, out, error = run("predict", tmp_path / "model", text, "--k", 3)
    assert status == 0, error
    probabilities = gadget_model.predict_proba([text], k=3)[0]
    first, second = np.argsort(-probabilities)[:2]
    names = gadget_model.classes_
    assert out.splitlines()[:2] == [
        f"{names[first]} ({probabilities[first]:.2f})  {text}",
        f"runner-up: {names[second]} ({probabilities[second]:.2f})",
    ]
    explanation = gadget_model.explain(text, k=3)
    parts = {row[0]: float(row[1]) for row in cells(out) if row[1]}
    assert list(parts) == ["student", "aligned", "text", "new classes", "sum"]
    assert parts["sum"] == pytest.approx(np.log(probabilities[first] / probabilities[second]), abs=0.0051)
    assert parts["student"] + parts["aligned"] + parts["text"] == pytest.approx(parts["sum"], abs=0.021)
    leading = max(explanation.keys, key=lambda key: abs(parts[key.name]))
    assert f"the memories nearest by the {leading.name} key" in out
    shown = [(row[2], row[5], row[6]) for row in cells(out) if not row[1]]
    assert shown == [(f"{near.share:.2f}", near.label, near.text) for near in leading.neighbours]


def test_predict_says_how_many_words_of_a_text_that_is_cut_were_read(run, monkeypatch, toy_model_folder, toy_model):
    monkeypatch.setenv("COLUMNS", "400")
    text = "the old iron and the new rain " * 6
    words = toy_model.explain(text).words_read
    assert f"Only the first {words} words were read by the student." in run("predict", toy_model_folder, text)[1]
    said = json.loads(run("predict", toy_model_folder, text, "iron", "--json")[1])
    assert [one["words_read"] for one in said] == [words, None]


def test_a_threshold_is_chosen_saved_and_told_by_predict(run, monkeypatch, tmp_path, puzzled_model):
    monkeypatch.setenv("COLUMNS", "200")
    puzzled_model.save_pretrained(tmp_path / "model")
    wanted = puzzled_model.with_threshold(0.8)
    status, out, error = run("threshold", tmp_path / "model", "--accuracy", 0.8, "--out", tmp_path / "careful")
    assert status == 0, error
    answers = wanted.answer(wanted.encode_rows(wanted.held_out(["test"])))
    sure = answers.is_sure
    shares = (sure.mean(), answers.right[sure].mean(), answers.right.mean())
    assert ["test", "36", *(f"{100 * share:.1f}" for share in shares)] in cells(out)
    texts = answers.encoded.texts
    for text in (texts[sure.argmax()], texts[sure.argmin()]):
        status, out, error = run("predict", tmp_path / "careful", text)
        assert status == 0, error
        explanation = wanted.explain(text)
        said = f"probability {explanation.score:.3f}, the threshold is {wanted.threshold.least:.3f}"
        assert f"{'answered' if explanation.is_sure else 'left to a person'}: {said}" in out.splitlines()
    _, out, _ = run("info", tmp_path / "careful", "--json")
    assert json.loads(out)["threshold"] == asdict(wanted.threshold)
    assert_one_sentence(run("threshold", tmp_path / "model", "--accuracy", 1.0), "At no threshold", "ask for less")


def test_predict_prints_what_the_decision_on_new_classes_adds(run, monkeypatch, tmp_path, gadget_model):
    monkeypatch.setenv("COLUMNS", "200")
    gadget_model.save_pretrained(tmp_path / "model")
    status, out, error = run("predict", tmp_path / "model", "the shiny gadget hums")
    assert status == 0, error
    assert out.startswith("gadget (")
    parts = {row[0]: row[1] for row in cells(out) if row[1]}
    assert list(parts) == ["student", "aligned", "text", "new classes", "sum"]
    assert parts["new classes"] == parts["sum"]


def by_memory_alone(pool, k):
    """A pool of the same keys in which the aligned one alone has a say."""
    keys = {name: KeySettings(k, 0.1, float(name == "aligned")) for name in pool.keys}
    return Pool(keys, retrieval_weight=1.0)


@pytest.fixture
def pair_model_folder(toy_model, tmp_path):
    """A model of pairs whose memory alone answers; each second text is the words "second part"."""
    memory = toy_model.memory
    replace(
        toy_model,
        settings=replace(toy_model.settings, is_pair=True),
        memory=replace(memory, rows=memory.rows.assign(text_pair="second part")),
        evaluation_rows=toy_model.evaluation_rows.assign(text_pair="second part"),
        pool=by_memory_alone(toy_model.pool, 1),
        teacher=None,
    ).save_pretrained(tmp_path / "pairs")
    return tmp_path / "pairs"


def test_a_pair_is_printed_in_one_line_with_a_bar(run, monkeypatch, pair_model_folder):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, error = run("predict", pair_model_folder, "an apple", "some iron")
    assert status == 0, error
    assert "  an apple | some iron\n" in out
    assert " | second part" in out.partition("\n")[2]


def test_edit_shows_both_texts_of_a_pair(run, monkeypatch, tmp_path, toy_model, pair_model_folder):
    monkeypatch.setenv("COLUMNS", "200")
    rows = toy_model.memory.rows
    edits = [{"edit": "relabel", "id": name, "label": "metal"} for name in rows.loc[rows["label"] == "fruit", "id"]]
    (tmp_path / "patch.jsonl").write_text("\n".join(map(json.dumps, edits)))
    status, out, error = run("edit", pair_model_folder, "--patch", tmp_path / "patch.jsonl")
    assert status == 0, error
    shown = [line for line in out.splitlines() if "broken" in line]
    assert shown
    assert all(" | second part" in line for line in shown)


def test_evaluate_prints_the_share_of_right_answers(run, tmp_path, toy_model_folder, toy_model):
    rows = pd.DataFrame({"words": ["an apple", "some iron", "old snow"], "kind": ["fruit", "metal", "metal"]})
    rows.to_json(tmp_path / "other.jsonl", orient="records", lines=True)
    options = ["--data", tmp_path / "other.jsonl", "--text-column", "words", "--label-column", "kind", "--json"]
    status, out, _ = run("evaluate", toy_model_folder, *options)
    scores = json.loads(out)
    assert status == 0
    assert scores["rows"] == 3
    for method, weight in (("student", 0.0), ("memory", 1.0), ("reaugkd", None)):
        said = toy_model.predict(rows["words"].tolist(), retrieval_weight=weight)
        assert scores["methods"][method] == pytest.approx((said == rows["kind"].to_numpy()).mean())


def test_evaluate_refuses_a_class_that_the_model_lacks(run, tmp_path, toy_model_folder):
    path = tmp_path / "other.csv"
    path.write_text("text,label\nan apple,vegetable\n")
    assert_one_sentence(run("evaluate", toy_model_folder, "--data", path), "no class 'vegetable'", "fruit")


def test_info_prints_the_measured_figures_as_json(run, toy_model_folder):
    status, out, _ = run("info", toy_model_folder, "--json")
    about = json.loads(out)
    assert status == 0
    assert about["model"]["label_names"] == ["fruit", "metal", "weather"]
    assert about["metrics"] == json.loads((toy_model_folder / "metrics.json").read_text())
    assert about["pool"] == json.loads((toy_model_folder / "reaugkd.json").read_text())["pool"]


def test_verify_reads_every_file_and_names_the_damaged_one(run, tmp_path, toy_model_folder):
    copy = shutil.copytree(toy_model_folder, tmp_path / "copy")
    files = [path for path in copy.rglob("*") if path.is_file() and path.name not in ("README.md", "reaugkd.json")]
    size = sum(path.stat().st_size for path in files)
    wanted = f"Read {len(files)} files with {size:,} bytes: each is as it was written.\n"
    assert run("verify", copy) == (0, wanted, "")
    content = (copy / "metrics.json").read_bytes()
    (copy / "metrics.json").write_bytes(content.replace(b"1", b"2", 1))
    for command in (["verify", copy], ["info", copy, "--json"]):
        assert_one_sentence(run(*command), "The file metrics.json", "is damaged")
    assert_one_sentence(run("verify", tmp_path), "holds no trained model")


def assert_shows_the_ablations(printed, metrics):
    for method, scores in metrics["methods"].items():
        figures = [f"{100 * scores[split]:.1f}" for split in ("test", "validation")]
        row = [METHOD_NAMES[method], *figures, f"{scores['test_log_loss']:.3f}"]
        assert row in [re.split(r" {2,}", line.strip()) for line in printed.splitlines()]


def test_info_prints_the_model_card_as_it_lies_there(run, monkeypatch, tmp_path, toy_model_folder, toy_model):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = run("info", toy_model_folder)
    assert status == 0
    assert "library_name" not in out
    assert "classes: fruit, metal, weather." in out
    assert_shows_the_ablations(out, toy_model.metrics)
    copy = shutil.copytree(toy_model_folder, tmp_path / "copy")
    (copy / "README.md").write_text("My own words.\n")
    assert run("info", copy)[1].strip() == "My own words."


def test_training_ends_with_the_table_that_metrics_json_holds(run, monkeypatch, tmp_path, toy_encoder_folder):
    monkeypatch.setenv("COLUMNS", "200")
    toy_rows(20, seed=3).to_csv(tmp_path / "toy.csv", index=False)
    encoders = ["--teacher", toy_encoder_folder, "--student", toy_encoder_folder, "--student-layers", 1]
    out = tmp_path / "model"
    status, printed, _ = run(
        "train", "--train", tmp_path / "toy.csv", *encoders, "--epochs", 1, "--teacher-epochs", 1, "--out", out
    )
    metrics = json.loads((out / "metrics.json").read_text())
    assert status == 0
    assert_shows_the_ablations(printed, metrics)


@pytest.mark.slow  # two processes go through a whole training
def test_two_processes_train_one_model(tmp_path, train_file, toy_encoder_folder):
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes=2",
        "--num_machines=1",
    ]
    launch += ["--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0", "--module", "cli_main"]
    (tmp_path / "cli_main.py").write_text("import reaugkd.cli\nreaugkd.cli.main()\n")
    options = ["train", "--train", train_file, "--teacher", toy_encoder_folder, "--student", toy_encoder_folder]
    options += ["--epochs", 1, "--teacher-epochs", 1, "--out", tmp_path / "model"]
    ended = subprocess.run([*launch, *map(str, options)], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-2_000:]
    assert ended.stderr.count("Saved the model in") == 1
    assert not (tmp_path / "model.partial").exists()
    assert ReAugKDClassifier.from_pretrained(tmp_path / "model").predict(["row 3 of many"]).shape == (1,)


def test_the_answers_of_a_black_box_become_teacher_outputs(run, tmp_path, train_file, toy_encoder_folder):
    task = load_files(train_file)
    rows = [
        {"split": split, "id": row_id, "bad": 0.25, "good": 0.75}
        for split in SPLITS
        for row_id in task.rows[split]["id"]
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "answers.csv", index=False)
    command = ["black-box", "--train", train_file, "--soft-labels", tmp_path / "answers.csv"]
    command += ["--encoder", toy_encoder_folder, "--out", tmp_path / "outputs.parquet"]
    status, _, err = run(*command)
    assert status == 0
    assert "Wrote 40 rows" in err
    outputs = TeacherOutputs.load(tmp_path / "outputs.parquet")
    outputs.check(task)
    np.testing.assert_allclose(outputs.soft_labels, [[0.25, 0.75]] * 40)
    untuned = TextClassifier.from_pretrained(toy_encoder_folder, 1)
    np.testing.assert_allclose(outputs.of("test")[0], untuned.encode(task.texts("test"))[0], atol=2e-3)
    pd.DataFrame(rows[1:]).to_csv(tmp_path / "answers.csv", index=False)
    assert_one_sentence(run(*command), "has no soft labels")
    pd.DataFrame(rows).drop(columns="good").to_csv(tmp_path / "answers.csv", index=False)
    assert_one_sentence(run(*command), "has no column 'good'")


def test_a_black_boxs_answers_need_no_split_and_no_id_where_the_files_order_tells(run, tmp_path, train_file):
    answers = pd.DataFrame({"bad": np.linspace(0, 1, 40), "good": np.linspace(1, 0, 40)})
    task = load_files(train_file)
    answers.to_csv(tmp_path / "answers.csv", index=False)
    by_place = read_soft_labels(tmp_path / "answers.csv", task)
    assert len(by_place) == 40
    for split in SPLITS:
        for row_id in task.rows[split]["id"]:
            place = int(row_id.removeprefix("train-")) - 1
            np.testing.assert_allclose(by_place[split, row_id], answers.iloc[place], atol=1e-6)
    named = answers.assign(id=[f"train-{place}" for place in range(1, 41)]).sample(frac=1, random_state=0)
    named.to_csv(tmp_path / "answers.csv", index=False)
    by_id = read_soft_labels(tmp_path / "answers.csv", task)
    assert {row: found.tolist() for row, found in by_id.items()} == {row: f.tolist() for row, f in by_place.items()}
    named.assign(id="train-1").to_csv(tmp_path / "answers.csv", index=False)
    with pytest.raises(ReAugKDError, match="holds an id twice; add a column split"):
        read_soft_labels(tmp_path / "answers.csv", task)


def test_a_black_box_can_be_a_function(train_file, toy_encoder_folder):
    task = load_files(train_file)
    outputs = black_box_outputs(task, lambda texts: np.full((len(texts), 2), 0.5), str(toy_encoder_folder))
    assert outputs.soft_labels.shape == (40, 2)
    with pytest.raises(ReAugKDError, match=r"Soft labels of shape \(40, 3\) are no probabilities of 40 rows over 2"):
        black_box_outputs(task, lambda texts: np.full((len(texts), 3), 1 / 3), str(toy_encoder_folder))


@pytest.mark.parametrize(("classes", "decimals"), [(3, 2), (77, 2), (77, 3)])
def test_rounded_answers_of_a_black_box_are_scaled_and_others_stay(toy_encoder_folder, classes, decimals):
    labels = [f"c{number:02}" for number in range(classes)] * 3
    rows = pd.DataFrame({"text": [f"text {number}" for number in range(len(labels))], "label": labels})
    task = make_task("many", dict.fromkeys(SPLITS, rows))
    exact = np.random.default_rng(0).dirichlet([0.3] * classes, size=3 * len(rows)).astype("f4")
    given = exact.round(decimals)
    given[::2] = exact[::2]
    found = black_box_outputs(task, lambda texts: given, str(toy_encoder_folder)).soft_labels
    np.testing.assert_array_equal(found[::2], exact[::2])
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1.1e-3)
    np.testing.assert_allclose(found[1::2], given[1::2] / given[1::2].sum(axis=1, keepdims=True), atol=1e-3)


@pytest.mark.parametrize("wrong", [[0.5, 0.47], [1.2, -0.2], [np.nan, 1.0]])
def test_the_first_row_whose_soft_labels_are_no_probabilities_is_named(train_file, toy_encoder_folder, wrong):
    task = load_files(train_file)
    named = {(split, row): np.asarray([0.25, 0.75]) for split in SPLITS for row in task.rows[split]["id"]}
    third = task.rows["train"]["id"][2]
    named["train", third] = np.asarray(wrong)
    with pytest.raises(ReAugKDError, match=f"The soft labels of the train row '{third}' are no probabilities"):
        black_box_outputs(task, named, str(toy_encoder_folder))


def test_a_row_whose_many_probabilities_were_all_rounded_to_nothing_is_named(toy_encoder_folder):
    labels = [f"c{number:03}" for number in range(250)]
    rows = pd.DataFrame({"text": [f"text {number}" for number in range(250)], "label": labels})
    task = make_task("many", dict.fromkeys(SPLITS, rows))
    with pytest.raises(ReAugKDError, match="train row 'train-1' are no probabilities \\(they sum to 0"):
        black_box_outputs(task, lambda texts: np.zeros((len(texts), 250)), str(toy_encoder_folder))


def test_a_study_is_run_from_its_plan_and_told_what_is_wrong_with_it(run, tmp_path):
    assert_one_sentence(
        run("study", tmp_path / "none.yaml", "--out", tmp_path / "work"), "There is no file", "none.yaml"
    )


SLOW_TO_IMPORT = ("torch", "transformers", "numpy", "pandas", "pyarrow", "faiss", "sklearn", "huggingface_hub")


def test_help_waits_for_no_package_that_is_slow_to_import():
    code = "import sys; sys.argv = ['reaugkd', '--help']\n"
    code += "try:\n    import reaugkd.cli; reaugkd.cli.main()\nexcept SystemExit: pass\n"
    code += f"print('loaded:', *sorted(sys.modules.keys() & set({SLOW_TO_IMPORT})))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines()[-1].strip() == "loaded:"


def test_weights_runs_in_a_process_that_has_imported_nothing_else(toy_encoder_folder):
    for name, status in [(toy_encoder_folder, 0), ("no such name", 1)]:
        code = f"import sys; sys.argv = ['reaugkd', 'weights', {str(name)!r}]; import reaugkd.cli; reaugkd.cli.main()"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ended.returncode == status
        assert str(name) in (ended.stderr if status else ended.stdout)
        assert "Traceback" not in ended.stderr


def test_edit_shows_what_changes_and_saves_a_new_version_beside_the_original(run, monkeypatch, tmp_path, toy_model):
    monkeypatch.setenv("COLUMNS", "200")
    by_memory = replace(toy_model, pool=by_memory_alone(toy_model.pool, 4))
    by_memory.save_pretrained(tmp_path / "model")
    label = toy_model.classes_[0]
    edits = [{"edit": "relabel", "id": name, "label": label} for name in toy_model.memory.rows["id"]]
    edits.append({"edit": "add", "id": "mine", "label": "gadget", "text": "the gadget hums"})
    (tmp_path / "patch.jsonl").write_text("\n".join(map(json.dumps, edits)))
    before = (tmp_path / "model" / "memory.parquet").read_bytes()
    options = ["--patch", tmp_path / "patch.jsonl", "--out", tmp_path / "new"]
    status, out, error = run("edit", tmp_path / "model", *options)
    assert status == 0, error
    original, new = (ReAugKDClassifier.from_pretrained(tmp_path / name) for name in ("model", "new"))
    assert new.classes_.tolist() == [*toy_model.classes_, "gadget"]
    assert (tmp_path / "model" / "memory.parquet").read_bytes() == before
    judging, telling = halves(original.encode_rows(toy_model.held_out(["test"])))
    changed = changed_answers(*(model.answer(judging) for model in (original, new)))
    assert len(changed)
    assert cells(out) == changed[["effect", "label", "before", "after", "text"]].to_numpy().tolist()
    assert f"Of {len(judging)} test rows" in error
    assert f"{(changed['effect'] == 'broken').sum()} broken" in error
    assert f"On {len(telling)} test rows by which no edit was chosen, accuracy goes from" in error
    assert new.metrics["edits"]["told"]["rows"] == len(telling)


def test_edit_says_first_which_text_that_must_stay_right_it_breaks(run, tmp_path, toy_model):
    pinned = pd.DataFrame({"text": ["some iron and zinc"], "label": ["metal"]})
    replace(toy_model, pool=by_memory_alone(toy_model.pool, 4), pinned=pinned).save_pretrained(tmp_path / "model")
    edits = [{"edit": "relabel", "id": name, "label": "fruit"} for name in toy_model.memory.rows["id"]]
    (tmp_path / "patch.jsonl").write_text("\n".join(map(json.dumps, edits)))
    status, _, error = run("edit", tmp_path / "model", "--patch", tmp_path / "patch.jsonl")
    assert status == 0, error
    assert "A text that must stay right breaks, metal → fruit: some iron and zinc" in error


@pytest.mark.parametrize("in_place", [True, False])
def test_export_puts_the_student_as_onnx_into_a_model_that_answers_the_same(
    run, tmp_path, toy_model_folder, toy_model, in_place
):
    model, copied = shutil.copytree(toy_model_folder, tmp_path / "model"), tmp_path / "copy"
    status, _, err = run("export", model, *([] if in_place else ["--out", copied]))
    target = model if in_place else copied
    assert status == 0, err
    assert re.search(r"Wrote student.onnx into .+: a text takes the student [0-9.]+ ms, by torch [0-9.]+ ms.", err)
    assert (model / "student.onnx").exists() == in_place
    files = json.loads((target / "reaugkd.json").read_text())["files"]
    assert files["student.onnx"]["sha256"] == hashlib.sha256((target / "student.onnx").read_bytes()).hexdigest()
    exported = ReAugKDClassifier.from_pretrained(target)
    assert exported.student.onnx.session is not None
    texts = toy_model.held_out(["test"])["text"].tolist()
    np.testing.assert_allclose(exported.predict_proba(texts), toy_model.predict_proba(texts), atol=1e-5)
    exported.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "student.onnx").read_bytes() == (target / "student.onnx").read_bytes()


@pytest.mark.slow
def test_condense_prints_the_curve_and_saves_a_new_version_beside_the_original(run, monkeypatch, tmp_path, toy_model):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(choice, "FEWEST_VALIDATION", 24)
    toy_model.save_pretrained(tmp_path / "model")
    before = (tmp_path / "model" / "memory.parquet").read_bytes()
    options = [tmp_path / "model", tmp_path / "small", "--keep", 0.4, "--method", "prototypes"]
    status, out, error = run("condense", *options)
    assert status == 0, error
    small = ReAugKDClassifier.from_pretrained(tmp_path / "small")
    about = small.metrics["condensed"]
    shown = cells(out)
    assert [row[0] for row in shown[:2]] == ["student alone", "all memories"]
    (chosen,) = [row for row in shown if row[-1] == "yes"]
    assert chosen[:3] == ["prototypes", f"{len(small.memory):,}", f"{about['bytes'] / 1000:,.0f}"]
    assert chosen[5] == f"{about['log_loss']:.4f}"
    assert "On 36 test rows accuracy goes from" in error
    assert (tmp_path / "model" / "memory.parquet").read_bytes() == before
    assert_one_sentence(run("condense", tmp_path / "model", tmp_path / "model"), "is that of the model itself")
    assert_one_sentence(run("condense", tmp_path / "model", tmp_path / "new", "--bytes", 10), "made so small")
    assert_one_sentence(run("condense", tmp_path / "small", tmp_path / "new"), "condensed already")
    assert not (tmp_path / "new").exists()


def test_train_set_writes_the_corrected_train_rows(run, tmp_path, toy_model_folder, toy_model):
    gone = toy_model.memory.rows["id"][3]
    (tmp_path / "patch.jsonl").write_text(json.dumps({"edit": "remove", "id": gone}))
    status, _, error = run(
        "train-set", toy_model_folder, "--patch", tmp_path / "patch.jsonl", "--out", tmp_path / "rows.csv"
    )
    assert status == 0, error
    written = pd.read_csv(tmp_path / "rows.csv")["id"].tolist()
    assert written == [name for name in toy_model.memory.rows["id"] if name != gone]
    wrong = run("train-set", toy_model_folder, "--out", tmp_path / "rows.xlsx")
    assert_one_sentence(wrong, "name another place")


def test_edit_lets_an_encoder_search_the_memory_too(run, tmp_path, toy_model_folder, toy_model, toy_encoder_folder):
    patch = tmp_path / "patch.jsonl"
    patch.write_text(json.dumps({"edit": "add", "id": "mine", "label": "gadget", "text": "the gadget hums"}) + "\n")
    options = ["--patch", patch, "--out", tmp_path / "new"]
    options += ["--encoder-key", toy_encoder_folder, "--encoder-key-layers", 1]
    status, _, error = run("edit", toy_model_folder, *options)
    assert status == 0, error
    new = ReAugKDClassifier.from_pretrained(tmp_path / "new")
    assert list(new.memory.keys) == ["aligned", "text", "encoder"]
    assert new.pool.new_class_key == "encoder"
    wanted = with_encoder_key(apply_patch(toy_model, read_patch(patch)), str(toy_encoder_folder), 1)
    np.testing.assert_allclose(new.memory.keys["encoder"], wanted.memory.keys["encoder"], atol=1e-5)


def test_edit_fits_the_pool_again_where_it_is_asked_to(run, tmp_path, toy_model_folder, toy_model):
    (tmp_path / "patch.jsonl").touch()
    status, _, error = run(
        "edit", toy_model_folder, "--patch", tmp_path / "patch.jsonl", "--out", tmp_path / "new", "--refit"
    )
    assert status == 0, error
    found, wanted = ReAugKDClassifier.from_pretrained(tmp_path / "new").pool, refit_pool(toy_model).pool
    assert found.student_temperature == pytest.approx(wanted.student_temperature)
    assert found.weights[1] == pytest.approx(wanted.weights[1])


@pytest.mark.parametrize("command", ["train", "teach"])
def test_an_interrupted_training_says_that_it_goes_on(run, monkeypatch, tmp_path, train_file, command):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, command, interrupted)
    out = tmp_path / ("model" if command == "train" else "outputs.parquet")
    status, _, error = run(command, "--train", train_file, "--out", out)
    assert status == 130
    assert error.endswith("interrupted; run the same command again to continue a training.\n")


def test_help_is_printed_where_the_console_knows_no_greek():
    code = "import sys; sys.argv = ['reaugkd', 'train', '--help']; import reaugkd.cli; reaugkd.cli.main()"
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert ended.returncode == 0
    assert "λ" in ended.stdout.decode("utf-8")  # of the help for --validation


def test_edit_does_not_write_over_the_original_or_without_being_asked(run, tmp_path, toy_model_folder):
    patch = tmp_path / "patch.jsonl"
    patch.write_text("")
    own = run("edit", toy_model_folder, "--patch", patch, "--out", toy_model_folder)
    assert_one_sentence(own, "--out is the folder of the model itself")
    status, _, error = run("edit", toy_model_folder, "--patch", patch)
    assert status == 0, error
    assert "0 are fixed and 0 broken" in error
    assert "Nothing was saved" in error


@pytest.mark.slow
def test_a_classifier_is_adopted_and_what_was_left_out_of_the_report_is_said(
    run, toy_classifier_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    for name, seed, rows in (("train", 0, 30), ("test", 2, 40)):
        toy_rows(rows, seed=seed).rename(columns={"text": "review", "label": "kind"}).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    files = ["--train", tmp_path / "train.csv", "--test", tmp_path / "test.csv"]
    columns = ["--text-column", "review", "--label-column", "kind"]
    out = tmp_path / "adopted"
    status, shown, told = run("adopt", toy_classifier_folder, *files, *columns, "--out", out)
    assert status == 0, told
    assert "chosen on half of the test rows (60), which the score leaves out" in " ".join(shown.split())
    assert "The classifier, as it was" in shown
    assert "Keys of the memory ..." in told
    model = ReAugKDClassifier.from_pretrained(out)
    assert (len(model.memory), len(model.held_out(["test"]))) == (90, 60)
    assert run("predict", out, "a plum")[0] == 0
    assert run("evaluate", out, "--data", tmp_path / "test.csv", *columns)[0] == 0
    soft = model.memory.rows[["id"]].assign(split="train", fruit=0.5, metal=0.3, weather=0.2)
    soft = pd.concat([soft, soft.assign(split="validation")])
    soft.to_csv(tmp_path / "soft.csv", index=False)
    options = ["--soft-labels", tmp_path / "soft.csv", "--out", tmp_path / "other"]
    assert run("adopt", toy_classifier_folder, *files, *columns, *options)[0] == 0
    other = ReAugKDClassifier.from_pretrained(tmp_path / "other")
    said = dict(zip(other.classes_.tolist(), other.memory.soft_labels[0].round(3).tolist(), strict=True))
    assert said == pytest.approx({"fruit": 0.5, "metal": 0.3, "weather": 0.2}, abs=1e-3)
    result = run(
        "adopt", toy_classifier_folder, *files, "--text-column", "review", "--label-column", "topic", "--out", out
    )
    assert_one_sentence(result, "The label 'home' is no class of the classifier, which has weather, metal, fruit")


def test_only_a_trained_classifier_is_adopted(run, toy_encoder_folder, train_file, tmp_path):
    files = ["--train", train_file, "--test", train_file, "--out", tmp_path / "out"]
    assert_one_sentence(run("adopt", "no-such-model", *files), "'no-such-model'")
    assert_one_sentence(run("adopt", toy_encoder_folder, *files), "holds no trained classifier")
