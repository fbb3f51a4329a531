"""The page Query without a browser: what it opens with, and what it says of each text."""

import shutil
from dataclasses import replace

import gradio as gr
import pytest

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.answer import asked_text, example_texts, known_texts, marked_words, shortened
from app.parts.maps_panel import MapsPanel
from app.views.query import QueryView
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.plots.links import PageState

AS_FITTED = {"k": 16, "weight": 0.5, "temperature": 0.1, "as_fitted": True, "as_chosen": True}


@pytest.fixture(scope="module")
def view(toy_model, toy_model_folder, tmp_path_factory):
    """The page with the toy model, and beside it a copy under the name of another task."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(toy_model_folder, root / "other")
    settings = (root / "other" / "reaugkd.json").read_text()
    (root / "other" / "reaugkd.json").write_text(settings.replace('"task": "toy"', '"task": "phones"'))
    job = ModelJob(str(root / "toy"))
    job.model = toy_model
    with gr.Blocks():
        menu, name, linked = ModelMenu(job), gr.Dropdown(["toy", "other"]), gr.State(PageState())
        return QueryView(menu, name, MapsPanel(menu, name, linked), linked)


def filled(view, name="toy", question=None, text="", linked=None):
    return view.fill(name, question, text, "", linked or PageState())


def examples_of(shown, view):
    """The texts of the examples, as they are shown."""
    options, *_ = shown[view.examples]._constructor_args
    return [text for (text,) in options["samples"]]


def test_it_opens_with_a_text_that_the_memory_puts_right_and_one_example_a_class(view, toy_model):
    shown, samples = filled(view), example_texts(toy_model)
    assert shown[view.question].query.texts == [samples[0]]
    assert examples_of(shown, view) == [shortened(text, 28) for text in samples]
    assert len(samples) == len(toy_model.classes_)
    assert f"Gold label: {known_texts(toy_model)[samples[0]]['label']}" in shown[view.answer]


def test_examples_are_asked_whole_however_short_they_are_shown(view, toy_model):
    held = toy_model.evaluation_rows
    model = replace(toy_model, evaluation_rows=held.assign(text=held["text"] + " and the very old iron" * 9))
    view.menu.job.model = model
    try:
        shown = filled(view)
        assert all(len(text) <= 28 for text in examples_of(shown, view))
        assert shown[view.question].query.texts[0].endswith("the very old iron")
        picked = view._pick("toy", shown[view.question], 1, **AS_FITTED)
        assert picked[view.text] == example_texts(model)[1]
    finally:
        view.menu.job.model = toy_model


def test_another_model_of_the_task_keeps_the_text_and_one_of_another_task_brings_its_own(view, toy_model):
    question = view._asked("toy", None, ("plum and pear", ""), **AS_FITTED)[view.question]
    kept = filled(view, "toy", question, "plum and pear")
    assert kept[view.question].query.texts == ["plum and pear"]
    own = filled(view, "other", question, "plum and pear")
    assert own[view.question].query.texts == [example_texts(view.menu.get("other"))[0]]


def test_at_first_the_key_with_the_largest_part_is_shown_and_then_the_one_that_was_chosen(view, toy_model):
    text, pool = "iron and pear", toy_model.pool
    asked = view._asked("toy", None, (text, ""), **AS_FITTED)
    first = toy_model.explain(text).keys_by_part[0].name
    assert asked[view.key] == first
    other = next(name for name in pool.keys if name != first)
    chosen = view._choose_key("toy", asked[view.question], other, **AS_FITTED)
    assert (chosen[view.key], chosen[view.table].count("data-key")) == (other, 1)
    assert f'data-key="{other}"' in chosen[view.table]
    later = view._asked("toy", chosen[view.question], ("rain and fog", ""), **AS_FITTED)
    assert later[view.key] == other
    linked = view.linked_state("rain and fog", "", later[view.question], **AS_FITTED)
    assert filled(view, linked=linked)[view.key].value == other


def test_a_key_says_what_it_costs_here_and_the_text_key_marks_the_words_in_common(view, toy_model, monkeypatch):
    text = toy_model.memory.rows["text"].iloc[0]
    shown = view._choose_key(
        "toy", view._asked("toy", None, (text, ""), **AS_FITTED)[view.question], "text", **AS_FITTED
    )
    explanation = toy_model.explain(text)
    own, marks = marked_words(toy_model, explanation, "text")
    assert own
    assert shown[view.table].count("<mark>") == sum(map(len, marks.values())) > 0
    assert shown[view.answer].count("<mark>") == len(own)
    assert "measured: " in shown[view.table]
    aligned = view._choose_key("toy", shown[view.question], "aligned", **AS_FITTED)
    assert "<mark>" not in aligned[view.table] + aligned[view.answer]


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_text_asks_for_one_and_the_last_answer_stays(view, text):
    told = view._asked("toy", None, (text, ""), **AS_FITTED)
    assert list(told) == [view.message]
    assert "Write a text; until then the last answer stays below." in told[view.message].value


def test_of_a_text_that_is_cut_the_rest_is_greyed(view, toy_model):
    text = "the old iron and the new rain " * 6
    shown = view._asked("toy", None, (text, ""), **AS_FITTED)[view.answer]
    said = toy_model.explain(text)
    assert f"Only the first {said.words_read} words ({said.characters_read[0]} characters) were read" in shown
    assert f'<span class="unread" dir="auto">{said.unread}</span>' in shown
    assert "unread" not in view._asked("toy", None, ("iron", ""), **AS_FITTED)[view.answer]


def test_the_part_of_a_new_class_follows_lambda(gadget_model):
    at = gadget_model.pool.fitted_weight
    shares = [
        gadget_model.explain("the shiny gadget hums", retrieval_weight=weight).probabilities[-1]
        for weight in (0, at / 4, at / 2, at, 1)
    ]
    assert shares[0] == 0
    assert shares[:4] == sorted(shares[:4])
    assert shares[1] == pytest.approx(shares[3] / 4)
    assert shares[4] == shares[3]


def test_a_model_of_one_key_has_no_switch(view, toy_model):
    view.menu.job.model = replace(toy_model, pool=Pool({"aligned": KeySettings(3, 0.05)}, retrieval_weight=1.0))
    try:
        assert not filled(view)[view.key].visible
    finally:
        view.menu.job.model = toy_model


def test_what_is_known_of_a_text_goes_with_it(toy_model):
    row = toy_model.evaluation_rows.iloc[3]
    asked = asked_text(toy_model, row["text"])
    assert asked.rows["label"].tolist() == [row["label"]]
    assert asked_text(toy_model, "iron and rain").rows is None
