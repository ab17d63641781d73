"""Real Horovod, two processes, drawn hands."""

import csv
import json
import logging
import threading

import numpy as np
import pytest
from horovod.spark.common.store import Store
from pyspark.sql import functions as F
from stacks import needs_petastorm

from aslspark import compare, ingest, train
from aslspark.common.catalog import CLASSIFIERS
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.data.samples import TEST, TRAIN, VALIDATION, read_samples
from aslspark.evaluation.metrics import classification_metrics, count_answers
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.collective import CARRIERS_NICE
from aslspark.training.launch.child import report
from aslspark.training.launch.failures import WorkerError
from aslspark.training.launch.run import StoppedEarly, run_workers

FRAMEWORKS = ("keras", "torch")
QUICK = ["training.epochs=2", "training.batch_size=8", "augment.flip_probability=0.25", "training.profile_steps=2"]
QUICK.append("drawn.count=77")  # as the notebooks set it, whatever the data are


@pytest.fixture(scope="module", params=FRAMEWORKS)
def bundle(request, spark, ingested, tmp_path_factory):
    """A bundle of two epochs, and what was said while it was made."""
    out = tmp_path_factory.mktemp("bundles") / request.param
    said = []

    class Listener(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())

    log = logging.getLogger("aslspark")
    listener = Listener()
    log.addHandler(listener)
    level = log.level
    log.setLevel(logging.INFO)
    try:
        train(spark, [ingested], str(out), config=load_config(None, [*QUICK, f"training.framework={request.param}"]))
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
    return out, said


def test_a_bundle_holds_all_that_people_look_for(bundle):
    out, _ = bundle
    files = {path.name for path in out.iterdir()}
    assert {
        "README.md",
        "SHA256SUMS",
        "augmented.png",
        "bundle.json",
        "confusion.png",
        "curves.png",
        "history.csv",
        "metrics.json",
        "mistakes.png",
        "network.onnx",
        "pipeline",
        "reference.json",
        "report.html",
    } < files
    assert not [name for name in files if name.startswith(".")]
    manifest = json.loads((out / "bundle.json").read_text())
    assert manifest["network_file"] in files
    assert manifest["parameters"] == 146_760
    assert manifest["labels"] == sorted(manifest["labels"])
    assert len(manifest["data"]["fingerprint"]) == 64
    assert {"pyspark", "horovod"} <= set(manifest["versions"])
    card = (out / "README.md").read_text()
    assert "How the split was made" in card
    assert "signer" in card
    assert "rotation (100%)" in card
    assert "flip (25%)" in card
    assert "(augmented.png)" in card


def test_the_page_shows_settings_of_drawn_hands_only_where_they_were_drawn(bundle):
    page = (bundle[0] / "report.html").read_text()
    assert "augment.flip_probability" in page
    assert "drawn.count" not in page


def test_the_bundle_says_where_the_time_went_and_holds_the_trace(bundle):
    out, _ = bundle
    manifest = json.loads((out / "bundle.json").read_text())
    phases = manifest["phases"]
    assert list(phases) == [
        "start",
        "imports",
        "building",
        "reading",
        "training",
        "waiting_for_gradients",
        "validation",
        "keeping",
        "export",
    ]
    assert all(phases[name] > 0 for name in ("start", "imports", "training", "waiting_for_gradients", "export"))
    card = (out / "README.md").read_text()
    assert "waiting for gradients" in card
    assert "`profile/`" in card
    assert isinstance(json.loads((out / "metrics.json").read_text())["watch"], list)
    files = [path for path in (out / "profile").rglob("*") if path.is_file()]
    if manifest["framework"] == "torch":
        events = json.loads((out / "profile" / "trace.json").read_text())["traceEvents"]
        assert sum("Optimizer.step" in event.get("name", "") for event in events) >= 2
    else:
        assert any(path.name.endswith(".xplane.pb") and path.stat().st_size > 10_000 for path in files)
    sums = (out / "SHA256SUMS").read_text()
    assert files
    assert all(path.relative_to(out).as_posix() in sums for path in files)
    SignClassifierModel.load(str(out))  # checks every file


def test_the_history_has_a_row_an_epoch_and_the_loss_falls(bundle):
    with (bundle[0] / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert all(0 <= float(row["val_accuracy"]) <= 1 for row in rows)
    # Adam's step size for one process, times two processes, after an epoch of rising.
    assert float(rows[0]["learning_rate"]) == pytest.approx(0.002)
    assert float(rows[1]["learning_rate"]) < 0.0005


def test_progress_says_epoch_loss_accuracy_speed_and_time_left(bundle):
    lines = [line for line in bundle[1] if line.startswith("epoch")]
    assert len(lines) == 2
    assert all(word in lines[0] for word in ("1/2", "loss", "accuracy", "val_loss", "rows/s", " left"))
    assert "left" not in lines[1]  # judging and drawing are to come


def test_the_figures_are_those_of_the_final_model_on_the_test_split(spark, bundle, ingested):
    metrics = json.loads((bundle[0] / "metrics.json").read_text())
    samples = read_samples(spark, ingested, [TEST])
    scored = SignClassifierModel.load(str(bundle[0])).transform(samples).toPandas()
    assert metrics["rows"] == len(scored) == metrics["splits"]["test"]["rows"]
    assert metrics["accuracy"] == pytest.approx((scored["label"] == scored["letter"]).mean())
    in_top = [row.label in [best["letter"] for best in row.top] for row in scored.itertuples()]
    assert metrics["top3_accuracy"] == pytest.approx(np.mean(in_top))
    confusion = metrics["confusion"]
    labels = confusion["labels"]
    for label, answer in scored[["label", "letter"]].drop_duplicates().itertuples(index=False):
        count = ((scored["label"] == label) & (scored["letter"] == answer)).sum()
        assert confusion["counts"][labels.index(label)][confusion["answers"].index(answer)] == count


def test_the_network_file_and_the_onnx_file_say_the_same(spark, bundle, ingested):
    out, _ = bundle
    pictures = np.stack(
        [
            np.frombuffer(row["picture"]["data"], np.uint8).reshape(28, 28, 1)
            for row in read_samples(spark, ingested, [TEST]).limit(30).collect()
        ]
    )
    import onnxruntime

    by_onnx = onnxruntime.InferenceSession(str(out / "network.onnx")).run(None, {"picture": pictures})[0]
    if (out / "network.keras").exists():
        import tensorflow as tf

        from aslspark.models import keras_network

        model = tf.keras.models.load_model(out / "network.keras", safe_mode=True)
        by_framework = model(keras_network.scale(pictures, True)).numpy()
    else:
        import torch
        from safetensors.torch import load_file

        from aslspark.models import torch_network

        network = torch_network.build("pooled_cnn", (28, 28, 1), 24, 0.0)
        network.load_state_dict(load_file(out / "network.safetensors"))
        with torch.inference_mode():
            logits = network.eval()(torch_network.scale(torch.from_numpy(pictures), True))
        by_framework = torch.softmax(logits, dim=1).numpy()
    assert np.allclose(by_onnx, by_framework, atol=1e-5)


def estimator(framework, spark, tmp_path, **more):
    labels = list("ABCDEFGHIKLMNOPQRSTUVWXY")
    params = {
        "num_proc": 2,
        "store": Store.create(f"file://{tmp_path}/store", save_runs=False),
        "labels": labels,
        "feature_cols": ["picture"],
        "label_cols": ["label"],
        "validation": "held_out",
        "batch_size": 32,
        "epochs": 1,
        "random_seed": 1,
        "augment": False,
        **more,
    }
    if framework == "keras":
        import tensorflow as tf

        from aslspark.models.keras_network import build
        from aslspark.training.keras_estimator import SignKerasEstimator

        tf.keras.utils.set_random_seed(1)
        return SignKerasEstimator(
            model=build("cnn", (28, 28, 1), 24, 0.3),
            optimizer=tf.keras.optimizers.Adam(0.001),
            **{"loss": "categorical_crossentropy", **params},
        )
    import torch

    from aslspark.models.torch_network import build
    from aslspark.training.torch_estimator import SignTorchEstimator

    torch.manual_seed(1)
    model = build("cnn", (28, 28, 1), 24, 0.3)
    return SignTorchEstimator(
        model=model,
        input_shapes=[[-1, 1, 28, 28]],
        optimizer=torch.optim.Adam(model.parameters(), lr=0.001),
        **{"loss": torch.nn.CrossEntropyLoss(), **params},
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_fit_on_a_dataframe_averages_gradients_and_gives_a_model(framework, spark, ingested, tmp_path):
    samples = read_samples(spark, ingested, [TRAIN, VALIDATION]).withColumn("held_out", F.col("split") == VALIDATION)
    fitted = estimator(framework, spark, tmp_path).fit(samples)
    digests = fitted.fitted.digests
    assert len(digests) == 2
    assert digests[0] == digests[1]
    assert len(fitted.getHistory()) == 1
    scored = fitted.transform(samples.limit(10))
    assert scored.where("letter is not null").count() == 10
    assert list((tmp_path / "store").glob("fit-*")) == []


@needs_petastorm
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_petastorms_reader_trains_the_same_estimator(framework, spark, ingested, tmp_path):
    samples = read_samples(spark, ingested, [TRAIN, VALIDATION]).withColumn("held_out", F.col("split") == VALIDATION)
    fitted = estimator(framework, spark, tmp_path, feed="petastorm", epochs=2).fit(samples).fitted
    assert len(set(fitted.digests)) == 1
    first, second = fitted.history
    assert first["rows"] == samples.where("not held_out").count()
    assert second["loss"] < first["loss"]
    assert [path.name for path in (tmp_path / "store").glob("*") if "-" in path.name] == []


@pytest.mark.long
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_same_seed_gives_the_same_model(framework, spark, ingested, tmp_path):
    samples = read_samples(spark, ingested, [TRAIN, VALIDATION]).withColumn("held_out", F.col("split") == VALIDATION)
    first, second = (
        estimator(framework, spark, tmp_path, augment=True, random_seed=9).fit(samples.coalesce(1)).getHistory()[0]
        for _ in range(2)
    )
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert first[name] == pytest.approx(second[name], abs=1e-4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"metrics": ["accuracy"]}, "metrics is not supported; loss and accuracy are always computed"),
        ({"run_id": "again"}, "run_id is not supported; every fit is a run of its own"),
        ({"validation": 0.1}, "validation=0.1: give the name of a boolean column"),
        ({"num_proc": 64}, r"num_proc=64: local\[2\] has 2 task slots"),
        ({"augment": {"flip_probability": 2}}, r"augment\.flip_probability=2\.0: out of range"),
        ({"feed": "tables"}, r"training\.feed=tables: choose one of in_place, petastorm"),
        ({"schedule": "one-cycle"}, r"training\.schedule=one-cycle: did you mean one_cycle\?"),
        ({"label_smoothing": 0.9}, r"training\.label_smoothing=0\.9: out of range; it may be from 0\.0 to 0\.5"),
        ({"data_module": object}, "data_module is not supported; set feed"),
        ({"feature_cols": ["signer"]}, "feature_cols=signer: string is no picture"),
    ],
)
def test_what_the_estimators_cannot_do_is_said_before_anything_starts(
    framework, params, message, spark, ingested, tmp_path
):
    samples = read_samples(spark, ingested).withColumn("held_out", F.lit(False))
    with pytest.raises(AslsparkError, match=message):
        estimator(framework, spark, tmp_path, **params).fit(samples)


def test_a_workers_own_traceback_reaches_the_user(spark):
    def failing_worker(job):
        import horovod.torch as hvd
        import torch

        hvd.init()
        if hvd.rank() == job:
            raise ValueError("the disk of this worker is on fire")
        hvd.allreduce_(torch.zeros(1))

    with pytest.raises(AslsparkError) as error:
        run_workers(2, failing_worker, 1, env={}, on_event=print)
    message = str(error.value)
    assert message.splitlines()[0].startswith("worker 1 on ")
    assert "ValueError: the disk of this worker is on fire" in message.splitlines()[0]
    assert "in failing_worker" in message


def test_a_worker_that_is_killed_is_reported_as_killed(spark):
    def dying_worker(job):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(AslsparkError, match="killed"):
        run_workers(2, dying_worker, None, env={}, on_event=print)


@pytest.mark.long
def test_a_killed_worker_is_named_and_not_the_one_that_fails_after_it(spark):
    def half_of_them_die(job):
        import os
        import signal

        import horovod.tensorflow as hvd
        import tensorflow as tf

        hvd.init()
        if hvd.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        tf.function(lambda: hvd.allreduce(tf.ones(3), name="gradients"))()

    with pytest.raises(WorkerError, match=r"^worker 1 on \S+ ended with exit code \S+: killed") as error:
        run_workers(2, half_of_them_die, None, env={}, on_event=print)
    assert error.value.lost


def test_what_workers_report_arrives_whole_and_in_order(spark):
    def talking_worker(job):
        for n in range(300):
            report({"event": "said", "n": n, "filling": "x" * 500})
        return job

    heard = []
    assert run_workers(2, talking_worker, "done", env={}, on_event=heard.append) == ["done", "done"]
    assert len(heard) == 600
    assert sorted(event["n"] for event in heard) == sorted([*range(300), *range(300)])


def test_what_a_worker_says_is_heard_while_it_works(spark, tmp_path):
    answer = tmp_path / "answer"

    def asking_worker(job):
        import time

        report({"event": "asked"})
        until = time.monotonic() + 60
        while not answer.exists():
            assert time.monotonic() < until, "nobody has heard it"
            time.sleep(0.1)

    run_workers(2, asking_worker, None, env={}, on_event=lambda event: answer.touch())


def test_a_run_that_is_to_stop_has_no_results_even_if_its_workers_were_done_before(spark):
    stopped = threading.Event()
    with pytest.raises(StoppedEarly):
        run_workers(
            2,
            lambda job: report({"event": "said"}),
            None,
            env={},
            on_event=lambda event: stopped.set(),
            stopped=stopped,
        )


def test_the_threads_that_carry_messages_step_back_behind_those_that_compute(spark):
    def niceness_of_threads(job):
        import os

        import horovod.torch as hvd

        from aslspark.training.collective import join_horovod

        before = set(os.listdir("/proc/self/task"))
        join_horovod(hvd)
        added = sorted(map(int, set(os.listdir("/proc/self/task")) - before))
        return [os.getpriority(os.PRIO_PROCESS, thread) for thread in added], os.getpriority(os.PRIO_PROCESS, 0)

    for of_horovod, own in run_workers(2, niceness_of_threads, None, env={}, on_event=print):
        assert len(of_horovod) >= 2
        assert of_horovod[0] == own
        assert set(of_horovod[1:]) == {min(own + CARRIERS_NICE, 19)}


@pytest.mark.long
def test_a_worker_looks_for_garbage_while_it_trains_but_not_among_what_it_has_imported(spark, ingested, tmp_path):
    import gc
    from pathlib import Path

    import torch

    class WatchedLoss(torch.nn.CrossEntropyLoss):
        def forward(self, outputs, labels):
            Path(tmp_path, "seen").write_text(f"{gc.isenabled()} {gc.get_freeze_count()}")
            return super().forward(outputs, labels)

    samples = read_samples(spark, ingested, [TRAIN, VALIDATION]).withColumn("held_out", F.col("split") == VALIDATION)
    estimator("torch", spark, tmp_path, loss=WatchedLoss()).fit(samples)
    enabled, left_alone = (tmp_path / "seen").read_text().split()
    assert enabled == "True"
    assert int(left_alone) > 100_000


def test_two_frameworks_in_one_worker_are_refused():
    from types import SimpleNamespace

    from aslspark.training.collective import require_included

    outside = SimpleNamespace(global_process_set=SimpleNamespace(included=lambda: False))
    with pytest.raises(RuntimeError, match="takes no part in averaging gradients"):
        require_included(outside)


@pytest.mark.long
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_baselines_leave_the_same_kind_of_bundle(name, spark, few_letters, tmp_path):
    ingested, words = few_letters, ["trees=5", "depth=4", "hidden='24'", "iterations=30", "rounds=2"]
    config = load_config(None, [f"mllib.classifier={name}", *(f"mllib.{word}" for word in words)])
    metrics = train(spark, [ingested], str(tmp_path / "bundle"), config=config).metrics
    loaded = SignClassifierModel.load(str(tmp_path / "bundle"))
    unlabelled = read_samples(spark, ingested, [TEST]).drop("label")
    scored = loaded.transform(unlabelled)
    assert scored.where("letter is not null and size(top) = 3").count() == metrics["rows"]
    counts = count_answers(loaded.transform(read_samples(spark, ingested, [TEST])))
    assert classification_metrics(counts, loaded.labels)["accuracy"] == metrics["accuracy"]
    assert metrics["splits"]["train"]["accuracy"] > 3 / 5


@pytest.mark.long
def test_drawn_data_says_so_in_the_first_line_of_the_card(spark, tmp_path):
    words = ["drawn.count=96", "drawn.signers=4"]
    train(
        spark,
        [],
        str(tmp_path / "bundle"),
        config=load_config(None, [*words, "mllib.classifier=forest", "mllib.trees=2", "mllib.depth=2"]),
    )
    assert "drawn hands, not photographs" in (tmp_path / "bundle" / "README.md").read_text().splitlines()[0]


def test_what_is_trained_on_an_ingested_folder_of_drawn_hands_says_so_too(spark, tmp_path):
    ingested, forest = str(tmp_path / "ingested"), str(tmp_path / "forest")
    ingest(spark, [], ingested, config=load_config(None, ["drawn.count=96", "drawn.signers=4"]))
    assert "drawn hands, not photographs" in (tmp_path / "ingested" / "report.html").read_text()
    words = ["mllib.classifier=forest", "mllib.trees=2", "mllib.depth=2"]
    train(spark, ingested, forest, config=load_config(None, words))
    card = (tmp_path / "forest" / "README.md").read_text()
    assert "drawn hands, not photographs" in card.splitlines()[0]
    assert card.count("drawn hands, not photographs") == 1
    compared = compare(spark, {"forest": forest}, {"test": [ingested]}, str(tmp_path / "compared"))
    assert "drawn hands, not photographs" in compared["bundles"][0]["watch"][0]
