"""Letters of people and rooms that were not learned from: each set of an ingested table left out in turn.

spark-submit jobs/ingest.py --source SET ... --out INGESTED --config conf/hands.yaml
python benchmarks/studies/sets.py --data INGESTED --out DIR --page docs/hands

A set is a source of the table: pictures of some people in a room, or a table of landmarks. Every row of a set that was
left out is read by a network that learned from all other sets; a picture without a found hand counts as wrong. Of a set
with several signers that are named, each is left out by itself, too (`--signers`). It is conf/hands.yaml's network and
training, in this process and without Spark, all fits of a seed side by side. DIR keeps the answers of each seed; the
page gets sets.md, sets.json and sets.png.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import torch
from matplotlib.figure import Figure

from aslspark.common.onnx_sessions import open_session
from aslspark.common.settings import Config, load_config
from aslspark.data.samples import SAMPLES_FOLDER
from aslspark.data.tables.landmark_hands import IN_TABLE
from aslspark.features.landmarks import FEATURES, LEARNED_NUMBERS, looked_vectors
from aslspark.features.synthetic_hands import hands_to_learn_from
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.calibration import with_temperature
from aslspark.training.batches import Batch, Rows, Steps
from aslspark.training.collective import ALONE, Alone
from aslspark.training.fit_network import torch_network
from aslspark.training.hands import HandInput
from aslspark.training.loop import learning_rate_factor
from aslspark.training.torch_worker import TorchTrainable
from benchmarks.base import machine
from benchmarks.studies.in_process import job_in_process, source_weights

SETTINGS = Path(__file__).resolve().parents[2] / "conf" / "hands.yaml"
RIGHT = 0.99
"""Of the answers that are given: the share that must be right, for the coverage."""
COLUMNS = ("id", "label", "source", "signer", "hand")
PAIRS = 20
"""Of letters and what they are read as: how many the page names."""


@dataclass(frozen=True)
class Loss:
    """Where the pictures of a set go that are not right."""

    not_found: float
    """Share of the pictures without a hand."""
    first_two: float
    """Share of the pictures whose letter is among the two likeliest."""
    misread: dict[str, dict[str, float]]
    """Share of a letter's pictures that are read as another: by letter, then by what it is read as."""
    letters: dict[str, float]
    """Share of the set's pictures, by letter."""

    @property
    def wholly(self) -> dict[str, str]:
        """The letters of which more than half are read as others, and what most of those are read as."""
        return {
            letter: max(others, key=others.__getitem__)
            for letter, others in self.misread.items()
            if sum(others.values()) > 0.5
        }


@dataclass(frozen=True)
class Figures:
    """What a seed came to."""

    sets: dict[str, float]
    """Right, by set of pictures."""
    tables: dict[str, float]
    """Right, by table of landmarks."""
    signers: dict[str, float]
    letters: dict[str, float]
    """Right, mean over the sets of pictures."""
    coverage: float
    """Share of the pictures, the surest first and sets alike, that may be answered so that RIGHT of the answers are."""
    losses: dict[str, Loss]
    """By set of pictures."""

    @property
    def mean(self) -> float:
        """Over the sets of pictures."""
        return float(np.mean(list(self.sets.values())))


def read_hands(folders: Sequence[str]) -> pa.Table:
    """Read the hands of ingested folders, in an order that does not depend on how they lie in files."""
    parts = [ds.dataset(f"{folder}/{SAMPLES_FOLDER}").to_table(columns=list(COLUMNS)) for folder in folders]
    return pa.concat_tables(parts).sort_by([("source", "ascending"), ("id", "ascending")]).combine_chunks()


def fit_folds(rows: pa.Table, folds: Sequence[npt.NDArray[np.bool_]], config: Config) -> list[OnnxClassifier]:
    """Fit the network that the settings name to several choices of rows at once, by the package's own steps.

    What is changed at random in an epoch is the same for all folds, since making features takes most of the time. Hands
    are mixed with those of their own source alone: with others, a fold would learn of the set that it leaves out.

    Parameters
    ----------
    rows : pyarrow.Table
        label, source (strings) and hand.
    folds : sequence of ndarray of bool, shape (n,)
        The rows that each learns from.
    config : Config
        Of torch, with a network of landmarks; all sources weigh the same where `training.balance_sources` says so.
    """
    labels = tuple(sorted(set(rows["label"].to_pylist())))
    numbers = pc.index_in(rows["label"], value_set=pa.array(labels)).to_numpy(zero_copy_only=False).astype(np.int64)
    sources = rows["source"].to_numpy(zero_copy_only=False)
    training = replace(config.training, num_proc=1, launcher=ALONE, threads=1)
    torch.set_num_threads(1)
    torch.manual_seed(training.seed)
    unfitted = torch_network(config, (1, 1, 3), labels)
    job = job_in_process(unfitted, replace(config, training=training), labels, None)
    drawn = None
    if config.augment.landmark_drawn_probability:
        drawn = hands_to_learn_from(labels, training.seed)
    hands = HandInput(config.features.upright, config.augment, drawn)
    looked = looked_vectors(rows["hand"], LEARNED_NUMBERS)
    of_sources = [np.flatnonzero(sources == name) for name in sorted(set(sources))]
    networks = [TorchTrainable(job, Alone(), torch.device("cpu")) for _ in folds]
    weights = [source_weights(sources, chosen, training.balance_sources) for chosen in folds]
    plans = [Steps([int(chosen.sum())], training.batch_size, 0) for chosen in folds]
    landmarks = np.zeros((len(rows), FEATURES), np.float32)
    for epoch in range(training.epochs):
        random = np.random.default_rng((training.seed, 0, epoch, 1))
        for mine in of_sources:
            batch = Batch(None, numbers[mine], np.ones(len(mine), np.float32), 1.0, looked[mine])
            landmarks[mine] = hands.ready(batch, random).landmarks
        for network, chosen, weight, plan in zip(networks, folds, weights, plans, strict=True):
            network.seed(epoch)
            places = np.flatnonzero(chosen)
            pool = Rows(None, numbers[places], weight[places], landmarks[places])
            order = np.random.default_rng((training.seed, 0, epoch))
            for step, batch in enumerate(plan.batches(iter([pool]), order), start=1 + epoch * plan.number):
                factor = learning_rate_factor(training, step, plan.number)
                network.set_learning_rate(network.learning_rate * factor)
                network.train(batch._replace(hands=None, landmarks=batch.hands))
    return [
        OnnxClassifier(
            unfitted.finished(network.weights(), config.features.stretch)[1],
            labels,
            (1, 1, 3),
            inputs=job.inputs,
            upright=config.features.upright,
        )
        for network in networks
    ]


def probabilities(classifier: OnnxClassifier, rows: pa.Table) -> npt.NDArray[np.float32]:
    """Read rows as a bundle does; 0 for all letters where no hand was found."""
    hands = looked_vectors(rows["hand"])
    reasons = np.full(len(rows), None, object)
    given = classifier.probabilities(open_session(classifier.onnx, 1), None, hands, reasons)
    given[reasons != None] = 0  # noqa: E711  (elementwise)
    return given


def judge(answers: dict[str, npt.NDArray[np.float32]], rows: pa.Table, labels: Sequence[str]) -> Figures:
    """Compare what was read of the sets and signers with what they are.

    Parameters
    ----------
    answers : dict of str to ndarray, shape (n, labels)
        Probabilities, by what was left out: 'source NAME' or 'signer NAME'.
    rows : pyarrow.Table
    labels : sequence of str
    """
    truth = pc.index_in(rows["label"], value_set=pa.array(labels)).to_numpy()
    is_table = pc.equal(pc.struct_field(rows["hand"], "found"), IN_TABLE).fill_null(False).to_numpy()
    shares: dict[str, dict[str, float]] = {"sets": {}, "tables": {}, "signers": {}}
    by_letter: dict[str, list[float]] = {label: [] for label in labels}
    surest: list[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]] = []
    losses: dict[str, Loss] = {}
    for left_out, given in answers.items():
        column, _, name = left_out.partition(" ")
        of_group = pc.equal(rows[column], name).fill_null(False).to_numpy()
        right = (given.argmax(axis=1) == truth[of_group]) & (given.max(axis=1) > 0)
        kind = "signers" if column == "signer" else "tables" if is_table[of_group].all() else "sets"
        shares[kind][name] = float(right.mean())
        if kind == "sets":
            for place, label in enumerate(labels):
                if (mine := truth[of_group] == place).any():
                    by_letter[label].append(float(right[mine].mean()))
            surest.append((given.max(axis=1), right, np.full(len(right), 1 / len(right))))
            losses[name] = _loss(given, truth[of_group], labels)
    letters = {label: float(np.mean(found)) for label, found in by_letter.items() if found}
    return Figures(shares["sets"], shares["tables"], shares["signers"], letters, _coverage(surest), losses)


def _loss(given: npt.NDArray[np.float32], truth: npt.NDArray[Any], labels: Sequence[str]) -> Loss:
    found = given.max(axis=1) > 0
    order = np.argsort(-given, axis=1)
    misread: dict[str, dict[str, float]] = {}
    for letter, other in zip(truth[found], order[found, 0], strict=True):
        if letter != other:
            others = misread.setdefault(labels[letter], {})
            others[labels[other]] = others.get(labels[other], 0.0) + 1 / float((truth == letter).sum())
    return Loss(
        float(1 - found.mean()),
        float((found & (order[:, :2] == truth[:, None]).any(axis=1)).mean()),
        misread,
        {labels[letter]: float((truth == letter).mean()) for letter in np.unique(truth)},
    )


def _coverage(groups: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]]) -> float:
    sure, right, weight = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    order = np.argsort(-sure, kind="stable")
    answered = np.cumsum(weight[order])
    enough = np.flatnonzero(np.cumsum((weight * right)[order]) >= RIGHT * answered)
    return float(answered[enough[-1]] / weight.sum()) if len(enough) else 0.0


def left_out_in_turn(rows: pa.Table, signers: Sequence[str]) -> list[tuple[str, str]]:
    """List what is left out: every source; of the sources named in `signers`, every signer."""
    sources = [("source", name) for name in sorted(set(rows["source"].to_pylist()))]
    of_sources = rows.filter(pc.is_in(rows["source"], value_set=pa.array(signers, pa.string())))
    return sources + [("signer", name) for name in sorted(set(of_sources["signer"].to_pylist()) - {None})]


def study(
    rows: pa.Table, config: Config, seeds: int, signers: Sequence[str], learn_from: Sequence[str], out: Path
) -> list[Figures]:
    """Fit and read whatever is not in `out` yet; return the figures by seed."""
    labels = sorted(set(rows["label"].to_pylist()))
    found = pc.is_valid(pc.struct_field(rows["hand"], "found")).to_numpy(zero_copy_only=False)
    if learn_from:
        found &= pc.is_in(rows["source"], value_set=pa.array(learn_from)).to_numpy(zero_copy_only=False)
    left_out = left_out_in_turn(rows, signers)
    groups = [pc.equal(rows[column], name).fill_null(False) for column, name in left_out]
    figures = []
    for seed in range(seeds):
        of_seed = replace(config, training=replace(config.training, seed=seed))
        key = json.dumps([of_seed.as_dict(), sorted(learn_from), left_out, len(rows)], sort_keys=True)
        kept = out / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
        if not kept.exists():
            folds = [found & ~mine.to_numpy(zero_copy_only=False) for mine in groups]
            read = zip(fit_folds(rows, folds, of_seed), groups, strict=True)
            out.mkdir(parents=True, exist_ok=True)
            np.savez(kept, *(probabilities(classifier, rows.filter(mine)) for classifier, mine in read))
        with np.load(kept) as given:
            answers = {
                f"{column} {name}": with_temperature(given[f"arr_{place}"], config.answers.temperature or 1.0)
                for place, (column, name) in enumerate(left_out)
            }
        figures.append(judge(answers, rows, labels))
        print(f"seed {seed}: {100 * figures[-1].mean:.1f} % in the mean of the sets", flush=True)
    return figures


def summary(figures: Sequence[Figures]) -> dict[str, tuple[float, float, float, str]]:
    """Return mean, least and most over the seeds, and whose they are."""

    def over(values: Sequence[float], of: str = "") -> tuple[float, float, float, str]:
        return float(np.mean(values)), min(values), max(values), of

    def worst(shares: Sequence[dict[str, float]]) -> tuple[float, float, float, str]:
        means = {name: float(np.mean([each[name] for each in shares])) for name in shares[0]}
        name = min(means, key=means.__getitem__)
        return over([each[name] for each in shares], name)

    lines = {
        "mean over sets": over([each.mean for each in figures]),
        "worst set": worst([each.sets for each in figures]),
        "worst letter": worst([each.letters for each in figures]),
        f"answered at {100 * RIGHT:.0f} % right": over([each.coverage for each in figures]),
    }
    if figures[0].signers:
        lines["mean over signers"] = over([float(np.mean(list(each.signers.values()))) for each in figures])
    if figures[0].tables:
        lines["mean over tables of landmarks"] = over([float(np.mean(list(each.tables.values()))) for each in figures])
    return lines


def _lost(figures: Sequence[Figures]) -> list[str]:
    """Write where the pictures go that are not right, in the mean of the seeds: by set, then by letter."""
    lost = of_wholly = 0.0
    pairs: dict[tuple[str, str], dict[str, float]] = {}
    lines = [
        "",
        "## Where the loss lies",
        "",
        "| set | hand not found | read as another letter | right, or the second choice is | letters that most are "
        "misread of |",
        "|---|---|---|---|---|",
    ]
    for each in figures[0].sets:
        seeds = [seed.losses[each] for seed in figures]
        wholly = [f"{letter} ({other})" for letter, other in seeds[0].wholly.items()]
        confused = [1 - seed.sets[each] - loss.not_found for seed, loss in zip(figures, seeds, strict=True)]
        shares = [
            100 * float(np.mean(s)) for s in ([x.not_found for x in seeds], confused, [x.first_two for x in seeds])
        ]
        lines.append(f"| {each} | {shares[0]:.1f} | {shares[1]:.1f} | {shares[2]:.1f} | {', '.join(sorted(wholly))} |")
        for loss in seeds:
            for letter, others in loss.misread.items():
                for other, share in others.items():
                    points = share * loss.letters[letter] / len(figures) / len(figures[0].sets)
                    of_pair = pairs.setdefault((letter, other), {})
                    of_pair[each] = of_pair.get(each, 0.0) + points
                    lost += points
                    of_wholly += points if letter in loss.wholly else 0.0
    most = sorted(pairs.items(), key=lambda pair: -sum(pair[1].values()))[:PAIRS]
    named = [
        f"{letter} as {other} {100 * sum(sets.values()):.2f} (most in `{max(sets, key=sets.__getitem__)}`)"
        for (letter, other), sets in most
    ]
    return [
        *lines,
        "",
        f"Of what is read as another letter, {100 * of_wholly / max(lost, 1e-9):.0f} % is in letters of a set of which "
        "more than half are misread: one person's way to make a letter, all pictures of it at once. (In brackets: what "
        "it is read as, in the first seed.) Points of the mean over sets, by letter and what it is read as: "
        f"{', '.join(named)}.",
    ]


def write_page(figures: Sequence[Figures], config: Config, changed: Sequence[str], folder: Path, name: str) -> None:
    """Write NAME.json, NAME.png and NAME.md."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"machine": machine(), "seeds": [asdict(each) for each in figures], "settings": config.as_dict()}
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n")
    lines = [
        "# Sets of people and rooms that were left out",
        "",
        f"% right of 24 static letters; each set was read by a network that learned from all others, {len(figures)} "
        "seeds. A picture without a found hand counts as wrong. Made by `python benchmarks/studies/sets.py`, with the "
        f"settings of `conf/hands.yaml`{' and ' if changed else ''}{', '.join(f'`{word}`' for word in changed)}.",
        "",
        f"![right by set and by letter]({name}.png)",
        "",
        "| | mean of seeds | least | most |",
        "|---|---|---|---|",
    ]
    for what, (mean, least, most, whose) in summary(figures).items():
        of = f" ({whose})" if whose else ""
        lines.append(f"| {what}{of} | {100 * mean:.1f} | {100 * least:.1f} | {100 * most:.1f} |")
    for title in ("sets", "tables", "signers"):
        if names := list(getattr(figures[0], title)):
            lines += ["", f"| {title} | mean | least | most |", "|---|---|---|---|"]
            for each in names:
                shares = [100 * getattr(seed, title)[each] for seed in figures]
                lines.append(f"| {each} | {np.mean(shares):.1f} | {min(shares):.1f} | {max(shares):.1f} |")
    lines += _lost(figures)
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    groups = [
        {key: [getattr(seed, kind)[key] for seed in figures] for kind in kinds for key in getattr(figures[0], kind)}
        for kinds in (("sets", "tables", "signers"), ("letters",))
    ]
    for axes, shares_of, title in zip(
        figure.subplots(2, 1), groups, ("what was left out", "letter, mean over sets"), strict=True
    ):
        names = sorted(shares_of, key=lambda each: -np.mean(shares_of[each]))
        means = np.array([100 * np.mean(shares_of[each]) for each in names])
        ends = np.array([[100 * min(shares_of[each]), 100 * max(shares_of[each])] for each in names]).T
        axes.bar(range(len(names)), means, 0.7, color="C0", yerr=abs(ends - means), ecolor="0.3", capsize=2)
        axes.set_xticks(
            range(len(names)), names, rotation=30 if len(names) < 24 else 0, ha="right" if len(names) < 24 else "center"
        )
        axes.set_ylabel("% right")
        axes.set_xlabel(title)
        axes.set_ylim(min(40, float(ends.min()) - 5), 100)
        axes.grid(axis="y", alpha=0.3)
    figure.savefig(folder / f"{name}.png", dpi=110)


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, judge, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, nargs="+", metavar="INGESTED")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path)
    parser.add_argument("--page", metavar="DIR", type=Path)
    parser.add_argument("--name", default="sets", help="of the page's files (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--signers", nargs="*", default=["studio_hands"], metavar="SET", help="sets with named signers")
    parser.add_argument("--learn-from", nargs="*", default=[], metavar="SET", help="learn from these sets alone")
    parser.add_argument("--config", default=str(SETTINGS), metavar="FILE")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(argv)
    config = load_config(options.config, options.set)
    figures = study(read_hands(options.data), config, options.seeds, options.signers, options.learn_from, options.out)
    for what, (mean, least, most, whose) in summary(figures).items():
        print(f"{what} {whose}: {100 * mean:.1f} % ({100 * least:.1f} to {100 * most:.1f})")
    if options.page:
        write_page(figures, config, options.set, options.page, options.name)


if __name__ == "__main__":
    main()
