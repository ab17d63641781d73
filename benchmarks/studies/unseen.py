"""Hands that a model has not seen: each kind of model, judged on signers and on sets of pictures that were left out.

spark-submit benchmarks/studies/unseen.py --data INGESTED --out DIR --page docs/hands

--data is a table that was ingested with hands.on=true (docs/hands.md says how). What is read: the landmarks of the hand
(MLlib's forest and perceptron, `landmark_net`), the picture cropped to it (`small_cnn`), or both (`two_branch`). DIR
keeps each cross-validation with its report, so that a run that was stopped goes on; the page gets models.md,
models.json and models.png.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from aslspark.common.settings import load_config
from aslspark.common.spark_session import spark_session
from aslspark.evaluation.fold_options import LEAVE_ONE
from aslspark.workflows.cross_validate import cross_validate
from benchmarks.base import machine

SETTINGS = Path(__file__).resolve().parents[2] / "conf" / "hands.yaml"
PICTURES = [
    "network.dropout=0.3",
    "training.epochs=14",
    "training.learning_rate=0.001",
    "augment.brightness=0.2",
    "augment.contrast=0.3",
    "augment.hue_probability=0.5",
    "augment.saturation_probability=0.5",
    "augment.coarse_dropout_probability=0.3",
    "augment.background_probability=0.5",
]
MODELS = {
    "forest": ("landmarks", ["mllib.classifier=forest", "mllib.reads=landmarks", "mllib.trees=60", "mllib.depth=12"]),
    "perceptron": ("landmarks", ["mllib.classifier=mlp", "mllib.reads=landmarks", "mllib.hidden='128'"]),
    "landmark_net": ("landmarks", []),
    "small_cnn": ("picture", ["network.name=small_cnn", *PICTURES]),
    "two_branch": ("both", ["network.name=two_branch", "network.branch_dropout=0.2", *PICTURES]),
}
QUESTIONS = ("signer", "source")
COLOURS = {"landmarks": "C0", "picture": "C1", "both": "C2"}


def folds_of(found: dict[str, Any], question: str) -> dict[str, float]:
    """Return what was left out, and how much of it was right; a lone signer of a set is no question of signers."""
    held = {fold["held_out"][0]["group"]: fold["accuracy"] for fold in found["folds"]}
    return {name: share for name, share in held.items() if question == "source" or name.startswith("hand")}


def write_page(results: dict[str, dict[str, dict[str, float]]], folder: Path) -> None:
    """Write models.json, models.png and models.md."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"machine": machine(), "models": results}
    (folder / "models.json").write_text(json.dumps(about, indent=1) + "\n")
    groups = [(question, name) for question in QUESTIONS for name in next(iter(results.values()))[question]]
    titles = [f"{name} left out" for _, name in groups]
    lines = [
        "# Every kind of model on hands it has not seen",
        "",
        "% of all pictures of 24 static letters right; one without a found hand is wrong for models of landmarks. Each "
        "column was left out of the training. Made by "
        "`spark-submit benchmarks/studies/unseen.py`, which holds the settings.",
        "",
        "![accuracy of each model on what was left out](models.png)",
        "",
        "| model | reads | " + " | ".join(titles) + " | mean of signers |",
        "|---" * (len(titles) + 3) + "|",
    ]
    for model, found in results.items():
        cells = [f"{100 * found[question][name]:.1f}" for question, name in groups]
        mean = sum(found["signer"].values()) / len(found["signer"])
        lines.append(f"| {model} | {MODELS[model][0]} | " + " | ".join(cells) + f" | {100 * mean:.1f} |")
    (folder / "models.md").write_text("\n".join(lines) + "\n")
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots()
    for number, (model, found) in enumerate(results.items()):
        shares = [100 * found[question][name] for question, name in groups]
        places = [place + 0.16 * (number - (len(results) - 1) / 2) for place in range(len(groups))]
        reads = MODELS[model][0]
        axes.bar(places, shares, 0.15, label=f"{model} ({reads})", color=COLOURS[reads], alpha=1 - 0.25 * (number % 3))
    axes.set_xticks(range(len(groups)), titles, rotation=15)
    axes.set_ylabel("% right")
    axes.set_ylim(0, 100)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(ncols=len(results), loc="upper center", bbox_to_anchor=(0.5, 1.13), fontsize=8)
    figure.savefig(folder / "models.png", dpi=110)


def main(argv: Sequence[str] | None = None) -> None:
    """Judge what has not been judged, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="INGESTED")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path)
    parser.add_argument("--page", required=True, metavar="DIR", type=Path)
    parser.add_argument("--only", nargs="+", default=list(MODELS), choices=MODELS, metavar="MODEL")
    options = parser.parse_args(argv)
    logging.getLogger("aslspark").setLevel(logging.WARNING)
    results: dict[str, dict[str, dict[str, float]]] = {}
    with spark_session("aslspark unseen") as spark:
        for model in options.only:
            config = load_config(str(SETTINGS), ["split.validation=0", *MODELS[model][1]])
            results[model] = {}
            for question in QUESTIONS:
                out = options.out / f"{model}-{question}"
                folds = LEAVE_ONE[question]
                if (out / "cross_validation.json").exists():
                    found = json.loads((out / "cross_validation.json").read_text())
                else:
                    found = cross_validate(spark, [options.data], str(out), config, folds)
                results[model][question] = folds_of(found, question)
                print(model, question, results[model][question], flush=True)
    write_page(results, options.page)


if __name__ == "__main__":
    main()
