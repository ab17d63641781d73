"""Train one of MLlib's classifiers on the same features and splits, and leave the same kind of bundle.

spark-submit jobs/train_baseline.py --model forest --data PATH... --out BUNDLE --trees 50 --depth 8
spark-submit jobs/train_baseline.py --model mlp --data PATH... --out BUNDLE --hidden 256
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from aslspark.jobs_support import add_config_options, add_data_options, config_from, run_job
from aslspark.models.mllib import BASELINES
from aslspark.session import spark_session
from aslspark.training.job import train_baseline


def main(argv: Sequence[str]) -> None:
    """Run the job on the command line's words."""
    parser = argparse.ArgumentParser(prog="train_baseline.py", description="Train a baseline and leave a bundle.")
    parser.add_argument("--model", required=True, choices=BASELINES)
    add_data_options(parser)
    parser.add_argument("--trees", type=int, default=50, metavar="N", help="of the forest (default 50)")
    parser.add_argument("--depth", type=int, default=8, metavar="N", help="of its trees (default 8)")
    parser.add_argument(
        "--hidden",
        type=int,
        nargs="+",
        default=[256],
        metavar="N",
        help="units of mlp's hidden layers (default 256)",
    )
    parser.add_argument("--iterations", type=int, default=100, metavar="N", help="of mlp's solver (default 100)")
    add_config_options(parser)
    options = parser.parse_args(argv)
    baseline = {
        "name": options.model,
        "trees": options.trees,
        "depth": options.depth,
        "hidden": options.hidden,
        "iterations": options.iterations,
    }
    with spark_session("aslspark train_baseline") as spark:
        train_baseline(spark, options.data, options.out, config_from(options, {}), baseline, options.test_data)


if __name__ == "__main__":
    run_job(main)
