"""What the package knows of itself: its version, where it lies, and the libraries beside it."""

import platform
from pathlib import Path

VERSION = "0.1.0"

HOME = str(Path(__file__).resolve().parents[2])
"""The folder, or the zip, that holds the package; with it on the path, the package is found."""

_RECORDED = (
    "pyspark",
    "horovod",
    "tensorflow-cpu",
    "tensorflow",
    "torch",
    "numpy",
    "pyarrow",
    "onnx",
    "onnxruntime",
)


def library_versions() -> dict[str, str]:
    """Return the installed versions of Python, this package and the libraries that a model depends on."""
    from importlib import metadata  # takes long, and most commands need no version

    versions = {"python": platform.python_version(), "aslspark": VERSION}
    for name in _RECORDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
