"""Runs the examples of the public API's docstrings: python docstring_examples.py, in a folder that holds letters.csv.

The examples build on one another, and find what they name in the working directory: Spark is started there, as people
start it. What differs is printed, and is the exit code; the package's log goes to standard error.
"""

import doctest
import inspect
import logging
import sys

from pyspark.sql import SparkSession
from quick_java import QUICK_JAVA

import aslspark

NAMES = (
    *("load_config", "ingest", "train", "load_model", "evaluate", "compare", "cross_validate", "score", "monitor"),
    *("tune", "automl", "SignClassifierModel", "SignKerasEstimator", "SignTorchEstimator", "AslsparkError"),
)
"""In the order in which the examples build on one another: a table, the bundle trained on it, its letters."""


def main() -> int:
    """Run all examples, and count those that gave something else than they show."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.extraJavaOptions": QUICK_JAVA,
    }
    spark = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name in NAMES:
        text = inspect.getdoc(getattr(aslspark, name)) or ""
        runner.run(doctest.DocTestParser().get_doctest(text, {"spark": spark}, name, None, 0))
    spark.stop()
    return runner.summarize(verbose=False).failed


if __name__ == "__main__":
    sys.exit(main())
