"""Doubts of labels by voices that did not see them, against loops and planted labels."""

from dataclasses import replace

import numpy as np
import pytest
from memories import memory_of, unit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from reaugkd.analysis.label_doubts import label_doubts
from reaugkd.method.memory import LABELLED_BY
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.texts import folds_apart

POOL = Pool({"aligned": KeySettings(6, 0.1, 0.5), "text": KeySettings(4, 0.2, 0.25)})


@pytest.fixture(scope="module")
def planted(toy_model):
    """Every eleventh row says another class; soft labels and keys are those of a teacher that never saw that."""
    rows, names = toy_model.memory.rows.copy(), list(toy_model.classes_)
    wrong = np.arange(0, len(rows), 11)
    rows.loc[wrong, "label"] = [names[(names.index(rows["label"][row]) + 1) % len(names)] for row in wrong]
    return replace(toy_model.memory, rows=rows), wrong


def neighbours_by_hand(memory):
    """What the four nearest others by the text key say of each row."""
    similarities, said = unit(memory.keys["text"]) @ unit(memory.keys["text"]).T, []
    for row in range(len(memory)):
        others = [other for other in np.argsort(-similarities[row], kind="stable") if other != row][:4]
        weights = np.exp(similarities[row, others] / 0.2)
        said.append(weights / weights.sum() @ memory.soft_labels[others])
    return np.asarray(said)


def embeddings_by_hand(memory):
    """What a regression of the other folds says of each row."""
    folds, said = folds_apart(memory.texts, memory.labels, 5), np.zeros((len(memory), 3))
    z = memory.keys["aligned"]
    for fold in range(5):
        regression = LogisticRegression(max_iter=300).fit(z[folds != fold], memory.labels[folds != fold])
        said[folds == fold] = regression.predict_proba(z[folds == fold])
    return said


def test_doubts_are_those_of_loops_over_rows_and_folds(planted):
    memory, wrong = planted
    found = label_doubts(memory, POOL)
    rows, labels = np.arange(len(memory)), memory.labels
    voices = [neighbours_by_hand(memory), embeddings_by_hand(memory)]
    np.testing.assert_allclose(found["by_text"], voices[0][rows, labels], atol=1e-5)
    np.testing.assert_allclose(found["by_embedding"], voices[1][rows, labels], atol=1e-5)
    said = np.sqrt(np.prod([0.98 * voice + 0.02 / 3 for voice in voices], axis=0))
    said /= said.sum(axis=1, keepdims=True)
    assert found["suggested"].tolist() == [memory.classes[number] for number in said.argmax(axis=1)]
    for row, own in enumerate(said[rows, labels]):
        usual = said[(labels == labels[row]) & (rows != row), labels[row]].mean()
        assert found["doubt"][row] == pytest.approx(1 - own / usual, abs=1e-5)
    is_wrong = np.isin(rows, wrong)
    assert average_precision_score(is_wrong, found["doubt"]) == 1.0
    assert (found["doubt"][is_wrong] > 0.5).all()


def test_a_rows_own_label_and_soft_label_say_nothing_about_it(planted):
    memory, _ = planted
    before, changed = label_doubts(memory, POOL), memory.soft_labels.copy()
    changed[5] = np.roll(changed[5], 1)
    after = label_doubts(replace(memory, soft_labels=changed), POOL)
    assert after["doubt"][5] == pytest.approx(before["doubt"][5], rel=0.05)
    assert after["suggested"][5] == before["suggested"][5]
    rows = memory.rows.copy()
    rows.loc[5, "label"] = before["suggested"][5] if rows["label"][5] != before["suggested"][5] else memory.classes[0]
    relabelled = label_doubts(replace(memory, rows=rows), POOL)
    assert relabelled["suggested"][5] == before["suggested"][5]


def test_a_label_by_the_teacher_is_no_gold_label_and_teaches_no_voice(planted):
    memory, wrong = planted
    by_teacher = np.where(np.isin(np.arange(len(memory)), wrong), "teacher", "")
    marked = replace(memory, rows=memory.rows.assign(**{LABELLED_BY: by_teacher}))
    found = label_doubts(marked, POOL)
    assert found["doubt"][wrong].tolist() == [0.0] * len(wrong)
    assert found["by_embedding"].drop(wrong).mean() > label_doubts(memory, POOL)["by_embedding"].drop(wrong).mean()


def test_a_class_of_one_row_is_doubted_by_what_labels_usually_get(planted):
    memory, _ = planted
    names = (*memory.classes, "rare")
    rows = memory.rows.assign(label=memory.rows["label"].where(memory.rows.index != 7, "rare"))
    wider = np.pad(memory.soft_labels, ((0, 0), (0, 1)))
    found = label_doubts(replace(memory, rows=rows, classes=names, soft_labels=wider), POOL)
    assert found["doubt"].idxmax() == 7


@pytest.mark.parametrize("rows", [1, 2])
def test_a_memory_of_hardly_any_rows_has_no_doubts(rows):
    memory = memory_of(np.eye(2)[:rows], np.eye(2)[:rows], name="text")
    pool = Pool({"text": KeySettings(4)})
    assert (label_doubts(memory, pool)["doubt"] < 1).all()
