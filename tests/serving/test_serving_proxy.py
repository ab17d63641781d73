"""The service behind a real nginx, with the settings of docs/serving.md, and with TLS of its own."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import REPOSITORY
from serving_bundles import network, picture_file, service, write_bundle

from aslspark.common.errors import AslsparkError
from aslspark.serving.origins import TOKEN, Keys, token_of
from aslspark.serving.server import main

pytestmark = pytest.mark.slow

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
PAGE = REPOSITORY / "docs" / "serving.md"
SECRET = "f" * 32


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle") / "first", network())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("no openssl, which makes a certificate; apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
    return folder


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def nginx(folder, servers):
    """Run nginx with a `server` block until the test ends."""
    if not Path(NGINX).exists():
        pytest.skip("no nginx; apt-get install nginx-light")
    folder.mkdir()
    places = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"user root;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/errors;\n"
        f"events {{ worker_connections 64; }}\nhttp {{ access_log off;\n{places}{servers}\n}}\n"
    )
    words = [NGINX, "-p", str(folder), "-e", f"{folder}/errors", "-c", f"{folder}/nginx.conf"]
    process = subprocess.Popen([*words, "-g", "daemon off;"], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def ask(address, path, context=None, body=None, headers=None):
    """Status and answer, as soon as somebody listens."""
    request = urllib.request.Request(address + path, data=body, headers=headers or {})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise


@pytest.fixture(scope="module")
def proxied(bundle, certificate, tmp_path_factory):
    """The service behind nginx as the page sets it up, and the context in which its certificate is known."""
    folder, port = tmp_path_factory.mktemp("proxied"), free_port()
    (folder / "token").write_text(SECRET + "\n")
    words = ["--token-file", str(folder / "token"), "--proxy", "127.0.0.1", "--record", str(folder / "kept")]
    with service(bundle, *words) as started:
        block = re.search(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
        for there, here in {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "letters.example": "localhost",
            "/etc/ssl/letters.pem": str(certificate / "cert.pem"),
            "/etc/ssl/letters.key": str(certificate / "key.pem"),
            "http://127.0.0.1:8000": started.address.replace("localhost", "127.0.0.1"),
        }.items():
            assert there in block
            block = block.replace(there, here)
        with nginx(folder / "nginx", block) as process:
            context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
            address = f"https://localhost:{port}"
            assert process.poll() is None
            yield address, context, started


@pytest.mark.promise(
    "service",
    "Behind nginx, as docs/serving.md sets it up, pictures and cameras are read, and too large a body is refused.",
    kind="a documented setting that was never tried",
)
def test_pictures_and_cameras_are_read_through_the_proxy(proxied):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    address, context, _ = proxied
    status, said = ask(address, "/predict", context, picture_file(1), {"Content-Type": "image/jpeg"})
    assert (status, json.loads(said)["answers"][0]["reason"]) == (200, None)
    status, said = ask(address, "/predict", context, b"x" * 49_000_000, {"Content-Type": "image/jpeg"})
    assert status == 413
    live = address.replace("https", "wss") + "/live"
    with connect(live, ssl=context, origin=address) as camera:
        camera.send(picture_file(2))
        assert json.loads(camera.recv(20))["top"]
    with pytest.raises(InvalidStatus):
        connect(live, ssl=context, origin="https://elsewhere.example")


@pytest.mark.promise(
    "service",
    "Behind a proxy nobody reloads or records but who sends the token, whatever X-Forwarded-For says.",
    kind="an address that a proxy on the same machine stands in for",
)
def test_behind_the_proxy_only_the_token_reloads_and_records(proxied):
    address, context, started = proxied
    known = {"Authorization": f"Bearer {SECRET}"}
    for where in ((address, context), (started.address, None)):
        for headers in (
            {},
            {"X-Forwarded-For": "127.0.0.1"},
            {"Forwarded": "for=127.0.0.1"},
            {"Authorization": "Bearer nonsense"},
            {"Authorization": f"Basic {SECRET}"},
            {"Authorization": "Bearer"},
            {**known, "Origin": "https://elsewhere.example"},
        ):
            assert ask(where[0], "/model/reload", where[1], b"", headers)[0] == 403, headers
            assert ask(where[0], "/recordings/me/A", where[1], picture_file(), headers)[0] == 403, headers
        assert json.loads(ask(*where[:1], "/page.json", where[1])[1])["record"] is False
        assert json.loads(ask(where[0], "/page.json", where[1], headers=known)[1])["record"] is True
        assert ask(where[0], "/model/reload", where[1], b"", known)[0] == 200
        assert ask(where[0], "/recordings/me/A", where[1], picture_file(), known)[0] == 201


@pytest.mark.promise(
    "service",
    "Without a token, a request that any header says was forwarded is not this machine's.",
    kind="an address that a proxy on the same machine stands in for",
)
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"])
def test_what_was_forwarded_is_not_from_this_machine(header):
    local = {"host": "localhost:8000"}
    assert Keys().open_to("127.0.0.1", local)
    assert not Keys().open_to("127.0.0.1", {**local, header.lower(): "127.0.0.1"})
    assert not Keys(proxied=True).open_to("127.0.0.1", local)
    assert not Keys().open_to("10.0.0.1", local)
    assert not Keys().open_to("127.0.0.1", {"host": "elsewhere.example"})


def test_the_service_does_not_believe_who_says_that_he_is_this_machine(bundle):
    with service(bundle) as started:
        assert started.ask("/model/reload", b"")[0] == 200
        assert started.ask("/model/reload", b"", headers={"X-Forwarded-For": "10.1.2.3"})[0] == 403
        assert started.ask("/model/reload", b"", headers={"X-Forwarded-For": "127.0.0.1"})[0] == 403


def test_the_service_speaks_https_itself(bundle, certificate):
    from websockets.sync.client import connect

    with service(bundle, "--tls-cert", certificate / "cert.pem", "--tls-key", certificate / "key.pem") as started:
        assert started.address.startswith("https://localhost:")
        context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        assert ask(started.address, "/predict", context, picture_file(), {"Content-Type": "image/jpeg"})[0] == 200
        assert ask(started.address, "/model/reload", context, b"")[0] == 200
        with connect(started.address.replace("https", "wss") + "/live", ssl=context) as camera:
            camera.send(picture_file(2))
            assert json.loads(camera.recv(20))["top"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--token-file", "none"], "--token-file none: No such file or directory"),
        (["--token-file", "short"], "--token-file short: 5 characters; give 16 or more"),
        (["--proxy", "everyone"], "--proxy everyone: "),
        (["--tls-cert", "none.pem"], "--tls-cert none.pem: No such file"),
        (["--tls-key", "key.pem"], "--tls-key key.pem: give --tls-cert too"),
        (["--tls-cert", "short"], "--tls-cert short: "),
        (["--max-held", "10"], "--max-held 10: one request may have 48000000 bytes"),
        (["--max-seconds", "nan"], "--max-seconds nan: give a number above 0"),
        (["--max-connections", "0"], "--max-connections 0: give a number above 0"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_started(bundle, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("short")
    with pytest.raises(AslsparkError) as found:
        main(["--model", bundle, "--port", "0", *words])
    assert str(found.value).startswith(said)
    assert len(str(found.value).splitlines()) == 1


def test_the_token_comes_from_the_environment_too(monkeypatch):
    monkeypatch.setenv(TOKEN, SECRET)
    assert token_of(None) == SECRET
    monkeypatch.setenv(TOKEN, "")
    with pytest.raises(AslsparkError, match="ASLSPARK_TOKEN has 0 characters"):
        token_of(None)
    monkeypatch.delenv(TOKEN)
    assert token_of(None) is None
