"""`make audit`: known weaknesses of what the stacks' locks pin, those aside of which advisories.yaml says why.

pip-audit asks OSV, the database of weaknesses; further words are its options, such as `--osv-url URL` for a mirror.
The last line is the result, and begins with `audit: passed` or `audit: failed`. The exit code is 1 where a weakness is
found that is not among the advisories, and 2 where OSV is not reached, or knows none of them and so nothing: the
advisories are listed then, but nothing was audited.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
LOCKS = sorted(HERE.glob("*/requirements.lock"))
MOST_SECONDS = 300


def ask(lock: Path, options: list[str]) -> list[dict[str, Any]] | str:
    """Ask pip-audit; return each package of a lock with what is known of it, or why there is no answer."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    command += ["--vulnerability-service", "osv", *options]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {MOST_SECONDS} s"
    try:
        return list(json.loads(ran.stdout)["dependencies"])
    except (ValueError, KeyError):
        kinds = re.findall(r"\b\w+(?:Error|Timeout)\b", ran.stderr)
        return kinds[-1] if kinds else f"pip-audit ended with {ran.returncode}"


def main() -> int:
    """Print what was found, or what is known."""
    known = yaml.safe_load((HERE / "advisories.yaml").read_text(encoding="utf-8"))
    answer: list[dict[str, Any]] | str = []
    for lock in LOCKS:
        of_lock = ask(lock, sys.argv[1:])
        if isinstance(of_lock, str):
            answer = of_lock
            break
        answer += [package for package in of_lock if package not in answer]
    if not isinstance(answer, str) and not any(package.get("vulns") for package in answer):
        answer = f"what answers does not know even {known[0]['id']} of {known[0]['package']}"
    if isinstance(answer, str):
        for one in known:
            print(f"  {one['package']} {one['version']} {one['id']}: {one['what']}; does not reach us: {one['why']}")
        print(
            f"audit: failed: no database of weaknesses can be reached from here ({answer}), so nothing was audited; "
            f"the {len(known)} known are above"
        )
        return 2
    of_package: dict[str, set[str]] = {}
    for one in known:
        of_package.setdefault(one["package"], set()).add(one["id"])
    found = [(package, weakness) for package in answer for weakness in package.get("vulns", [])]
    new = 0
    for package, weakness in found:
        names = {weakness["id"], *weakness.get("aliases", [])}
        if of_package.get(package["name"].lower().replace("_", "-"), set()).isdisjoint(names):
            new += 1
            mended = ", ".join(weakness.get("fix_versions", [])) or "no version yet"
            print(f"  {package['name']} {package['version']} {' '.join(sorted(names))}, mended in {mended}")
    print(
        f"audit: {'failed' if new else 'passed'}: {len(answer)} packages, {len(found)} weaknesses, "
        f"{new} of them not in environment/advisories.yaml"
    )
    return int(new > 0)


if __name__ == "__main__":
    sys.exit(main())
