"""The bytes of picture files, or pixels -> an `Answer` each, by a bundle's network in this process, without Spark.

`aslspark.scoring.model` applies the same network, with the same preprocessing, to DataFrames.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aslspark.bundle.files import HANDS, ONNX, read_bundle
from aslspark.bundle.network import network_of, preprocessing_of
from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.common.onnx_sessions import open_session
from aslspark.features.landmarks import looked_vectors
from aslspark.features.pictures import Normaliser
from aslspark.images.decoding import Unusable
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.find_and_crop import FindsHands
from aslspark.images.hands.hand import NO_HAND, Hand, hand_column
from aslspark.images.image_spec import ImageSpec
from aslspark.models.onnx_classifier import OnnxClassifier, needs_hand
from aslspark.scoring.answers import Answer, answers_of

NO_PIXELS = "bare pixels"
"""The reason why a model of landmarks alone does not answer for raw pixels: hands are looked for in files."""

BYTES, NUMBERS, REASON = "bytes", "numbers", "reason"
"""Kinds of input; REASON: there is no picture, but the reason why not."""


class Reader:
    """A network that reads pictures one by one; safe for several threads.

    Parameters
    ----------
    network : OnnxClassifier
    form : ImageSpec
        Size and colours of the pictures.
    hands : HandDetector, optional
        What finds the hands that pictures are cropped to; None: they stay whole.
    temperature, threshold : float
        Of the bundle.
    digest : str
        Identifies the bundle.
    """

    def __init__(
        self,
        network: OnnxClassifier,
        form: ImageSpec,
        hands: HandDetector | None = None,
        *,
        temperature: float = 1.0,
        threshold: float = 0.0,
        digest: str = "",
    ) -> None:
        self.network, self.form, self.hands = network, form, hands
        self.temperature, self.threshold, self.digest = temperature, threshold, digest
        self._session = open_session(network.onnx, 1)
        self.network = replace(network, onnx=b"")

    @classmethod
    def load(cls, path: str) -> Reader:
        """Load a bundle; its path may be an alias that changes meanwhile.

        Raises
        ------
        AslsparkError
            Where the folder is no bundle, was changed, or has a model of Spark MLlib.
        """
        bundle = read_bundle(path, keep=[ONNX, HANDS])
        manifest = bundle.manifest
        if manifest["kind"] != "network":
            raise AslsparkError(
                f"--model {path}: a model of Spark MLlib, which needs Spark; give a bundle with a network, or use "
                "jobs/score.py"
            )
        form, hands = preprocessing_of(bundle, path)
        return cls(
            network_of(bundle, path),
            form,
            hands,
            temperature=manifest.get("temperature", 1.0),
            threshold=manifest.get("threshold", 0.0),
            digest=bundle.digest,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The label list, in the order of the network's outputs."""
        return self.network.labels

    def read(self, value: Any, kind: str = BYTES) -> Answer:
        """Read one picture.

        Parameters
        ----------
        value : bytes or sequence of numbers
        kind : {'bytes', 'numbers', 'reason'}
            Bytes of a file, or raw pixels of the model's size; pixels of that size as numbers of 0-255; or the reason
            why there is no picture.
        """
        try:
            picture, hand = prepared(value, kind, self.form, self.hands)
        except Unusable as error:
            return Answer(None, None, (), str(error))
        return self.answer(picture, hand)

    def answer(self, picture: npt.NDArray[np.uint8], hand: Hand | None) -> Answer:
        """Read a prepared picture.

        Parameters
        ----------
        picture : ndarray of uint8, shape (height, width, channels)
        hand : Hand, optional
            Both as from `prepared`.
        """
        reasons = np.array([None], object)
        if hand is None and needs_hand(self.network.inputs, self.labels):
            return Answer(None, None, (), f"{NO_PIXELS}: the model looks for a hand, in the bytes of a picture file")
        probabilities = self.probabilities(picture, hand, reasons)
        (answer,) = answers_of(
            probabilities,
            reasons,
            self.labels,
            temperature=self.temperature,
            threshold=self.threshold,
            hands=[hand],
        )
        return answer

    def probabilities(
        self, picture: npt.NDArray[np.uint8], hand: Hand | None, reasons: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[np.float32]:
        """Run the network on one picture.

        Parameters
        ----------
        picture, hand
            As for `answer`.
        reasons : ndarray of object, shape (1,), optional
            Set to NO_HAND_FOUND where the network needs a hand and there is none.

        Returns
        -------
        ndarray of float32, shape (1, classes)
            Before the temperature.
        """
        vectors = hand_vector(hand)[None] if LANDMARKS in self.network.inputs else None
        reasons = np.array([None], object) if reasons is None else reasons
        return self.network.probabilities(self._session, picture[None], vectors, reasons)


def prepared(
    value: Any,
    kind: str,
    form: ImageSpec,
    hands: FindsHands | None,
) -> tuple[npt.NDArray[np.uint8], Hand | None]:
    """Prepare a picture for a network: the step that processes bytes from anywhere.

    Parameters
    ----------
    value, kind
        As for `Reader.read`.
    form : ImageSpec
    hands : FindsHands, optional

    It returns and raises as `aslspark.features.pictures.Normaliser.one` does.
    """
    if kind == REASON:
        raise Unusable(value, "")
    return Normaliser(kind, form, hands).one(value)


def hand_vector(hand: Hand | None) -> npt.NDArray[np.float32]:
    """Return the vector of a hand and each look at it, shape (LOOKED_NUMBERS,); all 0 without one.

    See `features.landmarks.looked_vectors`.
    """
    vector: npt.NDArray[np.float32] = looked_vectors(hand_column([hand or NO_HAND]))[0]
    return vector
