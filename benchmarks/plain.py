"""The bare frameworks, as someone would write it without Spark: one process, arrays in memory, one thread on the CPU.

python benchmarks/plain.py keras|torch BATCH EPOCHS PICTURES.npz cpu|cuda float32|mixed waits for a line on standard
input when it is ready, trains, and prints the rows a second of every epoch after the first.
"""

from __future__ import annotations

import os
import sys
import time

if "cuda" not in sys.argv:
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np


def keras(
    pictures: np.ndarray, labels: np.ndarray, batch: int, epochs: int, device: str, precision: str
) -> list[float]:
    """Train with `model.fit` and return rows a second by epoch."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    elif not gpus:
        sys.exit("TensorFlow sees no GPU")
    if precision == "mixed":
        old = gpus and tf.config.experimental.get_device_details(gpus[0])["compute_capability"] < (8, 0)
        tf.keras.mixed_precision.set_global_policy("mixed_float16" if old else "mixed_bfloat16")
    from aslspark.models.keras_network import build

    model = build("cnn", (28, 28, 1), 24, 0.3)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    rates: list[float] = []

    class Clock(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            rates.append(len(labels) / (time.perf_counter() - self.started))

    one_hot = np.eye(24, dtype=np.float32)[labels]
    model.fit(pictures[: 2 * batch], one_hot[: 2 * batch], batch_size=batch, verbose=0)
    sys.stdin.readline()
    model.fit(pictures, one_hot, batch_size=batch, epochs=epochs, verbose=0, callbacks=[Clock()])
    return rates


def torch(
    pictures: np.ndarray, labels: np.ndarray, batch: int, epochs: int, device: str, precision: str
) -> list[float]:
    """Train with a plain loop and return rows a second by epoch."""
    import torch

    half, scaler = torch.bfloat16, None
    if device == "cpu":
        torch.set_num_threads(1)
    else:
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
        if torch.cuda.get_device_capability() < (8, 0):
            half = torch.float16
            scaler = torch.amp.GradScaler(device) if precision == "mixed" else None
    from aslspark.models.torch_network import build

    model = build("cnn", (28, 28, 1), 24, 0.3).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    loss_of = torch.nn.CrossEntropyLoss()
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
    y = torch.from_numpy(labels)
    sys.stdin.readline()
    rates = []
    for _ in range(epochs):
        started = time.perf_counter()
        order = torch.randperm(len(y))
        for first in range(0, len(y), batch):
            chosen = order[first : first + batch]
            optimizer.zero_grad()
            with torch.autocast(device, half, enabled=precision == "mixed"):
                outputs = model(x[chosen].to(device))
            loss = loss_of(outputs.float(), y[chosen].to(device))
            if scaler is None:
                loss.backward()
                optimizer.step()
            else:
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
        if device == "cuda":
            torch.cuda.synchronize()
        rates.append(len(y) / (time.perf_counter() - started))
    return rates


if __name__ == "__main__":
    framework, batch, epochs, path, device, precision = sys.argv[1:]
    data = np.load(path)
    run = {"keras": keras, "torch": torch}[framework]
    scaled = data["pictures"].astype(np.float32) / 255
    print("rates", *run(scaled, data["labels"], int(batch), int(epochs), device, precision)[1:], flush=True)
