"""A PgBouncer, or one of its relatives: its pools, over one held connection to its console."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from pg_pool_exporter.blocking.secrets import PasswordError
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.config import BouncerConfig
from pg_pool_exporter.model import BouncerSample, Snapshot
from pg_pool_exporter.sources.connection.bounded import BoundedConnection
from pg_pool_exporter.sources.connection.connector import Connector
from pg_pool_exporter.sources.connection.held import HeldConnection, ReadyConnection
from pg_pool_exporter.sources.pgbouncer.answers import Answers, Rows, number, value
from pg_pool_exporter.sources.pgbouncer.databases import behind, databases, users
from pg_pool_exporter.sources.pgbouncer.dialects import Dialect, dialect
from pg_pool_exporter.sources.pgbouncer.errors import BOUNCER
from pg_pool_exporter.sources.pgbouncer.folding import BouncerFolding, Shown
from pg_pool_exporter.sources.pgbouncer.pools import pools
from pg_pool_exporter.sources.pgbouncer.rates import RecentRates
from pg_pool_exporter.sources.pgbouncer.silence import Silence
from pg_pool_exporter.sources.queries import Batch
from pg_pool_exporter.sources.queries.rows import Session

SETTINGS_SECONDS = 120.0
"""How often the bouncer's version and configuration are read, and users that are many."""
CONSOLE = "pgbouncer"
"""The console's database where the dsn names none."""

_MOST_VERSION = 100
MOST_ROWS_INLINE = 1000
"""Rows that are read in some milliseconds; more are read in a thread."""
_MOST_USERS = 1000
"""More are read with the configuration, for their pools' sizes only: what they have changes."""
_PARSING = Lane("parse-console")
# Products choose different types for the same number. 0 stands for unknown ones.
_TYPES = (
    0, "text", "name", "varchar", "bool", "int2", "int4", "int8", "numeric", "float4",
    "float8",
)  # fmt: skip


@dataclass(slots=True)
class _Settings:
    """What rarely changes, as read last over one connection."""

    ready: ReadyConnection
    read_at: float
    version: str = ""
    dialect: Dialect = field(default_factory=lambda: dialect(""))
    max_clients: float | None = None
    shares_port: bool = False
    users: Rows | None = None
    read: set[str] = field(default_factory=set)
    """SHOW commands whose answer is above."""
    unknown: set[str] = field(default_factory=set)
    """SHOW commands that this console does not know."""


class BouncerSource:
    """Polls one bouncer. `clock` gives seconds and never goes back."""

    def __init__(self, config: BouncerConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._connector = Connector(
            f"pgbouncer {config.name}",
            config,
            defaults={"dbname": CONSOLE},
            as_text=_TYPES,
            causes=BOUNCER,
        )
        self._held = HeldConnection(self._connector, _prepare, clock)
        self._folding = BouncerFolding(config.max_pools, config.max_groups)
        self._most_clients = config.max_clients
        self._rates = RecentRates()
        self._silence = Silence()
        self._settings: _Settings | None = None

    async def poll(self) -> Snapshot:
        """One round trip for each SHOW command: the console takes one at a time.

        Raises `PollError`; cancelling takes effect at once.
        """
        try:
            ready, pools = await self._show("POOLS")
            settings = await self._read_settings(ready)
            lists = await self._try("LISTS", settings)
            few = _sockets(lists, settings.dialect) <= self._most_clients
            has_clients = settings.dialect.lists_clients or settings.dialect.names_applications
            console = ready.connection.info.dbname
            servers = await self._try("SERVERS", settings) if few else None
            asked = self._clock()
            clients = await self._try("CLIENTS", settings) if few and has_clients else None
            answered = self._clock()
            answers = Answers(
                console=console,
                pools=pools,
                databases=await self._try("DATABASES", settings),
                stats=await self._try("STATS", settings),
                servers=servers,
                clients=clients,
                active_sockets=await self._try("ACTIVE_SOCKETS", settings),
                users=await self._users(settings),
            )
            state = await self._try("STATE", settings)
        except (psycopg.Error, PasswordError) as error:
            raise self._connector.failure(error) from None
        # It is one process: since it answers, it has closed abandoned connections, too.
        self._held.forget_gone(())
        shown = await self._shown(answers, settings.dialect, asked, answered)
        where = ready.connection.info
        return Snapshot(
            bouncer=BouncerSample(
                version=settings.version,
                pools=shown.pools,
                databases=self._rates.added(shown.databases, self._clock()),
                behind=behind(answers, settings.dialect, shown.databases),
                users=shown.users,
                paused=_is_paused(state),
                max_clients=settings.max_clients,
                clients=value(lists, "list", settings.dialect.clients, "items"),
                host=where.host,
                port=str(where.port),
                address=where.hostaddr,
                shares_port=settings.shares_port,
                clients_left_out=has_clients and not few,
            ),
            folded=shown.folded,
        )

    async def _shown(
        self, answers: Answers, dialect: Dialect, asked: float, answered: float
    ) -> Shown:
        """What is shown of the answers; of many rows made in a thread, so that no scrape waits.

        The clients were read between two times.
        """

        def read() -> Shown:
            few = len(answers.users or ()) <= _MOST_USERS
            clients, console = answers.clients or (), answers.console
            idle_for = self._silence.idle_for(clients, console, asked, answered)
            all_ = Shown(
                pools=pools(answers, dialect, idle_for),
                databases=databases(answers, dialect),
                users=users(answers) if few else {},
            )
            return self._folding.fold(all_, answered)

        if answers.rows <= MOST_ROWS_INLINE:
            return read()
        return await _PARSING.run(read)

    async def close(self) -> None:
        """Close the connection at once."""
        await self._held.close()

    async def _read_settings(self, ready: ReadyConnection) -> _Settings:
        """The settings, read again when they are old or were read over another connection."""
        now = self._clock()
        settings = self._settings
        if (
            settings is None
            or settings.ready is not ready
            or now - settings.read_at >= SETTINGS_SECONDS
        ):
            settings = self._settings = _Settings(ready, now)
        # What was read before a poll was cancelled is kept: else a console that is too slow to
        # answer all of it in one poll would stay down forever.
        if "VERSION" not in settings.read:
            for row in await self._try("VERSION", settings) or []:
                settings.version = "".join(filter(str.isprintable, row.get("version") or ""))
            settings.version = settings.version[:_MOST_VERSION]
            settings.dialect = dialect(settings.version)
            settings.read.add("VERSION")
        if "CONFIG" not in settings.read:
            config = await self._try("CONFIG", settings)
            settings.max_clients = value(config, "key", "max_client_conn", "value") or None
            settings.shares_port = value(config, "key", "so_reuseport", "value") == 1
            settings.read.add("CONFIG")
        if "USERS" not in settings.read:
            settings.users = await self._try("USERS", settings)
            settings.read.add("USERS")
        return settings

    async def _users(self, settings: _Settings) -> Rows | None:
        if settings.users is not None and len(settings.users) <= _MOST_USERS:
            settings.users = await self._try("USERS", settings)
        return settings.users

    async def _show(self, what: str) -> tuple[ReadyConnection, Rows]:
        batch = Batch(f"SHOW {what}", {}, (dict,))
        ready, (rows,) = await self._held.fetch(lambda _: batch)
        return ready, rows

    async def _try(self, what: str, settings: _Settings) -> Rows | None:
        """The rows; None when this console does not know the command."""
        if what in settings.unknown:
            return None
        try:
            _, rows = await self._show(what)
        except psycopg.Error as error:
            # The server's own answer has an SQLSTATE; a connection that is lost has none.
            if error.sqlstate is None:
                raise
            settings.unknown.add(what)
            return None
        return rows


def _is_paused(state: Rows | None) -> bool | None:
    """Whether SHOW STATE (from 1.19 on) shows that all is paused or suspended."""
    active = next((row.get("value") for row in state or () if row.get("key") == "active"), None)
    return {"yes": False, "no": True}.get(active or "")


def _sockets(lists: Rows | None, dialect: Dialect) -> float:
    """The most rows of clients, or of connections to servers, as SHOW LISTS counts them: in a row
    each, or in a column each (PgDog).
    """
    in_columns = next(iter(lists or ()), {})
    return max(
        value(lists, "list", one, "items") or number(in_columns, one) or 0
        for one in dialect.sockets
    )


async def _prepare(connection: BoundedConnection) -> ReadyConnection:
    return ReadyConnection(connection, Session(connection.info.backend_pid, ""))
