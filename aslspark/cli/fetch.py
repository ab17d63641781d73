"""`aslspark fetch SET`: fetches a public data set, by Kaggle's own client, or the networks that find hands."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aslspark.cli.fetch_hand_models import fetch_hand_models
from aslspark.common.command_line import ArgumentParser
from aslspark.common.errors import AslsparkError
from aslspark.common.known_hash import require_hash
from aslspark.common.progress import doing
from aslspark.common.redaction import say

HAND_MODELS = "hand-models"


@dataclass(frozen=True)
class ExpectedFile:
    """Size and SHA-256 of a file of a data set."""

    size: int
    sha256: str


@dataclass(frozen=True)
class DataSet:
    """A data set on Kaggle."""

    name: str
    """OWNER/NAME."""
    files: dict[str, ExpectedFile]
    """File name -> what is expected; the archive may hold it in any folder."""


SETS = {
    "sign-mnist": DataSet(
        "datamunge/sign-language-mnist",
        {
            "sign_mnist_train.csv": ExpectedFile(
                83_253_609, "b7ff39ad5f1210fa765ce11aa5f20c2e97fe467ffc22231aac923c863eef75c4"
            ),
            "sign_mnist_test.csv": ExpectedFile(
                21_770_312, "178c0dd21c4b0e86d58df12f14ea1e9efa795ad19d146802b3b28094a16d56ae"
            ),
        },
    )
}


def main(argv: Sequence[str]) -> None:
    """Fetch a set into a folder; files that are there already are only checked.

    Raises
    ------
    AslsparkError
        Where it cannot be fetched, or where a file is not as it must be.
    """
    parser = ArgumentParser(
        prog="aslspark fetch",
        description="Fetch sign-mnist, a public data set, with Kaggle's own client (pip install kaggle) and your "
        "credentials; or hand-models, the networks that find hands, from MediaPipe's wheel with your pip. What comes "
        "is checked by its SHA-256. Files that are there already are checked alone.",
    )
    parser.add_argument("set", choices=(*SETS, HAND_MODELS))
    parser.add_argument(
        "--out", metavar="DIR", help="folder to put the files into (hand-models: by default where they are looked for)"
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="of hand-models, without an index: MediaPipe's wheel, or a folder or bundle that holds the networks",
    )
    options = parser.parse_args(argv)
    if options.set == HAND_MODELS:
        fetch_hand_models(options.source, options.out)
        return
    if options.source is not None:
        parser.error(f"--from {options.source}: it is for {HAND_MODELS} alone")
    if options.out is None:
        parser.error(f"{options.set}: give --out DIR")
    fetch(SETS[options.set], Path(options.out))


def fetch(data_set: DataSet, out: Path) -> None:
    """Fetch the missing files of a set into a folder, all of them or none; see `main`."""
    missing = []
    for name, expected in data_set.files.items():
        path = out / name
        if path.exists():
            check(path, expected, "remove it, and it is fetched anew")
            say(f"{path}: as it must be")
        else:
            missing.append(name)
    if not missing:
        return
    client = shutil.which("kaggle")
    if client is None:
        raise AslsparkError(
            f"fetch: Kaggle's client is not installed; pip install kaggle, or put {' and '.join(missing)} of "
            f"kaggle.com/datasets/{data_set.name} into {out} yourself"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".aslspark-", dir=out)
    except OSError as error:
        raise AslsparkError(f"--out {out}: {error.strerror}; choose a folder that can be written") from error
    with scratch as folder:
        arguments = ["datasets", "download", "-d", data_set.name, "-p", folder, "--unzip", "--quiet"]
        with doing(f"Kaggle's client fetches {data_set.name}"):
            done = subprocess.run([client, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
            raise AslsparkError(
                f"fetch {data_set.name}: Kaggle's client says: {lines[-1].strip() if lines else done.returncode}; "
                "check the network and the credentials in ~/.kaggle/kaggle.json"
            )
        fetched = {}
        for name in missing:
            file = next(iter(sorted(Path(folder).rglob(name))), None)
            if file is None or not file.is_file():
                raise AslsparkError(f"fetch {data_set.name}: {name} is not in what Kaggle sent; the set has changed")
            check(file, data_set.files[name], "fetch it again")
            fetched[name] = file
        for name, file in fetched.items():
            os.replace(file, out / name)
            say(f"{out / name}: fetched, as it must be")


def check(path: Path, expected: ExpectedFile, remedy: str) -> None:
    """Check the size and the SHA-256 of a file.

    Raises
    ------
    AslsparkError
        Naming what differs.
    """
    size = path.stat().st_size
    if size != expected.size:
        raise AslsparkError(f"{path}: {size:,} bytes in place of {expected.size:,}; {remedy}")
    with path.open("rb") as file:
        require_hash(str(path), hashlib.file_digest(file, "sha256").hexdigest(), expected.sha256, remedy)
