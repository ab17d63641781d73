"""What tasks write of pictures, attempt by attempt, and what of it becomes samples."""

import os

import numpy as np
import pyarrow as pa
import pytest
from moments import ENTERED, whenever
from picture_files import fill, picture
from pyarrow import parquet

from aslspark.common.errors import AslsparkError
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.reading import decoder
from aslspark.data.splits import SplitOptions
from aslspark.data.tables.labelled_tables import QUARANTINE
from aslspark.data.written_in_tasks import DIGEST, FILE, commit, read_pictures, writer
from aslspark.images.image_spec import ImageSpec

SIDE, COUNT = 16, 30
ROW_BYTES = SIDE * SIDE * 3
OPTIONS = PictureOptions(form=ImageSpec(SIDE, SIDE, 3))
PLAN = ("file", "name", "label", "signer", "split", "source")


@pytest.fixture
def batches(tmp_path):
    """Two batches of a task: 30 pictures, of which every fifth is for test, and one file that is none."""
    rows = []
    for number in range(COUNT):
        path = tmp_path / f"{number}.png"
        picture(number % (COUNT - 1)).save(path)  # the last is the first again
        rows.append((os.fsencode(path), path.name, "A", None, "train" if number % 5 else "test", "hands"))
    (tmp_path / "none.png").write_bytes(b"no picture")
    rows.append((os.fsencode(tmp_path / "none.png"), "none.png", "A", None, "train", "hands"))
    kinds = [pa.binary(), *[pa.string()] * 5]
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    table = pa.table(columns, names=PLAN)
    return [batch for part in (table[:16], table[16:]) for batch in part.combine_chunks().to_batches()]


@pytest.fixture
def attempt(tmp_path, batches):
    """Begins an attempt of the task that all of these tests are about."""
    (tmp_path / "attempts").mkdir()
    write = writer(decoder(OPTIONS, "file"), str(tmp_path / "attempts"), (4 * ROW_BYTES, 8 * ROW_BYTES), ["hash"])
    return lambda: write(iter(batches))


def lines_of(attempt):
    return pa.Table.from_batches(attempt).to_pandas()


def committed(lines, tmp_path):
    commit(lines, str(tmp_path / "attempts"), str(tmp_path / "samples"))
    return parquet.ParquetDataset(str(tmp_path / "samples")).read().to_pylist()


def test_every_picture_has_a_line_and_those_that_are_kept_a_row(tmp_path, attempt):
    lines = lines_of(attempt())
    rows = committed(lines, tmp_path)
    kept, quarantined = lines[lines["split"] != QUARANTINE], lines[lines["split"] == QUARANTINE]
    assert sorted(row["id"] for row in rows) == sorted(kept["id"]) == sorted(f"hands:{n}.png" for n in range(COUNT))
    assert quarantined[["label", "signer"]].to_numpy().tolist() == [
        ["not a picture", "none.png: 10 bytes that are no JPEG, PNG, GIF, WebP or BMP file"]
    ]
    assert {row["id"]: row["split"] for row in rows} == dict(zip(kept["id"], kept["split"], strict=True))
    assert not os.listdir(tmp_path / "attempts")


def test_pictures_have_one_digest_where_their_bytes_are_the_same(attempt):
    lines = lines_of(attempt()).set_index("id")
    same = lines.index[lines[DIGEST] == lines.loc["hands:0.png", DIGEST]]
    assert sorted(same) == ["hands:0.png", f"hands:{COUNT - 1}.png"]


@pytest.mark.parametrize("batches_written", [1, 2])
def test_what_another_attempt_wrote_is_in_no_table(tmp_path, attempt, batches_written):
    other = attempt()
    seen = pa.Table.from_batches([next(other) for _ in range(batches_written)]).to_pandas()
    other.close()  # as Spark ends a worker whose task it gives up
    rows = committed(lines := lines_of(attempt()), tmp_path)
    assert len(rows) == COUNT == len({row["id"] for row in rows})
    (name,) = set(seen[FILE])
    assert name not in set(lines[FILE])
    assert {file.rpartition("part-")[2] for file in os.listdir(tmp_path / "attempts")} == {name.removeprefix("part-")}


def test_a_file_that_lost_rows_is_no_sample(tmp_path, attempt):
    lines = lines_of(attempt())
    other = attempt()
    next(other)
    other.close()
    for file in os.listdir(tmp_path / "attempts"):  # a disk that kept the first rows alone
        split, _, name = file.partition("-")
        if name not in set(lines[FILE]):
            os.replace(tmp_path / "attempts" / file, tmp_path / "attempts" / f"{split}-{lines[FILE][0]}")
    with pytest.raises(AslsparkError, match="has 4 rows of 6 that its task wrote"):
        committed(lines, tmp_path)


def test_row_groups_have_the_bytes_that_are_wanted(tmp_path, attempt):
    committed(lines_of(attempt()), tmp_path)
    (train,) = (tmp_path / "samples" / "split=train").iterdir()
    sizes = [
        parquet.read_metadata(train).row_group(n).num_rows for n in range(parquet.read_metadata(train).num_row_groups)
    ]
    assert sum(sizes) == 24
    assert all(4 <= size <= 8 for size in sizes[:-1])


def test_some_pictures_are_read_back_by_their_ids(tmp_path, attempt):
    lines = lines_of(attempt())
    rows = {row["id"]: row["picture"] for row in committed(lines, tmp_path)}
    ids = {"hands:0.png", "hands:7.png", "hands:28.png"}
    assert read_pictures(str(tmp_path / "samples"), lines, ids) == {name: rows[name] for name in ids}
    first = np.frombuffer(rows["hands:0.png"]["data"], np.uint8)
    assert first.reshape(SIDE, SIDE, 3).std() > 10


def test_an_out_that_workers_do_not_see_is_said_with_what_would_do(spark, tmp_path):
    fill(tmp_path / "hands", labels="A", count=3)

    def unmount(_):  # a worker of another host has another disk
        (attempts,) = tmp_path.glob("*/_attempts")
        attempts.rmdir()

    unseen = pytest.raises(AslsparkError, match="a worker does not see it; give --out a folder that the driver and all")
    with unseen, whenever(writer, ENTERED, unmount):
        ingest_sources(spark, [str(tmp_path / "hands")], str(tmp_path / "out"), split=SplitOptions(kind="random"))
    assert os.listdir(tmp_path) == ["hands"]
