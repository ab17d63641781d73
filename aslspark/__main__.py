"""`python -m aslspark`: the same as the command `aslspark`."""

import sys

# `-m` puts the working directory first, where a numpy.py may lie; last, it still serves a checkout. What Python and
# this package's first module import is loaded by now: `python -P -m aslspark`, or the command, keeps it from those.
if not getattr(sys.flags, "safe_path", False):
    sys.path.append(sys.path.pop(0))

from aslspark.cli.command import entry

if __name__ == "__main__":
    entry()
