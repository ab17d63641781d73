"""What holds for any input whatever: each function takes bytes and raises AssertionError where it does not hold.

The tests of bad input and the fuzzer both go through here.
"""

import atexit
import io
import os
import shutil
import tempfile
import zipfile
from contextlib import contextmanager
from functools import cache

import numpy as np
import pyarrow as pa

from aslspark import decoding
from aslspark.data.pixel_lines import pixel_lines
from aslspark.data.pixel_table import layout_of_line, names_pixels
from aslspark.decoding import Form, Unusable, decode, decode_whole, stored
from aslspark.errors import AslsparkError
from aslspark.masking import shown
from aslspark.reading import BYTES, NUMBERS, REASON
from aslspark.serving.limits import Limits, Refused
from aslspark.serving.payload import pictures_of
from aslspark.sources import parse_pixels
from aslspark.sources.local_folders import local_of
from aslspark.sources.parse_pixels import parse_lines, parse_row_by_row
from aslspark.sources.pictures import archives
from aslspark.sources.pictures.files import named_files, read_manifest, text_of_manifest
from aslspark.sources.pictures.options import PictureOptions

REASONS = {
    "picture": {
        decoding.EMPTY,
        decoding.NO_PICTURE,
        decoding.TOO_MANY_PIXELS,
        decoding.TOO_MUCH_WORK,
        decoding.UNSCALED,
        decoding.CUT_SHORT,
        decoding.UNDECODABLE,
    },
    "row": {
        parse_pixels.EMPTY,
        parse_pixels.WRONG_COLUMN_COUNT,
        parse_pixels.NOT_A_NUMBER,
        parse_pixels.OUT_OF_RANGE,
        parse_pixels.SCALED,
        parse_pixels.UNKNOWN_LABEL,
    },
}
FORMS = (Form(16, 16, 3), Form(16, 16, 1, "letterbox"), Form(8, 12, 3, "letterbox", ((0, 60, 110), (30, 209, 255))))
MOST_PIXELS = 4_000_000
"""So that a piece takes no more memory here than the tests have."""


def picture(data):
    """Decoded to its form, or a reason; return the reason of the first form, or None."""
    first, told = None, []
    for place, form in enumerate(FORMS):
        form = Form(*form.shape, fit=form.fit, mask=form.mask, max_pixels=MOST_PIXELS)
        try:
            pixels = decode(data, form)
            assert pixels.shape == form.shape
            assert pixels.dtype == np.uint8
        except Unusable as trouble:
            told.append(trouble)
            first = trouble.reason if place == 0 else first
    try:
        assert decode_whole(data, MOST_PIXELS, 16).mode in ("L", "RGB")
    except Unusable as trouble:
        told.append(trouble)
    for trouble in told:
        assert trouble.reason in REASONS["picture"]
        assert len(trouble.detail.splitlines()) == 1
    return first


def stored_picture(data):
    """What stands in a Parquet file as a picture: pixels of the size that is said, or a reason."""
    for encoding in ("png", "jpeg", "raw", None):
        for shape in ((24, 20, 3), (24, 20, 1), (1, 1, 1)):
            detail = "as it is said"
            try:
                assert stored(data, encoding, shape).shape == shape
            except Unusable as trouble:
                detail = trouble.detail
            assert detail


def rows(lines):
    """Every line kept or with a reason, in the same way together and one by one; return the bad ones."""
    column = pa.array(lines, pa.binary()).view(pa.string())
    fast, slow = parse_lines(column), parse_row_by_row(column)
    bad = [row.line for row in fast.bad]
    assert sorted([*fast.good.tolist(), *bad]) == list(range(len(lines)))
    assert fast.good.tolist() == slow.good.tolist()
    assert fast.bad == slow.bad
    assert (fast.numbers == slow.numbers).all()
    assert (fast.pixels == slow.pixels).all()
    for row in fast.bad:
        assert row.reason in REASONS["row"]
        assert row.detail
        assert "\n" not in row.detail
        assert len(row.detail) < 200
    return fast.bad


def header(data):
    """The header of a pixel table is a layout, or one line that says why not; return the layout or None."""
    text = data.decode("utf-8", "replace").replace("\r", "\n").split("\n")[0]
    found = None
    for label in (True, False):
        with refused_in_one_line():
            found = layout_of_line(text, "letters.csv", label=label)
            assert len(found.pixels) == 784
            assert sorted({*found.pixels}) == list(found.pixels)
            assert found.label not in found.pixels
            assert len(set(found.names)) == found.columns
            assert names_pixels(text)
    return found


def table_text(data):
    """Every row of a table in memory has pixels or a reason, and what is no table is one line."""
    try:
        with refused_in_one_line():
            for row in pixel_lines(data, "text/csv"):
                assert (row.pixels is None) != (row.reason is None)
    except UnicodeDecodeError:
        return


def manifest(data):
    """Rows, or none, or one line that says why; each names a file in its folder or has a reason; return how many."""
    found = []
    with refused_in_one_line():
        found = read_manifest(text_of_manifest(data), "labels.csv") or []
        assert [row.number for row in found] == list(range(1, len(found) + 1))
    folder = folder_of_manifest()
    files = named_files(None, ThisMachine(), f"file:{folder}/labels.csv", found, [])
    assert len(files) == len(found)
    for file in files:
        f"{file.path} {file.name} {file.detail}".encode()  # it can be stored and printed
        if file.reason is None:
            assert os.path.realpath(file.file).startswith(os.fsencode(folder) + b"/")
            assert os.path.isfile(file.file)
        else:
            assert len(file.detail.splitlines()) == 1
            assert "secret" not in f"{file.path} {file.detail}" or "secret" in file.name
    return len(found)


@cache
def folder_of_manifest():
    """A folder with a picture, a link that leads out of it and one to itself."""
    top = os.path.realpath(tempfile.mkdtemp(prefix="aslspark-manifest-"))
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    os.makedirs(f"{top}/hands/A")
    for name in ("hands/A/1.jpg", "outside.jpg"):
        with open(f"{top}/{name}", "wb") as file:
            file.write(b"x")
    os.symlink(f"{top}/outside.jpg", f"{top}/hands/A/link.jpg")
    os.symlink("loop.jpg", f"{top}/hands/A/loop.jpg")
    return f"{top}/hands"


class ThisMachine:
    """A file system that knows where paths lie, and of no other store."""

    def local(self, path):
        found = local_of(path)
        return None if found is None else os.path.abspath(found)


def archive(data):
    """Every picture of a zip with a label or a reason, and only those unpacked that have none; return both counts."""
    source, unpacked = None, []
    with refused_in_one_line():
        source = archives.open_zip(None, Files(data), "pictures.zip", PictureOptions())
        usable = {found.path for found in source.usable}
        for name in usable:
            assert not name.startswith(("/", "\\"))
            assert ".." not in name.replace("\\", "/").split("/")
        unpacked = list(archives._unpacked(zipfile.ZipFile(io.BytesIO(data)), usable))
        assert {name for name, _ in unpacked} <= usable
        assert sum(len(content) for _, content in unpacked) <= max(1 << 20, archives.MAX_RATIO * len(data))
    return (0, 0) if source is None else (len(source.pictures), len(unpacked))


def masking(text):
    """Masked twice is masked once."""
    once = shown(text)
    assert shown(once) == once


def body(data):
    """A content type (the first line) and a body: pictures, no more than allowed, or one line that refuses them."""
    kind, _, rest = data.partition(b"\n")
    limits = Limits(bytes=20_000, pictures=4)
    found, why_not = [], None
    try:
        found = pictures_of(kind.decode("latin-1"), rest, limits, values=100)
    except Refused as refused:
        why_not = refused
    if why_not is not None:
        assert why_not.status in (400, 413, 415, 422)
        assert len(why_not.reason.splitlines()) == 1, why_not.reason
        assert len(why_not.reason) < 300
        return why_not.status
    assert 0 < len(found) <= limits.pictures
    for picture in found:
        assert picture.kind in (BYTES, NUMBERS, REASON)
        if picture.kind == BYTES:
            assert isinstance(picture.value, bytes)
            assert len(picture.value) <= limits.bytes
        elif picture.kind == NUMBERS:
            assert np.asarray(picture.value).ndim == 1
        else:
            assert len(picture.value.splitlines()) == 1
    return len(found)


@contextmanager
def refused_in_one_line():
    said = "one line"
    try:
        yield
    except AslsparkError as error:
        said = str(error)
    assert len(said.splitlines()) == 1, said
    assert len(said) < 1000


class Files:
    """A file system that holds one file."""

    def __init__(self, data):
        self._data = data

    @contextmanager
    def opened(self, path):
        yield io.BytesIO(self._data)
