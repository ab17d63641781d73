"""A function that does what its message says; the child process around it is what is tested."""

import os
import signal

HANG, KILL, RAISE = "hang", "kill", "raise"


class StandIn:
    def __call__(self, message):
        while message == HANG:
            pass
        if message == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if message == RAISE:
            raise ValueError("the function cannot do this")
        return os.getpid(), len(message)


class DoesNotStart:
    def __init__(self):
        raise OSError("no model file")
