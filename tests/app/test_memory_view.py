"""The page of the memory without a browser: its lists, its edits, what must stay right, and what it writes."""

import re
import zipfile
from dataclasses import replace

import gradio as gr
import pandas as pd
import pytest

from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.maps_panel import MapsPanel
from app.parts.memory_rows import rows_html
from app.parts.row_table import whose_label
from app.views.memory import MemoryView, pending_html, pending_patch
from app.views.train import ENCODERS, FILE, TrainView
from reaugkd.analysis.edit_effects import halves
from reaugkd.analysis.edits import Edit, apply_patch, read_patch
from reaugkd.analysis.memory_audit import memories
from reaugkd.analysis.memory_questions import LEAKS, SHOWS, SORTED_BY, WRONG
from reaugkd.method.answers import changed_answers
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.plots.links import PageState


def view_of(model, folder):
    """The page of a model."""
    job = ModelJob(str(folder / "toy"))
    job.model = model
    with gr.Blocks():
        name, menu = gr.Dropdown(), ModelMenu(job)
        linked = gr.State(PageState())
        stores = gr.BrowserState({}), gr.BrowserState({})
        return MemoryView(menu, name, MapsPanel(menu, name, linked), linked, *stores)


@pytest.fixture(scope="module")
def by_one(puzzled_model):
    """A model of wrong labels, which answers by one memory of the text key."""
    pool = Pool({"aligned": KeySettings(1), "text": KeySettings(1, 0.05, 1.0)}, retrieval_weight=1.0)
    return replace(puzzled_model, pool=pool)


@pytest.fixture
def view(by_one, tmp_path):
    return view_of(by_one, tmp_path)


@pytest.fixture
def shown(view):
    return view.fill("toy", PageState(), [], {}, {})[view.shown]


def numbers_in(html):
    """The rows of the memory that a list draws, in their order."""
    return [int(number) for number in re.findall(r'data-row="(\d+)"', html)]


def event(**data):
    return gr.EventData(None, data)


def test_pending_edits_of_ids_of_any_form_come_back_by_model_and_those_that_do_not_fit_are_counted(toy_model):
    rows = toy_model.memory.rows
    patch = (Edit("remove", rows["id"][0]), Edit("add", " 7 ", "fruit", rows["text"][1]), Edit("remove", " 7 "))
    stored = {"toy": [edit.as_dict() for edit in patch], "twice": [patch[0].as_dict()] * 3}
    assert pending_patch(stored, "toy", toy_model) == (patch, 0)
    assert pending_patch(stored, "twice", toy_model) == (patch[:1], 2)
    assert pending_patch(stored, "other", toy_model) == ((), 0)


def test_an_edit_is_kept_beside_those_of_other_models_and_one_that_does_not_fit_is_told(view, shown):
    others = {"other": [{"edit": "remove", "id": "a"}]}
    added = view._add("toy", shown, others, {}, (), "iron in the rain", "", "metal")
    assert added[view.edits] == others | {
        "toy": [{"edit": "add", "id": "added-1", "label": "metal", "text": "iron in the rain"}]
    }
    assert added[view.text] == ""
    assert view._add("toy", shown, others, {}, (), " ", "", "metal").keys() == {view.message, *view.listed}
    dropped = view._drop(event(number=0), "toy", shown, added[view.edits], {})
    assert dropped[view.edits] == others | {"toy": []}


def test_several_rows_are_edited_at_once_by_button_and_by_key_and_the_last_edit_is_taken_back(view, shown, by_one):
    rows = by_one.memory.rows
    fruit = rows.index[rows["label"] == "fruit"][:2].tolist()
    ids = rows["id"][fruit].tolist()
    relabelled = view._relabel("toy", shown, {}, {}, (), fruit, "metal")
    wanted = [{"edit": "relabel", "id": name, "label": "metal"} for name in ids]
    assert relabelled[view.edits] == {"toy": wanted}
    place = list(by_one.settings.label_names).index("metal")
    by_key = view._relabel_by_key(event(rows=fruit, label=place), "toy", shown, {}, {}, ())
    assert by_key[view.edits] == relabelled[view.edits]
    removed = view._remove_by_key(event(rows=fruit[:1]), "toy", shown, relabelled[view.edits], {}, ())
    assert removed[view.edits]["toy"] == [wanted[1], {"edit": "remove", "id": ids[0]}]
    assert view._undo("toy", shown, removed[view.edits], {})[view.edits]["toy"] == [wanted[1]]
    assert (
        "the keys 1 to 3"
        in view._relabel_by_key(event(rows=fruit, label=7), "toy", shown, {}, {}, ())[view.message].value
    )
    assert "tick several" in view._relabel("toy", shown, {}, {}, (), [], "metal")[view.message].value


def test_what_changes_nothing_is_refused_and_a_second_edit_takes_the_place_of_the_first(view, shown, by_one):
    label, name = by_one.memory.rows.loc[5, ["label", "id"]]
    others = [other for other in by_one.classes_ if other != label]
    refused = view._relabel("toy", shown, {}, {}, (), [5], label)
    assert refused.keys() == {view.message, *view.listed}
    assert f"{name}&#x27; is so already" in refused[view.message].value
    first = view._relabel("toy", shown, {}, {}, (), [5], others[0])
    assert view._show(first[view.shown], "all")[view.rows].count(f"<b>→ {others[0]}</b>") == 1
    second = view._relabel("toy", first[view.shown], first[view.edits], {}, (), [5], others[1])
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
    warned = view._relabel("toy", shown, {}, kept, (), [number], other)
    assert warned.keys() == {view.message, view.warned, *view.listed}
    assert f"“some iron and zinc” would be answered {other}, not {said}" in warned[view.message].value
    done = view._relabel("toy", shown, {}, kept, warned[view.warned], [number], other)
    assert done[view.edits]["toy"][0]["label"] == other
    assert 'class="wrong"' in done[view.pins]
    assert "must stay right" in view._try("toy", done[view.edits], kept, False)[view.effect]
    assert view._unpin(event(number=0), "toy", {}, kept)[view.kept]["toy"]["pinned"] == []
    assert view.edits in view._relabel("toy", None, {}, {}, (), [number], other)  # nothing is pinned; a server forgot


def test_edits_are_judged_on_one_half_and_told_on_the_other_when_saved_and_are_marked(view, shown, by_one, tmp_path):
    rows = by_one.memory.rows
    wrong = rows.index[rows["edited"] != ""][:12].tolist()
    edits = view._remove("toy", shown, {}, {}, (), wrong)[view.edits]
    patch, _ = pending_patch(edits, "toy", by_one)
    judging, telling = halves(by_one.encode_rows(by_one.held_out(["test"])))
    edited = apply_patch(by_one, patch)
    effect = changed_answers(by_one.answer(judging), edited.answer(judging))["effect"].value_counts()
    tried = view._try("toy", edits, {}, False)
    fixed, broken = (f"<b>{effect.get(name, 0)}</b>" for name in ("fixed", "broken"))
    assert f"Of {len(judging)} test rows the edits fix {fixed} and break {broken}" in tried[view.effect]
    pinned = [{"text": "a ripe plum", "label": "fruit"}]
    saved = view._save_version("toy", edits, {"toy": {"pinned": pinned}}, False, "better")
    assert "Saved as better" in saved[view.saved]
    assert f"On {len(telling)} test rows by which no edit was chosen" in saved[view.saved]
    assert str(tmp_path) not in saved[view.saved]
    assert saved[view.pending].count("saved in better") == len(patch)
    assert view.fill("toy", PageState(), [], edits, saved[view.kept])[view.pending] == saved[view.pending]
    model = ReAugKDClassifier.from_pretrained(tmp_path / "better")
    assert model.metrics["edits"]["told"]["rows"] == len(telling)
    assert model.pinned.to_dict("records") == pinned
    assert read_patch(tmp_path / "better.patch.jsonl") == patch
    further = view._remove(
        "toy", shown, edits, saved[view.kept], (), [next(row for row in rows.index if row not in wrong)]
    )
    assert "<b>1</b> pending" in further[view.pending]
    again = view._save_version("toy", edits, saved[view.kept], False, "better")
    assert "is there already; choose another name" in again[view.saved]
    assert "There is no edit to save" in view._save_version("toy", {}, {}, False, "new")[view.saved]


def test_each_button_that_drops_an_edit_names_it():
    html = pending_html((Edit("remove", "a <b>"), Edit("relabel", "c", "metal")), ["metal"])
    assert 'aria-label="Drop: remove a &lt;b&gt;"' in html
    assert 'aria-label="Drop: relabel c to metal"' in html


def test_a_label_that_a_person_gave_is_called_theirs_and_no_soft_label_of_the_teacher_is_shown_beside_it(
    view, by_one, tmp_path
):
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


@pytest.mark.parametrize("show", SHOWS)
def test_a_list_shows_its_rows_in_their_order_the_column_it_is_sorted_by_and_no_zeros_as_a_reason(
    view, shown, by_one, show
):
    test_rows = by_one.encode_rows(by_one.held_out(["test"]))
    wanted = memories(by_one, by_one.answer(test_rows if show == LEAKS else halves(test_rows)[0]), show)
    listed = view._show(shown, show)
    assert numbers_in(listed[view.rows]) == wanted["number"].tolist()
    assert f"<b>{len(wanted)}</b> rows: {show}" in listed[view.chosen]
    if len(wanted):
        order = "ascending" if SORTED_BY[show][1] else "descending"
        assert f'aria-sort="{order}"><button data-sort="{SORTED_BY[show][0]}"' in listed[view.rows]
    assert 'data-sort="fixes"' not in listed[view.rows]


def test_the_lists_are_counted_by_what_they_hold(view, by_one):
    filled = view.fill("toy", PageState(), [], {}, {})
    answered = by_one.answer(halves(by_one.encode_rows(by_one.held_out(["test"])))[0])
    counts = dict(choice[::-1] for choice in filled[view.show].choices)
    for show in (WRONG, "does harm", "never used", "all"):
        assert counts[show] == f"{show} {len(memories(by_one, answered, show)):,}"
    assert 0 < len(memories(by_one, answered, WRONG)) < len(by_one.memory) / 2


def test_a_click_on_a_column_sorts_by_it_and_a_second_click_turns_it(view, shown, by_one):
    every = view._show(shown, "all")[view.shown]
    first = view._sort(event(column="doubt"), every)
    answered = by_one.answer(halves(by_one.encode_rows(by_one.held_out(["test"])))[0])
    doubt = memories(by_one, answered, "all").set_index("number")["doubt"]
    assert doubt[numbers_in(first[view.rows])].is_monotonic_decreasing
    second = view._sort(event(column="doubt"), first[view.shown])
    assert doubt[numbers_in(second[view.rows])].is_monotonic_increasing
    by_text = view._sort(event(column="text"), second[view.shown])
    texts = by_one.memory.rows["text"][numbers_in(by_text[view.rows])]
    assert texts.is_monotonic_increasing


def test_a_row_with_a_pending_edit_says_what_becomes_of_it_and_a_text_is_no_html():
    rows = pd.DataFrame({"number": [3, 4], "text": ["<b>${1}</b>", "fog"], "label": ["a", "b"], "doubt": [0.5, None]})
    html = rows_html(rows, {3: "c"}, "doubt", False)
    assert "&lt;b&gt;" in html
    assert "${" not in html
    assert "a <b>→ c</b>" in html
    assert html.count('class="edited"') == 1
    assert "0.50" in html
    assert "nan" not in html


@pytest.mark.parametrize(
    ("linked", "selected", "show", "said"),
    [
        (PageState(), [], WRONG, WRONG),
        (PageState(), [0, 3], "all", "<b>2</b> rows: all, selected on the maps"),
        (PageState(), [10_000], WRONG, f"rows: {WRONG}</p>"),
        (PageState("toy", "memory", of_view={"show": "most used"}), [0, 3], "most used", "most used, selected on"),
        (PageState("toy", "memory", of_view={"holds": "iron"}), [], WRONG, f"{WRONG}, “iron” in the text"),
        (PageState("toy", "memory", of_view={"show": "suspicious"}), [], WRONG, WRONG),
        (PageState("other", "memory", of_view={"show": "harmful"}), [], WRONG, WRONG),
    ],
)
def test_the_page_opens_with_what_its_link_asks_for_and_the_link_comes_back(view, linked, selected, show, said):
    drawn = view.fill("toy", linked, selected, {}, {})
    assert drawn[view.shown].show == show
    assert said in drawn[view.chosen]
    again = view.linked_state(PageState("toy", "memory"), drawn[view.shown])
    assert view.fill("toy", again, selected, {}, {})[view.chosen] == drawn[view.chosen]


def test_where_no_label_looks_wrong_the_page_opens_with_what_is_doubted_most(toy_model, tmp_path):
    view = view_of(toy_model, tmp_path)
    drawn = view.fill("toy", PageState(), [], {}, {})
    assert (drawn[view.shown].show, drawn[view.shown].sort) == ("all", "-doubt")
    assert 'aria-sort="descending"><button data-sort="doubt"' in drawn[view.rows]


def test_the_list_follows_the_selection_of_the_model_that_the_page_is_filled_for(view, shown):
    selected = view._follow(shown, "toy", [0, 3])
    assert (selected[view.show], selected[view.shown].rows) == ("all", [0, 3])
    assert view._follow(selected[view.shown], "toy", [])[view.show] == WRONG
    assert view._follow(shown, "toy", [10_000]) == view._follow(None, "toy", [0]) == gr.skip()
    assert view._follow(replace(shown, name="other"), "toy", [0]) == gr.skip()


def test_the_corrected_train_set_is_written_in_each_form_with_the_pending_edits(view, by_one, tmp_path):
    gone = by_one.memory.rows["id"][3]
    edits = {"toy": [{"edit": "remove", "id": gone}]}
    wanted = [name for name in by_one.memory.rows["id"] if name != gone]
    for suffix in view.exports:
        view._export(tmp_path / f"train{suffix}", "toy", edits)
    assert pd.read_csv(tmp_path / "train.csv")["id"].tolist() == wanted
    assert pd.read_parquet(tmp_path / "train.parquet")["id"].tolist() == wanted
    with zipfile.ZipFile(tmp_path / "train.zip") as packed:
        assert {"train.parquet", "validation.parquet", "test.parquet"} <= set(packed.namelist())


def test_training_again_opens_the_form_with_the_corrected_rows(view, by_one):
    with gr.Blocks() as page:
        train, tabs = TrainView(view.menu, gr.Dropdown(), gr.BrowserState({})), gr.Tabs()
        view.lead_to_training(train, tabs)
    lead = next(function.fn for function in page.fns.values() if getattr(function.fn, "__name__", "") == "lead")
    gone = by_one.memory.rows["id"][3]
    led = lead("toy", {"toy": [{"edit": "remove", "id": gone}]})
    assert led[train.source] == FILE
    assert led[train.recipe["teacher"]].value == ENCODERS[0]  # shipped outputs are of the rows as they were
    assert led.keys() <= {tabs, *train.by_files}
    assert gone not in pd.read_csv(led[train.train_file].value["path"])["id"].tolist()
    rows = pd.read_csv(led[train.test_file].value["path"])
    assert rows["text"].tolist() == by_one.held_out(["test"])["text"].tolist()
