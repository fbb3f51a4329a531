"""Measure large memories: ``python tests/benchmarks/memory_scale.py runs/banking77 --sizes 10000 1000000 --out OUT``.

A trained model's memory is enlarged by a smoothed bootstrap (Silverman and Young 1987): each new memory is a real one,
drawn towards its class's mean and moved by the difference of two others of its class, so that every class keeps its
mean and its covariance, and stays as collapsed as it is. Asked are the model's own test rows. Measured are the seconds
to build, the bytes of an entry, the search of one query and of 64, recall@16 (a neighbour as near as the true sixteenth
counts as found), how many answers are those of exact search, what keys and search add to the student's time for 64
texts, and what a process holds in memory that loads the memory alone and asks it every query.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import torch
from timing import in_turn

from reaugkd.method.answers import answer
from reaugkd.method.keys import ALIGNED
from reaugkd.method.mapped import Mapped, cells_for
from reaugkd.method.memory import Memory
from reaugkd.model.classifier import ReAugKDClassifier

SIZES = (10_000, 1_000_000)
BATCH = 50_000
K = 16
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
ADDED = {10_000: 0.03, 1_000_000: 0.05}  # bars: what keys and search may add to 64 texts, by memories
LOAD = """
import json, sys, time
import numpy as np
from reaugkd.method.memory import Memory
start = time.perf_counter()
memory = Memory.load(sys.argv[1])
checked = time.perf_counter() - start
def held():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {name: int(lines[name].split()[0]) / 1e6 for name in ("VmRSS", "RssAnon", "RssFile")}
before = held()
for name, queries in np.load(sys.argv[2]).items():
    for query in queries:
        _, numbers = memory.search(name, query[None], 16)
        memory.soft_labels[numbers]
after = held()
print(json.dumps({"seconds to load": checked, "resident when loaded, GB": before["VmRSS"],
    "resident after the queries, GB": after["VmRSS"], "of that anonymous": after["RssAnon"],
    "of that pages of files": after["RssFile"]}))
"""


def enlarged(memory, rows, seed=0):
    """Yield batches of a memory with so many rows, made of a small one; its z is the aligned key."""
    random, labels = np.random.default_rng(seed), memory.labels
    order, size = np.argsort(labels, kind="stable"), np.bincount(labels, minlength=len(memory.classes))
    first = np.cumsum(size) - size
    means, width = {}, {}
    for name, key in memory.keys.items():
        sums = np.stack([np.bincount(labels, column, len(size)) for column in key.T], axis=1)
        means[name] = sums / np.maximum(size, 1)[:, None]
        variances = np.linalg.eigvalsh(np.cov((key - means[name][labels]).T))
        dimensions = variances.sum() ** 2 / (variances**2).sum()
        width[name] = (4 / ((dimensions + 2) * size.mean())) ** (1 / (dimensions + 4))  # Silverman's rule
    for start in range(0, rows, BATCH):
        drawn = random.integers(len(memory), size=min(BATCH, rows - start))
        classes = labels[drawn]
        others = [order[first[classes] + (random.random(len(drawn)) * size[classes]).astype(int)] for _ in range(2)]
        keys = {}
        for name, key in memory.keys.items():
            mean, moved = means[name][classes], (key[others[0]] - key[others[1]]) / np.sqrt(2)
            keys[name] = mean + (key[drawn] - mean + width[name] * moved) / np.sqrt(1 + width[name] ** 2)
        table = memory.rows.iloc[drawn].reset_index(drop=True)
        table["id"] = [f"row-{number}" for number in range(start, start + len(drawn))]
        yield Memory(table, memory.classes, memory.soft_labels[drawn], keys[ALIGNED], keys)


def seconds(searching, queries, size, rounds, clock):
    """Return the median seconds of a search of so many queries."""
    spent = []
    for number in range(rounds + 3):
        asked = queries[np.arange(number * size, (number + 1) * size) % len(queries)]
        start = clock()
        searching(asked)
        spent.append(clock() - start)
    return float(np.median(spent[3:]))


def exact_copy(memory):
    """Return the same memory without any index."""
    if not memory.is_mapped:
        return memory
    keys = {}
    for name, key in memory.keys.items():
        keys[name] = Mapped.of(key.path, *key.shape)
        keys[name].index = None
    return memory.with_keys(keys)


def of_keys(memory, exact, queries, rounds, clock):
    """Return a row for each key: how fast and how well it is searched."""
    rows = []
    for name, key in memory.keys.items():
        asked = queries[name]
        cosines, _ = exact.search(name, asked, K)
        _, numbers = memory.search(name, asked, K)
        # Of the stored rows in float32, as exact search computes them.
        found = np.einsum("nd,nkd->nk", asked, key[numbers].astype(np.float32))
        index = key.path.with_suffix(".faiss") if memory.is_mapped else None
        row = {"memories": len(memory), "key": name, "width": key.shape[1]}
        row |= {"cells": 0 if index is None else key.index.nlist}
        row |= {
            f"search of {size}, ms": 1_000
            * seconds(lambda some, n=name: memory.search(n, some, K), asked, size, rounds, clock)
            for size in (1, 64)
        }
        row["exact search of 64, ms"] = 1_000 * seconds(
            lambda some, n=name: exact.search(n, some, K), asked, 64, 3, clock
        )
        row["recall@16"] = float((found >= cosines[:, [-1]] - 1e-6).mean())
        row["bytes of key and index"] = (key.nbytes + (0 if index is None else index.stat().st_size)) / len(memory)
        rows.append(row)
    return rows


def of_answers(model, exact, encoded, rounds, clock):
    """Return how many answers are those of exact search, and what the memory adds to the student's time."""
    found, wanted = (answer(encoded, one, model.pool).pooled.probabilities for one in (model.memory, exact))
    keys = {name: replace(key, weight=max(key.weight, 0.1)) for name, key in model.pool.keys.items()}
    every = replace(model, pool=replace(model.pool, keys=keys, retrieval_weight=None))
    ways = {
        "student": lambda batch: model.predict_proba(batch, retrieval_weight=0.0),
        "as chosen": model.predict_proba,
        "every key": every.predict_proba,
    }
    rows = np.random.default_rng(0).integers(len(encoded), size=(rounds + 3, 64))
    times = in_turn(ways, [[encoded.texts[row] for row in batch] for batch in rows], clock)
    taken = {name: every[3:] for name, every in times.items()}
    alone, bar = float(np.median(taken["student"])), ADDED.get(len(model.memory))
    added = {name: float(np.median(taken[name] - taken["student"])) / alone for name in ("as chosen", "every key")}
    row = {
        "memories": len(model.memory),
        "answers as by exact search, %": 100 * float((found.argmax(axis=1) == wanted.argmax(axis=1)).mean()),
        "furthest probability from it": float(np.abs(found - wanted).max()),
        "student, 64 texts, ms": 1_000 * alone,
        **{f"keys, search and pool add, {name}, %": 100 * of for name, of in added.items()},
    }
    return row if bar is None else row | {"bar": 100 * bar, "reached": added["as chosen"] <= bar}


def of_process(folder, queries, scratch):
    """Return what a process holds that loads a memory and asks it every query by every key."""
    np.savez(scratch / "queries.npz", **queries)
    command = [sys.executable, "-c", LOAD, str(folder), str(scratch / "queries.npz")]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measured(model, encoded, *, sizes=SIZES, share=1.0, clock=time.perf_counter, scratch=None, say=print):
    """Return tables of keys, answers and memory for each size; ``share`` of the rounds."""
    rounds, tables = max(5, round(60 * share)), {"keys": [], "answers": [], "process": []}
    for size in sizes:
        say(f"{size:,} memories")
        with tempfile.TemporaryDirectory(dir=scratch) as work:
            start = time.perf_counter()
            memory = Memory.build(enlarged(model.memory, size), Path(work) / "memory")
            built, files = time.perf_counter() - start, sorted((Path(work) / "memory").iterdir())
            memory = memory if cells_for(size) else memory.part(np.arange(size))  # a small one is not on disk
            exact = exact_copy(memory)
            tables["keys"] += of_keys(memory, exact, encoded.queries, rounds, clock)
            tables["answers"].append(
                of_answers(replace(model, memory=memory, maps=None), exact, encoded, rounds, clock)
            )
            about = {"memories": size, "seconds to make and build": built}
            about["bytes an entry on disk"] = sum(path.stat().st_size for path in files) / size
            tables["process"].append(about | of_process(Path(work) / "memory", encoded.queries, Path(work)))
            say(json.dumps({name: rows[-2:] for name, rows in tables.items()}, indent=1))
            del memory, exact
    return tables


def measure(folder, **options):
    """Return what :func:`measured` does, of a trained model and the test rows that it carries."""
    model = ReAugKDClassifier.from_pretrained(folder)
    return measured(model, model.encode_rows(model.held_out(["test"])), **options)


def main():
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="processor: on a busy machine, with --threads 1"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the rounds")
    parser.add_argument("--scratch", help="folder with room for the memory: 1 kB a row")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    faiss.omp_set_num_threads(asked.threads)
    tables = measure(
        asked.model, sizes=asked.sizes, share=asked.share, clock=CLOCKS[asked.clock], scratch=asked.scratch
    )
    if asked.out:
        asked.out.write_text(json.dumps(tables, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
