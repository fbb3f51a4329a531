"""A classifier that was fine-tuned elsewhere, as transformers saves one: it takes the student's place as it is."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from reaugkd.errors import ReAugKDError
from reaugkd.networks.encoders import CLASSIFIER_FILE, TextClassifier, load_pretrained, quiet

CHOOSES_ONE = "single_label_classification"
TRIED = "a text to try"
SAME = 1e-4  # the most by which two ways to the same logits may differ
FALLBACK = 512  # tokens, where a model does not say how many it can read


class SequenceClassifier(TextClassifier):
    """A fine-tuned ``AutoModelForSequenceClassification`` of any architecture, with its head as it is.

    Its embedding is the vector that enters its last linear layer. That layer is taken out of the model, which then
    returns the vector in the place of the logits, and is applied to it here. So the embedding is the one that the
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
        If the logits are not a linear layer's of one vector a text.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        nn.Module.__init__(self)  # a model has encoder, pooling and dropout inside
        self.encoder = model.eval()
        self.tokenizer, self.max_length = tokenizer, max_length
        self.head, linear = [one for one in model.named_modules() if isinstance(one[1], nn.Linear)][-1]
        tokens = tokenizer([TRIED], return_tensors="pt", truncation=True, max_length=max_length)
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
        limit = min(_positions(model), tokenizer.model_max_length, max_length or tokenizer.model_max_length)
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


def _positions(model: PreTrainedModel) -> int:
    """Return how many tokens a model has positions for; RoBERTa and its kin give none to the first, for padding."""
    limits = [getattr(model.config, "max_position_embeddings", -1)]
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, nn.Embedding):
            limits.append(table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1))
    return min((limit for limit in limits if limit > 0), default=FALLBACK)  # XLNet says -1
