"""Starts the service for a bundle, and asks it for the letters of pictures; it needs neither Spark nor a framework.

    python examples/serve_and_ask.py letters hand.jpg another.png

`letters` is the model that comes with the package.
"""

import json
import mimetypes
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


@contextmanager
def served(bundle: str) -> Iterator[str]:
    """Serve a bundle at a free port of this machine, and give its address."""
    command = [sys.executable, "-m", "aslspark", "serve", "--model", bundle, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        try:
            addresses = (found[0] for line in service.stdout if (found := re.search(r"http://localhost:\d+", line)))
            address = next(addresses, None)
            if address is None:  # it has said why
                raise OSError(f"the service of {bundle} did not start")
            yield address
        finally:
            service.terminate()


def ask(address: str, path: str) -> dict[str, object]:
    """Ask for the letter of a picture file; where there is none, the answer has the reason."""
    kind = mimetypes.guess_type(path)[0] or "image/jpeg"
    try:
        with urlopen(Request(f"{address}/predict", Path(path).read_bytes(), {"Content-Type": kind})) as answer:
            (reading,) = json.load(answer)["answers"]
    except HTTPError as refused:
        return {"letter": None, **json.load(refused)}
    return reading


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        bundle, *paths = sys.argv[1:]
        with served(bundle) as address:
            for path in paths:
                print(path, ask(address, path))
    except OSError as error:
        sys.exit(f"error: {error}")
