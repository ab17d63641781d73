"""The reference profile of a bundle: its model's samples, measured, and its answers to those that were held out.

In: a model and its samples. Out: `reference.json`, with a summary for people and the bins of some thousand rows, from
which a monitor draws batches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.bundle.files import read_bundle
from aslspark.common.errors import AslsparkError
from aslspark.common.redacted_files import write_json
from aslspark.data.files.natural_order import natural_key
from aslspark.data.samples import TEST, TRAIN, VALIDATION
from aslspark.monitoring.measures import ANSWER, CONFIDENCE, FLAGS, MEASURES, score_and_measure
from aslspark.scoring.model import SignClassifierModel

REFERENCE = "reference.json"
FORMAT = 1
MOST_ROWS = 1500
"""Rows of each split that are kept, chosen by a hash of their id."""
BINS = 32
"""Bins of each measure; their edges are quantiles of the reference."""
PIECES = {TRAIN: 6, VALIDATION: 3, TEST: 3}
"""Runs of neighbours into which the rows of a split are cut, within each source and label; see `Profile.parts`."""
NONE = -1
"""The bin of a row that lacks the measure."""

_KEPT = ("id", "split", "source", "label", "signer")

Ints = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Profile:
    """The content of `reference.json`.

    Parameters
    ----------
    edges : mapping of str to ndarray
        Inner edges of each measure's bins; a value on an edge belongs to the bin above it.
    answers : tuple of str
        The model's labels.
    parts : tuple of str
        Groups of rows: the signers, where whole signers were held out; else pieces of the splits, each a run of
        neighbours of every source and label. The differences between parts are what is usual in this data.
    held_out : tuple of str
        The parts that were not trained on.
    part_of : ndarray of int, shape (rows,)
        The place in `parts` of each row.
    bins : mapping of str to ndarray of int, shape (rows,)
        Measure, `ANSWER` or flag to the bin of every row, or `NONE`. Training rows have no answers.
    summary : dict
        For people; split to `rows`, quantiles of the measures, shares of answers and flags.
    """

    edges: Mapping[str, npt.NDArray[np.float64]]
    answers: tuple[str, ...]
    parts: tuple[str, ...]
    held_out: tuple[str, ...]
    part_of: Ints
    bins: Mapping[str, Ints]
    summary: dict[str, Any]

    def sizes(self) -> dict[str, int]:
        """Return the number of bins of each measure, of `ANSWER` and of each flag."""
        measures = {name: len(edges) + 1 for name, edges in self.edges.items()}
        return {**measures, **({ANSWER: len(self.answers)} if self.answers else {}), **dict.fromkeys(FLAGS, 2)}

    def bins_of(self, rows: pd.DataFrame) -> dict[str, Ints]:
        """Return the bins of measured rows.

        Parameters
        ----------
        rows : DataFrame
            With some of the columns of `measures.score_and_measure`.

        Returns
        -------
        dict of str to ndarray of int, shape (rows,)
        """
        return _bins_of(rows, self.edges, self.answers)


def write_reference(model: SignClassifierModel, samples: DataFrame, folder: Path) -> None:
    """Measure a model's samples and write `reference.json`.

    Parameters
    ----------
    samples : DataFrame
        With the columns of `samples.SAMPLE_SCHEMA`, and perhaps `hand`, from the sources that the model was made from
        and no others, since a monitor takes them as what is usual. Spark counts them, and reads the chosen ones once.
    folder : Path
        The bundle, before it is sealed.
    """
    share = F.pmod(F.xxhash64("id", F.lit("reference")), F.lit(1_000_000)) / 1_000_000
    rows = {row["split"]: row["count"] for row in samples.groupBy("split").count().collect()}
    is_chosen = F.lit(False)
    for split, count in rows.items():
        is_chosen = is_chosen | ((F.col("split") == split) & (share < min(1.0, MOST_ROWS / max(count, 1))))
    # The samples bring their hands, so that `picture` is a crop already.
    measured = score_and_measure(model, samples.where(is_chosen), *(F.col(name) for name in _KEPT)).toPandas()
    profile = make_profile(measured, model.labels)
    write_json(folder / REFERENCE, _as_json(profile), indent=None)


def make_profile(rows: pd.DataFrame, labels: tuple[str, ...]) -> Profile:
    """Make a profile of measured rows.

    Parameters
    ----------
    rows : DataFrame
        See `measures.score_and_measure`; with `id`, `split`, `source`, `label` and `signer`.
    labels : tuple of str
    """
    # The ids of a film's frames hold their numbers: in this order, neighbours look alike.
    ids = rows["id"].tolist()
    in_order = sorted(range(len(ids)), key=lambda place: (natural_key(ids[place]), ids[place]))
    rows = rows.iloc[in_order].reset_index(drop=True)
    is_train = (rows["split"] == TRAIN).to_numpy()
    of_answers = [CONFIDENCE, ANSWER, *FLAGS]
    edges = {}
    for name in (name for name in MEASURES if name in rows):
        values = rows[name].to_numpy(np.float64, na_value=np.nan)
        values = values[~np.isnan(values) & ~(is_train & (name in of_answers))]
        if len(values):
            edges[name] = np.unique(np.quantile(values, np.arange(1, BINS) / BINS).round(7))
    bins = _bins_of(rows, edges, labels)
    for name in of_answers:
        if name in bins:
            bins[name] = np.where(is_train, NONE, bins[name])
    names = _parts(rows, is_train)
    parts, part_of = np.unique(names, return_inverse=True)
    held_out = np.unique(names[~is_train])
    return Profile(edges, labels, tuple(parts.tolist()), tuple(held_out.tolist()), part_of, bins, _summary(rows))


def _parts(rows: pd.DataFrame, is_train: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    """Name the part of each row; see `Profile.parts`."""
    signers = rows["signer"]
    if signers.notna().all() and not set(signers[is_train]) & set(signers[~is_train]):
        return signers.to_numpy(str)
    runs = rows.groupby(["split", "source", "label"])
    place = runs.cumcount() / runs["id"].transform("size")
    piece = np.floor(place * rows["split"].map(PIECES)).astype(int) + 1
    return (rows["split"] + " " + piece.astype(str)).to_numpy(str)


def read_reference(path: str) -> Profile:
    """Read the profile of a bundle, and check the bundle.

    Raises
    ------
    AslsparkError
        Where it has none, since an earlier version made it, or where the file is damaged.
    """
    bundle = read_bundle(path, keep=[REFERENCE])
    version = bundle.manifest.get("versions", {}).get("aslspark", "an unknown version")
    if REFERENCE not in bundle.files:
        raise AslsparkError(
            f"--model {path}: it carries no {REFERENCE} to compare with (made by aslspark {version}); "
            "train it again to watch it"
        )
    try:
        return _from_json(json.loads(bundle.files[REFERENCE]), path)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise AslsparkError(
            f"--model {path}: {REFERENCE} is not what aslspark writes; copy the bundle again"
        ) from error


def _from_json(tree: dict[str, Any], path: str) -> Profile:
    if tree["format"] != FORMAT:
        raise AslsparkError(f"--model {path}: {REFERENCE} is of format {tree['format']}; this aslspark reads {FORMAT}")
    return Profile(
        {name: np.array(edges) for name, edges in tree["edges"].items()},
        tuple(tree["answers"]),
        tuple(tree["parts"]),
        tuple(tree["held_out"]),
        np.array(tree["part_of"], np.int64),
        {name: np.array(bins, np.int64) for name, bins in tree["bins"].items()},
        tree["summary"],
    )


def _as_json(profile: Profile) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "summary": profile.summary,
        "answers": list(profile.answers),
        "edges": {name: edges.tolist() for name, edges in profile.edges.items()},
        "parts": list(profile.parts),
        "held_out": list(profile.held_out),
        "part_of": profile.part_of.tolist(),
        "bins": {name: bins.tolist() for name, bins in profile.bins.items()},
    }


def _bins_of(
    rows: pd.DataFrame, edges: Mapping[str, npt.NDArray[np.float64]], answers: tuple[str, ...]
) -> dict[str, Ints]:
    bins: dict[str, Ints] = {}
    for name in (name for name in edges if name in rows):
        values = rows[name].to_numpy(np.float64, na_value=np.nan)
        bins[name] = np.where(np.isnan(values), NONE, np.searchsorted(edges[name], values, side="right"))
    if ANSWER in rows:
        places = rows[ANSWER].map({answer: n for n, answer in enumerate(answers)})
        bins[ANSWER] = places.fillna(NONE).to_numpy(np.int64)
    for name in (name for name in FLAGS if name in rows):
        bins[name] = rows[name].fillna(False).to_numpy(bool).astype(np.int64)
    return bins


def _summary(rows: pd.DataFrame) -> dict[str, Any]:
    def of(part: pd.DataFrame) -> dict[str, Any]:
        quantiles = {}
        for name in (name for name in MEASURES if name in part):
            values = part[name].to_numpy(np.float64, na_value=np.nan)
            values = values[~np.isnan(values)]
            if len(values):
                levels = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
                quantiles[name] = [round(float(level), 4) for level in levels]
        shares = part[ANSWER].value_counts(normalize=True).sort_index()
        return {
            "rows": len(part),
            "quantiles_5_25_50_75_95": quantiles,
            "answers": {str(name): round(float(share), 4) for name, share in shares.items()},
            "flags": {name: round(float(part[name].fillna(False).astype(bool).mean()), 4) for name in FLAGS},
        }

    return {str(split): of(part) for split, part in rows.groupby("split")}
