"""Jobs with and without MLflow: a file store in a folder, a network that has learned nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from pyspark.sql import functions as F

from aslspark.bundle.files import seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.data.samples import read_samples
from aslspark.models import torch_network
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.registry.registry import Registry
from aslspark.registry.tracking import log_champion, restore_champion, store_uri, tracked
from aslspark.scoring.model import SignClassifierModel, read_model
from jobs import score

LETTERS = tuple("ABCDEFGHIKLMNOPQRSTUVWXY")


@pytest.fixture(scope="module")
def bundle(spark, tmp_path_factory):
    network = torch_network.build("cnn", (28, 28, 1), len(LETTERS), 0.0).eval()
    onnx = torch_network.to_onnx(network, (28, 28, 1), True)
    model = SignClassifierModel(OnnxClassifier(onnx, LETTERS, (28, 28, 1)))
    model.temperature = 0.5
    with whole_folder(tmp_path_factory.mktemp("bundles") / "bundle") as folder:
        write_model(model, None, folder, settings={})
        (folder / "history.csv").write_text("epoch,loss,accuracy\n1,2.5,0.25\n2,1.5,0.5\n")
        (folder / "metrics.json").write_text(
            '{"accuracy": 0.5, "macro": {"f1": 0.25}, "judged_on": ["test"], "per_class": {"A": {"f1": 0.75}}}'
        )
        (folder / "curves.png").write_bytes(b"\x89PNG")
        seal(folder)
    return folder.parent / "bundle"


def settings(folder, *more):
    return load_config(None, ["tracking.mlflow=true", f"tracking.uri={folder}", *more])


@pytest.fixture(scope="module")
def store(bundle, tmp_path_factory):
    """A store with the run of a job that left the bundle."""
    folder = tmp_path_factory.mktemp("mlruns")
    with tracked(settings(folder), "train_cnn", str(bundle), data=["letters.csv"]):
        pass
    return folder


@pytest.fixture
def mlflow(store):
    import mlflow

    mlflow.set_tracking_uri(store_uri(str(store)))
    return mlflow


def only_run(mlflow):
    (run,) = mlflow.search_runs(
        experiment_names=["aslspark"], filter_string="tags.`aslspark.job` = 'train_cnn'", output_format="list"
    )
    return run


def test_a_run_is_called_as_its_folder_and_holds_settings_figures_epochs_plots_and_the_bundle(mlflow, bundle):
    run = only_run(mlflow)
    assert (run.info.status, run.info.run_name) == ("FINISHED", bundle.name)
    assert (run.data.params["training.batch_size"], run.data.params["data"]) == ("32", "letters.csv")
    assert (run.data.metrics["accuracy"], run.data.metrics["macro.f1"]) == (0.5, 0.25)
    epochs = mlflow.MlflowClient().get_metric_history(run.info.run_id, "epoch.loss")
    assert [(row.step, row.value) for row in epochs] == [(1, 2.5), (2, 1.5)]
    assert not [name for name in run.data.metrics if "per_class" in name]  # of which there are hundreds
    names = {file.path for file in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)}
    assert {"curves.png", "metrics.json"} <= names


def test_the_model_in_mlflow_answers_as_the_bundle_does_and_holds_no_pickle(spark, mlflow, bundle, ingested):
    uri = f"runs:/{only_run(mlflow).info.run_id}/bundle"
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    assert not [path.name for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle")]
    model = mlflow.pyfunc.load_model(uri)
    assert [column.name for column in model.metadata.signature.inputs] == ["picture"]
    pictures = read_samples(spark, ingested, ["test"]).select("id", F.col("picture.data").alias("picture"))
    pictures = pictures.unionByName(spark.createDataFrame([("damaged", bytearray(b"none"))], pictures.schema))
    ours = read_model(str(bundle)).transform(pictures).orderBy("id").toPandas()
    theirs = model.predict(ours[["picture"]])
    assert theirs["letter"].tolist() == ours["letter"].tolist()
    assert theirs["reason"].tolist() == ours["reason"].tolist()
    read = ours["letter"].notna()
    assert (len(read), (~read).sum()) == (len(ours), 1)
    assert theirs.loc[read, "probability"].to_numpy() == pytest.approx(
        ours.loc[read, "probability"].to_numpy(float), abs=1e-6
    )
    answer = mlflow.pyfunc.spark_udf(spark, uri, "struct<letter string, probability double>", env_manager="local")
    in_spark = pictures.where("id != 'damaged'").withColumn("answer", answer("picture")).orderBy("id").toPandas()
    assert [row["letter"] for row in in_spark["answer"]] == ours.loc[read, "letter"].tolist()


def test_a_threshold_silences_the_model_in_mlflow_too(bundle):
    from aslspark.registry.tracking_model import BundleModel

    model = BundleModel(str(bundle))
    model.model.setThreshold(1.0)
    found = model.predict(pd.DataFrame({"picture": [(np.arange(784) % 251).astype(np.uint8).tobytes()]}))
    assert found.iloc[0].to_dict() == {
        "letter": None,
        "probability": pytest.approx(found["probability"][0]),
        "reason": "not sure",
    }


def test_a_job_that_fails_leaves_a_run_that_failed(spark, bundle, store, mlflow):
    words = ["--data", "nowhere", "--out", str(store / "out"), "--set", "tracking.mlflow=true", f"tracking.uri={store}"]
    with pytest.raises(AslsparkError, match="nowhere"):
        score.main(["--model", str(bundle), *words])
    filter_string = "tags.`aslspark.job` = 'score'"
    (run,) = mlflow.search_runs(experiment_names=["aslspark"], filter_string=filter_string, output_format="list")
    assert (run.info.status, run.data.params["model"]) == ("FAILED", str(bundle))


def test_what_is_promoted_is_registered_and_a_rollback_moves_the_alias_back(bundle, store, mlflow, tmp_path):
    config = settings(store, "tracking.registered_model=letters")
    registry = Registry(str(tmp_path / "registry"))
    for action in ("begun", "promoted", "refused"):
        with registry.work() as work:
            shutil.copytree(bundle, work / "bundle")
            with registry.locked():
                decision = registry.decide(action, {"figures": {"alpha": 0.05}}, bundle=work / "bundle")
        version = decision.get("challenger", decision["champion"])
        with tracked(config, "retrain"):
            log_champion(config, version, registry.path(version), decision)
    client = mlflow.MlflowClient()
    assert len(client.search_model_versions("name='letters'")) == 2
    by_alias = client.get_model_version_by_alias("letters", "champion")
    assert by_alias.tags["aslspark.registry_version"] == "0002"
    assert mlflow.pyfunc.load_model("models:/letters@champion").metadata.signature is not None
    restore_champion(config, "0001")
    assert client.get_model_version_by_alias("letters", "champion").tags["aslspark.registry_version"] == "0001"


def test_nothing_of_mlflow_is_imported_while_it_is_off():
    words = (
        "import sys; from aslspark.common.settings import Config\n"
        "from aslspark.registry.tracking import tracked, log_champion\n"
        "import jobs.train_cnn, jobs.monitor, jobs.retrain\n"
        "with tracked(Config(), 'x', 'nowhere'): pass\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'mlflow'])"
    )
    repository = REPOSITORY
    run = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, cwd=repository, check=True)
    assert run.stdout.strip() == "[]"


def test_a_store_that_cannot_be_used_is_named_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    config = settings(tmp_path / "file")
    with (
        pytest.raises(AslsparkError, match=r"tracking\.uri=.*file: MLflow cannot") as error,
        tracked(config, "x"),
    ):
        pass
    assert "\n" not in str(error.value)
