"""Every train row is labelled by a teacher that was not trained on it, in the whole teacher's space."""

from dataclasses import replace

import numpy as np
from datasets import DatasetDict

from reaugkd.cross_fit import aligned_to, cross_fitted
from reaugkd.data import SPLITS
from reaugkd.teacher import TeacherOutputs


def outputs_of(task, hidden_of, certainty):
    """Made-up outputs: hidden states by row id, soft labels of one certainty."""
    ids = [row_id for split in SPLITS for row_id in task.rows[split]["id"]]
    splits = [split for split in SPLITS for _ in task.rows[split]]
    hidden = np.stack([hidden_of[row_id] for row_id in ids]).astype("f4")
    soft_labels = np.full((len(ids), 3), (1 - certainty) / 2, dtype="f4")
    soft_labels[:, 0] = certainty
    return TeacherOutputs(ids, splits, hidden, soft_labels, task.label_names, "made up", task.fingerprint())


def test_each_row_is_labelled_by_the_fold_that_left_it_out_and_turned_back_into_one_space(toy_task):
    generator = np.random.default_rng(0)
    hidden_of = {row_id: generator.normal(size=8) for split in SPLITS for row_id in toy_task.rows[split]["id"]}
    whole = outputs_of(toy_task, hidden_of, 0.99)
    trained_on, left_out = [], []

    def teach(fold, number):
        trained_on.append(set(fold.rows["train"]["id"]))
        left_out.append(set(fold.rows["test"]["id"]))
        rotation = np.linalg.qr(generator.normal(size=(8, 8)))[0]
        turned = {row_id: 2.5 * values @ rotation + 1.0 for row_id, values in hidden_of.items()}
        return outputs_of(fold, turned, 0.6 + 0.1 * number)

    found = cross_fitted(toy_task, whole, 3, teach)
    everything = set(toy_task.rows["train"]["id"])
    assert set.union(*left_out) == everything
    assert sum(map(len, left_out)) == len(everything)
    assert all(seen == everything - unseen for seen, unseen in zip(trained_on, left_out, strict=True))
    np.testing.assert_allclose(found.hidden, whole.hidden, atol=1e-4)  # the folds' spaces were turned back
    certainty = dict(zip(toy_task.rows["train"]["id"], found.of("train")[1][:, 0], strict=True))
    for number, unseen in enumerate(left_out):
        np.testing.assert_allclose([certainty[row_id] for row_id in unseen], 0.6 + 0.1 * number, atol=1e-6)
    for split in ("validation", "test"):
        np.testing.assert_array_equal(found.of(split)[1], whole.of(split)[1])
    found.check(toy_task)


def test_with_fewer_validation_rows_than_dimensions_the_folds_spaces_are_turned_back_all_the_same(toy_task):
    generator = np.random.default_rng(2)
    rows = toy_task.rows | {"validation": toy_task.rows["validation"].select(range(6))}
    task = replace(toy_task, rows=DatasetDict(rows))
    hidden_of = {row_id: generator.normal(size=16) for split in SPLITS for row_id in task.rows[split]["id"]}
    whole = outputs_of(task, hidden_of, 0.99)

    def teach(fold, number):
        rotation = np.linalg.qr(generator.normal(size=(16, 16)))[0]
        return outputs_of(fold, {row_id: values @ rotation for row_id, values in hidden_of.items()}, 0.6)

    np.testing.assert_allclose(cross_fitted(task, whole, 3, teach).hidden, whole.hidden, atol=1e-4)


def test_a_rotated_scaled_and_moved_space_is_found_again():
    generator = np.random.default_rng(1)
    wanted, others = generator.normal(size=(50, 6)), generator.normal(size=(20, 6))
    rotation = np.linalg.qr(generator.normal(size=(6, 6)))[0]

    def turned(space):
        return 3.0 * space @ rotation - 2.0

    np.testing.assert_allclose(aligned_to(wanted, turned(wanted), turned(others)), others, atol=1e-5)
