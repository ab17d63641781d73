"""How hands are found and cropped to: a part of the section `hands` of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypedDict, cast

from aslspark.common.settings import FORMER_SETTINGS, HandConfig


class HandFitting(TypedDict):
    """The entry of `ingest.json` and of a bundle's manifest for `HandOptions`; older ones lack some."""

    margin: float
    upright: bool
    background: str
    confidence: float
    looks: int


@dataclass(frozen=True)
class HandOptions:
    """How hands are found, and how the picture is cropped to them."""

    margin: float = HandConfig.margin
    """Added on each side of the square around the landmarks, as a share of its side."""
    upright: bool = HandConfig.upright
    """Turn the crop so that the knuckle of the middle finger is above the wrist."""
    background: str = HandConfig.background
    """What becomes of the background of the hand: 'keep' or 'blur'."""
    confidence: float = HandConfig.confidence
    """Least score of a palm, 0-1, and a third of it where none has it; a lower one finds more hands."""
    looks: int = HandConfig.looks
    """Views of a found hand that the detector combines."""

    def preprocessing(self) -> HandFitting:
        """Return the entry for `ingest.json` and for a bundle's manifest."""
        return cast(HandFitting, asdict(self))


def hands_of(kept: Mapping[str, Any] | None) -> HandOptions | None:
    """Read the entry that `HandOptions.preprocessing` returned; None without one."""
    if not kept:
        return None
    return HandOptions(**{name: value for name, value in kept.items() if f"hands.{name}" not in FORMER_SETTINGS})
