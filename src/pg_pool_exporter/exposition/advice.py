"""The sizes that pools should have, as series: the figures of page and API."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.analysis.advice.advice import Advice
from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.series import Series


def series(advice: Advice) -> Iterator[Series]:
    """Those of each pool, and of each server."""
    for one in advice.pools:
        key = (one.subject.app, one.subject.pool, one.subject.server)
        yield Series(c.DEMAND_WATCHED, key, one.day.watched)
        if one.needed is not None:
            for share, size in zip(c.NEEDED_MAX.values, one.needed.for_shares, strict=True):
                yield Series(c.NEEDED_MAX, (*key, share), size)
        if one.recommended is not None:
            yield Series(c.RECOMMENDED_MAX, key, one.recommended)
        if one.unused is not None:
            yield Series(c.NEVER_NEEDED, key, one.unused)
    for server in advice.servers:
        if any(one.recommended for one in advice.pools if one.subject.server == server.name):
            yield Series(c.SERVER_RECOMMENDED, (server.name,), server.recommended)
