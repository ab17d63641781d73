"""A search that is killed at random and goes on: how many trials that cost, and whether its end beats the beginning.

python benchmarks/studies/search.py --data letters.csv --out DIR --trials 20 --epochs 8 --kills 2

Runs `jobs/tune.py` as people do, ends its whole process group by SIGKILL at moments drawn from a seed, starts the same
command again until the trials are there, then trains once with the settings as they were and once with the best, and
judges both on the held-out blocks. Leaves `search.json`, and in `DIR/search` the search's own page.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna

from aslspark.workflows.tune import LOST_AFTER_SECONDS
from benchmarks.base import RESULTS, machine

REPOSITORY = Path(__file__).resolve().parents[2]
SPACE = REPOSITORY / "conf" / "spaces" / "network.yaml"


def job(name: str, *words: str, seconds: float | None = None) -> bool:
    """Run a job to its end, or kill it and all its processes after so many seconds; say whether it ended by itself."""
    command = ["spark-submit", "--conf", "spark.ui.enabled=false", f"jobs/{name}.py", *words]
    process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
    try:
        if process.wait(seconds):
            raise SystemExit(f"jobs/{name}.py failed with exit code {process.returncode}")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    return True


def killed_and_continued(words: Sequence[str], folder: Path, kills: int, seed: int) -> list[dict[str, Any]]:
    """Search to the end; return what each kill found."""
    draw, found = random.Random(seed), []
    for number in range(kills):
        seconds = draw.uniform(40, 120)
        if job("tune", *words, seconds=seconds):
            break
        states = [trial.state.name for trial in _trials(folder)]
        found.append(
            {
                "after_seconds": round(seconds),
                "ended": len(states) - states.count("RUNNING"),
                "in_flight": states.count("RUNNING"),
            }
        )
        print(f"kill {number + 1}: {found[-1]}", flush=True)
    job("tune", *words)
    return found


def _trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    database = folder / "study.db"
    if not database.exists():
        return []
    return optuna.load_study(study_name="aslspark", storage=f"sqlite:///{database}").trials


def judged(name: str, out: Path, options: argparse.Namespace, *words: str) -> dict[str, Any]:
    """Train with some settings on the ingested table and return what the held-out blocks say."""
    bundle = out / name
    common = ["--data", str(out / "ingested"), "--framework", options.framework, "--epochs", str(options.epochs)]
    job("train_cnn", *common, "--out", str(bundle), *words)
    splits = json.loads((bundle / "metrics.json").read_text())["splits"]
    return {split: {"accuracy": round(part["accuracy"], 4), "rows": part["rows"]} for split, part in splits.items()}


def main() -> None:
    """Search, be killed, go on, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, metavar="PATH")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path)
    parser.add_argument("--framework", default="torch")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    job("ingest", "--source", *options.data, "--out", str(out / "ingested"))
    search = out / "search"
    words = ["--data", str(out / "ingested"), "--out", str(search), "--space", str(SPACE), "--framework"]
    words += [options.framework, "--epochs", str(options.epochs), "--trials", str(options.trials), "--seed"]
    started = time.monotonic()
    kills = killed_and_continued([*words, str(options.seed)], search, options.kills, options.seed)
    seconds = time.monotonic() - started
    trials = _trials(search)
    states = [trial.state.name for trial in trials]
    result = {
        "machine": machine(),
        "command": f"python benchmarks/studies/search.py --trials {options.trials} --epochs {options.epochs} "
        f"--kills {options.kills} --seed {options.seed}",
        "seconds": round(seconds),
        "kills": kills,
        "seconds_until_a_killed_trial_is_tried_again": LOST_AFTER_SECONDS,
        "states": {state: states.count(state) for state in sorted(set(states))},
        "driver_mb": [trial.user_attrs.get("driver_mb") for trial in trials],
        "best": max(trials, key=lambda trial: trial.value or 0).params,
        "as_they_were": judged("default", out, options),
        "best_settings": judged("best", out, options, "--config", str(search / "best.yaml")),
    }
    (RESULTS / "search.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
