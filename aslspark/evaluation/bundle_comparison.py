"""Answers of several bundles to the same labelled sets -> their accuracies, where they disagree, which is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations
from pathlib import Path

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from aslspark.bundle.manifest import Manifest
from aslspark.common.errors import AslsparkError
from aslspark.data.samples import SPLITS, TEST
from aslspark.evaluation.comparison_json import BundleRow, Pair, SetAccuracy, SetRow
from aslspark.evaluation.comparison_plots import plot_disagreements
from aslspark.evaluation.metrics import classification_metrics, count_answers
from aslspark.evaluation.paired_comparison import chance, mcnemar
from aslspark.evaluation.sample_pictures import pictures_of
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
    manifest: Manifest
    model: SignClassifierModel
    row: BundleRow
    doubtful: list[str] = field(default_factory=list)
    """Sets whose rows it may have learned from, those that it is judged on among them."""

    @property
    def learned_from(self) -> str | None:
        """The fingerprint of the samples that it was trained on; None where it does not say, as of an estimator."""
        return self.manifest.get("data", {}).get("fingerprint")


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
    metrics = classification_metrics(counts, candidate.model.labels)
    result: SetAccuracy = {
        "judged_on": judged_on,
        "rows": metrics["rows"],
        "accuracy": metrics["accuracy"],
        "macro_f1": metrics["macro"]["f1"],
        "top3_accuracy": metrics["top3_accuracy"],
        "unscored": metrics["unscored"],
        "splits": {},
        "warning": None,
    }
    if own.trained_on_it:
        of_all = count_answers(scored)
        for split in SPLITS:
            part = of_all[of_all["split"] == split]
            if not part.empty:
                of_split = classification_metrics(part, candidate.model.labels)
                result["splits"][split] = {
                    "rows": of_split["rows"],
                    "accuracy": of_split["accuracy"],
                    "macro_f1": of_split["macro"]["f1"],
                }
    elif both := sorted(set(counts["source"]) & set(candidate.manifest.get("data", {}).get("sources", []))):
        result["warning"] = f"trained on a source of the same name ({', '.join(both)}): may have seen these rows"
        candidate.doubtful.append(labelled.name)
    elif candidate.learned_from is None:
        unknown = "it does not say what it was trained on"
        if own.test_alone:
            result["warning"] = f"{unknown}: the figure holds where this test split was no part of it"
        else:
            result["warning"] = f"{unknown}: may have seen these rows"
            candidate.doubtful.append(labelled.name)
    return result


def count_differences(
    candidates: Sequence[Candidate],
    labelled: LabelledSet,
    answers: Sequence[DataFrame],
    samples: DataFrame,
    folder: Path,
    number: int,
) -> SetRow:
    """Count how often bundles agree on the rows that all are judged on, and draw some on which they do not."""
    joined = answers[0].withColumnRenamed("letter", "letter_0")
    for n, frame in enumerate(answers[1:], start=1):
        joined = joined.join(frame.select("id", F.col("letter").alias(f"letter_{n}")), "id")
    differ = F.lit(False)
    for n in range(1, len(answers)):
        differ = differ | (F.col(f"letter_{n}") != F.col("letter_0"))
    pairs = list(combinations(range(len(answers)), 2))
    right = [F.col(f"letter_{n}") == F.col("label") for n in range(len(answers))]
    counted = [(F.lit(True), "rows"), (differ, "differ")]
    for a, b in pairs:
        counted.append((F.col(f"letter_{a}") == F.col(f"letter_{b}"), f"same_{a}_{b}"))
        counted.append((right[a] & ~right[b], f"only_{a}_{b}"))
        counted.append((right[b] & ~right[a], f"only_{b}_{a}"))
    totals = joined.agg(*(F.count(F.when(those, True)).alias(name) for those, name in counted)).collect()[0]
    rows, differing = totals["rows"], totals["differ"]
    # Ordered by a hash, for a sample that nobody chose.
    examples = joined.where(differ).orderBy(F.xxhash64("id"), "id").limit(MOST_EXAMPLES).collect()
    sheet = f"disagreements-{number}.png" if examples else None
    if sheet:
        _draw(examples, [candidate.name for candidate in candidates], samples, differing, rows, folder / sheet)
    return {
        "name": labelled.name,
        "paths": list(labelled.paths),
        "rows": rows,
        "differ": differing,
        "pairs": [_pair(candidates, totals, a, b) for a, b in pairs] if rows else [],
        "sheet": sheet,
    }


def _pair(candidates: Sequence[Candidate], totals: Row, a: int, b: int) -> Pair:
    only_first, only_second = totals[f"only_{a}_{b}"], totals[f"only_{b}_{a}"]
    return {
        "first": candidates[a].name,
        "second": candidates[b].name,
        "same": totals[f"same_{a}_{b}"],
        "only_first": only_first,
        "only_second": only_second,
        "p": mcnemar(only_first, only_second),
    }


def _draw(
    examples: Sequence[Row], names: Sequence[str], samples: DataFrame, differing: int, rows: int, sheet: Path
) -> None:
    pictures = pictures_of(samples, [row["id"] for row in examples])
    drawn = [
        (pixels_of(pictures[row["id"]]), row["label"], [row[f"letter_{n}"] for n in range(len(names))])
        for row in examples
    ]
    plot_disagreements(drawn, names, differing, rows, sheet)


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
