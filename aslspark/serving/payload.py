"""The body of a request -> pictures to read, in any of the forms that `/predict` takes; or why not.

In: a content type and bytes. Out: (name, value, kind) of each picture, value and kind as `Reader.read` takes them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, NamedTuple

import numpy as np

from aslspark.common.errors import AslsparkError
from aslspark.data.tables.pixel_layout import NOT_A_NUMBER, OUT_OF_RANGE
from aslspark.data.tables.table_text import pixel_lines
from aslspark.scoring.reader import BYTES, NUMBERS, REASON
from aslspark.serving.limits import Limits, Refused, Share

JSON, CSV, FORM, RAW = "application/json", "text/csv", "multipart/form-data", "application/octet-stream"

MOST_VALUES = 512 * 512 * 3
"""Of a picture that comes as numbers, where the model is not known."""
BYTES_A_VALUE = 32
"""That a number in a line of text takes at most, its comma included: as exact as a double is, and some blanks."""
_MOST_SAID = 100
"""Characters of a client's own words that an answer repeats."""
_LINE_ENDS = tuple(mark.encode() for mark in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
"""At which `str.splitlines` ends a line."""


class Picture(NamedTuple):
    """One picture of a request."""

    name: str | None
    value: Any
    kind: str


async def body_of(stream: AsyncIterator[bytes], length: str | None, most: int, share: Share, passed_over: int) -> bytes:
    """Read a request's body, and no more than is allowed.

    Parameters
    ----------
    stream : async iterator of bytes
    length : str, optional
        The request's Content-Length.
    most : int
    share : Share
        That the body is counted in.
    passed_over : int
        Bytes that are taken, and thrown away, of a request that has too many, before it is cut off: a client that is
        still sending would not read the answer.

    Raises
    ------
    Refused
        413; 503 where the bodies of all requests together are too many.
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
    """Return how long a body may be: as text, no longer than its pictures' numbers are."""
    if _kind_of(content_type) == CSV:
        return min(limits.body, _most_values(limits, values) * BYTES_A_VALUE)
    return limits.body


def is_file(content_type: str) -> bool:
    """Tell whether a body is one picture as it is, so that nothing need be parsed."""
    kind = _kind_of(content_type)
    return kind == RAW or kind.startswith("image/")


def pictures_of(content_type: str, body: bytes, limits: Limits, values: int = MOST_VALUES) -> list[Picture]:
    """Take the pictures out of a body.

    Parameters
    ----------
    content_type : str
        ``multipart/form-data`` with files; ``image/*`` or ``application/octet-stream``, one file or one picture's
        pixels; ``application/json``, ``{"pictures": [...]}`` of base64 strings and lists of 0-255;
        ``text/csv``, a picture's pixels a line.
    body : bytes
    limits : Limits
    values : int
        Numbers that a picture may have: they are counted before one of them is made.

    Raises
    ------
    Refused
        400, 413, 415 or 422, with what is wrong.
    """
    if _kind_of(content_type) == FORM:
        return _within(asyncio.run(_of_form(content_type, body, limits)), limits)
    return plain_pictures(content_type, body, limits, values)


def plain_pictures(content_type: str, body: bytes, limits: Limits, values: int = MOST_VALUES) -> list[Picture]:
    """Do as `pictures_of` with every form of a body but multipart."""
    kind = _kind_of(content_type)
    if kind == JSON:
        # However it is nested, what stands side by side has commas between; how deep it may be, `json` limits.
        _count(body.count(b","), limits, values)
        return _within(_of_json(body), limits)
    if kind == CSV:
        most = most_bytes(content_type, limits, values)
        if len(body) > most:
            raise Refused(413, f"{len(body):,} bytes; a request of text/csv may have {most:,}")
        _count(body.count(b",") + sum(map(body.count, _LINE_ENDS)), limits, values)
        return _within(_of_csv(body), limits)
    if kind == RAW or kind.startswith("image/"):
        return _within([Picture(None, body, BYTES)], limits)
    there = f"image/jpeg, image/png, {RAW}, {JSON} or {CSV}"
    raise Refused(415, f"content type {shortly(kind) or 'missing'}: send {FORM}, {there}")


def _count(found: int, limits: Limits, values: int) -> None:
    """Refuse more values than a request's pictures can have, before any is made: as objects they take 20 times more."""
    most = _most_values(limits, values)
    if found > most:
        raise Refused(
            413, f"{found:,} values; a request may have {most:,}, for {limits.pictures} pictures of {values:,}"
        )


def _most_values(limits: Limits, values: int) -> int:
    """Return how many values a text may have: a line of names too, and in each line a label and its two ends."""
    return (limits.pictures + 1) * (values + 3)


def shortly(text: str, most: int = _MOST_SAID) -> str:
    """Return a client's words as part of one line: what cannot be printed is a question mark."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:most])


def _kind_of(content_type: str) -> str:
    return content_type.split(";")[0].strip().lower()


def _within(pictures: list[Picture], limits: Limits) -> list[Picture]:
    if not pictures:
        raise Refused(422, "no picture in the request")
    if len(pictures) > limits.pictures:
        raise Refused(413, f"{len(pictures)} pictures; a request may have {limits.pictures}")
    for place, picture in enumerate(pictures):
        if picture.kind == BYTES and len(picture.value) > limits.bytes:
            size = f"{len(picture.value):,} bytes; a picture may have {limits.bytes:,}"
            raise Refused(413, f"picture {shortly(picture.name or str(place))}: {size}")
    return pictures


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
        said = shortly(getattr(error, "message", None) or "the form cannot be read")
        raise Refused(413 if "Too many" in said else 400, f"multipart form: {said}") from error
    pictures = []
    try:
        for field, part in form.multi_items():
            if not isinstance(part, UploadFile):
                raise Refused(
                    422, f"field {shortly(field)!r} is no file; send pictures as files, in fields named 'pictures'"
                )
            if field != "pictures":
                raise Refused(422, f"field {shortly(field)!r}: send pictures as files, in fields named 'pictures'")
            pictures.append(Picture(part.filename, await part.read(), BYTES))
    finally:
        await form.close()
    return pictures


def _of_json(body: bytes) -> list[Picture]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"no JSON: {type(error).__name__}") from error
    if not isinstance(given, dict) or not isinstance(given.get("pictures"), list) or len(given) != 1:
        raise Refused(422, 'send {"pictures": [...]}, with base64 strings or lists of 0-255, and nothing else')
    return [_of_item(place, item) for place, item in enumerate(given["pictures"])]


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
        raise Refused(422, shortly(str(error), 2 * _MOST_SAID)) from error
    return [
        Picture(
            f"line {row.line}",
            *((row.pixels, NUMBERS) if row.reason is None else (shortly(row.reason, 2 * _MOST_SAID), REASON)),
        )
        for row in rows
    ]
