"""Through what the processes of a fit average what they learn: Horovod, or `torch.distributed`.

In: the setting `training.launcher`; in a worker, its device. Out: what a worker says to the other ranks through.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from aslspark.training.launch.child import at_work
from aslspark.training.launch.launchers import HOROVOD, TORCH

ALONE = "alone"
"""In place of a launcher's name, in a worker: it is the only one."""
CARRIERS_NICE = 10
"""What is added to the niceness of the threads that carry Horovod's messages. At 10 they get a tenth of a core that
another thread wants: enough beside strangers' work, where 19 makes a fit five times as slow."""


class Collective(Protocol):
    """The other ranks, by the names of `horovod.torch`, which is one."""

    Average: Any
    Sum: Any

    def rank(self) -> int:
        """Return this process's number, from 0."""

    def size(self) -> int:
        """Return how many there are."""

    def allreduce(self, tensor: Any, *, op: Any, name: str) -> Any:
        """Return the mean or the sum of a tensor over the ranks."""

    def broadcast_parameters(self, params: Mapping[str, Any], root_rank: int) -> None:
        """Bring all ranks' tensors to one rank's."""

    def DistributedOptimizer(self, optimizer: Any, named_parameters: Iterable[Any], num_groups: int) -> Any:
        """Return an optimizer whose `synchronize()` makes gradients the mean over the ranks.

        Within its `skip_synchronize()`, `step()` takes them as they are.
        """


class Alone:
    """The ranks of a fit that has one: sums and means over it are what it has. See `Collective`."""

    Average, Sum = "average", "sum"

    def rank(self) -> int:
        """Return this process's number."""
        return 0

    def size(self) -> int:
        """Return how many there are."""
        return 1

    def allreduce(self, tensor: Any, *, op: Any, name: str) -> Any:
        """Return a copy, as the others do."""
        return tensor.clone()

    def broadcast_parameters(self, params: Mapping[str, Any], root_rank: int) -> None:
        """Leave them as they are."""

    def DistributedOptimizer(self, optimizer: Any, named_parameters: Iterable[Any], num_groups: int) -> Any:
        """Return the optimizer."""
        optimizer.synchronize, optimizer.skip_synchronize = lambda: None, nullcontext
        return optimizer


def torch_collective(launcher: str, device: Any) -> Collective:
    """Join the other ranks of a torch network, in a process that a launcher has started."""
    if launcher == TORCH:
        from aslspark.training.torch_collective import TorchCollective

        return TorchCollective(device)
    if launcher == ALONE:
        return Alone()
    import horovod.torch as hvd

    join_horovod(hvd)
    ranks: Collective = hvd
    return ranks


def is_installed(launcher: str) -> bool:
    """Tell whether a launcher's package is here, without importing it."""
    try:
        return launcher == TORCH or find_spec(HOROVOD) is not None
    except ImportError:  # somebody has blocked it
        return False


def join_horovod(hvd: Any) -> None:
    """Join the other ranks by one framework's binding of Horovod, and see that this process takes part.

    A message that comes before this rank asks for it keeps gloo's thread looking for it without a rest, on the core
    that this rank computes on: a sixth of Keras's time at batch 64. So those threads step back behind others. Horovod's
    own thread, the first that it starts, is what ends the looking and stays as it is.

    Raises
    ------
    RuntimeError
        As from `require_included`.
    """
    before, own = _threads(), os.getpriority(os.PRIO_PROCESS, 0)
    hvd.init()
    for carrier in sorted(_threads() - before)[1:]:
        with suppress(OSError):  # it has ended, or the sandbox forbids it
            os.setpriority(os.PRIO_PROCESS, carrier, own + CARRIERS_NICE)
    require_included(hvd)
    at_work()


def _threads() -> set[int]:
    """List this process's threads by Linux's numbers; none where the system is another."""
    return {int(task.name) for task in Path("/proc/self/task").glob("*")}


def require_included(hvd: Any) -> None:
    """See that this process takes part in Horovod's collective operations.

    Raises
    ------
    RuntimeError
        Where it does not: gradients would silently stay its own. That happens when the bindings of two frameworks
        meet in one process.
    """
    if not hvd.global_process_set.included():
        raise RuntimeError(
            "this process takes no part in averaging gradients (horovod's global process set leaves it out); "
            "import one framework's horovod alone in a worker"
        )
