"""A linear layer that brings what an untuned encoder makes of a text to where the teacher would put it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from reaugkd.encoders import normalize

PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)
TEACHER_SHARE = 0.5
MOST_ROWS = 50_000  # by 7 layers of width 384 they are 0.5 GB, of which the fit holds five copies


@dataclass(frozen=True)
class KeyHead:
    r"""Turns the pooled outputs of an untuned encoder's layers into a key that knows the task.

    .. math:: u = \frac{W [e_0; \dots; e_L] + b}{\|W [e_0; \dots; e_L] + b\|}, \quad e = \frac{e_L}{\|e_L\|}, \quad
              \mathrm{key} = [\sqrt{1 - s} \, e; \sqrt{s} \, u], \quad
              \mathrm{key} \cdot \mathrm{key}' = (1 - s) \, e \cdot e' + s \, u \cdot u'

    An untuned encoder errs elsewhere than the student, but does not know what matters for the task; the teacher's
    embeddings z, which u is drawn to, do. Its last layer was taught to tell topics apart; tone and grammar are in the
    layers before. Half of the similarity stays untuned (s = 0.5), so that a class which the teacher never saw is still
    told from the others.

    Parameters
    ----------
    weight : ((L + 1) d', d) float32
        W, transposed: from all layers, each of the encoder's width, to the teacher's embedding.
    bias : (d,) float32
        b.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def keys(self, layers: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the keys (N, d' + d) float32, of length 1, of texts.

        Parameters
        ----------
        layers : (N, L + 1, d') float
            As :meth:`reaugkd.encoders.TextClassifier.encode_layers` gives them.
        """
        # By torch: the threads of NumPy's product would spin on, and keep those of the next text's encoder waiting.
        features = torch.from_numpy(np.asarray(layers, dtype=np.float32).reshape(len(layers), -1))
        drawn = normalize(torch.addmm(torch.from_numpy(self.bias), features, torch.from_numpy(self.weight)).numpy())
        parts = [np.sqrt(1 - TEACHER_SHARE) * normalize(layers[:, -1]), np.sqrt(TEACHER_SHARE) * drawn]
        return normalize(np.concatenate(parts, axis=1))

    def save(self, path: str | Path) -> None:
        """Write a safetensors file."""
        save_file({"weight": self.weight, "bias": self.bias}, path)

    @classmethod
    def load(cls, path: str | Path) -> "KeyHead":
        """Read what :meth:`save` wrote."""
        return cls(**load_file(path))


def fit_key_head(layers: NDArray[np.floating], teacher_embeddings: NDArray[np.floating]) -> KeyHead:
    r"""Fit the layer by ridge regression, in closed form; its penalty is the best of 5 for a held-out fifth.

    What all z have in common, their mean m, would drown what the layer makes of a text where that is little, as on a
    hard task, and all u would look alike. So m counts as much as what is added to it:

    .. math:: b = b' - m + r \, m, \quad r^2 = \operatorname{mean}_i \| W e_i + b' - m \|^2,

    with e_i the layers of text i and b' the intercept of the ridge. Of more than 50,000 texts so many are drawn, by a
    seed of their own: the layer has far fewer weights to find.

    Parameters
    ----------
    layers : (N, L + 1, d') float
        The untuned encoder's pooled outputs, of every layer, of the memory's texts.
    teacher_embeddings : (N, d) float
        z_i of the same texts.

    Returns
    -------
    KeyHead
        The layer.
    """
    # A second to import: who only searches with a head does not wait for it.
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, ShuffleSplit
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(layers) > MOST_ROWS:
        drawn = np.sort(np.random.default_rng(0).choice(len(layers), MOST_ROWS, replace=False))
        layers, teacher_embeddings = layers[drawn], teacher_embeddings[drawn]
    features = layers.reshape(len(layers), -1).astype(np.float32)
    teacher_embeddings = np.asarray(teacher_embeddings, dtype=np.float32)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), Ridge(solver="cholesky")),
        {"ridge__alpha": PENALTIES},
        scoring="neg_mean_squared_error",
        cv=ShuffleSplit(n_splits=1, test_size=0.2, random_state=0),
    )
    scaler, ridge = search.fit(features, teacher_embeddings).best_estimator_
    weight = (ridge.coef_ / scaler.scale_).T
    common = teacher_embeddings.mean(axis=0)
    bias = ridge.intercept_ - scaler.mean_ @ weight - common
    spread = np.sqrt(((features @ weight + bias) ** 2).sum(axis=1).mean())
    return KeyHead(np.ascontiguousarray(weight, dtype=np.float32), (bias + spread * common).astype(np.float32))
