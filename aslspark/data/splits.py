"""Options -> the split of each block, signer, source or row, so that near duplicates fall into one split."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pyspark.sql import Column
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import SplitConfig
from aslspark.data.samples import TEST, TRAIN, VALIDATION

Group = TypeVar("Group", int, str)

KINDS = ("block", "signer", "source", "random")

LEAK_WARNING = (
    "the split is random row by row: pictures taken one after another are near duplicates and now lie on "
    "both sides, so the scores on validation and test come out too high; 'block' or 'signer' avoids that"
)

GIVEN_AS_TEST = "The test rows come from separate sources"
"""Opens the sentence of the ingest report that names these sources."""


@dataclass(frozen=True)
class SplitOptions:
    """How rows are split.

    Raises
    ------
    AslsparkError
        Where a value is out of its range, or nothing would be left for training.
    """

    kind: str = SplitConfig.kind
    """'block': within each source and label, contiguous runs of rows (the default); 'signer' or 'source': all rows of a
    signer, or of a source, together; 'random': row by row, which puts near duplicates into several splits."""
    validation: float = SplitConfig.validation
    test: float = SplitConfig.test
    """Fractions from 0 to below 1. With 'block' they are rounded to whole blocks, with 'signer' and 'source' to whole
    groups, at least one each when the fraction is above 0."""
    blocks: int = SplitConfig.blocks
    """Runs that the rows of one source and label are cut into; for 'block' alone."""
    seed: int = SplitConfig.seed

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise AslsparkError(f"split kind {self.kind!r} is unknown: choose one of {', '.join(KINDS)}")
        for name in ("validation", "test"):
            fraction = getattr(self, name)
            if not 0 <= fraction < 1:
                raise AslsparkError(f"{name} fraction {fraction} is out of range: choose from 0 to below 1")
        if self.validation + self.test >= 1:
            raise AslsparkError(
                f"validation {self.validation} and test {self.test} leave nothing for training: "
                "choose fractions that add up to less than 1"
            )
        if self.blocks < 1:
            raise AslsparkError(f"blocks {self.blocks} is out of range: choose 3 or more, such as 10")
        held_out = sum(_held_out(self, self.blocks))
        if self.kind == "block" and held_out >= self.blocks:
            raise AslsparkError(
                f"{counted(self.blocks, 'block is', 'blocks are')} too few: validation {self.validation} and test "
                f"{self.test} take {held_out} of them; choose {held_out + 1} or more, such as 10"
            )


def splits_of_blocks(options: SplitOptions, source: str) -> tuple[str, ...]:
    """Choose the split of each block of a source, by a generator seeded with the seed and the source's name.

    Parameters
    ----------
    source : str
        The short name that the samples carry.

    Returns
    -------
    tuple of str
        One of 'train', 'validation' and 'test' for each of `options.blocks` blocks, in file order.
    """
    # Unlike hash(), a string as the seed gives the same on every machine and in every run.
    order = random.Random(f"{options.seed}:{source}")
    return tuple(_shuffled_splits(options, range(options.blocks), order).values())


def splits_of_groups(options: SplitOptions, names: Iterable[str | None], nameless: str = "") -> dict[str, str]:
    """Choose the split of each signer or source.

    Parameters
    ----------
    options : SplitOptions
        Of kind 'signer' or 'source'.
    names : iterable of str or None
        The signers or sources; None stands for rows that name no signer.
    nameless : str
        How many such rows there are, and where.

    Returns
    -------
    dict of str to str
        'train', 'validation' or 'test' for each name.

    Raises
    ------
    AslsparkError
        Where a name is None, or there are too few names for a group in each split.
    """
    distinct = set(names)
    if trouble := too_few_groups(options, distinct, nameless):
        raise AslsparkError(f"{trouble}; add sources, set a fraction to 0, or choose split.kind=block")
    groups = sorted(name for name in distinct if name is not None)
    return _shuffled_splits(options, groups, random.Random(f"{options.seed}"))


def too_few_groups(options: SplitOptions, names: Iterable[str | None], nameless: str = "") -> str | None:
    """Return why the groups cannot be split by `splits_of_groups`; None where they can."""
    groups = set(names)
    if None in groups:
        return (
            f"split.kind={options.kind}: there are rows that name no signer{f' ({nameless})' if nameless else ''}; "
            "give a manifest with a column signer, or a pictures.signer_pattern that is found in their paths"
        )
    needed = sum(_held_out(options, len(groups))) + 1
    if len(groups) < needed:
        return (
            f"split.kind={options.kind} has {counted(len(groups), options.kind)} to divide and needs {needed} or more "
            f"for split.validation={options.validation:g} and split.test={options.test:g}"
        )
    return None


def random_split(options: SplitOptions, row_id: Column) -> Column:
    """Make the split column of kind 'random' from a hash of the seed and the id (a string column)."""
    # Unlike rand(), a hash does not depend on the partitions.
    share = F.pmod(F.xxhash64(F.lit(options.seed), row_id), F.lit(1_000_000)) / 1_000_000
    return (
        F.when(share < options.test, TEST).when(share < options.test + options.validation, VALIDATION).otherwise(TRAIN)
    )


def describe(
    options: SplitOptions,
    test_sources: Sequence[str] = (),
    validation_sources: Sequence[str] = (),
    by_name: Sequence[str] = (),
) -> str:
    """Describe in a few sentences how the split was made.

    Parameters
    ----------
    options : SplitOptions
        As used: with a test fraction of 0 where there are test sources.
    test_sources : sequence of str
        Short names of the sources that are test as a whole, or assign test rows themselves.
    validation_sources : sequence of str
        The same for validation.
    by_name : sequence of str
        Files and folders that were taken for test or validation by their names.
    """
    shares = [
        f"{fraction:.0%} for {name}"
        for name, fraction in ((VALIDATION, options.validation), (TEST, options.test))
        if fraction > 0
    ]
    aside = " and ".join(shares) if shares else "nothing"
    asked = f"; asked for: {aside}" if shares else f": {aside}"  # few groups come to other shares
    how = {
        "block": f"The rows of each source and label were cut, in order, into {options.blocks} contiguous "
        f"blocks, and whole blocks were set aside{asked}",
        "signer": f"All pictures of a signer stay together, and whole signers were set aside{asked}",
        "source": f"All rows of a source stay together, and whole sources were set aside{asked}",
        "random": f"Rows were set aside at random, one by one, near duplicates on both sides: {aside}",
    }[options.kind]
    sentence = f"{how} (seed {options.seed})."
    if validation_sources:
        sentence += f" {', '.join(validation_sources[:3])} name validation rows of their own."
    if test_sources:
        first = ", ".join(test_sources[:3]) + (" and others" if len(test_sources) > 3 else "")
        sentence += f" {GIVEN_AS_TEST} ({first})."
    if by_name:
        named = ", ".join(by_name[:4]) + (" and others" if len(by_name) > 4 else "")
        sentence += f" Taken as they are called: {named}."
    return sentence


def _held_out(options: SplitOptions, groups: int) -> tuple[int, int]:
    """Return how many of the groups are validation, and how many test."""
    validation, test = (
        max(1, round(fraction * groups)) if fraction > 0 else 0 for fraction in (options.validation, options.test)
    )
    return validation, test


def _shuffled_splits(options: SplitOptions, groups: Sequence[Group], order: random.Random) -> dict[Group, str]:
    """Assign shuffled groups to test, validation and train; the result keeps the groups' order."""
    validation, test = _held_out(options, len(groups))
    shuffled = list(groups)
    order.shuffle(shuffled)
    held_out = dict.fromkeys(shuffled[:test], TEST) | dict.fromkeys(shuffled[test : test + validation], VALIDATION)
    return {group: held_out.get(group, TRAIN) for group in groups}
