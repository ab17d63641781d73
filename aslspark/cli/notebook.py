"""Settings, a session and pictures for notebooks, alike on Databricks, in Jupyter and with spark-submit.

In: the notebook's `globals()`, its settings with their defaults. Out: the values to run with.
"""

from __future__ import annotations

import atexit
import gc
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pyspark.sql import SparkSession

import aslspark
from aslspark.cli.jobs_support import start_logging
from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.paths import local_path, on_databricks, spark_path
from aslspark.common.progress import watch
from aslspark.common.redaction import say
from aslspark.common.settings import Config
from aslspark.common.spark_session import spark_session
from aslspark.training.data import INGESTED, ingested_folder

PREFIX = "ASLSPARK_"
"""Begins the environment variables that stand for widgets: another program may use EPOCHS."""

_opened = ExitStack()
atexit.register(gc.freeze)  # Python collects garbage as it exits: seconds, with both frameworks
atexit.register(_opened.close)


def session(name: str) -> SparkSession:
    """Return the running session, or start one that ends with Python, and show the package's log.

    Parameters
    ----------
    name : str
        The application's name in Spark's web interface.
    """
    start_logging()
    spark = _opened.enter_context(spark_session(name))
    watch(spark)  # a notebook's own cells ask Spark for much
    return spark


def widgets(names: Mapping[str, Any], **defaults: str | int | tuple[str, ...]) -> SimpleNamespace:
    """Return a notebook's settings.

    On Databricks each is a widget above the notebook. Elsewhere each is an environment variable, such as
    ASLSPARK_EPOCHS for `epochs`, or has its default.

    Parameters
    ----------
    names : mapping
        The notebook's `globals()`, among which Databricks puts `dbutils`.
    **defaults
        The default of each setting: a string, a whole number, or a tuple of the strings that it may be, the default
        first.

    Returns
    -------
    SimpleNamespace
        A value for each setting, of the type of its default.

    Raises
    ------
    AslsparkError
        Where a value is not a whole number, or not one of those that it may be.
    """
    asked = getattr(names.get("dbutils"), "widgets", None)
    chosen: dict[str, str | int] = {}
    for name, value in defaults.items():
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


def _checked(name: str, text: str, default: str | int | tuple[str, ...]) -> str | int:
    if isinstance(default, tuple) and text not in default:
        raise AslsparkError(f"{name}={text}: choose one of {', '.join(default)}")
    if not isinstance(default, int):
        return text
    try:
        return int(text)
    except ValueError:
        raise AslsparkError(f"{name}={text}: give a whole number, for example {default}") from None


def new_folder(out: str, name: str) -> str:
    """Make a folder for this run.

    Parameters
    ----------
    out : str
        Where; empty: on Databricks the volume `aslspark` of the current catalog and schema, which is made where it is
        missing, and ``runs/notebooks`` elsewhere.
    name : str
        Begins the folder's name; the time follows.

    Returns
    -------
    str
        Its path, which both Spark and this package read.

    Raises
    ------
    AslsparkError
        Where the volume is missing and cannot be made.
    """
    parent = out or (_volume() if on_databricks() else "runs/notebooks")
    path = f"{spark_path(parent)}/{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    Path(local_path(path)).mkdir(parents=True)
    return path


def _volume() -> str:
    spark = SparkSession.builder.getOrCreate()
    try:
        ((catalog, schema),) = spark.sql("SELECT current_catalog(), current_schema()").collect()
        spark.sql(f"CREATE VOLUME IF NOT EXISTS `{catalog}`.`{schema}`.`aslspark`")
    except Exception as error:  # no Unity Catalog, or no right to make one: each has errors of its own
        raise AslsparkError(
            f"out=: a volume for the results cannot be made ({first_line(error)}); set out to a folder of a volume, "
            "such as /Volumes/main/signs/runs"
        ) from error
    return f"/Volumes/{catalog}/{schema}/aslspark"


def ingested(spark: SparkSession, data: Sequence[str], folder: str, config: Config) -> str:
    """Return the folder of a notebook's samples.

    Parameters
    ----------
    spark : SparkSession
    data : sequence of str
        As `aslspark.train` takes it: an ingested folder, which is returned as it is, raw sources, or none.
    folder : str
        The notebook's; the others are ingested into a folder of it.
    config : Config
    """
    if ready := ingested_folder(data):
        return ready
    out = f"{folder}/{INGESTED}"
    aslspark.ingest(spark, data, out, config=config)
    return out


def show(picture: str) -> None:
    """Show a PNG in the notebook; without a notebook, print its path.

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
