"""The model card: `README.md` of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.markdown import code, text
from aslspark.common.redacted_files import write_text
from aslspark.evaluation.calibration import BINS
from aslspark.evaluation.groups import NAMES, SKIN_NOTE
from aslspark.features.landmarks import FEATURES
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.training_alerts import in_words


def write_card(folder: Path, metrics: dict[str, Any], model: SignClassifierModel) -> None:
    """Write the model card beside a manifest and plots that are already in the folder."""
    about = json.loads((folder / "bundle.json").read_text())
    write_text(folder / "README.md", _card(about, metrics, model, {path.name for path in folder.iterdir()}))


def _card(about: dict[str, Any], metrics: dict[str, Any], model: SignClassifierModel, files: set[str]) -> str:
    height, width, channels = about["shape"]
    what = (
        f"the network '{text(about['settings']['network']['name'])}' ({about['parameters']:,} parameters, "
        f"{about['framework']})"
        if about["kind"] == "network"
        else f"MLlib's {about['settings']['mllib']['classifier']}, which reads {_READ[tuple(about['inputs'])]}"
    )
    lines = []
    if about["drawn"]:
        lines += [f"**Trained and tested on {text(about['drawn'])}.**", ""]
    lines += [
        "# A reader of hand-signed letters",
        "",
        f"It reads one of {len(about['labels'])} letters ({' '.join(map(text, about['labels']))}) from a picture of a "
        f"hand, with {what}. Pictures are {height}x{width}, {'grey' if channels == 1 else 'RGB'}"
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
    lines += ["", f"How the split was made: {text(about['split'])}"]
    for warning in about["data"]["warnings"]:
        lines += ["", f"Note: {text(warning)}."]
    if len(metrics["by_source"]) > 1:
        lines += ["", "| source (test) | pictures | right |", "|---|---|---|"]
        lines += [
            f"| {text(source)} | {part['rows']:,} | {part['accuracy']:.2%} |"
            for source, part in metrics["by_source"].items()
        ]
    if hands := metrics["groups"].get("hand"):
        lines += ["", _of_hands(hands)]
    lines += ["", *_of_certainty(metrics["certainty"], metrics["judged_on"][0])]
    weakest = sorted(metrics["per_class"].items(), key=lambda item: item[1]["f1"])[:5]
    lines += [
        "",
        "Weakest letters (test): " + ", ".join(f"{text(label)} (F1 {part['f1']:.2f})" for label, part in weakest) + ".",
    ]
    if model.fitted is not None:
        epochs = len(model.fitted.history)
        lines += [
            "",
            f"Trained for {epochs} epochs; the weights are those of epoch {model.fitted.best_epoch}.",
        ]
        lines += [f"- {text(in_words(note))}." for note in model.fitted.watch]
    lines += [
        "",
        "![which letter was read as which](confusion.png)",
        "",
        "![pictures read wrongly](mistakes.png)",
    ]
    if "confusable.png" in files:
        lines += ["", "![letters that look alike, with what was answered](confusable.png)"]
    lines += _of_groups(metrics["groups"])
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
            "and gives `probability`, float32 (n, classes), in the order of `labels` in `bundle.json`, before "
            "the temperature.",
            "",
        ]
    seconds = _seconds(about["seconds"])
    if model.fitted is not None and model.fitted.phases:
        seconds += f" (of the fit, by the first process's clock: {_seconds(model.fitted.phases)})"
    lines += [
        "## How it was made",
        "",
        f"Sources: {', '.join(map(text, about['data']['sources']))}. "
        f"Fingerprint of the samples: {code(about['data']['fingerprint'])}.",
        f"Time: {seconds}. Settings and versions are in `bundle.json`; `SHA256SUMS` is checked at loading.",
        "",
    ]
    if "profile" in files:
        lines += ["A trace of some steps of the training is in `profile/`.", ""]
    return "\n".join(lines)


_READ = {
    ("picture",): "the picture",
    ("landmarks",): "the landmarks of the hand",
    ("picture", "landmarks"): "the picture and the landmarks of the hand",
}


def _of_hands(found: list[dict[str, Any]]) -> str:
    rows = {figures["group"]: figures["rows"] for figures in found}
    without = rows.get("no", 0)
    parts = [
        f"{'with' if figures['group'] == 'yes' else 'without'} one {figures['accuracy']:.2%} are right"
        for figures in found
    ]
    return f"In {without:,} of {sum(rows.values()):,} test pictures no hand was found: {', '.join(parts)}."


def _of_certainty(certainty: dict[str, Any], split: str) -> list[str]:
    part = certainty["splits"][split]
    before, after = part["calibration_error_before"], part["calibration_error"]
    lines = [
        f"Temperature {certainty['temperature']:.2f}: over the {split} split, "
        f"probabilities are off by {after:.1%} on average, and by {before:.1%} without it (expected calibration error, "
        f"{BINS} bins). Of people and cameras that are in neither split it is surer than it should be."
        if after is not None
        else "None of the pictures could be scored."
    ]
    threshold = certainty["threshold"]
    if threshold:
        lines[0] += f" It answers where its probability is {threshold:g} or more, and is not sure elsewhere."
    lines += ["", f"| threshold ({split}) | answered | right, of those |", "|---|---|---|"]
    lines += [
        f"| {mark['threshold']:g}{' (as set)' if mark['threshold'] == threshold else ''} | {mark['coverage']:.1%} | "
        f"{'-' if mark['accuracy'] is None else format(mark['accuracy'], '.2%')} |"
        for mark in part["coverage"]
    ]
    return [
        *lines,
        "",
        "![whether the probabilities hold](calibration.png)",
        "",
        "![accuracy against coverage](coverage.png)",
    ]


def _of_groups(groups: dict[str, list[dict[str, Any]]]) -> list[str]:
    if not groups:
        return []
    lines = ["", "## Who is read how well", "", "| test pictures | | right | 95 % range |", "|---|---|---|---|"]
    for kind, found in groups.items():
        lines += [
            f"| {NAMES[kind]}: {text(figures['group'])} | {figures['rows']:,} | {figures['accuracy']:.2%} | "
            f"{figures['low']:.1%} to {figures['high']:.1%} |"
            for figures in found
        ]
    lines += ["", "The range is what the number of pictures leaves open, were each a draw of its own (Wilson)."]
    if "skin" in groups:
        lines[-1] += f" {SKIN_NOTE}"
    return [*lines, "", "![accuracy by group](groups.png)"]


def _seconds(spent: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.0f} s" for name, value in spent.items())
