"""Reads the letters of a folder of pictures, wherever Spark reads it from, and writes them as Parquet.

python examples/score_with_spark.py runs/mine pictures scored
"""

import sys

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

import aslspark


def score(spark: SparkSession, bundle: str, folder: str, out: str) -> DataFrame:
    """Score each picture below a folder; one that cannot be read keeps its row, with a reason."""
    pictures = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(folder)
    return aslspark.score(spark, bundle, pictures.select("path", "content"), out, threshold=0.5)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        score(SparkSession.builder.getOrCreate(), *sys.argv[1:])
    except (aslspark.AslsparkError, AnalysisException) as error:
        # Spark names what is missing, or there already, in its first line.
        sys.exit(f"error: {str(error).splitlines()[0]}")
