"""A Python function over batches of rows -> a function of Spark's columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
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


def row_udf(returns: str, function: Callable[[Mapping[Any, Any]], Any]) -> Callable[..., Column]:
    """Make a function of a column of structs from one of a row's fields by name.

    Parameters
    ----------
    returns : str
        Type of the result, one column.
    function : callable
        Pandas makes floats of whole numbers where another row has none.
    """

    @batch_udf(returns)
    def of_rows(batches: Iterator[pd.DataFrame]) -> Iterator[pd.Series]:
        for batch in batches:
            results: list[Any] = [function(row) for row in batch.to_dict("records")]
            yield pd.Series(results, dtype=object)

    return of_rows
