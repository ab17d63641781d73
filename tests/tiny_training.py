"""A network of either framework in this process: one real step of the worker's, alone, without Horovod's processes."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np

from aslspark.common.settings import AugmentConfig, FeatureConfig, NetworkConfig, TrainingConfig
from aslspark.features.landmarks import FEATURES
from aslspark.training.batches import Batch
from aslspark.training.worker import SampleFolders, WorkerJob


def alone():
    """Horovod's names for a run of one process: sums and means over it are what it has."""
    messages = {}
    """How many numbers each message of a step holds, by its name."""

    def same(value, name=None, **how):
        if hasattr(value, "shape"):
            messages[name] = int(np.prod(value.shape))
        return value.clone() if hasattr(value, "clone") else value

    def distributed_optimizer(optimizer, named_parameters, num_groups):
        messages[f"gradients {len(messages)}"] = sum(weight.numel() for _, weight in named_parameters)
        optimizer.synchronize, optimizer.skip_synchronize = lambda: None, nullcontext
        return optimizer

    return SimpleNamespace(
        messages=messages,
        size=lambda: 1,
        Sum=None,
        Average=None,
        allreduce=same,
        broadcast_parameters=lambda weights, root_rank: None,
        broadcast_variables=lambda weights, root_rank: None,
        DistributedOptimizer=distributed_optimizer,
    )


def random_inputs(names, shape, n, seed=0):
    """What a network takes, by name."""
    random = np.random.default_rng(seed)
    given = {
        "picture": random.integers(0, 256, (n, *shape), np.uint8),
        "landmarks": random.standard_normal((n, FEATURES), np.float32),
    }
    return {name: given[name] for name in names}


class SimpleTraining:
    def __init__(
        self,
        framework,
        model,
        shape,
        unfreeze_rate=0.1,
        optimizer=None,
        half=None,
        inputs=("picture",),
        ranks=None,
        augment=None,
        **training,
    ):
        self.framework, self.shape, self.inputs = framework, shape, inputs
        ranks = ranks or alone()
        self.classes = model.output_shape[-1] if framework == "keras" else list(model.parameters())[-1].numel()
        job = {
            "folders": SampleFolders("", None, range(self.classes)),
            "inputs": inputs,
            "shape": shape,
            "training": TrainingConfig(seed=0, batch_size=4, **training),
            "network": NetworkConfig(unfreeze_rate=unfreeze_rate),
            "features": FeatureConfig(),
            "augment": augment or AugmentConfig(on=False),
            "val_batch_size": 4,
        }
        if framework == "keras":
            import tensorflow as tf

            from aslspark.training.keras_worker import KerasTrainable

            spec = {
                "architecture": model.to_json(),
                "weights": model.get_weights(),
                "optimizer": tf.keras.optimizers.serialize(optimizer or tf.keras.optimizers.Adam(0.001)),
                "loss": "categorical_crossentropy",
            }
            self.trainable = KerasTrainable(WorkerJob(spec, **job), ranks, f"mixed_{half}" if half else "float32")
        else:
            import cloudpickle
            import torch

            from aslspark.training.torch_worker import TorchTrainable

            spec = {
                "model": cloudpickle.dumps(model),
                "optimizer": optimizer or (torch.optim.Adam, {"lr": 0.001}),
                "loss": cloudpickle.dumps(torch.nn.CrossEntropyLoss()),
            }
            kind = getattr(torch, half) if half else None
            self.trainable = TorchTrainable(WorkerJob(spec, **job), ranks, torch.device("cpu"), kind)

    def sent(self):
        """How many numbers the gradients have that a step averages over the ranks, by message."""
        messages = self.trainable._hvd.messages
        return [size for name, size in messages.items() if name and name.startswith("gradients")]

    @property
    def model(self):
        return self.trainable._model

    def batch(self, weight=1.0):
        given = random_inputs(self.inputs, self.shape, 4)
        labels = np.random.default_rng(1).integers(0, self.classes, 4)
        return Batch(
            given.get("picture"), labels, np.full(4, weight, np.float32), 0.25, landmarks=given.get("landmarks")
        )

    def step(self, weight=1.0):
        self.trainable.set_learning_rate(0.001)
        self.trainable.train(self.batch(weight))

    def weights(self):
        """Every array by name."""
        if self.framework == "keras":
            return {f"{n} {v.name}": v.numpy().copy() for n, v in enumerate(self.model.weights)}
        return {key: value.numpy().copy() for key, value in self.model.state_dict().items()}

    def learning(self):
        """The names of those that gradients change."""
        if self.framework == "keras":
            learning = {id(variable) for variable in self.model.trainable_variables}
            return [f"{n} {v.name}" for n, v in enumerate(self.model.weights) if id(v) in learning]
        return [name for name, weight in self.model.named_parameters() if weight.requires_grad]

    def onnx(self):
        if self.framework == "keras":
            from aslspark.models.keras_network import to_onnx

            return to_onnx(self.model, True)
        from aslspark.models.torch_network import to_onnx

        return to_onnx(self.model, self.shape, True, self.inputs)


def answers(framework, model, *given):
    """Probabilities by the framework itself, of pictures, landmarks or both."""
    if framework == "keras":
        import tensorflow as tf

        from aslspark.models.keras_network import scale

        ready = [scale(value, True) if value.ndim == 4 else tf.constant(value) for value in given]
        return model(ready if len(ready) > 1 else ready[0], training=False).numpy()
    import torch

    from aslspark.models.torch_network import scale

    with torch.inference_mode():
        tensors = map(torch.from_numpy, given)
        logits = model.eval()(*(scale(value, True) if value.ndim == 4 else value for value in tensors))
    return torch.softmax(logits, dim=1).numpy()


class Recorded:
    """A network that only writes down what the loop asks of it."""

    learning_rate, norm = 1.0, 1.0

    def __init__(self, losses):
        self.losses, self.asked = iter(losses), []

    def set_learning_rate(self, value):
        pass

    def train(self, batch):
        self.asked.append("train")

    def evaluate(self, batch):
        self.asked.append("evaluate")

    def average_statistics(self):
        self.asked.append("average")

    def unfreeze(self):
        self.asked.append("unfreeze")

    def take_sums(self):
        loss = next(self.losses) if self.asked[-1] == "evaluate" else 1.0
        return np.array([loss, 1.0, 0.0, 1.0, self.norm, 1.0, 0.0, 1.0, 0.0])

    def weights(self):
        return str(len(self.asked)).encode()

    def load_weights(self, weights):
        pass

    def seed(self, epoch):
        pass


class OneBatch:
    rows = steps = 1

    def epoch(self, number, shuffle=True):
        return iter([None])
