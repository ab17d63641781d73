"""The shape of what a network gives for one picture -> an error where that is not one number a class."""

from __future__ import annotations

from aslspark.common.errors import AslsparkError


def require_one_a_class(shape: tuple[int, ...], classes: int) -> None:
    """See that a network gives one number a class.

    Raises
    ------
    AslsparkError
        Naming both numbers.
    """
    if shape != (1, classes):
        given = (
            f"{shape[-1]} outputs" if len(shape) == 2 else f"outputs of {'x'.join(map(str, shape[1:])) or 'no size'}"
        )
        raise AslsparkError(f"model: it has {given}, and labels names {classes} letters; give it one output a label")
