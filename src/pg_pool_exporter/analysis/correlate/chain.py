"""From a bouncer's clients to the sessions of the server behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.analysis.correlate.addresses import ServerAddresses
from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION
from pg_pool_exporter.model import Backend, BouncerPool, BouncerSample, Hold, ServerSample, is_local

_GIVEN_BACK = ("transaction", "statement")
"""The modes in which a client outside of a transaction keeps no connection."""
_ENOUGH = 3
"""Sessions whose process ids and roles are no accident: one or two are, in containers."""


class Holder(NamedTuple):
    """A client of a bouncer, the server connection that it has, and what its session does."""

    hold: Hold
    server: str | None
    """The name of the server behind; None where it is unknown."""
    backend: Backend | None
    """None if the session is unknown, or hidden from the exporter."""
    mode: str
    """For how long it keeps the connection, as `BouncerPool.mode`."""

    @property
    def application(self) -> str:
        """The client's `application_name`."""
        return self.hold.application

    @property
    def is_known(self) -> bool:
        """Whether it is known to use the connection, or not: without the session only where it
        would return an unused one.
        """
        return self.backend is not None or self.gives_back

    @property
    def gives_back(self) -> bool:
        """Whether a client without a transaction keeps no connection."""
        return self.mode in _GIVEN_BACK

    @property
    def is_in_transaction(self) -> bool:
        """Whether its session is idle in transaction."""
        return self.backend is not None and self.backend.state in IN_TRANSACTION

    @property
    def is_idle(self) -> bool:
        """Whether its session does nothing outside of a transaction."""
        return self.backend is not None and self.backend.state == "idle"

    @property
    def is_kept(self) -> bool:
        """Whether the client keeps an idle session, or is just returning it."""
        return self.is_idle and not self.gives_back

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
        """Lower bound of the seconds for which it has kept the connection and worked; 0 where it
        may do nothing.
        """
        if self.backend is None:
            return (self.hold.silent_for or 0.0) if self.is_known else 0.0
        if self.is_idle:
            return 0.0
        return self.backend.transaction or self.backend.age


class Chain:
    """The servers that bouncers lead to."""

    def __init__(self, addresses: ServerAddresses, servers: Mapping[str, ServerSample]) -> None:
        self._addresses = addresses
        self._servers = servers

    def server_at(self, host: str, port: str, bouncer: BouncerSample) -> str | None:
        """The name of the server at an address, as `bouncer` sees it."""
        found = self._addresses.at(host, port, here=is_local(bouncer.address or bouncer.host))
        return found.name if found is not None else None

    def holders(self, bouncer: BouncerSample, pool: BouncerPool) -> tuple[Holder, ...]:
        """The clients of a pool of `bouncer` that have a connection."""
        by_address = grouped(((hold.server_host, hold.server_port), hold) for hold in pool.holds)
        servers = {
            (host, port): self._server(host, port, bouncer, each)
            for (host, port), each in by_address.items()
        }
        return tuple(
            self._holder(hold, servers[hold.server_host, hold.server_port], pool.mode)
            for hold in pool.holds
        )

    def _server(
        self, host: str, port: str, bouncer: BouncerSample, holds: Sequence[Hold]
    ) -> str | None:
        """By the address that the bouncer connects to. If the exporter uses another address for it:
        the only server with these sessions.
        """
        found = self.server_at(host, port, bouncer)
        if found is not None:
            return found
        seen = [name for name in self._servers if self._are_here(name, bouncer, holds)]
        return seen[0] if len(seen) == 1 else None

    def _are_here(self, server: str, bouncer: BouncerSample, holds: Sequence[Hold]) -> bool:
        """Whether all are sessions of this server: by their process ids and roles where they are
        enough, else by where they come from, too.
        """
        pairs = [(hold, self._backend(server, hold)) for hold in holds]
        if len({hold.pid for hold in holds}) >= _ENOUGH:
            return all(backend is not None for _, backend in pairs)
        return all(
            backend is not None and _is_of(hold, backend, bouncer) for hold, backend in pairs
        )

    def _holder(self, hold: Hold, server: str | None, mode: str) -> Holder:
        backend = None if server is None else self._backend(server, hold)
        return Holder(hold, server, backend, mode)

    def _backend(self, server: str, hold: Hold) -> Backend | None:
        """The session, unless the process id belongs to another role: then it was used again."""
        sample = self._servers.get(server)
        pid = hold.pid
        found = None if sample is None or pid is None else sample.backends.get(pid)
        return found if found is not None and found.user == hold.user else None


def _is_of(hold: Hold, backend: Backend, bouncer: BouncerSample) -> bool:
    """Whether the session has the client's application, which the bouncer passes on, or the
    bouncer's address, other than this machine's own: that all clients here have.
    """
    if backend.address == bouncer.address and not is_local(backend.address):
        return True
    name = hold.application
    # `application_name_add_host` adds the client's address.
    return bool(name) and (
        backend.application == name or backend.application.startswith(f"{name} - ")
    )
