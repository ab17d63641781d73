"""Samples with hands -> a sheet that shows pictures with landmarks, their crops, and some pictures without a hand."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.data.files.file_bytes import with_content
from aslspark.data.pictures.listing import PictureSource
from aslspark.data.pictures.reading import image_of, sample_id
from aslspark.data.samples import HAND_COLUMN
from aslspark.images.decoding import pixels_of
from aslspark.images.hands.crop import points_in_crop
from aslspark.images.hands.find_and_crop import whole_picture
from aslspark.images.hands.options import HandOptions
from aslspark.images.image_spec import ImageSpec

if TYPE_CHECKING:
    from PIL import Image

SHEET = "hands.png"
FOUND, NOT_FOUND = 12, 6
COLUMNS = 3
DRAWN_SIDE = 360
"""Longer side, in pixels, of whole pictures on the sheet."""

BONES = (*((0 if point % 4 == 1 else point - 1, point) for point in range(1, 21)), (5, 9), (9, 13), (13, 17))
"""Pairs of landmarks: from the wrist to the tip of each finger, and across the palm."""


def draw_hands(
    samples: DataFrame,
    sources: Mapping[str, PictureSource],
    scratch: Mapping[str, str],
    form: ImageSpec,
    options: HandOptions,
) -> bytes | None:
    """Draw hands from every search step, and some pictures without a hand, as PNG.

    Parameters
    ----------
    samples : DataFrame
        id, source, label (strings), picture (PICTURE_TYPE), hand (HAND_TYPE).
    scratch : mapping of str to str
        The scratch folder of each source.

    Returns
    -------
    bytes or None
        None where no picture was kept.
    """
    rows = _chosen(samples, list(sources))
    if not rows:
        return None
    originals = _originals(rows, sources, scratch, form)
    from matplotlib.figure import Figure

    lines = -(-len(rows) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * 4.2, lines * 2.3 + 0.5), layout="constrained")
    found = sum(row[HAND_COLUMN]["found"] is not None for row in rows)
    figure.suptitle(
        f"{counted(found, 'picture')} with landmarks, each beside its crop; {len(rows) - found} without a hand"
    )
    axes = figure.subplots(lines, 2 * COLUMNS, squeeze=False).ravel()
    for place in axes:
        place.set_axis_off()
    for number, row in enumerate(rows):
        _draw(axes[2 * number], axes[2 * number + 1], row, originals.get(row["id"]), options)
    file = io.BytesIO()
    figure.savefig(file, dpi=110)
    return file.getvalue()


def _chosen(samples: DataFrame, sources: Sequence[str]) -> list[Row]:
    """Choose pictures by a hash of their ids: evenly from the search steps, and some without a hand."""
    of_sources = samples.where(F.col("source").isin(*sources) & F.col(HAND_COLUMN).isNotNull())
    step = F.col(f"{HAND_COLUMN}.found")
    place = F.row_number().over(Window.partitionBy("found").orderBy(F.xxhash64("id"), "id"))
    # Ranked without the pictures, which would be shuffled.
    ranked = of_sources.select("id", step.alias("found")).withColumn("place", place).where(F.col("place") <= FOUND)
    of_step: dict[str | None, list[str]] = {}
    for row in ranked.orderBy("found", "place").collect():
        of_step.setdefault(row["found"], []).append(row["id"])
    without = of_step.pop(None, [])[:NOT_FOUND]
    turns = [ids[turn] for turn in range(FOUND) for ids in of_step.values() if turn < len(ids)]
    order = [*turns[:FOUND], *without]
    rows = {row["id"]: row for row in of_sources.where(F.col("id").isin(*order)).collect()}
    return [rows[name] for name in order]


def _originals(
    rows: Sequence[Row], sources: Mapping[str, PictureSource], scratch: Mapping[str, str], form: ImageSpec
) -> dict[str, Image.Image]:
    """Read the chosen pictures again, uncropped."""
    ids = {row["id"] for row in rows}
    originals = {}
    for name, source in sources.items():
        id_of = {picture.path: sample_id(name, picture.name) for picture in source.usable}
        paths = [path for path, sample in id_of.items() if sample in ids]
        if not paths:
            continue
        contents = source.contents(scratch[name]).where(F.col("path").isin(*paths))
        if "file" in contents.columns:
            contents = with_content(contents).where("content is not null").select("path", "content")
        for path, content in contents.collect():
            originals[id_of[path]] = (
                image_of(content.asDict()) if isinstance(content, Row) else whole_picture(bytes(content), form)
            )
    return originals


def _draw(left: Any, right: Any, row: Row, whole: Image.Image | None, options: HandOptions) -> None:
    hand, name = row[HAND_COLUMN], row["id"].rpartition("/")[2][-30:]
    picture = pixels_of(row["picture"])
    landmarks = None if hand["found"] is None else np.array(hand["landmarks"], np.float32).reshape(-1, 3)
    title = f"{row['label']}  {name}"
    left.set_title(title, fontsize=6)
    if landmarks is None:
        right.set_title("not found", fontsize=6)
    else:
        right.set_title(f"{hand['found']}, {hand['side']} {hand['score']:.2f}", fontsize=6)
    right.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255)
    if whole is None:
        return
    size = whole.size
    whole = whole.convert("RGB")
    whole.thumbnail((DRAWN_SIDE, DRAWN_SIDE))
    left.imshow(np.asarray(whole))
    if landmarks is not None:
        _bones(left, landmarks[:, :2] * max(whole.size))
        _bones(right, points_in_crop(landmarks, size, options) * picture.shape[0] - 0.5)


def _bones(axes: Any, points: npt.NDArray[Any]) -> None:
    for start, end in BONES:
        axes.plot(*points[[start, end]].T, color="cyan", linewidth=0.8)
    axes.plot(*points.T, ".", color="red", markersize=2)
