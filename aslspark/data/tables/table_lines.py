"""Tables of pixels or landmarks -> their layouts and their lines, counted: the first pass of `labelled_tables`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce

import pyarrow as pa
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, NumericType

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import LABELS, LETTER_OF_NUMBER
from aslspark.data.files.store_files import StoreFiles, no_pattern
from aslspark.data.tables.landmark_hands import ROWS, TableHands, table_hands
from aslspark.data.tables.landmark_layout import FIRST_NAMED, LandmarkLayout, landmark_layout, names_landmarks
from aslspark.data.tables.parse_landmarks import parse_landmarks
from aslspark.data.tables.pixel_layout import PLAIN, Layout, header_names, layout_of_line, layout_of_names

NO_LABEL = -1
TableLayout = Layout | LandmarkLayout
ARRAY_NAMES = ("picture", "image", "pixels", "data")
"""What a column of pixels may be called: `known_columns` calls that of a table `picture`."""


def check_header(files: StoreFiles, path: str, *, label: bool = True) -> TableLayout:
    """Read the header of a table of pixels or of landmarks.

    Parameters
    ----------
    label : bool
        Whether labels are required.

    Raises
    ------
    AslsparkError
        Naming the file and what is wrong with its header; see `aslspark.data.tables.pixel_layout.layout_of_line`.
    """
    line = files.first_line(path)
    for separator in (",", ";", "\t"):
        if names_landmarks(names := header_names(line or "", separator)):
            if separator != ",":
                raise AslsparkError(f"{path}: a table of landmarks whose fields are apart by {separator!r}; use commas")
            return landmark_layout(names, path, label=label)
    return layout_of_line(line, path, label=label)


def layout_of_columns(names: Sequence[str], where: str) -> TableLayout:
    """Return the layout of a table in memory by the names of its columns.

    Raises
    ------
    AslsparkError
        Where they are neither those of pixels nor those of landmarks.
    """
    return landmark_layout(names, where) if names_landmarks(names) else layout_of_names(names, where)


def holds_numbers(kind: DataType) -> bool:
    """Tell whether a column of this type is an array or a Vector of numbers."""
    return isinstance(kind, VectorUDT) or (isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType))


def array_of_pixels(frame: DataFrame) -> str | None:
    """Return the column that holds the pixels of a picture as an array or a Vector of numbers; None where none does."""
    fields = (field for field in frame.schema.fields if field.name in ARRAY_NAMES)
    return next((field.name for field in fields if holds_numbers(field.dataType)), None)


def lines_of_files(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Read files, or folders from `write_lines`, as lines.

    Returns
    -------
    DataFrame
        value (string), path (string) and start (long), the offset of the line's block in the file.
    """
    text = (
        spark.read.option("ignoreCorruptFiles", "false")
        .option("ignoreMissingFiles", "false")
        .text([no_pattern(path) for path in paths])
    )
    return text.select(
        "value",
        F.col("_metadata.file_path").alias("path"),
        F.col("_metadata.file_block_start").alias("start"),
    )


def write_lines(frame: DataFrame, folder: str) -> TableLayout:
    """Write a table in memory as lines, without a header and in its order, to be read like files.

    Its own partitions cannot serve as blocks: Spark may partition the same table differently in each pass.

    Returns
    -------
    Layout or LandmarkLayout
        Of the lines.
    """
    if name := array_of_pixels(frame):
        _write_values(frame, _line_of_array(frame, name), folder)
        return PLAIN
    layout = layout_of_columns(frame.columns, "the table")
    numbers = layout.points if isinstance(layout, LandmarkLayout) else layout.pixels
    names = [frame.columns[place].replace("`", "``") for place in (layout.label, *numbers) if place is not None]
    fields = [F.coalesce(F.col(f"`{name}`").cast("string"), F.lit("")) for name in names]
    _write_values(frame, F.concat_ws(",", *fields), folder)
    if isinstance(layout, LandmarkLayout):
        return LandmarkLayout(1 + len(numbers), 0, tuple(range(1, 1 + len(numbers))), layout.axes)
    return PLAIN


def _write_values(frame: DataFrame, line: Column, folder: str) -> None:
    # A line end within a value must not split a row.
    frame.select(F.translate(line, "\r\n", "  ").alias("value")).write.text(folder)


def _line_of_array(frame: DataFrame, name: str) -> Column:
    """Return a row's label, as its number where it is a letter, and the numbers of its array, apart by commas.

    A row whose array has another length is a line of another length, which the second pass puts in quarantine.
    """
    values, label = F.col(name), F.col("label").cast("string")
    if isinstance(frame.schema[name].dataType, VectorUDT):
        values = F.when(values.isNotNull(), vector_to_array(values))
    cells = F.transform(values, lambda value: F.coalesce(value.cast("string"), F.lit("")))
    numbers = F.create_map(
        *(F.lit(part) for number, letter in LETTER_OF_NUMBER.items() for part in (letter, str(number)))
    )
    return F.concat_ws(",", F.coalesce(numbers[F.upper(F.trim(label))], label, F.lit("")), F.concat_ws(",", cells))


def labelled_lines(spark: SparkSession, layouts: Mapping[str, TableLayout]) -> DataFrame:
    """Read files, or folders from `write_lines`, as lines with their label numbers.

    Parameters
    ----------
    layouts : mapping of str to Layout or LandmarkLayout
        By path.

    Returns
    -------
    DataFrame
        The columns of `lines_of_files` and `label` (int): the label number if it is from 0 to 99, else -1. The bounds
        keep a file of other content from making millions of groups in pass 1. Tables of landmarks may have names in
        place of numbers: see `landmark_layout.label_number`.
    """
    by_place: dict[tuple[int, bool], list[str]] = {}
    for path, layout in layouts.items():
        assert layout.label is not None
        place = -1 if layout.label == layout.columns - 1 else layout.label
        by_place.setdefault((place, isinstance(layout, LandmarkLayout)), []).append(path)
    parts = []
    for (place, is_named), paths in by_place.items():
        # try_cast: text must give null, not an error, in ANSI mode too.
        number = F.expr(f"try_cast({label_text(place)} AS double)")
        label = F.when(number.between(0, 99), number.cast("int")).otherwise(NO_LABEL)
        if is_named:
            names = ", ".join(f"'{name.lower()}'" for name in LABELS)
            # In SQL, since Spark 3.5's function takes no column to look for.
            at = F.expr(f"array_position(array({names}), lower({label_text(place)}))").cast("int")
            label = F.when(at > 0, at + (FIRST_NAMED - 1)).otherwise(label)
        parts.append(lines_of_files(spark, paths).withColumn("label", label))
    return reduce(DataFrame.unionByName, parts)


def label_text(place: int) -> str:
    """Return SQL for the field at a place of the line `value` (-1: the last), without spaces and quotes."""
    # substring_index stops at the comma; substring counts the characters of the whole line.
    field = "substring_index(value, ',', -1)"
    if place >= 0:
        field = f"substring_index(substring_index(value, ',', {place + 1}), ',', -1)"
    if place == 0:
        field = "substring_index(value, ',', 1)"
    return f"""trim(BOTH ' "\t' FROM {field})"""


def count_lines(lines: DataFrame) -> dict[tuple[str, int], Counter[int]]:
    """Pass 1: count the lines of each block and label number, headers included."""
    counts: dict[tuple[str, int], Counter[int]] = {}
    for row in lines.groupBy("path", "start", "label").count().collect():
        counts.setdefault((row["path"], row["start"]), Counter())[row["label"]] = row["count"]
    return counts


def hands_of_lines(lines: DataFrame, layout: LandmarkLayout) -> TableHands:
    """Look at some rows of a table of landmarks, the same ones each time; see `landmark_hands.table_hands`.

    Parameters
    ----------
    lines : DataFrame
        value (string), perhaps with the header among them.
    """
    some = lines.select("value").orderBy(F.xxhash64("value")).limit(ROWS).collect()
    return table_hands(parse_landmarks(pa.array([row["value"] for row in some], pa.string()), layout).points)
