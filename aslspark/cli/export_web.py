"""`aslspark export-web BUNDLE --out DIR`: writes the live page, whose networks run in the browser."""

from __future__ import annotations

from collections.abc import Sequence

from aslspark.common.command_line import ArgumentParser
from aslspark.common.redaction import say
from aslspark.serving.export_web import export_page
from aslspark.serving.onnxruntime_web import PACKAGE, VERSION


def main(argv: Sequence[str]) -> None:
    """Write the page.

    Raises
    ------
    AslsparkError
        As from `aslspark.serving.export_web.export_page`.
    """
    parser = ArgumentParser(
        prog="aslspark export-web",
        description="Write a page for any static server, which finds and reads hands in the browser: no picture leaves "
        "the machine. It is for bundles that read landmarks.",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle of landmark_net, or letters")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to make")
    parser.add_argument(
        "--assets",
        metavar="PATH",
        help=f"without a network, the archive or folder of the npm package {PACKAGE} {VERSION}; else npm fetches it",
    )
    options = parser.parse_args(argv)
    export_page(options.bundle, options.out, options.assets)
    say(f"{options.out}: the page is there; look at it: python -m http.server 8000 --bind localhost -d {options.out}")
