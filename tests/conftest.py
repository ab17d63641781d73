"""What the tests share: one Spark session, and small tables of drawn hands."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from made_once import MadeOnce
from quick_java import QUICK_JAVA
from s3_store import in_place_of_s3a

REPOSITORY = Path(__file__).resolve().parent.parent
# Spark's Python workers and the jobs that tests start find the package here.
os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The tests' S3 server takes no checksum behind an upload; Spark's workers, too, are told before they start.
os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "WHEN_REQUIRED")
# What the tests serve is on this machine, whatever proxy the environment names.
for _name in ("no_proxy", "NO_PROXY"):
    os.environ[_name] = ",".join([*filter(None, [os.environ.get(_name)]), "127.0.0.1", "localhost"])

from pyspark.sql import SparkSession  # noqa: E402

LONGEST_FIRST = tuple(
    f"test_{name}"
    for name in (
        "jobs",
        "training",
        "spark_connect",
        "monitor",
        "cross_validation",
        "comparison",
        "retraining",
        "static_page",
        "baselines_on_hands",
        "networks",
        "automl",
        "live_page",
        "ingest",
        "public_api",
        "hands_scoring",
        "gpus",
        "landmark_tables",
        "launch",
        "hostile_models",
        "landmark_training",
        "object_store",
    )
)
"""Files that take long, by measured seconds: dealt out first, so that no process is left with a long one at the end."""


TOUCH_THE_STACK = (
    *(
        "test_ingest",
        "test_hostile_parquet",
        "test_scoring",
        "test_tracking",
        "test_released_bundles",
        "test_keras_files",
    ),
    *("test_networks", "test_training", "test_launch", "test_gpus", "test_frozen_and_half", "test_landmark_feed"),
    *("test_petastorm_feed", "test_data_module", "test_two_ranks"),
)
"""Files whose tests look at what Spark 3.5 and 4, Keras 2 and 3, numpy 1 and 2 do differently."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes after their argument: what is packed holds the time, and all processes must find the same tests."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests for which Spark is started as slow, before `-m` chooses, and put the long files first."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")
        if item.path.stem in TOUCH_THE_STACK:
            item.add_marker("stack")
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def _spark_keeps_its_formatter(item: pytest.Item) -> Generator[None]:
    """Let what Spark 4 says of a failed query reach the root logger by itself, whoever made one fail before.

    pytest gives its handler to each logger that does not, and that one makes it write JSON from then on.
    """
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        if name in logging.Logger.manager.loggerDict:
            logging.getLogger(name).propagate = True
    return (yield)


pytest_runtest_setup = pytest_runtest_call = pytest_runtest_teardown = pytest.hookimpl(wrapper=True, tryfirst=True)(
    _spark_keeps_its_formatter
)


@pytest.fixture(scope="session", autouse=True)
def temporary_folder() -> Iterator[None]:
    """Give this process a temporary folder of its own: tests look there for what is left behind."""
    with (
        tempfile.TemporaryDirectory(prefix="aslspark-tests-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o755)  # a test becomes another user, who may not enter pytest's folders
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bucket, which `s3_store.served_bucket` serves, and which the session's JVM knows as s3a://."""
    return tmp_path_factory.mktemp("s3")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory, lake: Path) -> Iterator[SparkSession]:
    from aslspark.common.spark_session import WORKER_DAEMON

    # `make coverage` has set this: a Python worker of Spark's then saves what it ran when a task ends.
    daemon = "tests.coverage_daemon" if "COVERAGE_PROCESS_CONFIG" in os.environ else WORKER_DAEMON
    builder = (
        SparkSession.builder.master("local[2]")
        .appName("aslspark tests")
        .config("spark.driver.memory", "2g")
        .config("spark.driver.extraJavaOptions", QUICK_JAVA)
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.python.daemon.module", daemon)
    )
    for name, value in in_place_of_s3a(lake).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture
def setting(spark: SparkSession) -> Callable[[str, str], AbstractContextManager[None]]:
    """Set one of Spark's settings, such as spark.sql.ansi.enabled, for as long as a block of a test runs."""

    @contextmanager
    def changed(name: str, value: str) -> Iterator[None]:
        before = spark.conf.get(name)
        spark.conf.set(name, value)
        try:
            yield
        finally:
            spark.conf.set(name, before)

    return changed


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Make a folder that many tests read, once a run."""
    return MadeOnce(tmp_path_factory, alone="PYTEST_XDIST_WORKER" not in os.environ)


def ingest_by_signer(spark: SparkSession, folder: Path, size: int, letters: str) -> None:
    """Ingest what shows some letters of 720 drawn hands of six signers, split by signer."""
    from pyspark.sql import functions as F

    from aslspark.data.ingest import ingest_sources
    from aslspark.data.splits import SplitOptions
    from aslspark.data.synthetic import drawn_samples

    hands = drawn_samples(spark, count=720, seed=3, size=size, signers=6)
    hands = hands.where(F.col("label").isin(*letters)).persist()
    ingest_sources(spark, [hands], str(folder), split=SplitOptions(kind="signer", validation=0.2, test=0.2))
    hands.unpersist()


@pytest.fixture(scope="session")
def ingested(spark: SparkSession, made_once: MadeOnce) -> str:
    """An ingested folder of 720 drawn hands of six signers, split by signer."""
    make = partial(ingest_by_signer, spark, size=28, letters="ABCDEFGHIKLMNOPQRSTUVWXY")
    return str(made_once("ingested", make))


@pytest.fixture(scope="session")
def small_hands(spark: SparkSession, made_once: MadeOnce) -> str:
    """Like `ingested`, of 14x14 pictures of eight letters that do not look alike: small forests tell them apart."""
    return str(made_once("small-hands", partial(ingest_by_signer, spark, size=14, letters="ABCLOVWY")))


@pytest.fixture(scope="session")
def few_letters(spark: SparkSession, ingested: str, made_once: MadeOnce) -> str:
    """The ingested hands that show one of the first five letters, for what grows with the letters."""
    from aslspark.data.samples import read_samples

    def make(folder: Path) -> None:
        read_samples(spark, ingested).where("label < 'F'").write.partitionBy("split").parquet(str(folder / "samples"))
        shutil.copy(Path(ingested) / "ingest.json", folder)

    return str(made_once("few-letters", make))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures, where there is one."""
    named = os.environ.get("ASLSPARK_TEST_DATA", str(REPOSITORY.parent / "shared" / "data"))
    folder = Path(named)
    if not (folder / "pixels").is_dir():
        pytest.skip(f"no real pictures at {folder}; set ASLSPARK_TEST_DATA to a folder that has pixels/")
    return folder


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of small inputs that people bring, where there is one."""
    folder = Path(os.environ.get("ASLSPARK_TEST_CASES", str(REPOSITORY.parent / "shared" / "cases")))
    if not folder.is_dir():
        pytest.skip(f"no inputs that people bring at {folder}; set ASLSPARK_TEST_CASES to their folder")
    return folder


@pytest.fixture(scope="session")
def hands(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a few real pictures: phone frames, hands that fill the frame, a wall, one that is cut short."""
    folder = tmp_path_factory.mktemp("real") / "hands"
    images = real_data / "images"
    for label in "ABJ":
        (folder / label).mkdir(parents=True)
        for path in sorted((images / "alphabet_frames" / label).glob("*.jpg"))[::30]:
            shutil.copy(path, folder / label)
    for path in sorted((images / "studio_hands" / "b").glob("hand1_b_*_1_*.jpeg")):
        shutil.copy(path, folder / "B")
    (folder / "nothing").mkdir()
    shutil.copy(images / "alphabet_frames" / "Nothing" / "N0.jpg", folder / "nothing")
    whole = next((folder / "A").glob("*.jpg"))
    (folder / "A" / "cut.jpg").write_bytes(whole.read_bytes()[:-300])
    return folder
