"""What a person sees while it trains."""

from __future__ import annotations

import logging

from aslspark.common.counted import counted
from aslspark.common.progress import Activity
from aslspark.common.settings import TrainingConfig
from aslspark.training.events import EpochEvent, Event
from aslspark.training.training_alerts import in_words

log = logging.getLogger("aslspark")


class ConsoleProgress:
    """Prints a line an epoch, and one for the steps of long ones.

    Parameters
    ----------
    rows : int
        Samples to train on, for the first line.
    launcher : str
        Words for that line on who starts the processes.
    activity : Activity
        What is shown between the lines.
    """

    def __init__(self, rows: int, training: TrainingConfig, launcher: str, activity: Activity) -> None:
        self._activity, self._epochs = activity, training.epochs
        activity.advance(0)
        log.info(
            "training on %s in %s of %s, batches of %d each, %s",
            counted(rows, "sample"),
            counted(training.num_proc, "process", "processes"),
            counted(training.threads, "thread"),
            training.batch_size,
            launcher,
        )

    def __call__(self, event: Event) -> None:
        """Print what a worker reports; see `aslspark.training.events`."""
        if event["event"] in ("step", "epoch"):
            is_done = event["event"] == "epoch"
            self._activity.go_on("training", event["epoch"] - (not is_done), self._epochs, "epochs")
        if event["event"] == "step":
            log.info("  epoch %d: step %d of %d", event["epoch"], event["step"], event["steps"])
        elif event["event"] == "unfrozen":
            log.info("  epoch %d: the backbone learns too from here on", event["epoch"])
        elif event["event"] == "watch":
            log.warning("  %s", in_words(event))
        elif event["event"] == "epoch":
            log.info(self._epoch_line(event))

    def _epoch_line(self, row: EpochEvent) -> str:
        words = [f"epoch {row['epoch']:>3}/{row['epochs']}"]
        words.append(f"loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}")
        if "val_loss" in row:
            words.append(f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.4f}")
        words.append(f"{row['rows'] / max(row['train_seconds'], 1e-9):,.0f} rows/s")
        if (
            left := (row["epochs"] - row["epoch"]) * row["seconds"]
        ):  # after the last one the model is still to be judged
            words.append(f"{int(left // 60)}:{int(left % 60):02d} left")
        return "   ".join(words)
