"""What each key costs: measured, since it depends on the machine, the memory and the length of a text."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from statistics import median
from timeit import timeit

from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.explanation import STUDENT
from reaugkd.networks.encoders import normalize
from reaugkd.texts import Text

ROUNDS = 5


def milliseconds(model: ReAugKDClassifier, text: Text) -> dict[str, float]:
    """Measure what the student and each key of a model cost for one text.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    text : Text
        A text or pair.

    Returns
    -------
    dict of str to float
        Milliseconds, the median of five rounds after one to warm up: of the ``student`` to read the text, and of each
        key, by its name, to make a query of it and to search the memory, once the student has read it.
    """
    tokens = model.student.tokenize([text])
    embeddings = normalize(model.student.encode([text], tokens)[0])

    def search(name: str) -> None:
        model.memory.search(name, model.keys[name].embed([text], embeddings, tokens), model.pool.keys[name].k)

    found = {STUDENT: median_milliseconds(repeat(lambda: model.student.encode([text]), 1 + ROUNDS))}
    return found | {name: median_milliseconds(repeat(partial(search, name), 1 + ROUNDS)) for name in model.pool.keys}


def median_milliseconds(calls: Iterable[Callable[[], object]]) -> float:
    """Make calls one after the other, and return the median of their times; the first warms up and does not count."""
    return 1_000 * median([timeit(call, number=1) for call in calls][1:])
