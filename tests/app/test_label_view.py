"""The page that labels, without a browser: what a label, a skip and an undo do to the queue and the pending edits."""

from types import SimpleNamespace

import gradio as gr
import pandas as pd
import pytest

from app.listening import once_filled
from app.menu import ModelMenu
from app.model_job import ModelJob
from app.parts.pending_edits import pending_patch
from app.views.label import LabelView, Log, gain_of, labels_in, queue_of
from reaugkd.analysis.comparison import compare
from reaugkd.analysis.edits import apply_patch
from reaugkd.errors import ReAugKDError

TEXTS = ["some iron and zinc", "a gizmo hums", "a gizmo beeps", "a gizmo hums!", "a <b>ripe</b> plum"]


@pytest.fixture
def view(pooled_model, tmp_path):
    job = ModelJob(str(tmp_path / "toy"))
    job.model = pooled_model
    with gr.Blocks():
        return LabelView(ModelMenu(job), gr.Dropdown(), gr.BrowserState({}))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "log.csv"
    pd.DataFrame({"when": range(5), "sentence": TEXTS}).to_csv(path, index=False)
    return str(path)


def pressed(drawn, view, choice, label=None):
    return SimpleNamespace(row=drawn[view.log].row, choice=choice, label=label)


def test_a_file_is_opened_by_its_guessed_column_and_asks_for_the_head_of_the_queue(view, file, pooled_model):
    drawn = view._open("toy", {}, file)
    assert drawn[view.column].value == "sentence"
    queue = queue_of(pooled_model, (), file, ("sentence",))
    assert drawn[view.log].row == queue.index[0]
    assert queue["text"].iloc[0] in drawn[view.text]
    assert "5 texts, 1 of them near-copies" in drawn[view.progress]
    assert f'data-row="{queue.index[0]}"' in drawn[view.buttons]
    assert 'data-label="metal" data-key="2"' in drawn[view.buttons]
    assert "sentence" not in queue
    assert queue["when"].sort_index().tolist() == ["0", "1", "2", "4"]


def test_a_label_is_a_pending_edit_at_once_and_the_text_is_not_asked_again(view, file, pooled_model):
    drawn = view._open("toy", {"other": []}, file)
    row = drawn[view.log].row
    labelled = view._choose(pressed(drawn, view, "label", "metal"), "toy", {"other": []}, drawn[view.log])
    patch, lost = pending_patch(labelled[view.edits], "toy", pooled_model)
    assert labelled[view.edits].keys() == {"other", "toy"}
    assert [(edit.edit, edit.label, lost) for edit in patch] == [("add", "metal", 0)]
    assert labels_in(patch, view._texts("toy", drawn[view.log]).table) == {row: "metal"}
    assert labelled[view.log].row != row
    assert "Labelled <b>1</b>, skipped 0, to ask <b>3</b>" in labelled[view.progress]
    memory = apply_patch(pooled_model, patch).memory
    assert memory.rows["label"].iloc[-1] == "metal"
    again = view._choose(pressed(drawn, view, "label", "fruit"), "toy", labelled[view.edits], labelled[view.log])
    assert again == gr.skip()  # a second press beside the same text


def test_empty_rows_are_left_out_and_counted(view, tmp_path):
    (tmp_path / "log.csv").write_text('text,when\na gizmo hums,1\n,2\n" ",3\n', encoding="utf-8")
    assert (
        "1 texts (2 left out: empty, or more than 5,000)"
        in view._open("toy", {}, str(tmp_path / "log.csv"))[view.progress]
    )


def test_a_skip_and_a_label_are_taken_back_in_turn(view, file):
    first = view._open("toy", {}, file)
    skipped = view._choose(pressed(first, view, "skip"), "toy", {}, first[view.log])
    assert view.edits not in skipped
    labelled = view._choose(pressed(skipped, view, "label", "gizmo"), "toy", {}, skipped[view.log])
    assert 'data-label="gizmo"' in labelled[view.buttons]  # a new class has a button
    edits = labelled[view.edits]
    back = view._choose(pressed(labelled, view, "undo"), "toy", edits, labelled[view.log])
    assert (back[view.edits], back[view.log].row) == ({"toy": []}, skipped[view.log].row)
    start = view._choose(pressed(back, view, "undo"), "toy", back[view.edits], back[view.log])
    assert start[view.log] == first[view.log]
    assert view._choose(pressed(start, view, "undo"), "toy", {}, start[view.log]) == gr.skip()
    assert 'data-key="u" disabled' in start[view.buttons]


def test_another_class_is_written_and_an_empty_one_is_refused_in_a_sentence(view, file):
    drawn = view._open("toy", {}, file)
    given = view._give("toy", {}, drawn[view.log], " rumour ")
    assert given[view.edits]["toy"][0]["label"] == "rumour"
    refused = view._give("toy", {}, drawn[view.log], None)
    assert refused.keys() == {view.message}
    assert "There is no label to give" in refused[view.message].value
    assert once_filled(view._give)("toy", {}, None, "rumour") == gr.skip()


def test_what_the_labels_gain_is_that_of_the_edited_model_on_the_test_rows(view, file, pooled_model):
    drawn = view._open("toy", {}, file)
    labelled = view._choose(pressed(drawn, view, "label", "gizmo"), "toy", {}, drawn[view.log])
    patch, _ = pending_patch(labelled[view.edits], "toy", pooled_model)
    rows = pooled_model.encode_rows(pooled_model.held_out(["test"]))
    wanted = compare(apply_patch(pooled_model, patch).answer(rows), pooled_model.answer(rows), "accuracy")
    assert gain_of(pooled_model, patch).difference == wanted.difference
    measured = view._measure("toy", labelled[view.edits], labelled[view.log], {})
    assert measured[view.line] == {0: (0.0, 0.0, 0.0), 1: wanted.difference}
    assert f"<b>{100 * wanted.scores[0]:.1f} %</b>" in measured[view.gain]
    assert "No test row is of the new class gizmo" in measured[view.gain]
    taken_back = view._measure("toy", {}, labelled[view.log], measured[view.line])
    assert taken_back[view.line].keys() == {0}
    assert not taken_back[view.plot].visible


def test_the_labels_are_saved_with_the_columns_that_the_texts_came_with(view, file, tmp_path):
    drawn = view._open("toy", {}, file)
    labelled = view._choose(pressed(drawn, view, "label", "gizmo"), "toy", {}, drawn[view.log])
    view._save(tmp_path / "saved.csv", "toy", labelled[view.edits], labelled[view.log])
    wanted = view._texts("toy", drawn[view.log]).table[["when", "text"]].iloc[[drawn[view.log].row]]
    saved = pd.read_csv(tmp_path / "saved.csv", dtype=str)
    assert saved.to_dict("records") == wanted.assign(label="gizmo").to_dict("records")
    view._save(tmp_path / "none.csv", "toy", {}, labelled[view.log])
    assert pd.read_csv(tmp_path / "none.csv").columns.tolist() == ["when", "text", "label"]


def test_the_validation_texts_come_without_their_labels(view, pooled_model):
    drawn = view._open_sample("toy", {})
    table = view._texts("toy", Log()).table
    assert "label" not in table
    assert set(table["text"]) <= set(pooled_model.held_out(["validation"])["text"])
    assert drawn[view.log].row >= 0


def test_texts_are_text_and_a_bad_file_is_a_sentence_without_a_path(view, file, tmp_path):
    drawn = view._open("toy", {}, file)
    while "ripe" not in drawn[view.text]:
        drawn = view._choose(pressed(drawn, view, "skip"), "toy", {}, drawn[view.log])
    assert "a &lt;b&gt;ripe&lt;/b&gt; plum" in drawn[view.text]
    (tmp_path / "bad.csv").write_text('a,b\n1,2,3\n"', encoding="utf-8")
    refused = view._open("toy", {}, str(tmp_path / "bad.csv"))
    assert "&#x27;bad.csv&#x27; is not a valid CSV file" in refused[view.message].value
    assert str(tmp_path) not in refused[view.message].value


def test_when_all_are_done_nothing_is_asked_and_the_last_can_be_taken_back(view, file):
    drawn = view._open("toy", {}, file)
    for _ in range(4):
        before, drawn = drawn, view._choose(pressed(drawn, view, "skip"), "toy", {}, drawn[view.log])
    assert "skipped 4, to ask <b>0</b>" in drawn[view.progress]
    assert "All texts are labelled or skipped" in drawn[view.text]
    assert "data-label" not in drawn[view.buttons]
    assert view._give("toy", {}, drawn[view.log], "metal") == gr.skip()
    back = view._choose(pressed(drawn, view, "undo"), "toy", {}, drawn[view.log])
    assert back[view.text] == before[view.text]


def test_another_model_asks_the_same_texts_anew(view, file):
    drawn = view._open("toy", {}, file)
    skipped = view._choose(pressed(drawn, view, "skip"), "toy", {}, drawn[view.log])
    assert view.fill("toy", {}, skipped[view.log])[view.log] == drawn[view.log]
    assert view.log not in view.fill("toy", {}, None)
    with pytest.raises(ReAugKDError):
        view._texts("toy", Log("missing.csv", ("text",)))


def test_a_label_of_half_a_character_is_told(view):
    opened = view._open_sample("toy", {})
    told = view._give("toy", {}, opened[view.log], "metal\ud800")
    assert "The label holds half a character" in told[view.message].value
