"""Answer a text without some memories, or as if some had another label. No network runs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.mapped import changed_copy
from reaugkd.method.memory import Memory
from reaugkd.method.pool import Pool, Retrieved, pooled, weighed
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.explanation import Explanation, explain

RESERVE = 64


@dataclass(frozen=True)
class WhatIf:
    """Changes of a memory to try on one question.

    Parameters
    ----------
    struck : collection of int
        Row numbers of memories to leave out; the next nearest take their places.
    relabelled : mapping of int to str
        Row numbers of memories, and the class for which each votes with all its weight.
    """

    struck: Collection[int] = ()
    relabelled: Mapping[int, str] = field(default_factory=dict)


UNCHANGED = WhatIf()


def explain_what_if(model: ReAugKDClassifier, encoded: EncodedTexts, pool: Pool, changes: WhatIf) -> Explanation:
    """Answer a text as if some memories were not there, or had another label.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model, which stays as it is.
    encoded : EncodedTexts
        The text, by :meth:`ReAugKDClassifier.encode`.
    pool : Pool
        k, τ_r and weights.
    changes : WhatIf
        What is changed.

    Returns
    -------
    Explanation
        As :meth:`ReAugKDClassifier.explain` gives it.

    Raises
    ------
    ReAugKDError
        If all memories are left out.
    """
    answers = answer(encoded, _relabelled(model.memory, changes.relabelled), pool, struck=changes.struck)
    return explain(replace(answers, threshold=model.threshold))


def flipping_set(
    model: ReAugKDClassifier, encoded: EncodedTexts, pool: Pool, changes: WhatIf = UNCHANGED
) -> tuple[list[int], str] | None:
    """Find the fewest memories whose removal changes the answer.

    All sets of one and two are tried, so such a set is the smallest. Larger ones are found greedily: the memory that
    supports the answer most is removed, again and again, and those that are not needed are put back. Each member is
    then needed, but a smaller set may exist.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    encoded : EncodedTexts
        The text.
    pool : Pool
        k, τ_r and weights.
    changes : WhatIf
        Changes that hold already, for the answer that is to change too.

    Returns
    -------
    tuple of list of int and str, or None
        Row numbers, and the answer without them; None where the removal of up to 64 memories does not change it.

    Raises
    ------
    ReAugKDError
        If all memories are left out already.
    """
    memory = _relabelled(model.memory, changes.relabelled)
    wider = {name: replace(key, k=min(key.k, len(memory)) + RESERVE) for name, key in pool.keys.items()}
    gone = set(changes.struck)
    near = answer(encoded.part([0]), memory, replace(pool, keys=wider), struck=gone, every_key=False).retrieved
    most = min(RESERVE, len(memory) - len(gone) - 1)
    names = np.asarray(memory.classes)

    def answers(sets: list[tuple[int, ...]]) -> NDArray[np.float64]:
        return _answers_without(encoded, memory, pool, near, sets)

    def nearest(struck: tuple[int, ...]) -> list[int]:
        """Return the memories that count when some are left out."""
        found = [
            number
            for name, by_key in near.items()
            for number in by_key.numbers[~np.isin(by_key.numbers, struck)][: pool.keys[name].k].tolist()
        ]
        return list(dict.fromkeys(found))

    answer_now, found = int(answers([()])[0].argmax()), nearest(())
    # The second of a pair may count only once the first is left out.
    come = ((number, other) for number in found for other in nearest((number,)) if other not in found)
    tried: list[list[tuple[int, ...]]] = [[(number,) for number in found], [*combinations(found, 2), *come]]
    for sets in tried[:most]:
        for chosen, said in zip(sets, answers(sets).argmax(axis=1).tolist(), strict=True):
            if said != answer_now:
                return list(chosen), str(names[said])
    struck: tuple[int, ...] = ()
    while near and len(struck) < most:
        candidates = nearest(struck)
        left_over = answers([(*struck, number) for number in candidates])
        margins = left_over[:, answer_now] - np.delete(left_over, answer_now, axis=1).max(axis=1)
        struck = (*struck, candidates[int(margins.argmin())])
        if margins.min() < 0:
            break
    else:
        return None
    for number in struck:
        fewer = tuple(other for other in struck if other != number)
        if answers([fewer])[0].argmax() != answer_now:
            struck = fewer
    return list(struck), str(names[answers([struck])[0].argmax()])


def _relabelled(memory: Memory, labels: Mapping[int, str]) -> Memory:
    """Return the memory with some rows that vote for another class."""
    if not labels:
        return memory
    sure = np.eye(len(memory.classes), dtype=np.float32)
    soft_labels = changed_copy(memory.soft_labels, {row: sure[memory.classes.index(labels[row])] for row in labels})
    rows = memory.rows["label"].to_numpy(dtype=object, copy=True)
    rows[list(labels)] = list(labels.values())
    return replace(memory, soft_labels=soft_labels, rows=memory.rows.assign(label=rows))


def _answers_without(
    encoded: EncodedTexts, memory: Memory, pool: Pool, near: Mapping[str, Retrieved], sets: list[tuple[int, ...]]
) -> NDArray[np.float64]:
    """Return the probabilities (S, C) without each of S sets, all of one size, of row numbers."""
    retrieved = {}
    for name, found in near.items():
        struck = np.stack([np.isin(found.numbers[0], without) for without in sets])
        k = min(pool.keys[name].k, int((~struck).sum(axis=1).min()))
        places = np.argsort(struck, axis=1, kind="stable")[:, :k]
        similarities, numbers = found.similarities[0, places], found.numbers[0, places]
        retrieved[name] = weighed(memory.soft_labels, similarities, numbers, pool.keys[name].temperature)
    student = np.repeat(encoded.student_probabilities[:1], len(sets), axis=0)
    return pooled(student, retrieved, pool, memory.soft_labels).probabilities
