"""An application on a cluster whose GPUs are made up: says what each stage's tasks hold, as JSON in its last lines.

python gpu_application.py FOLDER, with discover.sh in it.
"""

import json
import os
import sys

from pyspark import TaskContext
from pyspark.sql import SparkSession
from quick_java import QUICK_JAVA

from aslspark.common import spark_session
from aslspark.common.errors import AslsparkError
from aslspark.training.gpus import FROM_SPARK, claim_gpu, gpu_source, gpu_tasks
from aslspark.training.launch.launchers import HOROVOD, TORCH
from aslspark.training.launch.run import run_workers


def held(_, rows):
    yield {name: resource.addresses for name, resource in TaskContext.get().resources().items()}


def worker(source):
    address = claim_gpu(source)
    rank = os.environ.get("HOROVOD_RANK") or os.environ["RANK"]
    return [address, os.environ["CUDA_VISIBLE_DEVICES"], int(rank)]


def main(folder):
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for setting, value in {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": QUICK_JAVA,
        "spark.executor.extraJavaOptions": QUICK_JAVA,
        "spark.worker.resource.gpu.amount": "1",
        "spark.worker.resource.gpu.discoveryScript": f"{folder}/discover.sh",
        "spark.executor.resource.gpu.amount": "1",
    }.items():
        builder = builder.config(setting, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    context = spark.sparkContext
    profile = gpu_tasks(spark)
    spark_session.require_slots(spark, 2, profile)
    said = {"source": gpu_source(spark)}
    said["before"] = context.range(0, numSlices=2).mapPartitionsWithIndex(held).collect()
    said["workers"] = {
        launcher: run_workers(2, worker, FROM_SPARK, env={}, on_event=print, profile=profile, launcher=launcher)
        for launcher in (HOROVOD, TORCH)
    }
    said["after"] = context.range(0, numSlices=2).mapPartitionsWithIndex(held).collect()
    spark_session.EXECUTOR_WAIT_SECONDS = 0  # both are there
    try:
        spark_session.require_slots(spark, 3, profile)
    except AslsparkError as error:
        said["three"] = str(error)
    print(json.dumps(said))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
