"""The audit: what is known of the locked packages, with a database of weaknesses and without one."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from conftest import REPOSITORY
from locks import STACKS, pins_of, requirements_of

ENVIRONMENT = REPOSITORY / "environment"


def advisories():
    return yaml.safe_load((ENVIRONMENT / "advisories.yaml").read_text())


def weakness(name, package):
    affected = {"package": {"name": package, "ecosystem": "PyPI"}, "versions": []}
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}]
    return {"id": name, "aliases": [f"{name}-too"], "summary": "bad", "affected": [{**affected, "ranges": ranges}]}


@pytest.fixture
def database():
    """A database in OSV's words, which knows what a test puts into it."""
    known = {}

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # one connection for all packages

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = asked["package"]["name"]
            answer = json.dumps(
                {"vulns": [weakness(one, name) for one in known[name]]} if name in known else {}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield known, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def audit(url, folder):
    """Run the audit over locks of one and of three of the packages: each is one question."""
    for name in ("audit.py", "advisories.yaml"):
        folder.mkdir(exist_ok=True)
        shutil.copy(ENVIRONMENT / name, folder)
    for stack, packages in (("current", ("numpy==",)), ("spark35", ("numpy==", "pyarrow==", "keras=="))):
        kept = [line for line in requirements_of(f"{stack}/requirements.lock") if line.startswith(packages)]
        (folder / stack).mkdir()
        (folder / stack / "requirements.lock").write_text("\n".join(kept) + "\n")
    command = [sys.executable, str(folder / "audit.py"), "--osv-url", url, "--cache-dir", str(folder / "cache")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_advisory_names_a_package_and_its_version_as_they_are_locked():
    locked = pins_of("build.lock", *(f"{stack}/requirements.lock" for stack in STACKS))
    assert advisories()
    for one in advisories():
        assert set(one) == {"package", "version", "id", "what", "why"}
        assert f"{one['package']}=={one['version']}" in locked
        assert re.fullmatch(r"(CVE-\d{4}-\d+|GHSA(-\w{4}){3}|PYSEC-\d{4}-\d+)", one["id"])
    assert "CVE-2023-47248" in {one["id"] for one in advisories() if one["package"] == "pyarrow"}


@pytest.mark.promise(
    "install",
    "An audit that reaches no database of weaknesses fails, and says so in its last line.",
    kind="an audit that asked nobody and looks like one that found nothing",
)
def test_without_a_database_the_audit_fails_says_so_and_lists_what_is_known(tmp_path):
    ran = audit("http://127.0.0.1:9/", tmp_path)
    assert ran.returncode == 2
    *listed, last = ran.stdout.splitlines()
    assert re.match(r"audit: failed: no database of weaknesses can be reached from here \(\w*ConnectionError\)", last)
    assert len(listed) == len(advisories())
    assert "pyarrow 10.0.1 CVE-2023-47248" in listed[0]


def test_a_database_that_knows_nothing_is_not_believed(database, tmp_path):
    ran = audit(database[1], tmp_path)
    assert ran.returncode == 2
    assert "does not know even CVE-2023-47248 of pyarrow" in ran.stdout.splitlines()[-1]


def test_a_new_weakness_fails_the_audit_and_a_known_one_does_not(database, tmp_path):
    known, url = database
    known["pyarrow"] = ["CVE-2023-47248"]
    ran = audit(url, tmp_path / "first")
    assert (ran.returncode, ran.stdout.count("\n")) == (0, 1), ran.stdout
    assert ran.stdout.startswith("audit: passed: 4 packages, 1 weaknesses, 0 of them not in")
    known["numpy"] = ["GHSA-aaaa-bbbb-cccc"]
    ran = audit(url, tmp_path / "second")
    assert ran.returncode == 1
    assert re.search(r"numpy 1\.26\.4 GHSA-aaaa-bbbb-cccc GHSA-aaaa-bbbb-cccc-too, mended in 99\.0", ran.stdout)
    assert ran.stdout.splitlines()[-1].startswith("audit: failed: 4 packages, 3 weaknesses, 2 of them not in")


@pytest.mark.promise(
    "install",
    "Continuous integration ends with the audit's result, passed or failed, and does not fail by it.",
    kind="a result that stands nowhere, or far up in the output",
)
@pytest.mark.parametrize(
    ("audited", "last"),
    [
        ("echo '  wheel 0.45.1'; echo 'audit: failed: no database'; exit 2", "audit: failed: no database"),
        ("echo 'audit: passed: 3 packages'", "audit: passed: 3 packages"),
        ("echo 'missing: Java' >&2; exit 1", "audit: failed: it did not run"),
    ],
)
def test_continuous_integration_ends_with_the_result_of_the_audit(tmp_path, audited, last):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ENVIRONMENT.parent / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text(f"test lint:\n\t@echo $@ ran\naudit:\n\t@{audited}\n")
    for present in ("chromium", "nginx"):  # so that it installs neither
        (tmp_path / present).write_text("#!/bin/sh\n")
        (tmp_path / present).chmod(0o755)
    # Without what `make test` hands down: a make below another one prints the folders it enters.
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        [tmp_path / ".ci" / "run"], env={**inherited, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[:2] == ["test ran", "lint ran"]
    assert ran.stdout.splitlines()[-1] == last
