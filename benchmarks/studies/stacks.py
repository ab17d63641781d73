"""Does a network read as well when it is trained on the other stack: three seeds, tables and pictures, both frameworks.

python benchmarks/studies/stacks.py --tables PATH... --pictures FOLDER [--signer-pattern REGEX]

Run it in each stack's shell (`make shell`, `make shell STACK=spark35`), and hold the lines against each other.
"""

from __future__ import annotations

import argparse
import logging
import tempfile

import aslspark
from aslspark.common.spark_session import spark_session

SEEDS = (1, 2, 3)
TABLES = ("network.name=cnn", "training.epochs=12", "training.batch_size=64")
PICTURES = ("network.name=small_cnn", "training.epochs=6")
INGESTED = ("pictures.size=64", "pictures.keep=static", "split.kind=signer")


def main() -> None:
    """Print a line a fit: the data, the framework, the seed, the share of the test rows that is right."""
    parser = argparse.ArgumentParser(description="Accuracy on this stack, to hold against the other's.")
    parser.add_argument("--tables", nargs="+", required=True, metavar="PATH")
    parser.add_argument("--pictures", required=True, metavar="FOLDER")
    parser.add_argument("--signer-pattern", default=r"hand(\d)_", metavar="REGEX")
    chosen = parser.parse_args()
    logging.getLogger("aslspark").setLevel("WARNING")
    signer = f"pictures.signer_pattern={chosen.signer_pattern}"
    with spark_session("stacks") as spark, tempfile.TemporaryDirectory() as folder:
        aslspark.ingest(spark, chosen.tables, f"{folder}/tables")
        config = aslspark.load_config(overrides=[*INGESTED, signer])
        aslspark.ingest(spark, chosen.pictures, f"{folder}/pictures", config=config)
        for data, words in (("tables", TABLES), ("pictures", PICTURES)):
            for framework in ("keras", "torch"):
                for seed in SEEDS:
                    given = [f"training.framework={framework}", f"training.seed={seed}", *words]
                    out = f"{folder}/{data}-{framework}-{seed}"
                    config = aslspark.load_config(overrides=given)
                    metrics = aslspark.train(spark, f"{folder}/{data}", out, config=config).metrics
                    print(f"{data} {framework} {seed}: {metrics['accuracy']:.2%} of {metrics['rows']}", flush=True)


if __name__ == "__main__":
    main()
