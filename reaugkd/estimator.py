"""The whole method as a scikit-learn estimator: ``fit(texts, labels)``, ``predict``, ``predict_proba``."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from reaugkd.errors import ReAugKDError
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks.trainer import silent
from reaugkd.recipe import DEFAULT_ENCODER, Recipe
from reaugkd.tasks.task import make_task
from reaugkd.texts import Text, check_texts, label_text, two_parts
from reaugkd.training import train_one

NAMED = ("teacher", "student", "student_layers", "epochs", "teacher_epochs", "max_length", "encoder_key")


class DistilledClassifier(ClassifierMixin, BaseEstimator):
    """A student with its teacher's memory, trained by one call of ``fit``.

    A tenth of the rows is held out to choose how much the memory counts. Nothing is written to disk;
    ``model_.save_pretrained(folder)`` does that.

    Parameters
    ----------
    teacher, student : str
        Pretrained encoders: folders, or names that :func:`reaugkd.networks.weights.find_weights` finds.
    student_layers : int or None
        Only the first so many layers of the student's encoder; None keeps all.
    epochs, teacher_epochs : float or None
        Passes over the rows of student and teacher; by their number if None.
    max_length : int
        Tokens after which a text is cut.
    encoder_key : str or None
        A pretrained encoder by which the memory is searched too, at the cost of a pass for every text.
    random_state : int
        Seed of all trainings.
    recipe : Recipe or None
        Every other choice.
    verbose : bool
        Draw the progress.

    Attributes
    ----------
    classes_ : (C,) ndarray
        The labels in their order, of the kind that was given.
    model_ : ReAugKDClassifier
        The trained model, which explains its answers too.

    Examples
    --------
    >>> classifier = DistilledClassifier(teacher=encoder, student=encoder, epochs=1, teacher_epochs=1)
    >>> classifier.fit(task.texts("train"), task.table("train")["label"]).classes_
    array(['fruit', 'metal', 'weather'], dtype=object)
    >>> classifier.predict_proba(["some iron and zinc"]).shape
    (1, 3)
    """

    classes_: NDArray[Any]
    model_: ReAugKDClassifier

    def __init__(
        self,
        teacher: str = DEFAULT_ENCODER,
        student: str = DEFAULT_ENCODER,
        student_layers: int | None = 2,
        *,
        epochs: float | None = None,
        teacher_epochs: float | None = None,
        max_length: int = 128,
        encoder_key: str | None = None,
        random_state: int = 0,
        recipe: Recipe | None = None,
        verbose: bool = False,
    ) -> None:
        self.teacher = teacher
        self.student = student
        self.student_layers = student_layers
        self.epochs = epochs
        self.teacher_epochs = teacher_epochs
        self.max_length = max_length
        self.encoder_key = encoder_key
        self.random_state = random_state
        self.recipe = recipe
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        """Say that this takes texts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags

    def fit(self, X: Sequence[Text] | ArrayLike | pd.DataFrame, y: ArrayLike) -> "DistilledClassifier":
        """Train teacher, projection head and student, and fit the keys of the memory.

        Parameters
        ----------
        X : (N,) sequence of str, or (N, 2) of pairs
            Texts or pairs of texts: a list, an array, a Series, or a DataFrame of one or two columns. An index is not
            read: rows stay in their order.
        y : (N,) array-like
            Their labels, strings or numbers.

        Returns
        -------
        DistilledClassifier
            This estimator.

        Raises
        ------
        ReAugKDError
            If there are no texts, one is empty, there are too few to hold some out, or an encoder is not found.
        ValueError
            If there are more labels than texts, or fewer.
        """
        texts = _as_texts(X)
        try:
            labels = column_or_1d(y)
            self.classes_, numbers = np.unique(labels, return_inverse=True)
        except (TypeError, ValueError) as error:  # mixed kinds have no order
            raise ReAugKDError("The labels are no list of one kind; give one label for each text.") from error
        check_consistent_length(texts, labels)
        if not texts:
            raise ReAugKDError("There are no texts to learn from; give some of each class.")
        if pd.isna(labels).any():
            raise ReAugKDError("A label is missing; give one for each text.")
        names = [label_text(label) for label in self.classes_.tolist()]
        if len(set(names)) < len(names):
            raise ReAugKDError("Two labels differ in spaces alone; write each label in one way.")
        firsts, seconds = zip(*map(two_parts, texts), strict=True)
        columns = {"text": firsts} if isinstance(texts[0], str) else {"text": firsts, "text_pair": seconds}
        table = pd.DataFrame(columns).assign(label=[names[number] for number in numbers])
        # A task has test rows, which no step below reads.
        task = make_task("texts", {"train": table, "test": table.head(1)}, label_names=names)
        named = {name: value for name, value in self.get_params().items() if name in NAMED}
        recipe = (self.recipe or Recipe()).updated(**named, seed=self.random_state)
        model = train_one(task, recipe.for_task(task), on_progress=None if self.verbose else silent)
        self.model_ = replace(model, evaluation_rows=model.held_out(["validation"]))
        return self

    def predict_proba(self, X: Sequence[Text] | ArrayLike | pd.DataFrame) -> NDArray[np.float64]:
        """Return the class probabilities (N, C), columns in the order of ``classes_``; X is as in :meth:`fit`."""
        check_is_fitted(self)
        return self.model_.predict_proba(_as_texts(X))

    def predict(self, X: Sequence[Text] | ArrayLike | pd.DataFrame) -> NDArray[Any]:
        """Return the most probable class of each text, (N,); X is as in :meth:`fit`."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


def _as_texts(given: Any) -> list[Text]:
    """Return texts or pairs as a list, of whatever holds them."""
    if isinstance(given, pd.DataFrame):
        given = given.iloc[:, 0] if given.shape[1] == 1 else given.to_numpy()
    if isinstance(given, np.ndarray | pd.Series) and given.ndim:
        given = given.tolist()
    return check_texts(given)
