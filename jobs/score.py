"""Read the letters of pictures with a bundle.

spark-submit jobs/score.py --model BUNDLE --data PATH... --out DIR
spark-submit jobs/score.py --model BUNDLE --data TABLE --out-table TABLE --mode append
"""

from __future__ import annotations

from collections.abc import Sequence

from aslspark.cli.early_checks import require_bundles, require_new_out, require_packages, require_paths
from aslspark.cli.jobs_support import (
    add_column_options,
    add_config_options,
    columns_of,
    config_from,
    print_result,
    run_job,
)
from aslspark.common.catalog import TABLE_MODES
from aslspark.common.command_line import ArgumentParser


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    parser = ArgumentParser(description="Read the letters of pictures with a bundle.")
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="PATH|TABLE",
        help="pixel tables with or without labels, pictures or folders of them, one Parquet table or ingested folder, "
        "or a table of Spark's catalog or of Delta",
    )
    out = parser.add_mutually_exclusive_group(required=True)
    out.add_argument("--out", metavar="DIR", help="Parquet to make; must not exist")
    out.add_argument("--out-table", metavar="TABLE", help="a table of Spark's catalog")
    parser.add_argument(
        "--mode", default=TABLE_MODES[0], choices=TABLE_MODES, help="where the table is there (default: %(default)s)"
    )
    parser.add_argument("--where", metavar="SQL", help="a condition on the data's columns; other rows are left out")
    parser.add_argument("--since", metavar="TIME", help="rows of earlier times, by columns.time, are left out")
    add_column_options(parser)
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="least probability, 0-1, with which a letter is answered (default: the bundle's)",
    )
    add_config_options(parser)
    options = parser.parse_args(argv)
    config = config_from(options, columns_of(options))
    require_packages(config)
    require_bundles("--model", [options.model])
    require_paths("--data", options.data)
    require_new_out(options.out)
    from aslspark.common.spark_session import spark_session
    from aslspark.workflows.score import score_and_count

    with spark_session("aslspark score") as spark:
        _, counts = score_and_count(
            spark,
            options.model,
            options.data,
            options.out,
            out_table=options.out_table,
            mode=options.mode,
            where=options.where,
            since=options.since,
            config=config,
            threshold=options.threshold,
        )
    print_result(options, counts)


if __name__ == "__main__":
    run_job(main)
