"""Compares new pictures with those that a model was made with, and says what is unlike.

    python examples/watch_for_drift.py runs/mine new_pictures runs/drift

The folder that comes out holds `drift.json` and plots. `jobs/monitor.py` is the same with options, and ends with 3
where there is drift.
"""

import sys

from pyspark.sql import SparkSession

import aslspark


def watch(spark: SparkSession, bundle: str, data: str, out: str) -> bool:
    """Compare, and print the batches that differ; return whether any does."""
    report = aslspark.monitor(spark, bundle, data, out)
    for batch in report["batches"]:
        print(f"{batch['batch']}: {batch['rows']} rows; {', '.join(batch['alarms']) or 'nothing unusual'}")
    return report["drift"]


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        sys.exit(3 if watch(SparkSession.builder.getOrCreate(), *sys.argv[1:]) else 0)
    except aslspark.AslsparkError as error:
        sys.exit(f"error: {error}")
