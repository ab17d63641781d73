"""The other ranks through `torch.distributed`: gloo on CPUs, NCCL on GPUs. Imports nothing of Horovod."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as ranks

from aslspark.training.loop import STALL_SECONDS


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
        ranks.init_process_group(backend, timeout=timedelta(seconds=STALL_SECONDS))

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
        for gradient, part in zip(gradients, joined.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))
