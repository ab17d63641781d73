"""Judge a bundle on labelled data.

spark-submit jobs/evaluate.py --model BUNDLE --data PATH... --out DIR
"""

from __future__ import annotations

from collections.abc import Sequence

import aslspark
from aslspark.cli.early_checks import require_bundles, require_new_out, require_packages, require_paths
from aslspark.cli.jobs_support import add_config_options, config_from, print_result, run_job
from aslspark.common.command_line import ArgumentParser


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    parser = ArgumentParser(description="Judge a bundle on labelled data.")
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="PATH",
        help="raw sources, judged on as a whole, or one ingested folder, of which the test split is",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make; must not exist")
    parser.add_argument(
        "--grad-cam", action="store_true", help="draw where the network looks in a picture of each letter"
    )
    add_config_options(parser)
    options = parser.parse_args(argv)
    config = config_from(options, {})
    require_packages(config)
    require_bundles("--model", [options.model])
    require_paths("--data", options.data)
    require_new_out(options.out)
    from aslspark.common.spark_session import spark_session

    with spark_session("aslspark evaluate") as spark:
        metrics = aslspark.evaluate(
            spark, options.model, options.data, options.out, config=config, grad_cam=options.grad_cam
        )
    print_result(options, metrics)


if __name__ == "__main__":
    run_job(main)
