"""A picture is made ready in a child process, and answered here: one that hangs or kills it costs itself alone.

In: the bytes of a picture file, or pixels. Out: an `Answer`, with a reason where the child was ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from aslspark.common.child_process import ChildDied, ChildProcess, ChildTimedOut
from aslspark.images.hands.detector_process import shared_detector
from aslspark.images.hands.hand import Hand
from aslspark.scoring.reader import BYTES, Answer, Reader
from aslspark.serving.decoder import Heavy, Prepare, Wrong

FACTORY = "aslspark.serving.decoder:Decoder"
SECONDS = 30.0
"""That a picture may take, where nobody waits for it."""


def decoder_process(niceness: int = 0) -> ChildProcess:
    """Make the child that parses and decodes; it starts with its first message."""
    return ChildProcess(FACTORY, name="process that decodes", niceness=niceness)


def read_isolated(
    child: ChildProcess,
    reader: Reader,
    value: Any,
    kind: str = BYTES,
    *,
    find: Callable[[npt.NDArray[np.uint8]], Hand] | None,
    seconds: float,
    only_light: bool = False,
) -> Answer | None:
    """Read one picture, of which the child does the part that works on its bytes.

    Parameters
    ----------
    child : ChildProcess
        As `decoder_process` makes it.
    reader : Reader
    value, kind, find
        As `Reader.read` takes them.
    seconds : float
        For the child's part.
    only_light : bool
        Return None for a picture that takes long.

    Raises
    ------
    ChildNotStarted
    """
    try:
        found = child.ask(Prepare(value, kind, reader.form, reader.hands, only_light), seconds, find)
    except ChildTimedOut:
        return Answer(None, None, (), f"undecodable: not decoded within {seconds:g} s")
    except ChildDied:
        return Answer(None, None, (), "undecodable: it ended the process that decodes")
    if isinstance(found, Heavy):
        return None
    if isinstance(found, Wrong):
        return Answer(None, None, (), found.reason)
    return reader.answer(found.pixels, found.hand)


class IsolatedReader:
    """Reads as a `Reader` does, for one thread.

    Parameters
    ----------
    reader : Reader
    seconds : float
        For a picture to be made ready.
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
        hands = self._reader.hands
        find = None if hands is None else shared_detector(hands)
        answer = read_isolated(self._child, self._reader, value, find=find, seconds=self._seconds)
        assert answer is not None
        return answer

    def close(self) -> None:
        """End the child; the next picture starts another."""
        self._child.close()
