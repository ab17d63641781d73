"""Bytes -> a folder that may be a bundle: changes, packed one behind the other, to a small bundle that is one.

Any bytes are such a piece, so that a fuzzer may change them as it likes: a byte that says which bundle, then for each
change a byte for its kind, one for the file that it is made to, two for the length of what is told, and that. Files
within files (`network.keras!config.json`, the schema in a Parquet file) are changed before they are packed, and
SHA256SUMS is made again at the end, so that what lies behind the checksums is reached.
"""

import hashlib
import io
import json
import os
import struct
import zipfile
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from onnx import TensorProto, helper

BUNDLES = Path(__file__).parent / "fixtures" / "bundles"
SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
OUTSIDE = b"@outside@".ljust(120, b"@")
"""Stands in a piece for the path of a folder outside of the bundle, and is as long as what takes its place."""
KINDS = (
    *("replace", "flip", "cut", "write", "set", "remove key", "add key", "link", "pipe", "folder", "delete"),
    *("rename", "new", "swap", "sums", "twice", "nest", "schema"),
)


def onnx(shape, labels, *more, ends=()):
    """A network of a few nodes, which takes pictures and gives what looks like probabilities."""
    size = int(np.prod(shape))
    weights = helper.make_tensor(
        "weights", TensorProto.FLOAT, [labels], np.ones(labels, np.float32).tobytes(), raw=True
    )
    nodes = [
        helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "sizes"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["mean", "weights"], ["sums"]),
        helper.make_node("Softmax", ["sums"], ["probability"], axis=1),
    ]
    graph = helper.make_graph(
        [*nodes, *more],
        "small",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", *shape])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", labels])],
        initializer=[weights, helper.make_tensor("sizes", TensorProto.INT64, [2], [-1, size]), *ends],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def h5(elsewhere=None, how="link"):
    """Numbers as HDF5; with the path of another file, some of them lie there."""
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened["layers/dense/vars/0"] = np.zeros((2, 3), np.float32)
        if elsewhere is not None and how == "link":
            opened["layers/dense/vars/1"] = h5py.ExternalLink(elsewhere, "/numbers")
        elif elsewhere is not None:
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource(elsewhere, "numbers", (4,))
            opened.create_virtual_dataset("layers/dense/vars/1", layout)
    return file.getvalue()


def keras_config():
    def part(module, kind, **config):
        return {"module": module, "class_name": kind, "registered_name": None, "config": config}

    dense = part("keras.layers", "Dense", name="dense", units=3, kernel_initializer=part("keras.initializers", "Zeros"))
    layers = [part("keras.layers", "InputLayer", name="i", batch_input_shape=[None, 2]), dense]
    return json.dumps(part("keras", "Sequential", name="s", layers=layers)).encode()


@cache
def good_bundles():
    """Name -> the files of a bundle, by their names: one with all kinds of networks, one with a pipeline."""
    forest = BUNDLES / "format-1-forest"
    pipeline = {path.relative_to(forest).as_posix(): path.read_bytes() for path in forest.rglob("*") if path.is_file()}
    kept = ("bundle.json", "part-00000")
    pipeline = {name: data for name, data in pipeline.items() if name.endswith((*kept, ".parquet"))}
    manifest = json.loads((BUNDLES / "format-1-network" / "bundle.json").read_text())
    manifest |= {"labels": ["A", "B", "nothing"], "shape": [4, 4, 1]}
    both = {
        "network.onnx": onnx([4, 4, 1], 3),
        "network.keras!config.json": keras_config(),
        "network.keras!metadata.json": b'{"keras_version": "2.15.0"}',
        "network.keras!model.weights.h5": h5(),
        "network.safetensors": safetensors.numpy.save({"a.weight": np.zeros((2, 3), np.float32)}),
        "card.md": b"# Letters\n",
    }
    named = {**manifest, "framework": "keras", "network_file": "network.keras"}
    return (
        {"bundle.json": json.dumps(manifest).encode(), "network.onnx": onnx([4, 4, 1], 3)},
        {"bundle.json": json.dumps(named).encode(), **both},
        {name: pipeline[name] for name in sorted(pipeline)},
    )


def pack(base, changes):
    """Write changes, each (kind, name of a file of the bundle or its place, what is told), as the bytes of a piece."""
    names = [*good_bundles()[base]]
    packed = [bytes([base])]
    for kind, name, told in changes:
        place = names.index(name) if isinstance(name, str) else name
        packed.append(struct.pack("<BBH", KINDS.index(kind), place, len(told)) + told)
    return b"".join(packed)


def changes_of(data):
    """Read a piece: the place of the bundle that it begins with, and its changes."""
    base, at, changes = (data[0] if data else 0) % len(good_bundles()), 1, []
    while at + 4 <= len(data) and len(changes) < 40:
        kind, place, length = struct.unpack_from("<BBH", data, at)
        at += 4
        changes.append((KINDS[kind % len(KINDS)], place, data[at : at + length]))
        at += length
    return base, changes


def make(data, folder, outside):
    """Make the folder of a piece.

    Parameters
    ----------
    data : bytes
    folder : Path
        Is made.
    outside : Path
        A folder, where links and paths that lead out of the bundle lead to.
    """
    base, changes = changes_of(data)
    files, odd, sums = dict(good_bundles()[base]), [], None
    for kind, place, told in changes:
        names = [*files] or [""]
        name = names[place % len(names)]
        if kind in ("link", "pipe", "folder", "rename", "new", "nest"):
            odd.append((kind, name, told))
        elif kind == "sums":
            sums = told
        elif not files:
            break
        elif kind == "delete":
            del files[name]
        elif kind == "swap":
            files[name] = files[names[(place + len(told)) % len(names)]]
        elif kind == "schema":
            files[name] = _with_schema(files[name], told)
        else:
            files[name] = _changed(kind, files[name], told)
    path = bytes(outside)
    path = b"/" * (len(OUTSIDE) - len(path)) + path
    packed = {}
    for name, content in files.items():
        whole, _, inner = name.partition("!")
        if inner:
            packed.setdefault(whole, {})[inner] = content.replace(OUTSIDE, path)
        else:
            packed[name] = content.replace(OUTSIDE, path)
    folder.mkdir()
    for name, content in packed.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_zip(content) if isinstance(content, dict) else content)
    for kind, name, told in odd:
        _make_odd(folder, kind, name.partition("!")[0], told, path)
    if sums != b"":
        _write_sums(folder, sums)


def _changed(kind, content, told):
    number = int.from_bytes(told[:2], "little") % (len(content) + 1)
    if kind == "replace":
        return told
    if kind == "cut":
        return content[:number]
    if kind == "write":
        return content[:number] + told[2:] + content[number + len(told[2:]) :]
    if kind == "twice":
        return content + content[number:]
    if kind == "flip":
        spoilt = bytearray(content)
        for place in struct.unpack(f"<{len(told) // 2}H", told[: len(told) // 2 * 2]):
            if spoilt:
                spoilt[place // 8 % len(spoilt)] ^= 1 << place % 8
        return bytes(spoilt)
    return _with_json(kind, content, told)


def _with_json(kind, content, told):
    """Change one value of a JSON text: the first byte says which, the rest what it becomes."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return told
    try:
        places = [*_places(value)]
    except RecursionError:
        return told
    if not places or not told:
        return content
    within, key = places[told[0] % len(places)]
    if kind == "remove key":
        del within[key]
    else:
        text = told[1:].decode("utf-8", "replace")
        if kind == "add key":  # its name, a line's end, the value
            added, _, text = text.partition("\n")
        try:
            new = json.loads(text)
        except (ValueError, RecursionError):
            new = text
        if kind == "set":
            within[key] = new
        elif isinstance(within, dict):
            within[added] = new
        else:
            within.append(new)
    return json.dumps(value).encode()


def _places(value):
    for key in [*value] if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _with_schema(content, told):
    """Change the schema that Spark keeps in a Parquet file, as a JSON text."""
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        kept = {**(table.schema.metadata or {})}
        kept[SCHEMA] = _with_json("set", kept.get(SCHEMA, b"{}"), told)
        file = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(kept), file)
    except Exception:  # a file that was spoilt before
        return content
    return file.getvalue()


def _zip(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _make_odd(folder, kind, name, told, outside):
    """Put what is no plain file in a file's place, or a file where none belongs."""
    path = os.fsencode(folder / name)
    try:
        if kind == "nest":
            os.makedirs(path + b"/" + b"/".join([told[:20] or b"d"] * 20))
        elif kind == "new":
            new, _, content = told.partition(b"\n")
            if not _stays(new):
                return
            new = os.path.join(os.fsencode(folder), new)
            os.makedirs(os.path.dirname(new), exist_ok=True)
            with open(new, "xb") as file:
                file.write(content)
        elif kind == "rename" and _stays(told):
            os.makedirs(os.path.dirname(os.path.join(os.fsencode(folder), told)), exist_ok=True)
            os.rename(path, os.path.join(os.fsencode(folder), told))
        elif kind in ("link", "pipe", "folder"):
            above, _, target = told.partition(b"\n")  # of which folder above the file, and where the link leads
            for _ in range(above.count(b"^")):
                path = os.path.dirname(path)
            if len(path) <= len(os.fsencode(folder)):
                path = os.fsencode(folder / "extra")
            if os.path.lexists(path):
                os.rename(path, os.fsencode(folder.parent / f"was-{os.urandom(4).hex()}"))
            if kind == "link":
                os.symlink(target.replace(OUTSIDE, outside) or outside, path)
            elif kind == "pipe":
                os.mkfifo(path)
            else:
                os.mkdir(path)
    except (OSError, ValueError):  # a name that no file can have, or a place that is taken
        return


def _stays(name):
    return bool(name) and not name.startswith(b"/") and b".." not in name.split(b"/")


def _write_sums(folder, told):
    """List what is there, as `aslspark.bundle.files.seal` does; what is told takes the place of lines, or is added.

    What links lead to is listed too, so that whoever followed one would find the SHA-256 to be right.
    """
    top, near = os.fsencode(folder), os.fsencode(folder.parent)
    lines = []
    for above, folders, names in os.walk(top):
        linked = [os.path.join(above, name) for name in folders if os.path.islink(os.path.join(above, name))]
        files = [os.path.join(above, name) for name in names]
        files += [os.path.join(link, name) for link in linked for name in os.listdir(link)]
        for path in files:
            real = os.path.realpath(path)
            if real.startswith(near + b"/") and os.path.isfile(real):
                with open(real, "rb") as file:
                    digest = hashlib.sha256(file.read()).hexdigest().encode()
                lines.append(digest + b"  " + os.path.relpath(path, top))
    lines = sorted(line for line in lines if not line.endswith(b"  SHA256SUMS"))
    text = b"".join(line + b"\n" for line in lines)
    if told is not None:
        how, told = (told or b"\0")[0], told[1:]
        text = (text + told, told, text[: how * 4], text.replace(b"  ", told[:2], 1), told + text)[how % 5]
    path = folder / "SHA256SUMS"
    if not os.path.lexists(path):
        path.write_bytes(text)
