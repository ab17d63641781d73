"""Bundles in one folder, one of them the champion, and a record of every decision.

In: bundles. Out: `versions/0001` and so on, the aliases `champion` and `challenger` (symbolic links that are replaced
by a rename, so that whoever reads one finds the old bundle or the new one), and `decisions.jsonl`, to which lines are
added and never changed.

A decision is written whole beside the record before anything is changed, and holds from the rename of the champion's
alias on. Whoever holds the registry next, after a process that was killed, completes a decision that holds and takes
back one that does not: the record and the alias say the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
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
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path
from aslspark.common.redaction import redact_all

log = logging.getLogger("aslspark")

CHAMPION, CHALLENGER = "champion", "challenger"
VERSIONS, DECISIONS, FROZEN_TEST = "versions", "decisions.jsonl", "frozen-test"
BEGUN, PROMOTED, REFUSED, ROLLED_BACK, RECOVERED = "begun", "promoted", "refused", "rolled back", "recovered"
ALPHA, MOST_FALL = 0.05, 0.1
"""What a promotion asks for unless told otherwise: p below, and no label's accuracy falling by more."""
LOCK_SECONDS = 60.0
"""That a change waits for another one, which takes moments."""
_LOCK, _PENDING, _NEXT_PENDING = ".lock", ".pending.json", ".pending.next"
_WORK, _OWNER = ".work-", ".owner"
"""Folders of jobs that are not done, and the file in each that its job holds locked."""


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
    def locked(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the registry for the moment of a change, and bring to its end what one before, who was killed, began.

        Parameters
        ----------
        seconds : float
            To wait for another one who holds it.

        Raises
        ------
        AslsparkError
            Where another process holds it for longer.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as file:
            deadline = time.monotonic() + seconds
            while not _taken(file):
                if time.monotonic() >= deadline:
                    raise AslsparkError(f"--registry {self.given}: another job is changing it; wait for its end")
                time.sleep(0.05)
            self._recover()
            self._remove_work_of_the_killed()
            yield

    @contextmanager
    def work(self) -> Iterator[Path]:
        """Give a folder on the registry's file system for what is not decided yet; it goes when the block ends.

        Where the process is killed, it goes with the next change.
        """
        with contextlib.ExitStack() as stack:
            with self.locked():  # nobody takes it for a dead one's before its owner's file is locked
                folder = Path(tempfile.mkdtemp(prefix=_WORK, dir=self.folder))
                _taken(stack.enter_context((folder / _OWNER).open("w")))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def new_version(self) -> str:
        """Return the name of the next version; hold the registry until its folder is there."""
        folder = self.folder / VERSIONS
        folder.mkdir(parents=True, exist_ok=True)
        # Of versions that are recorded but were removed by hand, the numbers are not given again.
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
        """Carry out a decision and record it, wholly or not at all; hold the registry.

        Parameters
        ----------
        action : str
            `BEGUN`, `PROMOTED`: the bundle becomes a version and the champion; `REFUSED`: a version and the
            challenger; `ROLLED_BACK`: an earlier version becomes the champion.
        about : mapping
            What else the record says.
        bundle : Path, optional
            A folder in a `work` folder of this registry; it is moved.
        champion : str, optional
            The earlier version.
        frozen_test : Path, optional
            As `bundle`; it is moved to where the registry keeps it.

        Returns
        -------
        dict
            The line of the record: id, at, action, champion, before, challenger (where there is one), and `about`.
        """
        version, now = champion, self.alias(CHAMPION)
        moves: list[tuple[Path, Path]] = []
        if bundle is not None:
            version = self.new_version()
            moves.append((bundle, self.path(version)))
        if frozen_test is not None:
            moves.append((frozen_test, self.frozen_test))
        read_manifest(str(bundle or self.path(str(version))), "--registry ")
        reigns = action != REFUSED
        row = {"champion": version if reigns else now, "before": now, **about}
        if action in (PROMOTED, REFUSED):
            row["challenger"] = version
        pending: dict[str, Any] = {
            "row": _row(action, row),
            "moves": [[str(path.relative_to(self.folder)) for path in move] for move in moves],
            CHAMPION: version if reigns else None,
        }
        if action in (PROMOTED, REFUSED):
            pending[CHALLENGER] = None if reigns else version
        for source, _ in moves:
            _sync_tree(source)
        self._write_pending(pending)
        for source, target in moves:
            os.rename(source, target)
            _sync(target.parent)
        if reigns:
            self._point(CHAMPION, str(version))
        self._complete(pending)
        return dict(pending["row"])

    def decisions(self) -> list[dict[str, Any]]:
        """Return the record, oldest first.

        Raises
        ------
        AslsparkError
            Where a line, but for one at the end that was cut short, is none of the record's.
        """
        pending = self._pending()  # read first: one that is completed meanwhile is in the record then
        rows = []
        lines = self._record().decode("utf-8", errors="replace").split("\n")[:-1]
        for number, line in enumerate(lines, start=1):
            row = _parsed(line)
            if row is None:
                raise AslsparkError(
                    f"--registry {self.given}: {DECISIONS} line {number} is no JSON; mend or remove that line"
                )
            rows.append(row)
        if pending is not None and self._holds(pending) and not _is_in(pending["row"], rows):
            rows.append(pending["row"])
        return rows

    def earlier_champion(self) -> str:
        """Return the champion before the present one: twice rolled back is two back.

        Raises
        ------
        AslsparkError
            Where there was none.
        """
        now, reigns = self.champion(), self._reigns()
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
            version = self.earlier_champion()
            self.decide(ROLLED_BACK, {"reasons": [reason] if reason else []}, champion=version)
        return version

    def _reigns(self) -> list[str]:
        """Return the champions that can be gone back to, oldest first, the present one last."""
        reigns: list[str] = []
        for row in self.decisions():
            champion = str(row.get("champion"))
            if row["action"] == BEGUN:
                reigns = [champion]
            elif row["action"] == PROMOTED:
                reigns.append(champion)
            elif row["action"] in (ROLLED_BACK, RECOVERED):
                reigns = [*reigns[: reigns.index(champion)], champion] if champion in reigns else [*reigns, champion]
        return reigns

    def _point(self, name: str, version: str | None) -> None:
        """Let an alias stand for a version, or for none, in one step."""
        link = self.folder / name
        if version is None:
            link.unlink(missing_ok=True)
        else:
            fresh = self.folder / _next_alias(name)
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(Path(VERSIONS) / version, target_is_directory=True)
            os.replace(fresh, link)
        _sync(self.folder)

    def _pending(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self.folder / _PENDING).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    def _write_pending(self, pending: dict[str, Any]) -> None:
        path, fresh = self.folder / _PENDING, self.folder / _NEXT_PENDING
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(pending, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
        _sync(self.folder)

    def _holds(self, pending: dict[str, Any]) -> bool:
        """Tell whether a decision came to the step from which on it holds: the alias, or without one, the moves."""
        if pending[CHAMPION] is not None:
            return self.alias(CHAMPION) == pending[CHAMPION]
        return all((self.folder / target).exists() for _, target in pending["moves"])

    def _complete(self, pending: dict[str, Any]) -> None:
        if CHALLENGER in pending:
            self._point(CHALLENGER, pending[CHALLENGER])
        self._append(pending["row"])
        (self.folder / _PENDING).unlink()
        _sync(self.folder)

    def _recover(self) -> None:
        """Complete or take back the decision of a process that was killed; see that record and alias say the same."""
        pending = self._pending()
        if pending is not None and self._holds(pending):
            self._complete(pending)
        elif pending is not None:
            for _, target in pending["moves"]:  # it was not there when the decision was written: this one moved it
                shutil.rmtree(self.folder / target, ignore_errors=True)
            (self.folder / _PENDING).unlink()
        for half in (_NEXT_PENDING, *map(_next_alias, (CHAMPION, CHALLENGER))):
            (self.folder / half).unlink(missing_ok=True)
        now, reigns = self.alias(CHAMPION), self._reigns()
        if now is not None and reigns and reigns[-1] != now:
            reason = f"the record said {reigns[-1]}, and the alias {now}: a job was killed, or the alias moved by hand"
            self._append(_row(RECOVERED, {"champion": now, "before": reigns[-1], "reasons": [reason]}))

    def _remove_work_of_the_killed(self) -> None:
        for folder in self.folder.glob(f"{_WORK}*"):
            try:
                with (folder / _OWNER).open("r+") as file:
                    if _taken(file):
                        shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # empty: its job was killed before the owner's file; else it is none of ours

    def _record(self) -> bytes:
        """Return the record's whole lines, each with its end."""
        try:
            content = (self.folder / DECISIONS).read_bytes()
        except FileNotFoundError:
            return b""
        whole, end, last = content.rpartition(b"\n")
        if last and _parsed(last.decode("utf-8", errors="replace")) is not None:
            return content + b"\n"
        return whole + end

    def _append(self, row: dict[str, Any]) -> None:
        """Add a line to the record, unless it is there; a last one that was cut short is replaced."""
        record = self._record()
        lines = record.decode("utf-8", errors="replace").split("\n")
        if _is_in(row, [found for line in lines if (found := _parsed(line)) is not None]):
            return
        path = self.folder / DECISIONS
        with path.open("r+b" if path.exists() else "w+b") as file:
            there = len(file.read())
            if there > len(record):
                log.warning("%s: the last line of %s was cut short, and is left out", self.given, DECISIONS)
                file.truncate(len(record))
                file.seek(len(record))
            file.write(record[there:])  # the end of a last line that lacks it
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _sync(self.folder)


def _next_alias(name: str) -> str:
    return f".{name}.next"


def _row(action: str, about: dict[str, Any]) -> dict[str, Any]:
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    row: dict[str, Any] = redact_all({"id": uuid.uuid4().hex, "at": at, "action": action, **about})
    return row


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "action" in row else None


def _is_in(row: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
    return any(other.get("id") == row["id"] for other in rows)


def _taken(file: TextIO) -> bool:
    """Take a file's lock, and tell whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync(path: Path) -> None:
    """See that a file, or the names in a folder, are on disk: what is renamed before may else be gone after a crash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _sync(path)
