"""Answers of several bundles to the same labelled sets -> their accuracies, where they disagree, which is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations
from operator import or_
from pathlib import Path

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from aslspark.bundle.manifest import Manifest
from aslspark.common.errors import AslsparkError
from aslspark.data.samples import SPLITS, TEST, pictures_of
from aslspark.evaluation.comparison_json import BundleRow, Pair, SetAccuracy, SetRow, SplitAccuracy
from aslspark.evaluation.comparison_plots import plot_disagreements
from aslspark.evaluation.learned_sources import learned_fingerprint, learned_sources_warning
from aslspark.evaluation.metrics import classification_metrics, count_answers
from aslspark.evaluation.metrics_json import ClassificationMetrics
from aslspark.evaluation.paired_comparison import chance, mcnemar
from aslspark.images.decoding import pixels_of
from aslspark.scoring.model import SignClassifierModel

MOST_EXAMPLES = 40
"""How many of the rows on which bundles disagree are drawn."""
NOISE = 0.05
"""From this p of McNemar's test on, a difference is called noise."""


@dataclass
class Candidate:
    """A bundle among those that are compared."""

    name: str
    path: str
    folder: str
    """Of the bundle, which in a saved stage is within `path`."""
    manifest: Manifest
    model: SignClassifierModel
    row: BundleRow
    doubtful: list[str] = field(default_factory=list)
    """Sets whose rows it may have learned from, those that it is judged on among them."""

    @property
    def learned_from(self) -> str | None:
        """The fingerprint of the samples that it was trained on; None where it does not say, as of an estimator."""
        return learned_fingerprint(self.manifest)


@dataclass(frozen=True)
class SetSamples:
    """A set as one bundle reads it."""

    folder: str
    """Where it lies ingested."""
    samples: DataFrame
    trained_on_it: bool
    """Whether the bundle learned from these samples; then they have its split."""
    test_alone: bool
    """Whether it may have learned from all but the test split."""


@dataclass
class LabelledSet:
    """Labelled data under a name."""

    name: str
    paths: Sequence[str]
    folders: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Split and picture settings -> the folder ingested with them, and its fingerprint."""


def common_rows(read: Sequence[SetSamples]) -> tuple[DataFrame, str]:
    """Find the rows of a set that none of some bundles can have learned from.

    Parameters
    ----------
    read : sequence of SetSamples
        The set, as each of the bundles reads it.

    Returns
    -------
    DataFrame
        With `id`.
    str
        What they are, in words.
    """
    test_alone = {own.folder for own in read if own.test_alone}
    of_folders = {
        own.folder: own.samples.where((F.col("split") == TEST) | F.lit(own.folder not in test_alone)).select("id")
        for own in read
    }
    rows = reduce(lambda some, more: some.join(more, "id", "left_semi"), of_folders.values())
    if not test_alone:
        return rows, "all rows"
    return rows, "the test split" if len(of_folders) == 1 else "rows that none learned from"


def set_accuracy(
    candidate: Candidate,
    own: SetSamples,
    labelled: LabelledSet,
    scored: DataFrame,
    judged: DataFrame,
    judged_on: str,
) -> SetAccuracy:
    """Compute how well a bundle reads a set, with a warning where it may have learned from it."""
    counts = count_answers(judged)
    if counts.empty:
        raise AslsparkError(
            f"{labelled.name}: there is no test split to judge {candidate.path} on, which was trained on the rest or "
            "does not say what it was trained on; ingest it with a test split, or name other data"
        )
    labels = candidate.model.labels
    metrics = classification_metrics(counts, labels)
    result: SetAccuracy = {
        "judged_on": judged_on,
        **_accuracy(metrics),
        "top3_accuracy": metrics["top3_accuracy"],
        "unscored": metrics["unscored"],
        "splits": {},
        "warning": None,
    }
    if own.trained_on_it:
        parts = dict(list(count_answers(scored).groupby("split")))
        result["splits"] = {
            split: _accuracy(classification_metrics(parts[split], labels)) for split in SPLITS if split in parts
        }
    elif warning := learned_sources_warning(candidate.manifest, counts["source"]):
        result["warning"] = warning
        candidate.doubtful.append(labelled.name)
    elif candidate.learned_from is None:
        unknown = "it does not say what it was trained on"
        if own.test_alone:
            result["warning"] = f"{unknown}: the figure holds where this test split was no part of it"
        else:
            result["warning"] = f"{unknown}: may have seen these rows"
            candidate.doubtful.append(labelled.name)
    return result


def _accuracy(metrics: ClassificationMetrics) -> SplitAccuracy:
    return {"rows": metrics["rows"], "accuracy": metrics["accuracy"], "macro_f1": metrics["macro"]["f1"]}


def count_differences(
    candidates: Sequence[Candidate],
    labelled: LabelledSet,
    answers: Sequence[DataFrame],
    samples: DataFrame,
    folder: Path,
    number: int,
) -> SetRow:
    """Count how often bundles agree on the rows that all are judged on, and draw some on which they do not."""
    letters = [F.col(f"letter_{n}") for n in range(len(answers))]
    renamed = (frame.withColumnRenamed("letter", f"letter_{n}") for n, frame in enumerate(answers))
    joined = reduce(lambda some, more: some.join(more.drop("label"), "id"), renamed)
    differ = reduce(or_, (letter != letters[0] for letter in letters), F.lit(False))
    right = [letter == F.col("label") for letter in letters]
    counted = {"rows": F.lit(True), "differ": differ}
    for a, b in combinations(range(len(answers)), 2):
        counted[f"same_{a}_{b}"] = letters[a] == letters[b]
        counted[f"only_{a}_{b}"], counted[f"only_{b}_{a}"] = right[a] & ~right[b], right[b] & ~right[a]
    totals = joined.agg(*(F.count_if(those).alias(name) for name, those in counted.items())).collect()[0]
    rows, differing, names = totals["rows"], totals["differ"], [candidate.name for candidate in candidates]
    # Ordered by a hash, for a sample that nobody chose.
    examples = joined.where(differ).orderBy(F.xxhash64("id"), "id").limit(MOST_EXAMPLES).collect()
    sheet = f"disagreements-{number}.png" if examples else None
    if sheet:
        pictures = pictures_of(samples, [row["id"] for row in examples])
        drawn = [
            (pixels_of(pictures[row["id"]]), row["label"], [row[f"letter_{n}"] for n in range(len(names))])
            for row in examples
        ]
        plot_disagreements(drawn, names, differing, rows, folder / sheet)
    return {
        "name": labelled.name,
        "paths": list(labelled.paths),
        "rows": rows,
        "differ": differing,
        "pairs": [_pair(names, totals, a, b) for a, b in combinations(range(len(names)), 2)] if rows else [],
        "sheet": sheet,
    }


def _pair(names: Sequence[str], totals: Row, a: int, b: int) -> Pair:
    only_first, only_second = totals[f"only_{a}_{b}"], totals[f"only_{b}_{a}"]
    return {
        "first": names[a],
        "second": names[b],
        "same": totals[f"same_{a}_{b}"],
        "only_first": only_first,
        "only_second": only_second,
        "p": mcnemar(only_first, only_second),
    }


def finding_of(candidates: Sequence[Candidate], labelled: SetRow) -> tuple[Candidate | None, str]:
    """Say which bundle reads most of a set, and whether beyond noise; None where that cannot be said."""
    name = labelled["name"]
    if not labelled["rows"]:
        return None, f"no row of {name} is judged for all of them, so none is called best"
    known = [candidate for candidate in candidates if name not in candidate.doubtful]
    if not known:
        return None, f"each may have learned from rows of {name}, so none is called best"
    best = max(known, key=lambda candidate: candidate.row["sets"][name]["accuracy"])
    finding = f"{best.name} is best on {name}, {best.row['sets'][name]['accuracy']:.2%} right"
    others = {candidate.name for candidate in known} - {best.name}
    closest = max(
        (pair for pair in labelled["pairs"] if best.name in (two := {pair["first"], pair["second"]}) and two & others),
        key=lambda pair: pair["p"],
        default=None,
    )
    if closest is None:
        return best, finding
    other = closest["second"] if closest["first"] == best.name else closest["first"]
    doubt = "" if closest["p"] < NOISE else ", which may be chance"
    return best, f"{finding}{doubt} (against {other}: p {chance(closest['p'])})"
