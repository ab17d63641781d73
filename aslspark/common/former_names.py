"""Former module names, which notebooks, saved models and users' code still use -> the modules of today.

In: the former name of a module. Out: a module that forwards to today's, and a warning of one line that names it.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES = {
    "aslspark.config": "aslspark.common.settings",
    "aslspark.decoding": "aslspark.images.decoding",
    "aslspark.evaluation.comparison": "aslspark.workflows.compare",
    "aslspark.evaluation.cross_validation": "aslspark.workflows.cross_validate",
    "aslspark.evaluation.shown": "aslspark.evaluation.sample_pictures",
    "aslspark.notebook": "aslspark.cli.notebook",
    "aslspark.paths": "aslspark.common.paths",
    "aslspark.samples": "aslspark.data.samples",
    "aslspark.sources": "aslspark.data",
    "aslspark.sources.drawn": "aslspark.data.synthetic",
    "aslspark.sources.drawn.files": "aslspark.data.synthetic.files",
    "aslspark.sources.to_score": "aslspark.scoring.unlabelled",
    "aslspark.tracking_model": "aslspark.registry.tracking_model",
    "aslspark.training.job": "aslspark.workflows.train",
    "aslspark.tuning.search": "aslspark.workflows.tune",
}
"""Former name -> today's name, of the modules that README, notebooks or saved models named."""

QUIET = ("aslspark.sources", "aslspark.sources.drawn", "aslspark.tracking_model")
"""Without a warning: packages of other former names, which warn; and a name in MLflow's models, which nobody edits."""

NAMES = {"aslspark.training.data": {"training_data": "aslspark.workflows.training_data"}}
"""Names that were moved out of a module that stays: module -> name -> today's module."""


class FormerModules(MetaPathFinder, Loader):
    """Finds modules by their former names, after all other finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the modules in `MODULES`."""
        if fullname not in MODULES:
            return None
        holds_others = any(name.startswith(f"{fullname}.") for name in MODULES)
        return ModuleSpec(fullname, self, is_package=holds_others)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let Python make an empty module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Forward every attribute of the module to today's."""
        old, new = module.__name__, MODULES[module.__name__]
        if old not in QUIET:
            warnings.warn(f"{old} is now {new}", FutureWarning, stacklevel=2)
        today = importlib.import_module(new)
        module.__doc__ = today.__doc__
        module.__dict__["__getattr__"] = lambda name: getattr(today, name)


def install() -> None:
    """Make the former names importable."""
    if not any(isinstance(finder, FormerModules) for finder in sys.meta_path):
        sys.meta_path.append(FormerModules())


def warn_of_former(old: str, new: str) -> None:
    """Name today's name to whoever calls the function that calls this."""
    warnings.warn(f"{old} is now {new}", FutureWarning, stacklevel=3)


def moved_from(module: str) -> Callable[[str], Any]:
    """Make a module's `__getattr__` that forwards the names in `NAMES`."""

    def forward(name: str) -> Any:
        new = NAMES[module].get(name)
        if new is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now {new}.{name}", FutureWarning, stacklevel=2)
        return getattr(importlib.import_module(new), name)

    return forward
