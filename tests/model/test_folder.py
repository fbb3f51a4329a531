"""A model's folder: written whole or not at all, read with every file checked."""

import errno
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from transformers import AutoModel, AutoTokenizer

from reaugkd import files
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.analysis.refit import with_encoder_key
from reaugkd.errors import ReAugKDError
from reaugkd.files import explain_disk_errors, read_sealed, write_sealed
from reaugkd.measures.calibration import Threshold
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model import folder as model_folder
from reaugkd.model.card import model_card
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.folder import check_target, read_model, read_settings_file, sum_of, verify_model, write_model
from reaugkd.networks.encoders import TextClassifier

TEXTS = ["an apple and a plum", "old iron", "rain today", "the copper fog"]
CHECKED_FILES = [
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "classifier.safetensors",
    "1_Pooling/config.json",
    "metrics.json",
    "projection_head.safetensors",
    "memory.parquet",
    "keys/aligned.safetensors",
    "keys/text.safetensors",
    "evaluation.parquet",
    "maps.parquet",
    "maps_held_out.parquet",
    "teacher/model.safetensors",
    "teacher/config.json",
    "teacher/classifier.safetensors",
]


def contents(folder):
    """Every file below a folder with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def copy(toy_model_folder, tmp_path):
    return shutil.copytree(toy_model_folder, tmp_path / "model")


@pytest.mark.parametrize("overrides", [{}, {"retrieval_weight": 1.0}])
@pytest.mark.parametrize("name", ["toy_model", "pooled_model", "gadget_model"])
def test_a_model_that_is_saved_and_loaded_predicts_the_same_to_the_bit(request, name, overrides, tmp_path):
    model = request.getfixturevalue(name)
    model.save_pretrained(tmp_path / "again")
    again = ReAugKDClassifier.from_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(again.predict_proba(TEXTS, **overrides), model.predict_proba(TEXTS, **overrides))
    assert again.pool == model.pool
    assert again.classes_.tolist() == model.classes_.tolist()


POOLS = {
    "fitted": Pool({"aligned": KeySettings(3, 0.2, 0.1), "text": KeySettings(64, 1.0, 0.0)}, 1.5, 0.7, "text"),
    "by hand": Pool({"aligned": KeySettings(), "text": KeySettings()}, retrieval_weight=0.25),
    "linear": Pool({"aligned": KeySettings(), "text": KeySettings()}, kind="linear", retrieval_weight=1.0),
}


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_every_setting_of_a_pool_comes_back(toy_model, tmp_path, pool):
    write_model(replace(toy_model, pool=pool), tmp_path / "again")
    assert ReAugKDClassifier.from_pretrained(tmp_path / "again").pool == pool


def test_a_model_with_an_encoder_key_comes_back(toy_model, toy_encoder_folder, tmp_path):
    model = with_encoder_key(toy_model, str(toy_encoder_folder))
    model.save_pretrained(tmp_path / "again")
    again = ReAugKDClassifier.from_pretrained(tmp_path / "again")
    assert list(again.keys) == ["aligned", "text", "encoder"]
    for name, key in model.keys.items():
        given = (TEXTS, model.encode(TEXTS).embeddings)
        np.testing.assert_array_equal(again.keys[name].embed(*given), key.embed(*given))
        np.testing.assert_array_equal(again.memory.keys[name], model.memory.keys[name])
    assert (tmp_path / "again" / "keys" / "encoder" / "model.safetensors").is_file()
    toy_model.save_pretrained(tmp_path / "again")  # in the place of it, no file of the encoder is left
    assert not (tmp_path / "again" / "keys" / "encoder").exists()


def test_every_part_comes_back_as_it_was(toy_model, tmp_path):
    before = toy_model
    write_model(before, tmp_path / "again")
    after = ReAugKDClassifier.from_pretrained(tmp_path / "again")
    assert (after.settings, after.pool, after.metrics, after.card) == (
        before.settings,
        before.pool,
        before.metrics,
        before.card,
    )
    pd.testing.assert_frame_equal(after.memory.rows, before.memory.rows)
    assert after.memory.classes == before.memory.classes
    np.testing.assert_array_equal(after.memory.soft_labels, before.memory.soft_labels)
    np.testing.assert_allclose(after.memory.teacher_embeddings, before.memory.teacher_embeddings, atol=1e-7)
    assert list(after.memory.keys) == list(after.keys) == ["aligned", "text"]
    x = toy_model.encode(TEXTS).embeddings
    for name, key in before.keys.items():
        np.testing.assert_allclose(after.memory.keys[name], before.memory.keys[name], atol=1e-7)
        np.testing.assert_array_equal(after.keys[name].embed(TEXTS, x), key.embed(TEXTS, x))
    pd.testing.assert_frame_equal(after.evaluation_rows, before.evaluation_rows)
    for name in ("points", "held_out"):
        np.testing.assert_array_equal(getattr(after.maps, name), getattr(before.maps, name))
    np.testing.assert_allclose(after.maps.student_embeddings, before.maps.student_embeddings, atol=1e-3)
    hidden = np.random.default_rng(0).normal(size=(4, 48))
    np.testing.assert_array_equal(after.projection_head.project(hidden), before.projection_head.project(hidden))
    np.testing.assert_array_equal(after.teacher.encode(TEXTS)[1], before.teacher.encode(TEXTS)[1])


def test_writing_twice_gives_the_same_bytes(toy_model, tmp_path):
    for name in ("first", "again"):
        toy_model.save_pretrained(tmp_path / name)
    assert contents(tmp_path / "first") == contents(tmp_path / "again")


def test_the_folder_holds_no_pickle_and_only_known_kinds_of_files(toy_model_folder):
    suffixes = {path.suffix for path in toy_model_folder.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".md", ".parquet", ".safetensors"}


def test_the_students_encoder_loads_with_plain_transformers(toy_model_folder, toy_model):
    encoder = AutoModel.from_pretrained(toy_model_folder).eval()
    tokens = AutoTokenizer.from_pretrained(toy_model_folder)(TEXTS[0], return_tensors="pt")
    pooled = encoder(**tokens).last_hidden_state[0].mean(dim=0).detach().numpy()
    heads = load_arrays(toy_model_folder / "classifier.safetensors")
    weight, bias = (heads[f"embedding_head.{name}"] for name in ("weight", "bias"))
    hidden, probabilities = toy_model.student.encode([TEXTS[0]])
    np.testing.assert_allclose(hidden[0], weight @ pooled + bias, atol=1e-5)
    logits = heads["weight"] @ pooled + heads["bias"]
    np.testing.assert_allclose(probabilities[0], np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
    assert encoder.config.id2label == {0: "fruit", 1: "metal", 2: "weather"}


def test_the_tables_are_plain_parquet(toy_model_folder, toy_task):
    table = pd.read_parquet(toy_model_folder / "memory.parquet")
    assert table["text"].tolist() == toy_task.texts("train")
    assert table["label"].tolist() == [toy_task.label_names[number] for number in toy_task.labels("train")]
    further = ["teacher_embedding", "key_aligned", "key_text", "soft_labels"]
    assert sorted(table.columns) == sorted(["id", "text", "label", "topic", *further])
    widths = {name: len(table[name][0]) for name in further}
    assert widths == {"teacher_embedding": 32, "key_aligned": 8, "key_text": 9, "soft_labels": 3}
    evaluation = pd.read_parquet(toy_model_folder / "evaluation.parquet")
    assert evaluation["split"].value_counts().to_dict() == {"test": 36, "validation": 24}


def test_the_card_states_the_measured_table(toy_model_folder):
    card = (toy_model_folder / "README.md").read_text(encoding="utf-8")
    scores = json.loads((toy_model_folder / "metrics.json").read_text())["methods"]
    for method, name in (("teacher", "Teacher"), ("reaugkd", "ReAugKD, pooled")):
        figures = f"{100 * scores[method]['test']:.1f} | {100 * scores[method]['validation']:.1f}"
        assert f"| {name} | {figures} | {scores[method]['test_log_loss']:.3f} |" in card
    assert card.startswith("---\nlibrary_name: reaugkd\n")


def test_names_in_the_card_are_shown_as_text_and_run_nothing(toy_model):
    nasty = "<img src=x onerror='alert(1)'> ![a](http://evil.example) *b* `c` | # d\n\n---\n<script>1</script> _e_ $f$"
    settings = replace(toy_model.settings, task=nasty, label_names=(nasty, "a_b"), teacher=nasty, student=nasty)
    card = model_card(settings, toy_model.metrics)
    page = BeautifulSoup(MarkdownIt("commonmark", {"html": True}).enable("table").render(card), "html.parser")
    assert page.find_all(["img", "script", "a", "em"]) == []
    one_line = " ".join(nasty.split())
    assert page.h1.text == f"{one_line}: a retrieval-augmented student"
    assert f"into 2 classes: {one_line}, a_b." in page.text
    assert [code.text for code in page.find_all("code")][:2] == [one_line.replace("`", "'")] * 2
    assert "sentence-transformers/all-MiniLM-L6-v2" in model_card(
        replace(settings, teacher="sentence-transformers/all-MiniLM-L6-v2"), toy_model.metrics
    )


def test_the_teacher_is_kept_or_left_out_by_choice(toy_model, tmp_path):
    write_model(toy_model, tmp_path / "kept")
    write_model(replace(toy_model, teacher=None), tmp_path / "left")
    assert (tmp_path / "kept" / "teacher" / "model.safetensors").is_file()
    assert not (tmp_path / "left" / "teacher").exists()
    assert ReAugKDClassifier.from_pretrained(tmp_path / "left").teacher is None


def test_a_threshold_is_kept_and_a_folder_from_before_there_were_any_opens(puzzled_model, tmp_path):
    careful = replace(puzzled_model, threshold=Threshold("text", 0.625, 0.9))
    careful.save_pretrained(tmp_path / "model")
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    assert loaded.threshold == careful.threshold
    assert loaded.is_sure(TEXTS).tolist() == careful.is_sure(TEXTS).tolist()
    about, _ = read_sealed(tmp_path / "model" / "reaugkd.json")
    del about["threshold"]
    write_sealed(about, tmp_path / "model" / "reaugkd.json")
    assert ReAugKDClassifier.from_pretrained(tmp_path / "model").threshold is None


def test_optional_parts_may_be_absent(toy_model, tmp_path):
    bare = replace(toy_model, teacher=None, maps=None, evaluation_rows=None, projection_head=None, metrics={}, card="")
    write_model(bare, tmp_path / "bare")
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "bare")
    assert (loaded.maps, loaded.evaluation_rows, loaded.projection_head) == (None, None, None)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), toy_model.predict_proba(TEXTS))


def test_maps_of_an_earlier_version_have_no_places_of_held_out_rows(toy_model, tmp_path):
    write_model(replace(toy_model, maps=replace(toy_model.maps, held_out=None)), tmp_path / "old")
    assert not (tmp_path / "old" / "maps_held_out.parquet").exists()
    loaded = ReAugKDClassifier.from_pretrained(tmp_path / "old").maps
    assert loaded.held_out is None
    np.testing.assert_array_equal(loaded.points, toy_model.maps.points)


@pytest.mark.parametrize("file", CHECKED_FILES)
def test_a_missing_file_is_named_in_one_sentence(copy, file):
    (copy / file).unlink()
    with pytest.raises(ReAugKDError, match=f"lacks its file {file}") as caught:
        read_model(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", CHECKED_FILES)
def test_a_single_changed_byte_is_noticed(copy, file):
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(ReAugKDError, match=f"file {file} of the model in .* is damaged"):
        read_model(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", '"words"', "{}", '{"format_version": 6}'])
def test_a_damaged_settings_file_is_one_sentence(copy, content):
    (copy / "reaugkd.json").write_text(content)
    with pytest.raises(ReAugKDError, match=r"The file reaugkd\.json in .* is damaged"):
        read_model(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about["model"].pop("label_names"),
        lambda about: about["model"].update(label_names=3),
        lambda about: about["model"].update(label_names=["fruit", "metal"]),
        lambda about: about["model"].update(label_names=["fruit", "metal", "weather", "gadget"]),
        lambda about: about["model"].update(unknown=1),
        lambda about: about["pool"]["keys"]["text"].update(k="many"),
        lambda about: about["pool"]["keys"].pop("aligned"),
        lambda about: about["pool"].update(unknown=1),
        lambda about: about.update(threshold={"by": "smell", "least": 0.5, "accuracy": 0.9}),
        lambda about: about["files"].pop("model.safetensors") and about.update(model=None),
        lambda about: about["files"].update({"config.json": "0" * 64}),
    ],
    ids=[
        "lacking",
        "type",
        "fewer classes",
        "more classes",
        "unknown",
        "k",
        "key",
        "pool",
        "threshold",
        "none",
        "file",
    ],
)
def test_settings_that_make_no_model_are_refused_in_one_sentence(copy, change):
    about, _ = read_sealed(copy / "reaugkd.json")
    change(about)
    write_sealed(about, copy / "reaugkd.json")
    with pytest.raises(ReAugKDError, match="is damaged|k is 'many'; it must be a whole number") as caught:
        read_model(copy)
    assert "\n" not in str(caught.value)


def test_a_pool_out_of_range_is_refused(copy):
    about, _ = read_sealed(copy / "reaugkd.json")
    about["pool"]["retrieval_weight"] = 7
    write_sealed(about, copy / "reaugkd.json")
    with pytest.raises(ReAugKDError, match="retrieval_weight is 7"):
        read_model(copy)


def test_a_file_list_cannot_point_out_of_the_folder(copy):
    about, _ = read_sealed(copy / "reaugkd.json")
    (copy.parent / "secret.txt").write_text("words")
    about["files"]["../secret.txt"] = {"bytes": 5, "sha256": "0" * 64}
    write_sealed(about, copy / "reaugkd.json")
    with pytest.raises(ReAugKDError, match=r"secret\.txt of the model in .* is damaged"):
        read_model(copy)


@pytest.mark.parametrize(
    ("version", "advice"), [(1, "train it again"), (5, "train it again"), (7, "update the library")]
)
@pytest.mark.parametrize("read", [read_model, read_settings_file, ReAugKDClassifier.from_pretrained])
def test_another_format_version_is_one_sentence_whatever_else_the_file_holds(copy, version, advice, read):
    write_sealed({"format_version": version, "retrieval": {"k": 4}}, copy / "reaugkd.json")
    with pytest.raises(ReAugKDError, match=f"is of format {version}, this library reads 6; {advice}") as caught:
        read(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", [4, 5])
def test_a_folder_of_an_older_format_as_it_was_written_names_its_format(copy, version):
    about, _ = read_sealed(copy / "reaugkd.json")
    files = {name: file["sha256"] for name, file in about["files"].items()}
    (copy / "reaugkd.json").write_text(json.dumps(about | {"format_version": version, "files": files}))  # without a sum
    with pytest.raises(ReAugKDError, match=f"is of format {version}, this library reads 6; train it again"):
        read_model(copy)


def test_another_format_that_a_changed_byte_wrote_is_damage(copy):
    path = copy / "reaugkd.json"
    path.write_bytes(path.read_bytes().replace(b'"format_version": 6', b'"format_version": 5'))
    with pytest.raises(ReAugKDError, match=r"The file reaugkd\.json in .* is damaged"):
        read_model(copy)


def test_of_a_large_model_sizes_are_checked_and_sums_when_one_asks(copy, monkeypatch):
    path = copy / "classifier.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(model_folder, "SUMS_UP_TO", sum(path.stat().st_size for path in copy.rglob("*")) // 2)
    read_model(copy)
    with pytest.raises(ReAugKDError, match=r"The file classifier\.safetensors of the model in .* is damaged"):
        verify_model(copy)
    path.write_bytes(content[:-1])
    with pytest.raises(ReAugKDError, match=r"The file classifier\.safetensors of the model in .* is damaged"):
        read_model(copy)


def test_the_sum_of_an_index_holds_before_it_is_opened_however_large_the_model_is(mapped_model, tmp_path, monkeypatch):
    mapped_model.save_pretrained(tmp_path / "again")
    monkeypatch.setattr(model_folder, "SUMS_UP_TO", 0)
    monkeypatch.setattr("reaugkd.method.mapped.open_index", lambda path: pytest.fail(f"{path} was opened"))
    path = tmp_path / "again" / "memory" / "key_text.faiss"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ReAugKDError, match=r"The file memory/key_text\.faiss of the model in .* is damaged"):
        ReAugKDClassifier.from_pretrained(tmp_path / "again")


def test_a_memory_with_a_key_of_an_unknown_name_is_refused(copy):
    table = pq.read_table(copy / "memory.parquet")
    names = ["key_smell" if name == "key_text" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), copy / "memory.parquet")
    about, _ = read_sealed(copy / "reaugkd.json")
    about["files"]["memory.parquet"] = sum_of(copy / "memory.parquet")
    write_sealed(about, copy / "reaugkd.json")
    with pytest.raises(ReAugKDError, match="The model in .* is damaged; train or copy it again"):
        read_model(copy)


@pytest.mark.parametrize("card", [b"My own words.\n", b"My own \xff words.\n", None])
def test_the_card_may_be_edited_damaged_and_deleted(copy, card):
    (copy / "README.md").unlink() if card is None else (copy / "README.md").write_bytes(card)
    words = "" if card is None else card.decode(errors="replace")
    assert ReAugKDClassifier.from_pretrained(copy).card == words


@pytest.mark.parametrize("where", ["empty", "missing"])
def test_a_folder_without_a_model_is_told_how_to_make_one(tmp_path, where):
    folder = tmp_path / where
    if where == "empty":
        folder.mkdir()
    with pytest.raises(ReAugKDError, match="holds no trained model; make one with `reaugkd train"):
        read_settings_file(folder)


def test_a_folder_with_other_things_is_not_touched(toy_model, tmp_path):
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter.txt").write_text("words")
    with pytest.raises(ReAugKDError, match="holds other things than a model"):
        write_model(toy_model, precious)
    assert contents(tmp_path) == {"thesis/chapter.txt": b"words"}


def test_a_file_in_the_way_is_not_touched(toy_model, tmp_path):
    (tmp_path / "model").write_text("words")
    with pytest.raises(ReAugKDError, match="is a file; name another folder"):
        write_model(toy_model, tmp_path / "model")
    assert contents(tmp_path) == {"model": b"words"}


def test_an_empty_folder_and_an_old_model_may_be_written_over(toy_model, tmp_path):
    (tmp_path / "model").mkdir()
    check_target(tmp_path / "model")
    write_model(replace(toy_model, card="first"), tmp_path / "model")
    write_model(replace(toy_model, card="second", teacher=None), tmp_path / "model")
    assert ReAugKDClassifier.from_pretrained(tmp_path / "model").card == "second"
    assert not (tmp_path / "model" / "teacher").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_files_beside_a_model_stay_when_it_is_written_over(copy, toy_model):
    (copy / "my_notes.txt").write_text("words")
    (copy / "plots" / "deep").mkdir(parents=True)
    (copy / "plots" / "deep" / "curve.svg").write_bytes(b"\x00lines")
    (copy / "link").symlink_to("my_notes.txt")
    write_model(replace(toy_model, teacher=None), copy)
    after = contents(copy)
    assert (after["my_notes.txt"], after["plots/deep/curve.svg"]) == (b"words", b"\x00lines")
    assert (copy / "link").is_symlink()
    assert not (copy / "teacher").exists()
    assert not {"my_notes.txt", "plots/deep/curve.svg"} & set(json.loads(after["reaugkd.json"])["files"])
    write_model(toy_model, copy.parent / "other")
    assert set(contents(copy.parent / "other")) - set(after) == {
        name for name in contents(copy.parent / "other") if name.startswith("teacher/")
    }


def test_a_damaged_model_is_written_over_and_files_beside_it_stay(copy, toy_model):
    (copy / "my_notes.txt").write_text("words")
    (copy / "reaugkd.json").write_text("{")
    write_model(toy_model, copy)
    assert (copy / "my_notes.txt").read_text() == "words"
    np.testing.assert_array_equal(
        ReAugKDClassifier.from_pretrained(copy).predict_proba(TEXTS), toy_model.predict_proba(TEXTS)
    )


@pytest.mark.parametrize("where", [".", "..", "", "/"])
def test_a_folder_without_a_name_of_its_own_is_refused(where):
    with pytest.raises(ReAugKDError, match="gives the model's folder no name; name a folder"):
        check_target(where)


FULL_DISK = {
    "python": OSError(errno.ENOSPC, "No space left on device"),
    "quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
    "safetensors": SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    "pyarrow": OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
}


@pytest.mark.parametrize("error", FULL_DISK.values(), ids=FULL_DISK)
@pytest.mark.parametrize(
    ("owner", "writer"),
    [(TextClassifier, "save"), (pq, "write_table"), (model_folder, "save_file"), (files, "write_sealed")],
    ids=["weights", "tables", "head", "json"],
)
def test_a_full_disk_is_one_sentence_and_the_old_model_stays(copy, toy_model, monkeypatch, owner, writer, error):
    before = contents(copy.parent)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(owner, writer, fail)
    with pytest.raises(ReAugKDError, match="The disk is full while writing") as caught:
        write_model(toy_model, copy)
    assert "\n" not in str(caught.value)
    assert contents(copy.parent) == before
    assert [path.name for path in copy.parent.iterdir()] == ["model"]


def test_any_other_failure_leaves_the_old_model_and_nothing_else(copy, toy_model, monkeypatch):
    before = contents(copy.parent)

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(model_folder, "_write_memory", fail)
    with pytest.raises(KeyboardInterrupt):
        write_model(toy_model, copy)
    assert contents(copy.parent) == before
    assert [path.name for path in copy.parent.iterdir()] == ["model"]


def test_a_failed_rename_puts_the_old_model_back(copy, toy_model, monkeypatch):
    before = contents(copy)
    rename = type(copy).rename

    def fail_for_the_new(path, target):
        if path.name == ".writing-model":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(files, "_swapped", lambda *_: False)  # as on a system that cannot
    monkeypatch.setattr(type(copy), "rename", fail_for_the_new)
    with pytest.raises(OSError, match="Input/output error"):
        write_model(toy_model, copy)
    assert copy.is_dir(), "the old model went with the scratch folder"
    assert contents(copy) == before


def test_another_error_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(ValueError, match="something else"), explain_disk_errors(tmp_path):
        raise ValueError("something else")


@pytest.mark.parametrize("after", ["_check_files", "Pool"])
def test_a_model_that_takes_the_place_of_one_that_is_read_is_read_whole(copy, pooled_model, monkeypatch, after):
    original, answers = getattr(model_folder, after), pooled_model.predict_proba(TEXTS)

    def write_meanwhile(*arguments, **options):
        monkeypatch.setattr(model_folder, after, original)
        if after == "Pool":
            pooled_model.save_pretrained(copy)
            return original(*arguments, **options)
        original(*arguments, **options)
        return pooled_model.save_pretrained(copy)

    monkeypatch.setattr(model_folder, after, write_meanwhile)
    model = ReAugKDClassifier.from_pretrained(copy)
    assert model.pool == pooled_model.pool
    np.testing.assert_array_equal(model.predict_proba(TEXTS), answers)


@pytest.fixture
def mapped_model(toy_model, tmp_path):
    """The toy model with a memory on disk, each key with an index of six cells, all of which are read."""
    return replace(toy_model, memory=Memory.build([toy_model.memory], tmp_path / "mapped", 6))


def test_a_model_with_a_memory_on_disk_is_saved_and_loaded_as_such(mapped_model, toy_model, tmp_path):
    mapped_model.save_pretrained(tmp_path / "again")
    again = ReAugKDClassifier.from_pretrained(tmp_path / "again")
    assert not (tmp_path / "again" / "memory.parquet").exists()
    assert again.memory.is_mapped
    assert all(key.index is not None for key in again.memory.keys.values())
    np.testing.assert_array_equal(again.predict_proba(TEXTS), mapped_model.predict_proba(TEXTS))
    np.testing.assert_allclose(again.predict_proba(TEXTS), toy_model.predict_proba(TEXTS), atol=5e-3)
    assert again.explain(TEXTS[0]).label == toy_model.explain(TEXTS[0]).label
    toy_model.save_pretrained(tmp_path / "again")  # in its place: no file of the folder is left
    assert not (tmp_path / "again" / "memory").exists()


def test_a_model_in_memory_takes_nothing_from_the_one_that_took_its_place_on_disk(mapped_model, toy_model, tmp_path):
    mapped_model.save_pretrained(tmp_path / "model")
    model = ReAugKDClassifier.from_pretrained(tmp_path / "model")
    fewer = apply_patch(toy_model, [Edit("remove", name) for name in toy_model.memory.rows["id"][::3]])
    replace(fewer, memory=Memory.build([fewer.memory], tmp_path / "fewer", 3)).save_pretrained(tmp_path / "model")
    edit = [Edit("relabel", model.memory.rows["id"][0], "metal")]
    wanted = apply_patch(mapped_model, edit).predict_proba(TEXTS)
    edited = apply_patch(model, edit)
    np.testing.assert_array_equal(edited.predict_proba(TEXTS), wanted)
    edited.save_pretrained(tmp_path / "again")
    again = ReAugKDClassifier.from_pretrained(tmp_path / "again")
    np.testing.assert_allclose(again.predict_proba(TEXTS), wanted, atol=1e-3)


def test_a_large_memory_is_written_as_a_folder(toy_model, tmp_path, monkeypatch):
    monkeypatch.setattr("reaugkd.method.mapped.EXACT_UP_TO", 20)
    toy_model.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "memory" / "key_text.faiss").is_file()
    assert ReAugKDClassifier.from_pretrained(tmp_path / "again").memory.is_mapped


@pytest.mark.parametrize("name", ["key_text.faiss", "key_aligned.float16", "memory.json"])
def test_a_damaged_file_of_a_memory_on_disk_is_named_before_it_is_read(mapped_model, tmp_path, name):
    mapped_model.save_pretrained(tmp_path / "again")
    path = tmp_path / "again" / "memory" / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ReAugKDError, match=f"The file memory/{name} of the model in .* is damaged"):
        ReAugKDClassifier.from_pretrained(tmp_path / "again")
