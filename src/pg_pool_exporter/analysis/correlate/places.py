"""Which server a pool leads to, and by what its sessions are known there. From memory alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import PoolInfo, PoolSample, ServerSample, SessionKey, is_local

_MOST_BYTES = 63
# From this version on, PostgreSQL writes each byte of a name that is not ASCII in hexadecimal.
_HEXADECIMAL_FROM = 16


class Place(NamedTuple):
    """A server and where it is, as the exporter's own connection tells."""

    name: str
    host: str
    address: str
    """IP address; empty on a unix socket."""
    port: str
    version: str

    @classmethod
    def of(cls, name: str, sample: ServerSample) -> Place:
        """Of the server `name` at its last poll."""
        version = sample.settings.version
        return cls(name, sample.host, sample.address, sample.port, version)


class Places:
    """The servers that pools may lead to. Never changed.

    Of two at one address it is the first by name: it must not depend on who answered first.
    """

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._by_name = {place.name: place for place in sorted(places)}
        self._by_host: dict[tuple[str, str], Place] = {}
        self._local: dict[str, Place] = {}  # by port
        for place in self._by_name.values():
            for host in (place.host, place.address):
                self._by_host.setdefault((host.lower(), place.port), place)
            if is_local(place.address or place.host):
                self._local.setdefault(place.port, place)

    def get(self, name: str) -> Place | None:
        """Where the server `name` is."""
        return self._by_name.get(name)

    def replaced(self, name: str, place: Place | None) -> Places:
        """The same with the server `name` at another place; None: gone."""
        others = [other for other in self._by_name.values() if other.name != name]
        return Places([*others, place] if place is not None else others)

    def at(self, host: str, port: str, *, here: bool) -> Place | None:
        """The server at an address that is told by somebody on this machine (`here`), or not."""
        local = is_local(host)
        found = []
        if host and (here or not local):  # two machines' own addresses are spelt alike
            found.append(self._by_host.get((host.lower(), port)))
        if here and local:
            found.append(self._local.get(port))
        return min((place for place in found if place is not None), default=None)


class SessionsOf(NamedTuple):
    """By what the sessions of a pool are known on its server."""

    application: str
    database: str
    """Empty where the pool does not tell: any."""
    user: str
    """Empty where the pool does not tell: any."""

    def match(self, key: SessionKey) -> bool:
        """Whether sessions of this group can be the pool's."""
        return (
            key.application == self.application
            and self.database in ("", key.database)
            and self.user in ("", key.user)
        )

    def overlaps(self, other: SessionsOf) -> bool:
        """Whether a session can belong to both."""
        return (
            self.application == other.application
            and ("" in (self.database, other.database) or self.database == other.database)
            and ("" in (self.user, other.user) or self.user == other.user)
        )


def server_of(
    pool: PoolSample, app: AppConfig | None, places: Places, *, here: bool
) -> Place | None:
    """The server that the pool leads to directly; None when it isn't known, or none of `places`.

    `here`: the pool's process is on this machine.

    The pool's own word counts first (`instrument(server=…)`), then the configuration's, then where
    its sessions lead. A pool that tells a port other than that of the server it is said to lead to
    goes through something in between, such as a PgBouncer: it is not joined.
    """
    info = pool.info or PoolInfo()
    said = info.server or (app.server if app is not None else None)
    if not said:
        return places.at(info.host, info.port, here=here)
    place = places.get(said)
    return place if place is not None and info.port in ("", place.port) else None


def sessions_of(pool: PoolSample, app: AppConfig | None, place: Place) -> SessionsOf:
    """By what the server at `place` knows the sessions of the pool."""
    info = pool.info or PoolInfo()
    if info.application or info.asked_a_session:
        name = info.application
    else:
        name = app.application_name if app is not None else pool.key.app
    return SessionsOf(normalised(name, place.version), info.database, info.user)


def normalised(name: str, version: str) -> str:
    """An application's name as a server of this version shows it.

    Bytes that are not printable ASCII are replaced (`pg_clean_ascii`), then it is cut at 63 bytes.
    Doing so twice changes nothing, as a pool may tell it as the server does.
    """
    major = re.match(r"\d+", version)
    hexadecimal = major is not None and int(major[0]) >= _HEXADECIMAL_FROM
    pieces = [
        chr(byte) if 32 <= byte <= 126 else f"\\x{byte:02x}" if hexadecimal else "?"
        for byte in name.encode("utf-8", "replace")
    ]
    return "".join(pieces)[:_MOST_BYTES]
