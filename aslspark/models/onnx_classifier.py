"""A network in ONNX, as bundles keep it: pictures, landmarks or both -> probabilities. It needs no Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.features.landmarks import (
    HAND_FOUND,
    HAND_NUMBERS,
    each_look,
    half_turned,
    hangs_down,
    landmark_features,
)

NOTHING = "nothing"
"""The label of pictures without a hand; a model that has it may answer it where no hand was found."""
NO_HAND_FOUND = "no hand found"
"""The reason why a model of landmarks alone does not answer."""

BATCH_ROWS = 256
"""Rows of a run of the network; the notebook's CNN needs 75 kB for each meanwhile."""


def needs_hand(inputs: Sequence[str], labels: Sequence[str]) -> bool:
    """Tell whether a model needs a hand to answer."""
    return tuple(inputs) == (LANDMARKS,) and NOTHING not in labels


@dataclass(frozen=True)
class OnnxClassifier:
    """A network in ONNX, from its inputs to ``probability``, float32 (n, classes)."""

    onnx: bytes
    labels: tuple[str, ...]
    shape: tuple[int, int, int]
    """Of the pictures; for a network of landmarks alone, of the training samples' pictures."""
    inputs: tuple[str, ...] = (PICTURE,)
    """``picture`` uint8 (n, height, width, channels), ``landmarks`` float32 (n, FEATURES), or both."""
    upright: bool = False
    """How landmarks become features; see `aslspark.features.landmarks.landmark_features`."""

    def probabilities(
        self,
        session: Any,
        pictures: npt.NDArray[np.uint8] | None,
        hands: npt.NDArray[np.float32] | None,
        reasons: npt.NDArray[Any],
    ) -> npt.NDArray[np.float32]:
        """Run the network over a batch.

        Where there are several looks at a hand, a network of landmarks alone reads each, and what they agree on: the
        mean counts. Of people that it has not met, more are read rightly so than by what they agree on alone.

        A hand that hangs down may be a picture that is upside down: a network of landmarks alone reads it turned by
        half, too, and the surer reading counts.

        Parameters
        ----------
        session : onnxruntime.InferenceSession
            As `common.onnx_sessions.open_session` gives it.
        pictures : ndarray of uint8, shape (n, height, width, channels), optional
        hands : ndarray of float32, shape (n, HAND_NUMBERS) or (n, LOOKED_NUMBERS), optional
            None where the network does not take it.
        reasons : ndarray of object, shape (n,)
            None, or why a row cannot be used; set to NO_HAND_FOUND where the network needs a hand and there is none.

        Returns
        -------
        ndarray of float32, shape (n, classes)
        """
        if hands is not None and needs_hand(self.inputs, self.labels):
            reasons[(hands[:, HAND_FOUND] == 0) & (reasons == None)] = NO_HAND_FOUND  # noqa: E711  (elementwise)
        if tuple(self.inputs) == (LANDMARKS,):
            assert hands is not None
            given = self._read_looks(session, hands)
            hanging = np.flatnonzero(hangs_down(hands))
            other = self._read_looks(session, half_turned(hands[hanging]))
            surer = other.max(axis=1) > given[hanging].max(axis=1)
            given[hanging[surer]] = other[surer]
            return given
        inputs: dict[str, npt.NDArray[Any]] = {}
        if PICTURE in self.inputs:
            assert pictures is not None
            inputs[PICTURE] = pictures
        if LANDMARKS in self.inputs:
            assert hands is not None
            inputs[LANDMARKS] = landmark_features(hands[:, :HAND_NUMBERS], self.upright)
        return self._run(session, inputs, len(reasons))

    def _read_looks(self, session: Any, hands: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the mean of what the network gives for each look at a hand, and for what they agree on."""
        given = self._of_hands(session, hands[:, :HAND_NUMBERS])
        if hands.shape[1] == HAND_NUMBERS:
            return given
        views = each_look(hands)
        several = np.flatnonzero((views != views[:, :1]).any(axis=(1, 2)))
        others = views[several, 1:]
        read = self._of_hands(session, others.reshape(-1, HAND_NUMBERS)).reshape(*others.shape[:2], len(self.labels))
        given[several] = (given[several] + read.sum(axis=1)) / (1 + others.shape[1])
        return given

    def _of_hands(self, session: Any, hands: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self._run(session, {LANDMARKS: landmark_features(hands, self.upright)}, len(hands))

    def _run(self, session: Any, inputs: Mapping[str, npt.NDArray[Any]], count: int) -> npt.NDArray[np.float32]:
        given = np.empty((count, len(self.labels)), np.float32)
        for start in range(0, count, BATCH_ROWS):
            batch = {name: rows[start : start + BATCH_ROWS] for name, rows in inputs.items()}
            given[start : start + BATCH_ROWS] = session.run(["probability"], batch)[0]
        return given
