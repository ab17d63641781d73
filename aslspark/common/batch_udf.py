"""A Python function over batches of rows -> a function of Spark's columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pyspark.sql import Column
from pyspark.sql.pandas.functions import pandas_udf


def batch_udf(returns: str) -> Callable[[Callable[[Iterator[Any]], Iterator[Any]]], Callable[..., Column]]:
    """Make the decorator of a function that takes an iterator of pandas batches and gives one, as Spark calls it.

    It is `pandas_udf`, whose type stubs know iterators only where the kind of function is named, which Spark warns of.

    Parameters
    ----------
    returns : str
        Types of the result, such as ``array<double>`` or ``data binary, reason string``.
    """
    untyped: Any = pandas_udf
    decorator: Callable[[Callable[[Iterator[Any]], Iterator[Any]]], Callable[..., Column]] = untyped(returns)
    return decorator
