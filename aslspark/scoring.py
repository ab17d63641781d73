"""A DataFrame of pictures -> the letter, its probability and the best three, in batches.

In: a column of pictures (see `SignClassifierModel`). Out: the same rows with `letter`, `probability`, `top`, `reason`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.ml import Model, PipelineModel
from pyspark.ml.feature import OneHotEncoderModel, StringIndexerModel
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param.shared import HasInputCol
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, NumericType, StructType

from aslspark.decoding import RAW, Form
from aslspark.errors import AslsparkError
from aslspark.features.crops import ROW, brings_hands, crop_to_hands
from aslspark.features.landmarks import SEEN, hand_vectors, landmark_features
from aslspark.features.pictures import UNUSABLE, Normaliser
from aslspark.hands.options import HandOptions
from aslspark.models.known import LANDMARKS, PICTURE
from aslspark.samples import HAND_COLUMN, PICTURE_TYPE, no_hands

if TYPE_CHECKING:
    from aslspark.training.fitted import FittedNetwork

OUTPUT_COLUMNS = ("letter", "probability", "top", "reason")
BEST = 3
NOTHING = "nothing"
"""The label of pictures without a hand; a network that knows it may answer it where none was found."""
NO_HAND = "no hand found"
"""Why a network of landmarks alone does not answer."""
ROWS_A_RUN = 256
"""Pictures that go through the network at once: the notebook's CNN needs 75 kB for each while it runs."""

_HAND_FIELDS = {
    "found": pa.string(),
    "landmarks": pa.list_(pa.float32()),
    "world": pa.list_(pa.float32()),
    "side": pa.string(),
}
"""Of `samples.HAND_TYPE`, what features are made of."""

_RANKED = "place1 int, place2 int, place3 int, share1 float, share2 float, share3 float, reason string"


@dataclass(frozen=True)
class OnnxClassifier:
    """A network as ONNX: its inputs -> ``probability`` float32 (n, classes)."""

    onnx: bytes
    labels: tuple[str, ...]
    shape: tuple[int, int, int]
    """Of pictures; of a network that takes none, of those that lay beside the landmarks."""
    inputs: tuple[str, ...] = (PICTURE,)
    """``picture`` uint8 (n, height, width, channels), ``landmarks`` float32 (n, FEATURES), or both."""
    upright: bool = False
    """How landmarks become features; see `aslspark.features.landmarks.landmark_features`."""


@dataclass(frozen=True)
class MllibClassifier:
    """A fitted Spark ML pipeline from `picture` to `probability`."""

    pipeline: PipelineModel
    labels: tuple[str, ...]
    shape: tuple[int, int, int]


class SignClassifierModel(Model, HasInputCol, MLReadable, MLWritable):
    """Reads letters from pictures; a `pyspark.ml` Model that works in a Pipeline.

    `transform` takes any DataFrame with the column `inputCol` ('picture' by default), which holds one of

    - ``struct<height, width, channels, data>``: `samples.PICTURE_TYPE`, bytes row by row, channels last, RGB; with
      ``encoding``, it may hold PNG or JPEG;
    - Spark's ``image`` struct (bytes in BGR);
    - ``binary``: height x width x channels raw bytes, or those of a JPEG or PNG file, such as binaryFile's ``content``;
    - ``array`` of numbers, or a Vector: height x width x channels values from 0 to 255, in the same order.

    A network that takes landmarks finds them in the column ``hand`` (`samples.HAND_TYPE`), and one that takes nothing
    else needs no pictures; where no hand was found it gives a reason and no letter, unless it knows the label 'nothing'.

    Pixels of exactly the model's size are taken as they are. Files, and structs of another size or of other channels,
    are brought to the model's size and colours in the way that the training pictures were: see `form`. Of a model with
    `hands` they are cropped to the hand first, unless the table brings the column `hand`: its pictures are crops.

    It adds

    - ``letter`` string: the most probable label;
    - ``probability`` float: of that letter;
    - ``top`` array<struct<letter string, probability float>>: the best three, best first;
    - ``reason`` string: null, or why the picture could not be scored; then the others are null.

    No row is lost, and the order of the rows within a partition stays.

    Parameters
    ----------
    classifier : OnnxClassifier or MllibClassifier
    """

    def __init__(self, classifier: OnnxClassifier | MllibClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.fitted: FittedNetwork | None = None
        """The network in its framework and its history; there after a fit, not after loading."""
        self.form = Form(*classifier.shape)
        """How pictures of other sizes are fitted; a bundle keeps what its training pictures were ingested with."""
        self.hands: HandOptions | None = None
        """How the training pictures were cropped to the hand; None: they stayed whole."""
        self._setDefault(inputCol="picture")

    @classmethod
    def load(cls, path: str) -> SignClassifierModel:
        """Load a bundle, or what `save` wrote.

        Raises
        ------
        AslsparkError
            Where the folder is no bundle, or not as it was written.
        """
        return cls.read().load(path)

    @classmethod
    def read(cls) -> MLReader[SignClassifierModel]:
        """Return a reader of bundles and of saved stages."""
        return _Reader()

    def write(self) -> MLWriter:
        """Return a writer of the model as a stage of a Pipeline."""
        return _Writer(self)

    def setInputCol(self, value: str) -> SignClassifierModel:
        """Name the column that holds the pictures."""
        return self._set(inputCol=value)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label list, in the order of the network's outputs."""
        return self.classifier.labels

    def getHistory(self) -> list[dict[str, Any]]:
        """Return a row an epoch, as Horovod's models do; empty after loading."""
        return self.fitted.history if self.fitted else []

    def preprocessing(self) -> dict[str, Any]:
        """Return what a bundle keeps of how pictures are made ready."""
        return {**self.form.preprocessing(), "hands": self.hands.preprocessing() if self.hands else None}

    def _transform(self, dataset: DataFrame) -> DataFrame:
        taken = [name for name in OUTPUT_COLUMNS if name in dataset.columns]
        if taken:
            raise AslsparkError(f"the DataFrame already has {', '.join(taken)}; drop or rename before scoring")
        if self.hands is not None and not brings_hands(dataset):
            column = self.getInputCol()
            kind, pictures = _kind_of(dataset, column)
            if kind != "numbers":
                cropped = crop_to_hands(dataset, column, pictures, Normaliser(kind, self.form, self.hands))
                ranked = self._with_ranks(cropped, PICTURE).select(f"{ROW}.*", "_ranked")
                return ranked.select(*_quoted(dataset.columns), *_output_columns(self.classifier.labels))
        return self._with_ranks(dataset).select(*_quoted(dataset.columns), *_output_columns(self.classifier.labels))

    def _with_ranks(self, dataset: DataFrame, *read: str) -> DataFrame:
        """Rank the labels of each row; what is in `read` is looked at even by a network that does not take it."""
        classifier = self.classifier
        inputs = classifier.inputs if isinstance(classifier, OnnxClassifier) else (PICTURE,)
        columns: dict[str, Column] = {}
        normaliser: Normaliser | None = None
        for name in dict.fromkeys((*inputs, *read)):
            if name == LANDMARKS:
                columns[name] = _hands(dataset)
            else:
                kind, columns[name] = _kind_of(dataset, self.getInputCol())
                normaliser = Normaliser(kind, self.form)
        if isinstance(classifier, OnnxClassifier):
            ranking = _onnx_udf(dataset, classifier, tuple(columns), normaliser)
            return dataset.withColumn("_ranked", ranking(*columns.values()))
        assert normaliser is not None
        return _with_mllib(dataset, classifier, normaliser, columns[PICTURE])


def _quoted(names: list[str]) -> list[str]:
    """Name columns so that dots and spaces in them mean nothing."""
    return ["`" + name.replace("`", "``") + "`" for name in names]


def _kind_of(dataset: DataFrame, column: str) -> tuple[str, Column]:
    """Tell what a column holds, and bring it to what the normaliser takes."""
    if column not in dataset.columns:
        raise AslsparkError(f"inputCol={column}: there is no such column; there are {', '.join(dataset.columns)}")
    kind = dataset.schema[column].dataType
    values = F.col(*_quoted([column]))
    if isinstance(kind, BinaryType):
        return "bytes", F.struct(values.alias("data"))
    if isinstance(kind, VectorUDT):
        return "numbers", F.struct(vector_to_array(values, "float32").alias("data"))
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType):
        return "numbers", F.struct(values.cast("array<float>").alias("data"))
    if isinstance(kind, StructType):
        names = set(kind.names)
        if {"height", "width", "channels", "data"} <= names:
            here = [name for name in (*PICTURE_TYPE.names, UNUSABLE) if name in names]
            return "picture", F.struct(*(values[name].alias(name) for name in here))
        if {"height", "width", "nChannels", "mode", "data"} <= names:
            names_there = {"height": "height", "width": "width", "channels": "nChannels", "data": "data"}
            return "image", F.struct(*(values[there].alias(name) for name, there in names_there.items()))
    raise AslsparkError(
        f"inputCol={column}: {kind.simpleString()} is no picture; give bytes, an array or Vector of numbers, "
        "struct<height,width,channels,data> or Spark's image struct"
    )


def _hands(dataset: DataFrame) -> Column:
    """Take of the column of hands what `_vectors` needs."""
    if HAND_COLUMN not in dataset.columns:
        raise no_hands("the DataFrame")
    kind = dataset.schema[HAND_COLUMN].dataType
    if not isinstance(kind, StructType) or not set(_HAND_FIELDS) <= set(kind.names):
        raise AslsparkError(
            f"column {HAND_COLUMN}: {kind.simpleString()} is no hand; give samples that were ingested with "
            "hands.on=true"
        )
    return F.struct(*(F.col(HAND_COLUMN)[name].alias(name) for name in _HAND_FIELDS))


def _vectors(hands: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Lay out hands, as pandas_udf gives them, as `hand_vectors` does."""
    columns = [pa.array(hands[name], kind) for name, kind in _HAND_FIELDS.items()]
    return hand_vectors(pa.StructArray.from_arrays(columns, list(_HAND_FIELDS)))


def _session_inputs(
    inputs: tuple[str, ...],
    upright: bool,
    pictures: npt.NDArray[np.uint8] | None,
    hands: npt.NDArray[np.float32] | None,
) -> dict[str, npt.NDArray[Any]]:
    """Turn a batch into what the network's session takes, by name.

    Parameters
    ----------
    inputs, upright
        Of the `OnnxClassifier`.
    pictures : ndarray of uint8, shape (n, height, width, channels), optional
    hands : ndarray of float32, shape (n, HAND_NUMBERS), optional
        Only what the network does not take may be missing.
    """
    given: dict[str, npt.NDArray[Any]] = {}
    if PICTURE in inputs:
        assert pictures is not None
        given[PICTURE] = pictures
    if LANDMARKS in inputs:
        assert hands is not None
        given[LANDMARKS] = landmark_features(hands, upright)
    return given


def _onnx_udf(
    dataset: DataFrame, classifier: OnnxClassifier, read: tuple[str, ...], normaliser: Normaliser | None
) -> Any:
    """Make the function from columns of structs, what is `read` in its order, to the best places."""
    inputs, upright = classifier.inputs, classifier.upright
    needs_hand = inputs == (LANDMARKS,) and NOTHING not in classifier.labels
    context = dataset.sparkSession.sparkContext
    sent = context.broadcast(classifier.onnx)
    threads = int(context.getConf().get("spark.task.cpus", "1"))

    @F.pandas_udf(_RANKED)  # type: ignore[call-overload]
    def rank(batches: Iterator[tuple[pd.DataFrame, ...]]) -> Iterator[pd.DataFrame]:
        session = _onnx_session(sent.value, threads)
        for batch in batches:
            columns = batch if isinstance(batch, tuple) else (batch,)  # Spark gives a lone column as it is
            found = dict(zip(read, columns, strict=True))
            pictures, reasons = None, np.full(len(columns[0]), None, object)
            if normaliser is not None:
                pictures, reasons = normaliser(found[PICTURE])
            hands = _vectors(found[LANDMARKS]) if LANDMARKS in found else None
            if needs_hand and hands is not None:
                reasons[(hands[:, SEEN] == 0) & (reasons == None)] = NO_HAND  # noqa: E711  (element by element)
            given = _session_inputs(inputs, upright, pictures, hands)
            runs = []
            for start in range(0, len(reasons), ROWS_A_RUN):
                some = {name: rows[start : start + ROWS_A_RUN] for name, rows in given.items()}
                runs.append(session.run(["probability"], some)[0])
            yield _ranked(np.concatenate(runs) if runs else np.empty((0, BEST), np.float32), reasons)

    return rank


_sessions: dict[tuple[str, int], Any] = {}


def _onnx_session(onnx: bytes, threads: int) -> Any:
    """Open the network once a worker process; Spark keeps those and hands them task after task."""
    import onnxruntime

    key = (hashlib.sha256(onnx).hexdigest(), threads)
    if key not in _sessions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        _sessions.clear()
        _sessions[key] = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    return _sessions[key]


def _with_mllib(dataset: DataFrame, classifier: MllibClassifier, normaliser: Normaliser, pictures: Column) -> DataFrame:
    height, width, channels = classifier.shape

    @F.pandas_udf("data binary, reason string")  # type: ignore[call-overload]
    def normalise(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            normal, reasons = normaliser(batch)
            yield pd.DataFrame({"data": [row.tobytes() for row in normal], "reason": reasons})

    @F.pandas_udf(_RANKED)  # type: ignore[call-overload]
    def rank(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        for probabilities, reasons in batches:
            yield _ranked(np.stack(list(probabilities)), reasons.to_numpy())

    # The caller's columns travel in a struct, so that none of them can meet one of the pipeline's.
    carried = dataset.select(
        F.struct(*_quoted(dataset.columns)).alias("_row"),
        normalise(pictures).alias("_normal"),
    ).select(
        "_row",
        F.col("_normal.reason").alias("_reason"),
        F.struct(
            F.lit(height).alias("height"),
            F.lit(width).alias("width"),
            F.lit(channels).alias("channels"),
            F.col("_normal.data").alias("data"),
            F.lit(RAW).alias("encoding"),
        ).alias("picture"),
    )
    # A picture to score has no label to index.
    stages = [
        stage for stage in classifier.pipeline.stages if not isinstance(stage, StringIndexerModel | OneHotEncoderModel)
    ]
    scored = PipelineModel(stages).transform(carried)
    return scored.select(
        "_row.*", rank(vector_to_array(F.col("probability"), "float32"), F.col("_reason")).alias("_ranked")
    )


def _ranked(probabilities: npt.NDArray[np.float32], reasons: npt.NDArray[Any]) -> pd.DataFrame:
    """Find the best places of each row; rows with a reason get none."""
    classes = probabilities.shape[1]
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :BEST]
    shares = np.take_along_axis(probabilities, best, axis=1)
    unscored = np.array([reason is not None for reason in reasons], bool)
    columns: dict[str, Any] = {}
    for n in range(BEST):
        missing = unscored if n < classes else np.ones(len(unscored), bool)
        place = best[:, n] if n < classes else np.zeros(len(unscored), np.int64)
        share = shares[:, n] if n < classes else np.zeros(len(unscored), np.float32)
        columns[f"place{n + 1}"] = pd.Series(place).astype("Int32").mask(missing)
        columns[f"share{n + 1}"] = pd.Series(share, dtype="Float32").mask(missing)
    columns["reason"] = pd.Series(reasons, dtype=object)
    return pd.DataFrame(columns)[[word.split()[0] for word in _RANKED.split(", ")]]


def _output_columns(labels: tuple[str, ...]) -> list[Column]:
    names = F.array(*(F.lit(label) for label in labels))

    def letter(n: int) -> Column:
        return F.get(names, F.col(f"_ranked.place{n}"))

    pairs = [
        F.struct(letter(n).alias("letter"), F.col(f"_ranked.share{n}").alias("probability"))
        for n in range(1, min(BEST, len(labels)) + 1)
    ]
    return [
        letter(1).alias("letter"),
        F.col("_ranked.share1").alias("probability"),
        F.when(F.col("_ranked.reason").isNull(), F.array(*pairs)).alias("top"),
        F.col("_ranked.reason").alias("reason"),
    ]


class _Writer(MLWriter):
    def __init__(self, model: SignClassifierModel) -> None:
        super().__init__()
        self._model = model

    def saveImpl(self, path: str) -> None:
        from pyspark.ml.util import DefaultParamsWriter

        from aslspark.bundle import write_stage

        DefaultParamsWriter.saveMetadata(self._model, path, self.sc)
        write_stage(self._model, path)


class _Reader(MLReader):
    def load(self, path: str) -> SignClassifierModel:
        from aslspark.bundle import read_model

        return read_model(path)


def write_scores(scored: DataFrame, out: str) -> None:
    """Write a scored table as Parquet, whole or not at all, and print what came out.

    Parameters
    ----------
    scored : DataFrame
        As `SignClassifierModel.transform` gives it; without the pictures, unless they are to be kept.
    out : str
        A folder that does not exist yet.
    """
    from aslspark.sources.hadoop_files import HadoopFiles

    spark = scored.sparkSession
    hadoop = HadoopFiles(spark)
    if hadoop.exists(out):
        raise AslsparkError(f"--out {out}: it exists already; choose another name or remove it")
    with hadoop.written_whole(out) as folder:
        scored.write.parquet(folder)
        written = spark.read.parquet(folder)
        answers = written.groupBy("letter").agg(F.count("*").alias("rows")).orderBy("letter").collect()
        reasons = written.where("letter is null").groupBy("reason").count().orderBy(F.desc("count")).collect()
    total = sum(row["rows"] for row in answers)
    read = {row["letter"]: row["rows"] for row in answers if row["letter"] is not None}
    print(f"{total:,} rows: {sum(read.values()):,} read, {total - sum(read.values()):,} not")
    print("  ".join(f"{letter} {rows:,}" for letter, rows in read.items()))
    for row in reasons[:10]:
        print(f"  not read, {row['count']:,}: {row['reason']}")
    print(f"written to {out}")
