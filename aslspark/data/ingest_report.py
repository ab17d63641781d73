"""Counts of an ingest -> its report: rows by split and label, the reasons of the quarantine, warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aslspark.common.counted import counted
from aslspark.common.redacted_files import redacted_json
from aslspark.common.redaction import redact
from aslspark.data.samples import SPLITS, TRAIN
from aslspark.images.hands.options import HandFitting
from aslspark.images.image_spec import Fitting


@dataclass(frozen=True)
class Reason:
    """A reason of the quarantine: its rows, and the first of them; `examples` are the first of each source."""

    reason: str
    rows: int
    first: str
    examples: list[str]


@dataclass(frozen=True)
class HandsFound:
    """Counts of the hand stage for a source."""

    pictures: int
    found: dict[str, int]
    """Pictures by the search step that found their hand, in the order of the steps."""

    @property
    def not_found(self) -> int:
        """Pictures without a hand."""
        return self.pictures - sum(self.found.values())

    def __str__(self) -> str:
        steps = ", ".join(f"{name} {count:,}" for name, count in self.found.items()) or "none"
        share = 1 - self.not_found / max(self.pictures, 1)
        return f"{share:.1%} of {self.pictures:,} ({steps}), not found {self.not_found:,}"


@dataclass(frozen=True, repr=False)
class IngestReport:
    """Counts and settings of one ingest; `str()` is its text for people, `to_json()` is ingest.json."""

    out: str
    """The folder that was written."""
    read: int
    kept: int
    quarantined: int
    """Rows; `read` is counted without parsing, and equals kept + quarantined."""
    labels: dict[str, dict[str, int]]
    """For each letter, the rows in each split."""
    reasons: list[Reason]
    """Of the quarantine, most rows first."""
    sources: dict[str, dict[str, int]]
    """For each source, the rows in each split and in quarantine."""
    splits: dict[str, int]
    split: str
    """A description of how the split was made."""
    seed: int
    seconds: float
    """Of the whole ingest."""
    warnings: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    """Lines about files that are neither pixel tables nor pictures, and about folders that are no labels."""
    test_sources: list[str] = field(default_factory=list)
    """Sources that are test as a whole, or assign test rows themselves. If there are any, all test rows come from them,
    and training never uses them; otherwise the test rows are a fraction of the sources."""
    pictures: Fitting | None = None
    """Fit and mask of pictures in files; see `aslspark.images.image_spec.ImageSpec.preprocessing`."""
    near_duplicates: dict[str, Any] | None = None
    """Of pictures in files: see `aslspark.data.pictures.near_duplicates.NearDuplicates`."""
    exact_duplicates: dict[str, Any] | None = None
    """Pictures that are in several splits; see `aslspark.data.exact_duplicates.ExactDuplicates`. None where all rows
    are in one split."""
    hands: HandFitting | None = None
    """Options of the hand stage; see `aslspark.images.hands.options.HandOptions`."""
    hands_found: dict[str, HandsFound] | None = None
    """Counts of the hand stage, by source of picture files."""
    pictures_per_second: float | None = None
    """Pictures in files that were read, cropped and written, per second."""

    @property
    def rows_per_second(self) -> float:
        """Rows per second of the whole ingest."""
        return self.read / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """Return what `ingest.json` holds."""
        return asdict(self) | {"rows_per_second": round(self.rows_per_second, 1)}

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return redacted_json(self.as_dict(), indent=2) + "\n"

    def __repr__(self) -> str:
        splits = ", ".join(f"{rows:,} {split}" for split, rows in self.splits.items())
        counts = f"{counted(self.kept, 'sample')} ({splits}), {self.quarantined:,} in quarantine"
        return redact(f"<IngestReport {self.out}: {counts}>")

    def __str__(self) -> str:
        lines = [
            f"read {counted(self.read, 'row')}: kept {self.kept}, quarantined {self.quarantined} "
            f"({self.seconds:.1f} s, {self.rows_per_second:,.0f} rows/s)",
            self.split,
            "label  " + "".join(f"{name:>12}" for name in SPLITS),
        ]
        for letter, counts in self.labels.items():
            lines.append(f"{letter:<7}" + "".join(f"{counts.get(name, 0):>12}" for name in SPLITS))
        lines.append("all    " + "".join(f"{self.splits.get(name, 0):>12}" for name in SPLITS))
        lines += [f"hands in {source}: {found}" for source, found in (self.hands_found or {}).items()]
        if self.hands_found and self.pictures_per_second is not None:
            lines.append(f"hands were looked for in {self.pictures_per_second:,.1f} pictures/s")
        lines += [f"quarantined, {reason.reason}: {reason.rows}, first {reason.first}" for reason in self.reasons]
        lines += [f"passed over: {path}" for path in self.passed_over]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return redact("\n".join(lines))


def missing_labels(labels: Mapping[str, Mapping[str, int]], splits: Mapping[str, int]) -> list[str]:
    """Return warnings about labels that are in train and not in another split, or the other way round.

    Parameters
    ----------
    labels : mapping of str to mapping of str to int
        For each letter, the rows in each split.
    splits : mapping of str to int
        Rows of each split that was asked for.
    """
    warnings: list[str] = []
    labels_of = {split: Counter({letter: n[split] for letter, n in labels.items() if n.get(split)}) for split in SPLITS}
    if not labels_of[TRAIN]:  # all rows are there to be judged on
        return warnings
    for split in SPLITS:
        if split == TRAIN or split not in splits:
            continue
        for one, other in ((TRAIN, split), (split, TRAIN)):
            if missing := sorted(labels_of[one].keys() - labels_of[other].keys()):
                warnings.append(f"{other} has no row of {', '.join(missing)}, which {one} has")
    return warnings
