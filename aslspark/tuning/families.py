"""The kinds of models that `automl` tries, each with its first settings and its space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aslspark.common.catalog import CLASSIFIERS, LANDMARKS, NETWORKS, NO_CLASSIFIER
from aslspark.common.errors import AslsparkError
from aslspark.data.samples import HAND_COLUMN
from aslspark.training.data import TrainingData
from aslspark.tuning.space import Range, Space


@dataclass(frozen=True)
class Family:
    """A kind of model."""

    name: str
    settings: tuple[str, ...]
    """`key=value` that choose the kind; the others stay as they are."""
    space: Space


_OF_CLASSIFIERS = {
    "logistic": Space({"mllib.regularisation": Range(1e-5, 0.1, log=True)}),
    "forest": Space({"mllib.trees": Range(20, 150, log=True), "mllib.depth": Range(6, 12)}),
    "boosted": Space({"mllib.rounds": Range(5, 20), "mllib.depth": Range(3, 6)}),
    "mlp": Space({"mllib.hidden": ("64", "128", "256", "128,64"), "mllib.iterations": Range(60, 200)}),
}
_FIRST = {"boosted": ("mllib.depth=4", "mllib.rounds=5")}
"""Settings of the first trial where the defaults take long."""
_OF_NETWORKS = Space(
    {
        "training.learning_rate": Range(0.0001, 0.01, log=True),
        "training.batch_size": (16, 32, 64),
        "training.label_smoothing": Range(0.0, 0.1),
        "network.dropout": Range(0.0, 0.5),
    }
)
SLOWEST = "boosted"
"""It fits trees for each letter over all pixels, so it comes last and takes no time from the others."""
_NETWORKS = ("landmark_net", "pooled_cnn", "cnn", "small_cnn", "two_branch")
"""Networks that are tried; those made for larger pictures learn little in the time of a trial."""


def families_for(table: TrainingData, columns: Sequence[str], framework: str, names: Sequence[str]) -> list[Family]:
    """List the kinds of models that fit the data, the quicker first.

    Parameters
    ----------
    columns : sequence of str
        Columns of its samples; with `hand`, classifiers read landmarks, and networks of landmarks are tried.
    framework : {'keras', 'torch'}
        Of the networks.
    names : sequence of str
        Kinds to keep; empty: all.

    Raises
    ------
    AslsparkError
        Where a name does not fit the data; it names those that do.
    """
    hands = HAND_COLUMN in columns
    families = [
        Family(
            name,
            (f"mllib.classifier={name}", f"mllib.reads={'landmarks' if hands else 'picture'}", *_FIRST.get(name, ())),
            _OF_CLASSIFIERS[name],
        )
        for name in CLASSIFIERS
    ]
    side = min(table.shape[:2])
    for name in _NETWORKS:
        known = NETWORKS[name]
        if framework in known.frameworks and side >= known.least and (hands or LANDMARKS not in known.inputs):
            families.append(Family(name, (f"mllib.classifier={NO_CLASSIFIER}", f"network.name={name}"), _OF_NETWORKS))
    families.sort(key=lambda family: family.name == SLOWEST)
    fitting = [family.name for family in families]
    if missing := [name for name in names if name not in fitting]:
        raise AslsparkError(f"--models {missing[0]}: it does not fit this data; choose from {', '.join(fitting)}")
    return [family for family in families if not names or family.name in names]
