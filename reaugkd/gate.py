"""The gate: how much of the memory goes into each single answer, learnt on held-out rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from reaugkd.calibration import at_temperature
from reaugkd.texts import Labels

FEATURES = ("student_entropy", "student_margin", "nearest_similarity", "neighbour_agreement", "same_answer")
CAUTIOUS_WEIGHT = 0.1
CLOSED = -50.0  # JSON has no minus infinity


@dataclass(frozen=True)
class Gate:
    r"""Sets λ for each query by a logistic function of cheap features.

    .. math:: \lambda_i = \sigma(b + \sum_f w_f \, (f_i - \mu_f) / s_f)

    Before that, the student's probabilities are calibrated by a temperature (Guo et al. 2017): a student that is
    too sure of itself would make any memory look good by the log loss, without a better answer.

    Parameters
    ----------
    student_temperature : float
        Divides the student's log-probabilities.
    coefficients : tuple of float
        w_f, one for each of :data:`FEATURES`.
    intercept : float
        b.
    means, scales : tuple of float
        μ_f and s_f of the features on the held-out rows.
    """

    student_temperature: float
    coefficients: tuple[float, ...]
    intercept: float
    means: tuple[float, ...]
    scales: tuple[float, ...]

    @classmethod
    def closed(cls, student_temperature: float) -> "Gate":
        """Return the gate that gives the memory no weight, but for classes that the student does not know."""
        zeros = (0.0,) * len(FEATURES)
        return cls(student_temperature, zeros, CLOSED, zeros, (1.0,) * len(FEATURES))

    @property
    def is_closed(self) -> bool:
        """Whether the memory counts only for classes that the student does not know."""
        return self.intercept <= CLOSED

    def calibrate(self, student_probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the student's probabilities (N, C) at the gate's temperature; the most probable class stays."""
        return at_temperature(student_probabilities, self.student_temperature)

    def retrieval_weights(
        self,
        student_probabilities: NDArray[np.floating],
        similarities: NDArray[np.floating],
        retrieved: NDArray[np.floating],
    ) -> NDArray[np.float64]:
        """Return λ of each query, (N,) from 0 to 1; for the arguments see :func:`gate_features`."""
        return self.weights_of(gate_features(student_probabilities, similarities, retrieved))

    def weights_of(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return λ of each query, (N,) from 0 to 1, by the (N, 5) features of :func:`gate_features`."""
        if self.is_closed:
            return np.zeros(len(features))
        standard = (features - self.means) / self.scales
        weights: NDArray[np.float64] = expit(standard @ np.asarray(self.coefficients) + self.intercept)
        return weights


def gate_features(
    student_probabilities: NDArray[np.floating], similarities: NDArray[np.floating], retrieved: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return what the gate looks at; all of it is known before the answer, and costs no further network.

    Parameters
    ----------
    student_probabilities : (N, C) float
        ŷ_i, calibrated.
    similarities : (N, k) float
        Cosines of the neighbours.
    retrieved : (N, C') float
        r_i.

    Returns
    -------
    (N, 5) float64
        In the order of :data:`FEATURES`: entropy of ŷ as a share of the highest possible; first less second
        probability of ŷ; cosine of the nearest memory; highest probability of r; 1 where ŷ and r name one class.
    """
    student = np.asarray(student_probabilities, dtype=np.float64)
    ordered = np.sort(student, axis=1)
    entropy = -(student * np.log(student.clip(1e-12))).sum(axis=1) / np.log(student.shape[1])
    same = retrieved.argmax(axis=1) == student.argmax(axis=1)
    return np.stack(
        [entropy, ordered[:, -1] - ordered[:, -2], similarities.max(axis=1), retrieved.max(axis=1), same], axis=1
    )


def fit_gate(
    features: NDArray[np.float64],
    student_probabilities: NDArray[np.floating],
    retrieved: NDArray[np.floating],
    labels: Labels,
    penalty: float,
    student_temperature: float = 1.0,
) -> Gate:
    """Fit a gate by the log loss of the blended answer, so that a probability means what it says.

    Parameters
    ----------
    features : (N, 5) float64
        Of held-out rows, by :func:`gate_features`.
    student_probabilities : (N, C) float
        ŷ_i, calibrated.
    retrieved : (N, C') float
        r_i.
    labels : (N,) int64
        Their gold labels.
    penalty : float
        Weight of the squared coefficients and of the intercept's distance from λ = 0.1: few rows move it little.
    student_temperature : float
        The temperature at which ŷ_i was calibrated, for the record.

    Returns
    -------
    Gate
        The gate.
    """
    means, scales = features.mean(axis=0), features.std(axis=0)
    scales = np.where(scales > 1e-6, scales, 1.0)
    standard = (features - means) / scales
    rows = np.arange(len(labels))
    by_student = student_probabilities[rows, labels].astype(np.float64).clip(1e-6)
    gain = retrieved[rows, labels].clip(1e-6) - by_student
    start = np.append(np.zeros(len(FEATURES)), logit(CAUTIOUS_WEIGHT))

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = expit(standard @ parameters[:-1] + parameters[-1])
        chosen = by_student + weights * gain
        slope = -gain / chosen * weights * (1 - weights) / len(labels)
        distance = parameters - start
        loss = -np.log(chosen).mean() + penalty * (distance @ distance) / 2
        return float(loss), np.append(standard.T @ slope, slope.sum()) + penalty * distance

    found = minimize(objective, start, jac=True, method="L-BFGS-B").x
    return Gate(
        student_temperature,
        tuple(found[:-1].tolist()),
        float(found[-1]),
        tuple(means.tolist()),
        tuple(scales.tolist()),
    )


def gain_is_certain(
    probabilities: NDArray[np.floating], baseline: NDArray[np.floating], labels: Labels, errors: float = 1.645
) -> bool:
    """Return whether the log loss fell by more than so many standard errors of the paired difference.

    Parameters
    ----------
    probabilities, baseline : (N, C) float
        Probabilities by both.
    labels : (N,) int64
        Gold labels.
    errors : float
        1.645 errs once in twenty where there is no gain.

    Returns
    -------
    bool
        Whether it did.
    """
    rows = np.arange(len(labels))
    gains = np.log(probabilities[rows, labels].clip(1e-12)) - np.log(baseline[rows, labels].clip(1e-12))
    return len(labels) > 1 and bool(gains.mean() > errors * gains.std(ddof=1) / np.sqrt(len(labels)))
