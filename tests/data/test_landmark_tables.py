"""Tables of landmarks, as people collect them with MediaPipe, become hands like those of pictures."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from picture_files import fill
from pyarrow import parquet
from stacks import needs_spark_4s_writer

from aslspark.cli import export
from aslspark.common.errors import AslsparkError
from aslspark.common.labels import STATIC_LETTERS
from aslspark.data import write_samples
from aslspark.data.exact_duplicates import picture_hash
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import read_samples
from aslspark.data.tables.landmark_hands import hands_of_points, table_hands
from aslspark.data.tables.landmark_layout import coordinate_names, landmark_layout, letters_of
from aslspark.data.tables.landmark_table import write_landmark_table
from aslspark.data.tables.parse_landmarks import NO_HAND, parse_landmarks
from aslspark.data.tables.pixel_layout import COLUMNS
from aslspark.features.landmarks import PICTURE_POINTS, hand_vectors, landmark_features
from aslspark.features.synthetic_hands import drawn_hands
from aslspark.images.hands.hand import HAND_STRUCT
from aslspark.scoring.unlabelled import rows_to_score
from aslspark.training.data import fingerprint

COUNT = 4


def drawn_points(axes=3):
    """Points of drawn right hands in a square picture, shape (24 * COUNT, 21, axes), letter by letter."""
    hands = drawn_hands(STATIC_LETTERS, COUNT, 7)
    return hands[:, :, PICTURE_POINTS].reshape(-1, 21, 3)[:, :, :axes].astype(float)


def text_of(points, labels, *, names=None, number="{:.6f}"):
    axes = points.shape[2]
    lines = [",".join(["label", *(names or coordinate_names(axes))])]
    for label, row in zip(labels, points.reshape(len(points), -1), strict=True):
        lines.append(",".join([str(label), *map(number.format, row)]))
    return "\n".join(lines) + "\n"


LETTERS = [letter for letter in STATIC_LETTERS for _ in range(COUNT)]


def ingested(spark, folder, text, name="landmarks.csv", **options):
    (folder / name).write_text(text)
    report = ingest_sources(spark, [str(folder / name)], str(folder / "out"), **options)
    return report, read_samples(spark, str(folder / "out")).orderBy("id").collect()


def features(rows):
    hands = pa.array([row["hand"].asDict() for row in rows], HAND_STRUCT)
    return landmark_features(hand_vectors(hands), upright=False)


FORMS = {
    "shares": lambda points: points,
    "pixels": lambda points: points * 480,
    "wrist-relative": lambda points: points - points[:, :1],
    "boxed and mirrored": lambda points: (points - points.min(axis=1, keepdims=True)) * (-1, 1, 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_landmarks_is_read_as_the_same_hands_whatever_its_origin_and_unit(spark, tmp_path, form):
    points = drawn_points()
    report, rows = ingested(spark, tmp_path, text_of(FORMS[form](points), LETTERS, number="{:.7f}"))
    assert (report.kept, report.quarantined) == (len(points), 0)
    assert {row["hand"]["found"] for row in rows} == {"table"}
    assert {row["hand"]["side"] for row in rows} == {"left" if "mirrored" in form else "right"}
    places = [int(row["id"].rpartition(":")[2]) - 1 for row in rows]
    assert [row["label"] for row in rows] == [LETTERS[place] for place in places]
    expected = landmark_features(hand_vectors(hands_of_points(points, table_hands(points))), upright=False)[places]
    np.testing.assert_allclose(features(rows), expected, atol=2e-3)


def test_classes_that_count_the_static_letters_are_those_letters(spark, tmp_path):
    report, rows = ingested(spark, tmp_path, text_of(drawn_points(2), [STATIC_LETTERS.index(x) for x in LETTERS]))
    assert sorted(row["label"] for row in rows) == sorted(LETTERS)
    assert any("labels count the 24 static letters" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("numbers", "of_nine", "of_ten"),
    [(range(24), "K", "L"), ([*range(9), *range(10, 25)], None, "K"), (range(26), "J", "K")],
    ids=["classes", "Sign Language MNIST", "alphabet"],
)
def test_label_numbers_are_read_by_what_a_table_has_of_them(numbers, of_nine, of_ten):
    letters = letters_of(numbers)
    assert (letters.get(9), letters[10], letters[0]) == (of_nine, of_ten, "A")


def test_rows_that_cannot_be_used_are_quarantined_with_their_reason_and_named_alike_in_scoring(spark, tmp_path):
    good = text_of(drawn_points(), LETTERS).splitlines()
    fields = good[1].split(",")
    bad = {
        "not a number": ",".join([*fields[:5], "left", *fields[6:]]),
        "wrong column count": ",".join(fields[:-1]),
        "empty": " ",
        NO_HAND: ",".join(["A", *["0"] * 63]),
        "unknown label": ",".join(["hello", *fields[1:]]),
    }
    report, rows = ingested(spark, tmp_path, "\n".join([*good, *bad.values()]) + "\n")
    assert len(rows) == len(LETTERS)
    assert {reason.reason: reason.rows for reason in report.reasons} == dict.fromkeys(bad, 1)
    quarantine = spark.read.parquet(str(tmp_path / "out" / "quarantine")).orderBy("row").collect()
    assert [row["row"] for row in quarantine] == list(range(len(LETTERS) + 1, len(LETTERS) + 6))
    assert quarantine[0]["detail"] == "y1 is 'left'"
    scored, _ = rows_to_score(spark, [str(tmp_path / "landmarks.csv")])
    reasons = [row["unread"] for row in scored.where("unread IS NOT NULL").orderBy("row").collect()]
    assert [reason.partition(":")[0] for reason in reasons] == list(bad)[:4]  # to scoring, any label is right
    assert scored.where("hand.found = 'table'").count() == len(LETTERS) + 1


@pytest.mark.parametrize("as_frame", [True, False], ids=["DataFrame", "Parquet"])
def test_a_table_in_memory_and_one_of_parquet_are_read_like_csv(spark, tmp_path, as_frame):
    _, rows = ingested(spark, tmp_path, text_of(drawn_points(), LETTERS))
    frame = spark.read.option("header", True).csv(str(tmp_path / "landmarks.csv"))
    frame = frame.select("label", *(frame[name].cast("double") for name in coordinate_names(3))).coalesce(1)
    frame.write.parquet(str(tmp_path / "landmarks.parquet"))
    given = frame if as_frame else str(tmp_path / "landmarks.parquet")
    ingest_sources(spark, [given], str(tmp_path / "again"))
    again = read_samples(spark, str(tmp_path / "again")).orderBy("label", "hand.landmarks").collect()
    rows = sorted(rows, key=lambda row: (row["label"], row["hand"]["landmarks"]))
    assert [row["label"] for row in again] == [row["label"] for row in rows]
    np.testing.assert_allclose(features(again), features(rows), atol=1e-5)
    if not as_frame:
        scored, _ = rows_to_score(spark, [str(tmp_path / "landmarks.parquet")])
        assert scored.where("hand.found = 'table'").count() == len(LETTERS)


def test_a_table_of_landmarks_beside_pictures_and_pixels_is_one_table_with_them(spark, tmp_path):
    (tmp_path / "landmarks.csv").write_text(text_of(drawn_points(), LETTERS))
    pixels = [",".join([str(row % 9), *["7"] * 784]) for row in range(50)]
    (tmp_path / "pixels.csv").write_text("\n".join([",".join(COLUMNS), *pixels]) + "\n")
    ingest_sources(spark, [str(tmp_path / name) for name in ("landmarks.csv", "pixels.csv")], str(tmp_path / "both"))
    samples = read_samples(spark, str(tmp_path / "both"))
    assert samples.where("hand IS NOT NULL").count() == len(LETTERS)
    assert samples.where("hand IS NULL").count() == 50
    assert samples.select("picture.height", "picture.width", "picture.channels").distinct().count() == 1


@pytest.mark.stack
def test_what_tasks_write_of_tables_and_pictures_is_what_spark_writes(spark, tmp_path, monkeypatch):
    hands = text_of(drawn_points(), LETTERS).splitlines()
    (tmp_path / "landmarks.csv").write_text("\n".join([*hands, hands[1], "broken", hands[-1]]) + "\n")
    pixels = [",".join([str(row % 9), *[str(7 + row % 11)] * 784]) for row in range(60)]
    pixels[7], pixels[31] = "3,1,2", ",".join(["99", *["7"] * 784])
    (tmp_path / "pixels.csv").write_text("\n".join([",".join(COLUMNS), *pixels]) + "\n")
    fill(tmp_path / "hands", labels="AB", count=6)
    (tmp_path / "hands" / "A" / "A2.jpg").write_bytes(b"no picture")
    sources = [str(tmp_path / name) for name in ("landmarks.csv", "pixels.csv", "hands")]

    def of(out):
        report = ingest_sources(spark, sources, str(tmp_path / out))
        samples = {row["id"]: row for row in read_samples(spark, str(tmp_path / out)).collect()}
        quarantine = spark.read.parquet(str(tmp_path / out / "quarantine")).collect()
        return samples, quarantine, replace(report, out="", seconds=0, pictures_per_second=0)

    by_tasks = of("by-tasks")
    monkeypatch.setattr(write_samples, "MOST_LINES", 0)
    assert of("by-spark") == by_tasks
    assert not (tmp_path / "by-tasks" / "samples" / "_SUCCESS").exists()  # Spark marks what it wrote
    samples, quarantine, report = by_tasks
    assert len(samples) == report.kept == len(LETTERS) + 2 + 58 + 11
    assert [(row["source"], row["row"], row["reason"]) for row in quarantine] == [
        ("hands", None, "not a picture"),
        ("landmarks.csv", len(LETTERS) + 2, "wrong column count"),
        ("pixels.csv", 8, "wrong column count"),
        ("pixels.csv", 32, "unknown label"),
    ]
    assert report.exact_duplicates["test"] > 0


@needs_spark_4s_writer
def test_row_groups_of_a_pixel_table_are_those_that_spark_makes(spark, tmp_path, monkeypatch):
    pixels = [",".join([str(row % 9), *[str(7 + row % 11)] * 784]) for row in range(900)]
    (tmp_path / "pixels.csv").write_text("\n".join([",".join(COLUMNS), *pixels]) + "\n")

    def of(out):
        ingest_sources(spark, [str(tmp_path / "pixels.csv")], str(tmp_path / out))
        train = sorted((tmp_path / out / "samples" / "split=train").glob("*.parquet"))
        files = [parquet.read_metadata(path) for path in train]
        return [[file.row_group(number).num_rows for number in range(file.num_row_groups)] for file in files]

    by_tasks = of("by-tasks")
    monkeypatch.setattr(write_samples, "MOST_LINES", 0)
    assert of("by-spark") == by_tasks  # a network that learns from them sees them in the same order
    assert len(by_tasks[0]) > 1


def test_one_table_is_two_passes_of_spark_and_no_query_more(spark, tmp_path):
    (tmp_path / "landmarks.csv").write_text(text_of(drawn_points(), LETTERS))
    (tmp_path / "pixels.csv").write_text(",".join(COLUMNS) + "\n" + ",".join(["3", *["7"] * 784]) + "\n")
    jobs = {}
    for name in ("pixels.csv", "landmarks.csv"):
        spark.sparkContext.setJobGroup(name, "an ingest")
        try:
            ingest_sources(spark, [str(tmp_path / name)], str(tmp_path / "out" / name))
            jobs[name] = len(spark.sparkContext.statusTracker().getJobIdsForGroup(name))
        finally:
            spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    # Two of the first pass, which groups, one of the second; and one that looks at a table's hands.
    assert jobs == {"pixels.csv": 3, "landmarks.csv": 4}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["label", *coordinate_names(3)[:-1]], "lacks z20"),
        (["label", *coordinate_names(2), "handedness"], "other columns too, handedness"),
        (["label", *coordinate_names(2), "x3"], "has x3 twice"),
        (coordinate_names(2), "lacks label"),
    ],
)
def test_a_header_that_is_not_quite_one_of_landmarks_is_refused_with_its_fault(columns, words):
    with pytest.raises(AslsparkError, match=words):
        landmark_layout(columns, "landmarks.csv")


def test_lines_are_parsed_row_by_row_as_they_are_together(spark):
    points = drawn_points(2)
    lines = text_of(points, LETTERS).splitlines()[1:]
    layout = landmark_layout(["label", *coordinate_names(2)], "here")
    together = parse_landmarks(pa.array(lines), layout)
    apart = parse_landmarks(pa.array([*lines, "broken"]), layout)
    np.testing.assert_array_equal(apart.points, together.points)
    np.testing.assert_array_equal(apart.numbers, together.numbers)
    assert [bad.line for bad in apart.bad] == [len(lines)]


def stretched(points, aspect):
    """As shares of pictures of another form, which is what is not told."""
    return points / (float(aspect), 1, float(aspect))


@pytest.mark.parametrize("aspect", ["16/9", "4/3", "1", "3/4"])
def test_the_form_of_the_pictures_is_estimated_from_the_hands(aspect):
    hands = drawn_hands(STATIC_LETTERS, 40, 3)[:, :, PICTURE_POINTS].reshape(-1, 21, 3).astype(float)
    assert table_hands(stretched(hands, Fraction(aspect))).aspect == Fraction(aspect)


def test_the_tables_of_other_people_are_read(spark, real_data, tmp_path):
    folder = real_data / "people"
    names = {"landmarks_cc0_cam": "left", "landmarks_mirror_cam": "left", "landmarks_boxed": "right"}
    if not folder.is_dir():
        pytest.skip("there is no folder of people's pictures and landmarks")
    report = ingest_sources(spark, [str(folder / name) for name in names], str(tmp_path / "out"))
    assert report.quarantined == 0
    rows = read_samples(spark, str(tmp_path / "out")).groupBy("source", "hand.side").count().collect()
    assert {row["source"].split("/")[0]: row["side"] for row in rows} == names


def test_other_landmarks_are_another_table_and_equal_ones_are_duplicates(spark, tmp_path):
    points = drawn_points()
    points[1] = points[0]
    prints = []
    for name, shift in (("one", 0.0), ("other", 0.01)):
        (tmp_path / name).mkdir()
        points[2, 8] += shift
        ingested(spark, tmp_path / name, text_of(points, LETTERS))
        prints.append(fingerprint(spark, str(tmp_path / name / "out")))
    assert prints[0] != prints[1]
    samples = read_samples(spark, str(tmp_path / "one" / "out"))
    assert samples.select(picture_hash(samples)).distinct().count() == len(LETTERS) - 1


@pytest.mark.parametrize("ending", [pytest.param(".csv", marks=pytest.mark.long), ".parquet"])
def test_hands_are_written_as_a_table_that_is_read_as_the_same_hands(spark, tmp_path, ending, capsys):
    points = drawn_points()
    _, rows = ingested(spark, tmp_path, text_of(points, LETTERS, number="{:.7f}"))
    export.main([str(tmp_path / "out"), "--format", "landmarks", "--out", str(tmp_path / f"written{ending}")])
    assert f"{len(rows)} hands; 0 samples" in capsys.readouterr().out
    ingest_sources(spark, [str(tmp_path / f"written{ending}")], str(tmp_path / "again"))
    again = read_samples(spark, str(tmp_path / "again")).collect()

    def by_label(samples):
        samples = sorted(samples, key=lambda row: (row["label"], row["hand"]["landmarks"]))
        return [row["label"] for row in samples], features(samples)

    assert by_label(again)[0] == by_label(rows)[0]
    np.testing.assert_allclose(by_label(again)[1], by_label(rows)[1], atol=2e-3)


@pytest.mark.stack
def test_samples_without_a_hand_have_no_row_and_are_counted(tmp_path):
    hand = {"found": "first", "landmarks": [0.5] * 63}
    table = pa.table({"label": ["A", "B", "C"], "hand": [hand, None, {"found": None, "landmarks": None}]})
    (tmp_path / "in/samples").mkdir(parents=True)
    parquet.write_table(table, tmp_path / "in/samples/part.parquet")
    assert write_landmark_table(str(tmp_path / "in"), str(tmp_path / "hands.csv")) == (1, 2)
    assert write_landmark_table(str(tmp_path / "in"), str(tmp_path / "new/hands.parquet")) == (1, 2)
    assert (tmp_path / "hands.csv").read_text().splitlines()[1] == '"A"' + ",0.5" * 63
    with pytest.raises(AslsparkError, match=r"hands.csv exists; give a name that is free"):
        write_landmark_table(str(tmp_path / "in"), str(tmp_path / "hands.csv"))
    with pytest.raises(AslsparkError, match=r"hands.txt: a table ends in .csv or .parquet"):
        write_landmark_table(str(tmp_path / "in"), str(tmp_path / "hands.txt"))
    parquet.write_table(table.slice(1), tmp_path / "in/samples/part.parquet")
    with pytest.raises(AslsparkError, match="no hand was found in any of its 2 samples"):
        write_landmark_table(str(tmp_path / "in"), str(tmp_path / "none.csv"))
    parquet.write_table(table.select(["label"]), tmp_path / "in/samples/part.parquet")
    with pytest.raises(AslsparkError, match=r"in: there is no column hand"):
        write_landmark_table(str(tmp_path / "in"), str(tmp_path / "none.csv"))
