"""What a Horovod process does with a Keras network. Imports nothing of torch: one process, one framework."""

from __future__ import annotations

import io
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.features.augment_keras import augment
from aslspark.models.keras_network import input_shapes, moving_statistics, scale, set_trainable
from aslspark.training.batches import Batch
from aslspark.training.checkpoint import State
from aslspark.training.collective import join_horovod
from aslspark.training.gpus import claim_gpu, no_gpu
from aslspark.training.loop import SUMS
from aslspark.training.worker import WorkerJob, WorkerResult, mixed_seed, run_epochs


class KerasTrainable:
    """A Keras network with its optimizer; see `aslspark.training.loop.Trainable`.

    Parameters
    ----------
    hvd : module
    policy : {'float32', 'mixed_bfloat16', 'mixed_float16'}
        What the layers compute in; see `half_policy`.
    """

    def __init__(self, job: WorkerJob, hvd: Any, policy: str = "float32") -> None:
        spec = job.spec
        self._job, self._hvd = job, hvd
        self._model = _rebuilt(spec["architecture"], policy)
        self._model.set_weights(spec["weights"])
        # float16 has no numbers as small as gradients can be; bfloat16 has float32's range.
        self._loss_scale = _LossScale() if policy == "mixed_float16" else None
        self._settings = spec["optimizer"]
        optimizer = self._make_optimizer(self._model.trainable_variables)
        self.learning_rate = float(optimizer.learning_rate) * hvd.size()
        self._optimizers = [(optimizer, self._model.trainable_variables, 1.0)]
        # Keras 3 wraps TensorFlow's variables. Its random states are none of the weights: they differ by rank.
        weights = [each if isinstance(each, tf.Variable) else each.value for each in self._model.weights]
        hvd.broadcast_variables(weights, root_rank=0)
        loss = tf.keras.losses.get(spec["loss"])
        if isinstance(loss, tf.keras.losses.Loss):
            loss.reduction = "none"
        self._loss = loss
        self._classes = self._model.outputs[0].shape[-1]
        self._sums = tf.Variable(tf.zeros(len(SUMS) + self._classes, tf.float32))
        shapes = input_shapes(self._model)
        self._names = list(shapes)
        signature = [
            [tf.TensorSpec([None, *s], tf.uint8 if name == PICTURE else tf.float32) for name, s in shapes.items()],
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None], tf.float32),
        ]
        self._train_signature = [*signature, tf.TensorSpec([], tf.float32)]
        # Nothing in a step is Python's to decide: to look for that in its source takes as long as the rest of a trace.
        self._train_step = tf.function(self._train, input_signature=self._train_signature, autograph=False)
        self._evaluate_step = tf.function(self._evaluate, input_signature=signature, autograph=False)
        self._seeded = False

    def set_learning_rate(self, value: float) -> None:
        for optimizer, _, share in self._optimizers:
            optimizer.learning_rate.assign(value * share)

    def unfreeze(self) -> None:
        learning = {id(variable) for variable in self._model.trainable_variables}
        set_trainable(self._model, True)
        thawed = [variable for variable in self._model.trainable_variables if id(variable) not in learning]
        if thawed:
            self._optimizers.append((self._make_optimizer(thawed), thawed, self._job.network.unfreeze_rate))
            # Traced anew: what learns is part of the graph.
            self._train_step = tf.function(self._train, input_signature=self._train_signature, autograph=False)

    def train(self, batch: Batch) -> None:
        self._train_step(batch.inputs(self._names), batch.labels, batch.weights, np.float32(batch.scale))

    def evaluate(self, batch: Batch) -> None:
        self._evaluate_step(batch.inputs(self._names), batch.labels, batch.weights)

    def average_statistics(self) -> None:
        statistics = moving_statistics(self._model)
        if statistics:
            joined = tf.concat([tf.reshape(statistic, [-1]) for statistic in statistics], axis=0)
            averaged = self._hvd.allreduce(joined, op=self._hvd.Average, name="statistics")
            parts = tf.split(averaged, [math.prod(statistic.shape) for statistic in statistics])
            for statistic, part in zip(statistics, parts, strict=True):
                statistic.assign(tf.reshape(part, statistic.shape))

    def take_sums(self) -> npt.NDArray[np.float64]:
        total = self._hvd.allreduce(tf.cast(self._sums, tf.float64), op=self._hvd.Sum, name="sums").numpy()
        self._sums.assign(tf.zeros_like(self._sums))
        return np.asarray(total, np.float64)

    def weights(self) -> bytes:
        """Return the arrays of `model.get_weights()` as an npz archive."""
        archive = io.BytesIO()
        np.savez(archive, *self._model.get_weights())
        return archive.getvalue()

    def load_weights(self, weights: bytes) -> None:
        self._model.set_weights(weights_from_bytes(weights))

    def state(self) -> State:
        """Return the arrays of the optimizers' variables, by optimizer and place; and of float16's loss scale."""
        return {name: each.numpy() for name, each in self._state_variables().items()}

    def load_state(self, state: State) -> None:
        for name, variable in self._state_variables().items():
            variable.assign(state[name])

    def _state_variables(self) -> dict[str, Any]:
        found = {
            f"{number}/{place}": variable
            for number, (optimizer, _, _) in enumerate(self._optimizers)
            for place, variable in enumerate(optimizer.variables)
        }
        if self._loss_scale:
            found |= {"loss scale": self._loss_scale.scale, "steps since": self._loss_scale.steps}
        return found

    def seed(self, epoch: int) -> None:
        """Begin anew where the process does: the graph's own random numbers go on from epoch to epoch."""
        if not self._seeded:
            seed = mixed_seed(self._job.training.seed, self._hvd.rank(), epoch)
            tf.random.set_seed(seed)
            # Keras 3 keeps the state of each dropout layer in a variable that is none of the weights.
            weights = {id(weight) for weight in self._model.weights}
            random = np.random.default_rng(seed)
            for state in self._model.variables:
                if id(state) not in weights:
                    state.assign(random.integers(0, 2**31, state.shape))
            self._seeded = True

    def start_trace(self) -> None:
        self._trace = tempfile.TemporaryDirectory(prefix="aslspark-")
        tf.profiler.experimental.start(self._trace.name)

    def stop_trace(self) -> dict[str, bytes]:
        """Return a log folder of TensorBoard's."""
        self._sums.numpy()  # a GPU may still be at work
        tf.profiler.experimental.stop()
        with self._trace as folder:
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    def _train(self, given: list[tf.Tensor], labels: tf.Tensor, weights: tf.Tensor, factor: tf.Tensor) -> None:
        inputs = self._ready(given, training=True)
        variables = [variable for _, own, _ in self._optimizers for variable in own]
        with tf.GradientTape() as tape:
            losses, answers = self._losses(inputs, labels, training=True)
            loss = tf.reduce_sum(losses * weights)
            scaled = loss * factor
            if self._loss_scale:
                scaled = scaled * self._loss_scale.scale
        gradients = tape.gradient(scaled, variables)
        gradients, waited = self._averaged(gradients)
        if self._loss_scale:
            # Of the averages: all ranks leave out the same steps, those whose gradients overflowed.
            gradients = [gradient / self._loss_scale.scale for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        if limit := self._job.training.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, limit, use_norm=norm)

        def apply() -> None:
            remaining = iter(gradients)
            for optimizer, own, _ in self._optimizers:
                optimizer.apply_gradients([(next(remaining), variable) for variable in own])

        counted: Any = True  # steps that are left out have no norm
        if self._loss_scale:
            counted = tf.math.is_finite(norm)
            tf.cond(counted, apply, lambda: None)
            self._loss_scale.update(counted)
        else:
            apply()
        norms = tf.stack([tf.where(counted, norm, 0.0), tf.where(counted, 1.0, 0.0), waited / self._hvd.size()])
        self._add(loss, weights, tf.equal(answers, labels), norms, tf.zeros(self._classes))

    def _ready(self, given: list[tf.Tensor], training: bool) -> list[tf.Tensor]:
        """Scale pictures, and change them in training; landmarks come as they are to be taken."""
        ready = []
        for name, value in zip(self._names, given, strict=True):
            inputs = scale(value, self._job.features.stretch) if name == PICTURE else value
            if name == PICTURE and training and self._job.augment.on:
                inputs = augment(inputs, self._job.augment)
                if LANDMARKS in self._names:  # a picture that is left out stays 0 all over
                    there = tf.reduce_any(value > 0, axis=[1, 2, 3], keepdims=True)
                    inputs = tf.where(there, inputs, 0.0)
            ready.append(inputs)
        return ready

    def _averaged(self, gradients: list[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Average gradients over the ranks, all in one tensor, and say how many seconds that took.

        One by one, small networks wait for the network; and Horovod needs half as long for one tensor as for a
        group of ten of the same size.
        """
        flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], axis=0)
        with tf.control_dependencies([flat]):
            asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            mean = self._hvd.allreduce(flat, op=self._hvd.Average, name="gradients")
        with tf.control_dependencies([mean]):
            waited = tf.cast(tf.timestamp() - asked, tf.float32)
        pieces = tf.split(mean, [gradient.shape.num_elements() for gradient in gradients])
        return [tf.reshape(piece, gradient.shape) for piece, gradient in zip(pieces, gradients, strict=True)], waited

    def _make_optimizer(self, variables: list[tf.Variable]) -> tf.keras.optimizers.Optimizer:
        # Keras gives AdamW a name that it does not know itself.
        optimizer = tf.keras.optimizers.deserialize(self._settings, {"AdamW": tf.keras.optimizers.AdamW})
        if optimizer.weight_decay:
            # Of one axis: biases, and BatchNorm's scales, which would only make the layer before them larger.
            optimizer.exclude_from_weight_decay([variable for variable in variables if len(variable.shape) < 2])
        optimizer.build(variables)
        return optimizer

    def _evaluate(self, given: list[tf.Tensor], labels: tf.Tensor, weights: tf.Tensor) -> None:
        losses, answers = self._losses(self._ready(given, training=False), labels, training=False)
        counts = tf.reduce_sum(tf.one_hot(answers, self._classes), axis=0)
        self._add(tf.reduce_sum(losses * weights), weights, tf.equal(answers, labels), tf.zeros(3), counts)

    def _losses(self, inputs: list[tf.Tensor], labels: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = self._model(inputs if len(inputs) > 1 else inputs[0], training=training)
        targets = tf.one_hot(labels, self._classes)
        if training and (smoothing := self._job.training.label_smoothing):
            targets = targets * (1 - smoothing) + smoothing / self._classes
        return self._loss(targets, outputs), tf.argmax(outputs, axis=1)

    def _add(self, loss: tf.Tensor, weights: tf.Tensor, right: tf.Tensor, norms: tf.Tensor, counts: tf.Tensor) -> None:
        rows = tf.cast(tf.size(right), tf.float32)
        judged = tf.stack([loss, tf.reduce_sum(weights), tf.reduce_sum(tf.cast(right, tf.float32)), rows])
        self._sums.assign_add(tf.concat([judged, norms, counts], axis=0))


class _LossScale:
    """What a loss in float16 is multiplied by, so that gradients are not too small; as Keras does it.

    Keras 2's and 3's differ in all but that: here gradients are averaged and clipped between scaling and step.
    """

    GROWTH_STEPS = 2000

    def __init__(self) -> None:
        self.scale = tf.Variable(2.0**15, trainable=False)
        self.steps = tf.Variable(0, trainable=False)

    def update(self, finite: tf.Tensor) -> None:
        """Halve it after a step whose gradients overflowed; double it after `GROWTH_STEPS` that did not."""
        grows = finite & (self.steps + 1 >= self.GROWTH_STEPS)
        self.steps.assign(tf.where(finite & ~grows, self.steps + 1, 0))
        factor = tf.where(grows, 2.0, tf.where(finite, 1.0, 0.5))
        self.scale.assign(tf.clip_by_value(self.scale * factor, 1.0, 2.0**127))


def _rebuilt(architecture: str, policy: str) -> tf.keras.Model:
    """Build the network whose layers compute as the policy says, but for those that put out: softmax stays float32."""
    tree = json.loads(architecture)
    if policy != "float32":
        config = tree["config"]
        outputs = config.get("output_layers", config["layers"][-1]["config"]["name"])  # of a Sequential the last
        _set_policy(config["layers"], policy, set(tf.nest.flatten(outputs)))
    return tf.keras.models.model_from_json(json.dumps(tree))


def _set_policy(layers: list[dict[str, Any]], policy: str, spared: set[str]) -> None:
    # The architecture names each layer's dtype, so that a policy set for the process would change none of them.
    for layer in layers:
        config = layer["config"]
        if layer["class_name"] == "InputLayer" or config["name"] in spared:
            continue
        if "layers" in config:
            _set_policy(config["layers"], policy, set())
        elif "dtype" in config:  # "float32", or in Keras 3 a policy of this name
            config["dtype"] = policy


def weights_from_bytes(weights: bytes) -> list[npt.NDArray[Any]]:
    """Read what `KerasTrainable.weights` wrote."""
    with np.load(io.BytesIO(weights), allow_pickle=False) as archive:
        return [archive[name] for name in archive.files]


def train(job: WorkerJob) -> WorkerResult:
    """Train this rank's share; see `aslspark.training.worker.run_epochs`."""
    gpu = None if job.gpu is None else _gpu(job.gpu)
    tf.config.set_visible_devices([gpu] if gpu else [], "GPU")
    import horovod.tensorflow as hvd

    tf.config.threading.set_intra_op_parallelism_threads(job.training.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.training.threads)
    join_horovod(hvd)
    tf.keras.utils.set_random_seed(job.training.seed + hvd.rank())  # dropout and augmentation differ by rank
    policy = half_policy(gpu) if job.training.precision == "mixed" else "float32"
    return run_epochs(job, hvd.rank(), hvd.size(), lambda: KerasTrainable(job, hvd, policy))


def half_policy(gpu: Any) -> str:
    """Choose the 16 bits that a GPU, or the CPU (None), computes in: float16 on GPUs before compute capability 8.0."""
    old = gpu is not None and tf.config.experimental.get_device_details(gpu)["compute_capability"] < (8, 0)
    return "mixed_float16" if old else "mixed_bfloat16"


def _gpu(source: str) -> Any:
    address = claim_gpu(source)
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise no_gpu("TensorFlow", address)
    tf.config.experimental.set_memory_growth(gpus[0], True)
    return gpus[0]  # the only one that this process sees
