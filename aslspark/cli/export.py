"""`aslspark export FOLDER --format F --out FILE`: writes a bundle's network, or ingested hands, as one file."""

from __future__ import annotations

from collections.abc import Sequence

from aslspark.bundle.export import FRAMEWORK_OF, export_network
from aslspark.cli.jobs_support import add_json_option, print_result
from aslspark.common.command_line import ArgumentParser
from aslspark.common.counted import counted
from aslspark.common.redaction import say
from aslspark.data.tables.landmark_table import write_landmark_table

LANDMARKS = "landmarks"


def main(argv: Sequence[str]) -> None:
    """Write the file.

    Raises
    ------
    AslsparkError
        As from `aslspark.bundle.export.export_network` and `aslspark.data.tables.landmark_table.write_landmark_table`.
    """
    parser = ArgumentParser(
        prog="aslspark export",
        description="Write a bundle's network, the scaling of pictures included, as one file for phones and other "
        "runtimes; FILE.json beside it says what goes in, and the letters that come out. Or write the hands that "
        "ingest found as a table of landmarks, which ingest reads, too.",
    )
    parser.add_argument(
        "folder", metavar="FOLDER", help="a bundle with a network, or letters; for landmarks what ingest made"
    )
    parser.add_argument(
        "--format",
        choices=(*FRAMEWORK_OF, LANDMARKS),
        required=True,
        help="onnx: of every network; tflite: of those in Keras; torchscript: of those in torch; landmarks: "
        "label, x0, y0, z0, ... in shares of the picture's longer side, as .csv or .parquet",
    )
    parser.add_argument("--out", metavar="FILE", required=True, help="file to make")
    add_json_option(parser)
    options = parser.parse_args(argv)
    if options.format == LANDMARKS:
        written = write_landmark_table(options.folder, options.out)
        say(
            f"{options.out}: {counted(written.hands, 'hand')}; {counted(written.without_hand, 'sample')} without "
            "one, of which there is no row; "
            f"jobs/ingest.py --source {options.out} reads it"
        )
        print_result(options, {"files": [options.out], **written._asdict()})
        return
    file, about = export_network(options.folder, options.format, options.out)
    say(f"{file}: the network is there; {about} says how to use it, and examples/exported_network.py does")
    print_result(options, {"files": [file, about]})
