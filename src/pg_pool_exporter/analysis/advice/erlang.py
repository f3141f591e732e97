"""Formulas of queueing theory, for numbers of connections that need not be whole.

Requests that come in bursts need more connections than those that come at random. Their
`peakedness` (variance of the demand, divided by its mean) says how many more: by Hayward's
approximation, `size` connections for `load` behave as `size / peakedness` for `load / peakedness`
would for requests at random (Fredericks, Congestion in blocking systems, 1980).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, floor, lgamma, log

_MOST = 10_000
_STEPS = 40


def waiting_share(size: float, load: float) -> float:
    """Share of the requests at random that wait (Erlang C); 1 where the load is not less than the
    size.
    """
    if load >= size:
        return 1.0
    if load <= 0:
        return 0.0
    blocked = _blocked(size, load)
    return blocked / (1 - load / size * (1 - blocked))


def _blocked(size: float, load: float) -> float:
    """Erlang B; between two whole sizes on the line between their logarithms."""
    below = floor(size)
    inverse = 1.0
    for connections in range(1, below + 1):
        inverse = 1.0 + inverse * connections / load
        if inverse > 1e300:
            return 0.0
    after = 1.0 + inverse * (below + 1) / load
    share = size - below
    return exp(-((1 - share) * log(inverse) + share * log(after)))


def mean_waiting(size: float, load: float, peak: float) -> float:
    """Requests that wait at once, on average, where holds are exponential."""
    return waiting_share(size / peak, load / peak) * peak * load / (size - load)


def peakedness(reached: Callable[[float], bool]) -> float:
    """The largest that has not yet `reached` what was measured, which larger ones exceed."""
    low, high = 0.1, 100.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if reached(middle):
            high = middle
        else:
            low = middle
    return low


def tail(size: float, load: float) -> float:
    """Share of the time with a demand of at least `size`, of requests at random for a load."""
    if load <= 0:
        return float(size <= 0)
    share, total, level = 0.0, 0.0, max(0.0, size)
    # From the first level on, until the terms no longer count.
    while level < size + 50 + 10 * load**0.5 + load:
        share = exp(level * log(load) - load - lgamma(level + 1))
        total += share
        if level > load and share < 1e-12:
            break
        level += 1
    return min(1.0, total)


def smallest(fits: Callable[[int], bool], least: int = 1) -> int:
    """The smallest size from `least` on that fits; a larger one fits where a smaller one does."""
    high = max(1, least)
    while not fits(high) and high < _MOST:
        high *= 2
    low = max(least, high // 2)
    while low < high:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle + 1
    return min(high, _MOST)


def late_share(size: float, load: float, peak: float, seconds: float, hold: float) -> float:
    """Share of the requests that wait for longer than `seconds`, where checkouts last `hold` on
    average.
    """
    if load >= size:
        return 1.0
    share = waiting_share(size / peak, load / peak)
    return share * exp(-(size - load) * seconds / (peak * hold)) if hold > 0 else share
