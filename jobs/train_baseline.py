"""Train one of MLlib's classifiers: same features, same splits, the same kind of bundle.

spark-submit jobs/train_baseline.py --model forest --data PATH... --out BUNDLE --trees 50 --depth 8
spark-submit jobs/train_baseline.py --model mlp --data PATH... --out BUNDLE --hidden 256
spark-submit jobs/train_baseline.py --model boosted --data PATH... --out BUNDLE --features landmarks --depth 4
"""

from __future__ import annotations

from collections.abc import Sequence

import aslspark
from aslspark.cli.early_checks import require_new_out, require_packages, require_paths
from aslspark.cli.jobs_support import (
    add_classifier_options,
    add_config_options,
    add_data_options,
    classifier_settings,
    config_from,
    print_result,
    run_job,
)
from aslspark.common.catalog import CLASSIFIERS
from aslspark.common.command_line import ArgumentParser


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    parser = ArgumentParser(description="Train a baseline and leave a bundle.")
    parser.add_argument("--model", required=True, choices=CLASSIFIERS)
    add_data_options(parser)
    add_classifier_options(parser)
    add_config_options(parser)
    options = parser.parse_args(argv)
    config = config_from(options, classifier_settings(options))
    require_packages(config)
    require_paths("--data", options.data)
    require_paths("--test-data", options.test_data)
    require_new_out(options.out)
    from aslspark.common.spark_session import spark_session

    with spark_session("aslspark train_baseline") as spark:
        result = aslspark.train(spark, options.data, options.out, config=config, test_data=options.test_data)
    print_result(options, result)


if __name__ == "__main__":
    run_job(main)
