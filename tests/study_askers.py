"""Two processes that ask one study for a trial at the same time, round after round; prints the numbers they got.

In: the database, how many rounds. Each round begins with one trial that waits. Out: a line a round, JSON.
"""

import json
import multiprocessing
import sys
from pathlib import Path

from aslspark.tuning.options import SearchOptions
from aslspark.tuning.space import Range, Space
from aslspark.workflows.tune import open_study

SPACE = Space({"training.epochs": Range(1, 9)})


def ask(database, rounds, barrier, answers):
    study = open_study(database, SPACE, SearchOptions(sampler="random"), 3)
    for _ in range(rounds):
        barrier.wait(120)
        answers.put(study.ask().number)
        barrier.wait(120)


def main():
    database, rounds = Path(sys.argv[1]), int(sys.argv[2])
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(3), context.Queue()
    study = open_study(database, SPACE, SearchOptions(sampler="random"), 3)
    askers = [context.Process(target=ask, args=(database, rounds, barrier, answers), daemon=True) for _ in range(2)]
    for asker in askers:
        asker.start()
    for _ in range(rounds):
        study.enqueue_trial({"training.epochs": 4})
        waiting = len(study.trials) - 1
        barrier.wait(120)
        barrier.wait(120)
        print(json.dumps({"waiting": waiting, "got": [answers.get(timeout=60), answers.get(timeout=60)]}))
    for asker in askers:
        asker.join(60)


if __name__ == "__main__":
    main()
