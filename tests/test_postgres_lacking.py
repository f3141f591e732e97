"""Servers whose views lack something: it costs only the series that need it, and is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from pg_pool_exporter.config import FactsConfig, LogConfig, ServerConfig
from pg_pool_exporter.model import SessionGroup, Snapshot
from pg_pool_exporter.sources.postgres.source import PostgresSource
from pg_pool_exporter.sources.queries import ACTIVITY_COLUMNS, batch
from pg_pool_exporter.sources.queries.rows import Session
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from support.polling import run, snapshot_of, source_of
from support.postgres import Cluster

FACTS = FactsConfig(
    wait_events=True, snapshots=True, idle_in_transaction=True, client_networks=True
)


@contextmanager
def changed(cluster: Cluster, do: str, undo: str) -> Iterator[None]:
    """The server with a change of its catalogue."""
    cluster.run(f"SET allow_system_table_mods = on; {do}")
    try:
        yield
    finally:
        cluster.run(f"SET allow_system_table_mods = on; {undo}")


@pytest.fixture
def watched(cluster: Cluster) -> Cluster:
    cluster.run("CREATE ROLE watcher LOGIN IN ROLE pg_monitor")
    return cluster


def polled(cluster: Cluster, times: int = 2) -> list[Snapshot]:
    """Snapshots of one source with an ordinary role."""

    found: list[Snapshot] = []

    async def main() -> None:
        source = source_of(cluster, dsn=cluster.dsn(user="watcher"), facts=FACTS)
        found.extend([await snapshot_of(source) for _ in range(times)])
        await source.close()

    run(main())
    return found


def group_of(snapshot: Snapshot, application: str) -> SessionGroup:
    """The sessions of an application."""
    assert snapshot.server is not None
    [group] = [
        group for key, group in snapshot.server.groups.items() if key.application == application
    ]
    return group


def renamed(column: str) -> tuple[str, str]:
    """Statements that rename a column of the view, as a fork without it, and back."""
    view = "ALTER VIEW pg_stat_database RENAME COLUMN"
    return f"{view} {column} TO other", f"{view} other TO {column}"


def without_argument(column: str, other: str) -> tuple[str, str]:
    """The same for a column of the function of the activity."""
    do = (
        "UPDATE pg_proc SET proargnames = array_replace(proargnames, '{}', '{}') "
        "WHERE proname = 'pg_stat_get_activity'"
    )
    return do.format(column, other), do.format(other, column)


def test_a_view_without_a_column_costs_its_series_only(watched: Cluster) -> None:
    with changed(watched, *renamed("sessions_killed")), capture_logs() as logs:
        first, second = polled(watched)
    for snapshot in (first, second):
        assert snapshot.server is not None
        counters = snapshot.server.databases["postgres"]
        assert counters.killed is None
        assert counters.deadlocks == 0
        assert counters.sessions is not None
        [note] = snapshot.notes
        assert note.startswith("pg_stat_database has no column sessions_killed that this role may")
    assert [one["log_level"] for one in logs if "lacking" in one] == ["warning"]


def test_several_columns_may_be_missing(watched: Cluster) -> None:
    one = renamed("deadlocks")
    other = tuple(text.replace(" other", " another") for text in renamed("sessions"))
    with changed(watched, *one), changed(watched, *other):
        [snapshot] = polled(watched, 1)
    assert snapshot.server is not None
    counters = snapshot.server.databases["postgres"]
    assert (counters.deadlocks, counters.sessions) == (None, None)
    assert counters.fatal is not None
    assert len(snapshot.notes) == 2


def test_an_activity_without_a_column_costs_its_series_only(watched: Cluster) -> None:
    for column in ACTIVITY_COLUMNS:
        with changed(watched, *without_argument(column, "other")):
            [snapshot] = polled(watched, 1)
        assert snapshot.server is not None
        assert snapshot.server.used >= 1
        assert snapshot.server.databases["postgres"].deadlocks == 0
        # The facts about snapshots and wait events need some of them, too.
        assert any(f"() has no column {column} that" in note for note in snapshot.notes)


NEEDED_FOR = {
    "xact_start": {"oldest_transaction", "transactions"},
    "backend_xid": {"writers"},
    "wait_event_type": {"waiting", "blocking", "by wait"},
    "backend_xmin": {"oldest_snapshot", "by snapshot"},
    "backend_start": {"oldest_backend"},
    "backend_type": {"by snapshot"},
    "client_addr": {"by network"},
    "pid": {"blocking", "by wait", "by snapshot"},
    "datid": set(),
    "usesysid": set(),
}


def test_what_a_missing_column_was_needed_for_is_unknown_not_none(watched: Cluster) -> None:
    with watched.connect(application_name="app") as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TEMPORARY TABLE t (i int)")
        for column, unknown in NEEDED_FOR.items():
            with changed(watched, *without_argument(column, "other")):
                [snapshot] = polled(watched, 1)
            group = group_of(snapshot, "app")
            assert snapshot.server is not None
            facts = snapshot.server.facts
            assert facts is not None
            found = {
                "oldest_transaction": group.oldest_transaction,
                "transactions": group.transactions or None,
                "writers": group.writers,
                "waiting": group.waiting,
                "blocking": group.blocking,
                "oldest_snapshot": group.oldest_snapshot,
                "oldest_backend": group.oldest_backend,
                "by wait": facts.waits,
                "by snapshot": facts.snapshots,
                "by network": facts.networks,
            }
            assert {name for name, value in found.items() if value is None} == unknown
            assert group.ages.keys() == {"idle_in_transaction"}


def test_without_the_states_no_session_is_in_none_of_them(watched: Cluster) -> None:
    with watched.connect(application_name="app") as session:
        session.execute("BEGIN")
        with changed(watched, *without_argument("state", "other")):
            [snapshot] = polled(watched, 1)
    group = group_of(snapshot, "app")
    assert (group.sessions, group.ages) == (1, {})
    assert snapshot.server is not None
    assert snapshot.server.facts is not None
    assert snapshot.server.facts.idle_in_transaction is None


def test_without_the_starts_of_sessions_our_own_are_no_application(watched: Cluster) -> None:
    async def main() -> None:
        context = ServerLogContext()
        config = ServerConfig(name="main", dsn=SecretStr(watched.dsn(user="watcher")))
        source = PostgresSource(config, (), context)
        with watched.connect(application_name="reader") as session:
            context.put_session(Session(pid=session.info.backend_pid, started=""))
            snapshot = await snapshot_of(source)
        assert snapshot.server is not None
        assert "reader" not in {key.application for key in snapshot.server.groups}
        assert snapshot.server.used >= 2
        await source.close()

    with changed(watched, *without_argument("backend_start", "other")):
        run(main())


STRANGE_VALUES = {
    "pid": (["NULL", "-1"], {"blocking"}),
    "state_change": (["'infinity'", "'-infinity'"], {"ages"}),
    "xact_start": (["'infinity'", "'-infinity'"], {"oldest_transaction"}),
    "backend_start": (["'infinity'", "'-infinity'"], {"oldest_backend"}),
}


def test_a_strange_value_costs_what_it_was_needed_for(watched: Cluster) -> None:
    """Of a fork's own function in place of pg_stat_get_activity()."""
    columns = watched.run(
        "SELECT name, format_type(type, NULL) FROM pg_proc, "
        "unnest(proargnames, proallargtypes, proargmodes) AS argument (name, type, mode) "
        "WHERE proname = 'pg_stat_get_activity' AND mode = 'o'"
    )
    name, original = "pg_catalog.pg_stat_get_activity", "pg_catalog.original"
    types = ", ".join(f"{column} {kind}" for column, kind in columns)
    undo = f"DROP FUNCTION {name}; ALTER FUNCTION {original} RENAME TO pg_stat_get_activity"
    with watched.connect(application_name="app") as session:
        session.execute("BEGIN")
        for strange, (values, unknown) in STRANGE_VALUES.items():
            for value in values:
                shown = ", ".join(
                    f"({value})::{kind}" if column == strange else column
                    for column, kind in columns
                )
                do = (
                    f"ALTER FUNCTION {name} RENAME TO original; "
                    f"CREATE FUNCTION {name}(int) RETURNS TABLE ({types}) LANGUAGE sql "
                    f"AS $$ SELECT {shown} FROM {original}($1) $$"
                )
                with changed(watched, do, undo):
                    [snapshot] = polled(watched, 1)
                group = group_of(snapshot, "app")
                found = {
                    "blocking": group.blocking,
                    "ages": group.ages["idle_in_transaction"] or None,
                    "oldest_transaction": group.oldest_transaction,
                    "oldest_backend": group.oldest_backend,
                }
                assert {one for one, value in found.items() if value is None} == unknown
                assert group.sessions == 1


def test_a_right_on_some_columns_is_used(watched: Cluster) -> None:
    with changed(
        watched,
        "REVOKE SELECT ON pg_stat_database FROM PUBLIC; "
        "GRANT SELECT (datid, datname, deadlocks) ON pg_stat_database TO watcher",
        "REVOKE ALL ON pg_stat_database FROM watcher; GRANT SELECT ON pg_stat_database TO PUBLIC",
    ):
        [snapshot] = polled(watched, 1)
    assert snapshot.server is not None
    counters = snapshot.server.databases["postgres"]
    assert (counters.deadlocks, counters.sessions) == (0, None)


def test_without_a_right_on_the_view_databases_have_their_names(watched: Cluster) -> None:
    with changed(
        watched,
        "REVOKE SELECT ON pg_stat_database FROM PUBLIC, pg_read_all_stats",
        "GRANT SELECT ON pg_stat_database TO PUBLIC",
    ):
        [snapshot] = polled(watched, 1)
    assert snapshot.server is not None
    assert snapshot.server.databases["postgres"].deadlocks is None
    assert snapshot.notes == (
        (
            "pg_stat_database: not there, or this role may not read it; its series are absent; "
            'GRANT SELECT ON pg_stat_database TO "watcher"'
        ),
    )


def test_the_role_that_lacks_the_right_is_named(watched: Cluster) -> None:
    watched.run("CREATE ROLE monitor IN ROLE pg_monitor; GRANT monitor TO watcher")
    with (
        changed(
            watched,
            "ALTER ROLE watcher SET role = monitor",
            "ALTER ROLE watcher RESET role",
        ),
        changed(
            watched,
            "REVOKE SELECT ON pg_stat_database FROM PUBLIC, pg_read_all_stats",
            "GRANT SELECT ON pg_stat_database TO PUBLIC",
        ),
    ):
        [snapshot] = polled(watched, 1)
    [note] = snapshot.notes
    assert note.endswith('GRANT SELECT ON pg_stat_database TO "monitor"')


@pytest.mark.parametrize(
    ("do", "undo", "asked"),
    [
        (
            "REVOKE SELECT ON pg_stat_database FROM PUBLIC, pg_read_all_stats",
            "GRANT SELECT ON pg_stat_database TO PUBLIC",
            "databases that a log can name",
        ),
        (
            "ALTER VIEW pg_stat_database RENAME TO absent",
            "ALTER VIEW absent RENAME TO pg_stat_database",
            "databases that a log can name",
        ),
        (
            "ALTER TABLE pg_db_role_setting RENAME TO absent",
            "ALTER TABLE absent RENAME TO pg_db_role_setting",
            "their sessions log in that language",
        ),
    ],
    ids=["no right to the view", "no view", "no catalogue"],
)
def test_without_databases_or_languages_the_log_is_read_all_the_same(
    watched: Cluster, do: str, undo: str, asked: str
) -> None:
    now = 0.0

    async def main() -> None:
        nonlocal now
        context = ServerLogContext()
        config = ServerConfig(
            name="main",
            dsn=SecretStr(watched.dsn(user="watcher")),
            log=LogConfig(files=(str(watched.log_file),)),
        )
        source = PostgresSource(config, (), context, lambda: now)
        with changed(watched, do, undo):
            await snapshot_of(source)
            settings = await context.settings(0)
            assert settings is not None
            assert settings.formats == ("stderr",)
            assert settings.databases == (() if "database" in do else ("template1", "postgres"))
            errors = watched.log.count(asked)
            assert errors
            for _ in range(3):
                now += 120
                await snapshot_of(source)
            assert watched.log.count(asked) == errors, "not asked again each time"
        now += 3600
        await snapshot_of(source)
        settings = await context.settings(0)
        assert settings is not None
        assert settings.databases == ("template1", "postgres")
        await source.close()

    run(main())


def test_without_a_part_of_the_settings_all_else_is_shown(watched: Cluster) -> None:
    async def main() -> None:
        context = ServerLogContext()
        config = ServerConfig(
            name="main",
            dsn=SecretStr(watched.dsn(user="watcher")),
            log=LogConfig(files=(str(watched.log_file),)),
        )
        source = PostgresSource(config, (), context)
        snapshot = await snapshot_of(source)
        assert snapshot.server is not None
        assert snapshot.server.settings.max_connections > 0
        assert snapshot.server.settings.reserved_connections == 3
        assert snapshot.server.settings.timeouts == {}
        log = await context.settings(0)
        assert log is not None
        assert log.line_prefix
        assert log.languages == ("en",)
        (note,) = snapshot.notes
        assert note == (
            "pg_show_all_settings(): not there, or this role may not read it; its series are "
            'absent; GRANT EXECUTE ON FUNCTION pg_show_all_settings TO "watcher"'
        )
        await source.close()

    right = "EXECUTE ON FUNCTION pg_show_all_settings()"
    with changed(watched, f"REVOKE {right} FROM PUBLIC", f"GRANT {right} TO PUBLIC"):
        run(main())


def test_facts_that_may_not_be_read_are_absent_not_none(watched: Cluster) -> None:
    with changed(
        watched,
        "REVOKE EXECUTE ON FUNCTION pg_prepared_xact() FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION pg_prepared_xact() TO PUBLIC",
    ):
        [snapshot] = polled(watched, 1)
        (note,) = snapshot.notes
        watched.run(note[note.index("GRANT") :])
        assert polled(watched, 1)[0].notes == ()
    assert snapshot.server is not None
    assert snapshot.server.facts is not None
    assert snapshot.server.facts.snapshots is None
    assert snapshot.server.facts.waits is not None


def test_what_is_there_again_is_read_again_in_an_hour(watched: Cluster) -> None:
    now = 0.0

    async def main() -> None:
        nonlocal now
        source: PostgresSource = source_of(watched, clock=lambda: now)
        do, undo = renamed("deadlocks")
        with changed(watched, do, undo):
            assert (await snapshot_of(source)).notes
        assert (await snapshot_of(source)).notes
        now += 3600
        snapshot = await snapshot_of(source)
        assert snapshot.notes == ()
        assert snapshot.server is not None
        assert snapshot.server.databases["postgres"].deadlocks == 0
        await source.close()

    run(main())


@pytest.mark.parametrize("version", [13, 16, 19])
def test_each_column_can_be_left_out_of_the_statement(version: int) -> None:
    for column in ("deadlocks", "sessions", "sessions_abandoned"):
        text = batch("databases", version=version, without=[column]).statements
        assert f"{column}," not in text.replace(f"AS {column},", "")
        assert "datname AS database" in text
