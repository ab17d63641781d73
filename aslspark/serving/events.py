"""Pictures that arrive in a bucket -> their letters, each written beside its picture once.

In: an event of S3's shape. Out: NAME.json beside each picture, with prediction (the label's number), category (the
letter), probability and best three, or the reason why there is none.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote_plus

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.redacted_files import redacted_json
from aslspark.common.redaction import redact
from aslspark.images.endings import is_picture_name
from aslspark.images.local_file import MAX_FILE_BYTES, TOO_LARGE, UNREADABLE
from aslspark.scoring.answers import Answer
from aslspark.scoring.reader import Reader
from aslspark.serving.isolated_reader import IsolatedReader

ANSWER = ".json"
"""Is appended to the picture's name, whose ending stays."""
CREATED = "ObjectCreated:"
NO_FILE, OUTSIDE = "no file", "a link that leads elsewhere"
MOST_NAME_BYTES = 230
"""Of an answer's name: usual file systems allow 255, and it is first written under a longer one."""

AnyReader = Reader | IsolatedReader


class SetAside(Exception):  # noqa: N818  (it ends beside the picture, not in a traceback)
    """The reason why something with a picture's name cannot be read at all."""


class Store(Protocol):
    """Where pictures lie."""

    def has(self, bucket: str, key: str) -> bool:
        """Tell whether there is an object."""

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes; raise FileNotFoundError where there is none, SetAside where it is no file."""

    def put_new(self, bucket: str, key: str, data: bytes) -> bool:
        """Write a new object in one step; return False where there is one already."""


class Arrived(NamedTuple):
    """A picture that arrived."""

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
        """Return a file's bytes; a pipe, a folder and a link out of the root are set aside at once."""
        path = self._path(bucket, key)
        try:
            if not Path(os.path.realpath(path)).is_relative_to(self._root):
                raise SetAside(OUTSIDE)
            # Without O_NONBLOCK, opening a pipe would wait until somebody writes to it.
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
        """Write a new file in one step; where two do so at once, one of them gets False."""
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
        """Return a file's path: links in its folder are followed, and must stay below the root; its name is kept."""
        path = self._root / bucket / key
        try:
            folder = path.parent.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a zero byte
            raise AslsparkError(f"key {key!r:.200}: no path ({error})") from error
        if path.name in ("", "..") or "\0" in path.name or not folder.is_relative_to(self._root):
            raise AslsparkError(f"key {key!r:.200}: it leads out of {self._root}")
        return folder / path.name


class S3Store:
    """S3 through a client of boto3, or one like it."""

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
        """Write a new object; S3 itself refuses the second of two."""
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType="application/json", IfNoneMatch="*")
        except Exception as error:
            if _code(error) in ("412", "PreconditionFailed", "409", "ConditionalRequestConflict"):
                return False
            raise
        return True


def _code(error: Exception) -> str:
    """Return the code of a botocore.exceptions.ClientError, or an empty text for any other error."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def arrived(event: Mapping[str, Any]) -> Iterator[Arrived]:
    """Return the pictures of an event; its keys are quoted as in URLs, and other objects are left out.

    Raises
    ------
    AslsparkError
        Where a record does not have S3's shape.
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
    """Return the name of a picture's answer; a name that is too long for a file system is shortened.

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


def answer_json(picture: str, answer: Mapping[str, Any], labels: Sequence[str], digest: str) -> bytes:
    """Return the JSON that is written beside a picture.

    Parameters
    ----------
    picture : str
        Its name.
    answer : mapping
        `letter`, `probability`, `top` and `reason`.
    labels : sequence of str
        Of the model.
    digest : str
        Of the bundle.
    """
    letter = answer["letter"]
    row = {
        "picture": picture,
        "prediction": None if letter is None else labels.index(letter),
        "category": letter,
        "probability": answer["probability"],
        "top": answer["top"],
        "reason": answer["reason"],
        "model": digest[:12],
    }
    return (redacted_json(row) + "\n").encode()


def read_one(store: Store, reader: AnyReader, bucket: str, key: str) -> bool:
    """Read a picture and write its answer beside it; return False where it has one already.

    Raises
    ------
    FileNotFoundError
        Where the picture is gone.
    """
    if store.has(bucket, answer_name(key)):
        return False
    try:
        answer = reader.read(store.get(bucket, key))
    except SetAside as reason:
        answer = Answer(None, None, (), str(reason))
    return store.put_new(bucket, answer_name(key), answer_json(key, answer.as_dict(), reader.labels, reader.digest))


def handle(event: Mapping[str, Any], store: Store, reader: AnyReader) -> dict[str, int]:
    """Read every picture of an event.

    Parameters
    ----------
    event : mapping
        In S3's shape, with any number of records.
    store : Store
    reader : Reader or IsolatedReader

    Returns
    -------
    dict
        How many were ``read`` now, and how many had an answer ``before``.

    Raises
    ------
    AslsparkError
        Where pictures could not be fetched, or their answers not be written; the others are read, and not read again
        when the event comes again.
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
        raise AslsparkError(f"event: {counted(len(failed), 'picture')} failed, first {failed[0]}")
    if gone:
        raise AslsparkError(f"event: {counted(len(gone), 'picture is', 'pictures are')} not there, first {gone[0]}")
    return counts


def lambda_handler(event: Mapping[str, Any], context: Any = None) -> dict[str, int]:
    """Handle an event in AWS Lambda, which brings boto3; the bundle lies at $ASLSPARK_MODEL."""
    import boto3

    return handle(event, S3Store(boto3.client("s3")), _reader(os.environ["ASLSPARK_MODEL"]))


@lru_cache(maxsize=1)
def _reader(path: str) -> IsolatedReader:
    return IsolatedReader(Reader.load(path))
