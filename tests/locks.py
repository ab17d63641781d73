"""What the locks of environment/ hold: each package's version, and the hashes of its files."""

from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parent.parent / "environment"
STACKS = sorted(path.parent.name for path in ENVIRONMENT.glob("*/requirements.in"))


def requirements_of(name):
    """Return the requirements of a lock, each on one line, as pip reads them."""
    text = (ENVIRONMENT / name).read_text().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line and not line.startswith("#")]


def pins_of(*names):
    """Return `NAME==VERSION` of each requirement of these locks."""
    return [line.split(" --hash=")[0] for name in names for line in requirements_of(name)]
