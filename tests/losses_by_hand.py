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


def relational_by_hand(x, z, candidates, tau, direction):
    total = 0.0
    for i in range(len(x)):
        q = softmax(np.asarray([z[i] @ c / tau for c in candidates]))
        p = softmax(np.asarray([x[i] @ c / tau for c in candidates]))
        first, second = (q, p) if direction == "teacher_student" else (p, q)
        total += sum(a * np.log(a / b) for a, b in zip(first, second, strict=True))
    return total / len(x)


def leave_one_out_by_hand(x, soft_labels, z, memory_soft_labels, rows, tau):
    total = 0.0
    for i, row in enumerate(rows):
        others = [j for j in range(len(z)) if j != row]
        weights = softmax(np.asarray([x[i] @ z[j] / tau for j in others]))
        retrieved = sum(w * memory_soft_labels[j] for w, j in zip(weights, others, strict=True))
        total -= (soft_labels[i] * np.log(retrieved)).sum()
    return total / len(x)
