"""A server that speaks PostgreSQL's protocol and lies: without end, too much, or of other types."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def columns(*names_and_oids: tuple[str, int]) -> bytes:
    """RowDescription."""
    body = struct.pack("!h", len(names_and_oids))
    for name, oid in names_and_oids:
        body += name.encode() + b"\0" + struct.pack("!ihihih", 0, 0, oid, -1, -1, 0)
    return message(b"T", body)


def row(*values: bytes | None) -> bytes:
    """DataRow."""
    body = struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"D", body)


def parameter(name: str, value: str) -> bytes:
    """ParameterStatus."""
    return message(b"S", f"{name}\0{value}\0".encode())


def notice(text: bytes, kind: bytes = b"N", code: bytes = b"XX000") -> bytes:
    """NoticeResponse, or ErrorResponse for `E`."""
    fields = b"SERROR\0VERROR\0C" + code + b"\0M" + text + b"\0\0"
    return message(kind, fields)


DONE = message(b"C", b"SELECT 1\0")
READY = message(b"Z", b"I")
LOGIN = (
    message(b"R", struct.pack("!i", 0))
    + parameter("server_version", "19.1")
    + parameter("client_encoding", "UTF8")
    + parameter("standard_conforming_strings", "on")
    + message(b"K", struct.pack("!ii", 4711, 1))
    + READY
)


async def endlessly(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Send a piece again and again, as long as somebody listens."""
    block = piece * max(1, 65536 // len(piece))
    while True:
        writer.write(block)
        await writer.drain()


@asynccontextmanager
async def lying_server(
    answers: Sequence[bytes | Script], login: bytes | Script = LOGIN
) -> AsyncIterator[int]:
    """A server on the loopback; yields its port. Queries get the answers one after the other, the
    last one again and again.
    """
    tasks: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def send(writer: asyncio.StreamWriter, answer: bytes | Script) -> None:
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(writer)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task that is cancelled before it begins closes nothing.
        writers.add(writer)
        tasks.add(asyncio.create_task(serve(reader, writer)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            size = struct.unpack("!i", await reader.readexactly(4))[0]
            await reader.readexactly(size - 4)
            await send(writer, login)
            number = 0
            while True:
                kind = await reader.readexactly(1)
                size = struct.unpack("!i", await reader.readexactly(4))[0]
                await reader.readexactly(size - 4)
                if kind == b"Q":
                    await send(writer, answers[min(number, len(answers) - 1)])
                    number += 1
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # the client has gone, or the test is over
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        for writer in [*writers]:
            writer.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
