"""A bundle's network as a pyfunc of MLflow: the bytes of pictures -> letter, probability, reason.

In: a pandas DataFrame with the column `picture`: files (JPEG, PNG, GIF, WebP, BMP), or the raw pixels that the model
takes. It needs no Spark session, as in a worker of `mlflow.pyfunc.spark_udf`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.common.onnx_sessions import open_session
from aslspark.features.pictures import Normaliser
from aslspark.models.onnx_classifier import BATCH_ROWS, OnnxClassifier
from aslspark.scoring.answers import answers_of
from aslspark.scoring.model import read_model
from aslspark.scoring.reader import hand_vector

COLUMN = "picture"


class BundleModel:
    """The model that MLflow loads.

    Parameters
    ----------
    path : str
        The bundle.
    """

    def __init__(self, path: str) -> None:
        self.model = read_model(path)
        classifier = self.model.classifier
        if not isinstance(classifier, OnnxClassifier):
            raise AslsparkError(f"--model {path}: it holds no network; score it with jobs/score.py")
        self.classifier = classifier
        self.session = open_session(classifier.onnx, 1)  # a Spark worker has a core
        self.normaliser = Normaliser("bytes", self.model.form, self.model.hands)

    def predict(self, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Read pictures.

        Parameters
        ----------
        model_input : DataFrame
            With `picture` (bytes).
        params : ignored

        Returns
        -------
        DataFrame
            `letter` (None where the probability is below the bundle's threshold, or the picture cannot be used),
            `probability` (float, NaN where it cannot), `reason` (None, or why there is no letter).
        """
        parts = [
            self._read(model_input[COLUMN].iloc[start : start + BATCH_ROWS])
            for start in range(0, len(model_input), BATCH_ROWS)
        ]
        answers = pd.concat(parts) if parts else pd.DataFrame(columns=["letter", "probability", "reason"])
        return answers.set_index(model_input.index)

    def _read(self, pictures: pd.Series) -> pd.DataFrame:
        pixels, reasons, hands = self.normaliser.with_hands(pd.DataFrame({"data": pictures}))
        vectors = np.stack([hand_vector(hand) for hand in hands]) if LANDMARKS in self.classifier.inputs else None
        answers = answers_of(
            self.classifier.probabilities(self.session, pixels, vectors, reasons),
            reasons,
            self.classifier.labels,
            temperature=self.model.temperature,
            threshold=self.model.getThreshold(),
            hands=hands,
        )
        columns = {
            "letter": pd.Series([answer.letter for answer in answers], dtype=object),
            "probability": pd.Series([answer.probability for answer in answers], dtype="float64"),
            "reason": pd.Series([answer.reason for answer in answers], dtype=object),
        }
        return pd.DataFrame(columns)


def _load_pyfunc(path: str) -> BundleModel:
    """Load a bundle; the name is MLflow's."""
    return BundleModel(path)
