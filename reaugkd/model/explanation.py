"""An answer taken apart: what the student, each key and each neighbour add to it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.measures.calibration import PROBABILITY, Threshold
from reaugkd.method.answers import Answers
from reaugkd.method.pool import SMOOTHING, KeySettings, Pool
from reaugkd.texts import Text, row_in_one_line, words_read

OWN_COLUMNS = ("id", "text", "text_pair", "label")
STUDENT, NEW_CLASSES = "student", "new classes"
"""Names of the parts that are not a key's."""


@dataclass(frozen=True)
class Neighbour:
    """A memory that was retrieved, and what it did to the answer.

    Parameters
    ----------
    rank : int
        1 is the nearest.
    number : int
        Row number in the memory.
    id, text, label : str
        The training row: its id, its text (of a pair, both joined by a bar) and its label.
    similarity : float
        Cosine similarity of the query and the memory by the key, from -1 to 1, higher is nearer.
    weight : float
        w_ik; the weights of all neighbours by one key sum to 1.
    soft_labels : (C,) float64
        The teacher's soft labels ȳ_k of it, in the order of the classes.
    share, runner_up_share : float
        Its part of what the key gives to the answer, and to the runner-up; with the key's smoothing they sum to 1, but
        all are 0 where the key gives a class nothing.
    columns : dict
        Further columns of the row, such as its topic.

    Examples
    --------
    >>> nearest = model.explain("some iron and zinc", k=4).keys[0].neighbours[0]
    >>> nearest.rank, nearest.label
    (1, 'metal')
    """

    rank: int
    number: int
    id: str
    text: str
    label: str
    similarity: float
    weight: float
    soft_labels: NDArray[np.float64]
    share: float
    runner_up_share: float
    columns: dict[str, Any]


@dataclass(frozen=True)
class KeyPart:
    """What one key of the memory adds to an answer.

    Parameters
    ----------
    name : str
        The key's.
    settings : KeySettings
        k, τ_r, and the weight that counted, b, or λ's share of it.
    retrieved : (C,) float64
        r by this key.
    part : float
        What it adds; see :class:`Explanation`. Below 0 the key speaks for the runner-up.
    neighbours : list of Neighbour
        The nearest first.
    smoothing, runner_up_smoothing : float
        Part of what the key gives to the answer, and to the runner-up, that no neighbour gave.
    """

    name: str
    settings: KeySettings
    retrieved: NDArray[np.float64]
    part: float
    neighbours: list[Neighbour]
    smoothing: float
    runner_up_smoothing: float


@dataclass(frozen=True)
class Explanation:
    r"""An answer, taken apart.

    In a logarithmic pool the parts are log-odds of the answer A against the runner-up B, and they sum to
    :math:`\log p(A) / p(B)`: the student's :math:`a \log \hat y(A) / \hat y(B)`, each key's
    :math:`b \log \tilde r(A) / \tilde r(B)`. In a linear pool they are differences of probability that sum to
    :math:`p(A) - p(B)`. Where one of the two is a class that the student does not know, the decision on new classes is
    a part of its own, which then holds all that the pool does not.

    Parameters
    ----------
    text : Text
        The query.
    label, runner_up : str
        The most probable class and the second.
    classes : tuple of str
        Names of the C classes.
    student_probabilities : (C',) float64
        ŷ, calibrated, of the classes that the student was trained on, the first of the C.
    memory_probabilities, probabilities : (C,) float64
        What the memory alone answers (λ = 1), and the answer.
    new : float
        v, how sure the memory is that the text is of a class that the student does not know.
    pool : Pool
        What answered.
    student_part, new_classes_part : float
        The parts of the student and of the decision on new classes.
    keys : list of KeyPart
        The keys of the pool, also those of weight 0.
    threshold : Threshold or None
        From which score on a text is answered; each one where there is none.
    characters_read : tuple of int or None
        How many characters of the text, or of both parts of a pair, the student read; None where it read all.

    Examples
    --------
    >>> explanation = model.explain("some iron and zinc")
    >>> explanation.label, list(explanation.parts)[:1]
    ('metal', ['student'])
    """

    text: Text
    label: str
    runner_up: str
    classes: tuple[str, ...]
    student_probabilities: NDArray[np.float64]
    memory_probabilities: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    new: float
    pool: Pool
    student_part: float
    new_classes_part: float
    keys: list[KeyPart]
    threshold: Threshold | None = None
    characters_read: tuple[int, ...] | None = None

    @property
    def words_read(self) -> int | None:
        """How many words the student read, of a pair of both parts; None where it read all."""
        return words_read(self.text, self.characters_read)

    @property
    def unread(self) -> str:
        """The rest that the student did not read, of a pair joined by a bar; empty where it read all."""
        parts = (self.text,) if isinstance(self.text, str) else self.text
        rests = (part[end:].strip() for part, end in zip(parts, self.characters_read or (), strict=False))
        return " | ".join(rest for rest in rests if rest)

    @property
    def is_sure(self) -> bool:
        """Whether the text reaches the model's threshold; if not, it is left to a person."""
        return self.threshold is None or self.score >= self.threshold.least

    @property
    def score(self) -> float:
        """What the threshold is for: the probability of the answer, or the cosine of a key's nearest memory."""
        if self.threshold is None or self.threshold.by == PROBABILITY:
            return float(self.probabilities.max())
        return next(key.neighbours[0].similarity for key in self.keys if key.name == self.threshold.by)

    @property
    def student_label(self) -> str:
        """The class that the student alone names, one of those it knows."""
        return self.classes[int(self.student_probabilities.argmax())]

    @property
    def memory_label(self) -> str:
        """The class that the memory alone names."""
        return self.classes[int(self.memory_probabilities.argmax())]

    @property
    def memory_alone(self) -> bool:
        """Whether the answer is a class that the student does not know, so that the memory alone names it."""
        return self.label not in self.classes[: len(self.student_probabilities)]

    @property
    def parts(self) -> dict[str, float]:
        """What adds up to the lead of the answer, by name: the student, each key, the decision on new classes."""
        of_keys = {key.name: key.part for key in self.keys}
        return {STUDENT: self.student_part, **of_keys, NEW_CLASSES: self.new_classes_part}

    @property
    def lead(self) -> float:
        """What the parts sum to: log p(A) / p(B), or p(A) - p(B) in a linear pool."""
        return float(sum(self.parts.values()))

    @property
    def keys_by_part(self) -> list[KeyPart]:
        """The keys, the one that decided on new classes before the one that adds most, in whichever direction."""
        decides = self.pool.new_class_key if self.new_classes_part else None
        return sorted(self.keys, key=lambda key: (key.name == decides, abs(key.part)), reverse=True)

    @property
    def neighbours(self) -> list[Neighbour]:
        """The neighbours by the first of :attr:`keys_by_part`; the key named first among equals."""
        return self.keys_by_part[0].neighbours

    def table(self) -> pd.DataFrame:
        """Return all parts in one table that adds up.

        Returns
        -------
        DataFrame
            A row for each part and, under each key, its neighbours and its smoothing: ``part`` (name), ``adds`` (the
            part; missing under a key), ``share`` and ``runner_up_share`` of what the key gives to either class
            (missing elsewhere), ``similarity``, ``weight``, ``label`` and ``text`` of neighbours; last the ``sum``.
        """
        rows: list[dict[str, Any]] = [{"part": STUDENT, "adds": self.student_part}]
        for key in self.keys:
            rows.append({"part": key.name, "adds": key.part})
            for neighbour in key.neighbours:
                found = _parts_of(neighbour, "share", "runner_up_share", "similarity", "weight", "label", "text")
                rows.append({"part": f"{key.name} {neighbour.rank}"} | found)
            smoothing = {"share": key.smoothing, "runner_up_share": key.runner_up_smoothing}
            rows.append({"part": f"{key.name} smoothing", **smoothing})
        rows += [{"part": NEW_CLASSES, "adds": self.new_classes_part}, {"part": "sum", "adds": self.lead}]
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain values, for JSON: probabilities by class name, neighbours without their row.

        Returns
        -------
        dict
            ``student`` holds what the student itself says, so it has no class that came after its training.
            ``words_read`` is None where it read the whole text.
        """
        return {
            **_parts_of(self, "text", "words_read", "label", "runner_up", "is_sure"),
            "probabilities": self._by_class(self.probabilities),
            "student": self._by_class(self.student_probabilities),
            "memory": self._by_class(self.memory_probabilities),
            "pool": self.pool.kind,
            "retrieval_weight": self.pool.fitted_weight
            if self.pool.retrieval_weight is None
            else self.pool.retrieval_weight,
            "parts": {name: round(part, 6) for name, part in self.parts.items()},
            "keys": [
                {
                    "key": key.name,
                    **_parts_of(key.settings, "weight", "k", "temperature"),
                    "retrieved": self._by_class(key.retrieved),
                    "neighbours": [self._neighbour(neighbour) for neighbour in key.neighbours],
                }
                for key in self.keys
            ],
        }

    def _neighbour(self, neighbour: Neighbour) -> dict[str, Any]:
        said = _parts_of(neighbour, "id", "text", "label", "similarity", "weight", "share", "runner_up_share")
        return said | {"soft_labels": self._by_class(neighbour.soft_labels)}

    def _by_class(self, probabilities: NDArray[np.floating]) -> dict[str, float]:
        names = self.classes[: len(probabilities)]
        return {name: round(float(value), 6) for name, value in zip(names, probabilities, strict=True)}


def _parts_of(whole: object, *names: str) -> dict[str, Any]:
    return {name: getattr(whole, name) for name in names}


def explain(answers: Answers, row: int = 0) -> Explanation:
    """Take the answer to one text apart; no network runs.

    Parameters
    ----------
    answers : Answers
        Answers by every key of the pool.
    row : int
        Number of the text.

    Returns
    -------
    Explanation
        Probabilities, parts, and each key's neighbours.
    """
    encoded, pool, classes = answers.encoded, answers.pool, answers.memory.classes
    probabilities, student = answers.pooled.probabilities[row], answers.pooled.student[row]
    best, second = np.argsort(-probabilities, kind="stable")[:2].tolist()
    known = [number < encoded.known for number in (best, second)]
    weight, weights = pool.weights
    among_known = all(known)

    def gained(said: NDArray[np.floating]) -> float:
        if pool.kind == "linear":
            return float(said[best] - said[second])
        return float(np.log(max(said[best], 1e-12)) - np.log(max(said[second], 1e-12)))

    # In a linear pool the known classes share what the new ones leave.
    left = 1.0 - float(answers.pooled.new[row]) if pool.kind == "linear" else 1.0
    student_part = left * weight * gained(student) if among_known else 0.0
    keys = []
    for name, found in answers.retrieved.items():
        if among_known:
            part = left * weights[name] * gained(answers.pooled.memory[name][row])
        else:
            part = gained(found.probabilities[row]) if not any(known) and name == pool.new_class_key else 0.0
        keys.append(_key_part(answers, row, name, (best, second), part, weights[name]))
    return Explanation(
        text=encoded.texts[row],
        label=classes[best],
        runner_up=classes[second],
        classes=classes,
        student_probabilities=student,
        memory_probabilities=answers.probabilities["memory"][row],
        probabilities=probabilities,
        new=float(answers.pooled.new[row]),
        pool=pool,
        student_part=student_part,
        new_classes_part=0.0 if among_known else gained(probabilities) - student_part - sum(key.part for key in keys),
        keys=keys,
        threshold=answers.threshold,
        characters_read=encoded.characters_read.get(row),
    )


def _key_part(answers: Answers, row: int, name: str, pair: tuple[int, int], part: float, weight: float) -> KeyPart:
    """Return what one key adds, with its neighbours' shares of what it gives to the answer and to the runner-up."""
    found, memory, known = answers.retrieved[name], answers.memory, answers.encoded.known
    retrieved = found.probabilities[row]
    soft_labels = memory.soft_labels[found.numbers[row]].astype(np.float64)
    given, none = found.weights[row][:, None] * soft_labels[:, pair], np.zeros(2)
    if answers.pool.kind == "logarithmic":
        total, is_known = retrieved[:known].sum(), np.asarray(pair) < known
        given[:, is_known] *= (1.0 - SMOOTHING) / total if total > 0 else 0.0
        smoothed = answers.pooled.memory[name][row, np.asarray(pair)[is_known]]
        none[is_known] = smoothed - given[:, is_known].sum(axis=0)
    whole = given.sum(axis=0) + none
    shares, smoothing = (np.divide(part, whole, out=np.zeros_like(part), where=whole > 0) for part in (given, none))
    rows = memory.rows_at(found.numbers[row]).to_dict("records")
    neighbours = [
        Neighbour(
            rank=place + 1,
            number=int(found.numbers[row, place]),
            id=about["id"],
            text=row_in_one_line(about),
            label=about["label"],
            similarity=float(found.similarities[row, place]),
            weight=float(found.weights[row, place]),
            soft_labels=soft_labels[place],
            share=float(shares[place, 0]),
            runner_up_share=float(shares[place, 1]),
            columns={str(name): value for name, value in about.items() if name not in OWN_COLUMNS},
        )
        for place, about in enumerate(rows)
    ]
    settings = replace(answers.pool.keys[name], weight=weight)
    return KeyPart(name, settings, retrieved, part, neighbours, *smoothing.tolist())
