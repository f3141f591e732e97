"""What a server or a bouncer sends, over a real connection.

An input is a stream of messages: its part up to each ReadyForQuery answers one query, the end of it
ends the connection. The first byte chooses server or bouncer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from structlog.testing import capture_logs

from fuzz.harness import Check, Harness, check_error
from pg_pool_exporter.metrics.series import of_bouncer, of_server
from pg_pool_exporter.metrics.text_format import Blocks, blocks
from pg_pool_exporter.sources.base import PollError
from support.consoles import CONSOLES
from support.fake_server import DONE, LOGIN, READY, columns, lying_server, notice, parameter, row
from support.polling import snapshot_of, source_at
from support.server_answers import poll_answers

_SECRET = "correct-horse"
# An answer that is cut is waited for; a whole one is there in some milliseconds.
_DEADLINE = 0.05


def _table(rows: list[Any] | None) -> bytes:
    if not rows:
        return notice(b"unknown command", b"E", b"42601") + READY
    head = columns(*((name, 25) for name in rows[0]))
    cells = ([None if c is None else c.encode() for c in one.values()] for one in rows)
    return head + b"".join(row(*one) for one in cells) + DONE + READY


def _console(version: str, answers: Any) -> bytes:
    shown = [
        answers.pools, [{"version": version}], [{"key": "max_client_conn", "value": "100"}],
        answers.users, answers.databases, answers.stats, answers.servers, answers.active_sockets,
        [{"list": "used_clients", "items": "7"}],
    ]  # fmt: skip
    return b"".join(map(_table, shown))


def _split(data: bytes) -> list[bytes]:
    parts = data.split(READY)
    return [part + READY for part in parts[:-1]] + [parts[-1]]


@contextmanager
def _start() -> Iterator[Check]:
    with asyncio.Runner() as runner:

        def check(data: bytes) -> list[Blocks]:
            with capture_logs() as logged:
                shown = runner.run(_polled(data))
            assert _SECRET not in str(logged)
            return shown

        yield check


async def _polled(data: bytes) -> list[Blocks]:
    kind = "bouncer" if data[:1] == b"b" else "server"
    async with _server(_split(data[1:])) as port:
        source = source_at(kind, port)
        try:
            snapshot = await snapshot_of(source, _DEADLINE)
        except PollError as error:
            check_error(error, secret=_SECRET)
            return []
        finally:
            await source.close()
    if snapshot.server is not None:
        return [blocks(of_server("main", snapshot.server))]
    assert snapshot.bouncer is not None
    return [blocks(of_bouncer("edge", snapshot.bouncer))]


@asynccontextmanager
async def _server(answers: list[bytes]) -> AsyncIterator[int]:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.write(answers[-1])
        writer.close()

    async with lying_server([*answers[:-1], hang_up], LOGIN) as port:
        yield port


HARNESS = Harness(
    name="server_answers",
    seeds=[
        b"s" + b"".join(poll_answers()) + DONE,
        *(b"b" + _console(one.version, one.answers) + DONE for one in CONSOLES[:2]),
    ],
    tokens=[
        READY, DONE, row(), row(None), row(b"-1", b"x"), columns(("pid", 23)),
        parameter("DateStyle", "x"),
        notice(b"too many clients", b"E", b"53300"), notice(b"x"), b"G\0\0\0\7\0\0\0",
        b"I\0\0\0\4", b"NaN",
        b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"Infinity", b"{NaN,-Infinity}", b"-1e300", b"{}",
        b"correct-horse", b"A\0\0\0\x0d\0\0\0\1a\0b\0", b"\0\0\0\x19", b"\0\0\2\xbd",
    ],
    start=_start,
    max_bytes=32 * 1024,
)  # fmt: skip
