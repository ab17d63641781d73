"""The whole job as someone would write it without Spark: pandas, one process of two threads, arrays in memory.

python benchmarks/plain_job.py keras|torch TABLE.csv OUT EPOCHS BATCH
"""

from __future__ import annotations

import os
import sys

THREADS = 2
os.environ["OMP_NUM_THREADS"] = str(THREADS)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np
import pandas as pd

CLASSES = 24
DROPOUT = 0.3


def read(path: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return pictures of 0-1 (n, 28, 28, 1), class numbers, and the rows of each split."""
    table = pd.read_csv(path)
    labels = np.unique(table["label"], return_inverse=True)[1].astype(np.int64)
    pictures = (table.drop(columns="label").to_numpy(np.float32) / 255).reshape(-1, 28, 28, 1)
    order = np.random.default_rng(42).permutation(len(labels))
    tenth = len(order) // 10
    return (
        pictures,
        labels,
        {"test": order[:tenth], "validation": order[tenth : 2 * tenth], "train": order[2 * tenth :]},
    )


def keras(path: str, out: str, epochs: int, batch: int) -> float:
    """Train, keep the best epoch, write it, and return its accuracy on the test rows."""
    import tensorflow as tf

    from aslspark.models.keras_network import build

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    pictures, labels, split = read(path)
    one_hot = np.eye(CLASSES, dtype=np.float32)[labels]
    model = build("cnn", (28, 28, 1), CLASSES, DROPOUT)
    model.compile(tf.keras.optimizers.Adam(0.002), "categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        pictures[split["train"]],
        one_hot[split["train"]],
        batch_size=batch,
        epochs=epochs,
        validation_data=(pictures[split["validation"]], one_hot[split["validation"]]),
        callbacks=[tf.keras.callbacks.ModelCheckpoint(f"{out}/network.keras", save_best_only=True)],
        verbose=0,
    )
    best = tf.keras.models.load_model(f"{out}/network.keras")
    return float(best.evaluate(pictures[split["test"]], one_hot[split["test"]], verbose=0)[1])


def torch(path: str, out: str, epochs: int, batch: int) -> float:
    """Train, keep the best epoch, write it, and return its accuracy on the test rows."""
    import torch

    from aslspark.models.torch_network import build

    torch.set_num_threads(THREADS)
    pictures, labels, split = read(path)
    x, y = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)
    network = build("cnn", (28, 28, 1), CLASSES, DROPOUT)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.002)
    loss_of = torch.nn.CrossEntropyLoss()
    train = torch.from_numpy(split["train"])

    def judge(rows: np.ndarray) -> tuple[float, float]:
        network.eval()
        with torch.inference_mode():
            outputs = torch.cat([network(x[part]) for part in torch.from_numpy(rows).split(256)])
            right = (outputs.argmax(1) == y[rows]).float().mean()
            return float(loss_of(outputs, y[rows])), float(right)

    best = float("inf")
    for _ in range(epochs):
        network.train()
        for chosen in train[torch.randperm(len(train))].split(batch):
            optimizer.zero_grad()
            loss_of(network(x[chosen]), y[chosen]).backward()
            optimizer.step()
        loss = judge(split["validation"])[0]
        if loss < best:
            best = loss
            torch.save(network.state_dict(), f"{out}/network.pt")
    network.load_state_dict(torch.load(f"{out}/network.pt", weights_only=True))
    return judge(split["test"])[1]


if __name__ == "__main__":
    framework, table, folder, epochs, batch = sys.argv[1:]
    print("accuracy", {"keras": keras, "torch": torch}[framework](table, folder, int(epochs), int(batch)))
