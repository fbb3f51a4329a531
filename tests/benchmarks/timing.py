"""What the benchmarks share: ways to do a thing, timed in turn, so that a busy minute of the machine meets them all."""

import time

import numpy as np


def in_turn(ways, batches, clock=time.perf_counter):
    """Return the seconds (N,) of each way to answer, over N batches that all ways answer one after the other.

    Each answers a batch twice, and the second time counts: where the lengths of the texts are new, the first network
    makes kernels for them, which those after it find.
    """
    times = {name: [] for name in ways}
    for batch in batches:
        for name, answer in ways.items():
            answer(batch)
            start = clock()
            answer(batch)
            times[name].append(clock() - start)
    return {name: np.asarray(spent) for name, spent in times.items()}


def ratio(times, slower, faster, bar=None):
    """Return how many times as fast one way is as another, the median of the rounds, and whether that is enough."""
    found = float(np.median(times[slower] / times[faster]))
    row = {"faster": faster, "than": slower, "times as fast": found}
    return row if bar is None else row | {"bar": bar, "reached": bool(found >= bar)}
