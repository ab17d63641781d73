"""The result of a comparison -> one HTML page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aslspark.common.redacted_files import write_text
from aslspark.evaluation import html
from aslspark.evaluation.comparison_plots import plot_cost, plot_scores

FIGURES = ("right", "macro F1")
COLUMNS = {
    "parameters": "parameters",
    "file_bytes": "file",
    "multiply_adds": "multiply-adds a picture",
    "ms_a_picture": "ms a picture, one at a time",
    "pictures_a_second": "pictures a second, 64 at a time",
    "fit_seconds": "training",
}


def write_page(result: Mapping[str, Any], folder: Path, page: Path) -> None:
    """Write the page, and the plots `scores.png` and, where anything was timed, `cost.png`.

    Parameters
    ----------
    result : mapping
        See `aslspark.workflows.compare.compare_bundles`.
    folder : Path
        Where the sheets lie.
    page : Path
    """
    bundles = result["bundles"]
    parts = [
        *_scores_section(result, folder),
        *_cost_section(result, folder),
        *_by_split(result),
    ]
    for labelled in result["sets"]:
        if len(bundles) > 1:
            parts += _disagreement(labelled, folder)
    for bundle in bundles:
        if bundle["grad_cam"]:
            parts += [
                html.heading(f"Where {bundle['name']} looks, on {result['sets'][0]['name']}"),
                html.picture(folder / bundle["grad_cam"], "pictures and their heat maps"),
            ]
    write_text(page, html.page(f"{len(bundles)} bundles compared", parts))


def _scores_section(result: Mapping[str, Any], folder: Path) -> list[str]:
    bundles, sets = result["bundles"], [labelled["name"] for labelled in result["sets"]]
    plot_scores(bundles, sets, folder / "scores.png")
    warnings = [
        html.warning(f"{bundle['name']} on {name}: {judged['warning']}.")
        for bundle in bundles
        for name, judged in bundle["sets"].items()
        if judged["warning"]
    ]
    return [
        html.heading("How good"),
        html.table(
            ["bundle", "model", *(f"{name}: {figure}" for name in sets for figure in FIGURES)],
            [
                [bundle["name"], _model(bundle), *(cell for name in sets for cell in _scores(bundle["sets"][name]))]
                for bundle in bundles
            ],
        ),
        html.paragraph(
            "A bundle that was trained on a set is judged on the test split that it was trained with; any other on all "
            "rows of the set. The table says which: figures on different rows do not compare directly."
        ),
        *warnings,
        html.picture(folder / "scores.png", "accuracy of each bundle on each set"),
    ]


def _cost_section(result: Mapping[str, Any], folder: Path) -> list[str]:
    bundles, machine = result["bundles"], result["machine"]
    parts = [
        html.heading("How large, how fast"),
        html.table(
            ["bundle", *COLUMNS.values()],
            [[bundle["name"], *(_cell(bundle, column) for column in COLUMNS)] for bundle in bundles],
        ),
        html.paragraph(
            "Multiply-adds are counted in convolutions and matrix products: a multiplication and its addition are one "
            "(FLOPs, each counted by itself, are twice as many). The file is network.onnx, or the pipeline of an MLlib "
            f"model. Speeds are medians through onnxruntime {machine['onnxruntime']} on the CPU with "
            f"{machine['threads']} thread{'' if machine['threads'] == 1 else 's'} ({machine['processor']}, "
            f"{machine['cores']} cores), scaling of the picture included. Training is the time that each bundle's own "
            "run took, on the machine it ran on."
        ),
    ]
    if any(bundle["ms_a_picture"] is not None for bundle in bundles):
        plot_cost(bundles, [labelled["name"] for labelled in result["sets"]], folder / "cost.png")
        parts.append(html.picture(folder / "cost.png", "accuracy against the time for one picture"))
    return parts


def _model(bundle: Mapping[str, Any]) -> str:
    height, width, channels = bundle["shape"]
    return f"{bundle['model']}\n{bundle['framework']}, {height}x{width}x{channels}"


def _scores(judged: Mapping[str, Any]) -> list[str]:
    unscored = f"\n{judged['unscored']:,} not read" if judged["unscored"] else ""
    return [
        f"{judged['accuracy']:.2%}\n{judged['rows']:,} pictures, {judged['judged_on']}{unscored}",
        f"{judged['macro_f1']:.4f}",
    ]


def _cell(bundle: Mapping[str, Any], column: str) -> str:
    value = bundle[column]
    if value is None:
        return f"-\n{bundle['why_empty'][column]}"
    if column == "file_bytes":
        return f"{value / 1e6:.2f} MB\n{bundle['file']}"
    if column == "multiply_adds":
        return _with_prefix(value)
    if column == "fit_seconds":
        return f"{value:.0f} s" + (f"\n{bundle['num_proc']} processes" if bundle["num_proc"] else "")
    if column == "ms_a_picture":
        return f"{value:.2f}"
    return f"{value:,.0f}"


def _with_prefix(number: int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.2f} {letter}"
    return str(number)


def _by_split(result: Mapping[str, Any]) -> list[str]:
    rows = [
        [bundle["name"], name, split, f"{part['rows']:,}", f"{part['accuracy']:.2%}", f"{part['macro_f1']:.4f}"]
        for bundle in result["bundles"]
        for name, judged in bundle["sets"].items()
        for split, part in judged["splits"].items()
    ]
    if not rows:
        return []
    note = "Sets that a bundle was trained on, by its own split; only the test split counts above."
    header = ["bundle", "set", "split", "pictures", "right", "macro F1"]
    return [html.heading("By split"), html.paragraph(note), html.table(header, rows)]


def _disagreement(labelled: Mapping[str, Any], folder: Path) -> list[str]:
    parts = [html.heading(f"Where they differ on {labelled['name']}")]
    if not labelled["rows"]:
        return [*parts, html.paragraph("No picture is judged for all of them.")]
    parts.append(
        html.paragraph(
            f"On {labelled['differ']:,} of the {labelled['rows']:,} pictures that all are judged on, at least two "
            "bundles read different letters."
        )
    )
    pairs = [[pair, f"{share:.2%}"] for pair, share in labelled["agreement"].items()]
    parts.append(html.table(["bundles", "read the same"], pairs))
    if labelled["sheet"]:
        parts.append(html.picture(folder / labelled["sheet"], "pictures that bundles read differently"))
    return parts
