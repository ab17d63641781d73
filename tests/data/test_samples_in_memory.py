"""Samples in memory whose pictures say sizes that cannot be."""

import pytest

from aslspark.data.ingest import ingest_sources

SCHEMA = (
    "id string, picture struct<height: int, width: int, channels: int, data: binary>, label string, source string, "
    "signer string"
)
SIZES = {
    "good": (28, 28, 1, 784),
    "a product that is 0 in 32 bits": (65_536, 65_536, 1, 0),
    "a product that overflows 64 bits": (2_000_000_000, 2_000_000_000, 3, 784),
    "both below 0": (-28, -28, 1, 784),
    "two channels": (28, 14, 2, 784),
}


@pytest.mark.promise(
    "input",
    "A sample whose picture says a size that its bytes do not have is one row of the quarantine, whatever "
    "spark.sql.ansi.enabled is.",
    kind="arithmetic that overflows in Spark",
)
@pytest.mark.parametrize("ansi", ["true", "false"])
def test_sizes_that_cannot_be_are_quarantined(spark, tmp_path, setting, ansi):
    rows = [
        (name, (height, width, channels, bytearray(length)), "A", None, None)
        for name, (height, width, channels, length) in SIZES.items()
    ]
    with setting("spark.sql.ansi.enabled", ansi):
        report = ingest_sources(spark, [spark.createDataFrame(rows, SCHEMA)], str(tmp_path / "out"))
    assert (report.kept, [(reason.reason, reason.rows) for reason in report.reasons]) == (
        1,
        [("wrong picture size", 4)],
    )
