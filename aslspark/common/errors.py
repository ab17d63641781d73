"""The error for users to read."""

from aslspark.common.redaction import redact


class AslsparkError(Exception):
    """Something that the user can put right. The message names the setting or file, its value and what would work.

    Secrets in the message are masked; see `aslspark.common.redaction`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


def first_line(error: BaseException) -> str:
    """Return the first line of an error of a library, at most 300 characters; its class where it has no message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
