"""Samples with perceptual hashes -> the near duplicates between test and other splits.

The hash is pHash (C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010): the picture in
grey at 32x32 pixels, its discrete cosine transform, and one bit for each of the 8x8 lowest frequencies: whether it is
above their median.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Row, SparkSession

from aslspark.common.counted import counted
from aslspark.data.samples import HASH_COLUMN, TEST
from aslspark.images.decoding import pixels_of

SIDE, LOW = 32, 8
BITS = LOW * LOW
MOST_LISTED = 12
SHEET = "near_duplicates.png"
SHEET_PAIRS, SHEET_CELL = 3, (1.8, 2.1)
"""Pairs in a row of the sheet; width and height of a picture with its caption, in inches."""
MOST_OF_NAME = 26
"""Letters of a name's end above a picture: more would run into its neighbour's."""
_GREY = np.array([0.299, 0.587, 0.114], np.float32)

MOST_ON_DRIVER = 1 << 28
"""Pairs of hashes that the driver compares itself, which takes a second or two; Spark's tasks compare more."""
BLOCK = 4096
"""Training and test hashes in one matrix product: 64 MB of distances."""


@dataclass(frozen=True)
class Pair:
    """A test picture, another picture, and the number of bits in which their hashes differ."""

    test: str
    other: str
    bits: int


@dataclass(frozen=True)
class NearDuplicates:
    """Counts of near duplicates between the test split and the others."""

    bits: int
    """Most bits by which near duplicates differ."""
    test: int
    others: int
    """Test pictures with a near duplicate in other splits; pictures of other splits that are one."""
    dropped: int = 0
    """Of the others, those that were quarantined."""
    closest: list[Pair] = field(default_factory=list)

    @property
    def drawn(self) -> set[str]:
        """The ids of the pictures on the sheet."""
        return {name for pair in self.closest for name in (pair.test, pair.other)}

    def warnings(self) -> list[str]:
        """Return a warning about the near duplicates, if there are any."""
        if not self.others:
            return []
        first = self.closest[0]
        if self.dropped:
            then = f": {counted(self.dropped, 'picture')} of those splits went into quarantine"
        else:
            easier = (
                "it is easier to read than a new picture" if self.test == 1 else "they are easier than new pictures"
            )
            would = f"pictures.drop_near_duplicates=true quarantines {counted(self.others, 'picture')} of those splits"
            then = f", so {easier}; {would}"
        return [
            f"{counted(self.test, 'test picture has', 'test pictures have')} near duplicates in the other splits "
            f"(at most {self.bits} of {BITS} bits apart){then}; the closest, "
            f"{counted(first.bits, 'bit')} apart, are {first.test} and {first.other} ({SHEET} shows more)"
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for `ingest.json`."""
        return asdict(self)


def perceptual_hashes(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Hash pictures.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, height, width, 1 or 3)

    Returns
    -------
    ndarray of int64, shape (n,)
        64 bits each; similar pictures differ in few bits.
    """
    count, height, width, channels = pictures.shape
    # Grey, resizing to 32x32 and the transform are linear: one matrix for each side does them all.
    across = _lowest_frequencies(width)
    if channels == 3:
        across = np.kron(across, _GREY)
    low = _lowest_frequencies(height) @ pictures.reshape(count, height, width * channels).astype(np.float32) @ across.T
    flat = low.reshape(count, BITS)
    bits = flat > np.median(flat, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">i8").astype(np.int64).ravel()


@lru_cache
def _lowest_frequencies(length: int) -> npt.NDArray[np.float32]:
    """Return the matrix (8, length) that maps a line of pixels to its lowest frequencies."""
    edges = np.linspace(0, length, SIDE + 1)
    pixel = np.arange(length)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shrink = np.clip(covered, 0, None) * SIDE / length
    place = (2 * np.arange(SIDE) + 1) / (2 * SIDE)
    transform = np.cos(np.pi * np.arange(LOW)[:, None] * place)
    return np.asarray(transform @ shrink, np.float32)


def find_near_duplicates(spark: SparkSession, samples: pd.DataFrame, bits: int) -> tuple[NearDuplicates, pd.DataFrame]:
    """Compare every test picture with every training and validation picture.

    The driver compares them, a block at a time; where there are many, Spark's tasks do.

    Parameters
    ----------
    samples : pandas.DataFrame
        id, split (strings), hash (int).

    Returns
    -------
    NearDuplicates
    pandas.DataFrame
        Training and validation pictures that are near duplicates: id, the id of the nearest `test` picture (of several
        the first by name), bits.
    """
    is_test = samples["split"] == TEST
    test, others = samples[is_test].sort_values("id"), samples.loc[~is_test, ["id", HASH_COLUMN]]
    if test.empty or others.empty:
        return NearDuplicates(bits, 0, 0), pd.DataFrame(columns=["id", "test", "bits"], dtype=object)
    of_test = test[HASH_COLUMN].to_numpy(np.int64)

    def compare(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield near_pairs(batch["id"].to_numpy(), batch[HASH_COLUMN].to_numpy(np.int64), of_test, bits)

    if len(test) * len(others) <= MOST_ON_DRIVER:
        (pairs,) = compare([others])
    else:
        table = spark.createDataFrame(others, f"id string, {HASH_COLUMN} long")
        pairs = table.mapInPandas(compare, "id string, place int, bits int, of_test boolean").toPandas()
    of_others = pairs[~pairs["of_test"]].sort_values(["bits", "id"])
    near_in_test = pairs.loc[pairs["of_test"], "place"].nunique()
    duplicates = of_others.assign(test=test["id"].to_numpy()[of_others["place"]])[["id", "test", "bits"]]
    closest = [Pair(*pair) for pair in duplicates.head(MOST_LISTED)[["test", "id", "bits"]].to_numpy().tolist()]
    return NearDuplicates(bits, int(near_in_test), len(duplicates), closest=closest), duplicates


def near_pairs(
    ids: npt.NDArray[Any], hashes: npt.NDArray[np.int64], test: npt.NDArray[np.int64], bits: int
) -> pd.DataFrame:
    """Find near duplicates between hashes and test hashes.

    Returns
    -------
    DataFrame
        For each hash with a near duplicate: id, place of the nearest test hash, bits. For each test hash with one:
        `of_test` and its place.
    """
    parts = []
    # The product of two hashes as vectors of 1 and -1 is 64 minus twice the bits that differ: one fast matrix product.
    test_signs = [_signs(test[start : start + BLOCK]) for start in range(0, len(test), BLOCK)]
    for start in range(0, len(hashes), BLOCK):
        signs = _signs(hashes[start : start + BLOCK])
        nearest = np.full(len(signs), BITS + 1.0, np.float32)
        place = np.zeros(len(signs), np.int64)
        for number, other in enumerate(test_signs):
            distance = (BITS - signs @ other.T) / 2
            best = distance.argmin(axis=1)
            least = distance[np.arange(len(signs)), best]
            closer = least < nearest
            nearest[closer], place[closer] = least[closer], best[closer] + number * BLOCK
            of_test = np.flatnonzero((distance <= bits).any(axis=0)) + number * BLOCK
            parts.append(pd.DataFrame({"id": "", "place": of_test, "bits": 0, "of_test": True}))
        near = nearest <= bits
        nearest_of = {"id": ids[start : start + BLOCK][near], "place": place[near], "bits": nearest[near]}
        parts.append(pd.DataFrame({**nearest_of, "of_test": False}))
    empty = pd.DataFrame({"id": [], "place": [], "bits": [], "of_test": []})
    pairs = pd.concat([part for part in parts if len(part)] or [empty])
    return pairs.astype({"id": str, "place": "int32", "bits": "int32", "of_test": bool})


def _signs(hashes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    bits = np.unpackbits(hashes.astype(">i8").view(np.uint8).reshape(-1, 8), axis=1)
    return bits.astype(np.float32) * 2 - 1


def draw_sheet(duplicates: NearDuplicates, pictures: Mapping[str, Mapping[str, Any] | Row]) -> bytes:
    """Draw the closest pairs, side by side, as PNG.

    Parameters
    ----------
    duplicates : NearDuplicates
        With at least one pair.
    pictures : mapping
        By id, those of `NearDuplicates.drawn`, as `samples.PICTURE_TYPE`.
    """
    from matplotlib.figure import Figure

    lines = -(-len(duplicates.closest) // SHEET_PAIRS)
    width, height = SHEET_PAIRS * 2 * SHEET_CELL[0], 0.6 + lines * SHEET_CELL[1]
    figure = Figure(figsize=(width, height))
    # One pair of axes for all pictures, in inches: axes for each take nearly twice as long.
    axes = figure.add_axes((0, 0, 1, 1))
    title = (
        f"{counted(duplicates.test, 'test picture has', 'test pictures have')} a near duplicate among "
        f"{counted(duplicates.others, 'other')}; "
        "the closest (left: test)"
    )
    axes.text(width / 2, 0.25, title, ha="center", va="center", fontsize=12)
    for number, pair in enumerate(duplicates.closest):
        for side, name in enumerate((pair.test, pair.other)):
            left = (number % SHEET_PAIRS * 2 + side) * SHEET_CELL[0] + (0.1, 0.0)[side]
            top = 0.5 + number // SHEET_PAIRS * SHEET_CELL[1]
            _draw_cell(
                axes, pixels_of(pictures[name]), name, "" if side else f"{counted(pair.bits, 'bit')} apart", left, top
            )
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, dpi=110)
    return file.getvalue()


def _draw_cell(axes: Any, pixels: npt.NDArray[np.uint8], name: str, caption: str, left: float, top: float) -> None:
    side = SHEET_CELL[0] - 0.1
    tall, wide = (side * size / max(pixels.shape[:2]) for size in pixels.shape[:2])
    x, y = left + (side - wide) / 2, top + SHEET_CELL[1] - 0.1 - tall
    axes.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255, extent=(x, x + wide, y + tall, y), aspect="auto")
    label = f"{name.rpartition(':')[2][-MOST_OF_NAME:]}\n{caption}"
    axes.text(left + side / 2, y - 0.05, label, ha="center", va="bottom", fontsize=6)
