"""Each cause at a real PgBouncer, made with real pools; its healthy twin is silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg_pool import ConnectionPool, PoolTimeout
from sqlalchemy import create_engine, text

from pg_pool_exporter.analysis.findings.finding import Cause, Finding
from pg_pool_exporter.config import Config, Thresholds
from support.both_ends import BothEnds
from support.case import built
from support.obedient import ObedientProcess
from support.pgbouncer import PASSWORD, PGBOUNCER, Bouncer
from support.postgres import Cluster, wait_until
from support.programs import free_port
from support.remote_pools import NODE

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
        """Requests that follow each other, each with one statement of this length in seconds."""
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
        config = Config(thresholds=Thresholds.model_validate({"bouncer_held": "1s"}))
        ends = BothEnds(config, {"edge": self.bouncer.dsn()}, {"main": self.cluster.dsn()})
        return [one for one in ends.poll().findings if one.subject.target is not None]

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


@pytest.fixture
def stand(app_cluster: Cluster, pgbouncer: Path) -> Iterator[Callable[..., Stand]]:
    """Makes a stand: `size` connections to the server, in a pool mode."""
    with ExitStack() as stack:

        def make(size: int, mode: str, database: str = "dbname=postgres", **settings: int) -> Stand:
            bouncer = stack.enter_context(
                Bouncer(
                    app_cluster, {"shop": f"{database} pool_size={size}"},
                    {"pool_mode": mode, **settings}, program=pgbouncer,
                )
            )  # fmt: skip
            return Stand(app_cluster, bouncer, stack)

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


@pytest.mark.node
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_forgotten_transaction_of_node_postgres(
    stand: Callable[..., Stand], mode: str, tmp_path: Path
) -> None:
    here = stand(2, mode)
    with _node_postgres(here.bouncer, "billing", tmp_path) as node:
        assert node.send("take main 1 20") == "done"
        assert node.send("ask 1 begin") == "done"
        assert node.send("ask 1 select 1") == "done"
        assert here.shows(Cause.BOUNCER_IDLE_IN_TRANSACTION).subject.app == "billing"
        assert node.send("ask 1 rollback") == "done"
        assert node.send("give 1") == "done"
        here.stays_silent()  # in session mode the pool keeps the connection, and nobody waits


@pytest.mark.node
def test_an_idle_pool_of_node_postgres_fills_the_bouncer_in_session_mode(
    stand: Callable[..., Stand], tmp_path: Path
) -> None:
    here = stand(1, "session")
    with _node_postgres(here.bouncer, "greedy", tmp_path) as node:
        assert node.send("use main statement") == "done"
        here.work(1, 1, 0.01, "starved")
        finding = here.shows(Cause.BOUNCER_SESSION_HELD)
        assert "greedy (1)" in " ".join(finding.evidence)


@contextmanager
def _node_postgres(
    bouncer: Bouncer, application: str, directory: Path
) -> Iterator[ObedientProcess]:
    """A program that has a `pg.Pool`, `main`."""
    built(NODE.built)
    url = f"postgresql://app:{quote(PASSWORD)}@127.0.0.1:{bouncer.port}/shop"
    environment = {"DATABASE_URL": f"{url}?application_name={application}"}
    log = directory / "log"
    with ObedientProcess(NODE.command, NODE.directory, environment, log) as node:
        assert node.send("open main pg") == "done"
        yield node


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


def test_a_bouncer_that_is_paused_as_a_whole(stand: Callable[..., Stand], pgbouncer: Path) -> None:
    """Which PgBouncer 1.18 does not show."""
    here = stand(2, "transaction")
    here.work(2, 2, 0.01)
    here.stays_silent()
    here.bouncer.console("PAUSE")
    shown = pgbouncer != PGBOUNCER
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
