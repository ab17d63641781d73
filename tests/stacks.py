"""What one stack alone has: a test that needs it skips where it is not, and says which stack has it."""

from importlib.util import find_spec

import pytest

has_petastorm = find_spec("petastorm") is not None
needs_petastorm = pytest.mark.skipif(
    not has_petastorm, reason="petastorm is in the stack of Spark 3.5: make test STACK=spark35"
)
