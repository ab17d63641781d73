"""Samples in memory whose pictures say sizes that cannot be."""

import pytest

from aslspark.data.ingest import ingest_sources
from aslspark.data.splits import SplitOptions

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


def test_a_sample_without_a_signer_beside_others_is_quarantined_where_signers_are_split(spark, tmp_path):
    rows = [
        (f"{signer}{number}", (28, 28, 1, bytearray(784)), "AB"[number % 2], None, signer)
        for signer in ("ann", "ben", "cay", None)
        for number in range(4 if signer else 1)
    ]
    split = SplitOptions(kind="signer", validation=0.3, test=0.3)
    report = ingest_sources(spark, [spark.createDataFrame(rows, SCHEMA)], str(tmp_path / "out"), split=split)
    assert (report.kept, sorted(report.splits.values())) == (12, [4, 4, 4])
    assert [(reason.reason, reason.rows) for reason in report.reasons] == [("no signer", 1)]
    assert "None0: split.kind=signer needs one" in report.reasons[0].first
