"""A server that needs longer than a poll may take to log in, or for all that a poll reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from support.fake_server import LOGIN, READY, lying_server, notice
from support.link import Link
from support.polling import outcome, poll, run, server_source, source_at, source_of
from support.postgres import EMBEDDED_16, Cluster
from support.server_answers import poll_answers

LAG = 0.15
"""Seconds by which each message is late: a round trip takes twice as long."""
DEADLINE = 0.5
"""Of a poll: a login takes longer, and a poll has time for one round trip."""


def sessions(cluster: Cluster) -> int:
    """How many the server has ever accepted, its own included."""
    ((count,),) = cluster.run("SELECT sum(sessions) FROM pg_stat_database")
    return int(count)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(EMBEDDED_16, settings={"log_connections": "on"}) as own:
        yield own


@pytest.fixture
def slow(postgres: Cluster) -> Link:
    link = Link(postgres.port)
    link.lag = LAG
    return link


def test_a_login_that_takes_longer_than_a_poll_goes_on_to_the_next_ones(
    postgres: Cluster, slow: Link
) -> None:
    async def main() -> None:
        source = server_source(postgres.dsn(port=slow.port))
        outcomes: list[str] = []
        opened = sessions(postgres)
        while "up" not in outcomes and len(outcomes) < 20:
            outcomes.append(await outcome(source, DEADLINE))
            await asyncio.sleep(0.05)
        assert outcomes[0] == "timeout", "that it is slow is shown"
        assert outcomes[-1] == "up"
        assert sessions(postgres) - opened <= 3, "one abandoned, one kept, this one"
        for _ in range(3):
            assert (await poll(source, DEADLINE)).settings.max_connections
        await source.close()

    with slow:
        run(main())


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout", "idle_session_timeout"])
def test_a_timeout_of_our_role_that_ends_the_set_up_does_not_keep_the_server_down(
    cluster: Cluster, setting: str
) -> None:
    async def main() -> None:
        source = source_of(cluster, dsn=cluster.dsn(user="exporter"))
        outcomes = [await outcome(source) for _ in range(10)]
        assert outcomes[-5:] == ["up"] * 5
        assert setting not in (await poll(source)).settings.timeouts, "our own value is shown"
        await source.close()

    cluster.run("CREATE ROLE exporter LOGIN")
    cluster.run(f"ALTER ROLE exporter SET {setting} = '1ms'")
    run(main())


def test_where_options_are_refused_it_goes_on_without_them() -> None:
    refused = notice(b"unsupported startup parameter: options", b"E", b"08P01")
    cancelled = notice(b"canceling statement due to statement timeout", b"E", b"57014") + READY
    set_up, *answers = poll_answers()
    logins, set_ups = iter([LOGIN, refused, LOGIN]), iter([cancelled, set_up])

    async def login(writer: asyncio.StreamWriter) -> None:
        writer.write(next(logins))

    async def prepared(writer: asyncio.StreamWriter) -> None:
        writer.write(next(set_ups))

    async def main() -> None:
        async with lying_server([prepared, *answers], login) as port:
            source = source_at("server", port)
            outcomes = [await outcome(source) for _ in range(3)]
            assert outcomes == ["timeout", "other", "up"]
            await source.close()

    run(main())
