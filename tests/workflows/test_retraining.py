"""A champion that learned from shuffled labels, and challengers of true and of shuffled ones: forests, drawn hands."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from aslspark import train
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.data.exact_duplicates import common_encoding
from aslspark.data.samples import REPORT_FILE, read_samples
from aslspark.evaluation.paired_comparison import compare_paired, mcnemar
from aslspark.images.decoding import encode
from aslspark.registry.registry import Registry
from aslspark.scoring.model import SignClassifierModel
from aslspark.workflows.retrain import _without
from jobs import evaluate, retrain


def write(samples, like, folder):
    samples.write.partitionBy("split").parquet(f"{folder}/samples")
    shutil.copy(Path(like) / REPORT_FILE, folder)
    return str(folder)


@pytest.fixture(scope="module")
def frozen(spark, small_hands, tmp_path_factory):
    """The hands of the signer of validation, all of them test."""
    samples = read_samples(spark, small_hands, ["validation"]).withColumn("split", F.lit("test"))
    return write(samples, small_hands, tmp_path_factory.mktemp("frozen"))


@pytest.fixture(scope="module")
def true(spark, small_hands, tmp_path_factory):
    """What is left."""
    return write(read_samples(spark, small_hands, ["train", "test"]), small_hands, tmp_path_factory.mktemp("true"))


@pytest.fixture(scope="module")
def wrong(spark, true, tmp_path_factory):
    """The same, but what is learned from has the label of another row."""
    samples = read_samples(spark, true)
    learned = samples.where("split = 'train'").orderBy("id").select("id", "label").toPandas()
    learned["label"] = learned["label"].sample(frac=1, random_state=1).to_numpy()
    changed = samples.withColumnRenamed("label", "true").join(spark.createDataFrame(learned), "id", "left")
    changed = changed.withColumn("label", F.coalesce("label", "true")).select(*samples.columns)
    return write(changed, true, tmp_path_factory.mktemp("wrong"))


@pytest.fixture(scope="module")
def registry(spark, wrong, frozen, tmp_path_factory):
    """The registry after: begun with a poor champion, a good challenger, a poor one."""
    folder = tmp_path_factory.mktemp("registries")
    about = ["mllib.classifier=logistic", "mllib.iterations=10"]
    train(spark, [wrong], str(folder / "poor"), config=load_config(None, about))
    retrain.main(["--registry", str(folder / "registry"), "--begin", str(folder / "poor"), "--test", frozen])
    return Registry(str(folder / "registry"))


@pytest.mark.promise(
    "tested",
    "Challengers are judged on the frozen test that the registry was begun with, or retraining is refused in one line.",
    kind="what is tested on changes unseen",
)
def test_a_frozen_test_that_has_changed_is_refused(spark, registry, true, tmp_path):
    copied = tmp_path / "registry"
    shutil.copytree(registry.folder, copied, symlinks=True)
    table = copied / "frozen-test" / "samples"
    rows = spark.read.parquet(f"file://{table}").where("label <> 'A'").toPandas()
    shutil.rmtree(table)
    spark.createDataFrame(rows, read_samples(spark, true).schema).write.partitionBy("split").parquet(f"file://{table}")
    with pytest.raises(
        AslsparkError, match=r"begun with a frozen-test of the fingerprint \w{64}, not \w{64}; put"
    ) as error:
        retrain.main(["--registry", str(copied), "--data", true])
    assert "\n" not in str(error.value)
    assert len(Registry(str(copied)).decisions()) == len(registry.decisions())


@pytest.fixture(scope="module")
def promoted(registry, true):
    """The registry after a challenger of true labels was promoted."""
    retrain.main(["--registry", registry.given, "--data", true, "--class-fall", "0.4"])
    return registry


def test_better_labels_are_promoted(spark, promoted, true):
    assert (promoted.alias("champion"), promoted.alias("challenger")) == ("0002", None)
    begun, accepted = promoted.decisions()
    assert [row["action"] for row in (begun, accepted)] == ["begun", "promoted"]
    figures = accepted["figures"]["sets"]
    assert figures["the frozen test"]["rows"] == begun["test_rows"]
    assert figures["held-out samples"]["rows"] == read_samples(spark, true, ["test"]).count()
    assert figures["together"]["p"] < 0.05
    assert not list(promoted.folder.glob(".work-*"))


@pytest.mark.long
def test_shuffled_labels_are_refused_and_the_champion_is_a_bundle_like_any_other(promoted, wrong, frozen, tmp_path):
    shutil.copytree(promoted.folder, tmp_path / "registry", symlinks=True)
    registry = Registry(str(tmp_path / "registry"))
    with pytest.raises(SystemExit) as left:
        retrain.main(["--registry", registry.given, "--data", wrong, "--class-fall", "0.4"])
    assert left.value.code == retrain.REFUSED_CODE
    assert (registry.alias("champion"), registry.alias("challenger")) == ("0002", "0003")
    champion = str(registry.folder / "champion")
    evaluate.main(["--model", champion, "--data", frozen, "--out", str(tmp_path / "judged")])
    judged = json.loads((tmp_path / "judged" / "metrics.json").read_text())
    begun, accepted, refused = registry.decisions()
    frozen_figures = accepted["figures"]["sets"]["the frozen test"]
    assert frozen_figures["rows"] == begun["test_rows"] == judged["rows"]
    assert frozen_figures["second"] == pytest.approx(judged["accuracy"])
    assert refused["action"] == "refused"
    assert refused["champion"] == refused["before"] == "0002"
    assert refused["reasons"][0].startswith("not better beyond noise")
    assert any(reason.startswith("worse on ") for reason in refused["reasons"])
    assert not list(registry.folder.glob(".work-*"))


@pytest.mark.long
@pytest.mark.promise(
    "registry",
    "A challenger is judged against the champion of the moment at which it is decided on.",
    kind="a champion that changed while the challenger was trained",
)
def test_a_challenger_that_was_trained_during_a_rollback_is_judged_against_the_champion_after_it(
    promoted, true, tmp_path
):
    shutil.copytree(promoted.folder, tmp_path / "registry", symlinks=True)
    registry = Registry(str(tmp_path / "registry"))
    words = ["--registry", registry.given]
    before = registry.decisions()
    accepted = before[1]
    # The next challenger is as good as 0002, and judged against 0001.
    with ThreadPoolExecutor(1) as beside:
        training = beside.submit(retrain.main, [*words, "--data", true, "--class-fall", "0.4"])
        while not list(registry.folder.glob(".work-*")) and not training.done():
            pass
        retrain.main([*words, "--rollback", "--reason", "as a test"])
        assert not training.done()
        assert registry.champion() == "0001"
        assert SignClassifierModel.load(str(registry.folder / "champion")).labels
        training.result()
    *_, rolled_back, last = registry.decisions()
    assert (rolled_back["action"], rolled_back["reasons"]) == ("rolled back", ["as a test"])
    assert (last["action"], last["before"], last["champion"]) == ("promoted", "0001", f"{len(before) + 1:04}")
    assert last["figures"]["sets"]["together"]["p"] == accepted["figures"]["sets"]["together"]["p"]
    assert registry.decisions()[: len(before)] == before
    assert registry.roll_back() == "0001"  # 0002 was rolled back, and is not gone back to


def as_png(samples):
    """Store the pictures as PNG."""

    @F.udf("binary")
    def packed(height, width, channels, data):
        return encode(np.frombuffer(data, np.uint8).reshape(height, width, channels), "png")

    sizes = ("height", "width", "channels")
    picture = F.struct(
        *(F.col(f"picture.{name}").alias(name) for name in sizes),
        packed(*(f"picture.{name}" for name in (*sizes, "data"))).alias("data"),
        F.lit("png").alias("encoding"),
    )
    return samples.withColumn("picture", picture)


@pytest.mark.parametrize("stored", ["raw", "png"])
def test_a_challenger_may_not_learn_the_frozen_test(spark, registry, frozen, tmp_path, stored):
    learned = read_samples(spark, frozen).withColumn("split", F.expr("if(split = 'test', 'train', 'test')"))
    learned = as_png(learned) if stored == "png" else learned
    learned.write.partitionBy("split").parquet(str(tmp_path / "samples"))
    shutil.copy(Path(frozen) / REPORT_FILE, tmp_path)
    before = sorted(path.name for path in (registry.folder / "versions").iterdir())
    with pytest.raises(AslsparkError, match=r"--data: \d+ pictures are of the registry's frozen-test"):
        retrain.main(["--registry", registry.given, "--data", str(tmp_path)])
    assert sorted(path.name for path in (registry.folder / "versions").iterdir()) == before
    assert not list(registry.folder.glob(".work-*"))


@pytest.mark.promise(
    "registry",
    "A picture that is both held out and of the frozen test is judged on once.",
    kind="a row that is counted twice",
)
@pytest.mark.parametrize("stored", ["raw", "png"])
def test_what_is_held_out_and_frozen_counts_once(spark, true, frozen, stored):
    held_out = read_samples(spark, true, ["test"]).persist()
    again = read_samples(spark, frozen)
    again = (as_png(again) if stored == "png" else again).withColumn("id", F.concat(F.lit("again "), "id"))
    both = held_out.select(*again.columns).unionByName(again)
    bytes_as = common_encoding({"raw", stored})
    left = _without(both, read_samples(spark, frozen), bytes_as)
    assert (left.columns, left.count()) == (both.columns, held_out.count())
    assert left.where(F.col("id").startswith("again")).count() == 0
    held_out.unpersist()


def test_a_registry_without_a_champion_says_how_to_begin(spark, tmp_path):
    for words in (["--data", "more.csv"], ["--rollback"]):
        with pytest.raises(AslsparkError, match="--begin BUNDLE --test PATH"):
            retrain.main(["--registry", str(tmp_path / "none"), *words])
    assert not (tmp_path / "none").exists()


def pairs(*rows):
    return pd.DataFrame(rows, columns=["set", "label", "first", "second", "rows"])


EVEN = [("new", letter, True, True, 100) for letter in "AB"] + [("frozen", letter, True, True, 100) for letter in "AB"]


def test_mcnemar_is_the_exact_binomial():
    assert mcnemar(0, 0) == 1
    assert mcnemar(1, 5) == pytest.approx(2 * (1 + 6) / 2**6)
    assert mcnemar(0, 6) == pytest.approx(2 / 2**6)


def test_a_gain_within_noise_is_refused_and_one_beyond_it_accepted():
    assert not compare_paired(pairs(*EVEN, ("new", "A", False, True, 5)), 0.05, 0.1).better  # p = 0.0625
    assert compare_paired(pairs(*EVEN, ("new", "A", False, True, 6)), 0.05, 0.1).better
    assert not compare_paired(pairs(*EVEN, ("new", "A", True, False, 6)), 0.05, 0.1).better


def test_a_better_model_that_is_worse_on_one_set_or_one_letter_is_refused_with_the_reason():
    gained = ("new", "A", False, True, 60)
    verdict = compare_paired(pairs(*EVEN, gained, ("frozen", "A", True, False, 8)), 0.05, 0.1)
    assert not verdict.better
    assert verdict.reasons[1].startswith("worse on frozen")
    fallen = pairs(*EVEN, gained, ("new", "B", True, False, 30))
    verdict = compare_paired(fallen, 0.05, 0.1)
    assert not verdict.better
    assert verdict.reasons[1] == "B falls from 100.0% to 87.0% of 230 rows (10% is allowed)"
    assert compare_paired(fallen, 0.05, 0.14).better


def test_a_letter_may_fall_by_as_much_as_is_allowed_and_no_further():
    others = [("new", "A", True, True, 100), ("new", "A", False, True, 90), ("frozen", "B", True, True, 100)]
    for lost, better in ((20, True), (21, False)):  # of 200 rows of B, a tenth is 20
        rows = pairs(*others, ("new", "B", True, True, 100 - lost), ("new", "B", True, False, lost))
        assert compare_paired(rows, 0.05, 0.1).better == better


@pytest.mark.parametrize(("alpha", "better"), [(2 / 2**6, False), (2 / 2**6 + 1e-9, True)])
def test_a_gain_counts_where_its_probability_by_chance_is_below_what_is_asked_for(alpha, better):
    assert compare_paired(pairs(*EVEN, ("new", "A", False, True, 6)), alpha, 0.1).better == better


def test_as_many_gained_as_lost_is_not_better():
    assert not compare_paired(pairs(*EVEN, ("new", "A", False, True, 9), ("new", "A", True, False, 9)), 1.0, 1.0).better


def test_a_challenger_takes_the_champions_settings_and_those_given_win():
    settings = {**load_config(None, ["training.epochs=7", "features.stretch=false"]).as_dict(), "later": {"x": 1}}
    config = load_config(None, ["training.epochs=3"], settings)
    assert (config.training.epochs, config.features.stretch) == (3, False)
