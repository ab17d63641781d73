"""Runs a bit of all that the jobs ask of Spark, so that Java can write what it loads for it into an archive as it ends.

Java reads classes from such an archive (class data sharing) in place of jars: a job's Java takes a third less of the
processor until its first queries are over. build.sh makes the archive, and the Makefile's jobs read it.
"""

import tempfile

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression, RandomForestClassifier
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def main() -> None:
    """Run it."""
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .getOrCreate()
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = spark.range(200).withColumn("value", F.rand(1)).withColumn("letter", F.expr("char(65 + id % 3)"))
        rows.write.partitionBy("letter").parquet(f"{folder}/rows")
        read = spark.read.parquet(f"{folder}/rows").persist()
        read.groupBy("letter").agg(F.avg("value"), F.countDistinct("id")).toPandas()
        read.join(F.broadcast(read.groupBy("letter").count()), "letter").orderBy("value").limit(3).collect()
        read.mapInArrow(lambda batches: batches, read.schema).write.json(f"{folder}/json")
        read.select("letter").write.text(f"{folder}/text")
        spark.read.text(f"{folder}/text").count()
        spark.read.csv(f"{folder}/text").count()
        spark.read.format("binaryFile").load(f"{folder}/text").count()
        spark.createDataFrame(read.limit(5).toPandas()).count()
        for kind in (RandomForestClassifier(numTrees=2), LogisticRegression(maxIter=2)):
            index = StringIndexer(inputCol="letter", outputCol="label")
            vector = VectorAssembler(inputCols=["value"], outputCol="features")
            model = Pipeline(stages=[index, vector, kind]).fit(read)
            model.write().overwrite().save(f"{folder}/model")
            PipelineModel.load(f"{folder}/model").transform(read).count()
    spark.stop()


if __name__ == "__main__":
    main()
