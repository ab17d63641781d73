"""The error for users to read."""

from aslspark.common.redaction import redact


class AslsparkError(Exception):
    """Something that the user can put right. The message names the setting or file, its value and what would work.

    Parameters
    ----------
    message : str
        One line. Keys and passwords in it are masked.

    Examples
    --------
    >>> import aslspark
    >>> try:
    ...     aslspark.load_config(overrides=["training.epoch=15"])
    ... except aslspark.AslsparkError as error:
    ...     str(error)
    '--set training.epoch=15: unknown setting; did you mean training.epochs?'
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


def first_line(error: BaseException) -> str:
    """Return the first line of an error of a library, at most 300 characters; its class where it has no message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
