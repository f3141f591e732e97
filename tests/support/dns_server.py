"""A small name server in this process, on a free port of the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass
class NameServer:
    """Answers from `records`: texts by name and type. `rcode` is what it answers instead."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    silent: bool = False
    asked: int = 0
    port: int = 0

    def resolver(self) -> dns.asyncresolver.Resolver:
        """One that asks this server."""
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.port
        if self.silent:
            resolver.lifetime = 0.5
        return resolver

    def answer(self, packet: bytes) -> bytes | None:
        """The answer to a question."""
        self.asked += 1
        query = dns.message.from_wire(packet)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        question = query.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        reply.set_rcode(self.rcode)
        if self.silent:
            return None
        if self.rcode == dns.rcode.NOERROR:
            if not any(known == name for known, _ in self.records):
                reply.set_rcode(dns.rcode.NXDOMAIN)
            texts = self.records.get((name, kind), [])
            if texts:
                reply.answer.append(dns.rrset.from_text(name, 1, "IN", kind, *texts))
        return reply.to_wire()


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an instance of it at run time.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._server.answer(data)
        if reply is not None:
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def name_server(records: dict[tuple[str, str], list[str]]) -> AsyncIterator[NameServer]:
    """Serve these records."""
    server = NameServer(records)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Protocol(server), local_addr=("127.0.0.1", 0)
    )
    server.port = transport.get_extra_info("sockname")[1]
    try:
        yield server
    finally:
        transport.close()
