"""What makes the live page an app: its icons, and the list of the files that its service worker keeps."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping

from PIL import Image, ImageDraw

SHELL = "shell.js"
"""The list's name in the page; `page/worker.js` imports it."""
ICON_SIDES = (192, 512)
_GROUND, _INK = "#12507b", "#ffffff"
_GRID = 32
_HAND = (
    (14.5, 21, 18.5, 21, 4.5),
    (12.3, 17, 11, 8, 1.6),
    (15.2, 17, 15, 6, 1.6),
    (18.1, 17, 19, 7.5, 1.6),
    (20.8, 18, 22.8, 11, 1.6),
    (12.5, 22, 7.2, 16.5, 1.6),
)
"""Palm and fingers on the grid, within the circle that masks leave: from x, y to x, y, with a radius."""
_SMOOTH = 4


def icons() -> dict[str, bytes]:
    """Draw the page's icons.

    Returns
    -------
    dict of str to bytes
        PNG files by their names in the page.
    """
    return {f"icon-{side}.png": _icon(side) for side in ICON_SIDES}


def _icon(side: int) -> bytes:
    scale = side * _SMOOTH / _GRID
    picture = Image.new("RGB", (side * _SMOOTH, side * _SMOOTH), _GROUND)
    pen = ImageDraw.Draw(picture)
    for *ends, radius in _HAND:
        pen.line([value * scale for value in ends], _INK, round(2 * radius * scale))
        for x, y in (ends[:2], ends[2:]):
            pen.circle((x * scale, y * scale), radius * scale, _INK)
    file = io.BytesIO()
    picture.reduce(_SMOOTH).quantize(16).save(file, "PNG", optimize=True)
    return file.getvalue()


def shell_of(files: Mapping[str, bytes]) -> bytes:
    """Write the script that tells the service worker which files to keep.

    Parameters
    ----------
    files : mapping of str to bytes
        The page's files by name, with `index.html`. Where a byte of them differs, browsers fetch them anew.

    Returns
    -------
    bytes
        JavaScript.
    """
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    names = sorted("./" if name == "index.html" else name for name in files if name != "worker.js")
    shell = {"version": digest.hexdigest()[:16], "files": names}
    return f"self.SHELL = {json.dumps(shell)};\n".encode()
