"""A login that a limit has refused: which one, by the server's own numbers."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from typing import Any

import pytest

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.model import ClientKey, ServerSample, SessionGroup, SessionKey, TargetId
from pg_pool_exporter.sources.postgres.limits import reached_limit
from support.both_sides import SETTINGS, BothSides
from support.fake_server import LOGIN, READY, lying_server, message, notice
from support.polling import failure, outcome, run, source_at
from support.server_answers import poll_answers


def sample(used: int = 20, **settings: Any) -> ServerSample:
    """One session of the exporter's role and four of another one, in one database."""
    own = ClientKey(SessionKey("shop", "exporter", "psql"))
    other = ClientKey(SessionKey("shop", "app", "orders"))
    return ServerSample(
        host="", port="", used=used, groups={}, databases={},
        sessions={
            own: SessionGroup(ages={"idle": (1.0,)}),
            other: SessionGroup(ages={"idle": (1.0,) * 4}),
        },
        settings=replace(SETTINGS, **settings),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("last", "limit"),
    [
        (sample(), None),
        (sample(role_limits={"exporter": 2}), "role_limit"),
        (sample(role_limits={"exporter": 3}), None),
        (sample(role_limits={"app": 4}), None),
        (sample(database_limits={"shop": 6}), "database_limit"),
        (sample(database_limits={"shop": 7}), None),
        (sample(database_limits={"other": 1}), None),
        (sample(role_limits={"exporter": 2}, database_limits={"shop": 6}), "role_limit"),
        (sample(used=97), "too_many_connections"),
        (sample(used=96), None),
    ],
)
def test_the_limit_that_was_reached(last: ServerSample, limit: str | None) -> None:
    assert reached_limit(last, "exporter", "shop") == limit


def test_a_limit_of_the_exporters_role_names_it_in_the_finding() -> None:
    sides = BothSides()
    sides.server({"idle": [1.0]})
    sides.fail(TargetId("server", "main"), "role_limit", limited="exporter")
    (found,) = (one for one in sides.analysis.findings if one.cause is Cause.CONNECTION_LIMIT)
    assert (found.subject.server, found.subject.user) == ("main", "exporter")


AT_ITS_LIMIT = {"user": b"u", "sessions": b"1"}
REFUSED = notice("zu viele Verbindungen von Rolle »u«".encode(), b"E", b"53300")
UNKNOWN_METHOD = message(b"R", struct.pack("!i", 99))
"""libpq refuses it with a text of its own, as it does a certificate."""


@pytest.mark.parametrize(
    ("answer", "passed", "reason", "limited"),
    [
        pytest.param(REFUSED, 15, "role_limit", "u", id="refused"),
        pytest.param(REFUSED, 3600, "other", "", id="refused an hour later"),
        pytest.param(UNKNOWN_METHOD, 15, "other", "", id="ended by libpq"),
    ],
)
def test_a_limit_is_told_from_other_failures_in_any_language(
    answer: bytes, passed: float, reason: str, limited: str
) -> None:
    """The exporter is `u`, whose limit is 1."""
    logins, now = iter([LOGIN, answer]), [0.0]

    async def login(writer: asyncio.StreamWriter) -> None:
        writer.write(next(logins))

    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def main() -> None:
        async with lying_server([*poll_answers(AT_ITS_LIMIT), hang_up], login) as port:
            source = source_at("server", port, lambda: now[0])
            assert await outcome(source) == "up"
            now[0] += passed
            refused = await failure(source)
            assert (refused.reason, refused.limited) == (reason, limited)
            await source.close()

    run(main())


@pytest.mark.parametrize("sqlstate", [b"53100", b"53200", b"XX000"])
def test_a_query_that_fails_is_no_reached_limit(sqlstate: bytes) -> None:
    async def main() -> None:
        failed = notice(b"kaputt", b"E", sqlstate) + READY
        async with lying_server([*poll_answers(AT_ITS_LIMIT), failed]) as port:
            source = source_at("server", port)
            assert await outcome(source) == "up"
            assert await outcome(source) == "other"
            await source.close()

    run(main())
