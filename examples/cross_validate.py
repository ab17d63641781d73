"""Trains once for each group of signers, and judges each picture by a model that has not met its signer.

    python examples/cross_validate.py ingested runs/folds training.framework=torch training.epochs=8

The folder that comes out holds `report.html` and the figures of each fold. `jobs/cross_validate.py` is the same with
options.
"""

import sys

from pyspark.sql import SparkSession

import aslspark


def judge(spark: SparkSession, data: str, out: str, *settings: str, folds: int = 5) -> dict[str, object]:
    """Cross-validate by signer, and print what the folds say together."""
    config = aslspark.load_config(overrides=settings)
    result = aslspark.cross_validate(spark, data, out, config=config, by="signer", folds=folds)
    accuracy = result["scores"]["accuracy"]
    print(f"{accuracy['mean']:.1%} ± {accuracy['std']:.1%} of {len(result['folds'])} folds")
    print(f"answers.temperature={result['temperature']} suits people who were not met")
    return result


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        judge(SparkSession.builder.getOrCreate(), *sys.argv[1:])
    except aslspark.AslsparkError as error:
        sys.exit(f"error: {error}")
