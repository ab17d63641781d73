"""Two real processes that meet through torch.distributed: means, sums, the first one's weights; no Spark."""

import json
import os
import subprocess
import sys

import pytest

from aslspark.training.launch.store import ADDRESS, PORT, StoreServer

RANK = """
import json, os
import torch
from aslspark.training.torch_collective import TorchCollective

ranks = TorchCollective(torch.device("cpu"))
rank = ranks.rank()
mine = torch.tensor([1.0, 2.0]) * (10 if rank else 1)
weights = torch.nn.Linear(2, 1)
torch.nn.init.constant_(weights.weight, rank + 3.0)
torch.nn.init.constant_(weights.bias, rank + 5.0)
ranks.broadcast_parameters(weights.state_dict(), root_rank=0)
begun = [each.tolist() for each in weights.parameters()]
frozen = torch.nn.Parameter(torch.zeros(1))  # it has no gradient, and is in no message
named = [*weights.named_parameters(), ("frozen", frozen)]
optimizer = ranks.DistributedOptimizer(torch.optim.SGD([each for _, each in named], 1.0), named, num_groups=1)
(weights(mine).sum() * (rank + 1)).backward()
optimizer.synchronize()
gradients = [each.grad.tolist() for each in weights.parameters()]
with optimizer.skip_synchronize():
    optimizer.step()
print(json.dumps({
    "size": ranks.size(),
    "mean": ranks.allreduce(mine, op=ranks.Average, name="a").tolist(),
    "sum": ranks.allreduce(mine, op=ranks.Sum, name="b").tolist(),
    "mine": mine.tolist(),
    "begun": begun,
    "gradients": gradients,
    "ended": [each.tolist() for each in weights.parameters()],
}))
"""


@pytest.mark.slow
def test_two_processes_average_add_and_begin_alike():
    server = StoreServer("127.0.0.1", "secret")
    meeting = {ADDRESS: f"127.0.0.1:{server.port}/secret", PORT: str(server.port), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANK],
            env={**os.environ, **meeting, "WORLD_SIZE": "2", "RANK": str(rank)},
            stdout=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    try:
        found = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        server.close()
    for rank, one in enumerate(found):
        assert one["size"] == 2
        assert one["mean"] == [5.5, 11.0]
        assert one["sum"] == [11.0, 22.0]
        assert one["mine"] == [[1.0, 2.0], [10.0, 20.0]][rank]  # what is averaged stays as it was
        assert one["begun"] == [[[3.0, 3.0]], [5.0]]
        # Gradients of the weights are the inputs, of the second process twice its own: (1, 2) and (20, 40).
        assert one["gradients"] == [[[10.5, 21.0]], [1.5]]
        assert one["ended"] == [[[-7.5, -18.0]], [3.5]]
