"""What one stack alone has: a test that needs it skips where it is not, and says which stack has it."""

from importlib.util import find_spec
from inspect import signature

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aslspark.common.spark_session import IS_SPARK_3

has_petastorm = find_spec("petastorm") is not None
needs_petastorm = pytest.mark.skipif(
    not has_petastorm, reason="petastorm is in the stack of Spark 3.5: make test STACK=spark35"
)

has_horovods_estimators = has_petastorm and "use_legacy_dataset" in signature(pq.ParquetDataset).parameters
needs_horovods_estimators = pytest.mark.skipif(
    not has_horovods_estimators,
    reason="Horovod's own estimators run in the stack of Spark 3.5: make test STACK=spark35",
)

needs_current_pyarrow = pytest.mark.skipif(
    int(pa.__version__.split(".")[0]) < 20, reason="the studies are of the current stack: make test STACK=current"
)

needs_spark_connect = pytest.mark.skipif(
    find_spec("grpc_status") is None, reason="Spark Connect's client is in the current stack: make test STACK=current"
)

needs_spark_4s_writer = pytest.mark.skipif(
    IS_SPARK_3, reason="Spark 3.5's writer of Parquet guesses bytes in another way: make test STACK=current"
)
