"""Shows the log of the package on standard output, for callers that have not set up logging themselves."""

from __future__ import annotations

import logging
import os

from aslspark.common.redaction import say

RESULT = logging.INFO + 5
"""The level of what a job came to: ``--quiet`` shows it, and what is worse, alone."""
logging.addLevelName(RESULT, "RESULT")  # for a caller's own format, which would say "Level 25"


class _Printer(logging.Handler):
    """Prints records where no handler of the root logger writes them."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            say(self.format(record))  # standard output of this moment: notebooks and tests replace it


def show_log() -> None:
    """Show what the package logs, from INFO on, unless the caller has set a level for the logger "aslspark".

    ``logging.getLogger("aslspark").setLevel("WARNING")`` silences all but warnings. TensorFlow shows warnings alone,
    unless ``TF_CPP_MIN_LOG_LEVEL`` says otherwise: its start-up lines say nothing about a job.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read once, when TensorFlow is first imported
    logger = logging.getLogger("aslspark")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
        logger.addHandler(_Printer())
