"""The form that writes the corrected train set, and the one that trains with it."""

import zipfile

import gradio as gr
import pandas as pd
import pytest

from app.views.train import ENCODERS, FILE, TrainView


@pytest.fixture
def view(memory_view_of, by_one):
    return memory_view_of(by_one)


def test_the_corrected_train_set_is_written_in_each_form_with_the_pending_edits(view, by_one, tmp_path):
    gone = by_one.memory.rows["id"][3]
    edits = {"toy": [{"edit": "remove", "id": gone}]}
    wanted = [name for name in by_one.memory.rows["id"] if name != gone]
    for suffix in view.train_set.exports:
        view.train_set._export(tmp_path / f"train{suffix}", "toy", edits)
    assert pd.read_csv(tmp_path / "train.csv")["id"].tolist() == wanted
    assert pd.read_parquet(tmp_path / "train.parquet")["id"].tolist() == wanted
    with zipfile.ZipFile(tmp_path / "train.zip") as packed:
        assert {"train.parquet", "validation.parquet", "test.parquet"} <= set(packed.namelist())


def test_training_again_opens_the_form_with_the_corrected_rows(view, by_one):
    with gr.Blocks() as page:
        train, tabs = TrainView(view.menu, gr.Dropdown(), gr.BrowserState({})), gr.Tabs()
        view.train_set.lead_to_training(train, tabs)
    lead = next(function.fn for function in page.fns.values() if getattr(function.fn, "__name__", "") == "lead")
    gone = by_one.memory.rows["id"][3]
    led = lead("toy", {"toy": [{"edit": "remove", "id": gone}]})
    assert led[train.source] == FILE
    assert led[train.recipe["teacher"]].value == ENCODERS[0]  # shipped outputs are of the rows as they were
    assert led.keys() <= {tabs, *train.by_files}
    assert gone not in pd.read_csv(led[train.train_file].value["path"])["id"].tolist()
    rows = pd.read_csv(led[train.test_file].value["path"])
    assert rows["text"].tolist() == by_one.held_out(["test"])["text"].tolist()
