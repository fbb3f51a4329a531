"""The teacher, the file of its outputs, and a teacher of which only the answers are known."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from toy_data import toy_rows

from reaugkd.errors import ReAugKDError
from reaugkd.method.teacher import Teacher, TeacherOutputs, black_box_outputs, given_soft_labels, read_soft_labels
from reaugkd.tasks.task import SPLITS, make_task


@pytest.fixture(scope="module")
def teacher(wide_encoder_folder):
    torch.manual_seed(0)
    found = Teacher.from_pretrained(wide_encoder_folder, 3, max_length=16)
    found.pretrained = "toy-teacher"
    return found


@pytest.fixture(scope="module")
def outputs(teacher, toy_task):
    return teacher.outputs(toy_task)


def test_the_outputs_are_what_the_teacher_says_of_every_row(teacher, toy_task, outputs):
    assert outputs.ids == [row_id for split in SPLITS for row_id in toy_task.rows[split]["id"]]
    assert outputs.splits == ["train"] * 90 + ["validation"] * 24 + ["test"] * 36
    for split in SPLITS:
        hidden, soft_labels = teacher.encode(toy_task.texts(split))
        by_split = outputs.of(split)
        np.testing.assert_allclose(by_split[0], hidden, rtol=1e-3, atol=1e-3)  # float16
        np.testing.assert_allclose(by_split[1], soft_labels, atol=1e-6)
        assert [array.dtype for array in by_split] == [np.float32, np.float32]
    assert outputs.hidden.dtype == np.float16


def test_a_teacher_reads_in_the_type_that_it_was_trained_in(teacher, toy_task, monkeypatch):
    texts = toy_task.texts("test")
    exact, seen, run = teacher.encode(texts), [], Teacher.encode

    def spy(self, *given):
        seen.append(torch.is_autocast_enabled("cpu"))
        if seen == [True, True]:
            raise RuntimeError("mixes a type of its own in")
        return run(self, *given)

    monkeypatch.setattr(Teacher, "encode", spy)
    monkeypatch.setattr(teacher, "bf16", True)
    in_bf16 = teacher.read(texts)
    assert 0 < np.abs(in_bf16[1] - exact[1]).max() < 0.05
    assert in_bf16[0].dtype == in_bf16[1].dtype == np.float32
    np.testing.assert_array_equal(teacher.read(texts)[1], exact[1])  # it fails in bfloat16 now
    monkeypatch.setattr(teacher, "bf16", False)
    np.testing.assert_array_equal(teacher.read(texts)[0], exact[0])
    assert seen == [True, True, False, False]


def test_the_file_gives_back_every_value_to_the_bit(outputs, tmp_path):
    outputs.save(tmp_path / "deep" / "outputs.parquet")
    loaded = TeacherOutputs.load(tmp_path / "deep" / "outputs.parquet")
    assert (loaded.ids, loaded.splits) == (outputs.ids, outputs.splits)
    assert (loaded.label_names, loaded.teacher) == (("fruit", "metal", "weather"), "toy-teacher")
    assert loaded.fingerprint == outputs.fingerprint
    np.testing.assert_array_equal(loaded.hidden, outputs.hidden)
    np.testing.assert_array_equal(loaded.soft_labels, outputs.soft_labels)
    assert (loaded.hidden.dtype, loaded.soft_labels.dtype) == (np.float16, np.float32)


def test_the_file_is_plain_parquet_and_nothing_else_is_left(outputs, tmp_path):
    outputs.save(tmp_path / "outputs.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["outputs.parquet"]
    table = pd.read_parquet(tmp_path / "outputs.parquet")
    assert list(table.columns) == ["id", "split", "teacher_hidden", "soft_labels"]
    np.testing.assert_array_equal(np.stack(table["soft_labels"]), outputs.soft_labels)
    content = (tmp_path / "outputs.parquet").read_bytes()
    assert content[:4] == content[-4:] == b"PAR1"
    assert not zipfile.is_zipfile(tmp_path / "outputs.parquet")


def test_a_failed_write_leaves_the_old_file_whole(outputs, tmp_path, monkeypatch):
    path = tmp_path / "outputs.parquet"
    outputs.save(path)
    before = path.read_bytes()

    def fail(table, partial):
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(ReAugKDError, match="The disk is full while writing .*outputs.parquet"):
        outputs.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["outputs.parquet"]


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ReAugKDError, match=r"There is no file .*none\.parquet"):
        TeacherOutputs.load(tmp_path / "none.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really", b"id,split\n1,train\n"])
def test_a_file_that_is_no_parquet_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "outputs.parquet").write_bytes(content)
    with pytest.raises(ReAugKDError, match="holds no teacher outputs") as caught:
        TeacherOutputs.load(tmp_path / "outputs.parquet")
    assert "\n" not in str(caught.value)


def test_a_cut_file_is_refused(outputs, tmp_path):
    path = tmp_path / "outputs.parquet"
    outputs.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ReAugKDError, match="holds no teacher outputs"):
        TeacherOutputs.load(path)


def test_any_other_parquet_file_is_refused(tmp_path):
    pd.DataFrame({"id": ["1"], "text": ["apple"]}).to_parquet(tmp_path / "outputs.parquet")
    with pytest.raises(ReAugKDError, match="holds no teacher outputs"):
        TeacherOutputs.load(tmp_path / "outputs.parquet")


@pytest.mark.parametrize("metadata", ["[]", '"words"', '{"version": 1}', "{"])
def test_other_metadata_is_refused(outputs, tmp_path, metadata):
    path = tmp_path / "outputs.parquet"
    outputs.save(path)
    pq.write_table(pq.read_table(path).replace_schema_metadata({"reaugkd": metadata}), path)
    with pytest.raises(ReAugKDError, match="holds no teacher outputs"):
        TeacherOutputs.load(path)


def test_another_format_version_is_refused(outputs, tmp_path):
    path = tmp_path / "outputs.parquet"
    outputs.save(path)
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"reaugkd"])
    pq.write_table(table.replace_schema_metadata({"reaugkd": json.dumps(about | {"version": 99})}), path)
    with pytest.raises(ReAugKDError, match="is of format 99, not 1"):
        TeacherOutputs.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda outputs: outputs.soft_labels.__setitem__((3, 0), outputs.soft_labels[3, 0] + 0.1),
        lambda outputs: outputs.soft_labels.__setitem__(3, [1.5, -0.5, 0.0]),
        lambda outputs: outputs.soft_labels.__setitem__((3, 0), np.nan),
        lambda outputs: outputs.hidden.__setitem__((3, 0), np.inf),
    ],
    ids=["sum", "negative", "nan", "hidden"],
)
def test_rows_that_are_no_probabilities_are_refused(outputs, tmp_path, change):
    wrong = replace(outputs, hidden=outputs.hidden.copy(), soft_labels=outputs.soft_labels.copy())
    change(wrong)
    wrong.save(tmp_path / "outputs.parquet")
    with pytest.raises(ReAugKDError, match="has rows that are no probabilities"):
        TeacherOutputs.load(tmp_path / "outputs.parquet")


def test_soft_labels_of_another_number_of_classes_are_refused(outputs, tmp_path):
    replace(outputs, label_names=("fruit", "metal")).save(tmp_path / "outputs.parquet")
    with pytest.raises(ReAugKDError, match=r"no probabilities|holds no teacher outputs"):
        TeacherOutputs.load(tmp_path / "outputs.parquet")


def test_outputs_fit_their_own_task_also_with_other_gold_labels(outputs, toy_task):
    outputs.check(toy_task)
    tables = {split: toy_task.rows[split].to_pandas() for split in SPLITS}
    names = toy_task.label_names
    tables = {
        split: table.assign(label=[names[number] for number in table["label"]]) for split, table in tables.items()
    }
    tables["train"].loc[0, "label"] = "weather"
    outputs.check(make_task("planted", tables))


def test_outputs_of_other_rows_are_refused(outputs):
    other = make_task("other", {split: toy_rows(9, seed) for split, seed in zip(SPLITS, (5, 6, 7), strict=True)})
    with pytest.raises(ReAugKDError, match="computed for other classes, rows or splits than those of other"):
        outputs.check(other)


def test_outputs_of_other_classes_are_refused(outputs, toy_task):
    with pytest.raises(ReAugKDError, match="computed for other classes, rows or splits than those of toy"):
        outputs.check(replace(toy_task, label_names=("fruit", "metal")))


def test_the_outputs_of_unlabelled_texts_come_last_and_are_read_with_those_of_train(teacher, unlabelled_task):
    outputs = teacher.outputs(unlabelled_task)
    rows = len(unlabelled_task.rows["unlabelled"])
    assert outputs.splits == ["train"] * 90 + ["validation"] * 24 + ["test"] * 36 + ["unlabelled"] * rows
    assert outputs.ids[-rows:] == unlabelled_task.rows["unlabelled"]["id"][:]
    hidden, soft_labels = teacher.encode(unlabelled_task.taught_texts)
    found = outputs.of("train", "unlabelled")
    np.testing.assert_allclose(found[0], hidden, rtol=1e-3, atol=1e-3)  # float16
    np.testing.assert_allclose(found[1], soft_labels, atol=1e-6)
    outputs.check(unlabelled_task)


def test_outputs_with_and_without_unlabelled_texts_are_told_apart(teacher, outputs, toy_task, unlabelled_task):
    with pytest.raises(ReAugKDError, match="computed for other classes, rows or splits than those of toy"):
        outputs.check(unlabelled_task)
    with pytest.raises(ReAugKDError, match="computed for other classes, rows or splits than those of toy"):
        teacher.outputs(unlabelled_task).check(toy_task)


def test_unlabelled_texts_have_no_part_in_the_calibration(teacher, outputs, toy_task, unlabelled_task):
    more = teacher.outputs(unlabelled_task).calibrated(unlabelled_task)
    plain = outputs.calibrated(toy_task)
    np.testing.assert_allclose(more.of("train")[1], plain.of("train")[1], atol=1e-6)


NAMES = ["fruit", "metal", "weather"]


@pytest.fixture(scope="module")
def answers(unlabelled_task):
    """An answer of its own for each row, in the order of the splits."""
    rows = [(split, row_id) for split in unlabelled_task.splits for row_id in unlabelled_task.rows[split]["id"]]
    given = np.random.default_rng(0).dirichlet(np.ones(3), size=len(rows)).astype(np.float32)
    return dict(zip(rows, given, strict=True))


def test_a_function_is_asked_of_unlabelled_texts_last(unlabelled_task, toy_encoder_folder, answers):
    asked = []

    def says(texts):
        asked.extend(texts)
        return np.stack(list(answers.values()))

    outputs = black_box_outputs(unlabelled_task, says, str(toy_encoder_folder))
    assert asked == [text for split in unlabelled_task.splits for text in unlabelled_task.texts(split)]
    outputs.check(unlabelled_task)
    for split in unlabelled_task.splits:
        wanted = np.stack([answers[split, row_id] for row_id in unlabelled_task.rows[split]["id"]])
        np.testing.assert_allclose(outputs.of(split)[1], wanted, atol=1e-6)
    assert outputs.hidden.shape == (len(answers), 32)


@pytest.mark.parametrize("by", ["split", "id"])
def test_a_table_holds_those_of_unlabelled_rows_too(unlabelled_task, toy_encoder_folder, answers, tmp_path, by):
    table = pd.DataFrame(np.stack(list(answers.values())), columns=NAMES)
    table["split"], table["id"] = zip(*answers, strict=True)
    shuffled = table.sample(frac=1, random_state=0)
    shuffled = shuffled if by == "split" else shuffled.drop(columns="split")
    shuffled.to_csv(tmp_path / "answers.csv", index=False)
    given = read_soft_labels(tmp_path / "answers.csv", unlabelled_task)
    assert given.keys() == answers.keys()
    outputs = black_box_outputs(unlabelled_task, given, str(toy_encoder_folder))
    np.testing.assert_allclose(outputs.soft_labels, np.stack(list(answers.values())), atol=1e-5)


def test_an_unlabelled_row_without_an_answer_is_named(unlabelled_task, toy_encoder_folder, answers):
    last = list(answers)[-1]
    missing = {row: given for row, given in answers.items() if row != last}
    with pytest.raises(ReAugKDError, match=f"The unlabelled row '{last[1]}' has no soft labels; give some"):
        black_box_outputs(unlabelled_task, missing, str(toy_encoder_folder))


@pytest.mark.parametrize("said", [[["a", "b", "c"]], [[None, {}, 1]], [[10**400, 0, 0]], "much"])
def test_a_black_box_that_gives_no_numbers_is_told(toy_task, said):
    with pytest.raises(ReAugKDError, match="The list of soft labels holds no table of numbers; give each row as many"):
        given_soft_labels(toy_task, lambda texts: said * (len(texts) if isinstance(said, list) else 1), ["train"])


@pytest.mark.parametrize("given", [None, 3, "answers.csv", [[1, 0, 0]]])
def test_what_gives_no_soft_labels_is_told(toy_task, given):
    with pytest.raises(ReAugKDError, match="The part soft_labels is .*; it must be a function of texts, or numbers by"):
        given_soft_labels(toy_task, given, ["train"])


@pytest.mark.parametrize("row", [["a", "b", "c"], [1.0, 0.0, None, {}]])
def test_soft_labels_by_id_that_are_no_numbers_are_told(toy_task, row):
    with pytest.raises(ReAugKDError, match="The list of soft labels holds no table of numbers"):
        given_soft_labels(toy_task, dict.fromkeys(toy_task.all_ids, row), ["train"])
