"""How many hands were found in each source, by which try."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.hands.detector import TRIES
from aslspark.samples import HAND_COLUMN
from aslspark.sources.report import HandsFound


def count_hands(samples: DataFrame, sources: Sequence[str]) -> dict[str, HandsFound]:
    """Count the hands of some sources.

    Parameters
    ----------
    samples : DataFrame
        source (string), hand (HAND_TYPE).
    sources : sequence of str
        Those of picture files.

    Returns
    -------
    dict of str to HandsFound
        For each source with samples.
    """
    hand = F.col(HAND_COLUMN)
    mine = samples.where(F.col("source").isin(*sources))
    groups = mine.groupBy("source", hand["found"].alias("found"), hand["trouble"].alias("trouble"))
    pictures: dict[str, int] = {}
    found: dict[str, dict[str, int]] = {}
    trouble: dict[str, dict[str, int]] = {}
    for row in groups.agg(F.count("*").alias("rows")).collect():
        source = row["source"]
        pictures[source] = pictures.get(source, 0) + row["rows"]
        for counts, name in ((found, row["found"]), (trouble, row["trouble"])):
            if name is not None:
                counts.setdefault(source, {})[name] = row["rows"]
    return {
        source: HandsFound(
            pictures[source],
            {name: found[source][name] for name in TRIES if name in found.get(source, {})},
            dict(sorted(trouble.get(source, {}).items())),
        )
        for source in sorted(pictures)
    }
