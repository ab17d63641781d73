"""Sources and settings -> an ingested folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from aslspark.common.command_line import next_command
from aslspark.common.counted import counted
from aslspark.common.log_output import RESULT
from aslspark.common.progress import doing
from aslspark.common.report_page import PAGE
from aslspark.common.settings import Config
from aslspark.common.spark_session import parallelism
from aslspark.data.ingest import ingest_sources
from aslspark.data.ingest_report import IngestReport
from aslspark.data.pictures.options import picture_options
from aslspark.data.split_preview import Needs
from aslspark.data.splits import SplitOptions
from aslspark.data.synthetic import drawn_samples
from aslspark.training.data import DRAWN_WARNING
from aslspark.workflows.job_run import job_run, log_result, one_or_several

log = logging.getLogger("aslspark")

_DRAWING_TASKS, _LEAST_DRAWN = 8, 50
"""Tasks that draw, for each that Spark runs at once, and hands that are worth one."""


def ingest(
    spark: SparkSession,
    sources: str | DataFrame | Sequence[str | DataFrame],
    out: str,
    *,
    config: Config | None = None,
    test_sources: str | DataFrame | Sequence[str | DataFrame] = (),
) -> IngestReport:
    """Read labelled pictures of hands into one table, divided into train, validation and test.

    Rows and pictures that cannot be used are kept in a second table, each with the reason; none is lost, and none
    stops the job.

    Parameters
    ----------
    spark : SparkSession
    sources : str, DataFrame, or sequence of them
        An empty sequence for synthetic hands, as section `drawn` of the settings describes them; or each one of

        - a pixel table (.csv, .csv.gz, .csv.bz2), or a folder of them, with the columns ``label`` and ``pixel1`` to
          ``pixel784``: whole numbers of 0-255, 28x28 pixels of grey row by row;
        - a table of landmarks (.csv, .csv.gz, .csv.bz2, Parquet), or a folder of them, with ``label``, ``x0``, ``y0``
          (``z0``) to ``y20`` (``z20``), in any unit and from any origin;
        - a DataFrame with the columns of either, as numbers or strings; or with ``label`` and a ``picture`` that is an
          array or a Vector of a pixel table's 784 numbers;
        - a folder of pictures with a sub-folder for each label, perhaps below ``train/`` and ``test/``; a manifest
          ``path,label[,signer,split]``; a zip of either;
        - a DataFrame as Spark's ``binaryFile`` (``path string, content binary``) or ``image`` source gives it,
          perhaps with ``label``, ``signer`` and ``split`` (strings);
        - a DataFrame of samples: the columns of ``samples`` below but ``split``. It is evaluated twice: cache it
          where that is slow;
        - the name of such a table in Spark's catalog (``main.signs.pictures``, ``table:pictures``), or the folder of a
          Delta table.
    out : str
        The folder to write, which must not exist.
    config : Config, optional
        Its sections `split` (how rows are divided), `pictures` (size and decoding of picture files), `hands` (the
        hand detector), `drawn` and `tracking` count; see `aslspark.load_config`.
    test_sources : str, DataFrame, or sequence of them
        Sources that are test as a whole; the others are then divided into train and validation alone.

    Returns
    -------
    IngestReport
        Counts by split, source, label and reason; the log shows them. The folder holds it as ``ingest.json``, and as
        a page, ``report.html``, beside

        - ``samples/``, Parquet: ``id string``, ``label string``, ``source string``, ``signer string``, ``picture
          struct<height int, width int, channels int, data binary>`` (uint8, row by row, channels last, RGB),
          ``split string`` ('train', 'validation' or 'test'), and with ``hands.on=true`` the column ``hand``
          (`aslspark.data.samples.HAND_TYPE`);
        - ``quarantine/``, Parquet: ``source string``, ``row long``, ``reason string``, ``detail string``.

    Raises
    ------
    AslsparkError
        Where a source cannot be read, the split cannot be made, or `out` exists. Where no row can be used, too: the
        error says where the quarantine is kept, as ``out.quarantine``.

    Examples
    --------
    >>> import aslspark
    >>> report = aslspark.ingest(spark, "letters.csv", "ingested")
    >>> report.kept, report.quarantined
    (720, 1)
    >>> report.reasons[0].reason, report.reasons[0].first
    ('wrong column count', 'letters.csv row 721: 3 columns instead of 785')
    >>> spark.read.parquet("ingested/samples").groupBy("split").count().orderBy("split").show()
    +----------+-----+
    |     split|count|
    +----------+-----+
    |      test|   72|
    |     train|  576|
    |validation|   72|
    +----------+-----+
    <BLANKLINE>

    Settings say how rows are divided:

    >>> config = aslspark.load_config(overrides=["split.test=0.2", "split.seed=7"])
    >>> aslspark.ingest(spark, ["letters.csv"], "ingested-again", config=config).splits["test"]
    143
    """
    config = config or Config()
    given, given_as_test = (one_or_several(each, str | DataFrame) for each in (sources, test_sources))
    names = [source if isinstance(source, str) else "a DataFrame" for source in given]
    with job_run(spark, config, "ingest", out, data=names):
        report = ingest_or_draw(spark, given, out, config, given_as_test, beside=out)
    log.log(RESULT, "%s", report)
    counts = ", ".join(f"{rows:,} {split}" for split, rows in report.splits.items())
    log_result(
        out,
        f"{counted(report.kept, 'sample')} ({counts}), {report.quarantined:,} in quarantine",
        look=f"{out}/{PAGE}",
        then=next_command("train-cnn", "--data", out, "--out", "runs/mine"),
    )
    return report


def ingest_or_draw(
    spark: SparkSession,
    sources: Sequence[str | DataFrame],
    out: str,
    config: Config,
    test_sources: Sequence[str | DataFrame] = (),
    needs: Needs | None = None,
    beside: str | None = None,
) -> IngestReport:
    """Ingest as `ingest` does, as one step of a larger job, which may need something of the splits.

    `beside` is what `ingest_sources` is given.
    """
    split = SplitOptions(**vars(config.split))
    if sources:
        pictures = picture_options(spark, config.pictures, config.hands)
        return ingest_sources(
            spark,
            sources,
            out,
            test_sources=test_sources,
            split=split,
            pictures=pictures,
            needs=needs,
            columns=config.columns,
            beside=beside,
        )
    drawn = config.drawn
    log.info(
        "no --data: drawing %s of %s",
        counted(drawn.count, "hand"),
        counted(drawn.signers, "signer"),
    )
    with doing("drawing hands", rows=drawn.count, unit="hands"):
        # Few tasks would show nothing for half a minute, and then all.
        tasks = max(parallelism(spark), min(_DRAWING_TASKS * parallelism(spark), drawn.count // _LEAST_DRAWN))
        hands = drawn_samples(spark, count=drawn.count, seed=drawn.seed, signers=drawn.signers, tasks=tasks)
        hands = hands.persist(StorageLevel.MEMORY_AND_DISK)  # drawn once, read twice
        hands.count()
    try:
        # Whole signers are held out, since another picture of the same hand is no test.
        return ingest_sources(spark, [hands], out, split=replace(split, kind="signer"), remarks=[DRAWN_WARNING])
    finally:
        hands.unpersist()
