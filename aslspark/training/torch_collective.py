"""The other ranks through `torch.distributed`: gloo on CPUs, NCCL on GPUs. Imports nothing of Horovod."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import torch
import torch.distributed as ranks

from aslspark.training.launch import store
from aslspark.training.launch.child import at_work
from aslspark.training.loop import STALL_SECONDS

ASK_AGAIN_SECONDS = 0.01


class TorchCollective:
    """See `aslspark.training.collective.Collective`.

    Parameters
    ----------
    device : torch.device
        Where what is averaged lies.
    """

    Average, Sum = "average", "sum"

    def __init__(self, device: torch.device) -> None:
        backend = "nccl" if device.type == "cuda" else "gloo"
        ranks.init_process_group(
            backend,
            timeout=timedelta(seconds=STALL_SECONDS),
            store=FitStore(os.environ[store.ADDRESS], int(os.environ[store.PORT])),
            rank=int(os.environ["RANK"]),
            world_size=int(os.environ["WORLD_SIZE"]),
        )
        at_work()

    def rank(self) -> int:
        """Return this process's number, from 0."""
        return ranks.get_rank()

    def size(self) -> int:
        """Return how many there are."""
        return ranks.get_world_size()

    def allreduce(self, tensor: torch.Tensor, *, op: str, name: str) -> torch.Tensor:
        """Return the mean or the sum of a tensor over the ranks."""
        total = tensor.clone()
        ranks.all_reduce(total)
        return total / self.size() if op == self.Average else total

    def broadcast_parameters(self, params: Mapping[str, torch.Tensor], root_rank: int) -> None:
        """Bring all ranks' tensors to one rank's."""
        for tensor in params.values():
            ranks.broadcast(tensor, root_rank)

    def DistributedOptimizer(
        self, optimizer: Any, named_parameters: Iterable[tuple[str, torch.nn.Parameter]], num_groups: int
    ) -> Any:
        """Give an optimizer what Horovod's has: its gradients travel in one message, after the backward pass.

        Not by DistributedDataParallel, which wraps the network: what is unfrozen later would need another wrapper, and
        what a loss scale multiplies or a norm shortens would be averaged before anybody could look.
        """
        weights = [weight for _, weight in named_parameters]
        optimizer.synchronize = lambda: self._average([weight.grad for weight in weights if weight.grad is not None])
        optimizer.skip_synchronize = nullcontext
        return optimizer

    def _average(self, gradients: list[torch.Tensor]) -> None:
        joined = torch.cat([gradient.flatten() for gradient in gradients])
        ranks.all_reduce(joined)
        joined /= self.size()
        for gradient, part in zip(gradients, torch.split(joined, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))


class FitStore(ranks.Store):
    """Where torch's ranks find each other: the fit's own store. torch's `TCPStore` believes whoever connects.

    Parameters
    ----------
    port : int
        See `aslspark.training.launch.store.ask`.
    """

    def __init__(self, address: str, port: int) -> None:
        super().__init__()
        self._address, self._port = address, port

    def set(self, key: str, value: bytes | str) -> None:
        """Set a value."""
        self._ask("PUT", key, value.encode() if isinstance(value, str) else value)

    def get(self, key: str) -> bytes:
        """Wait for a value, and return it."""
        self.wait([key])
        return self._ask("GET", key) or b""

    def add(self, key: str, amount: int) -> int:
        """Add to a number, and return the sum."""
        return int(self._ask("POST", key, str(amount).encode()) or b"0")

    def check(self, keys: list[str]) -> bool:
        """Tell whether all have a value."""
        return all(self._ask("GET", key) is not None for key in keys)

    def wait(self, keys: list[str], timeout: timedelta | None = None) -> None:
        """Wait until all have a value."""
        until = time.monotonic() + (timeout.total_seconds() if timeout else STALL_SECONDS)
        while not self.check(keys):
            if time.monotonic() > until:
                raise ranks.DistStoreError(f"{', '.join(keys)}: no other rank has said so in time")
            time.sleep(ASK_AGAIN_SECONDS)

    def delete_key(self, key: str) -> bool:
        """Take a value away."""
        return self._ask("DELETE", key) is not None

    def _ask(self, method: str, key: str, content: bytes = b"") -> bytes | None:
        return store.ask(self._address, self._port, method, f"torch/{quote(key, safe='')}", content)
