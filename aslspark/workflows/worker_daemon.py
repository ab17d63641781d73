"""Spark's daemon of Python workers, with what each worker imports imported once, before workers are forked.

A worker of Spark 3.5 takes half a second of the processor to import pyspark from a zip that holds no bytecode, and
setuptools for the distutils in it, and reads that zip's table again before each task. The tests fork hundreds of them.
"""

# ruff: noqa: E402, F401
import gc
import sys

# Spark puts its zip before the installed pyspark, which is the same one.
sys.path[:] = [path for path in sys.path if not path.endswith(".zip")]
sys.path_importer_cache.clear()

import distutils.version

import pandas
import pyarrow
import pyspark.worker
from pyspark import daemon

import aslspark.data.pictures.reading
import aslspark.scoring.model

# Modules are imported; what is left of the zips would be read again before each task.
sys.path_importer_cache.clear()
# A worker collects garbage after each task. It need not look through all that was imported before it was forked.
gc.collect()
gc.freeze()

if __name__ == "__main__":
    daemon.manager()
