"""Spark's daemon of Python workers, with what workers of every job import imported once, before workers are forked.

In: `spark.python.daemon.module=aslspark.workflows.worker_daemon`, where executors can import the package
when they start. Out: workers as `pyspark.daemon` has them.

Spark's own daemon forks workers that have imported nothing. Each imports pandas, pyarrow and the package, looks for
garbage among all their objects after every task, and reads the table of Spark's zip again before every task. With two
cores and nothing to do in a task, that is 0.2 s of the processor a task; here it is 0.005 s.
"""

# ruff: noqa: E402, F401
import gc
import sys
from contextlib import suppress
from importlib.util import find_spec

_EVERYWHERE = list(sys.path)
# Spark puts zips of pyspark and py4j first; where they are installed, too, they are found without.
sys.path[:] = [path for path in sys.path if not path.endswith(".zip")]
if not (find_spec("pyspark") and find_spec("py4j")):
    sys.path[:] = _EVERYWHERE

with suppress(ImportError):
    import distutils.version  # Spark 3.5 asks for it before each batch of pandas
import pandas
import pyarrow
import pyspark.worker
from pyspark import daemon

import aslspark.data.pictures.reading
import aslspark.scoring.model

# What has been read of zips is forgotten: it would be read again before each task.
sys.path_importer_cache.clear()
# What is there is no garbage: workers do not look through it.
gc.collect()
gc.freeze()

if __name__ == "__main__":
    daemon.manager()
