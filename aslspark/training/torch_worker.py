"""What a process of a fit does with a torch network. Imports nothing of TensorFlow: one process, one framework.

Nor of Horovod: the other ranks come from `aslspark.training.collective`.
"""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.features.augment_torch import augment
from aslspark.models.torch_network import moving_statistics, scale, set_training
from aslspark.training.batches import Batch
from aslspark.training.checkpoint import State
from aslspark.training.collective import Collective, torch_collective
from aslspark.training.gpus import claim_gpu, no_gpu
from aslspark.training.loop import SUMS
from aslspark.training.worker import WorkerJob, WorkerResult, mixed_seed, run_epochs


def before_fork() -> None:
    """Make an optimizer: torch imports its compiler, with sympy, for the first one, which is 1.4 s of the processor."""
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])


class TorchTrainable:
    """A torch network with its optimizer; see `aslspark.training.loop.Trainable`.

    Parameters
    ----------
    hvd : Collective
        Such as `horovod.torch`.
    half : torch.dtype, optional
        What the network computes in where 16 bits are enough; see `half_type`.
    """

    def __init__(self, job: WorkerJob, hvd: Collective, device: torch.device, half: torch.dtype | None = None) -> None:
        spec = job.spec
        self._job, self._hvd, self._device, self._half = job, hvd, device, half
        # float16 has no numbers as small as gradients can be; bfloat16 has float32's range.
        self._scaler = torch.amp.GradScaler(device.type) if half == torch.float16 else None
        if b"torchvision" in spec["model"]:  # its classes cannot be unpickled before this
            import aslspark.models.torchvision_ops  # noqa: F401
        self._model = cloudpickle.loads(spec["model"]).to(device)
        self._make_optimizer, self._settings = spec["optimizer"]
        self.learning_rate = self._settings["lr"] * hvd.size()
        hvd.broadcast_parameters(self._model.state_dict(), root_rank=0)
        learning = [(name, weight) for name, weight in self._model.named_parameters() if weight.requires_grad]
        self._optimizers = [(self._distributed_optimizer(learning), 1.0)]
        self._judging_loss = cloudpickle.loads(spec["loss"])
        self._judging_loss.reduction = "none"
        self._loss = copy.copy(self._judging_loss)
        if job.training.label_smoothing:
            self._loss.label_smoothing = job.training.label_smoothing
        self._classes = len(job.folders.labels)
        self._sums = torch.zeros(len(SUMS) + self._classes, dtype=torch.float64, device=device)
        self._waited = 0.0

    def set_learning_rate(self, value: float) -> None:
        for optimizer, share in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = value * share

    def unfreeze(self) -> None:
        frozen = [(name, weight) for name, weight in self._model.named_parameters() if not weight.requires_grad]
        for _, weight in frozen:
            weight.requires_grad_(True)
        if frozen:  # an optimizer of its own: Horovod's takes no more parameters once it is made
            self._optimizers.append((self._distributed_optimizer(frozen), self._job.network.unfreeze_rate))

    def train(self, batch: Batch) -> None:
        set_training(self._model)
        labels, weights, *given = self._on_device(batch)
        inputs = self._ready(given, training=True)
        for optimizer, _ in self._optimizers:
            optimizer.zero_grad()
        outputs = self._outputs(*inputs)
        loss = (self._loss(outputs, labels) * weights).sum()
        scaled = loss * batch.scale
        (scaled if self._scaler is None else self._scaler.scale(scaled)).backward()
        norm, waited = self._step()
        # Steps that are left out have no norm.
        kept = torch.ones_like(norm, dtype=torch.bool) if self._scaler is None else norm.isfinite()
        self._add(loss, weights, outputs.argmax(dim=1) == labels, torch.where(kept, norm, 0.0), kept)
        self._waited += waited

    def evaluate(self, batch: Batch) -> None:
        self._model.eval()
        labels, weights, *given = self._on_device(batch)
        with torch.inference_mode():
            outputs = self._outputs(*self._ready(given, training=False))
            loss = (self._judging_loss(outputs, labels) * weights).sum()
            answers = outputs.argmax(dim=1)
            self._add(loss, weights, answers == labels)
            self._sums[len(SUMS) :] += torch.nn.functional.one_hot(answers, self._classes).sum(dim=0)

    def average_statistics(self) -> None:
        statistics = moving_statistics(self._model)
        if statistics:
            joined = torch.nn.utils.parameters_to_vector(statistics)
            averaged = self._hvd.allreduce(joined, op=self._hvd.Average, name="statistics")
            for statistic, part in zip(statistics, averaged.split([s.numel() for s in statistics]), strict=True):
                statistic.copy_(part.view_as(statistic))

    def take_sums(self) -> npt.NDArray[np.float64]:
        self._sums[SUMS.index("waited")] = self._waited / self._hvd.size()
        total = self._hvd.allreduce(self._sums, op=self._hvd.Sum, name="sums").cpu().numpy()
        self._sums.zero_()
        self._waited = 0.0
        return np.asarray(total, np.float64)

    def weights(self) -> bytes:
        """Return the state dict as safetensors."""
        return safetensors.torch.save(
            {key: value.detach().cpu().contiguous() for key, value in self._model.state_dict().items()}
        )

    def load_weights(self, weights: bytes) -> None:
        self._model.load_state_dict(safetensors.torch.load(weights))

    def state(self) -> State:
        """Return the arrays of the optimizers' states, by optimizer, weight and name; and of float16's loss scale."""
        found: dict[str, npt.NDArray[Any]] = {}
        for place, (optimizer, _) in enumerate(self._optimizers):
            for weight, values in optimizer.state_dict()["state"].items():
                for name, value in values.items():
                    if value is not None:
                        found[f"{place}/{weight}/{name}"] = torch.as_tensor(value).detach().cpu().numpy()
        if self._scaler is not None:
            found |= {f"scaler/{name}": np.asarray(value) for name, value in self._scaler.state_dict().items()}
        return found

    def load_state(self, state: State) -> None:
        for place, (optimizer, _) in enumerate(self._optimizers):
            values: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in state.items():
                owner, _, rest = key.partition("/")
                if owner == str(place):
                    weight, _, name = rest.partition("/")
                    values.setdefault(int(weight), {})[name] = torch.from_numpy(value.copy())
            optimizer.load_state_dict({**optimizer.state_dict(), "state": values})
        if self._scaler is not None:
            self._scaler.load_state_dict({name: state[f"scaler/{name}"].item() for name in self._scaler.state_dict()})

    def seed(self, epoch: int) -> None:
        torch.manual_seed(mixed_seed(self._job.training.seed, self._hvd.rank(), epoch))  # dropout and augmentation

    def start_trace(self) -> None:
        self._trace = torch.profiler.profile()  # of the CPU, and of a GPU where there is one
        self._trace.start()

    def stop_trace(self) -> dict[str, bytes]:
        """Return a trace in Chrome's format, which Perfetto opens."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._trace.stop()
        with tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
            path = Path(folder) / "trace.json"
            self._trace.export_chrome_trace(str(path))
            return {path.name: path.read_bytes()}

    def _ready(self, given: list[torch.Tensor], training: bool) -> list[torch.Tensor]:
        """Scale pictures, and change them in training; landmarks come as they are to be taken."""
        ready = []
        for name, value in zip(self._job.inputs, given, strict=True):
            inputs = scale(value, self._job.features.stretch) if name == PICTURE else value
            if name == PICTURE and training and self._job.augment.on:
                inputs = augment(inputs, self._job.augment)
                if LANDMARKS in self._job.inputs:  # a picture that is left out stays 0 all over
                    inputs = torch.where((value > 0).flatten(1).any(dim=1)[:, None, None, None], inputs, 0.0)
            ready.append(inputs)
        return ready

    def _outputs(self, *inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self._device.type, self._half, enabled=self._half is not None):
            outputs: torch.Tensor = self._model(*inputs)
        return outputs.float()  # the loss, and all that is summed, is float32's

    def _step(self) -> tuple[torch.Tensor, float]:
        """Step by the averaged gradients; return the norm of all of them and the seconds they were waited for."""
        asked = time.monotonic()
        for optimizer, _ in self._optimizers:
            optimizer.synchronize()
        waited = time.monotonic() - asked
        if self._scaler is not None:
            # Averaged before they are looked at: all ranks leave out the same steps, those whose gradients overflowed.
            for optimizer, _ in self._optimizers:
                self._scaler.unscale_(optimizer)
        groups = [group["params"] for optimizer, _ in self._optimizers for group in optimizer.param_groups]
        learning = [weight for group in groups for weight in group if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in learning])
        if limit := self._job.training.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(learning, limit, norm)
        for optimizer, _ in self._optimizers:
            with optimizer.skip_synchronize():
                if self._scaler is None:
                    optimizer.step()
                else:
                    self._scaler.step(optimizer)
        if self._scaler is not None:
            self._scaler.update()
        return norm, waited

    def _distributed_optimizer(self, named_weights: list[tuple[str, torch.nn.Parameter]]) -> Any:
        groups: list[dict[str, Any]] = [{"params": [weight for _, weight in named_weights]}]
        if self._settings.get("weight_decay"):
            # Of one axis: biases, and BatchNorm's scales, which would only make the layer before them larger.
            bare = [weight for _, weight in named_weights if weight.dim() < 2]
            groups[0]["params"] = [weight for _, weight in named_weights if weight.dim() >= 2]
            groups.append({"params": bare, "weight_decay": 0.0})
        optimizer = self._make_optimizer(groups, **self._settings)
        # All gradients in one message: one by one, small networks wait for the network.
        return self._hvd.DistributedOptimizer(optimizer, named_parameters=named_weights, num_groups=1)

    def _on_device(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        parts = [torch.from_numpy(part) for part in (batch.labels, batch.weights, *batch.inputs(self._job.inputs))]
        if self._device.type == "cuda":
            # From pageable memory a copy waits until the GPU has done all that was asked of it before.
            parts = [part.pin_memory() for part in parts]
        return tuple(part.to(self._device, non_blocking=True) for part in parts)

    def _add(self, loss: torch.Tensor, weights: torch.Tensor, right: torch.Tensor, *norms: torch.Tensor) -> None:
        rows = torch.full((), float(len(right)), device=self._device)  # filled there: a copy would be waited for
        added = torch.stack([loss.detach(), weights.sum(), right.sum(), rows, *norms])
        self._sums[: len(added)] += added.double()


def train(job: WorkerJob) -> WorkerResult:
    """Train this rank's share; see `aslspark.training.worker.run_epochs`."""
    device = torch.device("cpu") if job.gpu is None else _gpu(job.gpu)
    torch.set_num_threads(job.training.threads)
    hvd = torch_collective(job.training.launcher, device)
    half = half_type(device) if job.training.precision == "mixed" else None
    return run_epochs(job, hvd.rank(), hvd.size(), lambda: TorchTrainable(job, hvd, device, half))


def half_type(device: torch.device) -> torch.dtype:
    """Choose the 16 bits that a device computes in: bfloat16, or float16 on GPUs before compute capability 8.0."""
    old = device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)
    return torch.float16 if old else torch.bfloat16


def _gpu(source: str) -> torch.device:
    address = claim_gpu(source)
    if not torch.cuda.is_available():
        raise no_gpu("torch", address)
    device = torch.device("cuda", 0)  # the only one that this process sees
    torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = True  # batches are of nearly one size, so the search is made once
    torch.set_float32_matmul_precision("high")  # TF32, as TensorFlow does unasked
    return device
