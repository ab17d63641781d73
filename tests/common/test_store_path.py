"""Paths in an object store: what they do on a real S3 server, and what is left of that when the store fails."""

import json
import shutil
from contextlib import suppress

import pytest
from conftest import REPOSITORY
from s3_store import BUCKET, Faults, behind_proxy, counted, served_bucket

from aslspark.bundle.files import SUMS, read_bundle, require_new, seal, whole_folder
from aslspark.common.errors import AslsparkError
from aslspark.common.store_path import StorePath, any_path, as_local_folder, scratch_beside, store_environment
from aslspark.data.files.arrow_files import ArrowFiles
from aslspark.training.checkpoint import Progress, has_checkpoint, read_checkpoint, write_checkpoint
from aslspark.training.launch.mailbox import Mailbox, TaskMail


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, served_bucket(tmp_path_factory.mktemp("s3")) as served:
        for name, value in served.environment().items():
            patch.setenv(name, value)
        yield served


@pytest.fixture
def folder(store, request):
    return any_path(store.uri(request.node.name.replace("[", "-").rstrip("]")))


def test_a_file_is_written_read_listed_and_removed_as_a_local_one_is(folder):
    assert not folder.exists()
    (folder / "a" / "b.txt").write_text("letter ä")
    assert (folder / "a" / "b.txt").read_text() == "letter ä"
    assert (folder.is_dir(), folder.is_file(), (folder / "a" / "b.txt").is_file()) == (True, False, True)
    assert list(folder.iterdir()) == [folder / "a"]
    assert folder.files() == [("a/b.txt", 9)]
    with (folder / "a" / "b.txt").open() as file:
        file.seek(7)
        assert file.read() == "ä".encode()
    (folder / "a" / "b.txt").unlink()
    with pytest.raises(FileNotFoundError):
        (folder / "a" / "b.txt").read_bytes()
    (folder / "a" / "b.txt").unlink(missing_ok=True)
    assert list((folder / "nothing").iterdir()) == []


def test_a_folder_goes_there_and_back_and_is_renamed(folder, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "big").write_bytes(bytes(range(256)) * (24 << 10))  # in more parts than one
    (tmp_path / "in" / "small").write_bytes(b"1")
    folder.copy_from(tmp_path / "in")
    folder.rename(folder.with_name("renamed"))
    assert not folder.exists()
    with as_local_folder(folder.with_name("renamed")) as copy:
        assert (copy / "deep" / "big").read_bytes() == (tmp_path / "in" / "deep" / "big").read_bytes()
        assert sorted(path.name for path in copy.rglob("*")) == ["big", "deep", "small"]
    folder.with_name("renamed").remove_tree()
    assert not folder.with_name("renamed").exists()


def test_what_a_client_of_spark_connect_writes_there_has_its_last_file_last(folder):
    files = ArrowFiles()
    with files.written_whole(str(folder), last="done") as unfinished:
        files.write(f"{unfinished}/deep/part", b"1")
        files.write(f"{unfinished}/done", b"2")
        assert not folder.exists()
    assert folder.files() == [("deep/part", 1), ("done", 1)]
    assert not any_path(unfinished).exists()


def test_a_scratch_folder_is_gone_after_its_block(folder):
    with suppress(KeyboardInterrupt), scratch_beside(folder) as scratch:
        (scratch / "x").write_text("x")
        assert (scratch.parent, scratch.exists()) == (folder.parent, True)
        raise KeyboardInterrupt
    assert not scratch.exists()


def test_sparks_settings_name_a_store_where_the_environment_does_not(spark, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    said = {"access.key": "K", "secret.key": "S", "endpoint": "minio:9000", "connection.ssl.enabled": "false"}
    for name, value in said.items():
        spark.conf.set(f"spark.hadoop.fs.s3a.{name}", value)
    try:
        known = store_environment()
    finally:
        for name in said:
            spark.conf.unset(f"spark.hadoop.fs.s3a.{name}")
    assert (known["AWS_ACCESS_KEY_ID"], known["AWS_SECRET_ACCESS_KEY"]) == ("K", "S")
    assert known["AWS_ENDPOINT_URL"] == "http://minio:9000"


def test_a_store_that_nobody_knows_is_one_line():
    with pytest.raises(AslsparkError, match=r"^path ftp://host/a cannot be opened: .*; give one that pyarrow"):
        any_path("ftp://host/a").exists()


def test_wrong_keys_are_an_error_that_shows_none_of_them(store):
    refused = StorePath(store.uri("a"), {**store.environment(), "AWS_SECRET_ACCESS_KEY": "another"})
    with pytest.raises(OSError, match=r"403|ACCESS_DENIED|SignatureDoesNotMatch|Forbidden") as raised:
        (refused / "b").read_bytes()
    assert "another" not in str(raised.value)


@pytest.mark.long
def test_a_bundle_is_there_whole_or_not_at_all(store, folder):
    """Upload stops in the middle: what lies there has no list of sums, and nothing takes it for a bundle."""
    only_the_network = Faults(1.0, 0, ("503",), only=lambda method, path: method != "GET" and "network.onnx" in path)

    def make_a_bundle(place):
        with whole_folder(place) as made:
            (made / "bundle.json").write_text("{}")
            (made / "network.onnx").write_bytes(b"x")
            seal(made)

    with behind_proxy(store, only_the_network) as broken, pytest.raises(OSError, match="network"):
        make_a_bundle(StorePath(str(folder), broken.environment()))
    assert not (folder / SUMS).exists()
    with pytest.raises(AslsparkError, match=r"^--model s3a://.*: (no bundle|there is no such folder)"):
        read_bundle(str(folder))


def test_a_bundle_is_copied_once_however_often_it_is_read_and_anew_when_it_is_another(
    store, folder, tmp_path, monkeypatch
):
    shutil.copytree(REPOSITORY / "tests" / "fixtures" / "bundles" / "format-1-network", tmp_path / "bundle")
    folder.copy_from(tmp_path / "bundle", last=[SUMS])
    with counted(store) as (seen, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", seen.endpoint)
        first = [read_bundle(str(folder), keep=["network.onnx"]) for _ in range(3)]
        networks = [path for method, path in asked if method == "GET" and "network.onnx" in path]
    assert len(networks) == 1
    assert first[0] == first[2]
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps({**manifest, "threshold": 0.25}))
    seal(tmp_path / "bundle")
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
    folder.copy_from(tmp_path / "bundle", last=[SUMS])
    assert read_bundle(str(folder)).manifest["threshold"] == 0.25


def test_a_place_that_is_taken_is_refused(folder):
    (folder / "x").write_text("x")
    with pytest.raises(AslsparkError, match=rf"^--out s3a://{BUCKET}/.*: it exists already"):
        require_new(str(folder))


def test_a_checkpoint_comes_back_and_the_last_two_and_the_best_are_kept(folder):
    assert not has_checkpoint(folder)
    for epoch in range(1, 6):
        progress = Progress(epochs=epoch, best_epoch=min(epoch, 2))
        write_checkpoint(folder, "this", progress, b"weights of %d" % epoch, {})
    assert [name for name, _ in folder.files()] == ["epoch-0002.npz", "epoch-0004.npz", "epoch-0005.npz"]
    found = read_checkpoint(folder, "this")
    assert (found.progress.epochs, found.weights, found.current) == (5, b"weights of 2", b"weights of 5")


def test_tasks_and_driver_hear_each_other_through_a_store(folder):
    mailbox = Mailbox(folder / "mail", 2)
    mail = TaskMail(folder / "mail", 1)
    mail.tell({"event": "epoch", "epoch": 1}, state="working")
    assert list(mailbox.read()) == [{"event": "epoch", "epoch": 1}]
    assert mailbox.statuses[1]["state"] == "working"
    assert not mail.is_over()
    mailbox.end()
    assert TaskMail(folder / "mail", 0).is_over()
    mailbox.remove()
    assert not (folder / "mail").exists()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_and_nothing_half_is_seen_when_the_store_fails(store, folder, tmp_path, seed):
    """A fifth of all requests fails, in one of five ways, while checkpoints, events and a bundle are written."""
    faults = Faults(0.2, seed)
    with behind_proxy(store, faults) as failing:
        place = StorePath(str(folder), failing.environment())
        written = []
        for epoch in range(1, 4):
            try:
                write_checkpoint(place / "fit", "this", Progress(epochs=epoch, best_epoch=epoch), b"%d" % epoch, {})
                written.append(epoch)
            except (AslsparkError, OSError):
                pass
        told, heard = [], []
        mailbox, mail = Mailbox(folder / "mail", 1), TaskMail(place / "mail", 0)
        for number in range(5):
            try:
                mail.tell({"event": number + 1})
                told.append({"event": number + 1})
            except AslsparkError:
                break  # the task fails, and the driver is told by Spark
            heard += mailbox.read()
        (tmp_path / "bundle").mkdir()
        (tmp_path / "bundle" / "bundle.json").write_bytes(b"{}" * 4000)
        seal(tmp_path / "bundle")
        with suppress(OSError):
            (place / "bundle").copy_from(tmp_path / "bundle", last=[SUMS])
    assert faults.counts, "no fault was put in"
    assert written, "no checkpoint came through"
    assert read_checkpoint(folder / "fit", "this").progress.epochs >= written[-1]
    heard += mailbox.read()
    assert heard[: len(told)] == told
    if (folder / "bundle" / SUMS).exists():
        with as_local_folder(folder / "bundle") as copy:
            for name in ("bundle.json", SUMS):
                assert (copy / name).read_bytes() == (tmp_path / "bundle" / name).read_bytes()
