"""Probabilities as a model gives them -> probabilities that hold: of answers given with 0.8, 80 % are right.

Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017: one number, the temperature,
divides the logarithms of all probabilities. It changes how sure a model says it is, never what it answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_PROBABILITY = 1e-7
"""Stands for smaller ones, whose logarithm would outweigh everything: trees give 0."""
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0

TOP_COUNT = 3
ABSTAINED = "not sure"
"""Why a model with a threshold does not answer."""

FloatArray = npt.NDArray[np.float32]


def with_temperature(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Divide the logarithms by the temperature, and bring each row to a sum of 1 again.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n, classes)
    temperature : float
        Above 1 the model becomes less sure, below 1 surer; 1 changes nothing.

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
        As the model gives them.
    temperature : float

    Returns
    -------
    ndarray of int, shape (n, TOP_COUNT or fewer)
        Places of the labels, best first.
    ndarray of float32, shape (n, TOP_COUNT or fewer)
        Their probabilities, with the temperature.
    ndarray of float32, shape (n,)
        That of the best, without.
    """
    # By the model's own numbers: a temperature may make equal what was not.
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP_COUNT]
    shares = np.take_along_axis(with_temperature(probabilities, temperature), best, axis=1)
    return best, shares, np.take_along_axis(probabilities, best[:, :1], axis=1)[:, 0]


def fit_temperature(probabilities: FloatArray, places: npt.NDArray[np.integer[Any]]) -> float:
    """Find the temperature with the least log loss.

    One further row counts in, whose label may be any with the same chance: a model that has every row right would
    otherwise become certain of all it says.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n, classes)
        As the model gives them.
    places : ndarray of int, shape (n,)
        Of the true labels, among the classes.

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

    found = minimize_scalar(loss, bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)), method="bounded")
    return float(np.exp(found.x))


def _log_shares(probabilities: FloatArray, temperature: float) -> npt.NDArray[np.float64]:
    logs: npt.NDArray[np.float64] = np.log(np.maximum(probabilities.astype(np.float64), LEAST_PROBABILITY))
    logs /= temperature
    logs -= logs.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return logs
