# Databricks notebook source
# MAGIC %md
# MAGIC # 5. Search for better settings
# MAGIC
# MAGIC Each trial is a fit across Horovod's processes with settings that Optuna chooses, judged by the validation
# MAGIC split. Poor trials are stopped early. The first trial is the settings as they are.
# MAGIC
# MAGIC `data` is what the first notebook printed, or what it takes; without it hands are drawn. `space` is a YAML
# MAGIC file of what may change, such as `conf/spaces/network.yaml`; without it, the three settings below. `search` is
# MAGIC a folder of an earlier search to go on with. It needs `pip install aslspark[tune]`.

# COMMAND ----------

from pathlib import Path

import aslspark
from aslspark.cli.notebook import ingested, new_folder, session, show, widgets
from aslspark.common.paths import local_path

spark = session("aslspark: search")
chosen = widgets(
    globals(),
    data="",
    out="",
    space="",
    search="",
    framework=("torch", "keras"),
    trials=6,
    epochs=4,
    num_proc=2,
    drawn_rows=1440,
)
folder = new_folder(chosen.out, "05")

# COMMAND ----------

space = local_path(chosen.space) or {
    "training.learning_rate": {"low": 0.0003, "high": 0.03, "log": True},
    "training.batch_size": [16, 32, 64],
    "network.dropout": {"low": 0.0, "high": 0.5},
}

# COMMAND ----------

settings = [
    f"training.framework={chosen.framework}",
    f"training.epochs={chosen.epochs}",
    f"training.num_proc={chosen.num_proc}",
    "training.batch_size=32",
    f"drawn.count={chosen.drawn_rows}",
]
config = aslspark.load_config(overrides=settings)
data = ingested(spark, chosen.data.split(), folder, config)
out = chosen.search or f"{folder}/search"
found = aslspark.tune(spark, data, out, space, config, trials=chosen.trials)

# COMMAND ----------

# MAGIC %md
# MAGIC What the trials came to, which settings mattered, and which trials were stopped:

# COMMAND ----------

for plot in ("history.png", "importance.png", "parallel.png", "stopped.png"):
    if Path(local_path(out), plot).is_file():
        show(f"{out}/{plot}")

# COMMAND ----------

# MAGIC %md
# MAGIC The best of many trials on one split is a little better there than elsewhere: train with it, by `config` of
# MAGIC the second notebook, and judge it on the test split.

# COMMAND ----------

print(f"trial {found['best']}: {found['accuracy']:.2%} of the validation split right with {found['settings']}")
print(f"for the second notebook, config: {out}/best.yaml")
