"""The page of the memory without a browser: its edits, and what must stay right."""

import gradio as gr
import pytest

from app.parts.row_table import whose_label
from reaugkd.plots.links import PageState


@pytest.fixture
def view(memory_view_of, by_one):
    return memory_view_of(by_one)


@pytest.fixture
def shown(view):
    return view.fill("toy", PageState(), [], {}, {})[view.shown]


def event(**data):
    return gr.EventData(None, data)


def now(shown, edits=(), kept=(), warned=()):
    """What the page holds when an edit is made."""
    return {"name": "toy", "shown": shown, "edits": dict(edits), "kept": dict(kept), "warned": warned}


def test_an_edit_is_kept_beside_those_of_other_models_and_one_that_does_not_fit_is_told(view, shown):
    others = {"other": [{"edit": "remove", "id": "a"}]}
    added = view._add("iron in the rain", "", "metal", **now(shown, others))
    assert added[view.edits] == others | {
        "toy": [{"edit": "add", "id": "added-1", "label": "metal", "text": "iron in the rain"}]
    }
    assert added[view.text] == ""
    assert view._add(" ", "", "metal", **now(shown, others)).keys() == {view.message, *view.listed}
    dropped = view._drop(event(number=0), **now(shown, added[view.edits]))
    assert dropped[view.edits] == others | {"toy": []}


def test_several_rows_are_edited_at_once_by_button_and_by_key_and_the_last_edit_is_taken_back(view, shown, by_one):
    rows = by_one.memory.rows
    fruit = rows.index[rows["label"] == "fruit"][:2].tolist()
    ids = rows["id"][fruit].tolist()
    relabelled = view._relabel(fruit, "metal", **now(shown))
    wanted = [{"edit": "relabel", "id": name, "label": "metal"} for name in ids]
    assert relabelled[view.edits] == {"toy": wanted}
    place = list(by_one.settings.label_names).index("metal")
    by_key = view._relabel_by_key(event(rows=fruit, label=place), **now(shown))
    assert by_key[view.edits] == relabelled[view.edits]
    removed = view._remove_by_key(event(rows=fruit[:1]), **now(shown, relabelled[view.edits]))
    assert removed[view.edits]["toy"] == [wanted[1], {"edit": "remove", "id": ids[0]}]
    assert view._undo(**now(shown, removed[view.edits]))[view.edits]["toy"] == [wanted[1]]
    assert "the keys 1 to 3" in view._relabel_by_key(event(rows=fruit, label=7), **now(shown))[view.message].value
    assert "tick several" in view._relabel([], "metal", **now(shown))[view.message].value


def test_what_changes_nothing_is_refused_and_a_second_edit_takes_the_place_of_the_first(view, shown, by_one):
    label, name = by_one.memory.rows.loc[5, ["label", "id"]]
    others = [other for other in by_one.classes_ if other != label]
    refused = view._relabel([5], label, **now(shown))
    assert refused.keys() == {view.message, *view.listed}
    assert f"{name}&#x27; is so already" in refused[view.message].value
    first = view._relabel([5], others[0], **now(shown))
    assert view._show(first[view.shown], "all")[view.rows].count(f"<b>→ {others[0]}</b>") == 1
    second = view._relabel([5], others[1], **now(first[view.shown], first[view.edits]))
    assert second[view.edits]["toy"] == [{"edit": "relabel", "id": name, "label": others[1]}]


def test_an_edit_that_breaks_what_must_stay_right_says_so_first_and_is_done_when_asked_again(view, shown, by_one):
    number = by_one.explain("some iron and zinc").keys[1].neighbours[0].number
    said = by_one.predict(["some iron and zinc"])[0]
    other = next(name for name in by_one.classes_ if name != said)
    wrong = view._pin("toy", {}, {}, "some iron and zinc", "", other)
    assert f"The answer is {said}, not {other}" in wrong[view.message].value
    pinned = view._pin("toy", {}, {"other": {"pinned": []}}, "some iron and zinc", "", said)
    kept = pinned[view.kept]
    assert kept == {"other": {"pinned": []}, "toy": {"pinned": [{"text": "some iron and zinc", "label": said}]}}
    assert 'class="right"' in pinned[view.pins]
    warned = view._relabel([number], other, **now(shown, {}, kept))
    assert warned.keys() == {view.message, view.warned, *view.listed}
    assert f"“some iron and zinc” would be answered {other}, not {said}" in warned[view.message].value
    done = view._relabel([number], other, **now(shown, {}, kept, warned[view.warned]))
    assert done[view.edits]["toy"][0]["label"] == other
    assert 'class="wrong"' in done[view.pins]
    assert "must stay right" in view.new_version._try("toy", done[view.edits], kept, False)[view.new_version.effect]
    assert view._unpin(event(number=0), "toy", {}, kept)[view.kept]["toy"]["pinned"] == []
    assert view.edits in view._relabel([number], other, **now(None))  # nothing is pinned; a server forgot


def test_a_label_that_a_person_gave_is_called_theirs_and_no_soft_label_of_the_teacher_is_shown_beside_it(view, by_one):
    rows = by_one.memory.rows
    edited, plain = (rows.index[(rows["edited"] != "") == is_edited][0] for is_edited in (True, False))
    assert "Your label: <b>" in view._choose(event(rows=[edited]), "toy")[1]
    assert "soft label" not in view._choose(event(rows=[edited]), "toy")[1]
    gold = view._choose(event(rows=[plain]), "toy")[1]
    assert "Gold label: <b>" in gold
    assert "Teacher&#x27;s soft label" in gold or "Teacher's soft label" in gold
    assert whose_label({"edited": "added"}) == "your label"
    assert whose_label({"labelled_by": "teacher"}) == "labelled by the teacher"
    several = view._choose(event(rows=[edited, plain]), "toy")
    assert several[0] == [edited, plain]
    assert "<b>2</b> rows are chosen" in several[1]


def test_a_text_of_half_a_character_is_told(by_one, memory_view_of):
    view = memory_view_of(by_one)
    now = {"name": "toy", "shown": None, "edits": {}, "kept": {}, "warned": ()}
    assert "holds half a character" in view._add("iron \ud800", "", "metal", **now)[view.message].value
    assert "holds half a character" in view._pin("toy", {}, {}, "iron \ud800", "", "metal")[view.message].value
