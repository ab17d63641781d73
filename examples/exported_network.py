"""Reads a picture with a file that `aslspark export` wrote; of aslspark it needs nothing.

    pip install numpy pillow onnxruntime         # for .onnx; ai-edge-litert for .tflite, torch for .pt
    python examples/exported_network.py network.onnx hand.jpg

For .tflite, TensorFlow has the runtime, too. For a network that takes
landmarks, give a JSON file with the features of a hand in place of the picture; how they are made stands in
landmark_features.js, which `aslspark export-web` writes, and in aslspark/features/landmarks.py.
"""

import json
import sys

import numpy as np


def run_onnx(file, inputs):
    """Give the probabilities of a batch, by onnxruntime."""
    import onnxruntime

    return onnxruntime.InferenceSession(file).run(["probability"], inputs)[0]


def run_tflite(file, inputs):
    """Give the probabilities of a batch, by LiteRT."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter
    return Interpreter(file).get_signature_runner()(**inputs)["probability"]


def run_torchscript(file, inputs):
    """Give the probabilities of a batch, by torch."""
    import torch

    with torch.no_grad():
        return torch.jit.load(file)(*map(torch.from_numpy, inputs.values())).numpy()


def picture_of(path, shape, preprocessing):
    """Bring a picture to the size and colours of the network."""
    from PIL import Image, ImageOps

    _, height, width, channels = shape
    image = ImageOps.exif_transpose(Image.open(path)).convert("L" if channels == 1 else "RGB")
    fitted = {"crop": ImageOps.fit, "letterbox": ImageOps.pad}[preprocessing.get("fit", "crop")]
    return np.array(fitted(image, (width, height), Image.Resampling.BILINEAR)).reshape(1, height, width, channels)


def features_of(path):
    """Read the features of a hand, a list of numbers in JSON."""
    try:
        with open(path) as features:
            return np.array([json.load(features)], np.float32)
    except ValueError:
        sys.exit(f"{path}: this network takes the features of a hand; give a JSON file of them in place of a picture")


def about_of(file):
    """Read what `aslspark export` wrote beside the network: what goes in, and the letters that come out."""
    try:
        with open(f"{file}.json") as about:
            return json.load(about)
    except FileNotFoundError:
        sys.exit(f"error: {file}.json is not there; aslspark export writes it beside the network: copy both")


def run(about, file, inputs):
    """Give the probabilities of a batch."""
    runtime = {"onnx": run_onnx, "tflite": run_tflite, "torchscript": run_torchscript}[about["format"]]
    try:
        return runtime(file, inputs)
    except (ImportError, OSError):
        raise
    except Exception as error:  # each runtime has errors of its own
        sys.exit(f"error: {file} cannot be run: {str(error).splitlines()[0]}; export it again")


def main(file, source):
    """Print the letter and its probability."""
    about = about_of(file)
    (value,) = about["inputs"]
    if value["name"] == "picture":
        given = picture_of(source, value["shape"], about["preprocessing"])
    else:
        given = features_of(source)
    logs = np.log(np.maximum(run(about, file, {value["name"]: given})[0].astype(float), 1e-7)) / about["temperature"]
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    best = int(shares.argmax())
    letter = about["labels"][best] if shares[best] >= about["threshold"] else "not sure"
    print(f"{letter} {shares[best]:.4f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (ImportError, OSError) as error:  # no runtime for this format; no such file, or no picture
        sys.exit(f"error: {error}")
