"""Pictures by name, before any is read: their labels, signers and order.

In: paths and lengths. Out: `PictureSource`, with a `Picture` for each file that ingest answers for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pyspark.sql import DataFrame

from aslspark.data.natural_order import natural_key
from aslspark.data.pixel_table import EMPTY, UNKNOWN_LABEL
from aslspark.errors import AslsparkError
from aslspark.samples import TEST, TRAIN, VALIDATION
from aslspark.sources.pictures.options import PictureOptions
from aslspark.sources.splits import SplitOptions, splits_of_blocks

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png")
SPLIT_FOLDERS = {"train": TRAIN, "valid": VALIDATION, "validation": VALIDATION, "val": VALIDATION, "test": TEST}

MAX_FILE_BYTES = 64 << 20
"""A larger file is quarantined unread: Spark holds every file in memory whole."""

TOO_LARGE = "too large a file"
UNKNOWN_SPLIT = "unknown split"
NOT_ASKED_FOR = "label not asked for"


class Picture(NamedTuple):
    """One picture: what is known of it before it is read."""

    path: str
    """As the table that holds its bytes spells it."""
    name: str
    """Within its source."""
    length: int
    label: str | None = None
    signer: str | None = None
    split: str | None = None
    """Where the source itself decides."""
    row: int | None = None
    """In a manifest, counted from 1."""
    reason: str | None = None
    """Why it cannot be used, where that is known already."""
    detail: str = ""


@dataclass
class PictureSource:
    """A source of pictures in files.

    Parameters
    ----------
    name : str
        What the samples carry in `source`.
    pictures : list of Picture
    contents : function of a scratch folder
        Gives the table with their bytes: path (string) and content (binary) or image (Spark's image struct); from the
        same folder a second time.
    lost : pair of str, optional
        Reason and detail of those that do not come out of `contents`; none where all do.
    passed_over : list of str
        What is in its folder and is no picture with a label, in words.
    """

    name: str
    pictures: list[Picture]
    contents: Callable[[str], DataFrame]
    lost: tuple[str, str] | None = None
    passed_over: list[str] = field(default_factory=list)

    @property
    def usable(self) -> list[Picture]:
        """Those that are to be read."""
        return [picture for picture in self.pictures if picture.reason is None]


def is_picture_name(name: str) -> bool:
    """Tell a picture by its ending, in any case."""
    return name.lower().endswith(PICTURE_ENDINGS)


def labelled_by_folder(
    files: Iterable[tuple[str, str, int]], options: PictureOptions
) -> tuple[list[Picture], list[str]]:
    """Label pictures by the folders that they lie in.

    Parameters
    ----------
    files : iterable of (path, name, length)
        The name is the path below the source's folder.
    options : PictureOptions

    Returns
    -------
    list of Picture
        Those with a label: the nearest folder above them that is called like one.
    list of str
        What was passed over: a line for each folder whose name is no label, one for files of other endings.
    """
    pictures: list[Picture] = []
    folders: Counter[str] = Counter()
    others: list[str] = []
    for path, name, length in files:
        *above, file = name.split("/")
        if not is_picture_name(file):
            others.append(name)
            continue
        label = next((label for folder in reversed(above) if (label := options.label_of(folder))), None)
        if label is None:
            folders["/".join(above) or "."] += 1
            continue
        split = next((SPLIT_FOLDERS[folder.lower()] for folder in above if folder.lower() in SPLIT_FOLDERS), None)
        pictures.append(_checked(Picture(path, name, length, label, options.signer_of(name), split), options))
    passed = [f"{folder}: {count} pictures, the name is no label" for folder, count in sorted(folders.items())]
    if others:
        passed.append(f"{len(others)} files that do not end in {', '.join(PICTURE_ENDINGS)}, such as {min(others)}")
    return pictures, passed


def labelled_by_word(picture: Picture, label: str | None, split: str | None, options: PictureOptions) -> Picture:
    """Give a picture the label and the split that a manifest or a table says, or the reason why not."""
    found = options.label_of(label or "")
    if found is None:
        return picture._replace(reason=UNKNOWN_LABEL, detail=f"label is {label!r}")
    if split and split.strip().lower() not in SPLIT_FOLDERS:
        return picture._replace(reason=UNKNOWN_SPLIT, detail=f"split is {split!r}")
    signer = picture.signer if picture.signer is not None else options.signer_of(picture.name)
    decided = SPLIT_FOLDERS[split.strip().lower()] if split and split.strip() else None
    return _checked(picture._replace(label=found, split=decided, signer=signer), options)


def _checked(picture: Picture, options: PictureOptions) -> Picture:
    """Refuse a label that is not wanted, and a file that is empty or too large to be held in memory."""
    if picture.label is not None and not options.is_wanted(picture.label):
        return picture._replace(reason=NOT_ASKED_FOR, detail=f"label is {picture.label!r}")
    if picture.length == 0:
        return picture._replace(reason=EMPTY, detail="no bytes")
    if picture.length <= MAX_FILE_BYTES:
        return picture
    return picture._replace(reason=TOO_LARGE, detail=f"{picture.length:,} bytes, more than {MAX_FILE_BYTES:,}")


def once_each(pictures: Sequence[Picture], what: str) -> None:
    """Refuse pictures that share a path.

    Raises
    ------
    AslsparkError
        Naming the first of them.
    """
    # By name too: what is masked in names is no part of what tells pictures apart.
    for times in (Counter(picture.path for picture in pictures), Counter(picture.name for picture in pictures)):
        if twice := next((path for path, count in times.items() if count > 1), None):
            raise AslsparkError(f"{what}: {twice!r} is there {times[twice]} times; each needs its own path")


def picture_splits(
    source: PictureSource, is_test: bool, options: SplitOptions, groups: Mapping[str, str], by_hash: str
) -> list[str]:
    """Choose the split of each usable picture.

    What the source's own folders or its manifest say stays: of 'train', whole parts may still be set aside for
    what no source gives; the caller has set those shares to 0 that a source does give.

    Parameters
    ----------
    source : PictureSource
    is_test : bool
    options : SplitOptions
    groups : mapping of str to str
        Split of each signer or source, for these kinds.
    by_hash : str
        What stands for a split that is decided later, row by row.
    """
    usable = source.usable
    if is_test:
        return [TEST] * len(usable)
    splits = [picture.split or TRAIN for picture in usable]
    open_places = [place for place, split in enumerate(splits) if split == TRAIN]
    if options.kind == "block":
        of_block = splits_of_blocks(options, source.name)
        runs: dict[str | None, list[int]] = {}
        for place in sorted(open_places, key=lambda place: (natural_key(usable[place].name), usable[place].name)):
            runs.setdefault(usable[place].label, []).append(place)
        for run in runs.values():
            for number, place in enumerate(run):
                splits[place] = of_block[number * len(of_block) // len(run)]
    elif options.kind == "random":
        for place in open_places:
            splits[place] = by_hash
    else:
        for place in open_places:
            key = usable[place].signer if options.kind == "signer" else source.name
            splits[place] = groups[key or ""]
    return splits
