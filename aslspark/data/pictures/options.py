"""The sections `pictures` and `hands` of the settings -> the checked options of picture sources."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import LABEL_SETS, LABELS, label_named
from aslspark.common.paths import mounted_as_spark
from aslspark.common.settings import HandConfig, PictureConfig
from aslspark.common.spark_session import task_cores
from aslspark.data.files.store_files import no_pattern
from aslspark.data.files.stores import open_store
from aslspark.images.hands.detector import HandDetector, hand_detector
from aslspark.images.image_spec import ImageSpec


@dataclass(frozen=True)
class PictureOptions:
    """How pictures in files are read."""

    form: ImageSpec = field(default_factory=lambda: ImageSpec(PictureConfig.size, PictureConfig.size, 3))
    """Size, colour, fit and mask."""
    store: str = PictureConfig.store
    """'raw', 'png' or 'jpeg'."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels by other names, in lower case; names that are not in it must be labels themselves."""
    signer_pattern: re.Pattern[str] | None = None
    """Its first group, searched in the path, is the signer."""
    near_bits: int = PictureConfig.near_bits
    """Most bits in which the hashes of near duplicates differ."""
    drop_near_duplicates: bool = PictureConfig.drop_near_duplicates
    keep: str = PictureConfig.keep
    """'all', 'letters' or 'static': which labels are kept; see `labels.LABEL_SETS`."""
    roots: tuple[str, ...] = ()
    """Qualified folders in which manifests may name files, beside their own."""
    hands: HandDetector | None = None
    """What finds the hands that they are cropped to; None: they stay whole."""
    small_pixels: int = 0
    """See `HandConfig.small_pixels`."""

    def label_of(self, name: str) -> str | None:
        """Return the label of a folder's name or a manifest's entry; None where it has none."""
        label = self.labels.get(name.strip().lower())
        return label if label is not None else label_named(name)

    def is_wanted(self, label: str) -> bool:
        """Tell whether a label is kept."""
        return label in LABEL_SETS[self.keep]

    def signer_of(self, path: str) -> str | None:
        """Return the signer in a path, if any."""
        match = self.signer_pattern.search(path) if self.signer_pattern else None
        return match.group(1) or None if match else None


def picture_options(spark: SparkSession, config: PictureConfig, hands: HandConfig | None = None) -> PictureOptions:
    """Read the sections `pictures` and `hands` of the settings.

    Raises
    ------
    AslsparkError
        For a pattern without a group, an invalid colour, a label file that cannot be read or has other labels, or a
        hand stage without its networks.
    """
    mask = (_colour("skin_low", config.skin_low), _colour("skin_high", config.skin_high))
    channels = 1 if config.grey else 3
    return PictureOptions(
        form=ImageSpec(
            config.size, config.size, channels, config.fit, mask if config.skin_mask else None, config.max_pixels
        ),
        store=config.store,
        labels=_labels(spark, config.labels) if config.labels else {},
        signer_pattern=_pattern(config.signer_pattern) if config.signer_pattern else None,
        near_bits=config.near_bits,
        drop_near_duplicates=config.drop_near_duplicates,
        keep=config.keep,
        roots=manifest_roots(spark, config.roots),
        hands=hand_detector(hands, task_cores(spark)) if hands is not None else None,
        small_pixels=hands.small_pixels if hands is not None else 0,
    )


def manifest_roots(spark: SparkSession, text: str) -> tuple[str, ...]:
    """Read the setting pictures.roots.

    Parameters
    ----------
    text : str
        Folders, separated by commas.

    Returns
    -------
    tuple of str
        Qualified.

    Raises
    ------
    AslsparkError
        Where there is no such folder.
    """
    store = open_store(spark)
    roots = [mounted_as_spark(root.strip()) for root in text.split(",") if root.strip()]
    if wrong := [root for root in roots if not store.is_folder(root)]:
        raise AslsparkError(
            f"pictures.roots={text}: there is no folder {wrong[0]}; name folders that manifests may read from, "
            "apart by commas"
        )
    return tuple(store.qualified(root) for root in roots)


def _colour(name: str, text: str) -> tuple[int, ...]:
    parts = re.findall(r"\d+", text)
    numbers = tuple(int(part) for part in parts)
    if not re.fullmatch(r"\s*\d+\s*,\s*\d+\s*,\s*\d+\s*", text) or max(numbers) > 255:
        raise AslsparkError(f"pictures.{name}={text}: give hue, saturation and value, each 0-255, such as 0,60,110")
    return numbers


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise AslsparkError(f"pictures.signer_pattern={text}: no regular expression: {error}") from error
    if pattern.groups < 1:
        raise AslsparkError(f"pictures.signer_pattern={text}: put the signer in a group, such as hand(\\d)_")
    return pattern


def _labels(spark: SparkSession, path: str) -> dict[str, str]:
    if not open_store(spark).exists(path):
        raise AslsparkError(f"pictures.labels={path}: there is no such file")
    text = spark.read.text(no_pattern(path), wholetext=True).first()
    try:
        names = json.loads(text["value"] if text else "")
        labels = {str(name).strip().lower(): label_named(str(label)) for name, label in names.items()}
    except (ValueError, AttributeError) as error:
        raise AslsparkError(f'pictures.labels={path}: expected JSON such as {{"0": "A", "1": "B"}}') from error
    if wrong := [name for name, label in labels.items() if label is None]:
        raise AslsparkError(f"pictures.labels={path}: {wrong[0]} stands for no label; those are {', '.join(LABELS)}")
    return {name: label for name, label in labels.items() if label is not None}
