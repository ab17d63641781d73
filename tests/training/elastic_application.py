"""An application under dynamic allocation, which begins without an executor: what the ranks of two fits add up to."""

import json

from pyspark.sql import SparkSession

from aslspark.training.launch.launchers import HOROVOD, TORCH
from aslspark.training.launch.run import run_workers


def sum_of_ranks(launcher):
    import torch

    from aslspark.training.collective import torch_collective

    ranks = torch_collective(launcher, torch.device("cpu"))
    return float(ranks.allreduce(torch.tensor(float(ranks.rank())), op=ranks.Sum, name="ranks"))


def main():
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for setting, value in {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.minExecutors": "0",
    }.items():
        builder = builder.config(setting, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    found = {
        launcher: run_workers(2, sum_of_ranks, launcher, env={}, on_event=print, launcher=launcher)
        for launcher in (HOROVOD, TORCH)
    }
    print(json.dumps(found))
    spark.stop()


if __name__ == "__main__":
    main()
