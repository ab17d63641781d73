"""Metrics and plots of one model -> `report.html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aslspark.common.report_page import write_page
from aslspark.evaluation.groups import NAMES
from aslspark.evaluation.metrics_json import Metrics
from aslspark.evaluation.unlike_splits import unlike_splits_warning


def write_model_page(
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
    name : str
        Of the model, for the title.
    warnings : sequence of str
        What stands out, beside what the metrics themselves show.
    made : mapping of str to str
        How it was made, such as ``{"data": "letters.csv"}``.
    settings : mapping
        By section and name.
    """
    unlike = unlike_splits_warning(metrics)
    judged = metrics["certainty"]["splits"].get(metrics["judged_on"][0])
    write_page(
        folder,
        "model.html",
        warnings=[f"{warning}." for warning in (*([unlike] if unlike else ()), *warnings)],
        made=made,
        settings=settings,
        name=name,
        metrics=metrics,
        error=judged["calibration_error"] if judged else None,
        kinds=NAMES,
    )
