"""The one error that a user is meant to read."""

from aslspark.common.redaction import redact


class AslsparkError(Exception):
    """Something the user can put right: the message names the setting or file, its value and what would work.

    Keys and passwords in it are masked; see `aslspark.common.redaction`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))
