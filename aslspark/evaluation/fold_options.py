"""How data is cut into folds: what the command line asks for, checked, without Spark."""

from __future__ import annotations

from dataclasses import dataclass

from aslspark.common.errors import AslsparkError

BLOCK, SIGNER, STRATIFIED, RANDOM = "block", "signer", "stratified", "random"
KINDS = (BLOCK, SIGNER, STRATIFIED, RANDOM)
LEAVE_ONE = {"source": "leave one source out", "signer": "leave one signer out"}
"""By the column whose every value is a fold: the kind."""
LEAKING = (STRATIFIED, RANDOM)
"""Row by row: a picture's near-twins are trained on while it is tested on."""


@dataclass(frozen=True)
class FoldOptions:
    """What decides the fold of a sample.

    Parameters
    ----------
    kind : str
        'block': contiguous runs of each source and label, each fold with its share of every label;
        'signer': whole signers, folds of about the same number of rows; 'stratified': row by row within each label;
        'random': row by row. The last two leak. Or one of `LEAVE_ONE`: a fold a source, or a signer.
    folds : int
        How many; those of `LEAVE_ONE` have as many as there are sources or signers.
    validation : float
        Share of the groups (or rows) left for training that chooses the best epoch; 0 for none. Where whole signers
        or sources are tested, it is taken of the signers that are left, if there are two or more, else of the blocks.
    blocks : int
        Runs that the rows of a source and label are cut into.
    seed : int
        The same seed gives the same folds.

    Raises
    ------
    AslsparkError
        If a value is out of its range, or the blocks do not go round.
    """

    kind: str = BLOCK
    folds: int = 5
    validation: float = 0.1
    blocks: int = 10
    seed: int = 42

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, *LEAVE_ONE.values()):
            raise AslsparkError(f"--by {self.kind}: choose one of {', '.join(KINDS)}")
        if self.folds < 2:
            raise AslsparkError(f"--folds {self.folds}: give 2 or more")
        left = self.blocks - -(-self.blocks // self.folds)
        if self.kind == BLOCK and (self.blocks < self.folds or left < 2):
            raise AslsparkError(
                f"split.blocks={self.blocks}: too few for {self.folds} folds, of which each leaves blocks to train "
                f"and to validate on; set split.blocks={max(self.folds, 4)} or more"
            )
