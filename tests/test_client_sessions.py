"""What a pool's sessions show of where they lead, and what not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.process import Process
from support.postgres import Cluster


@pytest.fixture(scope="module")
def ascii_database(postgres: Cluster) -> Iterator[str]:
    """A database without an encoding, whose name and role aren't ASCII."""
    postgres.run('CREATE ROLE "josé" LOGIN')
    postgres.run(
        """CREATE DATABASE "données" ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'
        TEMPLATE template0"""
    )
    yield postgres.dsn(user="josé", dbname="données")
    postgres.run('DROP DATABASE "données"')
    postgres.run('DROP ROLE "josé"')


def test_names_that_the_database_cannot_tell_the_encoding_of_do_no_harm(
    client_process: Process, ascii_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ConnectionPool(ascii_database, min_size=1, open=False, timeout=5) as pool:
        instrument(pool, app="shop")
        with pool.connection() as connection:
            assert connection.info.encoding == "ascii"
        (sample,) = client_process.samples()
        assert sample.info is not None
        assert (sample.info.user, sample.info.database) == ("josé", "données")
    assert caplog.text == ""


class Shy(psycopg.Connection[Any]):
    """An application's own class, which doesn't show where it leads."""

    @property
    def info(self) -> psycopg.ConnectionInfo:
        raise RuntimeError("ask somebody else")


@pytest.mark.parametrize("is_open", [False, True], ids=["before it is opened", "once it is open"])
def test_a_session_that_cannot_be_looked_at_is_reported_once_and_still_used(
    client_process: Process, postgres: Cluster, caplog: pytest.LogCaptureFixture, is_open: bool
) -> None:
    with ConnectionPool(
        postgres.dsn(), connection_class=Shy, min_size=3, open=is_open, timeout=5
    ) as pool:
        if is_open:
            pool.wait()
        instrument(pool, app="shop")
        pool.wait()
        with pool.connection() as connection:
            connection.execute("select 1")
        assert client_process.samples()[0].acquired == 1
    assert caplog.text.count("looking at a session of pool") == 1


def test_sessions_that_were_being_made_meanwhile_are_known_too(
    client_process: Process, postgres: Cluster
) -> None:
    entered, instrumented = threading.Event(), threading.Event()

    class Slow(ConnectionPool[Any]):
        def _connect(self, timeout: float | None = None) -> Any:
            entered.set()
            instrumented.wait(5)
            return super()._connect(timeout)

    with Slow(postgres.dsn(application_name="late"), min_size=1, open=True, timeout=5) as pool:
        assert entered.wait(5)
        instrument(pool, app="shop")
        instrumented.set()
        pool.wait()
        (sample,) = client_process.samples()
        assert sample.info is not None
        assert (sample.info.host, sample.info.application) == (postgres.host, "late")
        assert sample.oldest_idle is not None
