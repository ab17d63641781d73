"""Makes the model that comes with the package, aslspark/letters: from drawn hands, and sets whose licence allows it.

spark-submit jobs/ingest.py --source SET ... --out INGESTED --config conf/hands.yaml
python benchmarks/studies/letters.py --data INGESTED --out aslspark/letters --set training.epochs=12

All other sets of the table are read for its card. The same data, settings and packages on the same kind of
processor give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aslspark.bundle.files import HANDS, ONNX, seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.settings import Config, load_config
from aslspark.images.hands.detector import hand_detector
from aslspark.images.image_spec import ImageSpec
from aslspark.scoring.model import SignClassifierModel
from benchmarks.studies.sets import SETTINGS, fit_folds, judge, probabilities, read_hands

LICENCES = {
    "alphabet_frames": "keptsecret/ASLAlphabets, Apache-2.0",
    "pale_cam": "t32rahman/ASL-ML, MIT",
    "landmarks_cc0_cam/landmarks.csv": "borisgraudt/asl-ai, CC0",
}
"""Of the sources that it learns from."""
CARD = "card.md"


def make_bundle(rows: pa.Table, config: Config, others: pa.Table | None, out: Path) -> str:
    """Fit, judge and write the bundle; return its digest.

    Parameters
    ----------
    rows : pyarrow.Table
        To learn from; see `benchmarks.studies.sets.read_hands`.
    config : Config
    others : pyarrow.Table, optional
        To judge by: of sources that are not in `rows`.
    out : Path
        Where an earlier one is replaced.
    """
    found = rows.filter(pc.is_valid(pc.struct_field(rows["hand"], "found")))
    (classifier,) = fit_folds(found, [np.ones(len(found), bool)], config)
    model = SignClassifierModel(
        classifier,
        form=ImageSpec(config.pictures.size, config.pictures.size, 3),
        hands=hand_detector(config.hands),
        temperature=config.answers.temperature or 1.0,
    )
    sources = sorted(set(rows["source"].to_pylist()))
    scratch = out.with_name(f".{out.name}.made")
    with whole_folder(scratch) as folder:
        write_model(model, None, folder, settings=config.as_dict(), split="all rows were learned from")
        for path in (folder / HANDS).iterdir():
            path.unlink()
        (folder / HANDS).rmdir()
        (folder / CARD).write_text(_card(sources, found, others, classifier, config))
        seal(folder)
    for old in out.iterdir() if out.is_dir() else ():
        old.unlink()
    out.mkdir(exist_ok=True)
    for path in scratch.iterdir():
        path.rename(out / path.name)
    scratch.rmdir()
    return hashlib.sha256((out / ONNX).read_bytes()).hexdigest()


def _card(sources: Sequence[str], rows: pa.Table, others: pa.Table | None, classifier: Any, config: Config) -> str:
    counts = {source: pc.sum(pc.equal(rows["source"], source)).as_py() for source in sources}
    lines = [
        "# The model that comes with aslspark",
        "",
        "Reads the 24 static letters of the American manual alphabet (not J and Z, which are movements) from the 21 "
        "landmarks of a hand. It was made by `python benchmarks/studies/letters.py` with the settings of "
        f"`conf/hands.yaml` and {config.training.epochs} epochs.",
        "",
        "Learned from drawn hands of every letter, and from",
        "",
        "| source | hands | from, licence |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {count:,} | {_licence(name)} |" for name, count in counts.items()]
    lines += ["", "The pictures and landmarks themselves are not in the package."]
    # What is judged by is not quite unseen: settings and ways to draw were chosen with its help (docs/hands.md).
    if others is not None:
        labels = list(classifier.labels)
        names = sorted(set(others["source"].to_pylist()) - set(sources))
        answers = {
            f"source {name}": probabilities(classifier, others.filter(pc.equal(others["source"], name)))
            for name in names
        }
        figures = judge(answers, others, labels)
        worst = sorted(figures.letters.items(), key=lambda letter: letter[1])[:6]
        lines += [
            "",
            f"Of {len(figures.sets)} sets of other people and rooms, from which it has not learned, "
            f"{100 * figures.mean:.1f} % of the pictures are read rightly in the mean of the sets, "
            f"{100 * min(figures.sets.values()):.1f} % in the worst; one without a found hand counts as wrong. "
            f"{100 * figures.coverage:.0f} % may be answered so that 99 % of the answers are right. Its settings, and "
            "the ways in which hands are drawn, were chosen with the help of such sets, which flatters these figures. "
            "The letters that are read worst: "
            + ", ".join(f"{name} {100 * share:.0f} %" for name, share in worst)
            + ".",
            "",
            "| set | right |",
            "|---|---|",
        ]
        lines += [f"| {name} | {100 * share:.1f} % |" for name, share in {**figures.sets, **figures.tables}.items()]
    return "\n".join(lines) + "\n"


def _licence(source: str) -> str:
    return LICENCES.get(source, "as its owner says")


def main(argv: Sequence[str] | None = None) -> None:
    """Make the bundle, and print its digest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, nargs="+", metavar="INGESTED")
    parser.add_argument("--learn-from", nargs="*", default=list(LICENCES), metavar="SOURCE")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path)
    parser.add_argument("--config", default=str(SETTINGS), metavar="FILE")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(argv)
    config = load_config(options.config, options.set)
    rows = read_hands(options.data)
    mine = pc.is_in(rows["source"], value_set=pa.array(options.learn_from))
    others = rows.filter(pc.invert(mine))
    print(make_bundle(rows.filter(mine), config, others if len(others) else None, options.out))


if __name__ == "__main__":
    main()
