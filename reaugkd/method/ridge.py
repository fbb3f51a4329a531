"""A ridge regression from sparse rows to several targets, in time and memory that grow with the rows alone."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

STEPS = 60
TOLERANCE = 1e-3


def sparse_ridge(
    features: csr_matrix, targets: NDArray[np.float32], penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    r"""Fit a linear layer by conjugate gradients, all targets at once.

    .. math:: \min_{W, b} \| X W + 1 b^\top - Y \|^2 + \alpha \| W \|^2

    scikit-learn's Ridge takes sparse rows too, but solves one target after the other.

    Parameters
    ----------
    features : sparse (N, V) float32
        X.
    targets : (N, w) float32
        Y.
    penalty : float
        α, above 0.

    Returns
    -------
    tuple of ndarray
        W (V, w) and b (w,), float32; the normal equations hold to a thousandth of their right side.
    """
    turned = features.T.tocsr()
    mean = np.asarray(features.mean(axis=0), dtype=np.float32).ravel()
    centre = targets.mean(axis=0)

    def left(weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (Xᵀ X + α) W of centred X."""
        said = features @ weight - mean @ weight
        return turned @ said - np.outer(mean, said.sum(axis=0)) + penalty * weight

    right = turned @ (targets - centre)
    weight, residual, direction = np.zeros_like(right), right.copy(), right.copy()
    size = (residual**2).sum(axis=0)
    enough = TOLERANCE**2 * size
    for _ in range(STEPS):
        if (size <= enough).all():
            break
        moved = left(direction)
        step = size / np.maximum((direction * moved).sum(axis=0), 1e-30)
        weight += step * direction
        residual -= step * moved
        before, size = size, (residual**2).sum(axis=0)
        direction = residual + (size / np.maximum(before, 1e-30)) * direction
    return weight, centre - mean @ weight
