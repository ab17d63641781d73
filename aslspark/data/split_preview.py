"""Labels, signers and sources as they are listed -> the splits that they will give, before anything is decoded.

In: rows by source, signer, label and the split that is given. Out: rows by split and label; what no model could be
trained on, as one line with settings that would work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from aslspark.common.errors import AslsparkError
from aslspark.data.samples import SPLITS, TEST, TRAIN, VALIDATION
from aslspark.data.splits import SplitOptions, splits_of_blocks, splits_of_groups, too_few_groups

USUAL = SplitOptions()
FEWER_BLOCKS = (10, 5, 4, 3, 2)
SHOWN_LABELS = 8


class Group(NamedTuple):
    """Rows that are divided alike."""

    source: str
    signer: str | None
    label: str
    split: str | None
    """Where the sources decide; 'train' and None are divided further."""


class LeastGroups(NamedTuple):
    """So many signers or sources are divided into folds."""

    column: str
    least: int
    asked_by: str
    """The option that asks for them."""


@dataclass(frozen=True)
class Needs:
    """What the training that follows an ingest asks of its splits.

    Parameters
    ----------
    splits : tuple of str
        Those besides train that must have rows.
    processes : int
        Each takes one or more of the rows to train on, and of those to validate with, where there are any.
    groups : LeastGroups, optional
        Counted among what is not given as test.
    """

    splits: tuple[str, ...] = (TEST,)
    processes: int = 1
    groups: LeastGroups | None = None


@dataclass(frozen=True)
class SampleListing:
    """Everything that is to be divided, by name alone.

    Parameters
    ----------
    rows : Counter of Group
        What may turn out unusable is among them: a split without a row here has none in the end.
    names : mapping of str to sequence of str or None
        For 'signer' and 'source', the groups that are divided; None stands for rows that name no signer.
    by_hash : mapping of str to Counter, optional
        For kind 'random', what its ids decide: rows by split and label.
    """

    rows: Counter[Group]
    names: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    by_hash: Mapping[str, Counter[str]] = field(default_factory=dict)

    def divided(self, options: SplitOptions) -> dict[str, Counter[str]]:
        """Count the rows by split and label, as they will be divided.

        Parameters
        ----------
        options : SplitOptions

        Raises
        ------
        AslsparkError
            Where there are too few signers or sources.
        """
        found: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        runs: Counter[tuple[str, str]] = Counter()
        groups = splits_of_groups(options, self.names[options.kind]) if options.kind in self.names else {}
        for group, rows in self.rows.items():
            if group.split not in (None, TRAIN):
                found[str(group.split)][group.label] += rows
            elif options.kind == "block":
                runs[group.source, group.label] += rows
            elif options.kind == "random":
                continue
            else:
                found[groups[(group.signer if options.kind == "signer" else group.source) or ""]][group.label] += rows
        for split, counts in self.by_hash.items() if options.kind == "random" else ():
            found[split] += counts
        for (source, label), rows in runs.items():
            blocks = splits_of_blocks(options, source)
            for block, split in enumerate(blocks):
                # Row i lies in block i * blocks // rows.
                rows_in_block = -(-(block + 1) * rows // len(blocks)) - -(-block * rows // len(blocks))
                found[split][label] += rows_in_block
        return {split: +counts for split, counts in found.items()}

    @property
    def labels(self) -> Counter[str]:
        """Rows by label."""
        found: Counter[str] = Counter()
        for group, rows in self.rows.items():
            found[group.label] += rows
        return found


def require_divisible(listing: SampleListing, options: SplitOptions, needs: Needs | None) -> None:
    """Refuse what cannot be divided, or what no model could be trained on, and say what would work.

    Parameters
    ----------
    listing : SampleListing
    options : SplitOptions
        As used: with a share of 0 for what the sources give themselves.
    needs : Needs, optional
        None: nothing is trained.

    Raises
    ------
    AslsparkError
    """
    if not listing.rows:
        return  # why none can be used is said where the reasons are counted
    trouble = too_few_groups(options, listing.names[options.kind]) if options.kind in listing.names else None
    if needs and len(listing.labels) == 1:
        raise AslsparkError(f"--data: every sample is labelled {next(iter(listing.labels))}; give at least two letters")
    if needs and needs.groups:
        column, least, asked_by = needs.groups
        named = {getattr(group, column) for group in listing.rows if group.split != TEST} - {None}
        if len(named) < least:
            raise AslsparkError(
                f"{asked_by}: the data name {len(named)} {column}(s), and {least} or more are needed; choose --by block"
            )
    if needs and not trouble:
        trouble = _trouble(listing.divided(options), options, needs)
    if trouble:
        raise AslsparkError(f"{trouble}; {_mend(listing, options, needs or Needs(()))}")


def previewed_missing_labels(listing: SampleListing, options: SplitOptions) -> str | None:
    """Warn of labels that would be tested on or validated with, and not learned, or the other way round.

    Returns
    -------
    str or None
        A line; None where every label would be in every split that is asked for.
    """
    lacking = _lacking(listing.divided(options), options)
    words = " and ".join(f"{split} would have no sample of {_few(labels)}" for split, labels in lacking.items())
    if not lacking:
        return None
    settings, complete = _working(listing, options, Needs(()))
    if settings and complete:
        return f"{words}; with {' '.join(settings)} each split would have samples of each label"
    return f"{words}; give more samples of these labels" if TRAIN in lacking else None


def _trouble(divided: Mapping[str, Counter[str]], options: SplitOptions, needs: Needs) -> str | None:
    """Name what no model could be trained on; in its words, what of the settings is at fault."""
    rows = {split: counts.total() for split, counts in divided.items()}
    total = sum(rows.values())
    how = f"split.kind={options.kind}" + (f" split.blocks={options.blocks}" if options.kind == "block" else "")
    if not rows[TRAIN]:
        return f"{how}: none of the {total:,} samples would be left to train on"
    if len(divided[TRAIN]) == 1:
        return f"{how}: every training sample would be labelled {next(iter(divided[TRAIN]))}"
    for split in needs.splits:
        if not rows[split]:
            share = getattr(options, split)
            given = f"split.{split}={share:g}" + (f" {how}" if share else "")
            return (
                f"{given}: none of the {total:,} samples would fall into the {split} split, so nothing could be judged"
            )
    for split, what in ((TRAIN, "training"), (VALIDATION, "validation")):
        if 0 < rows[split] < needs.processes:
            return (
                f"training.num_proc={needs.processes}: there are only {rows[split]} {what} samples with {how}, and "
                "each process needs one or more"
            )
    return None


def _mend(listing: SampleListing, options: SplitOptions, needs: Needs) -> str:
    enough = {
        "block": f"{options.blocks} samples of each label",  # then each label is in each block
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
    """Find settings that would work, the nearest to those that do not, and say whether each split has each label.

    Those that give each split each label come before others.
    """
    found: list[str] | None = None
    for other in _others(listing, options, needs):
        try:
            divided = listing.divided(other)
        except AslsparkError:
            continue
        if _trouble(divided, other, needs):
            continue
        changed = [name for name in vars(other) if getattr(other, name) != getattr(options, name)]
        settings = [f"split.{name}={_as_word(getattr(other, name))}" for name in changed]
        if not _lacking(divided, other):
            return settings, True
        found = settings if found is None else found
    return found, False


def _others(listing: SampleListing, options: SplitOptions, needs: Needs) -> Iterator[SplitOptions]:
    """Give the ways to divide that may be proposed, the nearest first."""
    runs: Counter[tuple[str, str]] = Counter()
    for group, rows in listing.rows.items():
        if group.split in (None, TRAIN):
            runs[group.source, group.label] += rows
    # With as many blocks as the rarest label has rows, each label is in each block.
    fewer = [number for number in (min(runs.values(), default=0), *FEWER_BLOCKS) if 0 < number < options.blocks]
    given = {group.split for group in listing.rows}
    held_out = {split: getattr(USUAL, split) for split in needs.splits if split not in given}
    shares: list[dict[str, float]] = [{s: share for s, share in held_out.items() if not getattr(options, s)}]
    if options.validation and VALIDATION not in needs.splits:
        shares.append({**shares[0], "validation": 0.0})
    ways: list[dict[str, Any]] = [
        {"kind": "block", "blocks": number, **share} for share in shares for number in (options.blocks, *fewer)
    ]
    if options.kind in ("signer", "source"):
        # Whole signers without validation are a better test than parts of each.
        ways = [*shares, *ways]
    for way in ways:
        with suppress(AslsparkError):
            yield replace(options, **way)


def _lacking(divided: Mapping[str, Counter[str]], options: SplitOptions) -> dict[str, list[str]]:
    """List the labels that another split has, for each split that is there or asked for."""
    labels = {label for counts in divided.values() for label in counts}
    asked_for = {VALIDATION: options.validation, TEST: options.test}
    lacking = {
        split: sorted(labels - counts.keys()) for split, counts in divided.items() if counts or asked_for.get(split, 1)
    }
    return {split: missing for split, missing in lacking.items() if missing}


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels[:SHOWN_LABELS]) + (" and others" if len(labels) > SHOWN_LABELS else "")


def _as_word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
