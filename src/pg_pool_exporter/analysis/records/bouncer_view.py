"""One record for each bouncer, and one for each of its pools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pg_pool_exporter.aggregate import summed
from pg_pool_exporter.analysis.correlate.chain import Chain, Holder
from pg_pool_exporter.analysis.findings.finding import Subject
from pg_pool_exporter.config import Thresholds
from pg_pool_exporter.model import (
    Behind,
    BouncerPool,
    BouncerPoolKey,
    BouncerSample,
    TargetId,
)
from pg_pool_exporter.sources.pgbouncer.folding import FOLDED


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerPoolView:
    """A pool of a bouncer at its last poll."""

    bouncer: str
    key: BouncerPoolKey
    sample: BouncerPool
    thresholds: Thresholds
    holders: tuple[Holder, ...] = ()
    """The clients with a connection to the server, the oldest request first."""
    server: str | None = None
    """The name of the server behind it, where known."""

    def __str__(self) -> str:
        return f"{self.key.database}/{self.key.user} of bouncer {self.bouncer}"

    @property
    def subject(self) -> Subject:
        """What a finding about it is about."""
        return Subject(
            target=TargetId("bouncer", self.bouncer),
            database=self.key.database,
            user=self.key.user,
        )

    @property
    def is_folded(self) -> bool:
        """Whether it is a sum of many pools, whose causes can differ."""
        return self.key == FOLDED

    @property
    def active(self) -> float:
        """Connections in use by a client."""
        return self.sample.connections.get("active", 0.0)

    @property
    def total(self) -> float:
        """All connections to the server."""
        return sum(self.sample.connections.values())

    @property
    def idle(self) -> float:
        """Other connections to the server."""
        return self.total - self.active

    @property
    def waiting(self) -> float:
        """Clients that wait for a connection."""
        return self.sample.clients.get("waiting", 0.0)

    @property
    def max(self) -> float | None:
        """Connections that it may have, the reserve included; None when unlimited."""
        size = self.sample.size
        return None if size is None else size + (self.sample.reserve_size or 0.0)

    @property
    def utilisation(self) -> float | None:
        """Share of the maximum in use by a client; None without a maximum."""
        return self.active / self.max if self.max else None

    @property
    def is_saturated(self) -> bool:
        """Whether a client has waited for too long."""
        waited = self.sample.oldest_waiting or 0.0
        return bool(self.waiting) and waited > self.thresholds.bouncer_wait

    @property
    def silent_holders(self) -> tuple[Holder, ...]:
        """Clients that have kept an unused connection for long."""
        longest = self.thresholds.bouncer_held
        return tuple(one for one in self.holders if one.silent_for >= longest)

    @property
    def worth_showing(self) -> tuple[Holder, ...]:
        """The clients with a connection while others wait for one; else those that keep theirs
        idle in transaction for long.
        """
        if self.waiting:
            return self.holders
        return tuple(one for one in self.silent_holders if one.is_in_transaction)

    @property
    def longest_wait(self) -> float:
        """Seconds that a client has waited for at least, in whole ones for a login; 0 where none
        waits.
        """
        if not self.waiting:
            return 0.0
        logins = (
            silent - 1
            for group in self.sample.origins.values()
            if (silent := group.oldest_silent.get("waiting")) is not None
        )
        return max(0.0, self.sample.oldest_waiting or 0.0, *logins)

    @property
    def waiting_by_application(self) -> Mapping[str, float]:
        """Clients that wait, as far as their applications are known."""
        return summed(
            (origin.application, waiting)
            for origin, group in self.sample.origins.items()
            if (waiting := group.counts.get("waiting"))
        )

    @property
    def badness(self) -> tuple[float, ...]:
        """The longest wait first, then the most clients that wait, then the highest utilisation."""
        waited = (self.sample.oldest_waiting or 0.0) if self.waiting else 0.0
        return waited, self.waiting, self.utilisation or 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerView:
    """A bouncer at its last poll."""

    name: str
    sample: BouncerSample
    thresholds: Thresholds
    pools: tuple[BouncerPoolView, ...] = field(default=())

    @property
    def subject(self) -> Subject:
        """What a finding about it is about."""
        return Subject(target=TargetId("bouncer", self.name))


def bouncer_view(
    name: str, sample: BouncerSample, chain: Chain, thresholds: Thresholds
) -> BouncerView:
    """The record of a bouncer."""

    def pools() -> Iterator[BouncerPoolView]:
        for key, pool in sample.pools.items():
            holders = chain.holders(sample, pool)
            yield BouncerPoolView(
                bouncer=name,
                key=key,
                sample=pool,
                thresholds=thresholds,
                holders=holders,
                server=_server(sample.behind.get(key.database, Behind()), sample, chain, holders),
            )

    return BouncerView(name=name, sample=sample, thresholds=thresholds, pools=tuple(pools()))


def _server(
    behind: Behind,
    bouncer: BouncerSample,
    chain: Chain,
    holders: Iterable[Holder],
) -> str | None:
    """By where the bouncer connects to; else the only one to which its connections lead."""
    if behind.port:
        found = chain.server_at(behind.host, behind.port, bouncer)
        if found is not None:
            return found
    seen = {one.server for one in holders if one.server is not None}
    return seen.pop() if len(seen) == 1 else None
