# Databricks notebook source
# MAGIC %md
# MAGIC # 3. Hands it has never seen
# MAGIC
# MAGIC A network that learns from whole pictures learns rooms, too. Here two networks find the hand in each picture and
# MAGIC its 21 landmarks, and a small network learns the shape of the hand alone. Then each signer is left out of
# MAGIC training once and read by a network that never met that signer.
# MAGIC
# MAGIC `data` names folders of pictures with a sub-folder for each letter, and `signer_pattern` finds the signer in a
# MAGIC path. Without `data`, hands are drawn as files; half of a photograph's trouble is missing from those. It needs
# MAGIC the networks that find hands: `aslspark fetch hand-models` brings them.

# COMMAND ----------

from pathlib import Path

from pyspark.sql import functions as F

import aslspark
from aslspark.cli.notebook import ingested, new_folder, session, show, widgets
from aslspark.common.paths import local_path
from aslspark.data.synthetic.files import SIGNER_PATTERN, draw_pictures
from aslspark.evaluation.sample_pictures import as_read
from aslspark.evaluation.sheets import Tile, colour_of, draw_sheet

spark = session("aslspark: hands never seen")
chosen = widgets(
    globals(),
    data="",
    out="",
    signer_pattern=SIGNER_PATTERN,
    model=("network", "mlp", "forest"),
    epochs=15,
    num_proc=2,
    looks=1,
    drawn_signers=4,
    drawn_of_each=2,
)
folder = new_folder(chosen.out, "03")

# COMMAND ----------

data = chosen.data.split()
if not data:
    data = [f"{folder}/drawn"]
    count = 24 * chosen.drawn_signers * chosen.drawn_of_each
    draw_pictures(spark, data[0], count=count, seed=7, size=160, signers=chosen.drawn_signers)

# COMMAND ----------

# MAGIC %md
# MAGIC Each hand is looked for once, at ingest; what was found is drawn. `split.kind=signer` holds out whole signers.

# COMMAND ----------

settings = [
    "hands.on=true",
    f"hands.looks={chosen.looks}",
    "pictures.keep=static",
    f"pictures.signer_pattern={chosen.signer_pattern}",
    "split.kind=signer",
    "network.name=landmark_net",
    "network.dropout=0.25",
    "training.framework=torch",
    "training.learning_rate=0.002",
    "training.batch_size=32",
    f"training.epochs={chosen.epochs}",
    f"training.num_proc={chosen.num_proc}",
    f"mllib.classifier={'none' if chosen.model == 'network' else chosen.model}",
    "mllib.reads=landmarks",
    "mllib.trees=30",
    "mllib.hidden='64'",
    "mllib.iterations=60",
]
config = aslspark.load_config(overrides=settings)
data = ingested(spark, data, folder, config)
samples = spark.read.parquet(f"{data}/samples")
show(f"{data}/hands.png")

# COMMAND ----------

# MAGIC %md
# MAGIC Trained without the signers of the test split:

# COMMAND ----------

bundle = f"{folder}/model"
print(aslspark.train(spark, data, bundle, config=config))
for plot in ("confusion.png", "groups.png"):
    show(f"{bundle}/{plot}")

# COMMAND ----------

# MAGIC %md
# MAGIC What it says of them, picture by picture: the true letter, the one it reads, and how sure it is.

# COMMAND ----------

model = aslspark.load_model(bundle)
strangers = samples.where(F.col("split") == "test")
answers = model.transform(strangers.orderBy(F.xxhash64("id")).limit(32)).orderBy("label").collect()
tiles = []
for row in answers:
    words = f"{row['label']} → {row['letter']} {row['probability']:.0%}" if row["letter"] else row["reason"]
    tiles.append(Tile(as_read(row["picture"], model), [(words, colour_of(row["letter"], row["label"]))]))
names = ", ".join(sorted(row["signer"] for row in strangers.select("signer").distinct().collect()))
draw_sheet([(f"never met: {names}", tiles)], Path(local_path(folder), "strangers.png"), columns=8)
show(f"{folder}/strangers.png")

# COMMAND ----------

# MAGIC %md
# MAGIC Every signer left out once, each read by a model that learned from the others:

# COMMAND ----------

folds = aslspark.cross_validate(spark, data, f"{folder}/by-signer", config, by="leave one signer out")
for fold in folds["folds"]:
    print(f"{fold['tested_on']}: {fold['accuracy']:.1%} right")
for plot in ("folds.png", "confusion.png"):
    show(f"{folder}/by-signer/{plot}")
