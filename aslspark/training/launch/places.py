"""Who is where: ranks from the hosts of the tasks, and the addresses by which hosts reach each other."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

LOOPBACK = "127.0.0.1"


class Place(NamedTuple):
    """A process among all, among those of its host, and among those with its local rank on all hosts."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    cross_rank: int
    cross_size: int


def places(hosts: Sequence[str]) -> list[Place]:
    """Rank the tasks, whose hosts are given, host by host, as Horovod does."""
    found: dict[int, Place] = {}
    tasks_of = {host: [task for task, other in enumerate(hosts) if other == host] for host in dict.fromkeys(hosts)}
    for host, tasks in tasks_of.items():
        for local_rank, task in enumerate(tasks):
            across = [other for other, its in tasks_of.items() if len(its) > local_rank]
            found[task] = Place(len(found), len(hosts), local_rank, len(tasks), across.index(host), len(across))
    return [found[task] for task in range(len(hosts))]


def this_host() -> str:
    """Name what has a loopback of its own: two containers of one machine are two hosts."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{os.uname().nodename} {boot} {os.stat('/proc/self/ns/net').st_ino}"


def own_address(towards: str) -> str:
    """Return this host's address on the way to another host, to which nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((towards, 9))
        return str(way.getsockname()[0])


def interface_of(address: str) -> str:
    """Return the name of this host's interface with an address."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            return str(name)
    raise OSError(f"no interface of {os.uname().nodename} has the address {address}")
