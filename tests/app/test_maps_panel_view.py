"""What the maps send to the page, without a browser."""

import base64
from dataclasses import replace

import gradio as gr
import numpy as np
import pandas as pd
import pytest

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.maps_panel import MapsPanel
from reaugkd.model.maps import far_below


@pytest.fixture
def panel_of(tmp_path):
    """Makes the maps of a model, which is called toy."""

    def make(model):
        job = ModelJob(str(tmp_path / "toy"))
        job.model = model
        with gr.Blocks():
            name = gr.Dropdown(["toy"])
            return MapsPanel(ModelMenu(job), name, gr.State(None))

    return make


def sent(text, kind=np.float32):
    return np.frombuffer(base64.b64decode(text), dtype=kind)


def test_words_are_found_in_memories_and_test_rows_whatever_their_case(panel_of, toy_model):
    texts = [*toy_model.memory.rows["text"], *toy_model.held_out(["test"])["text"]]
    found = panel_of(toy_model).find({"model": "toy", "text": " IRON "})["points"]
    assert found == [number for number, text in enumerate(texts) if "iron" in text]
    assert 0 < len(found) < len(texts)


def test_words_are_found_in_the_second_text_of_a_pair(panel_of, toy_model):
    rows, held = toy_model.memory.rows, toy_model.evaluation_rows
    paired = rows.assign(text_pair=["a second text" if number == 4 else "" for number in range(len(rows))])
    memory = replace(toy_model.memory, rows=paired)
    model = replace(toy_model, memory=memory, evaluation_rows=held.assign(text_pair=""))
    assert panel_of(model).find({"model": "toy", "text": "second"})["points"] == [4]


def test_a_star_is_far_by_what_the_validation_rows_say(panel_of, toy_model):
    answers = toy_model.answer(toy_model.encode_rows(toy_model.held_out(["validation"])))
    assert panel_of(toy_model).limits({"model": "toy"}) == pytest.approx(far_below(answers))
    assert panel_of(replace(toy_model, evaluation_rows=None)).limits({"model": "toy"}) == {}


def test_marks_of_unknown_places_are_sent_and_told_only_where_there_are_some(panel_of, toy_model):
    known = panel_of(toy_model).points({"model": "toy"})
    assert "Hollow in the teacher" not in known["words"]
    assert not sent(known["guessed"], np.uint8).any()
    old = replace(toy_model, maps=replace(toy_model.maps, held_out=None))
    guessed = panel_of(old).points({"model": "toy"})
    assert (
        "Hollow in the teacher's space is a text of which the teacher's own embedding is not known" in guessed["words"]
    )
    assert sent(guessed["guessed"], np.uint8).tolist() == [0] * 90 + [1] * 36
    assert "The star is your text. It was placed: at the mean of the places of its nearest memories" in known["words"]
    assert "The star is your text, placed at the mean of its nearest memories" in known["short"]


def test_the_colours_come_with_what_is_written_at_the_islands(panel_of, toy_model):
    colours = panel_of(toy_model).colours({"model": "toy", "column": "topic"})
    names = np.asarray(colours["names"])[sent(colours["named"], np.uint16)]
    assert names.tolist() == [*toy_model.memory.rows["topic"], *toy_model.held_out(["test"])["topic"]]


def test_a_column_of_the_task_may_be_named_as_the_points_number(panel_of, toy_model, tmp_path):
    rows = toy_model.memory.rows.assign(point=[f"at {number}" for number in range(90)])
    held = toy_model.evaluation_rows.assign(point="")
    panel = panel_of(replace(toy_model, memory=replace(toy_model.memory, rows=rows), evaluation_rows=held))
    moved = panel._most_moved("toy")[panel.selected]
    panel._save(tmp_path / "selection.csv", "toy", moved)
    saved = pd.read_csv(tmp_path / "selection.csv")
    assert saved["point"].tolist() == moved
    assert saved["its point"].tolist() == [f"at {number}" for number in moved]
