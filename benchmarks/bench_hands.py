"""What finding a hand costs on one core: CPU milliseconds a picture, against the bare networks by turns.

python benchmarks/bench_hands.py [--data FOLDER_OF_PICTURES ...] [--rows 40] [--runs 3]
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial

import base
import numpy as np
from bench_service import drawn_pictures, photographs
from PIL import Image

from aslspark.common.onnx_sessions import kept_session
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.landmark_network import SIDE as LANDMARK_SIDE
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.images.hands.palms import SIDE as PALM_SIDE


def main() -> None:
    """Measure, and write the results."""
    chosen = base.options("Time the hand stage.", rows=40, of="folders")
    files = photographs(chosen.data, chosen.rows) if chosen.data else drawn_pictures()
    pictures = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]
    networks = installed_networks("bench_hands")
    found = [hand.found for hand in HandDetector(HandOptions(looks=1), networks)(pictures)]
    at_once = [picture for picture, step in zip(pictures, found, strict=True) if step == "plain"]
    lines = []
    for looks, aim in ((1, "18 ms"), (4, "35 ms")):
        detector = HandDetector(HandOptions(looks=looks), networks)

        def ours(detector: HandDetector = detector) -> float:
            return cpu_milliseconds(lambda: [detector([picture]) for picture in at_once], len(at_once))

        bare = partial(cpu_milliseconds, partial(run_networks, networks.palm, networks.landmarks, looks), 20)
        what = f"a hand found at once, {looks} look{'s' if looks > 1 else ''}"
        against = f"its networks alone, {looks} + 1 runs"
        lines.append(base.compare(what, against, "ms of CPU", ours, bare, aim=aim, runs=chosen.runs))
    sizes = sorted({f"{picture.shape[1]}x{picture.shape[0]}" for picture in at_once})
    notes = [
        f"{len(at_once)} of {len(pictures)} pictures, {len(sizes)} sizes: those whose first search finds a hand",
        "searched again in a larger frame: " + str(sum(step in ("padded", "framed") for step in found)),
        "searched in parts, or none found: " + str(sum(step in ("enlarged", None) for step in found)),
    ]
    base.write("hands", lines, notes)


def run_networks(palm: bytes, landmarks: bytes, looks: int) -> None:
    """Run the bare networks twenty times."""
    for network, side, rows in ((palm, PALM_SIDE, 1), (landmarks, LANDMARK_SIDE, looks)):
        session = kept_session(network, 1)
        numbers = np.zeros((rows, side, side, 3), np.float32)
        for _ in range(20):
            session.run(None, {session.get_inputs()[0].name: numbers})


def cpu_milliseconds(work: Callable[[], object], count: int) -> float:
    """Return CPU milliseconds of this process for each of the things that some work does."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began) / count


if __name__ == "__main__":
    main()
