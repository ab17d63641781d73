"""The model that comes with the package: its name -> the folder of its bundle.

It reads the landmarks of hands, and carries no networks that find them: those of this machine are used.
"""

from __future__ import annotations

from pathlib import Path

LETTERS = "letters"
"""The name by which it is loaded."""
FOLDER = Path(__file__).resolve().parent.parent / LETTERS


def boxed(path: str) -> str:
    """Return the folder of the package's own model for its name, and any other path as it is.

    Parameters
    ----------
    path : str
        A folder of that name in the working directory goes before.
    """
    return str(FOLDER) if path == LETTERS and not Path(path).exists() else path


def is_boxed(path: str) -> bool:
    """Tell whether a path is that model's."""
    return boxed(path) == str(FOLDER)
