"""A path in an object store, with what this package uses of `pathlib.Path`; and the one place that knows such stores.

In: ``s3://``, ``s3a://``, ``gs://``, ``abfss://`` and ``hdfs://``, as Spark writes them. Out: the same files through
pyarrow, without a JVM. Keys come from the environment, or from Spark's settings on the driver. A service that reads
local bundles loads neither pyarrow nor Spark with this module.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from aslspark.common.errors import AslsparkError
from aslspark.common.paths import is_remote, local_path

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ARROW_SCHEMES = {"s3a": "s3", "s3n": "s3"}
"""Spark's names of stores that pyarrow calls otherwise."""
_IN_SPARK = {
    "AWS_ACCESS_KEY_ID": "spark.hadoop.fs.s3a.access.key",
    "AWS_SECRET_ACCESS_KEY": "spark.hadoop.fs.s3a.secret.key",
    "AWS_SESSION_TOKEN": "spark.hadoop.fs.s3a.session.token",
    "AWS_ENDPOINT_URL": "spark.hadoop.fs.s3a.endpoint",
    "AWS_REGION": "spark.hadoop.fs.s3a.endpoint.region",
}
"""Environment variables, as AWS' own tools know them, and the settings of Spark's that mean the same."""
_MOST_COMPARED = 32 << 20
"""Bytes of the file by which a copy is known."""
_FILES_AT_ONCE = 8
_REQUEST_SECONDS = 20.0
_TRIES = 6
"""Of a request that the store refuses for now, or whose connection breaks; they take half a minute at most."""


def any_path(path: str | Path | StorePath, environment: Mapping[str, str] | None = None) -> Path | StorePath:
    """Return a path as Python opens it, mounted or in a store.

    Parameters
    ----------
    path : str
        As Spark writes it.
    environment : mapping, optional
        Environment variables that hold the store's keys; by default those of `store_environment`.

    Raises
    ------
    AslsparkError
        For a store that pyarrow does not know.
    """
    if isinstance(path, StorePath):
        return path
    return StorePath(str(path), environment) if is_remote(path) else Path(local_path(str(path)))


def store_environment() -> dict[str, str]:
    """Return the environment variables that open stores: this process's, and on the driver what Spark's settings say.

    The workers of a fit and the tasks that start them are handed these.
    """
    known = {name: os.environ[name] for name in (*_IN_SPARK, "AWS_DEFAULT_REGION") if os.environ.get(name)}
    session = _session()
    if session is not None:
        for name, setting in _IN_SPARK.items():
            if value := session.conf.get(setting, None):
                known[name] = value
        endpoint, uses_tls = known.get("AWS_ENDPOINT_URL", ""), "spark.hadoop.fs.s3a.connection.ssl.enabled"
        if endpoint and "://" not in endpoint:
            scheme = "http" if session.conf.get(uses_tls, "true") == "false" else "https"
            known["AWS_ENDPOINT_URL"] = f"{scheme}://{endpoint}"
    return known


def _session() -> SparkSession | None:
    if "pyspark.sql" not in sys.modules:  # nobody can have started one
        return None
    from aslspark.common.spark_session import running_session

    return running_session()


def file_system(uri: str, environment: Mapping[str, str]) -> tuple[Any, str]:
    """Return pyarrow's file system of a URI, and the path in it; `environment` is what `store_environment` gives.

    Raises
    ------
    AslsparkError
        Where pyarrow does not know the store.
    """
    from pyarrow import ArrowInvalid

    scheme, _, rest = uri.partition("://")
    scheme = _ARROW_SCHEMES.get(scheme, scheme)
    try:
        system = _opened(scheme, rest.partition("/")[0], tuple(sorted(environment.items())))
    except (ArrowInvalid, OSError, NotImplementedError) as error:
        raise AslsparkError(
            f"path {uri} cannot be opened: {error}; give one that pyarrow.fs.FileSystem.from_uri takes, or a "
            "folder that is mounted"
        ) from error
    return system, rest.strip("/")


@lru_cache(maxsize=64)
def _opened(scheme: str, bucket: str, known: tuple[tuple[str, str], ...]) -> Any:
    from pyarrow import fs

    if scheme != "s3":
        return fs.FileSystem.from_uri(f"{scheme}://{bucket}/")[0]
    about = dict(known)
    options: dict[str, Any] = {
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES),
        "request_timeout": _REQUEST_SECONDS,
        "connect_timeout": _REQUEST_SECONDS,
    }
    if "allow_delayed_open" in (fs.S3FileSystem.__doc__ or ""):  # not in the pyarrow that Spark 3.5 takes
        options["allow_delayed_open"] = True  # a small file is one request, and not three
    if "AWS_ACCESS_KEY_ID" in about:  # else the provider chain of AWS looks, in files and roles too
        options |= {"access_key": about["AWS_ACCESS_KEY_ID"], "secret_key": about.get("AWS_SECRET_ACCESS_KEY")}
        options["session_token"] = about.get("AWS_SESSION_TOKEN")
    region = about.get("AWS_REGION") or about.get("AWS_DEFAULT_REGION")
    if endpoint := about.get("AWS_ENDPOINT_URL"):
        protocol, _, host = endpoint.partition("://")
        options |= {"scheme": protocol, "endpoint_override": host.rstrip("/"), "region": region or "us-east-1"}
    else:
        options["region"] = region or fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(**options)


class StorePath:
    """A path in a store that is not mounted; its methods do what those of `pathlib.Path` do.

    A store has no folders: one is there as long as a file is below it. A file is written whole or not at all.

    Parameters
    ----------
    uri : str
        With its scheme.
    environment : mapping, optional
        Environment variables that hold the store's keys; by default what `store_environment` gives.
    """

    def __init__(self, uri: str, environment: Mapping[str, str] | None = None) -> None:
        scheme, _, rest = uri.partition("://")
        self._uri = f"{scheme}://{re.sub('/+', '/', rest).rstrip('/')}"
        self._environment = store_environment() if environment is None else environment

    def __str__(self) -> str:
        return self._uri

    def __repr__(self) -> str:
        return f"StorePath({self._uri!r})"

    def __truediv__(self, name: str) -> StorePath:
        return StorePath(f"{self._uri}/{name}", self._environment)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorePath) and other._uri == self._uri

    def __hash__(self) -> int:
        return hash(self._uri)

    @property
    def name(self) -> str:
        return self._uri.rsplit("/", 1)[-1]

    @property
    def parent(self) -> StorePath:
        return StorePath(self._uri.rsplit("/", 1)[0], self._environment)

    def with_name(self, name: str) -> StorePath:
        return self.parent / name

    def absolute(self) -> StorePath:
        return self

    def exists(self) -> bool:
        return self._kind() != "NotFound"

    def is_dir(self) -> bool:
        return self._kind() == "Directory"

    def is_file(self) -> bool:
        return self._kind() == "File"

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing where the store has no folders."""
        system, inside = self._at()
        if system.type_name == "hdfs":
            system.create_dir(inside, recursive=parents)

    def iterdir(self) -> Iterator[StorePath]:
        """Yield what lies directly in the folder; nothing, where there is none."""
        yield from (self / name for name in sorted(info.base_name for info in self._below(recursive=False)))

    def files(self) -> list[tuple[str, int]]:
        """List every file below the folder, sorted: its path from here, and its bytes."""
        start = len(self._at()[1]) + 1
        return sorted((info.path[start:], info.size) for info in self._below(recursive=True) if info.is_file)

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open the file for reading, where a seek costs no reading of what lies between."""
        assert mode == "rb"
        system, inside = self._at()
        return cast(BinaryIO, system.open_input_file(inside))

    def read_bytes(self) -> bytes:
        with self.open() as file:
            return file.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes | memoryview) -> int:
        """Write the file; it appears when all of it has arrived, in place of an earlier one."""
        system, inside = self._at()
        stream = system.open_output_stream(inside)
        # Not as a context manager, which would close it, and so store half a file, when writing fails.
        stream.write(content)
        stream.close()
        return len(content)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        return self.write_bytes(text.encode(encoding))

    def unlink(self, missing_ok: bool = False) -> None:
        system, inside = self._at()
        try:
            system.delete_file(inside)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rename(self, target: StorePath) -> None:
        """Copy the folder's files within the store, and then remove them here: others may see half of them."""
        system, inside = self._at()
        _at_once(
            lambda name: system.copy_file(f"{inside}/{name}", f"{target._at()[1]}/{name}"),
            [name for name, _ in self.files()],
        )
        self.remove_tree()

    def remove_tree(self) -> None:
        """Remove the file or folder and all below it, if there is one."""
        system, inside = self._at()
        kind = self._kind()
        if kind == "Directory":
            system.delete_dir(inside)
        elif kind == "File":
            system.delete_file(inside)

    def copy_from(self, folder: Path, last: Iterable[str] = ()) -> None:
        """Copy a local folder to here; the files named `last`, by which readers know the whole, at the end."""
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        ending = [name for name in last if name in names]

        def copy(name: str) -> None:
            (self / name).write_bytes((folder / name).read_bytes())

        _at_once(copy, [name for name in names if name not in ending])
        for name in ending:
            copy(name)

    def copy_to(self, folder: Path) -> None:
        """Copy all files below here into a local folder.

        Raises
        ------
        AslsparkError
            Where a name leads out of the folder.
        """
        names = [name for name, _ in self.files()]
        for name in names:
            if not name or any(part in ("", ".", "..") for part in name.split("/")):
                raise AslsparkError(f"{self}: the store lists {name!r}, which is no name of a file in a folder")

        def copy(name: str) -> None:
            target = folder / PurePosixPath(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with (self / name).open() as source, target.open("xb") as here:
                shutil.copyfileobj(source, here, io.DEFAULT_BUFFER_SIZE << 7)

        _at_once(copy, names)

    def _kind(self) -> str:
        system, inside = self._at()
        return str(system.get_file_info(inside).type.name)

    def _below(self, *, recursive: bool) -> list[Any]:
        from pyarrow import fs

        system, inside = self._at()
        found = system.get_file_info(fs.FileSelector(inside, allow_not_found=True, recursive=recursive))
        return [info for info in found if info.path != inside]

    def _at(self) -> tuple[Any, str]:
        return file_system(self._uri, self._environment)


def _at_once(act: Callable[[str], object], names: Iterable[str]) -> None:
    """Do something with each of several files, a few at a time: a request to a store is mostly waiting."""
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        for _ in pool.map(act, names):
            pass


AnyPath = Path | StorePath


@contextmanager
def as_local_folder(path: str | AnyPath, known_by: str | None = None) -> Iterator[Path]:
    """Give a folder as a local one: as it is where it is mounted, and else as a copy for as long as the block runs.

    Parameters
    ----------
    path : str, Path or StorePath
    known_by : str, optional
        A file in the folder from which all others follow: the copy is given again as long as that file stays the same.
    """
    place = any_path(path)
    if not isinstance(place, StorePath):
        yield place
    elif known_by is not None:
        yield Path(_kept_copy(place, _beginning(place / known_by)).name)
    else:
        with _copied(place) as copy:
            yield Path(copy)


def _copied(folder: StorePath) -> TemporaryDirectory[str]:
    copy = TemporaryDirectory(prefix="aslspark-")  # removed when nobody holds it, or at the end of the process
    folder.copy_to(Path(copy.name))
    return copy


@lru_cache(maxsize=2)
def _kept_copy(folder: StorePath, known: bytes) -> TemporaryDirectory[str]:
    """Copy a folder once as long as `known` stays the same. The last two copies are kept."""
    return _copied(folder)


def _beginning(file: StorePath) -> bytes:
    """Read what a file begins with; nothing where it is missing."""
    try:
        with file.open() as opened:
            return opened.read(_MOST_COMPARED)
    except FileNotFoundError:
        return b""


@contextmanager
def filled_from_here(folder: AnyPath) -> Iterator[Path]:
    """Give a folder here whose files lie in `folder` when the block has ended: the same one where it is mounted."""
    if not isinstance(folder, StorePath):
        yield folder
        return
    with TemporaryDirectory(prefix="aslspark-") as temporary:
        yield Path(temporary)
        folder.copy_from(Path(temporary))


@contextmanager
def scratch_beside(path: AnyPath) -> Iterator[AnyPath]:
    """Give a new folder beside a path, on the same file system or in the same store, for as long as the block runs."""
    folder = path.absolute().with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(path: AnyPath) -> None:
    """Remove a folder with all below it, as far as that can be done; nobody waits for it."""
    if isinstance(path, StorePath):
        with suppress(OSError):
            path.remove_tree()
    else:
        shutil.rmtree(path, ignore_errors=True)
