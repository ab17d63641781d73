"""What a Horovod process does with a torch network. Imports nothing of TensorFlow: one process, one framework."""

from __future__ import annotations

from typing import Any

import cloudpickle
import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch

from aslspark.features.augment_torch import augment
from aslspark.models.torch_network import moving_statistics, scale, set_training
from aslspark.training.feed import Batch
from aslspark.training.worker import WorkerJob, run_epochs


class TorchTrainable:
    """A torch network with its optimizer; see `aslspark.training.loop.Trainable`."""

    def __init__(self, job: WorkerJob, hvd: Any, device: torch.device) -> None:
        spec = job.network
        self._hvd, self._device = hvd, device
        if b"torchvision" in spec["model"]:  # its classes cannot be unpickled before this
            import aslspark.models.torchvision_ops  # noqa: F401
        self._model = cloudpickle.loads(spec["model"]).to(device)
        self._make_optimizer, self._settings = spec["optimizer"]
        self.learning_rate = self._settings["lr"] * hvd.size()
        hvd.broadcast_parameters(self._model.state_dict(), root_rank=0)
        learning = [(name, weight) for name, weight in self._model.named_parameters() if weight.requires_grad]
        self._optimizers = [(self._distributed_optimizer(learning), 1.0)]
        self._unfreeze_rate = job.unfreeze_rate
        self._loss = cloudpickle.loads(spec["loss"])
        self._loss.reduction = "none"
        self._sums = torch.zeros(4, dtype=torch.float64, device=device)
        self._stretch, self._augment = job.stretch, job.augment

    def set_learning_rate(self, value: float) -> None:
        for optimizer, share in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = value * share

    def unfreeze(self) -> None:
        frozen = [(name, weight) for name, weight in self._model.named_parameters() if not weight.requires_grad]
        for _, weight in frozen:
            weight.requires_grad_(True)
        if frozen:  # an optimizer of its own: Horovod's takes no more parameters once it is made
            self._optimizers.append((self._distributed_optimizer(frozen), self._unfreeze_rate))

    def train(self, batch: Batch) -> None:
        set_training(self._model)
        pictures, labels, weights = self._on_device(batch)
        inputs = scale(pictures, self._stretch)
        if self._augment:
            inputs = augment(inputs)
        for optimizer, _ in self._optimizers:
            optimizer.zero_grad()
        outputs = self._model(inputs)
        loss = (self._loss(outputs, labels) * weights).sum()
        (loss * batch.scale).backward()
        for optimizer, _ in self._optimizers:
            optimizer.step()
        self._add(loss, weights, outputs, labels)

    def evaluate(self, batch: Batch) -> None:
        self._model.eval()
        pictures, labels, weights = self._on_device(batch)
        with torch.inference_mode():
            outputs = self._model(scale(pictures, self._stretch))
            loss = (self._loss(outputs, labels) * weights).sum()
            self._add(loss, weights, outputs, labels)

    def average_statistics(self) -> None:
        statistics = moving_statistics(self._model)
        if statistics:
            joined = torch.nn.utils.parameters_to_vector(statistics)
            averaged = self._hvd.allreduce(joined, op=self._hvd.Average, name="statistics")
            for statistic, part in zip(statistics, averaged.split([s.numel() for s in statistics]), strict=True):
                statistic.copy_(part.view_as(statistic))

    def take_sums(self) -> npt.NDArray[np.float64]:
        total = self._hvd.allreduce(self._sums, op=self._hvd.Sum, name="sums").cpu().numpy()
        self._sums.zero_()
        return np.asarray(total, np.float64)

    def weights(self) -> bytes:
        """Return the state dict as safetensors."""
        return safetensors.torch.save(
            {key: value.detach().cpu().contiguous() for key, value in self._model.state_dict().items()}
        )

    def load_weights(self, weights: bytes) -> None:
        self._model.load_state_dict(safetensors.torch.load(weights))

    def _distributed_optimizer(self, named_weights: list[tuple[str, torch.nn.Parameter]]) -> Any:
        optimizer = self._make_optimizer([weight for _, weight in named_weights], **self._settings)
        # All gradients in one message: one by one, small networks wait for the network.
        return self._hvd.DistributedOptimizer(optimizer, named_parameters=named_weights, num_groups=1)

    def _on_device(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(part).to(self._device) for part in (batch.pictures, batch.labels, batch.weights))

    def _add(self, loss: torch.Tensor, weights: torch.Tensor, outputs: torch.Tensor, labels: torch.Tensor) -> None:
        right = (outputs.detach().argmax(dim=1) == labels).sum()
        rows = torch.tensor(float(len(labels)), device=self._device)
        self._sums += torch.stack([loss.detach(), weights.sum(), right, rows]).double()


def train(job: WorkerJob) -> dict[str, Any]:
    """Train this rank's share; see `aslspark.training.worker.run_epochs`."""
    import horovod.torch as hvd

    torch.set_num_threads(job.threads)
    hvd.init()
    device = _device(hvd, job.use_gpu)
    torch.manual_seed(job.seed + hvd.rank())  # dropout and augmentation differ by rank
    return run_epochs(job, hvd, lambda: TorchTrainable(job, hvd, device))


def _device(hvd: Any, use_gpu: bool) -> torch.device:
    if not (use_gpu and torch.cuda.is_available()):
        return torch.device("cpu")
    from horovod.spark.task import get_available_devices

    assigned = get_available_devices()
    device = torch.device("cuda", int(assigned[0]) if assigned else hvd.local_rank())
    torch.cuda.set_device(device)
    return device
