"""Say whether new pictures have drifted: they are compared with those that a model was made with.

spark-submit jobs/monitor.py --model BUNDLE --data PATH|TABLE --out DIR [--by COLUMN] [--alarm-rate 0.01]

Exit code 0: no drift; 3: drift; 2: it could not be told.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aslspark.cli.early_checks import require_bundles, require_new_out, require_packages, require_paths
from aslspark.cli.jobs_support import add_config_options, config_from, print_result, run_job
from aslspark.common.command_line import ArgumentParser
from aslspark.monitoring import ALARM_RATE

DRIFT_CODE = 3


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    parser = ArgumentParser(description="Compare new pictures with those that a model was made with.")
    parser.add_argument("--model", required=True, metavar="BUNDLE", help="a bundle, or a registry's champion")
    parser.add_argument(
        "--data",
        required=True,
        metavar="PATH|TABLE",
        help="pictures or pixel tables as for score.py, what score.py wrote, or the name of a table",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make; must not exist")
    parser.add_argument("--by", metavar="COLUMN", help="which batch a row belongs to; of times, the day does")
    parser.add_argument(
        "--alarm-rate",
        type=float,
        default=ALARM_RATE,
        metavar="P",
        help="share of clean batches that may raise an alarm (default %(default)s)",
    )
    add_config_options(parser)
    options = parser.parse_args(argv)
    config = config_from(options, {})
    require_packages(config)
    require_bundles("--model", [options.model])
    require_paths("--data", [options.data])
    require_new_out(options.out)
    from aslspark.common.spark_session import spark_session
    from aslspark.workflows.monitor import monitor

    with spark_session("aslspark monitor") as spark:
        report = monitor(spark, options.model, options.data, options.out, options.by, options.alarm_rate, config=config)
    print_result(options, report)
    if report["drift"]:
        sys.exit(DRIFT_CODE)


if __name__ == "__main__":
    run_job(main)
