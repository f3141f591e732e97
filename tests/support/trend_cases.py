"""Pools of a trend or without one: connections checked out, in each minute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import pi, sin
from random import Random
from typing import NamedTuple

MAX = 20.0


class TrendCase(NamedTuple):
    """One pool of at most 20 connections. None: nobody saw that minute."""

    name: str
    active: Sequence[float | None]
    seconds: float | None
    """How long it takes until the pool is full, from the end; None where there is no trend."""
    never: bool = True
    """Whether there was no trend at an earlier minute, either."""


def _leak(each: float, start: float = 0.0, minutes: int = 180) -> list[float]:
    """One more each time these minutes have passed, until the pool is full."""
    return [min(MAX, start + minute // each) for minute in range(minutes)]


def _wave(period: float, middle: float, height: float, minutes: int) -> list[float]:
    return [
        round(middle + height * sin(2 * pi * minute / period - pi / 2)) for minute in range(minutes)
    ]


def _noise(mean: float, minutes: int, seed: int) -> Iterator[float]:
    random = Random(seed)
    for _ in range(minutes):
        yield max(0.0, round(random.gauss(mean, mean**0.5)))


def _upto(active: Sequence[float], last: float) -> list[float | None]:
    """Until `last` are out for the first time."""
    return list(active[: active.index(last) + 1])


_HALF = [2.0] * 30
TREND_CASES = [
    TrendCase("nothing happens", [5.0] * 120, None),
    TrendCase("three since the start", [0.0, *[3.0] * 20], None),
    TrendCase("three since the start, for an hour", [0.0, *[3.0] * 60], None),
    TrendCase("connections come one by one at the start", [*range(8), *[8.0] * 20], None),
    TrendCase("a step", [*_HALF, *[14.0] * 12], None),
    TrendCase("a step a while ago", [*_HALF, *[14.0] * 45], None),
    TrendCase("a step over a small rise", [*_HALF, *[6.0] * 20, *[16.0] * 10], None),
    TrendCase("a step downwards", [*[14.0] * 60, *_HALF], None),
    TrendCase("a morning", _wave(1440, 9, 8, 600)[240:], None),
    TrendCase("the end of a morning", _wave(1440, 9.5, 8.5, 690)[450:], None),
    TrendCase("load that comes and goes by the hour", _wave(60, 9, 7, 150), None, never=False),
    TrendCase("load that comes and goes, quickly", _wave(20, 9, 7, 120), None),
    TrendCase("a sawtooth", [minute % 15 for minute in range(120)], None),
    TrendCase("noise", list(_noise(9, 150, 1)), None),
    TrendCase("a leak of one in ten minutes", _upto(_leak(10), 15), 2700),
    TrendCase("the same, hours before it matters", _upto(_leak(10), 9), None),
    TrendCase("a leak of one in five minutes", _upto(_leak(5), 15), 1350),
    TrendCase("a leak of one each minute", _upto([*_HALF, *_leak(1, 2)], 17), 150),
    TrendCase("the leak is over", [*_upto(_leak(5), 15), *[15.0] * 30], None, never=False),
    TrendCase("bursts above a floor", [3.0, 9.0, 14.0, 3.0] * 40, None),
    TrendCase("a gap, and more after it", [*_HALF, *[None] * 20, *[12.0] * 20], None),
    TrendCase("a long gap, and more after it", [*_HALF, *[None] * 45, *[12.0] * 30], None),
    TrendCase(
        "a leak with a gap",
        [None if 100 <= at < 107 else one for at, one in enumerate(_upto(_leak(10), 15))], 2700,
    ),
    TrendCase(
        "a leak with a gap longer than a part of it",
        [None if 113 <= at < 138 else one for at, one in enumerate(_upto(_leak(10), 15))],
        None, never=False,
    ),
    TrendCase("nobody sees it now", [*_upto(_leak(10), 15), *[None] * 8], None, never=False),
]  # fmt: skip
