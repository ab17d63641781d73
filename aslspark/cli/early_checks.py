"""What a job can tell before Spark starts: packages that are missing, paths that do not exist, an OUT that is there.

Spark takes ten seconds to start, and a typing error should not cost them. What cannot be told without Spark (tables of
its catalog, files of stores) is left to the job itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

from aslspark.bundle.boxed import boxed
from aslspark.bundle.files import require_folder, require_new
from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.command_line import nearest
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import on_databricks
from aslspark.common.settings import Config
from aslspark.data.files.table_endings import is_file_name

_NEEDED = {
    "keras": ("tensorflow", "tf2onnx", "h5py"),
    "torch": ("torch", "torchvision", "safetensors"),
}
"""What training in a framework imports."""
_TABLE = re.compile(r"[A-Za-z_]\w*(\.\w+){0,2}")
_GLOB = re.compile(r"[*?\[{]")


def require_packages(config: Config | None = None, *, trains: bool = False, others: Sequence[str] = ()) -> None:
    """See that what a job will import is installed.

    Parameters
    ----------
    trains : bool
        Whether it fits the network that `config` names.
    others : sequence of str
        Further modules.

    Raises
    ------
    ModuleNotFoundError
        Naming the module, as its import would; `aslspark.cli.jobs_support.run_job` says what to install.
    """
    needed = ["pyspark", *others]
    if config is not None and config.tracking.mlflow:
        needed.append("mlflow")
    if trains and config is not None and config.mllib.classifier == NO_CLASSIFIER:
        needed += _NEEDED[config.training.framework]
    for module in needed:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def require_network_settings(config: Config) -> None:
    """See that the settings of the network that is to be trained go together; see `check_network`."""
    if config.mllib.classifier == NO_CLASSIFIER:
        from aslspark.training.initial_weights import check_network

        check_network(config)


def require_paths(option: str, paths: Sequence[str], *, tables: bool = True) -> None:
    """See that paths exist, where they are of this machine.

    Parameters
    ----------
    tables : bool
        Whether a name may be that of a table in Spark's catalog.

    Raises
    ------
    AslsparkError
        Naming the option and the path, with the nearest name beside it.
    """
    for path in paths:
        place = _local(path, may_be_table=tables)
        if place is None or os.path.lexists(place):
            continue
        folder = Path(place).parent
        if not folder.is_dir():
            parent = next(part for part in folder.absolute().parents if part.is_dir())
            raise AslsparkError(f"{option} {path}: it does not exist; there is {parent}, and nothing of that below it")
        hint = nearest(Path(place).name, os.listdir(folder)) or "; name a file or folder that is there"
        table = f" (a table of Spark's catalog is table:{path})" if tables and _TABLE.fullmatch(path) else ""
        raise AslsparkError(f"{option} {path}: it does not exist{hint}{table}")


def require_bundles(option: str, bundles: Sequence[str]) -> None:
    """See that bundles are there, where they are of this machine; what is in them is checked when they are read.

    Raises
    ------
    AslsparkError
        As from `aslspark.bundle.files.read_bundle`.
    """
    for bundle in bundles:
        place = _local(boxed(bundle), may_be_table=False)
        if place is not None:
            require_folder(bundle, f"{option} ")


def require_new_out(out: str | None) -> None:
    """See that a folder that is to be made does not exist, where it is of this machine; see `require_new`."""
    if out is not None and _local(out, may_be_table=False) is not None:
        require_new(out)


def require_new_run(out: str, resume: bool) -> None:
    """See that a bundle can be made, and that a run for it which did not come to its end is asked for if it is there.

    Raises
    ------
    AslsparkError
        As from `require_new`, `alone` and `require_resumed`.
    """
    if _local(out, may_be_table=False) is None:
        return
    from aslspark.training.unfinished import alone, require_resumed, unfinished_folder

    path = require_new(out)
    folder = unfinished_folder(path)
    with alone(folder) if folder.exists() else nullcontext():
        require_resumed(path, resume)


def _local(path: str, *, may_be_table: bool) -> str | None:
    """Return a path as Python opens it; None where it may be a table's name, or lie in a store or another file system.

    With HADOOP_CONF_DIR plain paths may be of HDFS, and with SPARK_REMOTE they are the server's.
    """
    elsewhere = ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
    if on_databricks() or any(os.environ.get(name) for name in elsewhere):
        return None
    if path.startswith("file:"):
        return re.sub("^file:/*", "/", path)
    if re.match(r"^[a-z][a-z0-9+.-]+:", path) or _GLOB.search(path):
        return None
    if may_be_table and _TABLE.fullmatch(path) and not is_file_name(path):
        return None
    return path
