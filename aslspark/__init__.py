"""Reads the letters of the American manual alphabet from pictures of hands, on Spark."""

__version__ = "0.1.0"
