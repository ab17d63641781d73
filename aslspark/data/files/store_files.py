"""Files in any store that Spark can read: local ones through Python, others as `hadoop_files` or `arrow_files` do.

Python finds every local file; the JVM silently drops those whose names its locale cannot encode.
"""

from __future__ import annotations

import glob
import io
import logging
import os
import re
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.common.spark_session import can_spell
from aslspark.data.files.lease import remove_left_over, take_lease
from aslspark.data.files.local_folders import as_text, is_special, local_of
from aslspark.data.files.table_endings import TABLE_ENDINGS, has_upper_case_ending, is_table_name

logger = logging.getLogger(__name__)

# A header takes 7 kB. The limit keeps a file without line ends from filling the driver's memory.
LONGEST_HEADER = 64 * 1024
UPPER_CASE_ENDING = "Spark unpacks .gz and .bz2 in small letters alone: rename it"


def plain_path(path: str) -> str:
    """Normalise a path: Hadoop writes file:/a, other parts of Spark and Databricks file:///a."""
    return re.sub(r"^(file|dbfs):/+", r"\1:/", path)


def no_pattern(path: str) -> str:
    """Escape a path such as a[1].csv, which Spark would take for a pattern."""
    return "".join(f"\\{letter}" if letter in "[]{}*?" else letter for letter in path)


class Entry(NamedTuple):
    """An entry of a folder: its name and qualified path, and whether it is a folder or a regular file."""

    name: str
    path: str
    is_folder: bool
    is_file: bool


class StoreFiles(ABC):
    """The operations on files that ingest needs, with errors that name the file; `stores.open_store` makes one.

    Parameters
    ----------
    encoding : str
        Of file names in Spark's JVM, such as UTF-8.
    is_local : bool
        Whether a path without a scheme is a local one.
    """

    def __init__(self, encoding: str, is_local: bool) -> None:
        self._encoding, self._is_local = encoding, is_local

    def local(self, path: str) -> str | None:
        """Return the absolute local path; None for other stores."""
        if not self._is_local and not path.startswith("file:/"):
            return None
        local = local_of(path)
        return None if local is None else os.path.abspath(local)

    def can_spell(self, path: str) -> bool:
        """Tell whether the JVM can open a path: its locale must be able to encode the name."""
        return self.local(path) is None or can_spell(self._encoding, path)

    def qualified(self, path: str) -> str:
        """Return the absolute path with its scheme, such as file:/data/a.csv."""
        if (local := self.local(path)) is not None:
            return f"file:{local}"
        return self._qualified(path)

    def exists(self, path: str) -> bool:
        """Tell whether there is a file or folder."""
        if (local := self.local(path)) is not None:
            return os.path.exists(local)
        return self._exists(path)

    def entries(self, path: str) -> list[Entry]:
        """List the entries of a folder, hidden ones too, sorted by name; not recursive."""
        if (local := self.local(path)) is not None:
            try:
                names = os.listdir(local)
            except OSError as error:
                raise AslsparkError(
                    f"source {as_text(path)}: the folder may not be read ({error.strerror}): look at its permissions"
                ) from error
            paths = [(name, os.path.join(local, name)) for name in sorted(names)]
            return [Entry(name, f"file:{at}", os.path.isdir(at), os.path.isfile(at)) for name, at in paths]
        return sorted(self._entries(path))

    def tables_at(self, path: str) -> tuple[list[str], list[str]]:
        """List the tables that a source path stands for.

        Parameters
        ----------
        path : str
            A file of any name, a folder, or a pattern such as data/part-*.csv.

        Returns
        -------
        tuple of list of str, list of str
            Sorted qualified paths to read; and lines about files of a folder that are passed over, since they do not
            end in .csv, .csv.gz or .csv.bz2 or cannot be read (other hidden files are not mentioned).

        Raises
        ------
        AslsparkError
            Where there is nothing at the path, or no table in the folder.
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
                inside, unreadable, rest = self.tables_in(place)
                tables += inside
                others += unreadable + rest
            elif has_upper_case_ending(place):
                raise AslsparkError(f"source {as_text(path)}: {UPPER_CASE_ENDING}")
            else:
                self.require_spelled(place, "source ")
                tables.append(place)
        if not tables:
            names = ", ".join(other.rsplit("/", 1)[-1] for other in others[:3]) or "nothing"
            raise AslsparkError(
                f"source {as_text(path)} has no file that ends in {', '.join(TABLE_ENDINGS)} (it has {names}): "
                "name a folder that holds such files directly, or a file"
            )
        return sorted(tables), sorted(others)

    def _matching(self, path: str) -> list[str]:
        """Return the qualified paths that match a pattern."""
        if (local := self.local(path)) is not None:
            return sorted({f"file:{match}" for pattern in without_braces(local) for match in glob.glob(pattern)})
        return sorted(self._glob(path))

    def is_folder(self, path: str) -> bool:
        """Tell whether there is a folder."""
        if (local := self.local(path)) is not None:
            return os.path.isdir(local)
        return self._is_folder(path)

    def tables_in(self, path: str) -> tuple[list[str], list[str], list[str]]:
        """List the files of a folder that are tables by their endings, and its other files.

        Returns
        -------
        tuple of list of str, list of str, list of str
            Qualified paths to read; lines about tables that cannot be read; paths of all other files that are not
            hidden.
        """
        tables, unreadable, others = [], [], []
        for entry in self.entries(path):
            text = as_text(entry.path)
            is_table = entry.is_file and is_table_name(entry.name) and not is_special(entry.path)
            if entry.name.startswith((".", "_")):
                if is_table and not entry.name.startswith("._"):
                    unreadable.append(f"{text}: Spark passes over names that begin with . or _: rename it")
            elif is_table and has_upper_case_ending(entry.name):
                unreadable.append(f"{text}: {UPPER_CASE_ENDING}")
            elif is_table and not self.can_spell(entry.path):
                unreadable.append(f"{text}: {self._not_spelled(entry.path)}")
            elif is_table:
                tables.append(entry.path)
            else:
                others.append(text)
        return tables, unreadable, others

    def require_spelled(self, path: str, what: str = "path ") -> None:
        """Check that the JVM can open a path.

        Raises
        ------
        AslsparkError
            Naming the path and what would work; `what` opens the message.
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
        """Return a hint, for errors about a missing path, that spark-submit may have lost letters of it; else empty."""
        if self._encoding == "UTF-8" or (path.isascii() and "?" not in path):
            return ""
        return (
            f" (Spark's JVM was started in a locale that knows {self._encoding} alone, and loses other letters of "
            "names: start the job with LC_ALL=C.UTF-8)"
        )

    def underscored_in(self, path: str) -> list[tuple[str, bool]]:
        """List the names in a folder that begin with _, which Spark passes over, and whether each is a folder."""
        return [(entry.name, entry.is_folder) for entry in self.entries(path) if entry.name.startswith("_")]

    @contextmanager
    def opened(self, path: str) -> Iterator[io.BufferedReader]:
        """Open a file as a seekable binary stream."""
        if (local := self.local(path)) is not None:
            with open(local, "rb") as file:
                yield file
            return
        with self._opened(path) as file:
            yield file

    def write_new(self, path: str, data: bytes) -> bool:
        """Write a small file, whole or not at all, unless it exists; return whether it was written."""
        if self.exists(path):
            return False
        folder, _, name = path.rpartition("/")
        scratch = f"{folder}/.{name}.tmp-{uuid.uuid4().hex[:8]}"
        self.write(scratch, data)
        return self._rename(scratch, path)

    def move(self, path: str, to: str) -> None:
        """Rename a folder to a name that does not exist."""
        if not self._rename(path, to):
            raise AslsparkError(f"{path} cannot be renamed to {to}: look at its permissions")

    def delete(self, path: str) -> None:
        """Delete a folder with its content, if it exists."""
        if (local := self.local(path)) is not None and os.path.isdir(local) and not os.path.islink(local):
            shutil.rmtree(local, ignore_errors=True)  # not by the JVM, which may have ended
            return
        self._delete(path)

    @contextmanager
    def written_whole(self, out: str, last: str) -> Iterator[str]:
        """Give a temporary folder beside `out`: it becomes `out` on success, and is removed on any failure.

        In stores that rename file by file, the file named `last` is there last, for readers to know the whole by.

        Temporary folders of killed jobs for the same `out` are removed first, where that is certain: on local file
        systems, by a lease that the dead job no longer holds (`aslspark.data.files.lease`). On other stores they stay,
        and the log names them.
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
            # Renaming to a folder that exists by now would move the temporary folder into it.
            if self.exists(out) or not self._become(temporary, out, last):
                raise AslsparkError(f"out {out} came into being while it was written: choose another folder")
        except BaseException:  # also on an interrupt
            self.delete(temporary)
            raise
        finally:
            if lease is not None:
                lease.release()

    def _become(self, temporary: str, out: str, last: str) -> bool:
        if self.local(out) is not None or not self.exists(f"{temporary}/{last}"):
            return self._rename(temporary, out)
        with self.opened(f"{temporary}/{last}") as file:
            content = file.read()
        self._delete(f"{temporary}/{last}")
        if not self._rename(temporary, out):
            return False
        self.write(f"{out}/{last}", content)
        return True

    def _remove_left_over(self, out: str) -> None:
        """Remove temporary folders of killed jobs beside `out`; log those that may be in use."""
        if (local := self.local(out)) is not None:
            for folder in remove_left_over(local):
                logger.info("removed %s, which a job that was ended had left", as_text(folder))
            return
        parent, _, name = out.rpartition("/")
        if not self.exists(parent):
            return
        for entry in self.entries(parent):
            if entry.is_folder and re.fullmatch(re.escape(name) + r"\.tmp-[0-9a-f]{8}", entry.name):
                logger.info(
                    "%s is left from a job that was ended, or is being written: remove it if no job runs",
                    redact(entry.path),
                )

    # What each store does in its own way.

    @abstractmethod
    def as_uri(self, path: str) -> str:
        """Return the path as a URI, with %20 for a space."""

    @abstractmethod
    def length(self, path: str) -> int:
        """Return the size of a file in bytes."""

    @abstractmethod
    def first_line(self, path: str) -> str | None:
        """Read the first line of a file, decompressed by its ending; None where the file is empty."""

    @abstractmethod
    def check_to_end(self, path: str) -> None:
        """Decompress a compressed file to its end; raise an AslsparkError where that fails."""

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Write a small file, and the folder that it lies in."""

    @abstractmethod
    def _rename(self, path: str, to: str) -> bool:
        """Rename a file or folder; return whether that was done."""

    @abstractmethod
    def _delete(self, path: str) -> None: ...

    # The same of paths that are not local.

    @abstractmethod
    def _qualified(self, path: str) -> str: ...

    @abstractmethod
    def _exists(self, path: str) -> bool: ...

    @abstractmethod
    def _is_folder(self, path: str) -> bool: ...

    @abstractmethod
    def _entries(self, path: str) -> list[Entry]: ...

    @abstractmethod
    def _glob(self, pattern: str) -> list[str]: ...

    @abstractmethod
    def _opened(self, path: str) -> AbstractContextManager[io.BufferedReader]: ...


def without_braces(pattern: str) -> list[str]:
    """Expand a pattern such as a{1,2}.csv into patterns without braces, which Python does not know."""
    braces = re.search(r"\{([^{}]*)\}", pattern)
    if braces is None:
        return [pattern]
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return [whole for part in braces.group(1).split(",") for whole in without_braces(f"{before}{part}{after}")]


def cut_short(path: str) -> AslsparkError:
    """Return the error for a compressed file that ends too early."""
    return AslsparkError(f"{path} is cut short: it ends in mid-data; copy it again")


def damaged(path: str, why: str) -> AslsparkError:
    """Return the error for a compressed file that cannot be read."""
    return AslsparkError(f"{path} cannot be read ({why}): copy it again, or give it the ending of what it is")
