"""What a notebook needs to run alike on Databricks, in Jupyter and by spark-submit: settings, a session, pictures.

In: the notebook's names (`globals()`), its settings with their usual values. Out: the values to run with.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pyspark.sql import SparkSession

from aslspark.cli.jobs_support import start_logging
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path, on_databricks, spark_path
from aslspark.common.redaction import say
from aslspark.common.spark_session import spark_session

PREFIX = "ASLSPARK_"
"""Of the environment variables that stand in for widgets: EPOCHS=3 alone might be anybody's."""

_opened = ExitStack()
atexit.register(_opened.close)


def session(name: str) -> SparkSession:
    """Return the running session, or start one that ends with Python; the package's log goes to the output.

    Parameters
    ----------
    name : str
        The application's name in Spark's own pages.
    """
    start_logging()
    return _opened.enter_context(spark_session(name))


def widgets(names: Mapping[str, Any], **usual: str | int | tuple[str, ...]) -> SimpleNamespace:
    """Ask for a notebook's settings.

    On Databricks each is a widget above the notebook. Elsewhere each is an environment variable, ASLSPARK_EPOCHS for
    `epochs`, or has its usual value.

    Parameters
    ----------
    names : mapping
        The notebook's `globals()`, among which Databricks puts `dbutils`.
    **usual
        For each setting its usual value: a word, a whole number, or a tuple of the words it may be, the usual one
        first.

    Returns
    -------
    SimpleNamespace
        A value for each setting, of the type of the usual one.

    Raises
    ------
    AslsparkError
        For a value that is no whole number, or none of those that it may be.
    """
    asked = getattr(names.get("dbutils"), "widgets", None)
    chosen: dict[str, str | int] = {}
    for name, value in usual.items():
        first = str(value[0] if isinstance(value, tuple) else value)
        if asked is None:
            text = os.environ.get(PREFIX + name.upper(), first)
        elif isinstance(value, tuple):
            asked.dropdown(name, first, list(value))
            text = asked.get(name)
        else:
            asked.text(name, first)
            text = asked.get(name)
        chosen[name] = _checked(name, text.strip(), value)
    return SimpleNamespace(**chosen)


def _checked(name: str, text: str, usual: str | int | tuple[str, ...]) -> str | int:
    if isinstance(usual, tuple) and text not in usual:
        raise AslsparkError(f"{name}={text}: choose one of {', '.join(usual)}")
    if not isinstance(usual, int):
        return text
    try:
        return int(text)
    except ValueError:
        raise AslsparkError(f"{name}={text}: give a whole number, for example {usual}") from None


def new_folder(out: str, name: str) -> str:
    """Make a folder of this run's own.

    Parameters
    ----------
    out : str
        Where; empty: ``dbfs:/tmp/aslspark`` on Databricks, ``runs/notebooks`` elsewhere.
    name : str
        What the folder's name begins with; the time follows.

    Returns
    -------
    str
        By which both Spark and this package find it.
    """
    parent = out or ("dbfs:/tmp/aslspark" if on_databricks() else "runs/notebooks")
    path = f"{spark_path(parent)}/{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    Path(local_path(path)).mkdir(parents=True)
    return path


def show(picture: str) -> None:
    """Show a PNG in the notebook; where there is none, say which file it is.

    Parameters
    ----------
    picture : str
        The file.
    """
    path = Path(local_path(picture))
    if not path.is_file():
        raise AslsparkError(f"{picture}: there is no such picture")
    if _in_notebook():
        from IPython.display import Image, display

        display(Image(data=path.read_bytes(), format="png"))
    else:
        say(f"picture: {path}")


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None
