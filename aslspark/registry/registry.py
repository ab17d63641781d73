"""Bundles in one folder, one of them the champion, and a record of every decision.

In: bundles. Out: `versions/0001` and so on; the aliases `champion` and `challenger`, which are symbolic links; and
`decisions.jsonl`, to which lines are only added. An alias is replaced by a rename, so that a reader finds the old
bundle or the new one.

A decision is written to a file of its own before anything changes, and takes effect with the rename of the champion's
alias. If a process is killed, the next one that locks the registry completes a decision that has taken effect and takes
back one that has not, so that record and alias agree.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

from aslspark.bundle.files import read_manifest
from aslspark.common.atomic_file import replace_file
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path
from aslspark.common.redaction import redact_all
from aslspark.registry.decision_record import DecisionRecord, is_in, sync, sync_tree

CHAMPION, CHALLENGER = "champion", "challenger"
VERSIONS, DECISIONS, FROZEN_TEST = "versions", "decisions.jsonl", "frozen-test"
BEGUN, PROMOTED, REFUSED, ROLLED_BACK, RECOVERED = "begun", "promoted", "refused", "rolled back", "recovered"
ALPHA, MOST_FALL = 0.05, 0.1
"""Defaults for a promotion: p is below, and no label's accuracy falls by more."""
LOCK_SECONDS = 60.0
"""How long a change waits for another one, which takes moments."""
_LOCK_FILE, _PENDING = ".lock", ".pending.json"
_NEXT_PENDING = f".{_PENDING}.tmp"  # as `replace_file` names it
_WORK, _OWNER = ".work-", ".owner"
"""Prefix of the folders of unfinished jobs, and the file in each that its job holds locked."""


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
        self._record = DecisionRecord(self.folder / DECISIONS, path)

    @property
    def frozen_test(self) -> Path:
        """The folder of the samples on which every challenger is judged."""
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
    def locked(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Lock the registry for a change, after completing or taking back what a killed process began.

        Parameters
        ----------
        seconds : float
            How long to wait while another process holds the lock.

        Raises
        ------
        AslsparkError
            Where another process holds it for longer.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK_FILE).open("w") as file:
            deadline = time.monotonic() + seconds
            while not _lock(file):
                if time.monotonic() >= deadline:
                    raise AslsparkError(f"--registry {self.given}: another job is changing it; wait for its end")
                time.sleep(0.05)
            self._recover()
            self._remove_work_of_the_killed()
            yield

    @contextmanager
    def work(self) -> Iterator[Path]:
        """Make a folder on the registry's file system for what is not decided yet; it is removed at the block's end.

        Where the process is killed, the next change removes it.
        """
        with contextlib.ExitStack() as stack:
            with self.locked():  # so that no other job removes it before its owner's file is locked
                folder = Path(tempfile.mkdtemp(prefix=_WORK, dir=self.folder))
                _lock(stack.enter_context((folder / _OWNER).open("w")))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def new_version(self) -> str:
        """Return the name of the next version; the caller holds the lock until its folder is there."""
        folder = self.folder / VERSIONS
        folder.mkdir(parents=True, exist_ok=True)
        # Numbers of recorded versions are not used again, even if the versions were removed by hand.
        taken = [path.name for path in folder.iterdir()] + [str(row.get("challenger")) for row in self.decisions()]
        return f"{max((int(name) for name in taken if name.isdigit()), default=0) + 1:04d}"

    def decide(
        self,
        action: str,
        about: Mapping[str, Any],
        *,
        bundle: Path | None = None,
        champion: str | None = None,
        frozen_test: Path | None = None,
    ) -> dict[str, Any]:
        """Carry out a decision and record it, wholly or not at all; the caller holds the lock.

        Parameters
        ----------
        action : str
            `BEGUN` and `PROMOTED` make the bundle a version and the champion; `REFUSED` makes it a version and the
            challenger; `ROLLED_BACK` makes an earlier version the champion.
        about : mapping
            Further fields of the record.
        bundle : Path, optional
            A folder in a `work` folder of this registry; it is moved.
        champion : str, optional
            The earlier version.
        frozen_test : Path, optional
            A folder as `bundle`; it is moved to `Registry.frozen_test`.

        Returns
        -------
        dict
            The line of the record: id, at, action, champion, before, challenger (where there is one), and `about`.
        """
        version, before = champion, self.alias(CHAMPION)
        moves: list[tuple[Path, Path]] = []
        if bundle is not None:
            version = self.new_version()
            moves.append((bundle, self.path(version)))
        if frozen_test is not None:
            moves.append((frozen_test, self.frozen_test))
        read_manifest(str(bundle or self.path(str(version))), "--registry ")
        is_champion = action != REFUSED
        row = {"champion": version if is_champion else before, "before": before, **about}
        if action in (PROMOTED, REFUSED):
            row["challenger"] = version
        pending: dict[str, Any] = {
            "row": _row(action, row),
            "moves": [[str(path.relative_to(self.folder)) for path in move] for move in moves],
            CHAMPION: version if is_champion else None,
        }
        if action in (PROMOTED, REFUSED):
            pending[CHALLENGER] = None if is_champion else version
        for source, _ in moves:
            sync_tree(source)
        replace_file(self.folder / _PENDING, json.dumps(pending, ensure_ascii=False).encode(), flush=True)
        sync(self.folder)
        for source, target in moves:
            os.rename(source, target)
            sync(target.parent)
        if is_champion:
            self._point(CHAMPION, str(version))
        self._complete(pending)
        return dict(pending["row"])

    def decisions(self) -> list[dict[str, Any]]:
        """Return the record, oldest first.

        Raises
        ------
        AslsparkError
            Where a line is no decision; a last line that was cut short is left out.
        """
        pending = self._pending()  # read first, since a decision that is completed meanwhile is then in the record
        rows = self._record.rows()
        if pending is not None and self._has_taken_effect(pending) and not is_in(pending["row"], rows):
            rows.append(pending["row"])
        return rows

    def earlier_champion(self) -> str:
        """Return the champion before the present one; after a rollback, the one before that.

        Raises
        ------
        AslsparkError
            Where there was none.
        """
        present, champions = self.champion(), self._champions()
        if present in champions:
            champions = champions[: champions.index(present)]
        if not champions:
            raise AslsparkError(
                f"--registry {self.given}: there was no champion before {present}, so nothing to bring back"
            )
        return champions[-1]

    def roll_back(self, reason: str = "") -> str:
        """Make the earlier champion the champion again, and record it.

        Returns
        -------
        str
            Its version.
        """
        self.champion()  # where there is none, it raises before a folder is made
        with self.locked():
            version = self.earlier_champion()
            self.decide(ROLLED_BACK, {"reasons": [reason] if reason else []}, champion=version)
        return version

    def _champions(self) -> list[str]:
        """Return the champions that a rollback can reach, oldest first, the present one last."""
        champions: list[str] = []
        for row in self.decisions():
            version = str(row.get("champion"))
            if row["action"] == BEGUN:
                champions = [version]
            elif row["action"] == PROMOTED:
                champions.append(version)
            elif row["action"] in (ROLLED_BACK, RECOVERED):
                earlier = champions[: champions.index(version)] if version in champions else champions
                champions = [*earlier, version]
        return champions

    def _point(self, name: str, version: str | None) -> None:
        """Point an alias at a version, or remove it, in one step."""
        link = self.folder / name
        if version is None:
            link.unlink(missing_ok=True)
        else:
            fresh = self.folder / _next_alias(name)
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(Path(VERSIONS) / version, target_is_directory=True)
            os.replace(fresh, link)
        sync(self.folder)

    def _pending(self) -> dict[str, Any] | None:
        try:
            pending: dict[str, Any] = json.loads((self.folder / _PENDING).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return pending

    def _has_taken_effect(self, pending: dict[str, Any]) -> bool:
        """Tell whether the champion's alias is the decision's version, or, without one, whether all was moved."""
        if pending[CHAMPION] is not None:
            return self.alias(CHAMPION) == pending[CHAMPION]
        return all((self.folder / target).exists() for _, target in pending["moves"])

    def _complete(self, pending: dict[str, Any]) -> None:
        if CHALLENGER in pending:
            self._point(CHALLENGER, pending[CHALLENGER])
        self._record.append(pending["row"])
        (self.folder / _PENDING).unlink()
        sync(self.folder)

    def _recover(self) -> None:
        """Complete or take back the decision of a killed process, and record a champion that the record lacks."""
        pending = self._pending()
        if pending is not None and self._has_taken_effect(pending):
            self._complete(pending)
        elif pending is not None:
            for _, target in pending["moves"]:  # the target was not there before: the killed process moved it
                shutil.rmtree(self.folder / target, ignore_errors=True)
            (self.folder / _PENDING).unlink()
        for unfinished in (_NEXT_PENDING, *map(_next_alias, (CHAMPION, CHALLENGER))):
            (self.folder / unfinished).unlink(missing_ok=True)
        champion, recorded = self.alias(CHAMPION), self._champions()
        if champion is not None and recorded and recorded[-1] != champion:
            difference = f"the record said {recorded[-1]}, and the alias {champion}"
            reason = f"{difference}: a job was killed, or the alias moved by hand"
            self._record.append(_row(RECOVERED, {"champion": champion, "before": recorded[-1], "reasons": [reason]}))

    def _remove_work_of_the_killed(self) -> None:
        for folder in self.folder.glob(f"{_WORK}*"):
            try:
                with (folder / _OWNER).open("r+") as file:
                    if _lock(file):
                        shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # an empty one, whose job was killed before the owner's file; others are not ours


def _next_alias(name: str) -> str:
    return f".{name}.next"


def _row(action: str, about: dict[str, Any]) -> dict[str, Any]:
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    row: dict[str, Any] = redact_all({"id": uuid.uuid4().hex, "at": at, "action": action, **about})
    return row


def _lock(file: TextIO) -> bool:
    """Lock a file if its lock is free, and tell whether it was."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
