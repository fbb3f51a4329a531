import json
import time

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.tasks import sources
from reaugkd.tasks.sources import GLUE, load_files, load_task, named_texts, read_table
from reaugkd.tasks.task import SPLITS

AWKWARD = [
    'He said "no", and left.',
    "two\nlines, and a comma",
    "NA",
    "null",
    "nan",
    "None",
    "  spaces kept  ",
    "café, naïve, 你好",
]
LABELS = ["NA", "ok", "NA", "ok", "NA", "ok", "NA", "ok"]


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    """Local data sets are prepared in a folder of the test, and the switch to offline does not outlive it."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def write(path, text):
    path.write_bytes(text.encode())
    return path


def load_all_as_test(path, **columns):
    """Load a file as every split, so that no row moves."""
    return load_files(path, path, path, **columns)


def shown(task, split="test"):
    return [task.label_names[number] for number in task.labels(split)]


def test_a_csv_keeps_quotes_commas_newlines_and_the_words_na_and_null(tmp_path):
    path = tmp_path / "awkward.csv"
    pd.DataFrame({"text": AWKWARD, "label": LABELS}).to_csv(path, index=False)
    task = load_all_as_test(path)
    assert task.texts("test") == AWKWARD
    assert shown(task) == LABELS
    assert (task.name, task.label_names) == ("awkward", ("NA", "ok"))


def test_a_csv_with_a_byte_order_mark_and_windows_line_ends_is_read(tmp_path):
    path = write(tmp_path / "excel.csv", "\ufefftext,label\r\none,a\r\ntwo,b\r\n")
    task = load_all_as_test(path)
    assert (task.texts("test"), shown(task)) == (["one", "two"], ["a", "b"])


def test_a_tsv_keeps_stray_quote_characters(tmp_path):
    path = write(tmp_path / "rows.tsv", 'text\tlabel\n"Unclosed, he said\ta\n5\' 10" tall\tb\nnull\ta\n""\tb\n')
    task = load_all_as_test(path)
    assert task.texts("test") == ['"Unclosed, he said', "5' 10\" tall", "null", '""']
    assert shown(task) == ["a", "b", "a", "b"]


def test_jsonl_keeps_every_text_and_numbers_as_labels(tmp_path):
    lines = [json.dumps({"text": text, "label": number}) for number, text in enumerate(AWKWARD)]
    task = load_all_as_test(write(tmp_path / "rows.jsonl", "\n".join(lines) + "\n"))
    assert task.texts("test") == AWKWARD
    assert task.label_names == tuple("01234567")


def test_parquet_takes_integer_labels_in_the_order_of_their_values(tmp_path):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": AWKWARD, "label": [10, 9, 10, 9, 2, 2, -1, -1]}).to_parquet(path)
    task = load_all_as_test(path)
    assert task.label_names == ("-1", "2", "9", "10")
    assert shown(task) == ["10", "9", "10", "9", "2", "2", "-1", "-1"]


def test_a_missing_value_of_a_nullable_column_is_a_missing_label(tmp_path):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": ["one", "two", "three"], "label": pd.array([1, None, 2], dtype="Int64")}).to_parquet(path)
    with pytest.raises(ReAugKDError, match="train row 2 has no label"):
        load_all_as_test(path)


def test_named_columns_are_read_even_where_others_have_our_names(tmp_path):
    path = write(tmp_path / "own.csv", "text,label,review,stars,id\nx,y,good one,5,r1\nx,y,bad one,1,r2\n")
    task = load_all_as_test(path, text_column="review", label_column="stars")
    assert task.texts("test") == ["good one", "bad one"]
    assert shown(task) == ["5", "1"]
    assert list(task.rows["test"]["id"]) == ["r1", "r2"]
    assert not task.is_pair


def test_two_columns_make_pairs(tmp_path):
    path = write(tmp_path / "pairs.tsv", "premise\thypothesis\tgold\nA\tB\tyes\nC\tD\tno\n")
    task = load_all_as_test(path, text_column="premise", text_pair_column="hypothesis", label_column="gold")
    assert task.is_pair
    assert task.texts("test") == [("A", "B"), ("C", "D")]


@pytest.mark.parametrize("second", [["B", "D"], [1.5, 2.5]])
def test_a_column_called_text_pair_is_a_further_one_unless_it_is_asked_for(tmp_path, second):
    path, other = tmp_path / "rows.jsonl", tmp_path / "other.jsonl"
    rows = pd.DataFrame({"text": ["A", "C"], "label": ["yes", "no"], "text_pair": second})
    rows.to_json(path, orient="records", lines=True)
    rows.drop(columns="text_pair").to_json(other, orient="records", lines=True)
    task = load_files(path, other, path)
    assert not task.is_pair
    assert (task.texts("train"), task.texts("test")) == (["A", "C"], ["A", "C"])
    assert list(task.rows["train"]["given_text_pair"]) == second
    assert load_all_as_test(path, text_pair_column="text_pair").texts("test") == [
        ("A", str(second[0])),
        ("C", str(second[1])),
    ]


@pytest.mark.parametrize(
    ("columns", "twice"),
    [
        ({"text_column": "label"}, "label"),
        ({"text_pair_column": "text"}, "text"),
        ({"text_pair_column": "label"}, "label"),
    ],
)
def test_one_column_is_not_taken_for_two(tmp_path, columns, twice):
    path = write(tmp_path / "rows.csv", "text,label\none,a\ntwo,b\n")
    with pytest.raises(ReAugKDError, match=f"The column '{twice}' is named twice; name another one for text, second"):
        load_files(path, **columns)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("text,text_pair,label", {"text_column": "text_pair", "text_pair_column": "text"}),
        ("sentence,other,text", {"text_column": "sentence", "label_column": "text"}),
    ],
)
def test_a_named_column_may_be_called_as_another_of_our_names(tmp_path, header, named):
    write(tmp_path / "train.csv", header + "\n" + "".join(f"first {n},second {n},{'xy'[n % 2]}\n" for n in range(20)))
    task = load_files(tmp_path / "train.csv", **named)
    assert task.label_names == ("x", "y")
    firsts = [text[0] if task.is_pair else text for text in task.texts("train")]
    assert all(text.startswith("second" if task.is_pair else "first") for text in firsts)


def test_a_whole_number_is_one_label_whatever_the_file_makes_of_it(tmp_path):
    rows = pd.DataFrame({"text": numbered("row", 20), "label": [0, 1] * 10})
    rows.to_parquet(tmp_path / "train.parquet")
    rows.assign(label=rows["label"].astype(float)).to_parquet(tmp_path / "test.parquet")
    assert load_files(tmp_path / "train.parquet", tmp_path / "test.parquet").label_names == ("0", "1")


def test_jsonl_with_a_byte_order_mark_is_read(tmp_path):
    lines = "".join(json.dumps({"text": f"row {n}", "label": "ab"[n % 2]}) + "\n" for n in range(20))
    (tmp_path / "train.jsonl").write_text(lines, encoding="utf-8-sig")
    assert load_files(tmp_path / "train.jsonl").label_names == ("a", "b")


def test_named_texts_renames_and_keeps_the_other_columns(tmp_path):
    path = write(tmp_path / "own.csv", "review,stars,shop\ngood,5,north\n")
    rows = named_texts(path, {"text": "review", "label": "stars"})
    assert rows.to_dict("records") == [{"text": "good", "label": "5", "shop": "north"}]


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ReAugKDError, match=r"There is no file '.*absent\.csv'; check the path"):
        load_files(tmp_path / "absent.csv")


def test_a_missing_column_is_said_with_those_there_are(tmp_path):
    path = write(tmp_path / "own.csv", "review,stars\ngood,5\n")
    with pytest.raises(ReAugKDError, match=r"own\.csv has no column 'text'; it has 'review', 'stars'"):
        load_files(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = write(tmp_path / "rows.xlsx", "PK")
    message = r"'rows.xlsx' is not a table that can be read; give one of .tsv, .csv, .jsonl, .parquet, .txt"
    with pytest.raises(ReAugKDError, match=message):
        load_files(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.csv", b'text,label\n"never closed,a\n'),
        ("ragged.csv", b"text,label\none,a\none,a,b,c\n"),
        ("latin1.csv", "text,label\ncafé,a\n".encode("latin-1")),
        ("empty.csv", b""),
        ("unquoted.csv", b"text,label\ngood, nice,a\nbad, ugly,b\n"),
        ("shifted.tsv", b"text\tlabel\none\ttwo\ta\n"),
        ("not.parquet", b"PAR1 and then nothing"),
    ],
)
def test_a_damaged_file_is_said_in_one_sentence(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    kind = path.suffix[1:].upper()
    with pytest.raises(ReAugKDError, match=rf"'{name}' is not a valid {kind} file \(.+\); correct it") as raised:
        read_table(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("index", ["id", "text"])
def test_a_pandas_index_that_has_a_name_is_a_column(tmp_path, index):
    rows = pd.DataFrame({"text": numbered("row", 20), "label": ["a", "b"] * 10, "id": numbered("doc", 20)})
    rows.set_index(index).to_parquet(tmp_path / "rows.parquet")
    task = load_all_as_test(tmp_path / "rows.parquet")
    assert task.texts("test") == numbered("row", 20)
    assert task.rows["test"]["id"][:] == numbered("doc", 20)


def test_bytes_are_read_as_utf_8_or_refused(tmp_path):
    rows = pd.DataFrame({"text": numbered("naïve", 20), "label": ["a", "b"] * 10, "id": numbered("doc", 20)})
    rows.map(str.encode).to_parquet(tmp_path / "rows.parquet")
    task = load_all_as_test(tmp_path / "rows.parquet")
    assert (task.texts("test")[0], task.label_names, task.rows["test"]["id"][0]) == ("naïve 0", ("a", "b"), "doc 0")
    rows.map(lambda text: text.encode("latin-1")).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ReAugKDError, match=r"b'na\\xefve 0' is not text in UTF-8; write the table's column as text"):
        load_all_as_test(tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"text": "one", "label": 1}\n{"text": "tw', "Line 2 of .* is no JSON object; write one whole object"),
        ('[{"text": "one", "label": 1}]', "Line 1 of .* is no JSON object; write one whole object"),
        ("", "'rows.jsonl' is not a valid JSONL file .it has no rows.; correct it"),
    ],
)
def test_a_jsonl_that_is_none_is_said(tmp_path, content, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        read_table(write(tmp_path / "rows.jsonl", content))


def test_great_numbers_stay_whole_beside_a_missing_one_and_a_missing_id_is_said(tmp_path):
    ids = [9007199254740993, None, 9007199254740995]
    lines = [json.dumps({"text": "a", "label": n} | ({"id": row_id} if row_id else {})) for n, row_id in enumerate(ids)]
    path = write(tmp_path / "rows.jsonl", "\n".join(lines))
    assert read_table(path)["id"].dropna().tolist() == [9007199254740993, 9007199254740995]
    with pytest.raises(ReAugKDError, match="The train row 2 has no id; fill it in or drop the column"):
        load_all_as_test(path)
    pd.DataFrame({"text": ["a", "b"], "label": ["a", "b"], "id": [0.0, None]}).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ReAugKDError, match="The train row 2 has no id; fill it in or drop the column"):
        load_all_as_test(tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    ("path", "kind"), [(None, "nothing"), (b"rows.csv", "bytes"), (pd.DataFrame({"text": ["one"]}), "a table")]
)
def test_a_file_that_is_not_named_by_its_path_is_refused(path, kind):
    with pytest.raises(ReAugKDError, match=f"A file or folder is named by its path, not by {kind}; give text"):
        load_files(path)


@pytest.mark.parametrize("name", [None, 3, b"shoptalk"])
def test_a_task_that_is_not_named_by_text_is_refused(name):
    with pytest.raises(ReAugKDError, match="The task is .*; it must be a name such as shoptalk"):
        load_task(name)


@pytest.mark.parametrize("count", ["5", 2.5, True])
def test_train_rows_that_are_no_whole_number_are_refused(tmp_path, count):
    path = write(tmp_path / "rows.csv", "text,label\n" + "one,a\ntwo,b\n" * 10)
    with pytest.raises(ReAugKDError, match="train_rows is .*; it must be a whole number"):
        load_files(path, train_rows=count)


def test_two_parquet_columns_of_one_name_are_named(tmp_path):
    columns = [pa.array(["one"]), pa.array(["a"]), pa.array(["b"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["text", "label", "label"]), tmp_path / "rows.parquet")
    with pytest.raises(ReAugKDError, match=r"not a valid PARQUET file \(two columns are called 'label'\); correct it"):
        read_table(tmp_path / "rows.parquet")


def test_half_a_character_in_a_jsonl_is_said_in_plain_words(tmp_path):
    path = write(tmp_path / "rows.jsonl", '{"text": "\\ud800", "label": "a"}\n')
    with pytest.raises(ReAugKDError, match=r"not a valid JSONL file \(it holds half a character, a lone surrogate\)"):
        read_table(path)


def test_a_column_of_lists_is_refused(tmp_path):
    path = write(tmp_path / "rows.jsonl", '{"text": ["a", "b"], "label": 1}\n{"text": ["c"], "label": 2}\n')
    with pytest.raises(ReAugKDError, match=r"column 'text' of .*rows\.jsonl holds lists or objects"):
        load_files(path)


def test_an_unknown_task_is_said_with_those_there_are():
    with pytest.raises(ReAugKDError, match="There is no task 'shoptok'; use shoptalk, glue/TASK, or OWNER/NAME"):
        load_task("shoptok")


def test_an_unknown_glue_task_is_said_with_those_there_are():
    with pytest.raises(ReAugKDError, match="There is no GLUE task 'stsb'; choose one of cola, sst2, mrpc"):
        load_task("glue/stsb")


def test_planted_errors_are_shoptalks_alone():
    with pytest.raises(ReAugKDError, match="Only shoptalk has planted errors, not 'glue/rte'"):
        load_task("glue/rte", planted_errors=True)


def test_without_a_hub_a_task_fails_within_seconds_in_one_sentence(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(sources, "hub_is_reachable", lambda: False)
    start = time.monotonic()
    with pytest.raises(ReAugKDError, match=r"'glue/rte' could not be loaded \(.+\); check its name or the network"):
        load_task("glue/rte")
    assert time.monotonic() - start < 5


# A local folder, laid out as a data set of the hub


def write_parquet_dataset(folder, splits, names):
    """Write a data set as the hub stores one: Parquet files with a ClassLabel in their schema."""
    (folder / "data").mkdir(parents=True)
    for split, rows in splits.items():
        features = {name: datasets.Value("string") for name in rows if name != "label"}
        features["label"] = datasets.ClassLabel(names=names)
        rows = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
        rows.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def numbered(prefix, count):
    return [f"{prefix} {number}" for number in range(count)]


def test_a_local_folder_laid_out_as_a_hub_data_set_loads(tmp_path):
    splits = {
        "train": {"text": numbered("train", 20), "label": [0, 1] * 10},
        "validation": {"text": ["held out", "and another"], "label": [1, 0]},
        "test": {"text": ["unseen", "unheard"], "label": [0, 1]},
    }
    folder = write_parquet_dataset(tmp_path / "own", splits, ["pos", "neg"])
    task = load_task(str(folder))
    assert task.label_names == ("pos", "neg")  # the order of the features, not of the alphabet
    assert {split: task.texts(split) for split in splits} == {split: rows["text"] for split, rows in splits.items()}
    assert shown(task) == ["pos", "neg"]


@pytest.fixture
def csv_folder(tmp_path):
    """An empty folder, to be filled with a data set's files."""
    folder = tmp_path / "csvs"
    folder.mkdir()
    return folder


def test_a_local_folder_of_csv_files_holds_validation_rows_out_of_train(csv_folder):
    train = pd.DataFrame({"sentence": numbered("train", 20), "label": ["a", "b"] * 10})
    train.to_csv(csv_folder / "train.csv", index=False)
    write(csv_folder / "test.csv", "sentence,label\nunseen,a\nunheard,b\n")
    task = load_task(str(csv_folder))
    assert {split: len(task.rows[split]) for split in task.rows} == {"train": 18, "validation": 2, "test": 2}
    assert set(task.texts("train")) | set(task.texts("validation")) == set(train["sentence"])
    assert task.texts("test") == ["unseen", "unheard"]


def test_the_test_split_counts_where_the_label_column_has_another_name(csv_folder):
    pd.DataFrame({"review": numbered("train", 20), "stars": [1, 5] * 10}).to_csv(csv_folder / "train.csv", index=False)
    write(csv_folder / "test.csv", "review,stars\nunseen,5\nunheard,1\n")
    task = load_task(str(csv_folder), text_column="review", label_column="stars")
    assert (task.texts("test"), shown(task)) == (["unseen", "unheard"], ["5", "1"])


def test_a_data_set_without_a_text_column_asks_for_its_name(csv_folder):
    write(csv_folder / "train.csv", "review,label\none,a\ntwo,b\n")
    with pytest.raises(ReAugKDError, match="has no column 'text'; it has 'review', 'label'"):
        load_task(str(csv_folder))


def test_a_data_set_without_a_train_split_is_refused(csv_folder):
    write(csv_folder / "test.csv", "text,label\none,a\ntwo,b\n")
    with pytest.raises(ReAugKDError, match="has no train split, only test"):
        load_task(str(csv_folder))


def pairs_of(*labels, texts=None, **columns):
    count = len(labels)
    rows = {"premise": texts or numbered("premise", count), "hypothesis": numbered("so", count), "label": list(labels)}
    return rows | columns


def load_pairs(tmp_path, rows, names):
    """Load a data set of one table in all its splits; return the task and what was said."""
    folder, said = write_parquet_dataset(tmp_path / "own", dict.fromkeys(SPLITS, rows), names), []
    columns = {"text_column": "premise", "text_pair_column": "hypothesis"}
    return load_task(str(folder), **columns, say=said.append), said


def test_rows_of_the_hub_without_a_label_are_left_out_and_counted(tmp_path):
    task, said = load_pairs(tmp_path, pairs_of(0, 1, -1, 2, -1), ["yes", "maybe", "no"])
    assert shown(task) == ["yes", "maybe", "no"]
    assert [text for text, _ in task.texts("train")] == ["premise 0", "premise 1", "premise 3"]
    assert list(task.rows["train"]["id"]) == ["train-1", "train-2", "train-4"]  # by their place in the data set
    assert said == [f"Left out 6 rows of {tmp_path / 'own'} that lack a label or a text."]


@pytest.mark.parametrize("blank", ["", "  ", None])
@pytest.mark.parametrize("column", ["premise", "hypothesis"])
def test_rows_of_the_hub_without_a_text_are_left_out(tmp_path, column, blank):
    rows = pairs_of(0, 1, 0, 1)
    rows[column][2] = blank
    task, said = load_pairs(tmp_path, rows, ["yes", "no"])
    assert shown(task) == ["yes", "no", "no"]
    assert said == [f"Left out 3 rows of {tmp_path / 'own'} that lack a label or a text."]


def test_ids_of_the_hub_that_repeat_are_replaced_and_others_stay(tmp_path):
    task, said = load_pairs(tmp_path, pairs_of(0, 1, 0, 1, id=["a", "a", "b", "b"]), ["yes", "no"])
    assert list(task.rows["train"]["id"]) == [f"train-{place}" for place in (1, 2, 3, 4)]
    other, _ = load_pairs(tmp_path / "other", pairs_of(0, 1, id=["p", "q"]), ["yes", "no"])
    assert list(other.rows["train"]["id"]) == ["p", "q"]
    assert said == []


def test_texts_of_the_hub_over_the_limit_are_cut(tmp_path):
    task, said = load_pairs(tmp_path, pairs_of(0, 1, texts=["x" * 100_001, "y" * 100_000]), ["yes", "no"])
    assert [len(text) for text, _ in task.texts("train")] == [100_000, 100_000]
    assert said == []


def test_what_is_left_out_is_told_on_standard_error_where_nobody_else_is_told(tmp_path, capsys):
    rows = {"text": ["one", "", "two"], "label": [0, 1, 1]}
    load_task(str(write_parquet_dataset(tmp_path / "own", dict.fromkeys(SPLITS, rows), ["a", "b"])))
    assert "Left out 3 rows of " in capsys.readouterr().err


# GLUE, by a small imitation of its layout


@pytest.fixture
def glue_imitation(monkeypatch, tmp_path):
    """RTE as the hub stores it: the test labels are hidden behind -1."""
    splits = {
        "train": {"sentence1": numbered("premise", 40), "sentence2": numbered("guess", 40), "label": [0, 1] * 20},
        "validation": {"sentence1": numbered("dev", 6), "sentence2": numbered("so", 6), "label": [1, 0] * 3},
        "test": {"sentence1": numbered("hidden", 9), "sentence2": numbered("who", 9), "label": [-1] * 9},
    }
    folder = write_parquet_dataset(tmp_path / "rte", splits, ["entailment", "not_entailment"])
    asked = []
    load_dataset = datasets.load_dataset

    def imitation(repository, config):
        asked.append((repository, config))
        return load_dataset(str(folder))

    monkeypatch.setattr(datasets, "load_dataset", imitation)
    return asked


def test_where_test_labels_are_hidden_validation_becomes_test_and_rows_are_held_out_of_train(glue_imitation):
    task = load_task("glue/rte")
    assert glue_imitation == [("nyu-mll/glue", "rte")]
    assert task.texts("test") == [(f"dev {number}", f"so {number}") for number in range(6)]
    np.testing.assert_array_equal(task.labels("test"), np.array([1, 0, 1, 0, 1, 0]))
    assert task.label_names == ("entailment", "not_entailment")
    train, held_out = set(task.texts("train")), set(task.texts("validation"))
    assert (len(train), len(held_out), len(train & held_out)) == (36, 4, 0)
    assert train | held_out == {(f"premise {number}", f"guess {number}") for number in range(40)}
    assert sorted(task.labels("validation")) == [0, 0, 1, 1]


def test_a_glue_task_brings_its_metric_and_another_can_be_asked_for(glue_imitation):
    assert load_task("glue/rte").metric == "accuracy"
    assert load_task("glue/rte", metric="macro_f1").metric == "macro_f1"


def test_each_glue_task_has_glues_metric_and_columns():
    # Wang et al. 2019, table 1, and the features that the hub's data set states
    assert GLUE == {
        "cola": ("sentence", None, "matthews_correlation"),
        "sst2": ("sentence", None, "accuracy"),
        "mrpc": ("sentence1", "sentence2", "accuracy_and_f1"),
        "qqp": ("question1", "question2", "accuracy_and_f1"),
        "mnli": ("premise", "hypothesis", "accuracy"),
        "qnli": ("question", "sentence", "accuracy"),
        "rte": ("sentence1", "sentence2", "accuracy"),
        "wnli": ("sentence1", "sentence2", "accuracy"),
    }


def test_the_positive_label_comes_second_and_its_f1_counts(tmp_path):
    rows = [{"text": f"row {number}", "label": "equal" if number % 3 else "other"} for number in range(60)]
    path = tmp_path / "pairs.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    assert load_files(path, metric="accuracy_and_f1").label_names == ("equal", "other")
    task = load_files(path, metric="accuracy_and_f1", positive_label="equal")
    assert task.label_names == ("other", "equal")
    texts = dict(zip(task.texts("test"), task.labels("test"), strict=True))
    assert all(label == (int(text.split()[1]) % 3 > 0) for text, label in texts.items())
    with pytest.raises(ReAugKDError, match="'same' must be one of two classes; the train rows have equal, other"):
        load_files(path, positive_label="same")


def test_drawn_train_rows_are_a_plain_sample_and_keep_the_ids_of_the_whole_file(tmp_path):
    path = tmp_path / "many.csv"
    rows = pd.DataFrame({"text": [f"row {n}" for n in range(1, 101)], "label": ["a", "b"] * 50})
    rows.to_csv(path, index=False)
    wanted = rows.sample(n=40, random_state=0).sort_index()["text"].tolist()
    assert load_files(path, path, path, train_rows=40).texts("train") == wanted
    one, other = load_files(path, path, train_rows=40), load_files(path, path, train_rows=40)
    assert one.fingerprint() == other.fingerprint()
    drawn = [*one.rows["train"], *one.rows["validation"]]
    assert len(drawn) == 40
    assert all(row["id"] == f"train-{row['text'].split()[1]}" for row in drawn)
    with pytest.raises(ReAugKDError, match="101 train rows cannot be drawn from 100"):
        load_files(path, train_rows=101)


def test_unlabelled_texts_come_from_a_file_by_the_same_columns_whether_it_has_labels_or_not(tmp_path):
    train = write(tmp_path / "rows.csv", "review,stars,topic\ngood one,5,a\nbad one,1,b\nfine,5,a\npoor,1,b\n")
    plain = write(tmp_path / "plain.csv", "review,topic\nquite new,c\n")
    labelled = write(tmp_path / "labelled.csv", "review,stars,topic\nquite new,9,c\n")
    columns = {"text_column": "review", "label_column": "stars"}
    tasks = [load_files(train, train, train, unlabelled=path, **columns) for path in (plain, labelled)]
    for task in tasks:
        assert task.label_names == ("1", "5")
        assert task.texts("unlabelled") == ["quite new"]
        assert task.rows["unlabelled"].to_dict() == {"text": ["quite new"], "topic": ["c"], "id": ["unlabelled-1"]}
    assert tasks[0].fingerprint() == tasks[1].fingerprint()
    without = load_files(train, train, train, **columns)
    assert without.splits == SPLITS
    assert without.fingerprint() != tasks[0].fingerprint()


def test_unlabelled_pairs_need_both_columns(tmp_path):
    train = write(tmp_path / "pairs.tsv", "premise\thypothesis\tgold\nA\tB\tyes\nC\tD\tno\n")
    more = write(tmp_path / "more.tsv", "premise\thypothesis\nE\tF\n")
    half = write(tmp_path / "half.tsv", "premise\nE\n")
    columns = {"text_column": "premise", "text_pair_column": "hypothesis", "label_column": "gold"}
    assert load_files(train, train, train, unlabelled=more, **columns).texts("unlabelled") == [("E", "F")]
    with pytest.raises(ReAugKDError, match=r"half\.tsv has no column 'hypothesis'; it has 'premise'"):
        load_files(train, train, train, unlabelled=half, **columns)


def test_it_is_said_how_many_unlabelled_texts_were_left_out(tmp_path, capsys):
    train = write(tmp_path / "rows.csv", "text,label\none,a\ntwo,b\nthree,a\nfour,b\n")
    more = write(tmp_path / "more.csv", "text\none\nquite new\nquite new\n")
    said = []
    task = load_files(train, train, train, unlabelled=more, say=said.append)
    assert task.texts("unlabelled") == ["quite new"]
    assert said == ["Left out 2 unlabelled texts that are known, or nearly, from another split."]
    load_files(train, train, train, unlabelled=more)
    assert capsys.readouterr().err == said[0] + "\n"
    load_files(train, train, train, unlabelled=write(tmp_path / "new.csv", "text\nfive\n"), say=said.append)
    assert len(said) == 1


def test_a_task_that_is_built_in_takes_unlabelled_texts_too(tmp_path):
    more = write(tmp_path / "more.csv", "text,label\nThe zeppelin was upholstered in corduroy.,praise\n")
    task = load_task("shoptalk", unlabelled=more)
    assert task.texts("unlabelled") == ["The zeppelin was upholstered in corduroy."]
    assert "label" not in task.rows["unlabelled"].column_names
    with pytest.raises(ReAugKDError, match="There is no file"):
        load_task("shoptalk", unlabelled=tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [("rows.csv", "text,label,text\na,b,c\n"), ("rows.tsv", "text\tlabel\ttext\na\tb\tc\n")],
)
def test_a_column_that_stands_twice_is_named_and_not_called_otherwise(tmp_path, name, content):
    with pytest.raises(ReAugKDError, match="is not a valid (CSV|TSV) file .two columns are called 'text'.; correct it"):
        read_table(write(tmp_path / name, content))
    assert read_table(write(tmp_path / "empty.csv", "text,label,,\na,b,,\n")).shape == (
        1,
        4,
    )  # as spreadsheets write it


def test_what_a_parser_says_is_told_without_its_name(tmp_path):
    with pytest.raises(ReAugKDError, match=r"CSV file \(Expected 2 fields in line 3, saw 3\); correct it"):
        read_table(write(tmp_path / "rows.csv", "text,label\na,b\na,b,c\n"))


def test_a_line_of_a_text_file_ends_at_its_end_alone(tmp_path):
    rows = read_table(write(tmp_path / "log.txt", "one\u2028still one\x0band one\r\n\ntwo\n"))
    assert rows["text"].tolist() == ["one\u2028still one\x0band one", "two"]
