"""A finding: subject, cause, evidence in figures, and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from pg_pool_exporter.model import TargetId


class Cause(Enum):
    """Why something is wrong. The value is the label `cause` of the alerts.

    The documentation of each has what it is and how it is recognised; docs/reference/findings.md
    shows it.
    """

    LEAK = "leak"
    """Connections are checked out and not returned.

    Slots lost by dropping a connection; overdue checkouts that no session that works explains: one
    that runs a statement as old as `long_statement`, waits for a lock, or is in a transaction whose
    statements follow each other; checkouts that both sides prove to be silent, or that Little's law
    estimates to be.
    """
    SLOTS_LOST_IN_LIBRARY = "slots_lost_in_library"
    """The pool library has lost connections.

    It counts more than there are idle, checked out or being made, for the leak threshold. The
    evidence names the versions that are known to be faulty.
    """
    RECLAIMED_CONNECTIONS = "reclaimed_connections"
    """Connections are returned by the garbage collector, not by the application.

    At least `reclaimed_connections` in five minutes, of a pool of SQLAlchemy.
    """
    POOL_PER_REQUEST = "pool_per_request"
    """A process makes its pool again and again.

    At least `pools_made` in five minutes: each under the name of one that is closed or collected,
    or kept and unused for a minute, while the same line goes on making others for the same
    database and role.
    """
    POOL_TOO_SMALL = "pool_too_small"
    """Requests wait although connections come back soon.

    At least `pool_waiting` requests wait on average, more than `pool_utilisation` of the pool is
    turned over by checkouts that end, and these last less than `long_checkout`.
    """
    LONG_CHECKOUTS = "long_checkouts"
    """Requests wait because other checkouts last long.

    The same as `pool_too_small`, but checkouts last `long_checkout` or longer; not where they
    waited for a lock for as long.
    """
    IDLE_IN_TRANSACTION = "idle_in_transaction"
    """Sessions are idle in transaction.

    For `idle_in_transaction`. Those of leaked connections belong to the leak.
    """
    LOCK_PILE_UP = "lock_pile_up"
    """Sessions wait for locks.

    At least `lock_pile_up` wait at once, or one for `lock_wait`; or PostgreSQL resolved a deadlock
    in the last 15 minutes.
    """
    SERVER_OVERSUBSCRIBED = "server_oversubscribed"
    """The pools may open more connections than the server accepts.

    The sum of their maxima exceeds the slots of ordinary roles. Where all slots are in use, or none
    is left for the exporter, this is why, and the one finding about it.
    """
    SERVER_FULL = "server_full"
    """The server's slots are in use, or nearly.

    More than `server_utilisation` of them are, a problem above `server_full`; or there is none for
    the exporter. Not where the pools may open more than there are: `server_oversubscribed`.
    """
    CONNECTION_LIMIT = "connection_limit"
    """The CONNECTION LIMIT of a role or a database is reached, or nearly; the server has slots.

    More than `server_utilisation` of it is in use, a problem above `server_full`; or the exporter
    is refused because of it.
    """
    LOGINS_HANG = "logins_hang"
    """The server accepts no new session, while those that it has go on.

    A login of the exporter beside its own session has had no answer for 10 seconds. It is tried
    where nobody has logged in for a minute.
    """
    BOUNCER_IDLE_IN_TRANSACTION = "bouncer_idle_in_transaction"
    """A bouncer's clients keep connections to the server idle in transaction.

    For `bouncer_held`: no other client gets these connections. A problem where clients wait.
    """
    BOUNCER_SESSION_HELD = "bouncer_session_held"
    """Clients of a bouncer wait while others keep connections and do nothing, in session mode.

    For `bouncer_held`; at least half of the pool's connections, of which it has all that it may
    have.
    """
    BOUNCER_LONG_TRANSACTIONS = "bouncer_long_transactions"
    """Clients of a bouncer wait because transactions of others last long.

    Clients have waited for `bouncer_wait`, and at least half of the pool's connections have been in
    use by one transaction or statement for `long_checkout`, or the database's transactions lasted
    that long on average in the last minute.
    """
    BOUNCER_POOL_TOO_SMALL = "bouncer_pool_too_small"
    """Clients of a bouncer wait although connections come back soon, or because other pools have
    those of their database or user.

    Clients have waited for `bouncer_wait`, the pool, its database or its user has all connections
    that it may have, and most are in use for less than `long_checkout`, or by other pools.
    """
    BOUNCER_SERVER_UNAVAILABLE = "bouncer_server_unavailable"
    """A bouncer gets no connection, or no more, to the server behind it.

    Clients have waited for `bouncer_wait`, and their pool has no connection, or fewer than it may
    have and none idle.
    """
    BOUNCER_PAUSED = "bouncer_paused"
    """A bouncer, or a database of it, is paused or disabled by its administrator.

    A problem where clients wait.
    """
    BOUNCER_TOO_MANY_CLIENTS = "bouncer_too_many_clients"
    """The clients that a bouncer, a database or a user of it may have are connected, or nearly.

    More than `server_utilisation` of the limit, a problem above `server_full`.
    """
    BOUNCER_LIMITS_OVERSUBSCRIBED = "bouncer_limits_oversubscribed"
    """A limit of a bouncer, or of the server behind it, is lower than what may be asked of it.

    The pools' maxima together exceed `max_client_conn` or its like for a database or a user, or
    in session mode a pool's size or `max_db_connections`; or the bouncer's pools together exceed
    the slots of the server, or the CONNECTION LIMIT of a role or a database.
    """
    BOUNCER_LOGINS = "bouncer_logins"
    """Clients of a bouncer log in nearly as often as they have a transaction.

    At least `bouncer_logins` a second over a minute, and at least one for two transactions.
    PgBouncer counts logins from 1.25 on.
    """
    POSTGRESQL_UNREACHABLE = "postgresql_unreachable"
    """The server does not answer.

    Its last poll failed.
    """
    TARGET_UNREACHABLE = "target_unreachable"
    """An application, a bouncer or the exporter does not answer.

    Its last polls failed, and what was read before is too old.
    """
    LOGIN_FAILED = "login_failed"
    """The exporter can't log in.

    A server, a bouncer or an application refuses it (password, role, database, `pg_hba.conf`,
    status 401 or 403), or its password can't be read.
    """
    LOG_NOT_UNDERSTOOD = "log_not_understood"
    """Lines of a server's log are no records of the format that is read.

    None of the last lines is: then its counters are absent. Or at least half of the last 1,000:
    then they are lower bounds.
    """
    SESSIONS_HIDDEN = "sessions_hidden"
    """What sessions do is hidden from the exporter.

    Its role has no `pg_monitor`, or `track_activities` is off: leaks, open transactions and lock
    waits of these sessions are unknown.
    """
    EXPORTER_IMPAIRED = "exporter_impaired"
    """The exporter can't use something that it is given.

    Its configuration or web configuration was not loaded again, a target list or the socket
    directory can't be used, or positions in a log are not saved. The evidence says which and why.
    """
    UNKNOWN = "unknown"
    """Requests wait or get no connection, or clients of a PgBouncer wait, and why is unknown yet.

    A pool is full and at least `pool_waiting` requests wait at two readings in a row; as many wait
    on average; a request got no connection in the last minutes; or a client of a PgBouncer has
    waited for longer than `bouncer_wait`. Nothing else that is found explains it.
    """

    @property
    def title(self) -> str:
        """For people, as `pool too small`."""
        if self is Cause.UNKNOWN:
            return "unknown cause"
        value: str = self.value
        return value.replace("_", " ").replace("postgresql", "PostgreSQL")


class Level(IntEnum):
    """How bad something is; the higher, the worse."""

    @property
    def title(self) -> str:
        """For people, in lower case."""
        return self.name.lower()


class Sign(Enum):
    """A kind of evidence, of a cause that can have several."""

    IN_USE = "in use"
    """Connections of a limit are."""
    REFUSED = "refused"
    """The exporter's own poll failed."""
    OPEN_TRANSACTION = "open transaction"
    """A leaked connection keeps one."""
    LOCK_WAIT = "lock wait"
    """Sessions wait for long, or many do."""
    DEADLOCK = "deadlock"


class Severity(Level):
    """How bad a finding is."""

    WARNING = 1
    """It is getting worse, or may be wrong."""
    PROBLEM = 2
    """It is certainly wrong, or requests suffer from it now."""


class Verdict(Level):
    """How a point of the checklist looks."""

    UNKNOWN = -1
    FINE = 0
    WARNING = 1
    PROBLEM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a finding is about. Empty or None: not about one of these; all of them: about the
    exporter itself.
    """

    app: str = ""
    pool: str = ""
    server: str = ""
    database: str = ""
    user: str = ""
    """A role."""
    bouncer: str = ""
    """Names of the bouncers that an application's pools connect to."""
    target: TargetId | None = None

    @property
    def parts(self) -> dict[str, str]:
        """What it is about, by name, for the log and the API."""
        parts = {
            "app": self.app,
            "pool": self.pool,
            "server": self.server,
            "database": self.database,
            "user": self.user,
            "bouncer": self.bouncer,
            "target": self.target.title if self.target else "",
        }
        return {name: value for name, value in parts.items() if value}

    def __str__(self) -> str:
        if self.target and (self.database or self.user):
            pool = "/".join(filter(None, (self.database, self.user)))
            return f"{pool} of {self.target.title}"
        if self.target:
            return self.target.title
        if self.app:
            where = f" on server {self.server}" if self.server else ""
            where += f" through bouncer {self.bouncer}" if self.bouncer else ""
            return f"{self.app}/{self.pool}{where}" if self.pool else f"{self.app}{where}"
        if self.database or self.user:
            what = f"database {self.database}" if self.database else f"role {self.user}"
            return f"{what} on server {self.server}"
        return f"server {self.server}" if self.server else "the exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. All texts are plain sentences; names in them come from outside."""

    cause: Cause
    severity: Severity
    subject: Subject
    summary: str
    """What is wrong, in one sentence."""
    amount: float = 1.0
    """The number of connections, requests or sessions it is about; 1 for a single target."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """The evidence by name; seconds where the name says so, else counts."""
    signs: frozenset[Sign] = frozenset()
    """The kinds of that evidence."""
    evidence: tuple[str, ...] = ()
    """More evidence for this cause, a sentence each."""
    remedy: str = ""
    """What to do first, for the pool library in question."""
    sites: Mapping[str, float] = field(default_factory=dict)
    """Lines of code, each with the number of its connections that are checked out for too long."""
    sites_are_certain: bool = True
    """False: only some of those connections are to blame, and it is unknown which."""


def known(**figures: float | None) -> dict[str, float]:
    """A finding's figures, without those that are unknown."""
    return {name: value for name, value in figures.items() if value is not None}


@dataclass(frozen=True, slots=True)
class PoolVerdict:
    """The findings about one pool."""

    own: tuple[Finding, ...] = ()
    of_app: tuple[Finding, ...] = ()
    """About all of its application on its server."""
    explanations: tuple[Finding, ...] = ()
    """The reasons why its requests wait, the server's included; none where none waits."""

    @property
    def all(self) -> tuple[Finding, ...]:
        """Those about the pool alone first."""
        return (*self.own, *self.of_app)

    @property
    def severity(self) -> Severity | None:
        """Of the worst; None without any."""
        return max((one.severity for one in self.all), default=None)

    @property
    def leak(self) -> Finding | None:
        """The pool's own leak."""
        return next((one for one in self.own if one.cause is Cause.LEAK), None)

    @property
    def leaked_by_app(self) -> float:
        """Leaked connections that are in one of the application's pools, unknown which."""
        leaks = (one for one in self.of_app if one.cause is Cause.LEAK)
        return max((one.amount for one in leaks), default=0.0)
