"""Train one of MLlib's classifiers on the same features and splits, and leave the same kind of bundle.

spark-submit jobs/train_baseline.py --model forest --data PATH... --out BUNDLE --trees 50 --depth 8
spark-submit jobs/train_baseline.py --model mlp --data PATH... --out BUNDLE --hidden 256
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from aslspark.jobs_support import (
    add_baseline_options,
    add_config_options,
    add_data_options,
    baseline_from,
    config_from,
    run_job,
)
from aslspark.models.mllib import BASELINES
from aslspark.session import spark_session
from aslspark.tracking import tracked
from aslspark.training.job import train_baseline


def main(argv: Sequence[str]) -> None:
    """Run the job on the command line's words."""
    parser = argparse.ArgumentParser(description="Train a baseline and leave a bundle.")
    parser.add_argument("--model", required=True, choices=BASELINES)
    add_data_options(parser)
    add_baseline_options(parser)
    add_config_options(parser)
    options = parser.parse_args(argv)
    baseline = baseline_from(options)
    config = config_from(options, {})
    about = {"data": options.data, "baseline": baseline}
    with tracked(config, "train_baseline", options.out, **about), spark_session("aslspark train_baseline") as spark:
        train_baseline(spark, options.data, options.out, config, baseline, options.test_data)


if __name__ == "__main__":
    run_job(main)
