"""Train and judge a model on each fold of the data: what the folds say together is reported.

spark-submit jobs/cross_validate.py --data PATH... --out DIR --by signer --folds 5 --framework torch --epochs 15
spark-submit jobs/cross_validate.py --data PATH... --out DIR --by block --model forest --trees 50
spark-submit jobs/cross_validate.py --data INGESTED --out DIR --leave-one source --model mlp --features landmarks
"""

from __future__ import annotations

from collections.abc import Sequence

from aslspark.cli.early_checks import require_network_settings, require_packages, require_paths
from aslspark.cli.jobs_support import (
    add_classifier_options,
    add_data_option,
    add_training_options,
    classifier_settings,
    print_result,
    run_job,
    training_config,
)
from aslspark.common.catalog import CLASSIFIERS, NO_CLASSIFIER
from aslspark.common.command_line import ArgumentParser
from aslspark.evaluation.fold_options import KINDS, LEAVE_ONE, FoldOptions

NETWORK = "network"


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    usual = FoldOptions()
    parser = ArgumentParser(description="Train and judge a model on each fold.")
    add_data_option(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make, or one that this call began")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--by",
        choices=KINDS,
        default=usual.kind,
        help="what stays together in a fold; stratified and random leak (default %(default)s)",
    )
    how.add_argument("--leave-one", choices=tuple(LEAVE_ONE), help="hold out one after another, a fold each")
    parser.add_argument(
        "--folds", type=int, default=usual.folds, metavar="N", help="default %(default)s; not with --leave-one"
    )
    parser.add_argument(
        "--model",
        choices=(NETWORK, *CLASSIFIERS),
        default=NETWORK,
        help="the network of the settings, or one of MLlib's classifiers (default %(default)s)",
    )
    add_classifier_options(parser)
    add_training_options(parser)
    options = parser.parse_args(argv)
    name = NO_CLASSIFIER if options.model == NETWORK else options.model
    config = training_config(options, classifier_settings(options) | {"mllib.classifier": name})
    by = LEAVE_ONE.get(options.leave_one, options.by)
    FoldOptions.of(config.split, by, options.folds)  # which says what is wrong with them, before Spark is started
    require_packages(config, trains=True)
    require_paths("--data", options.data)
    require_network_settings(config)
    from aslspark.common.spark_session import spark_session
    from aslspark.workflows.cross_validate import cross_validate

    with spark_session("aslspark cross_validate") as spark:
        result = cross_validate(spark, options.data, options.out, config, by, options.folds)
    print_result(options, result)


if __name__ == "__main__":
    run_job(main)
