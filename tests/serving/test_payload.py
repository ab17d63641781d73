"""What a request's body may be: how much of it is read and held, and what is taken out of it; without a service."""

import asyncio
import base64
import json

import pytest

from aslspark.serving.limits import Held, Limits, Refused
from aslspark.serving.payload import body_of, is_file, most_bytes, pictures_of

MOST, PASSED_OVER = 100, 400


def read(parts, length=None, held=None, most=MOST):
    """Read a body that comes in parts; returns it, what was held meanwhile at most, and how many parts were taken."""
    held, taken, highest = held or Held(1000), [], [0]

    async def stream():
        for part in parts:
            taken.append(part)
            yield part
            highest.append(held.now)

    async def body():
        with held.share() as share:
            return await body_of(stream(), length, most, share, PASSED_OVER)

    try:
        return asyncio.run(body()), max(highest), len(taken)
    finally:
        assert held.now == 0


@pytest.mark.parametrize("length", [None, "100", "7", "no number", "9" * 30])
def test_a_body_at_the_limit_is_read_whole_however_it_is_cut_and_whatever_its_length_says(length):
    for size in (1, 9, 50, 100):
        parts = [bytes([n]) * size for n in range(100 // size)]
        parts.append(b"x" * (100 - size * len(parts)))
        body, highest, _ = read(parts, length)
        assert (body, highest) == (b"".join(parts), 100)


@pytest.mark.parametrize("length", [None, "5", "100"])
@pytest.mark.parametrize("parts", [[b"x" * 101], [b"x" * 100, b"x"], [b"x"] * 101, [b"x" * 60, b"", b"x" * 41]])
def test_a_chunked_body_of_one_byte_more_is_refused_and_nothing_of_it_is_held(parts, length):
    with pytest.raises(Refused, match=r"101 bytes or more; a request may have 100") as refused:
        read(parts, length)
    assert refused.value.status == 413


def test_a_body_whose_length_says_too_much_is_refused_whatever_comes():
    held = Held(1000)
    with pytest.raises(Refused, match="101 bytes or more") as refused:
        read([b"x" * 10], "101", held)
    assert refused.value.status == 413


def test_of_a_body_that_does_not_end_no_more_is_taken_than_is_passed_over():
    taken = []

    async def endless():
        while True:
            taken.append(50)
            yield b"x" * 50

    async def body():
        with Held(1000).share() as share:
            await body_of(endless(), None, MOST, share, PASSED_OVER)

    with pytest.raises(Refused, match="450 bytes or more"):
        asyncio.run(body())
    assert sum(taken) == PASSED_OVER + 50


@pytest.mark.parametrize(("room", "fits"), [(100, True), (99, False)])
def test_bodies_are_held_together_up_to_their_limit_and_no_byte_further(room, fits):
    held = Held(1000)
    with held.share() as another:
        another.take(1000 - room)
        if not fits:
            with pytest.raises(Refused, match=r"the service holds 9\d\d bytes") as refused:
                asyncio.run(body_beside(held))
            assert refused.value.status == 503
        else:
            assert asyncio.run(body_beside(held)) == b"x" * 100
        assert held.now == 1000 - room


async def body_beside(held):
    async def stream():
        yield b"x" * 50
        yield b"x" * 50

    with held.share() as share:
        return await body_of(stream(), None, MOST, share, PASSED_OVER)


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "application/json", "multipart"])
def test_a_picture_of_the_largest_size_passes_and_one_byte_more_does_not(kind):
    limits = Limits(bytes=30, pictures=2)

    def body(size):
        data = b"x" * size
        if kind == "application/json":
            return kind, json.dumps({"pictures": [base64.b64encode(data).decode()]}).encode()
        if kind == "multipart":
            head = b'--e\r\nContent-Disposition: form-data; name="pictures"; filename="a"\r\n\r\n'
            return "multipart/form-data; boundary=e", head + data + b"\r\n--e--\r\n"
        return kind, data

    (picture,) = pictures_of(*body(30), limits)
    assert picture.value == b"x" * 30
    with pytest.raises(Refused, match="31 bytes; a picture may have 30") as refused:
        pictures_of(*body(31), limits)
    assert refused.value.status == 413


def test_of_pictures_that_are_all_too_large_the_first_three_are_named():
    body = json.dumps({"pictures": [base64.b64encode(b"x" * 31).decode()] * 4}).encode()
    with pytest.raises(Refused) as refused:
        pictures_of("application/json", body, Limits(bytes=30))
    told = "too large: 31 bytes; a picture may have 30"
    assert (refused.value.status, refused.value.reason) == (413, "; ".join(f"picture {n}: {told}" for n in range(3)))


def test_as_many_pictures_as_are_allowed_pass_and_one_more_does_not():
    def ask(count):
        return pictures_of("application/json", json.dumps({"pictures": [""] * count}).encode(), Limits(pictures=3))

    assert len(ask(3)) == 3
    with pytest.raises(Refused, match="4 pictures; a request may have 3") as refused:
        ask(4)
    assert refused.value.status == 413
    with pytest.raises(Refused, match="no picture") as refused:
        ask(0)
    assert refused.value.status == 422


def test_text_may_be_as_long_as_the_numbers_of_its_pictures_and_files_as_four_of_the_largest():
    limits = Limits(bytes=1000, pictures=2)
    assert most_bytes("text/csv; charset=utf-8", limits, 9) == 3 * 12 * 32
    assert most_bytes("TEXT/CSV", limits, 9000) == most_bytes("image/png", limits, 9) == 4000
    assert [is_file(kind) for kind in ("image/png", "Application/Octet-Stream", "text/csv", "application/json")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("kind", ["text/csv", "application/json"])
def test_pixels_for_a_model_that_takes_hands_alone_are_refused_with_what_it_takes(kind):
    row = ",".join(["7"] * 784)
    body = row if kind == "text/csv" else json.dumps({"pictures": [[7] * 784]})
    assert most_bytes(kind, Limits(), 0) > 32 * len(row)
    with pytest.raises(Refused, match="takes the hands that it finds, no pixels; send files of pictures") as refused:
        pictures_of(kind, body.encode(), Limits(), 0)
    assert refused.value.status == 422
