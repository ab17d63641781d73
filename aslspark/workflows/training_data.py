"""A job's data -> an ingested folder: the one that was given, one made from raw sources, or one of synthetic hands."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyspark.sql import SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.paths import spark_path
from aslspark.common.redacted_files import write_json
from aslspark.common.same_run import require_same_run
from aslspark.common.settings import Config
from aslspark.common.store_path import AnyPath
from aslspark.data.split_preview import Needs
from aslspark.training.data import INGESTED, TrainingData, ingested_folder, is_ingested, look_at
from aslspark.workflows.ingest import ingest_or_draw

log = logging.getLogger("aslspark")

BEGUN_FILE = "ingested_from.json"
"""Says from which sources, and with which settings, a job ingested the folder beside it."""


@contextmanager
def training_data(
    spark: SparkSession,
    data: Sequence[str],
    test_data: Sequence[str],
    config: Config,
    scratch: AnyPath,
    needs: Needs | None = None,
    beside: AnyPath | None = None,
) -> Iterator[TrainingData]:
    """Give the data of a job as an ingested folder, which is made from raw sources or synthetic hands where needed.

    Parameters
    ----------
    spark : SparkSession
    data : sequence of str
        One ingested folder, or raw sources; empty for synthetic hands.
    test_data : sequence of str
        Raw sources that are only tested on.
    config : Config
    scratch : Path or StorePath
        All workers see it. It gets what is ingested here; the caller removes it, or keeps it for a call that resumes.
    needs : Needs, optional
        What the splits of raw sources must have; sources that cannot give it are refused before they are decoded.
    beside : Path or StorePath, optional
        What the job is to leave: raw sources of which no row can be used leave their quarantine beside it.

    Raises
    ------
    AslsparkError
        Where `scratch` holds what was ingested from other data, or in another way, besides what ingest raises.
    """
    if ready := ingested_folder(data):
        if test_data:
            raise AslsparkError(
                f"--test-data: {ready} is ingested and has its split already; give --test-source to the ingest job"
            )
        yield look_at(spark, ready)
        return
    folder = spark_path(scratch / INGESTED)
    sections = ("split", "pictures", "columns", "hands") if data else ("split", "drawn")
    given = {
        "data": list(data),
        "test_data": list(test_data),
        **{name: value for name, value in config.as_dict().items() if name in sections},
    }
    begun = scratch / BEGUN_FILE
    if is_ingested(folder):
        if begun.exists():
            require_same_run(
                f"--out {scratch}: what is ingested there",
                json.loads(begun.read_text()),
                given,
                "give the same, or choose another folder",
                options={"data": "--data", "test_data": "--test-data"},
            )
        log.info("%s was ingested before", folder)
        yield look_at(spark, folder)
        return
    write_json(begun, given)
    left_at = None if beside is None else spark_path(beside)
    log.info("%s", ingest_or_draw(spark, data, folder, config, test_data, needs or Needs(), left_at))
    yield look_at(spark, folder)
