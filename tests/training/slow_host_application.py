"""A fit on two executors, one of whose tasks is stopped in the first try; Spark itself misses nobody."""

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from aslspark.common.settings import load_config
from aslspark.training.attempts import Attempts
from aslspark.training.worker import SampleFolders, WorkerJob

FOR_EVER = "10000s"


def sum_of_ranks(job):
    import os
    import signal

    import torch

    from aslspark.training.collective import torch_collective
    from aslspark.training.launch.child import at_work

    ranks = torch_collective(job.training.launcher, torch.device("cpu"))
    at_work()
    was_stopped = Path(job.checkpoints) / "was-stopped"
    if ranks.rank() == 1 and not was_stopped.exists():
        was_stopped.touch()
        os.kill(os.getppid(), signal.SIGSTOP)
    return float(ranks.allreduce(torch.tensor(float(ranks.rank())), op=ranks.Sum, name="ranks"))


def main(folder):
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for setting, value in {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.network.timeout": FOR_EVER,
    }.items():
        builder = builder.config(setting, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    config = load_config()
    job = WorkerJob(
        spec={},
        folders=SampleFolders("", None, []),
        inputs=(),
        shape=None,
        training=config.training,
        network=config.network,
        features=config.features,
        augment=config.augment,
        val_batch_size=1,
        checkpoints=folder,
        fit="slow",
    )
    attempts = Attempts(spark, sum_of_ranks, tries=2, profile=None, scratch=Path(folder))
    print(json.dumps(attempts.run(job, 2, {}, print)))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
