"""From a bouncer's clients to the sessions of the server behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pg_pool_exporter.analysis.correlate.addresses import ServerAddresses
from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION
from pg_pool_exporter.model import Backend, BouncerSample, Hold, ServerSample, is_local


class Holder(NamedTuple):
    """A client of a bouncer, the server connection that it has, and what its session does."""

    hold: Hold
    server: str | None
    """The name of the server behind; None where it is unknown."""
    backend: Backend | None
    """None where the session is unknown, or hidden from the exporter."""

    @property
    def application(self) -> str:
        """Of the client."""
        return self.hold.application

    @property
    def is_in_transaction(self) -> bool:
        """Whether its session is idle in transaction."""
        return self.backend is not None and self.backend.state in IN_TRANSACTION

    @property
    def is_idle(self) -> bool:
        """Whether its session does nothing outside of a transaction: only in session mode."""
        return self.backend is not None and self.backend.state == "idle"

    @property
    def silent_for(self) -> float:
        """Seconds for which neither side did anything; 0 where the session works, or is unknown.

        The client may have sent a request since the session was read.
        """
        if not self.is_in_transaction and not self.is_idle:
            return 0.0
        assert self.backend is not None
        since = self.hold.silent_for
        # The bouncer has whole seconds.
        return self.backend.age if since is None else min(self.backend.age, since + 1)

    @property
    def at_work_for(self) -> float:
        """Lower bound of the seconds for which it has kept the connection and worked."""
        if self.backend is None:
            return self.hold.silent_for or 0.0
        if self.is_idle:
            return 0.0
        return self.backend.transaction or self.backend.age


class Chain:
    """The servers that bouncers lead to."""

    def __init__(self, addresses: ServerAddresses, servers: Mapping[str, ServerSample]) -> None:
        self._addresses = addresses
        self._servers = servers

    def holders(
        self, bouncer: BouncerSample, user: str, holds: Iterable[Hold]
    ) -> tuple[Holder, ...]:
        """The clients of a pool of `bouncer` that have a connection, by role `user`."""
        holds = tuple(holds)
        here = is_local(bouncer.address or bouncer.host)
        by_address: dict[tuple[str, str], list[Hold]] = {}
        for hold in holds:
            by_address.setdefault((hold.server_host, hold.server_port), []).append(hold)
        servers = {
            (host, port): self._server(host, port, user, each, here=here)
            for (host, port), each in by_address.items()
        }
        return tuple(
            self._holder(hold, user, servers[hold.server_host, hold.server_port]) for hold in holds
        )

    def _server(
        self, host: str, port: str, user: str, holds: Iterable[Hold], *, here: bool
    ) -> str | None:
        """By the address that the bouncer connects to; where that has another name for the
        exporter, the only server that has these sessions of this role.
        """
        found = self._addresses.at(host, port, here=here)
        if found is not None:
            return found.name
        pids = [hold.pid for hold in holds]
        seen = [
            name
            for name in self._servers
            if all(self._backend(name, pid, user) is not None for pid in pids)
        ]
        return seen[0] if len(seen) == 1 else None

    def _holder(self, hold: Hold, user: str, server: str | None) -> Holder:
        backend = None if server is None else self._backend(server, hold.pid, user)
        return Holder(hold, server, backend)

    def _backend(self, server: str, pid: int | None, user: str) -> Backend | None:
        """The session, unless the process id belongs to another role: then it was used again."""
        sample = self._servers.get(server)
        found = None if sample is None or pid is None else sample.backends.get(pid)
        return found if found is not None and found.user == user else None
