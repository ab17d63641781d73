import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from bad_input import bombs
from PIL import Image
from serving_bundles import LABELS, SHAPE, network, picture_file, service, write_bundle

from aslspark.common.errors import AslsparkError
from aslspark.evaluation.confusable import KNOWN_GROUPS
from aslspark.scoring.reader import Reader
from aslspark.serving.chart import lessons
from aslspark.serving.limits import Limits, Refused
from aslspark.serving.recording import Recorder
from aslspark.serving.served_models import ServedModels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Two bundles whose networks answer differently."""
    folder = tmp_path_factory.mktemp("bundles")
    return [write_bundle(folder / name, network(seed=seed)) for name, seed in (("first", 5), ("second", 6))]


@pytest.fixture(scope="module")
def running(bundles, tmp_path_factory):
    limits = ["--max-bytes", "200000", "--max-pixels", "250000", "--max-pictures", "40"]
    recordings = tmp_path_factory.mktemp("recorded") / "mine"
    with service(bundles[0], *limits, "--workers", "2", "--record", str(recordings)) as started:
        started.recordings = recordings
        yield started


def form(files, field="pictures"):
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + b"--edge--\r\n", "multipart/form-data; boundary=edge"


def redacted_json(*pictures):
    return json.dumps({"pictures": list(pictures)}).encode(), "application/json"


def letters_of(answer):
    status, said = answer
    assert status == 200, said
    return [(one["letter"], one["probability"]) for one in said["answers"]]


def test_every_form_of_a_picture_gets_the_same_answer(running, bundles):
    pixels = np.random.default_rng(3).integers(0, 256, SHAPE[:2], np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file, numbers = file.getvalue(), pixels.ravel().tolist()
    expected = Reader.load(bundles[0]).read(file)
    encoded = base64.b64encode(file).decode()
    row = ",".join(map(str, numbers))
    for body, kind in [
        (file, "image/png"),
        (pixels.tobytes(), "application/octet-stream"),
        form([("one.png", file)]),
        redacted_json(encoded),
        redacted_json(f"data:image/png;base64,{encoded}"),
        redacted_json(numbers),
        (row.encode(), "text/csv"),
        (f"{','.join(f'pixel{n}' for n in range(1, 785))}\n{row}\n".encode(), "text/csv; charset=utf-8"),
    ]:
        [(letter, probability)] = letters_of(running.ask("/predict", body, kind))
        assert letter == expected.letter
        assert probability == pytest.approx(expected.probability)


def test_several_models_are_served_by_their_names(bundles, running):
    picture = (picture_file(), "image/jpeg")
    alone = [letters_of(running.ask("/predict", *picture))]
    with service(bundles) as both:
        assert both.ask("/model")[1]["models"] == ["first", "second"]
        unnamed, first, second = (
            both.ask(f"/predict{query}", *picture) for query in ("", "?model=first", "?model=second")
        )
        assert [letters_of(unnamed), letters_of(first)] == alone * 2
        assert letters_of(second) != alone[0]
        assert second[1]["model"].startswith("second@")
        assert both.ask("/model?model=second")[1]["model"] == second[1]["model"]
        for answer in (both.ask("/predict?model=secnd", *picture), both.ask("/page.json?model=secnd")):
            assert answer == (404, {"reason": "model=secnd: it is not served here; did you mean second?"})
        assert both.ask("/predikt")[1] == {
            "reason": "there is nothing at this address; GET /openapi.json says what is asked where"
        }


def test_two_models_of_one_name_are_refused(bundles, tmp_path):
    (tmp_path / "first").symlink_to(bundles[1])
    with pytest.raises(AslsparkError, match="another one is called first, too; name links to them that differ"):
        ServedModels([bundles[0], str(tmp_path / "first")], pixels=1_000_000)


def test_many_pictures_are_answered_in_their_order_and_bad_ones_in_their_place(running):
    files = [(f"{seed}.jpg", picture_file(seed)) for seed in range(3)]
    alone = [letters_of(running.ask("/predict", data, "image/jpeg"))[0] for _, data in files]
    files.insert(1, ("bad.jpg", picture_file()[:-300]))
    _, said = running.ask("/predict", *form(files))
    assert [one["name"] for one in said["answers"]] == ["0.jpg", "bad.jpg", "1.jpg", "2.jpg"]
    bad = said["answers"].pop(1)
    assert bad["letter"] is None
    assert bad["reason"].startswith("cut short")
    assert [(one["letter"], one["probability"]) for one in said["answers"]] == alone


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", "image/jpeg", 422, "empty: no bytes"),
        (b"no picture at all", "image/png", 422, "not a picture: 17 bytes"),
        (picture_file()[:-300], "image/jpeg", 422, "cut short"),
        (b"x" * 200_001, "image/jpeg", 413, "a picture may have 200,000"),
        (b"x" * 800_001, "image/jpeg", 413, "a request may have 800,000"),
        (picture_file(size=(1000, 300), kind="PNG")[:200_000], "image/png", 422, "too many pixels"),
        (bombs()["png that says 30000x30000"], "image/png", 422, "too many pixels: more than 250,000 pixels"),
        (b"hello", "text/plain", 415, "content type text/plain: send"),
        (b"hello", None, 415, "content type"),
        (b'{"pictures": x}', "application/json", 400, "no JSON: Expecting value at character 14"),
        (b"[" * 100_000, "application/json", 400, "nested too deeply"),
        (b'"\xff"', "application/json", 400, "no UTF-8"),
        (b"[]", "application/json", 422, 'send {"pictures"'),
        (*redacted_json(), 422, "no picture"),
        (*redacted_json("?"), 422, "picture 0: no base64"),
        (*redacted_json([1, True]), 422, "numbers alone"),
        (*redacted_json([10**400] * 784), 422, "far outside"),
        (*redacted_json([256] * 784), 422, "out of 0-255"),
        (*redacted_json([0] * 783), 422, "783 values where 28x28x1 needs 784"),
        (*redacted_json(*[[0]] * 41), 413, "a request may have 40"),
        (b'{"pictures": [[NaN]]}', "application/json", 422, "wrong size"),
        (b"1,2,x", "text/csv", 422, "not a number: pixel3 is 'x'"),
        (b"\xff\xfe", "text/csv", 400, "no UTF-8"),
        (*form([("a", b"x")], field="other"), 422, "fields named 'pictures'"),
        (b"no form", "multipart/form-data", 400, "multipart form"),
        (*form([(str(n), b"x") for n in range(41)]), 413, "more than 40 pictures; a request may have 40"),
        (*form([("a.jpg", b"x"), ("b.jpg", b"")]), 422, "picture a.jpg: not a picture: 1 bytes that are no"),
        (*form([("a.jpg", b"x" * 200_001)]), 413, "picture a.jpg: too large: 200,001 bytes"),
    ],
)
def test_a_bad_request_is_refused_with_what_is_wrong(running, body, kind, status, words):
    found, said = running.ask("/predict", body, kind or "", method="POST")
    assert (found, words in said["reason"]) == (status, True), (found, said)


def test_a_picture_that_is_too_large_costs_those_beside_it_nothing(running):
    good = picture_file(1)
    _, said = running.ask("/predict", *form([("good.jpg", good), ("large.jpg", b"x" * 200_001)]))
    first, second = said["answers"]
    assert first["letter"] is not None
    assert (second["letter"], second["name"]) == (None, "large.jpg")
    assert second["reason"] == "too large: 200,001 bytes; a picture may have 200,000"


def test_a_wrong_method_is_refused_with_the_one_that_works(running):
    assert running.ask("/predict") == (405, {"reason": "GET is not taken here; send POST"})


def test_starting_says_so_until_the_address_is_there(bundles, tmp_path):
    token = tmp_path / "token"
    os.mkfifo(token)
    command = [sys.executable, "-m", "aslspark", "serve", "--model", bundles[0], "--port", "0"]
    with subprocess.Popen([*command, "--token-file", str(token)], stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout.readline().startswith("  starting the service: 0:0")
            token.write_text("a-token-of-many-characters")  # for which it waits
            assert any("reads at http://" in line for line in started.stdout)
        finally:
            started.terminate()


def test_what_is_counted_can_be_read_by_prometheus(running):
    def counted():
        lines = running.ask("/metrics")[1].decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    before = counted()
    model = running.ask("/predict", *form([("a", picture_file()), ("b", b"none")]))[1]["model"]
    running.ask("/predict", b"none", "image/jpeg")
    running.ask("/not/there")
    after = counted()

    def more(name):
        return float(after[name]) - float(before.get(name, 0))

    assert more('aslspark_requests_total{method="POST",path="/predict",status="200"}') == 1
    assert more('aslspark_requests_total{method="POST",path="/predict",status="422"}') == 1
    assert more('aslspark_requests_total{method="other",path="other",status="404"}') == 1
    assert more(f'aslspark_pictures_total{{model="{model}",outcome="read"}}') == 1
    assert more(f'aslspark_pictures_total{{model="{model}",outcome="unusable"}}') == 2
    assert more('aslspark_request_seconds_count{path="/predict"}') == 2
    assert float(after["aslspark_pictures_inside"]) == 0


def test_the_model_is_exchanged_under_load_and_no_request_is_lost(bundles, tmp_path):
    link = tmp_path / "champion"
    link.symlink_to(bundles[0])
    names = [f"{Path(bundle).name}@{Reader.load(bundle).digest[:12]}" for bundle in bundles]
    file, done, seen, latest = picture_file(), threading.Event(), [], {}

    def keep_asking(client):
        while not done.is_set():
            status, said = started.ask("/predict", file, "image/jpeg")
            assert status == 200
            [one] = said["answers"]
            seen.append((said["model"], one["letter"], round(one["probability"], 5)))
            latest[client] = said["model"]

    def until_answered_by(name):
        """Until every client is: then no request is left that the model before may still answer."""
        while list(latest.values()) != [name] * 4:
            assert not any(client.done() for client in clients)

    def lead(to):
        (tmp_path / "next").symlink_to(to)
        os.replace(tmp_path / "next", link)

    with service(link, "--every", "3600", "--workers", "2") as started, ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(keep_asking, client) for client in range(4)]
        try:
            until_answered_by(names[0])
            lead(bundles[1])
            assert started.ask("/model/reload", b"")[1]["switched"]
            until_answered_by(names[1])
            lead(bundles[0])
            started.process.send_signal(signal.SIGHUP)
            until_answered_by(names[0])
        finally:
            done.set()
        for client in clients:
            client.result()
        assert started.ask("/model")[1]["switches"] == 2
    expected = {
        (name, answer.letter, round(answer.probability, 5))
        for name, answer in zip(names, (Reader.load(bundle).read(file) for bundle in bundles), strict=True)
    }
    assert set(seen) == expected


def test_a_bundle_that_cannot_be_read_leaves_the_model_as_it_is(bundles, tmp_path):
    link = tmp_path / "champion"
    link.symlink_to(bundles[0])
    broken = write_bundle(tmp_path / "broken", network())
    (tmp_path / "broken" / "network.onnx").write_bytes(b"changed")
    with service(link, "--every", "0.05") as started:
        before = started.ask("/model")[1]["model"]
        link.unlink()
        link.symlink_to(broken)
        failures = "0.0"
        while failures == "0.0":  # the service looks by itself
            metrics = started.ask("/metrics")[1].decode().splitlines()
            failures = next(line.split()[1] for line in metrics if line.startswith("aslspark_model_failures "))
        assert started.ask("/model")[1]["model"] == before
        assert started.ask("/predict", picture_file(), "image/jpeg")[0] == 200
        assert failures == "1.0"


def test_another_site_may_neither_switch_nor_record_nor_look(running):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    foreign = {"Origin": "http://elsewhere.example"}
    assert running.ask("/model/reload", b"", headers=foreign)[0] == 403
    assert running.ask("/recordings/me/A", picture_file(), headers=foreign)[0] == 403
    assert running.ask("/recordings/me/A", picture_file(), headers={"Host": "elsewhere.example"})[0] == 403
    with pytest.raises(InvalidStatus):
        connect(running.address.replace("http", "ws") + "/live", origin="http://elsewhere.example")


def test_what_waits_too_long_or_is_too_much_is_refused_and_the_next_is_served(bundles):
    many = form([(str(n), picture_file(n)) for n in range(8)])
    with service(bundles[0], "--max-waiting", "4", "--workers", "1") as started:
        status, said = started.ask("/predict", *many)
        assert (status, "at most 4 may" in said["reason"]) == (429, True)
        assert started.ask("/predict", picture_file(), "image/jpeg")[0] == 200
    flat = io.BytesIO()
    Image.new("L", (5000, 5000)).save(flat, "PNG")
    with service(bundles[0], "--max-seconds", "0.5", "--workers", "1") as started:
        status, said = started.ask("/predict", *form([(str(n), flat.getvalue()) for n in range(32)]))
        assert (status, "not read within" in said["reason"]) == (503, True)
        assert started.ask("/health")[0] == 200


def test_a_body_that_does_not_come_is_not_waited_for(bundles):
    with service(bundles[0], "--max-seconds", "0.3") as started:
        host, port = started.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100\r\n\r\n"
            connection.sendall(head.encode() + b"half of it")
            assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_live_frames_that_are_overtaken_are_skipped_and_the_newest_is_answered(running):
    from websockets.sync.client import connect

    frames = [picture_file(seed, size=(400, 400)) for seed in range(30)]
    last = running.ask("/predict", frames[-1], "image/jpeg")[1]["answers"][0]
    with connect(running.address.replace("http", "ws") + "/live") as socket:
        for frame in frames:
            socket.send(frame)
        seen, answers = 0, []
        while seen < len(frames):
            answers.append(json.loads(socket.recv(20)))
            seen += 1 + answers[-1]["skipped"]
    assert seen == len(frames)
    assert answers[-1]["top"] == last["top"]


def test_a_frame_that_is_too_large_ends_the_conversation_and_a_bad_one_does_not(running):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(running.address.replace("http", "ws") + "/live") as socket:
        socket.send("words")
        socket.send(b"no picture")
        assert json.loads(socket.recv(20))["reason"].startswith("not a picture")
        socket.send(b"x" * 200_002)
        with pytest.raises(ConnectionClosed):
            socket.recv(20)


def test_recorded_pictures_are_what_ingest_reads(running, spark, tmp_path):
    from aslspark.common.settings import HandConfig, PictureConfig
    from aslspark.data.ingest import ingest_sources
    from aslspark.data.pictures.options import picture_options
    from aslspark.data.samples import read_samples
    from aslspark.data.splits import SplitOptions

    for seed in range(8):
        label = LABELS[seed % 2].lower()
        status, said = running.ask(f"/recordings/me-{seed % 4}/{label}", picture_file(seed), "image/jpeg")
        assert status == 201, said
    assert said["path"] == "me-3/B/00002.jpg"
    for signer, label, body in [("me", "ä", picture_file()), ("..", "A", picture_file()), ("me", "A", b"\xff\xd8\xff")]:
        path = f"/recordings/{urllib.request.quote(signer)}/{urllib.request.quote(label)}"
        assert running.ask(path, body, "image/jpeg")[0] in (404, 422)
    out = str(tmp_path / "ingested")
    pictures = picture_options(spark, PictureConfig(size=32), HandConfig())
    manifest = str(running.recordings / "manifest.csv")
    split = SplitOptions(kind="signer", validation=0.25, test=0.25)
    ingest_sources(spark, [manifest], out, split=split, pictures=pictures)
    rows = read_samples(spark, out).select("label", "signer").collect()
    assert sorted((row["label"], row["signer"]) for row in rows) == sorted(
        (LABELS[seed % 2], f"me-{seed % 4}") for seed in range(8)
    )


def test_each_group_that_reports_draw_as_alike_has_a_lesson_on_the_page():
    taught = [set(lesson["letters"]) for lesson in lessons()]
    assert [group for group in KNOWN_GROUPS if not any(set(group) <= letters for letters in taught)] == []


def test_nothing_is_recorded_unless_it_was_asked_for(bundles, tmp_path):
    with service(bundles[0]) as started:
        assert started.ask("/page.json")[1]["record"] is False
        assert started.ask("/recordings/me/A", picture_file())[0] == 403
    recorder = Recorder(str(tmp_path / "mine"), Limits())
    with pytest.raises(Refused, match="letters, digits"):
        recorder.keep(picture_file(), "A", "../up")


def test_an_ending_service_answers_what_it_has_begun(bundles):
    with service(bundles[0], "--workers", "1") as started, ThreadPoolExecutor(1) as threads:
        many = form([(str(n), picture_file(n, size=(900, 900))) for n in range(32)])
        asked = threads.submit(started.ask, "/predict", *many)
        while not started.ask("/health")[1]["waiting"]:
            assert not asked.done()
        started.process.terminate()
        status, said = asked.result(timeout=30)
        assert (status, len(said["answers"])) == (200, 32)
        started.process.wait(30)


def resident(process):
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.long
def test_ten_thousand_good_and_bad_requests_end_without_a_fault_and_without_growth(running):
    import http.client

    good, cut = picture_file(1, size=(200, 200)), picture_file(2)[:900]
    kinds = [
        (good, "image/jpeg"),
        (cut, "image/jpeg"),
        form([("a", good), ("b", cut), ("c", good)]),
        redacted_json(base64.b64encode(good).decode(), [7] * 784),
        (b"{", "application/json"),
        redacted_json([1e9] * 784),
        (b"hello", "text/plain"),
        (b"", "multipart/form-data; boundary=edge"),
        (b"1,2\n", "text/csv"),
        (os.urandom(5000), "image/png"),
    ]
    host = running.address.removeprefix("http://")

    def ask(first, count):
        connection, seen = http.client.HTTPConnection(host, timeout=30), {}
        for number in range(first, first + count):
            body, kind = kinds[number % len(kinds)]
            connection.request("POST", "/predict", body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer.read()
            seen[answer.status] = seen.get(answer.status, 0) + 1
        return seen

    def round_of(count):
        with ThreadPoolExecutor(8) as threads:
            found = [part.result() for part in [threads.submit(ask, n, count // 8) for n in range(8)]]
        return {status: sum(part.get(status, 0) for part in found) for part in found for status in part}

    round_of(1000)
    before = resident(running.process)
    started = time.monotonic()
    seen = round_of(10_000)
    print(
        seen,
        f"{10_000 / (time.monotonic() - started):.0f} a second, {before:.0f} -> {resident(running.process):.0f} MiB",
    )
    assert sum(seen.values()) == 10_000
    assert max(seen) < 500
    assert resident(running.process) - before < 20


def test_the_example_of_the_openapi_page_can_be_sent(running):
    page = running.ask("/openapi.json")[1]
    forms = page["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert {"multipart/form-data", "image/jpeg", "application/json", "text/csv"} <= set(forms)
    example = forms["application/json"]["examples"]["base64"]["value"]
    assert running.ask("/predict", json.dumps(example).encode(), "application/json")[0] == 200


def test_whatever_the_openapi_page_allows_is_answered_as_it_says(running, tmp_path):
    pytest.importorskip("schemathesis")
    import subprocess
    import sys

    # A schema cannot say what bytes are a picture, so 413 and 422 are fine answers to what it allows.
    settings = """
[phases.stateful]
enabled = false
[checks.positive_data_acceptance]
expected-statuses = [200, 400, 403, 404, 413, 422]
"""
    (tmp_path / "schemathesis.toml").write_text(settings)
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    words = ["run", f"{running.address}/openapi.json", "--max-examples", "20", "--seed", "1", "--no-color"]
    found = subprocess.run(
        [*command, "--config-file", str(tmp_path / "schemathesis.toml"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
