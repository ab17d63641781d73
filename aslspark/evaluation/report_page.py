"""Metrics and plots of one model -> `report.html`, which needs nothing beside it."""

from __future__ import annotations

import datetime
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aslspark.common.package import VERSION
from aslspark.common.redacted_files import write_text
from aslspark.common.redaction import redact
from aslspark.common.settings import declarations
from aslspark.evaluation import html
from aslspark.evaluation.groups import NAMES
from aslspark.evaluation.metrics_json import Metrics
from aslspark.evaluation.unlike_splits import unlike_splits_warning

PAGE = "report.html"
_PLOTS = (
    ("curves.png", "Loss and accuracy by epoch"),
    ("confusion.png", "Which letter was read as which"),
    ("mistakes.png", "What was read wrongly"),
    ("confusable.png", "Letters that look alike"),
    ("calibration.png", "Whether the probabilities hold"),
    ("coverage.png", "What a threshold buys"),
    ("groups.png", "Who is read how well"),
    ("grad_cam.png", "Where the network looks"),
    ("augmented.png", "How training pictures were changed"),
)


def write_report(
    folder: Path,
    metrics: Metrics,
    *,
    name: str,
    warnings: Sequence[str] = (),
    made: Mapping[str, str],
    settings: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the page beside plots that are already in the folder.

    Parameters
    ----------
    folder : Path
    metrics : Metrics
    name : str
        Of the model, for the title.
    warnings : sequence of str
        What stands out, beside what the metrics themselves show.
    made : mapping of str to str
        How it was made, such as ``{"data": "letters.csv"}``; the command, the time and the version are added.
    settings : mapping
        By section and name, of which those that are not as by default are shown.
    """
    on = ", ".join(metrics["judged_on"])
    title = f"{name}: {metrics['accuracy']:.2%} of {metrics['rows']:,} {on} pictures right"
    unlike = unlike_splits_warning(metrics)
    parts = [
        *(html.warning(f"{warning}.") for warning in (*([unlike] if unlike else ()), *warnings)),
        html.figures(_figures(metrics)),
        *_splits(metrics),
        *_plots(folder),
        *_groups(metrics),
        *_letters(metrics),
        html.heading("How it was made"),
        html.command(redact(command_line())),
        html.facts({**_made(made), **_changed(settings)}),
    ]
    write_text(folder / PAGE, html.page(title, parts))


def command_line() -> str:
    """Return the command line of this process; of a notebook the program alone."""
    words = sys.argv or ["python"]
    program = words[0].split() if words[0].startswith("aslspark ") else [Path(words[0]).name]
    return shlex.join([*program, *words[1:]]) if program[0] != "ipykernel_launcher.py" else "a notebook"


def _figures(metrics: Metrics) -> dict[str, str]:
    judged = metrics["certainty"]["splits"].get(metrics["judged_on"][0])
    error = judged["calibration_error"] if judged else None
    return {
        "right": f"{metrics['accuracy']:.2%}",
        "among the best three": f"{metrics['top3_accuracy']:.2%}",
        "macro F1": f"{metrics['macro']['f1']:.4f}",
        "pictures": f"{metrics['rows']:,}",
        **({"not read": f"{metrics['unscored']:,}"} if metrics["unscored"] else {}),
        **({"probabilities off by": f"{error:.1%}"} if error is not None else {}),
    }


def _splits(metrics: Metrics) -> list[str]:
    rows = [
        [
            name,
            f"{part['rows']:,}",
            f"{part['accuracy']:.2%}",
            f"{part['top3_accuracy']:.2%}",
            f"{part['macro']['f1']:.4f}",
        ]
        for name, part in metrics["splits"].items()
    ]
    parts = [html.table(["split", "pictures", "right", "among the best three", "macro F1"], rows)]
    if len(metrics["by_source"]) > 1:
        sources = [
            [name, f"{part['rows']:,}", f"{part['accuracy']:.2%}"] for name, part in metrics["by_source"].items()
        ]
        parts.append(html.table(["source", "pictures", "right"], sources))
    return parts


def _plots(folder: Path) -> list[str]:
    parts = []
    for file, title in _PLOTS:
        if (folder / file).is_file():
            parts += [html.heading(title), html.picture(folder / file, title)]
    return parts


def _groups(metrics: Metrics) -> list[str]:
    rows = [
        [NAMES[kind], group["group"], f"{group['rows']:,}", f"{group['accuracy']:.2%}", _range(group)]
        for kind, groups in metrics["groups"].items()
        for group in groups
    ]
    header = ["kind", "group", "pictures", "right", "95 % range"]
    return [html.heading("Group by group"), html.table(header, rows)] if rows else []


def _range(group: Mapping[str, Any]) -> str:
    return f"{group['low']:.1%} to {group['high']:.1%}"


def _letters(metrics: Metrics) -> list[str]:
    rows = [
        [label, f"{scores['rows']:,}", f"{scores['precision']:.2%}", f"{scores['recall']:.2%}", f"{scores['f1']:.4f}"]
        for label, scores in metrics["per_class"].items()
    ]
    return [
        html.heading("Letter by letter"),
        html.table(["letter", "pictures", "precision", "recall", "F1"], rows),
    ]


def _made(made: Mapping[str, str]) -> dict[str, str]:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {**made, "written": f"{now}, by aslspark {VERSION}"}


def _changed(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the settings that are not as by default."""
    changed = {}
    for name, declared in declarations().items():
        section, key = name.split(".")
        value = settings.get(section, {}).get(key, declared.default)
        if value != declared.default:
            changed[name] = redact(f"{value}")
    return changed
