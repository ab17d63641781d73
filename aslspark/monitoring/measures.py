"""Pictures and a model -> a few numbers for each: light, sharpness, place of the hand, answer and its probability.

In: a DataFrame to score, or a scored one. Out: columns of `MEASURES` (double), `answer` and `FLAGS` (boolean).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from aslspark.common.batch_udf import batch_udf
from aslspark.common.catalog import LANDMARKS
from aslspark.data.samples import HAND_COLUMN
from aslspark.features.crops import ROW, brings_hands, crop_to_hands
from aslspark.features.landmarks import HAND_FOUND, PICTURE_POINTS, POINTS, VECTOR_FIELDS, WORLD_POINTS, frame_vectors
from aslspark.features.pictures import Normaliser
from aslspark.images.decoding import UNUSABLE
from aslspark.models.onnx_classifier import NO_HAND_FOUND
from aslspark.scoring.calibration import ABSTAINED
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.ranked_columns import picture_column

PICTURE_MEASURES = {
    "brightness": "mean of the pixels, 0-1",
    "contrast": "standard deviation of the pixels, 0-1",
    "sharpness": "root mean square of the Laplacian, as a share of the contrast",
}
HAND_MEASURES = {
    "hand_size": "longer side of the landmarks' box, as a share of the picture's longer side",
    "hand_x": "middle of that box, rightwards",
    "hand_y": "middle of that box, downwards",
    "spread": "mean distance of the landmarks from their middle, as a share of the palm's length",
}
CONFIDENCE = "confidence"
MEASURES = {**PICTURE_MEASURES, **HAND_MEASURES, CONFIDENCE: "probability of the best guess"}
FLAGS = {
    "unread": "no answer: the picture cannot be used",
    "no_hand": "no hand was found",
    "not_sure": "the answer's probability is below the model's threshold",
}
ANSWER = "answer"

_WRIST, _MIDDLE_KNUCKLE = 0, 9
_KEPT = "_kept"


def picture_measures(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Measure brightness, contrast and sharpness of pictures, on the mean of the channels scaled to 0-1.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, height, width, channels)

    Returns
    -------
    ndarray of float64, shape (n, 3)
        In the order of PICTURE_MEASURES; NaN for the sharpness of a picture of a single grey.
    """
    grey = pictures.mean(axis=3, dtype=np.float32) / 255
    contrast = grey.std(axis=(1, 2))
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    edges = np.sqrt(np.square(4 * inner - around).mean(axis=(1, 2)))
    sharpness = np.where(contrast > 1e-4, edges / np.maximum(contrast, 1e-4), np.nan)
    return np.stack([grey.mean(axis=(1, 2)), contrast, sharpness], axis=1).astype(np.float64)


def hand_measures(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Measure hands by their landmarks.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, HAND_NUMBERS)

    Returns
    -------
    ndarray of float64, shape (n, 4)
        In the order of HAND_MEASURES; NaN where no hand was found.
    """
    points = vectors[:, PICTURE_POINTS].reshape(-1, POINTS, 3)[:, :, :2].astype(np.float64)
    low, high = points.min(axis=1), points.max(axis=1)
    shape = vectors[:, WORLD_POINTS].reshape(-1, POINTS, 3).astype(np.float64)
    palm = np.linalg.norm(shape[:, _WRIST] - shape[:, _MIDDLE_KNUCKLE], axis=1)
    spread = np.linalg.norm(shape - shape.mean(axis=1, keepdims=True), axis=2).mean(axis=1)
    measures = np.column_stack([(high - low).max(axis=1), (low + high) / 2, spread / np.maximum(palm, 1e-9)])
    measures[vectors[:, HAND_FOUND] < 0.5] = np.nan
    return measures


def score_and_measure(model: SignClassifierModel, dataset: DataFrame, *keep: Column) -> DataFrame:
    """Score pictures, and measure them as the model sees them.

    Parameters
    ----------
    model : SignClassifierModel
        Its `inputCol` names the column of pictures; answers below its threshold are `not_sure`.
    dataset : DataFrame
        As for `SignClassifierModel.transform`.
    *keep : Column
        Columns of the dataset to keep, each with an alias.

    Returns
    -------
    DataFrame
        The kept columns; those of MEASURES that the model has, null where a row has none; `answer` (string, the best
        guess) and FLAGS.
    """
    column = model.getInputCol()
    kept = F.struct(*keep, F.lit(1).alias(_KEPT)).alias(_KEPT)
    has_pictures = column in dataset.columns or model.classifier.inputs != (LANDMARKS,)
    unusable = F.lit(None).cast("string")
    if has_pictures:
        kind, pictures = picture_column(dataset, column)
        if model.hands is not None and not brings_hands(dataset) and kind != "numbers":
            dataset = crop_to_hands(dataset.select(kept, column), column, kind, pictures, model.form, model.hands)
            kept, unusable = F.col(ROW)[_KEPT].alias(_KEPT), F.col(column)[UNUSABLE]
    names = [name for name in (column, HAND_COLUMN) if name in dataset.columns]
    scored = model.best_guesses(dataset.select(kept, *names))
    measures: dict[str, Column] = {}
    if has_pictures:
        kind, pictures = picture_column(scored, column)
        scored = scored.select("*", _picture_udf(Normaliser(kind, model.form))(pictures).alias("_light"))
        measures |= {name: F.col("_light")[name] for name in PICTURE_MEASURES}
    no_hand = F.col("reason").eqNullSafe(F.lit(NO_HAND_FOUND))
    if model.hands is not None and brings_hands(scored):
        hand = F.struct(*(F.col(HAND_COLUMN)[name].alias(name) for name in VECTOR_FIELDS))
        scored = scored.select("*", _hand_udf()(hand).alias("_hand"))
        measures |= {name: F.col("_hand")[name] for name in HAND_MEASURES}
        no_hand = F.col(HAND_COLUMN)["found"].isNull() & unusable.isNull()
    answered = F.col("letter").isNotNull() & unusable.isNull()
    measures[CONFIDENCE] = F.when(answered, F.col("probability")).cast("double")
    flags = {
        "unread": ~answered & ~no_hand,
        "no_hand": no_hand,
        "not_sure": answered & (F.col("probability") < F.lit(model.getThreshold()).cast("float")),
    }
    kept_names = scored.schema[_KEPT].dataType.names[:-1]  # type: ignore[attr-defined]
    return scored.select(
        *(F.col(_KEPT)[name].alias(name) for name in kept_names),
        *(values.alias(name) for name, values in {**measures, **flags}.items()),
        F.when(answered, F.col("letter")).alias(ANSWER),
    )


def measure_scored(scored: DataFrame, *keep: Column) -> DataFrame:
    """Return the measures and flags that a scored table's answers give, without its pictures.

    Parameters
    ----------
    scored : DataFrame
        With `letter`, `probability`, `top` and `reason`, the columns of `SignClassifierModel.transform`.
    *keep : Column

    Returns
    -------
    DataFrame
        See `score_and_measure`.
    """
    reason, guess = F.col("reason"), F.get("top", F.lit(0))["letter"]
    no_hand, not_sure = (reason.eqNullSafe(F.lit(each)) for each in (NO_HAND_FOUND, ABSTAINED))
    return scored.select(
        *keep,
        F.col("probability").cast("double").alias(CONFIDENCE),
        (guess.isNull() & ~no_hand).alias("unread"),
        no_hand.alias("no_hand"),
        not_sure.alias("not_sure"),
        guess.alias(ANSWER),
    )


def _picture_udf(normaliser: Normaliser) -> Any:
    @batch_udf(", ".join(f"{name} double" for name in PICTURE_MEASURES))
    def measure(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            pictures, reasons = normaliser(batch)
            values = picture_measures(pictures)
            values[[reason is not None for reason in reasons]] = np.nan
            yield _with_nulls(values, PICTURE_MEASURES)

    return measure


def _hand_udf() -> Any:
    @batch_udf(", ".join(f"{name} double" for name in HAND_MEASURES))
    def measure(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield _with_nulls(hand_measures(frame_vectors(batch)), HAND_MEASURES)

    return measure


def _with_nulls(values: npt.NDArray[np.float64], names: Any) -> pd.DataFrame:
    return pd.DataFrame(values, columns=list(names)).astype("Float64").mask(np.isnan(values))
