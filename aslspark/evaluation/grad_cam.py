"""A bundle's network and labelled pictures -> a sheet that shows what in each picture its answer rests on.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): each map of the last convolution is weighted by the mean gradient of
the answer's logit; the weighted maps are added up and cut off below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from pyspark.sql import Row

from aslspark.bundle.checks import NETWORK_FILES
from aslspark.bundle.files import read_bundle, read_manifest
from aslspark.bundle.framework_network import framework_network
from aslspark.bundle.manifest import Manifest
from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.evaluation.grad_cam_maps import heat_maps
from aslspark.evaluation.sample_pictures import as_read, hands_of
from aslspark.evaluation.sheets import Tile, colour_of, draw_sheet
from aslspark.features.landmarks import landmark_features
from aslspark.features.scaling import scale
from aslspark.scoring.model import SignClassifierModel

_HEAT_SHARE = 0.45
"""Share of the heat map's colour in the mix with the picture."""


def explain_bundle(
    path: str,
    pictures: npt.NDArray[np.uint8],
    hands: npt.NDArray[np.float32] | None = None,
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Read pictures with a bundle's network, and compute the heat maps of its answers.

    Parameters
    ----------
    path : str
        A bundle that `require_network` accepts.
    pictures : ndarray of uint8, shape (n, height, width, channels)
        Of the network's shape.
    hands : ndarray of float32, shape (n, HAND_NUMBERS), optional
        Where the network takes landmarks beside the pictures.

    Returns
    -------
    list of str
        The letters it reads.
    ndarray of float32, shape (n, height, width)
        See `grad_cam_maps.heat_maps`.
    """
    bundle = read_bundle(path, keep=NETWORK_FILES)
    manifest = bundle.manifest
    network = framework_network(bundle, path)
    if manifest["framework"] == "keras":
        from aslspark.evaluation.grad_cam_keras import explain
    else:
        from aslspark.evaluation.grad_cam_torch import explain
    preprocessing = manifest["preprocessing"]
    landmarks = None if hands is None else landmark_features(hands, preprocessing["upright"])
    explanation = explain(network, scale(pictures, preprocessing["stretch"]), landmarks)
    letters = [manifest["labels"][answer] for answer in explanation.answers]
    return letters, heat_maps(explanation, *pictures.shape[1:3])


def holds_network(manifest: Manifest) -> bool:
    """Tell whether a bundle holds a network that takes pictures, with what is needed to build it in its framework."""
    return {"network_file", "settings", "preprocessing"} <= manifest.keys() and PICTURE in _inputs(manifest)


def _inputs(manifest: Manifest) -> list[str]:
    return manifest.get("inputs", [PICTURE])


def require_network(path: str) -> Manifest:
    """Return the manifest of a bundle to which Grad-CAM can be applied.

    Raises
    ------
    AslsparkError
        Where it holds no network in its framework, or one that takes no pictures.
    """
    manifest = read_manifest(path)
    if PICTURE not in _inputs(manifest):
        raise AslsparkError(f"--grad-cam: the network of {path} takes no pictures that it could look at")
    if not holds_network(manifest):
        raise AslsparkError(f"--grad-cam: {path} holds no network in Keras or torch; give the --out of a train_cnn job")
    return manifest


def write_sheet(path: str, model: SignClassifierModel, rows: Sequence[Row], sheet: Path) -> None:
    """Draw each picture as it is and under its heat map, with the true letter and the one that was read.

    Parameters
    ----------
    path : str
        The bundle.
    model : SignClassifierModel
        The model of that bundle.
    rows : sequence of Row
        With `label`, `picture`, and `hand` where the network takes landmarks.
    sheet : Path
        The PNG to write.
    """
    manifest = require_network(path)
    pictures = np.stack([as_read(row["picture"], model) for row in rows])
    hands = hands_of(rows) if LANDMARKS in _inputs(manifest) else None
    letters, heats = explain_bundle(path, pictures, hands)
    name = manifest["settings"]["network"]["name"]
    title = f"where '{name}' ({manifest['framework']}) looks, lightest most: true letter → read letter (Grad-CAM)"
    tiles = [
        Tile(
            np.hstack([_as_rgb(picture), _under_heat(picture, heat)]),
            [(f"{row['label']} → {letter}", colour_of(letter, row["label"]))],
        )
        for row, picture, letter, heat in zip(rows, pictures, letters, heats, strict=True)
    ]
    draw_sheet([(title, tiles)], sheet, columns=6, width=2.2, size=9)


def _as_rgb(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    return np.broadcast_to(picture, (*picture.shape[:2], 3)) / 255


def _under_heat(picture: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    # The hotter, the lighter: the colour-blind see it, too, and so does paper.
    mixed = (1 - _HEAT_SHARE) * _as_rgb(picture) + _HEAT_SHARE * colormaps["inferno"](heat)[:, :, :3]
    return np.asarray(mixed)
