"""Paths and tables in memory -> what each source is, found out on the driver before any Spark job starts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.data.files.local_folders import as_text
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.files.stores import open_store
from aslspark.data.path_contents import PathContents, inspect_path
from aslspark.data.pictures.archives import open_zip
from aslspark.data.pictures.files import open_folder
from aslspark.data.pictures.listing import PictureSource
from aslspark.data.pictures.manifest_files import open_manifest, unnamed_pictures
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.tables import holds_picture_files, in_small_letters, open_picture_table
from aslspark.data.sample_frames import holds_samples, with_known_signers
from aslspark.data.samples import TEST, TRAIN, VALIDATION, read_parquet
from aslspark.data.split_names import nearest_named, split_of_name
from aslspark.data.tables.landmark_layout import names_landmarks
from aslspark.data.tables.table_lines import TableLayout, check_header


class NamedTable(NamedTuple):
    """A table of Spark's catalog, and its name."""

    name: str
    frame: DataFrame


@dataclass
class OpenedSources:
    """The sources of an ingest, by kind. Names are values of the samples' column `source`, except those in memory."""

    files: dict[str, str] = field(default_factory=dict)
    """Short names of tables of pixels or landmarks in files, by qualified path."""
    uris: dict[str, str] = field(default_factory=dict)
    """The same by URI."""
    layouts: dict[str, TableLayout] = field(default_factory=dict)
    """Layouts of their columns, by short name."""
    pixel_frames: dict[str, DataFrame] = field(default_factory=dict)
    sample_frames: dict[str, DataFrame] = field(default_factory=dict)
    """Tables under their names; those in memory are called dataframe-1, dataframe-2 and so on."""
    pictures: dict[str, PictureSource] = field(default_factory=dict)
    """Folders, manifests, zips and tables of picture files."""
    test: set[str] = field(default_factory=set)
    validation: set[str] = field(default_factory=set)
    """Names of sources that are test, or validation, as a whole."""
    split_names: dict[str, str] = field(default_factory=dict)
    """For pixel tables whose name, or that of a folder below the source, says a split: that split."""
    remarks: list[str] = field(default_factory=list)
    """Notes on names that say test or validation and are not followed."""
    passed_over: list[str] = field(default_factory=list)
    """Lines about files that are neither pixel tables nor pictures by their names."""

    @property
    def pixel_names(self) -> list[str]:
        """Short names of everything in pixel-table layout."""
        return [*self.files.values(), *self.pixel_frames]

    @property
    def names(self) -> list[str]:
        """Short names of everything."""
        return [*self.pixel_names, *self.sample_frames, *self.pictures]

    def giving(self, split: str) -> list[str]:
        """Return the names of the sources that assign rows to a split themselves."""
        of_pictures = [
            name
            for name, source in self.pictures.items()
            if name not in self.test and any(picture.split == split for picture in source.usable)
        ]
        return sorted([*of_pictures, *(self.validation if split == VALIDATION else ())])

    @property
    def has_train(self) -> bool:
        """Whether any rows are left for training."""
        tables = {*self.pixel_names, *self.sample_frames} - self.test - self.validation
        return bool(tables) or any(
            picture.split in (None, TRAIN)
            for name, source in self.pictures.items()
            if name not in self.test
            for picture in source.usable
        )

    def named(self) -> list[str]:
        """List the files and folders that were taken for validation or test by their names, each with its split."""
        taken = {(f"{name}", split) for name, split in self.split_names.items() if split != TRAIN}
        for name, source in self.pictures.items():
            if name not in self.test:
                of_source = {
                    (picture.split_name, str(picture.split)) for picture in source.usable if picture.split_name
                }
                taken |= {(f"{name}: {folder}", split) for folder, split in of_source if split != TRAIN}
        return [f"{name} ({split})" for name, split in sorted(taken)]


def open_sources(
    spark: SparkSession,
    sources: Sequence[str | DataFrame | NamedTable],
    test_sources: Sequence[str | DataFrame | NamedTable],
    out: str,
    options: PictureOptions,
) -> OpenedSources:
    """Find out what each source is, and refuse what cannot be read.

    Parameters
    ----------
    sources, test_sources : sequence of str, DataFrame or NamedTable
        Paths of pixel tables or of folders of them, of folders, manifests or zips of pictures; or tables.
    out : str
        The folder to be written; it must not lie inside a source.

    Raises
    ------
    AslsparkError
        Naming the source and what is wrong with it.
    """
    if not (sources or test_sources):
        raise AslsparkError("no source is named: name at least one pixel table, or a folder of tables or pictures")
    store = open_store(spark)
    opened, found = OpenedSources(), _Paths()
    for source, is_test in [*((source, False) for source in sources), *((source, True) for source in test_sources)]:
        if isinstance(source, NamedTable):
            _open_frame(opened, source.frame, is_test, options, source.name)
            continue
        if isinstance(source, DataFrame):
            _open_frame(opened, source, is_test, options)
            continue
        if store.qualified(out).startswith(store.qualified(source).rstrip("/") + "/"):
            raise AslsparkError(f"out {out} lies inside source {source}: choose a folder outside it")
        if (frame := landmark_parquet(spark, store, source)) is not None:
            _open_frame(opened, frame, is_test, options)
            continue
        opened.passed_over += _open_path(spark, store, source, is_test, options, found)
    _name_paths(store, opened, found)
    _note_split_names(opened, [source for source in sources if isinstance(source, str)])
    return opened


@dataclass
class _Paths:
    """What the paths of sources hold, before each has its short name."""

    all: list[str] = field(default_factory=list)
    """Qualified paths of pixel tables and of sources of pictures, in the order of the sources."""
    pictures: dict[str, PictureSource] = field(default_factory=dict)
    """Those of pictures."""
    test: set[str] = field(default_factory=set)
    """Those that are given as test."""
    split_names: dict[str, str] = field(default_factory=dict)
    """The split that a table's name, or that of a folder above it, says."""


def _open_frame(
    opened: OpenedSources, frame: DataFrame, is_test: bool, options: PictureOptions, name: str = ""
) -> None:
    """Add a table; one in memory has no name of its own."""
    name = name or f"dataframe-{len(opened.pixel_frames) + len(opened.sample_frames) + len(opened.pictures) + 1}"
    if name in opened.names:
        raise AslsparkError(f"{name} is named twice among the sources and test sources: name it once")
    if holds_picture_files(frame := in_small_letters(frame)):
        opened.pictures[name] = open_picture_table(frame, name, options)
    elif holds_samples(frame, name):
        opened.sample_frames[name] = with_known_signers(frame)
    else:
        opened.pixel_frames[name] = frame
    if is_test:
        opened.test.add(name)


def _open_path(
    spark: SparkSession, store: StoreFiles, source: str, is_test: bool, options: PictureOptions, found: _Paths
) -> list[str]:
    """Add what lies at a path, and return lines about what is passed over."""
    path = store.qualified(source).rstrip("/")
    contents = inspect_path(store, path)
    pictures, passed = _open_pictures(spark, store, path, contents, options)
    if pictures:
        passed += [line for picture_source in pictures.values() for line in picture_source.passed_over]
        found.pictures |= pictures
        paths = list(pictures)
    else:
        paths, others = store.tables_at(source)
        # Where no table has a header of pixels, the first is refused with its first line.
        notes = set(contents.notes) if set(contents.notes) < set(paths) else set()
        paths = [table for table in paths if table not in notes]
        passed += [*others, *(f"{as_text(note)}: no header of a pixel table" for note in sorted(notes))]
        if not is_test:
            found.split_names |= _named_tables(store, source, paths)
    found.all += paths
    if is_test:
        found.test.update(paths)
    return passed


def _name_paths(store: StoreFiles, opened: OpenedSources, found: _Paths) -> None:
    """Give each path its short name, read the headers of the tables, and note which sources are test or validation."""
    if twice := [path for path, times in Counter(found.all).items() if times > 1]:
        raise AslsparkError(f"{as_text(twice[0])} is named twice among the sources and test sources: name it once")
    layouts = {path: check_header(store, path) for path in found.all if path not in found.pictures}
    names = dict(zip(found.all, short_names([redact(as_text(path)) for path in found.all]), strict=True))
    if taken := sorted(set(opened.names) & set(names.values())):
        raise AslsparkError(f"{taken[0]} is the name of two sources: give the table as table:SCHEMA.{taken[0]}")
    for path, name in names.items():
        if path in found.pictures:
            opened.pictures[name] = found.pictures[path]
            found.pictures[path].name = name
        else:
            opened.files[path] = name
            opened.layouts[name] = layouts[path]
    opened.uris = {store.as_uri(path): name for path, name in opened.files.items()}
    opened.test |= {names[path] for path in found.test}
    opened.split_names = {names[path]: split for path, split in found.split_names.items()}
    opened.test |= {name for name, split in opened.split_names.items() if split == TEST}
    opened.validation = {name for name, split in opened.split_names.items() if split == VALIDATION}


def _named_tables(store: StoreFiles, source: str, tables: Sequence[str]) -> dict[str, str]:
    """Find the splits that the names of tables and folders say, below a source or the fixed part of a pattern."""
    fixed = re.split(r"[*?\[{]", source)[0] if not store.exists(source) else f"{source}/"
    base = f"{store.qualified(fixed.rpartition('/')[0] or '.')}/"
    splits = {}
    for table in tables:
        if table.startswith(base) and (name := nearest_named(table.removeprefix(base).split("/"))):
            splits[table] = str(split_of_name(name))
    return splits


def _note_split_names(opened: OpenedSources, sources: Sequence[str]) -> None:
    """Ignore splits in names where they would leave nothing for training; note each name that is not followed."""
    if not opened.has_train and (named := opened.named()):
        opened.remarks.append(
            f"nothing would be left to learn from if names were gone by ({', '.join(named[:3])}): these rows are "
            "divided as split.* says; give them as --test-source to test on them alone"
        )
        opened.test -= opened.split_names.keys()
        opened.validation.clear()
        opened.split_names.clear()
        for source in opened.pictures.values():
            source.pictures = [
                picture._replace(split=None, split_name="") if picture.split_name else picture
                for picture in source.pictures
            ]
        return
    # A source that is given by name is what it is given as, whatever its name says.
    split_of = {source: split_of_name(source.rstrip("/").rpartition("/")[2]) for source in sources}
    held_out = [source for source, split in split_of.items() if split in (TEST, VALIDATION)]
    if len(held_out) < len(sources) or opened.sample_frames or opened.pixel_frames:
        opened.remarks += [
            f"{redact(as_text(source))} is called {split_of[source]}, and is divided and learned from as the others "
            "are: give it as --test-source to test on it alone"
            for source in held_out
        ]


def _open_pictures(
    spark: SparkSession, store: StoreFiles, path: str, contents: PathContents, options: PictureOptions
) -> tuple[dict[str, PictureSource], list[str]]:
    """Open the pictures at a path.

    Returns
    -------
    dict of str to PictureSource
        By path, one for each manifest of a folder; empty where the path holds pixel tables or nothing.
    list of str
        Lines about what is passed over.
    """
    if contents.zip:
        return {path: open_zip(spark, store, path, options)}, []
    if contents.parquet:
        raise AslsparkError(
            f"source {as_text(path)} is Parquet: read it with spark.read.parquet and give ingest the DataFrame, with "
            "path (string), content (binary, the file of a picture) and label; of Hugging Face's sets, image.bytes is "
            "the content"
        )
    if contents.picture:
        raise AslsparkError(
            f"source {as_text(path)} is one picture: name a folder that holds a sub-folder for each label"
        )
    if contents.manifests:
        return _open_manifests(spark, store, path, contents, options)
    if contents.tables or not store.is_folder(path):
        return {}, []
    source = open_folder(spark, store, path, options, {as_text(note).rpartition("/")[2] for note in contents.notes})
    if source is None:
        return {}, []
    notes = [f"{as_text(note)}: neither a manifest nor a pixel table" for note in contents.notes]
    return {path: source}, [*contents.passed_over, *notes]


def _open_manifests(
    spark: SparkSession, store: StoreFiles, path: str, contents: PathContents, options: PictureOptions
) -> tuple[dict[str, PictureSource], list[str]]:
    """Open a manifest, or all those of a folder; see `_open_pictures`."""
    if not store.is_folder(path):
        return {path: open_manifest(spark, store, path, options)}, []
    several = len(contents.manifests) > 1
    opened: dict[str, PictureSource] = {}
    passed: list[str] = []
    first_error: AslsparkError | None = None
    for manifest in contents.manifests:
        try:
            name = manifest.rpartition("/")[2]
            opened[manifest if several else path] = open_manifest(spark, store, manifest, options, name)
        except AslsparkError as error:
            first_error = first_error or error
            passed.append(f"{as_text(manifest)}: {error}")
    if first_error is not None and not opened:
        raise first_error
    passed += [
        f"{as_text(table)}: a pixel table beside a manifest: name it as a source of its own"
        for table in contents.tables
    ]
    passed += [f"{as_text(note)}: neither a manifest nor a pixel table" for note in contents.notes]
    passed += contents.passed_over
    return opened, [*passed, *unnamed_pictures(spark, store, path, opened.values())]


def landmark_parquet(spark: SparkSession, store: StoreFiles, path: str) -> DataFrame | None:
    """Read a Parquet file, or a folder of them, whose columns are those of landmarks; None for what is another."""
    if not inspect_path(store, store.qualified(path).rstrip("/")).parquet:
        return None
    try:
        frame = read_parquet(spark, path)
        return frame if names_landmarks(frame.columns) else None
    except AslsparkError:
        raise
    except Exception:  # no Parquet within, whatever it is called: whoever reads it next says so
        return None


def short_names(paths: Sequence[str]) -> list[str]:
    """Name each path by its last parts: the file name, or more where two would have the same name.

    Parameters
    ----------
    paths : sequence of str
        Redacted; two that differ in a secret alone are numbered.

    Returns
    -------
    list of str
        In the order of the paths, all different.
    """
    parts = [path.split("/") for path in paths]
    depth = [1] * len(paths)
    while True:
        names = ["/".join(part[-n:]) for part, n in zip(parts, depth, strict=True)]
        times = Counter(names)
        if len(times) == len(names):
            return names
        if all(n >= len(part) for n, part, name in zip(depth, parts, names, strict=True) if times[name] > 1):
            numbered = ((name, names[: place + 1].count(name)) for place, name in enumerate(names))
            return [f"{name} ({number})" if times[name] > 1 else name for name, number in numbered]
        depth = [n + (times[name] > 1) for n, name in zip(depth, names, strict=True)]
