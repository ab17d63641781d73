"""The entries of a zip by their names alone: what would lie outside of it, or is packed so that it is not read."""

import zipfile

import pytest

from aslspark.data.files.stores import open_store
from aslspark.data.pictures.archives import open_zip
from aslspark.data.pictures.files import open_folder
from aslspark.data.pictures.options import PictureOptions

OUTSIDE = (
    *(
        "../A/1.jpg",
        "A/../1.jpg",
        "x/../A/1.jpg",
        "A/../../1.jpg",
        "/A/1.jpg",
        "//host/A/1.jpg",
        "C:/A/1.jpg",
        "c:x/A/1.jpg",
    ),
    *("file:/A/1.jpg", "..\\A\\1.jpg", "A\\..\\1.jpg", "\\A\\1.jpg", "C:\\A\\1.jpg", "x/..\\A/1.jpg", "\\x/A/1.jpg"),
)
INSIDE = ("A/1.jpg", "./A/2.jpg", "x..y/A/3.jpg", "A/4..jpg", "A/at 10:30.jpg", "x\\A\\5.jpg")
PASSED_OVER = ("__MACOSX/A/1.jpg", "A/.hidden.jpg", ".git/A/1.jpg", "A/")


def written(path, names, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name in names:
            archive.writestr(name, b"any bytes")
    return str(path)


def reasons(spark, path):
    store = open_store(spark)
    source = open_zip(spark, store, store.qualified(path), PictureOptions())
    return {picture.path: picture.reason for picture in source.pictures}


def test_names_that_lead_out_of_a_zip_are_unsafe_on_every_system_and_others_are_not(spark, tmp_path):
    found = reasons(spark, written(tmp_path / "a.zip", [*OUTSIDE, *INSIDE, *PASSED_OVER]))
    unsafe = {path for path, reason in found.items() if reason == "unsafe name"}
    assert unsafe == set(OUTSIDE)
    assert {path: reason for path, reason in found.items() if path not in unsafe} == dict.fromkeys(INSIDE)


@pytest.mark.parametrize("name", ["../A.jpg", "/A.jpg", "C:/A.jpg", "..\\A.jpg", "x/../../A.jpg"])
def test_names_in_a_zips_manifest_are_held_to_the_same(spark, tmp_path, name):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("in/pictures.csv", f"path,label\n{name},A\ngood.jpg,B\nC/../good.jpg,B\n")
        archive.writestr("in/good.jpg", b"any bytes")
        archive.writestr(name, b"any bytes")
    store = open_store(spark)
    pictures = open_zip(spark, store, store.qualified(str(path)), PictureOptions()).pictures
    found = {picture.row: picture.reason for picture in pictures}
    assert found[1] in ("unsafe name", "missing")
    assert (found[2], found[3]) == (None, "named twice")


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_picture_that_is_packed_in_another_way_than_deflate_is_named(spark, tmp_path, kind):
    found = reasons(spark, written(tmp_path / "a.zip", ["A/1.jpg"], kind))
    deflated = kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    assert found == {"A/1.jpg": None if deflated else "packed in another way"}


def test_a_second_entry_of_a_name_and_one_with_a_password_are_not_read(spark, tmp_path):
    path = tmp_path / "a.zip"
    with pytest.warns(UserWarning, match="Duplicate name"):
        written(path, ["A/1.jpg", "A/2.jpg", "A/1.jpg"])
    content = bytearray(path.read_bytes())
    place = content.index(b"A/2.jpg", content.index(b"PK\x01\x02")) - 46  # the header in the directory
    content[place + 8] |= 1
    path.write_bytes(content)
    store = open_store(spark)
    pictures = open_zip(spark, store, store.qualified(str(path)), PictureOptions()).pictures
    assert [(picture.path, picture.reason) for picture in pictures] == [
        ("A/1.jpg", None),
        ("A/2.jpg", "encrypted"),
        ("A/1.jpg", "damaged in the zip"),
    ]


@pytest.mark.promise(
    "input",
    "Of a zip the same pictures are read as of its folder unpacked; those whose names begin with a dot are counted.",
    kind="pictures that are passed over unsaid",
)
def test_pictures_whose_names_begin_with_a_dot_are_named_as_those_of_a_folder_are(spark, tmp_path):
    names = ["A/1.jpg", "A/.jpg", "A/.2.jpg", "A/._3.jpg", "A/.4/5.jpg", "__MACOSX/A/6.jpg"]
    for name in names:
        file = tmp_path / "hands" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"any bytes")
    store = open_store(spark)
    packed = open_zip(spark, store, store.qualified(written(tmp_path / "hands.zip", names)), PictureOptions())
    folder = open_folder(spark, store, store.qualified(str(tmp_path / "hands")), PictureOptions())
    for source in (packed, folder):
        assert sorted(picture.name for picture in source.pictures) == ["A/.jpg", "A/1.jpg"]
        assert [line.partition(": ")[2] for line in source.passed_over] == [
            "1 file whose name begins with a dot, such as A/.2.jpg"
        ]
