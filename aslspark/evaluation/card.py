"""The model card: `README.md` of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aslspark.features.landmarks import FEATURES
from aslspark.models.known import LANDMARKS, PICTURE
from aslspark.scoring import SignClassifierModel
from aslspark.training.watch import in_words


def write_card(folder: Path, metrics: dict[str, Any], model: SignClassifierModel) -> None:
    """Write the model card beside a manifest and plots that are already in the folder."""
    about = json.loads((folder / "bundle.json").read_text())
    (folder / "README.md").write_text(_card(about, metrics, model, {path.name for path in folder.iterdir()}))


def _card(about: dict[str, Any], metrics: dict[str, Any], model: SignClassifierModel, files: set[str]) -> str:
    height, width, channels = about["shape"]
    baseline = about["settings"].get("baseline")
    what = (
        f"the network '{about['settings']['network']['name']}' ({about['parameters']:,} parameters, "
        f"{about['framework']})"
        if about["kind"] == "network"
        else f"MLlib's {baseline['name']}"
    )
    lines = []
    if about["drawn"]:
        lines += [f"**Trained and tested on {about['drawn']}.**", ""]
    lines += [
        "# A reader of hand-signed letters",
        "",
        f"It reads one of {len(about['labels'])} letters ({' '.join(about['labels'])}) from a picture of a hand, with "
        f"{what}. Pictures are {height}x{width}, {'grey' if channels == 1 else 'RGB'}"
        + (", each stretched to its own darkest and brightest point" if about["preprocessing"]["stretch"] else "")
        + ". It reads letters of the American manual alphabet, not sign language.",
        "",
        "## How good it is",
        "",
        "| split | pictures | right | among the best three | macro F1 |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {split} | {part['rows']:,} | {part['accuracy']:.2%} | {part['top3_accuracy']:.2%} | "
        f"{part['macro']['f1']:.4f} |"
        for split, part in metrics["splits"].items()
    ]
    lines += ["", f"How the split was made: {about['split']}"]
    for warning in about["data"]["warnings"]:
        lines += ["", f"Note: {warning}."]
    if len(metrics["by_source"]) > 1:
        lines += ["", "| source (test) | pictures | right |", "|---|---|---|"]
        lines += [
            f"| {source} | {part['rows']:,} | {part['accuracy']:.2%} |" for source, part in metrics["by_source"].items()
        ]
    weakest = sorted(metrics["per_class"].items(), key=lambda item: item[1]["f1"])[:5]
    lines += [
        "",
        "Weakest letters (test): " + ", ".join(f"{label} (F1 {part['f1']:.2f})" for label, part in weakest) + ".",
    ]
    if model.fitted is not None:
        epochs = len(model.fitted.history)
        lines += [
            "",
            f"Trained for {epochs} epochs; the weights are those of epoch {model.fitted.best_epoch}.",
        ]
        lines += [f"- {in_words(note)}." for note in model.fitted.watch]
    lines += [
        "",
        "![which letter was read as which](confusion.png)",
        "",
        "![pictures read wrongly](mistakes.png)",
    ]
    if "curves.png" in files:
        lines += ["", "![loss and accuracy by epoch](curves.png)"]
    if "augmented.png" in files:
        settings = about["settings"]["augment"]
        ends = "_probability"
        changes = [
            f"{name.removesuffix(ends).replace('_', ' ')} ({share:.0%})"
            for name, share in settings.items()
            if name.endswith(ends) and share and (LANDMARKS in about["inputs"] or not name.startswith("landmark"))
        ]
        lines += [
            "",
            f"Training pictures were changed at random (in brackets: the share of them): {', '.join(changes)}. The "
            "amounts are in `bundle.json` under `augment`.",
            "",
            "![training pictures, as they are and changed](augmented.png)",
        ]
    lines += [
        "",
        "## How to use it",
        "",
        "```python",
        "from aslspark.scoring import SignClassifierModel",
        "",
        f'scored = SignClassifierModel.load("{{this folder}}").transform(df)  # df.picture: {height}x{width} bytes',
        "```",
        "",
    ]
    if about["kind"] == "network":
        takes = {
            PICTURE: f"`picture`, uint8 (n, {height}, {width}, {channels}), unscaled",
            LANDMARKS: f"`landmarks`, float32 (n, {FEATURES}), as `aslspark.features.landmarks` makes them",
        }
        lines += [
            f"Elsewhere: `network.onnx` takes {', and '.join(takes[name] for name in about['inputs'])}, "
            "and gives `probability`, float32 (n, classes), in the order of `labels` in `bundle.json`.",
            "",
        ]
    seconds = _seconds(about["seconds"])
    if model.fitted is not None and model.fitted.phases:
        seconds += f" (of the fit, by the first process's clock: {_seconds(model.fitted.phases)})"
    lines += [
        "## How it was made",
        "",
        f"Sources: {', '.join(about['data']['sources'])}. "
        f"Fingerprint of the samples: `{about['data']['fingerprint']}`.",
        f"Time: {seconds}. Settings and versions are in `bundle.json`; `SHA256SUMS` is checked at loading.",
        "",
    ]
    if "profile" in files:
        lines += ["A trace of some steps of the training is in `profile/`.", ""]
    return "\n".join(lines)


def _seconds(spent: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.0f} s" for name, value in spent.items())
