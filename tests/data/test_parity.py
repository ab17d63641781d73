"""Every way in gives the same answer to the same picture, or the same reason: ingest, scoring, the service, MLflow."""

import base64
import io
import json

import numpy as np
import pandas as pd
import picture_files
import pytest
from PIL import Image
from pyspark.ml.linalg import Vectors
from serving_bundles import SHAPE, network, write_bundle

from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.samples import read_samples
from aslspark.data.tables.pixel_layout import COLUMNS
from aslspark.images.image_spec import ImageSpec
from aslspark.registry.tracking_model import BundleModel
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.reader import NUMBERS, Reader
from aslspark.scoring.unlabelled import rows_to_score, with_reasons
from aslspark.serving.limits import Limits
from aslspark.serving.payload import plain_pictures
from aslspark.workflows.score import score

RANDOM = np.random.default_rng(3)
SMOOTH = Image.fromarray(RANDOM.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((80, 60), Image.Resampling.BICUBIC)
CLEAR = Image.merge("RGBA", (*SMOOTH.split(), SMOOTH.convert("L")))
WIDE = Image.fromarray(RANDOM.integers(0, 65536, (60, 80)).astype(np.uint16))


def as_file(image, kind, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def turned(kind, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    return as_file(SMOOTH, kind, exif=exif)


MORE = {"save_all": True, "append_images": [SMOOTH.rotate(90), SMOOTH.rotate(180)]}
GOOD = {
    "jpeg": as_file(SMOOTH, "JPEG"),
    "jpeg, grey": as_file(SMOOTH.convert("L"), "JPEG"),
    "jpeg, cmyk": as_file(SMOOTH.convert("CMYK"), "JPEG"),
    "jpeg, progressive": as_file(SMOOTH, "JPEG", progressive=True),
    "jpeg with another behind it": as_file(SMOOTH, "MPO", **MORE),
    **{f"{kind}, turned {turn}": turned(kind, turn) for kind in ("JPEG", "PNG", "WEBP") for turn in range(2, 9)},
    "png": as_file(SMOOTH, "PNG"),
    "png, one bit": as_file(SMOOTH.convert("1"), "PNG"),
    "png, palette": as_file(SMOOTH.convert("P"), "PNG"),
    "png, palette with a clear colour": as_file(SMOOTH.convert("P"), "PNG", transparency=3),
    "png, palette with alpha": as_file(SMOOTH.convert("P"), "PNG", transparency=bytes(range(256))),
    "png, grey with alpha": as_file(CLEAR.convert("LA"), "PNG"),
    "png, alpha": as_file(CLEAR, "PNG"),
    "png, sixteen bits": as_file(WIDE, "PNG"),
    "png, animated": as_file(SMOOTH, "PNG", **MORE),
    "gif": as_file(SMOOTH, "GIF"),
    "gif, animated": as_file(SMOOTH, "GIF", **MORE),
    "webp": as_file(SMOOTH, "WEBP"),
    "webp, lossless with alpha": as_file(CLEAR, "WEBP", lossless=True),
    "webp, animated": as_file(SMOOTH, "WEBP", **MORE),
    "bmp": as_file(SMOOTH, "BMP"),
    "bmp, one bit": as_file(SMOOTH.convert("1"), "BMP"),
    "bmp, palette": as_file(SMOOTH.convert("P"), "BMP"),
    "one pixel": as_file(Image.new("L", (1, 1), 90), "PNG"),
}
SCAN = GOOD["jpeg, progressive"]
SCAN = SCAN[: SCAN.rindex(b"\xff\xda")] + SCAN[SCAN.rindex(b"\xff\xda") : -2] * 500 + b"\xff\xd9"
HUGE = bytearray(GOOD["jpeg"])
HUGE[HUGE.index(b"\xff\xc0") + 5 : HUGE.index(b"\xff\xc0") + 9] = b"\xff\xff\xff\xff"
BAD = {
    "empty": (b"", "empty"),
    "text": (b"no picture at all", "not a picture"),
    "a byte": (b"\0", "not a picture"),
    "tiff": (as_file(SMOOTH, "TIFF"), "not a picture"),
    "half a jpeg": (GOOD["jpeg"][: len(GOOD["jpeg"]) // 2], "cut short"),
    "half a png": (GOOD["png"][: len(GOOD["png"]) // 2], "cut short"),
    "a head alone": (GOOD["png"][:40], "not a picture"),
    "a huge header": (bytes(HUGE), "too many pixels"),
    "many scans": (SCAN, "too much work to decode"),
    "millimetres": (as_file(Image.fromarray((np.asarray(WIDE) // 64).astype(np.uint16)), "PNG"), "16 bits, not scaled"),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundles") / "plain", network())


def word(reason):
    return None if reason is None else reason.partition(":")[0]


def by_service(reader, kind, body):
    """Ask as a request does: the body's pictures, each with its answer."""
    pictures = plain_pictures(kind, body, Limits())
    return [reader.read(picture.value, picture.kind) for picture in pictures]


def told(answer):
    return answer.letter, word(answer.reason), answer.probability


@pytest.mark.promise(
    "readers",
    "A picture file of any kind gets the same letter and probability from scoring, the service and MLflow's model, as "
    "its ingested sample does; or the reason that stands in the quarantine.",
    kind="a format decoded in two ways",
)
def test_every_kind_of_picture_file_is_read_alike_by_every_way_in(spark, bundle, tmp_path):
    files = {name: data for name, data in GOOD.items()} | {name: data for name, (data, _) in BAD.items()}
    names = list(files)
    for place, data in enumerate(files.values()):
        path = tmp_path / "hands" / "AB"[place % 2] / f"{place}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    reader, model, of_mlflow = Reader.load(bundle), SignClassifierModel.load(bundle), BundleModel(bundle)
    wanted = {name: told(reader.read(data)) for name, data in files.items()}
    for name, (letter, reason, _) in wanted.items():
        assert reason == (BAD[name][1] if name in BAD else None), name
        assert (letter is None) == (reason is not None), name

    def same(found, way):
        assert set(found) == set(names), way
        for name, (letter, reason, probability) in found.items():
            assert (letter, reason) == wanted[name][:2], (way, name)
            assert probability == pytest.approx(wanted[name][2], abs=1e-5), (way, name)

    place = {name: f"/{'AB'[number % 2]}/{number}.jpg" for number, name in enumerate(names)}
    for with_contents, way in ((True, "score"), (False, "score, by paths")):
        rows, column = rows_to_score(spark, [str(tmp_path / "hands")], with_contents=with_contents)
        model.are_paths = not with_contents
        scored = model.setInputCol(column).transform(rows).drop(column).collect()
        of_path = {row["path"][row["path"].rindex("/hands/") + 6 :]: row for row in scored}
        same({name: told_row(of_path[place[name]]) for name in names}, way)

    pyfunc = of_mlflow.predict(pd.DataFrame({"picture": list(files.values())}))
    of_pyfunc = dict(zip(names, pyfunc.itertuples(index=False), strict=True))
    unread = {name: row.letter is None for name, row in of_pyfunc.items()}
    same({n: (r.letter, word(r.reason), None if unread[n] else r.probability) for n, r in of_pyfunc.items()}, "pyfunc")

    parts = [json.dumps({"pictures": [base64.b64encode(data).decode()]}).encode() for data in files.values()]
    same(
        {name: told(by_service(reader, "application/json", part)[0]) for name, part in zip(names, parts, strict=True)},
        "JSON",
    )
    same({name: told(by_service(reader, "image/jpeg", data)[0]) for name, data in files.items()}, "a file as the body")

    options = PictureOptions(form=ImageSpec(*SHAPE))
    report = ingest_sources(spark, [str(tmp_path / "hands")], str(tmp_path / "out"), pictures=options)
    assert (report.read, report.kept) == (len(files), len(GOOD))
    samples = SignClassifierModel.load(bundle).transform(read_samples(spark, str(tmp_path / "out"))).collect()
    of_name = {row["id"].partition(":")[2]: told_row(row) for row in samples}
    for row in spark.read.parquet(str(tmp_path / "out" / "quarantine")).collect():
        of_name[row["detail"].partition(":")[0]] = (None, row["reason"], None)
    same({name: of_name[place[name][1:]] for name in names}, "ingest")


def told_row(row):
    return row["letter"], word(row["reason"]), row["probability"]


PIXELS = RANDOM.integers(2, 256, 784).astype(float)


def with_first(value):
    return [value, *PIXELS[1:].tolist()]


NUMBERS_OF = {
    "whole": (PIXELS.tolist(), None),
    "black": ([0.0] * 784, None),
    "nearly whole": ((PIXELS / 255 * 255.00001).tolist(), None),
    "divided by 255": ((PIXELS / 255).tolist(), "scaled to 0-1"),
    "0 and 1": ([0.0, 1.0] * 392, "scaled to 0-1"),
    "one fraction": (with_first(12.5), "not a number"),
    "below 0": (with_first(-1.0), "out of 0-255"),
    "above 255": (with_first(256.0), "out of 0-255"),
    "far above": (with_first(1e30), "out of 0-255"),
    "not a number": (with_first(float("nan")), "not a number"),
    "nothing": (with_first(None), "not a number"),
}


@pytest.mark.promise(
    "readers",
    "Pixels as numbers get the same letter, or the same reason, from a table, an array, a Vector, a JSON list, a CSV "
    "body and the reader; numbers that were divided by 255 are a reason everywhere.",
    kind="a format decoded in two ways",
)
def test_numbers_are_taken_or_refused_alike_by_every_way_in(spark, bundle, tmp_path):
    reader = Reader.load(bundle)
    wanted = {name: told(reader.read(numbers, NUMBERS)) for name, (numbers, _) in NUMBERS_OF.items()}
    assert {name: reason for name, (_, reason, _) in wanted.items()} == {n: r for n, (_, r) in NUMBERS_OF.items()}
    names = list(NUMBERS_OF)

    def same(found, way):
        for name, (letter, reason, probability) in zip(names, found, strict=True):
            assert (letter, reason) == wanted[name][:2], (way, name)
            assert probability == pytest.approx(wanted[name][2], abs=1e-5), (way, name)

    def text(numbers):
        return ",".join("" if value is None else repr(value) for value in numbers)

    lines = [text(numbers) for numbers, _ in NUMBERS_OF.values()]
    same(map(told, by_service(reader, "text/csv", "\n".join(lines).encode())), "CSV")
    headed = [",".join(["Label", *COLUMNS[1:]]), *(f"3,{line}" for line in lines)]
    same(map(told, by_service(reader, "text/csv", "\r\n".join(headed).encode())), "CSV with a header")
    body = json.dumps({"pictures": [numbers for numbers, _ in NUMBERS_OF.values()]}).encode()
    same(map(told, by_service(reader, "application/json", body)), "JSON")

    def scored(frame, column):
        model = SignClassifierModel.load(bundle).setInputCol(column)
        return map(told_row, model.transform(frame).orderBy("row").drop(column).collect())

    arrays = [(place, numbers) for place, (numbers, _) in enumerate(NUMBERS_OF.values())]
    same(scored(spark.createDataFrame(arrays, "row int, picture array<double>"), "picture"), "array")
    nan = [(place, Vectors.dense([np.nan if n is None else n for n in numbers])) for place, numbers in arrays]
    same(scored(spark.createDataFrame(nan, ["row", "picture"]), "picture"), "Vector")

    path = tmp_path / "letters.csv"
    path.write_text("\n".join([",".join(COLUMNS), *(f"3,{line}" for line in lines)]) + "\n")
    same(scored(*rows_to_score(spark, [str(path)])), "table")
    ingest_sources(spark, [str(path)], str(tmp_path / "out"))
    quarantine = spark.read.parquet(str(tmp_path / "out" / "quarantine")).orderBy("row").collect()
    reasons = {name: word(reason) for name, (_, reason) in NUMBERS_OF.items()}
    assert [(row["row"], row["reason"]) for row in quarantine] == [
        (place, reasons[name]) for place, name in enumerate(names, 1) if reasons[name]
    ]


@pytest.mark.promise(
    "input",
    "One picture of a request or of a batch that cannot be used has its reason in its place, and the others their "
    "letters.",
    kind="one row that ends the others",
)
def test_what_is_no_picture_in_a_request_or_a_batch_costs_itself_alone(bundle):
    reader = Reader.load(bundle)
    good = PIXELS.tolist()
    body = json.dumps({"pictures": [good, [1, True], "?", [10**400] * 784, [[1]] * 784, good]}).encode()
    found = [word(answer.reason) for answer in by_service(reader, "application/json", body)]
    assert found == [None, "not a number", "no base64", "out of 0-255", "not a number", None]
    odd = [GOOD["png"], None, 7, "png", [1, 2], float("nan"), b"", np.zeros(784), GOOD["gif"]]
    answers = BundleModel(bundle).predict(pd.DataFrame({"picture": pd.Series(odd, dtype=object)}))
    assert [word(reason) for reason in answers["reason"]] == [
        None,
        "empty",
        "not a picture",
        "not a picture",
        "not a picture",
        "empty",
        "empty",
        "not a picture",
        None,
    ]


@pytest.mark.long
def test_files_that_are_called_otherwise_than_they_are_get_letters(spark, cases, bundle, tmp_path):
    folder = str(cases / "webp_named_jpg" / "hands")
    rows, column = rows_to_score(spark, [folder])
    scored = SignClassifierModel.load(bundle).setInputCol(column).transform(rows).drop(column).collect()
    assert [row["reason"] for row in scored] == [None] * 10
    assert ingest_sources(spark, [folder], str(tmp_path / "out")).kept == 10
    reader = Reader.load(bundle)
    for path in (cases / "webp_named_jpg" / "hands").rglob("*.jpg"):
        assert reader.read(path.read_bytes()).letter


def test_clear_pixels_of_structs_and_of_spark_images_are_black_as_those_of_files(spark, bundle):
    pixels = np.asarray(CLEAR)
    on_black = Image.alpha_composite(Image.new("RGBA", CLEAR.size, (0, 0, 0, 255)), CLEAR).convert("RGB")
    bgra = bytearray(pixels[:, :, [2, 1, 0, 3]].tobytes())
    picture = spark.createDataFrame(
        [((60, 80, 4, bytearray(pixels.tobytes())),)],
        "picture struct<height: int, width: int, channels: int, data: binary>",
    )
    image = spark.createDataFrame(
        [(("", 60, 80, 4, 24, bgra),)],
        "picture struct<origin: string, height: int, width: int, nChannels: int, mode: int, data: binary>",
    )
    model = SignClassifierModel.load(bundle)
    wanted = Reader.load(bundle).read(as_file(on_black, "PNG"))
    for frame in (picture, image):
        row = model.transform(frame).first()
        assert row["letter"] == wanted.letter
        assert row["probability"] == pytest.approx(wanted.probability, abs=0.02)


def test_scoring_pictures_leaves_to_the_session_how_files_are_divided(spark, tmp_path):
    names = ("spark.sql.files.openCostInBytes", "spark.sql.files.maxPartitionBytes")
    before = [spark.conf.get(name, None) for name in names]
    picture_files.fill(tmp_path / "hands", count=2)
    rows, _ = rows_to_score(spark, [str(tmp_path / "hands")])
    assert rows.count() == 6
    assert [spark.conf.get(name, None) for name in names] == before


def test_a_file_that_vanishes_before_it_is_scored_keeps_its_row(spark, bundle, tmp_path):
    for name in ("stays", "goes"):
        (tmp_path / "hands" / "A").mkdir(parents=True, exist_ok=True)
        (tmp_path / "hands" / "A" / f"{name}.jpg").write_bytes(GOOD["jpeg"])
    model = SignClassifierModel.load(bundle)
    for with_contents in (True, False):
        rows, column = rows_to_score(spark, [str(tmp_path / "hands")], with_contents=with_contents)
        (tmp_path / "hands" / "A" / "goes.jpg").rename(tmp_path / "gone.jpg")
        model.are_paths = not with_contents
        scored = with_reasons(model.setInputCol(column).transform(rows)).drop(column).orderBy("path").collect()
        (tmp_path / "gone.jpg").rename(tmp_path / "hands" / "A" / "goes.jpg")
        assert [(row["letter"] is None, row["reason"]) for row in scored] == [
            (True, "unreadable: No such file or directory"),
            (False, None),
        ]


def test_what_is_written_is_what_is_scored_without_writing(spark, bundle, tmp_path):
    (tmp_path / "hands" / "A").mkdir(parents=True)
    for name in ("jpeg", "gif", "half a png", "empty"):
        (tmp_path / "hands" / "A" / f"{name}.jpg").write_bytes(GOOD[name] if name in GOOD else BAD[name][0])
    lazily = score(spark, str(bundle), [str(tmp_path / "hands")])
    written = score(spark, str(bundle), [str(tmp_path / "hands")], str(tmp_path / "scored"))
    assert "content" in lazily.columns
    assert "file" not in written.columns
    assert sorted(written.collect()) == sorted(lazily.drop("content").select(*written.columns).collect())
    assert {row["reason"] is None for row in written.collect()} == {True, False}


def test_a_path_in_somebodys_table_is_bytes_and_opens_no_file(spark, bundle, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(GOOD["jpeg"])
    path = str(tmp_path / "secret.jpg").encode()
    for name in ("file", "content"):
        table = spark.createDataFrame([(bytearray(path),)], f"{name} binary")
        scored = score(spark, SignClassifierModel.load(bundle).setInputCol(name), table).first()
        assert (scored["letter"], word(scored["reason"])) == (None, "not a picture")
