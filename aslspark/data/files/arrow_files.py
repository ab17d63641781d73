"""Files of a session of Spark Connect, which has no JVM to ask: through pyarrow's file systems and Python."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import fsspec.implementations.arrow
from pyarrow import fs

from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path
from aslspark.common.spark_session import UTF8
from aslspark.common.store_path import StorePath, file_system, store_environment
from aslspark.data.files.store_files import LONGEST_HEADER, Entry, StoreFiles, cut_short, damaged, without_braces

_WITHOUT_FOLDERS = ("s3", "gcs", "abfs")
"""Object stores, by pyarrow's names: a folder is no more than a part of names there, and cannot be made or renamed."""
_PIECE_BYTES = 1 << 20


class ArrowFiles(StoreFiles):
    """Files of the stores that pyarrow knows: ``s3:``, ``gs:``, ``abfss:``, ``hdfs:``, and what Databricks mounts."""

    def __init__(self) -> None:
        super().__init__(UTF8, is_local=True)
        self._environment = store_environment()

    def as_uri(self, path: str) -> str:
        scheme, colon, rest = path.partition(":/")
        return f"{scheme}:/{quote(rest)}" if colon else quote(path)

    def length(self, path: str) -> int:
        return int(self._info(path).size or 0)

    def first_line(self, path: str) -> str | None:
        with self._unpacked(path) as stream:
            line = io.TextIOWrapper(stream, "utf-8", errors="replace").readline(LONGEST_HEADER)
        return line.rstrip("\n") if line else None

    def check_to_end(self, path: str) -> None:
        if path.endswith((".gz", ".bz2")):
            with self._unpacked(path) as stream:
                while stream.read(_PIECE_BYTES):
                    pass

    def write(self, path: str, data: bytes) -> None:
        system, inside = self._at(path)
        if system.type_name not in _WITHOUT_FOLDERS:
            system.create_dir(os.path.dirname(inside), recursive=True)
        with system.open_output_stream(inside) as stream:
            stream.write(data)

    def _rename(self, path: str, to: str) -> bool:
        system, inside = self._at(path)
        target = self._at(to)[1]
        if isinstance(system, fs.LocalFileSystem):
            shutil.move(inside, target)  # on a mount of Databricks, renaming may be copying
            return True
        if system.type_name not in _WITHOUT_FOLDERS:
            system.move(inside, target)
            return True
        StorePath(path, self._environment).rename(StorePath(to, self._environment))
        return True

    def _delete(self, path: str) -> None:
        system, inside = self._at(path)
        kind = self._info(path).type
        if kind == fs.FileType.Directory:
            system.delete_dir(inside)
        elif kind != fs.FileType.NotFound:
            system.delete_file(inside)

    def _qualified(self, path: str) -> str:
        return path

    def _exists(self, path: str) -> bool:
        return bool(self._info(path).type != fs.FileType.NotFound)

    def _is_folder(self, path: str) -> bool:
        return bool(self._info(path).type == fs.FileType.Directory)

    def _entries(self, path: str) -> list[Entry]:
        system, inside = self._at(path)
        return [
            Entry(info.base_name, f"{path.rstrip('/')}/{info.base_name}", not info.is_file, info.is_file)
            for info in system.get_file_info(fs.FileSelector(inside))
        ]

    def _glob(self, pattern: str) -> list[str]:
        system, inside = self._at(pattern)
        start = pattern.removesuffix(inside)
        wrapped = fsspec.implementations.arrow.ArrowFSWrapper(system)
        return sorted({start + match for each in without_braces(inside) for match in wrapped.glob(each)})

    @contextmanager
    def _opened(self, path: str) -> Iterator[io.BufferedReader]:
        system, inside = self._at(path)
        try:
            file = system.open_input_file(inside)
        except OSError as error:
            raise AslsparkError(f"path {path} cannot be opened: {error}") from error
        with file:
            yield io.BufferedReader(file, _PIECE_BYTES)

    @contextmanager
    def _unpacked(self, path: str) -> Iterator[io.BufferedReader]:
        """Open a file, decompressed by its ending."""
        with self.opened(path) as file:
            try:
                if path.endswith(".gz"):
                    yield io.BufferedReader(gzip.GzipFile(fileobj=file))
                elif path.endswith(".bz2"):
                    yield io.BufferedReader(bz2.BZ2File(file))
                else:
                    yield file
            except EOFError as error:
                raise cut_short(path) from error
            except OSError as error:
                raise damaged(path, str(error)) from error

    def _info(self, path: str) -> fs.FileInfo:
        system, inside = self._at(path)
        return system.get_file_info(inside)

    def _at(self, path: str) -> tuple[Any, str]:
        """Return the file system of a path, and the path in it."""
        local = self.local(path) or (local_path(path) if path.startswith("dbfs:/") else None)
        if local is not None:
            return fs.LocalFileSystem(), local
        return file_system(path, self._environment)
