"""The settings of the hand stage, checked."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import HandConfig


@dataclass(frozen=True)
class HandOptions:
    """How hands are found, and how the picture is cropped to them.

    Parameters
    ----------
    margin : float
        Room around the landmarks, on every side, as a share of the side of the square that holds them.
    upright : bool
        Turn the crop so that the middle finger's knuckle stands straight above the wrist.
    background : {'keep', 'blur'}
        Blur what lies outside of the hand.
    seconds : float
        A detector that takes longer for one picture is ended.
    confidence : float
        What the detector's first look must be sure of, 0-1; lower finds more hands.
    looks : int
        How often a hand that was found is looked at.
    """

    margin: float = 0.25
    upright: bool = False
    background: str = "keep"
    seconds: float = 10.0
    confidence: float = 0.3
    looks: int = 4

    def preprocessing(self) -> dict[str, Any]:
        """Return what `ingest.json` and a bundle keep of it."""
        return asdict(self)


def hand_options(config: HandConfig) -> HandOptions | None:
    """Read the section `hands` of the settings; None where the stage is off.

    Raises
    ------
    AslsparkError
        Where it is on and the detector is not installed.
    """
    if not config.on:
        return None
    require_detector("hands.on=true")
    return HandOptions(
        config.margin, config.upright, config.background, config.seconds, config.confidence, config.looks
    )


def hands_of(kept: Mapping[str, Any] | None) -> HandOptions | None:
    """Read what `HandOptions.preprocessing` gave; None where nothing was kept."""
    return HandOptions(**kept) if kept else None


def require_detector(asked_by: str) -> None:
    """See that the detector is installed here; the workers have what the driver has.

    Raises
    ------
    AslsparkError
        Naming what asked for it.
    """
    if importlib.util.find_spec("mediapipe") is None:
        raise AslsparkError(f"{asked_by}: mediapipe is not installed; pip install aslspark[hands], on the workers too")
