"""The corrected rows as a train set."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.train_set import train_set, write_train_set
from reaugkd.errors import ReAugKDError
from reaugkd.method.memory import LABELLED_BY
from reaugkd.tasks.sources import load_files, load_task


@pytest.fixture
def edited(pooled_model):
    """A row relabelled, one removed, one added."""
    ids = pooled_model.memory.rows["id"]
    label = next(name for name in pooled_model.classes_ if name != pooled_model.memory.rows["label"][4])
    edits = (Edit("relabel", ids[4], label), Edit("remove", ids[9]), Edit("add", "mine", "gadget", "it, hums\n“so”"))
    return apply_patch(replace(pooled_model, teacher=None), edits)


def wanted_rows(model, edited):
    """The train rows after these edits, by hand."""
    rows = model.memory.rows.copy()
    rows.loc[4, "label"] = edited.memory.rows["label"][4]
    rows = rows.drop(index=9)
    rows.loc[len(rows) + 1] = {"id": "mine", "text": "it, hums\n“so”", "label": "gadget"}
    return rows[["id", "text", "label"]].to_numpy().tolist()


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows"])
def test_the_corrected_rows_come_back_from_every_form_and_a_task_is_made_of_them(pooled_model, edited, tmp_path, name):
    path = write_train_set(edited, tmp_path / name)
    if path.suffix:
        read = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        task = load_files(path)
        assert task.label_names == ("fruit", "gadget", "metal", "weather")
    else:
        read = pd.read_parquet(path / "train.parquet")
        task = load_task(str(path))
        held = pooled_model.evaluation_rows
        for split in ("validation", "test"):
            assert task.table(split)["text"].tolist() == held["text"][held["split"] == split].tolist()
        assert task.table("train")["id"].tolist() == read["id"].tolist()
    assert read[["id", "text", "label"]].to_numpy().tolist() == wanted_rows(pooled_model, edited)
    assert set(read.columns) == set(pooled_model.memory.rows.columns)


def test_rows_that_only_the_teacher_labelled_are_no_train_rows(pooled_model):
    memory = pooled_model.memory
    by_teacher = np.where(np.arange(len(memory)) % 2, "teacher", "")
    model = replace(pooled_model, memory=replace(memory, rows=memory.rows.assign(**{LABELLED_BY: by_teacher})))
    assert train_set(model)["id"].tolist() == memory.rows["id"].tolist()[::2]
    corrected = apply_patch(model, (Edit("relabel", memory.rows["id"][1], memory.rows["label"][1]),))
    assert train_set(corrected)["id"].tolist()[:3] == memory.rows["id"].tolist()[:3]
    rows = memory.rows.assign(**{LABELLED_BY: "teacher"})
    with pytest.raises(ReAugKDError, match="No row of the memory has a person's label"):
        train_set(replace(model, memory=replace(memory, rows=rows)))


def test_what_is_there_is_not_overwritten_by_a_folder_of_rows(pooled_model, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for name in ("full", "rows.xlsx"):
        with pytest.raises(ReAugKDError, match=r"no new folder, \.csv or \.parquet file"):
            write_train_set(pooled_model, tmp_path / name)
