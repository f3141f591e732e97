"""A real PgBouncer before a real PostgreSQL: what is shown is what the test has made."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from conftest import require
from pg_pool_exporter.config import BouncerConfig, ServerConfig
from pg_pool_exporter.model import BouncerPool, BouncerPoolKey, BouncerSample, Snapshot
from pg_pool_exporter.sources.pgbouncer import source
from pg_pool_exporter.sources.pgbouncer.folding import BouncerFolding, Shown
from pg_pool_exporter.sources.pgbouncer.source import SETTINGS_SECONDS, BouncerSource
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.pgbouncer import NEWER, PGBOUNCER, Bouncer
from support.polling import failure, outcome, run, snapshot_of, sockets_to_port
from support.postgres import Cluster, wait_until
from support.programs import free_port

pytestmark = pytest.mark.debian

SHOP = BouncerPoolKey("shop", "app")


@pytest.fixture(scope="module")
def roles(postgres: Cluster) -> Cluster:
    """The shared server, with the roles of the bouncer's users."""
    require(PGBOUNCER.exists(), "PgBouncer from Debian's packages")
    for role in ("app", "reports"):
        postgres.run(f"CREATE ROLE {role} LOGIN")
    return postgres


_NEWER = [pytest.param(one, marks=pytest.mark.slow) for one in NEWER]


@pytest.fixture(params=["18", *_NEWER])
def program(request: pytest.FixtureRequest) -> Path:
    """PgBouncer, by minor version."""
    return _program(request.param)


def _program(version: str) -> Path:
    path = PGBOUNCER if version == "18" else NEWER[version]
    require(path, f"PgBouncer {version} (`.ci/newer_pgbouncer`)")
    assert path is not None
    return path


def starting(roles: Cluster, program: Path) -> Iterator[Callable[..., Bouncer]]:
    """Starts bouncers with these settings: `shop` and `archive` are databases of them."""
    databases = {
        "shop": "dbname=postgres pool_size=3 reserve_pool=2 min_pool_size=1 max_db_connections=7",
        "archive": "dbname=postgres",
    }
    with ExitStack() as stack:

        def make(settings: dict[str, str | int] | None = None, **environment: str) -> Bouncer:
            bouncer = Bouncer(roles, databases, settings, environment, program=program)
            return stack.enter_context(bouncer)

        yield make


@pytest.fixture
def start(roles: Cluster) -> Iterator[Callable[..., Bouncer]]:
    """Starts Debian's bouncer."""
    yield from starting(roles, PGBOUNCER)


@pytest.fixture
def start_any(roles: Cluster, program: Path) -> Iterator[Callable[..., Bouncer]]:
    """Starts a bouncer of each version: of what its tables show."""
    yield from starting(roles, program)


def source_of(
    bouncer: Bouncer, clock: Callable[[], float] = time.monotonic, **config: Any
) -> BouncerSource:
    """A source for the bouncer, by `stats` unless a dsn is given."""
    dsn = SecretStr(config.pop("dsn", bouncer.dsn()))
    return BouncerSource(BouncerConfig(name="edge", dsn=dsn, **config), clock)


async def poll(source: BouncerSource) -> BouncerSample:
    """One poll that succeeds."""
    bouncer = (await snapshot_of(source)).bouncer
    assert bouncer is not None
    return bouncer


def polled(bouncer: Bouncer, **config: Any) -> BouncerSample:
    """What a first poll shows."""
    return polled_whole(bouncer, **config).bouncer or pytest.fail("no bouncer")


def polled_whole(bouncer: Bouncer, **config: Any) -> Snapshot:
    """The whole snapshot of a first poll."""
    found: list[Snapshot] = []

    async def main() -> None:
        source = source_of(bouncer, **config)
        found.append(await snapshot_of(source))
        await source.close()

    run(main())
    return found[0]


def test_active_and_idle_connections_and_clients_that_wait_are_counted_exactly(
    start_any: Callable[..., Bouncer],
) -> None:
    # Without a reserve, which would serve those that wait after five seconds.
    bouncer = start_any({"reserve_pool_timeout": 0})
    with bouncer.holding(3, "shop"):
        pass
    # The bouncer resets the sessions of clients that have left.
    wait_until(lambda: polled(bouncer).pools[SHOP].connections["idle"] == 3, "3 are idle")
    with bouncer.holding(2, "shop"), bouncer.holding(1, "archive", "reports"):
        sample = polled(bouncer)
        assert {key: (pool.connections, pool.clients) for key, pool in sample.pools.items()} == {
            SHOP: (
                {"idle": 1, "active": 2, "login": 0, "tested": 0, "cancel": 0},
                {"active": 2, "waiting": 0, "cancel": 0},
            ),
            BouncerPoolKey("archive", "reports"): (
                {"idle": 0, "active": 1, "login": 0, "tested": 0, "cancel": 0},
                {"active": 1, "waiting": 0, "cancel": 0},
            ),
        }
        assert sample.pools[SHOP].oldest_waiting is None
        with bouncer.holding(1, "shop", waiting=2):
            pool = polled(bouncer).pools[SHOP]
            assert (pool.connections["active"], pool.connections["idle"]) == (3, 0)
            assert (pool.clients["active"], pool.clients["waiting"]) == (3, 2)
            assert pool.oldest_waiting is not None
            assert pool.oldest_idle is None


def test_the_age_of_the_first_that_waits_and_of_the_longest_idle_connection_grow(
    start: Callable[..., Bouncer],
) -> None:
    bouncer = start(TZ="America/St_Johns")
    with bouncer.holding(1, "archive"):
        pass
    began = time.monotonic()
    with bouncer.holding(3, "shop", waiting=1):
        waits = time.monotonic()
        time.sleep(1.2)
        before = time.monotonic()
        sample = polled(bouncer)
        after = time.monotonic()
    waited = sample.pools[SHOP].oldest_waiting
    assert waited is not None
    assert before - waits - 0.1 <= waited <= after - began
    idle = sample.pools[BouncerPoolKey("archive", "app")].oldest_idle
    assert idle is not None
    assert 1 <= idle <= after - began + 2, "in whole seconds, whatever the zone of its host is"


def test_no_age_is_reported_of_logins_that_wait_for_a_server_that_is_down(roles: Cluster) -> None:
    """The bouncer shows 0 for it, whatever has gone by."""

    def log_in(bouncer: Bouncer) -> None:
        with suppress(psycopg.OperationalError):
            bouncer.connect("down")

    def found(bouncer: Bouncer) -> BouncerPool | None:
        return polled(bouncer).pools.get(BouncerPoolKey("down", "app"))

    with Bouncer(roles, {"down": f"port={free_port()}"}) as bouncer:
        client = Thread(target=log_in, args=(bouncer,))
        client.start()
        wait_until(lambda: found(bouncer) is not None, "a login waits")
        time.sleep(0.1)
        pool = found(bouncer)
        assert pool is not None
        assert (pool.clients["waiting"], pool.oldest_waiting) == (1, None)
    client.join()


def test_limits_are_shown_and_those_that_are_unlimited_are_not(
    start_any: Callable[..., Bouncer],
) -> None:
    bouncer = start_any({"max_client_conn": 50, "default_pool_size": 0})
    with bouncer.holding(1, "shop"):
        sample = polled(bouncer)
    shop = sample.pools[SHOP]
    assert (shop.size, shop.reserve_size, shop.min_size) == (3, 2, 1)
    assert (sample.databases["shop"].connections, sample.databases["shop"].max_connections) == (
        1,
        7,
    )
    archive = sample.databases["archive"]
    assert (archive.connections, archive.max_connections) == (0, None)
    assert (sample.max_clients, sample.clients) == (50, 2), "the exporter is one of its clients"


def test_each_version_is_the_one_that_is_wanted(
    start_any: Callable[..., Bouncer], request: pytest.FixtureRequest
) -> None:
    wanted = {"18": r"1\.18\.", "24": r"1\.24\.", "NEWEST": r"1\.(2[6-9]|[3-9]\d)\."}
    version = wanted[request.node.callspec.params["program"]]
    assert re.match(f"PgBouncer {version}", polled(start_any()).version)


def test_counters_exist_from_zero_for_every_database(start_any: Callable[..., Bouncer]) -> None:
    bouncer = start_any()
    with bouncer.connect("shop") as client:
        for _ in range(4):
            client.execute("SELECT 1")
        sample = polled(bouncer)
    shop, archive = sample.databases["shop"], sample.databases["archive"]
    assert (shop.transactions, shop.queries) == (5, 5)
    assert (archive.transactions, archive.queries, archive.wait) == (0, 0, 0)
    assert archive.transaction_time == archive.query_time == archive.received == archive.sent == 0


def test_time_in_transactions_and_in_queries_and_bytes_are_counted(
    start_any: Callable[..., Bouncer],
) -> None:
    """So mean transaction, query and wait times are known."""
    bouncer = start_any()
    with bouncer.connect("shop") as client:
        client.execute("BEGIN")
        client.execute("SELECT pg_sleep(0.2), repeat('x', 10000)")
        time.sleep(0.3)
        client.execute("COMMIT")
    sample = polled(bouncer).databases["shop"]
    assert sample.query_time is not None
    assert sample.transaction_time is not None
    assert 0.2 <= sample.query_time < 5
    assert 0.5 <= sample.transaction_time < 5
    assert sample.sent is not None
    assert sample.sent > 10_000
    assert sample.received


@pytest.fixture(params=_NEWER)
def newer(roles: Cluster, request: pytest.FixtureRequest) -> Callable[..., Bouncer]:
    """A bouncer of a version that knows sizes and limits of users (from 1.23 on), with these."""
    program = _program(request.param)
    databases = {"shop": "dbname=postgres pool_size=3 max_db_client_connections=40"}

    def make(users: dict[str, str], settings: dict[str, str | int] | None = None) -> Bouncer:
        return Bouncer(roles, databases, settings, users=users, program=program)

    return make


def test_limits_of_users_and_databases_are_shown_with_what_is_in_use(
    newer: Callable[..., Bouncer],
) -> None:
    limits = {"app": "max_user_connections=8 max_user_client_connections=30"}
    with newer(limits) as bouncer, bouncer.holding(2, "shop"):
        sample = polled(bouncer)
    app, shop = sample.users["app"], sample.databases["shop"]
    assert (app.connections, app.max_connections, app.clients, app.max_clients) == (2, 8, 2, 30)
    assert (shop.clients, shop.max_clients, shop.assignments) == (2, 40, 2)
    assert "postgres" not in sample.users, "neither a limit nor a client"


def test_a_size_that_a_console_repeats_for_other_users_is_not_theirs(
    newer: Callable[..., Bouncer],
) -> None:
    """SHOW USERS of PgBouncer 1.23 to 1.25 does (its issue 1323), that of 1.26 does not."""
    with (
        newer({"app": "pool_size=1"}) as bouncer,
        bouncer.holding(1, "shop"),
        bouncer.holding(1, "shop", "reports"),
    ):
        sample = polled(bouncer)
    sizes = {key.user: pool.size for key, pool in sample.pools.items()}
    assert sizes["app"] == 1
    assert sizes["reports"] in ([None, 3] if "1.24." in sample.version else [3])


def test_clients_are_shown_by_application_with_the_connections_that_they_hold(
    start_any: Callable[..., Bouncer], roles: Cluster
) -> None:
    bouncer = start_any({"pool_mode": "transaction", "application_name_add_host": 1})
    with (
        psycopg.connect(bouncer.dsn("shop", "app", application_name="web")) as holder,
        psycopg.connect(bouncer.dsn("shop", "app", application_name="web"), autocommit=True),
        psycopg.connect(bouncer.dsn("archive", "reports", application_name="jobs")) as job,
    ):
        pid = holder.execute("SELECT pg_backend_pid()").fetchone()
        job.execute("SELECT 1")
        sample = polled(bouncer)
        pool = sample.pools[SHOP]
        (hold,) = pool.holds
        assert pid == (hold.pid,)
        assert (hold.application, hold.address) == ("web", "127.0.0.1")
        assert hold.port == str(_port_of(holder))
        assert (hold.server_host, hold.server_port) == (roles.host, str(roles.port))
        assert hold.silent_for is not None
        assert hold.silent_for <= 2
    assert {name: dict(one.counts) for name, one in pool.applications.items()} == {
        "web": {"idle": 1, "active": 1, "waiting": 0}
    }
    jobs = sample.pools[BouncerPoolKey("archive", "reports")].applications
    assert jobs["jobs"].counts["active"] == 1


def _port_of(client: psycopg.Connection[Any]) -> int:
    with socket.socket(fileno=os.dup(client.fileno())) as end:
        port: int = end.getsockname()[1]
        return port


def test_applications_are_left_out_above_the_limit_and_pools_are_not(
    start: Callable[..., Bouncer],
) -> None:
    bouncer = start()
    with bouncer.holding(3, "shop"):
        sample = polled(bouncer, max_clients=3)
        assert sample.clients_left_out
        pool = sample.pools[SHOP]
        assert (pool.clients["active"], pool.holds) == (3, ())
        assert {name: one.counts["active"] for name, one in pool.applications.items()} == {
            "unknown": 3
        }
        assert not polled(bouncer, max_clients=4).clients_left_out


def test_paused_and_disabled_databases_are_shown(start_any: Callable[..., Bouncer]) -> None:
    bouncer = start_any()
    sample = polled(bouncer)
    assert not any(one.paused or one.disabled for one in sample.databases.values())
    bouncer.console("PAUSE shop")
    bouncer.console("DISABLE archive")
    sample = polled(bouncer)
    shop, archive = sample.databases["shop"], sample.databases["archive"]
    assert (shop.paused, shop.disabled) == (True, False)
    assert (archive.paused, archive.disabled) == (False, True)


def test_a_bouncer_that_is_paused_as_a_whole_is_shown(
    start_any: Callable[..., Bouncer], program: Path
) -> None:
    bouncer = start_any()
    known = program != PGBOUNCER  # from 1.19 on
    assert polled(bouncer).paused == (False if known else None)
    bouncer.console("PAUSE")
    assert polled(bouncer).paused == (True if known else None)


def test_the_time_that_clients_waited_is_counted_in_seconds(start: Callable[..., Bouncer]) -> None:
    bouncer = start()
    before = polled(bouncer).databases["shop"].wait
    with bouncer.holding(3, "shop", waiting=1):
        time.sleep(0.5)
    after = polled(bouncer).databases["shop"].wait
    assert before is not None
    assert after is not None
    assert 0.5 <= after - before < 5


def test_the_console_itself_is_neither_a_pool_nor_a_database(start: Callable[..., Bouncer]) -> None:
    sample = polled(start())
    assert sample.pools == {}
    assert set(sample.databases) == {"shop", "archive"}


def test_pools_beyond_the_limit_are_added_up_as_other(start: Callable[..., Bouncer]) -> None:
    bouncer = start()
    with (
        bouncer.holding(2, "shop"),
        bouncer.holding(1, "archive"),
        bouncer.holding(1, "archive", "reports"),
    ):
        snapshot = polled_whole(bouncer, max_pools=1)
    assert snapshot.bouncer is not None
    other = snapshot.bouncer.pools[BouncerPoolKey("other", "other")]
    assert set(snapshot.bouncer.pools) == {SHOP, BouncerPoolKey("other", "other")}
    assert (other.connections["active"], other.clients["active"], other.size) == (2, 2, 40)
    assert snapshot.folded == 2


def test_many_rows_are_read_as_few_are(
    start: Callable[..., Bouncer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And folded in a thread, too: meanwhile scrapes are answered."""
    monkeypatch.setattr(source, "MOST_ROWS_INLINE", 0)
    threads = []

    class Folding(BouncerFolding):
        def fold(self, all_: Shown, now: float) -> Shown:
            threads.append(current_thread())
            return super().fold(all_, now)

    monkeypatch.setattr(source, "BouncerFolding", Folding)
    bouncer = start()
    with bouncer.holding(2, "shop"):
        assert polled(bouncer).pools[SHOP].connections["active"] == 2
    assert threads
    assert main_thread() not in threads


def test_one_connection_is_kept_and_the_configuration_is_read_again_every_few_minutes(
    start: Callable[..., Bouncer],
) -> None:
    bouncer = start({"max_client_conn": 50})
    now = 0.0

    async def main() -> None:
        nonlocal now
        source = source_of(bouncer, lambda: now)
        logins = bouncer.log.count("user=stats")
        assert (await poll(source)).max_clients == 50
        bouncer.console("SET max_client_conn = 60")
        assert (await poll(source)).max_clients == 50
        now = SETTINGS_SECONDS
        assert (await poll(source)).max_clients == 60
        assert bouncer.log.count("login attempt: db=pgbouncer user=stats") == 1 + logins
        assert sockets_to_port(bouncer.port) == 1
        await source.close()

    run(main())


@pytest.mark.parametrize(
    ("params", "reason", "advice"),
    [
        ({"password": "guessed"}, "auth", "auth_file"),
        ({"user": "nobody"}, "auth", "refused the login"),
        ({"user": "app"}, "permission", "stats_users"),
        ({"dbname": "shop", "user": "app"}, "protocol", "no admin console"),
        ({"dbname": "elsewhere", "user": "app"}, "protocol", "no admin console"),
    ],
)
def test_a_console_that_may_not_be_used_says_what_to_do(
    start: Callable[..., Bouncer], params: dict[str, str], reason: str, advice: str
) -> None:
    bouncer = start()

    async def main() -> None:
        source = source_of(bouncer, dsn=bouncer.dsn(**params))
        error = await failure(source)
        assert error.reason == reason
        assert advice in str(error)
        assert f"pgbouncer edge (127.0.0.1, port {bouncer.port}, database " in str(error)
        await source.close()

    run(main())


def test_a_console_that_is_listed_as_a_server_says_where_it_belongs(
    start: Callable[..., Bouncer],
) -> None:
    bouncer = start()

    async def main() -> None:
        source = PostgresSource(ServerConfig(name="main", dsn=SecretStr(bouncer.dsn())))
        error = await failure(source)
        assert error.reason == "protocol"
        assert f"server main (127.0.0.1, port {bouncer.port}, database pgbouncer" in str(error)
        assert "list it under `pgbouncers`" in str(error)
        await source.close()

    run(main())


def test_the_console_is_found_without_a_database_in_the_dsn(start: Callable[..., Bouncer]) -> None:
    bouncer = start()
    assert polled(bouncer, dsn=bouncer.dsn().replace("dbname=pgbouncer", "")).databases


def test_a_bouncer_that_hangs_fails_polls_and_is_seen_when_it_goes_on(
    start: Callable[..., Bouncer],
) -> None:
    bouncer = start()

    async def main() -> None:
        source = source_of(bouncer)
        assert await outcome(source) == "up"
        bouncer.pause()
        for _ in range(5):
            assert await outcome(source, 0.2) == "timeout"
            assert sockets_to_port(bouncer.port) <= 1
        bouncer.resume()
        assert await outcome(source) == "up"
        assert (await poll(source)).clients == 1, "nothing of ours is left there"
        await source.close()

    run(main())


def test_a_restart_between_two_polls_costs_none_of_them(start: Callable[..., Bouncer]) -> None:
    bouncer = start()

    async def main() -> None:
        source = source_of(bouncer)
        assert await outcome(source) == "up"
        bouncer.restart()
        assert await outcome(source) == "up"
        bouncer.stop()
        assert [await outcome(source) for _ in range(2)] == ["refused"] * 2
        bouncer.start()
        assert await outcome(source) == "up"
        await source.close()

    run(main())


@pytest.mark.parametrize("command", ["PAUSE", "SUSPEND"])
def test_a_bouncer_that_its_administrator_stops_is_read_on(
    start: Callable[..., Bouncer], command: str
) -> None:
    bouncer = start()

    async def main() -> None:
        source = source_of(bouncer)
        assert await outcome(source) == "up"
        with bouncer.console_session() as session:
            session.execute(command.encode())
            assert [await outcome(source) for _ in range(2)] == ["up"] * 2
            session.execute(b"RESUME")
        await source.close()

    run(main())


def test_a_full_bouncer_is_read_on_and_takes_the_exporter_still(
    start: Callable[..., Bouncer],
) -> None:
    bouncer = start({"max_client_conn": 4})

    async def main() -> None:
        source = source_of(bouncer)
        assert await outcome(source) == "up"
        with bouncer.holding(3, "shop"):
            with pytest.raises(psycopg.OperationalError, match="no more connections allowed"):
                bouncer.connect("archive")
            sample = await poll(source)
            assert (sample.clients, sample.max_clients) == (4, 4)
            late = source_of(bouncer)
            assert (await poll(late)).clients == 5, "the console is not one of those"
            await late.close()
        await source.close()

    run(main())
