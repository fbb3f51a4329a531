"""Memories made up for tests, and the search by brute force."""

import numpy as np
import pandas as pd

from reaugkd.method.memory import Memory


def unit(matrix):
    """Rows of length 1, float64."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)


def memory_of(keys, soft_labels, *, name="aligned", texts=None, labels=None, classes=None):
    """A memory of one key, which is its z too; a label is the class of the largest soft label where none is given."""
    soft_labels = np.asarray(soft_labels, dtype=np.float32)
    classes = tuple("abcdefgh"[: soft_labels.shape[1]]) if classes is None else classes
    rows = pd.DataFrame(
        {
            "id": [f"train-{number}" for number in range(len(keys))],
            "text": [f"memory {number}" for number in range(len(keys))] if texts is None else list(texts),
            "label": [classes[number] for number in soft_labels.argmax(axis=1)] if labels is None else list(labels),
        }
    )
    keys = np.asarray(keys, dtype=np.float32)
    return Memory(rows, classes, soft_labels, keys, {name: keys})


def random_memory(rows=200, classes=3, seed=0, **widths):
    """A memory of random keys of the given widths, and random z of width 16."""
    random = np.random.default_rng(seed)
    widths = widths or {"aligned": 8, "text": 9}
    keys = {name: random.normal(size=(rows, width)).astype(np.float32) for name, width in widths.items()}
    one = memory_of(random.normal(size=(rows, 16)), random.dirichlet(np.ones(classes), size=rows))
    return one.with_keys(keys)


def brute_force(keys, queries, k):
    """Cosine similarities (N, k) and row numbers (N, k) in float64, the nearest first."""
    similarities = unit(queries) @ unit(keys).T
    numbers = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarities, numbers, axis=1), numbers
