"""The server that a pool uses, and the sessions there that may be the pool's. Without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import PoolInfo, PoolSample, ServerSample, SessionKey, is_local

_MAX_BYTES = 63
# From this version on, PostgreSQL writes each byte of a name that is not ASCII in hexadecimal.
_HEXADECIMAL_FROM = 16


class ServerAddress(NamedTuple):
    """Where a server is, according to the exporter's own connection."""

    name: str
    host: str
    address: str
    """IP address; empty on a unix socket."""
    port: str
    version: str

    @classmethod
    def of(cls, name: str, sample: ServerSample) -> ServerAddress:
        """Of the server `name` at its last poll."""
        version = sample.settings.version
        return cls(name, sample.host, sample.address, sample.port, version)


class ServerAddresses:
    """The servers that pools may lead to. Never changed.

    Of two servers at one address the first by name is taken: the result must not depend on which
    of them answered first.
    """

    def __init__(self, servers: Iterable[ServerAddress] = ()) -> None:
        self._by_name = {server.name: server for server in sorted(servers)}
        self._by_host: dict[tuple[str, str], ServerAddress] = {}
        self._local: dict[str, ServerAddress] = {}  # by port
        for server in self._by_name.values():
            for host in (server.host, server.address):
                self._by_host.setdefault((host.lower(), server.port), server)
            if is_local(server.address or server.host):
                self._local.setdefault(server.port, server)

    def get(self, name: str) -> ServerAddress | None:
        """The address of the server `name`."""
        return self._by_name.get(name)

    def at(self, host: str, port: str, *, here: bool) -> ServerAddress | None:
        """The server at an address, as seen from this machine (`here`) or from another one."""
        local = is_local(host)
        found = []
        if host and (here or not local):  # each machine calls itself localhost
            found.append(self._by_host.get((host.lower(), port)))
        if here and local:
            found.append(self._local.get(port))
        return min((server for server in found if server is not None), default=None)


class SessionFilter(NamedTuple):
    """Which sessions of its server may belong to a pool."""

    application: str
    database: str
    """Empty: any."""
    user: str
    """Empty: any."""

    def match(self, key: SessionKey) -> bool:
        """Whether sessions of this group may be the pool's."""
        return (
            key.application == self.application
            and self.database in ("", key.database)
            and self.user in ("", key.user)
        )

    def overlaps(self, other: SessionFilter) -> bool:
        """Whether a session may belong to both."""
        return (
            self.application == other.application
            and ("" in (self.database, other.database) or self.database == other.database)
            and ("" in (self.user, other.user) or self.user == other.user)
        )


def server_of(
    pool: PoolSample, app: AppConfig | None, servers: ServerAddresses, *, here: bool
) -> ServerAddress | None:
    """The server that the pool leads to directly; None when it is unknown, or none of `servers`.

    `here`: the pool's process is on this machine.

    First counts what the pool reports (`instrument(server=…)`), then the configuration, then where
    its sessions lead. A pool that reports another port than its server's goes through something in
    between, such as a PgBouncer: it is not correlated.
    """
    info = pool.info or PoolInfo()
    name = info.server or (app.server if app is not None else None)
    if not name:
        return servers.at(info.host, info.port, here=here)
    server = servers.get(name)
    return server if server is not None and info.port in ("", server.port) else None


def sessions_of(pool: PoolSample, app: AppConfig | None, server: ServerAddress) -> SessionFilter:
    """The filter of the pool's sessions on `server`."""
    info = pool.info or PoolInfo()
    if info.application or info.asked_a_session:
        name = info.application
    else:
        name = app.application_name if app is not None else pool.key.app
    return SessionFilter(normalised(name, server.version), info.database, info.user)


def normalised(name: str, version: str) -> str:
    """An application's name as a server of this version shows it.

    Bytes that are not printable ASCII are replaced (`pg_clean_ascii`), then it is cut at 63 bytes.
    Doing so twice changes nothing: a pool may report the name as the server shows it.
    """
    major = re.match(r"\d+", version)
    hexadecimal = major is not None and int(major[0]) >= _HEXADECIMAL_FROM
    pieces = [
        chr(byte) if 32 <= byte <= 126 else f"\\x{byte:02x}" if hexadecimal else "?"
        for byte in name.encode("utf-8", "replace")
    ]
    return "".join(pieces)[:_MAX_BYTES]
