"""Labelled pictures of one's own hand -> a folder with a manifest that `ingest` reads."""

from __future__ import annotations

import csv
import io
import re
import threading
from pathlib import Path

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import label_named
from aslspark.images.decoding import Unusable, decode_whole
from aslspark.serving.limits import Limits, Refused

MANIFEST = "manifest.csv"
_HEADER = ("path", "label", "signer")
_SIGNER = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Recorder:
    """Keeps pictures as SIGNER/LABEL/NUMBER.jpg below a folder, each with a row in manifest.csv.

    Parameters
    ----------
    folder : str
        Is made where there is none.

    Raises
    ------
    AslsparkError
        Where the folder cannot be written.
    """

    def __init__(self, folder: str, limits: Limits) -> None:
        self.folder, self._limits = Path(folder).absolute(), limits
        self._lock = threading.Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / MANIFEST).exists():
                self._append(_HEADER)
        except OSError as error:
            raise AslsparkError(f"--record {folder}: {error.strerror}; choose a folder that can be written") from error

    def keep(self, picture: bytes, label: str, signer: str) -> str:
        """Keep a picture.

        Parameters
        ----------
        picture : bytes
            The bytes of a JPEG file.
        label : str
            One of `labels.LABELS`, in any case.
        signer : str
            Letters, digits, - and _.

        Returns
        -------
        str
            The picture's path below the folder.

        Raises
        ------
        Refused
        """
        known = label_named(label)
        if known is None:
            raise Refused(422, f"label {label!r} is none: give A to Z, del, space or nothing")
        if not _SIGNER.fullmatch(signer):
            raise Refused(422, "signer: give up to 32 letters, digits, - and _")
        if not picture.startswith(b"\xff\xd8\xff"):
            raise Refused(422, "the picture is no JPEG")
        try:
            decode_whole(picture, self._limits.pixels, 64)
        except Unusable as error:
            raise Refused(422, str(error)) from error
        with self._lock:
            folder = self.folder / signer / known
            folder.mkdir(parents=True, exist_ok=True)
            number = max((int(path.stem) for path in folder.glob("*.jpg") if path.stem.isdigit()), default=0) + 1
            path = folder / f"{number:05d}.jpg"
            path.write_bytes(picture)
            name = path.relative_to(self.folder).as_posix()
            self._append((name, known, signer))
        return name

    def _append(self, row: tuple[str, ...]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        with (self.folder / MANIFEST).open("a") as file:
            file.write(line.getvalue())
