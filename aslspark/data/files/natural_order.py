"""Names in, the order in which people count them out: frame-2 before frame-10, on the driver and in Spark alike.

Whatever is cut into contiguous runs (pictures, samples in memory, folds) is cut in this order, so that the frames of a
film lie side by side as they were taken.
"""

from __future__ import annotations

import re
import string

from pyspark.sql import Column
from pyspark.sql import functions as F

# Of ASCII alone, so that Python and Java agree whatever their locale and their version of Unicode.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Make a key that sorts names as people count.

    Parameters
    ----------
    name : str

    Returns
    -------
    list of (int, int, str)
        For each run of digits (0, how many without leading zeros, those), for each run of anything else (1, 0, it in
        lower case). Names that differ in leading zeros or case have one key: break the tie by the name itself.
    """
    parts = re.findall("[0-9]+|[^0-9]+", name.translate(_LOWER))
    return [
        (0, len(digits := part.lstrip("0")), digits) if part[0] in string.digits else (1, 0, part) for part in parts
    ]


def natural_order(name: str) -> list[Column]:
    """Make the columns to order rows by, which put them as `natural_key` does, and ties by the name itself.

    Parameters
    ----------
    name : str
        A column of strings; nulls come first.

    Returns
    -------
    list of Column
        For `orderBy`. Nothing is collected: the key is computed row by row.
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
