"""A network of either framework in this process: one real step of the worker's, alone, without Horovod's processes."""

from types import SimpleNamespace

import numpy as np

from aslspark.training.feed import Batch
from aslspark.training.loop import Plan
from aslspark.training.worker import WorkerJob


def alone():
    """Horovod's names for a run of one process: sums and means over it are what it has."""
    named = []

    def same(value, **how):
        return value

    def distributed_optimizer(optimizer, named_parameters, num_groups):
        named.append(len(named_parameters))
        return optimizer

    return SimpleNamespace(
        named=named,
        size=lambda: 1,
        Sum=None,
        Average=None,
        allreduce=same,
        grouped_allreduce=same,
        broadcast_parameters=lambda weights, root_rank: None,
        broadcast_variables=lambda weights, root_rank: None,
        DistributedOptimizer=distributed_optimizer,
    )


class SimpleTraining:
    def __init__(self, framework, model, shape, unfreeze_rate=0.1):
        self.framework, self.shape = framework, shape
        job = {
            "train_folder": "",
            "validation_folder": None,
            "labels": (),
            "shape": shape,
            "columns": {},
            "batch_size": 4,
            "val_batch_size": 4,
            "plan": Plan(1, 1, "constant"),
            "seed": 0,
            "threads": 1,
            "stretch": True,
            "augment": False,
            "use_gpu": False,
            "budget": 0,
            "unfreeze_rate": unfreeze_rate,
        }
        if framework == "keras":
            import tensorflow as tf

            from aslspark.training.keras_worker import KerasTrainable

            spec = {
                "architecture": model.to_json(),
                "weights": model.get_weights(),
                "optimizer": tf.keras.optimizers.serialize(tf.keras.optimizers.Adam(0.001)),
                "loss": "categorical_crossentropy",
            }
            self.trainable = KerasTrainable(WorkerJob(network=spec, **job), alone())
            self.classes = model.output_shape[-1]
        else:
            import cloudpickle
            import torch

            from aslspark.training.torch_worker import TorchTrainable

            spec = {
                "model": cloudpickle.dumps(model),
                "optimizer": (torch.optim.Adam, {"lr": 0.001}),
                "loss": cloudpickle.dumps(torch.nn.CrossEntropyLoss()),
            }
            self.trainable = TorchTrainable(WorkerJob(network=spec, **job), alone(), torch.device("cpu"))
            self.classes = list(model.parameters())[-1].numel()

    def listen(self):
        """Return a function that says how many gradients each message of a step holds."""
        heard, hvd = [], self.trainable._hvd
        if self.framework == "keras":

            def grouped_allreduce(gradients, op):
                heard.append(len(gradients))
                return gradients

            hvd.grouped_allreduce = grouped_allreduce

        def since():
            if self.framework == "keras":
                found = list(heard)
                heard.clear()
                return found
            return hvd.named

        return since

    @property
    def model(self):
        return self.trainable._model

    def step(self):
        random = np.random.default_rng(0)
        pictures = random.integers(0, 256, (4, *self.shape), np.uint8)
        labels = random.integers(0, self.classes, 4)
        self.trainable.set_learning_rate(0.001)
        self.trainable.train(Batch(pictures, labels, np.ones(4, np.float32), 0.25))

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

        return to_onnx(self.model, self.shape, True)


def answers(framework, model, pictures):
    """Probabilities by the framework itself."""
    if framework == "keras":
        from aslspark.models.keras_network import scale

        return model(scale(pictures, True), training=False).numpy()
    import torch

    from aslspark.models.torch_network import scale

    with torch.inference_mode():
        logits = model.eval()(scale(torch.from_numpy(pictures), True))
    return torch.softmax(logits, dim=1).numpy()
