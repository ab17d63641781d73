"""A picture and the landmarks of its hand -> the square around the hand.

In: an image of any size, grey or RGB. Out: a square image, black where it extends beyond the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aslspark.images.hands.options import HandOptions
from aslspark.images.hands.square import Square, angle_of

if TYPE_CHECKING:
    from PIL import Image

WRIST, MIDDLE_KNUCKLE = 0, 9

HAND_MARGIN = 0.12
"""Half the thickness of a hand around its landmarks, as a share of the square around them."""

BLUR = 0.06
"""Blur radius, as a share of the crop's side."""


def hand_crop(
    image: Image.Image, landmarks: npt.NDArray[np.float32], options: HandOptions, target_side: int
) -> Image.Image:
    """Crop the square around the hand.

    Parameters
    ----------
    image : Image
        Grey or RGB.
    landmarks : ndarray of float32, shape (21, 3)
        As `Hand` has them.
    options : HandOptions
        Margin, upright and background are used.
    target_side : int
        Pixels of the crop's side after resizing.

    Returns
    -------
    Image
        In the same colours; its side is that in the picture, or two to four times `target_side`.
    """
    from PIL import Image

    matrix, side = crop_transform(landmarks, image.size, options)
    if (factor := int(side / (2 * max(target_side, 1)))) > 1:
        image = image.reduce(factor)
        matrix, side = crop_transform(landmarks, image.size, options)
    pixels = max(1, round(side))
    # Pillow's transform maps the crop's pixels to the picture's.
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
    """Compute the square around a hand.

    Parameters
    ----------
    landmarks : ndarray of float32, shape (21, 3)
    size : (int, int)
        Width and height of the picture.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        Affine, from the crop's coordinates (in pixels of the picture) to the picture's.
    float
        The crop's side, in pixels of the picture.
    """
    points = np.asarray(landmarks, np.float64)[:, :2] * max(size)
    angle = angle_of(points[MIDDLE_KNUCKLE] - points[WRIST]) if options.upright else 0.0
    turn = Square(0.0, 0.0, 1.0, angle).axes
    turned = points @ turn  # by the opposite angle, which makes the hand upright
    low, high = turned.min(axis=0), turned.max(axis=0)
    side = max(float((high - low).max()) * (1 + 2 * options.margin), 1.0)
    corner = turn @ ((low + high) / 2 - side / 2)
    return np.column_stack([turn, corner]), side


def points_in_crop(
    landmarks: npt.NDArray[np.float32], size: tuple[int, int], options: HandOptions
) -> npt.NDArray[np.float64]:
    """Return the landmarks in the crop: shape (21, 2), shares of its side, from its top left."""
    matrix, side = crop_transform(landmarks, size, options)
    points = np.asarray(landmarks, np.float64)[:, :2] * max(size)
    in_crop: npt.NDArray[np.float64] = (points - matrix[:, 2]) @ matrix[:, :2] / side
    return in_crop


def _with_blurred_background(crop: Image.Image, points: npt.NDArray[np.float64]) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFilter

    side = crop.size[0]
    margin = HAND_MARGIN * float(np.ptp(points, axis=0).max())
    hull = [(float(x), float(y)) for x, y in _hull(points)]
    mask = Image.new("L", crop.size)
    draw = ImageDraw.Draw(mask)
    draw.polygon(hull, fill=255)
    draw.line([*hull, hull[0]], fill=255, width=max(1, round(2 * margin)))
    for x, y in hull:
        draw.ellipse((x - margin, y - margin, x + margin, y + margin), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(margin / 4))  # without an edge that a network could learn
    return Image.composite(crop, crop.filter(ImageFilter.GaussianBlur(BLUR * side)), mask)


def _hull(points: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Return the corners of the convex hull (A. M. Andrew, 1979)."""
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
