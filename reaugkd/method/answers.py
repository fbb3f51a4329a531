"""Texts that went through the networks once, and the answers to them; a slider or an edit only retrieves anew."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, quoted, read_as
from reaugkd.measures.calibration import PROBABILITY, Threshold, confidence_column
from reaugkd.method.mapped import nearest_first
from reaugkd.method.memory import Memory
from reaugkd.method.pool import Pool, Pooled, Retrieved, pooled, weighed
from reaugkd.networks.encoders import TOKENIZED, TextClassifier, normalize
from reaugkd.texts import Labels, Text, rows_with

if TYPE_CHECKING:
    from reaugkd.method.keys import Key

EFFECTS = ("fixed", "broken", "changed", "none")
"""What a change did to an answer: wrong to right, right to wrong, wrong to wrong otherwise, or nothing."""


@dataclass(frozen=True)
class EncodedTexts:
    """N texts, and what the networks say of them.

    Parameters
    ----------
    texts : sequence of Text
        Texts or pairs.
    embeddings : (N, d) float32
        The student's x_i.
    student_probabilities : (N, C) float32
        ŷ_i over the classes that the student was trained on, the first of the memory's.
    queries : mapping of str to (N, w) float32
        By the name of each key, what the memory is searched with.
    rows : DataFrame or None
        Where more is known of the texts: ``label`` (names of gold classes) and further columns.
    teacher_probabilities : (N, C) float32 or None
        The teacher's own, where they are known.
    characters_read : mapping of int to tuple of int
        Of the texts that the student does not read to their end, as
        :meth:`reaugkd.networks.encoders.TextClassifier.characters_read` gives it.

    Examples
    --------
    >>> encoded = model.encode(["some iron and zinc", "a ripe plum"])
    >>> {name: len(queries) for name, queries in encoded.queries.items()}
    {'aligned': 2, 'text': 2}
    >>> model.answer(encoded).pooled.probabilities.shape
    (2, 3)
    """

    texts: Sequence[Text]
    embeddings: NDArray[np.float32]
    student_probabilities: NDArray[np.float32]
    queries: Mapping[str, NDArray[np.float32]]
    rows: pd.DataFrame | None = None
    teacher_probabilities: NDArray[np.float32] | None = None
    characters_read: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, student: TextClassifier, keys: Mapping[str, "Key"], texts: Sequence[Text], rows: pd.DataFrame | None = None
    ) -> "EncodedTexts":
        """Run a student once over texts, and make of each what some keys search with.

        Parameters
        ----------
        student : TextClassifier
            The student.
        keys : mapping of str to Key
            By name.
        texts : sequence of Text
            N texts or pairs.
        rows : DataFrame, optional
            Where more is known of them.

        Returns
        -------
        EncodedTexts
            Without the teacher's probabilities.
        """
        tokens = student.tokenize(texts) if 0 < len(texts) <= TOKENIZED else None  # of more, not all at once
        hidden, probabilities = student.encode(texts, tokens)
        embeddings = normalize(hidden)
        queries = {name: key.embed(texts, embeddings, tokens) for name, key in keys.items()}
        cut = student.characters_read(texts, tokens)
        return cls(texts, embeddings, probabilities, queries, rows, characters_read=cut)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def known(self) -> int:
        """C, how many classes the student knows."""
        return int(self.student_probabilities.shape[1])

    @property
    def table(self) -> pd.DataFrame:
        """The rows, with the texts alone where no more is known."""
        return pd.DataFrame({"text": list(self.texts)}) if self.rows is None else self.rows

    def labels(self, classes: Sequence[str]) -> Labels:
        """Return the gold labels (N,) int64 as numbers of classes.

        Parameters
        ----------
        classes : sequence of str
            Names of the memory's classes.

        Raises
        ------
        ReAugKDError
            If no gold labels are known.
        """
        if self.rows is None or "label" not in self.rows:
            raise ReAugKDError("These texts have no gold labels; give rows with a label.")
        numbers = {name: number for number, name in enumerate(classes)}
        return np.asarray([numbers[label] for label in self.rows["label"]], dtype=np.int64)

    def searching_by(self, keys: Mapping[str, "Key"]) -> "EncodedTexts":
        """Return the same texts with what other keys, given by name, make of them."""
        return replace(self, queries={name: key.embed(self.texts, self.embeddings) for name, key in keys.items()})

    def part(self, rows: Sequence[int] | NDArray[np.integer]) -> "EncodedTexts":
        """Return some of the texts, by their numbers, which stay as the index of the table."""
        numbers = np.asarray(rows, dtype=np.int64)
        teacher = self.teacher_probabilities
        return EncodedTexts(
            [self.texts[number] for number in numbers.tolist()],
            self.embeddings[numbers],
            self.student_probabilities[numbers],
            {name: queries[numbers] for name, queries in self.queries.items()},
            None if self.rows is None else self.rows.iloc[numbers],
            None if teacher is None else teacher[numbers],
            {new: self.characters_read[old] for new, old in enumerate(numbers.tolist()) if old in self.characters_read},
        )


@dataclass(frozen=True)
class Answers:
    """The answers to N texts by one memory and one pool.

    Parameters
    ----------
    encoded : EncodedTexts
        The texts.
    memory : Memory
        What was searched.
    pool : Pool
        How it was searched, and what counts.
    retrieved : mapping of str to Retrieved
        What each key of the pool found.
    threshold : Threshold or None
        From which score on a text is answered; each one where there is none.
    """

    encoded: EncodedTexts
    memory: Memory
    pool: Pool
    retrieved: Mapping[str, Retrieved]
    threshold: Threshold | None = None

    @cached_property
    def pooled(self) -> Pooled:
        """The answers, and what they are pooled of."""
        return pooled(self.encoded.student_probabilities, self.retrieved, self.pool, self.memory.soft_labels)

    @cached_property
    def labels(self) -> Labels:
        """Gold labels (N,) int64."""
        return self.encoded.labels(self.memory.classes)

    @cached_property
    def probabilities(self) -> dict[str, NDArray[np.floating]]:
        """Probabilities by who says so: ``teacher`` where known, ``student``, ``memory`` (λ = 1) and ``answer``."""
        teacher = self.encoded.teacher_probabilities
        return {
            **({} if teacher is None else {"teacher": teacher}),
            "student": self.encoded.student_probabilities,
            "memory": self.at(1.0).pooled.probabilities,
            "answer": self.pooled.probabilities,
        }

    @cached_property
    def predicted(self) -> dict[str, Labels]:
        """Predicted labels (N,) int64 by who says so, as :attr:`probabilities`."""
        return {voice: said.argmax(axis=1) for voice, said in self.probabilities.items()}

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is the gold label, (N,)."""
        return self.predicted["answer"] == self.labels

    def scores(self, by: str) -> NDArray[np.float64]:
        """Return how sure each answer is (N,): by its probability, or by the cosine of a key's nearest memory.

        Parameters
        ----------
        by : str
            ``"probability"``, or the name of a key.

        Raises
        ------
        ReAugKDError
            If the memory was not searched by such a key.
        """
        if read_as(str, by, "by") == PROBABILITY:
            return self.pooled.probabilities.max(axis=1)
        if by not in self.retrieved:
            known = ", ".join([PROBABILITY, *self.retrieved])
            raise ReAugKDError(f"There is no score {quoted(by)}; choose one of {known}.")
        return self.retrieved[by].similarities[:, 0].astype(np.float64)

    @property
    def is_sure(self) -> NDArray[np.bool_]:
        """Whether each text reaches the threshold, (N,); the others are left to a person."""
        if self.threshold is None:
            return np.ones(len(self.encoded), dtype=bool)
        return self.scores(self.threshold.by) >= self.threshold.least

    def part(self, rows: Sequence[int] | NDArray[np.integer]) -> "Answers":
        """Return the answers to some of the texts, by their numbers; nothing is searched again."""
        numbers = np.asarray(rows, dtype=np.int64)
        retrieved = {
            name: Retrieved(*(getattr(found, part.name)[numbers] for part in fields(found)))
            for name, found in self.retrieved.items()
        }
        return replace(self, encoded=self.encoded.part(numbers), retrieved=retrieved)

    def at(self, retrieval_weight: float | None) -> "Answers":
        """Return the answers at another λ, from the neighbours that are found; None is the fitted one."""
        return replace(self, pool=replace(self.pool, retrieval_weight=retrieval_weight))

    def table(self, instead_of: "Answers | None" = None) -> pd.DataFrame:
        """Return a row for each text, to filter and to save.

        Parameters
        ----------
        instead_of : Answers, optional
            Other answers to the same rows, such as those by what was chosen in training.

        Returns
        -------
        DataFrame
            ``id`` and ``split`` where there are, ``text``, ``text_pair`` of pairs, ``label``; what ``teacher``,
            ``student``, ``memory`` and ``answer`` name; ``probability`` of the answer, ``student_probability`` and
            ``teacher_probability`` of theirs; ``effect`` of retrieval, one of :data:`EFFECTS`; where there are other
            answers, ``flip``: what these are instead of them, one of the same; where there is a threshold, ``is_sure``:
            whether the text is answered; then further columns.
        """
        names, said, predicted = np.asarray(self.memory.classes), self.probabilities, self.predicted
        found: dict[str, Any] = {voice: names[numbers] for voice, numbers in predicted.items()}
        sure_of = [voice for voice in ("answer", "student", "teacher") if voice in said]
        found |= {confidence_column(voice): said[voice].max(axis=1) for voice in sure_of}
        found["effect"] = effects(self.labels, predicted["student"], predicted["answer"])
        if instead_of is not None:
            found["flip"] = effects(self.labels, instead_of.predicted["answer"], predicted["answer"])
        if self.threshold is not None:
            found["is_sure"] = self.is_sure
        return rows_with(self.encoded.table, found)


def answer(
    encoded: EncodedTexts, memory: Memory, pool: Pool, *, struck: Collection[int] = (), every_key: bool = True
) -> Answers:
    """Answer texts by one memory and one pool; no network runs.

    Parameters
    ----------
    encoded : EncodedTexts
        N texts.
    memory : Memory
        The model's memory, or an edited one.
    pool : Pool
        k and τ_r of each key, weights, and λ.
    struck : collection of int
        Row numbers of memories that are passed over; the next nearest take their places.
    every_key : bool
        Search also by keys of weight 0, so that their neighbours can be shown.

    Returns
    -------
    Answers
        The answers.

    Raises
    ------
    ReAugKDError
        If all memories are struck.
    """
    if struck and len(set(struck)) >= len(memory):
        raise ReAugKDError("Without any memory there is nothing to look up; leave at least one, or put some back.")
    retrieved = {}
    for name in pool.keys if every_key else pool.searched(encoded.known, len(memory.classes)):
        settings = pool.keys[name]
        similarities, numbers = memory.search(name, encoded.queries[name], settings.k + len(struck))
        if struck:
            similarities = np.where(np.isin(numbers, list(struck)), -np.inf, similarities)
            left = min(settings.k, len(memory) - len(set(struck)))
            similarities, numbers = nearest_first(similarities, numbers, left)
        retrieved[name] = weighed(memory.soft_labels, similarities, numbers, settings.temperature)
    return Answers(encoded, memory, pool, retrieved)


def effects(labels: Labels, before: Labels, after: Labels) -> NDArray[np.str_]:
    """Return what a change did to each answer, (N,) of :data:`EFFECTS`; all arguments are (N,) int64."""
    changed = before != after
    kinds = [changed & (after == labels), changed & (before == labels), changed]
    return np.select(kinds, EFFECTS[:3], EFFECTS[3])


def changed_answers(before: Answers, after: Answers) -> pd.DataFrame:
    """Return the rows that are answered differently.

    Parameters
    ----------
    before, after : Answers
        Answers to the same rows; the classes of the first are the first of the second.

    Returns
    -------
    DataFrame
        ``text``, ``label``, ``before``, ``after``, ``effect`` and further columns, in the order of the rows.
    """
    old, new = (answers.pooled.probabilities.argmax(axis=1) for answers in (before, after))
    names, effect = np.asarray(after.memory.classes), effects(after.labels, old, new)
    table = rows_with(after.encoded.table, {"before": names[old], "after": names[new], "effect": effect})
    return table[old != new].reset_index(drop=True)


def effect_counts(changed: pd.DataFrame) -> dict[str, int]:
    """Count what a change did: how many answers are ``fixed``, ``broken`` and ``changed`` from wrong to wrong.

    Parameters
    ----------
    changed : DataFrame
        As :func:`changed_answers` gives it.

    Returns
    -------
    dict of str to int
        0 where none is.
    """
    return {effect: int((changed["effect"] == effect).sum()) for effect in EFFECTS[:3]}
