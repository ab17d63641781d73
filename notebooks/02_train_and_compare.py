# Databricks notebook source
# MAGIC %md
# MAGIC # 2. Train with Keras and torch, and compare
# MAGIC
# MAGIC The same network is trained in both frameworks by Horovod's processes, one a Spark task, and put beside Spark
# MAGIC MLlib's forest and perceptron, on the same rows and the same split.
# MAGIC
# MAGIC `data` is what the first notebook printed, or what it takes; without it hands are drawn. `models` names what
# MAGIC is trained. `config` is a YAML file of settings, such as the `best.yaml` of the fifth notebook.

# COMMAND ----------

from pathlib import Path

import aslspark
from aslspark.cli.notebook import ingested, new_folder, session, show, widgets
from aslspark.common.paths import local_path

spark = session("aslspark: train and compare")
chosen = widgets(
    globals(),
    data="",
    out="",
    models="keras torch forest mlp",
    config="",
    epochs=15,
    num_proc=2,
    batch_size=32,
    trees=30,
    iterations=60,
    drawn_rows=2400,
)
folder = new_folder(chosen.out, "02")

# COMMAND ----------

settings = [
    f"training.epochs={chosen.epochs}",
    f"training.num_proc={chosen.num_proc}",
    f"training.batch_size={chosen.batch_size}",
    f"drawn.count={chosen.drawn_rows}",
]
file = local_path(chosen.config) or None
config = aslspark.load_config(file, settings)
data = ingested(spark, chosen.data.split(), folder, config)
spark.read.parquet(f"{data}/samples").groupBy("source", "split").count().orderBy("source", "split").show()

# COMMAND ----------

# MAGIC %md
# MAGIC A fit leaves a bundle: one folder with the network as ONNX and in its framework, figures, plots, and a model
# MAGIC card.

# COMMAND ----------

bundles = {name: f"{folder}/{name}" for name in chosen.models.split()}
accuracy = {}
for name, bundle in bundles.items():
    if name in ("keras", "torch"):
        words = [f"training.framework={name}", "mllib.classifier=none"]
    else:
        words = [f"mllib.classifier={name}", f"mllib.trees={chosen.trees}", "mllib.hidden='64'"]
        words.append(f"mllib.iterations={chosen.iterations}")
    config = aslspark.load_config(file, [*settings, *words])
    result = aslspark.train(spark, data, bundle, config=config)
    accuracy[name] = result.metrics["accuracy"]
    print(result)

# COMMAND ----------

# MAGIC %md
# MAGIC How the networks learned, and training pictures as they are and as training changes them:

# COMMAND ----------

for name, bundle in bundles.items():
    for plot in ("curves.png", "augmented.png"):
        if Path(local_path(bundle), plot).is_file():
            print(name)
            show(f"{bundle}/{plot}")

# COMMAND ----------

# MAGIC %md
# MAGIC Which letters the best of them takes for which, and what it reads wrongly:

# COMMAND ----------

best = max(accuracy, key=accuracy.get)
print(f"{best}: {accuracy[best]:.2%} of the test split right")
for plot in ("confusion.png", "mistakes.png", "calibration.png"):
    show(f"{bundles[best]}/{plot}")

# COMMAND ----------

# MAGIC %md
# MAGIC All side by side: accuracy, size, speed, where they disagree, and where the networks look (Grad-CAM). The page
# MAGIC `report.html` holds the same.

# COMMAND ----------

compared = aslspark.compare(spark, bundles, {"test split": [data]}, f"{folder}/compared")
for row in compared["bundles"]:
    numbers = f"{row['parameters']:,} parameters" if row["parameters"] else row["why_empty"]["parameters"]
    right = row["sets"]["test split"]["accuracy"]
    print(f"{row['name']:>8}: {right:.2%} right, {numbers}, fitted in {row['fit_seconds']:.0f} s")
print(compared["finding"])
for plot in sorted(Path(local_path(folder), "compared").glob("*.png")):
    show(str(plot))
print(f"for scoring, model: {bundles[best]}")
