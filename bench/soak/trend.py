"""Whether a figure grows, judged so that noise and single peaks do not decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

MIN_SAMPLES = 12


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much a figure may grow: the larger of the two."""

    absolute: float
    share: float = 0.0


class Trend(NamedTuple):
    """One figure over the run."""

    before: float
    """Median of the first third of the samples."""
    after: float
    """Median of the last third."""
    largest: float
    allowed: float
    """The largest growth that is none."""

    @property
    def grows(self) -> bool:
        return self.after - self.before > self.allowed


def trend(samples: Sequence[float], tolerance: Tolerance) -> Trend:
    """Compare the medians of the first and the last third of `samples`, in order of time.

    A median ignores peaks in up to half of a third. A constant leak shows with two thirds of what
    it adds during the run. Raises `ValueError` for fewer than `MIN_SAMPLES`.
    """
    if len(samples) < MIN_SAMPLES:
        raise ValueError(f"{len(samples)} samples: at least {MIN_SAMPLES} are needed")
    third = len(samples) // 3
    before = median(samples[:third])
    allowed = max(tolerance.absolute, before * tolerance.share)
    return Trend(before, median(samples[-third:]), max(samples), allowed)
