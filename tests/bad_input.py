"""Bad input, as much as wanted, each piece from a seed: pictures, lines of pixel tables, manifests, zips and bundles.

A piece is a kind, in words, and its bytes. The same seed gives the same pieces.
"""

import base64
import csv
import io
import re
import struct
import zipfile
import zlib
from functools import cache

import bundle_pieces
import numpy as np
from bundle_pieces import OUTSIDE
from PIL import Image, PngImagePlugin

from aslspark.data.tables.pixel_layout import COLUMNS

ENCODINGS = ("utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-32", "cp037")
NAMES = (
    "é/ü.jpg",
    "手/あ.jpg",
    "\u202egpj.A/A\u0301.jpg",
    "A/" + "n" * 240 + ".jpg",
    "A/a b%20[1]{2}*?.jpg",
    "A/..jpg",
    "A/a:b.jpg",
    "A/line\nend.jpg",
    "A/'quote\".jpg",
)


def as_file(image, kind, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def many_scans(data, times):
    """Repeat the second scan of a progressive JPEG."""
    first = data.index(b"\xff\xda", data.index(b"\xff\xda") + 1)
    second = data.index(b"\xff\xda", first + 2)
    return data[:second] + data[first:second] * times + data[second:]


@cache
def good_pictures():
    """Small pictures of each kind that is read, and of the odd ones among them, by name."""
    random = np.random.default_rng(0)
    rgb = Image.fromarray(random.integers(0, 256, (24, 20, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "c" * 3000, zip=True)
    more = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}
    wide = Image.fromarray(random.integers(0, 65536, (24, 20)).astype(np.uint16))
    return {
        "jpeg": as_file(rgb, "JPEG"),
        "jpeg, grey, turned": as_file(rgb.convert("L"), "JPEG", exif=exif),
        "jpeg, cmyk": as_file(rgb.convert("CMYK"), "JPEG"),
        "jpeg, progressive": as_file(rgb, "JPEG", progressive=True, restart_marker_blocks=2),
        "jpeg, many scans": many_scans(as_file(rgb.convert("L"), "JPEG", progressive=True), 90),
        "png": as_file(rgb, "PNG"),
        "png, text, profile, turned": as_file(rgb, "PNG", pnginfo=text, icc_profile=b"p" * 999, exif=exif),
        "png, rgba": as_file(rgb.convert("RGBA"), "PNG"),
        "png, palette": as_file(rgb.convert("P"), "PNG", transparency=3),
        "png, one bit": as_file(rgb.convert("1"), "PNG"),
        "png, sixteen bits": as_file(wide, "PNG"),
        "png, animated": as_file(rgb, "PNG", **more),
        "gif": as_file(rgb, "GIF"),
        "gif, animated": as_file(rgb, "GIF", **more),
        "webp": as_file(rgb, "WEBP"),
        "webp, animated": as_file(rgb, "WEBP", **more),
        "bmp": as_file(rgb, "BMP"),
    }


@cache
def refused_pictures():
    """Whole pictures that are refused all the same, by name."""
    dark = Image.fromarray(np.arange(24 * 20, dtype=np.uint16).reshape(24, 20))
    return {
        "jpeg, too many scans": many_scans(as_file(Image.new("L", (20, 24)), "JPEG", progressive=True), 200),
        "png, sixteen bits of a depth camera": as_file(dark, "PNG"),
    }


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks, colour=2, depth=8):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([png_chunk(b"IHDR", head), *chunks, png_chunk(b"IEND", b"")])


@cache
def bombs():
    """Files that say, or unpack to, far more than they are."""
    empty_rows = zlib.compress(bytes(60_000_000), 9)
    huge_text = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(80_000_000), 9))
    profile = png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(80_000_000), 9))
    jpeg, gif, webp, bmp = (good_pictures()[kind] for kind in ("jpeg", "gif", "webp", "bmp"))
    start = jpeg.index(b"\xff\xc0") + 5
    one = Image.new("RGB", (1, 1))
    long = Image.new("L", (30_000, 1))
    return {
        "png that says 30000x30000": png(30_000, 30_000, png_chunk(b"IDAT", empty_rows)),
        "png that says 2147483647x1": png(2**31 - 1, 1, png_chunk(b"IDAT", empty_rows)),
        "png that says 0x0": png(0, 0, png_chunk(b"IDAT", b"")),
        "png that holds more rows than it says": png(8, 8, png_chunk(b"IDAT", empty_rows)),
        "png with a text that unpacks": png(8, 8, huge_text, png_chunk(b"IDAT", zlib.compress(bytes(8 * 25)))),
        "png with a profile that unpacks": png(8, 8, profile, png_chunk(b"IDAT", zlib.compress(bytes(8 * 25)))),
        "jpeg that says 65535x65535": jpeg[:start] + b"\xff\xff\xff\xff" + jpeg[start + 4 :],
        "gif that says 65535x65535": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "webp with a length of 4 GB": webp[:4] + b"\xff\xff\xff\xff" + webp[8:],
        "bmp that says 2 billion rows": bmp[:22] + struct.pack("<i", -(2**31) + 1) + bmp[26:],
        "one pixel": as_file(one, "PNG"),
        "one pixel, jpeg": as_file(one, "JPEG"),
        "30000 pixels in a row": as_file(long, "PNG"),
        "30000 pixels in a row, jpeg": as_file(long, "JPEG"),
        "30000 pixels in a column": as_file(long.transpose(Image.Transpose.ROTATE_90), "JPEG"),
    }


def boundaries(data):
    """Where the parts of a picture file begin: PNG chunks, JPEG segments, RIFF chunks, GIF blocks."""
    marks = rb"\xff[\xc0-\xfe]|IHDR|IDAT|IEND|PLTE|tRNS|zTXt|iCCP|eXIf|acTL|fcTL|fdAT|VP8|ANIM|ANMF|\x21\xf9|\x2c\x00"
    return sorted({place for found in re.finditer(marks, data) for place in (found.start(), found.end())} | {0})


def mutated(data, random, other):
    """Spoil a file in one way, or in several; return how, and the bytes."""
    data = bytearray(data)
    how = []
    for _ in range(int(random.integers(1, 4))):
        if len(data) < 4:
            break
        way = ("flip", "cut", "cut at a part", "zeros", "twice", "swap", "head", "splice", "tail")[random.integers(9)]
        at, size = int(random.integers(len(data))), int(random.integers(1, 64))
        parts = boundaries(bytes(data))
        part = parts[random.integers(len(parts))]
        if way == "flip":
            for place in random.integers(0, len(data), size % 12 + 1):
                data[place] ^= 1 << random.integers(8)
        elif way == "cut":
            del data[at:]
        elif way == "cut at a part":
            del data[max(0, part + int(random.integers(-1, 2))) :]
        elif way == "zeros":
            data[at : at + size] = bytes(min(size, len(data) - at))
        elif way == "twice":
            data[part:part] = data[part : part + size]
        elif way == "swap":
            data[part : part + 8] = random.integers(0, 256, 8, dtype=np.uint8).tobytes()
        elif way == "head":
            data[: size % 16] = other[: size % 16]
        elif way == "splice":
            data[at:] = other[min(at, len(other) - 1) :]
        else:
            data += random.integers(0, 256, size * 20, dtype=np.uint8).tobytes()
        how.append(way)
    return ", ".join(how), bytes(data)


def bad_pictures(count, seed):
    """Pictures that were spoilt, or that never were any; (kind, bytes)."""
    random = np.random.default_rng([seed, 1])
    names, files = zip(*good_pictures().items(), *refused_pictures().items(), strict=True)
    never = (
        b"",
        b"\0",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"BM",
        b"RIFF\0\0\0\0WEBP",
        b"%!PS-Adobe-3.0 EPSF",
    )
    for _ in range(count):
        place, other = random.integers(len(files), size=2)
        if random.random() < 0.05:
            yield "never a picture", never[random.integers(len(never))] + random.bytes(int(random.integers(40)))
        else:
            how, data = mutated(files[place], random, files[other])
            yield f"{names[place]}: {how}", data


_FIELDS = (
    *(
        "",
        " ",
        "\t",
        '"',
        '""',
        '"7',
        '7"',
        '"7"',
        '" 7 "',
        "7,7",
        "\0",
        "7\0",
        "\ufeff7",
        "\uff17",
        "\u0667",
        "7.0",
        "7.",
        ".7",
    ),
    *("+7", "-0", "-1", "256", "1e2", "1e999", "-1e999", "nan", "inf", "NULL", "0x10", "1_0", "7;7", "é", "\u2028"),
    *("7" * 5000, " " * 5000, "9" * 400, "0" * 5000 + "7", "a" * 5000, '"' * 999, "1" * 5000 + "x", "\u00a07", "=1+1"),
)


def bad_lines(count, seed):
    """Lines of pixel tables, spoilt in one field or as a whole, some left good; (kind, bytes)."""
    random = np.random.default_rng([seed, 2])
    for _ in range(count):
        numbers = [str(number) for number in random.integers(0, 256, len(COLUMNS))]
        numbers[0] = str(random.integers(-2, 30))
        kind = ("field", "fields", "label", "length", "bytes", "cut", "whole", "scaled", "good")[random.integers(9)]
        if kind in ("field", "fields"):
            for place in random.integers(0, len(numbers), 1 if kind == "field" else 40):
                numbers[place] = _FIELDS[random.integers(len(_FIELDS))]
        elif kind == "label":
            numbers[0] = (*_FIELDS, "J", "z", "9", "25", "1e18")[random.integers(len(_FIELDS) + 5)]
        elif kind == "scaled":
            numbers[1:] = [f"{int(number) / 255:.4g}" for number in numbers[1:]]
        elif kind == "length":
            numbers = numbers[: random.integers(785)] if random.random() < 0.5 else numbers * int(random.integers(2, 9))
        line = ",".join(numbers).encode()
        if kind == "bytes":
            spoilt = bytearray(line)
            for place in random.integers(0, len(line), random.integers(1, 9)):
                spoilt[place] = random.integers(256)
            line = bytes(spoilt).replace(b"\n", b" ").replace(b"\r", b" ")
        elif kind == "cut":
            line = line[: random.integers(len(line))]
        elif kind == "whole":
            line = (
                ",".join(COLUMNS).encode(),
                b'"' + line + b'"',
                b"," * 784,
                line.replace(b",", b";"),
                b"\0" * 99,
                b" ",
            )[random.integers(6)]
        yield kind, line


def bad_manifests(count, seed):
    """Tables of pictures with rows and headers of all kinds, in all encodings; (kind, bytes)."""
    random = np.random.default_rng([seed, 3])
    words = ("A", "b", "space", "9", "", "..", "/etc/passwd", "s3a://key:secret@bucket/a.jpg", "A/1.jpg", "x" * 9999)
    elsewhere = (
        "http://localhost/a.jpg",
        "nosuch://x/a.jpg",
        "//host/a.jpg",
        "file:/etc/passwd",
        "C:\\A\\1.jpg",
        "A\\1.jpg",
    )
    ways = (
        "A\\1.jpg",
        "A/link.jpg",
        "A/../A/1.jpg",
        "A//1.jpg",
        "./A/1.jpg",
        "A",
        "A/loop.jpg",
        "~/a.jpg",
        "file:///A/1.jpg",
    )
    odd = (*words, *NAMES, *elsewhere, *ways, "\0", '"', "\n", "train", "'; --", "=cmd|'/c calc'!A1")
    headers = (["path", "label"], ["path", "label", "signer", "split"], ["label", "path"], ["PATH ", ' "Label"'], ["x"])
    headers += (["filename", "class"], ["file_name", "label", "pixel1"], ["file", "who"])
    for _ in range(count):
        file = io.StringIO()
        header = headers[random.integers(len(headers))]
        writer = csv.writer(
            file, lineterminator=("\n", "\r\n", "\r")[random.integers(3)], delimiter=",;\t"[random.integers(3)]
        )
        writer.writerow(header)
        for _ in range(random.integers(6)):
            writer.writerow([odd[random.integers(len(odd))] for _ in range(random.integers(1, len(header) + 3))])
        encoding = ENCODINGS[random.integers(len(ENCODINGS))]
        data = file.getvalue().encode(encoding, "replace")
        if random.random() < 0.5:
            how, data = mutated(data, random, b'"' * 200)
            encoding = f"{encoding}: {how}"
        yield encoding, data


def bad_zips(count, seed):
    """Zips with odd names, bombs and damage; (kind, bytes)."""
    random = np.random.default_rng([seed, 4])
    files = list(good_pictures().values())
    windows = ("hands\\A\\1.jpg", "\\A\\1.jpg", "A\\..\\..\\up.jpg", "hands\\labels.csv", "more.csv")
    paths = (
        *windows,
        "../../A/up.jpg",
        "/A/root.jpg",
        "C:\\A\\drive.jpg",
        "A/..\\..\\up.jpg",
        "A/\0.jpg",
        "__MACOSX/A/x.jpg",
    )
    names = (
        *NAMES,
        *paths,
        "train/A/1.jpg",
        "B/2.png",
        "labels.csv",
        "A/1.jpg",
        "A/1.jpg/2.jpg",
        "deep/" * 60 + "A/1.jpg",
    )
    for _ in range(count):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for _ in range(random.integers(5)):
                name = names[random.integers(len(names))]
                rows = b"filename;label\n../x.jpg;A\nA\\1.jpg;A\nA/1.jpg;B\nhttp://x/a.jpg;A\nA/1.jpg;A\n"
                rows = (rows, rows.replace(b";", b","), b"path,label\n../x.jpg,A\n")[random.integers(3)]
                content = rows if name.endswith("csv") else files[random.integers(len(files))]
                if random.random() < 0.02:
                    content = bytes(3 << 20)  # shrinks a thousand times
                archive.writestr(zipfile.ZipInfo(name), content, (0, 8, 12, 14)[random.integers(4)])
        data, how = file.getvalue(), "whole"
        if random.random() < 0.7:
            how, data = mutated(data, random, b"PK\x05\x06" + bytes(18))
        yield how, data


def bad_bodies(count, seed):
    """Yield (kind, content type and body) of what the service is sent: good ones, spoilt in ways of their own."""
    random = np.random.default_rng([seed, 5])
    jpeg = good_pictures()["jpeg"]
    text = base64.b64encode(jpeg)
    part = b'--edge\r\nContent-Disposition: form-data; name="pictures"; filename="a.jpg"\r\n\r\n' + jpeg + b"\r\n"
    good = {
        "file": (b"image/jpeg", jpeg),
        "pixels": (b"application/octet-stream", bytes(range(100))),
        "form": (b"multipart/form-data; boundary=edge", part * 2 + b"--edge--\r\n"),
        "strings": (b"application/json", b'{"pictures": ["' + text + b'", "data:image/jpeg;base64,' + text + b'"]}'),
        "numbers": (b"application/json", b'{"pictures": [[' + b", ".join([b"7", b"255.0", b"-1e3"] * 33) + b"]]}"),
        "lines": (b"text/csv", b"pixel1,pixel2\r\n" + b",".join([b"7"] * 100) + b"\r\n" + b"1,2\n"),
        "no type": (b"", b""),
    }
    odd = (
        b"[" * 3000,
        b'{"pictures":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"pictures": [' + b"[]," * 2000 + b"[]]}",
        b'{"pictures": [["\xed\xa0\x80"]]}',
        b'{"pictures": ["\\ud800"]}',
        b'{"pictures": [[' + b"9" * 5000 + b"]]}",
        b'{"pictures": [[NaN, Infinity, 1e999]]}',
        b'{"pictures": {"0": 1}, "pictures": [1]}',
        b'\xff\xfe{\x00"\x00p\x00',
        "1,2\u20283,4\x855".encode(),
        b"--edge\r\n" * 200,
        b"--edge\r\nContent-Disposition: form-data; name=\"\n\x00\xff\"; filename*=utf-8''%ff\r\n\r\nx\r\n--edge--",
        b"--edge\r\n" + b"a: b\r\n" * 500,
    )
    kinds = list(good)
    for number in range(count):
        kind = kinds[random.integers(len(kinds))]
        content_type, data = good[kind]
        if number % 5 == 1:
            content_type = good[kinds[random.integers(len(kinds))]][0]
        if number % 5 == 2:
            content_type = mutated(content_type + b";;;;", random, jpeg)[1].replace(b"\n", b"")
        if number % 5 == 3:
            kind, data = "odd", odd[random.integers(len(odd))]
        how = "as it is"
        if number % 2:
            how, data = mutated(data, random, odd[random.integers(len(odd))])
        yield f"{kind}: {how}", content_type + b"\n" + data


_VALUES = (
    *(
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "1e999",
        "-1e999",
        "NaN",
        "9" * 400,
        "[]",
        "{}",
        '""',
        '" "',
        "[[]]",
        '"\\ud800"',
    ),
    *('"A"', '["A", "A"]', '["A\\n", "B", "C"]', "[4, 4, 3]", "[1, 1, 1]", "[4096, 4096, 3]", "[true, 4, 1]", "2"),
    *('"network"', '"mllib"', '"keras"', '"torch"', '"network.keras"', '"network.safetensors"', '"../network.keras"'),
    *('["landmarks"]', '["picture", "landmarks"]', '["picture", "picture"]', "[[0, 60, 110], [30, 209, 255]]"),
    *('{"margin": 0.25}', '{"margin": 1e999}', '{"later": 1}', '{"looks": "4"}', '{"seconds": true}', '"letterbox"'),
    *('"org.apache.spark.ml.feature.SQLTransformer"', '"os.system"', '"builtins"', '["../../outside"]', '"a b;--"'),
    *('{"type": "udt", "class": "java.lang.Runtime"}', '{"type": "udt", "serializedClass": "gASV"}', '"TFOpLambda"'),
    *('"Lambda"', '{"class_name": "Lambda", "module": "keras.layers"}', '"' + "x" * 5000 + '"', '"\\u2028\\u202e"'),
    *("[" * 900 + "]" * 900, f'"{OUTSIDE.decode()}"', f'"{OUTSIDE.decode()}/secret"'),
)
_KEYS = ("kind", "framework", "network_file", "inputs", "threshold", "temperature", "hands", "stageUids", "inputCol")
_KEYS += ("class", "class_name", "module", "function", "serializedClass", "preprocessing", "format", "shape", "labels")
_WHOLE = (
    b"",
    b"{}",
    b"[" * 5000,
    b'{"format": 1, "format": 1}',
    b'{"class": "a", "class": "b", "uid": "x", "paramMap": {}}',
    b"\x80\x04\x95cos\nsystem\n",
    b"PK\x05\x06" + bytes(18),
    b"PAR1\0\0\0\0PAR1",
)
_FILES_BESIDE = (
    *(
        b"extra",
        b"pipeline/stages/5_x/metadata/part-00000",
        b"pipeline/_metadata",
        b"pipeline/.hidden",
        b"NETWORK.onnx",
    ),
    *(
        b"a\nb",
        b"a\\b",
        b"\xff\xfe",
        "\u202eb".encode(),
        b" a",
        b"a ",
        b"x" * 250,
        b"\xff" * 250,
        b"network.onnx.data",
        b"profile/a",
    ),
    *("e\u0301".encode(), b"SHA256SUMS ", b"pipeline/stages/0_/data/part-0.parquet", b"*", b"BUNDLE.JSON"),
)
_SUMS = (
    b"",
    b"\0\n",
    b"\0x",
    b"\0" + b"0" * 64 + b"  ../outside/secret\n",
    b"\0" + b"0" * 64 + b"  /etc/passwd\n",
    b"\1",
    b"\2",
    b"\3 *",
    b"\4\xff\n",
    b"\4\xef\xbb\xbf",
    b"\0" + (b"0" * 64 + b"  a\n") * 3,
)


@cache
def _networks():
    """Networks that ask for more than they may: another file's numbers, more memory than there is, unknown nodes."""
    from onnx import TensorProto, helper

    def outside(location):
        kept = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
        kept.external_data.add(key="location", value=location)
        return kept

    def node(kind, given, made, **how):
        return helper.make_node(kind, [given], [made], **how)

    huge = helper.make_tensor("huge", TensorProto.INT64, [2], [1 << 20, 1 << 20])
    away = OUTSIDE.decode()
    return (
        *(
            bundle_pieces.onnx([4, 4, 1], 3, node("Identity", "far", "near"), ends=[outside(where)])
            for where in (f"{away}/secret", "../outside/secret", "bundle.json", "")
        ),
        bundle_pieces.onnx([4, 4, 1], 3, node("ConstantOfShape", "huge", "filled"), ends=[huge]),
        bundle_pieces.onnx([4, 4, 1], 3, node("Shell", "mean", "ran", domain="com.example")),
        bundle_pieces.onnx([4, 4, 3], 3),
        bundle_pieces.onnx([4, 4, 1], 4),
    )


def bad_bundles(count, seed):
    """Bundles with changed files, names, links and values, their SHA-256 mostly right again; (kind, bytes)."""
    random = np.random.default_rng([seed, 6])

    def one_of(some):
        return some[random.integers(len(some))]

    def told_to(kind, name):
        number = random.bytes(2)
        if kind in ("set", "schema"):
            return random.bytes(1) + one_of(_VALUES).encode()
        if kind == "add key":
            return random.bytes(1) + f"{one_of(_KEYS)}\n{one_of(_VALUES)}".encode()
        if kind in ("flip", "remove key"):
            return random.bytes(int(random.integers(1, 7)) * 2)
        if kind == "replace":
            if name == "network.onnx":
                return one_of(_networks())
            if name.endswith(".h5"):
                return bundle_pieces.h5(OUTSIDE + one_of((b"/secret", b"")), one_of(("link", "virtual")))
            return one_of(_WHOLE)
        if kind in ("link", "pipe", "folder"):
            target = (
                OUTSIDE,
                OUTSIDE + b"/secret",
                OUTSIDE + b"/part-00000",
                b".",
                b"..",
                b"bundle.json",
                b"../outside",
            )
            return b"^" * int(random.integers(4)) + b"\n" + one_of(target)
        if kind in ("rename", "new"):
            return one_of(_FILES_BESIDE) + (b"\n" + one_of(_WHOLE) if kind == "new" else b"")
        return one_of(_SUMS) if kind == "sums" else number + random.bytes(int(random.integers(9)))

    for _ in range(count):
        base = int(random.integers(len(bundle_pieces.good_bundles())))
        names, changes = [*bundle_pieces.good_bundles()[base]], []
        for _ in range(int(random.integers(1, 4))):
            kind = one_of((*bundle_pieces.KINDS, "set", "set", "set", "flip", "flip", "replace"))
            fitting = {"set": (".json", "00000"), "schema": (".parquet",)}.get(kind, ("",))
            name = one_of([name for name in names if name.endswith(fitting)] or names)
            changes.append((kind, name, told_to(kind, name)))
        yield ", ".join(kind for kind, _, _ in changes), bundle_pieces.pack(base, changes)
