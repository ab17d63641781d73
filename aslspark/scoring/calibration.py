"""The probabilities of a model -> calibrated probabilities: of answers with 0.8, 80 % are right.

Temperature scaling (Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017): the
logarithms of all probabilities are divided by one number. It changes probabilities, never the most probable label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_PROBABILITY = 1e-7
"""Replaces smaller ones, whose logarithm would outweigh all others; trees give 0."""
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0

TOP_COUNT = 3
ABSTAINED = "not sure"
"""The reason where the probability is below the threshold."""

FloatArray = npt.NDArray[np.float32]


def with_temperature(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Divide the logarithms by the temperature, and normalise each row to a sum of 1.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n, classes)
    temperature : float
        Above 1 lowers the highest probability, below 1 raises it; 1 changes nothing.

    Returns
    -------
    ndarray of float32, shape (n, classes)
    """
    if temperature == 1 or not len(probabilities):
        return probabilities
    return np.exp(_log_shares(probabilities, temperature)).astype(np.float32)


def top_classes(probabilities: FloatArray, temperature: float) -> tuple[npt.NDArray[np.intp], FloatArray, FloatArray]:
    """Find the best labels of each row.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n, classes)
        Before the temperature.

    Returns
    -------
    ndarray of int, shape (n, TOP_COUNT or fewer)
        Places of the labels, best first.
    ndarray of float32, shape (n, TOP_COUNT or fewer)
        Their probabilities, with the temperature.
    ndarray of float32, shape (n,)
        The probability of the best, without the temperature.
    """
    # By the uncalibrated probabilities: rounding after the temperature may make different ones equal.
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP_COUNT]
    shares = np.take_along_axis(with_temperature(probabilities, temperature), best, axis=1)
    return best, shares, np.take_along_axis(probabilities, best[:, :1], axis=1)[:, 0]


def fit_temperature(probabilities: FloatArray, places: npt.NDArray[np.integer[Any]]) -> float:
    """Find the temperature with the least log loss.

    One further row is added whose label is uniformly distributed: otherwise a model with every row right would get
    probabilities of 1.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n, classes)
        Before the temperature.
    places : ndarray of int, shape (n,)
        Places of the true labels among the classes.

    Returns
    -------
    float
        From `MIN_TEMPERATURE` to `MAX_TEMPERATURE`; 1 where there are no rows.
    """
    from scipy.optimize import minimize_scalar

    if not len(places):
        return 1.0

    def loss(log_temperature: float) -> float:
        logs = _log_shares(probabilities, float(np.exp(log_temperature)))
        return -float(logs[np.arange(len(places)), places].sum() + logs.mean())

    minimum = minimize_scalar(loss, bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)), method="bounded")
    return float(np.exp(minimum.x))


def _log_shares(probabilities: FloatArray, temperature: float) -> npt.NDArray[np.float64]:
    logs: npt.NDArray[np.float64] = np.log(np.maximum(probabilities.astype(np.float64), LEAST_PROBABILITY))
    logs /= temperature
    logs -= logs.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return logs
