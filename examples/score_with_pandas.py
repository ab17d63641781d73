"""Reads the letters of a pandas DataFrame of picture files; pandas in, pandas out.

python examples/score_with_pandas.py runs/mine a.jpg b.png
"""

import sys
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

import aslspark


def letters(spark: SparkSession, bundle: str, pictures: pd.DataFrame) -> pd.DataFrame:
    """Score the column `content`, the bytes of a file; the rows come back with `letter`, `probability` and `reason`."""
    scored = aslspark.score(spark, bundle, spark.createDataFrame(pictures))
    return scored.drop("content", "top").toPandas()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        bundle, *paths = sys.argv[1:]
        files = pd.DataFrame({"path": paths, "content": [Path(path).read_bytes() for path in paths]})
        print(letters(SparkSession.builder.getOrCreate(), bundle, files).to_string(index=False))
    except (aslspark.AslsparkError, OSError) as error:
        sys.exit(f"error: {error}")
