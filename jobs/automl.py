"""Choose a kind of model within a budget: the best one becomes a bundle, beside a leaderboard.

spark-submit jobs/automl.py --data PATH... --out DIR --minutes 10
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import aslspark
from aslspark.cli.early_checks import require_new_out, require_packages, require_paths
from aslspark.cli.jobs_support import add_data_option, add_training_options, print_result, run_job, training_config
from aslspark.common.command_line import ArgumentParser
from aslspark.tuning.options import Budget


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    usual = Budget()
    parser = ArgumentParser(description="Choose a model within a budget.")
    add_data_option(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make; must not exist")
    parser.add_argument("--minutes", type=float, default=usual.minutes, metavar="N", help="for all; 0: no limit")
    parser.add_argument(
        "--trials", type=int, default=usual.trials, metavar="N", help="of a kind, at most (default %(default)s)"
    )
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME", help="kinds to try; none: all that fit")
    parser.add_argument("--onnx", action="store_true", help="only kinds that leave an ONNX file")
    parser.add_argument("--seed", type=int, default=usual.seed, metavar="N", help="of the search")
    add_training_options(parser)
    options = parser.parse_args(argv)
    config = training_config(options)
    names = ("minutes", "trials", "models", "onnx", "seed")
    chosen = asdict(Budget(**{name: getattr(options, name) for name in names}))
    require_packages(config, trains=True, others=("optuna", "sqlalchemy"))
    require_paths("--data", options.data)
    require_new_out(options.out)
    from aslspark.common.spark_session import spark_session

    with spark_session("aslspark automl") as spark:
        result = aslspark.automl(spark, options.data, options.out, config, **chosen)
    print_result(options, result)


if __name__ == "__main__":
    run_job(main)
