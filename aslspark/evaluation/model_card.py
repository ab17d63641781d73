"""The model card: `README.md` of a bundle."""

from __future__ import annotations

import json
from pathlib import Path

from aslspark.bundle.manifest import Manifest
from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.counted import counted
from aslspark.common.markdown import code, text
from aslspark.common.redacted_files import write_text
from aslspark.evaluation.calibration import BINS
from aslspark.evaluation.groups import NAMES, SKIN_NOTE
from aslspark.evaluation.metrics_json import Certainty, GroupAccuracy, Metrics
from aslspark.evaluation.unlike_splits import unlike_splits_warning
from aslspark.features.landmarks import FEATURES
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.training_alerts import in_words


def write_card(folder: Path, metrics: Metrics, model: SignClassifierModel) -> None:
    """Write the model card beside a manifest and plots that are already in the folder."""
    manifest = json.loads((folder / "bundle.json").read_text())
    files = {path.name for path in folder.iterdir()}
    lines = [
        *_what_it_reads(manifest),
        *_how_good(manifest, metrics),
        *_training(model),
        *_plots(files),
        *_groups(metrics["groups"]),
        *_training_plots(manifest, files),
        *_how_to_use(manifest),
        *_how_it_was_made(manifest, model, files),
    ]
    write_text(folder / "README.md", "\n".join(lines))


_INPUTS = {
    ("picture",): "the picture",
    ("landmarks",): "the landmarks of the hand",
    ("picture", "landmarks"): "the picture and the landmarks of the hand",
}


def _what_it_reads(manifest: Manifest) -> list[str]:
    height, width, channels = manifest["shape"]
    if manifest["kind"] == "network":
        name = text(manifest["settings"]["network"]["name"])
        model = f"the network '{name}' ({manifest['parameters']:,} parameters, {manifest['framework']})"
    else:
        classifier = manifest["settings"]["mllib"]["classifier"]
        model = f"MLlib's {classifier}, which reads {_INPUTS[tuple(manifest['inputs'])]}"
    drawn = [f"**Trained and tested on {text(manifest['drawn'])}.**", ""] if manifest["drawn"] else []
    return [
        *drawn,
        "# A reader of hand-signed letters",
        "",
        f"It reads one of {counted(len(manifest['labels']), 'letter')} ({' '.join(map(text, manifest['labels']))}) "
        f"from a picture of a hand, with {model}. Pictures are {height}x{width}, {'grey' if channels == 1 else 'RGB'}"
        + (", each stretched to its own darkest and brightest point" if manifest["preprocessing"]["stretch"] else "")
        + ". It reads letters of the American manual alphabet, not sign language.",
        "",
    ]


def _how_good(manifest: Manifest, metrics: Metrics) -> list[str]:
    lines = [
        "## How good it is",
        "",
        "| split | pictures | right | among the best three | macro F1 |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {split['rows']:,} | {split['accuracy']:.2%} | {split['top3_accuracy']:.2%} | "
        f"{split['macro']['f1']:.4f} |"
        for name, split in metrics["splits"].items()
    ]
    lines += ["", f"How the split was made: {text(manifest['split'])}"]
    if unlike := unlike_splits_warning(metrics):
        lines += ["", f"**Note: {text(unlike)}.**"]
    for warning in manifest["data"]["warnings"]:
        lines += ["", f"Note: {text(warning)}."]
    if len(metrics["by_source"]) > 1:
        lines += ["", "| source (test) | pictures | right |", "|---|---|---|"]
        lines += [
            f"| {text(name)} | {source['rows']:,} | {source['accuracy']:.2%} |"
            for name, source in metrics["by_source"].items()
        ]
    if hands := metrics["groups"].get("hand"):
        lines += ["", _hands(hands)]
    lines += ["", *_calibration(metrics["certainty"], metrics["judged_on"][0])]
    weakest = sorted(metrics["per_class"].items(), key=lambda item: item[1]["f1"])[:5]
    letters = ", ".join(f"{text(label)} (F1 {scores['f1']:.2f})" for label, scores in weakest)
    return [*lines, "", f"Weakest letters (test): {letters}."]


def _hands(groups: list[GroupAccuracy]) -> str:
    rows = {group["group"]: group["rows"] for group in groups}
    accuracies = [
        f"{'with' if group['group'] == 'yes' else 'without'} one {group['accuracy']:.2%} are right" for group in groups
    ]
    without = rows.get("no", 0)
    return (
        f"In {without:,} of {counted(sum(rows.values()), 'test picture')} no hand was found: {', '.join(accuracies)}."
    )


def _calibration(certainty: Certainty, name: str) -> list[str]:
    split, threshold = certainty["splits"][name], certainty["threshold"]
    before, after = split["calibration_error_before"], split["calibration_error"]
    sentence = (
        f"Temperature {certainty['temperature']:.2f}: over the {name} split, "
        f"probabilities are off by {after:.1%} on average, and by {before:.1%} without it (expected calibration error, "
        f"{BINS} bins). Of people and cameras that are in neither split it is surer than it should be."
        if after is not None
        else "None of the pictures could be scored."
    )
    if threshold:
        sentence += f" It answers where its probability is {threshold:g} or more, and is not sure elsewhere."
    rows = [
        f"| {entry['threshold']:g}{' (as set)' if entry['threshold'] == threshold else ''} | {entry['coverage']:.1%} | "
        f"{'-' if entry['accuracy'] is None else format(entry['accuracy'], '.2%')} |"
        for entry in split["coverage"]
    ]
    return [
        sentence,
        "",
        f"| threshold ({name}) | answered | right, of those |",
        "|---|---|---|",
        *rows,
        "",
        "![whether the probabilities hold](calibration.png)",
        "",
        "![accuracy against coverage](coverage.png)",
    ]


def _training(model: SignClassifierModel) -> list[str]:
    if model.fitted is None:
        return []
    epochs = len(model.fitted.history)
    kept = f"Trained for {counted(epochs, 'epoch')}; the weights are those of epoch {model.fitted.best_epoch}."
    return ["", kept, *(f"- {text(in_words(alert))}." for alert in model.fitted.watch)]


def _plots(files: set[str]) -> list[str]:
    lines = [
        "",
        "![which letter was read as which](confusion.png)",
        "",
        "![pictures read wrongly](mistakes.png)",
    ]
    if "confusable.png" in files:
        lines += ["", "![letters that look alike, with what was answered](confusable.png)"]
    return lines


def _groups(groups: dict[str, list[GroupAccuracy]]) -> list[str]:
    if not groups:
        return []
    lines = ["", "## Who is read how well", "", "| test pictures | | right | 95 % range |", "|---|---|---|---|"]
    for kind, of_kind in groups.items():
        lines += [
            f"| {NAMES[kind]}: {text(group['group'])} | {group['rows']:,} | {group['accuracy']:.2%} | "
            f"{group['low']:.1%} to {group['high']:.1%} |"
            for group in of_kind
        ]
    lines += ["", "The range is what the number of pictures leaves open, were each a draw of its own (Wilson)."]
    if "skin" in groups:
        lines[-1] += f" {SKIN_NOTE}"
    return [*lines, "", "![accuracy by group](groups.png)"]


def _training_plots(manifest: Manifest, files: set[str]) -> list[str]:
    lines = []
    if "curves.png" in files:
        lines += ["", "![loss and accuracy by epoch](curves.png)"]
    if "augmented.png" in files:
        ending = "_probability"
        changes = [
            f"{name.removesuffix(ending).replace('_', ' ')} ({share:.0%})"
            for name, share in manifest["settings"]["augment"].items()
            if name.endswith(ending) and share and (LANDMARKS in manifest["inputs"] or not name.startswith("landmark"))
        ]
        lines += [
            "",
            f"Training pictures were changed at random (in brackets: the share of them): {', '.join(changes)}. The "
            "amounts are in `bundle.json` under `augment`.",
            "",
            "![training pictures, as they are and changed](augmented.png)",
        ]
    return lines


def _how_to_use(manifest: Manifest) -> list[str]:
    height, width, channels = manifest["shape"]
    lines = [
        "",
        "## How to use it",
        "",
        "```python",
        "import aslspark",
        "",
        f'scored = aslspark.load_model("{{this folder}}").transform(df)  # df.picture: {height}x{width} bytes',
        "```",
        "",
    ]
    if manifest["kind"] == "network":
        inputs = {
            PICTURE: f"`picture`, uint8 (n, {height}, {width}, {channels}), unscaled",
            LANDMARKS: f"`landmarks`, float32 (n, {FEATURES}), as `aslspark.features.landmarks` makes them",
        }
        lines += [
            f"Elsewhere: `network.onnx` takes {', and '.join(inputs[name] for name in manifest['inputs'])}, "
            "and gives `probability`, float32 (n, classes), in the order of `labels` in `bundle.json`, before "
            "the temperature.",
            "",
        ]
    return lines


def _how_it_was_made(manifest: Manifest, model: SignClassifierModel, files: set[str]) -> list[str]:
    seconds = _seconds(manifest["seconds"])
    if model.fitted is not None and model.fitted.phases:
        seconds += f" (of the fit, by the first process's clock: {_seconds(model.fitted.phases)})"
    lines = [
        "## How it was made",
        "",
        f"Sources: {', '.join(map(text, manifest['data']['sources']))}. "
        f"Fingerprint of the samples: {code(manifest['data']['fingerprint'])}.",
        f"Time: {seconds}. Settings and versions are in `bundle.json`; `SHA256SUMS` is checked at loading.",
        "",
    ]
    if "profile" in files:
        lines += ["A trace of some steps of the training is in `profile/`.", ""]
    return lines


def _seconds(phases: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.0f} s" for name, value in phases.items())
