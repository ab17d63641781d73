"""Files wherever Spark can read them, reached from the driver through Hadoop's FileSystem."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from aslspark.errors import AslsparkError
from aslspark.sources.local_folders import is_special

TABLE_ENDINGS = (".csv", ".csv.gz", ".csv.bz2")
# A header is 7 kB; a file without line ends must not be read into the driver's memory whole.
LONGEST_HEADER = 64 * 1024
READ_AT_ONCE = 4 << 20
BZIP2_END = 0x177245385090


def plain_path(path: str) -> str:
    """Write a path in one way: Hadoop says file:/a, other parts of Spark and Databricks file:///a."""
    return re.sub(r"^(file|dbfs):/+", r"\1:/", path)


def no_pattern(path: str) -> str:
    """Keep Spark from taking a name such as a[1].csv for a pattern."""
    return "".join(f"\\{letter}" if letter in "[]{}*?" else letter for letter in path)


class HadoopFiles:
    """What ingest needs of a file system, with errors that name the file.

    Parameters
    ----------
    spark : SparkSession
    """

    def __init__(self, spark: SparkSession) -> None:
        java: Any = spark._jvm
        self._java = java
        self._conf: Any = spark._jsc.hadoopConfiguration()
        self._hadoop: Any = java.org.apache.hadoop

    def qualified(self, path: str) -> str:
        """Return the path with its scheme, such as file:/data/a.csv."""
        return str(self._system(path).makeQualified(self._path(path)).toString())

    def as_uri(self, path: str) -> str:
        """Return the path as a URI, with %20 for a space."""
        return str(self._path(path).toUri().toString())

    def exists(self, path: str) -> bool:
        """Say whether there is a file or folder."""
        return bool(self._system(path).exists(self._path(path)))

    def tables_at(self, path: str) -> tuple[list[str], list[str]]:
        """List the files that a source path stands for.

        Parameters
        ----------
        path : str
            A file of any name, a folder, or a pattern such as data/part-*.csv.

        Returns
        -------
        tuple of list of str, list of str
            Qualified paths to read, sorted; and those in a folder that were passed over because they do not
            end in .csv, .csv.gz or .csv.bz2 (hidden ones are not mentioned).

        Raises
        ------
        AslsparkError
            If there is nothing at the path, or no table in the folder.
        """
        system = self._system(path)
        if system.exists(self._path(path)):
            found = [system.getFileStatus(self._path(path))]
        else:
            found = list(system.globStatus(self._path(path)) or [])
        if not found:
            raise AslsparkError(f"source {path} does not exist: name a pixel table or a folder of them")
        tables: list[str] = []
        others: list[str] = []
        for status in found:
            if is_special(at := str(status.getPath().toString())):
                raise AslsparkError(f"source {path} is a pipe or a device: name a pixel table, or a folder of them")
            if status.isFile():
                tables.append(at)
                continue
            for inside in system.listStatus(status.getPath()):
                name = str(inside.getPath().getName())
                if name.startswith((".", "_")):
                    continue
                at = str(inside.getPath().toString())
                is_table = inside.isFile() and name.endswith(TABLE_ENDINGS) and not is_special(at)
                (tables if is_table else others).append(at)
        if not tables:
            held = ", ".join(sorted(other.rsplit("/", 1)[-1] for other in others)[:3]) or "nothing"
            raise AslsparkError(
                f"source {path} has no file that ends in {', '.join(TABLE_ENDINGS)} (it has {held}): "
                "name a folder that holds such files directly, or a file"
            )
        return sorted(tables), sorted(others)

    def is_folder(self, path: str) -> bool:
        """Say whether there is a folder."""
        system = self._system(path)
        return bool(system.exists(self._path(path)) and system.getFileStatus(self._path(path)).isDirectory())

    def tables_in(self, path: str) -> list[str]:
        """List the files of a folder that are tables by their endings, sorted."""
        found = [status.getPath() for status in self._system(path).listStatus(self._path(path)) if status.isFile()]
        names = [(str(name.getName()), str(name.toString())) for name in found]
        tables = [path for name, path in names if name.endswith(TABLE_ENDINGS) and name[0] not in "._"]
        return sorted(path for path in tables if not is_special(path))

    def underscored_in(self, path: str) -> list[tuple[str, bool]]:
        """List what Spark passes over in a folder: names that begin with _, and whether each is a folder."""
        # Not globStatus: it fails at any name in the folder that holds a colon.
        found = self._system(path).listStatus(self._path(path), self._hadoop.fs.GlobFilter("_*"))
        return sorted((str(status.getPath().getName()), bool(status.isDirectory())) for status in found)

    @contextmanager
    def opened(self, path: str) -> Iterator[io.BufferedReader]:
        """Open a file as Python does, to be read from any place in it."""
        stream = self._system(path).open(self._path(path))
        length = self._system(path).getFileStatus(self._path(path)).getLen()
        try:
            yield io.BufferedReader(
                _HadoopStream(stream, length, self._java.org.apache.commons.io.IOUtils), READ_AT_ONCE
            )
        finally:
            stream.close()

    def first_line(self, path: str) -> str | None:
        """Read the first line of a file, unpacked by the codec of its ending; None if the file is empty."""
        if path.endswith(".bz2"):
            self._check_bzip2(path)
        with self._damage_named(path), self._unpacked(path) as stream:
            text = self._hadoop.io.Text()
            read = self._hadoop.util.LineReader(stream).readLine(text, LONGEST_HEADER, LONGEST_HEADER)
            return str(text.toString()) if read else None

    def check_to_end(self, path: str) -> None:
        """Unpack a compressed file to its end, and raise an AslsparkError if that cannot be done."""
        if self._codec(path) is None:
            return
        with self._damage_named(path), self._unpacked(path) as stream:
            nowhere = self._hadoop.io.IOUtils.NullOutputStream()
            self._hadoop.io.IOUtils.copyBytes(stream, nowhere, LONGEST_HEADER, False)

    def _check_bzip2(self, path: str) -> None:
        """Check the two ends of a file: Hadoop takes what is not bzip2, or lacks its last blocks, for less data."""
        length = self._system(path).getFileStatus(self._path(path)).getLen()
        if length and self._bytes_at(path, 0, min(length, 3)) != b"BZh":
            raise AslsparkError(f"{path} cannot be read (it is not bzip2): give it the ending of what it is")
        # It ends with a mark of 48 bits, a checksum of 32, and bits that fill the last byte.
        end = int.from_bytes(self._bytes_at(path, max(0, length - 11), min(length, 11)), "big")
        if length and not any((end >> 32 + fill) & (1 << 48) - 1 == BZIP2_END for fill in range(8)):
            raise AslsparkError(f"{path} is cut short: it ends in mid-data; copy it again")

    def _bytes_at(self, path: str, start: int, count: int) -> bytes:
        stream = self._system(path).open(self._path(path))
        try:
            stream.seek(start)
            return bytes(stream.read() for _ in range(count))
        finally:
            stream.close()

    def write(self, path: str, data: bytes) -> None:
        """Write a small file."""
        stream = self._system(path).create(self._path(path))
        try:
            stream.write(bytearray(data))
        finally:
            stream.close()

    def write_new(self, path: str, data: bytes) -> bool:
        """Write a small file whole, unless it is there already; tells whether it was written."""
        if self.exists(path):
            return False
        system = self._system(path)
        folder, _, name = path.rpartition("/")
        scratch = f"{folder}/.{name}.tmp-{uuid.uuid4().hex[:8]}"
        system.setWriteChecksum(False)  # on a local disk Hadoop would lay a .crc beside it
        try:
            self.write(scratch, data)
            return bool(system.rename(self._path(scratch), self._path(path)))
        finally:
            system.setWriteChecksum(True)

    def move(self, path: str, to: str) -> None:
        """Give a folder another name, which nothing has."""
        if not self._system(path).rename(self._path(path), self._path(to)):
            raise AslsparkError(f"{path} cannot be renamed to {to}: look at its permissions")

    def delete(self, path: str) -> None:
        """Delete a folder and everything in it, if it is there."""
        self._system(path).delete(self._path(path), True)

    @contextmanager
    def written_whole(self, out: str) -> Iterator[str]:
        """Give a temporary folder beside `out`: it becomes `out` on success and is removed on any failure."""
        temporary = f"{out.rstrip('/')}.tmp-{uuid.uuid4().hex[:8]}"
        try:
            yield temporary
            # Renaming onto a folder that appeared meanwhile would put ours inside it.
            if self.exists(out) or not self._system(out).rename(self._path(temporary), self._path(out)):
                raise AslsparkError(f"out {out} came into being while it was written: choose another folder")
        except BaseException:  # an interrupt too must leave nothing behind
            self.delete(temporary)
            raise

    def _path(self, path: str) -> Any:
        return self._hadoop.fs.Path(path)

    def _system(self, path: str) -> Any:
        try:
            return self._path(path).getFileSystem(self._conf)
        except Py4JJavaError as trouble:
            raise AslsparkError(f"path {path} cannot be opened: {_java_message(trouble)}") from trouble

    def _codec(self, path: str) -> Any:
        return self._hadoop.io.compress.CompressionCodecFactory(self._conf).getCodec(self._path(path))

    @contextmanager
    def _unpacked(self, path: str) -> Iterator[Any]:
        stream = self._system(path).open(self._path(path))
        try:
            codec = self._codec(path)
            yield stream if codec is None else codec.createInputStream(stream)
        finally:
            stream.close()

    @contextmanager
    def _damage_named(self, path: str) -> Iterator[None]:
        try:
            yield
        except Py4JJavaError as trouble:
            message = _java_message(trouble)
            if "EOFException" in trouble.java_exception.getClass().getName() or "unexpected end" in message:
                raise AslsparkError(f"{path} is cut short: it ends in mid-data; copy it again") from trouble
            raise AslsparkError(
                f"{path} cannot be read ({message}): copy it again, or give it the ending of what it is"
            ) from trouble


class _HadoopStream(io.RawIOBase):
    """One of Hadoop's seekable streams as one of Python's."""

    def __init__(self, stream: Any, length: int, java_io: Any) -> None:
        super().__init__()
        self._stream, self._length, self._java_io, self._at = stream, length, java_io, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._length - self._at))
        if count:
            if self._stream.getPos() != self._at:
                self._stream.seek(self._at)
            buffer[:count] = self._java_io.toByteArray(self._stream, count)
            self._at += count
        return count


def _java_message(trouble: Py4JJavaError) -> str:
    """Return the Java exception's first line, short enough for a message of one line."""
    return str(trouble.java_exception.toString()).splitlines()[0][:200]
