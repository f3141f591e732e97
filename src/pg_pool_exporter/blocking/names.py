"""Resolution of host names in threads: a query that hangs delays no other and not the exit.

The loop's own threads won't do: a few hung queries take them all, and the process waits for them
at its end. The system's resolver can't be interrupted.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

from pg_pool_exporter.blocking.threads import Lane

MAX_THREADS = 64
"""Names that may hang at one time before others wait."""

AddressInfo: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""One address as `socket.getaddrinfo` returns it: family, type, protocol, name, address."""

_LANE = Lane("resolve", threads=MAX_THREADS)


class _Query(NamedTuple):
    """Arguments of `socket.getaddrinfo`."""

    host: str
    port: int | str
    family: int
    flags: int

    def answer(self) -> Sequence[AddressInfo]:
        try:
            return socket.getaddrinfo(
                self.host,
                self.port,
                family=self.family,
                type=socket.SOCK_STREAM,
                flags=self.flags,
            )
        except UnicodeError:
            raise socket.gaierror(socket.EAI_NONAME, "not the name of a host") from None


async def getaddrinfo(
    host: str, port: int | str, *, family: int = 0, flags: int = 0
) -> Sequence[AddressInfo]:
    """The addresses of `host` for TCP, as `socket.getaddrinfo` returns them.

    Raises `OSError`. The caller bounds the time and cancels; the query then goes on, and serves
    the next caller with the same query.
    """
    query = _Query(host, port, family, flags)
    return await _LANE.run(query.answer, key=query)


def numeric(address: tuple[Any, ...]) -> str:
    """The IP address, with the zone of a link-local one, which it is useless without."""
    # With these flags no name server is asked.
    return socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]


class Resolver(AbstractResolver):
    """`getaddrinfo` for aiohttp."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises `OSError`."""
        found = []
        for own_family, _, proto, _, address in await getaddrinfo(
            host, port, family=family, flags=socket.AI_ADDRCONFIG
        ):
            found.append(
                ResolveResult(
                    hostname=host,
                    host=numeric(address),
                    port=port,
                    family=own_family,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return found

    async def close(self) -> None:
        """Nothing is held."""
