"""What a bundle holds -> its network, and how pictures are made ready for it. It needs no Spark.

In: a bundle that was read. Out: an `OnnxClassifier`, a `ImageSpec` and the options of hands, or the reason why not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aslspark.bundle.checks import check_network
from aslspark.bundle.files import ONNX, BundleContents, refusal_named
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
        Of kind 'network', with the bytes of its `bundle.files.ONNX`.
    named : str
        What the user called the bundle.

    Raises
    ------
    AslsparkError
        Where the network takes landmarks that another version made, or is none of ours.
    """
    manifest = bundle.manifest
    preprocessing = manifest.get("preprocessing", {})
    inputs = tuple(manifest.get("inputs", [PICTURE]))
    given = preprocessing.get("landmark_features", FEATURES)
    if LANDMARKS in inputs and given != FEATURES:
        raise AslsparkError(
            f"--model {named}: its network takes {str(given)[:20]} features of a hand's landmarks, and this aslspark "
            f"{VERSION} makes {FEATURES}: use the version that wrote it"
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


def form_and_hands(manifest: Mapping[str, Any], named: str) -> tuple[ImageSpec, HandOptions | None]:
    """Read from a bundle's manifest how pictures are made ready.

    Raises
    ------
    AslsparkError
        Where a later version knows more ways.
    """
    preprocessing = manifest.get("preprocessing", {})
    try:
        return image_spec_of(tuple(manifest["shape"]), preprocessing), hands_of(preprocessing.get("hands"))
    except (KeyError, TypeError, ValueError) as error:
        raise AslsparkError(
            f"--model {named}: its preprocessing is not known here ({reason(error)}): use the version that wrote it"
        ) from error
