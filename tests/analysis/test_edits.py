"""Editing a memory: what changes, what stays, and that a file replays it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reaugkd.analysis.edits import (
    Edit,
    additions,
    apply_patch,
    as_patch,
    check_patch,
    extended,
    fitting,
    read_patch,
    train_set,
    write_patch,
    write_train_set,
)
from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import changed_answers
from reaugkd.method.keys import UntunedEncoder, fit_keys
from reaugkd.method.memory import LABELLED_BY, Memory
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.tasks.sources import load_files, load_task

TEXT = "the shiny new gadget hums"


class NoStudent:
    """Stands where no network may run."""

    def encode(self, texts):
        raise AssertionError(f"{len(texts)} texts were encoded")


@pytest.fixture
def without_teacher(pooled_model):
    return replace(pooled_model, teacher=None)


def ids(model):
    return model.memory.rows["id"].tolist()


def test_an_empty_patch_changes_no_answer_and_no_row(toy_model, toy_task):
    edited = apply_patch(toy_model, ())
    assert ids(edited) == ids(toy_model)
    texts = toy_task.texts("test")
    np.testing.assert_array_equal(edited.predict_proba(texts), toy_model.predict_proba(texts))


def test_a_removed_row_is_never_retrieved_and_the_given_model_keeps_it(toy_model, toy_task):
    text = toy_task.texts("train")[5]
    nearest = toy_model.explain(text, k=1).neighbours[0].id
    edited = apply_patch(toy_model, (Edit("remove", nearest),))
    found = {neighbour.id for key in edited.explain(text, k=89).keys for neighbour in key.neighbours}
    assert found == set(ids(toy_model)) - {nearest}
    assert nearest in ids(toy_model)
    np.testing.assert_array_equal(
        edited.memory.keys["text"], np.delete(toy_model.memory.keys["text"], ids(toy_model).index(nearest), axis=0)
    )
    for points in (edited.maps.points, edited.maps.student_embeddings):
        assert len(points) == len(edited.memory)


def test_a_relabelled_row_votes_for_its_new_class_with_all_its_weight(toy_model):
    row = toy_model.memory.rows.iloc[7]
    other = next(name for name in toy_model.classes_ if name != row["label"])
    edited = apply_patch(toy_model, (Edit("relabel", row["id"], other),))
    changed = edited.memory.soft_labels[7]
    assert edited.memory.rows.loc[7, ["label", "edited"]].tolist() == [other, "relabelled"]
    np.testing.assert_array_equal(changed, toy_model.classes_ == other)
    np.testing.assert_array_equal(
        np.delete(edited.memory.soft_labels, 7, axis=0),
        np.delete(toy_model.memory.soft_labels, 7, axis=0),
    )


def test_an_added_row_is_found_by_its_own_text_and_keyed_as_a_query_is(without_teacher):
    edited = apply_patch(without_teacher, (Edit("add", "mine", without_teacher.classes_[1], TEXT),))
    encoded = without_teacher.encode([TEXT])
    for key in edited.explain(TEXT, k=1).keys:
        nearest = key.neighbours[0]
        assert (nearest.id, nearest.text, nearest.columns["edited"]) == ("mine", TEXT, "added")
        assert nearest.similarity == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(edited.memory.keys[key.name][-1], encoded.queries[key.name][0], atol=1e-6)
    np.testing.assert_allclose(edited.memory.teacher_embeddings[-1], encoded.embeddings[0], atol=1e-6)


def test_what_edits_change_is_seen_in_texts_that_were_encoded_before(without_teacher):
    """An edited model has the same networks and keys, so no text is encoded again."""
    rows = without_teacher.held_out(["test"])
    patch = tuple(Edit("add", f"mine-{n}", "weather", text) for n, text in enumerate(rows["text"].head(5)))
    encoded = without_teacher.encode_rows(rows)
    edited = apply_patch(without_teacher, patch)
    silent = replace(edited, student=NoStudent())
    for overrides in ({}, {"k": 1, "retrieval_weight": 1.0}):
        pool = edited.pool.overridden(**overrides)
        found = changed_answers(without_teacher.answer(encoded, pool), silent.answer(encoded, pool))
        before, after = (model.predict(rows["text"], **overrides) for model in (without_teacher, edited))
        assert found["id"].tolist() == rows["id"][before != after].tolist()
        assert found[["before", "after"]].to_numpy().tolist() == [
            list(pair) for pair in zip(before, after, strict=True) if pair[0] != pair[1]
        ]
    assert len(found) >= 3


def test_a_new_class_is_answered_by_the_memory_alone(without_teacher):
    edited = apply_patch(without_teacher, (Edit("add", "mine", "gadget", TEXT),))
    assert edited.classes_.tolist() == [*without_teacher.classes_, "gadget"]
    assert edited.predict([TEXT])[0] == edited.predict([TEXT], k=1)[0] == "gadget"
    assert edited.student.classifier.out_features == len(without_teacher.classes_)


def test_soft_labels_of_an_added_row_are_the_teachers_where_it_agrees_and_else_those_of_the_gold_class(toy_model):
    says = toy_model.teacher.encode([TEXT])[1][0]
    agreed, denied = toy_model.classes_[says.argmax()], toy_model.classes_[says.argmin()]
    patch = (Edit("add", "a", agreed, TEXT), Edit("add", "b", denied, TEXT), Edit("add", "c", None, TEXT))
    memory = apply_patch(toy_model, patch).memory
    np.testing.assert_allclose(memory.soft_labels[-3], says, atol=1e-6)
    np.testing.assert_array_equal(memory.soft_labels[-2], toy_model.classes_ == denied)
    np.testing.assert_allclose(memory.soft_labels[-1], says, atol=1e-6)
    assert memory.rows["label"].tolist()[-3:] == [agreed, denied, agreed]


def test_edits_of_added_rows_count_in_their_order(without_teacher):
    first, second = without_teacher.classes_[:2]
    patch = (Edit("add", "x", first, TEXT), Edit("relabel", "x", second), Edit("add", "y", first, TEXT))
    edited = apply_patch(without_teacher, (*patch, Edit("remove", "y")))
    assert edited.memory.rows["label"].tolist()[-1] == second
    assert "y" not in ids(edited)


def test_an_added_row_stays_an_added_one_when_a_later_patch_relabels_it(without_teacher):
    first, second = without_teacher.classes_[:2]
    edited = apply_patch(without_teacher, (Edit("add", "x", first, TEXT),))
    old = ids(edited)[0]
    again = apply_patch(edited, (Edit("relabel", "x", second), Edit("relabel", old, second)))
    rows = again.memory.rows.set_index("id")
    assert rows.loc["x", ["label", "edited"]].tolist() == [second, "added"]
    assert rows.loc[old, "edited"] == "relabelled"


def test_the_encoder_key_finds_added_rows_too(without_teacher, toy_encoder_folder):
    model, texts = without_teacher, without_teacher.memory.rows["text"].tolist()
    untuned = UntunedEncoder.of(toy_encoder_folder, texts, max_length=16)
    keys, memory = fit_keys(model.memory, model.student.tokenizer, encoder=untuned)
    pool = Pool({name: KeySettings(4, 0.1, 0.5) for name in keys})
    model = replace(model, keys=keys, memory=memory, pool=pool)
    edited = apply_patch(model, (Edit("remove", ids(model)[0]), Edit("add", "mine", model.classes_[0], TEXT)))
    assert [key.neighbours[0].id for key in edited.explain(TEXT, k=1).keys] == ["mine"] * 3
    assert len(edited.memory) == len(model.memory)


def test_a_label_of_the_teachers_becomes_a_persons_when_it_is_edited(without_teacher):
    """Where texts without labels are in the memory, a column says whose a row's label is."""
    memory = without_teacher.memory
    by_teacher = np.where(np.arange(len(memory)) % 2, "teacher", "")
    marked = replace(memory, rows=memory.rows.assign(**{LABELLED_BY: by_teacher}))
    model = replace(without_teacher, memory=marked)
    names, other = ids(model), model.classes_[1]
    edited = apply_patch(model, (Edit("relabel", names[1], other), Edit("add", "mine", other, TEXT)))
    assert edited.memory.rows[LABELLED_BY].tolist() == ["", "", *by_teacher[2:], ""]


def test_a_patch_file_replays_to_the_same_answers_and_the_edited_model_can_be_saved_and_edited_again(
    without_teacher, toy_task, tmp_path
):
    patch = (Edit("add", "mine", "gadget", TEXT), Edit("remove", ids(without_teacher)[3]))
    write_patch(patch, tmp_path / "patch.jsonl")
    assert read_patch(tmp_path / "patch.jsonl") == patch
    edited = apply_patch(without_teacher, patch)
    edited.save_pretrained(tmp_path / "model")
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    texts = toy_task.texts("test")
    np.testing.assert_allclose(loaded.predict_proba(texts), edited.predict_proba(texts), atol=1e-6)
    again = apply_patch(loaded, (Edit("remove", "mine"),))
    assert again.metrics["edits"] == {"added": 1, "relabelled": 0, "removed": 2}
    assert again.card.count("## Edited after training") == 1


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085", "\x0b", "\x1c", "\n", "\r\n"])
def test_a_text_with_any_line_separator_comes_back_from_a_patch_file(tmp_path, mark):
    patch = (Edit("add", "mine", "gadget", f"the gadget{mark}hums"), Edit("remove", "other"))
    write_patch(patch, tmp_path / "patch.jsonl")
    assert read_patch(tmp_path / "patch.jsonl") == patch


def test_additions_get_ids_that_nothing_else_has(without_teacher):
    rows = pd.DataFrame({"text": ["one", "two"], "label": ["gadget", None]})
    first = additions(without_teacher, rows)
    second = additions(without_teacher, rows, first)
    assert [edit.id for edit in (*first, *second)] == ["added-1", "added-2", "added-3", "added-4"]
    assert first[1].label is None


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        ((Edit("remove", "nobody"),), "Edit 1 removes a row that is not there, 'nobody'"),
        ((Edit("relabel", "nobody", "x"),), "Edit 1 relabels a row that is not there"),
        ((Edit("add", "a", "x", "t"), Edit("add", "a", "x", "t")), "Edit 2 adds a row that is there already"),
        ((Edit("add", "a", None, "t"),), "has no label, and the teacher was not saved with the model"),
        ((Edit("add", "a", "  ", "t"),), "has no label, and the teacher was not saved with the model"),
        ((Edit("add", "long", "x", "t" * 100_001),), "text of the added row 'long' has 100,001 characters"),
    ],
)
def test_an_impossible_edit_is_named_before_anything_is_encoded(without_teacher, patch, sentence):
    model = replace(without_teacher, student=NoStudent())
    for use in (check_patch, apply_patch):
        with pytest.raises(ReAugKDError, match=sentence):
            use(model, patch)


@pytest.mark.parametrize("second", [None, "", "  "])
def test_an_added_pair_without_a_second_text_is_named_before_anything_is_encoded(without_teacher, second):
    settings = replace(without_teacher.settings, is_pair=True)
    pairs = replace(without_teacher, settings=settings, student=NoStudent())
    check_patch(pairs, (Edit("add", "a", "x", "one", "two"),))
    with pytest.raises(ReAugKDError, match="The second text of the added row 'b' is empty"):
        check_patch(pairs, (Edit("add", "a", "x", "one", "two"), Edit("add", "b", "x", "one", second)))


def test_space_around_a_label_makes_no_new_class_however_the_edit_is_made(without_teacher, tmp_path):
    first, second = without_teacher.classes_[:2]
    row = without_teacher.memory.rows.iloc[7]
    (tmp_path / "patch.jsonl").write_text(
        f'{{"edit": "add", "id": "a", "label": " {first} ", "text": "t"}}\n'
        f'{{"edit": "relabel", "id": "{row["id"]}", "label": "{second}\\n"}}\n'
    )
    by_hand = (Edit("add", "a", f" {first} ", "t"), Edit("relabel", row["id"], f"{second}\n"))
    assert read_patch(tmp_path / "patch.jsonl") == by_hand
    edited = apply_patch(without_teacher, by_hand)
    assert edited.classes_.tolist() == without_teacher.classes_.tolist()
    assert edited.memory.rows["label"].iloc[[7, -1]].tolist() == [second, first]


def test_a_memory_is_not_emptied(without_teacher):
    with pytest.raises(ReAugKDError, match="needs at least one row"):
        apply_patch(without_teacher, tuple(Edit("remove", name) for name in ids(without_teacher)))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "Line 2 of .* is no JSON object"),
        (
            '{"edit": "add", "id": "a", "colour": "red"}',
            "Edit 2 of .* has a 'colour'; an edit is made of edit, id, label",
        ),
        ('{"id": "a"}', "Edit 2 of .*: An edit is called ''; it must be one of add, relabel, remove"),
        ('{"edit": "swap", "id": "a"}', "must be one of add, relabel, remove"),
        ('{"edit": "add", "id": "a", "text": " "}', "has no text"),
        ('{"edit": "relabel", "id": "a"}', "names no label"),
        ('{"edit": "relabel", "id": "a", "label": " "}', "names no label"),
        ('{"edit": "relabel", "id": "a", "label": 3}', "the label 3, which is no text"),
        ('{"edit": "remove", "id": ""}', "names no row"),
        ('["remove", "a"]', "Line 2 of .* is no JSON object"),
        ('{"edit": ["remove"], "id": "a"}', r"An edit has the edit \['remove'\], which is no text"),
        ('{"edit": "remove", "id": 7}', "An edit has the id 7, which is no text; put it in quotes"),
        ('{"edit": "relabel", "id": "a", "label": 1}', "An edit has the label 1, which is no text"),
        ('{"edit": "add", "id": "a", "text": 5}', "An edit has the text 5, which is no text"),
        (
            '{"edit": "add", "id": "a", "text": "b", "text_pair": ["c"]}',
            r"An edit has the text_pair \['c'\], which is no",
        ),
    ],
)
def test_a_wrong_line_of_a_patch_file_is_named(tmp_path, line, sentence):
    (tmp_path / "patch.jsonl").write_text('{"edit": "remove", "id": "a"}\n' + line + "\n")
    with pytest.raises(ReAugKDError, match=sentence):
        read_patch(tmp_path / "patch.jsonl")


def test_a_patch_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / "patch.jsonl").write_bytes('{"edit": "remove", "id": "café"}'.encode("latin-1"))
    with pytest.raises(ReAugKDError, match=r"patch\.jsonl' is not written in UTF-8; save it"):
        read_patch(tmp_path / "patch.jsonl")


def test_a_missing_patch_file_is_named(tmp_path):
    with pytest.raises(ReAugKDError, match="There is no file"):
        read_patch(tmp_path / "none.jsonl")


def test_ids_of_any_form_and_texts_that_stand_twice_come_back_from_a_patch_file_and_edit_their_own_row(
    without_teacher, tmp_path
):
    memory = without_teacher.memory
    odd = ["7", " 7", "007", "a row", "tab\there", "1e3", "nan"]
    rows = memory.rows.assign(id=[*odd, *memory.rows["id"][len(odd) :]])
    rows.loc[[0, 1, 2], "text"] = rows["text"][0]
    model = replace(without_teacher, memory=replace(memory, rows=rows))
    model.save_pretrained(tmp_path / "odd")
    model = ReAugKDClassifier.from_pretrained(tmp_path / "odd")
    assert ids(model)[: len(odd)] == odd
    added = additions(model, pd.DataFrame({"text": [rows["text"][0]] * 2, "label": ["fruit"] * 2}))
    patch = (*(Edit("remove", name) for name in odd[1:]), Edit("relabel", "7", "gadget"), *added)
    write_patch(patch, tmp_path / "odd.jsonl")
    assert read_patch(tmp_path / "odd.jsonl") == patch
    edited = apply_patch(model, read_patch(tmp_path / "odd.jsonl"))
    assert ids(edited) == ["7", *rows["id"][len(odd) :], "added-1", "added-2"]
    assert edited.memory.rows["label"][0] == "gadget"


def test_of_a_patch_the_edits_that_fit_a_memory_are_kept_in_their_order(without_teacher):
    first, second = ids(without_teacher)[:2]
    good = (Edit("remove", first), Edit("add", "mine", "fruit", TEXT), Edit("relabel", "mine", "metal"))
    wrong = (Edit("remove", "gone"), Edit("relabel", first, "metal"), Edit("add", second, "fruit", TEXT))
    assert fitting(without_teacher, good) == good
    assert fitting(without_teacher, ()) == ()
    assert fitting(without_teacher, wrong[:1]) == ()
    assert fitting(without_teacher, (good[0], *wrong, *good[1:])) == good


def test_a_second_edit_of_a_row_takes_the_place_of_the_first_and_what_changes_nothing_is_refused(without_teacher):
    rows, (first, second, third) = without_teacher.memory.rows, without_teacher.classes_
    one, two = rows["id"][rows["label"] == first].head(2)
    relabelled = extended(without_teacher, (), [Edit("relabel", one, second)])
    assert extended(without_teacher, relabelled, [Edit("relabel", one, third)]) == (Edit("relabel", one, third),)
    assert extended(without_teacher, relabelled, [Edit("remove", one)]) == (Edit("remove", one),)
    assert extended(without_teacher, (Edit("remove", one),), [Edit("relabel", one, second)]) == relabelled
    assert extended(without_teacher, relabelled, [Edit("relabel", one, first)]) == ()  # taken back
    both = [Edit("relabel", one, second), Edit("relabel", two, second)]
    assert extended(without_teacher, relabelled, both) == tuple(both)
    for patch, further in (((), Edit("relabel", one, first)), (relabelled, Edit("relabel", one, f" {second} "))):
        with pytest.raises(ReAugKDError, match=f"The row '{one}' is so already; choose another label"):
            extended(without_teacher, patch, [further])
    with pytest.raises(ReAugKDError, match="All 2 rows are so already"):
        extended(without_teacher, tuple(both), both)
    with pytest.raises(ReAugKDError, match="a row that is not there"):
        extended(without_teacher, (), [Edit("remove", "nobody")])


def test_an_added_row_is_added_once_with_the_label_that_it_got_last(without_teacher):
    first, second = without_teacher.classes_[:2]
    added = extended(without_teacher, (), additions(without_teacher, pd.DataFrame({"text": [TEXT], "label": [first]})))
    assert extended(without_teacher, added, [Edit("relabel", "added-1", second)]) == (
        Edit("add", "added-1", second, TEXT),
    )
    assert extended(without_teacher, added, [Edit("remove", "added-1")]) == ()


def test_a_person_may_give_the_label_that_only_the_teacher_gave(without_teacher):
    memory = without_teacher.memory
    marked = replace(memory, rows=memory.rows.assign(**{LABELLED_BY: "teacher"}))
    edit = Edit("relabel", memory.rows["id"][0], memory.rows["label"][0])
    assert extended(replace(without_teacher, memory=marked), (), [edit]) == (edit,)


def test_edits_of_a_memory_on_disk_are_those_of_one_in_memory(toy_model, tmp_path):
    mapped = replace(toy_model, memory=Memory.build([toy_model.memory], tmp_path / "memory", 6))
    first, second = toy_model.classes_[:2]
    rows = toy_model.memory.rows
    relabel = Edit("relabel", rows.loc[rows["label"] == first, "id"].iloc[0], second)
    patches = {
        "relabel": (relabel,),
        "remove": (Edit("remove", rows["id"].iloc[3]), relabel),
        "add": (Edit("add", "new", "gadget", "the shiny gadget"),),
    }
    for name, patch in patches.items():
        wanted, edited = apply_patch(toy_model, patch), apply_patch(mapped, patch)
        pd.testing.assert_frame_equal(edited.memory.rows, wanted.memory.rows, check_dtype=False)
        np.testing.assert_allclose(edited.memory.soft_labels, wanted.memory.soft_labels, atol=1e-3)
        np.testing.assert_allclose(edited.memory.keys["text"], wanted.memory.keys["text"], atol=1e-3)
        texts = ["an apple and a plum", "the gadget"]
        np.testing.assert_allclose(edited.predict_proba(texts), wanted.predict_proba(texts), atol=5e-3)
        has_index = name == "relabel"  # no row was moved
        assert edited.memory.is_mapped == has_index
        edited.save_pretrained(tmp_path / name)
        again = ReAugKDClassifier.from_pretrained(tmp_path / name)
        np.testing.assert_allclose(again.predict_proba(texts), edited.predict_proba(texts), atol=5e-3)
        if has_index:
            assert edited.memory.keys["text"] is mapped.memory.keys["text"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("remove", "The patch is 'remove'; it must be a list"),
        ([3], "Edit 1 is 3; an edit is made of edit, id, label, text, text_pair"),
        ([{"edit": "relabel", "id": "a", "label": "x" * 1_001}], "Edit 1: The label .* has 1,001 characters"),
        ([{"edit": "add", "id": "\ud800", "text": "a"}], "Edit 1: The id of an edit holds half a character"),
    ],
)
def test_what_is_no_patch_is_told(given, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        as_patch(given)


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        (None, "The patch is None; it must be a list"),
        (Edit("remove", "train-1"), "The patch is something else; it must be a list"),
        ([{"edit": "remove", "id": "train-1"}], "Edit 1 is names with values; read a patch by read_patch or as_patch"),
    ],
)
def test_what_is_no_edit_is_not_applied(toy_model, patch, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        apply_patch(toy_model, patch)


@pytest.fixture
def edited(pooled_model):
    """A row relabelled, one removed, one added."""
    ids = pooled_model.memory.rows["id"]
    label = next(name for name in pooled_model.classes_ if name != pooled_model.memory.rows["label"][4])
    edits = (Edit("relabel", ids[4], label), Edit("remove", ids[9]), Edit("add", "mine", "gadget", "it, hums\n“so”"))
    return apply_patch(replace(pooled_model, teacher=None), edits)


def wanted_rows(model, edited):
    """The train rows after these edits, by hand."""
    rows = model.memory.rows.copy()
    rows.loc[4, "label"] = edited.memory.rows["label"][4]
    rows = rows.drop(index=9)
    rows.loc[len(rows) + 1] = {"id": "mine", "text": "it, hums\n“so”", "label": "gadget"}
    return rows[["id", "text", "label"]].to_numpy().tolist()


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows"])
def test_the_corrected_rows_come_back_from_every_form_and_a_task_is_made_of_them(pooled_model, edited, tmp_path, name):
    path = write_train_set(edited, tmp_path / name)
    if path.suffix:
        read = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        task = load_files(path)
        assert task.label_names == ("fruit", "gadget", "metal", "weather")
    else:
        read = pd.read_parquet(path / "train.parquet")
        task = load_task(str(path))
        held = pooled_model.evaluation_rows
        for split in ("validation", "test"):
            assert task.table(split)["text"].tolist() == held["text"][held["split"] == split].tolist()
        assert task.table("train")["id"].tolist() == read["id"].tolist()
    assert read[["id", "text", "label"]].to_numpy().tolist() == wanted_rows(pooled_model, edited)
    assert set(read.columns) == set(pooled_model.memory.rows.columns)


def test_rows_that_only_the_teacher_labelled_are_no_train_rows(pooled_model):
    memory = pooled_model.memory
    by_teacher = np.where(np.arange(len(memory)) % 2, "teacher", "")
    model = replace(pooled_model, memory=replace(memory, rows=memory.rows.assign(**{LABELLED_BY: by_teacher})))
    assert train_set(model)["id"].tolist() == memory.rows["id"].tolist()[::2]
    corrected = apply_patch(model, (Edit("relabel", memory.rows["id"][1], memory.rows["label"][1]),))
    assert train_set(corrected)["id"].tolist()[:3] == memory.rows["id"].tolist()[:3]
    rows = memory.rows.assign(**{LABELLED_BY: "teacher"})
    with pytest.raises(ReAugKDError, match="No row of the memory has a person's label"):
        train_set(replace(model, memory=replace(memory, rows=rows)))


def test_what_is_there_is_not_overwritten_by_a_folder_of_rows(pooled_model, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for name in ("full", "rows.xlsx"):
        with pytest.raises(ReAugKDError, match=r"no new folder, \.csv or \.parquet file"):
            write_train_set(pooled_model, tmp_path / name)
