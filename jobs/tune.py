"""Search for better settings: trials of a model, judged by the validation split.

spark-submit jobs/tune.py --data PATH... --out DIR --space conf/spaces/network.yaml --epochs 8 --trials 20
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import aslspark
from aslspark.cli.early_checks import require_network_settings, require_packages, require_paths
from aslspark.cli.jobs_support import add_data_option, add_training_options, print_result, run_job, training_config
from aslspark.common.command_line import ArgumentParser
from aslspark.tuning.options import PRUNERS, SAMPLERS, SearchOptions
from aslspark.tuning.space import read_space


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    usual = SearchOptions()
    parser = ArgumentParser(description="Search for better settings.")
    add_data_option(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make, or to go on with")
    parser.add_argument(
        "--space", required=True, metavar="YAML", help="what may change, such as conf/spaces/network.yaml"
    )
    parser.add_argument("--trials", type=int, default=usual.trials, metavar="N", help="in all (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=0.0, metavar="N", help="after which no trial is begun")
    parser.add_argument(
        "--failures", type=int, default=usual.failures, metavar="N", help="that end it (default %(default)s)"
    )
    parser.add_argument("--sampler", choices=SAMPLERS, default=usual.sampler, help="default %(default)s")
    parser.add_argument("--pruner", choices=PRUNERS, default=usual.pruner, help="default %(default)s")
    parser.add_argument("--storage", default="", metavar="URL", help="of a database; none: SQLite in DIR")
    parser.add_argument("--study", default=usual.study, metavar="NAME", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sampler")
    about = "torch trials side by side, a Spark task each; they are not stopped early"
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help=about)
    add_training_options(parser)
    options = parser.parse_args(argv)
    config = training_config(options)
    space = read_space(options.space).as_dict()
    names = ("trials", "minutes", "failures", "sampler", "pruner", "storage", "study", "seed", "at_once")
    chosen = asdict(SearchOptions(**{name: getattr(options, name) for name in names}))
    require_packages(config, trains=True, others=("optuna", "sqlalchemy"))
    require_paths("--data", options.data)
    require_network_settings(config)
    from aslspark.common.spark_session import spark_session

    with spark_session("aslspark tune") as spark:
        result = aslspark.tune(spark, options.data, options.out, space, config, **chosen)
    print_result(options, result)


if __name__ == "__main__":
    run_job(main)
