"""The pages as a site: `make site`."""

import os
import subprocess

import pytest
from conftest import REPOSITORY
from locks import requirements_of


@pytest.mark.long
def test_the_site_is_built_strictly_from_its_lock_and_finds_what_it_shows(tmp_path):
    words = ["make", "--no-print-directory", "site", f"OUT={tmp_path / 'site'}"]
    env = {**os.environ, "ASLSPARK_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(words, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.parent.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("index.html")}
    assert {".", "own_pictures", "api", "source/ARCHITECTURE", "source/conf/kubernetes.conf"} <= pages


def test_every_package_of_the_site_is_pinned_with_its_hashes():
    lines = requirements_of("../docs/site/requirements.lock")
    assert any(line.startswith("mkdocs-material==") for line in lines)
    assert all("==" in line and "--hash=sha256:" in line for line in lines)
