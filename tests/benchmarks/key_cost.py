"""Measure what the memory costs: ``python tests/benchmarks/key_cost.py runs/shoptalk [--rows 10000] [--rounds 200]``.

The model's memory is repeated until it has so many rows. The student alone, and the student with every key of the
model, answer the same texts in turn in one process; printed are the medians in milliseconds for one text and for 64,
and by how much the keys, their search and the pool lengthen an answer.
"""

import argparse
from dataclasses import replace

import numpy as np
import torch
from app_speed import grown
from timing import in_turn

from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import texts_of


def main():
    """Measure, and print a line for each size of a batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    model = grown(ReAugKDClassifier.from_pretrained(asked.model), asked.rows)
    pool = model.pool
    # Every key counts: one that was chosen to have no weight would cost nothing.
    keys = {name: replace(key, weight=max(key.weight, 0.1)) for name, key in pool.keys.items()}
    model = replace(model, pool=replace(pool, keys=keys, retrieval_weight=None))
    rows = model.held_out(["test"])
    texts = texts_of(rows, model.settings.is_pair)
    ways = {
        "student": lambda batch: model.predict_proba(batch, retrieval_weight=0.0),
        "with memory": model.predict_proba,
    }
    random = np.random.default_rng(0)
    for size, rounds in ((1, asked.rounds), (64, max(10, asked.rounds // 10))):
        batches = [[texts[row] for row in random.integers(len(texts), size=size)] for _ in range(rounds)]
        in_turn(ways, batches[:5])  # the index is built, and all is warm
        spent = {name: np.median(every) for name, every in in_turn(ways, batches).items()}
        more = spent["with memory"] / spent["student"] - 1
        figures = ", ".join(f"{name} {1_000 * seconds:.2f} ms" for name, seconds in spent.items())
        print(f"{size} texts, {asked.rows:,} memories: {figures}: {100 * more:+.1f} %")  # noqa: T201


if __name__ == "__main__":
    main()
