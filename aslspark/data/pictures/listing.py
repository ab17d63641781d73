"""Listed files -> pictures with labels, signers and splits, before any is read.

In: paths and lengths. Out: a `Picture` for each file that ingest keeps or quarantines.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pyspark.sql import DataFrame

from aslspark.common.counted import counted
from aslspark.common.labels import nearest_label
from aslspark.data.files.local_folders import as_text
from aslspark.data.files.natural_order import natural_key
from aslspark.data.pictures.manifest import ManifestRow
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.samples import TEST, TRAIN
from aslspark.data.split_names import nearest_named, split_of_name
from aslspark.data.splits import SplitOptions, splits_of_blocks
from aslspark.data.tables.pixel_layout import EMPTY, UNKNOWN_LABEL
from aslspark.images.endings import (
    PICTURE_ENDINGS,
    UNREAD_FORMAT,
    UNREAD_FORMAT_DETAIL,
    is_picture_name,
    is_unread_format,
)
from aslspark.images.local_file import MAX_FILE_BYTES, TOO_LARGE

_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z][A-Za-z0-9+.-]*:")

UNKNOWN_SPLIT = "unknown split"
NOT_ASKED_FOR = "label not asked for"
TWICE = "named twice"
DEPTH = "depth picture"


class ListedFile(NamedTuple):
    """A listed file."""

    path: str
    """As in the table with its bytes."""
    name: str
    """Relative to the folder of its source."""
    length: int
    """In bytes."""
    file: bytes | None = None
    """Of a local file: its path in bytes, which may not be UTF-8."""
    reason: str | None = None
    detail: str = ""
    """Why it cannot be read, where that is known already."""


class Picture(NamedTuple):
    """A picture that is not yet read."""

    path: str
    """As in the table with its bytes."""
    name: str
    """Relative to its source."""
    length: int
    label: str | None = None
    signer: str | None = None
    split: str | None = None
    """Given by the source; else None."""
    row: int | None = None
    """Its number in the manifest, from 1."""
    reason: str | None = None
    """Why it cannot be used, where that is known already."""
    detail: str = ""
    split_name: str = ""
    """The folder or file whose name says `split`; empty where a row or column does."""


@dataclass
class PictureSource:
    """A source of pictures in files."""

    name: str
    """The value of the samples' column `source`."""
    pictures: list[Picture]
    contents: Callable[[str], DataFrame]
    """Returns the table of their bytes: path (string), and content (binary), image (Spark's image struct) or file
    (binary, a local path). With the same folder it may be called again."""
    lost: tuple[str, str] | None = None
    """Reason and detail for pictures that are missing in `contents`; None where none can be."""
    passed_over: list[str] = field(default_factory=list)
    """Lines about what is in its folder and is no picture with a label."""
    local: Mapping[str, ListedFile] | None = None
    """By path, the files of the usable pictures, where all are local and Python opens them; else None."""

    @property
    def usable(self) -> list[Picture]:
        """The pictures to be read."""
        return [picture for picture in self.pictures if picture.reason is None]


def unread_reason(file: ListedFile) -> tuple[str, str] | None:
    """Return why a file is not to be read, as reason and detail; None where it is to be read."""
    if file.reason is not None:
        return file.reason, file.detail
    if is_unread_format(file.name):
        return UNREAD_FORMAT, UNREAD_FORMAT_DETAIL
    if file.length == 0:
        return EMPTY, "no bytes"
    if file.length > MAX_FILE_BYTES:
        return TOO_LARGE, f"{file.length:,} bytes, more than {MAX_FILE_BYTES:,}"
    return None


def labelled_by_folder(files: Iterable[ListedFile], options: PictureOptions) -> tuple[list[Picture], list[str]]:
    """Label pictures by the names of their folders.

    Returns
    -------
    list of Picture
        Those with a label: that of the innermost folder whose name is one.
    list of str
        What was passed over: a line for each folder whose name is no label, and one for files with other endings.
    """
    pictures: list[Picture] = []
    folders: Counter[str] = Counter()
    others: list[str] = []
    files = list(files)
    colour_shots = {_shot(file.name) for file in files if is_picture_name(file.name) and not _is_depth(file.name)}
    for listed in files:
        *above, file = listed.name.split("/")
        if not is_picture_name(file):
            others.append(listed.name)
            continue
        label = nearest_label(above, options.label_of)
        if label is None:
            folders["/".join(above) or "."] += 1
            continue
        picture = Picture(listed.path, listed.name, listed.length, label, options.signer_of(listed.name))
        picture = _checked(picture, listed, options)
        if picture.reason is None and _is_depth(listed.name) and _shot(listed.name) in colour_shots:
            picture = picture._replace(reason=DEPTH, detail=DEPTH_DETAIL)
        pictures.append(picture)
    passed = [
        f"{folder}: {counted(count, 'picture')}, the name is no label" for folder, count in sorted(folders.items())
    ]
    if others:
        passed.append(
            f"{counted(len(others), 'file that does not end', 'files that do not end')} in "
            f"{', '.join(PICTURE_ENDINGS)}, such as {min(others)}"
        )
    return with_named_splits(pictures, options), passed


def with_named_splits(pictures: Sequence[Picture], options: PictureOptions, manifest: str = "") -> list[Picture]:
    """Give pictures the splits that the names of their folders say, where their rows give none.

    The folder nearest to that of the label decides; those above the label's folder come before those below. Where no
    folder says a split and the name of every file does, the file names decide.

    Parameters
    ----------
    pictures : sequence of Picture
        All of one source. Folders that all absolute paths share are taken to lie above the source.
    manifest : str
        The name of their manifest, which decides last.
    """
    by_folders = _by_folders(pictures, options)
    pictures = [given if given.split else named for given, named in zip(pictures, by_folders, strict=True)]
    if (split := split_of_name(manifest)) is None:
        return list(pictures)
    return [picture if picture.split else picture._replace(split=split, split_name=manifest) for picture in pictures]


def _by_folders(pictures: Sequence[Picture], options: PictureOptions) -> list[Picture]:
    parts = [tuple(re.split(r"[/\\]", picture.name)) for picture in pictures]
    absolute = [_ABSOLUTE.match(picture.name) is not None for picture in pictures]
    shared = len(posixpath.commonprefix([part[:-1] for part, is_one in zip(parts, absolute, strict=True) if is_one]))
    below = [part[shared:] if is_one else part for part, is_one in zip(parts, absolute, strict=True)]
    names = [_deciding_folder(part[:-1], options) for part in below]
    if pictures and not any(names) and all(split_of_name(part[-1]) for part in below):
        names = [part[-1] for part in below]
    return [
        picture._replace(split=split_of_name(name), split_name=name) if name else picture
        for picture, name in zip(pictures, names, strict=True)
    ]


def _deciding_folder(folders: Sequence[str], options: PictureOptions) -> str | None:
    labels = [place for place, folder in enumerate(folders) if options.label_of(folder) is not None]
    above = folders[: max(labels, default=len(folders))]
    return nearest_named([folder for place, folder in enumerate(above) if place not in labels]) or nearest_named(
        folders[len(above) + 1 :]
    )


DEPTH_DETAIL = (
    "a picture of distances beside the same in colour; to learn from it as a grey picture, give it a folder of its own"
)
_COLOUR_WORDS = frozenset({"color", "colour", "rgb", "image", "img"})


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+|\d+", name.lower().rpartition(".")[0])


def _is_depth(name: str) -> bool:
    return "depth" in _words(name)


def _shot(name: str) -> tuple[str, ...]:
    """Return a name's words but those for colour and depth: color_0_0001.png and depth_0_0001.png are one shot."""
    return tuple(word for word in _words(name) if word != "depth" and word not in _COLOUR_WORDS)


def labelled_by_row(file: ListedFile, row: ManifestRow, options: PictureOptions) -> Picture:
    """Make a picture with the label, split and signer of its row in a manifest, or with the reason why not."""
    return labelled_as(file, row.label, row.split, as_text(row.signer) or None, options, row.number)


def labelled_as(
    file: ListedFile,
    label: str | None,
    split: str | None,
    signer: str | None,
    options: PictureOptions,
    row: int | None = None,
) -> Picture:
    """Make a picture with the label, split and signer that a table gives it, or with the reason why not."""
    split, signer = ((value or "").strip() or None for value in (split, signer))
    picture = Picture(file.path, file.name, file.length, signer=signer, row=row)
    known_label = options.label_of(label or "")
    if known_label is None:
        return picture._replace(reason=UNKNOWN_LABEL, detail=f"label is {label!r}")
    known_split = split_of_name(split) if split else None
    if split and known_split is None:
        return picture._replace(reason=UNKNOWN_SPLIT, detail=f"split is {split!r}")
    if signer is None:
        signer = options.signer_of(file.name)
    return _checked(picture._replace(label=known_label, split=known_split, signer=signer), file, options)


def _checked(picture: Picture, listed: ListedFile, options: PictureOptions) -> Picture:
    """Give a reason to a picture whose label is not to be kept, or whose file is not to be read."""
    if picture.label is not None and not options.is_wanted(picture.label):
        return picture._replace(reason=NOT_ASKED_FOR, detail=f"label is {picture.label!r}")
    if unread := unread_reason(listed):
        return picture._replace(reason=unread[0], detail=unread[1])
    return picture


def once_each(pictures: Iterable[Picture]) -> list[Picture]:
    """Give the reason TWICE to pictures with the path or name of an earlier usable one."""
    # By name too, since two paths may have the same redacted name.
    first: dict[str, Picture] = {}
    marked = []
    for picture in pictures:
        if picture.reason is None:
            keys = (f"path {picture.path}", f"name {picture.name}")
            earlier = next((first[key] for key in keys if key in first), None)
            if earlier is None:
                first.update(dict.fromkeys(keys, picture))
            else:
                where = "an earlier one" if earlier.row is None else f"row {earlier.row}"
                other = "" if earlier.label == picture.label else f", as {earlier.label}"
                picture = picture._replace(reason=TWICE, detail=f"{where} is the same picture{other}")
        marked.append(picture)
    return marked


def picture_splits(
    source: PictureSource, is_test: bool, options: SplitOptions, groups: Mapping[str, str], by_hash: str
) -> list[str]:
    """Choose the split of each usable picture.

    Splits that the source gives stay; only rows with 'train' or none are split further. For a split that some source
    gives, `options` have a fraction of 0.

    Parameters
    ----------
    groups : mapping of str to str
        Split of each signer or source, for kinds 'signer' and 'source'.
    by_hash : str
        Stands for a split that is decided later, row by row.
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
