"""The result of a comparison -> `report.html` with its plots."""

from __future__ import annotations

from pathlib import Path

from aslspark.common.report_page import write_page
from aslspark.evaluation.comparison_json import Comparison
from aslspark.evaluation.comparison_plots import plot_cost, plot_scores
from aslspark.evaluation.paired_comparison import chance

COLUMNS = {
    "parameters": "parameters",
    "file_bytes": "file",
    "multiply_adds": "multiply-adds a picture",
    "ms_a_picture": "time for a picture, one at a time",
    "pictures_a_second": "pictures a second, 64 at a time",
    "fit_seconds": "training",
}


def write_comparison_page(result: Comparison, folder: Path) -> None:
    """Write the page, and the plots `scores.png` and, where two or more were timed, `cost.png`.

    Parameters
    ----------
    folder : Path
        Where the sheets lie.
    """
    bundles, names = result["bundles"], [labelled["name"] for labelled in result["sets"]]
    plot_scores(bundles, names, folder / "scores.png")
    if sum(bundle["ms_a_picture"] is not None for bundle in bundles) > 1:
        plot_cost(bundles, names, folder / "cost.png")
    judged = [(bundle, name, of_set) for bundle in bundles for name, of_set in bundle["sets"].items()]
    write_page(
        folder,
        "compare.html",
        warnings=[
            *(
                f"{bundle['name']} on {name}: {of_set['warning']}."
                for bundle, name, of_set in judged
                if of_set["warning"]
            ),
            *(f"{bundle['name']}, {words}." for bundle in bundles for words in bundle["watch"]),
        ],
        made={
            "bundles": ", ".join(f"{bundle['name']}: {bundle['path']}" for bundle in bundles),
            "data": ", ".join(f"{labelled['name']}: {', '.join(labelled['paths'])}" for labelled in result["sets"]),
        },
        columns=COLUMNS,
        chance=chance,
        score_columns=[f"{name}: {figure}" for name in names for figure in ("right", "macro F1")],
        splits=[
            (bundle["name"], name, split, part)
            for bundle, name, of_set in judged
            for split, part in of_set["splits"].items()
        ],
        **result,
    )
