"""The content of a bundle -> its network, and the preprocessing of pictures for it. It needs no Spark."""

from __future__ import annotations

import logging

from aslspark.bundle.boxed import is_boxed
from aslspark.bundle.checks import check_hand_networks, check_network
from aslspark.bundle.files import HANDS, ONNX, BundleContents, refusal_named
from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.markdown import reason
from aslspark.common.package import VERSION
from aslspark.features.landmarks import FEATURES
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.networks import NETWORK_FILES, NOTICE, HandNetworks, installed_networks
from aslspark.images.hands.options import hands_of
from aslspark.images.image_spec import ImageSpec, image_spec_of
from aslspark.models.onnx_classifier import OnnxClassifier

log = logging.getLogger("aslspark")


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


def preprocessing_of(bundle: BundleContents, named: str) -> tuple[ImageSpec, HandDetector | None]:
    """Read the preprocessing of pictures from a bundle with the bytes of its folder `bundle.files.HANDS`.

    Raises
    ------
    AslsparkError
        Where it is of a later version; or where the bundle, as those of earlier versions, brings no networks that find
        hands, and this machine has none.
    """
    preprocessing = bundle.manifest.get("preprocessing", {})
    try:
        height, width, channels = bundle.manifest["shape"]
        form, options = image_spec_of((height, width, channels), preprocessing), hands_of(preprocessing.get("hands"))
    except (KeyError, TypeError, ValueError) as error:
        raise AslsparkError(
            f"--model {named}: its preprocessing is not known here ({reason(error)}): use the version that wrote it"
        ) from error
    return form, None if options is None else HandDetector(options, _hand_networks(bundle, named))


def _hand_networks(bundle: BundleContents, named: str) -> HandNetworks:
    files = {name: bundle.files.get(f"{HANDS}{name}") for name in (*NETWORK_FILES, NOTICE)}
    palm, landmarks = (files[name] for name in NETWORK_FILES)
    if palm is None or landmarks is None:
        if not is_boxed(named):
            log.warning("%s is of an earlier version: it looks for hands with the networks of this machine", named)
        return installed_networks(f"--model {named}")
    with refusal_named("--model ", named):
        check_hand_networks(palm, landmarks)
    return HandNetworks(palm, landmarks, files[NOTICE] or b"")
