"""How a memory is found: what a key is, the paper's own, ``aligned``, and how all keys are fitted to a memory.

Whatever draws texts to the teacher's embeddings must not have seen those that it keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from transformers import BatchEncoding, PreTrainedTokenizerBase

from reaugkd.method.encoder_key import EncoderKey
from reaugkd.method.memory import Memory
from reaugkd.method.projection import key_width
from reaugkd.method.text_key import TextKey
from reaugkd.networks.encoders import TextClassifier, normalize
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import Recipe
from reaugkd.texts import Text, have_siblings

if TYPE_CHECKING:
    from reaugkd.tasks.task import Task

ALIGNED, TEXT, ENCODER = "aligned", "text", "encoder"


class Key(Protocol):
    """A way to find memories."""

    def embed(
        self, texts: Sequence[Text], student_embeddings: NDArray[np.floating], tokens: BatchEncoding | None = None
    ) -> NDArray[np.float32]:
        """Return what the memory is searched with, (N, w) float32 of length 1, for N texts.

        Parameters
        ----------
        texts : sequence of Text
            Texts or pairs.
        student_embeddings : (N, d) float
            Their x.
        tokens : BatchEncoding, optional
            What the student read of them, where it is at hand.
        """
        ...

    def save(self, folder: str | Path) -> None:
        """Write the key's files into a folder that is there."""
        ...


@dataclass(frozen=True)
class AlignedKey:
    """The paper's key: the student's x searches the teacher's z, in the few dimensions in which the z lie.

    For a z of that subspace x · z is the same as in all dimensions; the search reads 8 numbers in the place of 384.

    Parameters
    ----------
    axes : (d, w) float32
        The first right singular vectors of the memory's z.
    """

    axes: NDArray[np.float32]

    @classmethod
    def fit(cls, teacher_embeddings: NDArray[np.floating], classes: int) -> "AlignedKey":
        """Find the subspace in which the memory's z lie.

        Parameters
        ----------
        teacher_embeddings : (M, d) float
            z.
        classes : int
            C.

        Returns
        -------
        AlignedKey
            Of :func:`key_width` axes.
        """
        # The eigenvectors of d x d products: a singular value decomposition of a million rows would take gigabytes.
        products = np.asarray(teacher_embeddings, dtype=np.float64).T @ teacher_embeddings
        axes = np.linalg.eigh(products)[1][:, ::-1][:, : key_width(teacher_embeddings, classes)]
        return cls(np.ascontiguousarray(axes, dtype=np.float32))

    def embed(
        self, texts: Sequence[Text], student_embeddings: NDArray[np.floating], tokens: BatchEncoding | None = None
    ) -> NDArray[np.float32]:
        """Return x, or z, on the axes, (N, w) of length 1; the texts are not read."""
        del texts, tokens
        return normalize(np.asarray(student_embeddings, dtype=np.float32) @ self.axes)

    def save(self, folder: str | Path) -> None:
        """Write ``aligned.safetensors``, as float16 where that loses nothing."""
        halved = self.axes.astype(np.float16)
        axes = halved if np.array_equal(halved, self.axes) else self.axes
        save_file({"axes": axes}, Path(folder) / f"{ALIGNED}.safetensors")

    @classmethod
    def load(cls, folder: str | Path) -> "AlignedKey":
        """Read what :meth:`save` wrote."""
        return cls(load_file(Path(folder) / f"{ALIGNED}.safetensors")["axes"].astype(np.float32))


@dataclass(frozen=True)
class UntunedEncoder:
    """An untuned encoder, and what its layers make of a memory's texts, which is found once.

    Parameters
    ----------
    encoder : TextClassifier
        The encoder; its classifier is not used.
    pooled : (M, L + 1, d') float32
        As :meth:`reaugkd.networks.encoders.TextClassifier.encode_layers` gives them.
    """

    encoder: TextClassifier
    pooled: NDArray[np.float32]

    @classmethod
    def of(
        cls, weights: str | Path, texts: Sequence[Text], *, layers: int | None = None, max_length: int = 128
    ) -> "UntunedEncoder":
        """Load an encoder, or its first so many layers, and run it over a memory's texts."""
        encoder = TextClassifier.from_pretrained(weights, 1, layers=layers, max_length=max_length)
        return cls(encoder, encoder.encode_layers(texts))


def fit_keys(
    memory: Memory,
    tokenizer: PreTrainedTokenizerBase,
    *,
    encoder: UntunedEncoder | None = None,
    held_out: Sequence[Text] = (),
    taught: NDArray[np.bool_] | None = None,
) -> tuple[dict[str, Key], Memory]:
    """Fit the keys to a memory, and key its rows.

    Parameters
    ----------
    memory : Memory
        Its M texts, z and labels count, not its keys.
    tokenizer : PreTrainedTokenizerBase
        The student's, which the text key reads by.
    encoder : UntunedEncoder, optional
        Fits the encoder key too.
    held_out : sequence of Text
        Texts on which something will be chosen: no sibling of theirs is in the fit, since a text that comes later has
        none there. The siblings are keyed as a query is; :mod:`reaugkd.method.choice` leaves them out of the search.
    taught : (M,) bool, optional
        Which rows have a z by the teacher; all if left out. The others are keyed as a query is.

    Returns
    -------
    tuple of dict of str to Key and Memory
        The keys by name, and the memory with what each searches.
    """
    texts, z, classes = memory.texts, memory.teacher_embeddings, len(memory.classes)
    fitted = fit_rows(texts, held_out, taught)
    fitted_texts, others = list(compress(texts, fitted)), list(compress(texts, ~fitted))
    aligned = AlignedKey.fit(z[fitted], classes)
    text, text_keys = TextKey.fit(tokenizer, fitted_texts, z[fitted], memory.labels[fitted], classes)
    keys: dict[str, Key] = {ALIGNED: aligned, TEXT: text}
    found = {ALIGNED: aligned.embed(texts, z), TEXT: merged(fitted, text_keys, text.embed(others))}
    if encoder is not None:
        keys[ENCODER], found[ENCODER] = keyed_by(encoder.encoder, encoder.pooled, memory, fitted)
    return keys, memory.with_keys(found)


def fit_keys_by_split(
    task: "Task", memory: Memory, student: TextClassifier, recipe: Recipe
) -> dict[str, tuple[dict[str, Key], Memory]]:
    """Fit the keys twice: for ``test`` to the whole memory, for ``validation`` apart from siblings of those rows.

    Parameters
    ----------
    task : Task
        The task.
    memory : Memory
        Of the task's taught texts.
    student : TextClassifier
        Its tokenizer is read.
    recipe : Recipe
        ``encoder_key``, ``encoder_key_layers`` and ``max_length`` are used.

    Returns
    -------
    dict of str to tuple
        By split, what :func:`fit_keys` returns. What is chosen on validation rows is chosen with the second.
    """
    encoder = None
    if recipe.encoder_key is not None:
        weights, layers = find_weights(recipe.encoder_key), recipe.encoder_key_layers
        encoder = UntunedEncoder.of(weights, memory.texts, layers=layers, max_length=recipe.max_length)
    apart: dict[str, list[Text]] = {"test": [], "validation": task.texts("validation")}
    return {
        split: fit_keys(memory, student.tokenizer, encoder=encoder, held_out=held_out)
        for split, held_out in apart.items()
    }


def fit_rows(
    texts: Sequence[Text], held_out: Sequence[Text], taught: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return which rows (M,) a key may be fitted to; the arguments are those of :func:`fit_keys`."""
    fitted = np.ones(len(texts), dtype=bool) if taught is None else taught.copy()
    if len(held_out):
        fitted &= ~have_siblings(texts, held_out)
    if fitted.sum() < 2:  # hardly a text without a sibling is left: better a key of siblings than none
        return np.ones(len(texts), dtype=bool) if taught is None else taught
    return fitted


def keyed_by(
    encoder: TextClassifier | None,
    pooled: NDArray[np.floating],
    memory: Memory,
    fitted: NDArray[np.bool_],
) -> tuple[EncoderKey, NDArray[np.float32]]:
    """Fit the encoder key to some rows of a memory, and key all of them.

    Parameters
    ----------
    encoder : TextClassifier or None
        The untuned encoder; None where all texts are encoded already.
    pooled : (M, L + 1, d') float
        What its layers make of the memory's texts.
    memory : Memory
        Its M texts, z and labels count.
    fitted : (M,) bool
        Which rows the key is fitted to; the others are keyed as a query is.

    Returns
    -------
    tuple of EncoderKey and (M, d' + d) float32
        The key and the keys of all rows.
    """
    z, fitted_texts = memory.teacher_embeddings[fitted], list(compress(memory.texts, fitted))
    key, keys = EncoderKey.fit(encoder, pooled[fitted], fitted_texts, z, memory.labels[fitted])
    return key, merged(fitted, keys, key.keys(pooled[~fitted]))


def merged(
    fitted: NDArray[np.bool_], keys: NDArray[np.float32], other_keys: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the keys (M, w) of all rows: of those to which a key was fitted, and of the others."""
    every = np.empty((len(fitted), keys.shape[1]), dtype=np.float32)
    every[fitted], every[~fitted] = keys, other_keys
    return every
