"""A DataFrame with a column of pictures -> the same rows with `letter`, `probability`, `top` and `reason`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.ml import Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from aslspark.bundle.manifest import Preprocessing
from aslspark.bundle.read import read_parts, read_stage
from aslspark.bundle.write import write_stage
from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.log_output import show_log
from aslspark.common.progress import doing, watch
from aslspark.common.spark_session import IS_SPARK_3
from aslspark.features.crops import ROW, brings_hands, crop_to_hands, quoted
from aslspark.features.pictures import Normaliser
from aslspark.images.hands.detector import HandDetector
from aslspark.images.image_spec import ImageSpec
from aslspark.models.fit_result import EpochRow, FitResult
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.answer_columns import OUTPUT_COLUMNS, SHARES, ResultColumns, output_columns, ranking
from aslspark.scoring.ranked_columns import hand_fields, picture_column, with_ranks


class SignClassifierModel(Model, HasInputCol, MLReadable["SignClassifierModel"], MLWritable):
    """Reads letters from pictures; a `pyspark.ml` Model that works in a Pipeline.

    `transform` takes any DataFrame with the column `inputCol` ('picture' by default), which holds one of

    - ``struct<height, width, channels, data>``: `samples.PICTURE_TYPE`, bytes row by row, channels last, grey or RGB;
      with ``encoding``, also PNG or JPEG;
    - Spark's ``image`` struct (bytes in BGR);
    - ``binary``: height x width x channels raw bytes, or a JPEG, PNG, GIF, WebP or BMP file, such as ``content`` of
      binaryFile;
    - ``array`` of numbers, or a Vector: height x width x channels whole numbers from 0 to 255, in the same order.
      Numbers that were divided by 255 give a reason.

    A model that takes landmarks reads them from the column ``hand`` (`samples.HAND_TYPE`); a model of landmarks alone
    needs no pictures, and gives a reason where no hand was found, unless it has the label 'nothing'.

    Pixels of the model's size are used as they are. Files, and structs of another size or of other channels, are
    converted to the model's size and colours as the training pictures were: see `form`. A model with `hands` crops them
    to the hand first, unless the table has the column `hand`: its pictures are crops already.

    It adds

    - ``letter`` string: the most probable label, or null where its probability is below `threshold`;
    - ``probability`` float: of the most probable label;
    - ``top`` array<struct<letter string, probability float>>: the best three, best first;
    - ``reason`` string: null; 'not sure' where the probability is below `threshold`; or why the picture cannot be
      scored: then the other columns are null.

    `setLetterCol`, `setProbabilityCol`, `setTopCol` and `setReasonCol` give them other names, and `setPredictionCol`
    adds the place of the most probable label in `labels` (double), as Spark's evaluators ask for.

    All rows are kept, in the same order within a partition.

    Parameters
    ----------
    classifier : OnnxClassifier or MllibClassifier
        `aslspark.load_model` reads it from a bundle.
    fitted : FitResult, optional
        Of the fit that made the network; None after loading.
    form : ImageSpec, optional
        Size, colours and fit that pictures are converted to, as for training. None: the classifier's size.
    hands : HandDetector, optional
        What finds the hands that pictures are cropped to, as for training; None: they stay whole.
    temperature : float
        Calibrates the probabilities; see `aslspark.scoring.calibration`.
    threshold : float
        The least probability with which a letter is answered.
    digest : str
        Identifies the bundle that it was loaded from; see `bundle.files.BundleContents`.

    Examples
    --------
    >>> import aslspark
    >>> model = aslspark.load_model("runs/letters").setInputCol("pixels")
    >>> pictures = spark.createDataFrame([([0] * 784,), ([300] * 784,)], "pixels array<int>")
    >>> model.transform(pictures).select("letter", "reason").where("letter IS NULL").show(truncate=False)
    +------+---------------------------+
    |letter|reason                     |
    +------+---------------------------+
    |NULL  |out of 0-255: pixel1 is 300|
    +------+---------------------------+
    <BLANKLINE>
    """

    threshold = Param(
        Params._dummy(),
        "threshold",
        "the least probability with which a letter is answered, 0-1; 0: always answer",
        TypeConverters.toFloat,
    )

    letterCol = Param(Params._dummy(), "letterCol", "name of the column of letters", TypeConverters.toString)
    probabilityCol = Param(Params._dummy(), "probabilityCol", "of their probabilities", TypeConverters.toString)
    topCol = Param(Params._dummy(), "topCol", "of the best three", TypeConverters.toString)
    reasonCol = Param(Params._dummy(), "reasonCol", "of why there is no letter", TypeConverters.toString)
    predictionCol = Param(
        Params._dummy(), "predictionCol", "of the label's place, as a number; empty: none", TypeConverters.toString
    )

    def __init__(
        self,
        classifier: OnnxClassifier | MllibClassifier,
        *,
        fitted: FitResult | None = None,
        form: ImageSpec | None = None,
        hands: HandDetector | None = None,
        temperature: float = 1.0,
        threshold: float = 0.0,
        digest: str = "",
    ) -> None:
        super().__init__()
        self.classifier, self.fitted, self.digest = classifier, fitted, digest
        self.are_paths = False
        """Whether `inputCol` holds paths of local files, which the tasks open. Only for paths that this process listed:
        a table from elsewhere could name any file."""
        self.form, self.hands, self.temperature = form or ImageSpec(*classifier.shape), hands, temperature
        self._setDefault(inputCol="picture", threshold=0.0, predictionCol="")
        self._setDefault(**{f"{name}Col": name for name in OUTPUT_COLUMNS})
        self.setThreshold(threshold)

    @classmethod
    def load(cls, path: str) -> SignClassifierModel:
        """Load a bundle, or what `save` wrote.

        Raises
        ------
        AslsparkError
            Where the folder is no bundle, or was changed.
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

    def setLetterCol(self, value: str) -> SignClassifierModel:
        """Name the column of letters."""
        return self._set(letterCol=value)

    def setProbabilityCol(self, value: str) -> SignClassifierModel:
        """Name the column of the letters' probabilities."""
        return self._set(probabilityCol=value)

    def setTopCol(self, value: str) -> SignClassifierModel:
        """Name the column of the best three."""
        return self._set(topCol=value)

    def setReasonCol(self, value: str) -> SignClassifierModel:
        """Name the column that says why there is no letter."""
        return self._set(reasonCol=value)

    def setPredictionCol(self, value: str) -> SignClassifierModel:
        """Add a column of this name: the place of the most probable label in `labels`, as a double."""
        return self._set(predictionCol=value)

    def setThreshold(self, value: float) -> SignClassifierModel:
        """Set the least probability with which a letter is answered.

        Raises
        ------
        AslsparkError
            Where it is not from 0 to 1.
        """
        if not 0 <= value <= 1:
            raise AslsparkError(f"threshold={value}: give a number from 0 to 1")
        return self._set(threshold=value)

    def getThreshold(self) -> float:
        """Return the least probability with which a letter is answered."""
        return self.getOrDefault(self.threshold)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label list, in the order of the network's outputs."""
        return self.classifier.labels

    def getHistory(self) -> list[EpochRow]:
        """Return a row an epoch, as Horovod's models do; empty after loading."""
        return self.fitted.history if self.fitted else []

    def preprocessing(self) -> Preprocessing:
        """Return the entry of a bundle's manifest for the preprocessing of pictures."""
        hands = self.hands.options.preprocessing() if self.hands else None
        fitting = self.form.preprocessing()
        return {"fit": fitting["fit"], "mask": fitting["mask"], "hands": hands}

    def _transform(self, dataset: DataFrame) -> DataFrame:
        watch(dataset.sparkSession)  # the letters are read when the caller asks for them
        called = [self.getOrDefault(f"{name}Col") for name in OUTPUT_COLUMNS]
        prediction = self.getOrDefault(self.predictionCol)
        place = [F.col("_ranked.place1").cast("double").alias(prediction)] if prediction else []
        return self._with_answers(dataset, self.getThreshold(), *place, called=called)

    def best_guesses(self, dataset: DataFrame) -> DataFrame:
        """Score with a threshold of 0, and add `as_given` (float), the probability before the temperature."""
        return self._with_answers(dataset, 0.0, F.col("_ranked.as_given").alias("as_given"))

    def probabilities(self, dataset: DataFrame) -> DataFrame:
        """Return the probabilities of all labels, before the temperature.

        It adds `probabilities` (array<float>, in the order of `labels`), null where a picture cannot be scored.
        """
        scored = self._with_results(dataset, SHARES)
        shares = F.when(F.col("_ranked.reason").isNull(), F.col("_ranked.shares"))
        return scored.select(*quoted(dataset.columns), shares.alias("probabilities"))

    def _with_answers(
        self, dataset: DataFrame, threshold: float, *more: Column, called: Sequence[str] = OUTPUT_COLUMNS
    ) -> DataFrame:
        existing = [name for name in called if name in dataset.columns]
        if existing:
            raise AslsparkError(f"the DataFrame already has {', '.join(existing)}; drop or rename before scoring")
        ranked = self._with_results(dataset, ranking(self.temperature))
        return ranked.select(*quoted(dataset.columns), *output_columns(self.labels, threshold, called), *more)

    def _with_results(self, dataset: DataFrame, results: ResultColumns) -> DataFrame:
        """Add the struct `_ranked` with the result columns."""
        if self.hands is not None and not brings_hands(dataset):
            column = self.getInputCol()
            kind, pictures = picture_column(dataset, column, self.are_paths)
            if kind != "numbers":
                cropped = crop_to_hands(dataset, column, kind, pictures, self.form, self.hands)
                return self._with_ranks(cropped, results, PICTURE).select(f"{ROW}.*", "_ranked")
        return self._with_ranks(dataset, results)

    def _with_ranks(self, dataset: DataFrame, results: ResultColumns, *read: str) -> DataFrame:
        """Add `_ranked`; the inputs in `read` are checked too where the model does not take them."""
        classifier = self.classifier
        columns: dict[str, Column] = {}
        normaliser: Normaliser | None = None
        for name in dict.fromkeys((*classifier.inputs, *read)):
            if name == LANDMARKS:
                columns[name] = hand_fields(dataset)
            else:
                kind, columns[name] = picture_column(dataset, self.getInputCol(), self.are_paths)
                normaliser = Normaliser(kind, self.form)
        return with_ranks(dataset, classifier, columns, normaliser, results)


def read_model(path: str) -> SignClassifierModel:
    """Load the model of a bundle or of a saved Pipeline stage; see `SignClassifierModel.load`."""
    parts = read_parts(path)
    return SignClassifierModel(
        parts.classifier,
        form=parts.form,
        hands=parts.hands,
        temperature=parts.temperature,
        threshold=parts.threshold,
        digest=parts.digest,
    )


class _Writer(MLWriter):
    def __init__(self, model: SignClassifierModel) -> None:
        super().__init__()
        self._model = model

    def saveImpl(self, path: str) -> None:
        context: Any = self.sc if IS_SPARK_3 else self.sparkSession
        DefaultParamsWriter.saveMetadata(self._model, path, context)
        write_stage(self._model, path)


class _Reader(MLReader[SignClassifierModel]):
    def load(self, path: str) -> SignClassifierModel:
        model = read_model(path)
        if (metadata := read_stage(path)) is not None:  # of a stage: its params take precedence over the bundle's
            model._resetUid(metadata["uid"])
            try:
                DefaultParamsReader.getAndSetParams(model, metadata)
                model.setThreshold(model.getThreshold())
            except Exception as error:  # AttributeError, TypeError or AssertionError
                raise AslsparkError(f"--model {path}: its metadata is not what Spark writes ({error})") from error
        return model


def load_model(path: str) -> SignClassifierModel:
    """Load a bundle for scoring.

    Parameters
    ----------
    path : str
        A folder that `aslspark.train` or a training job left, the champion of a registry (``registry/champion``), or
        what `SignClassifierModel.save` wrote. Every file of a bundle is checked against its SHA-256 first, and what it
        names is held against lists of what this package writes: loading runs no code of the bundle's.

    Returns
    -------
    SignClassifierModel
        A `pyspark.ml` Model.

    Raises
    ------
    AslsparkError
        Where the folder is no bundle, or a file in it is not as it was written.

    Notes
    -----
    From the first `transform` on the log says how far Spark is with what it is asked for, unless the caller has set a
    level for the logger "aslspark" that leaves this out.

    Examples
    --------
    >>> import aslspark
    >>> model = aslspark.load_model("runs/letters")
    >>> len(model.labels), model.labels[:3]
    (24, ('A', 'B', 'C'))
    >>> model.setThreshold(0.8).getThreshold()
    0.8
    """
    show_log()
    with doing("loading the model"):
        return SignClassifierModel.load(path)
