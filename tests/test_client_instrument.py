"""`instrument`: one line in an application, which it can always do without harm."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from psycopg2.pool import SimpleConnectionPool
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import pg_pool_exporter
from pg_pool_exporter.client import instrument, long_lived, uninstrument
from pg_pool_exporter.client.process import Process
from support.client import own_process, page_of
from support.pools import url
from support.postgres import Cluster, wait_until

Pool = ConnectionPool[Any]


def names(process: Process) -> list[tuple[str, str]]:
    return [(sample.key.app, sample.key.pool) for sample in process.samples()]


def thresholds(process: Process) -> list[float | None]:
    return [sample.leak_after for sample in process.samples()]


def test_it_gives_the_pool_back_and_the_pool_keeps_its_type(
    client_process: Process, pool: Pool
) -> None:
    before = repr(pool)
    assert instrument(pool, app="shop") is pool
    assert isinstance(pool, ConnectionPool)
    assert repr(pool) == before


def test_doing_it_twice_measures_once(client_process: Process, pool: Pool) -> None:
    instrument(pool, app="shop", name="main")
    kind = type(pool)
    instrument(pool)
    with pool.connection():
        pass
    assert type(pool) is kind
    assert names(client_process) == [("shop", "main")]
    assert client_process.samples()[0].acquired == 1


def test_doing_it_again_changes_what_is_given_and_keeps_the_rest(
    client_process: Process, pool: Pool
) -> None:
    """As after `instrument_all()`, which gives a pool the script's name."""
    instrument(pool)
    instrument(pool, app="shop", name="main", server="eu-1", leak_after="90s")
    instrument(pool, leak_after=30)
    with pool.connection():
        pass
    (sample,) = client_process.samples()
    assert (sample.key.app, sample.key.pool, sample.leak_after) == ("shop", "main", 30.0)
    assert sample.info is not None
    assert (sample.info.server, sample.acquired) == ("eu-1", 1)
    instrument(pool, leak_after="soon")
    assert thresholds(client_process) == [30.0], "a wrong one changes nothing"


def test_a_changed_name_is_made_unique_like_any_other(
    client_process: Process, postgres: Cluster
) -> None:
    pools = [ConnectionPool(postgres.dsn(), min_size=1, open=False) for _ in range(2)]
    instrument(pools[0], app="shop", name="main")
    instrument(pools[1], app="shop")
    instrument(pools[1], name="main")
    instrument(pools[0], name="main")
    assert names(client_process) == [("shop", "main"), ("shop", "main-2")]


def test_the_socket_carries_the_name_that_the_application_gets_later(
    tmp_path: Path, pool: Pool
) -> None:
    """Processes of one application share its numbers, whichever script they run."""
    with own_process(tmp_path) as process:
        instrument(pool, app="script")
        wait_until(lambda: page_of(tmp_path / "script-0.sock"), "the page is served")
        instrument(pool, app="shop")
        wait_until(lambda: page_of(tmp_path / "shop-0.sock"), "the page is served")
        assert [path.name for path in tmp_path.glob("*.sock")] == ["shop-0.sock"]
        assert process.samples()[0].key.process.endswith(":0")


def test_names_come_from_the_arguments_else_the_environment_else_the_script(
    client_process: Process, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pool(name: str | None = None) -> Pool:
        return ConnectionPool(postgres.dsn(), min_size=1, open=False, name=name)

    pools = [pool(), pool("reports"), pool("reports"), pool(), pool()]
    instrument(pools[0], app="shop", name="main")
    monkeypatch.setenv("PG_POOL_EXPORTER_APP", "from-environment")
    instrument(pools[1])
    instrument(pools[2])
    monkeypatch.delenv("PG_POOL_EXPORTER_APP")
    monkeypatch.setattr(sys, "argv", ["/srv/shop/worker.py"])
    instrument(pools[3], name="x")
    monkeypatch.setattr(sys, "argv", ["/srv/billing/__main__.py"])
    instrument(pools[4], name="x")
    assert names(client_process) == [
        ("shop", "main"),
        ("from-environment", "reports"),
        ("from-environment", "reports-2"),
        ("worker", "x"),
        ("billing", "x"),
    ]


def test_the_threshold_and_the_server_come_from_the_arguments_or_the_environment(
    client_process: Process, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_POOL_EXPORTER_LEAK_AFTER", "90s")
    monkeypatch.setenv("PG_POOL_EXPORTER_SERVER", "eu-1")
    pools = [ConnectionPool(postgres.dsn(), min_size=1, open=False) for _ in range(3)]
    instrument(pools[0])
    instrument(pools[1], leak_after="2m", server="us-1")
    instrument(pools[2], leak_after=1.5)
    assert thresholds(client_process) == [90.0, 120.0, 1.5]
    servers = [sample.info.server for sample in client_process.samples() if sample.info]
    assert servers == ["eu-1", "us-1", "eu-1"]


@pytest.mark.parametrize(
    "options",
    [{"app": 7}, {"name": b"main"}],
)
def test_a_wrong_argument_is_logged_and_the_pool_left_as_it_was(
    client_process: Process, pool: Pool, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert instrument(pool, **options) is pool
    assert type(pool) is ConnectionPool
    assert [record.name for record in caplog.records] == ["pg_pool_exporter.client"]
    assert client_process.samples() == []


@pytest.mark.parametrize("wrong", ["soon", "2", -1, 0, float("nan"), object()])
def test_a_wrong_threshold_is_logged_and_costs_only_the_threshold(
    client_process: Process, pool: Pool, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    instrument(pool, app="shop", leak_after=wrong)
    assert thresholds(client_process) == [60.0]
    (record,) = caplog.records
    assert record.getMessage().startswith("leak_after is ignored: ")


def test_a_threshold_set_to_nothing_is_none(
    client_process: Process,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("PG_POOL_EXPORTER_LEAK_AFTER", "")
    instrument(pool, app="shop")
    assert thresholds(client_process) == [60.0]
    assert caplog.text == ""


@pytest.mark.parametrize("wrong", [None, 5, object(), ConnectionPool, "pool"])
def test_what_is_no_known_pool_is_logged_and_given_back(
    client_process: Process, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert instrument(wrong, app="shop") is wrong
    (record,) = caplog.records
    assert "psycopg_pool" in record.getMessage()
    assert not record.exc_info
    assert uninstrument(wrong) is wrong


def test_a_class_with_other_arguments_is_refused_and_works_as_before(
    client_process: Process, postgres: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    class Own(ConnectionPool[Any]):
        def getconn(self, timeout: float | None = None, tenant: str = "") -> Any:
            return super().getconn(timeout)

    with Own(postgres.dsn(), min_size=1, open=True) as pool:
        instrument(pool, app="shop")
        assert "other arguments" in caplog.text
        pool.putconn(pool.getconn(tenant="eu"))


def test_an_applications_own_class_is_measured(client_process: Process, postgres: Cluster) -> None:
    class Own(ConnectionPool[Any]):
        calls = 0

        def getconn(self, timeout: float | None = None) -> Any:
            self.calls += 1
            return super().getconn(timeout)

    with Own(postgres.dsn(), min_size=1, open=True) as pool:
        instrument(pool, app="shop")
        with pool.connection():
            pass
        assert (pool.calls, client_process.samples()[0].acquired) == (1, 1)


def test_one_pool_that_cannot_be_read_hides_no_other_and_is_reported_once(
    client_process: Process, postgres: Cluster, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(ConnectionPool[Any]):
        broken = False

        def get_stats(self) -> dict[str, int]:
            if self.broken:
                raise ZeroDivisionError
            return super().get_stats()

    broken = Broken(postgres.dsn(), min_size=1, open=False)
    instrument(broken, app="shop", name="broken")
    instrument(pool, app="shop", name="main")
    broken.broken = True
    assert [names(client_process) for _ in range(3)] == [[("shop", "main")]] * 3
    assert caplog.text.count("can't be read") == 1
    broken.broken = False
    assert len(client_process.samples()) == 2


def test_declaring_something_else_long_lived_is_reported_and_harmless(
    client_process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    marker = object()
    assert long_lived(marker) is marker
    assert "not a function" in caplog.text


def test_what_can_not_even_be_asked_about_is_declared_without_harm(
    client_process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    def circle() -> None: ...

    circle.__wrapped__ = circle  # type: ignore[attr-defined]  # what a broken decorator does
    assert long_lived(circle) is circle
    assert "nothing is declared" in caplog.text


def test_a_connection_can_be_declared_long_lived(client_process: Process, pool: Pool) -> None:
    instrument(pool, app="shop", leak_after=1e-9)
    connection = pool.getconn()
    assert client_process.samples()[0].overdue != {}
    assert long_lived(connection) is connection
    assert client_process.samples()[0].overdue == {}
    pool.putconn(connection)


def test_a_directory_for_sockets_that_is_unsafe_is_reported_and_the_application_goes_on(
    tmp_path: Path, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with own_process(tmp_path / "link") as process:
        instrument(pool, app="shop")
        with pool.connection() as connection:
            connection.execute("select 1")
        wait_until(lambda: "symbolic link" in caplog.text, "it is logged")
        assert process.samples()[0].acquired == 1
        assert process.samples()[0].key.process.endswith(f":pid-{os.getpid()}")
    assert list((tmp_path / "real").iterdir()) == []


def test_a_pool_that_is_made_again_has_the_name_of_the_one_that_was_closed(
    client_process: Process, postgres: Cluster
) -> None:
    kept = []
    for _ in range(3):
        with ConnectionPool(postgres.dsn(), min_size=1, open=True) as pool:
            instrument(pool, app="shop", name="main")
            assert names(client_process) == [("shop", "main")]
            with pool.connection():
                pass
            kept.append(pool)
    (sample,) = client_process.samples()
    assert (sample.acquired, sample.active, sample.max) == (3, 0, None), "its counters go on"


def test_the_log_never_holds_a_connection_string(
    client_process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        instrument("postgresql://app:hunter2@db/shop", app="shop")
    assert "hunter2" not in caplog.text


def test_an_asynchronous_pool_may_be_made_outside_of_a_loop(
    client_process: Process, postgres: Cluster
) -> None:
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(postgres.dsn(), min_size=1, open=False)
    instrument(pool, app="shop", name="main")
    assert names(client_process) == [("shop", "main")]


_IMPORTS = """
import sys, threading
before = set(sys.modules)
import pg_pool_exporter.client
new = {name.partition(".")[0] for name in set(sys.modules) - before} - {"pg_pool_exporter"}
print(sorted(new - set(sys.stdlib_module_names)), "asyncio" in sys.modules,
      threading.active_count())
"""


def test_importing_the_client_brings_the_standard_library_only_and_starts_no_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys\nsys.path.insert(0, {_source()!r}){_IMPORTS}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[] False 1"


def _source() -> str:
    return str(Path(str(pg_pool_exporter.__file__)).parent.parent)


def test_pools_of_two_libraries_are_measured_in_one_process(
    client_process: Process, postgres: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        first = asyncpg.create_pool(url("postgresql", postgres.dsn()))
        second = SimpleConnectionPool(1, 1, postgres.dsn())
        for _ in range(2):
            instrument(first, app="shop", name="first")
            instrument(second, app="shop", name="second")
        assert names(client_process) == [("shop", "first"), ("shop", "second")]
        second.closeall()

    asyncio.run(main())
    assert caplog.text == ""
