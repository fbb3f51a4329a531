"""The page that compares, without a browser: both sides answer as the library does, each text encoded once."""

from dataclasses import replace

import numpy as np
import pytest

from app.model_job import ModelJob
from app.page import build_app
from app.parts.answer import answer_html
from app.parts.answer_bars import bars_of, likeliest_classes
from app.parts.row_table import listed_html
from app.rendering import render
from app.views.compare import comparison_of, explained
from app.views.rows import in_words
from reaugkd.errors import ReAugKDError

NASTY = '<img src=x onerror="alert(1)"> ${alert(2)} {{alert(3)}}'
SHOWN = "&lt;img src=x onerror=&quot;alert(1)&quot;&gt; &#36;&#123;alert(2)&#125; &#123;&#123;alert(3)&#125;&#125;"


@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
def test_a_side_answers_as_the_library_does(toy_model, weight):
    explanation, asked = explained((toy_model, weight), "iron and rain", "")
    assert explanation.as_dict() == toy_model.explain("iron and rain", retrieval_weight=weight).as_dict()
    np.testing.assert_array_equal(asked.embeddings, toy_model.encode(["iron and rain"]).embeddings)


def test_two_sides_and_a_slider_encode_a_text_once(toy_model, monkeypatch):
    calls, encode = [], toy_model.student.encode
    monkeypatch.setattr(
        toy_model.student, "encode", lambda texts, *tokens: calls.append(texts) or encode(texts, *tokens)
    )
    for weight in (None, 0.0, 0.1, 0.2):
        explained((toy_model, weight), "copper in the fog", "")
    assert calls == [["copper in the fog"]]


def test_a_pair_is_asked_of_a_model_for_pairs(toy_model):
    memory = replace(toy_model.memory, rows=toy_model.memory.rows.assign(text_pair="fog"))
    settings = replace(toy_model.settings, is_pair=True)
    pairs = replace(toy_model, settings=settings, memory=memory, evaluation_rows=None)
    assert explained((pairs, None), "iron", "rain")[0].text == ("iron", "rain")


def test_a_split_is_compared_once_and_as_the_library_predicts(toy_model):
    found = comparison_of((toy_model, 1.0), (toy_model, 0.0), "validation")
    texts = toy_model.held_out(["validation"])["text"].tolist()
    assert found.table["first"].tolist() == toy_model.predict(texts, retrieval_weight=1.0).tolist()
    assert found.table["second"].tolist() == toy_model.predict(texts, retrieval_weight=0.0).tolist()
    assert comparison_of((toy_model, 1.0), (toy_model, 0.0), "validation") is found


def test_a_model_without_evaluation_rows_is_told_in_a_sentence(toy_model):
    model = replace(toy_model, evaluation_rows=None)
    with pytest.raises(ReAugKDError, match="The model carries no evaluation rows"):
        comparison_of((model, None), (model, 0.0), "test")


def test_labels_and_names_are_shown_as_text():
    for shown, times in (
        (render("compared", first=NASTY, second=NASTY), 1),
        (render("compared", first=NASTY, second="b"), 1),
        (render("side", place="First", name=NASTY, weight=None), 1),
        (listed_html(", ".join(in_words({"equal": {"label": NASTY}, "text": NASTY})), 3), 2),
    ):
        assert "<img" not in shown
        assert "${" not in shown
        assert shown.count(SHOWN) == times


def test_a_title_says_the_model_and_how_it_answers():
    assert render("side", place="First", name="toy", weight=None) == "<h2>First: toy, λ as fitted</h2>"
    assert render("side", place="First", name="toy", weight=0) == "<h2>First: toy, the student alone (λ = 0)</h2>"
    assert render("side", place="Second", name="toy", weight=0.5) == "<h2>Second: toy, λ = 0.50</h2>"


def test_whether_both_agree_is_said():
    assert render("compared", first="fruit", second="fruit") == "<p>Both answer <b>fruit</b>.</p>"
    assert render("compared", first="a", second="b") == "<p>They differ: the first <b>a</b>, the second <b>b</b>.</p>"


def test_a_link_to_a_page_is_kept_also_before_it_is_filled(toy_model_folder):
    page = build_app(ModelJob(str(toy_model_folder)))
    (listener,) = [one for one in page.fns.values() if getattr(one.fn, "__name__", "") == "link"]
    held = {"model": "toy", "k": 4, "temperature": 0.1, "as-chosen": False}
    now = {part: held.get(getattr(part, "elem_id", None), part.value) for part in listener.inputs}
    (opened,) = [part for part in listener.inputs if part.value == "query"]
    for view, wanted in (("query", ""), ("errors", "&view=errors"), ("memory", "&view=memory")):
        assert tuple(listener.fn(now | {opened: view}).values()) == (f"?model=toy{wanted}&k=4&temperature=0.1", "")


def test_both_answers_list_their_classes_in_one_order(toy_model, gadget_model):
    sides = [explained((model, None), "some shiny gadget of zinc", "")[0] for model in (toy_model, gadget_model)]
    order = likeliest_classes(*sides)
    assert set(order) == {*gadget_model.memory.classes}
    most = {name: max(dict(zip(s.classes, s.probabilities, strict=True)).get(name, 0) for s in sides) for name in order}
    assert order == sorted(order, key=lambda name: -most[name])
    bars = [bars_of(side, order=order)["classes"] for side in sides]
    assert [*bars[0]] == [*bars[1]] == order
    assert set(bars[0]["gadget"].values()) == {None}
    assert "<th>gadget</th><td><span>&ndash;</span></td>" in answer_html(sides[0], None, order)
