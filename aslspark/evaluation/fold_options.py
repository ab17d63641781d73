"""The options of a cross-validation's folds, checked; needs no Spark."""

from __future__ import annotations

from dataclasses import dataclass

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import SplitConfig

BLOCK, SIGNER, STRATIFIED, RANDOM = "block", "signer", "stratified", "random"
KINDS = (BLOCK, SIGNER, STRATIFIED, RANDOM)
LEAVE_ONE = {"source": "leave one source out", "signer": "leave one signer out"}
"""Column to the kind in which each of its values is a fold."""
LEAKING = (STRATIFIED, RANDOM)
"""Kinds that deal rows one by one: while a picture is tested on, its near-duplicates are trained on."""


@dataclass(frozen=True)
class FoldOptions:
    """The division of samples into folds.

    Raises
    ------
    AslsparkError
        If a value is out of its range, or there are too few blocks for the folds.
    """

    kind: str = SplitConfig.kind
    """'block': contiguous runs of each source and label, each fold with its share of every label; 'signer': whole
    signers, folds of about the same number of rows; 'stratified': row by row within each label; 'random': row by row.
    The last two leak. Or one of `LEAVE_ONE`: a fold a source, or a signer."""
    folds: int = 5
    """How many; the kinds of `LEAVE_ONE` have as many as there are sources or signers."""
    validation: float = SplitConfig.validation
    """Share of the training groups (or rows) by which the best epoch is chosen; 0 for none. Where whole signers or
    sources are tested, it is a share of the other signers if there are two or more, else of the blocks."""
    blocks: int = SplitConfig.blocks
    """Runs into which the rows of a source and label are cut."""
    seed: int = SplitConfig.seed
    """The same seed gives the same folds."""

    @classmethod
    def of(cls, split: SplitConfig, by: str, folds: int) -> FoldOptions:
        """Make the options of some folds, with the blocks, validation share and seed of the settings."""
        return cls(by, folds, split.validation, split.blocks, split.seed)

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, *LEAVE_ONE.values()):
            raise AslsparkError(f"--by {self.kind}: choose one of {', '.join((*KINDS, *LEAVE_ONE.values()))}")
        if self.folds < 2:
            raise AslsparkError(f"--folds {self.folds}: give 2 or more")
        left = self.blocks - -(-self.blocks // self.folds)
        if self.kind == BLOCK and (self.blocks < self.folds or left < 2):
            raise AslsparkError(
                f"split.blocks={self.blocks}: too few for {self.folds} folds, of which each leaves blocks to train "
                f"and to validate on; set split.blocks={max(self.folds, 4)} or more"
            )
