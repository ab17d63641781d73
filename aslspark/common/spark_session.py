"""The one way to get a SparkSession."""

from __future__ import annotations

import locale
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark import SparkConf
from pyspark.resource import ResourceProfile
from pyspark.sql import SparkSession

import aslspark
from aslspark.common.errors import AslsparkError

logger = logging.getLogger(__name__)

UTF8 = "UTF-8"
UTF8_LOCALE = "C.UTF-8"

EXECUTOR_WAIT_SECONDS = 30
"""As long as Spark itself waits for executors (spark.scheduler.maxRegisteredResourcesWaitingTime)."""


def running_session() -> SparkSession | None:
    """Return the session that runs in this process, if any, whatever thread of the JVM serves this call."""
    session = SparkSession.getActiveSession() or SparkSession._instantiatedSession
    return session if session is not None and session._sc._jsc is not None else None


@contextmanager
def spark_session(name: str) -> Iterator[SparkSession]:
    """Give the running session, or start one and stop it at the end.

    A session that was there before (a notebook's) is left running. One that is started takes its settings from
    spark-submit; without a master it runs on all the cores of this machine.

    Parameters
    ----------
    name : str
        The application's name in Spark's own pages.
    """
    existing = running_session()
    if existing is not None:
        yield existing
        return
    # Horovod's own launcher, of its estimators, starts workers with this interpreter; unset, they end in
    # "'NoneType' object has no attribute 'origin'".
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    _spell_names_in_utf8()
    # Executors open tables by their names too; what spark-submit was told goes before this.
    executors = SparkConf().get("spark.executorEnv.LC_ALL", UTF8_LOCALE) or UTF8_LOCALE
    _keep_package_on_path()
    builder = SparkSession.builder.appName(name).config("spark.executorEnv.LC_ALL", executors)
    # Spark starts its Python workers with -m, which puts the working directory first: a folder that somebody filled may
    # hold a numpy.py. Python 3.10 knows no such setting.
    spark = builder.config("spark.executorEnv.PYTHONSAFEPATH", "1").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    if warning := locale_warning(names_of_files(spark)):
        logger.warning("warning: %s", warning)
    try:
        yield spark
    finally:
        spark.stop()


def _keep_package_on_path() -> None:
    """See that workers find a package that lies in the working directory, which they do not search."""
    home = str(Path(aslspark.__file__).resolve().parent.parent)
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if home == os.path.realpath(os.getcwd()) and home not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, known), home])


def _spell_names_in_utf8() -> None:
    """See that a JVM which this process is about to start spells names of files in UTF-8.

    The JVM takes this from its locale alone, whatever -Dsun.jnu.encoding says (Java 17). One that spark-submit has
    started can no longer be told.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "")
        is_utf8 = locale.nl_langinfo(locale.CODESET).upper() == UTF8
    except locale.Error:
        is_utf8 = False
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    if not is_utf8:
        os.environ["LC_ALL"] = UTF8_LOCALE


def names_of_files(spark: SparkSession) -> str:
    """Return the encoding in which the driver's JVM spells names of files, such as UTF-8."""
    jvm: Any = spark._jvm
    return str(jvm.java.lang.System.getProperty("sun.jnu.encoding"))


def can_spell(encoding: str, path: str) -> bool:
    """Tell whether a JVM that spells names of files in an encoding finds a path of this machine."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:  # its bytes are no UTF-8, and no JVM finds them again
        return False
    return encoding.upper() == UTF8


def locale_warning(encoding: str) -> str:
    """Say what a job in another locale cannot open; empty in UTF-8."""
    if encoding.upper() == UTF8:
        return ""
    return (
        f"Spark's JVM was started in a locale that knows {encoding} alone: tables, folders and bundles whose names "
        f"have other letters cannot be opened; start the job with LC_ALL={UTF8_LOCALE}"
    )


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """Set Spark's SQL settings for a block, and put back what was there before."""
    before = {name: spark.conf.get(name, None) for name in values}
    try:
        for name, value in values.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, was in before.items():
            if was is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, was)


def seconds_setting(spark: SparkSession, name: str, usual: float) -> float:
    """Read one of Spark's settings that is a time, such as ``120s``, in seconds."""
    conf = spark.sparkContext._jsc.sc().conf()
    return float(conf.getTimeAsSeconds(name, f"{usual:g}s"))


def task_slots(spark: SparkSession, profile: ResourceProfile | None = None) -> int:
    """Count the tasks that can run at once, now, with what a task asks for: cores, and what a profile adds."""
    context = spark.sparkContext._jsc.sc()
    usual = context.resourceProfileManager().defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(usual if profile is None else profile._java_resource_profile))


def wait_for_slots(spark: SparkSession, wanted: int, seconds: float, profile: ResourceProfile | None = None) -> int:
    """Wait until so many tasks can run at once, or the time is up, and return how many can; see `task_slots`."""
    local = str(spark.sparkContext.master).startswith("local[")
    deadline = time.monotonic() + (0 if local else seconds)
    while (slots := task_slots(spark, profile)) < wanted and time.monotonic() < deadline:
        time.sleep(0.2)  # executors register one by one
    return slots


def require_slots(spark: SparkSession, num_proc: int, profile: ResourceProfile | None = None) -> None:
    """Check that `num_proc` workers can run side by side.

    The workers of a fit wait for each other: with one slot too few Spark would look for it ten minutes long.

    Parameters
    ----------
    spark : SparkSession
    num_proc : int
    profile : ResourceProfile, optional
        What each worker's task holds, where that is more than other tasks do.

    Raises
    ------
    AslsparkError
        With the numbers, where there are too few slots and none can be added.
    """
    conf = spark.sparkContext.getConf()
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return  # the cluster grows when the tasks are asked for
    slots = wait_for_slots(spark, num_proc, EXECUTOR_WAIT_SECONDS, profile)
    if slots < num_proc:
        what, task = "cores", f"spark.task.cpus={conf.get('spark.task.cpus', '1')}"
        if profile is not None:
            asked = {name: f"{request.amount:g}" for name, request in profile.taskResources.items()}
            what, task = "GPUs", " and ".join(f"{amount} {name}" for name, amount in sorted(asked.items())) + " a task"
        raise AslsparkError(
            f"training.num_proc={num_proc}: {spark.sparkContext.master} has {slots} task slots "
            f"({'cores / ' if profile is None else ''}{task}); "
            f"set training.num_proc={slots} or less, or give the application more {what}"
        )
