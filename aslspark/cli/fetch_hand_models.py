"""`aslspark fetch hand-models`: the index, a wheel or another folder -> a folder with the networks that find hands."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from aslspark.bundle.files import whole_folder
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path
from aslspark.common.progress import doing
from aslspark.common.redaction import say
from aslspark.images.hands.make_networks import (
    MEDIAPIPE,
    check_networks,
    networks_of_wheel,
    notice,
    require_converter,
)
from aslspark.images.hands.networks import NETWORK_FILES, HandNetworks, network_folders, read_networks

WHEEL = f"mediapipe-{MEDIAPIPE}-cp311-cp311-manylinux_2_28_x86_64.whl"
WHEEL_SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
_OF_WHEEL = ("--only-binary", ":all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
"""The wheels of all Pythons and platforms hold the same networks: one of them is enough."""
BOTH = " and ".join(NETWORK_FILES)


def fetch_hand_models(source: str | None, out: str | None) -> None:
    """Put the networks into a folder, whole or not at all; those that are there already are only checked.

    Parameters
    ----------
    source : str, optional
        MediaPipe's wheel, or a folder or bundle that holds the networks; by default pip fetches the wheel.
    out : str, optional
        By default the folder in which they are looked for.

    Raises
    ------
    AslsparkError
        Naming the option, its value, and what would work.
    """
    folder = Path(local_path(out)) if out else network_folders()[-1]
    if networks := read_networks(folder):
        check_networks(networks, str(folder), "remove this folder, and fetch it anew")
        say(f"{folder}: {BOTH} are as they must be")
        return
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise AslsparkError(f"--out {folder}: it holds something else; choose a folder that is new or empty")
    networks = _given(source) if source else _fetched()
    try:
        with whole_folder(folder) as unfinished:
            for name, content in networks.files().items():
                (unfinished / name).write_bytes(content)
    except OSError as error:
        raise AslsparkError(f"--out {folder}: {error.strerror}; choose a folder that can be written") from error
    say(f"{folder}: {BOTH} are there")


def _given(source: str) -> HandNetworks:
    """Read what --from names."""
    path, named = Path(local_path(source)), f"--from {source}"
    if not path.is_dir():
        return networks_of_wheel(path, named)
    for folder in (path, path / "hands"):
        if networks := read_networks(folder):
            check_networks(networks, named, f"give others, or MediaPipe's wheel ({WHEEL})")
            return networks if networks.notice else replace(networks, notice=notice())
    raise AslsparkError(
        f"{named}: it holds no {BOTH}; give a folder or a bundle that does, or MediaPipe's wheel ({WHEEL})"
    )


def _fetched() -> HandNetworks:
    """Fetch the wheel by pip, which compares its hash, and convert what it holds."""
    if not all(map(find_spec, ("tensorflow", "tf2onnx"))):  # they are imported when there is something to convert
        require_converter("fetch hand-models")
    with tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
        lock = Path(folder, "wheel.lock")
        lock.write_bytes(f"mediapipe=={MEDIAPIPE} --hash=sha256:{WHEEL_SHA256}\n".encode())
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *_OF_WHEEL]
        command += ["--require-hashes", "--requirement", str(lock), "--dest", folder]
        with doing("pip fetches MediaPipe's wheel"):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            errors = [line[7:].rstrip(".") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            raise AslsparkError(
                f"fetch hand-models: pip says: {errors[-1] if errors else done.returncode}; without an index, fetch "
                f"{WHEEL} elsewhere and give --from FILE"
            )
        with doing("converting the networks"):
            return networks_of_wheel(Path(folder, WHEEL), "fetch hand-models")
