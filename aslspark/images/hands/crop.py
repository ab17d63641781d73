"""A picture and the landmarks of its hand -> the square of it that holds the hand.

In: an image of any size, grey or RGB. Out: a square image, black where it reaches over the picture's edge.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aslspark.images.hands.options import HandOptions

if TYPE_CHECKING:
    from PIL import Image

WRIST, MIDDLE_KNUCKLE = 0, 9

FLESH = 0.12
"""How far the hand reaches around its landmarks, which lie in its bones, as a share of the square around them."""

BLUR = 0.06
"""Radius, as a share of the crop's side."""


def hand_crop(image: Image.Image, landmarks: npt.NDArray[np.float32], options: HandOptions, wanted: int) -> Image.Image:
    """Cut the square around the hand out of a picture.

    Parameters
    ----------
    image : Image
        Grey or RGB.
    landmarks : ndarray of float32, shape (21, 3)
        As `Hand` has them.
    options : HandOptions
        Of which margin, upright and background count.
    wanted : int
        Pixels that the crop's side will be brought to.

    Returns
    -------
    Image
        Of the same colours, and of as many pixels as the square has in the picture, or two to four times as many as
        are wanted.
    """
    from PIL import Image

    matrix, side = crop_transform(landmarks, image.size, options)
    if (less := int(side / (2 * max(wanted, 1)))) > 1:
        image = image.reduce(less)
        matrix, side = crop_transform(landmarks, image.size, options)
    pixels = max(1, round(side))
    # Pillow wants the way from the crop's pixels to the picture's.
    scaled = matrix * np.array([side / pixels, side / pixels, 1.0])
    if options.upright:
        crop = image.transform(
            (pixels, pixels), Image.Transform.AFFINE, tuple(scaled.ravel()), Image.Resampling.BICUBIC
        )
    else:
        left, top = (round(float(edge)) for edge in matrix[:, 2])
        crop = image.crop((left, top, left + pixels, top + pixels))
    if options.background == "blur":
        crop = _with_blurred_background(crop, points_in_crop(landmarks, image.size, options) * pixels)
    return crop


def crop_transform(
    landmarks: npt.NDArray[np.float32], size: tuple[int, int], options: HandOptions
) -> tuple[npt.NDArray[np.float64], float]:
    """Find the square around a hand.

    Parameters
    ----------
    landmarks : ndarray of float32, shape (21, 3)
    size : (int, int)
        Width and height of the picture.
    options : HandOptions

    Returns
    -------
    ndarray of float64, shape (2, 3)
        From the crop's coordinates (in pixels of the picture) to the picture's.
    float
        The crop's side, in pixels of the picture.
    """
    points = np.asarray(landmarks, np.float64)[:, :2] * max(size)
    angle = _lean(points) if options.upright else 0.0
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turned = points @ turn  # by the opposite angle, so that the hand stands straight
    low, high = turned.min(axis=0), turned.max(axis=0)
    side = max(float((high - low).max()) * (1 + 2 * options.margin), 1.0)
    corner = turn @ ((low + high) / 2 - side / 2)
    return np.column_stack([turn, corner]), side


def points_in_crop(
    landmarks: npt.NDArray[np.float32], size: tuple[int, int], options: HandOptions
) -> npt.NDArray[np.float64]:
    """Find where the landmarks lie in the crop: shape (21, 2), shares of its side, from its top left."""
    matrix, side = crop_transform(landmarks, size, options)
    points = np.asarray(landmarks, np.float64)[:, :2] * max(size)
    in_crop: npt.NDArray[np.float64] = (points - matrix[:, 2]) @ matrix[:, :2] / side
    return in_crop


def _lean(points: npt.NDArray[np.float64]) -> float:
    """Measure by how much the hand leans to the right of straight up, in radians."""
    x, y = points[MIDDLE_KNUCKLE] - points[WRIST]
    return math.atan2(x, -y)


def _with_blurred_background(crop: Image.Image, points: npt.NDArray[np.float64]) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFilter

    side = crop.size[0]
    reach = FLESH * float(np.ptp(points, axis=0).max())
    hull = [(float(x), float(y)) for x, y in _hull(points)]
    mask = Image.new("L", crop.size)
    draw = ImageDraw.Draw(mask)
    draw.polygon(hull, fill=255)
    draw.line([*hull, hull[0]], fill=255, width=max(1, round(2 * reach)))
    for x, y in hull:
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(reach / 4))  # no edge that a network could learn
    return Image.composite(crop, crop.filter(ImageFilter.GaussianBlur(BLUR * side)), mask)


def _hull(points: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Find the corners of the convex hull (A. M. Andrew, 1979)."""
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]

    def half(line: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
        kept: list[npt.NDArray[np.float64]] = []
        for point in line:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-1] - kept[-2], point - kept[-2]
                if ax * by - ay * bx > 0:
                    break
                kept.pop()
            kept.append(point)
        return kept[:-1]

    return half(ordered) + half(ordered[::-1])
