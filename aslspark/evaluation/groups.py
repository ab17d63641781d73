"""Accuracy by group: signer, side of the hand, its size in the picture, how light its skin looks.

In: scored samples with `signer` and `hand`. Out: rows, accuracy and 95 % interval of each group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from aslspark.common.batch_udf import row_udf
from aslspark.data.samples import HAND_COLUMN
from aslspark.evaluation.metrics import wilson
from aslspark.evaluation.metrics_json import GroupAccuracy
from aslspark.images.decoding import pixels_of
from aslspark.images.hands.crop import points_in_crop
from aslspark.images.hands.options import HandOptions

SIZE_BANDS = (0.2, 0.4, 0.6)
"""Limits of a hand's longer side, as a share of the picture's longer side."""
_SIZE_NAMES = (
    f"below {SIZE_BANDS[0]:.0%}",
    *(f"{low:.0%} to {high:.0%}" for low, high in pairwise(SIZE_BANDS)),
    f"{SIZE_BANDS[-1]:.0%} and more",
)
SKIN_BANDS = ((55.0, "very light"), (41.0, "light"), (28.0, "intermediate"), (10.0, "tan"), (-30.0, "brown"))
"""Least typology angle of each band in degrees; below the last, skin is dark. The angle is that of Chardon, Cretois and
Hourseau, Skin colour typology and suntanning pathways, International Journal of Cosmetic Science 13 (1991); the bands
are those of Del Bino and Bernerd, Variations in skin colour and the biological consequences of ultraviolet radiation
exposure, British Journal of Dermatology 169 (2013)."""
DARK = "dark"
SKIN_NAMES = (*(name for _, name in SKIN_BANDS), DARK)
SKIN_NOTE = (
    "Skin bands are a rough estimate from the light of one picture, with an unknown lamp and camera: they say how the "
    "skin looks there, and are not a trait of a person."
)

_PALM = [0, 1, 5, 9, 13, 17]
"""Landmarks around the palm: the wrist, the root of the thumb, the knuckles."""
_INNER = 0.8
"""Share of the palm around its middle whose pixels count: landmarks may lie a little beside the hand."""
_FINE = 10_000
"""Side in pixels at which landmarks are placed in the crop; the shares that come of it do not depend on it."""
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""Matrix from linear sRGB to CIE XYZ."""
NAMES = {
    "signer": "signer",
    "hand": "hand found",
    "side": "side of the hand",
    "size": "hand's share of the picture",
    "skin": "skin, as it looks",
}


def with_groups(samples: DataFrame, is_judged: Column, crops: HandOptions | None) -> DataFrame:
    """Add `groups`, a struct with the sample's group of each kind, null where it is in none.

    Parameters
    ----------
    samples : DataFrame
        With `signer`, and perhaps `picture` and `hand`.
    is_judged : Column
        Whether a row's picture is decoded for its skin band, which takes long.
    crops : HandOptions, optional
        How the pictures were cropped to the hand; without it there are no skin bands.
    """
    groups = {"signer": F.col("signer")}
    if HAND_COLUMN in samples.columns:
        hand = F.col(HAND_COLUMN)
        is_found = hand["found"].isNotNull()
        groups["hand"] = F.when(is_found, "yes").otherwise("no")
        groups["side"] = F.when(is_found, hand["side"])
        groups["size"] = F.when(is_found, _size_band(hand["landmarks"]))
        if crops is not None:
            crop = F.struct("picture.*", hand["landmarks"].alias("landmarks"))
            skin = row_udf("string", partial(_skin_band_of, crops=crops))
            groups["skin"] = skin(F.when(is_judged & is_found, crop))
    return samples.withColumn("groups", F.struct(*(column.alias(name) for name, column in groups.items())))


def group_metrics(scored: DataFrame) -> dict[str, list[GroupAccuracy]]:
    """Compute the accuracy of each group.

    Parameters
    ----------
    scored : DataFrame
        With `label`, `letter` and `groups`.

    Returns
    -------
    dict of str to list of dict
        Kind to its groups, each with `group`, `rows`, `accuracy` and the 95 % interval from `low` to `high` (Wilson).
        Rows in no group of a kind do not count there; a kind without rows is left out.
    """
    kinds = [name for name in NAMES if name in scored.schema["groups"].dataType.names]  # type: ignore[attr-defined]
    right = F.coalesce(F.col("letter") == F.col("label"), F.lit(False)).cast("int")
    counts = (
        scored.groupBy(*(F.col("groups")[kind].alias(kind) for kind in kinds))
        .agg(F.count("*").alias("rows"), F.sum(right).alias("right"))
        .toPandas()
    )
    result = {}
    for kind in kinds:
        sums = counts.dropna(subset=[kind]).groupby(kind)[["rows", "right"]].sum()
        groups = [_accuracy_of(str(name), int(row["rows"]), int(row["right"])) for name, row in sums.iterrows()]
        if groups:
            result[kind] = sorted(groups, key=lambda group: _place(kind, group["group"]))
    return result


def _accuracy_of(group: str, rows: int, right: int) -> GroupAccuracy:
    low, high = wilson(right / rows, rows)
    return {"group": group, "rows": rows, "accuracy": right / rows, "low": low, "high": high}


def _place(kind: str, group: str) -> tuple[int, str]:
    orders: dict[str, Sequence[str]] = {"size": _SIZE_NAMES, "skin": SKIN_NAMES, "hand": ("yes", "no")}
    order = orders.get(kind, ())
    return (order.index(group) if group in order else len(order), group)


def _size_band(landmarks: Column) -> Column:
    def extent(axis: int) -> Column:
        along = F.transform(F.sequence(F.lit(0), F.lit(20)), lambda n: F.get(landmarks, n * 3 + axis))
        return F.array_max(along) - F.array_min(along)

    size = F.greatest(extent(0), extent(1))
    band = F.lit(_SIZE_NAMES[-1])
    for most, name in reversed(list(zip(SIZE_BANDS, _SIZE_NAMES, strict=False))):
        band = F.when(size < most, name).otherwise(band)
    return band


def _skin_band_of(row: Mapping[Any, Any], crops: HandOptions) -> str | None:
    if row["data"] is None or row["channels"] != 3:
        return None  # a grey picture shows no colour of skin
    palm = palm_pixels(pixels_of(row), row["landmarks"].reshape(-1, 3), crops)
    return skin_band(typology_angle(palm))


def palm_pixels(
    crop: npt.NDArray[np.uint8], landmarks: npt.NDArray[np.float32], crops: HandOptions
) -> npt.NDArray[np.uint8]:
    """Return the pixels of the palm, or of the back of the hand, in a crop.

    Parameters
    ----------
    crop : ndarray of uint8, shape (height, width, 3)
    landmarks : ndarray of float32, shape (21, 3)
        In the picture before it was cropped; see `samples.HAND_TYPE`.
    crops : HandOptions
        How it was cropped.

    Returns
    -------
    ndarray of uint8, shape (n, 3)
    """
    from PIL import Image, ImageDraw

    height, width = crop.shape[:2]
    corners = points_in_crop(landmarks, (_FINE, _FINE), crops)[_PALM]
    middle = corners.mean(axis=0)
    inner = (middle + _INNER * (corners - middle)) * (width, height)
    mask = Image.new("1", (width, height))
    ImageDraw.Draw(mask).polygon([tuple(corner) for corner in inner], fill=1)
    return crop[np.asarray(mask)]


def skin_band(angle: float | None) -> str | None:
    """Name the band of a typology angle in degrees."""
    if angle is None:
        return None
    return next((name for least, name in SKIN_BANDS if angle > least), DARK)


def typology_angle(pixels: npt.NDArray[np.uint8]) -> float | None:
    """Compute the individual typology angle of the median colour, atan((L* - 50) / b*).

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, 3)
        RGB (sRGB).

    Returns
    -------
    float or None
        In degrees. None where there are no pixels, or the colour is none of skin in white light (b* is not above 0).
    """
    if not len(pixels):
        return None
    colours = lab(pixels)
    lightness, yellow = np.median(colours[:, 0]), np.median(colours[:, 2])
    return float(np.degrees(np.arctan((lightness - 50) / yellow))) if yellow > 0 else None


def lab(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Convert sRGB (IEC 61966-2-1, white D65) to CIE L*a*b*.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, 3)

    Returns
    -------
    ndarray of float64, shape (n, 3): L* 0-100, a*, b*
    """
    shares = pixels / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
    roots = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = roots.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
