"""How a memory is found: what a key is, the paper's own, ``aligned``, the encoder key, and how all are fitted.

A key that draws texts to the teacher's embeddings must not have seen the texts that it keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from transformers import BatchEncoding, PreTrainedTokenizerBase

from reaugkd.method.memory import Memory
from reaugkd.method.projection import key_width
from reaugkd.method.text_key import TextKey
from reaugkd.networks.encoders import TextClassifier, normalize
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import Recipe
from reaugkd.texts import Text, fold_masks, folds_apart, have_siblings

if TYPE_CHECKING:  # each takes a second to import, and a search does not need it
    from sklearn.pipeline import Pipeline

    from reaugkd.tasks.task import Task

ALIGNED, TEXT, ENCODER = "aligned", "text", "encoder"
MOST_FITTED = 200_000  # rows: a key is fitted to no more, drawn at random, and keys the others as a query is
KEYED_AT_A_TIME = 50_000  # texts: the n-grams of a million would take gigabytes
# Of the encoder key.
FOLDS = 5
PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)
TEACHER_SHARE = 0.5
MOST_ROWS = 50_000  # by 7 layers of width 384 they are 0.5 GB, of which the fit holds five copies
ENCODER_FOLDER, ENCODER_KEY_FILE = "encoder", "encoder_key.safetensors"


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

    For a z of that subspace x · z is the same as in all dimensions; the search reads 8 numbers instead of 384.

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
        # By torch: the threads of NumPy's product would spin on, and keep the searches and the next encoder waiting.
        embeddings = torch.from_numpy(np.ascontiguousarray(student_embeddings, dtype=np.float32))
        return normalize((embeddings @ torch.from_numpy(self.axes)).numpy())

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
class EncoderKey:
    r"""Turns what the layers of an untuned encoder make of a text into a key that knows the task.

    .. math:: u = \frac{W [e_0; \dots; e_L] + b}{\|W [e_0; \dots; e_L] + b\|}, \quad e = \frac{e_L}{\|e_L\|}, \quad
              \mathrm{key} = [\sqrt{1 - s} \, e; \sqrt{s} \, u], \quad
              \mathrm{key} \cdot \mathrm{key}' = (1 - s) \, e \cdot e' + s \, u \cdot u'

    Its last layer was taught to tell topics apart; tone and grammar are in the layers before. The ridge W, b draws them
    to the teacher's z. Half of the similarity stays untuned (s = 0.5), so that a class which the teacher never saw is
    still told from the others.

    Parameters
    ----------
    encoder : TextClassifier or None
        The untuned encoder; its classifier is not used. None where all texts are encoded already.
    weight : ((L + 1) d', d) float32
        W, transposed: from all layers, each of the encoder's width, to the teacher's embedding.
    bias : (d,) float32
        b.
    """

    encoder: TextClassifier | None
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def fit(cls, untuned: "UntunedEncoder", memory: Memory) -> tuple["EncoderKey", NDArray[np.float32]]:
        """Draw what the layers of an encoder make of texts to z, by a ridge in closed form.

        Parameters
        ----------
        untuned : UntunedEncoder
            The encoder, and what its layers make of the texts.
        memory : Memory
            Its N texts have these z; the folds are alike in its labels.

        Returns
        -------
        tuple of EncoderKey and (N, d' + d) float32
            The key, and the keys of the texts, each by a ridge that did not see it or its siblings.
        """
        encoder, pooled, z = untuned.encoder, untuned.pooled, memory.teacher_embeddings
        folds = folds_apart(memory.texts, memory.labels, FOLDS)
        penalty = _best_penalty(pooled, z, folds)
        keys = np.empty((len(pooled), pooled.shape[2] + z.shape[1]), dtype=np.float32)
        for seen, held_out in fold_masks(folds):
            keys[held_out] = cls(encoder, *_ridge(pooled[seen], z[seen], penalty)).keys(pooled[held_out])
        return cls(encoder, *_ridge(pooled, z, penalty)), keys

    def embed(
        self,
        texts: Sequence[Text],
        student_embeddings: NDArray[np.floating] | None = None,
        tokens: BatchEncoding | None = None,
    ) -> NDArray[np.float32]:
        """Return what the memory is searched with, (N, d' + d) of length 1; x is not read."""
        del student_embeddings, tokens
        assert self.encoder is not None
        return self.keys(self.encoder.encode_layers(texts))

    def keys(self, pooled: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the keys (N, d' + d) float32, of length 1, of texts.

        Parameters
        ----------
        pooled : (N, L + 1, d') float
            As :meth:`reaugkd.networks.encoders.TextClassifier.encode_layers` gives them.
        """
        # By torch: the threads of NumPy's product would spin on, and keep those of the next text's encoder waiting.
        features = torch.from_numpy(np.asarray(pooled, dtype=np.float32)).flatten(1)
        drawn = normalize(torch.addmm(torch.from_numpy(self.bias), features, torch.from_numpy(self.weight)).numpy())
        parts = [np.sqrt(1 - TEACHER_SHARE) * normalize(pooled[:, -1]), np.sqrt(TEACHER_SHARE) * drawn]
        return normalize(np.concatenate(parts, axis=1))

    def save(self, folder: str | Path) -> None:
        """Write the encoder into ``encoder``, and ``encoder_key.safetensors`` beside its files."""
        assert self.encoder is not None
        self.encoder.save(Path(folder) / ENCODER_FOLDER)
        save_file({"weight": self.weight, "bias": self.bias}, Path(folder) / ENCODER_FOLDER / ENCODER_KEY_FILE)

    @classmethod
    def load(cls, folder: str | Path, *, max_length: int = 128) -> "EncoderKey":
        """Read what :meth:`save` wrote."""
        encoder = TextClassifier.load(Path(folder) / ENCODER_FOLDER, max_length=max_length)
        return cls(encoder, **load_file(Path(folder) / ENCODER_FOLDER / ENCODER_KEY_FILE))


def _pipeline(penalty: float) -> "Pipeline":
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(alpha=penalty, solver="cholesky"))


def _sampled(
    pooled: NDArray[np.floating], teacher_embeddings: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return features, targets and numbers of all rows, or of some that are enough for a fit."""
    rows = np.arange(len(pooled))
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(len(rows), MOST_ROWS, replace=False))
    features = pooled[rows].reshape(len(rows), -1).astype(np.float32)
    return features, np.asarray(teacher_embeddings, dtype=np.float32)[rows], rows


def _best_penalty(
    pooled: NDArray[np.floating], teacher_embeddings: NDArray[np.floating], folds: NDArray[np.int64]
) -> float:
    """Return the penalty of the least squared error over one of the folds."""
    features, targets, rows = _sampled(pooled, teacher_embeddings)
    held_out = folds[rows] == 0
    if held_out.all():
        return PENALTIES[-1]

    def error(penalty: float) -> float:
        ridge = _pipeline(penalty).fit(features[~held_out], targets[~held_out])
        return float(((ridge.predict(features[held_out]) - targets[held_out]) ** 2).sum())

    return min(PENALTIES, key=error)


def _ridge(
    pooled: NDArray[np.floating], teacher_embeddings: NDArray[np.floating], penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    r"""Fit W and b in closed form.

    What all z have in common, their mean m, would drown what the layer makes of a text where that is little, as on a
    hard task, and all u would look alike. So m counts as much as what is added to it:

    .. math:: b = b' - m + r \, m, \quad r^2 = \operatorname{mean}_i \| W e_i + b' - m \|^2,

    with e_i the layers of text i and b' the intercept of the ridge.
    """
    features, targets, _ = _sampled(pooled, teacher_embeddings)
    scaler, ridge = _pipeline(penalty).fit(features, targets)
    weight = (ridge.coef_ / scaler.scale_).T
    common = targets.mean(axis=0)
    bias = ridge.intercept_ - scaler.mean_ @ weight - common
    spread = np.sqrt(((features @ weight + bias) ** 2).sum(axis=1).mean())
    return np.ascontiguousarray(weight, dtype=np.float32), (bias + spread * common).astype(np.float32)


@dataclass(frozen=True)
class UntunedEncoder:
    """An untuned encoder, and what its layers make of a memory's texts, which is found once.

    Parameters
    ----------
    encoder : TextClassifier or None
        The encoder; its classifier is not used. None where all texts are encoded already.
    pooled : (M, L + 1, d') float32
        As :meth:`reaugkd.networks.encoders.TextClassifier.encode_layers` gives them.
    """

    encoder: TextClassifier | None
    pooled: NDArray[np.float32]

    @classmethod
    def of(
        cls, weights: str | Path, texts: Sequence[Text], *, layers: int | None = None, max_length: int = 128
    ) -> "UntunedEncoder":
        """Load an encoder, by a name or folder, or its first so many layers, and run it over a memory's texts."""
        encoder = TextClassifier.from_pretrained(find_weights(weights), 1, layers=layers, max_length=max_length)
        return cls(encoder, encoder.encode_layers(texts))


Keyed = tuple[dict[str, Key], Memory]
"""Keys by their names, and the memory that they find rows of."""


def fit_keys(
    memory: Memory,
    tokenizer: PreTrainedTokenizerBase,
    *,
    encoder: UntunedEncoder | None = None,
    held_out: Sequence[Text] = (),
    taught: NDArray[np.bool_] | None = None,
) -> Keyed:
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
    texts, z = memory.texts, memory.teacher_embeddings
    fitted = fit_rows(texts, held_out, taught)
    aligned = AlignedKey.fit(z[fitted], len(memory.classes))
    text, text_keys = fit_text_key(memory, tokenizer, fitted)
    keys: dict[str, Key] = {ALIGNED: aligned, TEXT: text}
    found = {ALIGNED: _keyed(aligned, texts, z), TEXT: text_keys}
    if encoder is not None:
        keys[ENCODER], found[ENCODER] = fit_encoder_key(encoder, memory, fitted)
    return keys, memory.with_keys(found)


def fit_text_key(
    memory: Memory, tokenizer: PreTrainedTokenizerBase, fitted: NDArray[np.bool_], *, in_texts: bool = False
) -> tuple[TextKey, NDArray[np.float32]]:
    """Fit the text key to some rows (M,) of a memory, as :meth:`TextKey.fit` does, and key all of them, (M, w + 1)."""
    key, keys = TextKey.fit(tokenizer, _part(memory, fitted), in_texts=in_texts)
    others = list(compress(memory.texts, ~fitted))
    return key, merged(fitted, keys, _keyed(key, others, memory.teacher_embeddings[:0]))


def _part(memory: Memory, rows: NDArray[np.bool_]) -> Memory:
    return memory.with_keys({}).part(np.flatnonzero(rows))


def _keyed(key: Key, texts: Sequence[Text], z: NDArray[np.floating]) -> NDArray[np.float32]:
    """Key any number of texts as queries, some at a time."""
    blocks = [slice(start, start + KEYED_AT_A_TIME) for start in range(0, max(1, len(texts)), KEYED_AT_A_TIME)]
    return np.concatenate([key.embed(texts[block], z[block]) for block in blocks])


def fit_keys_by_split(task: "Task", memory: Memory, student: TextClassifier, recipe: Recipe) -> dict[str, Keyed]:
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
        layers, length = recipe.encoder_key_layers, recipe.max_length
        encoder = UntunedEncoder.of(recipe.encoder_key, memory.texts, layers=layers, max_length=length)
    apart: dict[str, list[Text]] = {"test": [], "validation": task.texts("validation")}
    return {split: fit_keys(memory, student.tokenizer, encoder=encoder, held_out=of) for split, of in apart.items()}


def fit_rows(
    texts: Sequence[Text], held_out: Sequence[Text], taught: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return which rows (M,) a key may be fitted to; the arguments are those of :func:`fit_keys`."""
    fitted = np.ones(len(texts), dtype=bool) if taught is None else taught.copy()
    if len(held_out):
        fitted &= ~have_siblings(texts, held_out)
    if fitted.sum() > MOST_FITTED:
        drawn = np.random.default_rng(0).choice(np.flatnonzero(fitted), MOST_FITTED, replace=False)
        fitted = np.isin(np.arange(len(texts)), drawn)
    if fitted.sum() < 2:  # hardly a text without a sibling is left: better a key of siblings than none
        return np.ones(len(texts), dtype=bool) if taught is None else taught
    return fitted


def fit_encoder_key(
    untuned: UntunedEncoder, memory: Memory, fitted: NDArray[np.bool_]
) -> tuple[EncoderKey, NDArray[np.float32]]:
    """Fit the encoder key to some rows of a memory, and key all of them.

    Parameters
    ----------
    untuned : UntunedEncoder
        The encoder, and what its layers make of the memory's texts.
    memory : Memory
        Its M texts, z and labels count.
    fitted : (M,) bool
        Which rows the key is fitted to; the others are keyed as a query is.

    Returns
    -------
    tuple of EncoderKey and (M, d' + d) float32
        The key and the keys of all rows.
    """
    key, keys = EncoderKey.fit(replace(untuned, pooled=untuned.pooled[fitted]), _part(memory, fitted))
    return key, merged(fitted, keys, key.keys(untuned.pooled[~fitted]))


def merged(
    fitted: NDArray[np.bool_], keys: NDArray[np.float32], other_keys: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the keys (M, w) of all rows: of those to which a key was fitted, and of the others."""
    every = np.empty((len(fitted), keys.shape[1]), dtype=np.float32)
    every[fitted], every[~fitted] = keys, other_keys
    return every
