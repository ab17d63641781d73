"""What workers report to the driver while they train: each kind of event with its fields. All of it goes as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, TypedDict

from aslspark.models.fit_result import Alert, EpochRow


class StepEvent(TypedDict):
    """A step within a long epoch."""

    event: Literal["step"]
    epoch: int
    step: int
    steps: int
    """Of the epoch."""


class EpochEvent(EpochRow):
    """The end of an epoch, with its row of the history."""

    event: Literal["epoch"]
    epochs: int
    """Of the whole fit, at most."""


class AlertEvent(Alert):
    """The finding of a rule."""

    event: Literal["watch"]


class TurnEvent(TypedDict):
    """What an epoch has brought: 'unfrozen', the backbone learns from it on; 'kept', its checkpoint is written."""

    event: Literal["unfrozen", "kept"]
    epoch: int


Event: TypeAlias = StepEvent | EpochEvent | AlertEvent | TurnEvent
OnEvent: TypeAlias = Callable[[Event], None]
