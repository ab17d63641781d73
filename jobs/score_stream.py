"""Read each picture that comes into a folder, once.

spark-submit jobs/score_stream.py --model BUNDLE --folder DIR --checkpoint DIR
"""

from __future__ import annotations

from collections.abc import Sequence

import aslspark
from aslspark.cli.early_checks import require_bundles, require_packages, require_paths
from aslspark.cli.jobs_support import run_job
from aslspark.common.command_line import ArgumentParser
from aslspark.common.progress import doing, endless


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    parser = ArgumentParser(description="Write NAME.json beside each picture that comes into a folder, once.")
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument("--folder", required=True, metavar="DIR", help="with pictures anywhere below it")
    parser.add_argument("--checkpoint", required=True, metavar="DIR", help="the stream's own, kept from run to run")
    parser.add_argument("--files", type=int, default=256, metavar="N", help="pictures a batch (default %(default)s)")
    parser.add_argument("--once", action="store_true", help="read what is there, and end")
    options = parser.parse_args(argv)
    require_packages()
    require_bundles("--model", [options.model])
    require_paths("--folder", [options.folder], tables=False)
    from aslspark.common.spark_session import spark_session
    from aslspark.serving.streaming import letters_beside

    with spark_session("aslspark score_stream") as spark:
        model = aslspark.load_model(options.model)
        where = (options.folder, options.checkpoint)
        stream = letters_beside(spark, model, *where, digest=model.digest, files=options.files, once=options.once)
        with doing("reading letters", spark=spark) if options.once else endless():
            stream.awaitTermination()


if __name__ == "__main__":
    run_job(main)
