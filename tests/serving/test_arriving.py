import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from moments import ENTERED, whenever
from serving_bundles import LABELS, network, picture_file, write_bundle

from aslspark.common.errors import AslsparkError
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.reader import Reader
from aslspark.serving import endpoint
from aslspark.serving.events import FolderStore, S3Store, handle
from aslspark.serving.folder_watch import Watch
from aslspark.serving.limits import Refused
from aslspark.serving.streaming import letters_beside


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle") / "b", network(), threshold=0.1)


@pytest.fixture(scope="module")
def reader(bundle):
    return Reader.load(bundle)


def event(*keys, bucket="pictures", name="ObjectCreated:Put"):
    """As S3 sends it, its keys quoted."""
    return {
        "Records": [
            {"eventName": name, "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 3}}} for key in keys
        ]
    }


def laid_beside(path):
    return json.loads((path.parent / f"{path.name}.json").read_text())


@pytest.fixture
def arrived(tmp_path):
    """A bucket with three pictures, one of them cut short."""
    folder = tmp_path / "pictures"
    (folder / "my hands").mkdir(parents=True)
    (folder / "my hands" / "a+b (1).jpg").write_bytes(picture_file(1))
    (folder / "ü.PNG").write_bytes(picture_file(2, kind="PNG"))
    (folder / "cut.jpg").write_bytes(picture_file(3)[:-300])
    return folder


def test_an_event_of_many_records_leaves_prediction_and_category_beside_each_picture(arrived, reader, tmp_path):
    keys = ("my+hands/a%2Bb+%281%29.jpg", "%C3%BC.PNG", "cut.jpg", "notes.txt", "my+hands/")
    assert handle(event(*keys), FolderStore(tmp_path), reader) == {"read": 3, "before": 0}
    expected = reader.read(picture_file(1))
    found = laid_beside(arrived / "my hands" / "a+b (1).jpg")
    assert found["category"] == expected.letter
    assert found["prediction"] == LABELS.index(expected.letter)
    assert found["probability"] == pytest.approx(expected.probability)
    assert laid_beside(arrived / "ü.PNG")["category"] is not None
    cut = laid_beside(arrived / "cut.jpg")
    assert (cut["prediction"], cut["category"]) == (None, None)
    assert cut["reason"].startswith("cut short")
    assert len(list(arrived.rglob("*"))) == 7


def test_a_picture_is_read_once_however_often_its_event_comes(arrived, reader, tmp_path):
    store, together = FolderStore(tmp_path), threading.Barrier(4)

    def one():
        together.wait()
        return handle(event("cut.jpg", "cut.jpg", "%C3%BC.PNG"), store, reader)

    with ThreadPoolExecutor(4) as threads:
        found = [part.result() for part in [threads.submit(one) for _ in range(4)]]
    assert sum(counts["read"] for counts in found) == 2
    assert sum(counts["before"] for counts in found) == 6
    before = (arrived / "cut.jpg.json").stat().st_mtime_ns
    assert handle(event("cut.jpg"), store, reader) == {"read": 0, "before": 1}
    assert (arrived / "cut.jpg.json").stat().st_mtime_ns == before
    assert not list(arrived.rglob(".aslspark-*"))


def test_what_is_no_new_picture_is_passed_over_and_what_is_gone_is_named_after_the_rest(arrived, reader, tmp_path):
    store = FolderStore(tmp_path)
    assert handle({"Event": "s3:TestEvent"}, store, reader) == {"read": 0, "before": 0}
    assert handle(event("cut.jpg", name="ObjectRemoved:Delete"), store, reader)["read"] == 0
    with pytest.raises(AslsparkError, match=r"1 picture is not there, first pictures/gone.jpg"):
        handle(event("gone.jpg", "cut.jpg"), store, reader)
    assert (arrived / "cut.jpg.json").exists()
    with pytest.raises(AslsparkError, match=r"without s3\.bucket\.name"):
        handle({"Records": [{"s3": {}}]}, store, reader)
    with pytest.raises(AslsparkError, match="leads out of"):
        handle(event("../../up.jpg"), store, reader)


class Client:
    """What S3 answers, as boto3 gives it on; the calls are those of its documentation."""

    def __init__(self, objects):
        self.objects = objects

    def _refuse(self, code):
        error = RuntimeError(code)
        error.response = {"Error": {"Code": code}}
        raise error

    def head_object(self, *, Bucket, Key):
        if (Bucket, Key) not in self.objects:
            self._refuse("404")

    def get_object(self, *, Bucket, Key):
        import io

        if (Bucket, Key) not in self.objects:
            self._refuse("NoSuchKey")
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}

    def put_object(self, *, Bucket, Key, Body, ContentType, IfNoneMatch):
        assert IfNoneMatch == "*"
        if (Bucket, Key) in self.objects:
            self._refuse("PreconditionFailed")
        self.objects[Bucket, Key] = Body


def test_s3_is_asked_to_refuse_a_second_answer(reader):
    client = Client({("b", "a.jpg"): picture_file(1)})
    store = S3Store(client)
    assert handle(event("a.jpg", bucket="b"), store, reader) == {"read": 1, "before": 0}
    assert json.loads(client.objects["b", "a.jpg.json"])["category"] == reader.read(picture_file(1)).letter
    assert store.put_new("b", "a.jpg.json", b"another") is False
    assert handle(event("a.jpg", bucket="b"), store, reader) == {"read": 0, "before": 1}
    with pytest.raises(AslsparkError, match="gone"):
        handle(event("gone.jpg", bucket="b"), store, reader)


def test_a_folder_is_watched_and_what_is_still_written_waits(arrived, reader):
    watch = Watch(str(arrived), reader)
    assert watch.look(settled=True) == 0
    (arrived / "ü.PNG").write_bytes(picture_file(4, kind="PNG"))
    assert watch.look(settled=True) == 2
    assert watch.look(settled=True) == 1
    assert watch.look(settled=False) == 0
    (arrived / "new.jpeg").write_bytes(picture_file(5))
    assert watch.look(settled=False) == 1
    assert laid_beside(arrived / "new.jpeg")["category"] == reader.read(picture_file(5)).letter


@pytest.fixture
def hostile(tmp_path):
    """A folder in which one good picture lies between all that can be called a picture and is none."""
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(picture_file(9))
    folder = tmp_path / "inbox"
    (folder / "deep").mkdir(parents=True)
    (folder / "m good.jpg").write_bytes(picture_file(1))
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "inside.png").write_bytes(picture_file(2, kind="PNG"))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "out.jpg").symlink_to(outside)
    (folder / "out-folder.jpg").symlink_to(tmp_path)
    (folder / "itself.jpg").symlink_to("itself.jpg")
    (folder / "deep" / "up.jpg").symlink_to("..")
    (folder / "deep" / "within.jpg").symlink_to("../m good.jpg")
    (folder / "nowhere.jpg").symlink_to("none")
    (folder / ("n" * 251 + ".jpg")).write_bytes(picture_file(3))
    (folder / ("ü" * 125 + ".jpg")).write_bytes(picture_file(3))
    with (folder / "huge.jpg").open("wb") as file:
        file.truncate(3_000_000_000)
    (folder / "empty.jpg").touch()
    with open(os.path.join(os.fsencode(folder), b"\xff bytes.jpg"), "wb") as file:
        file.write(picture_file(4))
    return folder


def reasons_in(folder):
    """Picture to its letter or the first words of why there is none, of all answers below a folder."""
    found = {}
    for path in folder.rglob("*.json"):
        said = json.loads(path.read_text())
        found[said["picture"]] = said["category"] or said["reason"].split(":")[0]
    return found


@pytest.mark.promise(
    "input",
    "Whatever is called a picture in a watched folder is answered or set aside with a reason; the rest goes on.",
    kind="a name that is opened without a look at what it is",
)
def test_whatever_is_called_a_picture_is_answered_or_set_aside_and_the_rest_goes_on(hostile, reader):
    watch = Watch(str(hostile), reader)
    assert watch.look(settled=False) == 14
    found = reasons_in(hostile)
    letters = {name for name, said in found.items() if said in LABELS}
    assert letters == {
        "m good.jpg",
        "folder.jpg/inside.png",
        "deep/within.jpg",
        "n" * 251 + ".jpg",
        "ü" * 125 + ".jpg",
        "\udcff bytes.jpg",
    }
    assert {name: said for name, said in found.items() if name not in letters} == {
        "folder.jpg": "no file",
        "pipe.jpg": "no file",
        "out.jpg": "a link that leads elsewhere",
        "out-folder.jpg": "a link that leads elsewhere",
        "itself.jpg": "unreadable",
        "deep/up.jpg": "no file",
        "huge.jpg": "too large a file",
        "empty.jpg": "empty",
    }
    again = Watch(str(hostile), reader)
    assert again.look(settled=False) == 0
    (hostile / "new.jpg").write_bytes(picture_file(5))
    assert again.look(settled=False) == 1
    watch.close()
    again.close()


@pytest.mark.promise(
    "input",
    "An answer that cannot be written does not end the watching of a folder, and is tried again.",
    kind="an error of one file that ends the job",
)
def test_an_answer_that_cannot_be_written_is_put_off_and_the_rest_goes_on(arrived, reader, caplog):
    watch = Watch(str(arrived), reader)

    def full(given):
        if "cut" in given["key"]:
            raise OSError(28, "No space left on device")

    with whenever(FolderStore.put_new, ENTERED, full):
        assert watch.look(settled=False) == 2
        assert watch.look(settled=False) == 0
    assert [line for line in caplog.messages if "No space left" in line] == [
        "'cut.jpg': no answer can be written beside it: [Errno 28] No space left on device"
    ]
    assert Watch(str(arrived), reader).look(settled=False) == 1


def test_a_picture_that_takes_for_ever_does_not_hold_up_the_folder(arrived, reader):
    from aslspark.serving.isolated_reader import IsolatedReader

    watch = Watch(str(arrived), reader)
    watch._reader = IsolatedReader(reader, seconds=0.0)
    assert watch.look(settled=False) == 3
    assert laid_beside(arrived / "cut.jpg")["reason"] == "undecodable: not decoded within 0 s"


def test_of_an_events_pictures_the_ones_that_fail_are_named_after_the_rest(hostile, reader, tmp_path):
    store = FolderStore(tmp_path)
    keys = ("pipe.jpg", "itself.jpg", "..%2F..%2Fup.jpg", "zero%00byte.jpg", "deep/../../../up.jpg", "m+good.jpg")
    with pytest.raises(AslsparkError, match=r"3 pictures failed, first inbox/\.\./\.\./up.jpg: key .* leads out of"):
        handle(event(*keys, bucket="inbox"), store, reader)
    found = reasons_in(hostile)
    assert found.pop("m good.jpg") in LABELS
    assert found == {"pipe.jpg": "no file", "itself.jpg": "unreadable"}


def test_an_object_that_is_too_large_is_set_aside_and_not_held(reader):
    class Endless:
        def read(self, most):
            return b"\xff" * most

    client = Client({("b", "a.jpg"): b""})
    client.get_object = lambda **_: {"Body": Endless()}
    assert handle(event("a.jpg", bucket="b"), S3Store(client), reader) == {"read": 1, "before": 0}
    assert json.loads(client.objects["b", "a.jpg.json"])["reason"].startswith("too large a file")


@pytest.mark.promise(
    "input",
    "A file that is too large, gone or no file is set aside with a reason, and the stream goes on.",
    kind="an error of one file that ends the job",
)
def test_a_stream_sets_aside_what_is_too_large_or_no_picture_and_goes_on(spark, bundle, reader, hostile, tmp_path):
    model = SignClassifierModel.load(bundle)
    where = (str(hostile), str(tmp_path / "checkpoint"))
    with pytest.raises(AslsparkError, match="leads back to"):  # Spark would walk there for ever
        letters_beside(spark, model, *where, digest=reader.digest, once=True)
    for link in ("itself.jpg", "out-folder.jpg", "deep/up.jpg"):
        (hostile / link).unlink()
    letters_beside(spark, model, *where, digest=reader.digest, once=True).awaitTermination()
    found = {name.rpartition("/")[2]: said for name, said in reasons_in(hostile).items()}
    assert found["huge.jpg"] == "too large a file"
    assert found["m good.jpg"] in LABELS
    (hostile / "new.jpg").write_bytes(picture_file(5))
    letters_beside(spark, model, *where, digest=reader.digest, once=True).awaitTermination()
    assert laid_beside(hostile / "new.jpg")["category"] in LABELS


def test_a_stream_reads_what_comes_once(spark, bundle, reader, arrived, tmp_path):
    model = SignClassifierModel.load(bundle)

    def run(checkpoint):
        where = (str(arrived), str(tmp_path / checkpoint))
        letters_beside(spark, model, *where, digest=reader.digest, files=2, once=True).awaitTermination()

    run("first")
    picture = arrived / "my hands" / "a+b (1).jpg"
    answer = reader.read(picture.read_bytes())
    found = laid_beside(picture)
    assert (found["category"], found["model"]) == (answer.letter, reader.digest[:12])
    assert found["probability"] == pytest.approx(answer.probability)
    assert laid_beside(arrived / "cut.jpg")["reason"].startswith("cut short")
    written = {path: path.stat().st_mtime_ns for path in arrived.rglob("*.json")}
    assert len(written) == 3
    (arrived / "new.jpg").write_bytes(picture_file(6))
    run("first")
    run("second")  # as after a checkpoint that was lost
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert sorted(path.name for path in arrived.rglob("*.json")) == sorted(
        ["a+b (1).jpg.json", "cut.jpg.json", "new.jpg.json", "ü.PNG.json"]
    )
    assert not [path for path in arrived.rglob(".*") if "json" in path.name]


@pytest.mark.promise(
    "input",
    "A stream goes on at a file of gigabytes, and at pictures of every kind and ending.",
    kind="Spark reads, or refuses, a file by its length before anybody asks for its bytes",
)
def test_a_stream_answers_large_files_and_every_ending(spark, bundle, reader, tmp_path):
    folder = tmp_path / "arrived"
    folder.mkdir()
    (folder / "a.JPEG").write_bytes(picture_file(1))
    (folder / "a.webp").write_bytes(picture_file(2, kind="WEBP"))
    (folder / "a.tiff").write_bytes(b"II*")
    with (folder / "large.jpg").open("wb") as file:
        file.truncate(3 << 30)
    where = (str(folder), str(tmp_path / "checkpoint"))
    model = SignClassifierModel.load(bundle)
    letters_beside(spark, model, *where, digest=reader.digest, once=True).awaitTermination()
    assert laid_beside(folder / "a.JPEG")["category"] == reader.read(picture_file(1)).letter
    assert laid_beside(folder / "a.webp")["category"] == reader.read(picture_file(2, kind="WEBP")).letter
    assert laid_beside(folder / "a.tiff")["reason"].startswith("not a picture")
    assert laid_beside(folder / "large.jpg")["reason"].startswith("too large a file")


def test_the_four_steps_of_an_endpoint(bundle, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "champion").symlink_to(bundle)
    reader = endpoint.model_fn(str(tmp_path / "model"))
    expected = reader.read(picture_file(1))
    for body, kind in ((picture_file(1), "image/jpeg"), (json.dumps({"pictures": [[0] * 784]}), "application/json")):
        answers = endpoint.predict_fn(endpoint.input_fn(body, kind), reader)
        text, accepted = endpoint.output_fn(answers, "application/json")
        assert accepted == "application/json"
        assert json.loads(text)["answers"][0]["letter"] in LABELS
    answers = endpoint.predict_fn(endpoint.input_fn(picture_file(1), "image/jpeg"), reader)
    text, accepted = endpoint.output_fn(answers, "text/csv")
    assert text.splitlines() == ["letter,probability,reason", f"{expected.letter},{expected.probability},"]
    with pytest.raises(Refused, match="send multipart"):
        endpoint.input_fn(b"x", "text/html")
    with pytest.raises(Refused, match="accept image/png"):
        endpoint.output_fn(answers, "image/png")
    with pytest.raises(AslsparkError, match="0 bundles lie in it"):
        endpoint.model_fn(str(tmp_path))


def test_a_folder_is_read_by_one_command(bundle, arrived):
    words = ["watch-folder", "--model", bundle, "--folder", str(arrived), "--once"]
    done = subprocess.run([sys.executable, "-m", "aslspark", *words], capture_output=True, text=True, check=True)
    assert done.stdout == "3 pictures read\n"
    assert laid_beside(arrived / "cut.jpg")["reason"].startswith("cut short")
