"""Counts of listed rows -> the splits that they will have, before any picture is decoded.

In: rows by source, signer, label and given split. Out: rows by split and label; an error with settings that would work,
where no model could be trained on these splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.data.samples import SPLITS, TEST, TRAIN, VALIDATION
from aslspark.data.splits import SplitOptions, splits_of_blocks, splits_of_groups, too_few_groups

DEFAULTS = SplitOptions()
FEWER_BLOCKS = (10, 5, 4, 3, 2)
LISTED_LABELS = 8


class Group(NamedTuple):
    """Rows that are split in the same way."""

    source: str
    signer: str | None
    label: str
    split: str | None
    """Given by the source; rows with 'train' or None are still to be split."""


class LeastGroups(NamedTuple):
    """The least number of signers or sources, for folds by signer or source."""

    column: str
    least: int
    asked_by: str
    """The option that asks for such folds."""


@dataclass(frozen=True)
class Needs:
    """What a training after the ingest needs of the splits."""

    splits: tuple[str, ...] = (TEST,)
    """Splits besides train that must have rows."""
    processes: int = 1
    """Of the training: each needs a training row, and a validation row where there are any."""
    groups: LeastGroups | None = None
    """Counted among the rows that are not given as test."""


@dataclass(frozen=True)
class SampleListing:
    """Counts of the rows to be split, known from names and labels alone."""

    rows: Counter[Group]
    """Rows that turn out unusable are included: a split without rows here has none in the end."""
    names: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    """The groups to be split, for 'signer' and 'source'; None stands for rows without a signer."""
    by_hash: Mapping[str, Counter[str]] = field(default_factory=dict)
    """Rows by split and label, for kind 'random'."""
    nameless: str = ""
    """How many rows name no signer, and where."""

    def split_counts(self, options: SplitOptions) -> dict[str, Counter[str]]:
        """Count the rows by split and label, as they will be split.

        Raises
        ------
        AslsparkError
            Where there are too few signers or sources.
        """
        counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        runs: Counter[tuple[str, str]] = Counter()
        groups = splits_of_groups(options, self.names[options.kind]) if options.kind in self.names else {}
        for group, rows in self.rows.items():
            if group.split not in (None, TRAIN):
                counts[str(group.split)][group.label] += rows
            elif options.kind == "block":
                runs[group.source, group.label] += rows
            elif options.kind == "random":
                continue
            else:
                counts[groups[(group.signer if options.kind == "signer" else group.source) or ""]][group.label] += rows
        for split, by_label in self.by_hash.items() if options.kind == "random" else ():
            counts[split] += by_label
        for (source, label), rows in runs.items():
            blocks = splits_of_blocks(options, source)
            for block, split in enumerate(blocks):
                # Row i is in block i * blocks // rows.
                rows_in_block = -(-(block + 1) * rows // len(blocks)) - -(-block * rows // len(blocks))
                counts[split][label] += rows_in_block
        return {split: +by_label for split, by_label in counts.items()}

    @property
    def labels(self) -> Counter[str]:
        """Rows by label."""
        rows_of: Counter[str] = Counter()
        for group, rows in self.rows.items():
            rows_of[group.label] += rows
        return rows_of


def require_trainable(listing: SampleListing, options: SplitOptions, needs: Needs | None) -> None:
    """Refuse rows that cannot be split, or splits that no model could be trained on; the message says what would work.

    Parameters
    ----------
    options : SplitOptions
        As used: with a fraction of 0 for the splits that sources give.
    needs : Needs, optional
        None: no training follows.

    Raises
    ------
    AslsparkError
    """
    if not listing.rows:
        return  # the ingest reports the reasons
    problem = (
        too_few_groups(options, listing.names[options.kind], listing.nameless)
        if options.kind in listing.names
        else None
    )
    if needs and len(listing.labels) == 1:
        raise AslsparkError(f"--data: every sample is labelled {next(iter(listing.labels))}; give at least two letters")
    if needs and needs.groups:
        column, least, asked_by = needs.groups
        named = {getattr(group, column) for group in listing.rows if group.split != TEST} - {None}
        if len(named) < least:
            raise AslsparkError(
                f"{asked_by}: the data name {len(named)} {column}(s), and {least} or more are needed; choose --by block"
            )
    if needs and not problem:
        problem = _problem(listing.split_counts(options), options, needs)
    if problem:
        raise AslsparkError(f"{problem}; {_advice(listing, options, needs or Needs(()))}")


def previewed_missing_labels(listing: SampleListing, options: SplitOptions) -> str | None:
    """Return a warning about labels that would be missing in a split.

    Returns
    -------
    str or None
        None where every split would have every label.
    """
    counts = listing.split_counts(options)
    lacking = _lacking(counts, options) if counts[TRAIN] else {}  # with none to train on, all are there to be judged on
    text = " and ".join(f"{split} would have no sample of {_few(labels)}" for split, labels in lacking.items())
    if not lacking:
        return None
    settings, complete = _working(listing, options, Needs(()))
    if settings and complete:
        return f"{text}; with {' '.join(settings)} each split would have samples of each label"
    return f"{text}; give more samples of these labels" if TRAIN in lacking else None


def _problem(counts_of: Mapping[str, Counter[str]], options: SplitOptions, needs: Needs) -> str | None:
    """Return why no model could be trained on these splits, naming the settings at fault; None where one could."""
    rows = {split: by_label.total() for split, by_label in counts_of.items()}
    total = sum(rows.values())
    how = f"split.kind={options.kind}" + (f" split.blocks={options.blocks}" if options.kind == "block" else "")
    if not rows[TRAIN]:
        return f"{how}: none of {counted(total, 'sample')} would be left to train on"
    if len(counts_of[TRAIN]) == 1:
        return f"{how}: every training sample would be labelled {next(iter(counts_of[TRAIN]))}"
    for split in needs.splits:
        if not rows[split]:
            share = getattr(options, split)
            given = f"split.{split}={share:g}" + (f" {how}" if share else "")
            rows_in_all = counted(total, "sample")
            return f"{given}: none of {rows_in_all} would fall into the {split} split, so nothing could be judged"
    for split, purpose in ((TRAIN, "training"), (VALIDATION, "validation")):
        if 0 < rows[split] < needs.processes:
            return (
                f"training.num_proc={needs.processes}: only {counted(rows[split], f'{purpose} sample')} with {how}, "
                "and each process needs one or more"
            )
    return None


def _advice(listing: SampleListing, options: SplitOptions, needs: Needs) -> str:
    enough = {
        "block": f"{counted(options.blocks, 'sample')} of each label",  # each label is then in each block
        "signer": "pictures of more signers",
        "source": "further sources",
        "random": "ten samples of each label",
    }[options.kind]
    more = f"give more data: {enough}"
    for processes in dict.fromkeys((needs.processes, 1)):
        settings, _ = _working(listing, options, replace(needs, processes=processes))
        if settings is not None:
            settings += ["training.num_proc=1"] * (processes != needs.processes)
            return f"set {' '.join(settings)}, or {more}"
    return more


def _working(listing: SampleListing, options: SplitOptions, needs: Needs) -> tuple[list[str] | None, bool]:
    """Find the nearest settings that would work, and tell whether each split would have each label.

    Settings that give each split each label are preferred.
    """
    first: list[str] | None = None
    for other in _others(listing, options, needs):
        try:
            counts_of = listing.split_counts(other)
        except AslsparkError:
            continue
        if _problem(counts_of, other, needs):
            continue
        changed = [name for name in vars(other) if getattr(other, name) != getattr(options, name)]
        settings = [f"split.{name}={_as_text(getattr(other, name))}" for name in changed]
        if not _lacking(counts_of, other):
            return settings, True
        first = settings if first is None else first
    return first, False


def _others(listing: SampleListing, options: SplitOptions, needs: Needs) -> Iterator[SplitOptions]:
    """Give the options that may be proposed, the nearest first."""
    runs: Counter[tuple[str, str]] = Counter()
    for group, rows in listing.rows.items():
        if group.split in (None, TRAIN):
            runs[group.source, group.label] += rows
    # With no more blocks than the rarest label has rows, each label is in each block.
    fewer = [number for number in (min(runs.values(), default=0), *FEWER_BLOCKS) if 0 < number < options.blocks]
    given = {group.split for group in listing.rows}
    held_out = {split: getattr(DEFAULTS, split) for split in needs.splits if split not in given}
    shares: list[dict[str, float]] = [{s: share for s, share in held_out.items() if not getattr(options, s)}]
    if options.validation and VALIDATION not in needs.splits:
        shares.append({**shares[0], "validation": 0.0})
    changes: list[dict[str, Any]] = [
        {"kind": "block", "blocks": number, **share} for share in shares for number in (options.blocks, *fewer)
    ]
    if options.kind in ("signer", "source"):
        # Whole signers without validation test better than parts of each signer.
        changes = [*shares, *changes]
    for change in changes:
        with suppress(AslsparkError):
            yield replace(options, **change)


def _lacking(counts_of: Mapping[str, Counter[str]], options: SplitOptions) -> dict[str, list[str]]:
    """List, for each split that exists or is asked for, the labels that only other splits have."""
    labels = {label for by_label in counts_of.values() for label in by_label}
    asked_for = {VALIDATION: options.validation, TEST: options.test}
    lacking = {
        split: sorted(labels - by_label.keys())
        for split, by_label in counts_of.items()
        if by_label or asked_for.get(split, 1)
    }
    return {split: missing for split, missing in lacking.items() if missing}


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels[:LISTED_LABELS]) + (" and others" if len(labels) > LISTED_LABELS else "")


def _as_text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
