"""The report of an ingest -> `report.html`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aslspark.common.report_page import page
from aslspark.data.ingest_report import IngestReport
from aslspark.data.samples import SPLITS


def ingest_page(report: IngestReport, read: Callable[[str], bytes | None]) -> bytes:
    """Return the page; `read` gives a plot of the ingest's folder by its name, or None where there is none."""
    return page(
        "ingest.html",
        read,
        warnings=[f"{warning}." for warning in report.warnings],
        made={
            "data": ", ".join(report.sources),
            "seed of the split": f"{report.seed}",
            "speed": f"{report.rows_per_second:,.1f} rows/s",
            "pictures": _in_words(report.pictures),
            "hands": _in_words(report.hands),
        },
        report=report,
        splits=list(SPLITS),
    )


def _in_words(options: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (options or {}).items() if value is not None)
