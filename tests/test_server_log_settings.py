"""How a server logs, as it is now, though the exporter keeps its session for weeks."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.config.models import LogConfig
from pg_pool_exporter.model import LogCounts
from pg_pool_exporter.sources.postgres.source import PostgresSource
from pg_pool_exporter.sources.queries.rows import (
    FixedSettingsRow,
    LogDetailsRow,
    LogSettingsRow,
)
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from pg_pool_exporter.sources.server_log.counting.events import OPENED, Event
from pg_pool_exporter.sources.server_log.counting.totals import LogTotals
from pg_pool_exporter.sources.server_log.format.log_format import LogFormat, gaps
from pg_pool_exporter.sources.server_log.format.settings import LogSettings
from pg_pool_exporter.sources.server_log.settings.fixed import RETRY_SECONDS
from pg_pool_exporter.sources.server_log.settings.reader import settings_of
from support.polling import eventually, poll, run, until
from support.postgres import EMBEDDED_18, Cluster


class Watched:
    """A server whose log is read from files, polled by its own source."""

    def __init__(self, cluster: Cluster, user: str, options: str) -> None:
        self.now = 0.0
        self._context = ServerLogContext()
        config = ServerConfig(
            name="main",
            dsn=SecretStr(cluster.dsn(user=user, **({"options": options} if options else {}))),
            log=LogConfig(files=(str(cluster.log_file),)),
        )
        self.source = PostgresSource(config, (), self._context, lambda: self.now)

    async def settings(self) -> LogSettings:
        await poll(self.source)
        settings = await self._context.settings(0)
        assert settings is not None
        return settings

    async def shows(self, opened: bool, closed: bool) -> None:
        """Poll until opened and closed sessions are known to be logged, or not to be."""

        async def is_shown() -> bool:
            settings = await self.settings()
            return (settings.opened, settings.closed) == (opened, closed)

        await until(is_shown)

    async def is_unknown(self) -> bool:
        return (await self.settings()).opened is None


@asynccontextmanager
async def watched(
    cluster: Cluster, user: str = "postgres", options: str = ""
) -> AsyncIterator[Watched]:
    one = Watched(cluster, user, options)
    try:
        yield one
    finally:
        await one.source.close()


ON = ("log_connections = on", "log_disconnections = on")
OFF = ("log_connections = off", "log_disconnections = off")


@pytest.fixture
def own_postgres(every_postgres: Cluster) -> Iterator[Cluster]:
    """A server of each version, to configure."""
    with Cluster(every_postgres.bindir) as own:
        own.run("CREATE ROLE exporter LOGIN")
        yield own


def test_what_is_switched_on_and_off_later_shows_for_any_role(own_postgres: Cluster) -> None:
    async def main() -> None:
        async with (
            watched(own_postgres, "postgres") as superuser,
            watched(own_postgres, "exporter") as ordinary,
        ):

            async def both_show(opened: bool, closed: bool) -> None:
                await superuser.shows(opened, closed)
                await ordinary.shows(opened, closed)

            await both_show(opened=False, closed=False)
            own_postgres.reload(*ON)
            await both_show(opened=True, closed=True)
            own_postgres.reload(*OFF)
            await both_show(opened=False, closed=False)
            own_postgres.run("ALTER SYSTEM SET log_disconnections = on")
            own_postgres.run("SELECT pg_reload_conf()")
            await both_show(opened=False, closed=True)

    run(main())


def test_one_session_is_opened_for_each_reload(cluster: Cluster) -> None:
    def logins() -> int:
        return cluster.log.count("connection authorized: user=exporter")

    async def main() -> None:
        async with watched(cluster, "exporter") as server:
            await server.shows(opened=True, closed=True)
            before = logins()
            cluster.reload("work_mem = '5MB'")
            await until(server.is_unknown)
            await server.shows(opened=True, closed=True)
            for _ in range(5):
                await server.shows(opened=True, closed=True)
            assert logins() == before + 1

    cluster.run("CREATE ROLE exporter LOGIN")
    cluster.reload(*ON)
    run(main())


def test_while_the_server_refuses_a_new_session_it_is_unknown(cluster: Cluster) -> None:
    async def main() -> None:
        async with watched(cluster, "exporter") as server:
            await server.shows(opened=False, closed=False)
            cluster.run("ALTER ROLE exporter CONNECTION LIMIT 0")
            cluster.reload(*ON)
            await until(server.is_unknown)
            await eventually(lambda: "too many connections" in cluster.log)
            cluster.run("ALTER ROLE exporter CONNECTION LIMIT -1")
            for _ in range(5):
                assert await server.is_unknown(), "not tried again at once"
            server.now += RETRY_SECONDS
            await server.shows(opened=True, closed=True)

    cluster.run("CREATE ROLE exporter LOGIN")
    run(main())


def test_a_value_of_the_dsn_says_nothing_about_other_sessions(cluster: Cluster) -> None:
    async def main() -> None:
        async with watched(cluster, options="-c log_disconnections=off") as server:
            settings = await server.settings()
            assert (settings.opened, settings.closed) == (True, None)

    cluster.reload(*ON)
    run(main())


ROW = LogSettingsRow(
    prefix="%m ", destination="stderr", collector=False, least="warning", role="exporter"
)
DETAILS = LogDetailsRow(own_level=False, directory=None, filename=None)
FIXED = FixedSettingsRow(connections="on", disconnections=True, is_current=True, loaded="")


JSON = LogFormat("jsonlog", None, None)
STATEMENTS = "timeouts of statements and locks are not logged"
ENDED = "other timeouts and refused connections are not logged"
SESSIONS = "opened and closed sessions are not logged"


class Aspects(NamedTuple):
    value: str
    opened: bool


@pytest.mark.parametrize(
    "case",
    [
        Aspects("off", opened=False),
        Aspects("on", opened=True),
        Aspects("", opened=False),
        Aspects("all", opened=True),
        Aspects("receipt", opened=False),
        Aspects("receipt, Authorization", opened=True),
        Aspects('receipt,"authorization"', opened=True),
        Aspects("authentication,setup_durations", opened=False),
    ],
)
def test_each_value_of_log_connections_is_understood(case: Aspects) -> None:
    fixed = replace(FIXED, connections=case.value)
    assert settings_of(ROW, None, fixed, (), ()).opened is case.opened
    assert settings_of(ROW, None, None, (), ()).opened is None


@pytest.mark.parametrize(
    ("least", "errors"),
    [
        ("warning", True),
        ("fatal", False),
        ("PANIC", False),
        ("fatal, backend:error", True),
        ("warning, backend:fatal", False),
        ("warning, checkpointer:fatal", True),
        ("backend:log", False),
    ],
)
def test_each_value_of_log_min_messages_is_understood(least: str, errors: bool) -> None:
    """A list from PostgreSQL 19 on."""
    assert settings_of(replace(ROW, least=least), None, None, (), ()).errors is errors


@pytest.mark.parametrize(
    ("least", "opened", "timeouts", "refused", "missing"),
    [
        ("warning", True, {"statement", "idle_in_transaction"}, True, ()),
        ("log", True, {"idle_in_transaction"}, True, (STATEMENTS,)),
        ("fatal", False, {"idle_in_transaction"}, True, (STATEMENTS, SESSIONS)),
        ("panic", False, set(), False, (STATEMENTS, ENDED, SESSIONS)),
    ],
)
def test_what_the_level_keeps_out_of_the_log_is_named_and_not_0(
    least: str, opened: bool, timeouts: set[str], refused: bool, missing: tuple[str, ...]
) -> None:
    settings = settings_of(replace(ROW, least=least), DETAILS, FIXED, (), ("shop",))
    assert tuple(gap.text for gap in gaps(settings, JSON)) == missing
    counts = counted_with(settings)
    assert (counts.opened is not None, counts.closed is not None) == (opened, opened)
    assert kinds_of(counts) & {"statement", "idle_in_transaction"} == timeouts
    assert bool(counts.refused) is refused


@pytest.mark.parametrize(
    ("event", "opened", "timeouts"),
    [
        (None, None, set()),
        (OPENED, {"shop": 1}, {"idle_in_transaction"}),
        (Event("refused", "other"), None, {"idle_in_transaction"}),
        (Event("timeout", "transaction"), None, {"idle_in_transaction"}),
        (Event("timeout", "lock"), None, {"statement", "idle_in_transaction"}),
    ],
)
@pytest.mark.parametrize("fixed", [FIXED, None], ids=["known", "not yet known after a reload"])
def test_where_only_the_exporters_role_has_a_level_events_show_what_is_logged(
    fixed: FixedSettingsRow | None,
    event: Event | None,
    opened: dict[str, int] | None,
    timeouts: set[str],
) -> None:
    row, details = replace(ROW, least="panic"), replace(DETAILS, own_level=True)
    settings = settings_of(row, details, fixed, (), ("shop",))
    assert "log_min_messages of the server is unknown" in next(gaps(settings, JSON)).text
    counts = counted_with(settings, *([event] if event else []))
    assert counts.opened == opened
    assert kinds_of(counts) & {"statement", "idle_in_transaction"} == timeouts
    assert bool(counts.refused) is (event is not None)


def counted_with(settings: LogSettings, *events: Event) -> LogCounts:
    totals = LogTotals(None)
    totals.add(Counter((event, "shop") for event in events), settings.databases, 0.0)
    return totals.counts(settings, by_database=True, lag=0)


def kinds_of(counts: LogCounts) -> set[str]:
    return {kind for of_database in counts.timeouts.values() for kind in of_database}


def test_a_level_of_the_exporters_role_is_not_that_of_others(own_postgres: Cluster) -> None:
    async def main() -> None:
        async with watched(own_postgres, "exporter") as server:
            for _ in range(3):
                settings = await server.settings()
                assert (settings.errors, settings.fatals, settings.sessions) == (None, None, None)
                own_postgres.reload("work_mem = '5MB'")

    own_postgres.run("ALTER ROLE exporter SET log_min_messages = panic")
    run(main())


def test_where_the_log_is_is_known_to_a_role_that_may_read_it(cluster: Cluster) -> None:
    async def main() -> None:
        async with watched(cluster, "exporter") as server, watched(cluster, "stranger") as other:
            assert (await server.settings()).file == "log/postgresql-%Y-%m-%d_%H%M%S.log"
            cluster.reload("log_directory = '/elsewhere'", "log_filename = 'pg'")

            async def has_moved() -> bool:
                return (await server.settings()).file == "/elsewhere/pg"

            await until(has_moved)
            assert (await other.settings()).file is None

    cluster.run("CREATE ROLE exporter LOGIN IN ROLE pg_monitor; CREATE ROLE stranger LOGIN")
    run(main())


def test_from_postgresql_18_the_aspects_of_log_connections_decide() -> None:
    async def main() -> None:
        async with watched(cluster) as server:
            await server.shows(opened=False, closed=False)
            for value, opened in (("all", True), ("receipt", False), ("authorization", True)):
                cluster.reload(f"log_connections = '{value}'")
                await server.shows(opened=opened, closed=False)

    with Cluster(EMBEDDED_18) as cluster:
        run(main())
