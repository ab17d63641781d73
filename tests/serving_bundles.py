"""Small bundles, and the service as a process of its own."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from aslspark.bundle.files import seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.catalog import NETWORKS
from aslspark.common.settings import load_config
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.models.fit_result import FinishedNetwork, FitResult
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel

SHAPE = (28, 28, 1)
LABELS = ("A", "B", "C", "L")


def network(name="small_cnn", shape=SHAPE, labels=LABELS, inputs=("picture",), seed=5):
    """A network of random weights."""
    import torch

    from aslspark.models import torch_network

    torch.manual_seed(seed)
    built = torch_network.build(name, shape, len(labels), 0.0).eval()
    onnx = torch_network.to_onnx(built, shape, True, inputs)
    return OnnxClassifier(onnx, labels, shape, inputs=inputs)


def network_saying(probabilities, labels, shape=SHAPE):
    """A network that gives every picture the same probabilities."""
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", *shape])
    made = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", len(labels)])
    values = helper.make_tensor("values", TensorProto.FLOAT, [1, len(labels)], probabilities)
    nodes = [
        helper.make_node("Constant", [], ["row"], value=values),
        helper.make_node("Shape", ["picture"], ["rows"], start=0, end=1),
        helper.make_node("Constant", [], ["columns"], value_ints=[len(labels)]),
        helper.make_node("Concat", ["rows", "columns"], ["size"], axis=0),
        helper.make_node("Expand", ["row", "size"], ["probability"]),
    ]
    graph = helper.make_graph(nodes, "constant", [given], [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return OnnxClassifier(model.SerializeToString(), labels, shape)


def write_bundle(folder, classifier, hands=None, temperature=1.0, threshold=0.0):
    detector = HandDetector(HandOptions(), installed_networks("test")) if hands else None
    model = SignClassifierModel(classifier, hands=detector, temperature=temperature, threshold=threshold)
    with whole_folder(Path(folder)) as scratch:
        write_model(model, None, scratch)
        seal(scratch)
    return str(folder)


def untrained(framework, folder, labels=LABELS, name="cnn", **about):
    """A bundle of a network that has learned nothing, as a training job writes it."""
    inputs = NETWORKS[name].inputs
    if framework == "torch":
        import torch

        from aslspark.models import torch_network

        torch.manual_seed(1)
        built = torch_network.build(name, SHAPE, len(labels), 0.1).eval()
        onnx = torch_network.to_onnx(built, SHAPE, True, inputs)
        parameters = sum(weight.numel() for weight in built.parameters())
        save = torch_network.save
    else:
        import tensorflow as tf

        from aslspark.models import keras_network

        tf.keras.utils.set_random_seed(1)
        built = keras_network.build(name, SHAPE, len(labels), 0.1)
        onnx = keras_network.to_onnx(built, True)
        parameters = built.count_params()
        save = keras_network.save
    finished = FinishedNetwork(framework, built, parameters, lambda where: save(built, where))
    classifier = OnnxClassifier(onnx, labels, SHAPE, inputs=inputs)
    fitted = FitResult(finished, classifier, [], best_epoch=0, digests=[], watch=[], phases={}, trace={})
    settings = load_config(None, [f"training.framework={framework}", f"network.name={name}"]).as_dict()
    with whole_folder(folder) as scratch:
        model = SignClassifierModel(classifier, fitted=fitted)
        write_model(model, None, scratch, settings=settings, preprocessing={"stretch": True}, **about)
        seal(scratch)
    return str(folder)


def picture_file(seed=0, size=(60, 40), kind="JPEG"):
    import io

    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


class Service:
    def __init__(self, process, address):
        self.process, self.address = process, address

    def ask(self, path, body=None, content_type=None, method=None, headers=None):
        """Status and answer, as JSON where it is some."""
        request = urllib.request.Request(self.address + path, data=body, method=method, headers=headers or {})
        if content_type:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _parsed(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _parsed(error.read())


def _parsed(body):
    try:
        return json.loads(body)
    except ValueError:
        return body


@contextmanager
def service(bundle, *words, log=None):
    """Run `aslspark serve` on a free port until the block ends, with a bundle or a list of them."""
    models = [f"--model={each}" for each in (bundle if isinstance(bundle, list) else [bundle])]
    command = [sys.executable, "-c", SERVE, *models, "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ)
    try:
        lines = []
        for line in process.stdout:  # while it starts it says so
            lines.append(line)
            if found := re.search(r"https?://\S+", line):
                break
        else:
            raise AssertionError(f"the service did not start: {lines}")
        yield Service(process, found[0])
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


SERVE = "from aslspark.cli.jobs_support import run_job; from aslspark.serving.server import main; run_job(main)"


def spelling_bundle(folder, real_data, letters="ABCLY", left_out="hand3"):
    """A bundle of landmarks that reads a few letters: learned from real pictures, without those of one signer."""
    import torch
    from PIL import Image

    from aslspark.features.landmarks import FEATURES, HAND_NUMBERS, augmented_hands, landmark_features
    from aslspark.models import torch_network
    from aslspark.scoring.reader import hand_vector

    labels = tuple(letters)
    paths = [
        (place, path)
        for place, letter in enumerate(labels)
        for path in sorted((real_data / "images" / "studio_hands" / letter.lower()).glob("*.jpeg"))[::5]
        if left_out not in path.name
    ]
    find_hands = HandDetector(HandOptions(looks=1), installed_networks("test"), threads=2)
    pixels = [np.asarray(Image.open(path).convert("RGB")) for _, path in paths]
    hands = np.stack([hand_vector(hand)[:HAND_NUMBERS] for hand in find_hands(pixels)])
    random, answers = np.random.default_rng(1), torch.tensor([place for place, _ in paths])
    torch.manual_seed(1)
    model = torch_network.build("landmark_net", SHAPE, len(labels), 0.1).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    change = {"noise": 0.02, "turn_degrees": 8, "tilt_degrees": 8, "bone": 0.06, "probability": 0.9}
    for _ in range(60):
        features = landmark_features(augmented_hands(hands, random, **change), False)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(torch.from_numpy(features)), answers).backward()
        optimizer.step()
    assert features.shape[1] == FEATURES
    onnx = torch_network.to_onnx(model.eval(), SHAPE, True, ("landmarks",))
    return write_bundle(folder, OnnxClassifier(onnx, labels, SHAPE, inputs=("landmarks",)), hands=True)
