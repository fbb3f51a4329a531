"""The page that teaches, without a browser: its words, its guesses and its progress."""

from dataclasses import replace
from urllib.parse import quote_plus

import gradio as gr
import pytest

from app.exercise import LESSONS, Verdict
from app.lessons import lesson_settings
from app.menu import ModelMenu
from app.model_job import ModelJob
from app.rendering import render
from app.views.learn import (
    START,
    LearnView,
    exercise_of,
    task_choices,
    texts_to_guess,
)
from reaugkd.measures.calibration import at_temperature
from reaugkd.model.explanation import explain
from reaugkd.plots.links import PageState, app_link

NASTY = '<img src=x onerror="alert(1)"> ${alert(2)} {{alert(3)}}'
SHOWN = "&lt;img src=x onerror=&quot;alert(1)&quot;&gt; &#36;&#123;alert(2)&#125; &#123;&#123;alert(3)&#125;&#125;"


@pytest.fixture
def view(puzzled_model, tmp_path):
    job = ModelJob(str(tmp_path / "toy"))
    job.model = puzzled_model
    with gr.Blocks():
        return LearnView(ModelMenu(job), gr.Dropdown(), gr.BrowserState({}))


def told(model, text):
    return explain(model.answer(model.encode([text]), lesson_settings(model)))


def test_texts_names_and_sentences_are_shown_as_text(puzzled_model):
    explanation = told(puzzled_model, "iron")
    (key,) = explanation.keys
    near = replace(key, neighbours=[replace(neighbour, text=NASTY) for neighbour in key.neighbours[:3]])
    task = exercise_of(puzzled_model, "weight")
    lesson = replace(task.lesson, question=NASTY, title=NASTY, formula=NASTY, hints=(NASTY, NASTY), solution=NASTY)
    for shown, times in (
        (render("quiz", text=NASTY, key=near), 4),
        (render("guesses", guesses=[((NASTY, "so"), NASTY)], gold=NASTY, link=""), 3),
        (render("task", task=replace(task, lesson=lesson, text=NASTY), link=""), 4),
        (render("verdict", verdict=Verdict(True, NASTY)), 1),
        (render("help", lesson=lesson), 3),
    ):
        assert "<img" not in shown
        assert "${" not in shown
        assert shown.count(SHOWN) == times


def test_before_it_is_revealed_no_label_and_no_share_is_shown(puzzled_model):
    explanation = told(puzzled_model, "glass and wood")
    shown = render("quiz", text=explanation.text, key=explanation.keys[0])
    assert not any(label in shown for label in puzzled_model.classes_)
    assert "%" not in shown


def test_a_link_keeps_to_its_attribute(puzzled_model):
    task = exercise_of(puzzled_model, "weight")
    shown = render("task", task=task, link=app_link(PageState('a" onclick="b', text='"><b>${x}'), ""))
    assert 'href="?model=a%22+onclick%3D%22b&amp;text=%22%3E%3Cb%3E%24%7Bx%7D" target="_blank" rel="noopener"' in shown


def test_tasks_that_are_solved_have_a_tick():
    assert [label[:2] for label, _ in task_choices(["soft"])] == ["✓ ", "2.", "3.", "4.", "5.", "6.", "7.", "8."]
    assert [key for _, key in task_choices(["weight"])] == [*LESSONS]


def test_guesses_count_and_none_may_be_missing(view):
    quiz = {"place": 0, "right": 4, "guessed": 6}
    with pytest.raises(gr.Error, match="A guess is missing"):
        view._reveal("toy", quiz, "fruit", None, "yes")
    told = view._reveal("toy", quiz, "fruit", "fruit", "yes")
    assert told[view.quiz]["guessed"] == 9
    assert not told[view.reveal]["interactive"]  # else they would count twice
    again = view._next("toy", told[view.quiz])
    assert (again[view.quiz]["place"], again[view.quiz]["guessed"]) == (1, 9)
    assert again[view.reveal].interactive


def test_an_answer_is_the_even_blend_and_its_link_asks_for_the_models_own(view, puzzled_model):
    row = texts_to_guess(puzzled_model)[0]
    encoded = puzzled_model.encode_rows(puzzled_model.held_out(["test"])).part([row])
    ends = [
        puzzled_model.answer(encoded, lesson_settings(puzzled_model, end)).pooled.probabilities[0] for end in (0, 1)
    ]
    explanation, gold = view._explained("toy", 0)
    assert gold == encoded.table["label"].iloc[0]
    assert explanation.probabilities == pytest.approx(0.5 * ends[0] + 0.5 * ends[1], abs=1e-6)
    shown = view._reveal("toy", START, "fruit", "fruit", "yes")[view.guessed]
    assert f'href="?model=toy&amp;text={quote_plus(encoded.texts[0])}"' in shown


def test_the_page_says_by_which_key_it_finds_memories(view):
    assert "by the aligned key (k = 8, τ = 0.1)" in view.fill("toy", {})[view.text]


def test_after_the_last_text_comes_the_first(view, puzzled_model):
    rows = texts_to_guess(puzzled_model)
    first, gold = view._explained("toy", 0)
    last, again = view._explained("toy", len(rows))
    assert (first.text, gold) == (last.text, again)


def test_the_page_opens_at_the_first_task_that_is_not_solved_and_keeps_what_is_solved_of_each_model(view):
    kept = {"toy": ["soft", "teacher", "keys", "weight", "memories", "label"], "other": ["weight"]}
    filled = view.fill("toy", kept)
    assert filled[view.chosen].value == "classes"
    assert filled[view.chosen].choices == task_choices(kept["toy"])
    task = exercise_of(view.menu.get("toy"), "classes")
    told = view._check("toy", kept, "classes", temperature=1.0, number=None, one=task.answer, several=[])
    assert {name: sorted(solved) for name, solved in told[view.solved].items()} == {
        "toy": ["classes", "keys", "label", "memories", "soft", "teacher", "weight"],
        "other": ["weight"],
    }
    assert view.fill("toy", {"other": ["weight"]})[view.chosen].choices == task_choices([])


def test_without_an_occasion_for_a_task_a_sentence_stands_for_it_and_the_others_go_on(view, toy_model):
    view.menu.job.model = toy_model
    none = view._open("toy", "classes")
    assert "The student makes no error on the test rows" in none[view.task]
    assert not none[view.answering].visible
    assert view._open("toy", "label")[view.answering].visible


def test_the_slider_softens_the_teachers_label_over_all_classes(view, puzzled_model):
    task = exercise_of(puzzled_model, "soft")
    drawn = view._open("toy", "soft")
    assert (drawn[view.temperature].visible, drawn[view.number].visible) == (True, False)
    assert drawn[view.temperature].maximum > task.answer
    row = puzzled_model.memory.texts.index(task.text)
    softened = at_temperature(puzzled_model.memory.soft_labels[[row]], 2.5)[0]
    html = view._soften("toy", "soft", 2.5)[view.soft]
    assert "T = 2.5" in html
    for name, hard, soft in task.soft_labels:
        number = puzzled_model.memory.classes.index(name)
        assert hard == (name == puzzled_model.memory.rows["label"][row])
        for share in (soft, softened[number]):
            assert f"<span>{share:.3f}</span>" in html
