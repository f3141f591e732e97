"""What a poll yields: frozen values without behaviour, passed from source to exposition.

`None` means "this source cannot tell": no series is written for it. Ages and durations are float
seconds. The standard library only, because the client imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations by bucket.

    `counts` has one entry a bound of the metric and a last one for +Inf, not cumulated; `total`
    is the sum of the observed seconds.
    """

    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolInfo:
    """Where a pool comes from and where it leads. An empty string is an unknown."""

    client: str = ""
    client_version: str = ""
    source: str = ""
    pid: str = ""
    host: str = ""
    port: str = ""
    server: str = ""
    database: str = ""
    user: str = ""
    application: str = ""


class PoolKey(NamedTuple):
    """Identity of a pool: no two samples of one scrape share it."""

    app: str
    pool: str
    process: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSample:
    """One pool of one process at one reading."""

    key: PoolKey
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
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """By kind."""
    leaked_slots: Mapping[str, float] = field(default_factory=dict)
    """By site."""
    overdue: Mapping[str, float] = field(default_factory=dict)
    """By site."""
    acquire: Histogram | None = None
    hold: Histogram | None = None
    info: PoolInfo | None = None


class SessionKey(NamedTuple):
    """What PostgreSQL's sessions are grouped by."""

    database: str
    user: str
    application: str


class StateSample(NamedTuple):
    """Sessions of one group in one state: how many, and the longest time in it (None: unknown)."""

    sessions: int
    oldest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionGroup:
    """The sessions of one database, user and application."""

    states: Mapping[str, StateSample]
    """By state, spelt as in `catalogue.BACKEND_STATES`."""
    oldest_backend: float | None = None
    oldest_transaction: float | None = None
    waiting: int | None = None
    oldest_waiting: float | None = None
    blocking: int | None = None

    @property
    def sessions(self) -> int:
        """Number of sessions in all states."""
        return sum(state.sessions for state in self.states.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseCounters:
    """A row of pg_stat_database; the session counters are None before PostgreSQL 14."""

    deadlocks: float
    sessions: float | None = None
    ended: Mapping[str, float] = field(default_factory=dict)
    """Sessions ended abnormally, by reason."""


class TimeoutOverride(NamedTuple):
    """A time-out set by ALTER DATABASE or ALTER ROLE; `all` where one of them is open."""

    setting: str
    database: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What changes seldom and is read every few minutes."""

    version: str
    in_recovery: bool
    max_connections: int
    reserved_connections: int
    database_limits: Mapping[str, int] = field(default_factory=dict)
    role_limits: Mapping[str, int] = field(default_factory=dict)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """Server-wide time-outs in seconds, by setting; only those that are known for sure."""
    overrides: Mapping[TimeoutOverride, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSample:
    """One PostgreSQL server at one poll."""

    host: str
    port: str
    used: int
    """Slots taken, the exporter's own included."""
    groups: Mapping[SessionKey, SessionGroup]
    databases: Mapping[str, DatabaseCounters]
    settings: ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one successful poll of one target yields. Replaced by the next one, never changed."""

    pools: tuple[PoolSample, ...] = ()
    server: ServerSample | None = None
    folded: int = 0
    """Groups folded into `other`, or left out, because they were over a cap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the polls of a target went."""

    up: bool = False
    polls: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    """By reason, one of `catalogue.POLL_FAILURE_REASONS`."""
    duration: float | None = None
    """Of the last poll, in seconds."""
    last_success: float | None = None
    """Seconds since the epoch."""
