import csv
import itertools
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from moments import ENTERED, whenever
from picture_files import fill, picture
from PIL import Image
from pyspark.sql import functions as F

import aslspark
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import PictureConfig, load_config
from aslspark.data import write_samples
from aslspark.data.first_pass import count_sources
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures import archives
from aslspark.data.pictures.near_duplicates import NearDuplicates, Pair, draw_sheet
from aslspark.data.pictures.options import PictureOptions, picture_options
from aslspark.data.samples import TEST, TRAIN, VALIDATION, read_samples
from aslspark.data.splits import SplitOptions

SIZE = 48
RETRIED = Path(__file__).resolve().parent.parent / "retried_application.py"


def options(spark, **settings):
    return picture_options(spark, PictureConfig(**{"size": SIZE, **settings}))


def quarantined(spark, out):
    rows = spark.read.parquet(f"{out}/quarantine").collect()
    return {row["detail"].split(": ")[0]: (row["reason"], row["row"], row["detail"]) for row in rows}


def splits_of(spark, out):
    return {row["id"].partition(":")[2]: row["split"] for row in read_samples(spark, str(out)).collect()}


@pytest.fixture(scope="module")
def mixed(spark, tmp_path_factory):
    """A folder with good pictures and everything that goes wrong, ingested."""
    folder = fill(tmp_path_factory.mktemp("mixed") / "hands", labels=["A", "b", "Space", "J"])
    a = folder / "A"
    (a / "A1.jpg").rename(a / "A1.JPG")
    whole = (a / "A2.jpg").read_bytes()
    (a / "A13.jpg").write_bytes(whole[:-100])
    (a / "A14.jpg").write_bytes(b"")
    (a / "A15.png").write_bytes(b"not a picture")
    place = whole.index(b"\xff\xc0") + 5
    (a / "A16.jpg").write_bytes(whole[:place] + (30_000).to_bytes(2, "big") * 2 + whole[place + 4 :])
    shutil.copy(a / "A2.jpg", a / "_A17.jpg")
    (a / "odd [1] name%20é.jpg").write_bytes((a / "A3.jpg").read_bytes())
    (a / "notes.txt").write_text("hello")
    fill(folder / "unsorted", labels=["misc"], count=2)
    out = folder.parent / "out"
    report = ingest_sources(spark, [str(folder)], str(out), pictures=options(spark))
    return folder, out, report


def test_every_picture_is_kept_or_quarantined_with_its_reason(spark, mixed):
    _, out, report = mixed
    assert (report.read, report.kept, report.quarantined) == (54, 50, 4)
    found = quarantined(spark, out)
    assert {name: reason for name, (reason, _, _) in found.items()} == {
        "A/A13.jpg": "cut short",
        "A/A14.jpg": "empty",
        "A/A15.png": "not a picture",
        "A/A16.jpg": "too many pixels",
    }
    assert not list(out.glob("unpacked"))


def test_labels_come_from_folders_in_any_case_and_others_are_passed_over(spark, mixed):
    folder, out, report = mixed
    assert set(report.labels) == {"A", "B", "J", "space"}
    passed = " ".join(report.passed_over)
    assert "unsorted/misc: 2 pictures" in passed
    assert "1 file that does not end in" in passed
    sample = read_samples(spark, str(out)).where(F.col("id") == "hands:A/A1.JPG").first()
    assert (sample["label"], sample["source"], sample["signer"]) == ("A", "hands", None)
    assert tuple(sample["picture"])[:3] == (SIZE, SIZE, 3)
    assert sample["picture"]["encoding"] == "raw"
    wanted = np.asarray(Image.open(folder / "A" / "A1.JPG").crop((5, 0, 55, 50)).resize((SIZE, SIZE)))
    found = np.frombuffer(sample["picture"]["data"], np.uint8).reshape(SIZE, SIZE, 3)
    assert np.abs(found.astype(int) - wanted).mean() < 3


def test_odd_names_are_read(spark, mixed):
    assert "A/odd [1] name%20é.jpg" in splits_of(spark, mixed[1])


def test_blocks_are_runs_of_names_in_the_order_people_count(spark, mixed):
    splits = splits_of(spark, mixed[1])
    # Twelve pictures in ten blocks: whole runs go together, and A2 stands before A10.
    for label, folder in (("b", "b"), ("J", "J")):
        run = [splits[f"{folder}/{label}{number}.jpg"] for number in range(1, 13)]
        changes = sum(one != other for one, other in itertools.pairwise(run))
        assert set(run) == {TRAIN, VALIDATION, TEST}
        assert changes <= 4


def test_train_and_test_folders_decide_the_split_and_train_gives_validation(spark, tmp_path):
    fill(tmp_path / "set" / "train", count=10)
    fill(tmp_path / "set" / "Test", count=4, first=50)
    report = ingest_sources(spark, [str(tmp_path / "set")], str(tmp_path / "out"), pictures=options(spark))
    splits = splits_of(spark, tmp_path / "out")
    assert {split for name, split in splits.items() if name.startswith("Test/")} == {TEST}
    assert {split for name, split in splits.items() if name.startswith("train/")} == {TRAIN, VALIDATION}
    assert report.splits == {TRAIN: 27, VALIDATION: 3, TEST: 12}


def test_the_signer_is_found_in_the_path_and_whole_signers_are_held_out(spark, tmp_path):
    for hand in range(1, 5):
        fill(tmp_path / "set" / f"hand{hand}_day", labels="AB", count=3, first=100 * hand)
    split = SplitOptions(kind="signer", validation=0.25, test=0.25)
    signers = options(spark, signer_pattern=r"hand(\d)_")
    ingest_sources(spark, [str(tmp_path / "set")], str(tmp_path / "out"), split=split, pictures=signers)
    rows = read_samples(spark, str(tmp_path / "out")).select("id", "signer", "split").collect()
    assert all(row["signer"] == row["id"].split("hand")[1][0] for row in rows)
    assert len({(row["signer"], row["split"]) for row in rows}) == 4
    unnamed = (
        r"name no signer \(24 of set, first hand1_day/A/A1.jpg\); .*signer_pattern that is found in their paths; set"
    )
    for pattern in ({}, {"signer_pattern": r"person(\d)_"}):
        with pytest.raises(AslsparkError, match=unnamed):
            ingest_sources(
                spark, [str(tmp_path / "set")], str(tmp_path / "no"), split=split, pictures=options(spark, **pattern)
            )


def test_a_pattern_that_no_path_has_is_warned_of_where_signers_are_not_split(spark, tmp_path):
    fill(tmp_path / "set", labels="AB", count=3)
    signers = options(spark, signer_pattern=r"person(\d)_")
    report = ingest_sources(spark, [str(tmp_path / "set")], str(tmp_path / "out"), pictures=signers)
    assert r"pictures.signer_pattern=person(\d)_ matches no path of 6 pictures, such as A/A1.jpg" in report.warnings


def test_where_no_picture_can_be_used_the_error_names_the_table_that_says_why_of_each(spark, tmp_path):
    for label in "AB":
        (tmp_path / "hands" / label).mkdir(parents=True)
        for number in range(20):
            (tmp_path / "hands" / label / f"{number}.jpg").write_text("a page that was saved as a picture")
    config = load_config(overrides="mllib.classifier=forest")
    for do, kept in ((aslspark.ingest, "out.quarantine"), (aslspark.train, "out.quarantine-2")):
        with pytest.raises(AslsparkError, match=f"none of 40 rows .* {tmp_path}/{kept} is a Parquet table"):
            do(spark, str(tmp_path / "hands"), f"{tmp_path}/out/", config=config)
        rows = spark.read.parquet(str(tmp_path / kept)).collect()
        assert {row.reason for row in rows} == {"not a picture"}
        names = {row.detail.split(": ")[0] for row in rows}
        assert names == {f"{label}/{number}.jpg" for label in "AB" for number in range(20)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hands", "out.quarantine", "out.quarantine-2"]


def test_a_picture_without_a_signer_beside_others_is_quarantined_where_signers_are_split(spark, tmp_path):
    for hand in range(1, 5):
        fill(tmp_path / "set" / f"hand{hand}_day", labels="AB", count=3, first=100 * hand)
    fill(tmp_path / "set" / "day", labels="A", count=1, first=900)
    split = SplitOptions(kind="signer", validation=0.25, test=0.25)
    signers = options(spark, signer_pattern=r"hand(\d)_")
    report = ingest_sources(spark, [str(tmp_path / "set")], str(tmp_path / "out"), split=split, pictures=signers)
    assert (report.kept, report.quarantined) == (24, 1)
    [reason] = report.reasons
    assert (reason.reason, reason.rows) == ("no signer", 1)
    assert "set: day/A/A1.jpg: " in reason.first
    by_block = ingest_sources(spark, [str(tmp_path / "set")], str(tmp_path / "all"), pictures=signers)
    assert by_block.quarantined == 0


def manifest(folder, rows, columns=("path", "label", "signer", "split")):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "pictures.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return folder / "pictures.csv"


def test_a_manifest_names_pictures_labels_signers_and_splits(spark, tmp_path):
    for number in range(8):
        (tmp_path / "files").mkdir(exist_ok=True)
        picture(number).save(tmp_path / "files" / f"{number}.png")
    picture(99).save(tmp_path / "files" / "not named.png")
    rows = [(f"../files/{n}.png", n % 2, f"s{n}", "test" if n > 5 else "train" if n > 3 else "") for n in range(7)]
    rows += [(str(tmp_path / "files" / "7.png"), 1, "s7", "valid"), ("../files/gone.png", 0, "", "")]
    rows += [("../files/0.png", 7, "", ""), ("../files/1.png", 0, "", "sometimes")]
    path = manifest(tmp_path / "lists", rows)
    (tmp_path / "labels.json").write_text(json.dumps({"0": "A", "1": "del"}))
    named = options(spark, labels=str(tmp_path / "labels.json"), roots=str(tmp_path))
    report = ingest_sources(spark, [str(path)], str(tmp_path / "out"), pictures=named)
    found = {row["id"]: row for row in read_samples(spark, str(tmp_path / "out")).collect()}
    assert (report.read, report.kept) == (11, 8)
    assert found["pictures.csv:../files/3.png"]["label"] == "del"
    assert found["pictures.csv:../files/3.png"]["signer"] == "s3"
    assert found["pictures.csv:../files/6.png"]["split"] == TEST
    assert found[f"pictures.csv:{tmp_path}/files/7.png"]["split"] == VALIDATION
    assert {row["split"] for row in found.values()} == {TRAIN, TEST, VALIDATION}
    rows = spark.read.parquet(f"{tmp_path}/out/quarantine").orderBy("row").collect()
    assert [(row["row"], row["reason"]) for row in rows] == [
        (9, "missing"),
        (10, "unknown label"),
        (11, "unknown split"),
    ]


def zipped(folder, path, extra=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, f"inside/{file.relative_to(folder)}")
        for name, data in extra:
            archive.writestr(name, data)
    return str(path)


def test_a_zip_gives_what_its_folder_gives_and_nothing_leaves_it(spark, tmp_path):
    folder = fill(tmp_path / "set", count=10)
    good = (folder / "A" / "A1.jpg").read_bytes()
    extra = [
        ("../../A/escaped.jpg", good),
        ("/A/rooted.jpg", good),
        ("__MACOSX/A/._A1.jpg", b"x"),
        ("A/cut.jpg", good[: len(good) // 2]),
    ]
    path = zipped(folder, tmp_path / "set.zip", extra)
    damaged = bytearray((tmp_path / "set.zip").read_bytes())
    damaged[damaged.index(b"inside/A/A5.jpg") + 100] ^= 0xFF
    (tmp_path / "set.zip").write_bytes(damaged)
    report = ingest_sources(spark, [path], str(tmp_path / "zipped" / "out"), pictures=options(spark))
    ingest_sources(spark, [str(folder)], str(tmp_path / "plain"), pictures=options(spark))
    assert (report.read, report.kept) == (33, 29)
    assert {name: reason for name, (reason, _, _) in quarantined(spark, tmp_path / "zipped" / "out").items()} == {
        "../../A/escaped.jpg": "unsafe name",
        "/A/rooted.jpg": "unsafe name",
        "A/cut.jpg": "cut short",
        "inside/A/A5.jpg": "damaged in the zip",
    }
    assert not [path for path in tmp_path.rglob("*") if path.name in ("escaped.jpg", "rooted.jpg")]
    assert sorted(path.name for path in (tmp_path / "zipped").iterdir()) == ["out"]

    def pixels(out):
        rows = read_samples(spark, str(out)).collect()
        return {
            row["id"].removeprefix("set.zip:inside/").removeprefix("set:"): bytes(row["picture"]["data"])
            for row in rows
        }

    plain = pixels(tmp_path / "plain")
    assert {name: data for name, data in plain.items() if name != "A/A5.jpg"} == pixels(tmp_path / "zipped" / "out")


def test_a_zip_with_a_manifest_is_read_by_it(spark, tmp_path):
    folder = fill(tmp_path / "set", labels=["x"], count=4)
    manifest(
        folder,
        [(f"x/x{n}.jpg", "AB"[n % 2], "train" if n < 3 else "test") for n in range(1, 5)] + [("../y.jpg", "A", "")],
        ("path", "label", "split"),
    )
    report = ingest_sources(
        spark,
        [zipped(folder, tmp_path / "set.zip")],
        str(tmp_path / "out"),
        split=SplitOptions(validation=0),
        pictures=options(spark),
    )
    assert report.splits == {TRAIN: 2, TEST: 2}
    assert set(report.labels) == {"A", "B"}
    assert quarantined(spark, tmp_path / "out")["../y.jpg"][0] in ("missing", "unsafe name")


@pytest.mark.parametrize("trick", ["bomb", "entries", "unpacked", "cut", "no labels"])
def test_zips_that_would_do_harm_are_refused(spark, tmp_path, monkeypatch, trick):
    folder = fill(tmp_path / "set", labels="A" if trick != "no labels" else ["misc"], count=3)
    path = zipped(folder, tmp_path / "set.zip", [("A/zeros.png", bytes(3 << 20))] if trick == "bomb" else [])
    if trick == "entries":
        monkeypatch.setattr(archives, "MAX_ENTRIES", 2)
    if trick == "unpacked":
        monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1000)
    if trick == "cut":
        (tmp_path / "set.zip").write_bytes((tmp_path / "set.zip").read_bytes()[:-40])
    words = {
        "bomb": "no picture shrinks",
        "entries": "more than 2",
        "unpacked": "more than 1,000",
        "cut": "no zip, or cut short",
        "no labels": "no picture in a folder",
    }
    with pytest.raises(AslsparkError, match=words[trick]):
        ingest_sources(spark, [path], str(tmp_path / "out"), pictures=options(spark))
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_binary_and_image_tables_give_what_the_folder_gives(spark, tmp_path):
    folder = fill(tmp_path / "set", count=5, kind="png")
    (folder / "A" / "A9.png").write_bytes(b"text")
    ingest_sources(spark, [str(folder)], str(tmp_path / "plain"), pictures=options(spark))
    binary = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(folder))
    report = ingest_sources(spark, [binary], str(tmp_path / "binary"), pictures=options(spark))
    labelled = binary.select("path", "content", F.lit("del").alias("label")).where("path not like '%/A9.png'")
    with_label = ingest_sources(spark, [labelled], str(tmp_path / "labelled"), pictures=options(spark))
    images = spark.read.format("image").option("recursiveFileLookup", "true").load(str(folder))
    by_image = ingest_sources(spark, [images], str(tmp_path / "image"), pictures=options(spark))
    assert (report.read, report.kept, by_image.read, by_image.kept) == (16, 15, 16, 15)
    assert set(with_label.labels) == {"del"}

    def pixels(out):
        rows = read_samples(spark, str(out)).collect()
        return {
            "/".join(row["id"].split(":")[-1].split("/")[-2:]): (row["label"], bytes(row["picture"]["data"]))
            for row in rows
        }

    plain = pixels(tmp_path / "plain")
    assert len(plain) == 15
    assert pixels(tmp_path / "binary") == plain
    assert pixels(tmp_path / "image") == plain


def test_a_picture_that_vanishes_is_quarantined(spark, tmp_path):
    folder = fill(tmp_path / "set", count=10)
    with whenever(count_sources, ENTERED, lambda _: (folder / "A" / "A3.jpg").unlink()):
        report = ingest_sources(spark, [str(folder)], str(tmp_path / "out"), pictures=options(spark))
    assert (report.read, report.kept) == (30, 29)
    assert quarantined(spark, tmp_path / "out")["A/A3.jpg"][0] == "unreadable"


def test_a_folder_of_pictures_is_one_job_of_spark(spark, tmp_path):
    fill(tmp_path / "set", count=10)
    (tmp_path / "set" / "A" / "A1.jpg").write_bytes(b"no picture")
    spark.sparkContext.setJobGroup("one job", "an ingest")
    try:
        report = ingest_sources(spark, [str(tmp_path / "set")], str(tmp_path / "out"), pictures=options(spark))
        assert len(spark.sparkContext.statusTracker().getJobIdsForGroup("one job")) == 1
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    assert (report.kept, report.quarantined, report.near_duplicates["others"]) == (29, 1, 0)


def test_more_pictures_than_may_send_the_driver_a_line_are_written_by_spark_and_are_the_same(
    spark, tmp_path, monkeypatch
):
    folder = fill(tmp_path / "hands", count=8)
    (folder / "A" / "A1.jpg").write_bytes(b"no picture")
    shutil.copy(folder / "A" / "A2.jpg", folder / "A" / "A9.jpg")
    split = SplitOptions(kind="random", test=0.4, validation=0.2)

    def ingested(out):
        report = ingest_sources(spark, [str(folder)], str(tmp_path / out), pictures=options(spark), split=split)
        rows = {row["id"]: row for row in read_samples(spark, str(tmp_path / out)).collect()}
        return rows, quarantined(spark, tmp_path / out), report.near_duplicates, report.exact_duplicates

    by_tasks = ingested("by-tasks")
    monkeypatch.setattr(write_samples, "MOST_LINES", 24)
    assert ingested("by-spark") == by_tasks
    assert (tmp_path / "by-spark" / "samples" / "_SUCCESS").exists()  # as Spark marks what it wrote


@pytest.mark.long
@pytest.mark.promise(
    "books",
    "What an attempt of a task wrote before it failed is neither counted nor left behind.",
    kind="a worker that is killed",
)
def test_what_a_killed_attempt_wrote_is_neither_counted_nor_left_behind(spark, tmp_path):
    fill(tmp_path / "hands", labels="A", count=12)
    command = [sys.executable, str(RETRIED), str(tmp_path / "hands"), str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
    saw = json.loads(run.stdout.splitlines()[-1])
    assert sum(json.loads((tmp_path / "out.first-attempt").read_text())) > 1 << 20
    assert sorted(saw["ids"]) == sorted(f"hands:A/A{number}.jpg" for number in range(1, 13))
    assert saw["kept"] == 12
    visible = {name for name in saw["written"] if not name.startswith(".")}
    assert visible == {"hands.png", "ingest.json", "quarantine", "report.html", "samples"}


def test_names_above_near_duplicates_do_not_run_into_each_other(monkeypatch):
    saved, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *args, **how: (save(figure, *args, **how), saved.append(figure))
    )
    names = [f"table:{digit * 64}" for digit in "0123456789ab"]
    pairs = [Pair(one, other, 3) for one, other in itertools.pairwise(names)]
    grey = {"height": 8, "width": 8, "channels": 1, "data": bytes(64), "encoding": "raw"}
    draw_sheet(NearDuplicates(6, len(pairs), len(pairs), closest=pairs), dict.fromkeys(names, grey))
    boxes = [text.get_window_extent() for axes in saved[0].axes for text in axes.texts]
    assert len(boxes) == 1 + 2 * len(pairs)
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize(("drop", "by_spark"), [(False, False), (True, False), (True, True)])
def test_near_twins_across_the_split_are_counted_drawn_and_dropped(spark, tmp_path, monkeypatch, drop, by_spark):
    table = by_spark  # beside pictures
    fill(tmp_path / "set" / "train", count=6)
    fill(tmp_path / "set" / "test", count=3, first=100)
    for label in "AB":  # a little darker, so not the same bytes
        twin = tmp_path / "set" / "train" / label / f"{label}1.jpg"
        Image.open(twin).point(lambda value: int(value * 0.9)).save(tmp_path / "set" / "test" / label / "twin.png")
    wanted = options(spark, drop_near_duplicates=drop)
    split = SplitOptions(validation=0)
    sources = [str(tmp_path / "set")]
    if by_spark:  # writes what else the tasks that decode write themselves
        monkeypatch.setattr(write_samples, "MOST_LINES", 0)
        sources.append(grey_table(tmp_path / "letters.csv", 1))
    report = ingest_sources(spark, sources, str(tmp_path / "out"), split=split, pictures=wanted)
    found = report.near_duplicates
    assert (found["test"], found["others"], found["dropped"]) == (2, 2, 2 if drop else 0)
    assert {(pair["test"], pair["other"]) for pair in found["closest"]} == {
        (f"set:test/{label}/twin.png", f"set:train/{label}/{label}1.jpg") for label in "AB"
    }
    assert "2 test pictures have near duplicates" in str(report)
    assert Image.open(tmp_path / "out" / "near_duplicates.png").size[0] > 300
    assert json.loads((tmp_path / "out" / "ingest.json").read_text())["near_duplicates"] == found
    kept = splits_of(spark, tmp_path / "out")
    assert (report.read, report.kept, len(kept)) == (29 + table, (27 if drop else 29) + table, report.kept)
    reasons = quarantined(spark, tmp_path / "out")
    assert set(reasons) == ({"train/A/A1.jpg", "train/B/B1.jpg"} if drop else set())
    assert {reason for reason, _, _ in reasons.values()} <= {"near-twin of a test picture"}


def grey_table(path, rows):
    names = [f"pixel{number}" for number in range(1, 785)]
    lines = [",".join(["label", *names]), *(",".join(["3", *["7"] * 784]) for _ in range(rows))]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_pictures_and_pixel_tables_go_into_one_table(spark, tmp_path):
    fill(tmp_path / "set", count=10)
    report = ingest_sources(
        spark,
        [str(tmp_path / "set"), grey_table(tmp_path / "letters.csv", 30)],
        str(tmp_path / "out"),
        pictures=options(spark, size=28, grey=True),
    )
    assert (report.read, report.kept) == (60, 60)
    shapes = read_samples(spark, str(tmp_path / "out")).select("picture.height", "picture.width", "picture.channels")
    assert [tuple(row) for row in shapes.distinct().collect()] == [(28, 28, 1)]


def test_a_folder_without_labels_says_what_to_do(spark, tmp_path):
    fill(tmp_path / "set", labels=["one", "two"], count=2)
    with pytest.raises(AslsparkError, match=r"one: 2 pictures.*pictures\.labels"):
        ingest_sources(spark, [str(tmp_path / "set")], str(tmp_path / "out"), pictures=options(spark))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"signer_pattern": "hand(\\d"}, "signer_pattern"),
        ({"signer_pattern": "hand\\d"}, "put the signer in a group"),
        ({"skin_low": "0,60"}, "skin_low=0,60"),
        ({"skin_high": "0,60,300"}, "skin_high=0,60,300"),
        ({"labels": "/nowhere.json"}, "no such file"),
    ],
)
def test_settings_that_cannot_work_are_named(spark, settings, words):
    with pytest.raises(AslsparkError, match=words):
        options(spark, **settings)


def test_patterns_may_be_written_as_words():
    config = load_config(None, [r"pictures.signer_pattern=[a-z]+(\d)_"])
    assert config.pictures.signer_pattern == r"[a-z]+(\d)_"
    assert PictureOptions().form.shape == (config.pictures.size, config.pictures.size, 3)
