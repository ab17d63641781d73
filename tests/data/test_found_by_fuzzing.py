"""What the fuzzer (`fuzz/fuzz.py`) and the generator of bad input found, each as its smallest case."""

import io
import json
import zipfile

import bundle_pieces
import contracts
import numpy as np
import pytest
import safetensors.numpy

from aslspark.common.errors import AslsparkError
from aslspark.data.pictures.archives import open_zip
from aslspark.data.pictures.manifest import parse_manifest
from aslspark.data.pictures.manifest_files import named_files
from aslspark.data.pictures.options import PictureOptions


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


@pytest.mark.parametrize("lines_before", [0, 1, 20])
def test_a_byte_order_mark_before_a_row_is_no_number_wherever_the_row_stands(lines_before):
    row = b",".join([b"3"] + [b"7"] * 784)
    bad = contracts.rows([*[row] * lines_before, b"\xef\xbb\xbf" + row, *[row] * 20])
    assert [(found.line, found.reason) for found in bad] == [(lines_before, "not a number")]


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


def test_a_manifest_damaged_in_its_zip_is_named_without_the_bytes_around_it():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("labels.csv", "path,label\nA/1.jpg,A\n")
        archive.writestr("A/secret.txt", b"secret" * 400)
    data = bytearray(file.getvalue())
    data[26:28] = (1500).to_bytes(2, "little")  # the length of the first entry's name
    with pytest.raises(AslsparkError) as refused:
        open_zip(None, contracts.Files(bytes(data)), "a.zip", PictureOptions())
    assert "'labels.csv' cannot be unpacked (BadZipFile): pack it again" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_table_in_a_zip_is_named_in_one_line():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a\x85\u2028b.csv", "x")
    with pytest.raises(AslsparkError) as refused:
        open_zip(None, contracts.Files(file.getvalue()), "a.zip", PictureOptions())
    assert len(str(refused.value).splitlines()) == 1


def test_a_key_in_a_manifests_row_is_masked_whatever_its_path_comes_to():
    rows = parse_manifest("path,label\nS3a://key:secret@bucket/a.jpg,A\ns3a://key:secret@bucket/a.jpg,A\n", "a.csv")
    for file in named_files(None, contracts.ThisMachine(), "file:/nowhere/a.csv", rows, []):
        assert file.reason == "outside of its folder"
        assert "secret" not in f"{file.path} {file.name} {file.detail}"


def a_bundle(base, *changes):
    return contracts.bundle(bundle_pieces.pack(base, changes))


@pytest.mark.promise(
    "bundle",
    "Whatever a bundle's files, names and values are, it loads or is refused in one printable line, without a look at "
    "anything outside of it.",
    kind="a bundle's own words in an error",
)
@pytest.mark.parametrize(
    "words", ["a\\u2028b", "\\u001b[2J", "a\\nb", "x" * 5000], ids=["line", "escape", "end", "long"]
)
def test_a_bundle_whose_words_would_break_the_line(words):
    value = f'"{words}"'.encode()
    manifest = json.loads(bundle_pieces.good_bundles()[1]["bundle.json"])
    for key in ("format", "kind", "hands"):
        changed = json.dumps(manifest).replace(
            f'"{key}": {json.dumps(manifest.get(key))}', f'"{key}": {value.decode()}'
        )
        a_bundle(1, ("replace", "bundle.json", changed.encode()))
    hands = json.dumps(manifest).replace('"hands": null', f'"hands": {{{value.decode()}: 1}}')
    a_bundle(1, ("replace", "bundle.json", hands.encode()))
    layer = b'{"class_name": %b, "module": "keras.layers"}' % value
    a_bundle(1, ("replace", "network.keras!config.json", layer))
    stage = b'{"class": %b, "uid": "x", "paramMap": {}}' % value
    assert a_bundle(2, ("replace", "pipeline/metadata/part-00000", stage)) == "made by this package"
    weights = {json.loads(value): np.zeros(1, np.float32)}
    a_bundle(1, ("replace", "network.safetensors", safetensors.numpy.save(weights)))


@pytest.mark.parametrize(
    "name", [b"\xff" * 250, b"x" * 250, b"a\nb", b"\x1b[2J"], ids=["bytes", "long", "end", "escape"]
)
def test_a_file_in_a_bundle_whose_name_would_break_the_line(name):
    loads = a_bundle(1, ("rename", "card.md", name)) == "a network"
    assert loads == (name == b"x" * 250)  # listed among the checksums, it is a file like any other
    assert a_bundle(2, ("new", 0, b"pipeline/" + b"/".join([name] * 5))) not in ("a network", "a pipeline")


def test_a_network_whose_error_is_no_text_prints_nothing(capfd):
    network = bundle_pieces.good_bundles()[0]["network.onnx"].replace(b"Softmax", b"Soft\xf3ax")
    assert a_bundle(0, ("replace", "network.onnx", network)) == contracts.NONE_OF_OURS
    assert capfd.readouterr().out == ""
