"""A server or a bouncer that lies costs its own poll, and no memory, time or secret of ours."""

from __future__ import annotations

import asyncio
import resource
from math import inf
from time import process_time

import psycopg
import pytest

from pg_pool_exporter.metrics.series import of_server
from pg_pool_exporter.metrics.text_format import blocks, page
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection.errors import explain, shown
from pg_pool_exporter.sources.pgbouncer.errors import BOUNCER
from pg_pool_exporter.sources.pgbouncer.source import BouncerSource
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.fake_server import (
    DONE,
    LOGIN,
    READY,
    Script,
    columns,
    endlessly,
    lying_server,
    message,
    notice,
    parameter,
    row,
)
from support.polling import outcome, run, snapshot_of, source_at
from support.server_answers import SETUP, TEXT, poll_answers

MIB = 1024
"""Of the resident memory's unit, which is KiB."""
MOST_GROWTH = 200 * MIB

FLOODS: dict[str, bytes] = {
    "rows": row(b"x" * 1000),
    "rows without a value": row(),
    "results": DONE,
    "empty queries": message(b"I"),
    "notices": notice(b"x" * 1000),
    "notifications": message(b"A", b"\0\0\0\1channel\0payload\0"),
    "parameters": b"".join(parameter(f"name_{number}", "x" * 50) for number in range(500)),
    "columns": columns(*[("x" * 50, 25)] * 500),
}


async def failed(source: PostgresSource | BouncerSource, deadline: float = 10.0) -> PollError:
    with pytest.raises(PollError) as caught:
        await snapshot_of(source, deadline)
    return caught.value


def resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["server", "bouncer"])
@pytest.mark.parametrize("flood", FLOODS)
def test_an_answer_without_end_ends_at_its_bound(kind: str, flood: str) -> None:
    async def main() -> None:
        head = TEXT if flood.startswith("rows") else b""

        async def answer(writer: asyncio.StreamWriter) -> None:
            writer.write(head)
            await endlessly(writer, FLOODS[flood])

        async with lying_server([answer]) as port:
            source = source_at(kind, port)
            before = resident()
            error = await failed(source)
            assert error.reason == "protocol"
            assert resident() - before < MOST_GROWTH
            await source.close()

    run(main())


@pytest.mark.parametrize("flood", ["notices", "parameters"])
def test_a_login_without_end_ends_at_its_bound(flood: str) -> None:
    async def main() -> None:
        async def once(writer: asyncio.StreamWriter) -> None:
            writer.write(LOGIN[:9])
            await endlessly(writer, FLOODS[flood])

        async with lying_server([b""], once) as port:
            source = source_at("server", port)
            before = resident()
            assert (await failed(source)).reason == "protocol"
            assert resident() - before < MOST_GROWTH
            await source.close()

    run(main())


def test_one_value_without_end_ends_at_its_bound() -> None:
    async def main() -> None:
        async def answer(writer: asyncio.StreamWriter) -> None:
            writer.write(TEXT + b"D\x7f\xff\xff\xff\0\1\x7f\xff\xff\x00")
            await endlessly(writer, b"x")

        async with lying_server([answer]) as port:
            source = source_at("server", port)
            before = resident()
            assert (await failed(source)).reason in ("protocol", "other")
            assert resident() - before < MOST_GROWTH
            await source.close()

    run(main())


def test_parameters_that_come_with_each_answer_are_bounded_over_the_life_of_a_connection() -> None:
    async def main() -> None:
        connections = 0

        async def login(writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writer.write(LOGIN)

        flood = b"".join(parameter(f"name_{name}", "x" * 50_000) for name in range(100))
        answer = columns(("database", 25)) + DONE + flood + READY
        async with lying_server([answer], login) as port:
            source = source_at("bouncer", port)
            for _ in range(3):
                await outcome(source)
            assert connections > 1, "one connection for all of them would have grown without end"
            await source.close()

    run(main())


def test_a_query_whose_answer_has_begun_is_not_kept() -> None:
    async def main() -> None:
        connections = 0

        async def begin(writer: asyncio.StreamWriter) -> None:
            writer.write(TEXT)
            await writer.drain()
            await asyncio.sleep(60)

        async def login(writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writer.write(LOGIN)

        async with lying_server([SETUP, begin], login) as port:
            source = source_at("server", port)
            for polls in range(1, 5):
                assert (await failed(source, 0.3)).reason == "timeout"
                assert connections == polls
            await source.close()

    run(main())


@pytest.mark.parametrize(("oid", "value"), [(17, b"\\x00"), (1114, b"2026-11-24 10:00:00")])
def test_a_console_value_that_is_no_text_is_unknown(oid: int, value: bytes) -> None:
    async def main() -> None:
        names = ("database", "user", "sv_active", "sv_idle")
        table = columns(*zip(names, (25, 25, oid, 25), strict=True))
        answer = table + row(b"shop", b"app", value, b"2") + DONE + READY
        async with lying_server([answer, notice(b"unknown", b"E", b"42601") + READY]) as port:
            source = source_at("bouncer", port)
            bouncer = (await snapshot_of(source)).bouncer
            assert bouncer is not None
            [pool] = bouncer.pools.values()
            assert pool.connections == {"idle": 2}
            await source.close()

    run(main())


@pytest.mark.parametrize("query", [0, 1])
def test_a_connection_is_closed_although_its_answer_comes_with_the_deadline(query: int) -> None:
    """An open one that is forgotten is a ResourceWarning, which fails here."""

    async def main() -> None:
        polls: list[asyncio.Task[object]] = []
        answers: list[bytes | Script] = [*poll_answers()]
        late = poll_answers()[query]

        async def answer(writer: asyncio.StreamWriter) -> None:
            writer.write(late)
            polls[0].cancel()
            await asyncio.sleep(0.1)

        answers[query] = answer
        async with lying_server(answers) as port:
            source = source_at("server", port)
            polls.append(asyncio.create_task(source.poll()))
            with pytest.raises(asyncio.CancelledError):
                await polls[0]
            await source.close()

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(DONE + READY, id="fewer results"),
        pytest.param((TEXT + row(b"x") + DONE) * 5 + READY, id="more results"),
        pytest.param(SETUP.replace(b"started\0", b"another\0"), id="other columns"),
        pytest.param(SETUP.replace(row(b"4711", b"1.5"), row(None, b"1.5")), id="NULL"),
        pytest.param(
            SETUP.replace(columns(("pid", 23), ("started", 25), ("role", 19)),
                          columns(("pid", 25), ("started", 25), ("role", 19))),
            id="a text for a number",
        ),
        pytest.param(SETUP.replace(b"4711", b"x711"), id="a number that is none"),
        pytest.param(SETUP.replace(b"\xff" * 6 + b"\0\0", b"\xff" * 6 + b"\0\1"), id="binary"),
        pytest.param(SETUP.replace(b"\xff" * 6 + b"\0\0", b"\xff" * 6 + b"\0\2"), id="no format"),
        pytest.param(message(b"G", b"\0\0\0") + READY, id="a copy"),
        pytest.param(b"?" * 100, id="no protocol"),
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_a_failure_of_the_protocol(answer: bytes) -> None:
    async def main() -> None:
        async with lying_server([answer]) as port:
            source = source_at("server", port)
            assert (await failed(source)).reason in ("protocol", "other")
            await source.close()

    run(main())


def test_an_answer_of_the_right_shape_is_read() -> None:
    async def main() -> None:
        async with lying_server(poll_answers()) as port:
            source = source_at("server", port)
            assert (await snapshot_of(source)).server is not None
            await source.close()

    run(main())


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("kind", ["Session", "ServerRow"])
def test_another_number_of_rows_than_one_is_a_failure_of_the_protocol(kind: str, rows: int) -> None:
    async def main() -> None:
        async with lying_server(poll_answers(rows={kind: rows})) as port:
            source = source_at("server", port)
            assert (await failed(source)).reason == "protocol"
            await source.close()

    run(main())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("clock", b"NaN"),
        ("value", b"NaN"),
        ("age", b"-2147483648"),
        ("sessions", b"x"),
        ("setting", b"no such setting"),
    ],
)
def test_a_value_that_no_server_has_is_a_failure_of_the_protocol(column: str, value: bytes) -> None:
    """A number without an end, below 0, or not a number cannot be written as a metric."""

    async def main() -> None:
        async with lying_server(poll_answers({column: value})) as port:
            source = source_at("server", port)
            assert (await failed(source)).reason == "protocol"
            await source.close()

    run(main())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("oldest_backend", b"Infinity"),
        ("oldest_backend", b"-Infinity"),
        ("oldest_transaction", b"NaN"),
        ("ages", b"{NaN}"),
        ("pids", b"{-1}"),
        ("pids", b"{NULL,99999999999999999999}"),
        ("transaction_ages", b"{1.5,Infinity}"),
        ("oldest_snapshot", b"-1"),
        ("deadlocks", b"-1"),
        ("deadlocks", b"9" * 400),
        ("abandoned", b"-1"),
        ("killed", b"9" * 30),
        ("waits", b"-1"),
        ("waits", b"9" * 30),
        ("seconds", b"NaN"),
        ("seconds", b"Infinity"),
    ],
)
def test_an_impossible_number_is_unknown_and_costs_nothing_else(column: str, value: bytes) -> None:
    async def main() -> None:
        async with lying_server(poll_answers({column: value})) as port:
            source = source_at("server", port)
            server = (await snapshot_of(source)).server
            await source.close()
        assert server is not None
        text = page([blocks(of_server("main", server))])
        assert "pg_server_used_connections" in text
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert all(0 <= float(line.rpartition(" ")[2]) < inf for line in lines)
        missing = _SHOWN_BY.get(column)
        assert missing is None or f"\n{missing}{{" not in text

    run(main())


_SHOWN_BY = {
    "oldest_backend": "pg_server_oldest_backend_seconds",
    "oldest_transaction": "pg_server_oldest_transaction_seconds",
    "ages": "pg_server_oldest_state_seconds",
    "pids": "pg_server_blocking_connections",
    "deadlocks": "pg_server_deadlocks_total",
    "abandoned": "pg_server_sessions_abandoned_total",
    "waits": "pg_server_lock_waits_total",
    "seconds": "pg_server_lock_wait_seconds_total",
}


def test_an_error_of_a_megabyte_is_cut_and_costs_little() -> None:
    async def main() -> None:
        text = b'role "' * 170_000
        async with lying_server([notice(text, b"E") + READY]) as port:
            source = source_at("server", port)
            error = await failed(source)
            assert len(str(error)) < 500
            await source.close()

    run(main())


HOSTILE = ["role ", "database ", 'role "', "on socket ", "server requested ", "too many ", "a" * 9]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_text_of_any_length_is_matched_in_proportion(piece: str) -> None:
    started = process_time()
    for causes in (BOUNCER,):
        explain(psycopg.OperationalError(piece * 200_000), "here", causes)
    explain(psycopg.OperationalError(piece * 200_000), "here")
    assert process_time() - started < 2


@pytest.mark.parametrize(
    "text",
    [
        "no correct-horse",
        "no corr\x1bect-\0horse",
        "no " + "x" * 190 + "correct-horse",
        "correct-horse" * 400 + "correct-",
        "no correct-corr\bect-horsehorse",
    ],
)
def test_a_password_is_not_shown_however_it_is_sent_back(text: str) -> None:
    for secret in ("correct-horse", "correct\x7f-horse"):
        message = shown(text, (secret,))
        assert "correct-horse" not in message
        assert "correct-" not in message.replace("correct-***horse", "")
        assert message.isprintable()
        assert len(message) <= 200
