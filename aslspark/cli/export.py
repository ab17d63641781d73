"""`aslspark export BUNDLE --format F --out FILE`: writes a bundle's network as one file, for phones."""

from __future__ import annotations

from collections.abc import Sequence

from aslspark.bundle.export import FRAMEWORK_OF, export_network
from aslspark.common.command_line import ArgumentParser


def main(argv: Sequence[str]) -> None:
    """Write the network.

    Raises
    ------
    AslsparkError
        As from `aslspark.bundle.export.export_network`.
    """
    parser = ArgumentParser(
        prog="aslspark export",
        description="Write a bundle's network, the scaling of pictures included, as one file for phones and other "
        "runtimes; FILE.json beside it says what goes in, and the letters that come out.",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle with a network, or letters")
    parser.add_argument(
        "--format",
        choices=tuple(FRAMEWORK_OF),
        required=True,
        help="onnx: of every network; tflite: of those in Keras; torchscript: of those in torch",
    )
    parser.add_argument("--out", metavar="FILE", required=True, help="file to make")
    options = parser.parse_args(argv)
    file, about = export_network(options.bundle, options.format, options.out)
    print(f"{file}: the network is there; {about} says how to use it, and examples/exported_network.py does")
