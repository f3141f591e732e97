"""PgBouncer: its pools, which belong to a database and a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class BouncerPoolKey(NamedTuple):
    """Identity of a bouncer's pool."""

    database: str
    user: str


class BouncerOrigin(NamedTuple):
    """The key of a group of a bouncer's clients."""

    application: str
    """Without what the bouncer's `application_name_add_host` adds."""
    address: str
    """The client's IP address; empty on a unix socket."""
    user: str = ""
    """The role that they log in with, where the bouncer replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGroup:
    """Clients of one pool with one application: from one address, or from all."""

    counts: Mapping[str, float]
    """By `catalogue.BOUNCER_CLIENT_STATES`."""
    oldest_waiting: float | None = None
    oldest_active: float | None = None
    """Seconds since the last request of the client that holds a connection since the oldest one."""
    oldest_silent: Mapping[str, float] = field(default_factory=dict)
    """By state, the whole seconds since the last request of the client that is silent longest."""
    idle_for: tuple[float, ...] = ()
    """Of each client without connection and request: lower bound of the seconds for which it has
    done nothing, in no order."""
    waiting_for: tuple[float, ...] = ()
    """Of each client with a request that has no connection: seconds since the request."""


class Hold(NamedTuple):
    """A client of a bouncer that has a connection to the server."""

    application: str
    address: str
    """IP address; empty on a unix socket."""
    port: str
    silent_for: float | None
    """Seconds since its last request, which may run still."""
    server_host: str
    """As the bouncer sees it; empty on a unix socket."""
    server_port: str
    pid: int | None
    """Of the backend."""
    user: str = ""
    """The role that the connection belongs to; empty where it is unknown."""
    origin_user: str = ""
    """As `BouncerOrigin.user`."""
    idle_for: float = 0.0
    """Lower bound of the seconds for which the client has had no request."""
    request: float | None = None
    """Seconds since its request that runs now; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerPool:
    """One pool of a bouncer at one poll. A limit of None is unlimited or unknown."""

    connections: Mapping[str, float] = field(default_factory=dict)
    """Server connections by `catalogue.BOUNCER_SERVER_STATES`; unknown states are missing."""
    clients: Mapping[str, float] = field(default_factory=dict)
    """By state of SHOW POOLS, where `active` ones may be idle; unknown states are missing."""
    origins: Mapping[BouncerOrigin, ClientGroup] = field(default_factory=dict)
    """The clients by address."""
    clients_read: bool = False
    """Whether `origins`, `holds` and `applications` are known, and what each client does; else of a
    relative of PgBouncer the clients may be counted still."""
    holds: tuple[Hold, ...] = ()
    """Clients that have a connection to the server, the one of the oldest request first."""
    applications: Mapping[str, ClientGroup] = field(default_factory=dict)
    """The clients by application, of which many are folded; `unknown` where they are not read."""
    oldest_waiting: float | None = None
    oldest_idle: float | None = None
    size: float | None = None
    reserve_size: float | None = None
    min_size: float | None = None
    mode: str = ""
    """How long a client keeps a connection: `session`, `transaction` or `statement`; empty:
    unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerDatabase:
    """One database of a bouncer at one poll."""

    transactions: float | None = None
    queries: float | None = None
    transaction_time: float | None = None
    """Total seconds of transactions, the wait for a connection included."""
    query_time: float | None = None
    """Total seconds of queries, the wait for a connection included."""
    wait: float | None = None
    """Total seconds that clients have waited for a connection."""
    received: float | None = None
    """Bytes from clients."""
    sent: float | None = None
    """Bytes to clients."""
    assignments: float | None = None
    """Number of times that a client got a connection."""
    logins: float | None = None
    client_parses: float | None = None
    """Prepared statements that clients made."""
    server_parses: float | None = None
    """Those of them that the bouncer had to make on a connection."""
    binds: float | None = None
    connections: float | None = None
    max_connections: float | None = None
    clients: float | None = None
    max_clients: float | None = None
    paused: bool | None = None
    disabled: bool | None = None
    login_rate: float | None = None
    """Logins a second over the last minute, or since the poll before where that is longer ago."""
    transaction_rate: float | None = None
    """Transactions a second over the same time."""
    mean_transaction: float | None = None
    """Mean seconds of the transactions that ended in that time, without waiting."""


class Behind(NamedTuple):
    """Where a bouncer's database is. An empty text is unknown."""

    database: str = ""
    """Its name on the server."""
    host: str = ""
    """Empty also for a unix socket."""
    port: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerUser:
    """One user of a bouncer at one poll. A limit of None is unlimited or unknown."""

    connections: float | None = None
    max_connections: float | None = None
    clients: float | None = None
    max_clients: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerSample:
    """One bouncer at one poll."""

    version: str
    pools: Mapping[BouncerPoolKey, BouncerPool]
    databases: Mapping[str, BouncerDatabase]
    behind: Mapping[str, Behind] = field(default_factory=dict)
    """Where the databases are."""
    users: Mapping[str, BouncerUser] = field(default_factory=dict)
    paused: bool | None = None
    """Whether all of it is paused, or suspended."""
    host: str = ""
    port: str = ""
    address: str = ""
    """The IP address behind `host`; empty on a unix socket."""
    shares_port: bool = False
    """Whether other processes may listen on its port (`so_reuseport`)."""
    clients_left_out: bool = False
    """Whether its clients are more than are read, so that their applications are unknown."""
    max_clients: float | None = None
    clients: float | None = None
