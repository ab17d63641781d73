"""Rules over a fit's history that stop it or warn, and what they saw, for the console and the model card.

In: a row an epoch, from sums over all ranks. Out: notes, the same on every rank. These lines are our own, since the
libraries that watch a training hook into one process of one framework and see neither the ranks' sums nor each other.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aslspark.models.fit_result import Alert, EpochRow

LOSS_TOO_HIGH = 5.0
"""Times the loss of guessing, which is the logarithm of the number of classes."""
NORM_TOO_HIGH = 100.0
"""Times the median of the epochs before."""
FLAT_EPOCHS = 5
"""Epochs in which the training loss has to fall below what it was before."""
FLAT_SHARE = 0.001
"""By what share of it."""
FLAT_ACCURACY = 0.99
"""From here on a loss that does not fall is one that has fallen."""
FAR_APART = 0.15
"""Share of pictures: training accuracy less validation accuracy."""
LEARNING_SHARE = 0.05
"""By what share of it the validation loss falls in two epochs that both better it, where there is more to learn."""

History = Sequence[EpochRow]


@dataclass(frozen=True)
class Rule:
    """What is looked for at the end of an epoch."""

    name: str
    stops: bool
    sees: Callable[[History, int], str | None]
    """From the history and the number of classes, what is wrong with the last epoch, in words; None: nothing."""
    advice: str
    """The settings that are likely to help."""
    at_end: bool = False
    """Whether it is of the last epoch that the settings allow, and of no other."""


def new_notes(history: History, classes: int, *, is_last: bool = False) -> list[Alert]:
    """Judge the last epoch.

    A rule that went off in the epoch before as well is not noted again; of one that stops, nothing else is noted, since
    it explains the rest.
    """
    notes: list[Alert] = []
    for rule in RULES:
        if rule.at_end and not is_last:
            continue
        seen = rule.sees(history, classes)
        if seen is not None and (rule.at_end or len(history) == 1 or rule.sees(history[:-1], classes) is None):
            note: Alert = {"rule": rule.name, "epoch": history[-1]["epoch"], "seen": seen, "stopped": rule.stops}
            if rule.stops:
                return [note]
            notes.append(note)
    return notes


def in_words(note: Alert) -> str:
    """Put a note and what would help into one line."""
    advice = next(rule.advice for rule in RULES if rule.name == note["rule"])
    stopped = ", so the training was stopped" if note["stopped"] else ""
    return f"epoch {note['epoch']}: {note['rule']}: {note['seen']}{stopped}; try {advice}"


def not_finite(history: History, classes: int) -> str | None:
    """See numbers that overflowed; every weight is lost with them."""
    row = history[-1]
    values = {"loss": row["loss"], "gradient_norm": row["gradient_norm"], "val_loss": row.get("val_loss")}
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            return f"{name} was {value}"
    return None


def no_gradient(history: History, classes: int) -> str | None:
    """See an epoch in which no step had a gradient: it goes on as it is for ever."""
    return "the gradient was 0 in every step" if history[-1]["gradient_norm"] == 0 else None


def exploding(history: History, classes: int) -> str | None:
    """See a loss far above that of guessing, or gradients far above those of the epochs before."""
    row = history[-1]
    guessing = math.log(max(classes, 2))
    if row["loss"] > LOSS_TOO_HIGH * guessing:
        return f"the loss was {row['loss']:.3g}, where guessing has {guessing:.3g}"
    before = [earlier["gradient_norm"] for earlier in history[:-1] if earlier["gradient_norm"]]
    if before and (row["gradient_norm"] or 0.0) > NORM_TOO_HIGH * statistics.median(before):
        return f"the gradient's norm was {row['gradient_norm']:.3g}, before {statistics.median(before):.3g}"
    return None


def loss_not_falling(history: History, classes: int) -> str | None:
    """See a training loss that has not fallen for some epochs, though pictures are still read wrongly."""
    losses = [row["loss"] for row in history]
    if len(losses) <= FLAT_EPOCHS or history[-1]["accuracy"] >= FLAT_ACCURACY:
        return None
    before, since = min(losses[:-FLAT_EPOCHS]), min(losses[-FLAT_EPOCHS:])
    if since < before * (1 - FLAT_SHARE):
        return None
    return f"the loss was {since:.4g} at best in {FLAT_EPOCHS} epochs, {before:.4g} before"


def far_apart(history: History, classes: int) -> str | None:
    """See a network that reads what it has learned from, and not what is held out."""
    row = history[-1]
    if row["accuracy"] - row.get("val_accuracy", row["accuracy"]) <= FAR_APART:
        return None
    return f"{row['accuracy']:.1%} of the training samples were right, {row['val_accuracy']:.1%} of the validation"


def one_answer(history: History, classes: int) -> str | None:
    """See the same answer to every validation sample, from the second epoch on: BatchNorm's means come later."""
    everything = classes > 1 and len(history) > 1 and history[-1].get("val_commonest") == 1.0
    return "every validation sample got the same answer" if everything else None


def still_learning(history: History, classes: int) -> str | None:
    """See a validation loss that was falling when the epochs were over: the network could be better than it is."""
    losses = [row["val_loss"] for row in history if "val_loss" in row]
    if len(losses) < 3 or history[-1].get("val_accuracy", 1.0) >= FLAT_ACCURACY:
        return None
    *before, middle, last = losses
    if not last < middle < min(before) or last > before[-1] * (1 - LEARNING_SHARE):
        return None
    return f"val_loss was still falling: {before[-1]:.4g}, {middle:.4g} and {last:.4g} in the last three epochs"


RULES = (
    Rule(
        "not_finite",
        True,
        not_finite,
        "a lower training.learning_rate (it is multiplied by num_proc), training.clip_norm=1, "
        "training.precision=float32",
    ),
    Rule(
        "no_gradient",
        True,
        no_gradient,
        "a lower training.learning_rate (it is multiplied by num_proc), other network.weights",
    ),
    Rule("exploding", False, exploding, "a lower training.learning_rate, training.clip_norm=1"),
    Rule("loss_not_falling", False, loss_not_falling, "another training.learning_rate, a larger network.name"),
    Rule(
        "far_apart",
        False,
        far_apart,
        "more data, stronger augment settings, network.dropout, training.optimizer=adamw with weight_decay",
    ),
    Rule("one_answer", False, one_answer, "a lower training.learning_rate, more epochs, training.balance_sources"),
    Rule("still_learning", False, still_learning, "more training.epochs", at_end=True),
)
