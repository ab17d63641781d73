"""Train a challenger, and promote it where it is better: new labelled data in, a decision out.

spark-submit jobs/retrain.py --registry DIR --begin BUNDLE --test PATH...
spark-submit jobs/retrain.py --registry DIR --data PATH...
spark-submit jobs/retrain.py --registry DIR --rollback

Exit code 0: done, or promoted; 3: the challenger was refused; 2: it could not be done.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aslspark.cli.early_checks import require_bundles, require_packages, require_paths
from aslspark.cli.jobs_support import add_config_options, config_from, print_result, run_job
from aslspark.common.command_line import ArgumentParser
from aslspark.common.redaction import say
from aslspark.registry.registry import ALPHA, MOST_FALL, REFUSED, Registry
from aslspark.registry.tracking import restore_champion

REFUSED_CODE = 3


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    parser = ArgumentParser(description="Train a challenger, and promote it where it is better than the champion.")
    parser.add_argument("--registry", required=True, metavar="DIR", help="folder of bundles, aliases and decisions")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--begin", metavar="BUNDLE", help="make this the first champion; needs --test")
    what.add_argument(
        "--data",
        nargs="+",
        metavar="PATH",
        help="labelled data to learn from, old and new: sources or one ingested folder",
    )
    what.add_argument("--rollback", action="store_true", help="make the earlier champion the champion again")
    parser.add_argument(
        "--test", nargs="+", metavar="PATH", help="with --begin: labelled data that every challenger is judged on"
    )
    parser.add_argument("--anew", action="store_true", help="do not start from the champion's weights")
    parser.add_argument(
        "--alpha", type=float, default=ALPHA, metavar="P", help="of McNemar's exact test (default %(default)s)"
    )
    parser.add_argument(
        "--class-fall",
        type=float,
        default=MOST_FALL,
        metavar="SHARE",
        help="by which the accuracy of a letter may fall (default %(default)s)",
    )
    parser.add_argument("--reason", default="", metavar="WORDS", help="with --rollback: why, for the record")
    add_config_options(parser)
    options = parser.parse_args(argv)
    registry, config = Registry(options.registry), config_from(options, {})
    if options.rollback:
        version = registry.roll_back(options.reason)
        restore_champion(config, version)
        say(f"{options.registry}: the champion is {version} again")
        print_result(options, registry.decisions()[-1])
        return
    if (options.begin is None) != (options.test is None):
        parser.error("--begin and --test belong together")
    require_packages(config)
    if options.data is not None:
        registry.champion()  # or how to begin
    require_bundles("--begin", [options.begin] if options.begin else [])
    require_paths("--data", options.data or [])
    require_paths("--test", options.test or [])
    from aslspark.common.spark_session import spark_session
    from aslspark.workflows.retrain import initialize, retrain

    with spark_session("aslspark retrain") as spark:
        if options.begin is not None:
            initialize(spark, registry, options.begin, options.test, config)
            decision = registry.decisions()[-1]
        else:
            decision = retrain(
                spark,
                registry,
                options.data,
                from_scratch=options.anew,
                config_file=options.config,
                overrides=options.set,
                alpha=options.alpha,
                max_class_drop=options.class_fall,
            )
    print_result(options, decision)
    if decision["action"] == REFUSED:
        sys.exit(REFUSED_CODE)


if __name__ == "__main__":
    run_job(main)
