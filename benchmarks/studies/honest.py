"""The same models judged on rows drawn at random and on hands they have not seen, and what augmentation adds.

spark-submit benchmarks/studies/honest.py --alphabet FOLDER --studio FOLDER --out DIR

--alphabet holds frames of videos, a folder a letter; --studio pictures of several signers, named by hand1_, hand2_ ...
in their file names. Networks learn by conf/pictures.yaml, but for what stands below. Each trial's figures are kept in
DIR/trials, so that a run that was stopped goes on; the page is DIR/README.md with its plots.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from honest_page import ALPHABET, STUDIO, write_page
from pyspark.sql import SparkSession

from aslspark import train
from aslspark.common.settings import load_config
from aslspark.common.spark_session import spark_session
from aslspark.data.samples import TEST
from aslspark.evaluation.fold_options import LEAVE_ONE
from aslspark.workflows.cross_validate import cross_validate
from benchmarks.base import machine

NETWORKS = {"small_cnn": (5, 0.001), "squeezenet": (5, 0.00025), "mobilenet_v2": (4, 0.004), "resnet18": (2, 0.001)}
"""How many times as many epochs as below, and the learning rate: squeezenet, without BatchNorm, bears a lower
one; mobilenet_v2 has learned little by then at a lower one (studio_hands at random: 42 % at 0.001, 75 % at 0.004)."""
BASELINES = {
    "forest": ["mllib.classifier=forest", "mllib.trees=20", "mllib.depth=8"],
    "mlp": ["mllib.classifier=mlp", "mllib.hidden='128'", "mllib.iterations=60"],
}
EPOCHS = {ALPHABET: 5, STUDIO: 8}
"""Passes over each set: the smaller one is seen more often."""
RECIPE = Path(__file__).resolve().parents[2] / "conf" / "pictures.yaml"
SETTINGS = ["pictures.keep=static", r"pictures.signer_pattern=(hand\d)_", "split.test=0.2"]


@dataclass(frozen=True)
class Trial:
    """One model, trained and judged in one way."""

    model: str
    augmented: bool
    trained_on: str
    judged: str
    """'random', 'block', 'signer' (each left out in turn), or the other set's name."""

    @property
    def name(self) -> str:
        """Return the name of its file."""
        changes = "changed" if self.augmented else "plain"
        return f"{self.trained_on}-{self.judged}-{self.model}-{changes}"


QUESTIONS = (
    (STUDIO, "signer"),
    (STUDIO, "random"),
    (ALPHABET, "block"),
    (ALPHABET, "random"),
    (ALPHABET, STUDIO),
    (STUDIO, ALPHABET),
)
WITHOUT_CHANGES = ((ALPHABET, "block"), (ALPHABET, STUDIO), (STUDIO, ALPHABET))
"""What all networks are also asked after learning from pictures as they are; the small one is asked everything."""


def trials() -> Iterator[Trial]:
    """List the trials, quick models first."""
    for model in (*BASELINES, *NETWORKS):
        for augmented in (False,) if model in BASELINES else (True, False):
            asked = QUESTIONS if augmented or model in (*BASELINES, "small_cnn") else WITHOUT_CHANGES
            for trained_on, judged in asked:
                yield Trial(model, augmented, trained_on, judged)


def run(spark: SparkSession, trial: Trial, folders: dict[str, str], size: int, scratch: Path) -> dict[str, Any]:
    """Train and judge; return the figures of the rows tested on."""
    kind = trial.judged if trial.judged in ("random", "block") else "block"
    words = [
        *SETTINGS,
        f"augment.on={str(trial.augmented).lower()}",
        f"pictures.size={size}",
        f"split.kind={kind}",
    ]
    if trial.model in NETWORKS:
        times, rate = NETWORKS[trial.model]
        epochs = times * EPOCHS[trial.trained_on]
        words += [f"network.name={trial.model}", f"training.epochs={epochs}", f"training.learning_rate={rate}"]
    else:
        words += BASELINES[trial.model]
    config = load_config(str(RECIPE), words)
    data, out = [folders[trial.trained_on]], str(scratch / "out")
    if trial.judged == "signer":
        found = cross_validate(spark, data, out, config, LEAVE_ONE["signer"])
        folds = {fold["tested_on"]: fold["accuracy"] for fold in found["folds"]}
        return {"accuracy": found["scores"]["accuracy"]["mean"], "folds": folds}
    test = [folders[trial.judged]] if trial.judged in folders else []
    metrics = train(spark, data, out, config=config, test_data=test).metrics
    manifest = json.loads((Path(out) / "bundle.json").read_text())
    part = metrics["splits"][TEST]
    return {
        "accuracy": part["accuracy"],
        "rows": part["rows"],
        "parameters": manifest.get("parameters"),
        "fit_seconds": manifest["seconds"]["fit"],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run what has not been run, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alphabet", required=True, metavar="FOLDER")
    parser.add_argument("--studio", required=True, metavar="FOLDER")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--size", type=int, default=32, metavar="N", help="of the pictures (default %(default)s)")
    parser.add_argument("--only", nargs="+", default=[], metavar="MODEL")
    options = parser.parse_args(argv)
    logging.getLogger("aslspark").setLevel(logging.WARNING)
    folders = {ALPHABET: options.alphabet, STUDIO: options.studio}
    kept = Path(options.out) / "trials"
    kept.mkdir(parents=True, exist_ok=True)
    with spark_session("aslspark honest") as spark:
        for trial in trials():
            file = kept / f"{trial.name}.json"
            if file.exists() or (options.only and trial.model not in options.only):
                continue
            scratch = Path(tempfile.mkdtemp(prefix="honest-"))
            started = time.monotonic()
            try:
                found = run(spark, trial, folders, options.size, scratch)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            found |= {**vars(trial), "size": options.size, "seconds": round(time.monotonic() - started, 1)}
            file.write_text(json.dumps(found, indent=1) + "\n")
            print(f"{trial.name}: {found['accuracy']:.1%} in {found['seconds']:.0f} s", flush=True)
    write_page(Path(options.out), [json.loads(path.read_text()) for path in sorted(kept.glob("*.json"))], machine())


if __name__ == "__main__":
    main()
