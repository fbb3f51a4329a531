"""An answer by student and memory in float64, from the networks' outputs on."""

from types import SimpleNamespace

import numpy as np
from memories import unit


def softmax(values):
    exponentials = np.exp(values - values.max())
    return exponentials / exponentials.sum()


def answered_by_hand(model, text, pool):
    """The student, what each key finds and says, and the answer; of classes that the student knows alone."""
    hidden, student = (values[0].astype(np.float64) for values in model.student.encode([text]))
    memory, weights = model.memory, pool.weights
    student = softmax(np.log(student) / pool.student_temperature)
    found, logs, blend = {}, weights[0] * np.log(student), weights[0] * student
    for name, settings in pool.keys.items():
        query = model.keys[name].embed([text], unit(hidden[None]))[0]
        cosines = unit(memory.keys[name]) @ unit(query)
        nearest = np.argsort(-cosines, kind="stable")[: settings.k]
        shares = softmax(cosines[nearest] / settings.temperature)
        said = (shares[:, None] * memory.soft_labels[nearest].astype(np.float64)).sum(axis=0)
        said /= said.sum()
        smoothed = 0.98 * said + 0.02 / len(said)
        found[name] = SimpleNamespace(
            numbers=nearest, cosines=cosines[nearest], weights=shares, retrieved=said, smoothed=smoothed
        )
        logs = logs + weights[1][name] * np.log(smoothed)
        blend = blend + weights[1][name] * said
    probabilities = softmax(logs) if pool.kind == "logarithmic" else blend
    return SimpleNamespace(student=student, keys=found, probabilities=probabilities)
