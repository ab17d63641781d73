"""Faults to befall a training run, and what is looked at afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import psutil

from aslspark.training.console import ConsoleProgress


def training_processes(above: int | None = None) -> list[psutil.Process]:
    """The worker processes of a fit below a process (this one), one for each rank."""
    servers = fork_servers(above)
    forked = [process for server in servers for process in below(server, "")]
    return [*forked, *below(psutil.Process(above or os.getpid()), "aslspark.training.launch.child")]


def fork_servers(above: int | None = None) -> list[psutil.Process]:
    """The processes that workers below a process (this one) were forked from."""
    started = below(psutil.Process(above or os.getpid()), "aslspark.training.launch.fork_server")
    numbers = {process.pid for process in started}
    return [process for process in started if process.ppid() not in numbers]


def below(process: psutil.Process, words: str) -> list[psutil.Process]:
    """The processes below one that were started with some words in their command, and run."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if words in " ".join(each.cmdline()) and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
    return found


@contextlib.contextmanager
def on_events(act: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Do something whenever a worker reports; what a person sees is as ever."""
    usual = ConsoleProgress.__call__

    def and_act(self: ConsoleProgress, event: dict[str, Any]) -> None:
        usual(self, event)
        act(event)

    with patch.object(ConsoleProgress, "__call__", and_act):
        yield


def after_epoch(number: int, act: Callable[[], None]) -> Callable[[dict[str, Any]], None]:
    """Act once, when a checkpoint of that epoch is there."""
    acted = threading.Event()

    def look(event: dict[str, Any]) -> None:
        if event["event"] == "kept" and event["epoch"] == number and not acted.is_set():
            acted.set()
            act()

    return look


def interrupt() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def kill_one(seed: int, sign: signal.Signals = signal.SIGKILL) -> None:
    """End one of the workers."""
    processes = training_processes()
    if processes:
        random.Random(seed).choice(processes).send_signal(sign)


@contextlib.contextmanager
def held_after(epoch: int) -> Iterator[None]:
    """Let the first torch worker wait for ever when it has kept an epoch: what befalls the run befalls it there."""

    def train(job: Any) -> Any:
        import threading

        from aslspark.training import torch_worker, worker

        usual = worker.report

        def report_and_wait(event: dict[str, Any]) -> None:
            usual(event)
            if event["event"] == "kept" and event["epoch"] == epoch:
                threading.Event().wait()

        worker.report = report_and_wait
        return torch_worker.train(job)

    from aslspark.training.torch_fit import TorchNetwork

    with patch.object(TorchNetwork, "worker", lambda self: train):
        yield
