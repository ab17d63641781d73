"""A pixel table in every form that people bring is read by ingest and by scoring as the plain one, or refused alike."""

import numpy as np
import pytest

from aslspark.common.errors import AslsparkError
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import read_samples
from aslspark.data.tables.label_numbers import numbering_warning
from aslspark.data.tables.pixel_layout import (
    COLUMNS,
    layout_of_line,
    names_pixels,
    problem_with,
    scaled_rows,
    some_names,
)
from aslspark.scoring.unlabelled import rows_to_score

ROWS = 12
LABELS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]
HEADER = ",".join(COLUMNS)


def picture(row):
    return np.random.default_rng(row).integers(0, 256, 784).tolist()


def table(header=HEADER, row="{label},{pixels}", join=",", end="\n", number=str):
    lines = [header]
    for place, label in enumerate(LABELS):
        lines.append(row.format(place=place, label=label, pixels=join.join(map(number, picture(place)))))
    return end.join(lines) + end


PIXEL_NAMES = ",".join(COLUMNS[1:])
READ = {
    "plain": table(),
    "capital letters": table(HEADER.title()),
    "spaces": table(HEADER.replace(",", " , "), join=", "),
    "quotes around all": table(
        ",".join(f'"{name}"' for name in COLUMNS), '"{label}",{pixels}', number=lambda value: f'"{value}"'
    ),
    "quotes around names": table(",".join(f'"{name}"' for name in COLUMNS)),
    "byte order mark and CRLF": "\ufeff" + table(end="\r\n"),
    "CR alone": table(end="\r"),
    "label last": table(f"{PIXEL_NAMES},label", "{pixels},{label}"),
    "row numbers of pandas": table(f",{HEADER}", "{place},{label},{pixels}"),
    "row numbers of R": table(f'"",{HEADER}', '"{place}",{label},{pixels}'),
    "row numbers that pandas read again": table(f"Unnamed: 0,{HEADER}", "{place},{label},{pixels}"),
    "row numbers called index": table(f"index,{HEADER}", "{place},{label},{pixels}"),
    "row numbers at the end": table(f"{PIXEL_NAMES},label,", "{pixels},{label},{place}"),
    "floats": table(number=lambda value: f"{value}.0"),
    "floats that were divided and multiplied": table(number=lambda value: repr(value / 255 * 255.00001)),
}
REFUSED = {
    "semicolons": (table().replace(",", ";"), "semicolons"),
    "tabs": (table().replace(",", "\t"), "tabs"),
    "UTF-16": (table().encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": (table().encode("utf-16-le"), "UTF-16"),
    "UTF-32": (table().encode("utf-32"), "UTF-32"),
    "another column": (table(f"{HEADER},signer", "{label},{pixels},me"), "other columns too, signer"),
    "a column that is missing": (table(HEADER.replace(",pixel77,", ",")), "lacks pixel77"),
    "a column twice": (table(f"{HEADER},pixel784", "{label},{pixels},7"), "twice"),
    "counted from 0": (table("label," + ",".join(f"pixel{n}" for n in range(784))), "lacks pixel784"),
    "no header": (table().partition("\n")[2], "has no header"),
    "nothing": ("", "is empty"),
}


def write(folder, text, name="letters.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def scored_rows(spark, path):
    rows, column = rows_to_score(spark, [path])
    return [(row["row"], row["label"], list(row[column]["data"]), row[column]["unusable"]) for row in rows.collect()]


@pytest.mark.long
@pytest.mark.promise(
    "readers",
    "A pixel table gives the same pixels to ingest and to scoring, with its columns, quotes, line ends and row "
    "numbers in whatever of the usual forms.",
    kind="two readers of one format",
)
def test_every_form_of_a_table_is_read_as_the_plain_one_by_ingest_and_by_scoring(spark, tmp_path):
    wanted = [(place + 1, str(label), picture(place), None) for place, label in enumerate(LABELS)]
    paths = []
    for number, (form, text) in enumerate(READ.items()):
        paths.append(write(tmp_path, text, f"{number}.csv"))
        assert scored_rows(spark, paths[-1]) == wanted, form
    report = ingest_sources(spark, paths, str(tmp_path / "out"))
    assert (report.kept, report.quarantined) == (ROWS * len(READ), 0)
    kept = {row["id"]: list(row["picture"]["data"]) for row in read_samples(spark, str(tmp_path / "out")).collect()}
    assert kept == {f"{number}.csv:{place}": pixels for number in range(len(READ)) for place, _, pixels, _ in wanted}


@pytest.mark.promise(
    "readers",
    "A table that cannot be read is refused before a job starts, by ingest and by scoring alike, in a line that names "
    "the encoding, the separator or the column.",
    kind="two readers of one format",
)
@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_pixel_table_is_refused_by_ingest_and_by_scoring_alike(spark, tmp_path, form):
    text, words = REFUSED[form]
    path = write(tmp_path, text)
    for read in (lambda: ingest_sources(spark, [path], str(tmp_path / "out")), lambda: rows_to_score(spark, [path])):
        with pytest.raises(AslsparkError, match=words) as refused:
            read()
        assert "letters.csv" in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("form", READ)
def test_the_header_of_every_form_is_told_from_that_of_notes(form):
    assert names_pixels(READ[form].replace("\r", "\n").split("\n")[0])
    assert not names_pixels("path,label")
    assert not names_pixels(None)


def test_a_name_of_any_length_and_letters_stays_within_a_line():
    with pytest.raises(AslsparkError, match=r"other columns too, b\?x{3,}\.\.\.: ") as refused:
        layout_of_line(f"{HEADER},b\u2028{'x' * 5000}", "a.csv")
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 300


def test_a_table_to_score_needs_no_label_and_one_to_learn_from_does():
    assert layout_of_line(PIXEL_NAMES, "a.csv", label=False).label is None
    with pytest.raises(AslsparkError, match=r"a.csv lacks label: "):
        layout_of_line(PIXEL_NAMES, "a.csv")


BAD_CELLS = {
    "a word": ("oops", "not a number: pixel9 is 'oops'"),
    "nothing": ("", "not a number: pixel9 is ''"),
    "a fraction": ("12.5", "not a number: pixel9 is '12.5'"),
    "too much": ("256", "out of 0-255: pixel9 is '256'"),
    "below 0": ("-1", "out of 0-255: pixel9 is '-1'"),
    "a column more": ("7,7", "wrong column count: 786 columns instead of 785"),
}


@pytest.mark.promise(
    "readers",
    "A row that cannot be used has the same number and the same reason in the quarantine and in the scored table, "
    "whatever spark.sql.ansi.enabled is.",
    kind="two readers of one format",
)
@pytest.mark.parametrize("ansi", ["true", "false"])
def test_a_bad_row_has_the_reason_in_scoring_that_it_has_in_the_quarantine(spark, tmp_path, setting, ansi):
    lines = table().splitlines()
    for place, (cell, _) in enumerate(BAD_CELLS.values(), 2):
        fields = lines[place].split(",")
        lines[place] = ",".join([*fields[:9], cell, *fields[10:]])
    lines[9], lines[10] = "", f"11,{','.join(['0.5'] * 784)}"
    wanted = [(place, reason) for place, (_, reason) in enumerate(BAD_CELLS.values(), 2)]
    wanted += [(9, "empty: a blank line"), (10, "scaled to 0-1: values from 0.5 to 0.5")]
    path = write(tmp_path, "\n".join(lines) + "\n")
    with setting("spark.sql.ansi.enabled", ansi):
        scored = [(row, reason) for row, _, _, reason in scored_rows(spark, path) if reason]
        ingest_sources(spark, [path], str(tmp_path / "out"))
        quarantine = spark.read.parquet(str(tmp_path / "out" / "quarantine")).orderBy("row").collect()
    assert scored == [(row["row"], f"{row['reason']}: {row['detail']}") for row in quarantine]
    assert [row for row, _ in scored] == [row for row, _ in wanted]
    assert all(found.startswith(said) for (_, found), (_, said) in zip(scored, wanted, strict=True))


@pytest.mark.promise(
    "input",
    "One bad row in a table of any size is one row of the quarantine.",
    kind="arrays handed on that are views",
)
@pytest.mark.parametrize("rows", [2, 3, 12])
def test_one_bad_row_in_a_small_table_is_quarantined_and_the_others_are_kept(spark, tmp_path, rows):
    lines = table().splitlines()[: rows + 1]
    lines[1] = lines[1].replace(",", ",x", 1)
    report = ingest_sources(spark, [write(tmp_path, "\n".join(lines) + "\n")], str(tmp_path / "out"))
    assert (report.kept, report.quarantined) == (rows - 1, 1)


def test_numbers_divided_by_255_are_told_from_dark_pictures():
    rows = np.zeros((5, 784))
    rows[1, 5] = 1
    rows[2] = 0.5
    rows[3, 7] = 2
    rows[4] = np.nan
    assert scaled_rows(rows).tolist() == [False, True, True, False, False]
    assert problem_with(rows[2])[0] == "scaled to 0-1"
    assert problem_with(rows[0]) is None
    assert problem_with(rows[4])[0] == "not a number"


@pytest.mark.promise(
    "readers",
    "Label numbers that seem to count the letters in another way are warned of, with how to mend them.",
    kind="a number that means two letters",
)
@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (range(24), "without a gap, as LabelEncoder does it"),
        ([*range(20), -1], "without a gap"),
        (range(1, 25), "counted from 1; they are read as"),
        (range(1, 25), "subtract 1, and then add 1 from 9 up"),
        (range(1, 27), "learned as another letter: subtract 1"),
        ([n for n in range(1, 26) if n != 10], "learned as another letter: subtract 1"),
        ([1, 2, 3, 12, 25], "counted from 1"),
        ([1, 2, 3, 12, 24], None),
        (range(36), "labels up to 35"),
        ([n for n in range(25) if n != 9], None),
        (range(26), None),
        (range(29), None),
        ([0, 1, 2, 77], None),
        ([3, -1], None),
    ],
)
def test_letters_numbered_in_another_way_are_warned_of(numbers, words):
    warning = numbering_warning("letters.csv", numbers)
    assert (warning is None) == (words is None)
    assert words is None or (words in warning and warning.startswith("letters.csv: "))


PLAIN_CASES = ("crlf_bom", "header_capitals", "header_spaces", "index_column", "label_last", "quoted_all")


@pytest.mark.promise(
    "readers",
    "A pixel table gives the same pixels to ingest and to scoring, with its columns, quotes, line ends and row "
    "numbers in whatever of the usual forms.",
    kind="two readers of one format",
)
def test_tables_that_people_bring_are_read_as_the_plain_one(spark, cases, tmp_path):
    plain = scored_rows(spark, str(cases / "plain" / "letters.csv"))
    assert len(plain) == 40
    for case in PLAIN_CASES:
        assert scored_rows(spark, str(cases / case / "letters.csv")) == plain, case
    paths = [str(cases / case / "letters.csv") for case in ("plain", *PLAIN_CASES)]
    report = ingest_sources(spark, paths, str(tmp_path / "out"))
    assert (report.kept, report.quarantined) == (40 * len(paths), 0)
    letters = [row[2:] for row in scored_rows(spark, str(cases / "letter_labels" / "letters.csv"))]
    assert letters == [row[2:] for row in plain]
    with pytest.raises(AslsparkError, match="label is 'L'"):
        ingest_sources(spark, [str(cases / "letter_labels" / "letters.csv")], str(tmp_path / "letters"))


def test_tables_that_cannot_be_read_say_why(spark, cases, tmp_path):
    for case, words in {"semicolons": "semicolons", "utf16": "UTF-16"}.items():
        path = str(cases / case / "letters.csv")
        with pytest.raises(AslsparkError, match=words):
            rows_to_score(spark, [path])
        with pytest.raises(AslsparkError, match=words):
            ingest_sources(spark, [path], str(tmp_path / "out"))
    scaled = scored_rows(spark, str(cases / "scaled_0_1" / "letters.csv"))
    assert len(scaled) == 40
    assert all(reason.startswith("scaled to 0-1") for *_, reason in scaled)
    with pytest.raises(AslsparkError, match=r"none of 40 rows can be used .*scaled to 0-1.*multiply by 255"):
        ingest_sources(spark, [str(cases / "scaled_0_1" / "letters.csv")], str(tmp_path / "out"))


def test_one_bad_cell_costs_its_row_and_new_numbers_are_warned_of(spark, cases, tmp_path, setting):
    path = str(cases / "one_bad_cell" / "letters.csv")
    with setting("spark.sql.ansi.enabled", "true"):
        assert [(row, reason) for row, *_, reason in scored_rows(spark, path) if reason] == [
            (6, "not a number: pixel10 is 'oops'")
        ]
        assert ingest_sources(spark, [path], str(tmp_path / "one")).kept == 39
    report = ingest_sources(spark, [str(cases / "labels_0_to_23" / "letters.csv")], str(tmp_path / "new"))
    assert any("LabelEncoder" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("files", "named", "words"),
    [
        (
            {"letters.tsv": b"label\tpixel1"},
            "",
            r"it holds no pixel table, picture or Parquet file \(but letters.tsv\)",
        ),
        ({"letters.tsv": b"label\tpixel1"}, "letters.tsv", r"it is no pixel table, .*; pixel tables end in \.csv, "),
        ({}, "", r"\(but nothing\)"),
        ({"hands.parquet": b"not Parquet at all"}, "", r"\(but hands\.parquet\).*hands\.parquet is not a Parquet file"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_what_is_there_and_what_would_be_read(spark, tmp_path, files, named, words):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AslsparkError, match=words) as caught:
        rows_to_score(spark, [str(tmp_path / named)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, "c0"), (4, "c0, c1, c2, c3"), (6, "c0, c1, c2, c3, c4, c5"), (7, "c0, c1, c2 and 4 more")],
)
def test_few_names_are_all_written(count, expected):
    assert some_names([f"c{n}" for n in range(count)]) == expected
