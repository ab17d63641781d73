"""Read the letters of pictures with a bundle.

spark-submit jobs/score.py --model BUNDLE --data PATH... --out DIR
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import aslspark
from aslspark.cli.jobs_support import add_config_options, config_from, run_job


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    parser = argparse.ArgumentParser(description="Read the letters of pictures with a bundle.")
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="PATH",
        help="pixel tables with or without labels, pictures or folders of them, one Parquet table or ingested folder",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="Parquet to make; must not exist")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="least probability, 0-1, with which a letter is answered (default: the bundle's)",
    )
    add_config_options(parser)
    options = parser.parse_args(argv)
    config = config_from(options, {})
    from aslspark.common.spark_session import spark_session

    with spark_session("aslspark score") as spark:
        aslspark.score(spark, options.model, options.data, options.out, config=config, threshold=options.threshold)


if __name__ == "__main__":
    run_job(main)
