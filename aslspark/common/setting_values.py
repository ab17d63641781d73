"""How a setting is declared; and a value for it, of YAML or a command line -> the value of its type, or an error."""

from __future__ import annotations

import contextlib
import difflib
import functools
import logging
from collections.abc import Iterable
from dataclasses import Field, field, fields
from typing import Any

from aslspark.common.errors import AslsparkError

log = logging.getLogger("aslspark")


def setting(default: Any, meaning: str, **checks: Any) -> Any:
    """Make a setting: `choices`, or `least` and `most` (both included), bound what it may hold.

    `upto` names another setting of the section, which must not be lower; `before` maps what a choice was called to what
    it is called now. `resumable`: a run that is resumed may have another value than it began with. `built`: of it is
    made what an estimator is given ready-made (network, optimizer, weights of sources, launcher); all other settings of
    training, network and features are params of the estimators.
    """
    return field(default=default, metadata={"meaning": meaning, **checks})


def leaves(tree: dict[Any, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the whole name and the value of each setting of nested dictionaries, as YAML reads them."""
    for key, value in tree.items():
        name = f"{prefix}{'on' if key is True else key}"  # YAML takes a bare `on` for true
        if isinstance(value, dict):
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def checked_value(declared: Field[Any], key: str, value: Any, where: str) -> Any:
    """Return what a setting becomes by a value.

    Parameters
    ----------
    declared : Field
        Made by `setting`.
    key : str
        The setting's whole name.
    value : object
        As YAML reads it.
    where : str
        Opens errors.

    Raises
    ------
    AslsparkError
        For a wrong type or a value out of range; it names the key, the value and what would work.
    """
    kind = type(declared.default)
    if kind is float and not isinstance(value, bool):
        with contextlib.suppress(TypeError, ValueError):
            value = float(value)  # YAML reads 1e-3 as a word
    if kind is str and type(value) is int:
        value = str(value)  # and 64, a list of one, as a number
    if kind is str and value is None:
        value = ""  # and `channels=`, the default given back, as nothing
    if type(value) is not kind:
        wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}[kind]
        raise AslsparkError(f"{where}{key}={value}: expected {wanted}, for example {key}={_example(declared.default)}")
    if value in (before := declared.metadata.get("before", {})):
        say_once(f"{key}={value} is called {before[value]} now")
        value = before[value]
    choices = declared.metadata.get("choices")
    if choices and value not in choices:
        names = [str(choice) for choice in choices]
        near = difflib.get_close_matches(str(value), names, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}"
        raise AslsparkError(f"{where}{key}={value}: {hint}")
    least, most = declared.metadata.get("least"), declared.metadata.get("most")
    if (least is not None and not value >= least) or (most is not None and not value <= most):
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise AslsparkError(f"{where}{key}={value}: out of range; it may be {bounds}")
    return value


def check_ranges(config: Any) -> None:
    """Check the settings that bound another one of their section."""
    for section in fields(config):
        values = getattr(config, section.name)
        for declared in fields(values):
            other = declared.metadata.get("upto")
            if other and getattr(values, declared.name) > getattr(values, other):
                raise AslsparkError(
                    f"{section.name}.{declared.name}={getattr(values, declared.name)}: out of range; it may be at most "
                    f"{section.name}.{other}, which is {getattr(values, other)}"
                )


@functools.cache
def say_once(words: str) -> None:
    """Log a warning, the first time that it is given."""
    log.warning("%s", words)


def _example(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
