"""Text encoders with a classifier on top: what teacher and student are, also one that was fine-tuned elsewhere."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import BatchEncoding, PreTrainedTokenizerBase
from transformers.utils import logging as hf_logging

from reaugkd.errors import ReAugKDError, reason
from reaugkd.networks.weights import read_pooling, write_pooling
from reaugkd.texts import Text

if TYPE_CHECKING:
    from reaugkd.networks.onnx import OnnxNetwork

CLASSIFIER_FILE = "classifier.safetensors"
BATCH_SIZE = 64
CHECKED_TEXTS = 100  # of a task, whether the tokenizer knows a word of them
TOKENIZED = 50_000  # texts at a time: the tokens of a million would take many gigabytes
# Of a classifier that was fine-tuned elsewhere.
CHOOSES_ONE = "single_label_classification"
SAME = 1e-4  # the most by which two ways to the same logits may differ

_lock = Lock()  # of the tokenizers

if hasattr(os, "register_at_fork"):  # a forked process has one thread, and would wait for the others for ever
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def tokenized(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], **options: Any) -> BatchEncoding:
    """Tokenize texts, one thread at a time: a tokenizer keeps where it cuts, so two would cut as one of them asks."""
    with _lock:
        return tokenizer(list(texts), **options)


class TextClassifier(nn.Module):
    """A pretrained encoder, a pooling of its outputs, and a linear classifier.

    Parameters
    ----------
    encoder : PreTrainedModel
        Any Hugging Face encoder that returns ``last_hidden_state``.
    tokenizer : PreTrainedTokenizerBase
        Its tokenizer.
    num_labels : int
        Number of classes C.
    pooling : str
        ``"mean"`` over the tokens that are not padding, or ``"cls"``, the first token.
    max_length : int
        Tokens after which a text, or the longer text of a pair, is cut.
    """

    onnx: "OnnxNetwork | None" = None
    """The same network by :func:`reaugkd.networks.onnx.export_onnx`, which :meth:`encode` runs on the CPU."""

    def __init__(
        self,
        encoder: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        num_labels: int,
        pooling: str = "mean",
        max_length: int = 128,
    ) -> None:
        super().__init__()
        # The pooler is not used here, and a weight without a gradient would stop distributed training.
        if hasattr(encoder, "pooler"):
            encoder.pooler = None  # type: ignore[assignment]  # torch types every attribute as a module
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.max_length = max_length
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(encoder.config.hidden_size, num_labels)
        self.embedding_head: nn.Linear | None = None

    def add_embedding_head(self) -> None:
        """Put a linear layer, the identity at first, between the pooled output and the embedding.

        What is drawn to a teacher's space is then the embedding, and the classifier keeps a pooled output of its own.
        """
        self.embedding_head = nn.Linear(self.embedding_width, self.embedding_width)
        nn.init.eye_(self.embedding_head.weight)
        nn.init.zeros_(self.embedding_head.bias)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, num_labels: int, *, layers: int | None = None, max_length: int = 128
    ) -> Self:
        """Load an encoder and put a fresh classifier on it.

        Parameters
        ----------
        folder : str or Path
            A local folder, as :func:`reaugkd.networks.weights.find_weights` returns it.
        num_labels : int
            Number of classes.
        layers : int, optional
            Keep only the first so many transformer layers.
        max_length : int
            Tokens after which a text is cut.

        Returns
        -------
        TextClassifier
            In evaluation mode; the classifier's weights are random.

        Raises
        ------
        ReAugKDError
            If the folder cannot be loaded, has no tokenizer, or has fewer layers than asked for.
        """
        encoder, tokenizer, _ = load_pretrained(AutoModel, folder, "an encoder", layers=layers)
        limit = min(max_length, _positions(encoder, max_length), tokenizer.model_max_length)
        return cls(encoder, tokenizer, num_labels, read_pooling(folder), limit).eval()

    @classmethod
    def load(cls, folder: str | Path, *, max_length: int = 128) -> Self:
        """Load what :meth:`save` wrote.

        Parameters
        ----------
        folder : str or Path
            The folder.
        max_length : int
            Tokens after which a text is cut.

        Returns
        -------
        TextClassifier
            In evaluation mode.

        Raises
        ------
        ReAugKDError
            If a file is missing or damaged.
        """
        try:
            heads = load_file(Path(folder) / CLASSIFIER_FILE)
            model = cls.from_pretrained(folder, num_labels=heads["weight"].shape[0], max_length=max_length)
            if "embedding_head.weight" in heads:
                model.add_embedding_head()
            named = {name if "." in name else f"classifier.{name}": value for name, value in heads.items()}
            model.load_state_dict(named, strict=False)  # the encoder has its own file
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            raise ReAugKDError(
                f"{str(folder)!r} holds no whole classifier ({reason(error)}); train or copy it again."
            ) from error
        return model

    def save(self, folder: str | Path) -> None:
        """Write encoder and tokenizer as a Hugging Face model, and the classifier beside them.

        Parameters
        ----------
        folder : str or Path
            The folder; made if it is missing.
        """
        folder = Path(folder)
        with quiet():
            self.encoder.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        heads = {name: value for name, value in self.state_dict().items() if not name.startswith("encoder.")}
        save_file({name.removeprefix("classifier."): value for name, value in heads.items()}, folder / CLASSIFIER_FILE)
        write_pooling(folder, self.pooling, self.embedding_width)

    @property
    def embedding_width(self) -> int:
        """Width of the pooled output."""
        return int(self.encoder.config.hidden_size)

    @property
    def num_layers(self) -> int:
        """Number of transformer layers."""
        return int(self.encoder.config.num_hidden_layers)

    def freeze_word_embeddings(self) -> None:
        """Keep the word embeddings as pretrained: most of a small encoder's weights, and slow to train."""
        self.encoder.get_input_embeddings().requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode, as torch does; a network whose weights will move is not the exported one any more."""
        if mode:
            self.onnx = None
        return super().train(mode)

    def forward(self, **tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and classify a batch of tokens.

        Parameters
        ----------
        **tokens : Tensor
            ``input_ids``, ``attention_mask`` and whatever else the tokenizer gives, each (N, L).

        Returns
        -------
        tuple of Tensor
            Embedding (N, H), which is the pooled output unless there is an embedding head, and logits (N, C).
        """
        pooled = self._pool(self.encoder(**tokens).last_hidden_state, tokens["attention_mask"])
        embedding = pooled if self.embedding_head is None else self.embedding_head(pooled)
        return embedding, self.classifier(self.dropout(pooled))

    def _pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Pool the hidden states (N, L, H) of a layer to (N, H)."""
        if self.pooling == "cls":
            return hidden[:, 0]
        mask = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)

    def tokenize(self, texts: Sequence[Text]) -> BatchEncoding:
        """Tokenize without padding.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.

        Returns
        -------
        BatchEncoding
            Lists of N lists of ids, by input name.
        """
        return tokenized(self.tokenizer, texts, truncation=True, max_length=self.max_length)

    def characters_read(self, texts: Sequence[Text], tokens: BatchEncoding | None = None) -> dict[int, tuple[int, ...]]:
        """Find the texts that are longer than the network reads.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.
        tokens : BatchEncoding, optional
            Of the same texts, by :meth:`tokenize`, where they are at hand.

        Returns
        -------
        dict of int to tuple of int
            By the number of each text that is cut: how many of its characters are read, for a pair of either part. It
            is empty where the tokenizer does not say where its tokens stand.
        """
        found: dict[int, tuple[int, ...]] = {}
        for first in range(0, len(texts), TOKENIZED if tokens is None else max(1, len(texts))):
            part = tokens or self.tokenize(texts[first : first + TOKENIZED])
            cut = ((first + row, one) for row, one in enumerate(part.encodings or []) if one.overflowing)
            for row, one in cut:
                places = list(zip(one.sequence_ids, one.offsets, strict=True))
                sides = range(1 if isinstance(texts[row], str) else 2)
                found[row] = tuple(max([end for of, (_, end) in places if of == side], default=0) for side in sides)
        return found

    @torch.inference_mode()
    def encode(
        self, texts: Sequence[Text], tokens: BatchEncoding | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Encode and classify texts, batches grouped by length.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.
        tokens : BatchEncoding, optional
            Of the same texts, by :meth:`tokenize`, where they are at hand.

        Returns
        -------
        tuple of ndarray
            Embeddings (N, H) and class probabilities (N, C), float32, in the order of the texts.
        """
        hidden = np.zeros((len(texts), self.embedding_width), dtype=np.float32)
        probabilities = np.zeros((len(texts), self.classifier.out_features), dtype=np.float32)
        is_fast = self.onnx is not None and self.onnx.session is not None and self.classifier.weight.is_cpu
        run: Any = self.onnx if is_fast else self
        for rows, batch in self._batches(texts, tokens):
            embedding, logits = run(**batch)
            hidden[rows] = embedding.float().cpu().numpy()
            probabilities[rows] = torch.softmax(logits.float(), dim=-1).cpu().numpy()
        return hidden, probabilities

    def embed(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Return the embeddings of texts, (N, H) float32, of length 1: a student's x_i."""
        return normalize(self.encode(texts)[0])

    @torch.inference_mode()
    def encode_layers(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Pool what every layer makes of texts: the first layers keep what the last has been taught to leave out.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.

        Returns
        -------
        (N, layers + 1, H) float32
            The word embeddings, then each layer's output; the last is the pooled output.
        """
        pooled = np.zeros((len(texts), self.num_layers + 1, self.embedding_width), dtype=np.float32)
        for rows, batch in self._batches(texts):
            for layer, hidden in enumerate(self.encoder(**batch, output_hidden_states=True).hidden_states):
                pooled[rows, layer] = self._pool(hidden, batch["attention_mask"]).float().cpu().numpy()
        return pooled

    def _batches(
        self, texts: Sequence[Text], all_tokens: BatchEncoding | None = None
    ) -> Iterator[tuple[NDArray[np.integer], BatchEncoding]]:
        """Yield the numbers of texts of like length, and their tokens."""
        if self.training:  # a call to every layer takes a millisecond
            self.eval()
        device = self.classifier.weight.device
        for first in range(0, len(texts), TOKENIZED if all_tokens is None else max(1, len(texts))):
            tokens = all_tokens or self.tokenize(texts[first : first + TOKENIZED])
            order = np.argsort([len(ids) for ids in tokens["input_ids"]], kind="stable")
            for start in range(0, len(order), BATCH_SIZE):
                rows = order[start : start + BATCH_SIZE]
                batch = self.tokenizer.pad(
                    {name: [values[row] for row in rows] for name, values in tokens.items()}, return_tensors="pt"
                )
                yield first + rows, batch.to(device)


class SequenceClassifier(TextClassifier):
    """A fine-tuned ``AutoModelForSequenceClassification`` of any architecture, with its head as it is.

    Its embedding is the vector that enters its last linear layer. That layer is taken out of the model, which then
    returns the vector instead of the logits, and is applied to it here. So the embedding is the one that the
    logits are made of, whatever comes before it in a head: BERT's pooler, RoBERTa's dense layer, ModernBERT's norm.

    Parameters
    ----------
    model : PreTrainedModel
        The whole model; its last linear layer is replaced by the identity.
    tokenizer : PreTrainedTokenizerBase
        Its tokenizer.
    max_length : int
        Tokens after which a text, or the longer text of a pair, is cut.

    Raises
    ------
    ReAugKDError
        If the logits do not come from a linear layer over one vector for each text.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        nn.Module.__init__(self)  # a model has encoder, pooling and dropout inside
        self.encoder = model.eval()
        self.tokenizer, self.max_length = tokenizer, max_length
        self.head, linear = [one for one in model.named_modules() if isinstance(one[1], nn.Linear)][-1]
        tokens = tokenized(tokenizer, ["a text to try"], return_tensors="pt", truncation=True, max_length=max_length)
        with torch.inference_mode():
            wanted = model(**tokens).logits
            model.set_submodule(self.head, nn.Identity())
            self.classifier = linear
            vector = model(**tokens).logits
            is_read = vector.shape == (1, linear.in_features) and wanted.shape == (1, linear.out_features)
            if not is_read or not torch.allclose(linear(vector), wanted, atol=SAME):
                raise ReAugKDError(
                    f"A {type(model).__name__} does not end in a linear layer of one vector a text; name a classifier "
                    "that does, such as a BERT's."
                )

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, max_length: int | None = None) -> Self:  # type: ignore[override]  # nothing is left to choose
        """Load a fine-tuned classifier.

        Parameters
        ----------
        folder : str or Path
            A local folder, as :func:`reaugkd.networks.weights.find_weights` returns it.
        max_length : int, optional
            Tokens after which a text is cut; as many as the model can read if left out.

        Returns
        -------
        SequenceClassifier
            In evaluation mode.

        Raises
        ------
        ReAugKDError
            If the folder cannot be loaded, has no tokenizer or no trained head, or if its model does not choose one of
            several classes.
        """
        model, tokenizer, missing = load_pretrained(AutoModelForSequenceClassification, folder, "a classifier")
        if missing:
            raise ReAugKDError(
                f"{str(folder)!r} holds no trained classifier (it lacks {min(missing)}); name a model that was "
                "fine-tuned to classify texts."
            )
        kind = "regression" if model.config.num_labels == 1 else model.config.problem_type or CHOOSES_ONE
        if kind != CHOOSES_ONE:
            raise ReAugKDError(f"{str(folder)!r} is made for {kind}; name a model that chooses one of several classes.")
        limit = min(_positions(model, 512), tokenizer.model_max_length, max_length or tokenizer.model_max_length)
        return cls(model, tokenizer, limit)

    @classmethod
    def load(cls, folder: str | Path, *, max_length: int = 128) -> Self:
        """Load what :meth:`save` wrote; the arguments are those of :meth:`from_pretrained`."""
        return cls.from_pretrained(folder, max_length=max_length)

    def save(self, folder: str | Path) -> None:
        """Write model and tokenizer as transformers does: ``AutoModelForSequenceClassification`` loads the folder."""
        head = {f"{self.head}.{name}": value for name, value in self.classifier.state_dict().items()}
        with quiet():
            self.encoder.save_pretrained(folder, state_dict=self.encoder.state_dict() | head)
            self.tokenizer.save_pretrained(folder)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the C classes, by ``id2label``, or by ``label2id`` where only that has names of its own."""
        config = self.encoder.config
        named = [(int(number), str(name)) for number, name in (config.id2label or {}).items()]
        others = [(int(number), str(name)) for name, number in (config.label2id or {}).items()]
        if len(others) == len(named) and has_no_names(name for _, name in named):
            named = others
        return tuple(name for _, name in sorted(named))

    @property
    def embedding_width(self) -> int:
        """Width of the vector that enters the last linear layer."""
        return self.classifier.in_features

    def forward(self, **tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors (N, H) that enter the last linear layer, and the logits (N, C)."""
        vectors = self.encoder(**tokens).logits
        return vectors, self.classifier(vectors)


def has_no_names(names: Iterable[str]) -> bool:
    """Return whether classes are called as transformers calls those that nobody named: LABEL_0, LABEL_1."""
    return all(name.removeprefix("LABEL_").isdecimal() and name.startswith("LABEL_") for name in names)


def load_student(folder: str | Path, *, max_length: int) -> TextClassifier:
    """Load the student of a model's folder: one that was trained here, or a classifier as it was adopted."""
    kind = TextClassifier if (Path(folder) / CLASSIFIER_FILE).is_file() else SequenceClassifier
    return kind.load(folder, max_length=max_length)


def _positions(model: PreTrainedModel, default: int) -> int:
    """Return how many tokens a model has positions for; RoBERTa and its kin give none to the first, for padding."""
    limits = [getattr(model.config, "max_position_embeddings", -1)]
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, nn.Embedding):
            limits.append(table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1))
    return min((limit for limit in limits if limit > 0), default=default)  # XLNet says -1


def _keep_layers(config: PreTrainedConfig, layers: int) -> None:
    """Cut what an encoder is made of to the first of its transformer layers, in place."""
    total = config.num_hidden_layers
    if not 1 <= layers <= total:
        raise ReAugKDError(f"A student of {layers} layers cannot be cut from an encoder of {total}; take 1 to {total}.")
    config.num_hidden_layers = layers
    for name, value in vars(config).items():  # some list a value for each layer, such as its kind of attention
        is_of_layers = name.endswith("layer_types") or name == "attention_window"
        if is_of_layers and isinstance(value, list) and len(value) == total:
            setattr(config, name, value[:layers])


def load_pretrained(
    kind: Any, folder: str | Path, called: str, *, layers: int | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, set[str]]:
    """Load a network and its tokenizer. Code beside the weights is never run, and nobody is asked whether to run it.

    Parameters
    ----------
    kind : type
        Which of transformers' ``AutoModel`` classes it is.
    folder : str or Path
        A local folder.
    called : str
        What it is called in an error, such as ``"an encoder"``.
    layers : int, optional
        Keep only the first so many transformer layers.

    Returns
    -------
    tuple of PreTrainedModel, PreTrainedTokenizerBase and set of str
        The network, its tokenizer, and the names of the weights that the folder lacks.

    Raises
    ------
    ReAugKDError
        If the folder cannot be loaded, has no tokenizer, or has fewer layers than asked for.
    """
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    failed = f"{str(folder)!r} cannot be loaded as {called}"
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, **options)
            if layers is not None:
                _keep_layers(config, layers)
            model, report = kind.from_pretrained(
                folder, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ReAugKDError(f"{failed} ({reason(error)}); name another model.") from error
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):  # transformers made it without any file
        raise ReAugKDError(
            f"{failed} (its tokenizer's files are missing, and so it knows no word); save the tokenizer there too."
        )
    return model, tokenizer, report["missing_keys"]


def check_encoder(
    folder: str | Path, texts: Sequence[Text], *, layers: int | None, max_length: int, every_layer: bool
) -> None:
    """Refuse an encoder that cannot do what will be asked of it, before hours are spent on others.

    Parameters
    ----------
    folder : str or Path
        Folder of the encoder.
    texts : sequence of Text
        Texts or pairs of the task; the shortest and the longest are encoded, by what is saved and loaded again.
    layers : int or None
        As :meth:`TextClassifier.from_pretrained` takes it.
    max_length : int
        Tokens after which a text is cut.
    every_layer : bool
        Whether each layer's output is needed, not the last alone.

    Raises
    ------
    ReAugKDError
        If it cannot be loaded or cut, fails at a text, or its tokenizer knows nothing of the texts.
    """
    by_length = sorted(texts, key=lambda text: len("".join(text)))
    asked = [by_length[0], by_length[-1]]
    try:
        model = TextClassifier.from_pretrained(folder, 1, layers=layers, max_length=max_length)
        known = set(chain.from_iterable(model.tokenize(texts[:CHECKED_TEXTS])["input_ids"]))
        known -= set(model.tokenizer.all_special_ids)
        with tempfile.TemporaryDirectory() as scratch:
            model.save(scratch)
            model = TextClassifier.load(scratch, max_length=max_length)
        _ = model.encode_layers(asked) if every_layer else model.encode(asked)
    except (ReAugKDError, OSError):
        raise
    except Exception as error:  # each architecture fails in a way of its own
        raise ReAugKDError(f"{str(folder)!r} cannot encode a text, or not when saved; name another encoder.") from error
    if not known:
        raise ReAugKDError(f"The tokenizer of {str(folder)!r} knows no word of the texts; name one of their language.")


def normalize(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale rows to length 1.

    Parameters
    ----------
    vectors : (N, d) float
        Rows of any length.

    Returns
    -------
    (N, d) float32
        Rows of length 1; a row of zeros stays.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    lengths[np.abs(lengths - 1) < 1e-6] = 1  # what is normalised stays as it is to the bit, also when loaded again
    return vectors / np.maximum(lengths, 1e-12)


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the reports and bars of loading and saving: that the unused pooler is missing is no news."""
    verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()
