"""Pins, `NAME==VERSION` a line of stdin, to the same pins with the hash of every file of that version, on stdout.

A file is what pip may take by its settings, on any machine: wheels of every platform, sources, and builds with a local
tag, such as torch's +cpu, which pip takes for the plain version.
"""

from __future__ import annotations

import sys
import tempfile

# pip has no public way to ask for the hashes of more than the one file that it would take; pip-tools wraps what it has.
from pip._internal.req.constructors import install_req_from_line
from pip._vendor.packaging.version import Version
from piptools.repositories import PyPIRepository


def main() -> int:
    """Write a requirement with its hashes for each pin; 1 where no file of one is found."""
    with tempfile.TemporaryDirectory() as cache:
        repository = PyPIRepository(["--quiet", "--quiet"], cache_dir=cache)
        with repository.allow_all_wheels():
            for pin in sys.stdin.read().split():
                name, _, version = pin.partition("==")
                hashes = set()
                for candidate in repository.find_all_candidates(name):
                    if Version(candidate.version.public) != Version(version):
                        continue
                    if candidate.link.hash_name == "sha256":
                        hashes.add(f"sha256:{candidate.link.hash}")
                    else:  # a file of a folder, or of a place that names no hashes: it is read
                        hashes |= repository.get_hashes(install_req_from_line(f"{name}==={candidate.version}"))
                if not hashes:
                    print(f"lock: {pin}: no file of it is found by pip's settings", file=sys.stderr)
                    return 1
                print(" \\\n    ".join([pin, *(f"--hash={one}" for one in sorted(hashes))]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
