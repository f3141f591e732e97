"""A server that needs longer than a poll may take to log in, or for all that a poll reads."""

from __future__ import annotations

import asyncio

import pytest

from support.link import Link
from support.polling import outcome, poll, run, server_source
from support.postgres import Cluster

LAG = 0.15
"""Seconds by which each message is late: a round trip takes twice as long."""
DEADLINE = 0.5
"""Of a poll: a login takes longer, and a poll has time for one round trip."""


def sessions(cluster: Cluster) -> int:
    """How many the server has ever accepted, its own included."""
    ((count,),) = cluster.run("SELECT sum(sessions) FROM pg_stat_database")
    return int(count)


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
