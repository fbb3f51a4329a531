"""The form that makes the memory smaller: what it keeps, and the version that it is saved as."""

from dataclasses import replace

import pytest

from reaugkd.analysis.condensed import condense
from reaugkd.method import choice
from reaugkd.method.memory import STANDS_FOR
from reaugkd.model.classifier import ReAugKDClassifier


@pytest.fixture
def model(by_one, toy_model, monkeypatch):
    monkeypatch.setattr(choice, "FEWEST_VALIDATION", 24)
    return replace(by_one, evaluation_rows=toy_model.evaluation_rows)


def test_what_a_smaller_memory_keeps_is_told_drawn_and_saved_with_the_pending_edits(
    memory_view_of, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("reaugkd.condense", lambda model, keep: condense(model, keep, method="prototypes"))
    form = memory_view_of(model).smaller
    gone = model.memory.rows["id"][0]
    edits = {"toy": [{"edit": "remove", "id": gone}]}
    shown = form._measure("toy", edits, 40)
    assert " of 89 entries (prototypes), " in shown[form.effect]
    assert "On 36 test rows accuracy goes from" in shown[form.effect]
    assert "kB" in shown[form.plot].value["plot"]
    assert shown[form.smaller] == "toy-small"
    saved = form._save("toy", edits, 40, "better")
    assert "Saved as better" in saved[form.saved]
    assert str(tmp_path) not in saved[form.saved]
    small = ReAugKDClassifier.from_pretrained(tmp_path / "better")
    assert small.memory.rows[STANDS_FOR].sum() == 89
    assert "better" in [name for name, _ in saved[form.name].choices]
    assert "choose another name" in form._save("toy", edits, 40, "better")[form.saved].value
    assert form.untried()[form.effect] == ""


def test_what_cannot_be_condensed_is_said_on_the_page(memory_view_of, model):
    form = memory_view_of(model).smaller
    shown = form._measure("toy", {}, 1)
    assert "cannot be made so small" in shown.pop(form.effect).value
    assert not shown  # nothing to save
