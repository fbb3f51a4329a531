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
from reaugkd.analysis.what_if import WhatIf, explain_what_if, flipping_set
from reaugkd.files import read_sealed, write_sealed
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.plots.links import PageState

AS_FITTED = {"k": 16, "weight": 0.5, "temperature": 0.1, "as_fitted": True, "as_chosen": True}


@pytest.fixture(scope="module")
def view(toy_model, toy_model_folder, tmp_path_factory):
    """The page with the toy model, and beside it a copy under the name of another task."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(toy_model_folder, root / "other")
    settings = root / "other" / "reaugkd.json"
    about, _ = read_sealed(settings)
    write_sealed(about | {"model": about["model"] | {"task": "phones"}}, settings)
    job = ModelJob(str(root / "toy"))
    job.model = toy_model
    with gr.Blocks():
        menu, name, linked = ModelMenu(job), gr.Dropdown(["toy", "other"]), gr.State(PageState())
        return QueryView(MapsPanel(menu, name, linked))


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


@pytest.fixture
def three_decide(view, toy_model):
    """The toy model, three neighbours by one key deciding alone."""
    model = replace(toy_model, pool=Pool({"aligned": KeySettings(3, 0.05)}, retrieval_weight=1.0))
    view.menu.job.model = model
    yield model
    view.menu.job.model = toy_model


def event(**data):
    return gr.EventData(None, data)


def lead_of(explanation):
    return f"{explanation.label} against {explanation.runner_up}: {explanation.lead:+.2f} = "


def test_a_struck_out_or_relabelled_neighbour_changes_the_answer_and_can_be_put_back(view, three_decide):
    model, text = three_decide, "iron and steel"
    before = view._asked("toy", None, (text, ""), **AS_FITTED)
    first = model.explain(text)
    shown = view._strike(event(number=first.neighbours[0].number), "toy", before[view.question], "", **AS_FITTED)
    struck = (first.neighbours[0].number,)
    without = explain_what_if(model, model.encode([text]), model.pool, WhatIf(struck))
    assert first.neighbours[0].number not in [one.number for one in without.neighbours]
    assert all(one.text in shown[view.table] for one in without.neighbours)
    other = next(str(name) for name in model.classes_ if name != without.label)
    for neighbour in without.neighbours:
        relabel = event(number=neighbour.number, label=other)
        shown = view._relabel(relabel, "toy", shown[view.question], "", **AS_FITTED)
    assert f"<b>{other}</b>" in shown[view.answer]
    assert shown[view.changes].count("<li>") == 4
    assert shown[view.back].visible
    put_back = view._put_back("toy", shown[view.question], **AS_FITTED)
    assert put_back[view.table] == before[view.table]
    assert lead_of(first) in put_back[view.answer]
    assert (put_back[view.changes].count("<li>"), put_back[view.back].visible) == (0, False)


def test_a_menu_that_is_set_back_to_the_rows_own_label_puts_the_memory_back(view, three_decide):
    before = view._asked("toy", None, ("iron and steel", ""), **AS_FITTED)
    nearest = three_decide.explain("iron and steel").neighbours[0]
    other = next(str(name) for name in three_decide.classes_ if name != nearest.label)
    changed = view._relabel(event(number=nearest.number, label=other), "toy", before[view.question], "", **AS_FITTED)
    assert changed[view.answer] != before[view.answer]
    own = event(number=nearest.number, label=nearest.label)
    again = view._relabel(own, "toy", changed[view.question], "", **AS_FITTED)
    assert (again[view.answer], again[view.changes].count("<li>")) == (before[view.answer], 0)


def test_the_memories_that_decide_an_answer_are_named_until_the_next_one(view, three_decide):
    text = "iron and pear"
    asked = view._asked("toy", None, (text, ""), **AS_FITTED)
    numbers, label = flipping_set(three_decide, three_decide.encode([text]), three_decide.pool)
    named = view._flip("toy", asked[view.question], **AS_FITTED)
    assert f"would be <b>{label}</b>" in named
    assert all(f"<li>{memory}</li>" in named for memory in three_decide.memory.rows["text"].iloc[numbers])
    assert named.count("<li>") == len(numbers)
    assert view._asked("toy", asked[view.question], ("rain", ""), **AS_FITTED)[view.flipped] == ""


def test_an_edit_is_answered_beside_the_text_and_one_that_is_as_asked_or_empty_is_not(view, toy_model):
    asked = view._asked("toy", None, ("iron and steel", ""), **AS_FITTED)
    beside = view._edit("toy", asked[view.question], "plum and pear", "", **AS_FITTED)
    assert lead_of(toy_model.explain("plum and pear")) in beside[view.beside]
    assert beside[view.answer] == asked[view.answer]
    assert view._edit("toy", beside[view.question], "iron and steel", "", **AS_FITTED)[view.beside] == ""
    assert "is empty" in view._edit("toy", beside[view.question], "  ", "", **AS_FITTED)[view.beside]
    other = view._asked("toy", beside[view.question], ("rain and fog", ""), **AS_FITTED)
    assert (other[view.edited], other[view.beside]) == ("rain and fog", "")


def test_of_what_a_link_strikes_all_that_cannot_be_is_left_out(view, toy_model):
    of_view = {"struck": "0-99999", "relabelled": '{"0": "nowhere", "9999": "x"}'}
    shown = filled(view, linked=PageState(text="iron and rain", of_view=of_view))
    assert lead_of(toy_model.explain("iron and rain")) in shown[view.answer]
    assert shown[view.changes].count("<li>") == 0
    assert not shown[view.back].visible
