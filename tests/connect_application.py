"""An application of Spark Connect: the main path, from table and pictures to scores. Its last line says what it saw.

python connect_application.py FOLDER, with table.csv, hands/ and settings.yaml in it.
"""

import json
import os
import sys

from pyspark.sql import SparkSession

import aslspark
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.common.spark_session import is_connect, running_session, task_slots
from aslspark.training.launch.run import run_workers
from aslspark.workflows.monitor import monitor
from aslspark.workflows.tune import SearchOptions, search


def refusal(work):
    try:
        work()
    except AslsparkError as error:
        return str(error)
    return None


def fail_in_rank_1(_):
    if os.environ["HOROVOD_RANK"] == "1":
        raise ValueError("the second worker cannot")


def main(folder):
    spark = SparkSession.builder.remote("local[2]").config("spark.sql.shuffle.partitions", "2").getOrCreate()
    config = load_config(f"{folder}/settings.yaml")
    saw = {"connect": is_connect(spark), "running": running_session() is spark, "slots": task_slots(spark)}
    table = aslspark.ingest(spark, f"{folder}/table.csv", f"{folder}/connect/table", config=config)
    pictures = aslspark.ingest(spark, f"{folder}/hands", f"{folder}/connect/pictures", config=config)
    saw["kept"] = [table.kept, table.quarantined, pictures.kept, pictures.quarantined]
    trained = aslspark.train(spark, f"{folder}/connect/table", f"{folder}/connect/bundle", config=config)
    saw["metrics"] = trained.metrics
    aslspark.score(spark, trained.path, f"{folder}/table.csv", f"{folder}/connect/scored", config=config)
    aslspark.score(spark, trained.path, f"{folder}/hands", f"{folder}/connect/scored-pictures", config=config)
    judged = aslspark.evaluate(
        spark, trained.path, f"{folder}/connect/table", f"{folder}/connect/judged", config=config
    )
    saw["judged"] = judged["accuracy"]
    saw["watched"] = monitor(spark, trained.path, f"{folder}/connect/scored", f"{folder}/connect/watched")["batches"]
    more_processes = load_config(f"{folder}/settings.yaml", ["training.num_proc=3"])
    boosted = load_config(f"{folder}/settings.yaml", ["mllib.classifier=boosted"])
    data, out = f"{folder}/connect/table", f"{folder}/refused"
    saw["refused"] = [
        refusal(lambda: aslspark.train(spark, data, out, config=more_processes)),
        refusal(lambda: aslspark.train(spark, data, out, config=boosted)),
        refusal(lambda: search(spark, [data], out, config, None, SearchOptions(trials=1))),
        refusal(lambda: run_workers(2, fail_in_rank_1, None, env={}, on_event=print)),
    ]
    spark.stop()
    print(json.dumps(saw))


if __name__ == "__main__":
    main(sys.argv[1])
