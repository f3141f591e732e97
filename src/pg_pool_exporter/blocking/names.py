"""Look-ups of host names that may hang, without holding up any other, nor the end of the program.

The loop's own threads will not do: a few look-ups that hang take them all, and the program waits
for them when it ends. The system's resolver cannot be interrupted.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any, NamedTuple, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

# Names that may hang at one time before others have to wait.
MAX_THREADS = 64

AddressInfo: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""What `socket.getaddrinfo` gives for one address: family, type, protocol, name, address."""


class _Query(NamedTuple):
    """What `socket.getaddrinfo` is asked."""

    host: str
    port: int | str
    family: int
    flags: int


async def getaddrinfo(
    host: str, port: int | str, *, family: int = 0, flags: int = 0
) -> Sequence[AddressInfo]:
    """The addresses of `host` for TCP, as `socket.getaddrinfo` gives them.

    Raises `OSError`. How long it takes is bounded by the caller, which cancels it; the look-up
    then goes on by itself, and serves the next who asks for the same.
    """
    return await asyncio.wrap_future(_look_ups.future(_Query(host, port, family, flags)))


class _LookUps:
    """Each look-up in a thread of its own, at most `most` of them; the others wait their turn.

    A name is looked up once at a time, so one that hangs holds one thread however often it is
    asked for.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._threads = 0
        self._waiting: deque[_Query] = deque()
        self._under_way: dict[_Query, Future[Sequence[AddressInfo]]] = {}

    def future(self, query: _Query) -> Future[Sequence[AddressInfo]]:
        """The outcome of a look-up that is begun now or under way. It can't be cancelled."""
        with self._lock:
            if query not in self._under_way:
                # First of all, because it can fail; it waits for the lock.
                if self._threads < self._most:
                    # Nobody waits for a daemon thread when the program ends.
                    Thread(target=self._work, name="resolve", daemon=True).start()
                    self._threads += 1
                future = self._under_way[query] = Future()
                future.set_running_or_notify_cancel()
                self._waiting.append(query)
            return self._under_way[query]

    def _work(self) -> None:
        while (query := self._next()) is not None:
            outcome: Sequence[AddressInfo] | OSError
            try:
                outcome = socket.getaddrinfo(
                    query.host,
                    query.port,
                    family=query.family,
                    type=socket.SOCK_STREAM,
                    flags=query.flags,
                )
            except OSError as error:
                outcome = error
            except UnicodeError:
                outcome = socket.gaierror(socket.EAI_NONAME, "not the name of a host")
            with self._lock:
                future = self._under_way.pop(query)
            if isinstance(outcome, OSError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _next(self) -> _Query | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None


_look_ups = _LookUps(MAX_THREADS)


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
            # Numeric, so that the zone of a link-local address is kept; it asks nobody.
            numeric = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
            found.append(
                ResolveResult(
                    hostname=host,
                    host=numeric[0],
                    port=port,
                    family=own_family,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return found

    async def close(self) -> None:
        """Nothing is held."""
