"""Pools: the application's side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from pg_pool_exporter.model.identity import PoolId


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations by bucket.

    `counts` has one entry a bound of the metric and a last one for +Inf, not cumulated; `total`
    is the sum of what was observed.
    """

    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self.counts)


INSTRUMENTED = "instrumented"
"""The `source` of a pool that our client measures."""
CLOSED = "closed"
"""The `source` of the totals that our client shows of former pools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolInfo:
    """The library of a pool, and the server that it connects to. An empty string is unknown."""

    client: str = ""
    client_version: str = ""
    framework: str = ""
    """The framework of the process, such as django."""
    source: str = ""
    pid: str = ""
    host: str = ""
    port: str = ""
    server: str = ""
    database: str = ""
    user: str = ""
    application: str = ""

    def over(self, other: PoolInfo) -> PoolInfo:
        """The fields of this one; unknown ones from `other`."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(other, **{name: text for name, text in known.items() if text})

    @property
    def asked_a_session(self) -> bool:
        """Whether the values come from a session of the pool, as our client reads them: then an
        empty application is a fact, not unknown."""
        return self.source in (INSTRUMENTED, CLOSED) and bool(self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSample:
    """One pool of one process at one reading."""

    key: PoolId
    client_key: PoolId | None = None
    """Its name as our client writes it, where labels of its page gave it another one."""
    idle: float | None = None
    active: float | None = None
    max: float | None = None
    min: float | None = None
    waiting: float | None = None
    oldest_idle: float | None = None
    oldest_active: float | None = None
    oldest_waiting: float | None = None
    active_seconds: float | None = None
    saturated_seconds: float | None = None
    requests: float | None = None
    queued: float | None = None
    rejected: float | None = None
    acquire_wait: float | None = None
    acquired: float | None = None
    held: float | None = None
    returned: float | None = None
    connects: float | None = None
    connect_errors: float | None = None
    lost: float | None = None
    leaked: float | None = None
    leak_after: float | None = None
    """Age in seconds at which a checkout is overdue."""
    unaccounted: float | None = None
    """Connections that the library counts, and that do not exist: slots lost inside it."""
    long_lived: float | None = None
    """Active connections that are declared long-lived."""
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """By kind."""
    leaked_slots: Mapping[str, float] = field(default_factory=dict)
    """By site."""
    overdue: Mapping[str, float] = field(default_factory=dict)
    """By site."""
    reclaimed: Mapping[str, float] = field(default_factory=dict)
    """By site."""
    instances: Mapping[str, float] = field(default_factory=dict)
    """Pools made under this name, by site."""
    acquire: Histogram | None = None
    hold: Histogram | None = None
    demand: Histogram | None = None
    """Whole seconds by the number of connections checked out and requests waiting."""
    info: PoolInfo | None = None

    @property
    def failed(self) -> float:
        """Requests that got no connection: timed out, or were rejected."""
        return self.timeouts.get("pool", 0.0) + (self.rejected or 0.0)
