"""Tables as people have them, through every door that reads one: a task of just these rows, or a sentence."""

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as some
from odd_inputs import ODD_TEXTS, ODD_VALUES, answered, tried

from app.parts.column_boxes import filled_columns, place_columns, uploaded_rows
from app.parts.pending_edits import file_added
from app.parts.row_table import row_table
from app.views.train import file_html
from reaugkd.adoption import matched_classes
from reaugkd.analysis.labelling import asked_once, read_log
from reaugkd.method.teacher import given_soft_labels, read_soft_labels
from reaugkd.tasks.sources import load_files, named_texts, read_table
from reaugkd.tasks.task import make_task, with_unlabelled

ENCODINGS = ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-32", "shift_jis", "utf-7"]
SAID = [
    "iron",
    "naïve café",
    "a,b",
    'said "so"',
    "two\nlines",
    "a\r\nb",
    "NA",
    "null",
    "",
    " ",
    "\t",
    "日本語",
    "x" * 300,
    "a\u2028b",
]
LABELS = [
    ["a", "b"],
    ["1", "2"],
    [0, 1],
    [0.0, 1.0],
    [True, False],
    [None, "a"],
    ["a"],
    ["a", " a "],
    ["", "b"],
    [math.nan, 1],
]
LABELS += [[1, "1"], [{"a": 1}, "b"], [["a"], ["b"]], ["L" * 1_001, "b"], ["\ud800", "b"], [b"a", b"b"], [pd.NA, "a"]]
NAMES = [
    "text",
    "label",
    "id",
    "text_pair",
    "split",
    "teacher_embedding",
    "text.1",
    "Text",
    " text",
    "",
    "\ufefftext",
    "näme",
    "a,b",
    3,
]


@some.composite
def tables(draw, values=None):
    """Rows of a few columns, of which one is mostly called text and one label; some are twice, or of odd kinds."""
    count = draw(some.integers(0, 30))
    names = ["text", "label"] if draw(some.integers(0, 4)) else []
    names += draw(some.lists(some.sampled_from(NAMES), max_size=3))
    labels = draw(some.sampled_from(LABELS))
    columns = []
    for place, name in enumerate(names):
        if name == "label":
            columns.append([labels[row % len(labels)] for row in range(count)])
        elif name == "text" and draw(some.integers(0, 3)):
            columns.append([f"{draw(some.sampled_from(SAID))} {row}" for row in range(count)])
        else:
            columns.append(
                draw(some.lists(some.sampled_from(SAID) if values is None else values, min_size=count, max_size=count))
            )
        del place
    return names, columns


def as_frame(table):
    names, columns = table
    return pd.DataFrame(dict(enumerate(columns)), dtype=object).set_axis(names, axis=1)


@pytest.fixture
def tables_tried(short_or_whole, count):
    """Try a check on so many inputs of a kind, and count them."""

    def tried_(inputs, short, whole, check):
        made = []
        tried(short_or_whole(short, whole))(given(inputs)(lambda one: (made.append(1), check(one))[1]))()
        count("odd tables", len(made))

    return tried_


def check_task(task):
    """Every row has a text, an id of its own and a label that the task names."""
    assert len(task.label_names) > 1
    for split in ("train", "validation", "test"):
        assert len(set(task.rows[split]["id"])) == len(task.rows[split])
        assert all(text.strip() for text in task.rows[split]["text"])
        assert set(task.labels(split).tolist()) <= set(range(len(task.label_names)))
        assert len(task.table(split))
    assert task.fingerprint()


def test_a_table_of_pandas_is_a_task_or_a_sentence(tables_tried):
    def check(table):
        frame = as_frame(table)
        task = answered(make_task, "odd", {"train": frame})
        if task is not None:
            check_task(task)
            kept = {text for split in task.rows for text in task.rows[split]["text"]}
            assert kept == set(frame["text"])
            assert sum(map(len, task.rows.values())) == len(frame)

    tables_tried(tables(), 25, 500, check)
    tables_tried(tables(ODD_VALUES), 15, 300, check)


def written(path, table, encoding, line_end):
    names, columns = table
    if path.suffix == ".parquet":
        arrays = [pa.array(column, from_pandas=True) for column in columns]
        pq.write_table(pa.Table.from_arrays(arrays, names=[str(name) for name in names]), path)
    elif path.suffix == ".jsonl":
        rows = [
            json.dumps(dict(zip(map(str, names), row, strict=True)), default=str) for row in zip(*columns, strict=True)
        ]
        path.write_bytes(line_end.join(rows).encode(encoding, "replace"))
    else:
        separator = "," if path.suffix == ".csv" else "\t"
        frame = as_frame(table)
        text = frame.to_csv(index=False, sep=separator, lineterminator=line_end)
        path.write_bytes(text.encode(encoding, "replace"))


def test_a_file_of_each_kind_is_a_task_or_a_sentence_at_every_door(tables_tried, tmp_path, toy_task, toy_model):
    kinds = some.sampled_from([".csv", ".tsv", ".jsonl", ".parquet", ".txt"])
    line_ends = some.sampled_from(["\n", "\r\n", "\r"])

    def check(made):
        table, kind, encoding, line_end = made
        path = tmp_path / f"rows{kind}"
        try:
            written(path, table, encoding, line_end)
        except (ValueError, TypeError, OverflowError, UnicodeError, LookupError, pa.ArrowException):
            return  # no such file can be
        task = answered(load_files, path)
        if task is not None:
            check_task(task)
            assert sum(map(len, task.rows.values())) == len(read_table(path))
        rows = answered(uploaded_rows, str(path))
        if rows is not None:
            filled_columns(boxes, rows)
            row_table(rows.head(3).astype(str))
            for column in rows.columns:
                file_html(rows, column)
        answered(named_texts, path, {"text": "text", "text_pair": "id"})
        log = answered(read_log, path, False)
        if log is not None:
            assert len(asked_once(log[0], False))
            assert (log[0]["text"].str.strip() != "").all()
        further = answered(lambda: with_unlabelled(toy_task, named_texts(path, {"text": "text"})))
        assert further is None or len(further[0].rows["unlabelled"])
        answered(file_added, toy_model, (), str(path))
        answered(lambda: given_soft_labels(toy_task, read_soft_labels(path, toy_task), ["train"]))

    import gradio as gr

    with gr.Blocks():
        boxes = place_columns("odd")
    every = some.tuples(tables(), kinds, some.sampled_from(["utf-8"] * 6 + ENCODINGS), line_ends)
    tables_tried(every, 20, 500, check)


def test_any_bytes_under_a_tables_name_are_a_table_or_a_sentence(tables_tried, tmp_path):
    pieces = some.one_of(
        some.binary(max_size=30),
        some.sampled_from(
            [
                b"text,label\n",
                b'"',
                b"\n",
                b"\0",
                b"\r",
                b"a,b\n",
                b"PAR1",
                b"{",
                b"[" * 5_000,
                b'{"text": "a"}\n',
                b"\xef\xbb\xbf",
                b"\xff\xfe",
            ]
        ),
        some.sampled_from(
            [
                b'{"text": "a", "text": "b"}\n',
                b'{"text": 1e999}\n',
                b'{"text": ' + b"9" * 5_000 + b"}\n",
                b"x" * 10**6,
                b'{"a":' * 5_000,
            ]
        ),
    )
    contents = some.lists(pieces, max_size=5).map(b"".join)

    def check(made):
        content, kind = made
        path = tmp_path / f"rows{kind}"
        path.write_bytes(content)
        table = answered(read_table, path)
        assert table is None or len(table.columns)
        task = answered(load_files, path)
        assert task is None or len(task.label_names) > 1

    kinds = some.sampled_from([".csv", ".tsv", ".jsonl", ".parquet", ".txt", ".CSV", ".xlsx", ""])
    tables_tried(some.tuples(contents, kinds), 20, 400, check)


def test_a_csv_keeps_each_text_to_the_letter_or_tells_why_not(tables_tried, tmp_path):
    def check(texts):
        rows = pd.DataFrame({"text": texts, "label": ["a", "b"] * (len(texts) // 2)}, dtype=object)
        for kind in (".csv", ".jsonl", ".parquet"):
            path = tmp_path / f"rows{kind}"
            try:
                {".csv": rows.to_csv, ".parquet": rows.to_parquet}.get(kind, lambda *_, **__: None)(path, index=False)
            except UnicodeError:
                continue
            if kind == ".jsonl":
                path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_dict("records")))
            task = answered(load_files, path, path, path)
            assert task is None or task.texts("train") == texts

    tables_tried(some.lists(ODD_TEXTS, min_size=8, max_size=8), 8, 200, check)


def test_cells_of_a_million_characters_are_told(tables_tried, tmp_path):
    def check(kind):
        rows = pd.DataFrame({"text": ["x" * 10**6, "b"], "label": ["a", "b"]})
        table = (["text", "label"], [rows["text"].tolist(), rows["label"].tolist()])
        written(tmp_path / f"rows{kind}", table, "utf-8", "\n")
        assert answered(load_files, tmp_path / f"rows{kind}") is None
        assert read_log(tmp_path / f"rows{kind}", False)[0]["text"].str.len().tolist() == [100_000, 1]
        written(tmp_path / f"rows{kind}", (["text", "label"], [["a", "b"], ["x" * 10**6, "b"]]), "utf-8", "\n")
        assert answered(load_files, tmp_path / f"rows{kind}") is None

    tables_tried(some.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]), 4, 4, check)


def test_soft_labels_of_any_kind_are_probabilities_or_a_sentence(tables_tried, toy_task):
    rows = len(toy_task.rows["train"])
    numbers = some.one_of(
        some.floats(), some.floats(0, 1), some.sampled_from([0, 1, 1 / 3, -1e-9, 10**400, "0.3", None])
    )
    arrays = some.lists(some.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=4)

    def check(some_rows):
        def said(texts):
            return [some_rows[place % len(some_rows)] for place in range(len(texts))]

        found = answered(given_soft_labels, toy_task, said, ["train"])
        if found is not None:
            assert found.shape == (rows, 3)
            assert np.isfinite(found).all()
            assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)

    tables_tried(arrays, 10, 150, check)


def test_labels_of_any_spelling_are_matched_or_told(tables_tried):
    names = some.lists(some.text(max_size=6), min_size=1, max_size=6, unique=True)

    def check(made):
        labels, classes = made
        found = answered(matched_classes, labels, classes)
        if found is not None:
            assert len(set(found[1])) == len(labels)
            assert len(found[0]) == len(classes)

    tables_tried(some.tuples(names, names), 15, 200, check)
