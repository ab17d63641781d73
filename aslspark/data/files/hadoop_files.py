"""Files wherever Spark can read them: those of this machine through Python, others through Hadoop's FileSystem.

Python finds every name; the JVM drops those that its locale cannot spell, without a word.
"""

from __future__ import annotations

import glob
import io
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.common.spark_session import can_spell, file_name_encoding
from aslspark.data.files.lease import left_over, take_lease
from aslspark.data.files.local_folders import as_text, is_special, local_of
from aslspark.data.files.table_endings import TABLE_ENDINGS, is_packed_in_capitals, is_table_name

logger = logging.getLogger(__name__)

# A header is 7 kB; a file without line ends must not be read into the driver's memory whole.
LONGEST_HEADER = 64 * 1024
PACKED_IN_CAPITALS = "Spark unpacks .gz and .bz2 in small letters alone: rename it"
READ_AT_ONCE = 4 << 20
BZIP2_END = 0x177245385090


def plain_path(path: str) -> str:
    """Write a path in one way: Hadoop says file:/a, other parts of Spark and Databricks file:///a."""
    return re.sub(r"^(file|dbfs):/+", r"\1:/", path)


def no_pattern(path: str) -> str:
    """Keep Spark from taking a name such as a[1].csv for a pattern."""
    return "".join(f"\\{letter}" if letter in "[]{}*?" else letter for letter in path)


class Entry(NamedTuple):
    """What lies in a folder: a name, its qualified path, and whether it is a folder or a file."""

    name: str
    path: str
    is_folder: bool
    is_file: bool


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
        self._encoding = file_name_encoding(spark)
        self._is_local = str(self._conf.get("fs.defaultFS", "file:///")).startswith("file:")

    def local(self, path: str) -> str | None:
        """Return where a path lies on this machine, absolute; None for other stores."""
        if not self._is_local and not path.startswith("file:/"):
            return None
        found = local_of(path)
        return None if found is None else os.path.abspath(found)

    def can_spell(self, path: str) -> bool:
        """Tell whether the JVM finds a path: its locale must have the letters of the name."""
        return self.local(path) is None or can_spell(self._encoding, path)

    def qualified(self, path: str) -> str:
        """Return the path with its scheme, such as file:/data/a.csv."""
        if (local := self.local(path)) is not None:
            return f"file:{local}"
        return str(self._system(path).makeQualified(self._path(path)).toString())

    def as_uri(self, path: str) -> str:
        """Return the path as a URI, with %20 for a space."""
        return str(self._path(path).toUri().toString())

    def exists(self, path: str) -> bool:
        """Say whether there is a file or folder."""
        if (local := self.local(path)) is not None:
            return os.path.exists(local)
        return bool(self._system(path).exists(self._path(path)))

    def entries(self, path: str) -> list[Entry]:
        """List a folder, without what lies below its folders, sorted by name; hidden names too."""
        if (local := self.local(path)) is not None:
            try:
                names = os.listdir(local)
            except OSError as error:
                raise AslsparkError(
                    f"source {as_text(path)}: the folder may not be read ({error.strerror}): look at its permissions"
                ) from error
            found = [(name, os.path.join(local, name)) for name in sorted(names)]
            return [Entry(name, f"file:{at}", os.path.isdir(at), os.path.isfile(at)) for name, at in found]
        listed = self._system(path).listStatus(self._path(path))
        entries = [
            Entry(
                str(status.getPath().getName()),
                str(status.getPath().toString()),
                bool(status.isDirectory()),
                bool(status.isFile()),
            )
            for status in listed
        ]
        return sorted(entries)

    def tables_at(self, path: str) -> tuple[list[str], list[str]]:
        """List the files that a source path stands for.

        Parameters
        ----------
        path : str
            A file of any name, a folder, or a pattern such as data/part-*.csv.

        Returns
        -------
        tuple of list of str, list of str
            Qualified paths to read, sorted; and those in a folder that are passed over, because they do not
            end in .csv, .csv.gz or .csv.bz2, or with the reason why (hidden ones that are no tables are not
            mentioned).

        Raises
        ------
        AslsparkError
            If there is nothing at the path, or no table in the folder.
        """
        at = [self.qualified(path)] if self.exists(path) else self._matching(path)
        if not at:
            raise AslsparkError(
                f"source {as_text(path)} does not exist: name a pixel table or a folder of them"
                f"{self.lost_letters(path)}"
            )
        tables: list[str] = []
        others: list[str] = []
        for place in at:
            if is_special(place):
                raise AslsparkError(
                    f"source {as_text(path)} is a pipe or a device: name a pixel table, or a folder of them"
                )
            if self.is_folder(place):
                inside, troubled, passed = self.tables_in(place)
                tables += inside
                others += troubled + passed
            elif is_packed_in_capitals(place):
                raise AslsparkError(f"source {as_text(path)}: {PACKED_IN_CAPITALS}")
            else:
                self.require_spelled(place, "source ")
                tables.append(place)
        if not tables:
            held = ", ".join(other.rsplit("/", 1)[-1] for other in others[:3]) or "nothing"
            raise AslsparkError(
                f"source {as_text(path)} has no file that ends in {', '.join(TABLE_ENDINGS)} (it has {held}): "
                "name a folder that holds such files directly, or a file"
            )
        return sorted(tables), sorted(others)

    def _matching(self, path: str) -> list[str]:
        """Find what a pattern stands for."""
        if (local := self.local(path)) is not None:
            return sorted({f"file:{found}" for pattern in _without_braces(local) for found in glob.glob(pattern)})
        found = self._system(path).globStatus(self._path(path)) or []
        return sorted(str(status.getPath().toString()) for status in found)

    def is_folder(self, path: str) -> bool:
        """Say whether there is a folder."""
        if (local := self.local(path)) is not None:
            return os.path.isdir(local)
        system = self._system(path)
        return bool(system.exists(self._path(path)) and system.getFileStatus(self._path(path)).isDirectory())

    def tables_in(self, path: str) -> tuple[list[str], list[str], list[str]]:
        """List the files of a folder that are tables by their endings, and what else is there.

        Returns
        -------
        tuple of list of str, list of str, list of str
            Qualified paths to read; tables that cannot be read, with the reason; paths of everything else that is not
            hidden.
        """
        tables, troubled, others = [], [], []
        for entry in self.entries(path):
            at, shown_path = entry.path, as_text(entry.path)
            is_table = entry.is_file and is_table_name(entry.name) and not is_special(at)
            if entry.name.startswith((".", "_")):
                if is_table and not entry.name.startswith("._"):
                    troubled.append(f"{shown_path}: Spark passes over names that begin with . or _: rename it")
            elif is_table and is_packed_in_capitals(entry.name):
                troubled.append(f"{shown_path}: {PACKED_IN_CAPITALS}")
            elif is_table and not self.can_spell(at):
                troubled.append(f"{shown_path}: {self._not_spelled(at)}")
            elif is_table:
                tables.append(at)
            else:
                others.append(shown_path)
        return tables, troubled, others

    def require_spelled(self, path: str, what: str = "path ") -> None:
        """See that the JVM can open a path.

        Raises
        ------
        AslsparkError
            Naming the path and what would help; `what` opens the line.
        """
        if not self.can_spell(path):
            raise AslsparkError(f"{what}{as_text(path)}: {self._not_spelled(path)}")

    def _not_spelled(self, path: str) -> str:
        try:
            path.encode()
        except UnicodeEncodeError:
            return "Spark cannot open this name, whose bytes are no UTF-8: rename it"
        return (
            f"Spark's JVM cannot open this name, since its locale knows {self._encoding} alone: start the job with "
            "LC_ALL=C.UTF-8, or rename it"
        )

    def lost_letters(self, path: str) -> str:
        """Say in an error about a path that is not there that spark-submit may have lost letters of it."""
        if self._encoding == "UTF-8" or (path.isascii() and "?" not in path):
            return ""
        return (
            f" (Spark's JVM was started in a locale that knows {self._encoding} alone, and loses other letters of "
            "names: start the job with LC_ALL=C.UTF-8)"
        )

    def underscored_in(self, path: str) -> list[tuple[str, bool]]:
        """List what Spark passes over in a folder: names that begin with _, and whether each is a folder."""
        # Not globStatus: it fails at any name in the folder that holds a colon.
        found = self._system(path).listStatus(self._path(path), self._hadoop.fs.GlobFilter("_*"))
        return sorted((str(status.getPath().getName()), bool(status.isDirectory())) for status in found)

    @contextmanager
    def opened(self, path: str) -> Iterator[io.BufferedReader]:
        """Open a file as Python does, to be read from any place in it."""
        if (local := self.local(path)) is not None:
            with open(local, "rb") as file:
                yield file
            return
        stream = self._system(path).open(self._path(path))
        length = self._system(path).getFileStatus(self._path(path)).getLen()
        try:
            yield io.BufferedReader(
                _HadoopStream(stream, length, self._java.org.apache.commons.io.IOUtils), READ_AT_ONCE
            )
        finally:
            stream.close()

    def length(self, path: str) -> int:
        """Return the bytes of a file."""
        return int(self._system(path).getFileStatus(self._path(path)).getLen())

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
        if (local := self.local(path)) is not None and os.path.isdir(local) and not os.path.islink(local):
            shutil.rmtree(local, ignore_errors=True)  # without the JVM, which may be gone
            return
        self._system(path).delete(self._path(path), True)

    @contextmanager
    def written_whole(self, out: str) -> Iterator[str]:
        """Give a temporary folder beside `out`: it becomes `out` on success and is removed on any failure.

        What a job that was killed has left of the same `out` is removed first, where that is certain: on this machine's
        file systems, by a lease that the dead job no longer holds (`aslspark.data.files.lease`). On other stores it
        stays, and is named in the log.
        """
        self.require_spelled(out, "out ")
        out = out.rstrip("/")
        local = self.local(out)
        self._remove_left_over(out)
        temporary = f"{out}.tmp-{uuid.uuid4().hex[:8]}"
        try:
            lease = take_lease(self.local(temporary) or "") if local is not None else None
        except OSError as error:
            raise AslsparkError(f"out {as_text(out)} cannot be written ({error.strerror}): choose another") from error
        try:
            yield temporary
            # Renaming onto a folder that appeared meanwhile would put ours inside it.
            if self.exists(out) or not self._system(out).rename(self._path(temporary), self._path(out)):
                raise AslsparkError(f"out {out} came into being while it was written: choose another folder")
        except BaseException:  # an interrupt too must leave nothing behind
            self.delete(temporary)
            raise
        finally:
            if lease is not None:
                lease.release()

    def _remove_left_over(self, out: str) -> None:
        """Remove what killed jobs have left beside `out`, and name what may be theirs."""
        if (local := self.local(out)) is not None:
            for left in left_over(local):
                logger.info("removed %s, which a job that was ended had left", as_text(left))
            return
        folder, _, name = out.rpartition("/")
        if not self.exists(folder):
            return
        for entry in self.entries(folder):
            if entry.is_folder and re.fullmatch(re.escape(name) + r"\.tmp-[0-9a-f]{8}", entry.name):
                logger.info(
                    "%s is left from a job that was ended, or is being written: remove it if no job runs",
                    redact(entry.path),
                )

    def _path(self, path: str) -> Any:
        self.require_spelled(path)
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


def _without_braces(pattern: str) -> list[str]:
    """Write a pattern such as a{1,2}.csv as those that Python knows."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [whole for part in found.group(1).split(",") for whole in _without_braces(f"{before}{part}{after}")]


def _java_message(trouble: Py4JJavaError) -> str:
    """Return the Java exception's first line, short enough for a message of one line."""
    return str(trouble.java_exception.toString()).splitlines()[0][:200]
