"""The section `hands` of the settings -> the checked options of the hand stage."""

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
        Added on each side of the square around the landmarks, as a share of its side.
    upright : bool
        Turn the crop so that the knuckle of the middle finger is above the wrist.
    background : {'keep', 'blur'}
        Keep or blur the background of the hand.
    seconds : float
        Time limit of the detector for one picture.
    confidence : float
        Least score of the detector, 0-1; a lower one finds more hands.
    looks : int
        Views of a found hand that the detector combines.
    """

    margin: float = HandConfig.margin
    upright: bool = HandConfig.upright
    background: str = HandConfig.background
    seconds: float = HandConfig.seconds
    confidence: float = HandConfig.confidence
    looks: int = HandConfig.looks

    def preprocessing(self) -> dict[str, Any]:
        """Return the entry for `ingest.json` and for a bundle's manifest."""
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
    return HandOptions(**{name: value for name, value in vars(config).items() if name != "on"})


def hands_of(kept: Mapping[str, Any] | None) -> HandOptions | None:
    """Read the entry that `HandOptions.preprocessing` returned; None without one."""
    return HandOptions(**kept) if kept else None


def require_detector(asked_by: str) -> None:
    """Check that the detector is installed on the driver; the workers are taken to have the same packages.

    Raises
    ------
    AslsparkError
        Naming the setting that asks for it.
    """
    if importlib.util.find_spec("mediapipe") is None:
        raise AslsparkError(f"{asked_by}: mediapipe is not installed; pip install aslspark[hands], on the workers too")
