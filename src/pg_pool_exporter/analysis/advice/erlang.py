"""Formulas of queueing theory for a pool of connections, where requests come in bursts.

Exact for bursts with a geometric number of requests that come at random, and exponential
checkouts (the queue M^X/M/c; Chaudhry and Templeton, A First Course in Bulk Queues, 1983). Their
`peak` is the peakedness: variance of the demand without a limit, divided by its mean, which is also
the mean number of requests in a burst. With a peak of 1 this is Erlang C.

Between two levels of the demand as many requests come as connections are returned. From this follow
the shares of the time: below the size that of level n is `(load + (n - 1) * (peak - 1)) / (n *
peak)` times that of n - 1, above it always the same (`_queue_ratio`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp

_MOST = 10_000
_LEAST_PEAK, _MOST_PEAK = 0.1, 100.0
_STEP = 1.5
_STEPS = 10


def saturated_share(size: int, load: float, peak: float) -> float:
    """Share of the time without a free connection; 1 where the load is not less than the size."""
    if load >= size:
        return 1.0
    if load <= 0:
        return 0.0
    # Shares relative to that of a demand of `size`.
    below, level = 0.0, 1.0
    for demand in range(size, 0, -1):
        into = load + (demand - 1) * (peak - 1)
        if into <= 0:  # smoother than random: this level is never reached
            return 0.0
        level *= demand * peak / into
        below += level
        if below > 1e9:
            return 0.0
        if level < 1e-9 * below:  # lower levels are even rarer
            break
    from_size_on = 1 / (1 - _queue_ratio(size, load, peak))
    return from_size_on / (below + from_size_on)


def _queue_ratio(size: int, load: float, peak: float) -> float:
    """Time with one request more in the queue, relative to the time without it."""
    return max(0.0, 1 - (1 - load / size) / peak)


def mean_waiting(size: int, load: float, peak: float) -> float:
    """Requests that wait at once, on average."""
    ratio = _queue_ratio(size, load, peak)
    return saturated_share(size, load, peak) * ratio / (1 - ratio)


def waiting_share(size: int, load: float, peak: float) -> float:
    """Share of the requests that wait, from 0 to 1."""
    if load >= size:
        return 1.0
    return min(1.0, saturated_share(size, load, peak) * requests_to_time(size, load, peak))


def requests_to_time(size: int, load: float, peak: float) -> float:
    """How many times as many requests wait as the share of the time says: in bursts more."""
    if load >= size:
        return 1.0
    return _queue_ratio(size, load, peak) * size / load if load > 0 else 0.0


def late_share(size: int, load: float, peak: float, seconds: float, hold: float) -> float:
    """Share of the requests that wait for longer than `seconds`, where checkouts last `hold` on
    average.
    """
    if load >= size:
        return 1.0
    share = waiting_share(size, load, peak)
    return share * exp(-(size - load) * seconds / (peak * hold)) if hold > 0 else share


def peakedness(of: Callable[[float], float], measured: float) -> float:
    """The smallest for which `of` is what was measured, or as near as it comes.

    Very large peaks are no bursts any more but rare piles, with less of everything: so the first
    that fits is looked for from below.
    """
    best, most = _LEAST_PEAK, -1.0
    low = high = _LEAST_PEAK
    while (found := of(high)) < measured:
        if found > most:
            best, most = high, found
        if high >= _MOST_PEAK:
            return best
        low, high = high, high * _STEP
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if of(middle) < measured:
            low = middle
        else:
            high = middle
    return high


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
