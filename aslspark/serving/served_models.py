"""The models that one service serves side by side: the paths of bundles -> a holder of each, by its name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from aslspark.bundle.boxed import boxed
from aslspark.common.command_line import nearest
from aslspark.common.errors import AslsparkError
from aslspark.common.store_path import StorePath, any_path
from aslspark.serving.limits import Refused
from aslspark.serving.model_holder import RETRYING, WATCHING, ModelHolder


class ServedModels:
    """Holds one model or several; who names none gets the first.

    Parameters
    ----------
    paths : sequence of str
        Bundles, or links to them. A model's name is that of its folder or link.
    pixels : int
        The most pixels of a picture.
    looks : int, optional
        How often a hand is looked at; None: as each bundle says.

    Raises
    ------
    AslsparkError
        Where one cannot be served, or two have the same name.
    """

    def __init__(self, paths: Sequence[str], *, pixels: int, looks: int | None = None) -> None:
        self._holders: dict[str, ModelHolder] = {}
        for path in paths:
            name = _name_of(path)
            if name in self._holders:
                raise AslsparkError(
                    f"--model {path}: another one is called {name}, too; name links to them that differ, such as "
                    f"those of ln -s {path} {name}-2"
                )
            self._holders[name] = ModelHolder(boxed(path), pixels=pixels, looks=looks)

    @property
    def names(self) -> list[str]:
        """The models' names, the first one's first."""
        return list(self._holders)

    @property
    def holders(self) -> list[ModelHolder]:
        """The holder of each."""
        return list(self._holders.values())

    def holder(self, name: str | None = None) -> ModelHolder:
        """Return the holder of a model.

        Raises
        ------
        Refused
            404 where none has this name.
        """
        if name is None:
            return self.holders[0]
        if name not in self._holders:
            hint = nearest(name, self._holders) or f"; there are {', '.join(self._holders)}"
            raise Refused(404, f"model={name}: it is not served here{hint}")
        return self._holders[name]

    @property
    def state(self) -> str:
        """The outcome of the last looks for other bundles; one of `model_holder.STATES`."""
        return RETRYING if any(holder.state == RETRYING for holder in self.holders) else WATCHING

    @property
    def failures(self) -> int:
        """Tries of bundles that could not be read."""
        return sum(holder.failures for holder in self.holders)

    @property
    def switches(self) -> int:
        """Exchanges of models."""
        return sum(holder.switches for holder in self.holders)

    @property
    def looked(self) -> float:
        """When the path was looked at that has not been for longest, by `time.monotonic`."""
        return min(holder.looked for holder in self.holders)

    @property
    def since(self) -> float:
        """When the latest model was loaded, in seconds since 1970."""
        return max(holder.current.since for holder in self.holders)

    def check(self, *, at_once: bool = True) -> bool:
        """Look at each path; see `ModelHolder.check`. Returns whether a model was exchanged."""
        return any([holder.check(at_once=at_once) for holder in self.holders])


def _name_of(path: str) -> str:
    place = any_path(path)
    return place.name if isinstance(place, StorePath) else os.path.basename(os.path.abspath(path))
