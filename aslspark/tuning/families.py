"""What `automl` chooses from: kinds of models, the settings that each begins with, and what may change."""

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
    words: tuple[str, ...]
    """Settings that make it what it is."""
    space: Space


_OF_CLASSIFIERS = {
    "logistic": Space({"mllib.regularisation": Range(1e-5, 0.1, log=True)}),
    "forest": Space({"mllib.trees": Range(20, 150, log=True), "mllib.depth": Range(6, 12)}),
    "boosted": Space({"mllib.rounds": Range(5, 20), "mllib.depth": Range(3, 6)}),
    "mlp": Space({"mllib.hidden": ("64", "128", "256", "128,64"), "mllib.iterations": Range(60, 200)}),
}
_FIRST = {"boosted": ("mllib.depth=4", "mllib.rounds=5")}
"""Where the settings as they are take long."""
_OF_NETWORKS = Space(
    {
        "training.learning_rate": Range(0.0001, 0.01, log=True),
        "training.batch_size": (16, 32, 64),
        "training.label_smoothing": Range(0.0, 0.1),
        "network.dropout": Range(0.0, 0.5),
    }
)
SLOWEST = "boosted"
"""Letter by letter, over all pixels: it must not take the time of all that come behind it."""
_TRIED = ("landmark_net", "cnn", "small_cnn", "two_branch")
"""Networks that are tried; those made for larger pictures learn little in the time of a trial."""


def families_for(table: TrainingData, columns: Sequence[str], framework: str, wanted: Sequence[str]) -> list[Family]:
    """List what fits the data, the quicker first.

    Parameters
    ----------
    table : TrainingData
    columns : sequence of str
        Of its samples: with `hand` there are models of landmarks, and classifiers read these.
    framework : {'keras', 'torch'}
        Of the networks.
    wanted : sequence of str
        Names; empty: all.

    Raises
    ------
    AslsparkError
        Where one that is wanted does not fit; it names those that do.
    """
    hands = HAND_COLUMN in columns
    found = [
        Family(
            name,
            (f"mllib.classifier={name}", f"mllib.reads={'landmarks' if hands else 'picture'}", *_FIRST.get(name, ())),
            _OF_CLASSIFIERS[name],
        )
        for name in CLASSIFIERS
    ]
    side = min(table.shape[:2])
    for name in _TRIED:
        known = NETWORKS[name]
        if framework in known.frameworks and side >= known.least and (hands or LANDMARKS not in known.inputs):
            found.append(Family(name, (f"mllib.classifier={NO_CLASSIFIER}", f"network.name={name}"), _OF_NETWORKS))
    found.sort(key=lambda family: family.name == SLOWEST)
    there = {family.name: family for family in found}
    if missing := [name for name in wanted if name not in there]:
        raise AslsparkError(f"--models {missing[0]}: it does not fit this data; choose from {', '.join(there)}")
    return [there[name] for name in there if not wanted or name in wanted]
