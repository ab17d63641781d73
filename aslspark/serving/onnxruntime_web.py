"""The npm package onnxruntime-web, of one version -> the two files of it that a page needs, checked by their hashes."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.known_hash import require_hash
from aslspark.common.paths import local_path
from aslspark.common.progress import doing

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the archive, as npm writes it."""
_REMEDY = f"give the archive or the folder of {PACKAGE} {VERSION}, which `npm pack {PACKAGE}@{VERSION}` fetches"


class File(NamedTuple):
    """A file of the package's folder `dist`."""

    name: str
    sha256: str


FILES = {
    # Servers that do not know the ending .mjs would give it a type that browsers refuse.
    "ort.js": File("ort.wasm.bundle.min.mjs", "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
    "ort-wasm-simd-threaded.wasm": File(
        "ort-wasm-simd-threaded.wasm", "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
"""File for the page -> where it comes from."""


def runtime_files(assets: str | None = None) -> dict[str, bytes]:
    """Read the files of the runtime.

    Parameters
    ----------
    assets : str, optional
        The package's archive, or its folder, as in `node_modules`; by default npm fetches the archive.

    Returns
    -------
    dict of str to bytes
        By the names of FILES.

    Raises
    ------
    AslsparkError
        Naming the option, its value, and what would work.
    """
    if assets is None:
        return _fetched()
    path, named = Path(local_path(assets)), f"--assets {assets}"
    return _of_folder(path, named) if path.is_dir() else _of_archive(path, named)


def _fetched() -> dict[str, bytes]:
    """Let the user's npm fetch the archive."""
    npm = shutil.which("npm")
    elsewhere = f"fetch {ARCHIVE} elsewhere (npm pack {PACKAGE}@{VERSION}) and give --assets FILE"
    if npm is None:
        raise AslsparkError(f"export-web: npm, which fetches {PACKAGE}, is not installed; {elsewhere}")
    with tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
        command = [npm, "pack", "--silent", "--pack-destination", folder, f"{PACKAGE}@{VERSION}"]
        with doing(f"npm fetches {PACKAGE} {VERSION}"):
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode != 0:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise AslsparkError(f"export-web: npm says: {lines[0] if lines else done.returncode}; {elsewhere}")
        return _of_archive(Path(folder, ARCHIVE), f"npm's {ARCHIVE}")


def _of_archive(path: Path, named: str) -> dict[str, bytes]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AslsparkError(f"{named}: it cannot be read ({error.strerror}); {_REMEDY}") from error
    digest = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    require_hash(named, digest, INTEGRITY, _REMEDY, kind="integrity")
    contents = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for name, file in FILES.items():
                member = archive.extractfile(f"package/dist/{file.name}")
                contents[name] = member.read() if member else b""
    except (KeyError, OSError, tarfile.TarError, zlib.error) as error:
        raise AslsparkError(f"{named}: it cannot be read ({first_line(error)}); {_REMEDY}") from error
    return _checked(contents, named)


def _of_folder(folder: Path, named: str) -> dict[str, bytes]:
    contents = {}
    for name, file in FILES.items():
        found = next((path for path in (folder / file.name, folder / "dist" / file.name) if path.is_file()), None)
        if found is None:
            raise AslsparkError(f"{named}: it holds no {file.name}; {_REMEDY}")
        contents[name] = found.read_bytes()
    return _checked(contents, named)


def _checked(contents: dict[str, bytes], named: str) -> dict[str, bytes]:
    for name, file in FILES.items():
        require_hash(f"{named}: {file.name}", hashlib.sha256(contents[name]).hexdigest(), file.sha256, _REMEDY)
    return contents
