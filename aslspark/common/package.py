"""What the package knows of itself: its version, and where it lies."""

from pathlib import Path

VERSION = "0.1.0"

HOME = str(Path(__file__).resolve().parents[2])
"""The folder, or the zip, that holds the package; with it on the path, the package is found."""
