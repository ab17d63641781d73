"""Model files from others: whatever they hold, none of it runs, and the reason is one line."""

import json
import os
import shutil
import tempfile
import zipfile

import hostile_models as hostile
import numpy as np
import pytest
import torch
from moments import LEFT, whenever
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import SQLTransformer

from aslspark.bundle.files import MANIFEST, ONNX, PIPELINE, STAGE_FOLDER, SUMS, read_manifest, seal
from aslspark.bundle.pipeline_checks import pipeline_files
from aslspark.common.catalog import NETWORKS
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.data.samples import read_samples
from aslspark.evaluation.grad_cam import explain_bundle
from aslspark.models import keras_network, keras_weights, torch_network, torch_weights
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.monitoring.profile import read_reference
from aslspark.registry.registry import Registry
from aslspark.registry.tracking_model import BundleModel
from aslspark.scoring.model import SignClassifierModel, read_model
from aslspark.scoring.reader import Reader
from aslspark.training.initial_weights import started_network
from aslspark.workflows.retrain import initialize

SHAPE = (28, 28, 1)


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "it-ran"


@pytest.fixture(scope="module")
def keras_model():
    return keras_network.build("cnn", SHAPE, 3, 0.0)


@pytest.fixture(scope="module")
def torch_model():
    return torch_network.build("cnn", SHAPE, 3, 0.0)


def refused(load, *given):
    """The one line with which something is refused."""
    with pytest.raises(AslsparkError) as caught:
        load(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused_by_keras(model, path):
    return refused(keras_weights.load_weights, model, "cnn", path, True)


@pytest.mark.promise(
    "bundle",
    "A network's file from elsewhere runs nothing: no Lambda layer, pickle, named module or function.",
    kind="a file of weights brings code",
)
@pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
def test_a_lambda_layer_is_refused_and_does_nothing(keras_model, tmp_path, mark, name):
    path = hostile.lambda_model(tmp_path / name, mark)
    assert "network.weights=" in refused_by_keras(keras_model, path)
    assert not mark.exists()


def test_an_old_file_with_a_lambda_layer_does_nothing_under_a_new_name(keras_model, tmp_path, mark):
    path = hostile.lambda_model(tmp_path / "lambda.h5", mark).rename(tmp_path / "lambda.keras")
    assert "it cannot be read (File is not a zip file)" in refused_by_keras(keras_model, path)
    assert not mark.exists()


def test_a_module_that_a_keras_file_names_is_not_imported(keras_model, tmp_path, mark, monkeypatch):
    path = hostile.importing_archive(tmp_path / "import.keras", mark, monkeypatch)
    assert "named_by_a_file.Layer, which is no layer" in refused_by_keras(keras_model, path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("module", "function"), [("os", "system"), ("builtins", "eval"), ("keras.src.utils.data_utils", "get_file")]
)
def test_a_function_that_a_keras_file_names_is_not_called(keras_model, tmp_path, module, function):
    path = hostile.calling_archive(tmp_path / "call.keras", module, function)
    assert f"{module}.function, which is no layer" in refused_by_keras(keras_model, path)


def test_an_operation_of_tensorflow_that_writes_files_is_not_called(keras_model, tmp_path):
    layer = {"module": "keras.src.layers.core.tf_op_layer", "class_name": "TFOpLambda", "registered_name": None}
    model = {"module": "keras", "class_name": "Sequential", "registered_name": None}
    config = model | {"config": {"layers": [layer | {"config": {"name": "w", "function": "io.write_file"}}]}}
    path = hostile.keras_archive(tmp_path / "write.keras", json.dumps(config))
    assert "it calls TensorFlow's io.write_file" in refused_by_keras(keras_model, path)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("[]", "no model"),
        ("{", "it cannot be read"),
        ("[" * 100_000, "it cannot be read"),
        (json.dumps({"class_name": "Sequential", "config": {}}), "Sequential, which is no layer"),
        (json.dumps({"class_name": ["Sequential"], "module": "keras"}), "which is no layer"),
    ],
    ids=["a list", "cut short", "nested without end", "the old format", "a class that is a list"],
)
def test_a_keras_file_with_another_configuration_is_refused(keras_model, tmp_path, config, reason):
    assert reason in refused_by_keras(keras_model, hostile.keras_archive(tmp_path / "odd.keras", config))


def test_a_keras_file_with_more_in_it_is_refused(keras_model, tmp_path):
    path = tmp_path / keras_network.save(keras_model, tmp_path)
    assert keras_weights.load_weights(keras_model, "cnn", path, True)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/../../more.py", "print('hello')")
    assert "it holds assets/../../more.py" in refused_by_keras(keras_model, path)


@pytest.mark.parametrize("how", ["link", "storage", "virtual"])
def test_weights_are_not_taken_from_a_file_that_the_file_names(keras_model, tmp_path, how):
    path = hostile.h5_from_elsewhere(tmp_path / "weights.h5", tmp_path / "other.h5", how)
    assert "from another file" in refused_by_keras(keras_model, path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if facts.imagenet else ())
        for name, facts in NETWORKS.items()
        if "keras" in facts.frameworks
    ],
)
def test_networks_of_this_package_are_read_back(name, tmp_path):
    model = keras_network.build(name, (64, 64, 1), 3, 0.1, 8)
    path = tmp_path / keras_network.save(model, tmp_path)
    assert keras_weights.load_weights(model, name, path, True)


@pytest.mark.promise(
    "bundle",
    "A network's file from elsewhere runs nothing: no Lambda layer, pickle, named module or function.",
    kind="a file of weights brings code",
)
@pytest.mark.parametrize("name", ["payload.pth", "payload.pt", "payload.safetensors"])
def test_a_pickle_is_not_unpickled(torch_model, tmp_path, mark, name):
    (tmp_path / name).write_bytes(hostile.pickled(mark))
    assert "it cannot be read" in refused(torch_weights.load_weights, torch_model, "cnn", tmp_path / name, True)
    torch.save({"weights": hostile.Touch(mark)}, tmp_path / name)
    assert "it cannot be read" in refused(torch_weights.load_weights, torch_model, "cnn", tmp_path / name, True)
    assert not mark.exists()
    torch.load((tmp_path / name).rename(tmp_path / "careless.pt"), weights_only=False)["weights"].close()
    assert mark.exists()  # so the file is one that would have


@pytest.mark.parametrize(
    ("framework", "name"), [("keras", "given.h5"), ("keras", "given.keras"), ("torch", "given.pt")]
)
def test_a_training_job_that_is_to_start_from_one_does_not(tmp_path, mark, framework, name):
    if framework == "keras":
        hostile.lambda_model(tmp_path / name, mark)
    else:
        (tmp_path / name).write_bytes(hostile.pickled(mark))
    words = [f"training.framework={framework}", "network.name=cnn", f"network.weights={tmp_path / name}"]
    said = refused(started_network, load_config(None, words), SHAPE, ("A", "B", "C"))
    assert f"{name}: these are no weights for network.name=cnn" in said
    assert not mark.exists()


def test_a_scripted_module_is_not_run(torch_model, tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "module.pt"))
    assert "it cannot be read" in refused(torch_weights.load_weights, torch_model, "cnn", tmp_path / "module.pt", True)


@pytest.fixture(scope="module")
def network_made(spark, torch_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "stage"
    onnx = torch_network.to_onnx(torch_model.eval(), SHAPE, True)
    SignClassifierModel(OnnxClassifier(onnx, ("A", "B", "C"), SHAPE)).save(str(path))
    return path / STAGE_FOLDER


@pytest.fixture
def network_bundle(network_made, tmp_path):
    return shutil.copytree(network_made, tmp_path / "network")


@pytest.fixture(scope="module")
def forest_made(spark, ingested, tmp_path_factory):
    from aslspark.common.settings import load_config
    from aslspark.features.pipeline import feature_pipeline
    from aslspark.models.mllib import build_classifier

    path = tmp_path_factory.mktemp("forest") / "stage"
    samples = read_samples(spark, ingested, ["train"])
    labels = tuple(sorted(row["label"] for row in samples.select("label").distinct().collect()))
    forest = load_config(None, ["mllib.classifier=forest", "mllib.trees=2", "mllib.depth=3"]).mllib
    stages = [
        *feature_pipeline(spark, labels, True).getStages(),
        build_classifier(forest, length=784, classes=len(labels), seed=1),
    ]
    SignClassifierModel(MllibClassifier(Pipeline(stages=stages).fit(samples), labels, SHAPE)).save(str(path))
    return path / STAGE_FOLDER


@pytest.fixture
def forest_bundle(forest_made, tmp_path):
    return shutil.copytree(forest_made, tmp_path / "forest")


@pytest.mark.parametrize("where", ["inside.bin", "../outside.bin", "/etc/hostname"])
def test_a_network_with_weights_in_another_file_is_refused(spark, network_bundle, where):
    (network_bundle.parent / "outside.bin").write_bytes(bytes(16))
    (network_bundle / "inside.bin").write_bytes(bytes(16))
    (network_bundle / ONNX).write_bytes(hostile.onnx_with_data_at(where))
    hostile.change_json(network_bundle / MANIFEST, shape=[2, 2, 1], labels=["A", "B", "C", "D"])
    seal(network_bundle)
    assert "network.onnx cannot be opened" in refused(read_model, str(network_bundle))


@pytest.mark.parametrize(
    ("onnx", "change", "reason"),
    [
        (b"no network", {}, "network.onnx cannot be opened"),
        (None, {"labels": ["A", "B"]}, "the probabilities of 2 labels"),
        (None, {"shape": [32, 32, 1]}, r"takes pictures of \[28, 28, 1\]"),
        (None, {"inputs": ["landmarks"]}, "takes picture, and landmarks is said"),
        (None, {"inputs": ["voice"]}, "its inputs are not"),
        (None, {"kind": "pickle"}, "its kind is 'pickle'"),
        (None, {"kind": "mllib"}, "part-00000 is missing"),
        (None, {"labels": "ABC"}, "no list of names"),
        (None, {"shape": [28, 28]}, "not height, width and channels"),
        (None, {"shape": [2800000, 28, 1]}, "not sides of at most 4096"),
        (None, {"labels": ["A", "B", "A"]}, "one letter twice"),
        (None, {"labels": ["A", "B", "C\n<script>"]}, "printable characters"),
        (None, {"inputs": 5}, "its inputs are not"),
        (None, {"inputs": [["picture"]]}, "its inputs are not"),
        (None, {"temperature": 0}, "its temperature is 0"),
        (None, {"temperature": float("nan")}, "its temperature is nan"),
        (None, {"temperature": True}, "its temperature is True"),
        (None, {"framework": "pickle"}, "its framework is 'pickle'"),
        (None, {"settings": "none"}, "its settings is no table"),
        (None, {"preprocessing": {"fit": "stretch"}}, "its fit is 'stretch'"),
        (None, {"preprocessing": {"mask": [[0, 0, 0], "x"]}}, "its mask is"),
        (None, {"preprocessing": {"hands": {"looks": 10**9}}}, r"hands\.looks=1000000000: out of range"),
        (None, {"preprocessing": {"hands": [1]}}, r"its hands are \[1\]"),
        (None, {"temperature": "hot"}, "its temperature is 'hot'"),
        (None, {"threshold": 7}, "its threshold is 7"),
        (None, {"preprocessing": {"hands": {"glove": 1}}}, "its preprocessing is not known here"),
        (None, {"network_file": "../../other/network.keras"}, "its network_file is '../../other/network.keras'"),
        (None, {"network_file": "network.keras"}, "network.keras is missing"),
    ],
)
def test_a_bundle_that_does_not_go_together_is_refused(spark, network_bundle, onnx, change, reason):
    if onnx is not None:
        (network_bundle / ONNX).write_bytes(onnx)
    hostile.change_json(network_bundle / MANIFEST, **change)
    seal(network_bundle)
    with pytest.raises(AslsparkError, match=reason):
        read_model(str(network_bundle))


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"format": 1', "[" * 100_000])
def test_a_manifest_that_is_half_written_is_refused(spark, network_bundle, manifest):
    (network_bundle / MANIFEST).write_text(manifest)
    seal(network_bundle)
    assert "is not what aslspark writes" in refused(read_manifest, str(network_bundle))


def test_a_file_that_is_a_link_to_elsewhere_is_refused(spark, network_bundle):
    elsewhere = network_bundle.parent / "elsewhere.onnx"
    (network_bundle / ONNX).rename(elsewhere)
    (network_bundle / ONNX).symlink_to(elsewhere)
    seal(network_bundle)
    assert "network.onnx is a link" in refused(read_model, str(network_bundle))


def test_a_link_to_itself_is_refused(spark, network_bundle):
    (network_bundle / "again").symlink_to("again")
    assert "again is a link" in refused(read_model, str(network_bundle))


def explained(path):
    return explain_bundle(path, np.zeros((1, *SHAPE), np.uint8))


def started(path):
    return started_network(load_config(None, ["training.framework=torch", f"network.weights={path}"]), SHAPE, ("A",))


WAYS = {
    "scoring": SignClassifierModel.load,
    "the service": Reader.load,
    "a model in MLflow": BundleModel,
    "monitoring": read_reference,
    "Grad-CAM": explained,
    "training that starts from it": started,
    "the registry": lambda path: initialize(None, Registry(f"{path}-registry"), path, ["none.csv"]),
}
"""All that read a bundle."""


@pytest.mark.promise(
    "bundle",
    "A link, pipe or device in a bundle is refused by everything that reads bundles, before anything is loaded.",
    kind="a link in a bundle is followed",
)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("to", ["outside", "inside", "nowhere"])
def test_a_link_in_a_bundle_is_refused_by_all_that_read_bundles(spark, network_bundle, way, to):
    goal = {"outside": network_bundle.parent, "inside": network_bundle / ONNX, "nowhere": network_bundle / "none"}[to]
    (network_bundle / "profile").mkdir()
    (network_bundle / "profile" / "more").symlink_to(goal)
    seal(network_bundle)
    assert "profile/more is a link" in refused(WAYS[way], str(network_bundle))


def test_the_path_of_a_bundle_may_be_an_alias(spark, network_bundle):
    alias = network_bundle.parent / "champion"
    alias.symlink_to(network_bundle.name)
    assert Reader.load(str(alias)).digest == SignClassifierModel.load(str(alias)).digest != ""


def test_a_hard_link_is_a_file_like_any_other(spark, network_bundle):
    os.link(network_bundle / ONNX, network_bundle.parent / "the same")
    read_model(str(network_bundle))


@pytest.mark.promise(
    "bundle",
    "A link, pipe or device in a bundle is refused by everything that reads bundles, before anything is loaded.",
    kind="a link in a bundle is followed",
)
def test_a_pipe_in_place_of_the_network_is_not_waited_for(spark, network_bundle):
    (network_bundle / ONNX).unlink()
    os.mkfifo(network_bundle / ONNX)
    assert "network.onnx is no plain file" in refused(read_model, str(network_bundle))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda sums: sums + sums.splitlines(True)[0], "was changed"),
        (lambda sums: sums.rstrip("\n"), "was changed"),
        (lambda sums: sums + "0" * 64 + "  ../outside\n", "../outside is missing"),
        (lambda sums: sums + "0" * 64 + "  /etc/hostname\n", "/etc/hostname is missing"),
        (lambda sums: sums + "0" * 64 + f"  {'x' * 100_000}\n", "is missing"),
        (lambda sums: sums.replace("\n", "\x0b"), "was changed"),
        (lambda sums: sums + " " * (33 << 20), "more than"),
    ],
    ids=["a name twice", "cut short", "a name outside", "an absolute name", "a long name", "other line ends", "huge"],
)
def test_sums_that_this_package_does_not_write_are_refused(spark, network_bundle, change, reason):
    sums = network_bundle / SUMS
    sums.write_text(change(sums.read_text()))
    said = refused(read_model, str(network_bundle))
    assert reason in said
    assert len(said) < 1000


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a\nb"], "cannot be listed"),
        (["a\\b"], "cannot be listed"),
        (["README.md", "readme.md"], "one name where capitals do not count"),
        (["/".join("abcdefghijklmnop")], "lies deeper than"),
    ],
)
def test_names_that_no_file_of_a_bundle_has_are_refused(spark, network_bundle, names, reason):
    for name in names:
        (network_bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (network_bundle / name).write_text("")
    seal(network_bundle)
    assert reason in refused(read_model, str(network_bundle))


@pytest.mark.promise(
    "bundle",
    "No class that a pipeline's metadata, columns or folders name is loaded but those that this package writes.",
    kind="Spark loads a class that a file names",
)
def test_a_class_that_a_pipeline_names_is_not_imported(spark, forest_bundle, tmp_path, mark, monkeypatch):
    (tmp_path / "named_by_a_stage.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Stage: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    read_model(str(forest_bundle))
    stage = sorted((forest_bundle / PIPELINE / "stages").iterdir())[0]
    hostile.change_json(hostile.metadata_of(stage), **{"class": "named_by_a_stage.Stage"})
    seal(forest_bundle)
    assert "names the class named_by_a_stage.Stage" in refused(read_model, str(forest_bundle))
    assert not mark.exists()


@pytest.mark.promise(
    "bundle",
    "No class that a pipeline's metadata, columns or folders name is loaded but those that this package writes.",
    kind="Spark loads a class that a file names",
)
def test_a_stage_of_spark_that_runs_any_sql_is_refused(spark, forest_bundle):
    calls_java = "SELECT *, reflect('java.lang.System', 'setProperty', 'it.ran', 'yes') AS y FROM __THIS__"
    shutil.rmtree(forest_bundle / PIPELINE)
    PipelineModel([SQLTransformer(statement=calls_java)]).save(f"file://{forest_bundle / PIPELINE}")
    seal(forest_bundle)
    assert "names the class org.apache.spark.ml.feature.SQLTransformer" in refused(read_model, str(forest_bundle))
    assert spark._jvm.java.lang.System.getProperty("it.ran") is None


@pytest.mark.promise(
    "bundle",
    "What Spark, Keras and onnxruntime load are the bytes that were checked, whatever happens to the bundle meanwhile.",
    kind="a file is changed between the check and the loading",
)
def test_a_stage_that_is_exchanged_after_the_check_is_not_loaded(spark, forest_bundle):
    evil = forest_bundle.parent / "evil"
    PipelineModel([SQLTransformer(statement="SELECT * FROM __THIS__")]).save(f"file://{evil}")

    def exchange(_):
        shutil.rmtree(forest_bundle / PIPELINE)
        evil.rename(forest_bundle / PIPELINE)

    with whenever(pipeline_files, LEFT, exchange):
        model = read_model(str(forest_bundle))
    assert not evil.exists()
    assert type(model.classifier.pipeline.stages[-1]).__name__ == "RandomForestClassificationModel"


@pytest.mark.promise(
    "bundle",
    "A link, pipe or device in a bundle is refused by everything that reads bundles, before anything is loaded.",
    kind="a link in a bundle is followed",
)
def test_a_stage_behind_a_link_does_not_call_java(spark, forest_bundle):
    calls_java = "SELECT *, reflect('java.lang.System', 'setProperty', 'it.ran', 'yes') AS y FROM __THIS__"
    stage = SQLTransformer(statement=calls_java)
    stage.save(f"file://{forest_bundle.parent / 'extra'}")
    metadata = hostile.metadata_of(forest_bundle / PIPELINE)
    ids = json.loads(metadata.read_text())["paramMap"]["stageUids"]
    hostile.change_json(metadata, paramMap={"language": "Python", "stageUids": [*ids, stage.uid]})
    (forest_bundle / PIPELINE / "stages" / f"{len(ids)}_{stage.uid}").symlink_to("../../../extra")
    seal(forest_bundle)
    assert f"{len(ids)}_{stage.uid} is a link" in refused(read_model, str(forest_bundle))
    assert spark._jvm.java.lang.System.getProperty("it.ran") is None


def the_forest(folder):
    return next((folder / PIPELINE / "stages").glob("*_RandomForest*"))


@pytest.mark.promise(
    "bundle",
    "No class that a pipeline's metadata, columns or folders name is loaded but those that this package writes.",
    kind="Spark loads a class that a file names",
)
def test_a_class_that_a_column_of_a_stage_names_is_not_made(spark, forest_bundle):
    (table,) = (the_forest(forest_bundle) / "treesMetadata").glob("part-*")
    hostile.name_class_in_parquet(table, "named.by.a.Column")
    seal(forest_bundle)
    assert "has a column of the class named.by.a.Column" in refused(read_model, str(forest_bundle))


@pytest.mark.promise(
    "bundle",
    "No class that a pipeline's metadata, columns or folders name is loaded but those that this package writes.",
    kind="Spark loads a class that a file names",
)
@pytest.mark.parametrize("name", ["_metadata", "_common_metadata", ".hidden"])
def test_a_summary_that_spark_would_read_first_is_left_out(spark, forest_bundle, name):
    (table,) = (the_forest(forest_bundle) / "data").glob("part-*")
    summary = shutil.copy(table, table.with_name(name))
    hostile.name_class_in_parquet(summary, "named.by.a.Column")
    seal(forest_bundle)
    files = {
        f"{PIPELINE}/{path.relative_to(forest_bundle / PIPELINE)}": path.read_bytes()
        for path in (forest_bundle / PIPELINE).rglob("*")
        if path.is_file()
    }
    assert [path for path in pipeline_files(files, f"{PIPELINE}/") if name in path] == []
    read_model(str(forest_bundle))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stages/more.txt", "none of Spark's files"),
        ("stages/0_x/data/part-0.orc", "none of Spark's files"),
        ("stages/0_x/data/a=1/part-0.parquet", "none of Spark's files"),
        ("stages/{0_x,1_y}/metadata/part-00000", "none of Spark's files"),
    ],
)
def test_a_file_that_sparks_writers_do_not_leave_is_refused(spark, forest_bundle, name, reason):
    (forest_bundle / PIPELINE / name).parent.mkdir(parents=True, exist_ok=True)
    (forest_bundle / PIPELINE / name).write_text("")
    seal(forest_bundle)
    assert reason in refused(read_model, str(forest_bundle))


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"featuresCol": "_row"}, "names a column '_row'"),
        ({"featuresCol": "x`.y"}, "names a column 'x`.y'"),
        ({"featuresCol": 7}, "names a column 7"),
        ({"featuresCol": {"a": 1}}, "names a column {'a': 1}"),
        ({"noSuchParam": 7}, "cannot be loaded"),
        ({"numTrees": "many"}, "cannot be loaded"),
    ],
)
def test_a_param_that_no_stage_of_this_package_has_is_refused(spark, forest_bundle, params, reason):
    hostile.change_json(hostile.metadata_of(the_forest(forest_bundle)), paramMap=params)
    seal(forest_bundle)
    assert reason in refused(read_model, str(forest_bundle))


def test_a_pipeline_that_tells_other_classes_apart_than_the_labels_is_refused(spark, forest_bundle):
    hostile.change_json(forest_bundle / MANIFEST, labels=["A", "B"])
    seal(forest_bundle)
    assert "classes apart, and 2 labels are said" in refused(read_model, str(forest_bundle))


def test_nothing_is_left_of_the_copy_that_was_loaded(spark, forest_bundle, monkeypatch, tmp_path):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    read_model(str(forest_bundle))
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"class": "os.system"}, "names the class os.system"),
        ({"paramMap": {"threshold": 7}}, "threshold=7"),
        ({"paramMap": {"transform": 7}}, "not what Spark writes"),
        ({"paramMap": {"inputCol": "x`"}}, "names a column"),
        ({"uid": "../x"}, "no name"),
    ],
)
def test_the_metadata_of_a_saved_stage_are_checked_too(spark, forest_made, tmp_path, change, reason):
    stage = shutil.copytree(forest_made.parent, tmp_path / "stage")
    hostile.change_json(hostile.metadata_of(stage), **change)
    assert reason in refused(SignClassifierModel.load, str(stage))


def test_a_stage_that_lies_elsewhere_is_refused(spark, forest_bundle):
    metadata = hostile.metadata_of(forest_bundle / PIPELINE)
    ids = json.loads(metadata.read_text())["paramMap"]["stageUids"]
    hostile.change_json(metadata, paramMap={"language": "Python", "stageUids": ["x/../../../../stage", *ids]})
    seal(forest_bundle)
    assert "a stage that is no name" in refused(read_model, str(forest_bundle))


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("part-00000", '{"class": "os.x", "class": "pyspark.ml.pipeline.PipelineModel", "paramMap": {}}', "not what"),
        ("part-00000", "hello", "not what Spark writes"),
        (
            "part-00000",
            '{"class": "pyspark.ml.pipeline.PipelineModel", "uid": "p", "paramMap": {}}',
            "no pipeline with",
        ),
        ("part-00000", "[" * 100_000, "not what Spark writes"),
        ("a.bz2", "BZh", "none of Spark's files"),
        ("part-00000.gz", "", "none of Spark's files"),
    ],
    ids=["a key twice", "no JSON", "no stages", "nested without end", "another first file", "a packed first file"],
)
def test_a_pipeline_that_spark_would_read_otherwise_is_refused(spark, forest_bundle, name, text, reason):
    own = hostile.metadata_of(forest_bundle / PIPELINE)
    path = own if name == "part-00000" else own.with_name(name)
    path.write_text(text)
    path.with_name(f".{path.name}.crc").unlink(missing_ok=True)
    seal(forest_bundle)
    assert reason in refused(read_model, str(forest_bundle))
