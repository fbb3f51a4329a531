"""Cross-fitted teacher outputs: of every train text, what a teacher says that was not trained on it.

On its own training texts a teacher is almost always right and almost always sure, so its soft labels hold little of
the doubt that it has about new ones. Here the train rows are split into folds, and the soft labels of each fold come
from a teacher of the others (as predictions are stacked by Wolpert 1992).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from datasets import DatasetDict
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from sklearn.model_selection import StratifiedKFold

from reaugkd.data import SPLITS, Task
from reaugkd.teacher import TeacherOutputs

SPLIT_SEED = 0


def cross_fitted(
    task: Task, outputs: TeacherOutputs, folds: int, teach: Callable[[Task, int], TeacherOutputs]
) -> TeacherOutputs:
    """Replace a teacher's outputs for the train rows by those of teachers that were not trained on them.

    Spaces of different teachers have nothing in common, so each fold's hidden states are turned into the whole
    teacher's space by :func:`aligned_to`. It is fitted on the validation rows, which neither teacher was trained on,
    and on the train rows that both were: a small task has fewer validation rows than the rotation has dimensions.

    Parameters
    ----------
    task : Task
        The task.
    outputs : TeacherOutputs
        Of a teacher of all train rows; its outputs for validation and test rows stay.
    folds : int
        Number of teachers; each is trained on all folds but one.
    teach : callable
        Trains a teacher on a task, as the fold of the given number, and returns its outputs.

    Returns
    -------
    TeacherOutputs
        Of the same rows.
    """
    labels = task.labels("train")
    train = np.flatnonzero(np.asarray(outputs.splits) == "train")
    hidden, soft_labels = outputs.hidden.astype(np.float32), outputs.soft_labels.copy()
    of_train, of_validation = outputs.of("train")[0], outputs.of("validation")[0]
    splitter = StratifiedKFold(folds, shuffle=True, random_state=SPLIT_SEED)
    for number, (seen, unseen) in enumerate(splitter.split(labels, labels)):
        # The unseen rows take the place of the test rows, which no fold's teacher needs to see.
        rows = {"train": task.rows["train"].select(seen), "test": task.rows["train"].select(unseen)}
        fold = replace(task, rows=DatasetDict({split: rows.get(split, task.rows[split]) for split in SPLITS}))
        said = teach(fold, number)
        fold_hidden, fold_soft_labels = said.of("test")
        whole = np.concatenate([of_validation, of_train[seen]])
        known = np.concatenate([said.of("validation")[0], said.of("train")[0]])
        hidden[train[unseen]] = aligned_to(whole, known, fold_hidden)
        soft_labels[train[unseen]] = fold_soft_labels
    return replace(outputs, hidden=hidden, soft_labels=soft_labels)


def aligned_to(
    wanted: NDArray[np.floating], known: NDArray[np.floating], others: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Turn embeddings of one space into another by the rotation that fits texts known in both (Schönemann 1966).

    Parameters
    ----------
    wanted : (V, H) float
        Texts in the space to turn to.
    known : (V, H) float
        The same texts in the space to turn.
    others : (N, H) float
        Further texts in that space.

    Returns
    -------
    (N, H) float32
        Centred, rotated or mirrored, scaled, and moved to the wanted space.
    """
    centre, own_centre = wanted.mean(axis=0), known.mean(axis=0)
    rotation, scale = orthogonal_procrustes(known - own_centre, wanted - centre)
    size = float(((known - own_centre) ** 2).sum())
    turned: NDArray[np.float32] = ((others - own_centre) @ rotation * (scale / size) + centre).astype(np.float32)
    return turned
