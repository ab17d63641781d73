# Databricks notebook source
# MAGIC %md
# MAGIC # 1. Ingest, and look
# MAGIC
# MAGIC Labelled pictures of hands become one table: a row a picture, divided into train, validation and test. What
# MAGIC cannot be used lies in a quarantine table, with its reason.
# MAGIC
# MAGIC `data` names pixel tables (`label,pixel1,...,pixel784`), folders with a sub-folder for each label, manifests,
# MAGIC or zips, with spaces between. Without it the package draws its own hands. Outside Databricks, settings are
# MAGIC environment variables: `ASLSPARK_DATA`, `ASLSPARK_SPLIT`, ...

# COMMAND ----------

from pathlib import Path

import aslspark
from aslspark.cli.notebook import new_folder, session, show, widgets
from aslspark.common.paths import local_path
from aslspark.evaluation.sample_pictures import one_of_each_label
from aslspark.evaluation.sheets import PLAIN, Tile, draw_sheet
from aslspark.images.decoding import pixels_of

spark = session("aslspark: ingest and look")
chosen = widgets(
    globals(),
    data="",
    test_data="",
    out="",
    split=("block", "signer", "source", "random"),
    picture_size=64,
    signer_pattern="",
    hands=("false", "true"),
    drawn_rows=2400,
)
folder = new_folder(chosen.out, "01")

# COMMAND ----------

# MAGIC %md
# MAGIC Neighbouring frames of a video are near duplicates. So `split` holds out contiguous blocks, or whole signers or
# MAGIC sources, and not row by row, unless it is asked for by its name. Of drawn hands whole signers are held out.

# COMMAND ----------

settings = [
    f"split.kind={chosen.split}",
    f"pictures.size={chosen.picture_size}",
    f"hands.on={chosen.hands}",
    f"drawn.count={chosen.drawn_rows}",
]
if chosen.signer_pattern:
    settings.append(f"pictures.signer_pattern={chosen.signer_pattern}")
config = aslspark.load_config(overrides=settings)
data = f"{folder}/ingested"
aslspark.ingest(spark, chosen.data.split(), data, config=config, test_sources=chosen.test_data.split())
samples = spark.read.parquet(f"{data}/samples")

# COMMAND ----------

# MAGIC %md
# MAGIC How many pictures there are of whom:

# COMMAND ----------

samples.groupBy("source", "signer", "split").count().orderBy("source", "signer").show(40, truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC One picture of each letter, as the network will get it:

# COMMAND ----------

tiles = [Tile(pixels_of(row["picture"]), [(row["label"], PLAIN)]) for row in one_of_each_label(samples)]
draw_sheet([("one picture of each letter", tiles)], Path(local_path(folder), "samples.png"), columns=8, size=10)
show(f"{folder}/samples.png")

# COMMAND ----------

# MAGIC %md
# MAGIC What was not used, and, of pictures in files, near duplicates across the split and the hands that were found:

# COMMAND ----------

spark.read.parquet(f"{data}/quarantine").show(20, truncate=False)
for sheet in ("near_duplicates.png", "hands.png"):
    if Path(local_path(data), sheet).is_file():
        show(f"{data}/{sheet}")
print(f"for the other notebooks, data: {data}")
