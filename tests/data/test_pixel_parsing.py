import numpy as np
import pyarrow as pa
import pytest
from moments import ENTERED, whenever

from aslspark.data.tables.csv_lines import ROW_BY_ROW_LINES
from aslspark.data.tables.parse_pixels import parse_lines, parse_row_by_row, parse_together
from aslspark.data.tables.pixel_layout import (
    COLUMNS,
    EMPTY,
    NOT_A_NUMBER,
    OUT_OF_RANGE,
    SCALED,
    UNKNOWN_LABEL,
    WRONG_COLUMN_COUNT,
)

LABELS = [number for number in range(25) if number != 9]


def random_table(seed, rows=60):
    numbers = np.random.default_rng(seed)
    labels = numbers.choice(LABELS, rows)
    return labels, numbers.integers(0, 256, (rows, 784))


def as_lines(labels, pixels):
    return [",".join(map(str, [label, *row])) for label, row in zip(labels, pixels, strict=True)]


def line(**fields):
    """One good line, label 3 and all pixels 7, but for the fields named."""
    return ",".join(str(fields.get(name, 3 if name == "label" else 7)) for name in COLUMNS)


BAD_LINES = {
    "blank": ("", EMPTY, "blank"),
    "only spaces": ("  \t", EMPTY, "blank"),
    "two columns": ("3,7", WRONG_COLUMN_COUNT, "2 columns instead of 785"),
    "a column too many": (line() + ",7", WRONG_COLUMN_COUNT, "786 columns"),
    "text": (line(pixel17="hand"), NOT_A_NUMBER, "pixel17 is 'hand'"),
    "nothing between commas": (line(pixel784=""), NOT_A_NUMBER, "pixel784 is ''"),
    "NA": (line(pixel2="NA"), NOT_A_NUMBER, "pixel2 is 'NA'"),
    "nan": (line(pixel2="nan", pixel3="1.0"), NOT_A_NUMBER, "pixel2 is 'nan'"),
    "a fraction": (line(pixel2="12.5"), NOT_A_NUMBER, "pixel2 is '12.5'"),
    "hexadecimal": (line(pixel2="0x1F"), NOT_A_NUMBER, "pixel2 is '0x1F'"),
    "underscore": (line(pixel2="1_0"), NOT_A_NUMBER, "pixel2 is '1_0'"),
    "a quote inside": (line(pixel2='"1"2'), NOT_A_NUMBER, "pixel2 is"),
    "an open quote": (line(pixel784='"12'), NOT_A_NUMBER, "pixel784 is"),
    "not UTF-8": (line(pixel2="\udcff"), NOT_A_NUMBER, "pixel2 is"),
    "256": (line(pixel5=256), OUT_OF_RANGE, "pixel5 is '256'"),
    "a negative": (line(pixel5=-1), OUT_OF_RANGE, "pixel5 is '-1'"),
    "a large float": (line(pixel5="1000.0"), OUT_OF_RANGE, "pixel5 is '1000.0'"),
    "infinite": (line(pixel5="1e999"), OUT_OF_RANGE, "pixel5 is '1e999'"),
    "label J": (line(label=9), UNKNOWN_LABEL, "label is '9'"),
    "label Z": (line(label=25), UNKNOWN_LABEL, "label is '25'"),
    "label 300": (line(label=300), UNKNOWN_LABEL, "label is '300'"),
    "label -1": (line(label=-1), UNKNOWN_LABEL, "label is '-1'"),
    "a letter as label": (line(label="D"), NOT_A_NUMBER, "label is 'D'"),
    "a header": (",".join(COLUMNS), NOT_A_NUMBER, "label is 'label'"),
}


def arrow(lines):
    return pa.array([text.encode("utf-8", "surrogateescape") for text in lines], pa.binary()).view(pa.string())


@pytest.mark.parametrize("kind", BAD_LINES)
@pytest.mark.parametrize("parse", [parse_lines, parse_row_by_row])
def test_a_bad_line_is_named_and_its_neighbours_are_kept(kind, parse):
    text, reason, detail = BAD_LINES[kind]
    lines = [line()] * 40
    lines[23] = text
    parsed = parse(arrow(lines))
    assert [(bad.line, bad.reason) for bad in parsed.bad] == [(23, reason)]
    assert detail in parsed.bad[0].detail
    assert parsed.good.tolist() == [number for number in range(40) if number != 23]
    assert (parsed.pixels == 7).all()
    assert parsed.pixels.shape == (39, 784)


@pytest.mark.parametrize(
    "spelling",
    ["{}", "{}.0", "{}.", " {} ", '"{}"', '"{}.00"', "0{}", '" {}"'],
)
def test_other_spellings_of_whole_numbers_mean_the_same_and_are_read_in_one_go(spelling):
    labels, pixels = random_table(1)
    plain = parse_together(arrow(as_lines(labels, pixels)))
    spelled = [[spelling.format(value) for value in row] for row in pixels]
    lines = arrow(as_lines([spelling.format(label) for label in labels], spelled))
    numbers, matrix = parse_together(lines)
    assert (numbers == plain[0]).all()
    assert (matrix == pixels).all()
    assert (parse_row_by_row(lines).pixels == pixels).all()


@pytest.mark.parametrize("spelling", ["{}e0", "+{}", ' "{}" '])
def test_spellings_that_need_the_slow_way_are_kept_too(spelling):
    parsed = parse_lines(arrow([line(), line(pixel9=spelling.format(7)), line()]))
    assert parsed.bad == []
    assert (parsed.pixels == 7).all()


@pytest.mark.parametrize("seed", range(8))
def test_both_parsers_agree_on_tables_with_rows_spoilt_at_random(seed):
    labels, pixels = random_table(seed, rows=90)
    lines = as_lines(labels, pixels)
    chance = np.random.default_rng(100 + seed)
    kinds = list(BAD_LINES.values())
    spoilt = sorted(chance.choice(90, seed * 3, replace=False).tolist())
    for number in spoilt:
        lines[number] = kinds[chance.integers(len(kinds))][0]
    fast, slow = parse_lines(arrow(lines)), parse_row_by_row(arrow(lines))
    assert fast.bad == slow.bad
    assert [bad.line for bad in fast.bad] == spoilt
    assert fast.good.tolist() == slow.good.tolist()
    assert (fast.numbers == slow.numbers).all()
    assert (fast.numbers == labels[fast.good]).all()
    assert (fast.pixels == slow.pixels).all()
    assert (fast.pixels == pixels[fast.good]).all()


def test_one_bad_row_sends_only_a_few_rows_the_slow_way():
    slow_rows = []
    lines = [line()] * 1000
    lines[777] = "3,7"
    with whenever(parse_row_by_row, ENTERED, lambda given: slow_rows.append(len(given["lines"]))):
        assert len(parse_lines(arrow(lines)).good) == 999
    assert 0 < sum(slow_rows) <= ROW_BY_ROW_LINES


def test_no_lines_give_no_rows():
    parsed = parse_lines(arrow([]))
    assert (len(parsed.good), parsed.pixels.shape, parsed.bad) == (0, (0, 784), [])


@pytest.mark.parametrize(
    ("pixels", "scaled"),
    [
        ([0] * 784, False),
        ([0] * 783 + [1], True),
        ([1] * 784, True),
        ([0] * 783 + [2], False),
        (["0.0"] * 783 + ["1.0"], True),
        (["0.5"] * 784, True),
        ([0] * 783 + [255], False),
    ],
)
def test_both_parsers_agree_on_what_was_divided_by_255_to_its_edges(pixels, scaled):
    lines = pa.array([",".join(map(str, [3, *pixels]))])
    for parsed in (parse_lines(lines), parse_row_by_row(lines)):
        assert [bad.reason for bad in parsed.bad] == [SCALED] * scaled
        assert len(parsed.good) == 1 - scaled
