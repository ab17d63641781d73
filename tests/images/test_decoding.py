import io

import numpy as np
import pytest
from PIL import Image

from aslspark.data.files.natural_order import natural_key
from aslspark.data.pictures.near_duplicates import near_pairs, perceptual_hashes
from aslspark.images.decoding import ENCODINGS, Unusable, decode, decode_whole, encode, is_encoded, stored
from aslspark.images.image_spec import ImageSpec

SQUARE = ImageSpec(32, 32, 3)
RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)


def as_file(image, kind="PNG", **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def red_left_blue_right(width=200, height=100):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, BLUE
    return Image.fromarray(pixels)


def noise(seed, size=224):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def close(pixel, colour):
    return np.abs(pixel.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_a_picture_is_cropped_about_its_middle(kind):
    picture = decode(as_file(red_left_blue_right(), kind), SQUARE)
    assert picture.shape == (32, 32, 3)
    assert close(picture[16, 2], RED)
    assert close(picture[16, 29], BLUE)


def test_a_letterbox_keeps_all_and_adds_black_bars():
    picture = decode(as_file(red_left_blue_right()), ImageSpec(32, 32, 3, "letterbox"))
    assert not picture[:7].any()
    assert not picture[25:].any()
    assert close(picture[16, 0], RED)
    assert close(picture[16, 31], BLUE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("orientation", "red_at"), [(1, "left"), (3, "right"), (6, "top"), (8, "bottom"), (2, "right")]
)
def test_the_turn_that_a_camera_noted_is_applied(kind, orientation, red_at):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(as_file(red_left_blue_right(600, 300), kind, exif=exif), ImageSpec(32, 32, 3, "letterbox"))
    place = {"left": (16, 4), "right": (16, 27), "top": (4, 16), "bottom": (27, 16)}[red_at]
    assert close(picture[place], RED)


FOUR = {"top left": RED, "top right": (0, 255, 0), "bottom left": BLUE, "bottom right": (255, 255, 0)}
CORNERS = {"top left": (3, 3), "top right": (3, 28), "bottom left": (28, 3), "bottom right": (28, 28)}
STORED_FROM = {
    1: ("top left", "top right", "bottom left", "bottom right"),
    2: ("top right", "top left", "bottom right", "bottom left"),
    3: ("bottom right", "bottom left", "top right", "top left"),
    4: ("bottom left", "bottom right", "top left", "top right"),
    5: ("top left", "bottom left", "top right", "bottom right"),
    6: ("bottom left", "top left", "bottom right", "top right"),
    7: ("bottom right", "top right", "bottom left", "top left"),
    8: ("top right", "bottom right", "top left", "bottom left"),
}
"""What is seen at the corners of a picture, by the corner of the stored pixels that it comes from; of TIFF 6.0."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED_FROM)
def test_each_of_the_eight_turns_brings_every_corner_to_its_place(kind, orientation):
    pixels = np.zeros((300, 600, 3), np.uint8)
    for name, colour in FOUR.items():
        rows = slice(0, 150) if name.startswith("top") else slice(150, 300)
        columns = slice(0, 300) if name.endswith("left") else slice(300, 600)
        pixels[rows, columns] = colour
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    file = as_file(Image.fromarray(pixels), kind, exif=exif, **how)
    picture = decode(file, SQUARE)
    whole = np.asarray(decode_whole(file, 1_000_000, 600))
    assert whole.shape == ((600, 300, 3) if orientation > 4 else (300, 600, 3))
    for (corner, (y, x)), stored_at in zip(CORNERS.items(), STORED_FROM[orientation], strict=True):
        assert close(picture[y, x], FOUR[stored_at]), (corner, picture[y, x])
        assert close(whole[y * whole.shape[0] // 32, x * whole.shape[1] // 32], FOUR[stored_at]), corner


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (red_left_blue_right().convert("CMYK"), "JPEG"),
        (red_left_blue_right().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        (red_left_blue_right().convert("RGBA"), "PNG"),
    ],
    ids=["CMYK", "palette", "RGBA"],
)
def test_other_colours_become_rgb(image, kind):
    assert close(decode(as_file(image, kind), SQUARE)[16, 2], RED)


def test_transparent_parts_become_black():
    image = red_left_blue_right().convert("RGBA")
    image.putalpha(0)
    assert not decode(as_file(image), SQUARE).any()
    palette = red_left_blue_right().convert("P", palette=Image.Palette.ADAPTIVE)
    clear = palette.getpixel((0, 0))
    picture = decode(as_file(palette, transparency=clear), SQUARE)
    assert close(picture[16, 2], BLACK)
    assert close(picture[16, 29], BLUE)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_tall_pictures_are_made_black_below_as_above(mode):
    random = np.random.default_rng(9)
    image = Image.fromarray(random.integers(0, 256, (300, 20, 4), dtype=np.uint8))
    how = {"transparency": bytes(range(256))} if mode == "P" else {}
    file = as_file(image.convert("RGB").convert("P") if mode == "P" else image.convert(mode), "PNG", **how)
    whole = Image.open(io.BytesIO(file)).convert("RGBA")
    wanted = Image.alpha_composite(Image.new("RGBA", whole.size, (0, 0, 0, 255)), whole).convert("RGB")
    assert (decode(file, ImageSpec(300, 20, 3)) == np.asarray(wanted)).all()


def test_sixteen_bits_keep_their_upper_eight():
    image = Image.fromarray(np.linspace(0, 65535, 10_000).reshape(100, 100).astype(np.uint16))
    assert decode(as_file(image), ImageSpec(100, 100, 1)).ravel()[[0, 5000, -1]].tolist() == [0, 128, 255]


def test_of_an_animation_the_first_picture_is_taken():
    file = as_file(red_left_blue_right(), "GIF", save_all=True, append_images=[Image.new("RGB", (200, 100))])
    assert close(decode(file, SQUARE)[16, 2], RED)


def header_says(file, marker, at, size):
    """Change the size in a file's header."""
    place = file.index(marker) + at
    number = size.to_bytes(2, "big")
    return file[:place] + number + number + file[place + 4 :]


JPEG = as_file(noise(1), "JPEG")
BAD = {
    "empty": (b"", "empty"),
    "text": (b"no picture at all", "not a picture"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "cut short"),
    "a JPEG without its last bytes": (JPEG[:-2], "cut short"),
    "half a PNG": (as_file(noise(2))[:50_000], "cut short"),
    "a JPEG that says it is huge": (header_says(JPEG, b"\xff\xc0", 5, 30_000), "too many pixels"),
    "a JPEG a little over the cap": (header_says(JPEG, b"\xff\xc0", 5, 7_100), "too many pixels"),
    "damaged pixels": (as_file(noise(3))[:3000] + bytes(50) + as_file(noise(3))[3050:], "undecodable"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_used_says_why(what):
    file, reason = BAD[what]
    with pytest.raises(Unusable) as caught:
        decode(file, SQUARE)
    assert caught.value.reason == reason
    assert caught.value.detail


def test_a_picture_of_just_as_many_pixels_as_are_allowed_is_read_and_one_of_more_is_not():
    file = as_file(noise(1, 30))
    assert decode(file, ImageSpec(30, 30, 3, max_pixels=900)).shape == (30, 30, 3)
    with pytest.raises(Unusable, match="too many pixels: 30x30 is more than 899 pixels"):
        decode(file, ImageSpec(30, 30, 3, max_pixels=899))


@pytest.mark.parametrize(("highest", "usable"), [(1, False), (4095, False), (4096, True), (65535, True), (0, True)])
def test_greys_of_16_bits_that_were_never_scaled_are_told_by_their_highest(highest, usable):
    pixels = np.zeros((20, 20), np.uint16)
    pixels[5, 5] = highest
    file = as_file(Image.fromarray(pixels))
    if usable:
        assert decode(file, ImageSpec(20, 20, 1)).max() == highest >> 8
    else:
        with pytest.raises(Unusable, match="16 bits, not scaled"):
            decode(file, ImageSpec(20, 20, 1))


def test_leaving_out_details_while_decoding_hardly_changes_the_result():
    smooth = noise(4, 16).resize((900, 900), Image.Resampling.BICUBIC)
    small = decode(as_file(smooth, "JPEG", quality=95), ImageSpec(64, 64, 3)).astype(int)
    assert np.abs(small - decode(as_file(smooth), ImageSpec(64, 64, 3))).mean() < 2


@pytest.mark.parametrize(
    "form", [ImageSpec(100, 400, 3), ImageSpec(400, 100, 3, "letterbox")], ids=["crop", "letterbox"]
)
@pytest.mark.parametrize("orientation", STORED_FROM)
def test_no_more_is_left_out_of_a_turned_picture_than_of_one_that_is_stored_upright(orientation, form):
    # Upright it is 400 wide and 1600 tall, with detail that half of its pixels would not hold.
    size = (1600, 400) if orientation > 4 else (400, 1600)
    grain = np.random.default_rng(3).integers(0, 256, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)
    fine = Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = decode(as_file(fine, "JPEG", quality=95, subsampling=0, exif=exif), form).astype(int)
    assert np.abs(small - decode(as_file(fine, exif=exif), form)).mean() < 4


def test_a_skin_mask_makes_skin_white_and_all_else_black():
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:16] = (200, 140, 110)
    pixels[16:] = (90, 90, 200)
    mask = ((0, 60, 110), (30, 209, 255))
    picture = decode(as_file(Image.fromarray(pixels)), ImageSpec(32, 32, 1, mask=mask))
    assert (picture[:16] == 255).all()
    assert not picture[16:].any()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("channels", [1, 3])
def test_stored_pictures_come_back(encoding, channels):
    smooth = np.asarray(noise(5, 4).resize((40, 30), Image.Resampling.BICUBIC))[:, :, :channels]
    data = encode(smooth, encoding)
    again = stored(data, encoding, (30, 40, channels))
    assert np.abs(again.astype(int) - smooth).mean() < 3
    assert is_encoded(data) == (encoding != "raw")
    if encoding != "jpeg":
        assert np.array_equal(again, smooth)
    with pytest.raises(Unusable, match="wrong size"):
        stored(data, encoding, (40, 40, channels))


def test_names_are_ordered_as_people_count():
    assert sorted(["A10.jpg", "A2.jpg", "a1.jpg", "A.jpg"], key=natural_key) == ["a1.jpg", "A2.jpg", "A10.jpg", "A.jpg"]


def bits_between(one, other):
    return bin((int(one) ^ int(other)) & (1 << 64) - 1).count("1")


@pytest.mark.parametrize("size", [28, 64, 100])
def test_pictures_that_look_alike_have_near_hashes(size):
    smooth = noise(6, 8).resize((size, size), Image.Resampling.BICUBIC)
    one = np.asarray(smooth)
    brighter = (one * 0.8 + 20).astype(np.uint8)
    other = np.asarray(noise(7, 8).resize((size, size), Image.Resampling.BICUBIC))
    hashes = perceptual_hashes(np.stack([one, brighter, other]))
    assert bits_between(hashes[0], hashes[1]) <= 2
    assert bits_between(hashes[0], hashes[2]) > 16


def test_the_nearest_test_picture_is_found_in_any_block(monkeypatch):
    from aslspark.data.pictures import near_duplicates

    monkeypatch.setattr(near_duplicates, "BLOCK", 7)
    random = np.random.default_rng(8)
    hashes, test = (random.integers(-(2**63), 2**63 - 1, n, dtype=np.int64) for n in (30, 20))
    test[13] = hashes[25] ^ 0b101
    pairs = near_pairs(np.array([f"p{n}" for n in range(30)]), hashes, test, 2)
    assert pairs[~pairs["of_test"]].values.tolist() == [["p25", 13, 2, False]]
    assert pairs.loc[pairs["of_test"], "place"].tolist() == [13]


@pytest.mark.parametrize("limit", [0, 1, 6, 63])
def test_a_near_twin_differs_in_as_many_bits_as_are_allowed_and_in_no_more(limit):
    test = np.array([0x0123456789ABCDEF], np.int64)
    first = (1 << limit) - 1  # so many bits
    nearer, at_the_limit, beyond = (test[0] ^ as_signed(bits) for bits in (first >> 1, first, (first << 1) | 1))
    hashes = np.array([nearer, at_the_limit, beyond], np.int64)
    found = near_pairs(np.array(["nearer", "at the limit", "beyond"]), hashes, test, limit)
    of_others = found[~found["of_test"]]
    assert of_others["id"].tolist() == ["nearer", "at the limit"]
    assert of_others["bits"].tolist() == [max(limit - 1, 0), limit]
    alone = near_pairs(np.array(["beyond"]), hashes[2:], test, limit)
    assert alone.empty
    assert near_pairs(np.array(["at the limit"]), hashes[1:2], test, limit)["of_test"].tolist() == [True, False]


def as_signed(bits):
    return np.array([bits], np.uint64).astype(np.int64)[0]
