"""What holds for any input whatever: each function takes bytes and raises AssertionError where it does not hold.

The tests of bad input and the fuzzer both go through here.
"""

import atexit
import ctypes
import hashlib
import io
import os
import shutil
import stat
import struct
import sys
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import bundle_pieces
import numpy as np
import pyarrow as pa

from aslspark.bundle.files import MANIFEST, ONNX, SUMS, read_bundle, refusal_named
from aslspark.bundle.pipeline_checks import STAGES, check_metadata, pipeline_files
from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.data.files.local_folders import local_of
from aslspark.data.pictures import archives
from aslspark.data.pictures.manifest import decode_manifest, parse_manifest
from aslspark.data.pictures.manifest_files import named_files
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.tables import pixel_layout
from aslspark.data.tables.parse_pixels import parse_lines, parse_row_by_row
from aslspark.data.tables.pixel_layout import layout_of_line, names_pixels
from aslspark.data.tables.table_text import pixel_lines
from aslspark.images import decoding
from aslspark.images.decoding import Unusable, decode, decode_whole, stored
from aslspark.images.image_spec import ImageSpec
from aslspark.scoring.reader import BYTES, NUMBERS, REASON, Reader
from aslspark.serving.limits import Limits, Refused
from aslspark.serving.payload import pictures_of

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
        pixel_layout.EMPTY,
        pixel_layout.WRONG_COLUMN_COUNT,
        pixel_layout.NOT_A_NUMBER,
        pixel_layout.OUT_OF_RANGE,
        pixel_layout.SCALED,
        pixel_layout.UNKNOWN_LABEL,
    },
}
FORMS = (
    ImageSpec(16, 16, 3),
    ImageSpec(16, 16, 1, "letterbox"),
    ImageSpec(8, 12, 3, "letterbox", ((0, 60, 110), (30, 209, 255))),
)
MOST_PIXELS = 4_000_000
"""So that a piece takes no more memory here than the tests have."""


def picture(data):
    """Decoded to its form, or a reason; return the reason of the first form, or None."""
    first, told = None, []
    for place, form in enumerate(FORMS):
        form = ImageSpec(*form.shape, fit=form.fit, mask=form.mask, max_pixels=MOST_PIXELS)
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
        found = parse_manifest(decode_manifest(data), "labels.csv") or []
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
    once = redact(text)
    assert redact(once) == once


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


SECRET = b"only who leaves the bundle reads this"
NONE_OF_OURS = "a network that is none of ours"
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # folders are made and removed for each piece
KEPT = (ONNX, "pipeline/", "network.keras", "network.safetensors")


def bundle(data):
    """A bundle loads or is refused in one line; nothing outside it is read, nothing runs; return what came of it."""
    with tempfile.TemporaryDirectory(prefix="aslspark-bundle-", dir=IN_MEMORY) as top:
        folder, outside, copy = (Path(os.path.realpath(top)) / name for name in ("bundle", "outside", "copy"))
        outside.mkdir()
        copy.mkdir()
        for name in ("secret", "part-00000", MANIFEST):
            (outside / name).write_bytes(SECRET)
        bundle_pieces.make(data, folder, outside)
        before = listing(folder), listing(outside)
        _ready_to_read()
        with nothing_read_in(outside), nothing_run():
            came = _read_all(folder, copy)
        assert (listing(folder), listing(outside)) == before
        return came


def _read_all(folder, copy):
    """Read a folder in each way that needs no Spark and no framework; return how far that came, in words."""
    contents, pipeline = None, {}
    with refused_in_a_line_to_print() as refused:
        contents = read_bundle(str(folder), keep=KEPT, copy_to=copy)
    reader = None
    with refused_in_a_line_to_print():
        reader = Reader.load(str(folder))
    if contents is None:
        assert reader is None
        return refused.kind()
    assert contents.digest == hashlib.sha256((folder / SUMS).read_bytes()).hexdigest()
    assert {*contents.files} >= {MANIFEST}
    for name, content in contents.files.items():
        assert name == MANIFEST or name.startswith(KEPT)
        assert SECRET not in content
        assert (copy / name).read_bytes() == content
    assert listing(copy) == listing(folder)
    if contents.manifest["kind"] == "mllib":
        assert reader is None
        with refused_in_a_line_to_print() as refused, refusal_named("--model ", "x"):
            pipeline = pipeline_files(contents.files, "pipeline/")
        for name, content in pipeline.items():
            assert contents.files[f"pipeline/{name}"] == content
            assert not name.rpartition("/")[2].startswith((".", "_"))
            if "/metadata/" in f"/{name}":
                assert check_metadata(content, name)["class"] in STAGES
        return "a pipeline" if pipeline else refused.kind()
    if "network.keras" in contents.files:
        keras_files = _loaders()[0]
        said = "one line"
        try:
            keras_files.check_archive(contents.files["network.keras"])
        except keras_files.LoadRefused as error:
            said = str(error)
        assert said.isprintable()
        assert len(said) < 1000
    if "network.safetensors" in contents.files:
        _, torch_weights, network = _loaders()
        with refused_in_a_line_to_print():
            torch_weights.load_weights(
                network, "cnn", Path("network.safetensors"), True, contents.files["network.safetensors"]
            )
    if reader is None:
        return NONE_OF_OURS
    assert reader.labels == tuple(contents.manifest["labels"])
    return "a network"


@cache
def _loaders():
    from aslspark.models import keras_files, torch_network, torch_weights

    return keras_files, torch_weights, torch_network.build("cnn", (28, 28, 1), 3, 0.0)


@cache
def _ready_to_read():
    """Read each bundle that is one: what is imported at another later is that one's doing."""
    with tempfile.TemporaryDirectory(prefix="aslspark-bundle-", dir=IN_MEMORY) as top:
        for number in range(len(bundle_pieces.good_bundles())):
            folder, copy = Path(top) / f"{number}", Path(top) / f"{number}-copy"
            copy.mkdir()
            bundle_pieces.make(bytes([number]), folder, copy)
            assert _read_all(folder, copy) in ("a network", "a pipeline")


def listing(folder):
    """All that lies in a folder: name -> its kind and size."""
    found = {}
    for above, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = os.path.join(above, name)
            about = os.lstat(path)
            if not stat.S_ISDIR(about.st_mode):
                found[os.path.relpath(path, folder)] = (stat.S_IFMT(about.st_mode), about.st_size)
    return found


OPENED = 0x20  # IN_OPEN


@cache
def _inotify():
    """Open Linux' watch over files, which sees C libraries too, once: to close it takes longer than all else here."""
    library = ctypes.CDLL(None, use_errno=True)
    handle = library.inotify_init1(os.O_NONBLOCK)
    assert handle >= 0
    return library, handle


@contextmanager
def nothing_read_in(folder):
    """See that neither a folder nor a file in it is opened, whoever does it."""
    library, handle = _inotify()
    watch = library.inotify_add_watch(handle, os.fsencode(folder), OPENED)
    assert watch >= 0
    yield
    assert watch not in [number for number, what in _events(handle) if what & OPENED], f"{folder} was looked into"


def _events(handle):
    """What was seen since the last time: the number of a watch, and what happened."""
    while True:
        try:
            seen = os.read(handle, 65536)
        except BlockingIOError:
            return
        at = 0
        while at < len(seen):
            number, what, _, length = struct.unpack_from("iIII", seen, at)
            yield number, what
            at += 16 + length


RUNS = {
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"),
    *("pickle.find_class", "socket.connect", "socket.getaddrinfo", "urllib.Request", "ctypes.dlopen"),
}
_seen = threading.local()


@cache
def _listen():
    def hear(event, given):
        heard = getattr(_seen, "events", None)
        if heard is not None and event in RUNS:
            heard.append(f"{event} {given}"[:300])

    sys.addaudithook(hear)  # for good: Python takes none away


@contextmanager
def nothing_run():
    """See that this thread starts no program, unpickles nothing, asks no host and imports nothing but Python's own."""
    _listen()
    before = {*sys.modules}
    _seen.events = []
    try:
        yield
        assert not _seen.events, _seen.events
    finally:
        _seen.events = None
    assert {name.partition(".")[0] for name in sys.modules.keys() - before} <= sys.stdlib_module_names


class Said:
    """What was refused, in one line; empty where nothing was."""

    line = ""

    def kind(self):
        """The line without what belongs to this piece alone."""
        for word in ("is a link", "no plain file", "made by this package", "was changed", "is missing", "belong"):
            if word in self.line:
                return word
        return "other"


@contextmanager
def refused_in_one_line():
    said, told = Said(), "one line"
    try:
        yield said
    except AslsparkError as error:
        said.line = told = str(error)
    assert len(told.splitlines()) == 1, told
    assert len(told) < 1000


@contextmanager
def refused_in_a_line_to_print():
    with refused_in_one_line() as refused:
        yield refused
    assert refused.line.isprintable(), ascii(refused.line)


class Files:
    """A file system that holds one file."""

    def __init__(self, data):
        self._data = data

    @contextmanager
    def opened(self, path):
        yield io.BytesIO(self._data)
