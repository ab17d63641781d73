"""Pictures -> letters with a network in a bundle, in this process: the half of scoring that needs no Spark.

In: the bytes of picture files, or pixels. Out: an `Answer` each. `aslspark.scoring` runs the same network over
DataFrames, with inputs made in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aslspark.bundle.files import ONNX, read_bundle
from aslspark.bundle.network import network_of, preprocessing_of
from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.features.landmarks import HAND_FOUND, HAND_NUMBERS, PICTURE_POINTS, RIGHT_HAND, WORLD_POINTS
from aslspark.features.pictures import Normaliser
from aslspark.images.decoding import ImageSpec, Unusable
from aslspark.images.hands.hand import RIGHT as RIGHT_SIDE
from aslspark.images.hands.hand import Hand
from aslspark.images.hands.options import HandOptions, require_detector
from aslspark.models.onnx_classifier import NO_HAND_FOUND, OnnxClassifier, needs_hand, open_session
from aslspark.scoring.calibration import ABSTAINED, top_classes

NO_PROBABILITIES = "the network gave no probabilities"
"""Why there is no answer where a network's numbers overflow at a picture."""
NO_PIXELS = "bare pixels"
"""Why a model of landmarks alone does not answer to pixels of its pictures' size: hands are looked for in files."""

BYTES, NUMBERS, REASON = "bytes", "numbers", "reason"
"""What a picture comes as; the last: none at all, and why."""


@dataclass(frozen=True)
class Answer:
    """What is read in a picture, as the columns that scoring adds."""

    letter: str | None
    """None where the picture could not be read, or the best is less probable than the threshold."""
    probability: float | None
    """Of the best, 0-1."""
    top: tuple[tuple[str, float], ...]
    """The best three, best first."""
    reason: str | None
    """Why there is no letter."""
    hand: Hand | None = None
    """Where the hand was found, of pictures in which it was looked for."""

    @property
    def usable(self) -> bool:
        """Whether the picture could be looked at; without a hand in it, or without being sure, it still could."""
        return bool(self.top) or self.reason == NO_HAND_FOUND

    def as_dict(self) -> dict[str, Any]:
        """Return what is written of it as JSON; of the hand: its side, and x and y of its points."""
        hand = None
        if self.hand is not None and self.hand.landmarks is not None:
            points = [[round(float(x), 4), round(float(y), 4)] for x, y, _ in self.hand.landmarks]
            hand = {"side": self.hand.side, "points": points}
        top = [{"letter": letter, "probability": share} for letter, share in self.top]
        return {
            "letter": self.letter,
            "probability": self.probability,
            "top": top,
            "reason": self.reason,
            "hand": hand,
        }


class Reader:
    """A network that reads pictures one by one; several threads may use it at once.

    Parameters
    ----------
    network : OnnxClassifier
    form : ImageSpec
        What pictures are brought to.
    hands : HandOptions, optional
        How pictures are cropped to the hand; None: they stay whole.
    temperature, threshold : float
        As the bundle keeps them.
    digest : str
        By which two bundles are told apart.
    """

    def __init__(
        self,
        network: OnnxClassifier,
        form: ImageSpec,
        hands: HandOptions | None = None,
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
        """Load a bundle; a link that is moved meanwhile does no harm.

        Raises
        ------
        AslsparkError
            Where the folder is no bundle, not as it was written, or holds a model of Spark MLlib.
        """
        bundle = read_bundle(path, keep=[ONNX])
        manifest = bundle.manifest
        if manifest["kind"] != "network":
            raise AslsparkError(
                f"--model {path}: a model of Spark MLlib, which needs Spark; give a bundle with a network, or use "
                "jobs/score.py"
            )
        form, hands = preprocessing_of(manifest, path)
        if hands is not None:
            require_detector("the model's hands.on=true")
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

    def read(
        self, value: Any, kind: str = BYTES, find: Callable[[npt.NDArray[np.uint8]], Hand] | None = None
    ) -> Answer:
        """Read one picture.

        Parameters
        ----------
        value : bytes or sequence of numbers
        kind : {'bytes', 'numbers', 'reason'}
            Bytes of a file, or of exactly the pixels that the model takes; those pixels as numbers of 0-255; or why
            whoever asks has no picture.
        find : callable, optional
            What finds hands, such as an `images.hands.detector_process.DetectorProcess`; without it this process's own,
            for one picture at a time.
        """
        try:
            picture, hand = prepared(value, kind, self.form, self.hands, find)
        except Unusable as found:
            return Answer(None, None, (), str(found))
        return self.answer(picture, hand)

    def answer(self, picture: npt.NDArray[np.uint8], hand: Hand | None) -> Answer:
        """Read a picture that was made ready.

        Parameters
        ----------
        picture : ndarray of uint8, shape (height, width, channels)
        hand : Hand, optional
            As `prepared` gives both.
        """
        reasons = np.array([None], object)
        if hand is None and needs_hand(self.network.inputs, self.labels):
            return Answer(None, None, (), f"{NO_PIXELS}: the model looks for a hand, in the bytes of a picture file")
        probabilities = self.probabilities(picture, hand, reasons)
        if reasons[0] is not None:
            return Answer(None, None, (), str(reasons[0]), hand)
        places, shares, _ = top_classes(probabilities, self.temperature)
        if not np.isfinite(shares).all():
            return Answer(None, None, (), NO_PROBABILITIES, hand)
        top = tuple((self.labels[place], float(share)) for place, share in zip(places[0], shares[0], strict=True))
        letter, probability = top[0]
        # As float32, as Spark compares it.
        sure = np.float32(probability) >= np.float32(self.threshold)
        return Answer(letter if sure else None, probability, top, None if sure else ABSTAINED, hand)

    def probabilities(
        self, picture: npt.NDArray[np.uint8], hand: Hand | None, reasons: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[np.float32]:
        """Run the network on one picture.

        Parameters
        ----------
        picture, hand
            As `answer` takes them.
        reasons : ndarray of object, shape (1,), optional
            Gets NO_HAND_FOUND where the network cannot do without one.

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
    hands: HandOptions | None,
    find: Callable[[npt.NDArray[np.uint8]], Hand] | None = None,
) -> tuple[npt.NDArray[np.uint8], Hand | None]:
    """Make one picture ready for a network: the part of reading that works on bytes from anywhere.

    Parameters
    ----------
    value, kind, find
        As `Reader.read` takes them.
    form : ImageSpec
    hands : HandOptions, optional

    Returns
    -------
    ndarray of uint8, shape (height, width, channels)
    Hand or None
        None of a picture in which no hand was looked for.

    Raises
    ------
    Unusable
    """
    if kind == REASON:
        raise Unusable(value, "")
    return Normaliser(kind, form, hands, find).one(value)


def hand_vector(hand: Hand | None) -> npt.NDArray[np.float32]:
    """Lay a hand out as `features.landmarks.hand_vectors` does: shape (HAND_NUMBERS,), all 0 without one."""
    vector = np.zeros(HAND_NUMBERS, np.float32)
    if hand is not None and hand.landmarks is not None and hand.world is not None:
        vector[PICTURE_POINTS], vector[WORLD_POINTS] = hand.landmarks.ravel(), hand.world.ravel()
        vector[RIGHT_HAND], vector[HAND_FOUND] = hand.side == RIGHT_SIDE, 1
    return vector
