"""The two networks that find hands, as ONNX files: where they are kept, and how they are read.

They are MediaPipe's (Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", 2020; Apache-2.0). The
environment holds them, `aslspark fetch hand-models` fetches them (`make_networks` converts them), and a bundle whose
model looks for hands carries them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from aslspark.common.errors import AslsparkError

PALM, LANDMARKS = "palm.onnx", "landmarks.onnx"
NETWORK_FILES = (PALM, LANDMARKS)
NOTICE = "NOTICE.txt"
"""The file beside them that says where they come from, and their licence."""
FOLDER_VARIABLE = "ASLSPARK_HAND_MODELS"
"""The environment variable that names their folder."""


@dataclass(frozen=True)
class HandNetworks:
    """The networks in ONNX."""

    palm: bytes = field(repr=False)
    """float32 (n, 192, 192, 3), RGB of 0-1 -> float32 (n, 2016, 18), boxes and keypoints; float32 (n, 2016, 1), scores.
    See `aslspark.images.hands.palms`."""
    landmarks: bytes = field(repr=False)
    """float32 (n, 224, 224, 3), RGB of 0-1 -> float32 (n, 63), points in pixels; (n, 1), score of the hand; (n, 1),
    score of its side; (n, 63), points in metres. See `aslspark.images.hands.landmark_network`."""
    notice: bytes = field(default=b"", repr=False)
    """Where they come from, and their licence."""

    def files(self) -> dict[str, bytes]:
        """Return the files that hold them, by name."""
        return {PALM: self.palm, LANDMARKS: self.landmarks, NOTICE: self.notice}


def network_folders() -> list[Path]:
    """Return the folders that may hold the networks, in the order in which they are looked for.

    FOLDER_VARIABLE alone where it is set; else the Python environment's, then the user's cache, which
    `aslspark fetch hand-models` fills.
    """
    if named := os.environ.get(FOLDER_VARIABLE):
        return [Path(named)]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [Path(sys.prefix, "share", "aslspark", "hand-models"), Path(cache, "aslspark", "hand-models")]


def read_networks(folder: Path) -> HandNetworks | None:
    """Read the networks of a folder; None where one of them is not there."""
    try:
        palm, landmarks = (folder / PALM).read_bytes(), (folder / LANDMARKS).read_bytes()
    except OSError:
        return None
    notice = folder / NOTICE
    return HandNetworks(palm, landmarks, notice.read_bytes() if notice.is_file() else b"")


def find_networks() -> tuple[Path, HandNetworks] | None:
    """Return the first of `network_folders` that holds the networks, and these; None where none does."""
    for folder in network_folders():
        if networks := read_networks(folder):
            return folder, networks
    return None


def installed_networks(asked_by: str) -> HandNetworks:
    """Read the networks of this machine.

    Parameters
    ----------
    asked_by : str
        The setting that needs them, for the error.

    Raises
    ------
    AslsparkError
        Where they are not there.
    """
    if found := find_networks():
        return found[1]
    raise AslsparkError(
        f"{asked_by}: the networks that find hands are not here ({' or '.join(map(str, network_folders()))}); "
        "run: aslspark fetch hand-models"
    )
