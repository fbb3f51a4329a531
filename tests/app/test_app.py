"""The app without a browser: its pure functions, the model behind the page, its command line and its API."""

import html
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import gradio as gr
import numpy as np
import pytest
from gradio.state_holder import SessionState
from ports import free_port

from app.accounts import hashed
from app.address import LONGEST_ADDRESS, address_of, linked_model
from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.answer import answer_html, asked_text, example_texts
from app.parts.maps_panel import query_message
from app.parts.problem import Problem, problem_html, warn
from app.rendering import render, time_left
from app.serve import main
from app.views.query import about_html
from app.views.training import TrainingView
from reaugkd.analysis.what_if import WhatIf, explain_what_if
from reaugkd.errors import ReAugKDError
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks.trainer import Progress
from reaugkd.plots.links import PageState, app_link, page_state

APP = Path(__file__).parents[2] / "app"
NASTY = '<img src=x onerror="alert(1)"> ${alert(2)} {{alert(3)}}'
SHOWN = "&lt;img src=x onerror=&quot;alert(1)&quot;&gt; &#36;&#123;alert(2)&#125; &#123;&#123;alert(3)&#125;&#125;"
RAISED = re.compile(r"gr\.(?:Error|Warning|Info)\((?!\"|f\"\{asked\} answers|f\"The page's address)[^)]*")


def no_training(folder, on_progress, say):
    raise AssertionError("nothing was to be trained")


def finished(job):
    job.start()
    job.wait()
    return job


@pytest.fixture
def changed_model(toy_model):
    """Makes a copy of the toy model with other parts."""
    return lambda **parts: replace(toy_model, **parts)


# How it starts


def test_gradio_is_imported_without_parsing_its_components_and_inspect_is_left_as_it_was():
    script = """
import ast, inspect
file_of, parse, parsed = inspect.getfile, ast.parse, []
ast.parse = lambda source, *rest, **more: parsed.append(source) or parse(source, *rest, **more)
from app import before_gradio
import gradio
assert not [source for source in parsed if "class Textbox(" in str(source)]
assert inspect.getfile is file_of and inspect.getfile(gradio.Textbox).endswith("textbox.py")
"""
    subprocess.run([sys.executable, "-c", script], cwd=APP.parent, check=True)


def test_a_session_holds_what_was_changed_for_it_and_no_other_session_sees_that():
    with gr.Blocks() as page:
        box = gr.Textbox("of all")
    shared, mine = page.default_config.blocks, gr.Textbox("of one", render=False)
    first, second = SessionState(page), SessionState(page)
    first[box._id] = mine
    assert (first[box._id], second[box._id], shared[box._id]) == (mine, box, box)
    assert sys.getsizeof(first.blocks_config.blocks.maps[0]) < 300  # bytes: gradio keeps 10,000 sessions


# The query page


def test_a_moved_slider_answers_as_the_library_does_without_encoding_again(toy_model, monkeypatch):
    query = asked_text(toy_model, "iron and rain")
    wanted = toy_model.explain("iron and rain", k=7, retrieval_weight=0.2, temperature=0.05)
    monkeypatch.setattr(toy_model.student, "encode", no_training)
    answer = explain_what_if(toy_model, query, toy_model.pool.overridden(7, 0.2, 0.05), WhatIf())
    assert answer.as_dict() == wanted.as_dict()


def test_a_pair_is_asked_of_a_model_for_pairs(changed_model, toy_model):
    memory, held = toy_model.memory, toy_model.evaluation_rows
    pairs = changed_model(
        settings=replace(toy_model.settings, is_pair=True),
        memory=replace(memory, rows=memory.rows.assign(text_pair=memory.rows["text"])),
        evaluation_rows=held.assign(text_pair=held["text"]),
    )
    query = asked_text(pairs, "iron", "rain")
    assert query.texts == [("iron", "rain")]
    np.testing.assert_array_equal(query.embeddings, pairs.encode([("iron", "rain")]).embeddings)


def test_a_teacher_that_was_kept_says_what_it_thinks_of_a_text_and_no_other_does(toy_model, changed_model):
    said = asked_text(toy_model, "iron and rain").teacher_probabilities[0]
    np.testing.assert_array_equal(said, toy_model.teacher.encode(["iron and rain"])[1][0])
    assert asked_text(changed_model(teacher=None), "iron and rain").teacher_probabilities is None


def test_examples_are_unseen_texts_one_of_each_label(toy_model):
    rows = toy_model.evaluation_rows
    labels = [
        rows[(rows["text"] == text) & (rows["split"] == "test")]["label"].iloc[0] for text in example_texts(toy_model)
    ]
    assert sorted(labels) == sorted(toy_model.classes_)


def test_the_gold_label_and_who_meets_it_are_told_of_a_text_that_the_model_carries_and_of_no_other(toy_model):
    rows = toy_model.held_out(["test"])
    for text, gold in zip(rows["text"][:4], rows["label"][:4], strict=True):
        asked, said = asked_text(toy_model, text), toy_model.explain(text)
        teacher = toy_model.classes_[rows["teacher_soft_labels"][rows["text"] == text].iloc[0].argmax()]
        marks = re.findall(r'<span class="(right|wrong)" title="(\w+)">(.) (\w+)</span>', answer_html(said, asked))
        voices = {"answer": said.label, "student": said.student_label, "teacher": teacher}
        wanted = [(("right", name, "✓") if name == gold else ("wrong", name, "✗")) for name in voices.values()]
        assert marks == [(*mark, voice) for mark, voice in zip(wanted, voices, strict=True)]
        assert f"Gold label: {gold}" in answer_html(said, asked)
    memory = toy_model.memory.rows.iloc[0]
    html = answer_html(toy_model.explain(memory["text"]), asked_text(toy_model, memory["text"]))
    assert f"Label in the memory: {memory['label']}" in html
    free = "iron and rain"
    assert 'class="gold"' not in answer_html(toy_model.explain(free), asked_text(toy_model, free))


def test_where_all_texts_are_long_examples_are_long(toy_model, changed_model):
    rows = toy_model.evaluation_rows
    long = changed_model(evaluation_rows=rows.assign(text=rows["text"] + " word" * 40))
    assert len(example_texts(long)) == 3


def test_a_model_without_evaluation_rows_takes_examples_from_its_memory(toy_model, changed_model):
    first, *_ = example_texts(changed_model(evaluation_rows=None))
    assert first == toy_model.memory.rows["text"].iloc[0]


def test_the_query_has_a_star_by_each_key_the_one_with_the_largest_part_first(pooled_model):
    explanation = pooled_model.explain("iron and rain", k=3)
    query = json.loads(query_message("toy", pooled_model, explanation))["query"]
    assert query["first"] == max(explanation.keys, key=lambda key: abs(key.part)).name
    assert set(query["keys"]) == {"aligned", "text"}
    for key in explanation.keys:
        sent = query["keys"][key.name]
        np.testing.assert_allclose(sent["places"], pooled_model.maps.star(key))
        assert sent["neighbours"] == [neighbour.number for neighbour in key.neighbours]
        assert sent["similarity"] == key.neighbours[0].similarity
        chosen = json.loads(query_message("toy", pooled_model, explanation, key.name))["query"]
        assert (chosen["first"], chosen["keys"]) == (key.name, query["keys"])


def test_a_model_without_maps_shows_no_query(changed_model):
    model = changed_model(maps=None)
    assert "query" not in json.loads(query_message("toy", model, model.explain("iron", k=3)))


def test_texts_and_names_are_shown_as_text(toy_model, changed_model):
    answer = toy_model.explain("iron", k=3)
    classes = tuple(NASTY if name == answer.label else name for name in answer.classes)
    answer = replace(answer, text=NASTY, label=NASTY, classes=classes)
    model = changed_model(settings=replace(toy_model.settings, task=NASTY, teacher=NASTY))
    job = ModelJob("nowhere")
    job.is_training, job.finished, job.progress = True, [NASTY], Progress(NASTY, 1, 2)
    for shown, times in (
        (answer_html(answer), 5),  # text, label, sentence, class, and what the parts are of, with their sum
        (about_html(model), 2),
        (render("first_start", job=job), 3),  # what is done, and what goes on with its bar
        (problem_html(ReAugKDError(NASTY)), 1),
    ):
        assert "<img" not in shown
        assert "${" not in shown
        assert shown.count(SHOWN) == times


def test_a_sentence_above_the_page_is_text_and_a_program_gets_it_as_it_is(monkeypatch):
    warned = []
    monkeypatch.setattr(gr, "Warning", warned.append)
    warn(ReAugKDError(NASTY))
    assert warned == [SHOWN]
    assert (Problem(NASTY).message, Problem(NASTY).sentence) == (SHOWN, NASTY)
    sources = {path: path.read_text("utf-8") for path in APP.rglob("*.py") if path.name != "problem.py"}
    values = [f"{path.name}: {given}" for path, text in sources.items() for given in RAISED.findall(text)]
    assert [
        given for given in values if not given.startswith("endpoints.py")
    ] == []  # of what they say, nothing is given


def test_a_long_question_is_shown_cut(toy_model):
    shown = answer_html(replace(toy_model.explain("iron", k=3), text="a" * 5_000))
    assert "a" * 199 + "…" in shown
    assert "a" * 200 not in shown


# The model behind the page


def test_a_trained_model_is_loaded_and_not_trained(toy_model_folder):
    job = finished(ModelJob(str(toy_model_folder), no_training))
    assert (job.error, job.is_training) == ("", False)
    assert job.model.predict(["iron and steel"]) == ReAugKDClassifier.from_pretrained(toy_model_folder).predict(
        ["iron and steel"]
    )


def test_a_folder_without_a_model_is_trained_into(tmp_path, toy_model):
    seen = []

    def train(folder, on_progress, say):
        seen.append(folder)
        on_progress(Progress("Projection head", 0, 10))
        on_progress(Progress("Projection head", 5, 10, 2.5, 3.0))
        on_progress(Progress("Student", 5, 10, 1.5, 3.0))
        on_progress(Progress("Maps"))
        return toy_model

    job = finished(ModelJob(str(tmp_path / "new"), train))
    assert seen == [str(tmp_path / "new")]
    assert job.model is toy_model
    assert job.finished == ["Projection head", "Student"]
    assert job.losses == {"Projection head": [(5, 2.5)], "Student": [(5, 1.5)]}


def test_a_server_trains_once_however_often_it_is_asked(tmp_path, toy_model):
    calls, may_end = [], threading.Event()

    def train(folder, on_progress, say):
        calls.append(folder)
        assert may_end.wait(60)
        return toy_model

    job = ModelJob(str(tmp_path / "new"), train)
    for _ in range(3):
        job.start()
    may_end.set()
    job.wait()
    job.start()
    assert calls == [str(tmp_path / "new")]


def test_a_failed_training_says_why_and_can_be_tried_again(tmp_path, toy_model):
    results = [ReAugKDError("The disk is full."), toy_model]

    def train(folder, on_progress, say):
        on_progress(Progress("Student", 5, 10, 1.5, 3.0))
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    job = finished(ModelJob(str(tmp_path / "new"), train))
    assert (job.model, job.error) == (None, "The disk is full.")
    assert "The disk is full." in render("first_start", job=job)
    job.start(anew=True)
    job.wait()
    assert (job.model, job.error) == (toy_model, "")
    assert job.losses == {"Student": [(5, 1.5)]}


def test_an_unexpected_error_is_told_in_the_page_too(tmp_path, capsys):
    job = finished(ModelJob(str(tmp_path / "new"), lambda *_: 1 / 0))
    assert job.error == (
        "An unexpected error stopped it (ZeroDivisionError: division by zero); the terminal shows where."
    )
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_damaged_model_is_not_trained_over_unless_one_asks(toy_model_folder, toy_model, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(toy_model_folder, folder)
    (folder / "maps.parquet").write_bytes(b"nothing")
    job = finished(ModelJob(str(folder), lambda *_: toy_model))
    assert "maps.parquet" in job.error
    assert "damaged" in job.error
    job.start(anew=True)
    job.wait()
    assert job.model is toy_model


def test_the_status_says_stage_step_loss_and_time_left():
    job = ModelJob("nowhere", no_training)
    assert "Loading the model" in render("first_start", job=job)
    job.is_training, job.finished, job.progress = True, ["Projection head"], Progress("Student", 20, 80, 0.5, 42.4)
    shown = render("first_start", job=job)
    assert "✓ Projection head" in shown
    assert '<progress value="20" max="80" aria-label="Student">' in shown
    job.progress = Progress("Maps")
    assert '<progress aria-label="Maps">' in render("first_start", job=job)
    assert "step 20 of 80, loss 0.500, about 42 s left in this stage" in shown


def test_white_words_stand_out_from_the_colours_of_the_theme_behind_them():
    style = (APP / "static" / "style.css").read_text("utf-8")
    rules = re.findall(r"background: var\(--primary-(\d+)\); color: white", style)
    assert rules
    for step in rules:
        colour = getattr(gr.themes.colors.blue, f"c{step}")
        shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        luminance = sum(part * share for part, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        assert 1.05 / (luminance + 0.05) >= 4.5  # by WCAG, for words of this size


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "about 1 s"), (89, "about 89 s"), (150, "about 2 min")])
def test_time_left_is_said_as_a_person_would(seconds, words):
    assert time_left(seconds) == f"{words} left in this stage"


def test_the_loss_is_sent_only_when_there_is_a_new_one():
    job = ModelJob("nowhere", no_training)
    job.is_training, job.losses, job.progress = True, {"Student": [(5, 1.5)]}, Progress("Student", 5, 10, 1.5)
    with gr.Blocks():
        view = TrainingView(job)
    assert view.loss in view.draw(None)
    assert view.loss not in view.draw(view.draw(None)[view.drawn])


# Links


@pytest.fixture
def menu(toy_model_folder, toy_model, tmp_path):
    """A menu of the toy model, a copy of it, and one that is damaged."""
    for name in ("copy", "damaged"):
        shutil.copytree(toy_model_folder, tmp_path / name)
    (tmp_path / "damaged" / "maps.parquet").write_bytes(b"nothing")
    job = ModelJob(str(tmp_path / "toy"))
    job.model = toy_model
    return ModelMenu(job)


@pytest.mark.parametrize(
    ("name", "answers", "sentence"),
    [
        ("", "toy", None),
        ("toy", "toy", None),
        ("copy", "copy", None),
        ("cellar", "toy", "There is no model 'cellar'"),
        ("damaged", "toy", "maps.parquet"),
    ],
)
def test_a_link_to_a_model_that_cannot_answer_is_told(menu, monkeypatch, name, answers, sentence):
    told = []
    monkeypatch.setattr(gr, "Warning", lambda message: told.append(html.unescape(message)))
    assert linked_model(menu, PageState(name)) == answers
    if sentence is None:
        assert told == []
    else:
        assert sentence in told[0]
        assert "the first model, 'toy', answers in its place." in told[0]


@pytest.mark.parametrize(
    "state",
    [
        PageState("toy", text="iron " * 1_000, selected=tuple(range(5_000))),
        PageState("toy", text="rain", selected=tuple(range(0, 3_000, 2))),
    ],
)
def test_the_address_keeps_long_texts_and_large_selections_whole(state):
    assert page_state(dict(parse_qsl(address_of(state)[0].removeprefix("?")))) == state


def test_an_address_that_would_be_too_long_goes_without_the_selection_the_choice_and_then_the_text():
    many = tuple(range(0, 10_000, 2))
    without = app_link(PageState("toy", text="iron"), "")
    assert address_of(PageState("toy", text="iron", selected=many)) == (without, "selection")
    assert address_of(PageState("toy", text="ü" * 5_000, k=3, selected=many)) == (
        "?model=toy&k=3",
        "selection and text",
    )
    thought = {"edited": "y" * 7_000, "edited_pair": "z", "struck": "3"}
    kept = app_link(PageState("toy", text="x" * 7_000), "")
    assert address_of(PageState("toy", text="x" * 7_000, of_view=thought)) == (kept, "choice")
    assert address_of(PageState("toy", text="iron")) == (without, "")
    assert address_of(PageState("toy", text="x" * 8_000)) == ("?model=toy", "text")
    assert len(address_of(PageState("toy", text="x" * 7_900))[0]) <= LONGEST_ADDRESS
    assert address_of(PageState("toy", "memory", of_view={"holds": "x" * 9_000})) == (
        "?model=toy&view=memory",
        "choice",
    )


# The command line


def test_a_model_folder_without_a_model_ends_with_one_sentence(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["--model", str(tmp_path / "empty"), "--port", str(free_port())]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "holds no trained model; make one with `reaugkd train" in error


def test_a_port_that_is_taken_ends_with_one_sentence(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--model", "nowhere", "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(port) in error
    assert error.endswith("name another one with --port.\n")


def test_the_page_opens_without_torch_and_answers_without_what_only_trains(toy_model_folder):
    script = f"""
import sys, json
sys.path.insert(0, {str(APP.parent)!r})
from app import serve as main
early = [name for name in ("torch", "transformers", "umap") if name in sys.modules]
job = main.ModelJob({str(toy_model_folder)!r})
main.build_app(job)
job.start(); job.wait()
from app.parts.maps_panel import query_message
query_message("toy", job.model, job.model.explain("iron"))
print(json.dumps([early, [name for name in ("umap", "sklearn", "datasets") if name in sys.modules]]))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(ended.stdout.splitlines()[-1]) == [[], []]


def test_tools_that_cannot_log_in_are_not_offered_where_one_must(tmp_path, capsys):
    (tmp_path / "who").write_text(f"ada:{hashed('a secret')}\n")
    assert main(["--auth", str(tmp_path / "who"), "--mcp", "--port", str(free_port())]) == 1
    assert capsys.readouterr().err.startswith("MCP tools cannot log in; leave out --mcp")
