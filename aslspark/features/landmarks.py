"""The 21 landmarks of a hand -> features of its shape, which do not depend on its place and size.

In: the column `hand` of a sample table, or vectors of `HAND_NUMBERS`. Out: float32 features, computed in numpy, so that
they are the same in training, in Spark and in a service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow_hotfix  # noqa: F401  (see aslspark.images.decoding)

from aslspark.images.hands.hand import HAND_STRUCT, MOST_LOOKS

if TYPE_CHECKING:
    import pandas as pd

POINTS = 21
"""MediaPipe's landmarks: the wrist, then four of each finger from thumb to little finger, from root to tip."""

PICTURE_POINTS = slice(0, 63)
"""In a hand's vector: x (rightwards), y (down), z (away) of each point, as shares of the picture's longer side."""
WORLD_POINTS = slice(63, 126)
"""In a hand's vector: the points in metres, from the middle of the hand, as the landmark model estimates them."""
RIGHT_HAND = 126
"""Place in a hand's vector: 1 for a right hand, 0 for a left one."""
HAND_FOUND = 127
"""Place in a hand's vector: 1 where a hand was found; otherwise the whole vector is 0."""
HAND_NUMBERS = 128

LOOKED_NUMBERS = HAND_NUMBERS + MOST_LOOKS * 126
"""Of a hand with each view of it."""
LEARNED_NUMBERS = LOOKED_NUMBERS + MOST_LOOKS * 126
"""Of a hand with each view of it, and each of its views in a small copy of the picture: all 0 without such a copy."""

VECTOR_FIELDS = ("found", "landmarks", "world", "side")
"""The fields of `samples.HAND_TYPE` that make a hand's vector."""
LOOKS = "looks"
"""The field that holds each view; earlier tables lack it."""

FloatArray = npt.NDArray[np.float32]
Array = npt.NDArray[np.floating[Any]]

_WRIST, _KNUCKLES = 0, (5, 9, 13, 17)
_PARENT = np.array([0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19])
"""The point before each one on the way from the wrist to its fingertip."""
_FINGERS, _BONES = 5, 4
_TIPS = (4, 8, 12, 16, 20)
_MEASURED = (*_TIPS, 3, 6, 7, 10, 11, 14, 18, *_KNUCKLES, _WRIST)
_PAIRS = np.array(
    [
        (one, other)
        for place, one in enumerate(_MEASURED)
        for other in _MEASURED[place + 1 :]
        if one in (*_TIPS, 3) or other in _TIPS
    ]
)
"""Pairs of points whose distances are features: every fingertip, and the thumb's last joint, with all others here."""

_ANGLES = _FINGERS * _BONES + (_FINGERS - 1) * (_BONES - 1)
FEATURES = (2 + 1 + 3) * 20 + (2 + 3) * 20 + 2 * _ANGLES + 2 * len(_PAIRS)
"""Numbers of `landmark_features` for a hand."""

HANGING = 120.0
"""Degrees between the picture's up and a hand's: of 11,000 pictures of 19 people, 0.7 % lean more, most of them Q."""


def hand_vectors(hands: pa.Array | pa.ChunkedArray) -> FloatArray:
    """Convert a column of `samples.HAND_TYPE` to vectors.

    Parameters
    ----------
    hands : pyarrow array of struct
        Null, or with a null `found`, where no hand was found.

    Returns
    -------
    ndarray of float32, shape (n, HAND_NUMBERS)
    """
    if isinstance(hands, pa.ChunkedArray):
        parts = [hand_vectors(chunk) for chunk in hands.chunks]
        return np.concatenate(parts) if parts else np.zeros((0, HAND_NUMBERS), np.float32)
    vectors = np.zeros((len(hands), HAND_NUMBERS), np.float32)
    columns = dict(zip((field.name for field in hands.type), hands.flatten(), strict=True))
    seen = np.asarray(columns["found"].is_valid())
    if seen.any():
        at = np.flatnonzero(seen)
        for name, place in (("landmarks", PICTURE_POINTS), ("world", WORLD_POINTS)):
            vectors[at, place] = columns[name].take(pa.array(at)).flatten().to_numpy().reshape(len(at), -1)
        vectors[at, RIGHT_HAND] = [side == "right" for side in columns["side"].take(pa.array(at)).to_pylist()]
        vectors[at, HAND_FOUND] = 1
    return vectors


def looked_vectors(hands: pa.Array | pa.ChunkedArray, numbers: int = LOOKED_NUMBERS) -> FloatArray:
    """Convert a column of `samples.HAND_TYPE` to vectors, with the points of each view of the hand.

    Parameters
    ----------
    hands : pyarrow array of struct
        As for `hand_vectors`; `looks` may be null, or missing.
    numbers : int
        LOOKED_NUMBERS to read hands, LEARNED_NUMBERS to learn from them.

    Returns
    -------
    ndarray of float32, shape (n, numbers)
        A hand's vector, then the points of each of MOST_LOOKS looks, the hand's own points in place of missing looks;
        then as many of the hand in a small copy of its picture, all 0 without one.
    """
    if isinstance(hands, pa.ChunkedArray):
        parts = [looked_vectors(chunk, numbers) for chunk in hands.chunks]
        return np.concatenate(parts) if parts else np.zeros((0, numbers), np.float32)
    looked = np.zeros((len(hands), numbers), np.float32)
    agreed = looked[:, :HAND_NUMBERS] = hand_vectors(hands)
    looked[:, HAND_NUMBERS:LOOKED_NUMBERS] = np.tile(agreed[:, : WORLD_POINTS.stop], (1, MOST_LOOKS))
    if (place := hands.type.get_field_index(LOOKS)) >= 0:
        looks = hands.flatten()[place]
        lengths = np.asarray(pc.fill_null(pc.list_value_length(looks), 0))
        values = looks.flatten().to_numpy()
        ends = np.cumsum(lengths)
        for row in np.flatnonzero((lengths > 0) & (agreed[:, HAND_FOUND] > 0)):
            seen = values[ends[row] - lengths[row] : ends[row]][: numbers - HAND_NUMBERS]
            looked[row, HAND_NUMBERS : HAND_NUMBERS + len(seen)] = seen
    return looked


def one_look(looked: FloatArray, random: np.random.Generator) -> FloatArray:
    """Choose for each hand, at random, the points of one view or the combined ones.

    Of a hand that was found in a small copy of its picture, too, every other time it is a view there.

    Parameters
    ----------
    looked : ndarray of float32, shape (n, LOOKED_NUMBERS) or (n, LEARNED_NUMBERS)

    Returns
    -------
    ndarray of float32, shape (n, HAND_NUMBERS)
    """
    hands = looked[:, :HAND_NUMBERS].copy()
    chosen = random.integers(0, MOST_LOOKS + 1, len(looked))
    looks = looked[:, HAND_NUMBERS:].reshape(len(looked), -1, WORLD_POINTS.stop)
    some = chosen > 0
    hands[some, : WORLD_POINTS.stop] = looks[some, chosen[some] - 1]
    in_small = looks[:, MOST_LOOKS:].any(axis=(1, 2))
    if in_small.any():  # else the same numbers are drawn as before there were copies
        in_small &= random.random(len(looked)) < 0.5
        chosen = random.integers(MOST_LOOKS, 2 * MOST_LOOKS, len(looked))
        hands[in_small, : WORLD_POINTS.stop] = looks[in_small, chosen[in_small]]
    return hands


def each_look(looked: FloatArray) -> FloatArray:
    """Return what hands look like: as all views agree, and in each view.

    Parameters
    ----------
    looked : ndarray of float32, shape (n, LOOKED_NUMBERS)

    Returns
    -------
    ndarray of float32, shape (n, 1 + MOST_LOOKS, HAND_NUMBERS)
    """
    views = np.repeat(looked[:, None, :HAND_NUMBERS], 1 + MOST_LOOKS, axis=1)
    views[:, 1:, : WORLD_POINTS.stop] = looked[:, HAND_NUMBERS:].reshape(-1, MOST_LOOKS, WORLD_POINTS.stop)
    return views


def frame_vectors(hands: pd.DataFrame) -> FloatArray:
    """Convert a column of structs with VECTOR_FIELDS, as pandas_udf gives it; see `hand_vectors`."""
    return hand_vectors(_structs(hands))


def looked_frame_vectors(hands: pd.DataFrame) -> FloatArray:
    """Convert a column of structs with VECTOR_FIELDS and perhaps looks; see `looked_vectors`."""
    return looked_vectors(_structs(hands))


def _structs(hands: pd.DataFrame) -> pa.StructArray:
    names = [name for name in (*VECTOR_FIELDS, LOOKS) if name in hands.columns]
    columns = [pa.array(hands[name], HAND_STRUCT.field(name).type) for name in names]
    return pa.StructArray.from_arrays(columns, names)


def landmark_features(vectors: FloatArray, upright: bool) -> FloatArray:
    """Compute features of the shape of hands, which do not depend on place, size or side.

    Left hands are mirrored to right ones, the wrist is the origin, and the point farthest from it in the plane of the
    picture is at distance 1. The features, for picture and world points: coordinates; directions of the 20 bones;
    cosines between consecutive bones, between the first and last bone of a finger, and between neighbouring fingers;
    distances between fingertips and other points, relative to the palm.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, HAND_NUMBERS)
    upright : bool
        Rotate each hand in the picture's plane so that its knuckles are above its wrist. Otherwise its rotation counts,
        which distinguishes P from K and Q from G.

    Returns
    -------
    ndarray of float32, shape (n, FEATURES)
        All 0 where no hand was found.
    """
    features = np.zeros((len(vectors), FEATURES), np.float32)
    seen = vectors[:, HAND_FOUND] > 0.5
    if not seen.any():
        return features
    hands = vectors[seen].astype(np.float64)
    side = np.where(hands[:, RIGHT_HAND] > 0.5, 1.0, -1.0)
    flat = _normal(hands[:, PICTURE_POINTS].reshape(-1, POINTS, 3), side, upright)
    space = _normal(hands[:, WORLD_POINTS].reshape(-1, POINTS, 3), side, upright)
    depth = flat[:, 1:, 2]
    flat = flat * (1.0, 1.0, 0.0)  # the depth is uncertain: it is used as a coordinate only
    flat_bones, space_bones = _bone_directions(flat), _bone_directions(space)
    parts = (
        flat[:, 1:, :2],
        depth,
        space[:, 1:],
        flat_bones[:, :, :2],
        space_bones,
        _cosines(flat_bones),
        _cosines(space_bones),
        _distances(flat),
        _distances(space),
    )
    features[seen] = np.concatenate([part.reshape(len(hands), -1) for part in parts], axis=1)
    return features


def hangs_down(vectors: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which hands' knuckles are below their wrist, more than HANGING degrees from upright.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, HAND_NUMBERS)
    """
    points = vectors[:, PICTURE_POINTS].reshape(-1, POINTS, 3)[:, :, :2]
    up = points[:, _KNUCKLES].mean(axis=1) - points[:, 0]
    hanging = -up[:, 1] < np.cos(np.radians(HANGING)) * np.hypot(up[:, 0], up[:, 1])
    return np.asarray(hanging & (vectors[:, HAND_FOUND] > 0.5))


def half_turned(vectors: FloatArray) -> FloatArray:
    """Turn hands, and each look at them, by half in the plane of the picture; of the same shape."""
    turned = vectors.copy()
    for part in (slice(0, WORLD_POINTS.stop), slice(HAND_NUMBERS, None)):
        points = turned[:, part]
        points *= np.tile(np.array([-1, -1, 1], np.float32), points.shape[1] // 3)
    return turned


def mixed_hands(vectors: FloatArray, others: FloatArray, shares: Array) -> FloatArray:
    """Mix hands with others: points between those of both, as right hands of one size with the wrist at one place.

    Parameters
    ----------
    vectors, others : ndarray of float32, shape (n, HAND_NUMBERS)
        Are not changed; of hands that were found.
    shares : ndarray, shape (n,)
        Of the others.

    Returns
    -------
    ndarray of float32, shape (n, HAND_NUMBERS)
    """
    mixed = vectors.copy()
    share = shares[:, None, None]
    for place in (PICTURE_POINTS, WORLD_POINTS):
        one, other = (
            _normal(
                hands[:, place].reshape(-1, POINTS, 3).astype(np.float64),
                np.where(hands[:, RIGHT_HAND] > 0.5, 1.0, -1.0),
                upright=False,
            )
            for hands in (vectors, others)
        )
        mixed[:, place] = ((1 - share) * one + share * other).reshape(len(vectors), -1)
    mixed[:, RIGHT_HAND] = 1
    return mixed


def augmented_hands(
    vectors: FloatArray,
    random: np.random.Generator,
    *,
    noise: float,
    turn_degrees: float,
    tilt_degrees: float,
    bone: float,
    probability: float,
) -> FloatArray:
    """Augment hands as other people and cameras would: lengths of bones, rotations, noise.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, HAND_NUMBERS)
        Is not changed.
    noise : float
        Standard deviation of each coordinate, as a share of the distance from the wrist to the middle knuckle.
    turn_degrees, tilt_degrees : float
        Standard deviations of the rotation in the picture's plane, and about both its axes.
    bone : float
        Standard deviation of the length of each bone, and of each whole finger, as a share of the length.
    probability : float
        Of changing a hand.

    Returns
    -------
    ndarray of float32, shape (n, HAND_NUMBERS)
    """
    changed = vectors.copy()
    chosen = np.flatnonzero((vectors[:, HAND_FOUND] > 0.5) & (random.random(len(vectors)) < probability))
    count = len(chosen)
    if not count:
        return changed
    lengths = 1 + random.normal(0, bone, (count, POINTS))
    lengths[:, 1:] *= np.repeat(1 + random.normal(0, bone, (count, _FINGERS)), _BONES, axis=1)
    axes = np.stack(
        [random.normal(0, np.radians(d), count) for d in (tilt_degrees, tilt_degrees, turn_degrees)], axis=1
    )
    turns = _rotations(axes)
    for place in (PICTURE_POINTS, WORLD_POINTS):
        points = vectors[chosen, place].reshape(-1, POINTS, 3).astype(np.float64)
        wrist = points[:, :1]
        bones = (points - points[:, _PARENT]) * lengths[:, :, None]
        moved = np.zeros_like(points)
        for point in range(1, POINTS):
            moved[:, point] = moved[:, _PARENT[point]] + bones[:, point]
        moved = moved @ turns.transpose(0, 2, 1)
        size = np.linalg.norm(moved[:, _KNUCKLES[1]], axis=1)
        moved += random.normal(0, noise, moved.shape) * size[:, None, None]
        changed[chosen, place] = (moved + wrist).reshape(count, -1)
    return changed


def _normal(points: Array, side: Array, upright: bool) -> Array:
    points = points - points[:, :1]
    points[:, :, 0] *= side[:, None]
    points /= np.maximum(np.linalg.norm(points[:, :, :2], axis=2).max(axis=1), 1e-6)[:, None, None]
    if upright:
        knuckles = points[:, _KNUCKLES, :2].mean(axis=1)
        turn = np.arctan2(knuckles[:, 0], -knuckles[:, 1])
        cosine, sine = np.cos(turn)[:, None], np.sin(turn)[:, None]
        across, down = points[:, :, 0].copy(), points[:, :, 1].copy()
        points[:, :, 0] = cosine * across + sine * down
        points[:, :, 1] = cosine * down - sine * across
    return points


def _bone_directions(points: Array) -> Array:
    bones = points[:, 1:] - points[:, _PARENT[1:]]
    directions: Array = bones / np.maximum(np.linalg.norm(bones, axis=2, keepdims=True), 1e-6)
    return directions


def _cosines(bones: Array) -> Array:
    fingers = bones.reshape(-1, _FINGERS, _BONES, 3)
    along = (fingers[:, :, :-1] * fingers[:, :, 1:]).sum(axis=3)
    ends = (fingers[:, :, 0] * fingers[:, :, -1]).sum(axis=2)
    between = (fingers[:, :-1, 1:] * fingers[:, 1:, 1:]).sum(axis=3)
    return np.concatenate([part.reshape(len(bones), -1) for part in (along, ends, between)], axis=1)


def _distances(points: Array) -> Array:
    palm = np.linalg.norm(points[:, 9] - points[:, 0], axis=1) + np.linalg.norm(points[:, 5] - points[:, 17], axis=1)
    apart = np.linalg.norm(points[:, _PAIRS[:, 0]] - points[:, _PAIRS[:, 1]], axis=2)
    shares: Array = apart / np.maximum(palm, 1e-6)[:, None]
    return shares


def _rotations(vectors: Array) -> Array:
    """Convert rotation vectors (n, 3) to matrices (n, 3, 3) by Rodrigues' formula."""
    angles = np.linalg.norm(vectors, axis=1)
    x, y, z = (vectors / np.maximum(angles, 1e-12)[:, None]).T
    nothing = np.zeros_like(x)
    cross = np.stack([nothing, -z, y, z, nothing, -x, -y, x, nothing], axis=1).reshape(-1, 3, 3)
    sine, versine = np.sin(angles)[:, None, None], (1 - np.cos(angles))[:, None, None]
    rotations: Array = np.eye(3) + sine * cross + versine * (cross @ cross)
    return rotations
