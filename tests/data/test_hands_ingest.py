import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import functions as F
from real_hands import SIZE, options

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import HandConfig, PictureConfig, load_config
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import PictureOptions, picture_options
from aslspark.data.samples import HAND_COLUMN, HAND_TYPE, SAMPLE_SCHEMA, SPLITS, TEST, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.data.synthetic import drawn_samples
from aslspark.evaluation.fold_options import FoldOptions
from aslspark.evaluation.folds import assign_fold, plan_folds
from aslspark.features.landmarks import HAND_FOUND, HAND_NUMBERS, RIGHT_HAND, hand_vectors
from aslspark.images.hands.hand import MOST_LOOKS, Hand, hand_column
from aslspark.images.hands.options import HandOptions
from aslspark.training.data import look_at


def quarantined(spark, out):
    return {
        row["detail"].split(": ")[0]: row["reason"] for row in spark.read.parquet(f"{out}/quarantine").toLocalIterator()
    }


@pytest.fixture(scope="module")
def table(spark, hands, tmp_path_factory):
    """Pictures, a pixel table, drawn hands without `hand` and drawn hands that bring one, ingested together."""
    folder = tmp_path_factory.mktemp("table")
    names = ",".join(f"pixel{number}" for number in range(1, 785))
    (folder / "letters.csv").write_text(f"label,{names}\n" + f"3,{','.join(['7'] * 784)}\n" * 20)
    drawn = drawn_samples(spark, count=24, seed=1, signers=3)
    named = drawn.withColumn("source", F.lit("own")).withColumn("id", F.regexp_replace("id", "drawn", "own"))
    own = with_hands(spark, named)
    report = ingest_sources(
        spark,
        [str(hands), str(folder / "letters.csv"), drawn, own],
        str(folder / "out"),
        pictures=options(spark),
        split=SplitOptions(blocks=5, test=0.2, validation=0.2),
    )
    return folder / "out", report


def with_hands(spark, samples):
    """Give every row a hand, but one of too few numbers, one without, and a null."""
    points = np.arange(63, dtype=np.float32).reshape(21, 3) / 63
    good = hand_column([Hand("plain", points, -points, "right", 0.5)]).to_pylist()[0]
    short = {**good, "landmarks": good["landmarks"][:-1]}
    kinds = spark.createDataFrame(
        [("good", good), ("short", short), ("none", dict.fromkeys(HAND_TYPE.names)), ("null", None)],
        f"kind string, hand {HAND_TYPE.simpleString()}",
    )
    number = F.substring("id", -2, 2)
    kind = F.when(number == "03", "short").when(number == "05", "none").when(number == "07", "null").otherwise("good")
    return samples.withColumn("kind", kind).join(F.broadcast(kinds), "kind").drop("kind")


def rows_of(spark, out, source):
    return {
        row["id"].partition(":")[2]: row
        for row in read_samples(spark, str(out)).where(F.col("source") == source).collect()
    }


def test_a_picture_is_stored_as_its_crop_with_its_hand(spark, table, hands):
    out, _ = table
    rows = rows_of(spark, out, "hands")
    for name, row in rows.items():
        assert (row["picture"]["height"], row["picture"]["width"]) == (SIZE, SIZE)
        if not name.startswith("nothing"):
            assert row[HAND_COLUMN]["found"] in ("plain", "padded")
            assert len(row[HAND_COLUMN]["landmarks"]) == len(row[HAND_COLUMN]["world"]) == 63
    name, row = next((name, row) for name, row in rows.items() if name.startswith("A/"))
    whole = Image.open(hands / name)
    points = np.array(row[HAND_COLUMN]["landmarks"], np.float32).reshape(21, 3)[:, :2] * max(whole.size)
    middle, side = (points.min(axis=0) + points.max(axis=0)) / 2, 1.5 * np.ptp(points, axis=0).max()
    left, top = middle - side / 2
    wanted = whole.crop((round(left), round(top), round(left + side), round(top + side))).resize((SIZE, SIZE))
    found = np.frombuffer(row["picture"]["data"], np.uint8).reshape(SIZE, SIZE, 3)
    assert np.abs(found.astype(int) - np.asarray(wanted)).mean() < 6


def test_a_picture_without_a_hand_stays_whole_and_is_marked(spark, table, hands):
    row = rows_of(spark, table[0], "hands")["nothing/N0.jpg"]
    assert all(value is None for value in row[HAND_COLUMN].asDict().values())
    wanted = np.asarray(Image.open(hands / "nothing" / "N0.jpg").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    found = np.frombuffer(row["picture"]["data"], np.uint8).reshape(SIZE, SIZE, 3)
    assert np.abs(found.astype(int) - wanted).mean() < 1


def test_what_is_no_picture_file_has_no_hand_but_its_own(spark, table):
    out, _ = table
    assert all(row[HAND_COLUMN] is None for row in rows_of(spark, out, "letters.csv").values())
    assert all(row[HAND_COLUMN] is None for row in rows_of(spark, out, "drawn").values())
    own = rows_of(spark, out, "own")
    assert own["000000"][HAND_COLUMN]["side"] == "right"
    assert own["000005"][HAND_COLUMN]["found"] is None
    assert own["000007"][HAND_COLUMN] is None
    assert (len(own), "000003" in own) == (23, False)
    assert quarantined(spark, out)["own:000003"] == "wrong hand"


@pytest.mark.long
def test_hands_of_an_earlier_version_are_taken_without_what_its_detector_ran_into(spark, tmp_path):
    samples = with_hands(spark, drawn_samples(spark, count=24, seed=1, signers=3))
    hand = F.col(HAND_COLUMN)
    *first, looks = (hand[name].alias(name) for name in HAND_TYPE.names)
    before = F.struct(*first, F.lit(None).cast("string").alias("trouble"), looks)
    former = samples.withColumn(HAND_COLUMN, F.when(hand.isNotNull(), before))
    for name, table in (("now", samples), ("former", former)):
        ingest_sources(spark, [table], str(tmp_path / name), split=SplitOptions(blocks=5))
    now, then = (read_samples(spark, str(tmp_path / name)).orderBy("id") for name in ("now", "former"))
    assert "trouble" in former.schema[HAND_COLUMN].dataType.names
    assert then.schema == now.schema
    assert then.collect() == now.collect()


def test_the_column_becomes_vectors(spark, table):
    out, _ = table
    arrow = read_samples(spark, str(out)).orderBy("id").toPandas()
    import pyarrow as pa

    parquet = pa.concat_tables(
        [pa.parquet.read_table(path, columns=["id", HAND_COLUMN]) for path in sorted(out.rglob("samples/*/*.parquet"))]
    )
    vectors = hand_vectors(parquet[HAND_COLUMN])
    assert vectors.shape == (len(arrow), HAND_NUMBERS)
    seen = dict(zip(parquet["id"].to_pylist(), vectors, strict=True))
    for _, row in arrow.iterrows():
        hand = row[HAND_COLUMN]
        found = hand is not None and hand["found"] is not None
        assert seen[row["id"]][HAND_FOUND] == found
        assert seen[row["id"]][RIGHT_HAND] == (found and hand["side"] == "right")


def test_the_report_counts_hands_by_source_and_try(table):
    out, report = table
    assert set(report.hands_found) == {"hands"}
    found = report.hands_found["hands"]
    assert found.pictures == sum(report.sources["hands"].get(split, 0) for split in SPLITS)
    assert found.found["plain"] >= 5
    assert found.found["padded"] >= 1
    assert found.not_found == 1
    kept = json.loads((out / "ingest.json").read_text())
    assert kept["hands"] == HandOptions().preprocessing()
    assert kept["hands_found"]["hands"]["found"] == found.found
    assert kept["pictures_per_second"] > 0
    said = str(report)
    assert f"hands in hands: {1 - 1 / found.pictures:.1%} of {found.pictures}" in said
    assert "pictures/s" in said


def test_a_cut_file_still_ends_in_the_quarantine(spark, table):
    assert quarantined(spark, table[0])["A/cut.jpg"] == "cut short"


def test_the_sheet_shows_hands_and_what_had_none(table):
    sheet = np.asarray(Image.open(table[0] / "hands.png").convert("RGB"))
    assert min(sheet.shape[:2]) > 300
    cyan = (sheet[:, :, 0] < 80) & (sheet[:, :, 1] > 180) & (sheet[:, :, 2] > 180)
    assert cyan.sum() > 500


@pytest.mark.long
def test_training_data_knows_the_stage_and_folds_keep_the_column(spark, hands, tmp_path):
    out = str(tmp_path / "out")
    upright = HandConfig(on=True, upright=True)
    ingest_sources(
        spark,
        [str(hands)],
        out,
        pictures=options(spark, upright, keep="static"),
        split=SplitOptions(blocks=3, test=0.3),
    )
    found = look_at(spark, out)
    assert (found.hands.options.upright, found.hands.options.margin) == (True, 0.25)
    assert quarantined(spark, out).items() >= {"nothing/N0.jpg": "label not asked for"}.items()
    assert found.labels == ("A", "B")
    samples = read_samples(spark, out)
    fold_options = FoldOptions("stratified", folds=2)
    fold = plan_folds(samples, fold_options)[0]
    assert assign_fold(spark, samples, fold, fold_options).columns == [*SAMPLE_SCHEMA.names, HAND_COLUMN]


def test_dropping_near_twins_keeps_the_column(spark, hands, tmp_path):
    source = next((hands / "A").glob("A*.jpg"))
    for split, label in (("train", "A"), ("test", "A"), ("train", "B")):
        (tmp_path / "set" / split / label).mkdir(parents=True, exist_ok=True)
    shutil.copy(source, tmp_path / "set" / "train" / "A" / "one.jpg")
    Image.open(source).point(lambda value: int(value * 0.97)).save(tmp_path / "set" / "test" / "A" / "twin.png")
    shutil.copy(next((hands / "B").glob("B*.jpg")), tmp_path / "set" / "train" / "B")
    report = ingest_sources(
        spark,
        [str(tmp_path / "set")],
        str(tmp_path / "out"),
        pictures=options(spark, drop_near_duplicates=True),
        split=SplitOptions(validation=0.0),
    )
    assert report.near_duplicates["dropped"] == 1
    left = read_samples(spark, str(tmp_path / "out")).collect()
    assert {row[HAND_COLUMN]["found"] for row in left} <= {"plain", "padded"}
    assert {row["split"] for row in left} == {"train", TEST}


@pytest.mark.parametrize("kind", ["zip", "binaryFile", "image"])
def test_zips_and_tables_of_files_and_images_give_hands_too(spark, hands, tmp_path, kind):
    some = tmp_path / "some" / "B"
    some.mkdir(parents=True)
    for path in sorted((hands / "B").iterdir())[:3]:
        Image.open(path).save(some / f"{path.stem}.png")
    if kind == "zip":
        source = shutil.make_archive(str(tmp_path / "some"), "zip", tmp_path / "some")
    else:
        source = spark.read.format(kind).option("recursiveFileLookup", "true").load(str(some))
    report = ingest_sources(
        spark, [source], str(tmp_path / "out"), pictures=options(spark), split=SplitOptions(test=0, validation=0)
    )
    (found,) = report.hands_found.values()
    assert (found.pictures, found.not_found) == (3, 0)
    assert (tmp_path / "out" / "hands.png").exists()


def test_hands_in_small_copies_are_kept_to_learn_from_and_are_no_part_of_how_pictures_are_read(spark, hands, tmp_path):
    (tmp_path / "some" / "B").mkdir(parents=True)
    for path in sorted((hands / "B").iterdir())[:3]:
        shutil.copy(path, tmp_path / "some" / "B")
    report = ingest_sources(
        spark,
        [str(tmp_path / "some")],
        str(tmp_path / "out"),
        pictures=options(spark, HandConfig(on=True, small_pixels=32)),
        split=SplitOptions(test=0, validation=0),
    )
    rows = read_samples(spark, str(tmp_path / "out")).select(F.size("hand.looks")).collect()
    assert [row[0] for row in rows] == [2 * MOST_LOOKS * 126] * 3
    assert report.hands == HandOptions().preprocessing()


def test_tables_without_the_stage_have_no_such_column(spark, hands, tmp_path):
    report = ingest_sources(spark, [str(hands)], str(tmp_path / "out"), pictures=PictureOptions(keep="letters"))
    assert read_samples(spark, str(tmp_path / "out")).columns == SAMPLE_SCHEMA.names
    assert (report.hands, report.hands_found) == (None, None)
    assert look_at(spark, str(tmp_path / "out")).hands is None
    assert set(report.labels) == {"A", "B", "J"}
    assert quarantined(spark, tmp_path / "out")["nothing/N0.jpg"] == "label not asked for"


def test_the_stage_without_its_networks_says_how_they_are_fetched(spark, monkeypatch, tmp_path):
    monkeypatch.setenv("ASLSPARK_HAND_MODELS", str(tmp_path))
    with pytest.raises(AslsparkError, match=r"hands\.on=true: .*; run: aslspark fetch hand-models"):
        options(spark)
    assert picture_options(spark, PictureConfig(), HandConfig()).hands is None


@pytest.mark.parametrize("word", ["hands.margin=-1", "hands.background=none", "pictures.keep=some"])
def test_settings_out_of_range_are_refused(word):
    with pytest.raises(AslsparkError, match=word.split("=")[0]):
        load_config(None, [word])
