"""New labelled data -> a challenger, judged against the champion of a registry, and promoted where it is better.

In: a `registry.Registry` and sources. Out: a bundle in it, perhaps another champion, and a line in its record.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.bundle.files import read_bundle, read_manifest, whole_folder
from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.command_line import next_command
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.log_output import RESULT
from aslspark.common.paths import spark_path
from aslspark.common.same_run import require_same_run
from aslspark.common.settings import Config, load_config
from aslspark.data.exact_duplicates import common_encoding, encodings_of, picture_hash
from aslspark.data.samples import SAMPLES_FOLDER, TEST, read_samples
from aslspark.data.split_preview import Needs
from aslspark.evaluation.paired_comparison import compare_paired, count_pairs
from aslspark.registry.registry import ALPHA, BEGUN, CHAMPION, FROZEN_TEST, MOST_FALL, PROMOTED, REFUSED, Registry
from aslspark.registry.tracking import log_champion
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import fingerprint, ingested_folder
from aslspark.training.initial_weights import IMAGENET, NONE
from aslspark.workflows.evaluate import labelled_samples
from aslspark.workflows.ingest import ingest_or_draw
from aslspark.workflows.job_run import job_run, log_result
from aslspark.workflows.train import train_bundle

log = logging.getLogger("aslspark")

HELD_OUT, FROZEN = "held-out samples", "the frozen test"
_HASH = "_picture_hash"


def initialize(
    spark: SparkSession, registry: Registry, bundle: str, test: Sequence[str], config: Config | None = None
) -> str:
    """Make a bundle the first champion of a registry, and keep the samples on which every challenger will be judged.

    Parameters
    ----------
    spark : SparkSession
    registry : Registry
        Without a champion.
    bundle : str
        It is copied.
    test : sequence of str
        Raw labelled sources, or one ingested folder, of which the test split is taken. They are copied.
    config : Config, optional
        Of its section `pictures`, what labels and signers of `test` are, and `tracking`.

    Returns
    -------
    str
        The champion's version.
    """
    config = config or Config()
    with job_run(spark, config, "retrain", registry=registry.given, begin=bundle, anew=False):
        _require_no_champion(registry, bundle)
        read_manifest(bundle, "--begin ")
        with registry.work() as work:
            frozen_test = work / FROZEN_TEST
            rows = _freeze(spark, bundle, test, frozen_test, config)
            about = {"bundle": bundle, "test": list(test), "test_rows": rows}
            about["test_fingerprint"] = fingerprint(spark, spark_path(frozen_test))
            (work / "bundle").mkdir()
            read_bundle(bundle, "--begin ", copy_to=work / "bundle")  # copies the very bytes that it checked
            with registry.locked():
                _require_no_champion(registry, bundle)
                decision = registry.decide(BEGUN, about, bundle=work / "bundle", frozen_test=frozen_test)
        version = str(decision["champion"])
        log_champion(config, version, registry.path(version), decision)
    log_result(
        registry.given,
        f"champion {version}, judged on {counted(rows, 'frozen row')} from now on",
        then=next_command("retrain", "--registry", registry.given, "--data", "PATH"),
    )
    return version


def _freeze(spark: SparkSession, bundle: str, test: Sequence[str], folder: Path, config: Config) -> int:
    """Copy the samples that challengers are judged on into a folder, and count them."""
    with whole_folder(folder) as made:
        if ingested := ingested_folder(test):
            samples = read_samples(spark, ingested, [TEST])
        else:
            samples = labelled_samples(spark, SignClassifierModel.load(bundle), test, made / "ingested", config)
        samples.write.partitionBy("split").parquet(spark_path(made / SAMPLES_FOLDER))
        shutil.rmtree(made / "ingested", ignore_errors=True)
        rows = read_samples(spark, spark_path(made)).count()
        if not rows:
            raise AslsparkError(f"--test {' '.join(test)}: it holds no test samples; give labelled data")
    return rows


def retrain(
    spark: SparkSession,
    registry: Registry,
    data: Sequence[str],
    *,
    from_scratch: bool = False,
    config_file: str | None = None,
    overrides: Sequence[str] = (),
    alpha: float = ALPHA,
    max_class_drop: float = MOST_FALL,
) -> dict[str, Any]:
    """Train a challenger with the champion's settings, and promote it where it is better.

    Both are judged on what the challenger's split holds out of `data` and on the registry's frozen test (what is in
    both counts there alone); see `aslspark.evaluation.paired_comparison.compare_paired`. What the champion learned from
    is not known here: where `data` repeats it under other names, held-out rows may favour the champion. The registry is
    held for the moment of the decision alone: where the champion changed meanwhile, by a rollback or another
    challenger, the challenger is judged against the new one.

    Parameters
    ----------
    spark : SparkSession
    registry : Registry
    data : sequence of str
        Raw labelled sources, or one ingested folder: all that the challenger is to learn from, old and new.
    from_scratch : bool
        Start a network's challenger from random weights (or from ImageNet's, as the champion did), not from the
        champion's.
    config_file, overrides
        Settings that differ from the champion's; as for `load_config`.
    alpha : float
        As for `compare_paired`.
    max_class_drop : float
        By how much the accuracy of a letter may fall, 0-1.

    Returns
    -------
    dict
        The line of the record.
    """
    given = load_config(config_file, overrides)
    with job_run(spark, given, "retrain", registry=registry.given, data=list(data), anew=from_scratch):
        for name, value in (("alpha", alpha), ("class-fall", max_class_drop)):
            if not 0 <= value <= 1:
                raise AslsparkError(f"--{name} {value}: give a number from 0 to 1")
        champion = registry.champion()
        config = _challenger_settings(registry.path(champion), from_scratch, config_file, overrides)
        with registry.work() as work:
            ingested = ingested_folder(data) or _ingested(spark, data, work, config)
            frozen = read_samples(spark, spark_path(registry.frozen_test))
            _require_same_test(spark, registry)
            samples = read_samples(spark, ingested)
            bytes_as = common_encoding(encodings_of(frozen) | encodings_of(samples))
            _require_unlearned_test(frozen, samples.where(F.col("split") != TEST), bytes_as)
            challenger = work / "bundle"
            train_bundle(spark, [ingested], str(challenger), config)
            held_out = _without(read_samples(spark, ingested, [TEST]), frozen, bytes_as)
            sets = {HELD_OUT: held_out, FROZEN: frozen}
            is_mllib = config.mllib.classifier != NO_CLASSIFIER
            about = {
                "data": list(data),
                "fingerprint": fingerprint(spark, ingested),
                "started_from": "nothing" if is_mllib else config.network.weights,
            }
            decision = _decide(registry, champion, challenger, sets, alpha, max_class_drop, about)
        version = decision["challenger"]
        log_champion(given, version, registry.path(version), decision)
    log_result(
        registry.given,
        f"{version} {decision['action']}; the champion is {decision['champion']}",
        then=next_command("serve", "--model", f"{registry.given}/{CHAMPION}"),
    )
    for reason in decision["reasons"]:
        log.log(RESULT, "  %s", reason)
    return decision


def _challenger_settings(
    champion: Path, from_scratch: bool, config_file: str | None, overrides: Sequence[str]
) -> Config:
    """Return the champion's settings with the overrides."""
    settings = dict(read_manifest(str(champion), "--registry ")["settings"])
    weights = []
    if load_config(of_bundle=settings).mllib.classifier == NO_CLASSIFIER:
        weights = _starting_weights(champion, settings, from_scratch)
    return load_config(config_file, [*weights, *overrides], settings)


def _decide(
    registry: Registry,
    champion: str,
    challenger: Path,
    sets: Mapping[str, DataFrame],
    alpha: float,
    max_class_drop: float,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Record the verdict on the challenger; where the champion changes meanwhile, judge against the new one."""
    while True:
        models = [SignClassifierModel.load(str(path)) for path in (registry.path(champion), challenger)]
        verdict = compare_paired(count_pairs(models[0], models[1], sets), alpha, max_class_drop)
        with registry.locked():
            now = registry.champion()
            if now == champion:
                action = PROMOTED if verdict.better else REFUSED
                details = {"reasons": verdict.reasons, **about, "figures": verdict.figures}
                return registry.decide(action, details, bundle=challenger)
        log.info("%s: the champion is %s now, not %s: judged again", registry.given, now, champion)
        champion = now


def _require_no_champion(registry: Registry, bundle: str) -> None:
    if (there := registry.alias(CHAMPION)) is not None:
        raise AslsparkError(f"--begin {bundle}: {registry.given} has a champion already, {there}; give it new --data")
    if registry.frozen_test.exists():
        raise AslsparkError(
            f"--begin {bundle}: {registry.frozen_test} is there, of a registry without a champion; remove it, or give "
            "another --registry"
        )


def _starting_weights(champion: Path, settings: dict[str, Any], from_scratch: bool) -> list[str]:
    if not from_scratch:
        return [f"network.weights={champion}"]
    if settings["network"]["weights"] in (NONE, IMAGENET):
        return []
    return ["network.weights=none", "network.freeze=false", "network.unfreeze_after=0"]


def _ingested(spark: SparkSession, data: Sequence[str], work: Path, config: Config) -> str:
    folder = spark_path(work / "ingested")
    needs = Needs(processes=config.training.num_proc if config.mllib.classifier == NO_CLASSIFIER else 1)
    log.info("%s", ingest_or_draw(spark, data, folder, config, needs=needs))
    return folder


def _require_same_test(spark: SparkSession, registry: Registry) -> None:
    """Refuse a frozen test that has changed since the registry began, since all champions were judged on it."""
    begun = next((row for row in registry.decisions() if row["action"] == BEGUN), {})
    if "test_fingerprint" in begun:
        require_same_run(
            f"--registry {registry.given}: it",
            {"test": begun["test_fingerprint"]},
            {"test": fingerprint(spark, spark_path(registry.frozen_test))},
            f"put {FROZEN_TEST} back as it was, or begin another registry",
            options={"test": f"a {FROZEN_TEST} of the fingerprint"},
        )


def _require_unlearned_test(frozen: DataFrame, learned: DataFrame, bytes_as: str | None) -> None:
    """Refuse training data that holds pictures of the frozen test, byte for byte; see `picture_hash`."""
    hashes = [samples.select(picture_hash(samples, bytes_as).alias(_HASH)) for samples in (frozen, learned)]
    rows = hashes[0].join(hashes[1].distinct(), _HASH, "left_semi").count()
    if rows:
        raise AslsparkError(
            f"--data: {counted(rows, 'picture is', 'pictures are')} of the registry's {FROZEN_TEST}, and would be "
            "learned from; leave out what is tested on"
        )


def _without(held_out: DataFrame, frozen: DataFrame, bytes_as: str | None) -> DataFrame:
    """Leave out the rows of the frozen test, which would count twice, as if each were two pictures."""
    hashes = frozen.select(picture_hash(frozen, bytes_as).alias(_HASH)).distinct()
    return held_out.withColumn(_HASH, picture_hash(held_out, bytes_as)).join(hashes, _HASH, "left_anti").drop(_HASH)
