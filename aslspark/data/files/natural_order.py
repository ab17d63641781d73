"""Names -> their natural order (frame-2 before frame-10), the same on the driver and in Spark.

Pictures, samples in memory and folds are cut into contiguous runs in this order, so that the frames of a film stay
together as they were taken.
"""

from __future__ import annotations

import re
import string

from pyspark.sql import Column
from pyspark.sql import functions as F

# ASCII only, so that Python and Java agree in every locale and version of Unicode.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key for the natural order.

    Returns
    -------
    list of (int, int, str)
        For each run of digits (0, its length without leading zeros, its digits without them); for each other run (1, 0,
        its lower case). Names that differ in leading zeros or case have the same key; the name itself breaks the tie.
    """
    parts = re.findall("[0-9]+|[^0-9]+", name.translate(_LOWER))
    return [
        (0, len(digits := part.lstrip("0")), digits) if part[0] in string.digits else (1, 0, part) for part in parts
    ]


def natural_order(name: str) -> list[Column]:
    """Return the columns that order rows by `natural_key`, and ties by the name itself.

    Parameters
    ----------
    name : str
        A column of strings; nulls come first.

    Returns
    -------
    list of Column
        For `orderBy`.
    """
    lower = F.translate(F.col(name), string.ascii_uppercase, string.ascii_lowercase)
    parts = F.regexp_extract_all(lower, F.lit("([0-9]+|[^0-9]+)"), F.lit(1))

    def key(part: Column) -> Column:
        is_number = F.substring(part, 1, 1).between("0", "9")
        digits = F.regexp_replace(part, "^0+", "")
        return F.struct(
            F.when(is_number, 0).otherwise(1),
            F.when(is_number, F.length(digits)).otherwise(0),
            F.when(is_number, digits).otherwise(part),
        )

    return [F.transform(parts, key), F.col(name)]
