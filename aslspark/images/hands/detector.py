"""Pictures -> the hand in each, by two networks: one finds palms, the other the landmarks of a hand.

In: uint8 (height, width, 3), RGB. Out: a `Hand` in the picture's coordinates. Where no hand is found at once, it is
searched for in framed versions and in parts of the picture. Turned and upside-down hands are found like upright ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from aslspark.common.onnx_sessions import kept_session, rows_of_a_run
from aslspark.common.settings import HandConfig
from aslspark.images.hands.hand import LEFT, NO_HAND, RIGHT, Hand
from aslspark.images.hands.landmark_network import SIDE as LANDMARK_SIDE
from aslspark.images.hands.landmark_network import Detection, find_landmarks
from aslspark.images.hands.networks import HandNetworks, installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.images.hands.palms import SIDE as PALM_SIDE
from aslspark.images.hands.palms import Palm, find_palms
from aslspark.images.hands.search_squares import search_squares
from aslspark.images.hands.square import Picture, Pixels, Square
from aslspark.images.hands.test_time_augmentation import consensus, look_squares

LEAST_PRESENCE = 0.5
"""Of the landmark network, for a hand to count; MediaPipe's."""
CANDIDATES = 2
"""Palms of a search whose landmarks are looked at; MediaPipe's `max_num_hands` as this package used it."""
Seen = dict[int, list[tuple[str, Palm]]]
"""Number of a picture -> the palms in it, each with the step of the search that saw it."""


@dataclass(frozen=True)
class HandDetector:
    """Finds the signing hand in pictures; safe for several threads, and can be pickled.

    Of several hands, it is the one with the largest area times score: the signing hand is nearest to the camera. Where
    no search finds one, the faint palms that each saw are looked at.
    """

    options: HandOptions
    """Its confidence and looks are used."""
    networks: HandNetworks
    threads: int = 1
    """Of a network."""

    def __call__(self, pictures: Sequence[Pixels]) -> list[Hand]:
        """Find the hand in each picture.

        Parameters
        ----------
        pictures : sequence of ndarray of uint8, shape (height, width, 3)
            RGB, of any sizes.
        """
        opened = [Picture(np.ascontiguousarray(pixels)) for pixels in pictures]
        hands: list[Found | None] = [None] * len(opened)
        faint: list[Seen] = []
        searches = [search_squares(picture.width, picture.height) for picture in opened]
        for squares in zip(*searches, strict=True):
            left = [n for n, hand in enumerate(hands) if hand is None]
            if not left:
                break
            palms = self._palms({n: (opened[n], squares[n]) for n in left})
            self._fill(hands, opened, self._of(palms, sure=True))
            faint.append(self._of(palms, sure=False))
        for palms in faint:
            self._fill(hands, opened, {n: rows for n, rows in palms.items() if hands[n] is None})
        return self._refined(opened, hands)

    def open(self) -> None:
        """Open the networks, so that no picture waits for it."""
        for network in (self.networks.palm, self.networks.landmarks):
            kept_session(network, self.threads)

    def _palms(self, places: Mapping[int, tuple[Picture, Sequence[tuple[str, Square]]]]) -> Seen:
        """Search squares of pictures for palms, faint ones where there are no others."""
        squares = [(n, step, square) for n, (_, named) in places.items() for step, square in named]
        palms: Seen = {n: [] for n in places}
        session = kept_session(self.networks.palm, self.threads)
        for rows in _runs(squares, session):
            cut_outs = np.stack([places[n][0].cut(square, PALM_SIDE) for n, _, square in rows])
            answers = find_palms(session, cut_outs, [square for *_, square in rows], self.options.confidence)
            for (n, step, _), answer in zip(rows, answers, strict=True):
                palms[n] += [(step, palm) for palm in answer]
        return palms

    def _of(self, palms: Seen, *, sure: bool) -> Seen:
        """Choose those that have the confidence, or those that have not."""
        least = self.options.confidence
        return {n: [row for row in rows if (row[1].score >= least) == sure] for n, rows in palms.items()}

    def _fill(self, hands: list[Found | None], pictures: Sequence[Picture], palms: Seen) -> None:
        """Look at the landmarks of each picture's best palms, and put in its best hand."""
        looks = [(n, step, palm.hand) for n, rows in palms.items() for step, palm in _distinct(rows)[:CANDIDATES]]
        for (n, step, _), hand in zip(looks, self._look(pictures, [(n, at) for n, _, at in looks]), strict=True):
            found = Found(step, hand)
            if hand.presence >= LEAST_PRESENCE and ((now := hands[n]) is None or _weight(now) < _weight(found)):
                hands[n] = found

    def _look(self, pictures: Sequence[Picture], squares: Sequence[tuple[int, Square]]) -> list[Detection]:
        """Find the landmarks in squares of pictures, which are named by their number."""
        detections: list[Detection] = []
        session = kept_session(self.networks.landmarks, self.threads)
        for rows in _runs(squares, session):
            cut_outs = np.stack([pictures[n].cut(square, LANDMARK_SIDE) for n, square in rows])
            detections += find_landmarks(session, cut_outs, [square for _, square in rows])
        return detections

    def _refined(self, pictures: Sequence[Picture], hands: Sequence[Found | None]) -> list[Hand]:
        """Look at each hand again, and combine what is seen; the first look then serves to find the place alone."""
        further = [
            (n, square)
            for n, found in enumerate(hands)
            if found is not None
            for square in look_squares(found.hand.points, self.options.looks - 1)
        ]
        looks: list[list[Detection]] = [[] if found is None else [found.hand] for found in hands]
        for (n, _), look in zip(further, self._look(pictures, further), strict=True):
            if look.presence >= LEAST_PRESENCE:
                looks[n].append(look)
        return [
            NO_HAND if found is None else _hand(found.step, looks[n][1:] or looks[n], pictures[n].longer_side)
            for n, found in enumerate(hands)
        ]


def hand_detector(config: HandConfig, threads: int = 1) -> HandDetector | None:
    """Make the detector that the section `hands` of the settings asks for; None where hands are not looked for.

    Parameters
    ----------
    threads : int
        Of a network.

    Raises
    ------
    AslsparkError
        Where this machine has no networks that find hands.
    """
    if not config.on:
        return None
    options = HandOptions(**{field.name: getattr(config, field.name) for field in fields(HandOptions)})
    return HandDetector(options, installed_networks("hands.on=true"), threads)


@dataclass(frozen=True)
class Found:
    """A hand, and the step of the search that found it."""

    step: str
    hand: Detection


def _hand(step: str, looks: Sequence[Detection], longer_side: int) -> Hand:
    right = float(np.mean([2 * look.right - 1 for look in looks]))
    numbers = [np.concatenate([look.points.ravel() / longer_side, look.world.ravel()]) for look in looks]
    return Hand(
        found=step,
        landmarks=(consensus([look.points for look in looks]) / longer_side).astype(np.float32),
        world=consensus([look.world for look in looks]).astype(np.float32),
        side=RIGHT if right > 0 else LEFT,
        score=(1 + abs(right)) / 2,
        looks=np.stack(numbers).astype(np.float32),
    )


def _distinct(candidates: Sequence[tuple[str, Palm]]) -> list[tuple[str, Palm]]:
    """Leave out palms that another square showed better; best first."""
    kept: list[tuple[str, Palm]] = []
    for step, palm in sorted(candidates, key=lambda candidate: -candidate[1].score):
        if not any(palm.hand.is_near(other.hand) for _, other in kept):
            kept.append((step, palm))
    return kept


def _weight(found: Found) -> float:
    return found.hand.area * found.hand.presence


def _runs(squares: Sequence[Any], session: Any) -> Iterator[Sequence[Any]]:
    """Divide squares into those of a run of a network."""
    count = rows_of_a_run(session)
    return (squares[start : start + count] for start in range(0, len(squares), count))
