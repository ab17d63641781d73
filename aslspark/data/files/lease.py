"""A folder that is being written -> who writes it: what a killed job has left is told from what a living one writes.

In: the folder. Out: a lease, a locked file beside it. The kernel lets go of the lock when the process ends, however
that is.
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
    """A folder held by this process, until it is released or the process ends."""

    def __init__(self, path: str, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def release(self) -> None:
        """Let the folder go, which is done with or gone."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        os.close(self._descriptor)


def take_lease(folder: str) -> Lease | None:
    """Hold a folder that is about to be made; None where its file system knows no locks, and what is left there stays.

    The lease lies beside the folder, as a hidden file of its name.
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


def left_over(out: str) -> list[str]:
    """Remove the temporary folders beside `out` that a process of this machine has left, and return them.

    A folder goes only where it has a lease that this machine wrote and that no process holds: one without, of another
    machine (a shared file system may not pass locks on), or that somebody writes, stays.
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
        except (OSError, ValueError, AttributeError):  # held, just being made, or not ours
            continue
        finally:
            os.close(descriptor)
    return removed


def _lease_of(folder: str) -> str:
    return os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}{ENDING}")


def _machine() -> dict[str, str]:
    """Name this machine: its containers have hosts' names of their own, but one kernel; a restart changes its mark."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return {"host": socket.gethostname(), "boot": boot}
