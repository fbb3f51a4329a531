"""Measure what depth and keys cost: ``python tests/benchmarks/depth_latency.py runs/shoptalk OUT.csv [--rows 10000]``.

Students of several depths, each alone, with the free keys, and with an encoder key beside them, and the teachers
answer the same texts in turn in one process, one text and 64 at a time. It writes the medians in milliseconds. The
networks are not trained: that changes no latency. The model's memory is repeated until it has so many rows.
"""

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from app_speed import grown
from timing import in_turn

from reaugkd.method.keys import UntunedEncoder, fit_keys
from reaugkd.method.pool import KeySettings
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks.encoders import TextClassifier
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import DEFAULT_ENCODER
from reaugkd.texts import texts_of

DEPTHS = (1, 2, 3, 6)
ENCODER_LAYERS = (3, 6)
TEACHERS = (DEFAULT_ENCODER, "sentence-transformers/all-mpnet-base-v2")


def with_keys(model, layers, rows):
    """Return the model with keys that all have a weight, the encoder key of so many layers among them, if any."""
    weights = find_weights(DEFAULT_ENCODER)
    encoder = UntunedEncoder.of(weights, model.memory.texts, layers=layers) if layers else None
    keys, memory = fit_keys(model.memory, model.student.tokenizer, encoder=encoder)
    chosen = {name: replace(model.pool.keys.get(name, KeySettings(k=16)), weight=0.5) for name in keys}
    pool = replace(model.pool, keys=chosen, new_class_key="", retrieval_weight=None)
    return grown(replace(model, keys=keys, memory=memory, pool=pool), rows)


def main():
    """Measure, and write a row for each student, its keys and the size of a batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=60)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    model = ReAugKDClassifier.from_pretrained(asked.model)
    classes = len(model.memory.classes)
    keyed = {layers: with_keys(model, layers, asked.rows) for layers in (0, *ENCODER_LAYERS)}
    ways = {}
    for depth in DEPTHS:
        student = TextClassifier.from_pretrained(find_weights(DEFAULT_ENCODER), classes, layers=depth)
        for layers, whole in keyed.items():
            one = replace(whole, student=student)
            if not layers:
                ways[depth, "off"] = lambda batch, one=one: one.predict_proba(batch, retrieval_weight=0.0)
            ways[depth, f"pool+encoder{layers}" if layers else "pool"] = one.predict_proba
    for name in TEACHERS:
        teacher = TextClassifier.from_pretrained(find_weights(name), classes)
        ways[teacher.encoder.config.num_hidden_layers, name] = teacher.encode
    texts, random, found = texts_of(model.held_out(["test"]), False), np.random.default_rng(0), []
    for size, rounds in ((1, asked.rounds), (64, max(8, asked.rounds // 6))):
        batches = [[texts[row] for row in random.integers(len(texts), size=size)] for _ in range(rounds)]
        in_turn(ways, batches[:3])  # the indexes are built, and all is warm
        for (depth, answer), seconds in in_turn(ways, batches).items():
            found.append({"layers": depth, "answer": answer, "batch": size, "milliseconds": 1_000 * np.median(seconds)})
    table = pd.DataFrame(found)
    table.to_csv(asked.out, index=False, float_format="%.4g")
    print(table.to_string(index=False))  # noqa: T201


if __name__ == "__main__":
    main()
