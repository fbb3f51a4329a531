"""The losses in NumPy float64, written from their formulas, row by row."""

import numpy as np


def softmax(values):
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def soft_label_by_hand(soft_labels, logits, temperature):
    softened = soft_labels ** (1 / temperature)
    softened = softened / softened.sum(axis=1, keepdims=True)
    student = softmax(logits / temperature)
    return temperature**2 * np.mean([-(t * np.log(s)).sum() for t, s in zip(softened, student, strict=True)])


def relational_by_hand(x, z, candidates, tau):
    total = 0.0
    for i in range(len(x)):
        q = softmax(np.asarray([z[i] @ c / tau for c in candidates]))
        p = softmax(np.asarray([x[i] @ c / tau for c in candidates]))
        total += sum(a * np.log(a / b) for a, b in zip(q, p, strict=True))
    return total / len(x)
