"""Each cause at a real PgBouncer, made with real pools; its healthy twin is silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool, PoolTimeout
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from conftest import require
from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.analysis.finding import Cause, Finding
from pg_pool_exporter.config import BouncerConfig, Config, ServerConfig, Thresholds
from pg_pool_exporter.model import Health, TargetId
from pg_pool_exporter.polling.store import Store, TargetState
from pg_pool_exporter.sources.pgbouncer.source import BouncerSource
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.pgbouncer import NEWER, PGBOUNCER, Bouncer
from support.polling import run, snapshot_of
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.programs import free_port

pytestmark = [pytest.mark.debian, pytest.mark.slow]

HELD = 1.0
"""As in the thresholds below."""


@dataclass
class Stand:
    """A bouncer before a server, and what works there until the end."""

    cluster: Cluster
    bouncer: Bouncer
    _stack: ExitStack
    _over: Event = field(default_factory=Event)

    def pool(self, size: int, application: str, *, autocommit: bool = False) -> ConnectionPool[Any]:
        """A pool of psycopg_pool behind the bouncer."""
        kwargs = {
            "application_name": application, "autocommit": autocommit, "prepare_threshold": None,
        }  # fmt: skip
        pool: ConnectionPool[Any] = ConnectionPool(
            self.bouncer.dsn("shop", "app"), min_size=0, max_size=size, kwargs=kwargs, open=True,
        )  # fmt: skip
        self._stack.callback(pool.close, timeout=0)
        return pool

    def work(self, workers: int, size: int, seconds: float, application: str = "web") -> None:
        """Requests that follow each other, each with one statement of so many seconds."""
        pool = self.pool(size, application, autocommit=True)

        def requests() -> None:
            while not self._over.is_set():
                with suppress(psycopg.Error, PoolTimeout), pool.connection() as connection:
                    connection.execute(f"SELECT pg_sleep({seconds})".encode())

        threads = [Thread(target=requests, daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            self._stack.callback(thread.join, 10)
        self._stack.callback(self._over.set)

    def findings(self) -> list[Finding]:
        """What is found at the bouncer now, by one poll of both."""
        found: list[Finding] = []

        async def main() -> None:
            edge = BouncerConfig(name="edge", dsn=SecretStr(self.bouncer.dsn()))
            main = ServerConfig(name="main", dsn=SecretStr(self.cluster.dsn()))
            sources: dict[TargetId, PostgresSource | BouncerSource] = {
                TargetId("server", "main"): PostgresSource(main),
                TargetId("bouncer", "edge"): BouncerSource(edge),
            }
            store = Store()
            config = Config(thresholds=Thresholds.model_validate({"bouncer_held": "1s"}))
            analyzer = Analyzer(store, config)
            for key, source in sources.items():
                begun = time.monotonic()
                snapshot = await snapshot_of(source)
                store.put(
                    TargetState(
                        key=key, interval=5.0, health=Health(up=True, polls=1), snapshot=snapshot,
                        begun=begun, taken=time.monotonic(),
                    )
                )  # fmt: skip
                await source.close()
            found.extend(
                one for one in analyzer.update().findings if one.subject.target is not None
            )

        run(main())
        return found

    def shows(self, cause: Cause, *known: Cause) -> Finding:
        """Wait until this is found, and nothing else at the same time but what is known."""
        last: list[Finding] = []

        def is_found() -> bool:
            last[:] = self.findings()
            return [one.cause for one in last] == [cause, *known]

        wait_until(is_found, f"{cause.value} is found, not {last}", 20)
        return last[0]

    def stays_silent(self, *known: Cause) -> None:
        """Nothing is found for some seconds, but what is known."""
        end = time.monotonic() + 3 * HELD
        while time.monotonic() < end:
            assert [one.cause for one in self.findings()] == [*known]
            time.sleep(0.3)


@pytest.fixture(params=["18", "NEWEST"])
def program(request: pytest.FixtureRequest) -> Path:
    path = PGBOUNCER if request.param == "18" else NEWER[request.param]
    require(path and path.exists(), f"PgBouncer {request.param} (`.ci/newer_pgbouncer`)")
    assert path is not None
    return path


@pytest.fixture(scope="module")
def roles() -> Iterator[Cluster]:
    """A server with the role of the bouncer's clients."""
    with Cluster(EMBEDDED_16) as own:
        own.run("CREATE ROLE app LOGIN")
        yield own


@pytest.fixture
def stand(roles: Cluster, program: Path) -> Iterator[Callable[..., Stand]]:
    """Makes a stand: `size` connections to the server, in a pool mode."""
    with ExitStack() as stack:

        def make(size: int, mode: str, database: str = "dbname=postgres", **settings: int) -> Stand:
            bouncer = stack.enter_context(
                Bouncer(
                    roles, {"shop": f"{database} pool_size={size}"},
                    {"pool_mode": mode, **settings}, program=program,
                )
            )  # fmt: skip
            return Stand(roles, bouncer, stack)

        yield make


def test_a_forgotten_transaction_of_psycopg_pool(stand: Callable[..., Stand]) -> None:
    here = stand(3, "transaction")
    pool = here.pool(2, "billing")
    kept = pool.getconn()
    kept.execute("SELECT 1")
    finding = here.shows(Cause.BOUNCER_IDLE_IN_TRANSACTION)
    assert finding.subject.app == "billing"
    assert "127.0.0.1:" in finding.evidence[0]
    kept.rollback()
    here.stays_silent()
    pool.putconn(kept)


def test_a_forgotten_transaction_of_sqlalchemy(stand: Callable[..., Stand]) -> None:
    here = stand(2, "session")
    dsn = here.bouncer.dsn("shop", "app", application_name="reports")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert here.shows(Cause.BOUNCER_IDLE_IN_TRANSACTION).subject.app == "reports"
    here.stays_silent()  # the pool keeps its connection, and nobody waits
    engine.dispose()


def test_idle_connections_of_a_pool_fill_the_bouncer_in_session_mode(
    stand: Callable[..., Stand],
) -> None:
    here = stand(2, "session")
    pool = here.pool(2, "greedy", autocommit=True)
    both = [pool.getconn(), pool.getconn()]
    for one in both:
        one.execute("SELECT 1")
        pool.putconn(one)
    here.stays_silent()
    here.work(1, 1, 0.01, "starved")
    finding = here.shows(Cause.BOUNCER_SESSION_HELD)
    assert "greedy (2)" in " ".join(finding.evidence)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_long_transactions_make_others_wait(stand: Callable[..., Stand], mode: str) -> None:
    here = stand(2, mode)
    here.work(4, 4, 6)
    here.shows(Cause.BOUNCER_LONG_TRANSACTIONS)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pool_that_is_too_small(stand: Callable[..., Stand], mode: str) -> None:
    here = stand(1, mode)
    here.work(30, 30, 0.08)
    finding = here.shows(Cause.BOUNCER_POOL_TOO_SMALL)
    assert "pool_size=2" in finding.remedy


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_the_same_load_is_fine_with_enough_connections(
    stand: Callable[..., Stand], mode: str
) -> None:
    here = stand(30, mode)
    here.work(20, 20, 0.08)
    here.work(2, 2, 3)
    here.stays_silent()


def test_another_pool_that_has_all_connections_of_the_database(
    stand: Callable[..., Stand],
) -> None:
    here = stand(5, "session", max_db_connections=2)
    with _clients(here.bouncer, 2, user="postgres"):
        here.stays_silent()
        here.work(1, 1, 0.01)
        finding = here.shows(Cause.BOUNCER_POOL_TOO_SMALL)
    assert "2 of max_db_connections 2" in finding.summary
    assert "shop/postgres (2)" in " ".join(finding.evidence)


def test_a_role_that_gets_no_more_connections_than_its_limit(stand: Callable[..., Stand]) -> None:
    here = stand(5, "session", server_login_retry=1)
    here.cluster.run("ALTER ROLE app CONNECTION LIMIT 2")
    try:
        with _clients(here.bouncer, 2):
            here.stays_silent(Cause.BOUNCER_LIMITS_OVERSUBSCRIBED)
            here.work(1, 1, 0.01)
            finding = here.shows(
                Cause.BOUNCER_SERVER_UNAVAILABLE, Cause.BOUNCER_LIMITS_OVERSUBSCRIBED
            )
    finally:
        here.cluster.run("ALTER ROLE app CONNECTION LIMIT -1")
    assert "no more than 2 of 5" in finding.summary


def test_a_server_that_is_not_there(stand: Callable[..., Stand]) -> None:
    here = stand(2, "transaction", f"port={free_port()} dbname=postgres", server_login_retry=1)
    here.work(2, 2, 0.01)
    here.shows(Cause.BOUNCER_SERVER_UNAVAILABLE)


def test_a_paused_database(stand: Callable[..., Stand]) -> None:
    here = stand(2, "transaction")
    here.work(2, 2, 0.01)
    here.stays_silent()
    here.bouncer.console("PAUSE shop")
    assert "RESUME shop" in here.shows(Cause.BOUNCER_PAUSED).remedy
    here.bouncer.console("RESUME shop")
    wait_until(lambda: here.findings() == [], "all is well again", 10)


def test_a_bouncer_that_is_paused_as_a_whole(stand: Callable[..., Stand], program: Path) -> None:
    """Which PgBouncer 1.18 does not show."""
    here = stand(2, "transaction")
    here.work(2, 2, 0.01)
    here.stays_silent()
    here.bouncer.console("PAUSE")
    shown = program != PGBOUNCER
    finding = here.shows(Cause.BOUNCER_PAUSED if shown else Cause.BOUNCER_SERVER_UNAVAILABLE)
    assert "`RESUME`" in " ".join([*finding.evidence, finding.remedy])
    here.bouncer.console("RESUME")
    wait_until(lambda: here.findings() == [], "all is well again", 10)


def test_too_many_clients(stand: Callable[..., Stand]) -> None:
    here = stand(2, "transaction", max_client_conn=10)
    with _clients(here.bouncer, 5):
        here.stays_silent()
    with _clients(here.bouncer, 9):
        finding = here.shows(Cause.BOUNCER_TOO_MANY_CLIENTS)
    assert "max_client_conn" in finding.remedy


@contextmanager
def _clients(bouncer: Bouncer, count: int, user: str = "app") -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(bouncer.connect("shop", user))
        yield
