"""Bundles in one folder, one of them the champion, and a record of every decision.

In: bundles. Out: `versions/0001` and so on, the aliases `champion` and `challenger` (symbolic links that are replaced
by a rename, so that whoever reads one finds the old bundle or the new one), and `decisions.jsonl`, to which lines are
added and never changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from aslspark.bundle_files import read_manifest, whole_folder
from aslspark.errors import AslsparkError
from aslspark.paths import local_path

CHAMPION, CHALLENGER = "champion", "challenger"
VERSIONS, DECISIONS, FROZEN_TEST = "versions", "decisions.jsonl", "frozen-test"
BEGUN, PROMOTED, REFUSED, ROLLED_BACK = "begun", "promoted", "refused", "rolled back"
ALPHA, MOST_FALL = 0.05, 0.1
"""What a promotion asks for unless told otherwise: p below, and no label's accuracy falling by more."""
_LOCK = ".lock"


class Registry:
    """A folder of bundles.

    Parameters
    ----------
    path : str
        On a file system of this machine that has symbolic links.
    """

    def __init__(self, path: str) -> None:
        self.given = path
        self.folder = Path(local_path(path)).absolute()

    @property
    def frozen_test(self) -> Path:
        """Where the samples lie on which every challenger is judged."""
        return self.folder / FROZEN_TEST

    def path(self, version: str) -> Path:
        """Return the folder of a version."""
        return self.folder / VERSIONS / version

    def alias(self, name: str) -> str | None:
        """Return the version that an alias stands for, or None."""
        link = self.folder / name
        return Path(os.readlink(link)).name if link.is_symlink() else None

    def champion(self) -> str:
        """Return the version of the champion.

        Raises
        ------
        AslsparkError
            Where there is none.
        """
        version = self.alias(CHAMPION)
        if version is None:
            raise AslsparkError(
                f"--registry {self.given}: it has no champion; begin with --begin BUNDLE --test PATH, labelled data "
                "that no model may learn from"
            )
        return version

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the registry for one who changes it, and remove what one before, who was killed, left half made.

        Raises
        ------
        AslsparkError
            Where another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise AslsparkError(f"--registry {self.given}: another job is changing it; wait for its end") from error
            for pattern in ("aslspark-*", ".*.tmp-*", f"{VERSIONS}/.*.tmp-*", f"{VERSIONS}/*.unfinished"):
                for left in self.folder.glob(pattern):
                    shutil.rmtree(left)
            yield

    def new_version(self) -> str:
        """Return the name of the next version; hold the registry until its folder is there."""
        folder = self.folder / VERSIONS
        folder.mkdir(parents=True, exist_ok=True)
        # Of versions that are recorded but were removed by hand, the numbers are not given again.
        taken = [path.name for path in folder.iterdir()] + [str(row.get("challenger")) for row in self.decisions()]
        return f"{max((int(name) for name in taken if name.isdigit()), default=0) + 1:04d}"

    def add(self, bundle: str) -> str:
        """Copy a bundle into the registry, and check the copy.

        Parameters
        ----------
        bundle : str

        Returns
        -------
        str
            Its version.
        """
        read_manifest(bundle, "--begin ")
        version = self.new_version()
        with whole_folder(self.path(version)) as folder:
            shutil.copytree(Path(local_path(bundle)).resolve(), folder, dirs_exist_ok=True)
            read_manifest(str(folder), "--begin ")
        return version

    def point(self, name: str, version: str | None) -> None:
        """Let an alias stand for a version, or for none, in one step."""
        link = self.folder / name
        if version is None:
            link.unlink(missing_ok=True)
            return
        read_manifest(str(self.path(version)), "--registry ")
        fresh = self.folder / f".{name}.{uuid.uuid4().hex[:8]}"
        fresh.symlink_to(Path(VERSIONS) / version, target_is_directory=True)
        os.replace(fresh, link)

    def record(self, action: str, **about: Any) -> dict[str, Any]:
        """Add a decision to the record: when, what, and what else is given; then it is on disk."""
        row = {"at": datetime.now(timezone.utc).isoformat(timespec="seconds"), "action": action, **about}
        with (self.folder / DECISIONS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return row

    def decisions(self) -> list[dict[str, Any]]:
        """Return the record, oldest first."""
        file = self.folder / DECISIONS
        if not file.is_file():
            return []
        rows = []
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise AslsparkError(
                    f"--registry {self.given}: {DECISIONS} line {number} is no JSON; mend or remove that line"
                ) from error
        return rows

    def earlier_champion(self) -> str:
        """Return the champion before the present one: twice rolled back is two back.

        Raises
        ------
        AslsparkError
            Where there was none.
        """
        reigns: list[str] = []
        for row in self.decisions():
            if row["action"] in (BEGUN, PROMOTED):
                reigns.append(row["champion"])
            elif row["action"] == ROLLED_BACK:
                while reigns and reigns[-1] != row["champion"]:
                    reigns.pop()
        now = self.champion()
        if now in reigns:
            reigns = reigns[: reigns.index(now)]
        if not reigns:
            raise AslsparkError(
                f"--registry {self.given}: there was no champion before {now}, so nothing to bring back"
            )
        return reigns[-1]

    def roll_back(self, reason: str = "") -> str:
        """Make the earlier champion the champion again, and record it.

        Returns
        -------
        str
            Its version.
        """
        self.champion()  # where there is none, no folder is made either
        with self.locked():
            before, version = self.champion(), self.earlier_champion()
            read_manifest(str(self.path(version)), "--registry ")
            self.record(ROLLED_BACK, champion=version, before=before, reasons=[reason] if reason else [])
            self.point(CHAMPION, version)
        return version
