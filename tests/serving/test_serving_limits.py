"""The service under clients that mean it harm: what is good is answered meanwhile, and it ends when asked to."""

import base64
import http.client
import io
import json
import os
import re
import signal
import socket
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from PIL import Image
from serving_bundles import network, picture_file, service, write_bundle

from aslspark.serving.limits import Limits, Refused
from aslspark.serving.payload import plain_pictures

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle") / "first", network())


@pytest.fixture(scope="module")
def running(bundle):
    with service(bundle, "--workers", "2") as started:
        yield started


def many_scans(scans, size=(1200, 1000)):
    """A progressive JPEG whose last scan comes again and again."""
    file = io.BytesIO()
    Image.new("L", size, 128).save(file, "JPEG", progressive=True, quality=50)
    data = file.getvalue()
    last, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    return data[:end] + data[last:end] * scans + data[end:]


def peak(process):
    """MiB that the service and each of its children have held at most, together."""
    found = 0
    for one in [process, *process.children(recursive=True)]:
        line = next(line for line in Path(f"/proc/{one.pid}/status").read_text().splitlines() if "VmHWM" in line)
        found += int(line.split()[1])
    return found / 1024


def raw(started, timeout=30):
    host, port = started.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def good(started):
    return started.ask("/predict", picture_file(1), "image/jpeg")[0]


def until_answered(started):
    """Ask until there is room, and see that nothing but 503 was said before.

    Who is sent away while still sending may find the connection closed before that is read.
    """
    until = time.monotonic() + 60
    while time.monotonic() < until:
        status = 503
        with suppress(ConnectionResetError):
            try:
                status = good(started)
            except urllib.error.URLError as error:
                if not isinstance(error.reason, BrokenPipeError | ConnectionResetError):
                    raise
        if status == 200:
            return
        assert status == 503
    raise AssertionError("there is never room")


def ask_with_headers(started, path, body, headers, method="POST"):
    connection = http.client.HTTPConnection(started.address.removeprefix("http://"), timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.headers), answer.read()


LISTS = b'{"pictures":[' + b",".join([b"[]"] * 4_000_000) + b"]}"
NESTED = b'{"pictures":[[' + b",".join([b"[0]"] * 3_000_000) + b"]]}"
STRINGS = b'{"pictures":["' + b'","'.join([b""] * 3_000_000) + b'"]}'
KEYS = b"{" + b",".join(b'"%d":0' % number for number in range(1_000_000)) + b"}"


@pytest.mark.promise(
    "service",
    "The values in a request's text are counted before one is made, and too many are refused.",
    kind="memory and time of a parser that grow with what a stranger sends",
)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (LISTS, "application/json"),
        (NESTED, "application/json"),
        (STRINGS, "application/json"),
        (KEYS, "application/json"),
        (LISTS.decode().encode("utf-16"), "application/json"),
        (b"1," * 6_000_000, "text/csv"),
        (b"\n" * 12_000_000, "text/csv"),
        (("\u2028" * 200_000).encode(), "text/csv"),
    ],
)
def test_a_text_of_too_many_values_is_refused_before_they_are_made(running, body, kind):
    assert good(running) == 200
    process = psutil.Process(running.process.pid)
    before = peak(process)
    status, said = running.ask("/predict", body, kind)
    assert (status, "a request" in said["reason"], "may have" in said["reason"]) == (413, True, True), said
    assert good(running) == 200
    # The body itself passes as bytes, some of them copied: as objects its values would take a hundred times more.
    assert peak(process) - before < 16 * len(body) / 2**20 + 100


def test_what_a_models_pictures_need_as_numbers_is_not_refused(running):
    numbers = [[100.00000000000001] * 784] * 32
    assert running.ask("/predict", json.dumps({"pictures": numbers}).encode(), "application/json")[0] == 200
    lines = "\r\n".join(",".join(map(str, row)) for row in numbers)
    assert running.ask("/predict", lines.encode(), "text/csv")[0] == 200
    names = ",".join(["label", *(f"pixel{n}" for n in range(1, 785))])
    lines = "\r\n".join([names, *(",".join(["3", *map(str, row)]) for row in numbers)])
    assert running.ask("/predict", lines.encode() + b"\r\n", "text/csv")[0] == 200
    with pytest.raises(Refused, match=r"61 values; a request may have 60, for 4 pictures of 9"):
        plain_pictures("application/json", b'{"pictures":[[' + b"1," * 61 + b"1]]}", Limits(pictures=4), values=9)


@pytest.mark.promise(
    "service",
    "A picture that takes long to decode takes no other's turn, and its process is ended in time.",
    kind="decoding without a limit of time",
)
def test_pictures_that_take_for_ever_cost_only_themselves_and_the_service_still_ends(bundle):
    slow = many_scans(20_000)
    as_text = json.dumps({"pictures": [base64.b64encode(slow).decode()]}).encode()
    with service(bundle, "--max-seconds", "4", "--workers", "2") as started, ThreadPoolExecutor(8) as threads:
        assert good(started) == 200
        asked = [threads.submit(started.ask, "/predict", slow, "image/jpeg") for _ in range(4)]
        asked += [threads.submit(started.ask, "/predict", as_text, "application/json") for _ in range(2)]
        answered = 0
        while not all(one.done() for one in asked):
            assert good(started) == 200
            answered += 1
        assert answered > 3
        assert {one.result()[0] for one in asked} <= {422, 503}
        again = [threads.submit(started.ask, "/predict", slow, "image/jpeg") for _ in range(4)]
        while not started.ask("/health")[1]["waiting"] and not all(one.done() for one in again):
            pass
        started.process.terminate()
        started.process.wait(30)
        for one in again:
            one.exception(30)


@pytest.mark.promise(
    "service",
    "SIGTERM ends the service within 15 seconds, whatever hangs in it.",
    kind="waiting without a limit for another process",
)
def test_the_service_ends_though_its_children_are_stopped(bundle):
    with service(bundle, "--workers", "2") as started, ThreadPoolExecutor(2) as threads:
        assert good(started) == 200
        children = psutil.Process(started.process.pid).children(recursive=True)
        for child in children:
            child.suspend()
        asked = [threads.submit(started.ask, "/predict", picture_file(1), "image/jpeg") for _ in range(2)]
        while not started.ask("/health")[1]["waiting"]:
            pass
        started.process.terminate()
        started.process.wait(30)
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
        for one in asked:
            one.exception(30)


def test_a_process_that_decodes_is_replaced_when_it_is_killed(bundle):
    with service(bundle, "--workers", "1") as started:
        assert good(started) == 200
        for child in psutil.Process(started.process.pid).children(recursive=True):
            child.kill()
        statuses = [good(started) for _ in range(3)]
        assert statuses[-1] == 200
        assert set(statuses) <= {200, 422}


@pytest.mark.promise(
    "service",
    "All bodies in flight together have one limit of bytes; who comes beyond it is asked to come again.",
    kind="memory and time of a parser that grow with what a stranger sends",
)
def test_bodies_in_flight_have_one_limit_together(bundle):
    with service(bundle, "--max-bytes", "100000", "--max-held", "500000") as started, ExitStack() as stack:
        assert good(started) == 200
        for _ in range(2):
            connection = stack.enter_context(raw(started))
            head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 300000\r\n\r\n"
            connection.sendall(head.encode() + b"x" * 240_000)
        text = ""
        while "aslspark_bytes_held 480000.0" not in text:
            text = started.ask("/metrics")[1].decode()
        status, headers, said = ask_with_headers(started, "/predict", b"x" * 90_000, {"Content-Type": "image/jpeg"})
        assert (status, headers["retry-after"]) == (503, "1")
        assert b"holds 480,000 bytes of other requests" in said
        stack.close()
        until_answered(started)
        while "aslspark_bytes_held 0.0" not in text:
            text = started.ask("/metrics")[1].decode()


@pytest.mark.promise(
    "service",
    "Idle connections, half heads and silent WebSockets make room for who asks something.",
    kind="waiting without a limit for a client",
)
def test_idle_connections_and_half_heads_make_room_and_end_in_time(bundle, tmp_path):
    with (tmp_path / "log").open("w") as log, ExitStack() as stack:
        limits = ["--max-connections", "20", "--max-seconds", "2"]
        started = stack.enter_context(service(bundle, *limits, log=log))
        held = []
        for number in range(300):
            held.append(stack.enter_context(raw(started)))
            if number % 2:
                with suppress(ConnectionError):  # it may have made room already
                    held[-1].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            if number % 30 == 0:
                until_answered(started)
        until_answered(started)
        lines = started.ask("/metrics")[1].decode().splitlines()
        numbers = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        assert float(numbers["aslspark_connections_open"]) <= 20
        assert (
            float(numbers['aslspark_connections_closed_total{why="idle"}'])
            + float(numbers['aslspark_connections_closed_total{why="full"}'])
            >= 280
        )
        for connection in held:  # the last ones, too, after their time
            with suppress(ConnectionResetError):
                while connection.recv(1000):
                    pass
    assert (tmp_path / "log").stat().st_size < 20_000


def test_where_every_connection_is_at_work_the_next_is_asked_to_come_again(bundle):
    with service(bundle, "--max-connections", "3") as started, ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(raw(started))
            head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 300\r\n\r\n"
            connection.sendall(head.encode() + b"half of it")
        with raw(started) as connection:
            found = connection.recv(1000)
        assert b"3 connections are open" in found
        assert found.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in found


def test_a_head_that_is_too_long_is_refused(running):
    with raw(running) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 60_000)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_silent_cameras_make_room_for_others(running):
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect

    address = running.address.replace("http", "ws") + "/live"
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(address)) for _ in range(8)]
        while True:
            with suppress(ConnectionClosed, InvalidStatus), connect(address) as socket:
                socket.send(picture_file(2))
                assert json.loads(socket.recv(20))["top"]
                break
        with pytest.raises(ConnectionClosed):
            silent[0].recv(20)


def test_who_sends_no_frames_is_sent_away(running):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(running.address.replace("http", "ws") + "/live") as socket:
        for _ in range(101):
            socket.send("words")
        with pytest.raises(ConnectionClosed, match="send pictures"):
            socket.recv(20)


def test_a_camera_that_goes_on_is_not_sent_away(running):
    from websockets.sync.client import connect

    with connect(running.address.replace("http", "ws") + "/live") as socket:
        for number in range(20):
            socket.send(picture_file(number))
            assert "skipped" in json.loads(socket.recv(20))


@pytest.mark.promise(
    "service",
    "Labels of /metrics are of a closed list, whatever methods, paths and headers clients invent.",
    kind="a stranger's words as names of counters",
)
def test_what_clients_invent_does_not_become_a_label(running):
    def known():
        return {line.rsplit(" ", 1)[0] for line in running.ask("/metrics")[1].decode().splitlines()}

    for method in ("GET", "INVENTED"):
        for path in ("/predict", "/health", "/nowhere"):
            ask_with_headers(running, path, None, {}, method)
    before = known()
    for number in range(200):
        ask_with_headers(running, f"/{'predict' if number % 2 else number}", b"x", {"Host": f"h{number}"}, f"M{number}")
        ask_with_headers(running, f"/chart/{number}.png", None, {}, f"M{number}")
        ask_with_headers(running, f"/recordings/{number}/{number}", b"x", {}, "POST")
    labels = set(re.findall(r'(?:path|method|why|outcome|state)="([^"]*)"', "\n".join(known() - before)))
    assert not [label for label in labels if any(map(str.isdigit, label))]
    assert len(known()) - len(before) < 80


def test_invalid_requests_fill_no_log(bundle, tmp_path):
    with (tmp_path / "log").open("w") as log, service(bundle, log=log) as started:
        for _ in range(300):
            with raw(started) as connection:
                connection.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
                connection.recv(100)
        assert good(started) == 200
    assert (tmp_path / "log").read_text().count("Invalid HTTP") <= 10


def test_ready_is_apart_from_health(bundle):
    with service(bundle, "--workers", "1") as started:
        while started.ask("/ready")[0] != 200:
            assert started.ask("/health")[1]["status"] == "ok"
        for child in psutil.Process(started.process.pid).children(recursive=True):
            os.kill(child.pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(started.ask, "/predict", picture_file(1), "image/jpeg")
            assert started.ask("/health")[0] == 200
            assert asked.result(30)[0] in (422, 503)
