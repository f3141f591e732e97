"""Servers: what PostgreSQL sees, and what it logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pg_pool_exporter.model.pools import Histogram


class SessionKey(NamedTuple):
    """The key of a group of PostgreSQL's sessions."""

    database: str
    user: str
    application: str


class ClientKey(NamedTuple):
    """The key of a group of sessions, with their client's address."""

    sessions: SessionKey
    address: str = ""
    """The client's IP address; empty on a unix socket, or where it is hidden."""


class StateSample(NamedTuple):
    """Sessions of one group in one state: how many, and the longest time in it (None: unknown)."""

    sessions: int
    oldest: float | None


class OpenTransaction(NamedTuple):
    """A session's transaction that has not ended; ages in seconds."""

    age: float
    """Since it began."""
    state_age: float
    """How long its session has been in its state: running a statement, or idle in transaction."""


class Backend(NamedTuple):
    """One session, as a bouncer's connection leads to it."""

    user: str
    state: str
    """Spelt as in `catalogue.BACKEND_STATES`."""
    age: float
    """Seconds in that state."""
    transaction: float | None
    """Seconds since its open transaction began."""
    application: str = ""
    address: str = ""
    """IP address of its client; empty on a unix socket, and where it is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionGroup:
    """Sessions of one database, user and application: of one client address, or of all.

    Ages are in seconds and never negative. None is unknown.
    """

    ages: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By state, spelt as in `catalogue.BACKEND_STATES`: how long each session has been in it,
    longest first. Lower bounds, counted back from the end of the poll."""
    hidden: Mapping[str, int] = field(default_factory=dict)
    """Sessions whose activity the exporter may not see, or the server does not track, by state:
    `unknown` or `disabled`."""
    transactions: Mapping[str, tuple[OpenTransaction, ...]] = field(default_factory=dict)
    """By state, in no order; unknown for hidden sessions."""
    writers: int | None = None
    """Sessions idle in transaction that have changed data: they keep row locks."""
    oldest_snapshot: int | None = None
    """Age of the oldest snapshot of a session idle in transaction, in transactions; None without
    one."""
    oldest_backend: float | None = None
    oldest_transaction: float | None = None
    waiting: int | None = None
    oldest_waiting: float | None = None
    blocking: int | None = None

    @property
    def sessions(self) -> int:
        """Number of sessions, hidden ones included."""
        return sum(map(len, self.ages.values())) + sum(self.hidden.values())

    @property
    def states(self) -> Mapping[str, StateSample]:
        """All sessions by state. A session that has just begun has no state yet, and no age."""
        states = {
            state: StateSample(len(ages), ages[0] if ages and state != "unknown" else None)
            for state, ages in self.ages.items()
        }
        for state, count in self.hidden.items():
            seen = states.get(state, StateSample(0, None))
            states[state] = seen._replace(sessions=seen.sessions + count)
        return states


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseCounters:
    """The counters of a database; None is unknown, as those of sessions before PostgreSQL 14."""

    deadlocks: int | None
    sessions: int | None = None
    abandoned: int | None = None
    fatal: int | None = None
    killed: int | None = None


class TimeoutOverride(NamedTuple):
    """A timeout set by ALTER DATABASE or ALTER ROLE; `all` where one of them is open."""

    setting: str
    database: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings and limits, read every few minutes."""

    version: str
    in_recovery: bool
    max_connections: int
    reserved_connections: int
    database_limits: Mapping[str, int] = field(default_factory=dict)
    role_limits: Mapping[str, int] = field(default_factory=dict)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """Server-wide timeouts in seconds, by setting; only those that are known for sure."""
    overrides: Mapping[TimeoutOverride, float] = field(default_factory=dict)
    sees_all: bool = True
    """Whether the exporter's role may see what sessions of other roles do (pg_monitor)."""
    role: str = ""
    """The exporter's role."""

    @property
    def available(self) -> int:
        """Slots that an ordinary role can have."""
        return self.max_connections - self.reserved_connections


_CLOCK_JUMP = 0.5
"""Seconds; smaller ones are a clock that is corrected, or one that runs too fast."""


class ClockAhead(NamedTuple):
    """Bounds of a server's clock minus a monotonic one of ours at one poll, in seconds."""

    least: float
    most: float

    @classmethod
    def of(cls, clock: float, begun: float, ended: float) -> ClockAhead:
        """Where the server's `clock` was read between `begun` and `ended` on ours."""
        return cls(clock - ended, clock - begun)

    @property
    def middle(self) -> float:
        """The best estimate."""
        return (self.least + self.most) / 2

    @property
    def width(self) -> float:
        """How uncertain it is."""
        return self.most - self.least

    def was_set_since(self, before: ClockAhead) -> bool:
        """Whether the server's clock was set since the poll with these bounds.

        Or ours stood still, as it does while this machine is suspended.
        """
        return self.least - before.most > _CLOCK_JUMP or before.least - self.most > _CLOCK_JUMP


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """Facts of a server that the configuration switches on; None: off, or unknown."""

    networks: Mapping[str, int] | None = None
    """Client sessions by network of their address; `local`: over a unix socket."""
    waits: Mapping[tuple[str, str], int] | None = None
    """Client sessions by state and type of the event that they wait for; `none`: for none."""
    idle_in_transaction: Histogram | None = None
    """How long sessions have been idle in their transaction."""
    snapshots: Mapping[tuple[str, str], int] | None = None
    """Age of the oldest snapshot in transactions, by kind of process and its application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSample:
    """One PostgreSQL server at one poll."""

    host: str
    port: str
    used: int
    """Slots taken, the exporter's own included."""
    groups: Mapping[SessionKey, SessionGroup]
    """The `sessions` merged over client addresses; those over a cap are folded into `other`."""
    databases: Mapping[str, DatabaseCounters]
    settings: ServerSettings
    address: str = ""
    """The IP address behind `host`; empty on a unix socket."""
    sessions: Mapping[ClientKey, SessionGroup] = field(default_factory=dict)
    """All client sessions but the exporter's own, none folded."""
    backends: Mapping[int, Backend] = field(default_factory=dict)
    """The same one by one, by process id, as far as they are visible."""
    clock: float | None = None
    """The server's own clock during the poll: seconds since the epoch."""
    last_login: float | None = None
    """Age of the youngest session, in seconds, the exporter's own included: upper bound of the time
    since the last login. A server whose postmaster hangs serves its sessions, but accepts none."""
    lock_waits: Mapping[str, int] = field(default_factory=dict)
    """Waits longer than `deadlock_timeout`, by type of lock; empty before PostgreSQL 19."""
    lock_wait_seconds: Mapping[str, float] = field(default_factory=dict)
    """Their time."""
    facts: ServerFacts | None = None
    login_waiting: float | None = None
    """Seconds for which a login of the exporter, beside its own session, has waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCounts:
    """Counts of events in a server's log since the exporter first read it."""

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
    """Bytes not read yet."""
    written: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """1 by format and wrapping of the last records; empty before the first one."""
    records: float = 0
    """Records, of the lines checked."""
    unparsed: float | None = None
    """Lines that belong to no record, of those checked."""
    unparsed_ratio: float | None = None
    """Share of the last lines that belong to no record; None while it is unknown."""
    unparsed_shape: str = ""
    """The longest of the last ones, its letters as `a` and its digits as `9`."""
    unparsed_advice: str = ""
    """The remedy, where they are many."""
    state_saved: bool | None = None
    """Whether positions and counts were saved for a restart; None without a state directory."""
    state_problem: str | None = None
    """Why they were not saved."""

    @property
    def is_understood(self) -> bool:
        """Whether events of the log are known: not while no record was ever found in it."""
        return bool(self.refused)
