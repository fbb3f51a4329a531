"""The classifiers without a memory: by hand, and that none has seen a sibling of a row on which it is chosen."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sibling_texts import TELLING, WORDS, shuffled_families, word_tokenizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

from reaugkd.method.keys import fit_rows
from reaugkd.method.memory import Memory
from reaugkd.method.text_key import PENALTIES, NGrams
from reaugkd.study import answers as answers_module
from reaugkd.study.answers import STRENGTHS, control_answers, gold_classifier, words_classifier
from reaugkd.tasks.task import make_task
from reaugkd.texts import folds_apart


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer()


@pytest.fixture(scope="module")
def worded():
    """60 texts of which one word in five is of their class, their labels, and 20 others."""
    random = np.random.default_rng(0)
    labels = np.arange(80) % 3
    texts = [
        " ".join([random.choice(TELLING[label]), *random.choice(WORDS, 4, replace=False)]) for label in labels.tolist()
    ]
    return texts[:60], labels[:60], texts[60:]


def dense(tokenizer, texts, *asked):
    ngrams = NGrams.of(tokenizer, texts)
    return [ngrams.matrix(tokenizer, some).toarray().astype(np.float64) for some in (texts, *asked)]


def test_the_words_are_a_ridge_in_closed_form_to_the_logarithms_of_the_soft_labels(tokenizer, worded):
    texts, labels, asked = worded
    soft_labels = np.where(np.eye(3)[labels] > 0, 0.992, 0.004).astype(np.float32)
    features, others = dense(tokenizer, texts, asked)
    targets = np.log(np.where(soft_labels < 0.01, 0.01, soft_labels).astype(np.float64))
    folds = folds_apart(texts, labels, 5)

    def error(penalty):
        missed = 0.0
        for fold in range(5):
            ridge = Ridge(alpha=penalty, solver="cholesky").fit(features[folds != fold], targets[folds != fold])
            missed += ((ridge.predict(features[folds == fold]) - targets[folds == fold]) ** 2).sum()
        return missed

    ridge = Ridge(alpha=min(PENALTIES, key=error), solver="cholesky").fit(features, targets)
    found = words_classifier(tokenizer, texts, soft_labels, asked)
    np.testing.assert_allclose(found, softmax(ridge.predict(others), axis=1), atol=2e-3)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_the_gold_words_are_a_logistic_regression_by_another_optimiser(tokenizer, worded, monkeypatch):
    texts, labels, asked = worded
    monkeypatch.setattr(answers_module, "STRENGTHS", (0.1, 1.0, 5.0))
    features, others = dense(tokenizer, texts, asked)

    def fitted(rows, gold, strength):
        """W (V, C) and b (C,) of the lowest strength · Σ -log p + ‖W‖² / 2."""
        shape = (rows.shape[1] + 1, 3)
        padded = np.column_stack([rows, np.ones(len(rows))])

        def objective(values):
            weights = values.reshape(shape)
            logs = log_softmax(padded @ weights, axis=1)
            slope = strength * padded.T @ (np.exp(logs) - np.eye(3)[gold])
            slope[:-1] += weights[:-1]
            loss = -strength * logs[np.arange(len(gold)), gold].sum() + (weights[:-1] ** 2).sum() / 2
            return loss, slope.ravel()

        found = minimize(objective, np.zeros(shape).ravel(), jac=True, method="CG", options={"gtol": 1e-6})
        return found.x.reshape(shape)

    def said(rows, weights):
        return softmax(np.column_stack([rows, np.ones(len(rows))]) @ weights, axis=1)

    seen, held_out = train_test_split(np.arange(60), test_size=0.2, random_state=0)
    right = {
        strength: (said(features[held_out], fitted(features[seen], labels[seen], strength)).argmax(axis=1))
        for strength in (0.1, 1.0, 5.0)
    }
    scores = {strength: (answers == labels[held_out]).mean() for strength, answers in right.items()}
    assert len(set(scores.values())) > 1  # the choice is not one of equals
    best = max(scores, key=scores.__getitem__)
    found = gold_classifier(tokenizer, texts, labels, 3, asked)
    np.testing.assert_allclose(found, said(others, fitted(features, labels, best)), atol=2e-3)
    assert STRENGTHS == (1.0, 10.0, 100.0)


def test_a_class_without_a_row_has_no_probability(tokenizer, worded):
    texts, labels, asked = worded
    kept = labels != 1
    some = [text for text, is_kept in zip(texts, kept, strict=True) if is_kept]
    found = gold_classifier(tokenizer, some, labels[kept], 3, asked)
    np.testing.assert_array_equal(found[:, 1], 0)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("control", ["words", "gold words"])
def test_on_validation_rows_no_control_knows_a_label_by_a_sibling(tokenizer, control):
    shares = []
    for seed in range(3):
        texts, labels, _, family = shuffled_families(seed)
        asked = (np.arange(300) % 3 == 2) & (family % 2 == 0)  # the last of every second family
        tables = {
            split: pd.DataFrame({"text": np.asarray(texts)[rows], "label": np.asarray(["a", "b"])[labels[rows]]})
            for split, rows in (("train", ~asked), ("validation", asked), ("test", asked))
        }
        task = make_task("families", tables)
        soft_labels = (0.9 * np.eye(2)[labels[~asked]] + 0.05).astype(np.float32)
        memory, said = Memory.of(task, soft_labels, np.ones((len(soft_labels), 1))), {}
        for split, apart in (("validation", task.texts("validation")), ("test", [])):
            fitted = fit_rows(task.taught_texts, apart)
            found = control_answers(task, memory, tokenizer, task.texts(split), fitted)
            said[split] = found[control].argmax(axis=1)
        shares.append([(said[split] == labels[asked]).mean() for split in ("validation", "test")])
    validation, test = np.mean(shares, axis=0)
    assert abs(validation - 0.5) < 0.13  # three standard deviations of 150 rows by chance
    assert test > 0.7  # the same texts, whose siblings are in train: what a control that had seen them would say
