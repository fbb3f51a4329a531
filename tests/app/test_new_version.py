"""What the pending edits do, and the version that they are saved as."""

import pytest

from app.parts.pending_edits import with_pending
from reaugkd.analysis.edit_effects import halves
from reaugkd.analysis.edits import Edit, apply_patch, read_patch
from reaugkd.method.answers import changed_answers
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.plots.links import PageState


@pytest.fixture
def view(memory_view_of, by_one):
    return memory_view_of(by_one)


def test_edits_are_judged_on_one_half_and_told_on_the_other_when_saved_and_are_marked(view, by_one, tmp_path):
    rows = by_one.memory.rows
    wrong = rows.index[rows["edited"] != ""][:12].tolist()
    *patch, more = (Edit("remove", name) for name in [*rows["id"][wrong], rows["id"].drop(wrong).iloc[0]])
    patch, edits = tuple(patch), with_pending({}, "toy", patch)
    judging, telling = halves(by_one.encode_rows(by_one.held_out(["test"])))
    edited = apply_patch(by_one, patch)
    effect = changed_answers(by_one.answer(judging), edited.answer(judging))["effect"].value_counts()
    tried = view.new_version._try("toy", edits, {}, False)
    fixed, broken = (f"<b>{effect.get(name, 0)}</b>" for name in ("fixed", "broken"))
    assert f"Of {len(judging)} test rows the edits fix {fixed} and break {broken}" in tried[view.new_version.effect]
    pinned = [{"text": "a ripe plum", "label": "fruit"}]
    saved = view.new_version._save_version("toy", edits, {"toy": {"pinned": pinned}}, False, "better")
    assert "Saved as better" in saved[view.new_version.saved]
    assert f"On {len(telling)} test rows by which no edit was chosen" in saved[view.new_version.saved]
    assert str(tmp_path) not in saved[view.new_version.saved]
    assert saved[view.pending].count("saved in better") == len(patch)
    assert view.fill("toy", PageState(), [], edits, saved[view.kept])[view.pending] == saved[view.pending]
    model = ReAugKDClassifier.from_pretrained(tmp_path / "better")
    assert model.metrics["edits"]["told"]["rows"] == len(telling)
    assert model.pinned.to_dict("records") == pinned
    assert read_patch(tmp_path / "better.patch.jsonl") == patch
    further = with_pending({}, "toy", (*patch, more))
    assert "<b>1</b> pending" in view.fill("toy", PageState(), [], further, saved[view.kept])[view.pending]
    again = view.new_version._save_version("toy", edits, saved[view.kept], False, "better")
    assert "is there already; choose another name" in again[view.new_version.saved].value
    assert (
        "There is no edit to save"
        in view.new_version._save_version("toy", {}, {}, False, "new")[view.new_version.saved].value
    )
