"""The files of a saved Spark pipeline -> those that Spark may read, or `LoadRefused` with the reason.

Only files of the kinds and names that this package writes are passed on, since Spark imports the classes that metadata
and columns name, reads every file in a folder, and follows links.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow_hotfix  # noqa: F401  (CVE-2023-47248: imported first by every module that reads Parquet)

from aslspark.bundle.checks import stage_metadata
from aslspark.common.load_refused import LoadRefused
from aslspark.data.schema_classes import VECTOR_CLASSES, classes_in

STAGES = (
    "pyspark.ml.pipeline.PipelineModel",
    "org.apache.spark.ml.PipelineModel",
    "aslspark.features.pipeline.PictureScaler",
    "aslspark.features.pipeline.LandmarkFeatures",
    "org.apache.spark.ml.feature.VectorAssembler",
    "org.apache.spark.ml.feature.StringIndexerModel",
    "org.apache.spark.ml.feature.OneHotEncoderModel",
    "org.apache.spark.ml.classification.RandomForestClassificationModel",
    "org.apache.spark.ml.classification.MultilayerPerceptronClassificationModel",
    "org.apache.spark.ml.classification.LogisticRegressionModel",
    "org.apache.spark.ml.classification.OneVsRestModel",
    "pyspark.ml.classification.OneVsRestModel",
    "org.apache.spark.ml.classification.GBTClassifier",
    "org.apache.spark.ml.classification.GBTClassificationModel",
    "org.apache.spark.ml.regression.DecisionTreeRegressionModel",
)
"""Stages of a bundle's pipeline. Others are refused: SQLTransformer, for one, runs any SQL, which can call Java."""

PIPELINES = STAGES[:2]

_SPARK_SCHEMAS = (b"org.apache.spark.sql.parquet.row.metadata", b"org.apache.spark.sql.parquet.row.attributes")
_FOLDER = r"stages|\d{1,4}_[A-Za-z]\w*|classifier|model_\d{1,4}"
_METADATA = re.compile(rf"(?:(?:{_FOLDER})/)*metadata/part-\d{{5}}(?:-[0-9a-f-]{{36}}-c000\.txt)?", re.ASCII)
_DATA = re.compile(rf"(?:(?:{_FOLDER})/)+(?:data|treesMetadata)/part-[\w.-]+\.parquet", re.ASCII)
_UID = re.compile(r"[A-Za-z]\w*", re.ASCII)
_COLUMN = re.compile(r"(?:[A-Za-z]\w*)?", re.ASCII)
MOST_METADATA_BYTES = 16 << 20


def pipeline_files(files: Mapping[str, bytes], home: str) -> dict[str, bytes]:
    """Check a saved pipeline, and return the files for Spark.

    Files that begin with ``.`` or ``_`` are left out: checksums, marks of success, and summaries of Parquet, which
    Spark would read first.

    Parameters
    ----------
    home : str
        The pipeline's folder, ending in ``/``; other files are ignored.

    Returns
    -------
    dict of str to bytes
        By their names below `home`.

    Raises
    ------
    LoadRefused
    """
    checked = {}
    for path, content in files.items():
        name = path.removeprefix(home)
        if not path.startswith(home) or name.rpartition("/")[2].startswith((".", "_")):
            continue
        if _METADATA.fullmatch(name):
            check_metadata(content, path)
        elif _DATA.fullmatch(name):
            _check_table(content, path)
        else:
            raise LoadRefused(f"{path} is none of Spark's files")
        checked[name] = content
    name = stage_metadata(checked, "")
    first = check_metadata(checked[name], home + name)
    if first["class"] not in PIPELINES or not first["paramMap"].get("stageUids"):
        raise LoadRefused(f"{home} holds no pipeline with stages")
    return checked


def check_metadata(content: bytes, where: str, classes: tuple[str, ...] = STAGES) -> dict[str, Any]:
    """Check the metadata of a saved stage, which names its class, and return them.

    Parameters
    ----------
    content : bytes
        Of the file; Spark reads its first line.
    where : str
        The file, for the reason.
    classes : tuple of str
        Accepted classes.

    Raises
    ------
    LoadRefused
    """
    if len(content) > MOST_METADATA_BYTES:
        raise LoadRefused(f"{where} has more than {MOST_METADATA_BYTES:,} bytes")
    try:
        stage = json.loads(content.decode("utf-8"), object_pairs_hook=_without_repetition, parse_constant=_no_number)
        name, uid, params = stage["class"], stage["uid"], stage["paramMap"]
        param_maps = [params, stage.get("defaultParamMap", {})]
        ids = params.get("stageUids", [])
        columns = [value for table in param_maps for name_, value in table.items() if name_.endswith(("Col", "Cols"))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LoadRefused(f"{where} is not what Spark writes") from error
    if name not in classes:
        raise LoadRefused(f"{where} names the class {str(name)[:100]}, which no pipeline of this package has")
    # Spark uses them as parts of paths.
    if not isinstance(ids, list) or not all(isinstance(part, str) and _UID.fullmatch(part) for part in [uid, *ids]):
        raise LoadRefused(f"{where} names a stage that is no name")
    # Names of columns must be plain, so that none can refer to other columns of the scored table.
    for column in columns:
        for part in column if isinstance(column, list) else [column]:
            if not (isinstance(part, str) and _COLUMN.fullmatch(part)):
                raise LoadRefused(f"{where} names a column {ascii(part)[:100]} that no pipeline of this package has")
    return dict(stage)


def _check_table(content: bytes, where: str) -> None:
    """Check that no column of a Parquet file has a class but Spark's vectors: Spark would instantiate it."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(content)).metadata or {}
        texts = [metadata[name] for name in _SPARK_SCHEMAS if name in metadata]
        schemas = [json.loads(text, object_pairs_hook=_without_repetition) for text in texts]
        classes = [name for schema in schemas for name in classes_in(schema)]
    except Exception as error:  # pyarrow has many error classes
        raise LoadRefused(f"{where} is not what Spark writes") from error
    for name in classes:
        if name not in VECTOR_CLASSES:
            raise LoadRefused(f"{where} has a column of the class {name[:100]}, which is not loaded")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated key, of which Python and Java take different values."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key is there twice")
    return table


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
