"""The estimator: scikit-learn's own checks that can take texts, its tools, and every way to hand in texts."""

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from toy_data import toy_rows

from reaugkd.errors import ReAugKDError
from reaugkd.estimator import DistilledClassifier

ROWS = toy_rows(30, seed=0)
NEW = toy_rows(6, seed=3)


@pytest.fixture(scope="module")
def quick(toy_recipe):
    """An estimator of toy encoders; it learns enough in a few epochs."""
    encoders = toy_recipe.teacher, toy_recipe.student
    return DistilledClassifier(*encoders, epochs=8, teacher_epochs=6, max_length=16, recipe=toy_recipe)


@pytest.fixture(scope="module")
def fitted(quick):
    return clone(quick).fit(ROWS["text"].tolist(), ROWS["label"].tolist())


@pytest.mark.parametrize(
    "check",
    [
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_get_params_invariance",
        "check_set_params",
        "check_mixin_order",
        "check_valid_tag_types",
        "check_estimator_tags_renamed",
        "check_estimators_unfitted",
    ],
)
def test_scikit_learns_own_check_passes(quick, check):
    getattr(estimator_checks, check)("DistilledClassifier", clone(quick))


def test_it_learns_the_toy_task(fitted):
    assert fitted.classes_.tolist() == ["fruit", "metal", "weather"]
    probabilities = fitted.predict_proba(NEW["text"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.predict(NEW["text"]), fitted.classes_[probabilities.argmax(axis=1)])
    assert fitted.score(NEW["text"], NEW["label"]) > 0.8


def test_the_rows_that_were_held_out_to_choose_on_are_the_models_only_evaluation_rows(fitted):
    rows = fitted.model_.evaluation_rows
    assert set(rows["split"]) == {"validation"}
    assert len(rows) + len(fitted.model_.memory) == len(ROWS)
    assert not set(rows["text"]) & set(fitted.model_.memory.rows["text"]) - set(ROWS["text"][ROWS["text"].duplicated()])


def test_an_index_never_reorders_rows(quick, fitted):
    shuffled = ROWS.set_index(pd.Index(np.random.default_rng(0).permutation(len(ROWS))))
    again = clone(quick).fit(shuffled["text"], shuffled["label"])
    np.testing.assert_allclose(again.predict_proba(NEW["text"]), fitted.predict_proba(NEW["text"]), atol=1e-6)
    asked = NEW["text"].set_axis(range(len(NEW))[::-1])
    np.testing.assert_array_equal(fitted.predict_proba(asked), fitted.predict_proba(NEW["text"]))


@pytest.mark.parametrize(
    "given",
    [list, tuple, np.asarray, pd.Series, pd.DataFrame, lambda texts: np.asarray(texts, dtype=object)],
    ids=["list", "tuple", "array", "Series", "DataFrame", "object array"],
)
def test_texts_may_come_in_anything_that_holds_them(fitted, given):
    texts = NEW["text"].tolist()
    np.testing.assert_array_equal(fitted.predict_proba(given(texts)), fitted.predict_proba(texts))


@pytest.mark.parametrize("given", [list, np.asarray, pd.DataFrame], ids=["list", "array", "DataFrame"])
def test_pairs_and_labels_that_are_numbers_are_taken(quick, given):
    pairs = list(zip(ROWS["text"], ROWS["text"].iloc[::-1], strict=True))
    numbers = ROWS["label"].map({"fruit": 10, "metal": 9, "weather": 2}).to_numpy()
    found = clone(quick).set_params(epochs=1, teacher_epochs=1).fit(given(pairs), numbers)
    assert found.classes_.tolist() == [2, 9, 10]
    assert found.classes_.dtype == numbers.dtype
    assert set(found.predict(given(pairs[:5]))) <= {2, 9, 10}
    assert found.model_.settings.is_pair


def test_it_works_in_a_pipeline_under_cross_validation_and_joblib(quick, fitted, tmp_path):
    lower = make_pipeline(
        FunctionTransformer(lambda texts: [text.lower() for text in texts]), clone(quick).set_params(epochs=16)
    )
    scores = cross_val_score(lower, ROWS["text"].to_numpy(), ROWS["label"], cv=2)
    assert scores.mean() > 0.5  # of 45 rows each; guessing has a third
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    again = joblib.load(tmp_path / "fitted.joblib")
    np.testing.assert_allclose(again.predict_proba(NEW["text"]), fitted.predict_proba(NEW["text"]), atol=1e-6)


def test_what_cannot_be_learnt_from_is_refused(quick):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clone(quick).fit(["one", "two"], ["a"])
    with pytest.raises(ReAugKDError, match="There are no texts to learn from"):
        clone(quick).fit([], [])
    with pytest.raises(ReAugKDError, match="Text 2 is empty"):
        clone(quick).fit(["one", " "], ["a", "b"])
    with pytest.raises(ReAugKDError, match="Two labels differ in spaces alone"):
        clone(quick).fit(["one", "two"], ["a", "a "])
    with pytest.raises(NotFittedError):
        clone(quick).predict(["one"])


@pytest.mark.parametrize(
    ("texts", "kind"),
    [("ab", "a single text"), (np.array("ab"), "an array"), ({"a", "b"}, "a set"), ({"a": 1, "b": 2}, "names")],
)
def test_what_would_be_taken_apart_into_texts_is_refused(quick, texts, kind):
    with pytest.raises(ReAugKDError, match=f"Give a list of texts, not {kind}"):
        clone(quick).fit(texts, ["x", "y"])


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.array([1, "a"], dtype=object), "The labels are no list of one kind"),
        ([["a", "b"], ["c", "d"]], "The labels are no list of one kind"),
        (None, "The labels are no list of one kind"),
        ([1.0, float("nan")], "A label is missing; give one for each text"),
    ],
)
def test_labels_of_no_kind_are_told(quick, labels, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        clone(quick).fit(["one", "two"], labels)
