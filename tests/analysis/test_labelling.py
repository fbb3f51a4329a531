"""The queue of texts to label: its figures by hand, its reasons, and that its order gains more than a random one."""

import numpy as np
import pandas as pd
import pytest
from memories import memory_of, unit

from reaugkd.analysis.edits import additions, apply_patch
from reaugkd.analysis.labelling import FAR, MOST_TEXTS, asked_once, label_queue, read_log
from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.pool import KeySettings, Pool

POOL = Pool({"aligned": KeySettings(3, 0.1, 0.5)}, 0.5)


def encoded_of(places, student, labels=None):
    """Texts that lie at places, of which the student says this."""
    rows = pd.DataFrame({"text": [f"text {number}" for number in range(len(places))]})
    rows = rows if labels is None else rows.assign(label=labels)
    places = np.asarray(places, dtype=np.float32)
    return EncodedTexts(rows["text"].tolist(), places, np.asarray(student, dtype=np.float32), {"aligned": places}, rows)


def entropy(distribution):
    return -sum(part * np.log(part) for part in distribution if part > 0)


def test_doubt_is_the_margin_of_the_answer_and_novelty_the_share_of_nearer_held_out_rows():
    memory = memory_of([[1, 0], [0, 1], [0, -1]], np.eye(3))
    pool = Pool({"aligned": KeySettings(1, 0.1, 0.5)}, 0.5)
    held_out = answer(encoded_of([[1, 0.1], [1, 0.2], [0.1, 1], [1, 1]], np.full((4, 3), 1 / 3)), memory, pool)
    asked = answer(encoded_of([[1, 0.15], [0, 1]], [[0.2, 0.5, 0.3], [0.1, 0.8, 0.1]]), memory, pool)
    queue = label_queue(asked, held_out)
    assert queue.index.tolist() == [0, 1]
    _, second, first = np.sort(asked.pooled.probabilities[0])
    assert queue["doubt"][0] == pytest.approx(1 - first + second)
    apart = entropy([(0.2 + 1) / 2, 0.25, 0.15]) - entropy([0.2, 0.5, 0.3]) / 2  # the memory says the first class alone
    assert queue["apart"][0] == pytest.approx(apart / np.log(2), abs=1e-6)
    nearest = [max(unit(place) @ unit(key) for key in np.eye(2)) for place in held_out.encoded.embeddings]
    assert queue["novelty"].tolist() == [np.mean(np.greater(nearest, unit([1, 0.15])[0])), 0.0]
    np.testing.assert_allclose(queue["score"], queue["doubt"] + 0.3 * queue["novelty"])
    assert queue[["text", "answer", "student", "aligned_key"]].iloc[0].tolist() == ["text 0", "a", "b", "a"]


def test_the_reason_names_who_says_what_and_that_no_memory_is_near():
    memory = memory_of([[1, 0, 0], [0, 1, 0]], np.eye(2))
    held_out = answer(encoded_of(np.eye(3)[[0, 1] * 15], np.full((30, 2), 0.5)), memory, POOL)
    asked = answer(encoded_of([[0.9, 0, 1], [1, 0, 0], [1, 0, 0]], [[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]]), memory, POOL)
    queue = label_queue(asked, held_out).sort_index()
    assert queue["reason"].tolist() == [
        "far from all memories; student: b; aligned key: a",
        "student: b; aligned key: a",
        f"all say a, then b ({asked.pooled.probabilities[2, 1]:.2f})",
    ]
    assert (queue["novelty"] >= FAR).tolist() == [True, False, False]


def test_without_held_out_rows_novelty_is_measured_among_the_texts_themselves():
    memory = memory_of([[1, 0]], [[1, 0]])
    asked = answer(encoded_of([[1, 0], [1, 1], [1, 2]], np.full((3, 2), 0.5)), memory, POOL)
    assert label_queue(asked).sort_index()["novelty"].tolist() == pytest.approx([0, 1 / 3, 2 / 3])


def test_a_class_that_the_student_does_not_know_is_a_class_of_the_queue(gadget_model):
    encoded = gadget_model.encode(["the shiny gadget hums loudly", "a ripe plum"])
    queue = label_queue(gadget_model.answer(encoded)).sort_index()
    assert queue["text_key"].tolist() == ["gadget", "fruit"]
    assert np.isfinite(queue[["doubt", "novelty", "apart"]]).all(axis=None)
    assert queue["text"].tolist() == encoded.texts


def test_a_label_makes_its_text_known_and_its_neighbours_less_novel(pooled_model):
    texts = ["gizmo widget gadget hums", "gizmo widget gadget beeps", "a ripe plum and an apple"]
    encoded = pooled_model.encode(texts)
    held_out = pooled_model.answer(pooled_model.encode_rows(pooled_model.held_out(["validation"])))
    before = label_queue(pooled_model.answer(encoded), held_out)
    assert before.index[-1] == 2
    patch = additions(pooled_model, pd.DataFrame([{"text": texts[0], "label": "gadget"}]))
    after = label_queue(apply_patch(pooled_model, patch).answer(encoded), held_out)
    assert (after["novelty"][[0, 1]] < before["novelty"][[0, 1]]).all()


def grown(memory, encoded, rows, labels):
    """The memory with further rows, as an edit adds them."""
    classes = "abc"
    soft = np.pad(memory.soft_labels, ((0, 0), (0, 3 - memory.soft_labels.shape[1])))
    new = np.eye(3, dtype=np.float32)[[classes.index(label) for label in labels]]
    keys = np.concatenate([memory.keys["aligned"], encoded.embeddings[rows]])
    return memory_of(keys, np.concatenate([soft, new]))


def test_the_order_of_the_queue_gains_more_than_a_random_order():
    """Two classes are known; a tenth of the log is of a third, which lies elsewhere."""
    random = np.random.default_rng(0)
    centres = np.eye(8)[:3]

    def drawn(counts):
        labels = np.repeat(np.arange(3), counts)
        places = centres[labels] + 0.25 * random.normal(size=(len(labels), 8))
        student = np.clip(unit(places)[:, :2], 0.02, None)
        return encoded_of(places, student / student.sum(axis=1, keepdims=True), np.asarray(list("abc"))[labels])

    known, log, test, held_out = (drawn(counts) for counts in ([20, 20, 0], [45, 45, 10], [40, 40, 40], [20, 20, 0]))
    memory = memory_of(known.embeddings, np.eye(2)[[0] * 20 + [1] * 20])
    usual, gold = answer(held_out, memory, POOL), test.rows["label"].to_numpy()

    def accuracy(rows):
        labelled = grown(memory, log, rows, log.rows["label"].iloc[rows])
        found = answer(test, labelled, POOL).pooled.probabilities.argmax(axis=1)
        return (np.asarray(labelled.classes)[found] == gold).mean()

    ours, now = [], memory
    while len(ours) < 8:
        queue = label_queue(answer(log, now, POOL), usual).drop(index=ours)
        ours.append(int(queue.index[0]))
        now = grown(memory, log, ours, log.rows["label"].iloc[ours])
    by_chance = [accuracy(random.permutation(len(log))[:8].tolist()) for _ in range(20)]
    assert accuracy(ours) > np.mean(by_chance) + 0.1
    assert accuracy(ours) >= np.quantile(by_chance, 0.8)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "txt"])
def test_a_log_is_read_from_every_kind_of_file_and_says_what_it_leaves_out(tmp_path, kind):
    path, texts = tmp_path / f"log.{kind}", ["one text", "  ", "another text"]
    table = pd.DataFrame({"text": texts, "when": ["mon", "tue", "wed"]})
    write = {"csv": table.to_csv, "parquet": table.to_parquet}
    if kind == "txt":
        path.write_text("\n".join(texts), encoding="utf-8")
    elif kind == "tsv":
        table.to_csv(path, sep="\t", index=False)
    elif kind == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        write[kind](path, index=False)
    rows, left_out = read_log(path, False)
    assert rows["text"].tolist() == ["one text", "another text"]
    assert left_out == (kind != "txt")  # of a text file only lines are rows
    assert kind == "txt" or rows["when"].tolist() == ["mon", "wed"]


def test_of_a_long_log_texts_are_drawn_and_an_empty_one_is_refused(tmp_path):
    path = tmp_path / "log.csv"
    pd.DataFrame({"said": [f"text {number}" for number in range(MOST_TEXTS + 7)]}).to_csv(path, index=False)
    rows, left_out = read_log(path, False, "said")
    assert (len(rows), left_out) == (MOST_TEXTS, 7)
    pd.testing.assert_frame_equal(rows, read_log(path, False, "said")[0])
    with pytest.raises(ReAugKDError, match="has no column 'text'; it has 'said'"):
        read_log(path, False)
    pd.DataFrame({"text": [" ", ""]}).to_csv(path, index=False)
    with pytest.raises(ReAugKDError, match="The column 'text' has no text; choose another column or file"):
        read_log(path, False)


def test_near_copies_are_asked_once_and_counted():
    said = ["please reset my old password", "Please reset my old password!", "a plum", "reset my old password please"]
    rows = asked_once(pd.DataFrame({"text": said, "when": range(4)}), False)
    assert rows.to_dict("list") == {"text": [said[0], "a plum"], "when": [0, 2], "copies": [2, 0]}
