"""The log over SQL: what the role can read and what not, and what is said when it can't."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection.held import HeldConnection, ReadyConnection
from pg_pool_exporter.sources.postgres.source import PostgresSource
from pg_pool_exporter.sources.queries import Batch
from pg_pool_exporter.sources.queries.rows import (
    FixedSettingsRow,
    LogFileRow,
    LogPieceRow,
    LogSettingsRow,
    Session,
)
from pg_pool_exporter.sources.server_log import log_source
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from pg_pool_exporter.sources.server_log.counting.reader import LogReader
from support import provoking
from support.busy import within
from support.polling import eventually
from support.postgres import Cluster
from support.sql import install, run_script

MOST = 1024 * 1024


@pytest.fixture(scope="module")
def logging(any_postgres: Cluster) -> Iterator[Cluster]:
    """A server that logs into files, and a role that may read them."""
    settings = {**provoking.LOGGING, "log_filename": "pg+(log)-%Y.log"}
    with Cluster(any_postgres.bindir, settings=settings) as cluster:
        install(cluster, "exporter")
        cluster.run("CREATE ROLE stranger LOGIN")
        yield cluster


@pytest.fixture
def exporter(logging: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """A session of the exporter's role."""
    with logging.connect(user="exporter") as connection:
        yield connection


def read(connection: psycopg.Connection[Any], name: str, at: int = 0, most: int = MOST) -> Any:
    row = connection.execute("SELECT pool_exporter.read_log(%s, %s, %s)", [name, at, most])
    (content,) = row.fetchone() or (None,)
    return content


def files(connection: psycopg.Connection[Any]) -> dict[str, int]:
    rows = connection.execute("SELECT name, size FROM pool_exporter.log_files()").fetchall()
    return dict(rows)


def log_directory(cluster: Cluster) -> Path:
    return cluster.directory / "data/log"


def test_the_role_reads_the_log_and_nothing_but_the_log(
    logging: Cluster, exporter: psycopg.Connection[Any]
) -> None:
    found = files(exporter)
    assert {Path(name).suffix for name in found} == {".log", ".csv", ".json"}
    for name in found:
        content = (log_directory(logging) / name).read_bytes()
        assert read(exporter, name, 0, 100) == content[:100]
        assert read(exporter, name, 10, 100) == content[10:110]
        assert read(exporter, name, 2**62) == b""
    for right in (
        "pg_catalog.pg_read_file(text)",
        "pg_catalog.pg_read_binary_file(text)",
        "pg_catalog.pg_ls_dir(text)",
        "pg_catalog.pg_stat_file(text)",
    ):
        query = "SELECT has_function_privilege(%s, 'EXECUTE')"
        assert exporter.execute(query, [right]).fetchone() == (False,)


@pytest.mark.parametrize(
    "name",
    [
        "../global/1260", "../pg_hba.conf", "./{log}", "{log}/", "/{log}", "{log}/../{log}",
        "{directory}/{log}", "{data}/pg_hba.conf", "/etc/passwd", "..", ".", "", "{log}\n",
        "../log/{log}", "%2e%2e/pg_hba.conf", "{log}' OR true --", "{log}.bak", "secret.txt",
        ".hidden.log", "pg_log-2026.log", "%", "_", "PG_VERSION", "pg+(log)-sub/x.log",
    ],
)  # fmt: skip
def test_no_other_file_can_be_read(
    logging: Cluster, exporter: psycopg.Connection[Any], name: str
) -> None:
    """Paths, absolute or not, other files of the same directory, quoting, patterns."""
    directory = log_directory(logging)
    for other in ("secret.txt", ".hidden.log"):
        (directory / other).write_bytes(b"secret")
    (directory / "pg+(log)-sub").mkdir(exist_ok=True)
    (directory / "pg+(log)-sub" / "x.log").write_bytes(b"secret")
    log = min(files(exporter))
    (directory / f"{log}.bak").write_bytes(b"secret")
    path = name.format(log=log, directory=directory, data=directory.parent)
    assert read(exporter, path) is None


def test_a_link_is_read_only_when_it_is_called_like_the_log(
    logging: Cluster, exporter: psycopg.Connection[Any]
) -> None:
    """SQL does not show links; only the server's own account can make one in that directory."""
    link = log_directory(logging) / "link.txt"
    link.symlink_to("../pg_hba.conf")
    assert read(exporter, link.name) is None
    assert link.name not in files(exporter)


@pytest.mark.parametrize(
    ("at", "most"),
    [
        (-1, 10),
        (0, 0),
        (0, -1),
        (0, MOST + 1),
        (0, 2**31 - 1),
        (None, 10),
        (0, None),
        (-(2**63), 1),
    ],
)
def test_offsets_and_lengths_are_bounded(
    exporter: psycopg.Connection[Any], at: int | None, most: int | None
) -> None:
    name = min(files(exporter))
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        exporter.execute("SELECT pool_exporter.read_log(%s, %s, %s)", [name, at, most])


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE pool_exporter.mine ()",
        "CREATE FUNCTION pool_exporter.log_files(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION pool_exporter.log_files() RETURNS int LANGUAGE sql AS '1'",
        "DROP FUNCTION pool_exporter.log_files()",
        "ALTER FUNCTION pool_exporter.read_log(text, bigint, integer) RESET search_path",
        "SET log_directory = '/etc'",
        "SET log_filename = '%'",
    ],
)  # fmt: skip
def test_the_role_cannot_change_what_the_functions_do(
    exporter: psycopg.Connection[Any], statement: str
) -> None:
    with pytest.raises(
        (psycopg.errors.InsufficientPrivilege, psycopg.errors.CantChangeRuntimeParam)
    ):
        exporter.execute(statement.encode())


def test_nothing_that_the_caller_makes_is_called(
    logging: Cluster, exporter: psycopg.Connection[Any]
) -> None:
    """Temporary tables, and functions and operators first in the search_path."""
    logging.run("CREATE SCHEMA IF NOT EXISTS trap AUTHORIZATION exporter")
    fake = "(OUT name text, OUT size bigint, OUT modification timestamptz) RETURNS SETOF record"
    for schema in ("trap", "pg_temp"):
        exporter.execute(
            f"CREATE FUNCTION {schema}.pg_ls_logdir{fake} LANGUAGE sql AS "
            "$$ SELECT '../pg_hba.conf', 1::bigint, now() $$".encode()
        )
        exporter.execute(
            f"CREATE FUNCTION {schema}.current_setting(text) RETURNS text LANGUAGE sql AS "
            "$$ SELECT '.*' $$".encode()
        )
    exporter.execute(
        b"CREATE FUNCTION trap.always(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'"
    )
    exporter.execute(b"CREATE OPERATOR trap.~ (LEFTARG=text, RIGHTARG=text, FUNCTION=trap.always)")
    exporter.execute(b"CREATE OPERATOR trap.= (LEFTARG=text, RIGHTARG=text, FUNCTION=trap.always)")
    exporter.execute(b"CREATE TEMP TABLE log_files (name text, size bigint, modified float8)")
    exporter.execute(b"CREATE TEMP TABLE form (stem text)")
    exporter.execute(b"INSERT INTO log_files VALUES ('../pg_hba.conf', 1, 1)")
    exporter.execute(b"SET search_path = pg_temp, trap, pool_exporter, pg_catalog")
    exporter.execute(b"SET standard_conforming_strings = off")
    assert read(exporter, "../pg_hba.conf") is None
    assert {Path(name).suffix for name in files(exporter)} == {".log", ".csv", ".json"}
    exporter.execute(b"RESET search_path")
    logging.run("DROP SCHEMA trap CASCADE")


def test_nobody_else_can_use_the_functions(logging: Cluster) -> None:
    with logging.connect(user="stranger") as stranger:
        for statement in (
            "SELECT pool_exporter.log_files()",
            "SELECT pool_exporter.read_log('x', 0, 1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                stranger.execute(statement.encode())


def test_the_script_can_be_run_again_and_refuses_a_strangers_schema(logging: Cluster) -> None:
    run_script(logging, "stranger")
    with logging.connect(user="stranger") as stranger:
        assert files(stranger)
    run_script(logging, "exporter")
    logging.run("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pool_exporter FROM stranger")
    logging.run("CREATE DATABASE trap OWNER stranger")
    logging.run("CREATE SCHEMA pool_exporter", user="stranger", dbname="trap")
    with pytest.raises(psycopg.errors.RaiseException, match="belongs to no superuser"):
        run_script(logging, "exporter", dbname="trap")


def server(cluster: Cluster, **params: str) -> ServerConfig:
    return ServerConfig.model_validate(
        {
            "name": "main",
            "dsn": cluster.dsn(**{"user": "exporter", **params}),
            "log": {"sql": True, "interval": "10s", "timeout": "10s"},
        }
    )


def failure(config: ServerConfig) -> PollError:
    """The error of a poll that fails."""

    async def main() -> PollError:
        source = log_source(config, "", ServerLogContext())
        try:
            await source.poll()
        except PollError as error:
            return error
        finally:
            await source.close()
        raise AssertionError("the poll did not fail")

    return asyncio.run(main())


def test_without_the_functions_it_says_how_to_make_them(logging: Cluster) -> None:
    logging.run("CREATE DATABASE bare")
    error = failure(server(logging, dbname="bare"))
    assert error.reason == "permission"
    assert "deploy/sql/log_reader.sql" in str(error)
    assert "-v role=exporter" in str(error)


def test_without_the_right_it_says_how_to_give_it(logging: Cluster) -> None:
    logging.run("CREATE ROLE newcomer LOGIN")
    error = failure(server(logging, user="newcomer"))
    assert error.reason == "permission"
    assert "-v role=newcomer" in str(error)


def test_languages_that_it_may_not_know_cost_nothing_else(logging: Cluster) -> None:
    async def main() -> None:
        source = log_source(server(logging), "", ServerLogContext())
        assert (await source.poll()).log is not None
        await source.close()

    logging.run("REVOKE SELECT ON pg_db_role_setting FROM PUBLIC")
    try:
        asyncio.run(main())
    finally:
        logging.run("GRANT SELECT ON pg_db_role_setting TO PUBLIC")


def test_without_the_collector_it_says_so(postgres: Cluster) -> None:
    error = failure(server(postgres, user="postgres"))
    assert error.reason == "other"
    assert "logging_collector = on" in str(error)


def test_the_second_connection_is_the_exporters_own(logging: Cluster) -> None:
    """It is no session of an application."""

    async def main() -> None:
        config = server(logging)
        context = ServerLogContext()
        log = log_source(config, "", context)
        source = PostgresSource(config, log_context=context)
        await log.poll()
        sample = (await source.poll()).server
        await log.close()
        await source.close()
        assert sample is not None
        assert not [key for key in sample.groups if key.user == "exporter"]
        assert sample.used >= 2

    asyncio.run(main())


async def counted(source: Any) -> float:
    """Statement timeouts, by a poll."""
    counts = (await source.poll()).log
    return float(sum(kinds["statement"] for kinds in counts.timeouts.values()))


def provoke(logging: Cluster) -> None:
    with logging.connect(user="stranger") as session:
        session.execute("SET statement_timeout = '10ms'")
        provoking.fails(session, "SELECT pg_sleep(5)", psycopg.errors.QueryCanceled)


def test_a_log_on_another_machine_survives_a_restart_of_both(
    logging: Cluster, tmp_path: Path
) -> None:
    async def main() -> None:
        config = server(logging)
        source = log_source(config, str(tmp_path), ServerLogContext())
        assert await counted(source) == 0
        for expected in (1, 2, 3):
            await asyncio.to_thread(provoke, logging)
            if expected == 2:
                await source.close()
                source = log_source(config, str(tmp_path), ServerLogContext())
            if expected == 3:
                await asyncio.to_thread(logging.restart)
            async with asyncio.timeout(10):
                while await counted(source) < expected:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert await counted(source) == expected
        await source.close()

    asyncio.run(main())


def test_a_change_of_the_format_loses_and_repeats_nothing(postgres: Cluster) -> None:
    """The server logs in both formats before the exporter knows of the new one."""

    def are_logged(times: int, suffix: str) -> bool:
        texts = [file.read_text() for file in log_directory(cluster).glob(f"*{suffix}")]
        return sum(text.count("statement timeout") for text in texts) == times

    async def main() -> None:
        source = log_source(server(cluster), "", ServerLogContext())
        assert await counted(source) == 0
        cluster.run("ALTER SYSTEM SET log_destination = 'stderr', 'csvlog'")
        cluster.run("SELECT pg_reload_conf()")
        for _ in range(3):
            provoke(cluster)
        await eventually(lambda: are_logged(3, ".log") and are_logged(3, ".csv"))
        assert await counted(source) == 3
        provoke(cluster)
        await eventually(lambda: are_logged(4, ".csv"))
        assert await counted(source) == 4
        await source.close()

    settings = {**provoking.LOGGING, "log_destination": "stderr"}
    with Cluster(postgres.bindir, settings=settings) as cluster:
        install(cluster, "exporter")
        cluster.run("CREATE ROLE stranger LOGIN")
        asyncio.run(main())


class ListedServer:
    """A server that lists these log files, of one byte each, to every held connection."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[LogFileRow] = []
        self.looked_at: list[str] = []
        monkeypatch.setattr(HeldConnection, "fetch", lambda _held, compose: self._fetch(compose))

    def list(self, modified: dict[str, float]) -> None:
        self.files = [
            LogFileRow(name=name, size=1, modified=time) for name, time in modified.items()
        ]

    async def _fetch(self, compose: Callable[[Any], Batch]) -> tuple[Any, Any]:
        ready = SimpleNamespace(version=16, session=Session(1, "1"))
        asked = compose(cast(ReadyConnection, ready))
        if "read_log" in asked.statements:
            self.looked_at.append(asked.params["name"])
            return ready, ([], [LogPieceRow(piece=b"x")])
        if "log_files" in asked.statements:
            return ready, ([], self.files)
        return ready, (
            [HOW_IT_LOGS],
            [],
            [FIXED],
            [],
            [],
        ) if "log_line_prefix" in asked.statements else ([],)


HOW_IT_LOGS = LogSettingsRow(
    prefix="%m ", destination="stderr", collector=True, least="warning", role="exporter"
)
FIXED = FixedSettingsRow(connections="on", disconnections=True, is_current=True, loaded="")
LISTED = ServerConfig.model_validate(
    {"name": "main", "dsn": "host=h", "log": {"sql": True, "interval": "10s"}}
)


def test_of_many_files_the_newest_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server can list as many as an answer holds, and each costs a round trip."""
    listed = ListedServer(monkeypatch)
    listed.list({f"{at}.log": float(at) for at in range(20_000)})

    async def main() -> None:
        source = log_source(LISTED, "", ServerLogContext())
        await source.poll()
        await source.close()

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < within(2)
    assert sorted(listed.looked_at, key=lambda name: int(name[:-4])) == [
        f"{at}.log" for at in range(19_000, 20_000)
    ]


def test_the_loop_is_free_while_a_piece_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ListedServer(monkeypatch)
    waits: list[bool] = []

    async def main() -> None:
        loop, is_free = asyncio.get_running_loop(), threading.Event()

        def feed(_reader: LogReader, _piece: bytes) -> None:
            loop.call_soon_threadsafe(is_free.set)
            waits.append(is_free.wait(5))

        monkeypatch.setattr(LogReader, "feed", feed)
        source = log_source(LISTED, "", ServerLogContext())
        for names in ({"1.log": 1.0}, {"1.log": 1.0, "2.log": 2.0}):
            listed.list(names)
            await source.poll()
        await source.close()

    asyncio.run(main())
    assert waits == [True]


@pytest.mark.parametrize(
    ("then", "gone"),
    [
        ({"1.log": 1, "2.log": 2}, False),
        ({"1.log": 1, "2.log": 2, "3.log": 3}, False),
        ({"2.log": 2}, False),
        ({"3.log": 3}, False),
        ({"1.log": 1}, True),
        ({"1.log": 1, "2.log": 0}, False),
    ],
    ids=["same", "rotated", "an old one removed", "only the next one", "current removed", "older"],
)
def test_a_current_file_that_is_removed_is_missed(
    monkeypatch: pytest.MonkeyPatch, then: dict[str, float], gone: bool
) -> None:
    listed = ListedServer(monkeypatch)

    async def main() -> None:
        source = log_source(LISTED, "", ServerLogContext())
        listed.list({"1.log": 1, "2.log": 2})
        await source.poll()
        listed.list(then)
        for _ in range(2):
            if gone:
                with pytest.raises(PollError, match="pg_rotate_logfile"):
                    await source.poll()
            else:
                await source.poll()
        listed.list({**then, "4.log": 4})
        await source.poll()
        await source.close()

    asyncio.run(main())
