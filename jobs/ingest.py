"""spark-submit jobs/ingest.py --source letters.csv --out ingested.

Reads pixel tables into a sample table and a quarantine table, and prints how many rows went where.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from aslspark.jobs_support import run_job
from aslspark.session import spark_session
from aslspark.sources.ingest import ingest
from aslspark.sources.splits import KINDS, SplitOptions


def main(argv: Sequence[str] | None = None) -> None:
    """Ingest what the command line names.

    Raises
    ------
    AslsparkError
        As `aslspark.sources.ingest.ingest` does.
    """
    usual = SplitOptions()
    parser = argparse.ArgumentParser(description="Read pixel tables into a sample table and a quarantine table.")
    parser.add_argument("--source", nargs="+", required=True, metavar="PATH", help="files or folders of files")
    parser.add_argument(
        "--test-source",
        nargs="+",
        default=[],
        metavar="PATH",
        help="files or folders that are test as a whole",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder that does not exist yet")
    parser.add_argument("--split", choices=KINDS, default=usual.kind, help="default: %(default)s")
    parser.add_argument("--validation", type=float, default=usual.validation, help="default: %(default)s")
    parser.add_argument("--test", type=float, default=usual.test, help="default: %(default)s")
    parser.add_argument("--blocks", type=int, default=usual.blocks, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=usual.seed, help="default: %(default)s")
    chosen = parser.parse_args(argv)
    split = SplitOptions(chosen.split, chosen.validation, chosen.test, chosen.blocks, chosen.seed)
    with spark_session("aslspark ingest") as spark:
        print(ingest(spark, chosen.source, chosen.out, test_sources=chosen.test_source, split=split))
        print(f"written to {chosen.out}")


if __name__ == "__main__":
    run_job(main)
