"""Counts of a batch and a reference profile -> statistics of drift, each with the limit that chance explains.

In: the number of a batch's rows in each bin. Out: statistics with their limits.

The limits come from the profile itself. Batches of the same size are drawn with replacement from one part of the
reference (a signer, a run of a film's frames) and compared with all other parts. So the limits cover chance as well as
the differences between parts of the same data. All statistics are calibrated together, by the largest of them in each
drawn batch (Westfall and Young, Resampling-Based Multiple Testing, Wiley 1993): the alarm rate is the share of clean
batches, not of statistics, that raise an alarm. Large clean batches raise fewer, since the difference between two parts
includes what chance did to each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aslspark.monitoring.measures import ANSWER, CONFIDENCE, FLAGS
from aslspark.monitoring.profile import NONE, Ints, Profile

RESAMPLES = 4000
"""Batches that are drawn to calibrate the limits."""
LEAST_ROWS = 50
"""Smaller batches are not judged."""
PSI_BINS = 8
"""A measure's bins are joined into so many for the stability index, which grows where bins hold few rows."""

Floats = npt.NDArray[np.float64]

_OF_ANSWERS = (CONFIDENCE, ANSWER, *FLAGS)
"""Measures of what the model answers; the others are of pictures."""

_HIGH_QUANTILE = 0.99
"""Its distance from the median is the width by which a statistic is scaled."""
_LEAST_WIDTH = {"psi": 0.01, "ks": 0.01, "gap": 2.58}
"""For a statistic that is constant in the reference, so that one odd row is no drift. 2.58 is the 99 % quantile of a
normal deviate's absolute value, which is how a gap is distributed."""


@dataclass(frozen=True)
class Statistic:
    """One comparison of a batch with the reference."""

    value: float
    limit: float

    @property
    def alarm(self) -> bool:
        """Whether the value is above its limit."""
        return self.value > self.limit


def histogram(bins: Ints, size: int) -> Ints:
    """Count rows by bin; rows without a bin are left out."""
    return np.bincount(bins[bins != NONE], minlength=size)


def psi(batch: Floats, reference: Floats) -> Floats:
    """Return the population stability index, sum (p - q) ln(p / q) over the bins.

    Siddiqi, Credit Risk Scorecards, Wiley 2006. Half a row is added to each bin, so that empty bins count.

    Parameters
    ----------
    batch, reference : ndarray, shape (..., bins)
        Counts.

    Returns
    -------
    ndarray, shape (...)
    """
    p, q = batch + 0.5, reference + 0.5
    p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
    return ((p - q) * np.log(p / q)).sum(axis=-1)


def kolmogorov_smirnov(batch: Floats, reference: Floats) -> Floats:
    """Return the largest difference between the two cumulative shares at the edges of the bins; 0 where one is empty.

    Parameters and result as of `psi`.
    """
    n, m = batch.sum(axis=-1, keepdims=True), reference.sum(axis=-1, keepdims=True)
    differences = np.abs(batch.cumsum(axis=-1) / np.maximum(n, 1) - reference.cumsum(axis=-1) / np.maximum(m, 1))
    return np.where((n > 0) & (m > 0), differences, 0.0).max(axis=-1)


def gap(batch: Floats, reference: Floats) -> Floats:
    """Return the largest deviation of a single bin's share: the root of the G statistic of the bin against the rest.

    Without a change, each bin's root is distributed like the absolute value of a normal deviate (Wilks 1938). Unlike a
    difference of shares, it shows that a small class is missing.

    Parameters and result as of `psi`.
    """
    n, m = batch.sum(axis=-1, keepdims=True), reference.sum(axis=-1, keepdims=True)
    share = (batch + reference) / np.maximum(n + m, 1)

    def part(count: Floats, expected: Floats) -> Floats:
        return np.where(count > 0, count * np.log(np.maximum(count, 1e-12) / np.maximum(expected, 1e-12)), 0.0)

    g = part(batch, n * share) + part(n - batch, n * (1 - share))
    g += part(reference, m * share) + part(m - reference, m * (1 - share))
    return np.sqrt(np.maximum(2 * g, 0)).max(axis=-1)


def statistics(name: str, batch: Floats, reference: Floats) -> dict[str, Floats]:
    """Compare the counts of one measure, of `ANSWER` or of one flag.

    Parameters
    ----------
    batch, reference : ndarray, shape (..., bins)

    Returns
    -------
    dict of str to ndarray, shape (...)
        Name of the measure and of the statistic to its value.
    """
    if name in FLAGS:
        return {f"{name} gap": gap(batch, reference)}
    if name == ANSWER:
        return {f"{name} psi": psi(batch, reference), f"{name} gap": gap(batch, reference)}
    starts = np.unique(np.arange(PSI_BINS) * batch.shape[-1] // PSI_BINS)
    joined = [np.add.reduceat(counts, starts, axis=-1) for counts in (batch, reference)]
    return {f"{name} psi": psi(*joined), f"{name} ks": kolmogorov_smirnov(batch, reference)}


class Comparison:
    """Compares batches with a profile at one alarm rate.

    Parameters
    ----------
    alarm_rate : float
        The share of clean batches that may raise an alarm, above 0 and below 1.
    """

    def __init__(self, profile: Profile, alarm_rate: float) -> None:
        self.profile, self.alarm_rate = profile, alarm_rate
        self._sizes = profile.sizes()
        self._limits: dict[tuple[int, tuple[str, ...]], dict[str, float]] = {}

    def statistics(self, counts: Mapping[str, Ints], rows: int) -> dict[str, Statistic]:
        """Compare a batch.

        Parameters
        ----------
        counts : mapping of str to ndarray
            Measure to rows in each bin, for those measures that the batch has; see `Profile.sizes`.
        rows : int
            At least `LEAST_ROWS`.
        """
        # Without held-out rows the profile does not say how the model answers new pictures.
        unknown = () if self.profile.held_out else _OF_ANSWERS
        names = tuple(name for name in self._sizes if name in counts and name not in unknown)
        limits = self.limits(rows, names)
        values: dict[str, Floats] = {}
        for name in names:
            reference = histogram(self.profile.bins[name], self._sizes[name]).astype(np.float64)
            values |= statistics(name, counts[name].astype(np.float64), reference)
        return {name: Statistic(float(value), limits[name]) for name, value in values.items()}

    def limits(self, rows: int, names: tuple[str, ...]) -> dict[str, float]:
        """Return the limit of each statistic for batches of so many rows.

        The number is rounded down to two digits, so that limits are computed once for similar batches; those of smaller
        batches are wider.
        """
        step = 10 ** max(len(str(rows)) - 2, 0)
        key = (rows // step * step, names)
        if key not in self._limits:
            self._limits[key] = self._calibrate(*key)
        return self._limits[key]

    def _calibrate(self, rows: int, names: tuple[str, ...]) -> dict[str, float]:
        drawn: dict[str, Floats] = {}
        random = np.random.default_rng(0)
        answers = tuple(name for name in names if name in _OF_ANSWERS)
        pictures = tuple(name for name in names if name not in answers)
        # Training rows show what pictures are like, but not how the model answers new ones.
        for parts, measures in ((self.profile.parts, pictures), (self.profile.held_out, answers)):
            drawn |= self._resample(rows, parts, measures, random)
        median = {name: float(np.median(values)) for name, values in drawn.items()}
        width = {
            name: max(float(np.quantile(values, _HIGH_QUANTILE)) - median[name], _LEAST_WIDTH[name.split()[-1]])
            for name, values in drawn.items()
        }
        largest = np.max([(values - median[name]) / width[name] for name, values in drawn.items()], axis=0)
        limit = float(np.quantile(largest, 1 - self.alarm_rate))
        return {name: median[name] + limit * width[name] for name in drawn}

    def _resample(
        self, rows: int, parts: tuple[str, ...], names: tuple[str, ...], random: np.random.Generator
    ) -> dict[str, Floats]:
        """Draw `RESAMPLES` batches, and compare each with the parts that it is not drawn from."""
        profile = self.profile
        drawn: dict[str, list[Floats]] = {}
        for number, part in enumerate(parts):
            is_part = profile.part_of == profile.parts.index(part)
            inside, outside = np.flatnonzero(is_part), np.flatnonzero(~is_part)
            times = (RESAMPLES * (number + 1)) // len(parts) - (RESAMPLES * number) // len(parts)
            # With replacement: without it, every batch would have the even shares of letters that the part was cut to.
            chosen = random.multinomial(rows, np.full(len(inside), 1 / len(inside)), size=times).astype(np.float32)
            for name in names:
                bins, size = profile.bins[name], self._sizes[name]
                of_rows = (bins[inside][:, None] == np.arange(size)).astype(np.float32)
                rest = histogram(bins[outside], size)
                if not rest.sum():  # no other part has the measure, so that the limit covers chance alone
                    rest = histogram(bins[inside], size)
                for statistic, values in statistics(
                    name, (chosen @ of_rows).astype(np.float64), rest.astype(np.float64)
                ).items():
                    drawn.setdefault(statistic, []).append(values)
        order = random.permutation(RESAMPLES)  # so that draws of pictures and of answers are not paired by part
        return {statistic: np.concatenate(values)[order] for statistic, values in drawn.items()}
