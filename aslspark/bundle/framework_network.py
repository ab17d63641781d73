"""The content of a bundle -> its network in the framework that trained it; a process imports that framework alone."""

from __future__ import annotations

from typing import Any

from aslspark.bundle.files import BundleContents
from aslspark.common.errors import AslsparkError
from aslspark.common.load_refused import LoadRefused
from aslspark.common.markdown import reason

_BUILT_FROM = ("name", "dropout", "hidden", "channels", "kernels")
"""Settings that `torch_network.build` takes; older bundles lack some of them."""


def framework_network(bundle: BundleContents, named: str) -> Any:
    """Load the network of a bundle that holds it in Keras or torch.

    Parameters
    ----------
    bundle : BundleContents
        With `network_file` in its manifest, and the bytes of that file.
    named : str
        The bundle as the user named it.

    Returns
    -------
    tf.keras.Model or torch.nn.Module
        In evaluation mode.

    Raises
    ------
    AslsparkError
        Where the file holds code, or does not fit the bundle's settings; it names bundle and file.
    """
    where = f"{named}: {bundle.manifest['network_file']}"
    return _keras(bundle, where) if bundle.manifest["framework"] == "keras" else _torch(bundle, where)


def _keras(bundle: BundleContents, where: str) -> Any:
    from aslspark.models.keras_files import load_model

    try:
        return load_model(bundle.files[bundle.manifest["network_file"]])
    except LoadRefused as refused:
        raise AslsparkError(f"{where}: {refused}; copy the bundle again from where it was trained") from refused


def _torch(bundle: BundleContents, where: str) -> Any:
    import safetensors.torch

    from aslspark.models.torch_network import build

    manifest = bundle.manifest
    try:
        settings = manifest["settings"]["network"]
        known = {name: settings[name] for name in _BUILT_FROM if name in settings}
        height, width, channels = manifest["shape"]
        network = build(shape=(height, width, channels), classes=len(manifest["labels"]), **known)
        network.load_state_dict(safetensors.torch.load(bundle.files[manifest["network_file"]]))
    except Exception as error:  # a damaged or foreign file raises nearly anything
        cause = reason((str(error).splitlines() or [type(error).__name__])[0])
        raise AslsparkError(
            f"{where}: it is no network of the bundle's settings ({cause}); copy the bundle again"
        ) from error
    return network.eval()
