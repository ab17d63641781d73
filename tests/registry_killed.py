"""Changes a registry and is killed at one file operation after another; prints what the next one finds, a line each.

In: a registry's folder, a bundle, the change. Each change is made in a process of its own, on a copy of the folder.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from aslspark.registry.registry import BEGUN, REFUSED, Registry

OPERATIONS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.truncate"}


def change(registry, bundle, what):
    if what == "rolled back":
        registry.roll_back()
        return
    with registry.work() as work:
        shutil.copytree(bundle, work / "bundle")
        frozen = None
        if what == BEGUN:
            frozen = work / "frozen"
            frozen.mkdir()
            (frozen / "rows").write_text("rows")
        with registry.locked():
            registry.decide(what, {}, bundle=work / "bundle", frozen_test=frozen)


def killed_before(number, folder, bundle, what):
    """Make the change in a child that is killed before its operation of this number below the folder."""
    child = os.fork()
    if child == 0:
        left = [number]

        def count(event, details):
            path = details[0] if details else None
            if event in OPERATIONS and isinstance(path, str | Path) and str(path).startswith(str(folder)):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        registry = Registry(str(folder))
        sys.addaudithook(count)
        change(registry, bundle, what)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main():
    start, bundle, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    number, was_killed = 0, True
    while was_killed:
        number += 1
        folder = start.with_name(f"killed-{number}")
        if start.exists():
            shutil.copytree(start, folder, symlinks=True)
        was_killed = killed_before(number, folder, bundle, what)
        registry = Registry(str(folder))
        before = registry.alias("champion")
        seen = [row["action"] for row in registry.decisions()]
        with registry.locked():
            pass
        found = {
            "killed": was_killed,
            "champion": registry.alias("champion"),
            "champion_before_recovery": before,
            "seen_before_recovery": seen,
            "challenger": registry.alias("challenger"),
            "actions": [row["action"] for row in registry.decisions()],
            "left": sorted(path.name for path in folder.iterdir()),
            "versions": sorted(path.name for path in folder.glob("versions/*")),
        }
        change(registry, bundle, REFUSED if what != BEGUN or before else BEGUN)
        found["after"] = [row["action"] for row in registry.decisions()]
        print(json.dumps(found))
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
