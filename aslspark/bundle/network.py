"""The content of a bundle -> its network, and the preprocessing of pictures for it. It needs no Spark."""

from __future__ import annotations

from aslspark.bundle.checks import check_network
from aslspark.bundle.files import ONNX, BundleContents, refusal_named
from aslspark.bundle.manifest import Manifest
from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.markdown import reason
from aslspark.common.package import VERSION
from aslspark.features.landmarks import FEATURES
from aslspark.images.decoding import ImageSpec, image_spec_of
from aslspark.images.hands.options import HandOptions, hands_of
from aslspark.models.onnx_classifier import OnnxClassifier


def network_of(bundle: BundleContents, named: str) -> OnnxClassifier:
    """Read the network of a bundle.

    Parameters
    ----------
    bundle : BundleContents
        Of kind 'network', with the bytes of `bundle.files.ONNX`.
    named : str
        The bundle as the user named it.

    Raises
    ------
    AslsparkError
        Where the network takes features of another version, or is not of this package.
    """
    manifest = bundle.manifest
    preprocessing = manifest.get("preprocessing", {})
    inputs = tuple(manifest.get("inputs", [PICTURE]))
    features = preprocessing.get("landmark_features", FEATURES)
    if LANDMARKS in inputs and features != FEATURES:
        raise AslsparkError(
            f"--model {named}: its network takes {str(features)[:20]} features of a hand's landmarks, and this "
            f"aslspark {VERSION} makes {FEATURES}: use the version that wrote it"
        )
    height, width, channels = manifest["shape"]
    onnx, labels = bundle.files[ONNX], tuple(manifest["labels"])
    with refusal_named("--model ", named):
        check_network(onnx, inputs, (height, width, channels), len(labels))
    return OnnxClassifier(
        onnx,
        labels,
        (height, width, channels),
        inputs=inputs,
        upright=preprocessing.get("upright", False),
    )


def preprocessing_of(manifest: Manifest, named: str) -> tuple[ImageSpec, HandOptions | None]:
    """Read the preprocessing of pictures from a bundle's manifest.

    Raises
    ------
    AslsparkError
        Where it is of a later version.
    """
    preprocessing = manifest.get("preprocessing", {})
    try:
        height, width, channels = manifest["shape"]
        return image_spec_of((height, width, channels), preprocessing), hands_of(preprocessing.get("hands"))
    except (KeyError, TypeError, ValueError) as error:
        raise AslsparkError(
            f"--model {named}: its preprocessing is not known here ({reason(error)}): use the version that wrote it"
        ) from error
