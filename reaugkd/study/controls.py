"""Controls: classifiers of the same n-grams that enter the pool without any memory, to tell what the memory adds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from transformers import PreTrainedTokenizerBase

from reaugkd.method.memory import Memory
from reaugkd.method.text_key import FOLDS, NGrams, fit_apart
from reaugkd.tasks.task import Task
from reaugkd.texts import Labels, Text, folds_apart

CLIP = 0.01
"""The least probability of a soft label whose logarithm is a target: below, the logarithm is all that counts."""
STRENGTHS = (1.0, 10.0, 100.0)


def control_answers(
    task: Task, memory: Memory, tokenizer: PreTrainedTokenizerBase, asked: Sequence[Text], fitted: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Return what ``words`` and ``gold words`` answer to M texts, (M, C) each, learnt from some rows of a memory."""
    texts, labels = memory.texts, task.labels("train")
    rows = np.flatnonzero(fitted)
    known, labelled = [texts[row] for row in rows.tolist()], rows[rows < len(labels)]
    by_gold = gold_classifier(tokenizer, known[: len(labelled)], labels[labelled], len(task.label_names), asked)
    return {"words": words_classifier(tokenizer, known, memory.soft_labels[rows], asked), "gold words": by_gold}


def words_classifier(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], soft_labels: NDArray[np.floating], asked: Sequence[Text]
) -> NDArray[np.float64]:
    """Classify M texts, (M, C), by a ridge from n-grams to the teacher's log soft labels, log max(ȳ, 0.01)."""
    ngrams = NGrams.of(tokenizer, texts)
    folds = folds_apart(texts, soft_labels.argmax(axis=1), FOLDS)
    targets = np.log(np.maximum(soft_labels, CLIP)).astype(np.float32)
    (weight, bias), *_ = fit_apart(ngrams.matrix(tokenizer, texts), targets, folds)
    return softmax((ngrams.matrix(tokenizer, asked) @ weight + bias).astype(np.float64), axis=1)


def gold_classifier(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], labels: Labels, classes: int, asked: Sequence[Text]
) -> NDArray[np.float64]:
    """Classify M texts, (M, C), by logistic regression from n-grams to gold labels; its C is chosen on a fifth."""
    ngrams = NGrams.of(tokenizer, texts)
    search = GridSearchCV(
        LogisticRegression(max_iter=100),
        {"C": STRENGTHS},
        scoring="accuracy",  # a class that the fifth lacks would be refused by the log loss
        cv=ShuffleSplit(1, test_size=0.2, random_state=0),
    ).fit(ngrams.matrix(tokenizer, texts), labels)
    probabilities = np.zeros((len(asked), classes))
    probabilities[:, search.classes_] = search.predict_proba(ngrams.matrix(tokenizer, asked))
    return probabilities
