"""Files of a classic session's stores, through Hadoop's FileSystem in its JVM."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.spark_session import file_name_encoding
from aslspark.data.files.store_files import LONGEST_HEADER, Entry, StoreFiles, cut_short, damaged

READ_AT_ONCE = 4 << 20
BZIP2_END = 0x177245385090


class HadoopFiles(StoreFiles):
    """Files of any store that Hadoop knows."""

    def __init__(self, spark: SparkSession) -> None:
        java: Any = spark._jvm
        self._java = java
        self._conf: Any = spark._jsc.hadoopConfiguration()
        self._hadoop: Any = java.org.apache.hadoop
        default = str(self._conf.get("fs.defaultFS", "file:///"))
        super().__init__(file_name_encoding(spark), default.startswith("file:"))

    def as_uri(self, path: str) -> str:
        return str(self._path(path).toUri().toString())

    def length(self, path: str) -> int:
        return int(self._system(path).getFileStatus(self._path(path)).getLen())

    def first_line(self, path: str) -> str | None:
        if path.endswith(".bz2"):
            self._check_bzip2(path)
        with self._naming_damage(path), self._decompressed(path) as stream:
            text = self._hadoop.io.Text()
            read = self._hadoop.util.LineReader(stream).readLine(text, LONGEST_HEADER, LONGEST_HEADER)
            return str(text.toString()) if read else None

    def check_to_end(self, path: str) -> None:
        if self._codec(path) is None:
            return
        with self._naming_damage(path), self._decompressed(path) as stream:
            null_stream = self._hadoop.io.IOUtils.NullOutputStream()
            self._hadoop.io.IOUtils.copyBytes(stream, null_stream, LONGEST_HEADER, False)

    def write(self, path: str, data: bytes) -> None:
        stream = self._system(path).create(self._path(path))
        try:
            stream.write(bytearray(data))
        finally:
            stream.close()

    def write_new(self, path: str, data: bytes) -> bool:
        system = self._system(path)
        system.setWriteChecksum(False)  # on a local disk Hadoop would write a .crc file beside it
        try:
            return super().write_new(path, data)
        finally:
            system.setWriteChecksum(True)

    def _rename(self, path: str, to: str) -> bool:
        return bool(self._system(path).rename(self._path(path), self._path(to)))

    def _delete(self, path: str) -> None:
        self._system(path).delete(self._path(path), True)

    def _qualified(self, path: str) -> str:
        return str(self._system(path).makeQualified(self._path(path)).toString())

    def _exists(self, path: str) -> bool:
        return bool(self._system(path).exists(self._path(path)))

    def _is_folder(self, path: str) -> bool:
        return self._exists(path) and bool(self._system(path).getFileStatus(self._path(path)).isDirectory())

    def _entries(self, path: str) -> list[Entry]:
        return [
            Entry(
                str(status.getPath().getName()),
                str(status.getPath().toString()),
                bool(status.isDirectory()),
                bool(status.isFile()),
            )
            for status in self._system(path).listStatus(self._path(path))
        ]

    def _glob(self, pattern: str) -> list[str]:
        statuses = self._system(pattern).globStatus(self._path(pattern)) or []
        return [str(status.getPath().toString()) for status in statuses]

    @contextmanager
    def _opened(self, path: str) -> Iterator[io.BufferedReader]:
        stream = self._system(path).open(self._path(path))
        try:
            yield io.BufferedReader(
                _HadoopStream(stream, self.length(path), self._java.org.apache.commons.io.IOUtils), READ_AT_ONCE
            )
        finally:
            stream.close()

    def _check_bzip2(self, path: str) -> None:
        """Check both ends: Hadoop reads a file that is not bzip2, or lacks its last blocks, as shorter data."""
        length = self._system(path).getFileStatus(self._path(path)).getLen()
        if length and self._bytes_at(path, 0, min(length, 3)) != b"BZh":
            raise AslsparkError(f"{path} cannot be read (it is not bzip2): give it the ending of what it is")
        # It ends with a marker of 48 bits, a checksum of 32 bits, and padding to a whole byte.
        end = int.from_bytes(self._bytes_at(path, max(0, length - 11), min(length, 11)), "big")
        if length and not any((end >> 32 + fill) & (1 << 48) - 1 == BZIP2_END for fill in range(8)):
            raise cut_short(path)

    def _bytes_at(self, path: str, start: int, count: int) -> bytes:
        stream = self._system(path).open(self._path(path))
        try:
            stream.seek(start)
            return bytes(stream.read() for _ in range(count))
        finally:
            stream.close()

    def _path(self, path: str) -> Any:
        self.require_spelled(path)
        return self._hadoop.fs.Path(path)

    def _system(self, path: str) -> Any:
        try:
            return self._path(path).getFileSystem(self._conf)
        except Py4JJavaError as error:
            raise AslsparkError(f"path {path} cannot be opened: {_java_message(error)}") from error

    def _codec(self, path: str) -> Any:
        return self._hadoop.io.compress.CompressionCodecFactory(self._conf).getCodec(self._path(path))

    @contextmanager
    def _decompressed(self, path: str) -> Iterator[Any]:
        stream = self._system(path).open(self._path(path))
        try:
            codec = self._codec(path)
            yield stream if codec is None else codec.createInputStream(stream)
        finally:
            stream.close()

    @contextmanager
    def _naming_damage(self, path: str) -> Iterator[None]:
        try:
            yield
        except Py4JJavaError as error:
            message = _java_message(error)
            if "EOFException" in error.java_exception.getClass().getName() or "unexpected end" in message:
                raise cut_short(path) from error
            raise damaged(path, message) from error


class _HadoopStream(io.RawIOBase):
    """A seekable stream of Hadoop as a raw stream of Python."""

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


def _java_message(error: Py4JJavaError) -> str:
    """Return the first line of the Java exception, of limited length."""
    return str(error.java_exception.toString()).splitlines()[0][:200]
