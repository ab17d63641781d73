"""Hands far from the camera: pictures of near hands made small within a room, and what a bundle reads of them.

spark-submit benchmarks/studies/far.py --model BUNDLE --pictures FOLDER --rooms FOLDER --out docs/hands

--pictures is a folder with a sub-folder for each letter, of people and rooms that the bundle has not learned from;
--rooms holds pictures, of which those without a hand are taken and enlarged to 640x480. Each picture is shrunk to a
share of the room's height and laid into it with soft edges, at a place by lot. DIR gets far.json, and far.png, a plot.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFilter
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.spark_session import spark_session
from aslspark.images.endings import is_picture_name
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.unlabelled import rows_to_score
from benchmarks.base import machine

ROOM = (640, 480)
SHARES = (1.0, 0.5, 0.3, 0.2, 0.14)
EDGE = 0.1
"""Of the picture's sides, that its soft edge takes."""


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder and those under it, in order."""
    return sorted(path for path in folder.rglob("*") if is_picture_name(path.name))


def empty_rooms(folder: Path, count: int) -> list[Image.Image]:
    """Take pictures in which no hand is found, evenly over the folder."""
    paths = pictures_in(folder)
    find_hands = HandDetector(HandOptions(looks=1), installed_networks("--rooms"))
    rooms = []
    for path in paths[:: max(1, len(paths) // (3 * count))]:
        image = Image.open(path).convert("RGB")
        if len(rooms) < count and find_hands([np.asarray(image)])[0].found is None:
            rooms.append(image.resize(ROOM, Image.Resampling.BICUBIC))
    return rooms


def placed(picture: Image.Image, room: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """Lay a picture into a room, its height so much of the room's."""
    height = round(ROOM[1] * share)
    width = round(picture.width * height / picture.height)
    small = picture.resize((width, height), Image.Resampling.BOX, reducing_gap=3.0)
    mask = Image.new("L", small.size)
    edge = (round(EDGE * width), round(EDGE * height))
    ImageDraw.Draw(mask).rectangle((*edge, width - edge[0], height - edge[1]), fill=255)
    place = (int(random.integers(0, max(1, ROOM[0] - width))), int(random.integers(0, ROOM[1] - height + 1)))
    filled = room.copy()
    filled.paste(small, place, mask.filter(ImageFilter.GaussianBlur(EDGE * height / 3)))
    return filled


def read(spark: SparkSession, model: SignClassifierModel, folder: Path) -> dict[str, Any]:
    """Score a folder, and count what was found and what was right."""
    rows, column = rows_to_score(spark, [str(folder)])
    scored = model.setInputCol(column).transform(rows)
    total, found, right = scored.agg(
        F.count("*"), F.count("letter"), F.count(F.when(F.col("letter") == F.col("label"), 1))
    ).first() or (0, 0, 0)
    return {"pictures": total, "found": found / total, "right": right / total}


def plot(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw what was found and what was right by the height of the picture."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    pixels = [found["pixels"] for found in results]
    for name, words in (("found", "a hand was found"), ("right", "the letter is right")):
        axes.plot(pixels, [100 * found[name] for found in results], marker="o", label=words)
    axes.set_xscale("log")
    axes.set_xticks(pixels, [str(height) for height in pixels])
    axes.minorticks_off()
    axes.set(xlabel=f"height of the picture in a room of {ROOM[1]} pixels", ylabel="% of all pictures", ylim=(0, 103))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def main(argv: Sequence[str] | None = None) -> None:
    """Shrink, score, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument("--pictures", required=True, metavar="FOLDER", type=Path)
    parser.add_argument("--rooms", required=True, metavar="FOLDER", type=Path)
    parser.add_argument("--out", required=True, metavar="DIR", type=Path)
    parser.add_argument("--each", type=int, default=20, metavar="N", help="pictures of each letter (20)")
    options = parser.parse_args(argv)
    rooms = empty_rooms(options.rooms, 12)
    if not rooms:
        parser.error(f"--rooms {options.rooms}: no picture there is without a hand")
    chosen = []
    for letter in STATIC_LETTERS:
        there = pictures_in(options.pictures / letter)
        chosen += [(letter, path) for path in there[:: max(1, len(there) // options.each)][: options.each]]
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark far") as spark:
        model = SignClassifierModel.load(options.model)
        for share in SHARES:
            folder = Path(name, str(share))
            for number, (letter, path) in enumerate(chosen):
                filled = placed(
                    Image.open(path).convert("RGB"), rooms[number % len(rooms)], share, np.random.default_rng(number)
                )
                file = folder / letter / f"{number}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                filled.save(file, quality=92)
            found = {"share": share, "pixels": round(ROOM[1] * share), **read(spark, model, folder)}
            results.append(found)
            print(f"{found['pixels']} pixels high: {found['found']:.1%} found, {found['right']:.1%} right", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    about = {"machine": machine(), "room": ROOM, "rooms": len(rooms), "results": results}
    (options.out / "far.json").write_text(json.dumps(about, indent=1) + "\n")
    plot(results, options.out / "far.png")


if __name__ == "__main__":
    main()
