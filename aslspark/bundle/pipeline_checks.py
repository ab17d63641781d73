"""A bundle's saved Spark pipeline -> its files as Spark is to find them, or `LoadRefused` with the reason.

In: the bytes of the files. Out: those that Spark reads, each of a kind and under a name that this package writes. Spark
imports the classes that metadata and columns name, reads whatever lies in a folder, and follows links.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow_hotfix  # noqa: F401  (CVE-2023-47248: whoever reads Parquet imports this module first)

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
"""What a bundle's pipeline is made of. Not all of Spark's stages: SQLTransformer runs any SQL, and SQL calls Java."""

PIPELINES = STAGES[:2]

_SPARK_SCHEMAS = (b"org.apache.spark.sql.parquet.row.metadata", b"org.apache.spark.sql.parquet.row.attributes")
_FOLDER = r"stages|\d{1,4}_[A-Za-z]\w*|classifier|model_\d{1,4}"
_METADATA = re.compile(rf"(?:(?:{_FOLDER})/)*metadata/part-\d{{5}}", re.ASCII)
_DATA = re.compile(rf"(?:(?:{_FOLDER})/)+(?:data|treesMetadata)/part-[\w.-]+\.parquet", re.ASCII)
_UID = re.compile(r"[A-Za-z]\w*", re.ASCII)
_COLUMN = re.compile(r"(?:[A-Za-z]\w*)?", re.ASCII)
MOST_METADATA_BYTES = 16 << 20


def pipeline_files(files: Mapping[str, bytes], home: str) -> dict[str, bytes]:
    """Check a saved pipeline, and return what Spark is to read of it.

    What Spark's writers leave beside it (checksums, marks of success), and what it would look at first if it were there
    (summaries of Parquet), begins with ``.`` or ``_``, and is left out.

    Parameters
    ----------
    files : mapping of str to bytes
    home : str
        The pipeline's folder, ending in ``/``: others are passed over.

    Returns
    -------
    dict of str to bytes
        By their names below `home`.

    Raises
    ------
    LoadRefused
    """
    found = {}
    for whole, content in files.items():
        name = whole.removeprefix(home)
        if not whole.startswith(home) or name.rpartition("/")[2].startswith((".", "_")):
            continue
        if _METADATA.fullmatch(name):
            check_metadata(content, whole)
        elif _DATA.fullmatch(name):
            _check_table(content, whole)
        else:
            raise LoadRefused(f"{whole} is none of Spark's files")
        found[name] = content
    first = check_metadata(found.get("metadata/part-00000", b""), f"{home}metadata/part-00000")
    if first["class"] not in PIPELINES or not first["paramMap"].get("stageUids"):
        raise LoadRefused(f"{home} holds no pipeline with stages")
    return found


def check_metadata(content: bytes, where: str, classes: tuple[str, ...] = STAGES) -> dict[str, Any]:
    """Check the file by which a saved stage names its class, and return what stands in it.

    Parameters
    ----------
    content : bytes
        Spark takes the first line.
    where : str
        The file, for the reason.
    classes : tuple of str
        Of which it may be.

    Raises
    ------
    LoadRefused
    """
    if len(content) > MOST_METADATA_BYTES:
        raise LoadRefused(f"{where} has more than {MOST_METADATA_BYTES:,} bytes")
    try:
        stage = json.loads(content.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_number)
        name, uid, params = stage["class"], stage["uid"], stage["paramMap"]
        both = [params, stage.get("defaultParamMap", {})]
        ids = params.get("stageUids", [])
        columns = [value for table in both for name_, value in table.items() if name_.endswith(("Col", "Cols"))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LoadRefused(f"{where} is not what Spark writes") from error
    if name not in classes:
        raise LoadRefused(f"{where} names the class {str(name)[:100]}, which no pipeline of this package has")
    # They become parts of paths.
    if not isinstance(ids, list) or not all(isinstance(part, str) and _UID.fullmatch(part) for part in [uid, *ids]):
        raise LoadRefused(f"{where} names a stage that is no name")
    # A column of the table that is scored, or one of those that scoring adds, cannot be meant.
    for column in columns:
        for part in column if isinstance(column, list) else [column]:
            if not (isinstance(part, str) and _COLUMN.fullmatch(part)):
                raise LoadRefused(f"{where} names a column {ascii(part)[:100]} that no pipeline of this package has")
    return dict(stage)


def _check_table(content: bytes, where: str) -> None:
    """See that no column of a Parquet file is of a class but Spark's vectors: Spark makes one of whatever is named."""
    try:
        kept = pq.read_metadata(pa.BufferReader(content)).metadata or {}
        schemas = [json.loads(kept[name], object_pairs_hook=_once_each) for name in _SPARK_SCHEMAS if name in kept]
        named = [name for schema in schemas for name in classes_in(schema)]
    except Exception as error:  # pyarrow has an error class for each kind of damage
        raise LoadRefused(f"{where} is not what Spark writes") from error
    for name in named:
        if name not in VECTOR_CLASSES:
            raise LoadRefused(f"{where} has a column of the class {name[:100]}, which is not loaded")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is there twice: of two, Python takes one and Java the other."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
