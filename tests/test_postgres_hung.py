"""A server that hangs: the poll ends at its deadline, and nothing piles up on either side."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from pg_pool_exporter.sources.connection.held import KEEP_SECONDS
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.busy import within
from support.link import Link
from support.polling import (
    SHORT,
    eventually,
    outcome,
    poll,
    run,
    sessions_opened,
    sockets_to,
    source_of,
)
from support.postgres import EMBEDDED_16, Cluster

EXPORTER = "application_name = 'pg_pool_exporter'"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server that logs each session that is opened."""
    with Cluster(EMBEDDED_16, settings={"log_connections": "on"}) as own:
        yield own


def exporter_pids(cluster: Cluster) -> list[int]:
    """The exporter's sessions on the server, oldest first."""
    rows = cluster.run(f"SELECT pid FROM pg_stat_activity WHERE {EXPORTER} ORDER BY backend_start")
    return [pid for (pid,) in rows]


async def hang(source: PostgresSource, cluster: Cluster) -> None:
    """Stop the backend of the source's connection in between two polls: the second times out."""
    assert await outcome(source) == "up"
    cluster.pause_backend(exporter_pids(cluster)[-1])
    assert await outcome(source, SHORT) == "timeout"


def set_login_delay(cluster: Cluster, delay: str | None) -> None:
    """How long the server takes for each login from now on."""
    change = f"SET post_auth_delay = '{delay}'" if delay else "RESET post_auth_delay"
    cluster.run(f"ALTER SYSTEM {change}")
    cluster.run("SELECT pg_reload_conf()")


def test_a_stopped_backend_fails_one_poll_and_the_next_uses_a_new_connection(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(cluster)
        await hang(source, cluster)
        server = await poll(source)
        assert sockets_to(cluster) == 1
        assert server.used == 2, "the session that hangs takes its slot still"
        assert not server.groups, "and is not shown as somebody's"
        await source.close()

    run(main())


def test_backends_that_hang_one_after_the_other_never_make_a_third_session(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(cluster)
        for _ in range(2):
            await hang(source, cluster)
        for _ in range(4):
            assert await outcome(source, 0.1) == "timeout"
            assert sockets_to(cluster) == 1
        assert len(exporter_pids(cluster)) == 2

        cluster.resume()
        assert await outcome(source) == "up"
        assert sessions_opened(cluster) == 2, "the second connection is used again"
        await source.close()

    run(main())


def test_once_the_dropped_session_is_seen_to_be_gone_another_may_be_dropped(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(cluster)
        for round_ in range(1, 4):
            await hang(source, cluster)
            assert await outcome(source) == "up", "by a new connection"
            assert sessions_opened(cluster) == round_ + 1
            cluster.resume()
            await eventually(lambda: len(exporter_pids(cluster)) == 1)
        await source.close()

    run(main())


@pytest.mark.parametrize("connected_before", [False, True])
def test_a_stopped_server_gets_no_third_session_for_ten_minutes_and_is_seen_when_it_goes_on(
    cluster: Cluster, connected_before: bool
) -> None:
    async def main() -> None:
        source = source_of(cluster)
        if connected_before:
            assert await outcome(source) == "up"
        cluster.pause_all()
        for _ in range(10):
            assert await outcome(source, 0.1) == "timeout"
            assert sockets_to(cluster) <= 1
        cluster.resume()
        assert await outcome(source) == "up"
        assert 1 <= sessions_opened(cluster) <= 2
        assert exporter_pids(cluster)[1:] == []
        await source.close()

    run(main())


def test_a_stopped_postmaster_does_not_disturb_the_connection_that_is_held(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(cluster)
        assert await outcome(source) == "up"
        cluster.pause_postmaster()
        first = (await poll(source)).last_login
        await asyncio.sleep(0.2)
        second = (await poll(source)).last_login
        assert first is not None
        assert second is not None
        assert second >= first + 0.2, "and shows that nobody has logged in since"
        await source.close()

    run(main())


def test_a_login_that_takes_longer_than_the_deadline_is_waited_for_by_later_polls(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        set_login_delay(cluster, "1s")
        source = source_of(cluster)
        outcomes = [await outcome(source, 0.3)]
        while outcomes[-1] != "up" and len(outcomes) < 10:
            outcomes.append(await outcome(source, 0.3))
        assert set(outcomes[:-1]) == {"timeout"}
        assert outcomes[-1] == "up"
        assert sessions_opened(cluster) <= 2
        await source.close()

    run(main())


def test_a_login_that_hangs_fails_one_poll_and_the_next_uses_a_new_connection(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        set_login_delay(cluster, "2s")
        before = set(cluster.children())
        source = source_of(cluster)
        polled = asyncio.create_task(outcome(source, 1))
        await eventually(lambda: bool(set(cluster.children()) - before))
        (login,) = set(cluster.children()) - before
        cluster.pause_backend(login)
        assert await polled == "timeout"
        set_login_delay(cluster, None)
        assert await outcome(source) == "up"
        assert sockets_to(cluster) == 1
        await source.close()

    run(main())


def test_after_ten_minutes_a_connection_that_hangs_is_let_go_again(cluster: Cluster) -> None:
    async def main() -> None:
        now = 0.0
        source = source_of(cluster, clock=lambda: now)
        for _ in range(2):
            await hang(source, cluster)
        now = KEEP_SECONDS - 1
        assert await outcome(source, SHORT) == "timeout"
        assert await outcome(source, SHORT) == "timeout"
        now = KEEP_SECONDS
        assert await outcome(source, SHORT) == "timeout"
        server = await poll(source)
        assert sockets_to(cluster) == 1
        assert server.used == 3
        assert not server.groups, "those that hang are not shown as somebody's"
        await source.close()

    run(main())


def test_sessions_whose_network_broke_on_our_side_only_are_not_shown_as_somebodys(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(cluster, dsn=cluster.dsn(port=link.port, sslmode="disable"))
        assert await outcome(source) == "up"
        for broken in range(1, 4):
            link.cut_clients()
            server = await poll(source)
            assert server.used == 1 + broken
            assert not server.groups
        await source.close()

    with Link(cluster.port) as link:
        run(main())


def test_a_login_that_ended_late_on_a_server_restarted_since_costs_no_poll(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        set_login_delay(cluster, "1s")
        source = source_of(cluster)
        for _ in range(2):
            assert await outcome(source, SHORT) == "timeout"
        set_login_delay(cluster, None)
        ready = f"SELECT 1 FROM pg_stat_activity WHERE {EXPORTER} AND query <> ''"
        await eventually(lambda: bool(cluster.run(f"{ready} AND state = 'idle'")))
        cluster.restart()
        assert await outcome(source) == "up"
        await source.close()

    run(main())


def test_without_a_free_descriptor_a_hung_connection_is_let_go_all_the_same(
    cluster: Cluster,
) -> None:
    async def main() -> None:
        source = source_of(cluster)
        assert await outcome(source) == "up"
        (pid,) = exporter_pids(cluster)
        cluster.pause_backend(pid)
        with no_free_descriptor():
            assert await outcome(source, SHORT) == "timeout"
        await eventually(lambda: sockets_to(cluster) == 0)
        assert await outcome(source) == "up"
        await source.close()

    run(main())


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    """This process has no file descriptor left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("polls", [0, 1, 3])
@pytest.mark.parametrize("connected_before", [False, True])
def test_closing_does_not_wait_for_a_server_that_hangs(
    cluster: Cluster, connected_before: bool, polls: int
) -> None:
    async def main() -> None:
        source = source_of(cluster)
        if connected_before:
            assert await outcome(source) == "up"
        cluster.pause_all()
        for _ in range(polls):
            assert await outcome(source, 0.1) == "timeout"
        started = time.monotonic()
        await source.close()
        assert time.monotonic() - started < within(1)
        assert sockets_to(cluster) == 0

    run(main())


def test_closing_while_the_second_hung_connection_is_kept_lets_go_of_it(cluster: Cluster) -> None:
    async def main() -> None:
        source = source_of(cluster)
        for _ in range(2):
            await hang(source, cluster)
        await source.close()
        assert sockets_to(cluster) == 0

    run(main())


def test_the_socket_of_a_hung_query_is_closed_at_once(cluster: Cluster) -> None:
    async def main() -> None:
        source = source_of(cluster)
        assert await outcome(source) == "up"
        cluster.pause_all()
        assert await outcome(source, SHORT) == "timeout"
        await eventually(lambda: sockets_to(cluster) == 0, 1)
        await source.close()

    run(main())
