"""The body of a request, in any form that `/predict` takes -> the pictures to read.

In: a content type and bytes. Out: (name, value, kind) of each picture, with value and kind as `Reader.read` takes them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from aslspark.common.errors import AslsparkError
from aslspark.data.tables.pixel_layout import NOT_A_NUMBER, OUT_OF_RANGE
from aslspark.data.tables.table_text import pixel_lines
from aslspark.scoring.reader import BYTES, NUMBERS, REASON
from aslspark.serving.limits import Limits, Refused, Share

JSON, CSV, FORM, RAW = "application/json", "text/csv", "multipart/form-data", "application/octet-stream"

MOST_VALUES = 512 * 512 * 3
"""Numbers of a picture that comes as numbers, where the model is not known."""
BYTES_A_VALUE = 32
"""The most that a number takes in a line of text: the digits of a double, some blanks, and its comma."""
TOO_LARGE = "too large"
"""The reason of a picture with more bytes than one may have."""
_TOLD = 3
"""Pictures whose reasons a refused request's answer has."""
_LONGEST_QUOTE = 100
"""Characters of a client's own text that an answer repeats."""
_LINE_ENDS = tuple(mark.encode() for mark in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
"""The ends of lines for `str.splitlines`."""


class Picture(NamedTuple):
    """One picture of a request."""

    name: str | None
    value: Any
    kind: str


async def body_of(stream: AsyncIterator[bytes], length: str | None, most: int, share: Share, passed_over: int) -> bytes:
    """Read a request's body within its limit.

    Parameters
    ----------
    stream : async iterator of bytes
    length : str, optional
        The request's Content-Length.
    most : int
        Bytes that the body may have.
    share : Share
        Where its bytes are counted.
    passed_over : int
        Bytes of a larger request that are received and dropped before it is cut off, since a client that is still
        sending would not read the answer.

    Raises
    ------
    Refused
        413 where the body is too large; 503 where the bodies of all requests together are.
    """
    declared = int(length) if length is not None and length.isdigit() and len(length) < 20 else 0
    parts: list[bytes] = []
    size, refused = 0, None
    async for part in stream:
        size += len(part)
        if size > passed_over:
            break
        if max(size, declared) > most or refused is not None:
            parts.clear()
            share.give_back()
            continue
        try:
            share.take(len(part))
            parts.append(part)
        except Refused as error:
            refused = error
            parts.clear()
            share.give_back()
    if max(size, declared) > most:
        raise Refused(413, f"{max(size, declared):,} bytes or more; a request may have {most:,}")
    if refused is not None:
        raise refused
    return b"".join(parts)


def most_bytes(content_type: str, limits: Limits, values: int) -> int:
    """Return how many bytes a body may have; for text, no more than the numbers of its pictures take."""
    if _kind_of(content_type) == CSV and values:
        return min(limits.body, _most_values(limits, values) * BYTES_A_VALUE)
    return limits.body


def is_file(content_type: str) -> bool:
    """Tell whether a body is a single picture, which needs no parsing."""
    kind = _kind_of(content_type)
    return kind == RAW or kind.startswith("image/")


def pictures_of(content_type: str, body: bytes, limits: Limits, values: int = MOST_VALUES) -> list[Picture]:
    """Return the pictures of a body.

    Parameters
    ----------
    content_type : str
        ``multipart/form-data`` with files; ``image/*`` or ``application/octet-stream``, one file or one picture's
        pixels; ``application/json``, ``{"pictures": [...]}`` of base64 strings and lists of 0-255;
        ``text/csv``, each line the pixels of a picture.
    values : int
        Numbers that a picture may have; they are counted before they are parsed. 0: the model takes no numbers.

    Raises
    ------
    Refused
        400, 413, 415 or 422, with the reason.
    """
    if _kind_of(content_type) == FORM:
        return _within(asyncio.run(_of_form(content_type, body, limits)), limits)
    return plain_pictures(content_type, body, limits, values)


def plain_pictures(content_type: str, body: bytes, limits: Limits, values: int = MOST_VALUES) -> list[Picture]:
    """Return the pictures of a body that is not multipart; see `pictures_of`."""
    kind = _kind_of(content_type)
    if kind == JSON:
        # However JSON is nested, neighbouring values have commas between them; `json` itself limits the depth.
        _check_count(body.count(b","), limits, values)
        return _within(_of_json(body), limits)
    if kind == CSV:
        most = most_bytes(content_type, limits, values)
        if len(body) > most:
            raise Refused(413, f"{len(body):,} bytes; a request of text/csv may have {most:,}")
        _check_count(body.count(b",") + sum(map(body.count, _LINE_ENDS)), limits, values)
        return _within(_of_csv(body), limits)
    if kind == RAW or kind.startswith("image/"):
        return _within([Picture(None, body, BYTES)], limits)
    raise Refused(
        415, f"content type {quoted(kind) or 'missing'}: send {FORM}, image/jpeg, image/png, {RAW}, {JSON} or {CSV}"
    )


def _check_count(count: int, limits: Limits, values: int) -> None:
    """Refuse a body with more values than its pictures can have before parsing it: objects take 20 times its bytes."""
    most = _most_values(limits, values)
    if count > most and not values:
        raise Refused(
            422, f"{count:,} values: this model takes the hands that it finds, no pixels; send files of pictures"
        )
    if count > most:
        raise Refused(
            413, f"{count:,} values; a request may have {most:,}, for {limits.pictures} pictures of {values:,}"
        )


def _most_values(limits: Limits, values: int) -> int:
    """Return how many values a text may have, with a header, and in each line a label and both its ends."""
    return (limits.pictures + 1) * (values + 3)


def quoted(text: str, most: int = _LONGEST_QUOTE) -> str:
    """Return the beginning of a client's text, with a question mark for each character that cannot be printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:most])


def _kind_of(content_type: str) -> str:
    return content_type.split(";")[0].strip().lower()


def _within(pictures: list[Picture], limits: Limits) -> list[Picture]:
    if not pictures:
        raise Refused(422, "no picture in the request")
    if len(pictures) > limits.pictures:
        raise Refused(413, f"{len(pictures)} pictures; a request may have {limits.pictures}")
    checked = []
    for picture in pictures:
        if picture.kind == BYTES and len(picture.value) > limits.bytes:
            size = f"{TOO_LARGE}: {len(picture.value):,} bytes; a picture may have {limits.bytes:,}"
            checked.append(Picture(picture.name, size, REASON))
        else:
            checked.append(picture)
    if all(picture.kind == REASON and str(picture.value).startswith(TOO_LARGE) for picture in checked):
        raise Refused(413, refusals([(picture.name, str(picture.value)) for picture in checked]))
    return checked


def refusals(reasons: Sequence[tuple[str | None, str]]) -> str:
    """Return the first reasons of pictures in one line, each after its picture's name, or its place from 0."""
    return "; ".join(
        f"picture {quoted(name or str(place))}: {reason}" for place, (name, reason) in enumerate(reasons[:_TOLD])
    )


async def _of_form(content_type: str, body: bytes, limits: Limits) -> list[Picture]:
    from starlette.datastructures import Headers, UploadFile
    from starlette.formparsers import MultiPartException, MultiPartParser

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        Headers({"content-type": content_type}), stream(), max_files=limits.pictures, max_fields=limits.pictures
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, LookupError, TypeError) as error:
        cause = quoted(getattr(error, "message", None) or "the form cannot be read")
        if "Too many" in cause:
            raise Refused(413, f"more than {limits.pictures} pictures; a request may have {limits.pictures}") from error
        raise Refused(400, f"multipart form: {cause}") from error
    pictures = []
    try:
        for field, part in form.multi_items():
            if not isinstance(part, UploadFile):
                raise Refused(
                    422, f"field {quoted(field)!r} is no file; send pictures as files, in fields named 'pictures'"
                )
            if field != "pictures":
                raise Refused(422, f"field {quoted(field)!r}: send pictures as files, in fields named 'pictures'")
            pictures.append(Picture(part.filename, await part.read(), BYTES))
    finally:
        await form.close()
    return pictures


def _of_json(body: bytes) -> list[Picture]:
    try:
        tree = json.loads(body)
    except json.JSONDecodeError as error:
        raise Refused(400, f"no JSON: {error.msg} at character {error.pos + 1:,}") from error
    except RecursionError as error:
        raise Refused(400, "no JSON that is read: it is nested too deeply") from error
    except ValueError as error:
        raise Refused(400, "no JSON: no UTF-8, or a number with too many digits") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("pictures"), list) or len(tree) != 1:
        raise Refused(422, 'send {"pictures": [...]}, with base64 strings or lists of 0-255, and nothing else')
    return [_of_item(place, item) for place, item in enumerate(tree["pictures"])]


def _of_item(place: int, item: Any) -> Picture:
    if isinstance(item, str):
        text = item.partition(",")[2] if item.startswith("data:") else item
        try:
            return Picture(None, base64.b64decode(text, validate=True), BYTES)
        except (binascii.Error, ValueError):
            return Picture(None, "no base64", REASON)
    if isinstance(item, list):
        if not all(type(number) in (int, float) for number in item):
            return Picture(None, f"{NOT_A_NUMBER}: a list of pixels holds numbers alone", REASON)
        try:
            return Picture(None, np.asarray(item, np.float64), NUMBERS)
        except (OverflowError, ValueError):
            return Picture(None, f"{OUT_OF_RANGE}: a number is far outside", REASON)
    raise Refused(422, f"picture {place}: send a base64 string or a list of 0-255")


def _of_csv(body: bytes) -> list[Picture]:
    try:
        rows = pixel_lines(body, "text/csv")
    except UnicodeDecodeError as error:
        raise Refused(400, "text/csv: no UTF-8") from error
    except AslsparkError as error:
        raise Refused(422, quoted(str(error), 2 * _LONGEST_QUOTE)) from error
    return [
        Picture(
            f"line {row.line}",
            *((row.pixels, NUMBERS) if row.reason is None else (quoted(row.reason, 2 * _LONGEST_QUOTE), REASON)),
        )
        for row in rows
    ]
