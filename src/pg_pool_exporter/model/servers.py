"""Servers: what PostgreSQL sees, and what it logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class SessionKey(NamedTuple):
    """What PostgreSQL's sessions are grouped by."""

    database: str
    user: str
    application: str


class ClientKey(NamedTuple):
    """What sessions are grouped by for joining both sides."""

    sessions: SessionKey
    address: str = ""
    """The client's IP address; empty on a unix socket, or where it can't be seen."""


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
class Backends:
    """The sessions of one database, user, application and address, one by one."""

    ages: Mapping[str, tuple[float, ...]]
    """By state, the seconds that each has been in it, longest first: at least as long as told,
    counted back from the end of the poll."""
    hidden: bool = False
    """Whether what some of them do can't be seen: these are in no state."""

    @property
    def sessions(self) -> int:
        """Number of sessions in all states that can be seen."""
        return sum(map(len, self.ages.values()))


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
    address: str = ""
    """The IP address behind `host`; empty on a unix socket."""
    backends: Mapping[ClientKey, Backends] = field(default_factory=dict)
    """All sessions of others, none folded: as many as the server has."""
    clock: float | None = None
    """The server's own clock during the poll: seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCounts:
    """What has been counted in a server's log since the exporter began to read it."""

    timeouts: Mapping[str, Mapping[str, float]]
    """By database, then by one of `catalogue.SERVER_TIMEOUT_KINDS`."""
    opened: Mapping[str, float] | None
    """Sessions opened, by database; None where the server does not log them."""
    closed: Mapping[str, float] | None
    """Sessions closed, by database; None where the server does not log them."""
    refused: Mapping[str, float]
    """By one of `catalogue.REFUSAL_REASONS`."""
    read: float
    """Bytes read so far."""
    lag: float
    """Bytes that are there and not read yet."""
