"""spark-submit jobs/ingest.py --source letters.csv --out ingested.

Brings tables and pictures into samples and a quarantine, and says how many rows went where.
"""

from __future__ import annotations

from collections.abc import Sequence

import aslspark
from aslspark.cli.early_checks import require_new_out, require_packages, require_paths
from aslspark.cli.jobs_support import (
    add_column_options,
    add_config_options,
    columns_of,
    config_from,
    print_result,
    run_job,
)
from aslspark.common.command_line import ArgumentParser
from aslspark.common.settings import SplitConfig


def main(argv: Sequence[str] | None = None) -> None:
    """Ingest what the command line names.

    Raises
    ------
    AslsparkError
        As `aslspark.ingest` does.
    """
    usual = SplitConfig()
    parser = ArgumentParser(description="Read pixel tables and pictures into a sample and a quarantine table.")
    parser.add_argument(
        "--source",
        nargs="+",
        required=True,
        metavar="PATH",
        help="pixel tables or folders of them; folders of pictures, their manifests, zips of either; tables of Spark's "
        "catalog or of Delta",
    )
    parser.add_argument(
        "--test-source",
        nargs="+",
        default=[],
        metavar="PATH",
        help="files or folders that are test as a whole",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder that does not exist yet")
    parser.add_argument("--split", metavar="KIND", help=f"block, signer, source or random (default: {usual.kind})")
    parser.add_argument("--validation", type=float, help=f"default: {usual.validation}")
    parser.add_argument("--test", type=float, help=f"default: {usual.test}")
    parser.add_argument("--blocks", type=int, help=f"default: {usual.blocks}")
    parser.add_argument("--seed", type=int, help=f"default: {usual.seed}")
    add_column_options(parser)
    add_config_options(parser)
    chosen = parser.parse_args(argv)
    named = {"kind": chosen.split, **{name: getattr(chosen, name) for name in ("validation", "test", "blocks", "seed")}}
    config = config_from(chosen, {**{f"split.{name}": value for name, value in named.items()}, **columns_of(chosen)})
    require_packages(config)
    require_paths("--source", chosen.source)
    require_paths("--test-source", chosen.test_source)
    require_new_out(chosen.out)
    from aslspark.common.spark_session import spark_session

    with spark_session("aslspark ingest") as spark:
        report = aslspark.ingest(spark, chosen.source, chosen.out, config=config, test_sources=chosen.test_source)
    print_result(chosen, report.as_dict())


if __name__ == "__main__":
    run_job(main)
