"""The four functions by which hosted endpoints call a model: load it, read the input, predict, write the output.

SageMaker's containers, and those like them, import this module and call the functions by these names.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from aslspark.bundle.files import MANIFEST
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.scoring.answers import Answer
from aslspark.scoring.reader import Reader
from aslspark.serving.limits import Limits, Refused
from aslspark.serving.payload import CSV, JSON, Picture, plain_pictures

LIMITS = Limits()


def model_fn(model_dir: str) -> Reader:
    """Load the bundle that a folder is, or that lies in it.

    Raises
    ------
    AslsparkError
        Where there is none or more than one, or it is damaged.
    """
    folder = Path(model_dir)
    inside = [path.parent for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    if not (folder / MANIFEST).is_file() and len(inside) != 1:
        raise AslsparkError(
            f"model_dir {model_dir}: {counted(len(inside), 'bundle lies', 'bundles lie')} in it; put one there"
        )
    return Reader.load(str(folder if (folder / MANIFEST).is_file() else inside[0]))


def input_fn(request_body: bytes | str, content_type: str) -> list[Picture]:
    """Return the pictures of a request.

    Parameters
    ----------
    request_body : bytes or str
    content_type : str
        ``image/*``, ``application/octet-stream``, ``application/json`` or ``text/csv``, as for `/predict`.

    Raises
    ------
    Refused
    """
    body = request_body.encode() if isinstance(request_body, str) else bytes(request_body)
    return plain_pictures(content_type, body, LIMITS)


def predict_fn(pictures: list[Picture], reader: Reader) -> list[Answer]:
    """Read each picture; one that cannot be used has a reason in its place."""
    return [reader.read(picture.value, picture.kind) for picture in pictures]


def output_fn(answers: list[Answer], accept: str = JSON) -> tuple[str, str]:
    """Write the answers.

    Parameters
    ----------
    answers : list of Answer
    accept : str
        ``application/json``, or ``text/csv`` for a line of letter, probability and reason for each picture.

    Returns
    -------
    str, str
        The body and its content type.

    Raises
    ------
    Refused
        406 for any other.
    """
    types = {part.split(";")[0].strip().lower() for part in accept.split(",")}
    if {JSON, "*/*", ""} & types:
        return json.dumps({"answers": [answer.as_dict() for answer in answers]}), JSON
    if CSV in types:
        table = io.StringIO()
        lines = csv.writer(table, lineterminator="\n")
        lines.writerow(("letter", "probability", "reason"))
        lines.writerows((answer.letter, answer.probability, answer.reason) for answer in answers)
        return table.getvalue(), CSV
    raise Refused(406, f"accept {accept}: answers are {JSON} or {CSV}")
