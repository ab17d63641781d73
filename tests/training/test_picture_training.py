import numpy as np
import pytest
from picture_files import fill
from PIL import Image
from pyspark.sql import functions as F

from aslspark import evaluate, train
from aslspark.common.settings import PictureConfig, load_config
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import picture_options
from aslspark.data.samples import TEST, TRAIN, read_samples
from aslspark.features.pipeline import PictureScaler
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.unlabelled import rows_to_score
from aslspark.training.feed import RowReader, SampleFeed

SETTINGS = ["pictures.size=32", "pictures.fit=letterbox"]
TRAINING = ["training.framework=torch", "training.num_proc=1", "training.epochs=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("pictures") / "hands", labels=["A", "B", "del"], count=20)


@pytest.fixture(scope="module")
def stores(spark, folder, tmp_path_factory):
    """The same pictures ingested raw and as PNG."""
    out = tmp_path_factory.mktemp("stores")
    for store in ("raw", "png"):
        options = picture_options(spark, load_config(None, [*SETTINGS, f"pictures.store={store}"]).pictures)
        ingest_sources(spark, [str(folder)], str(out / store), pictures=options)
    return out


@pytest.fixture(scope="module")
def bundle_of(spark, stores, tmp_path_factory):
    """A network trained on either for one epoch, once somebody asks for it."""
    out = tmp_path_factory.mktemp("bundles")

    def trained_on(store):
        if not (out / store).exists():
            train(spark, [str(stores / store)], str(out / store), config=load_config(None, TRAINING))
        return out / store

    return trained_on


@pytest.mark.long
def test_the_sheet_of_changed_pictures_is_the_same_however_they_are_stored(bundle_of):
    raw, png = ((bundle_of(store) / "augmented.png").read_bytes() for store in ("raw", "png"))
    assert raw == png


def test_files_in_the_table_are_fed_as_the_pixels_that_raw_tables_hold(stores):
    fed = {}
    for store in ("raw", "png"):
        reader = RowReader(["A", "B", "del"], (32, 32, 3))
        feed = SampleFeed(f"{stores / store}/samples/split={TRAIN}", reader, batch_size=8)
        fed[store] = {
            (p.tobytes(), n)
            for batch in feed.epoch(0)
            for p, n in zip(batch.pictures, batch.labels.tolist(), strict=True)
        }
    assert len(fed["raw"]) == 48
    assert fed["raw"] == fed["png"]


def test_files_in_the_table_give_the_features_of_raw_ones(spark, stores):
    def vectors(store):
        rows = PictureScaler().transform(read_samples(spark, str(stores / store), [TEST])).collect()
        return {row["id"]: row["pixels"] for row in rows}

    assert read_samples(spark, str(stores / "png")).select("picture.encoding").distinct().collect()[0][0] == "png"
    assert vectors("raw") == vectors("png")


@pytest.mark.long
def test_both_train_to_the_same_network(bundle_of):
    histories = [(bundle_of(store) / "history.csv").read_text().splitlines()[1].split(",") for store in ("raw", "png")]
    columns = (bundle_of("raw") / "history.csv").read_text().splitlines()[0].split(",")
    for name in ("loss", "val_loss"):
        one, other = (float(history[columns.index(name)]) for history in histories)
        assert one == pytest.approx(other, rel=1e-4)


def test_files_score_as_the_samples_that_ingest_makes_of_them(spark, folder, stores, bundle_of):
    model = SignClassifierModel.load(str(bundle_of("raw")))
    assert model.form.fit == "letterbox"
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(folder))
    by_file = model.setInputCol("content").transform(files.select("path", "content")).collect()
    for store in ("raw", "png"):
        ingested = model.setInputCol("picture").transform(read_samples(spark, str(stores / store))).collect()
        expected = {row["id"].split("/")[-1]: row for row in ingested}
        assert len(expected) == len(by_file) == 60
        for row in by_file:
            sample = expected[row["path"].split("/")[-1]]
            assert row["letter"] == sample["letter"]
            assert row["probability"] == pytest.approx(sample["probability"], abs=1e-5)


def test_files_that_cannot_be_scored_keep_their_rows_with_a_reason(spark, folder, bundle_of, tmp_path):
    whole = (folder / "A" / "A1.jpg").read_bytes()
    rows = [
        (1, whole),
        (2, whole[: len(whole) // 2]),
        (3, b"text"),
        (4, None),
        (5, bytes(32 * 32 * 3)),
        (6, b"\xff\xd8\xff" + bytes(32 * 32 * 3 - 3)),
    ]
    frame = spark.createDataFrame([(n, data and bytearray(data)) for n, data in rows], "n int, picture binary")
    scored = SignClassifierModel.load(str(bundle_of("raw"))).transform(frame).orderBy("n").collect()
    reasons = [row["reason"] for row in scored]
    assert (reasons[0], reasons[4], reasons[5]) == (None, None, None)
    assert reasons[1].startswith("cut short")
    assert reasons[2] == "not a picture: 4 bytes that are no JPEG, PNG, GIF, WebP or BMP file"
    assert reasons[3] == "empty: no picture"
    assert all((row["letter"] is None) == (row["reason"] is not None) for row in scored)


def test_a_folder_of_pictures_is_scored_and_judged(spark, folder, bundle_of, tmp_path, request):
    for place in ("A", "nowhere"):
        (tmp_path / "new" / place).mkdir(parents=True)
        for name in ("A1.jpg", "A2.jpg"):
            (tmp_path / "new" / place / name).write_bytes((folder / "A" / name).read_bytes())
    (tmp_path / "new" / "A" / "bad.PNG").write_bytes(b"text")
    (tmp_path / "new" / "A" / "empty.png").write_bytes(b"")
    for name in ("openCostInBytes", "maxPartitionBytes"):  # what it sets for the session must not reach other tests
        request.addfinalizer(lambda name=name: spark.conf.unset(f"spark.sql.files.{name}"))
    request.addfinalizer(lambda: spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch"))
    rows, column = rows_to_score(spark, [str(tmp_path / "new")])
    scored = SignClassifierModel.load(str(bundle_of("raw"))).setInputCol(column).transform(rows).collect()
    assert sorted((row["path"].split("new/")[1], row["label"], row["reason"] is None) for row in scored) == [
        ("A/A1.jpg", "A", True),
        ("A/A2.jpg", "A", True),
        ("A/bad.PNG", "A", False),
        ("A/empty.png", "A", False),
        ("nowhere/A1.jpg", None, True),
        ("nowhere/A2.jpg", None, True),
    ]
    metrics = evaluate(spark, str(bundle_of("raw")), [str(tmp_path / "new")], str(tmp_path / "judged"))
    assert metrics["rows"] == 2
    sample = read_samples(spark, str(tmp_path / "judged" / "ingested")).first()
    pixels = np.frombuffer(sample["picture"]["data"], np.uint8).reshape(32, 32, 3)
    assert not pixels[:2].any()  # the bars of the letterbox, from the bundle
    assert Image.open(tmp_path / "judged" / "confusion.png").size[0] > 100


def test_a_saved_stage_keeps_how_pictures_are_fitted(bundle_of, tmp_path):
    SignClassifierModel.load(str(bundle_of("raw"))).save(str(tmp_path / "stage"))
    assert SignClassifierModel.load(str(tmp_path / "stage")).form.fit == "letterbox"


def test_structs_without_encoding_count_as_raw(spark, stores, bundle_of):
    model = SignClassifierModel.load(str(bundle_of("raw")))
    samples = read_samples(spark, str(stores / "raw"), [TEST])
    plain = samples.withColumn("picture", F.col("picture").dropFields("encoding"))
    assert model.transform(plain).orderBy("id").select("letter", "probability").collect() == (
        model.transform(samples).orderBy("id").select("letter", "probability").collect()
    )


def test_the_default_size_is_one_that_the_network_takes():
    assert PictureConfig().size >= 28
