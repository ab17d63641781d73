"""Letters whose hands look alike, with the answers: known groups, and the pairs that a model confuses most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from aslspark.evaluation.metrics import UNSCORED
from aslspark.evaluation.plots import plot_confusable
from aslspark.images.decoding import pixels_of

KNOWN_GROUPS = (("M", "N", "S", "T"), ("U", "V", "R"), ("K", "P"))
"""Fists that differ by where the thumb is; two fingers side by side, apart or crossed; one hand held up or down."""
MOST_PAIRS = 3
PICTURES_A_LINE = 8


@dataclass(frozen=True)
class Confusable:
    """A group of letters that are taken for one another."""

    letters: tuple[str, ...]
    rows: int
    """Pictures of these letters."""
    mixed_up: int
    """Pictures that were read as another letter of the group."""

    def __str__(self) -> str:
        return f"{' '.join(self.letters)}: {self.mixed_up:,} of {self.rows:,} read as another of them"


def confusable_groups(counts: pd.DataFrame) -> list[Confusable]:
    """Choose the groups to draw: the known ones that the data has, then the pairs that were confused most.

    Parameters
    ----------
    counts : pandas.DataFrame
        See `metrics.count_answers`.
    """
    labels = set(counts["label"])
    known = [tuple(letter for letter in group if letter in labels) for group in KNOWN_GROUPS]
    groups = [group for group in known if len(group) > 1]
    wrong = counts[(counts["label"] != counts["letter"]) & (counts["letter"] != UNSCORED)]
    pairs: dict[tuple[str, ...], int] = {}
    for label, letter, rows in zip(wrong["label"], wrong["letter"], wrong["rows"], strict=True):
        pair = tuple(sorted((label, letter)))
        if not any(set(pair) <= set(group) for group in groups):
            pairs[pair] = pairs.get(pair, 0) + int(rows)
    groups += sorted(pairs, key=lambda pair: (-pairs[pair], pair))[:MOST_PAIRS]
    confusable = []
    for group in groups:
        of_group = counts[counts["label"].isin(group)]
        mixed_up = of_group["letter"].isin(group) & (of_group["letter"] != of_group["label"])
        rows, wrong_rows = int(of_group["rows"].sum()), int(of_group.loc[mixed_up, "rows"].sum())
        confusable.append(Confusable(group, rows, wrong_rows))
    return confusable


def choose_examples(groups: Sequence[Confusable], scored: DataFrame) -> list[list[Row]]:
    """Choose rows of each group to draw: those that were mixed up, the surest of each letter first, then others.

    They fill one line, or two where more than half a line was mixed up.

    Parameters
    ----------
    scored : DataFrame
        With `id`, `label`, `letter` and `probability`.

    Returns
    -------
    list of list of Row
        For each group `id`, `label`, `letter`, `probability`.
    """
    letters = sorted({letter for group in groups for letter in group.letters})
    surest = Window.partitionBy("label", "letter").orderBy(F.desc("probability"), "hash", "id")
    any_of_them = Window.partitionBy("label", "letter").orderBy("hash", "id")
    rows = (
        scored.where(F.col("label").isin(letters))
        .select("id", "label", "letter", "probability", F.xxhash64("id").alias("hash"))
        .withColumns({"nth": F.row_number().over(surest), "any": F.row_number().over(any_of_them)})
        .where(F.least("nth", "any") <= PICTURES_A_LINE)  # enough for a line of each kind, whatever the groups are
        .collect()
    )
    examples = []
    for group in groups:
        wrong, others = list[Row](), list[Row]()
        for row in rows:
            if row["label"] in group.letters:
                is_mixed_up = row["letter"] in group.letters and row["letter"] != row["label"]
                (wrong if is_mixed_up else others).append(row)
        mixed_up = _in_turn(sorted(wrong, key=lambda row: (-row["probability"], row["hash"], row["id"])))
        lines = 1 if len(mixed_up) <= PICTURES_A_LINE // 2 else 2
        more = _in_turn(sorted(others, key=lambda row: (row["hash"], row["id"])))
        examples.append([*mixed_up, *more[: PICTURES_A_LINE * lines - len(mixed_up)]])
    return examples


def _in_turn(rows: Iterable[Row]) -> list[Row]:
    """Take the first row of each label, then the second, as many as a line has."""
    seen = Counter[str]()
    turns: list[tuple[int, str, Row]] = []
    for row in rows:
        turns.append((seen[row["label"]], row["label"], row))
        seen[row["label"]] += 1
    return [row for _, _, row in sorted(turns, key=lambda turn: turn[:2])][:PICTURES_A_LINE]


def draw_confusable(
    groups: Sequence[Confusable], examples: Sequence[Sequence[Row]], pictures: Mapping[str, Row], path: Path
) -> None:
    """Draw the rows of `choose_examples`; `pictures` by id."""
    sheet = [
        [
            (pixels_of(pictures[row["id"]]), row["label"], row["letter"] or UNSCORED, float(row["probability"] or 0))
            for row in rows
        ]
        for rows in examples
    ]
    plot_confusable([str(group) for group in groups], sheet, path)
