"""One GPU a process: asked of Spark on the driver, taken in the worker. Imports no framework.

In: Spark's settings; in a worker, what Spark handed to its task. Out: the resource profile of the fit's tasks; a
process whose framework sees one GPU.
"""

from __future__ import annotations

import os

from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.spark_session import is_connect, is_local, master, task_cores
from aslspark.training.launch.task import GPU

EXECUTOR_AMOUNT = "spark.executor.resource.gpu.amount"
TASK_AMOUNT = "spark.task.resource.gpu.amount"
FROM_SPARK = "the address that Spark gave its task"
BY_LOCAL_RANK = "its place among the processes of its machine"


def gpu_source(spark: SparkSession) -> str:
    """Tell where a process takes its GPU from: local mode hands out none, a cluster's tasks hold them."""
    return BY_LOCAL_RANK if is_local(spark) else FROM_SPARK


def tasks_hold_gpus(spark: SparkSession) -> bool:
    """Tell whether every task of the application holds a GPU."""
    return gpu_source(spark) == FROM_SPARK and spark.conf.get(TASK_AMOUNT, "") == "1"


def gpu_tasks(spark: SparkSession) -> ResourceProfile | None:
    """Make the profile of tasks that hold one GPU each, and with it their share of the executor's cores.

    With it the fit's tasks hold a GPU and those of every other stage hold none, so that as many of these run at once
    as there are cores.

    Returns
    -------
    ResourceProfile or None
        None where none is needed: in local mode, or where ``spark.task.resource.gpu.amount=1`` gives every task one.

    Raises
    ------
    AslsparkError
        Where the executors have no GPUs, or the cluster manager cannot give stages resources of their own.
    """
    if gpu_source(spark) == BY_LOCAL_RANK or tasks_hold_gpus(spark):
        return None
    on_executor = int(spark.conf.get(EXECUTOR_AMOUNT, "0") or 0)
    if on_executor < 1:
        raise AslsparkError(
            f"training.use_gpu=true: the executors of {master(spark)} have no GPUs; set {EXECUTOR_AMOUNT} "
            "and spark.executor.resource.gpu.discoveryScript (on a standalone cluster also "
            "spark.worker.resource.gpu.amount and .discoveryScript for the workers, see conf/gpu.conf), "
            "or training.use_gpu=false"
        )
    cores = max(task_cores(spark), int(spark.conf.get("spark.executor.cores", "0") or 0) // on_executor)
    builder = ResourceProfileBuilder().require(TaskResourceRequests().cpus(cores).resource("gpu", 1))
    profile: ResourceProfile = builder.build
    if is_connect(spark):
        return profile  # the stage itself tells whether it may have one
    try:
        spark.sparkContext.emptyRDD().withResources(profile)  # makes it known to the scheduler, which counts its slots
    except Exception as error:
        raise AslsparkError(
            f"training.use_gpu=true: {master(spark)} gives single stages no GPUs; "
            f"set {TASK_AMOUNT}=1, so that every task holds one"
        ) from error
    return profile


def claim_gpu(source: str) -> str:
    """Leave this process one GPU to see, and return its address.

    To be called before anything in the process has looked for GPUs: CUDA looks once.

    Parameters
    ----------
    source : str
        `FROM_SPARK` or `BY_LOCAL_RANK`.

    Raises
    ------
    AslsparkError
        Where Spark gave this process's task none.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if source == FROM_SPARK:
        if GPU not in os.environ:
            raise AslsparkError(
                f"training.use_gpu=true: Spark gave the task of this process no GPU on {os.uname().nodename}; "
                f"set {EXECUTOR_AMOUNT}, or training.use_gpu=false"
            )
        address = os.environ[GPU]
    else:
        place = int(os.environ.get("HOROVOD_LOCAL_RANK") or os.environ["LOCAL_RANK"])
        addresses = visible.split(",") if visible else [str(n) for n in range(place + 1)]
        address = addresses[place] if place < len(addresses) else "-1"  # which hides all
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as nvidia-smi counts, which conf/discover_gpus.sh asks
    os.environ["CUDA_VISIBLE_DEVICES"] = address
    return address


def no_gpu(framework: str, address: str) -> AslsparkError:
    """Make the error of a process whose framework does not see its GPU: it would train on the CPU and not say so."""
    return AslsparkError(
        f"training.use_gpu=true: {framework} sees no GPU {address} on {os.uname().nodename}; look whether nvidia-smi "
        f"shows it and whether this {framework} is built for CUDA (GPU=1 environment/build.sh), take fewer processes "
        "than there are GPUs, or set training.use_gpu=false"
    )
