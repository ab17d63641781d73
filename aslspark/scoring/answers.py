"""The probabilities of a model -> answers: a letter, its probability and the best three, or a reason.

This module needs no Spark. The service, MLflow and Spark rank by the same function; Spark inserts the names of letters
in the JVM (`aslspark.scoring.answer_columns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from aslspark.images.hands.hand import Hand
from aslspark.models.onnx_classifier import NO_HAND_FOUND
from aslspark.scoring.calibration import ABSTAINED, FloatArray, top_classes

NO_PROBABILITIES = "the network gave no probabilities"
"""The reason where a network's numbers overflow."""


class TopRow(TypedDict):
    """One of the best labels in `AnswerRow`."""

    letter: str
    probability: float


class HandRow(TypedDict):
    """The hand in `AnswerRow`."""

    side: str | None
    points: list[list[float]]
    """x and y of the 21 landmarks, as shares of the picture's longer side."""


class AnswerRow(TypedDict):
    """An answer as it is written in JSON."""

    letter: str | None
    probability: float | None
    top: list[TopRow]
    reason: str | None
    hand: HandRow | None


@dataclass(frozen=True)
class Answer:
    """The answer for a picture, with the columns that scoring adds."""

    letter: str | None
    """None where there is a reason."""
    probability: float | None
    """Of the most probable label, 0-1."""
    top: tuple[tuple[str, float], ...]
    """The three most probable labels with their probabilities, best first."""
    reason: str | None
    """Why there is no letter."""
    hand: Hand | None = None
    """The hand, of a picture in which one was looked for."""

    @property
    def usable(self) -> bool:
        """Whether the picture could be read: also one without a hand, or with too low a probability."""
        return bool(self.top) or self.reason == NO_HAND_FOUND

    def as_dict(self) -> AnswerRow:
        """Return the answer for JSON."""
        hand: HandRow | None = None
        if self.hand is not None and self.hand.landmarks is not None:
            points = [[round(float(x), 4), round(float(y), 4)] for x, y, _ in self.hand.landmarks]
            hand = {"side": self.hand.side, "points": points}
        return {
            "letter": self.letter,
            "probability": self.probability,
            "top": [{"letter": letter, "probability": share} for letter, share in self.top],
            "reason": self.reason,
            "hand": hand,
        }


class Ranking(NamedTuple):
    """The best labels of a batch; see `aslspark.scoring.calibration.top_classes`."""

    places: npt.NDArray[np.intp]
    shares: FloatArray
    as_given: FloatArray
    reasons: npt.NDArray[Any]
    """Those of the batch, and NO_PROBABILITIES where numbers overflowed."""


def rank(probabilities: FloatArray, reasons: npt.NDArray[Any], temperature: float) -> Ranking:
    """Rank the labels of each row.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n, classes)
        Before the temperature.
    reasons : ndarray of object, shape (n,)
        None, or why the row cannot be used.
    """
    places, shares, as_given = top_classes(probabilities, temperature)
    overflowed = ~np.isfinite(shares).all(axis=1)
    if overflowed.any():
        reasons = reasons.copy()
        reasons[overflowed & (reasons == None)] = NO_PROBABILITIES  # noqa: E711  (elementwise)
    return Ranking(places, shares, as_given, reasons)


def answers_of(
    probabilities: FloatArray,
    reasons: npt.NDArray[Any],
    labels: Sequence[str],
    *,
    temperature: float,
    threshold: float,
    hands: Sequence[Hand | None],
) -> list[Answer]:
    """Make the answers of a batch.

    Parameters
    ----------
    probabilities, reasons, temperature
        See `rank`.
    threshold : float
        The least probability with which a letter is answered.
    hands : sequence of Hand or None
        One for each row.
    """
    ranking = rank(probabilities, reasons, temperature)
    answers = []
    for places, shares, reason, hand in zip(ranking.places, ranking.shares, ranking.reasons, hands, strict=True):
        if reason is not None:
            answers.append(Answer(None, None, (), str(reason), hand))
            continue
        top = tuple((labels[place], float(share)) for place, share in zip(places, shares, strict=True))
        letter, probability = top[0]
        # As float32, as Spark compares it.
        sure = np.float32(probability) >= np.float32(threshold)
        answers.append(Answer(letter if sure else None, probability, top, None if sure else ABSTAINED, hand))
    return answers
