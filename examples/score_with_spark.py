"""Reads the letters of a folder of pictures, wherever Spark reads it from, and writes them as Parquet.

python examples/score_with_spark.py runs/mine pictures scored
"""

import sys

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

import aslspark


def score(spark: SparkSession, bundle: str, folder: str, out: str) -> DataFrame:
    """Score each picture below a folder; one that cannot be read keeps its row, with a reason."""
    model = aslspark.load_model(bundle).setInputCol("content").setThreshold(0.5)
    pictures = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(folder)
    answers = model.transform(pictures).select("path", "letter", "probability", "top", "reason")
    answers.write.parquet(out)
    written = spark.read.parquet(out)
    written.groupBy("letter", "reason").count().orderBy("letter").show()
    return written


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        score(SparkSession.builder.getOrCreate(), *sys.argv[1:])
    except (aslspark.AslsparkError, AnalysisException) as error:
        # Spark names what is missing, or there already, in its first line.
        sys.exit(f"error: {str(error).splitlines()[0]}")
