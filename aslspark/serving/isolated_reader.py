"""Reads pictures whose bytes a child process decodes: one that hangs or kills the child affects no other.

In: the bytes of a picture file, or pixels. Out: an `Answer`, with a reason where the child had to be ended.
"""

from __future__ import annotations

from typing import Any

from aslspark.common.child_process import ChildDied, ChildProcess, ChildTimedOut
from aslspark.scoring.answers import Answer
from aslspark.scoring.reader import BYTES, Reader
from aslspark.serving.decoder import Heavy, Prepare, Wrong

FACTORY = "aslspark.serving.decoder:Decoder"
SECONDS = 30.0
"""The most that decoding a picture may take where no client waits for it."""


def decoder_process(niceness: int = 0) -> ChildProcess:
    """Make the child process that parses and decodes; it starts with its first message."""
    return ChildProcess(FACTORY, name="process that decodes", niceness=niceness)


def read_isolated(
    child: ChildProcess,
    reader: Reader,
    value: Any,
    kind: str = BYTES,
    *,
    seconds: float,
    only_light: bool = False,
) -> Answer | None:
    """Read one picture, which the child decodes and fits.

    Parameters
    ----------
    child : ChildProcess
        From `decoder_process`.
    value, kind
        As for `Reader.read`.
    seconds : float
        The most that the child may take.
    only_light : bool
        Return None for a picture that takes long.

    Raises
    ------
    ChildNotStarted
    """
    try:
        hands = reader.hands
        message = Prepare(value, kind, reader.form, hands.options if hands is not None else None, only_light)
        decoded = child.ask(message, seconds, hands)
    except ChildTimedOut:
        return Answer(None, None, (), f"undecodable: not decoded within {seconds:g} s")
    except ChildDied:
        return Answer(None, None, (), "undecodable: it ended the process that decodes")
    if isinstance(decoded, Heavy):
        return None
    if isinstance(decoded, Wrong):
        return Answer(None, None, (), decoded.reason)
    return reader.answer(decoded.pixels, decoded.hand)


class IsolatedReader:
    """A `Reader` with a child process that decodes; for one thread.

    Parameters
    ----------
    seconds : float
        The most that decoding a picture may take.
    """

    def __init__(self, reader: Reader, seconds: float = SECONDS) -> None:
        self._reader, self._seconds, self._child = reader, seconds, decoder_process()

    @property
    def labels(self) -> tuple[str, ...]:
        """The reader's."""
        return self._reader.labels

    @property
    def digest(self) -> str:
        """The reader's."""
        return self._reader.digest

    def read(self, value: bytes) -> Answer:
        """Read the bytes of a picture file."""
        answer = read_isolated(self._child, self._reader, value, seconds=self._seconds)
        assert answer is not None
        return answer

    def close(self) -> None:
        """End the child; the next picture starts another."""
        self._child.close()
