"""Which bouncers a pool connects to, and which of their clients may be the pool's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pg_pool_exporter.analysis.correlate.addresses import SessionFilter
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.model import BouncerSample, PoolInfo, PoolSample, is_local
from pg_pool_exporter.sources.pgbouncer.folding import FOLDED

_MAX_NAME = 63


class Demand(NamedTuple):
    """The most connections that an application's pools may open through bouncers."""

    app: str
    bouncers: tuple[str, ...]
    database: str
    """Empty: unknown."""
    user: str
    """Empty: unknown."""
    most: float


class BouncerAddress(NamedTuple):
    """Where a bouncer is, according to the exporter's own connection."""

    name: str
    host: str
    address: str
    """IP address; empty on a unix socket."""
    port: str
    shares_port: bool
    shows_clients: bool
    """Whether all of its clients are known."""

    @classmethod
    def of(cls, name: str, sample: BouncerSample) -> BouncerAddress:
        """Of the bouncer `name` at its last poll."""
        return cls(
            name, sample.host, sample.address, sample.port, sample.shares_port, _is_read(sample)
        )

    def is_at(self, host: str, port: str, *, here: bool) -> bool:
        """Whether it is at an address, as seen from this machine (`here`) or from another one."""
        if port != self.port:
            return False
        if is_local(host):  # each machine calls itself localhost
            return here and is_local(self.address or self.host)
        return host.lower() in (self.host.lower(), self.address)


def _is_read(sample: BouncerSample) -> bool:
    """Whether all clients are known, and what they do. A bouncer that is suspended reads no
    requests: its clients seem to be idle.
    """
    return (
        not sample.clients_left_out
        and not sample.paused
        and FOLDED not in sample.pools
        and all(pool.clients_read for pool in sample.pools.values())
    )


class BouncerAddresses:
    """The bouncers that pools may connect to. Never changed."""

    def __init__(self, bouncers: Iterable[BouncerAddress] = ()) -> None:
        self._by_name = {one.name: one for one in sorted(bouncers)}

    def show_clients(self, names: Iterable[str]) -> bool:
        """Whether all clients of all of these are known."""
        known = [self._by_name.get(name) for name in names]
        return all(one is not None and one.shows_clients for one in known)

    def at(self, host: str, port: str, *, here: bool) -> tuple[str, ...]:
        """Those at an address: several where they share a port. None where others may listen there,
        too: the configuration can name all.
        """
        if not host and not port:
            return ()
        found = [one for one in self._by_name.values() if one.is_at(host, port, here=here)]
        if len(found) == 1 and found[0].shares_port:
            return ()
        return tuple(one.name for one in found)


def bouncers_of(
    pool: PoolSample, app: AppConfig | None, bouncers: BouncerAddresses, *, here: bool
) -> tuple[str, ...]:
    """The bouncers that share the pool's connections; none where they are unknown.

    `here`: the pool's process is on this machine. Those that the configuration names count first.
    """
    if app is not None and app.bouncers:
        return tuple(sorted(app.bouncers))
    info = pool.info or PoolInfo()
    return bouncers.at(info.host, info.port, here=here)


def clients_of(pool: PoolSample, app: AppConfig | None) -> SessionFilter | None:
    """The filter of the pool's clients; None where their name is unknown.

    A bouncer shows a name as the client sends it, or as the server repeats it: that differs where
    it is not printable ASCII.
    """
    info = pool.info or PoolInfo()
    name = info.application
    if not name and not info.asked_a_session:
        name = app.application_name if app is not None else pool.key.app
    if not name or not (name.isascii() and name.isprintable()):
        return None
    return SessionFilter(name[:_MAX_NAME], info.database, info.user)
