"""Bad input from seeds, of all kinds: what is read is kept or quarantined with a reason, and no job dies."""

import io
import os
import struct
import subprocess
import sys
import tempfile
import tracemalloc
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import bad_input
import contracts
import pytest
from bad_input import bad_bodies, bad_bundles, bad_lines, bad_manifests, bad_pictures, bad_zips, bombs, good_pictures
from conftest import REPOSITORY

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import PictureConfig
from aslspark.data.files.local_folders import refuse_loops
from aslspark.data.files.stores import open_store
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures import archives
from aslspark.data.pictures.manifest import parse_manifest
from aslspark.data.pictures.options import PictureOptions, picture_options
from aslspark.data.samples import read_samples
from aslspark.data.tables.pixel_layout import COLUMNS
from aslspark.scoring.unlabelled import rows_to_score

GOOD = b",".join([b"3"] + [b"7"] * 784)
PIECES = {"pictures": 6000, "stored": 1000, "rows": 3000, "manifests": 1500, "zips": 500, "bodies": 1500}
"""Of each kind in the quick test; the long one has five times as many."""


def pieces(kind, seed, times=1):
    makers = {"rows": bad_lines, "manifests": bad_manifests, "zips": bad_zips, "bodies": bad_bodies}
    return makers.get(kind, bad_pictures)(PIECES[kind] * times, seed)


def look_at_all(kind, seed, times=1):
    """Give every piece to its reader, and count what came out."""
    look = {
        "pictures": contracts.picture,
        "stored": contracts.stored_picture,
        "manifests": contracts.manifest,
        "bodies": contracts.body,
    }
    outcomes = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's and zipfile's, at names and sizes
        if kind == "rows":
            lines = [data for _, data in pieces(kind, seed, times)]
            for start in range(0, len(lines), 100):
                run = lines[start : start + 100]
                bad = contracts.rows(run)
                outcomes += Counter(row.reason for row in bad) + Counter({"kept": len(run) - len(bad)})
            return outcomes
        for _, data in pieces(kind, seed, times):
            outcomes[str(look.get(kind, contracts.archive)(data))] += 1
    return outcomes


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", PIECES)
def test_twelve_thousand_bad_pieces_are_each_kept_or_told_why_not(kind):
    outcomes = look_at_all(kind, seed=1)
    assert outcomes.total() == PIECES[kind]
    if kind == "pictures":
        assert set(outcomes) == {"None", *contracts.REASONS["picture"]}
    if kind == "rows":
        assert set(outcomes) == {"kept", *contracts.REASONS["row"]}
    if kind == "bodies":
        assert {"1", "2", "400", "413", "415", "422"} <= set(outcomes)


@pytest.mark.long
@pytest.mark.parametrize("kind", PIECES)
def test_five_times_as_many_from_another_seed_are_too(kind):
    assert look_at_all(kind, seed=2, times=5).total() == 5 * PIECES[kind]


BUNDLES = 250


@pytest.mark.slow
@pytest.mark.promise(
    "bundle",
    "Whatever a bundle's files, names and values are, it loads or is refused in one printable line, without a look at "
    "anything outside of it.",
    kind="a bundle's own words in an error",
)
def test_hundreds_of_bad_bundles_each_load_or_are_refused():
    outcomes = Counter(contracts.bundle(data) for _, data in bad_bundles(BUNDLES, 1))
    assert outcomes.total() == BUNDLES
    ends = {"is a link", "no plain file", "made by this package", "was changed", "is missing", "belong", "other"}
    assert set(outcomes) == {"a network", "a pipeline", contracts.NONE_OF_OURS, *ends}


@pytest.mark.long
def test_ten_times_as_many_from_another_seed_do_too():
    assert Counter(contracts.bundle(data) for _, data in bad_bundles(10 * BUNDLES, 2)).total() == 10 * BUNDLES


@pytest.mark.slow
def test_bombs_take_no_more_memory_than_a_picture_may():
    program = """
import resource, sys, warnings
warnings.simplefilter("ignore")
import bad_input, contracts
bad_input.bombs(), contracts.picture(bad_input.good_pictures()["jpeg"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for kind, data in bad_input.bombs().items():
    print(kind, "->", contracts.picture(data))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    *found, grown = ran.stdout.splitlines()
    assert len(found) == len(bombs())
    assert {line.split(" -> ")[1] for line in found} >= {"None", "too many pixels", "undecodable"}
    assert int(grown) < 64, ran.stdout  # MB; what the bombs say they are would be thousands


def lying_zip(content, method=zipfile.ZIP_DEFLATED):
    """A zip whose directory says that a picture has 100 bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("A/1.jpg", content)
    data = bytearray(file.getvalue())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(mark) + at
        data[place : place + 4] = struct.pack("<I", 100)
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_says_less_than_it_unpacks_to_takes_little_memory(method):
    data = lying_zip(bytes(64_000_000), method)
    tracemalloc.start()
    try:
        pictures, unpacked = contracts.archive(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (pictures, unpacked) == (1, 0)
    assert peak < 32 << 20


@pytest.mark.parametrize("field", [" " * 200_000, "1" * 200_000 + "x", '"' * 200_000, "0." * 100_000], ids=len)
def test_a_field_without_end_is_told_at_once(field):
    (bad,) = contracts.rows([GOOD.replace(b"7", field.encode(), 1), GOOD])
    assert bad.reason == "not a number"


def test_a_manifest_whose_quotes_never_close_is_one_line():
    with pytest.raises(AslsparkError, match=r"a\.csv: line 3 cannot be read \(field larger.*close its quotes"):
        parse_manifest('path,label\nA/1.jpg,A\n"' + "A/2.jpg,A" * 20_000, "a.csv")


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory):
    """A folder of pictures with all that a file system can hold, and how many of them are files with a label."""
    folder = tmp_path_factory.mktemp("hostile") / "hands"
    count = 0
    for number, (_, data) in enumerate([*bad_pictures(150, 3), *((k, d) for k, d in bombs().items())]):
        path = folder / "AB"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        count += 1
    for number, (kind, data) in enumerate(good_pictures().items()):
        (folder / "A" / f"{kind} {number}.png").write_bytes(data)
        count += 1
    for name in bad_input.NAMES:
        path = folder / "B" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good_pictures()["jpeg"])
        count += not path.name.startswith(".")  # hidden, as everywhere
    (folder / "A" / "folder.jpg").mkdir()
    (folder / "A" / "nowhere.jpg").symlink_to("does-not-exist.jpg")
    (folder / "A" / "linked.jpg").symlink_to(folder / "A" / "jpeg 0.png")
    os.mkfifo(folder / "A" / "pipe.jpg")
    os.mkfifo(folder / "pipe.csv")
    return folder, count + 2  # the link, and the pipe, which is an empty file to Spark


def kinds_of(report):
    return {reason.reason: reason.rows for reason in report.reasons}


def small(spark):
    return picture_options(spark, PictureConfig(size=16, max_pixels=4_000_000))


def test_a_folder_of_bad_pictures_is_ingested_whole(spark, hostile_folder, tmp_path):
    folder, count = hostile_folder
    report = ingest_sources(spark, [str(folder)], str(tmp_path / "out"), pictures=small(spark))
    assert report.read == report.kept + report.quarantined
    assert report.read == count
    assert set(kinds_of(report)) <= contracts.REASONS["picture"] | {"unreadable"}
    assert report.kept >= len(good_pictures())
    assert read_samples(spark, str(tmp_path / "out")).count() == report.kept
    assert spark.read.parquet(f"{tmp_path}/out/quarantine").where("reason is null or detail is null").count() == 0


def test_bad_zips_and_a_bad_manifest_are_ingested_whole(spark, tmp_path):
    with zipfile.ZipFile(tmp_path / "hands.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (_, data) in enumerate(bad_pictures(60, 4)):
            archive.writestr(f"A/{number}.jpg", data)
        for name in ("../B/up.jpg", "/B/root.jpg", "B/..\\..\\up.jpg", *bad_input.NAMES[:6]):  # one is hidden
            archive.writestr(name if "B/" in name else f"B/{name}", good_pictures()["jpeg"])
    rows = ["path,label,signer,split"]
    for number, (kind, data) in enumerate(good_pictures().items()):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / f"{number}.jpg").write_bytes(data)
        rows.append(f'{number}.jpg,{"AB?"[number % 3]},"{kind}",')
    rows += ["../../etc/passwd,A,,", "missing.jpg,A,,", "0.jpg,A,,never", '"line\nend.jpg",B,,', ",A", "\0,A,,"]
    (tmp_path / "set" / "labels.csv").write_text("\ufeff" + "\r\n".join(rows) + "\r\n")
    sources = [str(tmp_path / "hands.zip"), str(tmp_path / "set")]
    report = ingest_sources(spark, sources, str(tmp_path / "out"), pictures=small(spark))
    assert report.read == report.kept + report.quarantined == 60 + 8 + len(rows) - 1
    assert kinds_of(report)["unsafe name"] == 3
    assert kinds_of(report)["missing"] >= 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hands.zip", "out", "set"]


def test_bad_pixel_tables_are_ingested_whole_and_a_pipe_is_passed_over(spark, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    lines = [data for _, data in bad_lines(300, 5)]
    header = ",".join(COLUMNS).encode()
    (folder / "a.csv").write_bytes(b"\xef\xbb\xbf" + header + b"\r\n" + b"\r\n".join(lines[:150] + [GOOD] * 30))
    (folder / "b.csv").write_bytes(b'"' + header.replace(b",", b'","') + b'"\n' + b"\n".join(lines[150:]) + b"\n")
    os.mkfifo(folder / "pipe.csv")
    report = ingest_sources(spark, [str(folder)], str(tmp_path / "out"))
    assert report.read == report.kept + report.quarantined == 330
    assert report.kept >= 30
    assert set(kinds_of(report)) <= contracts.REASONS["row"]
    assert [Path(path).name for path in report.passed_over] == ["pipe.csv"]


def test_a_pipe_is_not_waited_for(spark, tmp_path):
    os.mkfifo(tmp_path / "letters.csv")
    with pytest.raises(AslsparkError, match="is a pipe or a device"):
        ingest_sources(spark, [str(tmp_path / "letters.csv")], str(tmp_path / "out"))
    with pytest.raises(AslsparkError, match="is a pipe or a device"):
        rows_to_score(spark, [str(tmp_path / "letters.csv")])


@pytest.mark.parametrize("target", ["..", ".", "../B"])
def test_a_link_that_leads_back_is_named(spark, tmp_path, target):
    for label in "AB":
        (tmp_path / "hands" / label).mkdir(parents=True)
        (tmp_path / "hands" / label / "1.jpg").write_bytes(good_pictures()["jpeg"])
    (tmp_path / "hands" / "A" / "again").symlink_to(target)
    if target == "../B":  # no loop yet, and read as any folder
        assert open_store(spark).exists(str(tmp_path / "hands" / "A" / "again" / "1.jpg"))
        (tmp_path / "hands" / "B" / "again").symlink_to("../A")
    with pytest.raises(AslsparkError, match=r"the link .*again leads back to .*: remove it"):
        ingest_sources(spark, [str(tmp_path / "hands")], str(tmp_path / "out"), pictures=small(spark))


def test_links_that_multiply_are_refused(spark, tmp_path):
    for depth in range(20):
        (tmp_path / "hands" / f"{depth}").mkdir(parents=True)
        for name in "AB":
            (tmp_path / "hands" / f"{depth}" / name).symlink_to(f"../{depth + 1}")
    (tmp_path / "hands" / "20").mkdir()
    with pytest.raises(AslsparkError, match="more than 10,000 folders"):
        ingest_sources(spark, [str(tmp_path / "hands")], str(tmp_path / "out"), pictures=small(spark))


def test_a_folder_that_may_not_be_read_is_named():
    # Not below tmp_path, which another user may not enter; root may read everything, so it becomes nobody meanwhile.
    with tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "A").mkdir(mode=0)
        user = os.geteuid()
        try:
            os.seteuid(65534 if user == 0 else user)
            with pytest.raises(AslsparkError, match="A may not be read: look at its permissions"):
                refuse_loops(folder)
        finally:
            os.seteuid(user)


def test_a_zip_packed_with_other_than_deflate_is_quarantined_by_its_reason():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("A/1.jpg", good_pictures()["jpeg"])
    source = archives.open_zip(None, contracts.Files(file.getvalue()), "a.zip", PictureOptions())
    assert [picture.reason for picture in source.pictures] == ["packed in another way"]
