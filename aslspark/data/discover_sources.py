"""What each source is: found, named and checked on the driver before any job starts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.data.files.hadoop_files import HadoopFiles
from aslspark.data.files.local_folders import as_text, is_special
from aslspark.data.path_contents import PathContents, inspect_path
from aslspark.data.pictures.archives import open_zip
from aslspark.data.pictures.files import open_folder, open_manifest, unnamed_pictures
from aslspark.data.pictures.listing import PictureSource
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.tables import holds_picture_files, open_picture_table
from aslspark.data.sample_frames import holds_samples
from aslspark.data.samples import TEST, TRAIN, VALIDATION
from aslspark.data.split_names import nearest_named, split_of_name
from aslspark.data.tables.labelled_tables import check_header
from aslspark.data.tables.pixel_layout import Layout


@dataclass
class OpenedSources:
    """Sources by what they are. A name is what the samples carry in `source`, except those in memory.

    Parameters
    ----------
    files : dict of str to str
        For each file, by its qualified path, the short name.
    uris : dict of str to str
        The same by URI.
    layouts : dict of str to Layout
        For each of their short names, which of its columns is what.
    pixel_frames, sample_frames : dict of str to DataFrame
        Tables in memory, under the names dataframe-1, dataframe-2 and so on.
    test, validation : set of str
        Names of those that are all test, or all validation.
    split_names : dict of str to str
        For each pixel table of which its name, or that of a folder between it and its source, says a split: what.
    remarks : list of str
        What was made of names that say test or validation, where a person might expect something else.
    pictures : dict of str to PictureSource
        Folders, manifests, zips and tables of picture files.
    passed_over : list of str
        Files in folders that are not pixel tables or pictures by their names.
    """

    files: dict[str, str] = field(default_factory=dict)
    uris: dict[str, str] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    pixel_frames: dict[str, DataFrame] = field(default_factory=dict)
    sample_frames: dict[str, DataFrame] = field(default_factory=dict)
    pictures: dict[str, PictureSource] = field(default_factory=dict)
    test: set[str] = field(default_factory=set)
    validation: set[str] = field(default_factory=set)
    split_names: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)

    @property
    def pixel_names(self) -> list[str]:
        """Short names of everything in pixel-table layout."""
        return [*self.files.values(), *self.pixel_frames]

    @property
    def names(self) -> list[str]:
        """Short names of everything."""
        return [*self.pixel_names, *self.sample_frames, *self.pictures]

    def giving(self, split: str) -> list[str]:
        """Names of the sources that say themselves that they, or some of their rows, belong to a split."""
        of_pictures = [
            name
            for name, source in self.pictures.items()
            if name not in self.test and any(picture.split == split for picture in source.usable)
        ]
        return sorted([*of_pictures, *(self.validation if split == VALIDATION else ())])

    @property
    def has_train(self) -> bool:
        """Whether there is anything to learn from, going by what was named or given as test and validation."""
        tables = {*self.pixel_names, *self.sample_frames} - self.test - self.validation
        return bool(tables) or any(
            picture.split in (None, TRAIN)
            for name, source in self.pictures.items()
            if name not in self.test
            for picture in source.usable
        )

    def named(self) -> list[str]:
        """List the names by which something was taken for validation or test, each with what it was taken for."""
        found = {(f"{name}", split) for name, split in self.split_names.items() if split != TRAIN}
        for name, source in self.pictures.items():
            if name not in self.test:
                of_source = {
                    (picture.split_name, str(picture.split)) for picture in source.usable if picture.split_name
                }
                found |= {(f"{name}: {folder}", split) for folder, split in of_source if split != TRAIN}
        return [f"{name} ({split})" for name, split in sorted(found)]


def open_sources(
    spark: SparkSession,
    sources: Sequence[str | DataFrame],
    test_sources: Sequence[str | DataFrame],
    out: str,
    options: PictureOptions,
) -> OpenedSources:
    """Find out what each source is, and refuse what cannot be read.

    Parameters
    ----------
    spark : SparkSession
    sources, test_sources : sequence of str or DataFrame
        Paths of pixel tables or of folders of them, of folders, manifests or zips of pictures; or tables in memory.
    out : str
        The folder to be written, which must not lie inside a source.
    options : PictureOptions

    Returns
    -------
    OpenedSources

    Raises
    ------
    AslsparkError
        Naming the source and what is wrong with it.
    """
    if not sources:
        raise AslsparkError("no source is named: name at least one pixel table, or a folder of tables or pictures")
    hadoop = HadoopFiles(spark)
    opened = OpenedSources()
    test_paths: set[str] = set()
    split_names: dict[str, str] = {}
    paths: list[str] = []
    of_pictures: dict[str, PictureSource] = {}
    both = [*((source, False) for source in sources), *((source, True) for source in test_sources)]
    for source, is_test in both:
        if isinstance(source, DataFrame):
            name = f"dataframe-{len(opened.pixel_frames) + len(opened.sample_frames) + len(opened.pictures) + 1}"
            if holds_picture_files(source):
                opened.pictures[name] = open_picture_table(source, name, options)
            else:
                kind = opened.sample_frames if holds_samples(source, name) else opened.pixel_frames
                kind[name] = source
            if is_test:
                opened.test.add(name)
            continue
        if hadoop.qualified(out).startswith(hadoop.qualified(source).rstrip("/") + "/"):
            raise AslsparkError(f"out {out} lies inside source {source}: choose a folder outside it")
        pictures, others = _pictures_at(spark, hadoop, source, options)
        opened.passed_over += others
        if pictures:
            opened.passed_over += [line for found in pictures.values() for line in found.passed_over]
            of_pictures |= pictures
            tables = list(pictures)
        else:
            tables, others = hadoop.tables_at(source)
            notes = set(inspect_path(hadoop, source).notes)
            # Where all are without a header, the first is refused with its first line.
            notes = notes if notes < set(tables) else set()
            tables = [table for table in tables if table not in notes]
            opened.passed_over += [*others, *(f"{as_text(note)}: no header of a pixel table" for note in sorted(notes))]
            if not is_test:
                split_names |= _named_tables(hadoop, source, tables)
        paths += tables
        if is_test:
            test_paths.update(tables)
    if twice := [path for path, times in Counter(paths).items() if times > 1]:
        raise AslsparkError(f"{as_text(twice[0])} is named twice among the sources and test sources: name it once")
    layouts = {path: check_header(hadoop, path) for path in paths if path not in of_pictures}
    names = dict(zip(paths, short_names([redact(as_text(path)) for path in paths]), strict=True))
    for path, name in names.items():
        if path in of_pictures:
            opened.pictures[name] = of_pictures[path]
            of_pictures[path].name = name
        else:
            opened.files[path] = name
            opened.layouts[name] = layouts[path]
    opened.uris = {hadoop.as_uri(path): name for path, name in opened.files.items()}
    opened.test |= {names[path] for path in test_paths}
    opened.split_names = {names[path]: split for path, split in split_names.items()}
    opened.test |= {name for name, split in opened.split_names.items() if split == TEST}
    opened.validation = {name for name, split in opened.split_names.items() if split == VALIDATION}
    _remark_names(opened, [source for source in sources if isinstance(source, str)])
    return opened


def _named_tables(hadoop: HadoopFiles, source: str, tables: Sequence[str]) -> dict[str, str]:
    """Find the splits that tables below a source, or below the fixed part of a pattern, are called by."""
    fixed = re.split(r"[*?\[{]", source)[0] if not hadoop.exists(source) else f"{source}/"
    base = f"{hadoop.qualified(fixed.rpartition('/')[0] or '.')}/"
    found = {}
    for table in tables:
        if table.startswith(base) and (name := nearest_named(table.removeprefix(base).split("/"))):
            found[table] = str(split_of_name(name))
    return found


def _remark_names(opened: OpenedSources, sources: Sequence[str]) -> None:
    """Go by the names of the sources as far as something is left to learn from, and say so where that is not as far."""
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
    # Sources that are named themselves are what they were named as, whatever they are called.
    called = {source: split_of_name(source.rstrip("/").rpartition("/")[2]) for source in sources}
    held_out = [source for source, split in called.items() if split in (TEST, VALIDATION)]
    if len(held_out) < len(sources) or opened.sample_frames or opened.pixel_frames:
        opened.remarks += [
            f"{redact(as_text(source))} is called {called[source]}, and is divided and learned from as the others are: "
            "give it as --test-source to test on it alone"
            for source in held_out
        ]


def _pictures_at(
    spark: SparkSession, hadoop: HadoopFiles, path: str, options: PictureOptions
) -> tuple[dict[str, PictureSource], list[str]]:
    """Open a path that holds pictures: sources by path, none where it holds pixel tables or nothing; and what is left.

    A folder with several manifests gives a source for each.
    """
    if not hadoop.exists(path) or is_special(hadoop.qualified(path)):
        return {}, []  # a pattern, or nothing that can be read
    path = hadoop.qualified(path).rstrip("/")
    found = inspect_path(hadoop, path)
    if found.zip:
        return {path: open_zip(spark, hadoop, path, options)}, []
    if found.parquet:
        raise AslsparkError(
            f"source {as_text(path)} is Parquet: read it with spark.read.parquet and give ingest the DataFrame, with "
            "path (string), content (binary, the file of a picture) and label; of Hugging Face's sets, image.bytes is "
            "the content"
        )
    if found.picture:
        raise AslsparkError(
            f"source {as_text(path)} is one picture: name a folder that holds a sub-folder for each label"
        )
    if found.manifests:
        return _opened_manifests(spark, hadoop, path, found, options)
    if found.tables or not hadoop.is_folder(path):
        return {}, []
    source = open_folder(spark, hadoop, path, options, {as_text(note).rpartition("/")[2] for note in found.notes})
    if source is None:
        return {}, []
    notes = [f"{as_text(note)}: neither a manifest nor a pixel table" for note in found.notes]
    return {path: source}, [*found.passed_over, *notes]


def _opened_manifests(
    spark: SparkSession, hadoop: HadoopFiles, path: str, found: PathContents, options: PictureOptions
) -> tuple[dict[str, PictureSource], list[str]]:
    """Open the manifests of a folder, or one that is named itself, and say what else the folder holds."""
    if not hadoop.is_folder(path):
        return {path: open_manifest(spark, hadoop, path, options)}, []
    several = len(found.manifests) > 1
    opened: dict[str, PictureSource] = {}
    passed: list[str] = []
    trouble: AslsparkError | None = None
    for manifest in found.manifests:
        try:
            name = manifest.rpartition("/")[2]
            opened[manifest if several else path] = open_manifest(spark, hadoop, manifest, options, name)
        except AslsparkError as error:
            trouble = trouble or error
            passed.append(f"{as_text(manifest)}: {error}")
    if trouble is not None and not opened:
        raise trouble
    passed += [
        f"{as_text(table)}: a pixel table beside a manifest: name it as a source of its own" for table in found.tables
    ]
    passed += [f"{as_text(note)}: neither a manifest nor a pixel table" for note in found.notes]
    passed += found.passed_over
    return opened, [*passed, *unnamed_pictures(spark, hadoop, path, opened.values())]


def short_names(paths: Sequence[str]) -> list[str]:
    """Name each path by its last parts: the file name, or more where two would share a name.

    Parameters
    ----------
    paths : sequence of str
        Masked: two that differ in their keys alone are told apart by a number.

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
