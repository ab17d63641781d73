"""What each source is: found, named and checked on the driver before any job starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from aslspark.errors import AslsparkError
from aslspark.sources.hadoop_files import HadoopFiles
from aslspark.sources.pixel_tables import check_header
from aslspark.sources.sample_frames import holds_samples


@dataclass
class OpenedSources:
    """Sources by what they are. A name is what the samples carry in `source`, except those in memory.

    Parameters
    ----------
    files : dict of str to str
        For each file, by its qualified path, the short name.
    uris : dict of str to str
        The same by URI.
    pixel_frames, sample_frames : dict of str to DataFrame
        Tables in memory, under the names dataframe-1, dataframe-2 and so on.
    test : set of str
        Names of those that are all test.
    passed_over : list of str
        Files in folders that are not pixel tables by their names.
    """

    files: dict[str, str] = field(default_factory=dict)
    uris: dict[str, str] = field(default_factory=dict)
    pixel_frames: dict[str, DataFrame] = field(default_factory=dict)
    sample_frames: dict[str, DataFrame] = field(default_factory=dict)
    test: set[str] = field(default_factory=set)
    passed_over: list[str] = field(default_factory=list)

    @property
    def pixel_names(self) -> list[str]:
        """Short names of everything in pixel-table layout."""
        return [*self.files.values(), *self.pixel_frames]


def open_sources(
    hadoop: HadoopFiles,
    sources: Sequence[str | DataFrame],
    test_sources: Sequence[str | DataFrame],
    out: str,
) -> OpenedSources:
    """Find out what each source is, and refuse what cannot be read.

    Parameters
    ----------
    hadoop : HadoopFiles
    sources, test_sources : sequence of str or DataFrame
        Paths of pixel tables or of folders of them, or tables in memory.
    out : str
        The folder to be written, which must not lie inside a source.

    Returns
    -------
    OpenedSources

    Raises
    ------
    AslsparkError
        Naming the source and what is wrong with it.
    """
    if not sources:
        raise AslsparkError("no source is named: name at least one pixel table, or a folder of them")
    opened = OpenedSources()
    test_paths: set[str] = set()
    paths: list[str] = []
    both = [*((source, False) for source in sources), *((source, True) for source in test_sources)]
    for source, is_test in both:
        # What a source is decides who reads it; pictures in folders would be one more branch.
        if isinstance(source, DataFrame):
            name = f"dataframe-{len(opened.pixel_frames) + len(opened.sample_frames) + 1}"
            kind = opened.sample_frames if holds_samples(source, name) else opened.pixel_frames
            kind[name] = source
            if is_test:
                opened.test.add(name)
            continue
        if hadoop.qualified(out).startswith(hadoop.qualified(source).rstrip("/") + "/"):
            raise AslsparkError(f"out {out} lies inside source {source}: choose a folder outside it")
        tables, others = hadoop.tables_at(source)
        paths += tables
        opened.passed_over += others
        if is_test:
            test_paths.update(tables)
    if twice := [path for path, times in Counter(paths).items() if times > 1]:
        raise AslsparkError(f"{twice[0]} is named twice among the sources and test sources: name it once")
    for path in paths:
        check_header(hadoop, path)
    opened.files = dict(zip(paths, short_names(paths), strict=True))
    opened.uris = {hadoop.as_uri(path): name for path, name in opened.files.items()}
    opened.test |= {opened.files[path] for path in test_paths}
    return opened


def short_names(paths: Sequence[str]) -> list[str]:
    """Name each path by its last parts: the file name, or more where two would share a name.

    Parameters
    ----------
    paths : sequence of str
        All different.

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
        depth = [n + (times[name] > 1) for n, name in zip(depth, names, strict=True)]
