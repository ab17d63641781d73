"""What MLflow calls to use a bundle with a network: the bytes of pictures -> letter, probability, reason.

In: a pandas DataFrame with the column `picture`: files (JPEG, PNG, GIF, WebP, BMP), or exactly the pixels that a model
takes. It runs where no Spark session is, such as in a worker of `mlflow.pyfunc.spark_udf`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.features.pictures import Normaliser
from aslspark.models.onnx_classifier import BATCH_ROWS, OnnxClassifier, open_session
from aslspark.scoring.calibration import ABSTAINED, with_temperature
from aslspark.scoring.model import read_model
from aslspark.scoring.reader import hand_vector

COLUMN = "picture"


class BundleModel:
    """A bundle as MLflow uses it.

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
        found = pd.concat(parts) if parts else pd.DataFrame(columns=["letter", "probability", "reason"])
        return found.set_index(model_input.index)

    def _read(self, pictures: pd.Series) -> pd.DataFrame:
        pixels, reasons, hands = self.normaliser.with_hands(pd.DataFrame({"data": pictures}))
        vectors = np.stack([hand_vector(hand) for hand in hands]) if LANDMARKS in self.classifier.inputs else None
        shares = self.classifier.probabilities(self.session, pixels, vectors, reasons)
        best = shares.argmax(axis=1)
        sure = with_temperature(shares, self.model.temperature)[np.arange(len(best)), best].astype(np.float64)
        usable = np.array([reason is None for reason in reasons], bool)
        answered = usable & (sure >= np.float32(self.model.getThreshold()))
        letters = np.array(self.classifier.labels, object)[best]
        letters[~answered] = None
        reasons[usable & ~answered] = ABSTAINED
        return pd.DataFrame({"letter": letters, "probability": np.where(usable, sure, np.nan), "reason": reasons})


def _load_pyfunc(path: str) -> BundleModel:
    """Load a bundle; the name is MLflow's."""
    return BundleModel(path)
