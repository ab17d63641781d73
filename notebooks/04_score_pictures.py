# Databricks notebook source
# MAGIC %md
# MAGIC # 4. Score a DataFrame of pictures
# MAGIC
# MAGIC A bundle is a `pyspark.ml` Model. It adds the letter, its probability, the best three, or the reason why a
# MAGIC picture could not be read, and keeps every row.
# MAGIC
# MAGIC `model` is a bundle, as the second and third notebook leave them, or `letters`, which comes with the package;
# MAGIC without it a small network is trained on drawn hands. `data` is a folder of pictures; without it hands are drawn
# MAGIC as PNG files, other hands than those that were trained on, and one file that is no picture. `threshold` is the
# MAGIC least probability, in percent, with which a letter is answered.

# COMMAND ----------

from dataclasses import replace
from pathlib import Path

import pandas as pd
from pyspark.sql import functions as F

import aslspark
from aslspark.cli.notebook import new_folder, session, show, widgets
from aslspark.common.paths import local_path
from aslspark.data.synthetic.files import draw_pictures
from aslspark.evaluation.sheets import Tile, colour_of, draw_sheet
from aslspark.features.pictures import Normaliser

spark = session("aslspark: score pictures")
chosen = widgets(
    globals(),
    model="",
    data="",
    out="",
    threshold=0,
    framework=("torch", "keras"),
    epochs=15,
    num_proc=2,
    drawn_rows=2400,
    drawn_pictures=96,
)
folder = new_folder(chosen.out, "04")

# COMMAND ----------

bundle, data = chosen.model, chosen.data.split()
if not bundle:
    bundle = f"{folder}/model"
    words = [f"{name}={getattr(chosen, name)}" for name in ("framework", "epochs", "num_proc")]
    settings = [*(f"training.{word}" for word in words), "training.batch_size=32", f"drawn.count={chosen.drawn_rows}"]
    aslspark.train(spark, [], bundle, config=aslspark.load_config(overrides=settings))
if not data:
    data = [f"{folder}/pictures"]
    draw_pictures(spark, data[0], count=chosen.drawn_pictures, seed=99, size=96, signers=4)
    Path(local_path(data[0]), "A", "no_picture.png").write_text("a file that only says that it is a picture")

# COMMAND ----------

# MAGIC %md
# MAGIC Any DataFrame with a column of pictures will do: files' bytes as here, Spark's `image`, arrays or Vectors of
# MAGIC numbers.

# COMMAND ----------

model = aslspark.load_model(bundle).setThreshold(chosen.threshold / 100)
scored = aslspark.score(spark, model, data).cache()
scored.select(F.element_at(F.split("path", "/"), -1).alias("file"), "label", "letter", "probability", "reason").show(12)
scored.where("reason is not null").groupBy("reason").count().show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC Where the folders say the letter, how many are right of those that the model can answer; and a look at some.

# COMMAND ----------

read = scored.where("letter is not null")
labelled = (
    read.where("label is not null")
    .groupBy("label")
    .agg(F.count("*").alias("read"), F.count_if(F.col("letter") == F.col("label")).alias("right"))
)
counts = labelled.collect()
right, known = (sum(row[name] for row in counts if row["label"] in model.labels) for name in ("right", "read"))
print(f"{right} of {known} that were read are right" if counts else "no folder has the name of a letter")
if others := sorted(row["label"] for row in counts if row["label"] not in model.labels):
    print(f"not counted, since the model does not know them: {', '.join(others)}")
some = read.orderBy(F.xxhash64("path")).limit(32).orderBy("path").collect()
form = replace(model.form, height=96, width=96, channels=3)  # to look at; a model of landmarks takes no picture itself
pictures, _ = Normaliser("bytes", form)(pd.DataFrame({"data": [row["content"] for row in some]}))
tiles = []
for row, picture in zip(some, pictures, strict=True):
    words = f"{row['label'] or '?'} → {row['letter']} {row['probability']:.0%}"
    tiles.append(Tile(picture, [(words, colour_of(row["letter"], row["label"]))]))
draw_sheet([("true letter → letter that was read", tiles)], Path(local_path(folder), "scored.png"), columns=8)
show(f"{folder}/scored.png")

# COMMAND ----------

# MAGIC %md
# MAGIC The answers as Parquet, without the pictures:

# COMMAND ----------

scored.drop("content").write.parquet(f"{folder}/scored")
scored.unpersist()
