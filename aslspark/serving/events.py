"""A picture arrived in a bucket -> its letter is written beside it, once.

In: an event of S3's shape. Out: NAME.json beside each picture: its prediction (the label's number), category (the
letter), probability, best three, or why there is none.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote_plus

from aslspark.common.errors import AslsparkError
from aslspark.common.redacted_files import redacted_json
from aslspark.common.redaction import redact
from aslspark.data.files.file_bytes import MAX_FILE_BYTES, TOO_LARGE, UNREADABLE
from aslspark.images.endings import is_picture_name
from aslspark.scoring.reader import Answer, Reader
from aslspark.serving.isolated_reader import IsolatedReader

ANSWER = ".json"
"""Added to the picture's whole name."""
NO_FILE, OUTSIDE = "no file", "a link that leads elsewhere"
MOST_NAME_BYTES = 230
"""Bytes of a name: usual file systems allow 255, and it is written under a longer one first."""


class SetAside(Exception):  # noqa: N818  (it ends beside the picture, not in a traceback)
    """What is called a picture and cannot be read at all: the reason."""


CREATED = "ObjectCreated:"


Reading = Reader | IsolatedReader


class Store(Protocol):
    """Where pictures lie."""

    def has(self, bucket: str, key: str) -> bool:
        """Tell whether there is an object."""

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object; FileNotFoundError where there is none, SetAside where it cannot be read as one."""

    def put_new(self, bucket: str, key: str, data: bytes) -> bool:
        """Write an object whole, unless there is one already; tells whether it was written."""


class Arrived(NamedTuple):
    """A picture that came."""

    bucket: str
    key: str


class FolderStore:
    """Buckets that are folders below one folder."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root).resolve()

    def has(self, bucket: str, key: str) -> bool:
        """Tell whether there is anything of this name."""
        return os.path.lexists(self._path(bucket, key))

    def get(self, bucket: str, key: str) -> bytes:
        """Return a file's bytes; a pipe, a folder and a link out of the root are set aside, and not waited for."""
        path = self._path(bucket, key)
        try:
            if not Path(os.path.realpath(path)).is_relative_to(self._root):
                raise SetAside(OUTSIDE)
            # Without O_NONBLOCK a pipe is waited for until somebody writes.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
                facts = os.fstat(file.fileno())
                if not stat.S_ISREG(facts.st_mode):
                    raise SetAside(NO_FILE)
                if facts.st_size > MAX_FILE_BYTES:
                    raise SetAside(f"{TOO_LARGE}: {facts.st_size:,} bytes, more than {MAX_FILE_BYTES:,}")
                return file.read(MAX_FILE_BYTES)
        except FileNotFoundError:
            raise
        except IsADirectoryError as error:
            raise SetAside(NO_FILE) from error
        except (OSError, ValueError) as error:
            raise SetAside(f"{UNREADABLE}: {getattr(error, 'strerror', None) or error}") from error

    def put_new(self, bucket: str, key: str, data: bytes) -> bool:
        """Write a file whole, unless it is there; of two who do so at once, one does."""
        path = self._path(bucket, key)
        number, scratch = tempfile.mkstemp(prefix=".aslspark-", dir=path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
            os.chmod(scratch, 0o644)
            os.link(scratch, path)
        except FileExistsError:
            return False
        finally:
            os.unlink(scratch)
        return True

    def _path(self, bucket: str, key: str) -> Path:
        """Return where a file lies: its folder below the root, with links followed; its name as it is."""
        path = self._root / bucket / key
        try:
            folder = path.parent.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a zero byte
            raise AslsparkError(f"key {key!r:.200}: no path ({error})") from error
        if path.name in ("", "..") or "\0" in path.name or not folder.is_relative_to(self._root):
            raise AslsparkError(f"key {key!r:.200}: it leads out of {self._root}")
        return folder / path.name


class S3Store:
    """S3 through a client of boto3, or what speaks as it does."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def has(self, bucket: str, key: str) -> bool:
        """Tell whether there is an object."""
        try:
            self._client.head_object(Bucket=bucket, Key=key)
        except Exception as error:
            if _code(error) in ("404", "NoSuchKey", "NotFound"):
                return False
            raise
        return True

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes."""
        try:
            data = bytes(self._client.get_object(Bucket=bucket, Key=key)["Body"].read(MAX_FILE_BYTES + 1))
        except Exception as error:
            if _code(error) in ("404", "NoSuchKey"):
                raise FileNotFoundError(f"s3://{bucket}/{key}") from error
            raise
        if len(data) > MAX_FILE_BYTES:
            raise SetAside(f"{TOO_LARGE}: more than {MAX_FILE_BYTES:,} bytes")
        return data

    def put_new(self, bucket: str, key: str, data: bytes) -> bool:
        """Write an object unless it is there: S3 itself refuses the second of two."""
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType="application/json", IfNoneMatch="*")
        except Exception as error:
            if _code(error) in ("412", "PreconditionFailed", "409", "ConditionalRequestConflict"):
                return False
            raise
        return True


def _code(error: Exception) -> str:
    """Return the code of a botocore.exceptions.ClientError; of any other error, nothing."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def arrived(event: Mapping[str, Any]) -> Iterator[Arrived]:
    """Take the pictures out of an event: keys are quoted as URLs there; what is no picture is passed over.

    Raises
    ------
    AslsparkError
        Where a record has not S3's shape.
    """
    for record in event.get("Records", []):
        try:
            if not str(record.get("eventName", CREATED)).removeprefix("s3:").startswith(CREATED):
                continue
            bucket, key = record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
        except (KeyError, TypeError, AttributeError) as error:
            raise AslsparkError(f"event: a record without s3.bucket.name and s3.object.key: {record!r:.200}") from error
        if is_picture(key):
            yield Arrived(bucket, key)


def is_picture(name: str) -> bool:
    """Tell by its name whether an object is a picture."""
    return is_picture_name(name)


def answer_name(key: str) -> str:
    """Return the name of what lies beside a picture; of one that is too long for a file system, its beginning.

    Parameters
    ----------
    key : str
        Of the picture.
    """
    folder, slash, name = key.rpartition("/")
    if len(os.fsencode(name + ANSWER)) <= MOST_NAME_BYTES:
        return key + ANSWER
    mark = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    begin = os.fsdecode(os.fsencode(name)[:200]).encode("utf-8", "ignore").decode()
    return f"{folder}{slash}{begin}~{mark}{ANSWER}"


def written(answer: Answer, name: str, reader: Reading) -> bytes:
    """Return what lies beside a picture, as JSON."""
    said = answer.as_dict()
    del said["hand"]
    letter = said.pop("letter")
    place = reader.labels.index(letter) if letter is not None else None
    both = {"picture": name, "prediction": place, "category": letter, **said, "model": reader.digest[:12]}
    return (redacted_json(both) + "\n").encode()


def read_one(store: Store, reader: Reading, bucket: str, key: str) -> bool:
    """Read a picture and write its letter beside it, unless that was done; tells whether it was now.

    Raises
    ------
    FileNotFoundError
        Where the picture is gone.
    """
    if store.has(bucket, answer_name(key)):
        return False
    try:
        answer = reader.read(store.get(bucket, key))
    except SetAside as found:
        answer = Answer(None, None, (), str(found))
    return store.put_new(bucket, answer_name(key), written(answer, key, reader))


def handle(event: Mapping[str, Any], store: Store, reader: Reading) -> dict[str, int]:
    """Read every picture of an event.

    Parameters
    ----------
    event : mapping
        As S3 sends it, with any number of records.
    store : Store
    reader : Reader or IsolatedReader

    Returns
    -------
    dict
        How many were ``read``, and how many had been already (``before``).

    Raises
    ------
    AslsparkError
        Where pictures could not be fetched, or their answers not be written; the others are done, and are not done
        again when the event comes again.
    """
    counts, gone, failed = {"read": 0, "before": 0}, [], []
    for picture in dict.fromkeys(arrived(event)):
        try:
            counts["read" if read_one(store, reader, *picture) else "before"] += 1
        except FileNotFoundError:
            gone.append(f"{picture.bucket}/{picture.key}")
        except Exception as error:  # a store's library has errors of its own
            failed.append(f"{picture.bucket}/{picture.key}: {redact(str(error))}")
    if failed:
        raise AslsparkError(f"event: {len(failed)} pictures failed, first {failed[0]}")
    if gone:
        raise AslsparkError(f"event: {len(gone)} pictures are not there, first {gone[0]}")
    return counts


def lambda_handler(event: Mapping[str, Any], context: Any = None) -> dict[str, int]:
    """Answer AWS Lambda: the bundle lies at $ASLSPARK_MODEL, and boto3 is there, as it always is."""
    import boto3

    return handle(event, S3Store(boto3.client("s3")), _reader(os.environ["ASLSPARK_MODEL"]))


@lru_cache(maxsize=1)
def _reader(path: str) -> IsolatedReader:
    return IsolatedReader(Reader.load(path))
