"""A small file that would hold a decoder for minutes is refused by what its parts say, before it is decoded."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from aslspark.images.decode_cost import MOST_SCANS, check_cost, check_scans, count_scans
from aslspark.images.decoding import TOO_MUCH_WORK, UNSCALED, Unusable, decode, decode_whole
from aslspark.images.exif import orientation, referenced_bytes
from aslspark.images.image_spec import MAX_PIXELS, ImageSpec

FORM = ImageSpec(28, 28, 1)
RGB = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8))


def as_file(image, kind, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def progressive(scans, size=60):
    """A progressive JPEG, one scan of which stands there again and again."""
    data = as_file(Image.new("L", (size, size), 7), "JPEG", progressive=True)
    first, second = (data.index(b"\xff\xda", data.index(b"\xff\xda") + 1), data.rindex(b"\xff\xda"))
    second = data.index(b"\xff\xda", first + 2)
    return data[:second] + data[first:second] * scans + data[second:]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(29 * 28)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def exif_of(entries, size):
    """EXIF each of whose entries names the same bytes."""
    ifd = struct.pack("<H", entries) + b"".join(struct.pack("<HHII", n + 1, 2, size, 8) for n in range(entries))
    return b"II*\0" + struct.pack("<I", 8) + ifd + bytes(4 + max(0, size - len(ifd)))


def in_jpeg(*segments):
    data = as_file(RGB, "JPEG")
    return data[:2] + b"".join(segments) + data[2:]


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def in_gif(blocks):
    data = as_file(RGB.convert("L"), "GIF")
    at = 13 + 3 * 256  # behind the palette
    return data[:at] + blocks + data[at:]


def run_length_bmp(width, height, data):
    palette = bytes(1024)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(data), 0, 0, 54 + 1024) + head + palette + data


COSTLY = {
    "24,000 scans of a JPEG": progressive(24_000),
    "a scan more than is allowed": progressive(MOST_SCANS),
    "fill between the segments of a JPEG": in_jpeg(b"\xff" * 70_000),
    "many segments of a JPEG": in_jpeg(*[segment(0xE5, b"")] * 2100),
    "EXIF whose entries all name the same 60 kB": in_jpeg(segment(0xE1, b"Exif\0\0" + exif_of(4000, 60_000))),
    "many chunks of a PNG": png(*[chunk(b"abCd", b"")] * 2100),
    "many chunks of pixels of a PNG": png(*[chunk(b"IDAT", b"")] * 100_001),
    "a long comment of a GIF": in_gif(b"\x21\xfe" + (b"\xff" + bytes(255)) * 5000 + b"\0"),
    "many blocks of a GIF": in_gif(b"\x21\xfe\0" * 2100),
    "a long row of run lengths in a BMP": run_length_bmp(10_000_000, 2, b"\1\1\0\0"),
    "many bytes of run lengths in a BMP": run_length_bmp(28, 28, bytes(5 << 20)),
}


@pytest.mark.promise(
    "input",
    "A small picture file that would take a decoder minutes or fill the memory is refused before it is decoded, with "
    "the reason.",
    kind="a bound on pixels that bounds no work",
)
@pytest.mark.parametrize("kind", COSTLY)
def test_a_file_that_asks_for_too_much_work_is_refused_by_its_parts(kind):
    for read in (lambda data: decode(data, FORM), lambda data: decode_whole(data, MAX_PIXELS, 900)):
        with pytest.raises(Unusable) as refused:
            read(COSTLY[kind])
        assert refused.value.reason == TOO_MUCH_WORK
        assert len(str(refused.value).splitlines()) == 1


USUAL = {
    "progressive": as_file(RGB, "JPEG", progressive=True),
    "many scans": progressive(MOST_SCANS - 10),
    "a profile in pieces": in_jpeg(
        *[segment(0xE2, b"ICC_PROFILE\0" + bytes([n, 255]) + bytes(65_000)) for n in range(255)]
    ),
    "a small picture with scans of its own in EXIF": in_jpeg(segment(0xE1, b"Exif\0\0" + b"\xff\xda" * 1000)),
    "a film behind it": as_file(RGB, "JPEG") + b"\xff\xda\0\2" * 100_000,
    "two pictures": as_file(RGB, "MPO", save_all=True, append_images=[RGB.rotate(90)]),
    "png": as_file(RGB, "PNG"),
    "gif": as_file(
        RGB.convert("P"), "GIF", save_all=True, append_images=[RGB.rotate(90).convert("P")] * 40, comment=b"c"
    ),
    "bmp": as_file(RGB, "BMP"),
    "webp": as_file(RGB, "WEBP", save_all=True, append_images=[RGB.rotate(90)] * 40),
    "run lengths": run_length_bmp(28, 28, (b"\x1c\x07\0\0" * 28) + b"\0\1"),
}


@pytest.mark.parametrize("kind", USUAL)
def test_what_cameras_and_programs_write_passes(kind):
    assert decode(USUAL[kind], FORM).shape == FORM.shape


def test_the_larger_a_picture_the_fewer_scans_it_may_have():
    data = progressive(60)
    assert count_scans(data, 1000) == 60 + count_scans(progressive(0), 1000)
    check_scans(data, 1_000_000)
    with pytest.raises(Exception, match=r"a JPEG of that size may have 40"):
        check_scans(data, 50_000_000)


def test_a_damaged_file_is_left_to_the_decoder():
    for kind, data in USUAL.items():
        for cut in (1, 3, 12, 20, 40):
            assert check_cost(data[:cut]) is None, kind


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_turn_is_found_in_either_order_of_bytes(turn, order):
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(f"{order}HHHIHHHHII", 2, 0x0112, 3, 1, turn, 0, 0x010F, 2, 4, 0)
    tiff = head + struct.pack(f"{order}I", 8) + entries
    assert orientation({"exif": b"Exif\0\0" + tiff}) == orientation({"exif": tiff}) == turn
    lines = "\nexif\n      40\n" + tiff.hex() + "\n"
    assert orientation({"Raw profile type exif": lines}) == turn
    assert orientation({"XML:com.adobe.xmp": f'<x tiff:Orientation="{turn}"/>'}) == turn
    assert orientation({"exif": tiff[:12]}) == orientation({}) == 1
    assert referenced_bytes(exif_of(3, 1000)) == 3000


@pytest.mark.parametrize("turn", [0, 9, 65535])
def test_a_turn_that_is_none_is_passed_over_for_what_else_is_noted(turn):
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, turn, 0, 0)
    assert orientation({"exif": tiff}) == 1
    assert orientation({"exif": tiff, "xmp": b'<x tiff:Orientation="6"/>'}) == 6
    assert orientation({"xmp": f'<x tiff:Orientation="{turn}"/>'}) == 1


def test_sixteen_bits_of_millimetres_are_a_reason_and_no_black_picture():
    depth = as_file(Image.fromarray(np.random.default_rng(1).integers(0, 1200, (60, 60)).astype(np.uint16)), "PNG")
    with pytest.raises(Unusable) as refused:
        decode(depth, FORM)
    assert refused.value.reason == UNSCALED
    assert not decode(as_file(Image.fromarray(np.zeros((60, 60), np.uint16)), "PNG"), FORM).any()
