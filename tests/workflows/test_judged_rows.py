"""Which rows of raw sources a model is judged on."""

from picture_files import fill
from serving_bundles import untrained

from aslspark.common.settings import load_config
from aslspark.scoring.model import SignClassifierModel
from aslspark.workflows.evaluate import labelled_samples


def test_all_rows_are_judged_on_whatever_their_folders_are_called_and_also_those_that_look_alike(spark, tmp_path):
    for split in ("train", "test"):
        fill(tmp_path / "set" / split, "AB", count=3)  # the same pictures on both sides
    model = SignClassifierModel.load(untrained("torch", tmp_path / "bundle", ["A", "B"]))
    config = load_config(None, ["pictures.drop_near_duplicates=true"])
    samples = labelled_samples(spark, model, [str(tmp_path / "set")], tmp_path / "judged", config)
    counts = {(row["split"], row["label"]): row["count"] for row in samples.groupBy("split", "label").count().collect()}
    assert counts == {("test", "A"): 6, ("test", "B"): 6}
    assert spark.read.parquet(str(tmp_path / "judged" / "quarantine")).isEmpty()
