"""Texts that say nothing of their labels, in families of siblings that share one label, and the vote of neighbours."""

from itertools import chain

import numpy as np
from memories import unit
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = [first + rest for first in "bcdfghjklmnp" for rest in ("ado", "ine", "ula", "ore")]

TELLING = [[first + rest for rest in ("ento", "iste", "oral", "ume")] for first in "rst"]
"""Words of each of three classes, for texts that do say something."""


def word_tokenizer():
    """One number a word, one for all others."""
    numbers = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *WORDS, *chain(*TELLING)])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")


def shuffled_families(seed, families=100, classes=2, width=16):
    """Three texts a family, their labels drawn by family and told by z alone: texts, labels, z and families."""
    random = np.random.default_rng(seed)
    texts, family = [], np.repeat(np.arange(families), 3)
    known = []
    while len(known) < families:
        words = random.choice(WORDS, 6, replace=False)
        if any(len(set(words) & others) > 3 for others in known):
            continue  # siblings by chance
        known.append(set(words))
        texts += [" ".join(words), " ".join(random.permutation(words)[:5]), " ".join(random.permutation(words))]
    labels = random.permutation(np.arange(families) % classes)[family]
    z = unit(np.eye(width)[labels] + 0.1 * random.normal(size=(len(texts), width)))
    return texts, labels, z.astype(np.float32), family


def share_right(keys, labels, asked, asked_labels, left_out, k=8, temperature=0.1):
    """The share of texts whose label the k nearest memories name; ``left_out`` (N, M) is never found."""
    similarities = np.where(left_out, -np.inf, unit(asked) @ unit(keys).T)
    nearest = np.argsort(-similarities, axis=1)[:, :k]
    weights = np.exp(np.take_along_axis(similarities, nearest, axis=1) / temperature)
    votes = np.stack([(weights * (labels[nearest] == label)).sum(axis=1) for label in np.unique(labels)], axis=1)
    return (votes.argmax(axis=1) == asked_labels).mean()
