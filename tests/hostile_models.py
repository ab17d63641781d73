"""Model files that run code when they are read carelessly, each made by what it attacks, with the mark that it leaves.

A hostile file, when its code runs, makes the file `mark`: a test then sees that it ran.
"""

import json
import pickle
import zipfile
from pathlib import Path


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


def pickled(mark):
    return pickle.dumps(Touch(mark))


def lambda_model(path, mark):
    """A Keras model whose Lambda layer makes the mark; in the old format it does so when it is built."""
    import tensorflow as tf

    where = str(mark)
    layer = tf.keras.layers.Lambda(lambda numbers: (open(where, "w").close(), numbers)[1])
    model = tf.keras.Sequential([tf.keras.layers.Input((4,)), layer])
    model.save(path)
    mark.unlink()  # it is made once when the model is built here
    return path


def keras_archive(path, config):
    """A `.keras` file of a real network with another configuration."""
    from aslspark.models import keras_network

    folder = path.parent / f"{path.stem}-made"
    folder.mkdir()
    real = folder / keras_network.save(keras_network.build("cnn", (28, 28, 1), 3, 0.0), folder)
    with zipfile.ZipFile(real) as archive, zipfile.ZipFile(path, "w") as written:
        for name in archive.namelist():
            written.writestr(name, config if name == "config.json" else archive.read(name))
    return path


def importing_archive(path, mark, monkeypatch):
    """A `.keras` file that names a module of its own, which makes the mark when it is imported."""
    module = path.parent / "named_by_a_file.py"
    module.write_text(f"open({str(mark)!r}, 'w').close()\nclass Layer: pass\n")
    monkeypatch.syspath_prepend(str(path.parent))
    foreign = {"module": "named_by_a_file", "class_name": "Layer", "registered_name": None, "config": {}}
    return keras_archive(path, json.dumps({**foreign, "class_name": "Layer"}))


def calling_archive(path, module, function):
    """A `.keras` file whose network calls a function of Python's as one of its layers."""
    layer = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None, "name": "i"}
    layer |= {"config": {"batch_input_shape": [None, 4], "dtype": "float32", "name": "i"}, "inbound_nodes": []}
    call = {"module": module, "class_name": "function", "registered_name": "function", "config": function}
    call |= {"name": "call", "inbound_nodes": [[["i", 0, 0, {}]]]}
    inside = {"name": "m", "layers": [layer, call], "input_layers": [["i", 0, 0]], "output_layers": [["call", 0, 0]]}
    model = {"module": "keras.src.engine.functional", "class_name": "Functional", "registered_name": "Functional"}
    return keras_archive(path, json.dumps(model | {"config": inside}))


def onnx_with_data_at(location, size=4):
    """A network whose weights lie in another file."""
    from onnx import TensorProto, helper

    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[size], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=str(location))
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["numbers"], ["flat"]),
            helper.make_node("Add", ["flat", "weights"], ["probability"]),
        ],
        "hostile",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", 2, 2, 1])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", size])],
        initializer=[weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def h5_from_elsewhere(path, other, how):
    """An HDF5 file that takes its numbers from another file."""
    import h5py
    import numpy as np

    with h5py.File(other, "w") as file:
        file["numbers"] = np.zeros(4)
    with h5py.File(path, "w") as file:
        group = file.create_group("layer")
        if how == "link":
            group["numbers"] = h5py.ExternalLink(str(other), "/numbers")
        elif how == "storage":
            group.create_dataset("numbers", (4,), "f4", external=[(str(other), 0, 16)])
        else:
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource(str(other), "numbers", (4,))
            group.create_virtual_dataset("numbers", layout)
    return path


def metadata_of(stage):
    """The file of a saved Spark stage that names its class."""
    return Path(next(iter(Path(stage).joinpath("metadata").glob("part-*"))))


def change_json(path, **what):
    """Change a JSON file, and forget Hadoop's checksum of it."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **what}))
    path.with_name(f".{path.name}.crc").unlink(missing_ok=True)


def name_class_in_parquet(path, name):
    """Let a column of a Parquet file, by Spark's schema in it, be of a Java class."""
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read()
    key = b"org.apache.spark.sql.parquet.row.metadata"
    schema = json.loads(table.schema.metadata[key])
    schema["fields"][0]["type"] = {"type": "udt", "class": name, "sqlType": "integer"}
    kept = {**table.schema.metadata, key: json.dumps(schema)}
    pq.write_table(table.replace_schema_metadata(kept), path)
    Path(path).with_name(f".{Path(path).name}.crc").unlink(missing_ok=True)
