"""Tables of pixels whose rows were not learned from: settings of a network, compared by blocks that are left out.

python benchmarks/studies/tables.py letters.csv other_camera.csv --out DIR --variant small=conf/pixel_tables.yaml \
    --variant cnn=training.framework=torch --page docs/pictures

The rows of each table and letter are cut into five contiguous blocks, and each block of all tables is read by a network
that learned from the four others, so that every row is judged once a seed. Tables hold pictures more than once, changed
a little: Sign Language MNIST's rows come from 1,704 photographs, by its authors. So rows that are like none that was
learned from are judged by themselves, too; or, with `--folds photographs`, rows that are alike are left out together,
so that all rows of such a table are judged by networks that learned from other photographs.

A variant is a name and what it sets: a file of settings, words KEY=VALUE, or both, apart by spaces. The fits are the
package's own steps in this process, without Spark, one after another, to their last epoch, with the batch and rate of
two processes. DIR keeps each fit's answers: a study that was stopped goes on. The page gets tables.md and tables.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.csv as pc
import torch
from scipy.sparse.csgraph import connected_components

from aslspark.common.labels import LABELS
from aslspark.common.onnx_sessions import open_session
from aslspark.common.settings import Config, load_config
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.training.batches import Rows, Steps
from aslspark.training.collective import ALONE, Alone
from aslspark.training.fit_network import torch_network
from aslspark.training.loop import learning_rate_factor
from aslspark.training.torch_worker import TorchTrainable
from benchmarks.base import machine
from benchmarks.studies.in_process import job_in_process, source_weights

FOLDS = 5
SHAPE = (28, 28, 1)
ALIKE = 0.8
"""Correlation of the pixels of two rows of a letter and table from which they may be of one picture."""


def read_table(path: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.str_]]:
    """Read a table of `label, pixel1, ..., pixel784`.

    Returns
    -------
    ndarray of uint8, shape (n, 28, 28, 1), and ndarray of str, shape (n,)
    """
    table = pc.read_csv(path)
    numbers = table["label"].to_numpy()
    pixels = np.stack([table[f"pixel{place}"].to_numpy() for place in range(1, 785)], axis=1)
    return pixels.astype(np.uint8).reshape(-1, *SHAPE), np.array(LABELS)[numbers]


def blocks(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the fold of each row of a table: contiguous blocks of each letter, as even as they go."""
    folds = np.zeros(len(labels), np.int64)
    for label in set(labels):
        mine = np.flatnonzero(labels == label)
        folds[mine] = np.arange(len(mine)) * FOLDS // len(mine)
    return folds


def photographs(pictures: npt.NDArray[np.uint8], labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the fold of each row of a table: rows of a letter that are alike, or linked by such rows, are in one.

    Where a fold could not hold all rows that are linked, as of a film, the letter is cut into blocks.
    """
    folds = blocks(labels)
    pixels = _same_contrast(pictures)
    for label in set(labels):
        mine = np.flatnonzero(labels == label)
        count, linked = connected_components(pixels[mine] @ pixels[mine].T >= ALIKE, directed=False)
        sizes = np.bincount(linked)
        if sizes.max() > -(-len(mine) // FOLDS):
            continue
        filled = np.zeros(FOLDS, np.int64)
        for photograph in range(count):  # in the order of their first rows
            fold = filled.argmin()
            folds[mine[linked == photograph]] = fold
            filled[fold] += sizes[photograph]
    return folds


def is_unlike(
    pictures: npt.NDArray[np.uint8], labels: npt.NDArray[Any], folds: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Tell the rows of a table that are much like no row of their letter in another fold."""
    pixels = _same_contrast(pictures)
    unlike = np.zeros(len(labels), np.bool_)
    for label in set(labels):
        mine = np.flatnonzero(labels == label)
        alike = pixels[mine] @ pixels[mine].T >= ALIKE
        unlike[mine] = ~(alike & (folds[mine, None] != folds[mine])).any(axis=1)
    return unlike


def _same_contrast(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Bring rows to a mean of 0 and a length of 1: their products are correlations."""
    pixels = pictures.reshape(len(pictures), -1).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    shown: npt.NDArray[np.float32] = pixels / np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-9)
    return shown


def fit_and_read(
    config: Config,
    pictures: npt.NDArray[np.uint8],
    numbers: npt.NDArray[np.int64],
    tables: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.bool_],
    labels: tuple[str, ...],
) -> npt.NDArray[np.int64]:
    """Fit to the chosen rows and return what is read on the others, as places in `labels`."""
    processes = config.training.num_proc
    training = replace(
        config.training,
        num_proc=1,
        launcher=ALONE,
        batch_size=processes * config.training.batch_size,
        learning_rate=processes * config.training.learning_rate,
    )
    config = replace(config, training=training)
    unfitted = torch_network(config, SHAPE, labels)
    job = job_in_process(unfitted, config, labels, SHAPE)
    weights = source_weights(tables, chosen, training.balance_sources)
    network = TorchTrainable(job, Alone(), torch.device("cpu"))
    pool = Rows(pictures[chosen], numbers[chosen], weights[chosen])
    plan = Steps([int(chosen.sum())], training.batch_size, 0)
    for epoch in range(training.epochs):
        network.seed(epoch)
        order = np.random.default_rng((training.seed, 0, epoch))
        for step, batch in enumerate(plan.batches(iter([pool]), order), start=1 + epoch * plan.number):
            network.set_learning_rate(network.learning_rate * learning_rate_factor(training, step, plan.number))
            network.train(batch)
    onnx = unfitted.finished(network.weights(), config.features.stretch)[1]
    classifier = OnnxClassifier(onnx, labels, SHAPE, inputs=job.inputs)
    reasons = np.full(int((~chosen).sum()), None, object)
    session = open_session(onnx, torch.get_num_threads())
    return classifier.probabilities(session, pictures[~chosen], None, reasons).argmax(axis=1)


def variant(text: str) -> tuple[str, Config]:
    """Read NAME=FILE KEY=VALUE ... as a name and settings."""
    name, _, rest = text.partition("=")
    words = rest.split()
    files = [word for word in words if "=" not in word]
    return name, load_config(files[0] if files else None, [word for word in words if "=" in word])


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, judge, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", metavar="TABLE.csv")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path)
    parser.add_argument("--variant", action="append", required=True, metavar="'NAME=FILE KEY=VALUE ...'")
    parser.add_argument("--folds", choices=("blocks", "photographs"), default="blocks", help="left out together")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--page", metavar="DIR", type=Path)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    read = [read_table(path) for path in options.tables]
    pictures = np.concatenate([each[0] for each in read])
    letters = np.concatenate([each[1] for each in read])
    labels = tuple(sorted(set(letters)))
    numbers = np.searchsorted(labels, letters).astype(np.int64)
    of_tables = [photographs(*each) if options.folds == "photographs" else blocks(each[1]) for each in read]
    folds = np.concatenate(of_tables)
    tables = np.repeat(np.arange(len(read)), [len(each[1]) for each in read])
    options.out.mkdir(parents=True, exist_ok=True)
    names = [Path(path).stem for path in options.tables]
    unlike = np.concatenate([is_unlike(*each, of_table) for each, of_table in zip(read, of_tables, strict=True)])
    groups = {
        f"{name}{ending}": (tables == place) & chosen
        for place, name in enumerate(names)
        for ending, chosen in (("", np.ones(len(numbers), np.bool_)), (", unlike all that was learned", unlike))
    }
    groups = {name: rows for name, rows in groups.items() if rows.any()}
    figures: dict[str, list[dict[str, float]]] = {}
    for name, config in map(variant, options.variant):
        figures[name] = []
        for seed in range(options.seeds):
            of_seed = replace(config, training=replace(config.training, framework="torch", seed=seed))
            answers = np.zeros(len(numbers), np.int64)
            for fold in range(FOLDS):
                key = json.dumps([of_seed.as_dict(), len(numbers), options.folds, fold], sort_keys=True)
                kept = options.out / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
                if not kept.exists():
                    np.save(kept, fit_and_read(of_seed, pictures, numbers, tables, folds != fold, labels))
                answers[folds == fold] = np.load(kept)
            right = answers == numbers
            figures[name].append({each: float(right[rows].mean()) for each, rows in groups.items()})
            print(name, seed, {each: round(100 * value, 2) for each, value in figures[name][-1].items()}, flush=True)
    if options.page:
        rows = {each: int(of_group.sum()) for each, of_group in groups.items()}
        write_page(figures, rows, options, options.page)


def write_page(
    figures: dict[str, list[dict[str, float]]], rows: dict[str, int], options: argparse.Namespace, folder: Path
) -> None:
    """Write tables.json and tables.md."""
    folder.mkdir(parents=True, exist_ok=True)
    variants: Sequence[str] = options.variant
    about = {
        "machine": machine(),
        "variants": list(variants),
        "folds": options.folds,
        "rows": rows,
        "seeds": figures,
    }
    (folder / "tables.json").write_text(json.dumps(about, indent=1) + "\n")
    lines = [
        "# Tables of pixels: settings compared",
        "",
        f"% right of rows in {options.folds} that were left out, mean of the seeds (least to most); {FOLDS} folds. "
        "Unlike all that was learned: no row of the letter and table in another fold has pixels with a correlation of "
        f"{ALIKE}. Made by `python benchmarks/studies/tables.py`, with these variants.",
        "",
        f"| variant | {' | '.join(f'{name} ({count:,})' for name, count in rows.items())} | seeds | sets |",
        "|---|" + "---|" * (len(rows) + 2),
    ]
    for text, (name, seeds) in zip(variants, figures.items(), strict=True):
        cells = []
        for each in rows:
            values = [100 * seed[each] for seed in seeds]
            cells.append(f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        lines.append(f"| {name} | {' | '.join(cells)} | {len(seeds)} | `{text.partition('=')[2] or 'nothing'}` |")
    (folder / "tables.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
