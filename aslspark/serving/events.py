"""A picture arrived in a bucket -> its letter is written beside it, once.

In: an event of S3's shape. Out: NAME.json beside each picture: its prediction (the label's number), category (the
letter), probability, best three, or why there is none.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote_plus

from aslspark.errors import AslsparkError
from aslspark.reading import Answer, Reader

ENDINGS = (".jpg", ".jpeg", ".png")
ANSWER = ".json"
"""Added to the picture's whole name."""
CREATED = "ObjectCreated:"


class Store(Protocol):
    """Where pictures lie."""

    def has(self, bucket: str, key: str) -> bool:
        """Tell whether there is an object."""

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object; FileNotFoundError where there is none."""

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
        """Tell whether there is a file."""
        return self._path(bucket, key).is_file()

    def get(self, bucket: str, key: str) -> bytes:
        """Return a file's bytes."""
        return self._path(bucket, key).read_bytes()

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
        path = (self._root / bucket / key).resolve()
        if not path.is_relative_to(self._root):
            raise AslsparkError(f"key {key!r}: it leads out of {self._root}")
        return path


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
            return bytes(self._client.get_object(Bucket=bucket, Key=key)["Body"].read())
        except Exception as error:
            if _code(error) in ("404", "NoSuchKey"):
                raise FileNotFoundError(f"s3://{bucket}/{key}") from error
            raise

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
    return name.lower().endswith(ENDINGS)


def written(answer: Answer, name: str, reader: Reader) -> bytes:
    """Return what lies beside a picture, as JSON."""
    said = answer.as_dict()
    del said["hand"]
    letter = said.pop("letter")
    place = reader.labels.index(letter) if letter is not None else None
    both = {"picture": name, "prediction": place, "category": letter, **said, "model": reader.digest[:12]}
    return (json.dumps(both) + "\n").encode()


def read_one(store: Store, reader: Reader, bucket: str, key: str) -> bool:
    """Read a picture and write its letter beside it, unless that was done; tells whether it was now.

    Raises
    ------
    FileNotFoundError
        Where the picture is gone.
    """
    if store.has(bucket, key + ANSWER):
        return False
    answer = reader.read(store.get(bucket, key))
    return store.put_new(bucket, key + ANSWER, written(answer, key, reader))


def handle(event: Mapping[str, Any], store: Store, reader: Reader) -> dict[str, int]:
    """Read every picture of an event.

    Parameters
    ----------
    event : mapping
        As S3 sends it, with any number of records.
    store : Store
    reader : Reader

    Returns
    -------
    dict
        How many were ``read``, and how many had been already (``before``).

    Raises
    ------
    AslsparkError
        Where pictures could not be fetched; the others are done, and are not done again when the event comes again.
    """
    counts, gone = {"read": 0, "before": 0}, []
    for picture in dict.fromkeys(arrived(event)):
        try:
            counts["read" if read_one(store, reader, *picture) else "before"] += 1
        except FileNotFoundError:
            gone.append(f"{picture.bucket}/{picture.key}")
    if gone:
        raise AslsparkError(f"event: {len(gone)} pictures are not there, first {gone[0]}")
    return counts


def lambda_handler(event: Mapping[str, Any], context: Any = None) -> dict[str, int]:
    """Answer AWS Lambda: the bundle lies at $ASLSPARK_MODEL, and boto3 is there, as it always is."""
    import boto3

    return handle(event, S3Store(boto3.client("s3")), _reader(os.environ["ASLSPARK_MODEL"]))


@lru_cache(maxsize=1)
def _reader(path: str) -> Reader:
    return Reader.load(path)
