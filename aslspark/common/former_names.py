"""Modules by the names that notebooks, models and users knew them by -> the modules that hold the same today.

In: the name of a module that was moved. Out: a module that passes on what is asked of it, and one line that names the
new one.
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
"""Old name -> new name, of all that README and notebooks showed and that files in the wild name."""

QUIET = ("aslspark.sources", "aslspark.sources.drawn", "aslspark.tracking_model")
"""On the way to others, which say it; and named by models that MLflow keeps, where nobody can change it."""

NAMES = {"aslspark.training.data": {"training_data": "aslspark.workflows.training_data"}}
"""By the module that had it: what was moved out of a module that stays."""


class FormerModules(MetaPathFinder, Loader):
    """Finds modules by their old names; asked last, when nothing else knows the name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer to the names of `MODULES` alone."""
        if fullname not in MODULES:
            return None
        holds_others = any(name.startswith(f"{fullname}.") for name in MODULES)
        return ModuleSpec(fullname, self, is_package=holds_others)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to Python to make an empty module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Let the module pass on whatever is asked of it."""
        old, new = module.__name__, MODULES[module.__name__]
        if old not in QUIET:
            warnings.warn(f"{old} is now {new}", FutureWarning, stacklevel=2)
        today = importlib.import_module(new)
        module.__doc__ = today.__doc__
        module.__dict__["__getattr__"] = lambda name: getattr(today, name)


def answer() -> None:
    """Let the old names be imported from now on."""
    if not any(isinstance(finder, FormerModules) for finder in sys.meta_path):
        sys.meta_path.append(FormerModules())


def moved_from(module: str) -> Callable[[str], Any]:
    """Make a module's `__getattr__`, which gives what was moved out of it."""

    def passed_on(name: str) -> Any:
        new = NAMES[module].get(name)
        if new is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now {new}.{name}", FutureWarning, stacklevel=2)
        return getattr(importlib.import_module(new), name)

    return passed_on
