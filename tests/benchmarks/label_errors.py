"""Measure the search for wrong labels: ``python tests/benchmarks/label_errors.py OUT.csv [--plantings 5]``.

Each planting gives 40 train rows of shoptalk a wrong label, five rows of each class, drawn at random. A small teacher
(MiniLM, 5 epochs) and a student (2 layers, 10 epochs) are trained on these labels alone, and lie in the cache from then
on. It writes average precision and the precision of the first 40 of the doubts by
:mod:`reaugkd.analysis.memory_audit`, precision and recall of the list "label looks wrong", and, where cleanlab is
installed, the same of its scores on the same probabilities.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

import reaugkd as rk
from reaugkd.analysis.memory_audit import DOUBTFUL, label_doubts, unseen_probabilities
from reaugkd.tasks.task import make_task

OF_EACH_CLASS = 5
RECIPE = rk.Recipe(teacher_epochs=5, epochs=10)


def planted(clean, seed):
    """Return the task with wrong labels in its train rows."""
    random, rows = np.random.default_rng(seed), clean.table("train")
    labels = rows["label"].to_numpy(dtype=object).copy()
    drawn = [random.choice(np.flatnonzero(labels == name), OF_EACH_CLASS, replace=False) for name in clean.label_names]
    for row in np.concatenate(drawn):
        labels[row] = random.choice([name for name in clean.label_names if name != labels[row]])
    tables = {split: clean.table(split) for split in ("validation", "test")}
    return make_task("shoptalk", {"train": rows.assign(label=labels), **tables}, label_names=clean.label_names)


def scores_by_cleanlab(labels, probabilities):
    """Return how wrong each label looks by each score of cleanlab, the higher the more."""
    try:
        from cleanlab.rank import get_label_quality_scores as quality
    except ModuleNotFoundError:
        return {}
    methods = {"self_confidence": False, "normalized_margin": False, "confidence_weighted_entropy": False}
    found = {f"cleanlab {name}": -quality(labels, probabilities, method=name) for name in methods}
    adjusted = quality(labels, probabilities, method="self_confidence", adjust_pred_probs=True)
    return found | {"cleanlab self_confidence, adjusted": -adjusted}


def main():
    """Plant, train, search, and write a row for each planting and score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--plantings", type=int, default=5)
    asked = parser.parse_args()
    clean, found = rk.load_task("shoptalk"), []
    for seed in range(asked.plantings):
        task = planted(clean, seed)
        model = rk.load_or_train(task, RECIPE, ablations=False)
        is_wrong = task.labels("train") != clean.labels("train")
        doubts = label_doubts(model.memory, model.pool)
        is_listed = (doubts["doubt"] >= DOUBTFUL) & (doubts["suggested"] != model.memory.rows["label"])
        probabilities = unseen_probabilities(model.memory, model.pool)
        scores = {"doubt": doubts["doubt"].to_numpy(), **scores_by_cleanlab(model.memory.labels, probabilities)}
        for name, score in scores.items():
            first = np.argsort(-score, kind="stable")[: is_wrong.sum()]
            row = {"planting": seed, "score": name, "first_40": is_wrong[first].mean()}
            row["average_precision"] = average_precision_score(is_wrong, score)
            if name == "doubt":
                row |= {"listed": is_listed.sum(), "listed_precision": is_wrong[is_listed].mean()}
                row["listed_recall"] = is_listed[is_wrong].mean()
            found.append(row)
    table = pd.DataFrame(found)
    table.to_csv(asked.out, index=False)
    print(table.drop(columns="planting").groupby("score", sort=False).mean().round(3).to_string())  # noqa: T201


if __name__ == "__main__":
    main()
