"""Something that happens at the moment when a function is entered or left; the function itself runs as it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENTERED, LEFT = "call", "return"


@contextmanager
def whenever(function: Callable[..., Any], moment: str, happens: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Let something happen in this thread whenever a function is entered or left.

    Parameters
    ----------
    function : callable
        A function of Python or a method, as its class holds it.
    moment : {ENTERED, LEFT}
    happens : callable
        It is given the function's arguments by name. An error that it raises is raised within the function, and ends
        the watching.
    """

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == moment and frame.f_code is function.__code__:
            happens(dict(frame.f_locals))

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
