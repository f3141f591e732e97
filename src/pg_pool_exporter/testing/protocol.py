"""The parts of PostgreSQL's protocol (version 3) that a server to break has to speak.

See "Frontend/Backend Protocol" in PostgreSQL's documentation.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Iterator, Mapping

_SSL_REQUEST = 80877103
_GSS_REQUEST = 80877104
# PostgreSQL's own bound on a start-up packet.
_MAX_STARTUP_BYTES = 10_000

READY = b"Z"
ERROR = b"E"
IDLE = b"I"
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


async def startup_packet(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bytes | None:
    """What a client sends first; encryption is refused. None where it is no start-up packet."""
    while True:
        try:
            head = await reader.readexactly(8)
            length, code = struct.unpack("!II", head)
            if not 8 <= length <= _MAX_STARTUP_BYTES:
                return None
            packet = head + await reader.readexactly(length - 8)
        except asyncio.IncompleteReadError:
            return None
        if code not in (_SSL_REQUEST, _GSS_REQUEST):
            return packet
        writer.write(b"N")


def too_many_clients() -> bytes:
    """The answer of a server that has no slot left."""
    fields = {"S": "FATAL", "V": "FATAL", "C": "53300", "M": "sorry, too many clients already"}
    body = b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body


def error_message(message: bytes) -> str:
    """The text of an error of the server."""
    fields = {field[:1]: field[1:] for field in message[5:].split(b"\0")}
    return fields.get(b"M", b"").decode("utf-8", "replace")


def query(statement: str) -> bytes:
    """A statement in the simple protocol."""
    body = statement.encode() + b"\0"
    return b"Q" + struct.pack("!I", len(body) + 4) + body


def set_statement(settings: Mapping[str, str | None]) -> str:
    """The statements that set these parameters, or reset those that are None.

    Raises `ValueError` for a name that none can have.
    """
    for name in settings:
        if not _SETTING.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a parameter of PostgreSQL")
    return "; ".join(
        f"RESET {name}"
        if value is None
        else f"SET {name} = '{value.replace(chr(39), chr(39) * 2)}'"
        for name, value in settings.items()
    )


class Messages:
    """Cuts what a server sends into messages: their type, and all of their bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The messages that are complete with this data."""
        data = self._rest + data
        start = 0
        while len(data) >= start + 5:
            end = start + 1 + int(struct.unpack_from("!I", data, start + 1)[0])
            if len(data) < end:
                break
            yield data[start : start + 1], data[start:end]
            start = end
        self._rest = data[start:]
