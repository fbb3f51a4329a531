"""Texts of any kind at every door that takes one: the answer adds up, and the page shows them as text."""

import html
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from odd_inputs import BROKEN, LONG, ODD_TEXTS, answered, tried

from app.parts.answer import answer_html, asked_text, marked_words
from app.parts.neighbour_table import neighbour_table
from app.parts.pending_edits import pending_html, rows_added
from app.parts.row_table import row_table
from app.rendering import FILLS_TEMPLATES, escaped_text
from app.snippets import query_code
from reaugkd.analysis.edits import Edit, apply_patch, as_patch, read_patch, write_patch, write_train_set
from reaugkd.tasks.sources import read_table

FORMULA = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture
def texts_tried(short_or_whole, count):
    """Try a check on so many texts of a kind, and count them."""

    def tried_(texts, short, whole, check):
        made = []
        tried(short_or_whole(short, whole))(given(texts)(lambda text: (made.append(text), check(text))[1]))()
        count("odd texts", len(made))

    return tried_


def test_each_text_gets_an_answer_that_adds_up_or_a_sentence(toy_model, texts_tried):
    def check(text):
        asked = answered(toy_model.encode, [text])
        if asked is None:
            return
        assert np.isfinite(asked.embeddings).all()
        assert all(np.isfinite(queries).all() for queries in asked.queries.values())
        said = toy_model.predict_proba([text, "iron"])
        assert np.isfinite(said).all()
        assert said.sum(axis=1) == pytest.approx(1)
        assert said[0] == pytest.approx(toy_model.predict_proba([text])[0], abs=1e-5)
        told = toy_model.explain(text).as_dict()
        assert json.loads(json.dumps(told, allow_nan=False))["label"] == toy_model.predict([text])[0]

    texts_tried(ODD_TEXTS, 12, 500, check)
    texts_tried(LONG, 2, 15, check)


def test_half_a_character_is_told_at_each_door(toy_model, texts_tried, tmp_path):
    def check(text):
        assert answered(toy_model.predict, [text]) is None
        assert answered(toy_model.explain, text) is None
        assert answered(lambda: apply_patch(toy_model, (Edit("add", "new", "metal", text),))) is None

    texts_tried(BROKEN, 4, 100, check)


def test_the_page_shows_each_text_as_text(toy_model, texts_tried):
    def check(text):
        asked = answered(asked_text, toy_model, text)
        if asked is None:
            return
        explanation = toy_model.explain(text)
        own, marks = marked_words(toy_model, explanation, "text")
        drawn = answer_html(explanation, asked, marks=own) + neighbour_table(explanation, (), "text", marks)
        drawn += pending_html((Edit("add", "new", text.strip(), text),), ("metal",))
        rows = pd.DataFrame([{"number": 0, "text": text, "label": text[:20], text or "none": 1.5}])
        drawn += row_table(rows)
        for sign in ("<script", "</textarea", "{{", "${", "{%"):
            assert sign not in drawn
        assert escaped_text(text) in row_table(rows)
        shown = escaped_text(text)
        assert html.unescape(shown) == html.unescape(html.escape(text))
        assert not set(map(chr, FILLS_TEMPLATES)) & set(shown)

    check("iron</textarea><script>{{ code }}${code}{% code %}")
    texts_tried(ODD_TEXTS, 10, 400, check)


def test_the_code_of_the_page_asks_the_same_text(texts_tried):
    def check(text):
        code = query_code("folder", text, {}, k=3, retrieval_weight=0.5)
        model = compile(code, "shown", "exec")
        assert text in [constant for constant in model.co_consts if isinstance(constant, str)]

    texts_tried(ODD_TEXTS, 15, 400, check)


def test_a_text_that_is_added_is_kept_to_the_letter(toy_model, texts_tried, tmp_path):
    def check(text):
        rows = pd.DataFrame([{"text": text, "text_pair": None, "label": "metal"}], dtype=object)
        patch = answered(lambda: tuple(rows_added(toy_model, (), rows)))
        edited = patch and answered(apply_patch, toy_model, patch)
        if not edited:
            return
        assert edited.memory.texts[-1] == text
        assert np.isfinite(edited.predict_proba([text])).all()
        write_patch(patch, tmp_path / "patch.jsonl")
        assert read_patch(tmp_path / "patch.jsonl") == patch
        for name in ("rows.parquet", "rows.csv"):
            read = read_table(write_train_set(edited, tmp_path / name))["text"].iloc[-1]
            assert read == text or (name.endswith("csv") and text.startswith(FORMULA))

    texts_tried(ODD_TEXTS, 8, 300, check)


def test_a_model_with_odd_texts_is_the_same_after_it_is_saved(toy_model, texts_tried, tmp_path):
    def check(text):
        label = " ".join(text.split())[:30]
        edits = [{"edit": "add", "id": text[:9], "label": label, "text": text}]
        edits += [{"edit": "relabel", "id": "train-1", "label": label}]
        edited = answered(lambda: apply_patch(toy_model, as_patch(edits)))
        if edited is None:
            return
        edited.save_pretrained(tmp_path / "model")
        again = type(toy_model).from_pretrained(tmp_path / "model")
        assert again.memory.texts == edited.memory.texts
        assert again.classes_.tolist() == edited.classes_.tolist()
        assert again.memory.rows["id"].tolist() == edited.memory.rows["id"].tolist()
        assert again.predict([text]) == edited.predict([text])

    texts_tried(ODD_TEXTS, 2, 40, check)
