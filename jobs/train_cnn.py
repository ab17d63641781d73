"""Train a network across Spark tasks: data in, a bundle out.

spark-submit jobs/train_cnn.py --data PATH... --out BUNDLE --framework keras --num-proc 2 --epochs 15
"""

from __future__ import annotations

from collections.abc import Sequence

import aslspark
from aslspark.cli.early_checks import require_network_settings, require_new_run, require_packages, require_paths
from aslspark.cli.jobs_support import add_data_options, add_training_options, print_result, run_job, training_config
from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.command_line import ArgumentParser


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    parser = ArgumentParser(description="Train the network and leave a bundle.")
    add_data_options(parser)
    parser.add_argument("--resume", action="store_true", help="go on with a run that did not come to its end")
    add_training_options(parser)
    options = parser.parse_args(argv)
    config = training_config(options, {"mllib.classifier": NO_CLASSIFIER})
    require_packages(config, trains=True)
    require_paths("--data", options.data)
    require_paths("--test-data", options.test_data)
    require_new_run(options.out, options.resume)
    require_network_settings(config)
    from aslspark.common.spark_session import spark_session

    with spark_session("aslspark train_cnn") as spark:
        result = aslspark.train(
            spark,
            options.data,
            options.out,
            config=config,
            test_data=options.test_data,
            resume=options.resume,
        )
    print_result(options, result)


if __name__ == "__main__":
    run_job(main)
