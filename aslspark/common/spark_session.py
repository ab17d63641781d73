"""A name -> the SparkSession; and what a job asks of it: settings, slots for workers, the encoding of file names.

A session is a classic one, with a SparkContext and a JVM beside this process, or one of Spark Connect, which has
DataFrames alone. What differs between the two is here, so that all else need not know.
"""

from __future__ import annotations

import contextlib
import locale
import logging
import os
import re
import signal
import site
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pyspark
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.resource import ResourceProfile
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.package import HOME
from aslspark.common.progress import SPARKS_BAR, doing

logger = logging.getLogger(__name__)

IS_SPARK_3 = pyspark.__version__.startswith("3.")
"""Spark 3.5, whose stages of DataFrames have no resources of their own."""
UTF8 = "UTF-8"
UTF8_LOCALE = "C.UTF-8"

OWN_SETTINGS = {
    "spark.executorEnv.LC_ALL": UTF8_LOCALE,  # executors open files by name, too
    # Spark starts Python workers with -m, which puts the working directory first on the path: a folder of pictures from
    # elsewhere may hold a numpy.py. Python 3.10 ignores this variable.
    "spark.executorEnv.PYTHONSAFEPATH": "1",
    SPARKS_BAR: "false",  # which would write over the line of `progress`
}
"""Settings of Spark where nobody has set them."""

_SECONDS = {"": 1, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
"""In each of the units in which Spark's settings give times."""

TASKS_OF_TABLE = "spark.sql.leafNodeDefaultParallelism"
"""The setting by which Spark deals the rows of a table in memory to tasks, when a query of it runs."""

WORKER_DAEMON = "aslspark.workflows.worker_daemon"

SILENCE_SECONDS = 1.0
"""That the JVM has, after Ctrl-C, to take in that it logs nothing more."""
EXECUTOR_WAIT_SECONDS = 30
"""As Spark's own wait for executors (spark.scheduler.maxRegisteredResourcesWaitingTime)."""


def is_connect(spark: SparkSession) -> bool:
    """Tell a session of Spark Connect: it has DataFrames alone, no SparkContext, RDDs or JVM."""
    return type(spark).__module__.startswith("pyspark.sql.connect.")


def require_classic(spark: SparkSession, what: str) -> None:
    """Check that a session is a classic one.

    Raises
    ------
    AslsparkError
        Naming `what` needs it.
    """
    if is_connect(spark):
        raise AslsparkError(
            f"{what} needs a SparkContext, which Spark Connect has not: run it by spark-submit, or on a cluster in "
            "dedicated access mode"
        )


def running_session() -> SparkSession | None:
    """Return this process's running session, if any; also where the JVM serves this thread with another of its own."""
    session = SparkSession.getActiveSession()
    if session is not None and is_connect(session):
        return session
    session = session or SparkSession._instantiatedSession
    return session if session is not None and session._sc._jsc is not None else None


@contextmanager
def spark_session(name: str) -> Iterator[SparkSession]:
    """Give the running session; or start one, and stop it at the end.

    A running session, such as a notebook's, is left running. A new one takes its settings from spark-submit, and
    without a master runs on all cores of this machine.

    Parameters
    ----------
    name : str
        Of the application, in Spark's web UI.
    """
    existing = running_session()
    if existing is not None:
        yield existing
        return
    if "SPARK_REMOTE" in os.environ:  # the server has its settings already
        spark = SparkSession.builder.appName(name).getOrCreate()
        try:
            yield spark
        finally:
            spark.stop()
        return
    # Horovod's own estimators start workers with this interpreter. Where it is not set, they fail with
    # "'NoneType' object has no attribute 'origin'".
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    _encode_file_names_in_utf8()
    _keep_package_on_path()
    builder = SparkSession.builder.appName(name)
    with doing("starting Spark"):
        # Starts the JVM, without which Python does not know what spark-submit and Spark's files of settings say.
        SparkContext._ensure_initialized()
        given = SparkConf()
        for setting, value in OWN_SETTINGS.items():
            # Where Python has started the JVM, Spark itself has set the bar, as for a shell.
            if not given.get(setting, "") or (setting == SPARKS_BAR and "PYSPARK_GATEWAY_PORT" not in os.environ):
                builder = builder.config(setting, value)
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        if is_local(spark) and _workers_find_the_package(spark):
            # 6 of the 9.5 seconds of the processor that Python workers took in a training job on 688 rows. The conf of
            # the context is what executors in the driver's JVM go by; whoever submits the job may have chosen another.
            context: Any = spark.sparkContext._jsc.sc()
            context.conf().setIfMissing("spark.python.daemon.module", WORKER_DAEMON)
        encoding = file_name_encoding(spark)
    if warning := locale_warning(encoding):
        logger.warning("warning: %s", warning)
    try:
        with _interrupted_at_once(spark):
            yield spark
    finally:
        # Ctrl-C ends spark-submit's JVM, too: then there is nothing left to stop.
        with doing("stopping Spark"), contextlib.suppress(Py4JError, ConnectionError):
            _silence(spark)  # a task that was cancelled may not have ended yet: what it misses from here on is no error
            spark.stop()


def _silence(spark: SparkSession) -> None:
    """Let the JVM log nothing from here on, if it is still there."""
    with contextlib.suppress(Exception):
        spark.sparkContext.setLogLevel("OFF")


@contextmanager
def _interrupted_at_once(spark: SparkSession) -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in the block, whether or not the JVM is there to cancel its jobs.

    PySpark's own handler asks the JVM first, which Ctrl-C has ended where spark-submit has started it. Where it is
    there it logs nothing from then on: each thing that is cancelled would be there with Java's stack.
    """
    theirs = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(theirs):
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        # In a thread of its own: this one may be at a call of the JVM, and has no other way to it.
        silencing = threading.Thread(target=_silence, args=(spark,), daemon=True)
        silencing.start()
        silencing.join(SILENCE_SECONDS)
        with contextlib.suppress(Exception):
            theirs(number, frame)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, theirs)


def _keep_package_on_path() -> None:
    """Put the package on the workers' path where it lies in the working directory, which they do not search."""
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if os.path.realpath(os.getcwd()) == HOME and HOME not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, known), HOME])


def _workers_find_the_package(spark: SparkSession) -> bool:
    """Tell whether Python workers of this machine can import the package before they run a task.

    They can where they are of this interpreter, and the package is installed or on the JVM's PYTHONPATH; what
    spark-submit was given by --py-files, each task is told anew.
    """
    is_ours = os.path.abspath(os.environ["PYSPARK_PYTHON"]) == os.path.abspath(sys.executable)
    jvm: Any = spark._jvm
    searched = (jvm.java.lang.System.getenv("PYTHONPATH") or "").split(os.pathsep)
    return is_ours and HOME in map(os.path.realpath, filter(None, [*searched, *site.getsitepackages()]))


def _encode_file_names_in_utf8() -> None:
    """Make the JVM that this process is about to start encode file names in UTF-8.

    Java 17 takes the encoding from the locale alone, whatever -Dsun.jnu.encoding says. A JVM that spark-submit has
    started can no longer be changed.
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


def file_name_encoding(spark: SparkSession) -> str:
    """Return the encoding of file names in the driver's JVM, such as UTF-8."""
    if is_connect(spark):
        return UTF8  # a server's locale is its own affair
    jvm: Any = spark._jvm
    return str(jvm.java.lang.System.getProperty("sun.jnu.encoding"))


def can_spell(encoding: str, path: str) -> bool:
    """Tell whether a JVM with this encoding of file names can open a path of this machine."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:  # its bytes are not UTF-8: no JVM can open it
        return False
    return encoding.upper() == UTF8


def locale_warning(encoding: str) -> str:
    """Return a warning about what a job in this locale cannot open; empty in UTF-8."""
    if encoding.upper() == UTF8:
        return ""
    return (
        f"Spark's JVM was started in a locale that knows {encoding} alone: tables, folders and bundles whose names "
        f"have other letters cannot be opened; start the job with LC_ALL={UTF8_LOCALE}"
    )


@contextmanager
def spark_errors_unlogged() -> Iterator[None]:
    """Keep PySpark from logging what it raises, with Java's stack, where one line of ours says it."""
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:  # Spark 3.5 logs no errors
        yield
        return
    loggers = [PySparkLogger.getLogger(f"{kind}QueryContextLogger") for kind in ("SQL", "DataFrame")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


@contextmanager
def mllib_errors_unlogged(spark: SparkSession) -> Iterator[None]:
    """Keep MLlib in the driver's JVM from logging, with Java's stack, what it raises: that a fit was cancelled, say.

    After an error it stays so: the JVM may be at a fit yet, as after Ctrl-C, or at others that were grown beside it.
    """
    if is_connect(spark):
        yield
        return
    jvm: Any = spark._jvm
    log4j, name = jvm.org.apache.logging.log4j, "org.apache.spark.ml.util.Instrumentation"
    before = log4j.LogManager.getLogger(name).getLevel()
    log4j.core.config.Configurator.setLevel(name, log4j.Level.OFF)
    yield
    log4j.core.config.Configurator.setLevel(name, before)


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """Set Spark's SQL settings for a block, and restore them afterwards."""
    with settings_restored(spark, list(values)):
        for name, value in values.items():
            spark.conf.set(name, value)
        yield


@contextmanager
def settings_restored(spark: SparkSession, names: Sequence[str]) -> Iterator[None]:
    """Restore Spark's SQL settings after a block, whatever it has set them to."""
    saved = {name: spark.conf.get(name, None) for name in names}
    try:
        yield
    finally:
        for name, value_before in saved.items():
            if value_before is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, value_before)


def parallelism(spark: SparkSession) -> int:
    """Return how many tasks Spark makes of a table by default: the cores that it has now, on most clusters."""
    if not is_connect(spark):
        return max(1, spark.sparkContext.defaultParallelism)
    with settings_restored(spark, [TASKS_OF_TABLE]):
        spark.conf.unset(TASKS_OF_TABLE)
        last = spark.range(1 << 16).select(F.spark_partition_id().alias("task")).agg(F.max("task")).first()
    assert last is not None
    return int(last[0]) + 1


def is_local(spark: SparkSession) -> bool:
    """Tell whether Spark runs on one machine, in the driver's own process."""
    return master(spark).startswith("local[")


def master(spark: SparkSession) -> str:
    """Return the address of the cluster manager, such as local[2] or yarn."""
    return str(spark.conf.get("spark.master", "a cluster"))


def dynamic_allocation(spark: SparkSession) -> bool:
    """Tell whether executors come and go as there is work for them."""
    return spark.conf.get("spark.dynamicAllocation.enabled", "false") == "true"


def seconds_setting(spark: SparkSession, name: str, default: float) -> float:
    """Return a Spark setting that is a time, such as ``120s``, in seconds."""
    value = str(spark.conf.get(name, f"{default:g}s"))
    parts = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*)\s*", value.lower())
    if parts is None or parts[2] not in _SECONDS:
        raise AslsparkError(f"{name}={value}: give a time such as 120s, 2min or 500ms")
    return float(parts[1]) * _SECONDS[parts[2]]


def task_cores(spark: SparkSession, profile: ResourceProfile | None = None) -> int:
    """Return how many cores Spark gives a task, as by default or with a resource profile."""
    if profile is not None:
        return int(profile.taskResources["cpus"].amount)
    return int(spark.conf.get("spark.task.cpus", "1") or 1)


def task_slots(spark: SparkSession, profile: ResourceProfile | None = None) -> int | None:
    """Count the tasks that can run at once now, by the cores (and the resources of a profile) that each needs.

    Returns
    -------
    int or None
        None through Spark Connect to a cluster, which tells nobody.
    """
    if is_connect(spark):
        cores = re.fullmatch(r"local\[(\d+|\*).*\]", master(spark))
        if cores is None:
            return None
        return (parallelism(spark) if cores[1] == "*" else int(cores[1])) // task_cores(spark, profile)
    context: Any = spark.sparkContext._jsc.sc()
    default = context.resourceProfileManager().defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(default if profile is None else profile._java_resource_profile))


def wait_for_slots(
    spark: SparkSession, count: int, seconds: float, profile: ResourceProfile | None = None
) -> int | None:
    """Wait until `count` tasks can run at once, or the time is up; return how many can. See `task_slots`."""
    deadline = time.monotonic() + (0 if is_local(spark) else seconds)
    while (slots := task_slots(spark, profile)) is not None and slots < count and time.monotonic() < deadline:
        time.sleep(0.2)  # executors register one by one
    return slots


def require_slots(spark: SparkSession, num_proc: int, profile: ResourceProfile | None = None) -> None:
    """Check that `num_proc` workers can run at the same time.

    The workers of a fit wait for each other: with one slot too few, Spark would wait for it for ten minutes.

    Parameters
    ----------
    profile : ResourceProfile, optional
        Resources of each worker's task, where they differ from other tasks'.

    Raises
    ------
    AslsparkError
        With the numbers, where there are too few slots and the cluster cannot add any.
    """
    if dynamic_allocation(spark):
        return  # the cluster grows when the tasks are submitted
    with doing(f"waiting for {counted(num_proc, 'task slot')}"):
        slots = wait_for_slots(spark, num_proc, EXECUTOR_WAIT_SECONDS, profile)
    if slots is not None and slots < num_proc:
        resource, task = "cores", f"spark.task.cpus={task_cores(spark)}"
        if profile is not None:
            amounts = {name: f"{request.amount:g}" for name, request in profile.taskResources.items()}
            parts = " and ".join(f"{amount} {name}" for name, amount in sorted(amounts.items()))
            resource, task = "GPUs", f"{parts} a task"
        if slots == 0:
            raise AslsparkError(
                f"training.num_proc={num_proc}: {master(spark)} gave no executor with a task slot ({task}): its "
                "workers are taken, or smaller than spark.executor.cores and spark.executor.memory ask for"
            )
        raise AslsparkError(
            f"training.num_proc={num_proc}: {master(spark)} has {counted(slots, 'task slot')} "
            f"({'cores / ' if profile is None else ''}{task}); "
            f"set training.num_proc={slots} or less, or give the application more {resource}"
        )
