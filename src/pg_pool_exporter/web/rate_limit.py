"""`rate_limit` of the web configuration: how many requests all clients together may make."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from pg_pool_exporter import durations
from pg_pool_exporter.config import Section

_LONGEST = 3600.0


def _interval(value: object) -> float:
    if value == "0" or (value == 0 and not isinstance(value, bool)):
        return 0.0
    if not isinstance(value, str):
        raise ValueError(durations.EXPECTED)
    seconds = durations.seconds(value)
    if seconds > _LONGEST:
        raise ValueError("must be at most 1h")
    return seconds


class RateLimitConfig(Section):
    """`rate_limit:`, a token bucket of `burst` requests that gains one each `interval` seconds."""

    interval: Annotated[float, BeforeValidator(_interval)] = 0.0
    """0 is no limit."""
    burst: int = Field(default=0, ge=0, le=1_000_000)

    @model_validator(mode="after")
    def _lets_somebody_in(self) -> Self:
        if self.interval and self.burst < 1:
            raise ValueError("must hold a burst of at least 1: without it no request is answered")
        return self


class RateLimiter:
    """The bucket. A changed limit begins with a full one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limit = RateLimitConfig()
        self._full_at = -inf

    def delay(self, limit: RateLimitConfig) -> float:
        """Seconds until a request is allowed; 0 for one that is allowed, and counted, now."""
        if limit != self._limit:
            self._limit, self._full_at = limit, -inf
        if not limit.interval:
            return 0.0
        now = self._clock()
        full_at = max(self._full_at, now) + limit.interval
        missing = full_at - now - limit.burst * limit.interval
        # The sum of many intervals is not exact.
        if missing > limit.interval * 1e-6:
            return missing
        self._full_at = full_at
        return 0.0
