"""What was written -> the report of an ingest: rows by split, label and source, each reason of the quarantine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pyspark.sql import Row

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.labels import LABELS
from aslspark.data.discover_sources import OpenedSources
from aslspark.data.ingest_report import IngestReport, Reason, missing_labels
from aslspark.data.samples import SPLITS, TEST, TRAIN, VALIDATION
from aslspark.data.splits import LEAK_WARNING, SplitOptions, describe
from aslspark.data.tables.labelled_tables import CHANGED, QUARANTINE
from aslspark.data.tables.pixel_layout import UNKNOWN_LABEL
from aslspark.data.write_samples import Written

MOST_EXAMPLES = 10
"""Rows of the quarantine that the report names for one reason."""


def counted_report(
    out: str,
    opened: OpenedSources,
    read: int,
    options: SplitOptions,
    written: Written,
    started: float,
    leave: Callable[[], str] | None = None,
) -> IngestReport:
    """Add up the counts, and refuse an ingest that lost rows, or kept none: then `leave` keeps the quarantine."""
    reasons = _reasons(written.quarantined)
    kept_rows = sum(row["rows"] for row in written.kept)
    quarantined_rows = sum(reason.rows for reason in reasons)
    _require_all_rows(opened, read, kept_rows, reasons, leave)
    given = {split: opened.giving(split) for split in (VALIDATION, TEST)}
    labels, sources, splits = _counts(opened, options, written)
    warnings = [*opened.remarks, *missing_labels(labels, splits)]
    if options.kind == "random":
        warnings.insert(0, LEAK_WARNING)
    for duplicates in (written.near, written.duplicates):
        warnings += duplicates.warnings() if duplicates is not None else []
    warnings += [f"{name} has a header and no rows" for name in opened.pixel_names if name not in sources]
    test_sources = sorted([*opened.test, *given[TEST]])
    return IngestReport(
        out=out,
        read=read,
        kept=kept_rows,
        quarantined=quarantined_rows,
        labels=dict(sorted(labels.items())),
        reasons=reasons,
        sources=sources,
        splits=splits,
        split=describe(options, test_sources, given[VALIDATION], opened.named()),
        seed=options.seed,
        seconds=time.monotonic() - started,
        warnings=warnings,
        passed_over=opened.passed_over,
        test_sources=test_sources,
        near_duplicates=written.near.as_dict() if written.near is not None else None,
        exact_duplicates=written.duplicates.as_dict() if written.duplicates is not None else None,
    )


def _require_all_rows(
    opened: OpenedSources, read: int, kept: int, reasons: Sequence[Reason], leave: Callable[[], str] | None
) -> None:
    quarantined = sum(reason.rows for reason in reasons)
    if read != kept + quarantined:
        raise AslsparkError(
            f"read {counted(read, 'row')}, but kept {kept} and quarantined {quarantined}: a source {CHANGED}, "
            "or gives other rows each time it is evaluated; ingest it when it is complete"
        )
    names = ", ".join(opened.names[:3])
    if read == 0:
        raise AslsparkError(f"{names}: a header and no rows; name a source with rows")
    if kept == 0:
        why = "; ".join(f"{reason.rows} {reason.reason}, first {reason.first}" for reason in reasons)
        remedy = "name a table of 28x28 pixels, or pictures"
        if {reason.reason for reason in reasons} == {UNKNOWN_LABEL}:
            remedy = (
                f"labels of pictures are {LABELS[0]} to {LABELS[25]}, {', '.join(LABELS[26:])}; name others so first"
            )
        kept_at = f"; {leave()} is a Parquet table of all rows, each with its reason" if leave else ""
        raise AslsparkError(f"{names}: none of {counted(read, 'row')} can be used ({why}); {remedy}{kept_at}")


def _counts(
    opened: OpenedSources, options: SplitOptions, written: Written
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]], dict[str, int]]:
    """Count rows by label and split, by source and split (or quarantine), and by split that was asked for."""
    labels: dict[str, dict[str, int]] = {}
    sources: dict[str, dict[str, int]] = {}
    asked_for = {
        TRAIN: 1.0,
        VALIDATION: options.validation or len(opened.giving(VALIDATION)),
        TEST: options.test or len(opened.test) + len(opened.giving(TEST)),
    }
    splits = {name: 0 for name in SPLITS if asked_for[name] > 0}
    for row in sorted(written.kept):
        of_label, of_source = labels.setdefault(row["label"], {}), sources.setdefault(row["source"], {})
        for counts in (of_label, of_source, splits):
            counts[row["split"]] = counts.get(row["split"], 0) + row["rows"]
    for row in written.quarantined:
        counts = sources.setdefault(row["source"], {})
        counts[QUARANTINE] = counts.get(QUARANTINE, 0) + row["rows"]
    return labels, sources, splits


def _reasons(quarantined: Sequence[Row]) -> list[Reason]:
    rows = sorted(quarantined, key=lambda row: (row["reason"], row["source"]))
    found: dict[str, Reason] = {}
    for row in rows:
        examples = [
            f"{row['source']}: {detail}" if number is None else f"{row['source']} row {number}: {detail}"
            for number, detail in row["first"]
        ]
        so_far = found.get(row["reason"], Reason(row["reason"], 0, examples[0], []))
        of_all = [*so_far.examples, *examples][:MOST_EXAMPLES]
        found[row["reason"]] = replace(so_far, rows=so_far.rows + row["rows"], examples=of_all)
    return sorted(found.values(), key=lambda reason: -reason.rows)
