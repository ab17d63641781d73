"""What the jobs share: options that become settings, and errors that become one line."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TextIO

from aslspark.common.catalog import READS
from aslspark.common.errors import AslsparkError
from aslspark.common.log_output import RESULT, show_log
from aslspark.common.progress import doing
from aslspark.common.redacted_files import redacted_json
from aslspark.common.redaction import mask_record, masked_console
from aslspark.common.settings import ColumnConfig, Config, load_config
from aslspark.common.terminal_line import line_set_aside, take_terminal_of_spark_submit

LONGEST_START = 600.0
"""Seconds from a command to Python's first line, at most; a process that began before that is no start of a command."""
EXTRAS = {
    "spark": ("pyspark", "py4j"),
    "torch": ("torch", "torchvision", "safetensors"),
    "tensorflow": ("tensorflow", "tf2onnx", "h5py"),
    "tune": ("optuna", "sqlalchemy"),
    "mlflow": ("mlflow",),
    "serve": ("fastapi", "starlette", "pydantic", "uvicorn", "websockets", "multipart", "prometheus_client"),
}
"""The extras of setup.py, but for the empty one -> the modules that come with each of them alone."""


def run_job(main: Callable[[Sequence[str]], None]) -> None:
    """Run a job's `main` on the arguments of the command line, and exit with its code.

    An `AslsparkError` becomes one line on standard error and exit code 2; Ctrl-C is exit code 130. Keys and passwords
    in what Python prints, tracebacks included, are masked.
    """
    take_terminal_of_spark_submit()
    with masked_console():
        _run(main)


def _run(main: Callable[[Sequence[str]], None]) -> None:
    start_logging()
    try:
        # What is imported, and looked at, before any work has a name of its own.
        with doing(_command(), began=_began()):
            main(sys.argv[1:])
    except AslsparkError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if (line := not_installed(error)) is None:
            _print_traceback()
            sys.exit(1)
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # a traceback, in which keys and passwords are masked
        if _was_interrupted(error):
            print("error: interrupted", file=sys.stderr)
            sys.exit(130)
        _print_traceback()
        sys.exit(1)
    finally:
        gc.freeze()  # Python collects garbage as it exits: 1.0 s with Horovod's Keras estimator


def _command() -> str:
    """Return what is run, as its user calls it: ``train-cnn``, or ``train_cnn`` of a job's file."""
    script = Path(sys.argv[0])
    is_job = script.suffix == ".py" and script.name != "__main__.py"
    return script.stem if is_job else next((word for word in sys.argv[1:] if word[:1] != "-"), "aslspark")


def _began() -> float:
    """Return when the command was called, by `time.monotonic`: spark-submit starts Java before it starts Python."""
    caller = os.getppid() if "PYSPARK_GATEWAY_PORT" in os.environ else os.getpid()
    now = time.monotonic()
    try:
        after_its_name = Path(f"/proc/{caller}/stat").read_bytes().rpartition(b")")[2].split()
        ago = time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_its_name[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError, ValueError):  # another system
        return now
    return now - ago if 0 <= ago <= LONGEST_START else now


def _was_interrupted(error: BaseException) -> bool:
    """Tell whether an error came of cleaning up after Ctrl-C, which ends spark-submit's JVM as well."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__context__
    return cause is not None


def not_installed(error: ModuleNotFoundError) -> str | None:
    """Name the extra to install for a missing module, in one line; None where no extra brings it."""
    module = (error.name or "").split(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
    if extra is None:
        return None
    hint = "; a cluster brings its own" if extra == "spark" else ""
    return f"{module} is not installed; pip install aslspark[{extra}]{hint}"


def _print_traceback() -> None:
    print(traceback.format_exc(), file=sys.stderr)


def start_logging() -> None:
    """Show the package's log on standard output, and of other libraries errors alone."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s", handlers=[_Console(sys.stdout)])
    for handler in logging.getLogger().handlers:
        handler.addFilter(mask_record)  # other libraries log keys, too
        handler.addFilter(_is_not_raised_too)
    show_log()


def _is_not_raised_too(record: logging.LogRecord) -> bool:
    """Leave out what py4j logs with its whole stack, by the root logger, before it raises it."""
    return f"{os.sep}py4j{os.sep}" not in record.pathname


class _Console(logging.StreamHandler[TextIO]):
    """Writes above the line that says how far the work is."""

    def emit(self, record: logging.LogRecord) -> None:
        with line_set_aside():
            super().emit(record)


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add `--data` of the jobs that train."""
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="PATH", help="raw sources or one ingested folder; none: drawn hands"
    )


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add `--data`, `--test-data` and `--out`, which the jobs that train one model take."""
    add_data_option(parser)
    parser.add_argument(
        "--test-data", nargs="+", default=[], metavar="PATH", help="raw sources that are only tested on"
    )
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="folder to make; must not exist")


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, `--set`, `--quiet` and `--json`, which every job that has settings takes; see `print_result`."""
    parser.add_argument("--config", metavar="YAML", help="settings, for example conf/cluster.yaml")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="single settings, for example training.epochs=15; aslspark settings lists them",
    )
    parser.add_argument("--quiet", action="store_true", help="show results and warnings alone")
    add_json_option(parser)


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add `--json`; see `print_result`."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON, as the last line")


def print_result(options: argparse.Namespace, result: Any) -> None:
    """Print a job's result for a program where --json asks for it: one JSON object, the last line of standard output.

    Parameters
    ----------
    options : argparse.Namespace
        With `json`.
    result : dataclass, or what JSON can hold
        As the job's function returns it.
    """
    if options.json:
        value = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
        with line_set_aside():
            print(redacted_json(value), flush=True)


def add_column_options(parser: argparse.ArgumentParser) -> None:
    """Add what the columns of tables are called."""
    for setting in fields(ColumnConfig):
        about = f"what tables call the column: {setting.metadata['meaning']}"
        parser.add_argument(f"--{setting.name}-column", metavar="NAME", help=about)


def columns_of(options: argparse.Namespace) -> dict[str, object]:
    """Return the settings that the options of `add_column_options` gave."""
    names = [setting.name for setting in fields(ColumnConfig)]
    return {f"columns.{name}": getattr(options, f"{name}_column") for name in names}


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add what jobs that train a network take: four settings by names of their own, `--config` and `--set`."""
    parser.add_argument("--framework", metavar="NAME", help="keras or torch")
    parser.add_argument("--launcher", metavar="NAME", help="horovod, or torch: what averages gradients")
    parser.add_argument("--num-proc", metavar="N", help="processes that train side by side")
    parser.add_argument("--epochs", metavar="N")
    add_config_options(parser)


def training_config(options: argparse.Namespace, named: Mapping[str, object] | None = None) -> Config:
    """Build the settings of a job with `add_training_options`; `named` are settings that other options gave."""
    names = ("framework", "launcher", "num_proc", "epochs")
    return config_from(options, {**(named or {}), **{f"training.{name}": getattr(options, name) for name in names}})


def add_classifier_options(parser: argparse.ArgumentParser) -> None:
    """Add the settings of MLlib's classifiers that have names of their own; the others are `mllib.*`."""
    parser.add_argument(
        "--features", choices=tuple(READS), help="what it reads; landmarks need hands.on (default picture)"
    )
    parser.add_argument("--trees", metavar="N", help="of the forest (default 50)")
    parser.add_argument("--depth", metavar="N", help="of the trees of forest and boosted (default 8)")
    parser.add_argument("--hidden", nargs="+", metavar="N", help="units of mlp's hidden layers (default 256)")
    parser.add_argument("--iterations", metavar="N", help="of the solver of mlp and logistic (default 100)")


def classifier_settings(options: argparse.Namespace) -> dict[str, object]:
    """Return the settings that `--model` and the options of `add_classifier_options` gave."""
    return {
        "mllib.classifier": options.model,
        "mllib.reads": options.features,
        "mllib.trees": options.trees,
        "mllib.depth": options.depth,
        # Quoted: YAML would take one layer for a number.
        "mllib.hidden": repr(",".join(options.hidden)) if options.hidden else None,
        "mllib.iterations": options.iterations,
    }


def config_from(options: argparse.Namespace, named: dict[str, object]) -> Config:
    """Build the settings: file, then options with a name of their own, then `--set`.

    Parameters
    ----------
    options : argparse.Namespace
        With `config`, `set` and `quiet`, which also decides what is logged from here on.
    named : dict
        Setting -> the value that an option gave; None where it was not given.
    """
    if options.quiet:
        logging.getLogger("aslspark").setLevel(RESULT)
    overrides = [f"{key}={value}" for key, value in named.items() if value is not None]
    return load_config(options.config, [*overrides, *options.set])
