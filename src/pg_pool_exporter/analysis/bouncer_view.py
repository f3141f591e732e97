"""The pools of bouncers, as they are judged: frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pg_pool_exporter.config import thresholds as limit
from pg_pool_exporter.model import BouncerPool, BouncerPoolKey
from pg_pool_exporter.polling.store import TargetState


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncersPool:
    """One pool of a bouncer at its last poll."""

    bouncer: str
    key: BouncerPoolKey
    sample: BouncerPool

    def __str__(self) -> str:
        return f"{self.key.database}/{self.key.user} of bouncer {self.bouncer}"

    @property
    def active(self) -> float:
        """Connections that work for a client."""
        return self.sample.connections.get("active", 0.0)

    @property
    def idle(self) -> float:
        """Other connections to the server."""
        return sum(self.sample.connections.values()) - self.active

    @property
    def waiting(self) -> float:
        """Clients that wait for a connection."""
        return self.sample.clients.get("waiting", 0.0)

    @property
    def most(self) -> float | None:
        """Connections that it may have, the reserve included; None when that is not limited."""
        size = self.sample.size
        return None if size is None else size + (self.sample.reserve_size or 0.0)

    @property
    def use(self) -> float | None:
        """Share of `most` that works for a client; None without a limit."""
        return self.active / self.most if self.most else None

    @property
    def crowded(self) -> bool:
        """Whether a client has waited for too long."""
        return bool(self.waiting) and (self.sample.oldest_waiting or 0.0) > limit.BOUNCER_WAIT


def bouncers_pools(states: Iterable[TargetState], now: float) -> tuple[BouncersPool, ...]:
    """The pools of all bouncers that are known `now`: those whose clients have waited for longest
    come first, then the fullest.
    """
    return tuple(sorted(_known(states, now), key=_calmness))


def _known(states: Iterable[TargetState], now: float) -> Iterator[BouncersPool]:
    for state in states:
        if state.snapshot is None or state.snapshot.bouncer is None or now >= state.expires:
            continue
        for key, sample in state.snapshot.bouncer.pools.items():
            yield BouncersPool(bouncer=state.key.name, key=key, sample=sample)


def _calmness(pool: BouncersPool) -> tuple[float, ...]:
    waited = (pool.sample.oldest_waiting or 0.0) if pool.waiting else 0.0
    return -waited, -pool.waiting, -(pool.use or 0.0)
