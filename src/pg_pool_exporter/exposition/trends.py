"""When pools will be saturated, as series: the figures of page and API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pg_pool_exporter.analysis.pool_view import PoolView
from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.series import Series


def series(pools: Iterable[PoolView]) -> Iterator[Series]:
    """One series for each process's pool that fills or is saturated."""
    for pool in pools:
        for process in pool.processes:
            if process.seconds_to_saturation is not None:
                yield Series(
                    c.TIME_TO_SATURATION, tuple(process.sample.key), process.seconds_to_saturation
                )
