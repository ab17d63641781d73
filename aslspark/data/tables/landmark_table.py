"""Hands of an ingested folder -> a table of landmarks, `label, x0, y0, z0, ..., x20, y20, z20`, a row a hand.

It is what people collect with MediaPipe, and a source for ingest (`landmark_layout`).
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet
import pyarrow_hotfix  # noqa: F401  (see aslspark.images.decoding)

from aslspark.common.atomic_file import replace_file
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.store_path import StorePath, any_path, file_system, store_environment
from aslspark.data.samples import HAND_COLUMN, SAMPLES_FOLDER, hands_missing
from aslspark.data.tables.landmark_layout import coordinate_names
from aslspark.images.hands.hand import NUMBERS

ENDINGS = (".csv", ".parquet")


class Exported(NamedTuple):
    """How many rows were written."""

    hands: int
    without_hand: int
    """Samples in which no hand was found; they have no row."""


def write_landmark_table(ingested: str, out: str) -> Exported:
    """Write the landmarks of every sample with a hand.

    Parameters
    ----------
    ingested : str
        Folder that ingest made with `hands.on=true`, or from tables of landmarks.
    out : str
        The table to make, .csv or .parquet: label (string); x0, y0, z0, ..., x20, y20, z20 (float), as shares of the
        picture's longer side, x rightwards, y down, z away from the camera.

    Raises
    ------
    AslsparkError
        Where `out` exists or ends otherwise, or no sample has a hand.
    """
    place = any_path(out)
    ending = next((ending for ending in ENDINGS if place.name.endswith(ending)), None)
    if ending is None:
        raise AslsparkError(f"--out {out}: a table ends in {' or '.join(ENDINGS)}")
    if place.exists():
        raise AslsparkError(f"--out {out} exists; give a name that is free")
    found, samples = _hands(ingested)
    if not len(found):
        raise AslsparkError(
            f"{ingested}: no hand was found in any of its {counted(samples, 'sample')}: there are no landmarks"
        )
    content = BytesIO()
    if ending == ".csv":
        pyarrow.csv.write_csv(found, content)
    else:
        pyarrow.parquet.write_table(found, content)
    if isinstance(place, Path):
        place.absolute().parent.mkdir(parents=True, exist_ok=True)
    replace_file(place, content.getbuffer())
    return Exported(len(found), samples - len(found))


def _hands(ingested: str) -> tuple[pa.Table, int]:
    """Read the table of all hands, and the number of samples."""
    place = any_path(ingested) / SAMPLES_FOLDER
    system, folder = (
        file_system(str(place), store_environment()) if isinstance(place, StorePath) else (None, str(place))
    )
    try:
        samples = pyarrow.dataset.dataset(folder, filesystem=system, format="parquet")
    except (OSError, pa.ArrowInvalid) as error:
        raise AslsparkError(f"{ingested} cannot be read as what ingest made: {error}") from error
    if HAND_COLUMN not in samples.schema.names:
        raise hands_missing(ingested)
    rows = samples.to_table(columns=["label", HAND_COLUMN])
    found = rows.filter(pc.field(HAND_COLUMN, "found").is_valid()).combine_chunks()
    # Not by struct_field, which takes no name in the pyarrow that Spark 3.5 is installed with.
    landmarks = found.flatten()[f"{HAND_COLUMN}.landmarks"]
    points = pc.list_flatten(landmarks).to_numpy().reshape(len(found), NUMBERS)
    columns = {name: points[:, number] for number, name in enumerate(coordinate_names(3))}
    return pa.table({"label": found["label"], **columns}), len(rows)
