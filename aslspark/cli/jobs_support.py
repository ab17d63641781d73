"""What every job does around its own work: settings from the command line, errors as one line."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence

from aslspark.common.catalog import READS
from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import mask_record, masked_console
from aslspark.common.settings import Config, load_config

EXTRAS = {
    "spark": ("pyspark", "py4j"),
    "torch": ("torch", "torchvision", "safetensors"),
    "tensorflow": ("tensorflow", "tf2onnx", "h5py"),
    "hands": ("mediapipe", "cv2"),
    "tune": ("optuna", "sqlalchemy"),
    "mlflow": ("mlflow",),
    "serve": ("fastapi", "starlette", "pydantic", "uvicorn", "websockets", "multipart", "prometheus_client"),
}
"""The extras of setup.py, and the modules that each of them brings and no other part of the package needs."""


def run_job(main: Callable[[Sequence[str]], None]) -> None:
    """Run a job's `main` on the command line's words and leave with a fitting exit code.

    An `AslsparkError` becomes one line on standard error and exit code 2; Ctrl-C is exit code 130. Keys and passwords
    in what Python prints, tracebacks included, are masked.
    """
    with masked_console():
        _run(main)


def _run(main: Callable[[Sequence[str]], None]) -> None:
    start_logging()
    try:
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
    except Exception:  # not foreseen: the traceback helps, the keys in its paths would not
        _print_traceback()
        sys.exit(1)
    finally:
        gc.freeze()  # Python looks through everything as it ends: 1.0 s where Horovod's Keras estimator is


def not_installed(error: ModuleNotFoundError) -> str | None:
    """Say in one line which of the package's extras brings a module that is missing; None where none does."""
    module = (error.name or "").split(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
    if extra is None:
        return None
    hint = "; a cluster brings its own" if extra == "spark" else ""
    return f"{module} is not installed; pip install aslspark[{extra}]{hint}"


def _print_traceback() -> None:
    print(traceback.format_exc(), file=sys.stderr)


def start_logging() -> None:
    """Let the package say on standard output what it does, and TensorFlow nothing but warnings."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stdout)
    for handler in logging.getLogger().handlers:
        handler.addFilter(mask_record)  # of libraries, too
    logging.getLogger("aslspark").setLevel(logging.INFO)
    # Set before TensorFlow is first imported: its start-up lines say nothing about this job.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add `--data`, `--test-data` and `--out`, which every training job takes."""
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="PATH", help="raw sources or one ingested folder; none: drawn hands"
    )
    parser.add_argument(
        "--test-data", nargs="+", default=[], metavar="PATH", help="raw sources that are only tested on"
    )
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="folder to make; must not exist")


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add `--config` and `--set`, which every job that has settings takes."""
    parser.add_argument("--config", metavar="YAML", help="settings, for example conf/cluster.yaml")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="single settings, for example training.epochs=15",
    )


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add what jobs that train a network take: four settings by names of their own, `--config` and `--set`."""
    parser.add_argument("--framework", metavar="NAME", help="keras or torch")
    parser.add_argument("--launcher", metavar="NAME", help="horovod, or torch: what averages gradients")
    parser.add_argument("--num-proc", metavar="N", help="processes that train side by side")
    parser.add_argument("--epochs", metavar="N")
    add_config_options(parser)


def training_config(options: argparse.Namespace, named: Mapping[str, object] | None = None) -> Config:
    """Build the settings of a job with `add_training_options`; `named` are those of other options, by setting."""
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


def classifier_words(options: argparse.Namespace) -> dict[str, object]:
    """Return the settings that the options of `add_classifier_options`, and `--model`, give."""
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
        With `config` and `set`.
    named : dict
        Setting to value, of the options that were given (None: it was not).
    """
    words = [f"{key}={value}" for key, value in named.items() if value is not None]
    return load_config(options.config, [*words, *options.set])
