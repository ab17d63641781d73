"""GPU workers without a GPU: Spark's hand-out of made-up addresses, 16-bit training on the CPU, the errors."""

import hashlib
import io
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pytest
import safetensors.numpy
from conftest import REPOSITORY

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.training.batches import Batch
from aslspark.training.data import look_at
from aslspark.training.fit_network import fit_network
from aslspark.training.gpus import BY_LOCAL_RANK, FROM_SPARK, claim_gpu, gpu_source, gpu_tasks
from aslspark.training.launch.launchers import HOROVOD, TORCH

pytestmark = pytest.mark.slow

HERE = REPOSITORY / "tests"
FRAMEWORKS = ("keras", "torch")
QUICK = ["training.batch_size=32", "augment.on=false"]
without_gpu = pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a GPU")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """What `gpu_application` says, on two machines with one GPU each: 3 on the one, 5 on the other."""
    folder = tmp_path_factory.mktemp("gpus")
    script = folder / "discover.sh"
    script.write_text(
        f"#!/bin/sh\nif mkdir {folder}/taken 2>/dev/null; then n=3; else n=5; fi\n"
        'echo "{\\"name\\": \\"gpu\\", \\"addresses\\": [\\"$n\\"]}"\n'
    )
    script.chmod(0o755)
    result = subprocess.run(
        [sys.executable, str(HERE / "gpu_application.py"), str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return json.loads(next(line for line in result.stdout.splitlines()[::-1] if line.startswith('{"source"')))


@pytest.mark.parametrize("launcher", [HOROVOD, TORCH])
def test_each_process_sees_the_one_gpu_that_spark_gave_its_task(launcher, cluster):
    assert cluster["source"] == FROM_SPARK
    assert sorted(address for address, _, _ in cluster["workers"][launcher]) == ["3", "5"]
    assert all(address == visible for address, visible, _ in cluster["workers"][launcher])
    assert [rank for _, _, rank in cluster["workers"][launcher]] == [0, 1]


def test_tasks_of_other_stages_hold_no_gpu(cluster):
    assert cluster["before"] == cluster["after"] == [{}, {}]


def test_more_processes_than_gpus_are_refused_with_the_numbers(cluster):
    assert "training.num_proc=3" in cluster["three"]
    assert "2 task slots (1 cpus and 1 gpu a task); set training.num_proc=2 or less" in cluster["three"]


def application(master, **settings):
    conf = {key.replace("_", "."): value for key, value in settings.items()}
    return SimpleNamespace(conf={"spark.master": master, **conf})


def test_a_cluster_without_gpus_is_refused_on_the_driver_with_the_settings_to_set():
    with pytest.raises(AslsparkError) as error:
        gpu_tasks(application("spark://host:7077"))
    message = str(error.value)
    assert "training.use_gpu=true: the executors of spark://host:7077 have no GPUs" in message
    for setting in ("spark.executor.resource.gpu.amount", "discoveryScript", "spark.worker.resource.gpu.amount"):
        assert setting in message


def test_tasks_that_hold_a_gpu_anyway_and_local_mode_need_no_profile(spark):
    assert gpu_tasks(application("yarn", spark_task_resource_gpu_amount="1")) is None
    assert gpu_source(application("yarn")) == gpu_source(application("local-cluster[2,1,1024]")) == FROM_SPARK
    assert gpu_tasks(spark) is None
    assert gpu_source(spark) == BY_LOCAL_RANK


def test_a_task_to_which_spark_gave_no_gpu_is_an_error_that_names_the_setting():
    with pytest.raises(AslsparkError, match=r"no GPU on .*; set spark\.executor\.resource\.gpu\.amount"):
        claim_gpu(FROM_SPARK)


@pytest.mark.parametrize(
    ("visible", "rank", "address"), [("", 1, "1"), ("2,7", 1, "7"), ("GPU-1f,GPU-2e", 0, "GPU-1f"), ("2,7", 2, "-1")]
)
def test_in_local_mode_a_process_takes_the_gpu_of_its_local_rank(monkeypatch, visible, rank, address):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "")
    monkeypatch.setenv("HOROVOD_LOCAL_RANK", str(rank))
    assert claim_gpu(BY_LOCAL_RANK) == address


@without_gpu
def test_a_framework_that_sees_no_gpu_ends_the_job_and_says_so(spark, ingested, tmp_path):
    config = load_config(None, [*QUICK, "training.framework=torch", "training.use_gpu=true"])
    with pytest.raises(AslsparkError, match=r"training\.use_gpu=true: torch sees no GPU [01] on"):
        fit_network(look_at(spark, ingested), config, tmp_path)


@without_gpu
def test_tensorflow_says_so_too(monkeypatch):
    from aslspark.training import keras_worker

    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("HOROVOD_LOCAL_RANK", "0")
    with pytest.raises(AslsparkError, match=r"training\.use_gpu=true: TensorFlow sees no GPU 0 on"):
        keras_worker.train(SimpleNamespace(gpu=BY_LOCAL_RANK))


def observed(job):
    """Train, and say in what the convolutions and the last layer computed; then train in float16 as on older GPUs."""
    seen, last = set(), set()
    if "architecture" in job.spec:
        import horovod.tensorflow as hvd
        import tensorflow as tf

        from aslspark.training import keras_worker

        convolve, connect = tf.keras.layers.Conv2D.call, tf.keras.layers.Dense.call

        def noted_conv(layer, inputs):
            outputs = convolve(layer, inputs)
            seen.add(outputs.dtype.name)
            return outputs

        def noted_dense(layer, inputs):
            outputs = connect(layer, inputs)
            (last if layer.name == "probability" else seen).add(outputs.dtype.name)
            return outputs

        tf.keras.layers.Conv2D.call, tf.keras.layers.Dense.call = noted_conv, noted_dense
        result = keras_worker.train(job)

        def halved():
            return keras_worker.KerasTrainable(job, hvd, "mixed_float16")
    else:
        import horovod.torch as hvd
        import torch

        from aslspark.training import torch_worker

        def note(module, inputs, outputs):
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                seen.add(str(outputs.dtype).removeprefix("torch."))

        loss = torch.nn.CrossEntropyLoss.forward

        def noted_loss(self, outputs, labels):
            last.add(str(outputs.dtype).removeprefix("torch."))
            return loss(self, outputs, labels)

        torch.nn.modules.module.register_module_forward_hook(note)
        torch.nn.CrossEntropyLoss.forward = noted_loss
        result = torch_worker.train(job)

        def halved():
            return torch_worker.TorchTrainable(job, hvd, torch.device("cpu"), torch.float16)

    said = {"digest": result.digest, "outcome": result.outcome, "seen": set(seen), "last": set(last)}
    seen.clear()
    network = halved()
    network.set_learning_rate(0.001)
    random = np.random.default_rng(hvd.rank())
    pictures = random.integers(0, 256, (8, *job.shape), dtype=np.uint8)
    good = Batch(pictures, random.integers(0, 24, 8), np.ones(8, np.float32), 2 / 16)
    # On rank 1 alone the gradients overflow.
    bad = good._replace(weights=good.weights * np.float32(np.inf)) if hvd.rank() == 1 else good
    digests = [hashlib.sha256(network.weights()).hexdigest()]
    for batches in ([bad], [good] * 8):
        for batch in batches:
            network.train(batch)
        digests.append(hashlib.sha256(network.weights()).hexdigest())
    said |= {"seen_float16": seen, "float16": digests}
    (Path(job.checkpoints).parent / f"rank-{hvd.rank()}").write_bytes(cloudpickle.dumps(said))
    return result


@pytest.fixture(scope="module", params=[pytest.param("keras", marks=pytest.mark.long), "torch"])
def mixed(request, spark, ingested, tmp_path_factory):
    """A fit by two processes with `training.precision=mixed` on the CPU, and what each rank saw."""
    from aslspark.training.keras_fit import KerasNetwork
    from aslspark.training.torch_fit import TorchNetwork

    network = {"keras": KerasNetwork, "torch": TorchNetwork}[request.param]
    folder = tmp_path_factory.mktemp("mixed")
    words = [
        *QUICK,
        "network.name=cnn",
        "training.epochs=2",
        "training.precision=mixed",
        f"training.framework={request.param}",
    ]
    with pytest.MonkeyPatch.context() as patch:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Horovod's processes cannot import the tests
        patch.setattr(network, "worker", lambda self: observed)
        fitted = fit_network(look_at(spark, ingested), load_config(None, words), folder)
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    return request.param, fitted, [pickle.loads((folder / f"rank-{rank}").read_bytes()) for rank in range(2)]


def test_mixed_precision_computes_in_bfloat16_and_judges_in_float32(mixed):
    _, _, said = mixed
    assert all(rank["seen"] == {"bfloat16"} for rank in said)
    assert all(rank["last"] == {"float32"} for rank in said)


def test_mixed_precision_learns_and_the_ranks_agree(mixed):
    _, fitted, said = mixed
    first, second = fitted.history
    assert second["loss"] < first["loss"]
    assert len(said) == 2
    assert said[0]["digest"] == said[1]["digest"]


def test_mixed_precision_leaves_float32_weights_and_a_float32_network(mixed):
    import onnx

    framework, fitted, said = mixed
    if framework == "keras":
        with np.load(io.BytesIO(said[0]["outcome"].weights)) as archive:
            weights = [archive[name] for name in archive.files]
        assert {layer.compute_dtype for layer in fitted.network.model.layers} == {"float32"}
    else:
        weights = list(safetensors.numpy.load(said[0]["outcome"].weights).values())
    assert {weight.dtype.name for weight in weights} == {"float32"}
    network = onnx.load_from_string(fitted.classifier.onnx)
    kinds = {tensor.data_type for tensor in network.graph.initializer}
    assert not kinds & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}


def test_in_float16_a_step_that_overflows_on_one_rank_is_left_out_on_all(mixed):
    _, _, said = mixed
    assert all(rank["seen_float16"] == {"float16"} for rank in said)
    (start, after_bad, after_good), other = (rank["float16"] for rank in said)
    assert [start, after_bad, after_good] == other
    assert start == after_bad
    assert start != after_good


def test_an_unknown_precision_is_named():
    with pytest.raises(AslsparkError, match=r"training\.precision=half: choose one of float32, mixed"):
        load_config(None, ["training.precision=half"])
