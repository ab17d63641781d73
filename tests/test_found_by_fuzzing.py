"""What the fuzzer (`fuzz/fuzz.py`) and the generator of bad input found, each as its smallest case."""

import io
import zipfile

import contracts
import pytest


def test_a_zip_with_an_entry_without_a_name():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("A/1.jpg", b"x")
        archive.writestr("?", b"x")
    data = file.getvalue()
    place = data.rindex(b"PK\x01\x02")
    name = place + 46
    # Its length in the directory becomes 0, and that of the comment 1.
    data = data[: place + 28] + b"\0\0" + data[place + 30 : place + 32] + b"\1\0" + data[place + 34 :]
    assert data[name : name + 1] == b"?"
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["A/1.jpg", ""]
    assert contracts.archive(data) == (1, 1)


def test_a_zip_that_asks_for_a_version_that_is_none():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("A/1.jpg", b"x")
    data = bytearray(file.getvalue())
    data[data.rindex(b"PK\x01\x02") + 6] = 210
    with pytest.raises(NotImplementedError, match="zip file version"):
        zipfile.ZipFile(io.BytesIO(data))
    assert contracts.archive(bytes(data)) == (0, 0)


@pytest.mark.parametrize("text", ["x://meek@\ufffdpsecret=\0@K;secret=\ufffd", "a://b@c?token=d@e"])
def test_an_address_before_a_secret_with_an_at_sign(text):
    contracts.masking(text)


@pytest.mark.promise(
    "service",
    "Whatever a body holds, its answer is pictures or one printable line that says why not.",
    kind="a client's own words in an answer",
)
@pytest.mark.parametrize(
    "body",
    [
        b"text/csv\npixel1,p\x1e\\ud800",
        b"text/csv\n1,\x1e\xc2\x85,2",
        b"x/\x85y\n1",
        b"multipart/form-data; boundary=e\n--e\r\n"
        b'Content-Disposition: form-data; name="\x1c"; filename="a"\r\n\r\n\r\n--e--',
    ],
)
def test_a_body_whose_words_would_break_the_line(body):
    assert contracts.body(body) in (1, 415, 422)
