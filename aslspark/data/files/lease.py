"""A folder that is being written -> a lease, which tells a killed job's folder from that of a running one.

The lease is a locked file beside the folder. The kernel releases the lock when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
import socket
from pathlib import Path

ENDING = ".lease"


class Lease:
    """A folder that this process writes, until the lease is released or the process ends."""

    def __init__(self, path: str, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def release(self) -> None:
        """Release the folder, which is finished or deleted."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        os.close(self._descriptor)


def take_lease(folder: str) -> Lease | None:
    """Take the lease of a folder that is about to be made; None where its file system has no locks.

    The lease is a hidden file of the folder's name, beside it.
    """
    path = _lease_of(folder)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, json.dumps(_machine()).encode())
    except OSError:
        os.unlink(path)
        os.close(descriptor)
        return None
    return Lease(path, descriptor)


def remove_left_over(out: str) -> list[str]:
    """Remove the temporary folders beside `out` that processes of this machine have left, and return them.

    A folder is removed only if its lease was written by this machine and is not locked. One without a lease or from
    another machine stays: a shared file system may not pass on locks.
    """
    removed = []
    for lease in sorted(glob.glob(_lease_of(f"{glob.escape(out)}.tmp-*"))):
        try:
            descriptor = os.open(lease, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            holder = json.loads(os.read(descriptor, 4096))
            if any(holder.get(key) == value for key, value in _machine().items() if value):
                folder = os.path.join(os.path.dirname(lease), os.path.basename(lease)[1 : -len(ENDING)])
                if os.path.isdir(folder) and not os.path.islink(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                    removed.append(folder)
                os.unlink(lease)
        except (OSError, ValueError, AttributeError):  # locked, just being made, or no lease of this package
            continue
        finally:
            os.close(descriptor)
    return removed


def _lease_of(folder: str) -> str:
    return os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}{ENDING}")


def _machine() -> dict[str, str]:
    """Identify this machine, by host name or boot id: containers have their own host names, but share the boot id."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return {"host": socket.gethostname(), "boot": boot}
