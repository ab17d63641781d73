"""A Spark schema as JSON -> the classes that Spark would import or unpickle for its columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PICKLED = "pickled code"
CLASS_OF_PYTHON = "pythonuserdefined"
"""How Spark's SQL calls a type whose class is one of Python."""
VECTOR_CLASSES = tuple(
    f"{package}.ml.linalg.{kind}UDT" for package in ("org.apache.spark", "pyspark") for kind in ("Vector", "Matrix")
)
"""Classes of the columns that Spark's own models write."""


def classes_in(schema: Any) -> Iterator[str]:
    """Name the classes of all user-defined types in a schema: Python's first, PICKLED where code is stored with it."""
    if isinstance(schema, dict):
        if schema.get("type") == "udt":
            yield from [str(schema[key]) for key in ("pyClass", "class") if key in schema] or ["no class"]
            if "serializedClass" in schema:
                yield PICKLED
        for part in schema.values():
            yield from classes_in(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from classes_in(part)
