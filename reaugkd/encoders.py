"""Text encoders with a classifier on top: what teacher and student both are."""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from reaugkd.errors import ReAugKDError
from reaugkd.texts import Text, two_parts

CLASSIFIER_FILE = "classifier.safetensors"
POOLING_FILE = "1_Pooling/config.json"
BATCH_SIZE = 64
TOKENIZED = 50_000  # texts at a time: the tokens of a million would take many gigabytes


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
    ) -> "TextClassifier":
        """Load an encoder and put a fresh classifier on it.

        Parameters
        ----------
        folder : str or Path
            A local folder, as :func:`reaugkd.weights.find_weights` returns it.
        num_labels : int
            Number of classes.
        layers : int, optional
            Keep only the first so many transformer layers; see :func:`keep_layers`.
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
        encoder, tokenizer = _load_encoder(folder)
        if layers is not None:
            keep_layers(encoder, layers)
        # RoBERTa and its kin count two positions that no token may have; their tokenizers know the limit.
        positions = getattr(encoder.config, "max_position_embeddings", max_length)
        limit = min(max_length, positions, tokenizer.model_max_length)
        return cls(encoder, tokenizer, num_labels, read_pooling(folder), limit).eval()

    @classmethod
    def load(cls, folder: str | Path, *, max_length: int = 128) -> "TextClassifier":
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
                assert model.embedding_head is not None
                for name in ("weight", "bias"):
                    getattr(model.embedding_head, name).data.copy_(heads.pop(f"embedding_head.{name}"))
            model.classifier.load_state_dict(heads)
        except (OSError, KeyError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise ReAugKDError(
                f"{str(folder)!r} holds no whole classifier ({reason}); train or copy it again."
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
        with _quiet():
            self.encoder.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        heads = dict(self.classifier.state_dict())
        if self.embedding_head is not None:
            heads |= {f"embedding_head.{name}": value for name, value in self.embedding_head.state_dict().items()}
        save_file({name: value.contiguous() for name, value in heads.items()}, folder / CLASSIFIER_FILE)
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
        texts = list(texts)  # an array or a Series has no truth value, and counts by labels of its own
        firsts = [text if isinstance(text, str) else text[0] for text in texts]
        seconds = None if not texts or isinstance(texts[0], str) else [text[1] for text in texts]
        return self.tokenizer(firsts, seconds, truncation=True, max_length=self.max_length)

    @torch.inference_mode()
    def encode(
        self, texts: Sequence[Text], batch_size: int = BATCH_SIZE
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Encode and classify texts, batches grouped by length.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.
        batch_size : int
            Texts at a time.

        Returns
        -------
        tuple of ndarray
            Embeddings (N, H) and class probabilities (N, C), float32, in the order of the texts.
        """
        hidden = np.zeros((len(texts), self.embedding_width), dtype=np.float32)
        probabilities = np.zeros((len(texts), self.classifier.out_features), dtype=np.float32)
        for rows, batch in self._batches(texts, batch_size):
            embedding, logits = self(**batch)
            hidden[rows] = embedding.float().cpu().numpy()
            probabilities[rows] = torch.softmax(logits.float(), dim=-1).cpu().numpy()
        return hidden, probabilities

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
            states = self.encoder(**batch, output_hidden_states=True).hidden_states
            for layer, hidden in enumerate(states):
                pooled[rows, layer] = self._pool(hidden, batch["attention_mask"]).float().cpu().numpy()
        return pooled

    def _batches(
        self, texts: Sequence[Text], batch_size: int = BATCH_SIZE
    ) -> Iterator[tuple[NDArray[np.integer], BatchEncoding]]:
        """Yield the numbers of texts of like length, and their tokens."""
        if self.training:  # to say so to every layer again takes a millisecond
            self.eval()
        device = self.classifier.weight.device
        for first in range(0, len(texts), TOKENIZED):
            tokens = self.tokenize(texts[first : first + TOKENIZED])
            order = np.argsort([len(ids) for ids in tokens["input_ids"]], kind="stable")
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                batch = self.tokenizer.pad(
                    {name: [values[row] for row in rows] for name, values in tokens.items()}, return_tensors="pt"
                )
                yield first + rows, batch.to(device)


def keep_layers(encoder: PreTrainedModel, layers: int) -> None:
    """Cut an encoder to the first of its transformer layers, in place.

    Parameters
    ----------
    encoder : PreTrainedModel
        The encoder.
    layers : int
        How many to keep.

    Raises
    ------
    ReAugKDError
        If it has fewer, none would be left, or its layers are not found.
    """
    total = encoder.config.num_hidden_layers
    if not 1 <= layers <= total:
        raise ReAugKDError(
            f"A student of {layers} layers cannot be cut from an encoder of {total}; ask for 1 to {total}."
        )
    if layers == total:
        return
    stacks = [module for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module) == total]
    if not stacks:
        raise ReAugKDError(
            f"{type(encoder).__name__} does not show its {total} layers as a list, so none can be left out; "
            "ask for all of them (--student-layers all)."
        )
    del stacks[0][layers:]
    encoder.config.num_hidden_layers = layers
    kinds = getattr(encoder.config, "layer_types", None)  # of encoders that mix local and global attention
    if kinds is not None:
        encoder.config.layer_types = kinds[:layers]


def check_encoder(
    folder: str | Path,
    texts: Sequence[Text],
    *,
    layers: int | None = None,
    max_length: int = 128,
    every_layer: bool = False,
) -> None:
    """Refuse an encoder that cannot do what will be asked of it, before hours are spent on others.

    Parameters
    ----------
    folder : str or Path
        Folder of the encoder.
    texts : sequence of Text
        Some texts or pairs of the task; the shortest and the longest are encoded.
    layers : int, optional
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
    asked = [min(texts, key=_characters), max(texts, key=_characters)]
    try:
        model = TextClassifier.from_pretrained(folder, 1, layers=layers, max_length=max_length)
        known = set(chain.from_iterable(model.tokenize(texts)["input_ids"])) - set(model.tokenizer.all_special_ids)
        _ = model.encode_layers(asked) if every_layer else model.encode(asked)
    except ReAugKDError:
        raise
    except Exception as error:  # each architecture fails in a way of its own
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ReAugKDError(f"{str(folder)!r} cannot encode a text ({reason}); name another encoder.") from error
    if not known:
        raise ReAugKDError(
            f"The tokenizer of {str(folder)!r} knows no word of the texts; name an encoder of their language."
        )


def share_cut(folder: str | Path, texts: Sequence[Text], max_length: int) -> float:
    """Return which share of texts has more tokens than are read, so that their ends are cut off.

    Parameters
    ----------
    folder : str or Path
        Folder of the encoder.
    texts : sequence of Text
        N texts or pairs.
    max_length : int
        Tokens after which a text is cut.

    Returns
    -------
    float
        From 0 to 1.
    """
    model = TextClassifier.from_pretrained(folder, 1, max_length=max_length)
    limit = model.max_length
    model.max_length = limit + 1
    return float(np.mean([len(ids) > limit for ids in model.tokenize(texts)["input_ids"]]))


def _characters(text: Text) -> int:
    return len("".join(two_parts(text)))


def encoder_config(folder: str | Path) -> PreTrainedConfig:
    """Read what an encoder is made of, without its weights.

    Parameters
    ----------
    folder : str or Path
        Folder of the encoder.

    Returns
    -------
    PreTrainedConfig
        With ``hidden_size`` and ``num_hidden_layers``.

    Raises
    ------
    ReAugKDError
        If the folder holds no encoder that can be loaded.
    """
    with _failing_as_sentence(folder):
        return AutoConfig.from_pretrained(folder, local_files_only=True)


def read_pooling(folder: str | Path) -> str:
    """Read how a model wants its outputs pooled (the sentence-transformers file); mean where it does not say.

    Parameters
    ----------
    folder : str or Path
        Folder of the model.

    Returns
    -------
    str
        ``"mean"`` or ``"cls"``.

    Raises
    ------
    ReAugKDError
        If the model pools in another way.
    """
    path = Path(folder) / POOLING_FILE
    modes = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    asked = [mode for mode, is_asked in modes.items() if mode.startswith("pooling_mode_") and is_asked is True]
    if asked == ["pooling_mode_cls_token"]:
        return "cls"
    if asked in ([], ["pooling_mode_mean_tokens"]):
        return "mean"
    raise ReAugKDError(f"{str(folder)!r} pools by {' and '.join(asked)}; name an encoder with mean or CLS pooling.")


def write_pooling(folder: str | Path, pooling: str, width: int) -> None:
    """Write the pooling where :func:`read_pooling` and sentence-transformers look for it.

    Parameters
    ----------
    folder : str or Path
        Folder of the model.
    pooling : str
        ``"mean"`` or ``"cls"``.
    width : int
        Width of the pooled output.
    """
    path = Path(folder) / POOLING_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    modes = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
    path.write_text(json.dumps({"word_embedding_dimension": width, **modes}, indent=2) + "\n", encoding="utf-8")


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
def _quiet() -> Iterator[None]:
    """Hide the reports and bars of loading and saving: that the unused pooler is missing is no news."""
    verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()


def _load_encoder(folder: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    with _failing_as_sentence(folder), _quiet():
        encoder = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # Where its files are missing, transformers makes one of special tokens alone, and every text would be the same.
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise ReAugKDError(
            f"{str(folder)!r} cannot be loaded as an encoder (its tokenizer's files are missing, and so it knows no "
            "word); save the tokenizer there too."
        )
    return encoder, tokenizer


@contextmanager
def _failing_as_sentence(folder: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ReAugKDError(f"{str(folder)!r} cannot be loaded as an encoder ({reason}); name another model.") from error
