"""Settings, limits and timeouts: the server's own values, not those of our session."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import closing
from typing import Any

import pytest
from structlog.testing import capture_logs

from pg_pool_exporter.model import ServerSettings, TimeoutOverride
from pg_pool_exporter.sources.postgres.settings import Limits, seconds, server_settings
from pg_pool_exporter.sources.postgres.settings_reader import SETTINGS_SECONDS
from pg_pool_exporter.sources.queries.rows import OverrideRow, ServerRow, ServerStateRow, SettingRow
from support.polling import poll, run, source_of, until
from support.postgres import EMBEDDED_16, Cluster


@pytest.fixture(scope="module")
def tuned() -> Iterator[Cluster]:
    """A server with timeouts of its own, in its configuration file."""
    settings = {
        "statement_timeout": "90s",
        "lock_timeout": "1500ms",
        "reserved_connections": "2",
        "authentication_timeout": "2min",
    }
    with Cluster(EMBEDDED_16, settings=settings) as own:
        yield own


def settings_of(cluster: Cluster, **params: str) -> ServerSettings:
    found: list[ServerSettings] = []

    async def main() -> None:
        source = source_of(cluster, dsn=cluster.dsn(**params))
        found.append((await poll(source)).settings)
        await source.close()

    run(main())
    return found[0]


def test_server_wide_timeouts_are_those_of_the_file_not_our_own(tuned: Cluster) -> None:
    settings = settings_of(tuned)
    assert settings.timeouts == {
        "statement_timeout": 90,
        "lock_timeout": 1.5,
        "idle_in_transaction_session_timeout": 0,
        "idle_session_timeout": 0,
        "authentication_timeout": 120,
    }
    assert settings.version.startswith("16.")
    assert settings.in_recovery is False
    assert (settings.max_connections, settings.reserved_connections) == (100, 3 + 2)


def test_a_timeout_of_our_own_role_or_dsn_hides_the_servers_value(tuned: Cluster) -> None:
    tuned.run("CREATE ROLE exporter LOGIN")
    tuned.run("ALTER ROLE exporter SET statement_timeout = '1min'")
    settings = settings_of(tuned, user="exporter", options="-c lock_timeout=5s")
    assert settings.timeouts.keys() == {
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "authentication_timeout",
    }
    tuned.run("DROP ROLE exporter")


def test_a_value_set_for_all_roles_is_server_wide(tuned: Cluster) -> None:
    tuned.run("ALTER ROLE ALL SET idle_session_timeout = '1h'")
    assert settings_of(tuned).timeouts["idle_session_timeout"] == 3600
    tuned.run("ALTER ROLE ALL RESET idle_session_timeout")


def test_each_version_gives_the_timeouts_that_it_has(every_postgres: Cluster) -> None:
    timeouts = settings_of(every_postgres).timeouts
    assert timeouts["statement_timeout"] == 0
    assert timeouts["authentication_timeout"] == 60
    assert ("transaction_timeout" in timeouts) == (every_postgres.version >= 17)


def test_overrides_and_limits_are_shown_with_all_where_one_of_them_is_open(
    cluster: Cluster,
) -> None:
    cluster.run("CREATE ROLE batch LOGIN CONNECTION LIMIT 5")
    cluster.run("CREATE ROLE nobody NOLOGIN CONNECTION LIMIT 6")
    cluster.run("CREATE DATABASE shop CONNECTION LIMIT 7")
    cluster.run("ALTER ROLE batch SET statement_timeout = '2h'")
    cluster.run("ALTER DATABASE shop SET lock_timeout = 250")
    cluster.run("ALTER ROLE batch IN DATABASE shop SET idle_session_timeout = '1.5min'")
    cluster.run("ALTER ROLE batch SET work_mem = '1MB'")
    settings = settings_of(cluster)
    assert settings.overrides == {
        TimeoutOverride("statement_timeout", "all", "batch"): 7200,
        TimeoutOverride("lock_timeout", "shop", "all"): 0.25,
        TimeoutOverride("idle_session_timeout", "shop", "batch"): 90,
    }
    assert settings.role_limits == {"batch": 5}
    assert settings.database_limits == {"shop": 7}


def test_messages_that_the_owner_of_the_database_switches_on_end_no_session(
    cluster: Cluster,
) -> None:
    verbose = {"client_min_messages": "debug5", "debug_print_plan": "on", "debug_print_parse": "on"}
    for name, value in verbose.items():
        cluster.run(f"ALTER DATABASE postgres SET {name} = {value}")

    async def main() -> None:
        source = source_of(cluster)
        for _ in range(100):
            await poll(source)
        await source.close()

    with capture_logs() as logged:
        run(main())
    assert logged == []


def test_settings_are_read_again_after_two_minutes_and_after_a_reconnection(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        now = 0.0
        source = source_of(cluster, clock=lambda: now)

        async def limit() -> Any:
            return (await poll(source)).settings.role_limits.get("batch")

        assert await limit() == 1
        cluster.run("ALTER ROLE batch CONNECTION LIMIT 2")
        now = 119
        assert await limit() == 1
        now = 120
        assert await limit() == 2
        cluster.run("ALTER ROLE batch CONNECTION LIMIT 3")
        cluster.restart()
        assert await limit() == 3
        await source.close()

    cluster.run("CREATE ROLE batch LOGIN CONNECTION LIMIT 1")
    run(main())


@pytest.fixture
def standby(every_postgres: Cluster) -> Iterator[Cluster]:
    """A hot standby without a primary, which can be promoted."""
    with Cluster(every_postgres.bindir) as own:
        own.stop()
        own.make_standby()
        own.start()
        yield own


def test_a_promotion_shows_at_the_next_poll(standby: Cluster) -> None:
    async def main() -> None:
        source = source_of(standby)
        assert (await poll(source)).settings.in_recovery
        ((promoted,),) = standby.run("SELECT pg_promote()")
        assert promoted
        assert not (await poll(source)).settings.in_recovery
        await source.close()

    run(main())


def test_what_a_reload_changes_shows_before_the_next_reading_is_due(
    every_postgres: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(every_postgres, clock=lambda: 0.0)

        async def timeout() -> float:
            return (await poll(source)).settings.timeouts["lock_timeout"]

        assert await timeout() == 0
        # The server passes the signal on to our session when it has read the file itself.
        every_postgres.reload("lock_timeout = '7s'")
        await until(lambda: is_equal(timeout(), 7))
        every_postgres.reload("lock_timeout = 0")
        await until(lambda: is_equal(timeout(), 0))
        await source.close()

    run(main())


async def is_equal(found: Awaitable[float], expected: float) -> bool:
    return await found == expected


def test_a_timeout_set_for_all_roles_shows_though_our_session_began_before(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        now = 0.0
        source = source_of(cluster, clock=lambda: now)

        async def timeout() -> float | None:
            nonlocal now
            now += SETTINGS_SECONDS
            return (await poll(source)).settings.timeouts.get("lock_timeout")

        assert await timeout() == 3
        cluster.run("ALTER ROLE ALL SET lock_timeout = '5s'")
        assert await timeout() == 5
        cluster.run("ALTER ROLE ALL RESET lock_timeout")
        assert await timeout() is None, "our session hides the value of the server's files"
        cluster.restart()
        assert await timeout() == 0
        await source.close()

    cluster.run("ALTER ROLE ALL SET lock_timeout = '3s'")
    run(main())


def test_a_timeout_is_read_as_the_server_reads_it(cluster: Cluster) -> None:
    override = TimeoutOverride("statement_timeout", "all", "postgres")
    for text in ("1e3", "0x10", ".5s", "01750", "250us", "1.5min"):
        cluster.run(f"ALTER ROLE postgres SET statement_timeout = '{text}'")
        (setting,) = cluster.run(
            "SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'statement_timeout'"
        )
        assert (settings_of(cluster).overrides[override],) == setting, text


def test_a_role_that_locks_the_view_of_the_settings_hides_nothing(every_postgres: Cluster) -> None:
    every_postgres.run("CREATE ROLE mallory LOGIN")
    try:
        with every_postgres.connect(user="mallory") as mallory:
            mallory.execute("BEGIN; LOCK TABLE pg_settings IN ACCESS EXCLUSIVE MODE")
            settings = settings_of(every_postgres)
            assert settings.max_connections == 100
            assert "lock_timeout" in settings.timeouts
    finally:
        every_postgres.run("DROP ROLE mallory")


@pytest.mark.parametrize("zeros", [10_000, pytest.param(300_000_000, marks=pytest.mark.slow)])
def test_a_setting_of_megabytes_that_any_role_may_write_costs_itself_only(
    cluster: Cluster, zeros: int
) -> None:
    cluster.run("CREATE ROLE mallory")
    with closing(cluster.connect()) as session:
        session.execute("SET ROLE mallory")
        session.execute(
            "DO $$BEGIN EXECUTE format('ALTER ROLE mallory SET lock_timeout = %L', "
            f"repeat('0', {zeros}) || '5'); END$$"
        )
    cluster.run("CREATE ROLE batch LOGIN CONNECTION LIMIT 5")
    cluster.run("ALTER ROLE batch SET lock_timeout = '7s'")
    settings = settings_of(cluster)
    assert settings.overrides == {TimeoutOverride("lock_timeout", "all", "batch"): 7}
    assert settings.role_limits == {"batch": 5}


def test_an_override_that_cannot_be_read_counts_as_left_out() -> None:
    values = {"max_connections": 100.0, "superuser_reserved_connections": 3.0}
    override = OverrideRow(
        setting="lock_timeout", database="all", user="all", value="soon", everywhere=True
    )
    settings, left_out = server_settings(
        ServerRow(version="16.4", role="exporter", sees_all=True),
        ServerStateRow(in_recovery=False, started=0, loaded=0),
        [SettingRow(setting=name, value=value) for name, value in values.items()],
        known=[],
        limits=Limits([], [], [override]),
        most=10,
    )
    assert (settings.overrides, left_out) == ({}, 1)


def test_without_the_right_to_one_catalogue_all_else_is_shown_and_the_grant_is_named_once(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        now = 0.0
        source = source_of(cluster, dsn=cluster.dsn(user="exporter"), clock=lambda: now)
        with capture_logs() as logs:
            for _ in range(3):
                settings = (await poll(source)).settings
                assert settings.overrides == {}
                assert settings.role_limits == {"exporter": 3}
                now += 120
        (warning,) = [one["lacking"] for one in logs if "lacking" in one]
        assert warning.startswith("pg_db_role_setting: not there, or this role may not read it")
        assert warning.endswith('GRANT SELECT ON pg_db_role_setting TO "exporter"')
        refusals = cluster.log.count("permission denied for table pg_db_role_setting")
        assert refusals == 2, "the poll's own, and one trial that finds which statement it was"

        cluster.run("GRANT SELECT ON pg_db_role_setting TO exporter")
        now += 3600
        assert len((await poll(source)).settings.overrides) == 1
        await source.close()

    cluster.run("CREATE ROLE exporter LOGIN CONNECTION LIMIT 3 IN ROLE pg_monitor")
    cluster.run("ALTER ROLE ALL SET lock_timeout = '5s'")
    cluster.run("REVOKE SELECT ON pg_db_role_setting FROM PUBLIC")
    run(main())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1500", 1.5),
        ("30s", 30),
        ("30 s", 30),
        ("5min", 300),
        ("1h", 3600),
        ("1d", 86400),
        ("1500us", 0.002),
        ("250us", 0),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("+5 s", 5),
        ("1e3", 1),
        ("1.5E1s", 15),
        ("0x10", 0.016),
        ("010", 0.008),
        ("010.5", 0.010),
        ("08", None),
        (".", None),
        ("1" * 5000, None),
        ("", None),
        ("-1", None),
        ("5 parsecs", None),
        ("1e400", None),
        ("٣s", None),
    ],
)
def test_a_timeout_is_read_as_postgresql_writes_it(text: str, expected: float | None) -> None:
    assert seconds(text) == (expected if expected is None else pytest.approx(expected))
